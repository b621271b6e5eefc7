"""Real files of tf.keras 2.12 to 2.15: converted to Keras 3, and repaired in their own form.

    python tools/old_tensorflow.py DIR [--only 2.13.1] [--saved-models]

Each version is installed into DIR (1 GB each; Python 3.11) and saves the models of the tests as ``.h5`` and ``.keras``.
The converted files must compute with Keras 3 what that version computed. The repaired ones, loaded by that version,
must compute what the valid model did. ``tests/data/tensorflow_2.12`` has three of the models.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import rewriter  # noqa: E402 - needs the path above

VERSIONS = ("2.12.0", "2.13.1", "2.15.1")
CHILD = ROOT / "tools" / "versions" / "tensorflow_child.py"
TOLERANCE = 1e-4  # of the largest value


def install(folder: Path, version: str) -> Path:
    """An environment with a version of TensorFlow. Returns its Python."""
    python = folder / version / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
        pip = [str(python), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, f"tensorflow-cpu=={version}", "numpy<2", "h5py"], check=True)
    return python


def run(python: Path, what: str, models: Path, *forms: str) -> list[str]:
    """Let a version do something in a folder of models. Returns the lines that it prints."""
    done = subprocess.run(
        [str(python), str(CHILD), what, str(models), *forms], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{what} failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()


def written(make: Any, path: Path, target: Path, **options: Any) -> str:
    """Why ``make`` wrote no file; "" if it did."""
    target.unlink(missing_ok=True)
    try:
        make(path, target, verify=False, **options)
    except rewriter.RewriterError as error:
        return f"refused: {str(error).removeprefix(f'{path}: ')}"
    return "" if target.exists() else "undecided"


def difference(path: Path, inputs: list[Any], wanted: list[Any]) -> float:
    """The largest difference of what Keras 3 computes with a file, in parts of the largest value."""
    import keras
    import numpy as np

    model = keras.models.load_model(path, compile=False)
    given = [keras.ops.convert_to_tensor(x.astype(str)) if x.dtype == object else x for x in inputs]
    result = keras.tree.flatten(model(given if len(given) > 1 else given[0], training=False))
    worst = 0.0
    for got, right in zip(result, wanted, strict=True):
        mine = np.asarray(got)
        if mine.shape != right.shape:
            return float("inf")
        if right.dtype == object:
            worst = max(worst, float((mine.astype(object) != right).any()))
        elif right.size:
            scale = max(float(np.abs(right).max()), 1e-6)
            worst = max(worst, float(np.abs(mine.astype(float) - right.astype(float)).max()) / scale)
    return worst


def converted(models: Path) -> dict[str, str]:
    """What is wrong with each converted file, "" for nothing."""
    found: dict[str, str] = {}
    for inputs, wanted, files in pickle.loads((models / "valid.pickle").read_bytes()).values():
        for path in map(Path, files):
            target = path.with_name(f"new_{path.name}.keras")
            problem = written(rewriter.convert, path, target)
            if not problem:
                try:
                    worst = difference(target, inputs, wanted)
                    problem = "" if worst <= TOLERANCE else f"differs by {worst:.1g}"
                except Exception as error:  # whatever Keras raises
                    problem = f"does not load: {str(error)[:120]}"
            found[path.name] = problem
    return found


def repaired(python: Path, models: Path) -> dict[str, str]:
    """What is wrong with each repaired file, "" for nothing."""
    found: dict[str, str] = {}
    for name, (_, _, at) in pickle.loads((models / "broken.pickle").read_bytes()).items():
        options = {"at": at} if at else {}
        found[name] = written(rewriter.repair, models / name, models / f"fixed_{name}", **options)
    for line in run(python, "load", models):
        name, _, text = line.partition(": ")
        if name.removeprefix("fixed_") in found:
            found[name.removeprefix("fixed_")] = "" if text == "equal" else text
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=VERSIONS, help="one version")
    parser.add_argument(
        "--saved-models", action="store_true", help="SavedModels too (10 minutes each version)"
    )
    arguments = parser.parse_args()
    forms = [".h5", ".keras", *([".folder"] if arguments.saved_models else [])]
    wrong = 0
    for version in [arguments.only] if arguments.only else VERSIONS:
        models = arguments.folder / version / "models"
        models.mkdir(parents=True, exist_ok=True)
        python = install(arguments.folder, version)
        for line in run(python, "make", models, *forms):
            print(f"  {version}: {line}")
        for what, found in (("converted", converted(models)), ("repaired", repaired(python, models))):
            bad = {name: problem for name, problem in found.items() if problem}
            refused = sum(problem.startswith(("refused", "undecided")) for problem in bad.values())
            others = len(bad) - refused
            equal = len(found) - len(bad)
            print(f"{version}: {len(found)} {what}: {equal} equal, {refused} refused, {others} wrong")
            for name, problem in bad.items():
                print(f"  {name}: {problem}")
            wrong += others
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
