"""Findings: typed results of the passes, the same for the library, the text and the JSON output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..errors import shown
from ..ir.axis import Value
from ..ir.graph import Path, path_text
from ..presentation import Presentable, brief
from ..shapes.broadcast import Convention
from . import stages
from .candidate import Candidate, Remark
from .codes import Kind, Severity
from .decision import Decision

LITERAL = "literal"


@dataclass(frozen=True, slots=True, repr=False)
class Operand:
    """An operand of a multiply: the path of the node that it comes from (empty for a literal) and its value."""

    path: Path
    value: Value

    @property
    def source(self) -> str:
        """The node that it comes from as it is shown, or ``LITERAL``."""
        return path_text(self.path) or LITERAL

    def __repr__(self) -> str:
        return shown(f"<Operand {brief(self.source)}: {self.value.text()}>", 180)


@dataclass(frozen=True, slots=True)
class Argument:
    """Another value of an argument of another node, with which the model would run."""

    path: Path
    argument: str
    before: Any
    after: Any

    @property
    def node(self) -> str:
        """The node as it is shown."""
        return path_text(self.path)


@dataclass(slots=True, repr=False)
class Finding(Presentable):
    """A fault at one node, its candidates, and the decision.

    ``upstream`` lists other values of arguments of other nodes, with which the model would run.
    """

    kind: Kind
    severity: Severity
    path: Path
    op: str
    convention: Convention
    operands: list[Operand]
    message: str
    candidates: list[Candidate] = field(default_factory=list)
    decision: Decision = stages.NOTHING_YET
    upstream: list[Argument] = field(default_factory=list)

    @property
    def node(self) -> str:
        """The node as it is shown."""
        return path_text(self.path)

    @property
    def code(self) -> str:
        return self.kind.code

    def _summary(self) -> str:
        meant = self.choice.rule if self.choice is not None else "not decided"
        return f"{self.code} {self.kind} at {brief(self.node)}: {shown(meant, 60)}"

    def decide(self, decision: Decision) -> None:
        """Replace the decision."""
        self.decision = decision

    def note(self, name: str, **details: Any) -> None:
        """Add a row of ``stages.REMARKS`` to the decision."""
        self.decision = self.decision.noted(Remark(name, details))

    @property
    def choice(self) -> Candidate | None:
        return self.decision.choice

    @property
    def chosen(self) -> int | None:
        """The number of the chosen candidate, from 0."""
        return next((k for k, c in enumerate(self.candidates) if c is self.choice), None)

    @property
    def first(self) -> Candidate | None:
        """The reading that ``best`` chooses for an undecided fault: the first one that can be written.

        None where the finding is decided, is not an error, or is elsewhere.
        """
        if self.choice is not None or self.severity is not Severity.ERROR or self.elsewhere:
            return None
        taken = (c for c in self.candidates if not (c.match.assumed or c.plan.cannot or c.asked_only))
        return next(taken, None)

    @property
    def why(self) -> str:
        """The decision in words."""
        return stages.why(self.decision)

    @property
    def left(self) -> bool:
        """True if a plan leaves it as it is."""
        return self.decision.stage is stages.LEFT

    @property
    def elsewhere(self) -> bool:
        """True if nothing can be inserted at the node."""
        return any(d.stage.stays for d in self.decision.trail())

    @property
    def follows(self) -> Path:
        """The path of the undecided node above on which the operands depend; empty without one."""
        return next((d.nodes[0] for d in self.decision.trail() if d.stage is stages.WAITS), ())
