"""Run the differential tests and write their counts, by class, to rewriter/shapes/proven.csv.

    python tools/update_supported.py [-n N]                  all classes
    python tools/update_supported.py --only RandomHeight     these classes (ops as ``numpy.Add``): the other rows stay

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
        names = " or ".join(name.rpartition(".")[2] for name in options.only)
        chosen = f"({LEFT_OUT}) and ({names})" if names else LEFT_OUT
        command = [sys.executable, "-m", "pytest", "-q", "-k", chosen, "-p", "no:cacheprovider"]
        command += ["-m", "slow or not slow"]
        command += ["-n", str(options.processes)] if options.processes else []
        command += [f"tests/shapes/{name}" for name in TESTS]
        environment = {**os.environ, "REWRITER_TALLY": str(target), "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        if done.returncode == 5:  # pytest found no test
            sys.exit(f"no test counts {', '.join(options.only)}: nothing is written")
        if done.returncode:
            sys.exit("the differential tests fail: nothing is written")
        return tally.read(target)


def stored() -> dict[tuple[str, str], Counter[str]]:
    """The counts in the file."""
    from tests.shapes import tally

    with open(DATA, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] != "keras"]
    return {
        (row["kind"], row["name"]): Counter({field: int(row[field]) for field in tally.FIELDS})
        for row in rows
    }


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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", dest="processes", type=int, default=0, help="how many processes (pytest-xdist)")
    parser.add_argument("--only", nargs="+", default=[], metavar="CLASS", help="count these classes only")
    options = parser.parse_args()
    counted = tried(options)

    import keras

    from tests.shapes import tally

    if options.only:
        fresh = {key: count for key, count in counted.items() if key[1] in options.only}
        if missing := set(options.only) - {name for _, name in fresh}:
            sys.exit(f"no test counts {', '.join(sorted(missing))}: nothing is written")
        counted = {**stored(), **fresh}
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
