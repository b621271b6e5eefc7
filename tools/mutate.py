"""Break valid models in every way that applies, repair each, and let Keras judge the result.

    python tools/mutate.py [MODEL.keras ...] [--model NAME]... [--ops multiply|all] [--limit N] [--seed N]
                           [--json] [--keep DIR] [--update-docs]

Without paths the models are those of `architectures/`. A mutant counts if Keras refuses it, or if its outputs differ
from those of the original at batch 1, 3 or a size of an operand at the product. It is tried as the edited file and,
if Keras loads it, as the file that Keras writes from the wrong graph. The outcomes of its repair:

    exact     written, and it computes the same as the original
    refused   found, and nothing was written
    wrong     written, and it computes something else
    missed    no finding, though the model is broken

A mutant with the same outputs is `equivalent`: it has no fault, and there must be no finding.
A mutant is `legal` if it runs at every batch size, keeps the samples apart (where the original does) and records its
true shapes: a valid model with another meaning has the same file, so there is no fault to find. Legal mutants are
counted separately. Of several mutations at once, one that alone makes such a file may stay.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import itertools
import json
import math
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np  # noqa: E402

import rewriter  # noqa: E402
from rewriter.formats.keras.spelling import spell  # noqa: E402
from rewriter.formats.registry import open_model  # noqa: E402
from rewriter.ir.graph import Path as NodePath  # noqa: E402
from rewriter.passes.analysis import analyse  # noqa: E402
from rewriter.passes.candidate import Candidate  # noqa: E402
from rewriter.passes.finding import Argument, Finding  # noqa: E402
from rewriter.passes.rewrite import Rewriter  # noqa: E402
from rewriter.passes.sites import DEFAULT_OPS, OPS  # noqa: E402
from rewriter.rules.table import builtin  # noqa: E402
from tests import support  # noqa: E402
from tests.mutation.edits import (  # noqa: E402
    Config,
    locate,
    operand_shapes,
    read_config,
    rebuild,
    rebuild_config,
    references,
    write_config,
)
from tools.channels_first import NoTwinError, convolve_anywhere, twin_of  # noqa: E402
from tools.mutations import KINDS, Mutation, mutations  # noqa: E402

LARGEST_BATCH = 16
MOST_COMBINATIONS = 24
TOLERANCE = 1e-4
PAGE = ROOT / "docs" / "accuracy.md"
MARKS = ("<!-- mutants -->", "<!-- end of mutants -->")


@dataclass
class Result:
    """The outcome of one mutant.

    Args:
        form: `edited`, or `keras` for the file that Keras writes from the wrong graph.
        fault: the effect in Keras: `refused` at loading, `raises` at some batch, `silent`, or `equivalent`.
        legal: whether the same file may come from a valid model.
        listed: whether some candidate gives the original; None if not tested.
        elsewhere: whether only a changed argument of a node above the product gives the original.
        determined: whether every candidate without a fault or a contradiction gives the original.
        chance: the outcome of a random candidate.
    """

    model: str
    kind: str
    mutation: str
    form: str
    fault: str
    legal: bool
    outcome: str = ""
    listed: bool | None = None
    elsewhere: bool = False
    determined: bool = False
    chance: str = ""
    why: str = ""
    file: str = ""

    @property
    def broken(self) -> bool:
        """Whether the mutant counts: not legal."""
        return not self.legal

    @property
    def architecture(self) -> str:
        """The model without its form."""
        return self.model.partition(", ")[0]


class Original:
    """A valid model: its file and its outputs."""

    def __init__(self, name: str, path: Path, model: Any) -> None:
        self.name, self.path, self.model = name, path, model
        self.config = read_config(path)
        self._runs: dict[int, tuple[Any, list[np.ndarray]]] = {}

    @cached_property
    def apart(self) -> bool:
        """Whether the result of each sample depends on that sample alone."""
        return keeps_samples_apart(self.model, self, 3)

    def run(self, batch: int) -> tuple[Any, list[np.ndarray]]:
        """Random inputs of a batch size, and the outputs."""
        if batch not in self._runs:
            inputs = support.random_inputs(self.model, batch, seed=batch)
            self._runs[batch] = inputs, support.run(self.model, inputs)
        return self._runs[batch]

    def compare(self, model: Any, batches: Iterable[int]) -> str:
        """Whether another model gives the `same` on equal inputs, `differs` or `raises`: the worst of all batches."""
        seen = []
        for batch in batches:
            inputs, desired = self.run(batch)
            try:
                actual = support.run(model, inputs)
            except Exception:
                seen.append("raises")
            else:
                seen.append("same" if same(actual, desired) else "differs")
        return "differs" if "differs" in seen else "raises" if "raises" in seen else "same"

    def batches(self, config: Config, at: Sequence[str]) -> list[int]:
        """Batch 1, 3 and the operand sizes at the products of a mutant; only the static batch if there is one."""
        fixed = support.static_batch(self.model)
        if fixed is not None:
            return [fixed]
        shapes = itertools.chain.from_iterable(operand_shapes(locate(config, path)[1]) for path in at)
        sizes = {n for shape in itertools.chain.from_iterable(shapes) for n in shape if n}
        return sorted({1, 3, *(n for n in sizes if n <= LARGEST_BATCH)})


def same(actual: Sequence[np.ndarray], desired: Sequence[np.ndarray]) -> bool:
    """Whether outputs agree up to rounding, relative to the largest number."""
    return len(actual) == len(desired) and all(
        support.same([a], [d], rtol=TOLERANCE, atol=TOLERANCE * float(np.abs(d).max()) / 20)
        for a, d in zip(actual, desired, strict=True)
    )


def keeps_samples_apart(model: Any, original: Original, batch: int) -> bool:
    """Whether each sample gives the same result among copies of itself.

    Not alone: at batch 1, TensorFlow's `ops.add` can treat a tensor as a bias (docs/decisions.md).
    """
    inputs, _ = original.run(batch)
    import keras

    together = support.run(model, inputs)
    copies = [
        support.run(model, keras.tree.map_structure(lambda x, i=i: x[[i] * batch], inputs))
        for i in range(batch)
    ]
    return all(
        len(y) == batch and same([y], [np.stack([row[i] for i, row in enumerate(rows)])])
        for y, rows in zip(together, zip(*copies, strict=True), strict=True)
    )


# -- one mutant -----------------------------
@dataclass
class Trial:
    """One broken file and its original; ``meant`` is the original with the parts of the fault that alone are legal
    and may stay."""

    original: Original
    path: Path
    batches: list[int]
    legal: bool
    ops: str = DEFAULT_OPS
    meant: Original | None = None
    known: dict[tuple[int, ...], str] = field(default_factory=dict)

    def become_h5(self) -> bool:
        """Convert the file to .h5, which holds only layers. Returns False if that fails."""
        target = self.path.with_suffix(".h5")
        try:
            rewriter.convert(self.path, target, verify=False)
        except rewriter.RewriterError:
            return False
        self.path = target
        return True

    def repair(self, result: Result, rng: random.Random) -> None:
        """Repair the file, and record the outcome in ``result``."""
        fixed = self.path.with_name(f"fixed{self.path.suffix}")
        fixed.unlink(missing_ok=True)
        try:
            report = rewriter.repair(self.path, fixed, ops=self.ops, verify=False)
        except rewriter.RewriterError as error:
            result.outcome, result.why = "refused", f"{type(error).__name__}: {error}"
            return
        serious = [f for f in report.findings if f.severity.value != "info"]
        result.why = "; ".join(f"{f.node}: {f.why}" for f in serious)
        if not serious:
            result.outcome = "missed"
        elif report.output is None:
            result.outcome = "refused"
        else:
            result.outcome = "exact" if self._judge_file(fixed) == "same" else "wrong"
        if serious:
            findings = self._findings()
            if result.outcome == "exact" and len(findings) == len(report.findings):
                self.known[tuple(f.chosen or 0 for f in findings)] = "same"
            self._candidates(findings, result, rng)

    def leave(self, result: Result) -> None:
        """Look for findings in a file that has no fault."""
        findings = [f for f in rewriter.check(self.path, ops=self.ops).findings if f.severity.value != "info"]
        result.outcome = "touched" if findings else "left alone"
        result.why = "; ".join(f"{f.node}: {f.message}" for f in findings)

    def _judge_file(self, path: Path) -> str:
        """Load the file with its weights in Keras, and compare it with the original."""
        try:
            model = support.load(path)
        except Exception:
            return "raises"
        return self._judge(model)

    def _judge(self, model: Any) -> str:
        answer = self.original.compare(model, self.two_batches)
        if answer == "differs" and self.meant is not None:
            return self.meant.compare(model, self.two_batches)
        return answer

    @property
    def two_batches(self) -> list[int]:
        """Batch 3 and the largest of ``batches``, or 5; only the static batch if there is one."""
        if 3 not in self.batches:
            return self.batches
        return [3, self.batches[-1] if self.batches[-1] > 3 else 5]

    def _candidates(self, findings: Sequence[Finding], result: Result, rng: random.Random) -> None:
        """Record whether the candidates include the original, whether others run too, and a random choice."""
        picked = tuple(rng.randrange(len(f.candidates)) for f in findings if f.candidates)
        if not findings or len(picked) < len(findings):
            result.chance = "refused"
        else:
            result.chance = "exact" if self._try(findings, picked) == "same" else "wrong"
        ways = [range(len(options(f))) for f in findings]
        base = [f.chosen or 0 for f in findings]
        one_other = [(*base[:k], i, *base[k + 1 :]) for k, way in enumerate(ways) for i in way]
        seen = {choice: self._try(findings, choice) for choice in one_other[:MOST_COMBINATIONS]}
        if "same" not in seen.values() and len(ways) > 1:
            every = itertools.islice(itertools.product(*ways), MOST_COMBINATIONS)
            seen |= {choice: self._try(findings, choice) for choice in every}
        result.listed = "same" in seen.values() or result.outcome == "exact"
        inserted = any(
            answer == "same" and all(i < len(f.candidates) for f, i in zip(findings, choice, strict=True))
            for choice, answer in seen.items()
        )
        result.elsewhere = result.listed and not inserted and result.outcome != "exact"
        result.determined = all(
            answer != "differs" or _contradicted(findings, choice) for choice, answer in seen.items()
        )

    def _findings(self) -> list[Finding]:
        with open_model(self.path) as source:
            source.load_weights()
            return [f for f in analyse(source.graph, builtin(), ops=self.ops).findings if options(f)]

    def _try(self, findings: Sequence[Finding], choice: tuple[int, ...]) -> str:
        """`same`, `differs`, or `fault` if the rest of the model cannot run with these candidates."""
        if choice not in self.known:
            chosen = {f.path: (i, options(f)[i]) for f, i in zip(findings, choice, strict=True)}
            self.known[choice] = self._apply(chosen)
        return self.known[choice]

    def _apply(self, chosen: dict[NodePath, tuple[int, Candidate | Argument]]) -> str:
        target = self.path.with_name("candidate.keras")
        inserted = {path: i for path, (i, option) in chosen.items() if isinstance(option, Candidate)}
        with open_model(self.path) as source:
            source.load_weights()
            analysis = analyse(source.graph, builtin(), ops=self.ops)
            sites = {site.path: site for site in analysis.sites}
            if not inserted.keys() <= sites.keys():
                return "fault"
            candidates = {f.path: f.candidates for f in analysis.findings}
            todo = [(sites[path], candidates[path][i]) for path, i in inserted.items()]
            Rewriter(spell).apply(todo)
            try:
                source.write(target)
            except rewriter.RewriterError:
                return "fault"
        try:
            config = read_config(target)
            for _, option in chosen.values():
                if isinstance(option, Argument):
                    locate(config, option.node)[1]["config"][option.argument] = option.after
            model = rebuild_config(config, self.original.model)
        except Exception:
            return "fault"
        return {"raises": "fault"}.get(seen := self._judge(model), seen)


def options(finding: Finding) -> list[Candidate | Argument]:
    """All options of a finding: insertions at the node, and other arguments of nodes above it."""
    return [*finding.candidates, *finding.upstream]


def _contradicted(findings: Sequence[Finding], choice: Sequence[int]) -> bool:
    """Whether evidence contradicts one of the candidates."""
    return any(
        text.startswith("against")
        for f, i in zip(findings, choice, strict=True)
        for text in getattr(options(f)[i], "evidence", ())
    )


def recorded(config: Any) -> list[Any]:
    """Every recorded shape of a config, with its tensor."""
    return sorted(json.dumps([r["keras_history"], r["shape"]]) for r in references(config))


def forms(
    original: Original, config: Config, folder: Path, at: Sequence[str]
) -> Iterator[tuple[str, str, Trial]]:
    """The files of an edited graph, each with its form and its fault in Keras."""
    path = folder / "mutant.keras"
    write_config(original.path, path, config)
    batches = original.batches(config, at)
    try:
        model = rebuild(path, original.model)
    except Exception:
        yield "edited", "refused", Trial(original, path, batches, legal=False)
        return
    seen = {batch: original.compare(model, [batch]) for batch in batches}
    if set(seen.values()) == {"same"}:
        yield "edited", "equivalent", Trial(original, path, batches, legal=True)
        return
    fault = "silent" if "differs" in seen.values() else "raises"
    runs = "raises" not in seen.values() and (not original.apart or keeps_samples_apart(model, original, 3))
    rewritten = folder / "rewritten.keras"
    model.save(rewritten)
    stale = recorded(config) != recorded(read_config(rewritten))
    yield "edited", fault, Trial(original, path, batches, legal=runs and not stale)
    if stale:
        yield "keras", fault, Trial(original, rewritten, batches, legal=runs)


def legal_parts(original: Original, mutation: Mutation, folder: Path) -> list[Mutation]:
    """The parts of several mutations that alone make a legal file: a repair may leave them."""
    place = folder / "part"
    place.mkdir(exist_ok=True)
    legal = []
    for part in mutation.parts:
        config = copy.deepcopy(original.config)
        part.edit(config)
        found = forms(original, config, place, part.at)
        if any(trial.legal and fault != "equivalent" for _, fault, trial in found):
            legal.append(part)
    return legal


def with_parts(original: Original, parts: Sequence[Mutation]) -> Original:
    """The model with these mutations, as another original."""
    config = copy.deepcopy(original.config)
    for part in parts:
        part.edit(config)
    return Original(original.name, original.path, rebuild_config(config, original.model))


# -- all mutants of a model -----------------------------
def results(
    original: Original, limit: int, seed: int, ops: str, keep: Path | None = None, h5: bool = False
) -> Iterator[Result]:
    """The results of a sample of a model's mutants, with kinds in turn up to the limit.

    Args:
        h5: only mutants that an .h5 file can hold, repaired from such files.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for mutation, config in sample(original.config, limit, seed, ops):
            rng = random.Random(f"{seed} {original.name} {mutation.name}")
            legal = legal_parts(original, mutation, Path(folder))
            meant = with_parts(original, legal) if 0 < len(legal) < len(mutation.parts) else None
            for form, fault, trial in forms(original, config, Path(folder), mutation.at):
                result = Result(original.name, mutation.kind, mutation.name, form, fault, trial.legal)
                trial.ops, trial.meant = ops, meant
                if h5 and not trial.become_h5():
                    continue
                if fault == "equivalent":
                    trial.leave(result)
                else:
                    trial.repair(result, rng)
                if result.outcome == "missed" and len(legal) == len(mutation.parts) > 0:
                    result.legal = True
                if keep is not None:
                    save(result, trial, keep)
                yield result


