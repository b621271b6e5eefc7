"""A candidate: one possible reading of a node, with the evidence for it and against it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import shown
from ..presentation import Presentable, brief
from ..rules.lower import Plan
from ..rules.match import Match
from ..rules.table import Kind as RuleKind
from .evidence import Rank


class Applicability(str, enum.Enum):
    """``safe``: evidence decides. ``unsafe``: a first-ranked guess. ``display``: a person must choose."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    DISPLAY = "display"

    __str__ = str.__str__


@dataclass(frozen=True, slots=True)
class Remark:
    """A row of ``stages.REMARKS`` with its details: a reason against a reading, or a further fact about a node."""

    name: str
    details: Mapping[str, Any] = field(default_factory=dict)


def remark(name: str, **details: Any) -> Remark:
    return Remark(name, details)


@dataclass(slots=True, repr=False)
class Candidate(Presentable):
    """One reading of a node, and the nodes that implement it.

    ``swapped``: the operands are in the other order than in the rule. ``generic``: the rule only completes the list of
    readings. ``needs_evidence``: it transposes, regroups or sums an operand, and only sizes are evidence for that.
    ``doubt``: why only the user can choose it. ``asked_only``: it is listed for the user, but neither tried downstream
    nor chosen by ``best``.

    ``rank`` is its evidence in the order of ``passes.ranking.CRITERIA``, strongest kind first.
    """

    rule: str
    match: Match
    plan: Plan
    kind: RuleKind
    swapped: bool = False
    rank: Rank = field(default_factory=Rank)
    generic: bool = False
    needs_evidence: bool = False
    asked_only: bool = False
    doubt: Remark | None = None
    evidence: list[str] = field(default_factory=list)
    applicability: Applicability = Applicability.DISPLAY

    @property
    def equation(self) -> str:
        return str(self.match.equation)

    def _summary(self) -> str:
        return f"{shown(self.rule, 60)} {brief(self.equation)} ({self.applicability})"
