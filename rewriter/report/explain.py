"""``explain MODEL [NODE]``: what a multiply does with its operands, and why each rule describes them or does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from rich.console import RenderableType
from rich.rule import Rule as Line

from ..errors import shown
from ..ir.axis import Axis
from ..ir.graph import Path, path_text
from ..passes import ranking
from ..passes.analysis import Analysis
from ..passes.candidate import Applicability, Candidate
from ..passes.evidence import weigh
from ..passes.finding import Finding, Operand
from ..passes.nodes import noun, nouns, some
from ..passes.readings import Try, tries
from ..passes.sites import Site
from ..results import Explanation
from ..rules.lower import lower
from ..rules.match import NoMatch
from ..rules.notation import Equation
from ..rules.table import Kind, Rule
from ..shapes.broadcast import Convention, align, broadcast
from ..shapes.call import ShapeError
from ..trusted import sentence
from .alignment import alignment, axis_text, problem
from .findings import full, meaning
from .layout import fields, filled, indented, line, words
from .words import UNCHANGED, complaint, convention_text, operand_names, sizes_text, steps_text, value_text

_STAGES = ("rank", "role", "size", "nodes")
_MOST_CANDIDATES = 12
_APPLIED = {
    Applicability.SAFE: "applied by default",
    Applicability.UNSAFE: "applied only with --mode best or --at",
    Applicability.DISPLAY: "applied only with --at: no evidence decides for it",
}
_OTHER = {
    Convention.MERGE: Convention.NUMPY,
    Convention.NUMPY: Convention.MERGE,
    Convention.BUILT: Convention.MERGE,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One equation of a rule compared with two operands: its candidate, or why it fails."""

    rule: Rule
    equation: Equation
    candidate: Candidate | None = None
    failure: NoMatch | None = None

    @property
    def other_rank(self) -> bool:
        return self.failure is not None and self.failure.stage == "rank"


Blocks = Iterator[RenderableType]


def text(item: Explanation, rules: Sequence[Rule], width: int) -> Blocks:
    """The explanation of one node of a model, or of all multiplies (with ``all``, of all checked nodes)."""
    if item.node is None:
        yield from _whole(item.path, item.analysis, rules, width)
    else:
        yield from _node(item.path, item.node, item.analysis, rules, width)
    if item.trust:
        yield ""
        yield words(sentence(item.trust))


def _node(path: str, node: str, analysis: Analysis, rules: Sequence[Rule], width: int) -> Blocks:
    finding = next((f for f in analysis.findings if f.node == node), None)
    here = [s for s in analysis.sites if s.name == node]
    if here:
        yield from _sections(here, finding, rules, width)
        return
    assert finding is not None  # api.explain has checked the name
    yield from full(path, finding, rules, width)
    yield ""
    yield words(f"It is not a {noun(analysis)}: nothing is inserted at it.")


def _whole(path: str, analysis: Analysis, rules: Sequence[Rule], width: int) -> Blocks:
    """Every multiply; those that are right and alike in one section."""
    by_path: dict[Path, list[Site]] = {}
    for site in analysis.sites:
        by_path.setdefault(site.path, []).append(site)
    findings = {f.path: f for f in analysis.findings}
    number = f"{len(by_path):,} {noun(analysis) if len(by_path) == 1 else nouns(analysis)}"
    yield line((shown(path), "bold"), f": {number}")
    sections: list[Blocks] = []
    alike: dict[tuple[str, ...], list[Path]] = {}
    for path_of_site, group in by_path.items():
        if path_of_site in findings:
            sections.append(_sections(group, findings[path_of_site], rules, width))
        else:
            key = (str(group[0].convention), *(o.value.text() for o in group[0].operands))
            alike.setdefault(key, []).append(path_of_site)
    sections += [_alike(by_path[paths[0]], paths[1:], rules, width) for paths in alike.values()]
    sections += [full(path, f, rules, width) for f in analysis.findings if f.path not in by_path]
    for number_of, section in enumerate(sections):
        yield ""
        if number_of:
            yield Line(style="dim", characters="-")
            yield ""
        yield from section