def sample(config: Config, limit: int, seed: int, ops: str) -> list[tuple[Mutation, Config]]:
    """Distinct mutants of a model, from every kind in turn, at most `limit` (0: all)."""
    rng = random.Random(seed)
    distinct: dict[str, tuple[Mutation, Config]] = {}
    for mutation in mutations(config, ops):
        edited = copy.deepcopy(config)
        mutation.edit(edited)
        distinct.setdefault(json.dumps(edited), (mutation, edited))
    by_kind: dict[str, list[tuple[Mutation, Config]]] = {}
    for item in distinct.values():
        by_kind.setdefault(item[0].kind, []).append(item)
    for items in by_kind.values():
        rng.shuffle(items)
    turns = [item for row in itertools.zip_longest(*by_kind.values()) for item in row if item is not None]
    return turns[:limit] if limit else turns


def save(result: Result, trial: Trial, folder: Path) -> None:
    """Keep a failing mutant beside its original."""
    bad = result.outcome in ("wrong", "missed") or result.listed is False
    bad = bad or (result.outcome == "refused" and result.determined)
    if not bad or (result.legal and result.outcome != "wrong"):
        return
    stem = _slug(f"{result.model} {result.mutation} {result.form}")
    folder.mkdir(parents=True, exist_ok=True)
    result.file = f"{stem}.keras"
    (folder / result.file).write_bytes(trial.path.read_bytes())
    original = folder / f"{_slug(result.model)}-original.keras"
    if not original.exists():
        original.write_bytes(trial.original.path.read_bytes())


