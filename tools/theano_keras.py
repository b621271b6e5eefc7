"""Models that Keras 1 and 2 saved with Theano as their backend, and what they compute there, for the tests.

    python tools/theano_keras.py DIR            install these versions into DIR, make and repair models, compare
    python tools/theano_keras.py DIR --update   rewrite tests/data/theano_keras

The versions run in an environment of Python 3.11 with NumPy 1.23 and Theano 1.0.5, which needs a C compiler. The models
are those of `tools/versions/theano_child.py`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import rewriter  # noqa: E402 - needs the path above

VERSIONS = ("1.2.2", "2.0.9", "2.2.4")
KEPT = ("1.2.2", "2.2.4")  # in tests/data
DATA = ROOT / "tests" / "data" / "theano_keras"
CHILD = ROOT / "tools" / "versions" / "theano_child.py"
PACKAGES = ("numpy==1.23.5", "scipy<1.10", "six", "h5py==3.8.0", "pyyaml", "setuptools<60")
ALONE = ("Theano==1.0.5", "keras_applications==1.0.8", "keras_preprocessing==1.1.2")


def install(folder: Path) -> Path:
    """An environment with Theano; the versions of Keras are in folders beside it. Returns its Python."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        pip = [str(python), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, *PACKAGES], check=True)
        subprocess.run([*pip, "--no-deps", *ALONE], check=True)
    for version in VERSIONS:
        target = folder / "keras" / version
        if not target.exists():
            pip = [str(python), "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
            subprocess.run([*pip, f"keras=={version}"], check=True)
    return python


def run(python: Path, folder: Path, version: str, models: Path, what: str) -> str:
    """Let a version do something in a folder of models. Returns what it prints."""
    flags = f"device=cpu,floatX=float32,blas.ldflags=,base_compiledir={folder / 'compiled'}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder / "keras" / version),
        "KERAS_BACKEND": "theano",
        # Theano's loops do not compile here, and its convolutions run compiled only.
        "THEANO_FLAGS": flags if what == "compiled" else f"{flags},cxx=",
    }
    words = [str(python), str(CHILD), str(models), what]
    done = subprocess.run(words, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"Keras {version}, {what}: {done.stderr[-2000:]}")
    return done.stdout


def make(python: Path, folder: Path, version: str) -> Path:
    """Let a version save its models. Returns their folder."""
    target = folder / "models" / version
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for what in ("compiled", "plain"):
        run(python, folder, version, target, what)
    return target


def repair(python: Path, folder: Path, version: str) -> None:
    """Repair models that lost a layer, as files of the same form; the version loads them and compares the numbers."""
    models = folder / "broken" / version
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir(parents=True)
    run(python, folder, version, models, "break")
    paths = sorted(models.glob("*.h5"))
    for path in paths:
        result = rewriter.repair(path, path.with_suffix(".fixed.h5"), verify=False)
        if not result.inserted:
            sys.exit(f"Keras {version}: {path.name} is not repaired")
    said = run(python, folder, version, models, "check")
    print(said, end="")
    if said.count("computes the same") != len(paths):
        sys.exit(f"Keras {version}: some of {len(paths)} files were not compared")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    python = install(folder)
    for version in VERSIONS:
        made = make(python, folder, version)
        if arguments.update and version in KEPT:
            shutil.rmtree(DATA / version, ignore_errors=True)
            shutil.copytree(made, DATA / version)
        if not version.startswith("1."):  # Keras 1 multiplies tensors of one shape only
            repair(python, folder, version)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/formats/keras/upgrade/test_theano_keras.py"],
        cwd=ROOT,
        env={**os.environ, "THEANO_KERAS": str(folder / "models")},
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
