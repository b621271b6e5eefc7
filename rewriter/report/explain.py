"""``explain MODEL [NODE]``: what a multiply does with its operands, and why each rule describes them or does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from ..errors import UsageError, shown
from ..ir.axis import Axis
from ..ir.graph import Path, path_text
from ..passes import ranking
from ..passes.analysis import Analysis
from ..passes.candidate import Applicability, Candidate
from ..passes.evidence import weigh
from ..passes.finding import Finding, Operand
from ..passes.readings import Try, tries
from ..passes.sites import DEFAULT_OPS, Site
from ..results import Explanation
from ..rules.lower import lower
from ..rules.match import NoMatch
from ..rules.notation import Equation
from ..rules.table import Kind, Rule
from ..shapes.broadcast import Convention, align, broadcast
from ..shapes.call import ShapeError
from .alignment import alignment, axis_text, problem
from .console import pad, paint
from .text import meaning, show_finding
from .words import (
    complaint,
    convention_text,
    operand_names,
    sizes_text,
    steps_text,
    value_text,
    wrapped,
)

_STAGES = ("rank", "role", "size", "nodes")
_MOST_NAMES = 12
_MOST_CANDIDATES = 12
_APPLIED = {
    Applicability.SAFE: "applied without being asked for",
    Applicability.UNSAFE: "applied only with --mode best or --at",
    Applicability.DISPLAY: "evidence does not decide for it: ask for it with --at",
}
_OTHER = {
    Convention.MERGE: Convention.NUMPY,
    Convention.NUMPY: Convention.MERGE,
    Convention.BUILT: Convention.MERGE,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One equation of a rule held against two operands: what it comes to, or where it fails."""

    rule: Rule
    equation: Equation
    candidate: Candidate | None = None
    failure: NoMatch | None = None

    @property
    def other_rank(self) -> bool:
        return self.failure is not None and self.failure.stage == "rank"


def text(item: Explanation, rules: Sequence[Rule], width: int) -> str:
    """The explanation of one node of a model, or of all that multiply (with ``all``, that are looked at).

    Raises:
        UsageError: the model has no such node.
    """
    if item.node is None:
        return _whole(item.path, item.analysis, rules, width)
    return _node(item.path, item.node, item.analysis, rules, width)


def _node(path: str, node: str, analysis: Analysis, rules: Sequence[Rule], width: int) -> str:
    finding = next((f for f in analysis.findings if f.node == node), None)
    here = [s for s in analysis.sites if s.name == node]
    if here:
        return "\n".join(_sections(here, finding, rules, width)) + "\n"
    if finding is not None:
        lines = [
            *show_finding(finding, rules, width),
            "",
            *wrapped(f"It is no {_noun(analysis)}: nothing is inserted at it.", width),
        ]
        return "\n".join(lines) + "\n"
    if any(
        path_text((*prefix, name)) == node
        for prefix, item in analysis.inference.walk()
        for name in item.graph.nodes
    ):
        raise UsageError(
            f"node {shown(node)!r} is no {_noun(analysis)}, and nothing is wrong with it; {_known(analysis)}"
        )
    raise UsageError(f"there is no node {shown(node)!r}; {_known(analysis)}")


def _known(analysis: Analysis) -> str:
    names = list(dict.fromkeys(s.name for s in analysis.sites))
    if not names:
        return f"the model has no {_nouns(analysis)}"
    return f"the model's {_nouns(analysis)} are {_some(names)}"


def _noun(analysis: Analysis) -> str:
    return "multiply" if analysis.ops == DEFAULT_OPS else "node where tensors meet"


def _nouns(analysis: Analysis) -> str:
    return "multiplies" if analysis.ops == DEFAULT_OPS else "nodes where tensors meet"