def _slug(text: str) -> str:
    return re.sub(r"\W+", "-", text).strip("-")[:120]


# -- the table -----------------------------
COLUMNS = (
    ("mutants", lambda r: True),
    ("exact", lambda r: r.outcome == "exact"),
    ("refused", lambda r: r.outcome == "refused"),
    ("wrong", lambda r: r.outcome == "wrong"),
    ("missed", lambda r: r.outcome == "missed"),
    ("listed", lambda r: r.listed is True),
    ("elsewhere", lambda r: r.elsewhere),
    ("determined", lambda r: r.determined),
    ("of them exact", lambda r: r.determined and r.outcome == "exact"),
    ("random exact", lambda r: r.chance == "exact"),
    ("random wrong", lambda r: r.chance == "wrong"),
)


def table(found: Sequence[Result]) -> str:
    """Markdown: a row for each kind of mutation, each model, all, and one for legal mutants."""
    broken = [r for r in found if r.broken]
    lines = [
        "| | " + " | ".join(name for name, _ in COLUMNS) + " |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for kind in KINDS:
        lines += row(kind, [r for r in broken if r.kind == kind])
    for model in dict.fromkeys(r.architecture for r in found):
        lines += row(f"*{model}*", [r for r in broken if r.architecture == model])
    lines += row("**all**", broken)
    lines += row(
        "legal files (missed: left alone)", [r for r in found if r.legal and r.fault != "equivalent"]
    )
    equivalent = [r for r in found if r.fault == "equivalent"]
    touched = sum(r.outcome == "touched" for r in equivalent)
    determined = [r for r in broken if r.determined]
    here = [r for r in determined if not r.elsewhere]
    share = percent(sum(r.outcome == "exact" for r in determined), len(determined))
    share_here = percent(sum(r.outcome == "exact" for r in here), len(here))
    listed = percent(sum(r.listed is True for r in broken), len(broken))
    lines += [
        "",
        f"Exact where determined: {share}; where the fault is not elsewhere: {share_here}. "
        f"The original among the candidates: {listed}. "
        f"Mutants that compute the same as the original: {len(equivalent)}, something found in {touched}.",
    ]
    return "\n".join(lines)


def percent(part: int, whole: int) -> str:
    """A share in percent, with its counts."""
    return f"{100 * part / whole:.1f} % ({part} of {whole})" if whole else "none"


def row(title: str, found: Sequence[Result]) -> list[str]:
    """One row of the table, or none if there are no mutants."""
    if not found:
        return []
    return [f"| {title} | " + " | ".join(str(sum(map(test, found))) for _, test in COLUMNS) + " |"]


def originals(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[Original, int]]:
    """The selected models with their channels-first twins, each with its share of the limit."""
    for name, path, share in files(arguments, folder):
        limit = math.ceil(arguments.limit * share)
        original = Original(name, path, support.load(path))
        yield original, limit
        twin = folder / "twin.keras"
        try:
            twin_of(original.config, original.model).save(twin)
        except NoTwinError:
            continue
        yield Original(f"{name}, channels first", twin, support.load(twin)), math.ceil(limit / 2)


def files(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path, float]]:
    """Names and files of the selected models, with their shares of the limit."""
    for path in arguments.paths:
        yield path.stem, path, 1
    if arguments.paths:
        return
    from tools.architectures import ARCHITECTURES

    for name, architecture in ARCHITECTURES.items():
        if arguments.model and name not in arguments.model:
            continue
        for twin in (False, True) if architecture.equal else (False,):
            path = folder / "original.keras"
            architecture.model(twin).save(path)
            yield name + (", equal sizes" if twin else ""), path, 0.25 if architecture.large else 1


