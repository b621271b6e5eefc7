"""Give mutants of every kind of file to every command that reads one: only plain errors may come out.

    python tools/fuzz.py [FORMAT...] [--count N] [--seed S] [--first K] [--keep DIR] [--bases DIR] [--sample N]

FORMAT is keras, h5, json, onnx, savedmodel, plan or rules (default: all). Mutant K of a format and a seed is the same
on every machine. One process runs the commands on many mutants, with limits of time and memory; every ``--sample``-th
mutant also runs in a process of its own. Reported, and kept in DIR: an ``internal:`` line or a traceback, an exit
status outside 0 to 3, more than one error, more time or memory than the limit, an output of a run that failed, a file
left behind, and a process that died. ``--bases`` adds files to mutate. Exit status: 0 if nothing is reported.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

FORMATS = ("keras", "h5", "json", "onnx", "savedmodel", "plan", "rules")
SECONDS = 30
MEMORY = 3 << 30  # address space of a process that runs many mutants
CHUNK = 100
_STATUS = (0, 1, 2, 3)
# Forbidden in output: control characters except line feeds, and bidirectional controls.
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
Mutant = tuple[str, bytes]


class Late(BaseException):
    """A command took too long. Not an Exception, so the command cannot catch it."""


# -- mutants of bytes -----------------------------
def of_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes with a few changed, removed, repeated or inserted; 4-byte numbers become large."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not result:
            break
        at = rng.randrange(len(result))
        kind = rng.randrange(7)
        if kind < 3:
            result[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 3:
            del result[at : at + rng.choice((1, 4, 64, 4096))]
        elif kind == 4:
            result[at:at] = result[at : at + rng.choice((1, 8, 256))] * rng.choice((1, 2, 50))
        elif kind == 5:
            result[at : at + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0")
            )
        else:
            result[at:at] = rng.randbytes(rng.choice((1, 8)))
    return bytes(result[: rng.randrange(len(result) + 1)] if rng.random() < 0.05 else result)


# -- mutants of text -----------------------------
_TOKENS = re.compile(r'"(?:[^"\\\n]|\\.)*"|[\w.-]+|\s+|.', re.DOTALL)
_ODD_TOKENS = (
    '""', '"\\u0000"', '"a b, b -> a b"', '"b s* c, b c -> b s* c"', '"b (s n)* c, b -> b"', '"((((a))))"', '"->"',
    '", ->"', '"a, b ->"', '"b, b -> b b"', '"' + "a " * 500 + ', b -> a"', '"\U0001f600"', "0", "-1", "1e999", "nan",
    "9" * 5000, "[]", "[[]]", "{}", "true", "2026-01-01", "=", "[", "]", "[[", "]]", "{", "}", ".", "a.b.c", "#", "\n",
    '"leave"', '"channel-gate"', '"no-such-rule"', "'''", '"""', "\\", "\ufeff", "\x00", "\x1b[31m",
)  # fmt: skip


def of_text(rng: random.Random, data: bytes) -> bytes:
    """Text with tokens replaced, removed, repeated and swapped."""
    tokens = _TOKENS.findall(data.decode())
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(tokens))
        kind = rng.randrange(6)
        if kind < 3:
            tokens[at] = rng.choice(_ODD_TOKENS)
        elif kind == 3:
            tokens[at] = ""
        elif kind == 4:
            tokens[at] *= rng.choice((2, 3, 200))
        else:
            other = rng.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
    return "".join(tokens).encode("utf-8", "replace")


# -- mutants of archives -----------------------------
def packed(rng: random.Random, members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if rng.random() < 0.2 else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, method)
    return stream.getvalue()