def _whole(path: str, analysis: Analysis, rules: Sequence[Rule], width: int) -> str:
    """Every multiply; those that are right and alike in one section."""
    by_path: dict[Path, list[Site]] = {}
    for site in analysis.sites:
        by_path.setdefault(site.path, []).append(site)
    findings = {f.path: f for f in analysis.findings}
    number = f"{len(by_path):,} {_noun(analysis) if len(by_path) == 1 else _nouns(analysis)}"
    sections = [wrapped(f"{paint(shown(path), 'bold')}: {number}", width, hang=4)]
    alike: dict[tuple[str, ...], list[Path]] = {}
    for path_of_site, group in by_path.items():
        if path_of_site in findings:
            sections.append(_sections(group, findings[path_of_site], rules, width))
        else:
            key = (str(group[0].convention), *(o.value.text() for o in group[0].operands))
            alike.setdefault(key, []).append(path_of_site)
    for paths in alike.values():
        section = _sections(by_path[paths[0]], None, rules, width)
        if len(paths) > 1:
            others = _some([path_text(p) for p in paths[1:]])
            section += ["", *wrapped(f"The same holds for {others}.", width)]
        sections.append(section)
    sections += [show_finding(f, rules, width) for f in analysis.findings if f.path not in by_path]
    rule = ["", paint("-" * width, "dim"), ""]
    lines = [*sections[0], ""]
    for i, section in enumerate(sections[1:]):
        lines += [*(rule if i else []), *section]
    return "\n".join(lines).rstrip() + "\n"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(map(shown, names[:_MOST_NAMES])) + more


# -- one multiply -----------------------------
def _sections(here: Sequence[Site], finding: Finding | None, rules: Sequence[Rule], width: int) -> list[str]:
    site = here[0]
    lines = [paint(shown(site.name), "bold")]
    if len(here) > 1:
        lines += wrapped(f"The model it is in is called {len(here)} times; this is the first call.", width, 2)
    lines += ["", paint("How its operands meet", "bold"), *_meeting(site, width)]
    if any(v.axes is None for v in site.values):
        return lines
    if site.convention is Convention.NONE:
        if finding is None:
            return [*lines, "", *wrapped("It runs, and nothing speaks against it.", width, 2)]
        wrong = wrapped(complaint(finding), width, 2)
        return [
            *lines,
            "",
            *wrong,
            "",
            paint("What is made of it", "bold"),
            *_decision(finding, rules, width),
        ]
    lines += ["", paint("What it does as it stands", "bold"), *_as_it_stands(site, finding, width)]
    if finding is not None:
        lines += ["", paint("What is made of it", "bold"), *_decision(finding, rules, width)]
    lines += ["", paint("Rule by rule", "bold"), *_rules(site, finding, rules, width)]
    return lines


def _meeting(site: Site, width: int) -> list[str]:
    lines = wrapped(convention_text(site), width, 2)
    return [*lines, "", *alignment(site.operands, site.convention, width, 4)]


def _as_it_stands(site: Site, finding: Finding | None, width: int) -> list[str]:
    """Axis by axis, the result, and what the other convention would make of the same operands."""
    axes = [v.axes or () for v in site.values]
    meeting = align(site.convention, axes)
    names = operand_names(site.operands)
    lines = []
    for place, column in enumerate(meeting):
        text = " with ".join(axis_text(a) for a in column if a is not None)
        missing = [
            name for name, axis in zip(names, column, strict=True) if axis is None or _stretched(axis, column)
        ]
        text += f", {' and '.join(missing)} repeated along it" if missing else ""
        mark = problem(column, axes, meeting)
        lines += wrapped(
            f"axis {place}: {text}" + (f"  <- {paint(mark, 'red')}" if mark else ""), width, 2, 10
        )
    lines += wrapped(_result(site.convention, axes), width, 2, 4)
    other = _OTHER.get(site.convention)
    if other is not None and len({len(a) for a in axes if a}) > 1:
        lines += wrapped(f"{_other_name(other)} would line them up otherwise:", width, 2, 4)
        lines += [
            "",
            *alignment(site.operands, other, width, 4),
            "",
            *wrapped(_result(other, axes), width, 2, 4),
        ]
    if finding is None:
        lines += wrapped(
            "It is legal, and nothing speaks against it. Which axes belong together depends on what the operands "
            "mean, not on their sizes: the rules below that fit are what such a product can mean, and --at states "
            "another one than it computes.",
            width,
            2,
        )
    return lines