def update_docs(text: str) -> None:
    """Put the table between the markers of docs/accuracy.md."""
    before = PAGE.read_text(encoding="utf-8")
    start, end = MARKS
    head, _, rest = before.partition(start + "\n")
    _, found, tail = rest.partition(end)
    if not found:
        raise SystemExit(f"{PAGE}: there is no {start} ... {end}")
    PAGE.write_text(f"{head}{start}\n{text}\n{end}{tail}", encoding="utf-8")


def main() -> int:
    """Print the table. Exit status 1 if a repair is wrong or a broken model is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="MODEL.keras")
    parser.add_argument("--model", action="append", help="only this architecture, or these")
    parser.add_argument(
        "--limit", type=int, default=8, help="mutants of a model, a quarter for a large one (0: all)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ops", choices=OPS, default=DEFAULT_OPS, help="what is broken and repaired")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="save mutants that were not repaired as they should"
    )
    parser.add_argument("--h5", action="store_true", help="mutants that .h5 files can hold, as .h5 files")
    parser.add_argument(
        "--json", action="store_true", help="one object per line for each mutant, then the totals"
    )
    parser.add_argument("--update-docs", action="store_true")
    arguments = parser.parse_args()
    convolve_anywhere()
    start = time.monotonic()
    found: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="originals-") as folder:
        for original, limit in originals(arguments, Path(folder)):
            for result in results(
                original, limit, arguments.seed, arguments.ops, arguments.keep, arguments.h5
            ):
                found.append(result)
                if arguments.json:
                    print(json.dumps(dataclasses.asdict(result)), flush=True)
            print(f"{time.monotonic() - start:5.0f} s  {original.name}", file=sys.stderr, flush=True)
    broken = [r for r in found if r.broken]
    if arguments.json:
        print(json.dumps({name: sum(map(test, broken)) for name, test in COLUMNS}))
    else:
        print(table(found))
    if arguments.update_docs:
        command = (
            f"python tools/mutate.py --ops {arguments.ops} --limit {arguments.limit} --seed {arguments.seed}"
        )
        update_docs(f"{date.today()}, `{command}`:\n\n{table(found)}")
    return int(any(r.outcome == "wrong" for r in found) or any(r.outcome == "missed" for r in broken))


if __name__ == "__main__":
    sys.exit(main())