def of_archive(rng: random.Random, data: bytes, configurations: Callable[[bytes], bytes]) -> bytes:
    """An archive with a changed configuration, weights file, member name, or changed bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    kind = rng.randrange(10)
    if kind < 5:
        members["config.json"] = configurations(members["config.json"])
    elif kind < 7 and "model.weights.h5" in members:
        members["model.weights.h5"] = of_bytes(rng, members["model.weights.h5"])
    elif kind == 7:
        name = rng.choice(list(members))
        new = rng.choice(
            ("../x", "/x", "a\\b", "config.json/", "\x1b[31m", "x" * 300, name.upper(), name + ".h5")
        )
        members[new] = members.pop(name) if rng.random() < 0.5 else members[name]
    elif kind == 8:
        members["metadata.json"] = of_text(rng, members.get("metadata.json", b"{}"))
    made = packed(rng, members)
    return of_bytes(rng, made) if kind == 9 or rng.random() < 0.05 else made


# -- mutants of HDF5 models -----------------------------
def of_hdf5(rng: random.Random, data: bytes, configurations: Callable[[bytes], bytes]) -> bytes:
    """An HDF5 file with a changed configuration, changed names of layers or weights, or changed bytes."""
    import h5py
    import numpy as np

    stream = io.BytesIO(data)
    kind = rng.randrange(5)
    if kind > 2:
        return of_places(rng, data)
    with h5py.File(stream, "r+") as file:
        weights = file["model_weights"]
        if kind < 2:
            text = configurations(str(file.attrs["model_config"]).encode())
            # A variable-length string ends at the first zero.
            file.attrs["model_config"] = np.bytes_(text) if b"\0" in text else text
        else:
            where, name = weights, "layer_names"
            if rng.random() < 0.5:
                where, name = weights[rng.choice(list(weights))], "weight_names"
            names = [bytes(each) for each in where.attrs[name]] or [b"x"]
            odd = (rng.choice(names), b"", b"/", b"..", b"a/b", b"\xff", b"n" * 999)
            names[rng.randrange(len(names))] = rng.choice(odd)
            rng.shuffle(names)
            where.attrs[name] = np.array(names)
    return stream.getvalue()


def of_places(rng: random.Random, data: bytes) -> bytes:
    """Bytes where numbers of up to eight bytes become 0, 1, the maximum, or another offset in the file."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        size = rng.choice((1, 2, 4, 8))
        at = rng.randrange(0, len(result) - size) // size * size
        value = rng.choice((0, 1, 256**size - 1, rng.randrange(len(data)), rng.randrange(256**size)))
        result[at : at + size] = value.to_bytes(8, "little")[:size]
    return bytes(result)


# -- mutants of protobuf messages -----------------------------
_INTS = (0, -1, 1, 2, 3, 7, 16, 99, 2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63))
_FLOATS = (0.0, -1.0, 0.5, float("nan"), float("inf"), 1e30)
_STRINGS = (
    "",
    "x",
    "y",
    "a/b",
    "..",
    "\x1b[31m",
    "n" * 5000,
    "NOTSET",
    "SAME_UPPER",
    "NCHW",
    "ai.onnx",
    "Mul",
    "Add",
)


def _messages(root: Any) -> list[Any]:
    found, waiting = [], [root]
    while waiting:
        item = waiting.pop()
        found.append(item)
        for field, value in item.ListFields():
            if field.message_type is not None:
                waiting += value if field.is_repeated else [value]
    return found


def of_message(rng: random.Random, root: Any) -> None:
    """Change one field of one message: another value, removed, repeated, or swapped with a field of the same kind."""
    message = rng.choice(_messages(root))
    fields = list(message.DESCRIPTOR.fields)
    known = [field for field, _ in message.ListFields()]
    field = rng.choice(known if known and rng.random() < 0.8 else fields)
    if rng.random() < 0.15:
        message.ClearField(field.name)
    elif field.is_repeated:
        _of_list(rng, getattr(message, field.name), field)
    elif field.message_type is not None:
        others = [m for m in _messages(root) if m.DESCRIPTOR is field.message_type]
        if others and rng.random() < 0.7:
            copied = type(others[0])()
            copied.CopyFrom(rng.choice(others))
            getattr(message, field.name).CopyFrom(copied)
        else:
            getattr(message, field.name).SetInParent()
    else:
        with contextlib.suppress(ValueError, TypeError):
            setattr(message, field.name, _scalar(rng, field, root))


