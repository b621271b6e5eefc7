"""Lost Reshapes: a node cannot run because an operand lost its Reshape, and the file shows which one.

``shapes.recorded`` finds the operand. Here it becomes a candidate. It is chosen if the call and the layer's
build_config state the same shape and it restores only unit axes; else it is only shown. Nodes downstream are analysed
as if it were there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..ir.axis import Axis
from ..ir.size import Size, Truth, divide, same
from ..rules.lower import Plan, Step
from ..rules.match import Match
from ..rules.notation import Equation, Term
from ..rules.table import Family
from ..rules.table import Kind as RuleKind
from ..shapes.broadcast import Convention
from ..shapes.inference import Inference
from ..shapes.recorded import Restated, Shape
from . import stages
from .candidate import Applicability, Candidate, Remark, remark
from .decision import Decision
from .evidence import Evidence
from .finding import Finding
from .sites import Site, operands_of

RULE = "lost-reshape"

_LETTERS = {1: "c", 2: "tc", 3: "hwc", 4: "zhwc"}
_MORE = "cdefghijklmnopqrstuvwxyz"


def offer(finding: Finding, inference: Inference, name: str, wanted: Collection[Family]) -> None:
    """Add the lost Reshape to the finding of a node that cannot run; choose it where the file decides."""
    items = inference.restated.get(name)
    if not items:
        if any(value.claimed == name for value in inference.values[name]):
            finding.note("as-recorded")
        return
    found = reshapes(inference, name)
    reason = remark("lost-unwritten") if found is None else _doubt(items[0], finding)
    reason = reason or _lost_above(inference, name, items[0])
    stage = stages.LOST if reason is None else stages.LOST_DOUBTED
    if found is None or Family.OTHER not in wanted:
        stage, reason = stages.LOST_UNASKED, reason or remark("lost-unasked")
    if found is not None:
        finding.candidates = [found]
    if found is not None and stage.chooses:
        found.applicability = Applicability.SAFE
    details = {
        "sources": [finding.operands[item.operand].source for item in items],
        "stated": [text for item in items for text in _evidence(item)],
    }
    finding.decide(Decision(stage, found, reason=reason, details=details))
    finding.note("as-if-there")


def _doubt(item: Restated, finding: Finding) -> Remark | None:
    """Why the Reshape is not inserted automatically, or None."""
    if any(o.value.claimed for o in finding.operands):
        return remark("lost-claimed")
    if not item.only_units:
        return remark("lost-regroups")
    if item.recorded is None:
        return remark("lost-other-record")
    return None if item.built is not None else remark("lost-one-record")


def _lost_above(inference: Inference, name: str, item: Restated) -> Remark | None:
    """Why the Reshape may be missing further up, or None.

    Above is a softmax over one entry, or a node whose operand has another rank than at its recorded call.
    """
    if any(axis.size == 1 and axis.facts.sums_to_one for axis in item.given):
        return remark("lost-softmax")
    graph = inference.graph
    for ref in graph.nodes[name].refs():
        above = graph.nodes.get(ref.node)
        for taken in above.refs() if above is not None else ():
            sizes = inference.value(taken).sizes
            if taken.shape is not None and sizes is not None and len(taken.shape) != len(sizes):
                return remark("lost-above", node=ref.node)
    return None


def reshapes(inference: Inference, name: str) -> Candidate | None:
    """The lost Reshape of a node's one operand as a candidate; None where there is none, or none could be written."""
    items = inference.restated.get(name, [])
    if len(items) != 1 or len(inference.calls[name].inputs) != 1:
        return None
    (item,) = items
    steps, equation = _steps(item), _equation(item)
    if equation is None or any(_open(step.to) > 1 for step in steps if step.op == "Reshape"):
        return None
    sizes = {
        term.names[0]: axis.size
        for terms, axes in ((equation.operands[0], item.given), (equation.output, item.axes))
        for term, axis in zip(terms, axes, strict=True)
        if len(term.names) == 1
    }
    found = Match(equation, (item.given,), (tuple(range(len(item.given))),), sizes, ())
    values = inference.values[name]
    plan = Plan(tuple(steps), (values[0].sizes if values else None) or ())
    rank = Evidence(demanded=int(item.recorded is not None)).rank
    return Candidate(
        RULE,
        found,
        plan,
        RuleKind.PLACE,
        rank=rank,
        evidence=list(_evidence(item)),
        applicability=Applicability.UNSAFE,
    )


