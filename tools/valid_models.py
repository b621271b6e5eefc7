"""Draw valid models that broadcast on purpose, and count the findings in them: there should be none.

    python tools/valid_models.py [--count N] [--first N] [--seed N] [--only IDIOM]... [--every N] [--keep DIR]

Keras builds and saves every model. One in ``--every`` models also runs, at batch 1, 2, 3 and its largest size, to show
that it is right. Prints a row for each idiom with a finding, and the totals. Exit status 1 if a finding is an error,
or if a model itself is wrong.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import rewriter  # noqa: E402
from tools.valid.build import Valid, valid_model  # noqa: E402
from tools.valid.idiom import IDIOMS  # noqa: E402
from tools.valid.proof import fault  # noqa: E402

SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class Found:
    """One finding in a valid model, and the idiom of its node."""

    idiom: str
    severity: str
    code: str
    node: str
    message: str


@dataclass
class Looked:
    """The result of one model: its findings, and the fault of the model itself ("" if none)."""

    valid: Valid
    found: list[Found] = field(default_factory=list)
    wrong: str = ""


def look(
    numbers: Sequence[int], seed: int, every: int, names: Sequence[str] = (), keep: Path | None = None
) -> Iterator[Looked]:
    """Draw the models of these numbers, and check each with all families.

    Args:
        every: one model in so many is run (0: none).
        names: only these idioms.
        keep: the folder for files with an error.
    """
    gc.collect()
    gc.freeze()
    with tempfile.TemporaryDirectory(prefix="valid-") as folder:
        path = Path(folder) / "model.keras"
        for number in numbers:
            valid = valid_model(number, seed, names)
            result = Looked(valid)
            valid.model.save(path)
            try:
                findings = rewriter.check(path, ops="all").findings
            except rewriter.RewriterError as error:
                result.found.append(
                    Found("+".join(i.name for i in valid.idioms), "error", "", "", f"refused: {error}")
                )
            else:
                result.found += [
                    Found(valid.owner(f.path), f.severity.value, f.code, f.node, f.message) for f in findings
                ]
            if every and number % every == 0:
                result.wrong = fault(valid)
            if keep is not None and any(f.severity == "error" for f in result.found):
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, keep / f"{valid.name}.keras")
            yield result


def table(results: Sequence[Looked]) -> str:
    """Markdown: a row for each idiom with a finding, with its first finding in words, and a row for all."""
    models = Counter(i.name for r in results for i in {i.name: i for i in r.valid.idioms}.values())
    hit: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    first: dict[str, tuple[int, str]] = {}
    for result in results:
        for each in result.found:
            hit[each.idiom][each.severity].add(result.valid.name)
            rank = SEVERITIES.index(each.severity)
            text = f"{result.valid.name} `{each.node}` {each.code}: {each.message}"
            first[each.idiom] = min(first.get(each.idiom, (9, "")), (rank, text))
    lines = ["| idiom | models | error | warning | info | the first |", "|---|---:|---:|---:|---:|---|"]
    order = sorted(hit, key=lambda name: [-len(hit[name][s]) for s in SEVERITIES])
    for name in order:
        counts = " | ".join(str(len(hit[name][s])) for s in SEVERITIES)
        lines.append(f"| {name} | {models[name]} | {counts} | {first[name][1]} |")
    totals = " | ".join(str(sum(any(f.severity == s for f in r.found) for r in results)) for s in SEVERITIES)
    lines.append(f"| **all {len(models)} idioms** | {len(results)} | {totals} | |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the number of the first model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", choices=IDIOMS, default=[], metavar="IDIOM")
    parser.add_argument("--every", type=int, default=50, help="run one model of so many (0: none)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="save the files with an error")
    options = parser.parse_args()
    start, processor = time.monotonic(), time.process_time()
    results = []
    numbers = range(options.first, options.first + options.count)
    for result in look(numbers, options.seed, options.every, options.only, options.keep):
        results.append(result)
        if len(results) % 500 == 0:
            print(f"{time.monotonic() - start:5.0f} s  {len(results)}", file=sys.stderr, flush=True)
    print(table(results))
    wrong = [r for r in results if r.wrong]
    for result in wrong:
        idioms = ", ".join(i.name for i in result.valid.idioms)
        print(f"not a valid model: {result.valid.name} ({idioms}): {result.wrong}")
    ran = sum(options.every > 0 and n % options.every == 0 for n in numbers)
    print(
        f"{len(results)} models, {ran} of them run, {time.monotonic() - start:.0f} s "
        f"({time.process_time() - processor:.0f} s of processor time)"
    )
    return int(bool(wrong) or any(f.severity == "error" for r in results for f in r.found))


if __name__ == "__main__":
    sys.exit(main())