def _of_list(rng: random.Random, items: Any, field: Any) -> None:
    kind = rng.randrange(5)
    if len(items) and kind == 0:
        del items[rng.randrange(len(items))]
    elif len(items) > 1 and kind == 1:
        a, b = rng.randrange(len(items)), rng.randrange(len(items))
        if field.message_type is None:
            items[a], items[b] = items[b], items[a]
        else:
            copied = type(items[a])()
            copied.CopyFrom(items[a])
            items[a].CopyFrom(items[b])
            items[b].CopyFrom(copied)
    elif field.message_type is not None:
        if len(items):
            copied = type(items[0])()
            copied.CopyFrom(rng.choice(items))
            items.add().CopyFrom(copied)
        else:
            items.add()
    elif len(items) and kind < 4:
        with contextlib.suppress(ValueError, TypeError):
            items[rng.randrange(len(items))] = _scalar(rng, field, None)
    else:
        with contextlib.suppress(ValueError, TypeError):
            items.extend([_scalar(rng, field, None)] * rng.choice((1, 1, 2, 70)))


def _scalar(rng: random.Random, field: Any, root: Any) -> Any:
    if field.type == field.TYPE_STRING:
        names = [str(node.op_type) for node in root.graph.node] if root is not None else []
        return rng.choice((*_STRINGS, *names, rng.choice(_OPERATORS)))
    if field.type == field.TYPE_BYTES:
        return rng.choice(
            (b"", b"\xff", b"x" * 1000, b"SAME_LOWER", b"bilinear", b"ij,jk->ik", rng.randbytes(8))
        )
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return rng.choice(_FLOATS)
    return rng.choice((*_INTS, rng.randrange(-8, 40)))


_OPERATORS = (
    "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "Concat", "Split", "Tile", "Expand", "MatMul",
    "Gemm", "Conv", "Shape", "Range", "ConstantOfShape", "Where", "Einsum", "Loop", "If", "Scan", "Resize", "Pad",
    "Cast",
    "TopK", "NonZero", "ReduceSum", "Softmax", "LSTM", "OneHot", "ScatterND", "GatherND", "DepthToSpace", "Attention",
)  # fmt: skip


def of_model(rng: random.Random, data: bytes) -> bytes:
    """An ONNX model with a few changed fields or bytes."""
    import onnx

    if rng.random() < 0.1:
        return of_bytes(rng, data)
    proto = onnx.ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        of_message(rng, proto)
    try:
        return bytes(proto.SerializeToString())
    except Exception:  # invalid UTF-8 in a string: the mutant cannot be written
        return of_bytes(rng, data)


# -- mutants of SavedModels -----------------------------
_NUMBERS = (0, 1, 2, 3, 5, 255, 2**31, 2**63 - 1, 2**63, 2**64 - 1)
_OPERATORS_OF_TENSORFLOW = (
    b"", b"x", b"Mul", b"MatMul", b"Reshape", b"ConcatV2", b"Conv2D", b"StridedSlice", b"While", b"If", b"Split",
    b"Transpose", b"Einsum", b"GatherV2", b"PartitionedCall", b"\x00", bytes(50),
)  # fmt: skip