def _alike(here: Sequence[Site], others: Sequence[Path], rules: Sequence[Rule], width: int) -> Blocks:
    yield from _sections(here, None, rules, width)
    if others:
        yield ""
        yield words(f"The same holds for {some([path_text(p) for p in others])}.")


# -- one multiply -----------------------------
def _sections(here: Sequence[Site], finding: Finding | None, rules: Sequence[Rule], width: int) -> Blocks:
    site = here[0]
    yield line((shown(site.name), "bold"))
    if len(here) > 1:
        yield _said(f"The model around it is called {len(here)} times; this is the first call.")
    yield from _title("How its operands meet")
    yield _said(convention_text(site))
    yield ""
    yield from alignment(site.operands, site.convention, width, 4)
    if any(v.axes is None for v in site.values):
        return
    if site.convention is Convention.NONE:
        yield ""
        yield _said("It runs, and no evidence is against it." if finding is None else complaint(finding))
        if finding is not None:
            yield from _title("The decision")
            yield from _decision(finding, rules)
        return
    yield from _title("What it computes")
    yield from _as_it_stands(site, finding, width)
    if finding is not None:
        yield from _title("The decision")
        yield from _decision(finding, rules)
    yield from _title("Rule by rule")
    yield from _rules(site, rules)


def _title(text: str) -> Blocks:
    yield ""
    yield line((text, "bold"))


def _said(text: str, indent: int = 2) -> RenderableType:
    return indented(words(text), indent)


def _as_it_stands(site: Site, finding: Finding | None, width: int) -> Blocks:
    """The operands axis by axis, the result, and the result of the other convention."""
    axes = [v.axes or () for v in site.values]
    meeting = align(site.convention, axes)
    names = operand_names(site.operands)
    for place, column in enumerate(meeting):
        text = " with ".join(axis_text(a) for a in column if a is not None)
        missing = [
            name for name, axis in zip(names, column, strict=True) if axis is None or _stretched(axis, column)
        ]
        text += f", {' and '.join(missing)} repeated along it" if missing else ""
        mark = problem(column, axes, meeting)
        yield indented(words(f"axis {place}: {text}", (f"  <- {mark}" if mark else "", "red")), 2)
    yield _said(_result(site.convention, axes))
    other = _OTHER.get(site.convention)
    if other is not None and len({len(a) for a in axes if a}) > 1:
        yield _said(f"{_other_name(other)} lines them up differently:")
        yield ""
        yield from alignment(site.operands, other, width, 4)
        yield ""
        yield _said(_result(other, axes))
    if finding is None:
        yield _said(
            "It is legal, and no evidence is against it. Sizes do not say which axes belong together: the rules below "
            "that fit are other meanings of such a product, and --at states one of them."
        )


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


def _decision(finding: Finding, rules: Sequence[Rule]) -> Blocks:
    """The choice, and the candidates by rank with the evidence for each."""
    names = operand_names(finding.operands)
    chosen = finding.choice
    verdict = f"{chosen.equation}  ({chosen.rule})" if chosen is not None else "Nothing is chosen."
    rows: list[tuple[str, RenderableType]] = [
        ("chosen", words((verdict, "bold"))),
        ("why", words(finding.why)),
    ]
    for decision in finding.decision.trail():
        stage = decision.stage
        rows.append(("stage", words(f"{stage.name}: {stage.account.replace('`', '')}")))
    if len(finding.candidates) > 1:
        order = "; ".join(ranking.described())
        rows.append(("order", words(f"by the first of these that differs: {order}")))
    yield fields(rows)
    for number, candidate in enumerate(finding.candidates, 1):
        if number <= _MOST_CANDIDATES or candidate is chosen:
            yield ""
            yield _ranked(number, candidate, rules, names, candidate is chosen)
    if len(finding.candidates) > _MOST_CANDIDATES:
        yield ""
        yield _said(f"{len(finding.candidates)} readings in all (check --format json lists them)", 0)


