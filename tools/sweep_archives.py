"""Makes many small archives for sweeps: `python tools/sweep_archives.py FOLDER COUNT`.

Of every hundred files one is hostile and ten have a fault; formats are mixed, in folders of teams. What each file must
come to is printed as JSON: {"clean": N, "findings": N, "unusable": N}. Every file has its own bytes.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "models"
BROKEN = ("axis_misaligned", "batch_misaligned", "incompatible", "layout", "chained")
_HOSTILE = (
    lambda n: b"PK\x03\x04" + n.to_bytes(8, "little") * 20,
    lambda n: b"",
    lambda n: b"\x89HDF\r\n\x1a\n" + b"\xff" * 200 + str(n).encode(),
    lambda n: _archive({"config.json": b"[" * 100_000, "metadata.json": b"%d" % n}),
    lambda n: _archive({"config.json": b"{}" + b" " * 3_000_000 + b"%d" % n}, zipfile.ZIP_DEFLATED),
)
_TEAMS = 50


def _archive(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def _keras(name: str) -> Callable[[int], bytes]:
    """Copies of a model, each with its own number in the metadata."""
    with zipfile.ZipFile(MODELS / f"{name}.keras") as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    metadata = json.loads(files["metadata.json"])

    def copy(number: int) -> bytes:
        return _archive({**files, "metadata.json": json.dumps({**metadata, "number": number}).encode()})

    return copy


def _appended(data: bytes, end: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda number: data + end(number)


def _onnx_note(number: int) -> bytes:
    """The field `doc_string` of a ModelProto."""
    text = b"%09d" % number
    return b"\x32" + bytes([len(text)]) + text


def _others() -> dict[str, Callable[[int], bytes]]:
    """Valid models in other formats, by suffix."""
    import rewriter

    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for suffix, end in ((".h5", lambda n: b"%09d" % n), (".onnx", _onnx_note)):
            path = Path(folder) / f"model{suffix}"
            rewriter.convert(MODELS / "valid.keras", path, verify=False)
            made[suffix] = _appended(path.read_bytes(), end)
        return made


def main(folder: Path, count: int) -> None:
    valid, others = _keras("valid"), _others()
    broken = [_keras(name) for name in BROKEN]
    expected: Counter[str] = Counter()
    for number in range(count):
        kind, suffix = number % 100, ".keras"
        if kind == 0:
            data, outcome = _HOSTILE[number // 100 % len(_HOSTILE)](number), "unusable"
        elif kind <= 10:
            data, outcome = broken[number % len(broken)](number), "findings"
        elif kind <= 25:
            suffix = ".h5" if kind <= 18 else ".onnx"
            data, outcome = others[suffix](number), "clean"
        else:
            data, outcome = valid(number), "clean"
        place = folder / f"team{number // 100 % _TEAMS:02}" / f"{number // (100 * _TEAMS):03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"model{number:06}{suffix}").write_bytes(data)
        expected[outcome] += 1
    print(json.dumps(dict(expected)))


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    main(Path(sys.argv[1]), int(sys.argv[2]))