def _stretched(axis: Axis, column: Sequence[Axis | None]) -> bool:
    return axis.size == 1 and any(a is not None and a.size != 1 for a in column)


def _other_name(convention: Convention) -> str:
    return "keras.layers.Multiply" if convention is Convention.MERGE else "keras.ops.multiply, like '*',"


def _result(convention: Convention, axes: Sequence[tuple[Axis, ...]]) -> str:
    try:
        out = broadcast(convention, axes, unify=False)
    except ShapeError as error:
        return f"There is no result: {error}."
    return f"The result is ({', '.join(axis_text(a) for a in out)})."


def _decision(finding: Finding, rules: Sequence[Rule], width: int) -> list[str]:
    """The choice, and the candidates by rank with what each has to show for itself."""
    names = operand_names(finding.operands)
    chosen = finding.choice
    verdict = f"{chosen.equation}  ({chosen.rule})" if chosen is not None else "Nothing is chosen."
    lines = [*wrapped(paint(verdict, "bold"), width, 2, 6), *wrapped(f"Why: {finding.why}", width, 2, 6)]
    for decision in finding.decision.trail():
        stage = decision.stage
        lines += wrapped(f"Stage: {stage.name}: {stage.account.replace('`', '')}", width, 2, 6)
    if not finding.candidates:
        return lines
    if len(finding.candidates) > 1:
        order = "; ".join(ranking.described())
        lines += wrapped(
            f"Order: readings are ranked by the first of these that differs: {order}.", width, 2, 6
        )
    for number, candidate in enumerate(finding.candidates, 1):
        if number <= _MOST_CANDIDATES or candidate is chosen:
            lines += ["", *_ranked(number, candidate, rules, names, width, candidate is chosen)]
    if len(finding.candidates) > _MOST_CANDIDATES:
        lines += ["", f"{len(finding.candidates)} readings in all (check --format json shows them)"]
    return lines


def _ranked(
    number: int, item: Candidate, rules: Sequence[Rule], names: Sequence[str], width: int, chosen: bool
) -> list[str]:
    note = paint("  <- chosen", "green") if chosen else ""
    lines = wrapped(f"{number}  {meaning(item, rules)}{note}", width, 3, 6)
    details = [*steps_text(item.plan.steps, names), *(f"evidence: {text}" for text in item.evidence)]
    said = ", ".join(f"{number}: {value}" for number, value in ranking.shown(item))
    details.append(f"rank: {said or 'no kind of evidence speaks for it or against it'}")
    details.append(f"result: {sizes_text(item.plan.output)}; {_APPLIED[item.applicability]}")
    return lines + [line for text in details for line in wrapped(text, width, 6, 8)]


# -- rule by rule -----------------------------
def _rules(site: Site, finding: Finding | None, rules: Sequence[Rule], width: int) -> list[str]:
    operands = [v.axes or () for v in site.values]
    if len(operands) == 2:
        return _pair(operands, operand_names(site.operands), site, rules, width)
    data = max(range(len(operands)), key=lambda k: len(operands[k]))
    names = operand_names(site.operands)
    lines = wrapped(f"With {len(operands)} operands, each one is held against {names[data]}.", width, 2)
    for k, axes in enumerate(operands):
        if k != data and axes:
            pair = [site.operands[data], site.operands[k]]
            lines += ["", *wrapped(f"{names[k]}: {value_text(site.operands[k].value)}", width, 2)]
            lines += _pair([operands[data], axes], [names[data], names[k]], _two(site, pair), rules, width)
    return lines


