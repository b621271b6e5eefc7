"""Every known kind of bad input, in one table: the tests run it, and docs/bad-inputs.md is generated from it.

A row is a file that every command refuses with one line, and its honest twin, which is accepted; or (``status`` 1)
a file that is read, reported as not analysed, and never called clean; or (0) a file whose trap has no effect.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.cli.hostile import layer
from tests.hostile import archives, saved_models
from tests.hostile.configs import REFUSED, UNKNOWN, data
from tests.hostile.legacy_files import CASES as LEGACY
from tests.hostile.legacy_files import made, with_lambda
from tests.hostile.make import functional, one, ref, source
from tests.hostile.onnx_files import CASES, saved, scaled, spoiled

Make = Callable[[Path], Path]

GROUPS = {
    1: "Files that are not models",
    2: "Parts that are missing",
    3: "Archives that can be read in two ways, or never end",
    4: "Names in archives",
    5: "JSON",
    6: "Configurations of the wrong form",
    7: "Inconsistent graphs",
    8: "Impossible sizes and options",
    9: "Classes and functions that are not Keras's",
    10: "Nesting, and tensors as arguments",
    11: "HDF5: weights, and models of older Keras",
    12: "ONNX",
    13: "Paths",
    14: "SavedModels",
}


class Row(NamedTuple):
    """``make`` and ``twin`` write a file into a folder and return its path; the error line contains ``words``."""

    group: int
    name: str
    make: Make
    words: str
    twin: Make
    status: int = 2


def file(suffix: str, content: Callable[[], bytes] | bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / f"model{suffix}"
        path.write_bytes(content() if callable(content) else content)
        return path

    return make


def config(content: Any) -> Make:
    return file(".json", lambda: data(content))


def at(place: Callable[[Path], Path]) -> Make:
    return place


# -- 1, 2 -----------------------------
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb\nsize 12345\n"
GOOD: dict[str, Callable[[], bytes]] = {
    ".keras": archives.whole,
    ".json": lambda: archives.members()[archives.CONFIG],
    ".onnx": lambda: saved(scaled()),
    ".h5": made,
}
NO_MODEL: dict[str, tuple[Callable[[bytes], bytes], dict[str, str]]] = {
    "empty": (lambda good: b"", dict.fromkeys(GOOD, "is empty")),
    "a-git-lfs-pointer": (lambda good: POINTER, dict.fromkeys(GOOD, "git lfs pull")),
    "random-bytes": (lambda good: random.Random(1).randbytes(3000), dict.fromkeys(GOOD, "")),
    "zeros": (lambda good: bytes(3000), dict.fromkeys(GOOD, "")),
    "cut-in-half": (lambda good: good[: len(good) // 2], dict.fromkeys(GOOD, "")),
    "hdf5": (lambda good: b"\x89HDF\r\n\x1a\n" + bytes(900), dict.fromkeys(GOOD, "HDF5")),
}


def _no_models() -> Iterator[Row]:
    for name, (change, words) in NO_MODEL.items():
        for suffix, good in GOOD.items():
            bad = file(suffix, lambda change=change, good=good: change(good()))
            yield Row(1, f"{name}{suffix}", bad, words[suffix], file(suffix, good))


# -- 13 -----------------------------
def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "model.keras")
    return folder / "model.keras"


def _loop(folder: Path) -> Path:
    (folder / "model.keras").symlink_to(folder / "model.keras")
    return folder / "model.keras"


def _to(kind: Make) -> Make:
    """A link to a file."""

    def make(folder: Path) -> Path:
        (folder / "there").mkdir()
        (folder / "link.keras").symlink_to(kind(folder / "there"))
        return folder / "link.keras"

    return make


GOOD_FILE = file(".keras", archives.whole)


PATHS: dict[str, tuple[Make, str]] = {
    "missing": (lambda folder: folder / "none.keras", "no such file"),
    "a-directory": (lambda folder: folder, "is a directory"),
    "a-pipe": (_pipe, "not a regular file"),
    "a-link-to-a-pipe": (_to(_pipe), "not a regular file"),
    "a-device": (lambda _: Path("/dev/zero"), "not a regular file"),
    "a-link-to-itself": (_loop, ""),
    "a-name-too-long": (lambda folder: folder / ("n" * 300 + ".keras"), ""),
    "below-a-file": (lambda folder: GOOD_FILE(folder) / "model.keras", ""),
}

# -- which configuration belongs where -----------------------------
_JSON = (
    "lists-", "objects-", "digits", "key-twice", "utf-16", "not-utf-8",
)  # fmt: skip
_FORM = (
    "a-list", "layers-an-object", "config-null", "layer-config-null", "no-class-name", "inbound-", "no-input-layers",
    "no-arguments", "never-built", "no-batch-shape", "name-empty", "name-slash", "name-twice", "call-name",
)  # fmt: skip
_GRAPH = ("legacy-reference", "no-layer", "no-call", "no-output", "call-negative", "output-huge", "index-huge", "cycle",
          "second-input")  # fmt: skip
_NESTING = ("models-", "arguments-deep", "literal", "no-tensor", "slice")


def _group(name: str) -> int:
    for group, starts in ((5, _JSON), (6, _FORM), (7, _GRAPH), (10, _NESTING)):
        if name.startswith(starts):
            return group
    return 8


def _vocabularies() -> Iterator[Row]:
    """A vocabulary that is the path or the address of a file: the file is never opened."""
    words, given = {"vocabulary": ["a", "b"], "dtype": "string"}, {"dtype": "string"}
    good = config(
        functional([source(dtype="string"), layer("d", "StringLookup", words, ref("x"))], [["d", 0, 0]])
    )
    for name, place in (("path", "/etc/passwd"), ("address", "http://127.0.0.1:9/words.txt")):
        rows = [source(dtype="string"), layer("d", "StringLookup", {**given, "vocabulary": place}, ref("x"))]
        yield Row(9, f"vocabulary-{name}", config(functional(rows, [["d", 0, 0]])), "", good, 0)


def _options() -> Iterator[Row]:
    """Options that no layer accepts, each with one that it accepts."""
    image, shape = (None, 8, 8, 4), (None, 4, 3)
    conv = {"filters": 4, "kernel_size": [3, 3]}
    found: list[tuple[str, str, Any, dict[str, Any], dict[str, Any]]] = [
        ("kernel-of-0", "Conv2D", image, {**conv, "kernel_size": [0, 3]}, conv),
        ("kernel-negative", "Conv2D", image, {**conv, "kernel_size": [-1, 3]}, conv),
        ("kernel-of-three", "Conv2D", image, {**conv, "kernel_size": [3, 3, 3]}, conv),
        ("stride-of-0", "Conv2D", image, {**conv, "strides": [0, 1]}, {**conv, "strides": [2, 2]}),
        ("stride-huge", "Conv2D", image, {**conv, "strides": [2**63, 1]}, {**conv, "strides": [2**31, 1]}),
        ("dilation-of-0", "Conv2D", image, {**conv, "dilation_rate": 0}, {**conv, "dilation_rate": 1}),
        ("padding-unknown", "Conv2D", image, {**conv, "padding": "both"}, {**conv, "padding": "same"}),
        (
            "layout-unknown",
            "Conv2D",
            image,
            {**conv, "data_format": "nchw"},
            {**conv, "data_format": "channels_last"},
        ),
        ("pool-of-0", "MaxPooling2D", image, {"pool_size": 0}, {"pool_size": 2}),
        ("size-a-text", "UpSampling2D", image, {"size": "2"}, {"size": 2}),
        ("repeat-negative", "RepeatVector", (None, 3), {"n": -2}, {"n": 2**31}),
        ("target-a-text", "Reshape", shape, {"target_shape": "12"}, {"target_shape": [12]}),
        ("flag-a-text", "GlobalAveragePooling1D", shape, {"keepdims": "yes"}, {"keepdims": True}),
    ]
    for name, class_name, given, bad, good in found:
        yield Row(8, name, config(one(class_name, bad, given)), "", config(one(class_name, good, given)))


def rows() -> list[Row]:
    """The whole table."""
    result = list(_no_models())
    for item in archives.ARCHIVES:
        group = 2 if item.name == "config-missing" else 4 if item.name.startswith("member-") else 3
        result.append(Row(group, item.name, file(".keras", item.make), item.words, file(".keras", item.twin)))
    for case in REFUSED:
        result.append(Row(_group(case.name), case.name, config(case.file), case.words, config(case.twin)))
    result += [*_options(), *_vocabularies()]
    half = one("Dense", {"units": 3, "name": "a\ud83d"})
    result.append(
        Row(
            5,
            "half-a-surrogate-pair",
            config(half),
            "surrogate",
            config(one("Dense", {"units": 3, "note": "\U0001f600"})),
        )
    )
    for name, class_name, options, entry in UNKNOWN:
        bad = config(one(class_name, options, **entry))
        result.append(Row(9, name, bad, "RW008", config(one()), 1))
    for item in archives.BAD_WEIGHTS:
        result.append(Row(11, item.name, file(".keras", item.make), item.words, file(".keras", item.twin)))
    for item in LEGACY:
        result.append(Row(11, item.name, file(".h5", item.make), item.words, file(".h5", item.twin)))
    result.append(Row(11, "h5-lambda", file(".h5", with_lambda), "RW008", file(".h5", made), 1))
    for spoilt in CASES:
        bad = file(".onnx", lambda spoilt=spoilt: spoiled(spoilt))
        result.append(
            Row(12, spoilt.name, bad, spoilt.words, file(".onnx", lambda spoilt=spoilt: saved(spoilt.base())))
        )
    for item in saved_models.CASES:
        result.append(Row(14, f"savedmodel-{item.name}", item.make, item.words, item.twin))
    confused = saved_models.folder_of(saved_models.confused())
    result.append(Row(14, "savedmodel-types-that-differ", confused, "", confused, 0))
    for name, (make, words) in PATHS.items():
        result.append(Row(13, name, make, words, _to(GOOD_FILE)))
    return result


ROWS = rows()


def commands(path: Path, folder: Path, weights: bool = False) -> Iterator[list[str]]:
    """The commands that read a model. Outputs are called ``out``.

    Args:
        weights: leave out ``shapes``, which accepts a model with any weights or none.
    """
    suffix = ".json" if path.suffix == ".json" else ".onnx" if path.suffix == ".onnx" else ".keras"
    if any(os.path.exists(path / name) for name in ("saved_model.pb", "saved_model.pbtxt")):
        suffix = ""
    yield ["check", str(path)]
    yield [
        "check",
        str(path),
        "--format",
        "json",
        "--mode",
        "best",
        "--ops",
        "all",
        "--plan",
        str(folder / "out.toml"),
    ]
    if not weights:
        yield ["shapes", str(path)]
    yield ["explain", str(path)]
    yield ["repair", str(path), "-o", str(folder / f"out{suffix}"), "--no-verify"]
    yield ["repair", str(path), "--diff"]
    if suffix not in (".onnx", ""):  # it reads the Keras metadata of a SavedModel, not the graph
        yield ["export", str(path), str(folder / "out.onnx")]


def listed(path: Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


def small(row: Row, folder: Path) -> Path | None:
    """The row's file if it has at most 5 KB, else None."""
    path = row.make(folder)
    return path if os.path.isfile(path) and os.path.getsize(path) <= 5 << 10 else None