def lost(inference: Inference, findings: Sequence[Finding]) -> Iterator[Site]:
    """The nodes at which a lost Reshape can be inserted, in every context."""
    nodes = {f.path for f in findings if not f.elsewhere and any(c.rule == RULE for c in f.candidates)}
    for prefix, item in inference.walk():
        for name in item.restated:
            if (*prefix, name) in nodes:
                node = item.graph.nodes[name]
                operands = tuple(operands_of(node, item.calls[name], prefix))
                yield Site((*prefix, name), node, item, Convention.NONE, operands, Family.OTHER)


# -- one operand -----------------------------
def _evidence(item: Restated) -> Iterator[str]:
    if item.recorded is not None:
        yield f"the file records {_text(item.recorded)} at this call"
    if item.built is not None:
        yield f"the layer was built on {_text(item.built)}"


def _text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def _steps(item: Restated) -> list[Step]:
    """A Reshape; where more than one size is not a plain number, a Squeeze and an ExpandDims of the unit axes."""
    to = tuple(a.size for a in item.axes)
    if _open(to) < 2 or not item.only_units:
        return [Step("Reshape", item.operand, to)]
    steps = []
    gone = tuple(i for i, a in enumerate(item.given) if a.size == 1)
    if gone:
        steps.append(Step("Squeeze", item.operand, tuple(s for s in to if s != 1), gone))
    new = tuple(i for i, size in enumerate(to) if size == 1)
    if new:
        steps.append(Step("ExpandDims", item.operand, to, new))
    return steps


def _open(sizes: Sequence[Size]) -> int:
    return sum(not isinstance(size, int) for size in sizes)


def _equation(item: Restated) -> Equation | None:
    """``b (h w c) -> b h w c``; None where the axes do not split or merge one by one."""
    pieces = _pieces([a for a in item.given if a.size != 1], [a for a in item.axes if a.size != 1])
    if pieces is None:
        return None
    count = sum(max(m, n) for m, n in pieces[1:])
    letters = iter("b" + (_LETTERS.get(count) or _MORE))
    before: list[tuple[str, ...]] = []
    after: list[tuple[str, ...]] = []
    for m, n in pieces:
        names = tuple(next(letters, f"x{len(before)}") for _ in range(max(m, n)))
        before += [names] if m == 1 else [(name,) for name in names]
        after += [names] if n == 1 else [(name,) for name in names]
    return Equation((_terms(item.given, before),), _terms(item.axes, after))


def _pieces(before: Sequence[Axis], after: Sequence[Axis]) -> list[tuple[int, int]] | None:
    """For each group of axes, from the left: how many before, how many after. One of the two numbers is always 1."""
    pieces = []
    i = j = 0
    while i < len(before) and j < len(after):
        m = n = 1
        one, other = before[i].size, after[j].size
        while same(one, other) is not Truth.YES:
            if n == 1 and i + m < len(before) and divide(other, one) is not None:
                one, m = one * before[i + m].size, m + 1
            elif m == 1 and j + n < len(after) and divide(one, other) is not None:
                other, n = other * after[j + n].size, n + 1
            else:
                return None
        pieces.append((m, n))
        i, j = i + m, j + n
    return pieces if (i, j) == (len(before), len(after)) else None


def _terms(axes: Sequence[Axis], names: Sequence[tuple[str, ...]]) -> tuple[Term, ...]:
    rest = iter(names)
    return tuple(Term(()) if axis.size == 1 else Term(next(rest)) for axis in axes)
