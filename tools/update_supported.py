"""Run the differential tests and write their counts, by class, to rewriter/shapes/proven.csv.

`rewriter shapes --supported` joins that file with the tables of rules; tools/update_docs.py brings docs/supported.md
up to date afterwards. The cases that a usual run of the suite leaves out are counted too.
"""

from __future__ import annotations

import argparse
import csv
import inspect
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
DATA = ROOT / "rewriter" / "shapes" / "proven.csv"
TESTS = ("test_layers.py", "test_layer_properties.py", "test_ops.py", "test_ops_properties.py")
# Long random runs differ from one run to the next, and hostile files are not compared with Keras.
LEFT_OUT = "not hostile and not at_length"


def tried(options: argparse.Namespace) -> dict[tuple[str, str], Counter[str]]:
    """The counts of the tests. Exits if a test fails."""
    from tests.shapes import tally

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "tally.csv"
        command = [sys.executable, "-m", "pytest", "-q", "-k", LEFT_OUT, "-p", "no:cacheprovider"]
        command += ["-m", "slow or not slow"]
        command += ["-n", str(options.processes)] if options.processes else []
        command += [f"tests/shapes/{name}" for name in TESTS]
        environment = {**os.environ, "REWRITER_TALLY": str(target), "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        if done.returncode:
            sys.exit("the differential tests fail: nothing is written")
        return tally.read(target)


def aliases() -> dict[str, list[str]]:
    """Further names under which ``keras.layers`` exports a class."""
    import keras

    names: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in sorted(vars(keras.layers).items()):
        if inspect.isclass(value) and name != value.__name__ and name[0] != "_":
            names[value.__name__].append(name)
    return names


def main() -> int:
    """Run the tests and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", dest="processes", type=int, default=0, help="how many processes (pytest-xdist)")
    counted = tried(parser.parse_args())

    import keras

    from tests.shapes import tally

    others = aliases()
    classes = set(counted) | {("layer", name) for name in others}
    with open(DATA, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["kind", "name", "aliases", *tally.FIELDS])
        rows.writerow(["keras", keras.__version__, "", *(0 for _ in tally.FIELDS)])
        for kind, name in sorted(classes):
            numbers = counted.get((kind, name), Counter())
            names = " ".join(others.get(name, ())) if kind == "layer" else ""
            rows.writerow([kind, name, names, *(numbers[field] for field in tally.FIELDS)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
