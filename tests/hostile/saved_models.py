"""SavedModel folders with one thing wrong, each beside its honest twin; written with our own writer of protobuf."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rewriter.formats.saved_model.bundle import INDEX, shard_name
from rewriter.formats.saved_model.crc32c import masked
from rewriter.formats.saved_model.wire import content, entry, varint, whole

FLOAT, INT32, RESOURCE = 1, 3, 20
Attributes = Mapping[str, bytes]


def shape(*sizes: int) -> bytes:
    return b"".join(content(2, whole(1, size)) for size in sizes)


def of_type(number: int) -> bytes:
    return whole(6, number)


def calls(name: str) -> bytes:
    return content(10, content(1, name))


def node(name: str, op: str, inputs: Sequence[str] = (), attributes: Attributes | None = None) -> bytes:
    parts = [content(1, name), content(2, op), *(content(3, each) for each in inputs)]
    return b"".join([*parts, *(entry(5, key, value) for key, value in (attributes or {}).items())])


def tensor(sizes: Sequence[int], raw: bytes = b"", values: bytes = b"", dtype: int = FLOAT) -> bytes:
    return whole(1, dtype) + content(2, shape(*sizes)) + (content(4, raw) if raw else b"") + values


def constant(name: str, value: bytes, dtype: int = FLOAT) -> bytes:
    return node(name, "Const", (), {"dtype": of_type(dtype), "value": content(8, value)})


def function(name: str, nodes: Sequence[bytes], result: str, sizes: Sequence[int] = (-1, 3)) -> bytes:
    """A function of one argument x with one result y."""
    signature = (
        content(1, name)
        + content(2, content(1, "x") + whole(3, FLOAT))
        + content(3, content(1, "y") + whole(3, FLOAT))
    )
    stated = content(1, content(7, shape(*sizes)))
    argument = content(7, whole(1, 0) + content(2, entry(1, "_output_shapes", stated)))
    body = b"".join(content(3, each) for each in nodes)
    return content(1, signature) + body + content(4, content(1, "y") + content(2, result)) + argument


def doubled(
    name: str = "double", other: Sequence[bytes] = (), result: str = "twice:z:0", taken: str = "x"
) -> bytes:
    return function(name, [node("twice", "Mul", [taken, "x"], {"T": of_type(FLOAT)}), *other], result)


def calling(name: str, *others: str) -> bytes:
    """A function that calls others one after the other."""
    made, taken = [], "x"
    for number, other in enumerate(others):
        attributes = {
            "f": calls(other),
            "Tin": content(1, whole(6, FLOAT)),
            "Tout": content(1, whole(6, FLOAT)),
        }
        made.append(node(f"call_{number}", "PartitionedCall", [taken], attributes))
        taken = f"call_{number}:output:0"
    return function(name, made, taken)


def saved(functions: Sequence[bytes], root: str = "double", main: Sequence[bytes] = ()) -> bytes:
    library = b"".join(content(1, each) for each in functions)
    given = node("input", "Placeholder", (), {"dtype": of_type(FLOAT), "shape": content(7, shape(-1, 3))})
    call = node("call", "PartitionedCall", ["input"], {"f": calls(root)})
    graph = b"".join(content(1, each) for each in (given, call, *main)) + content(2, library)
    inputs = entry(1, "x", content(1, "input:0") + whole(2, FLOAT) + content(3, shape(-1, 3)))
    outputs = entry(2, "y", content(1, "call:0") + whole(2, FLOAT))
    info = content(4, "serve") + content(5, "2.21.0")
    meta = content(1, info) + content(2, graph) + entry(5, "serving_default", inputs + outputs)
    return whole(1, 1) + content(2, meta)


def good() -> bytes:
    return saved([doubled()])


def index(
    size: int = 12, offset: int = 0, shards: int = 1, shard: int = 0, sizes: Sequence[int] = (3,)
) -> bytes:
    """An index of one variable of floats."""
    header = whole(1, shards)
    stated = whole(1, FLOAT) + content(2, shape(*sizes)) + whole(3, shard) + whole(4, offset) + whole(5, size)
    return table([row(b"", header) + row(b"v", stated)])


def row(own: bytes, value: bytes = b"", shared: int = 0) -> bytes:
    """An entry of a block; its key is the first ``shared`` bytes of the key before, and ``own``."""
    return varint(shared) + varint(len(own)) + varint(len(value)) + own + value


def table(blocks: Sequence[bytes], listed: Sequence[int] | None = None, restarts: int = 1) -> bytes:
    """A table of blocks of entries.

    Args:
        listed: the numbers of the blocks that its index block lists.
        restarts: the number of places at the end of each block where its keys start anew.
    """
    written = b""

    def block(rows: bytes) -> bytes:
        """Writes a block, and returns its place."""
        nonlocal written
        data = rows + bytes(4 * restarts) + struct.pack("<I", restarts)
        place = varint(len(written)) + varint(len(data))
        written += data + b"\0" + struct.pack("<I", masked(data + b"\0"))
        return place

    places = [block(rows) for rows in blocks]
    meta = block(b"")
    numbers = range(len(blocks)) if listed is None else listed
    top = block(b"".join(row(b"w%09d" % key, places[number]) for key, number in enumerate(numbers)))
    return written + (meta + top).ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


ONE_SHARD = row(b"", whole(1, 1))
EMPTY = whole(1, FLOAT) + content(2, shape(0))


def long_names(size: int, count: int) -> bytes:
    """A table of ``count`` names of ``size`` bytes, which share all but the last four."""
    first = row(b"x" * size, EMPTY)
    return table(
        [ONE_SHARD + first + b"".join(row(b"%04d" % number, EMPTY, size - 4) for number in range(count - 1))]
    )


def folder_of(data: bytes, files: Mapping[str, bytes] | None = None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "model"
        for name, each in {"saved_model.pb": data, **(files or {})}.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(each)
        return path

    return make


TEXT = 'meta_graphs { graph_def { node { name: "a" op: "NoOp" } } }'


def text_of(text: str) -> Callable[[Path], Path]:
    """A folder with a message in text form."""

    def make(folder: Path) -> Path:
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "saved_model.pbtxt").write_text(text, encoding="utf-8")
        return folder / "model"

    return make


def variables(table: bytes, numbers: bytes = bytes(12), shards: int = 1) -> Callable[[Path], Path]:
    return folder_of(good(), {INDEX: table, shard_name(0, shards): numbers})


def _linked(folder: Path) -> Path:
    path = folder_of(good(), {"assets/words.txt": b"a\n"})(folder)
    (path / "assets" / "other.txt").symlink_to("/etc/hostname")
    return path


def _piped(folder: Path) -> Path:
    path = folder_of(good())(folder)
    os.mkfifo(path / "fingerprint.pb")
    return path


def _deep(count: int) -> bytes:
    chain = [calling(f"f{n}", f"f{n + 1}") for n in range(count)]
    return saved([*chain, doubled(f"f{count}")], "f0")


def _wide(count: int) -> bytes:
    """Each function calls the next one twice: 2 ** count calls in 4 KB."""
    return saved(
        [*(calling(f"f{n}", *([f"f{n + 1}"] * 2)) for n in range(count)), doubled(f"f{count}")], "f0"
    )


def _with(value: bytes) -> bytes:
    many = node("many", "Mul", ["twice:z:0", "c:output:0"], {"T": of_type(FLOAT)})
    return saved([doubled(other=[constant("c", value), many], result="many:z:0")])


def confused() -> bytes:
    """A product whose stated operand types differ from those of its inputs; TensorFlow does not load it here."""
    many = node("many", "Mul", ["twice:z:0", "c:output:0"], {"T": of_type(INT32)})
    return saved([doubled(other=[constant("c", tensor((1, 3), bytes(12))), many], result="many:z:0")])


def bases() -> list[bytes]:
    """Honest messages of several kinds, as the base of mutants."""
    one = tensor((1, 3), bytes(12))
    gate = [
        node("mean", "Mean", ["twice:z:0", "c:output:0"], {"T": of_type(FLOAT), "keep_dims": whole(5, 1)}),
        constant("c", tensor((1,), struct.pack("<i", 1), dtype=INT32), INT32),
        node("scaled", "Mul", ["twice:z:0", "mean:output:0"], {"T": of_type(FLOAT)}),
    ]
    return [
        good(),
        _with(one),
        confused(),
        saved([calling("double", "f", "g"), calling("f", "g"), doubled("g")]),
        saved([doubled(other=gate, result="scaled:z:0")]),
    ]


class SavedCase(NamedTuple):
    name: str
    make: Callable[[Path], Path]
    words: str
    twin: Callable[[Path], Path]


_CYCLE = [node("a", "Relu", ["b:activations:0"]), node("b", "Relu", ["a:activations:0"])]
CASES = [
    SavedCase("empty", folder_of(b""), "is empty", folder_of(good())),
    SavedCase(
        "git-lfs-pointer",
        folder_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"),
        "git lfs pull",
        folder_of(good()),
    ),
    SavedCase("truncated", folder_of(good()[: len(good()) // 2]), "damaged", folder_of(good())),
    SavedCase("two-gigabytes", folder_of(b"\x12" + varint(2**31) + b"x"), "damaged", folder_of(good())),
    SavedCase("length-of-64-bits", folder_of(b"\x12" + varint(2**64 - 1)), "damaged", folder_of(good())),
    SavedCase("no-graph", folder_of(whole(1, 1)), "holds no graph", folder_of(good())),
    SavedCase("name-no-text", folder_of(good().replace(b"twice", b"tw\xffce")), "not text", folder_of(good())),
    SavedCase(
        "function-calls-itself",
        folder_of(saved([calling("double", "double")])),
        "calls itself",
        folder_of(saved([calling("double", "other"), doubled("other")])),
    ),
    SavedCase(
        "functions-call-one-another",
        folder_of(saved([calling("double", "f"), calling("f", "g"), calling("g", "f")])),
        "calls itself: f -> g -> f",
        folder_of(saved([calling("double", "f"), calling("f", "g"), doubled("g")])),
    ),
    SavedCase("functions-too-deep", folder_of(_deep(90)), "more than 64 deep", folder_of(_deep(50))),
    SavedCase("functions-nested-twice-each", folder_of(_wide(90)), "more than 64 deep", folder_of(_wide(40))),
    SavedCase(
        "cyclic-graph",
        folder_of(saved([doubled(other=_CYCLE, result="a:activations:0")])),
        "has a cycle",
        folder_of(saved([doubled(other=[node("a", "Relu", ["twice:z:0"])], result="a:activations:0")])),
    ),
    SavedCase("tensor-of-nothing", folder_of(saved([doubled(taken="none:z:0")])), "nothing makes", folder_of(good())),
    SavedCase("result-of-nothing", folder_of(saved([doubled(result="none:z:0")])), "nothing makes", folder_of(good())),
    SavedCase(
        "two-functions-of-one-name", folder_of(saved([doubled(), doubled()])), "two functions", folder_of(good())
    ),
    SavedCase(
        "two-nodes-of-one-name",
        folder_of(saved([doubled()], main=[node("call", "NoOp")])),
        "two nodes",
        folder_of(saved([doubled()], main=[node("other", "NoOp")])),
    ),
    SavedCase(
        "shape-bomb",
        folder_of(_with(tensor((2**40, 2**40), values=content(5, struct.pack("<f", 1))))),
        "constant of the shape",
        folder_of(_with(tensor((1, 3), values=content(5, struct.pack("<f", 1))))),
    ),
    SavedCase(
        "bytes-that-are-not-the-shape",
        folder_of(_with(tensor((1, 3), bytes(11)))),
        "11 bytes",
        folder_of(_with(tensor((1, 3), bytes(12)))),
    ),
    SavedCase(
        "more-numbers-than-the-shape",
        folder_of(_with(tensor((1, 3), values=content(5, bytes(16))))),
        "4 numbers",
        folder_of(_with(tensor((1, 3), values=content(5, bytes(12))))),
    ),
    SavedCase("index-cut", variables(index()[:-9]), "cut short", variables(index())),
    SavedCase("index-damaged", variables(index().replace(b"v", b"w", 1)), "checksum", variables(index())),
    SavedCase(
        "index-lists-a-block-again",
        variables(table([ONE_SHARD, b""], [0, 1, 1])),
        "blocks that overlap",
        variables(table([ONE_SHARD, b""])),
    ),
    SavedCase(
        "index-of-long-names", variables(long_names(60_000, 3000)), "names take more", variables(long_names(600, 90))
    ),
    SavedCase("shard-cut", variables(index(), bytes(11)), "which has 11", variables(index(), bytes(12))),
    SavedCase("shard-missing", variables(index(shards=2), shards=2), "00001-of-00002 is missing", variables(index())),
    SavedCase("offset-outside", variables(index(offset=2**40)), "which has 12", variables(index())),
    SavedCase("offset-below-0", variables(index(offset=-1)), "which has 12", variables(index())),
    SavedCase("shard-of-no-number", variables(index(shard=7)), "file 7 of 1", variables(index())),
    SavedCase("variable-of-another-size", variables(index(sizes=(4,))), "12 bytes of numbers", variables(index())),
    SavedCase("text-empty", text_of(""), "is empty", text_of(TEXT)),
    SavedCase("text-cut", text_of(TEXT[:-1]), "ends within a message", text_of(TEXT)),
    SavedCase("text-too-deep", text_of("meta_graphs {" * 100_000), "has no field", text_of(TEXT)),
    SavedCase(
        "text-nested",
        text_of("meta_graphs { graph_def { node { experimental_type {" + "args {" * 100_000),
        "100 deep",
        text_of(TEXT.replace("op:", "experimental_type { args { args { } } } op:")),
    ),
    SavedCase("text-of-a-field-unknown", text_of("x: 1 " + TEXT), "no field", text_of(TEXT)),
    SavedCase("asset-is-a-link", _linked, "is a link", folder_of(good(), {"assets/words.txt": b"a\n"})),
    SavedCase("a-pipe-in-the-folder", _piped, "not a regular file", folder_of(good(), {"fingerprint.pb": b"\x08\x01"})),
]  # fmt: skip