def _two(site: Site, pair: Sequence[Operand]) -> Site:
    return Site(site.path, site.node, site.inference, Convention.NUMPY, tuple(pair))


def _pair(
    operands: Sequence[tuple[Axis, ...]], names: Sequence[str], site: Site, rules: Sequence[Rule], width: int
) -> list[str]:
    tried = list(attempts(operands, site.convention, rules))
    first = max((len(a.rule.name) for a in tried), default=0)
    lines: list[str] = []
    for attempt in tried:
        if attempt.other_rank:
            continue
        sign = paint("fits", "green") if attempt.candidate is not None else paint("no", "dim")
        lines += wrapped(
            f"{pad(sign, 4)}  {pad(attempt.rule.name, first)}  {attempt.equation}", width, 2, first + 10
        )
        for text in _outcome(attempt, operands, names):
            lines += wrapped(text, width, 10, 12)
    lines += _other_ranks(tried, operands, first, width)
    return lines + _nearest(tried, width) if all(a.candidate is None for a in tried) else lines


def _outcome(attempt: Attempt, operands: Sequence[tuple[Axis, ...]], names: Sequence[str]) -> Iterator[str]:
    if attempt.failure is not None:
        yield attempt.failure.reason
    if attempt.candidate is None:
        return
    found, steps = attempt.candidate.match, attempt.candidate.plan.steps
    yield from steps_text(steps, names) if steps else ["this is what it computes as it stands"]
    if found.assumed:
        yield f"only if {', '.join(sorted(found.assumed))} has one size on both sides"
    for text in weigh(found.pairs, operands).texts():
        yield f"evidence: {text}"


def _other_ranks(
    tried: Sequence[Attempt], operands: Sequence[tuple[Axis, ...]], first: int, width: int
) -> list[str]:
    """The equations for operands of other ranks, a line for each rule."""
    groups: dict[str, list[str]] = {}
    for attempt in tried:
        if attempt.other_rank:
            groups.setdefault(attempt.rule.name, []).append(str(attempt.equation))
    if not groups:
        return []
    ranks = " and ".join(str(len(axes)) for axes in operands)
    lines = ["", *wrapped(f"Not for operands of {ranks} axes:", width, 2)]
    for name, equations in groups.items():
        lines += [
            f"{'':8}{pad(name if i == 0 else '', first)}  {equation}" for i, equation in enumerate(equations)
        ]
    return lines


def _nearest(tried: Sequence[Attempt], width: int) -> list[str]:
    """The equation that came furthest, and what it lacks."""
    best = max(tried, key=_progress, default=None)
    if best is None or best.failure is None:
        return []
    text = f"None of them fits. {best.rule.name} comes nearest: {best.equation}, but {best.failure.reason}."
    return ["", *wrapped(text, width, 2)]


def attempts(
    operands: Sequence[tuple[Axis, ...]], convention: Convention, rules: Sequence[Rule]
) -> Iterator[Attempt]:
    """Every equation against two operands, in the order of operands in which it comes furthest."""
    for rule in rules:
        every = tries(rule, operands, partial(lower, convention=convention))
        for _, group in groupby(every, key=lambda each: id(each.written)):
            yield max(map(_attempt, group), key=_progress)


def _progress(attempt: Attempt) -> int:
    return len(_STAGES) if attempt.failure is None else _STAGES.index(attempt.failure.stage)


def _attempt(item: Try) -> Attempt:
    made = item.candidate
    if made is not None and made.kind is Kind.REPEAT and not made.plan.steps:
        return Attempt(item.rule, item.equation, failure=NoMatch("nodes", "not-repeated"))
    if made is not None:
        return Attempt(item.rule, item.equation, made)
    expanded = None if item.cannot else item.equation.expand([len(axes) for axes in item.operands])
    return Attempt(item.rule, expanded or item.equation, failure=item.failure)
