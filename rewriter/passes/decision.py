"""A decision: how a finding was decided, at which stage, on what evidence. It is data; ``stages`` words it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import shown
from ..ir.graph import Path, path_text
from .candidate import Candidate, Remark
from .ranking import Criterion
from .row import Row


@dataclass(frozen=True, slots=True)
class Stage(Row):
    """A row of ``stages.STAGES``: a point at which a finding is decided, or stops undecided.

    ``account`` says when it applies, for the documentation; ``sentence`` puts a decision of this stage into words. A
    stage that ``chooses`` makes the decision's candidate the choice. ``stays`` is set where nothing can be inserted at
    the node.
    """

    name: str
    account: str
    sentence: Callable[[Decision], str]
    chooses: bool = False
    stays: bool = False


@dataclass(frozen=True, slots=True)
class FaultAt:
    """A fault at another node."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"{quoted(self.path)}: {self.text}"


@dataclass(frozen=True, slots=True, repr=False)
class Decision:
    """How a finding was decided, or why it was not.

    Args:
        stage: the row of the table.
        candidate: the chosen reading, or the one that fits best and is not chosen.
        rivals: the readings that it was compared with, the strongest first.
        evidence: the kind of evidence in which it differs from the first rival.
        fault: the fault at another node under the rivals (under the candidate, if it is not chosen).
        nodes: other nodes on which the decision rests: those decided together with this one, or one it waits for.
        reason: why the candidate is not chosen.
        details: further data for the sentence.
        notes: further remarks on the node, in the order in which they were found.
        before: the decision that this one overrules, where it is still reported.
    """

    stage: Stage
    candidate: Candidate | None = None
    rivals: tuple[Candidate, ...] = ()
    evidence: Criterion | None = None
    fault: FaultAt | None = None
    nodes: tuple[Path, ...] = ()
    reason: Remark | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Remark, ...] = ()
    before: Decision | None = None

    @property
    def choice(self) -> Candidate | None:
        return self.candidate if self.stage.chooses else None

    def __repr__(self) -> str:
        said = f" {shown(self.candidate.rule, 60)}" if self.candidate is not None else ""
        return f"<Decision {self.stage.name}:{said or ' no candidate'}>"

    def noted(self, note: Remark) -> Decision:
        """The decision with one more note."""
        return replace(self, notes=(*self.notes, note))

    def trail(self) -> Iterator[Decision]:
        """This decision and those that it overrules, the last one first."""
        decision: Decision | None = self
        while decision is not None:
            yield decision
            decision = decision.before


def quoted(path: Path | str) -> str:
    """A node's path in quotes, as it is shown."""
    return repr(shown(path if isinstance(path, str) else path_text(path)))
