"""Repair models from old versions of Keras; the version that wrote each one loads it and compares its numbers.

python tools/keras_versions.py DIR                      install what is missing into DIR, run all, print a table
python tools/keras_versions.py DIR --versions 3.8.0     some versions only
python tools/keras_versions.py DIR --update             also rewrite tests/data/keras

A version is installed with `pip install --no-deps --target DIR/keras/VERSION` and runs in this Python, on its backend.
Exit status 1 if a repaired model does not load, or if its numbers differ from the truth.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - needs the path above

import rewriter  # noqa: E402
from rewriter.errors import RewriterError  # noqa: E402
from tests.mutation.edits import Recipe, mutate  # noqa: E402
from tools.make_models import settle  # noqa: E402

VERSIONS = ("3.0.5", "3.3.3", "3.5.0", "3.8.0", "3.10.0", "3.12.4", "3.15.1")
# Packages that a version needs and the newest Keras does not.
EXTRA = {"3.0.5": ("dm-tree",)}
# The models with files in tests/data/keras: one for each kind of inserted node and each form of a model.
KEPT = (
    *(
        "channel_gate",
        "spatial_gate",
        "nested",
        "layout",
        "batch_cover",
        "open_map",
        "too_many_axes",
        "attention",
    ),
    *("upsample", "class_token", "averaged", "constant"),
)
# The versions whose models of tools/versions/outdated.py are in tests/data/keras.
OUTDATED = ("3.3.3", "3.8.0", "3.10.0", "3.12.4")
DATA = ROOT / "tests" / "data" / "keras"
CHILDREN = ROOT / "tools" / "versions"


def install(folder: Path, version: str) -> None:
    """Install a version and the packages that the newest Keras does not need, unless the version is there."""
    target = folder / "keras" / version
    if target.exists():
        return
    packages = [f"keras=={version}", *EXTRA.get(version, ())]
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), *packages]
    subprocess.run(command, check=True)


def child(folder: Path, version: str, script: str, *arguments: str) -> list[dict[str, Any]]:
    """The output of a script of `tools/versions`, run by that version."""
    env = {**os.environ, "PYTHONPATH": str(folder / "keras" / version), "TF_CPP_MIN_LOG_LEVEL": "3"}
    words = [sys.executable, "-P", str(CHILDREN / script), *arguments]
    # The child imports its models from its own folder.
    env["PYTHONPATH"] += os.pathsep + str(CHILDREN)
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:])
        done.check_returncode()
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def run(folder: Path, version: str) -> dict[str, str]:
    """The fault of each model of a version, "" for none."""
    models = folder / "models" / version
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir(parents=True)
    found = {said["case"]: said["wrong"] for said in child(folder, version, "child.py", "write", str(models))}
    for case in cases(models):
        found[case.name] = _repaired(case, models)
    found |= {
        said["case"]: said["wrong"] or found[said["case"]]
        for said in child(folder, version, "child.py", "compare", str(models))
    }
    return found


def cases(models: Path) -> list[Any]:
    """The entry in `tools/versions/models.py` of each model that the version has made."""
    return [SimpleNamespace(**case) for case in json.loads((models / "cases.json").read_text())]


def _repaired(case: Any, models: Path) -> str:
    source = models / f"{case.name}{case.form}"
    if case.edited:
        _edit(case, models / f"{case.name}.truth.keras", source)
    target = models / f"{case.name}.fixed{case.form}"
    try:
        result = rewriter.repair(source, target, verify=False, **case.repair)
    except RewriterError as error:
        return f"refused: {error}"
    if result.output is None:
        return f"not decided: {[(f.node, f.message) for f in result.findings]}"
    inserted = tuple(change.op for change in result.inserted)
    return "" if list(inserted) == case.inserts else f"inserted {inserted}"


def _edit(case: Any, truth: Path, target: Path) -> None:
    at = () if case.contract or case.squeeze else (case.at,)
    cut = target.with_suffix(".cut.keras")
    mutate(truth, cut, Recipe(at, tuple(case.cut), contract=tuple(case.contract)))
    settle(cut, target, case.squeeze)


def table(results: dict[str, dict[str, str]]) -> str:
    """Versions by models, in Markdown: ok, the fault, or an empty cell where the version cannot make the model."""
    names = list(dict.fromkeys(name for found in results.values() for name in found))
    rows = [f"| model | {' | '.join(results)} |", f"|---|{'---|' * len(results)}"]
    for name in names:
        cells = ["-" if name not in found else found[name] or "ok" for found in results.values()]
        rows.append(f"| {name} | {' | '.join(cell[:160] for cell in cells)} |")
    return "\n".join(rows)


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="outside of the checkout")
    parser.add_argument("--versions", nargs="*", default=VERSIONS)
    parser.add_argument("--jobs", type=int, default=1, help="versions at a time")
    parser.add_argument("--update", action="store_true", help="rewrite tests/data/keras")
    options = parser.parse_args(argv)
    for version in options.versions:
        install(options.folder, version)
    with ThreadPoolExecutor(options.jobs) as pool:
        found = pool.map(lambda version: run(options.folder, version), options.versions)
        results = dict(zip(options.versions, found, strict=True))
    if options.update:
        update(options.folder, options.versions)
    print(table(results))
    return int(any(wrong for found in results.values() for wrong in found.values()))


def update(folder: Path, versions: list[str]) -> None:
    """Copy the broken files of a version and their outputs, without parts that change from run to run."""
    signatures = {}
    for version in versions:
        models, target = folder / "models" / version, DATA / version
        signatures[version] = json.loads((models / "signatures.json").read_text())
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        numbers, kept = {}, []
        for case in cases(models):
            if case.name in KEPT:
                packed(models / f"{case.name}.keras", target / f"{case.name}.keras")
                with np.load(models / f"{case.name}.npz") as arrays:
                    numbers |= {f"{case.name} {key}": arrays[key] for key in arrays if _few(key, case)}
                kept.append({key: getattr(case, key) for key in ("name", "inserts", "repair")})
        np.savez_compressed(target / "truth.npz", **numbers)
        (target / "cases.json").write_text(json.dumps(kept, indent=1) + "\n")
        if version in OUTDATED:
            _outdated(folder, version, target / "outdated")
    (DATA / "signatures.json").write_text(json.dumps(signatures, indent=1) + "\n")


def _outdated(folder: Path, version: str, target: Path) -> None:
    """Copy the models of a version that a newer one does not load, and their outputs."""
    made = folder / "outdated" / version
    shutil.rmtree(made, ignore_errors=True)
    child(folder, version, "outdated.py", str(made))
    target.mkdir()
    for path in sorted(made.glob("*.keras")):
        packed(path, target / path.name)
    shutil.copy(made / "truth.npz", target)


def _few(key: str, case: Any) -> bool:
    """Whether to keep these numbers: those of one batch size are kept, the second (2 unless it is fixed)."""
    return int(key.split("_")[1]) == case.batches[min(1, len(case.batches) - 1)]


def packed(source: Path, target: Path) -> None:
    """Write a compressed copy without dates and addresses."""
    plain = source.with_suffix(".plain.keras")
    settle(source, plain, squeeze_constants=False)
    with zipfile.ZipFile(plain) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            after.writestr(info, before.read(name), zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    sys.exit(main())