def _ranked(
    number: int, item: Candidate, rules: Sequence[Rule], names: Sequence[str], chosen: bool
) -> RenderableType:
    details = [*steps_text(item.plan.steps, names), *(f"evidence: {text}" for text in item.evidence)]
    said = ", ".join(f"{number}: {value}" for number, value in ranking.shown(item))
    details.append(f"rank: {said or 'no evidence for it or against it'}")
    details.append(f"result: {sizes_text(item.plan.output)}; {_APPLIED[item.applicability]}")
    note = ("  <- chosen" if chosen else "", "green")
    body = words(meaning(item, rules), note, *(f"\n{text}" for text in details))
    return fields([(f"{number}", body)], 3, 2, 1)


# -- rule by rule -----------------------------
def _rules(site: Site, rules: Sequence[Rule]) -> Blocks:
    operands = [v.axes or () for v in site.values]
    if len(operands) == 2:
        yield from _pair(operands, operand_names(site.operands), site, rules)
        return
    data = max(range(len(operands)), key=lambda k: len(operands[k]))
    names = operand_names(site.operands)
    yield _said(f"Each of the {len(operands)} operands is compared with {names[data]}.")
    for k, axes in enumerate(operands):
        if k != data and axes:
            pair = [site.operands[data], site.operands[k]]
            yield ""
            yield _said(f"{names[k]}: {value_text(site.operands[k].value)}")
            yield from _pair([operands[data], axes], [names[data], names[k]], _two(site, pair), rules)


def _two(site: Site, pair: Sequence[Operand]) -> Site:
    return Site(site.path, site.node, site.inference, Convention.NUMPY, tuple(pair))


def _pair(
    operands: Sequence[tuple[Axis, ...]], names: Sequence[str], site: Site, rules: Sequence[Rule]
) -> Blocks:
    tried = list(attempts(operands, site.convention, rules))
    first = max((len(a.rule.name) for a in tried), default=0)
    for attempt in tried:
        if attempt.other_rank:
            continue
        fits = attempt.candidate is not None
        yield line(
            "  ", (filled("fits" if fits else "no", 4), "green" if fits else "dim"),
            f"  {filled(attempt.rule.name, first)}  {attempt.equation}",
        )  # fmt: skip
        for text in _outcome(attempt, operands, names):
            yield _said(text, 10)
    yield from _other_ranks(tried, operands, first)
    if all(a.candidate is None for a in tried):
        yield from _nearest(tried)


def _outcome(attempt: Attempt, operands: Sequence[tuple[Axis, ...]], names: Sequence[str]) -> Iterator[str]:
    if attempt.failure is not None:
        yield attempt.failure.reason
    if attempt.candidate is None:
        return
    found, steps = attempt.candidate.match, attempt.candidate.plan.steps
    yield from steps_text(steps, names) if steps else [UNCHANGED]
    if found.assumed:
        yield f"only if {', '.join(sorted(found.assumed))} has one size on both sides"
    for text in weigh(found.pairs, operands).texts():
        yield f"evidence: {text}"


def _other_ranks(tried: Sequence[Attempt], operands: Sequence[tuple[Axis, ...]], first: int) -> Blocks:
    """The equations for operands of other ranks, a line for each rule."""
    groups: dict[str, list[str]] = {}
    for attempt in tried:
        if attempt.other_rank:
            groups.setdefault(attempt.rule.name, []).append(str(attempt.equation))
    if not groups:
        return
    yield ""
    yield _said(f"Not for operands of {' and '.join(str(len(axes)) for axes in operands)} axes:")
    for name, equations in groups.items():
        for i, equation in enumerate(equations):
            yield line(f"{'':8}{filled(name if i == 0 else '', first)}  {equation}")


def _nearest(tried: Sequence[Attempt]) -> Blocks:
    """The equation that came furthest, and what it lacks."""
    best = max(tried, key=_progress, default=None)
    if best is None or best.failure is None:
        return
    yield ""
    yield _said(
        f"None of them fits. {best.rule.name} comes nearest: {best.equation}, but {best.failure.reason}."
    )


def attempts(
    operands: Sequence[tuple[Axis, ...]], convention: Convention, rules: Sequence[Rule]
) -> Iterator[Attempt]:
    """Every equation compared with two operands, in the order of operands in which it fits best."""
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