def of_wire(rng: random.Random, data: bytes) -> bytes:
    """A SavedModel message with a few fields changed, removed or repeated, or with changed bytes."""
    if rng.random() < 0.1:
        return of_bytes(rng, data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = _of_fields(rng, memoryview(data), 0)
    return data


def _of_fields(rng: random.Random, view: memoryview, depth: int) -> bytes:
    from rewriter.errors import BadFileError
    from rewriter.formats.saved_model.wire import BYTES, VARINT, content, fields, spliced, whole

    try:
        found = list(fields(view))
    except BadFileError:  # a text
        return _of_text(rng, bytes(view))
    if not found:
        return bytes(view) + whole(rng.choice((1, 2, 3, 7)), rng.choice(_NUMBERS))
    field, kind = rng.choice(found), rng.random()
    place = field.start, field.end
    if kind < 0.06:
        return spliced(view, [(*place, b"")])
    if kind < 0.12:
        return spliced(view, [(field.start, field.start, bytes(view[field.start : field.end]))])
    if field.wire == VARINT:
        return spliced(view, [(*place, whole(field.number, rng.choice(_NUMBERS)))])
    if field.wire != BYTES or isinstance(field.value, int):
        return of_bytes(rng, bytes(view))
    deeper = depth < 12 and rng.random() < 0.85
    made = _of_fields(rng, field.value, depth + 1) if deeper else _of_text(rng, bytes(field.value))
    return spliced(view, [(*place, content(field.number, made))])


def _of_text(rng: random.Random, text: bytes) -> bytes:
    if not text or rng.random() < 0.4:
        return rng.choice(_OPERATORS_OF_TENSORFLOW)
    result = bytearray(text)
    result[rng.randrange(len(result))] = rng.randrange(256)
    return bytes(result)


# -- the files to mutate -----------------------------
@cache
def bases(form: str, more: str | None) -> list[bytes]:
    """Files of a format, in the same order on every machine."""
    models = sorted((ROOT / "models").glob("*.keras"))
    found: list[bytes] = []
    if form == "keras":
        found = [path.read_bytes() for path in models]
    elif form == "json":
        for path in models:
            with zipfile.ZipFile(path) as archive:
                found.append(archive.read("config.json"))
    elif form == "h5":
        from tests.hostile import legacy_files

        found = [
            legacy_files.made(),
            legacy_files.made(libver="latest"),
            legacy_files.made(legacy_files.kernel(**legacy_files.PACKED)),
            legacy_files.gate(),
        ]
    elif form == "onnx":
        found = _onnx_models()
    elif form == "savedmodel":
        from tests.hostile import saved_models

        found = saved_models.bases()
    elif form == "plan":
        found = [
            _plan(path)
            for path in models
            if path.stem in ("chained", "nested", "layout", "article_flatten_multiply")
        ]
    else:
        found = [_RULES]
    if more is not None and form in ("keras", "h5", "json", "onnx"):
        found += [path.read_bytes() for path in sorted(Path(more).glob(f"*.{form}"))]
    if more is not None and form == "savedmodel":
        found += [path.read_bytes() for path in sorted(Path(more).glob("*/saved_model.pb"))]
    return found


_RULES = b"""[[rule]]
name = "head-gate"
equations = ["b h t s, b h -> b h t s", "b t s, b -> b t s"]
summary = "one factor per attention head"
generic = true

[[rule]]
name = "tiles"
equation = "b (s n)* c, b s* c -> b (s n)* c"
"""


def _plan(path: Path) -> bytes:
    import rewriter

    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.toml"
        rewriter.check(path, plan=plan)
        return plan.read_bytes()


def _onnx_models() -> list[bytes]:
    """ONNX's own operator models, each name once."""
    import warnings

    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    cases = sorted(collect_testcases(None), key=lambda case: case.name)
    return [bytes(case.model.SerializeToString()) for case in cases if case.model is not None]


def mutant(form: str, seed: int, number: int, more: str | None) -> Mutant:
    """The file suffix and the bytes of mutant ``number`` of a format."""
    rng = random.Random(f"{form} {seed} {number}")
    given = bases(form, more)
    data = given[rng.randrange(len(given))]

    def configuration(config: bytes) -> bytes:
        from tests.hostile.mutator import mutants

        return of_text(rng, config) if rng.random() < 0.05 else next(mutants(rng.randrange(2**32), config, 1))

    if form == "keras":
        return ".keras", of_archive(rng, data, configuration)
    if form == "h5":
        return ".h5", of_hdf5(rng, data, configuration)
    if form == "json":
        return ".json", of_bytes(rng, data) if rng.random() < 0.05 else configuration(data)
    if form == "onnx":
        return ".onnx", of_model(rng, data)
    if form == "savedmodel":
        return "", of_wire(rng, data)
    return ".toml", of_bytes(rng, data) if rng.random() < 0.1 else of_text(rng, data)


# -- the commands to run -----------------------------
def commands(form: str, path: Path, folder: Path) -> Iterator[list[str]]:
    """The commands that read such a file; their output is called ``out``."""
    name, out = str(path), str(folder / "out")
    model = str(folder / "model.keras")
    if form == "plan":
        yield ["repair", model, "-o", f"{out}.keras", "--plan", name, "--no-verify"]
        return
    if form == "rules":
        yield ["rules", "--rules", name]
        yield ["check", model, "--rules", name, "--format", "json"]
        yield ["suggest", "None,7,5,3", "None,3", "--rules", name]
        yield ["explain", model, "--rules", name]
        return
    yield ["check", name]
    yield ["check", name, "--format", "json", "--mode", "best", "--ops", "all", "--plan", f"{out}.toml"]
    yield ["check", name, "--format", "sarif"]
    yield ["explain", name, "--ops", "all"]
    yield ["shapes", name]
    yield ["shapes", name, "--format", "json"]
    yield [
        "repair",
        name,
        "-o",
        f"{out}{path.suffix}",
        "--mode",
        "best",
        "--ops",
        "all",
        "--no-verify",
        "--explicit",
    ]
    yield ["repair", name, "--diff"]
    if form != "onnx":
        yield ["export", name, f"{out}.onnx"]
        yield ["repair", name, "-o", f"{out}{path.suffix}", "--onnx", f"{out}.onnx", "--mode", "best", "--ops", "all",
               "--no-verify"]  # fmt: skip


def trial(
    form: str, data: Mutant, folder: Path, run: Callable[[list[str]], tuple[int, str, str]]
) -> list[str]:
    """The faults of the commands on a mutant."""
    suffix, content = data
    path = file = folder / f"mutant{suffix}"
    if form == "savedmodel":
        path.mkdir()
        file = path / "saved_model.pb"
    file.write_bytes(content)
    if form in ("plan", "rules"):
        shutil.copy(ROOT / "models" / "chained.keras", folder / "model.keras")
    before = sorted(folder.iterdir())
    found = []
    for words in commands(form, path, folder):
        status, out, error = run(words)
        if "internal:" in error:
            error += _traceback(words)
        label = " ".join(w.replace(str(folder), ".") for w in words)
        found += [f"{label}: {text}" for text in _wrong(status, out, error)]
        made = [p for p in sorted(folder.iterdir()) if p not in before]
        allowed = {"out.toml"} if status in (0, 1) else set()
        if status == 0:
            allowed |= {f"out{suffix}", "out.onnx", "out.keras"}
        found += [f"{label}: exit {status} and {p.name} is left" for p in made if p.name not in allowed]
        for item in made:
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        if file.read_bytes() != content:
            return [*found, f"{label}: the input was changed"]
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found


def _traceback(words: list[str]) -> str:
    os.environ["REWRITER_DEBUG"] = "1"
    try:
        return in_process(words)[2][-1200:]
    finally:
        del os.environ["REWRITER_DEBUG"]


def _wrong(status: int, out: str, error: str) -> Iterator[str]:
    if status not in _STATUS:
        yield f"exit {status}: {error[-300:]}"
    if "internal:" in error or "Traceback" in error or "internal:" in out:
        yield error[-1500:].strip()
    elif "more memory is needed" in error:
        yield error.strip()
    if error.count("\n") > (4 if status > 1 else 0):  # a second line may point at a place in an equation
        yield f"{error.count(chr(10))} lines of error: {error[:200]!r}"
    if status == 2 and not error.startswith("error: "):
        yield f"exit 2 without an error line: {error[:200]!r}"
    if len(error) > 2000:
        yield f"an error of {len(error)} characters"
    if _CONTROL.search(out) or _CONTROL.search(error):
        yield "a control character in the output"


def in_process(words: list[str]) -> tuple[int, str, str]:
    """Run a command in this process: its exit status, output and error."""
    from rewriter.cli import main

    out, error = io.StringIO(), io.StringIO()

    def late(*_: object) -> None:
        raise Late

    old = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            status = main(words)
    except Late:
        where = "".join(traceback.format_exc().splitlines(keepends=True)[-8:-1])
        return 124, "", f"more than {SECONDS} s of the processor\n{where}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
    return status, out.getvalue(), error.getvalue()


def apart(words: list[str]) -> tuple[int, str, str]:
    """Run a command in a process of its own, with 1 GiB more memory than Python reserves."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rewriter", *words],
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=10 * SECONDS,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30)),
        )
    except subprocess.TimeoutExpired:
        return 124, "", f"more than {10 * SECONDS} s"
    return done.returncode, done.stdout, done.stderr


# -- many of them -----------------------------
def worker(form: str, seed: int, numbers: Sequence[int], options: argparse.Namespace) -> None:
    """Try mutants, and print a line of JSON for each: its number, then the faults."""
    bases(form, options.bases)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as name:
        for number in numbers:
            print(json.dumps([number, None]), flush=True)
            made = mutant(form, seed, number, options.bases)
            began = time.process_time()
            found = trial(form, made, Path(name), in_process)
            if options.sample and number % options.sample == 0:
                found += [f"(apart) {text}" for text in trial(form, made, Path(name), apart)]
            print(json.dumps([number, found, round(time.process_time() - began, 2)]), flush=True)


def run(form: str, options: argparse.Namespace) -> int:
    """Try the mutants of a format in processes that may die. Returns how many are reported."""
    reported, slowest = 0, (0.0, -1)
    first, last = options.first, options.first + options.count
    while first < last:
        numbers = range(first, min(first + CHUNK, last))
        words = [
            sys.executable,
            __file__,
            form,
            "--worker",
            "--seed",
            str(options.seed),
            "--first",
            str(first),
        ]
        words += ["--count", str(len(numbers)), "--sample", str(options.sample)]
        words += ["--bases", options.bases] if options.bases else []
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        current, done = first, first
        for line in process.stdout:
            number, found, *seconds = json.loads(line)
            current = number
            if found is None:
                continue
            done = number + 1
            slowest = max(slowest, (seconds[0], number))
            if found:
                reported += 1
                report(form, number, found, options)
        if process.wait() != 0 or done < numbers.stop:
            reported += 1
            report(form, current, [f"the process ended with status {process.returncode}"], options)
            done = current + 1
        first = done
    print(
        f"{form}: {options.count} mutants, {reported} reported; the slowest took {slowest[0]} s ({slowest[1]})"
    )
    return reported


def report(form: str, number: int, found: Sequence[str], options: argparse.Namespace) -> None:
    print(f"{form} {number}:", *found, sep="\n    ", flush=True)
    if options.keep is not None:
        suffix, data = mutant(form, options.seed, number, options.bases)
        folder = Path(options.keep)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{form}-{options.seed}-{number}{suffix}").write_bytes(data)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("formats", metavar="FORMAT", nargs="*", help=" ".join(FORMATS))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--keep")
    parser.add_argument("--bases")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    chosen = options.formats or FORMATS
    if not set(chosen) <= set(FORMATS):
        parser.error(f"a format is one of {', '.join(FORMATS)}")
    if options.worker:
        worker(chosen[0], options.seed, range(options.first, options.first + options.count), options)
        return 0
    return int(sum(run(form, options) for form in chosen) > 0)


if __name__ == "__main__":
    sys.exit(main())
