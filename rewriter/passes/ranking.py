"""Ranking: the one order in which the readings of a node are compared, as a table of criteria.

The first criterion in which two readings differ decides which is preferred. A criterion that ``decides`` is evidence: a
reading that is first by it can be chosen. The others only order the list for ``best``. ``why``, ``explain`` and the
list in the documentation are made from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..ir.axis import Role
from ..rules.table import Kind as RuleKind
from .candidate import Candidate
from .row import Row

_ORDER = {kind: number for number, kind in enumerate(RuleKind)}


@dataclass(frozen=True, slots=True)
class Criterion(Row):
    """A criterion: its name, what it prefers, and the number that it compares (larger is better)."""

    name: str
    prefers: str
    value: Callable[[Candidate], int]
    decides: bool = True


CRITERIA = (
    Criterion("recorded-result", "the recorded shape of the result", lambda c: c.rank.demanded),
    Criterion(
        "needs-evidence",
        "no operand transposed, regrouped or summed for its sizes alone",
        lambda c: not c.needs_evidence,
    ),
    Criterion("recorded-operands", "the recorded shapes of the operands", lambda c: c.rank.restored),
    Criterion(
        "consistent",
        "no axis meets another axis than the one it comes from",
        lambda c: c.rank.consistent,
    ),
    Criterion(
        "written-units",
        "the author's unit axes are kept and used",
        lambda c: c.rank.units,
    ),
    Criterion("same-axis", "the same axis on both sides", lambda c: c.rank.same),
    Criterion("lineage", "an axis that was computed from the one it meets", lambda c: c.rank.derived),
    Criterion("same-role", "the same role on both sides", lambda c: c.rank.roles),
    Criterion("features", "features that meet features", lambda c: c.rank.features),
    Criterion(
        "softmax",
        "the weights of a softmax move to the data, and are summed along the axis where they add up to 1",
        lambda c: c.rank.keeps_data,
    ),
    Criterion("built-for", "the shape that the rest of the model was built for", lambda c: c.rank.built_for),
    Criterion(
        "open-sizes",
        "no open size is assumed equal to a number or to another open size",
        lambda c: c.rank.proven,
    ),
    Criterion(
        "as-written",
        "the operands in their written order, and the sum over the axes that the node names",
        lambda c: c.rank.in_order,
    ),
    Criterion(
        "effect", "axes placed rather than repeated, transposed or summed", lambda c: -_ORDER[c.kind], False
    ),
    Criterion("proven-sizes", "sizes that are known to be equal", lambda c: not c.match.assumed, False),
    Criterion("same-rank", "a result of the first operand's rank", lambda c: -_rank_change(c), False),
    Criterion("keys", "the last of two axes that are alike", lambda c: _on_the_last_of_two(c), False),
)


def order(candidate: Candidate) -> tuple[int, ...]:
    """A sort key that puts the preferred reading first."""
    return tuple(-criterion.value(candidate) for criterion in CRITERIA)


def decisive(candidate: Candidate, other: Candidate) -> Criterion:
    """The first criterion that decides between two readings; one of them must."""
    return next(s for s in CRITERIA if s.decides and s.value(candidate) != s.value(other))


def shown(candidate: Candidate) -> list[tuple[int, int]]:
    """The criteria that count for a reading: the number of each, counted from 1, and its value if not 0."""
    deciding = [criterion for criterion in CRITERIA if criterion.decides]
    values = [(number, int(criterion.value(candidate))) for number, criterion in enumerate(deciding, 1)]
    return [(number, value) for number, value in values if value]


def described() -> list[str]:
    """The criteria that decide, as a numbered list."""
    deciding: Sequence[Criterion] = [criterion for criterion in CRITERIA if criterion.decides]
    return [f"{number}. {criterion.prefers}" for number, criterion in enumerate(deciding, 1)]


def _rank_change(candidate: Candidate) -> int:
    return abs(len(candidate.plan.output) - len(candidate.match.operands[0]))


def _on_the_last_of_two(candidate: Candidate) -> int:
    """How many gate axes are placed on the last of two data axes that are the same axis, or both time.

    Nothing distinguishes rows from columns there; in a map of scores the columns are the keys, and masks are for keys.
    """
    found = candidate.match
    data = max(range(len(found.operands)), key=lambda k: sum(a.size != 1 for a in found.operands[k]))
    axes, terms = found.operands[data], found.equation.operands
    others = {n for k, each in enumerate(terms) if k != data for term in each for n in term.names}
    stands = [p for p, term in zip(found.kept[data], terms[data], strict=True) if others & set(term.names)]
    return sum(
        other.is_same(axes[place]) or other.role is axes[place].role is Role.TIME
        for place in stands
        for other in axes[1:place]
    )
