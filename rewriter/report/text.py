"""``check`` and ``repair`` as text for people, readable in 80 columns and without colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Column
from rich.text import Text

from ..errors import shown
from ..passes.codes import Severity
from ..passes.finding import Finding
from ..results import Report, Result
from ..rules.table import Rule
from ..trusted import sentence
from . import command, findings
from .layout import line, table, words
from .onnx import verdict
from .words import COLOURS, count

QUIET, SHORT, FULL = -1, 0, 1
_VERDICTS = {
    "right": "proven right",
    "wrong": "proven wrong",
    "ambiguous": "ambiguous",
    "not_analysed": "not analysed",
}


def report(
    item: Report, rules: Sequence[Rule], width: int, verbosity: int = SHORT
) -> Iterator[RenderableType]:
    """The findings of ``check``, each followed by an empty line. Nothing for a clean model."""
    yield from _findings(item.path, item.findings, rules, width, verbosity)
    if verbosity >= SHORT:
        yield from _commands(item)


def _findings(
    path: str, items: Sequence[Finding], rules: Sequence[Rule], width: int, verbosity: int, done: bool = False
) -> Iterator[RenderableType]:
    for finding in items:
        if verbosity < SHORT:
            yield findings.head(path, finding, "")
            continue
        if verbosity > SHORT:
            yield from findings.full(path, finding, rules, width, done)
        else:
            yield from findings.short(path, finding, width, done)
        yield ""


def _commands(item: Report) -> Iterator[RenderableType]:
    """The commands to copy: one that repairs what is decided, one that states the first reading of what is not."""
    stated, text = command.undecided(item), command.of_report(item)
    if not text:
        return
    if stated:
        first = "the first reading" if len(stated) == 1 else f"the first reading of all {len(stated)}"
        yield words(f"Not decided. If {first} is what the model means:")
    else:
        yield words("To repair:")
    yield line(f"  {text}")
    yield ""


def total(
    items: Sequence[Report], broken: int = 0, left_out: int = 0, unselected: int = 0
) -> Iterator[RenderableType]:
    """``Found 2 errors in 1 of 3 models.``, and the verdicts on all multiplies, each on a line that is not wrapped.

    Args:
        broken: models that cannot be used.
        left_out: findings of the baseline, which are not listed.
        unselected: findings that --select and --ignore leave out.
    """
    every = [f for item in items for f in item.findings]
    models = len(items) + broken
    severities = Counter(f.severity for f in every)
    split = [
        (count(n, str(s)) if s is not Severity.INFO else f"{n} info", COLOURS[s])
        for s in Severity
        if (n := severities[s])
    ]
    parts: list[str | tuple[str, str]] = ["Found " if every else ""]
    for number, part in enumerate(split):
        parts += [", " if number else "", part]
    if not every:
        parts.append(("No findings", "green"))
    affected = sum(bool(item.findings) for item in items)
    if models > 1:
        parts.append(f" in {affected} of {models:,} models" if every else f" in {count(len(items), 'model')}")
    elif items:
        parts.append(f" in {shown(items[0].path)}")
    if broken:
        parts.append(f"; {count(broken, 'model')} cannot be used")
    if left_out:
        parts.append(f"; {count(left_out, 'finding')} of the baseline not listed")
    if unselected:
        parts.append(f"; {count(unselected, 'finding')} not selected")
    yield line(*parts, ".")
    yield line(_verdicts(items))
    if items and items[0].trust:
        yield words(sentence(items[0].trust))


def _verdicts(items: Iterable[Report]) -> str:
    """``3 multiplies: 1 proven right, 2 proven wrong, 0 ambiguous, 0 not analysed.``"""
    every = [item.verdicts for item in items]
    counts = [(words_of, sum(getattr(v, name) for v in every)) for name, words_of in _VERDICTS.items()]
    said = ", ".join(f"{number} {words_of}" for words_of, number in counts)
    return f"{count(sum(number for _, number in counts), 'multiply')}: {said}."


def statistics(items: Sequence[Report]) -> RenderableType:
    """How many findings there are of each code, the most frequent first."""
    kinds = Counter(f.kind for item in items for f in item.findings)
    rows = [
        (f"{number:,}", line((kind.code, "bold")), str(kind), kind.summary)
        for kind, number in kinds.most_common()
    ]
    heads = [Column(justify="right"), Column(no_wrap=True), Column(no_wrap=True), Column()]
    return table(heads, rows) if rows else Text("No findings.")


# -- repair -----------------------------
def result(
    item: Result, rules: Sequence[Rule], width: int, verbosity: int = SHORT
) -> Iterator[RenderableType]:
    """What ``repair`` did."""
    done = item.output is not None
    yield from _findings(item.path, item.findings, rules, width, verbosity, done)
    if verbosity < SHORT:
        return
    if item.trust:
        yield words(sentence(item.trust))
    if not done:
        number = len(item.undecided)
        yield from _commands(item)
        yield words((f"Nothing was written: {count(number, 'finding')} could not be decided.", "red"))
        return
    if verbosity > SHORT and item.inserted:
        yield from _inserted(item)
    copy = ", an identical copy of the input" if (item.verified or {}).get("identical") else ""
    nodes = f" ({count(len(item.inserted), 'node')} inserted)" if item.inserted else ""
    yield line("Written: ", (shown(item.output), "bold"), f"{nodes}{copy}")
    if item.onnx and item.onnx != item.output:
        yield line("Written: ", (shown(item.onnx), "bold"))
    if item.onnx_verified is not None:
        word = "ONNX not compared:" if "skipped" in item.onnx_verified else "ONNX:"
        yield words(f"{word} {verdict(item.onnx_verified)}.")
    yield from (words(text) for text in _proven(item, verbosity))


def _inserted(item: Result) -> Iterator[RenderableType]:
    yield line(f"Inserted ({count(len(item.inserted), 'node')}):")
    rows = [(shown(i.node), i.op, i.rule) for i in item.inserted]
    yield table([Column("node", overflow="fold"), Column("operation"), Column("rule")], rows, 2)
    yield ""


_CHECKS = {
    "independence": "no sample depends on another",
    "batch-one": "batch 1 gives what the original gives",
    "equation": "each changed node computes its equation",
    "gradients": "gradients are finite",
}


def _proven(item: Result, verbosity: int) -> Iterator[str]:
    """What was shown from the axes, what by a run of the model, and what was not shown."""
    verified = item.verified
    if verified is None:
        return
    left = verified["findings_left"]
    if verbosity > SHORT or left:
        rest = f"{count(left, 'finding')} left" if left else "no finding is left"
        yield f"Checked: all axes were inferred again; {rest}."
    if "skipped" in verified:
        if item.inserted:
            yield f"Not run: {verified['skipped']}."
        return
    checks: Mapping[str, Any] = verified["checks"]
    proven = verified["verdict"] == "proven"
    if not proven:
        yield f"Not proven: {verified['reason']}."
    shown_by = [name for name in _CHECKS if checks[name]["proven"]]
    if shown_by:
        batches = ", ".join(map(str, checks[shown_by[0]]["batches"]))
        off = max(checks[name].get("difference", 0.0) for name in shown_by)
        facts = f"{'; '.join(_CHECKS[name] for name in shown_by)} (largest difference {off:.1g})"
        where = f" in {verified['ran']}" if "ran" in verified else ""
        yield f"{'Proven' if proven else 'Shown'} by a run{where} at batch {batches}: {facts}."
    if "own_keras" in verified:
        yield _own_keras(verified["own_keras"])
    missing = [f"that {_CHECKS[name]}, because {c['why']}" for name, c in checks.items() if c.get("why")]
    if missing:
        yield f"Not shown: {'; '.join(missing)}."
    yield from _behaviour(verified["behaviour"])


def _own_keras(answer: Mapping[str, Any]) -> str:
    """Whether the Keras of an old file loads it repaired, and computes the same."""
    if "skipped" in answer:
        return f"Not loaded by its own Keras: {answer['skipped']}."
    off = f"largest difference {answer['difference']:.1g}"
    return f"Its own Keras loads it, with equal numbers ({off}): {answer['ran']}."


def _behaviour(behaviour: Mapping[str, Any]) -> Iterator[str]:
    """The lines to show if the original also runs and computes something else."""
    if not behaviour["changes"]:
        return
    batches, off = ", ".join(map(str, behaviour["batches"])), behaviour["difference"]
    how = (
        "a result of another shape"
        if off is None
        else f"another result (difference {off:.1g} of the largest value)"
    )
    yield (
        f"The behaviour changes: the original also runs at batch {batches}, and computes {how}. No run can show which "
        "of the two was meant."
    )
