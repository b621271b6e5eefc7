"""What a report can draw: a model as it was read, and as it is repaired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..ir.graph import Path
from ..ir.wiring import Wiring, wirings
from .analysis import Analysis
from .pipeline import Outcome


@dataclass(frozen=True, slots=True, repr=False)
class Seen:
    """The analysis and the wiring of a model, and the analysis of the repaired model.

    ``after`` is None where nothing was repaired.
    """

    before: Analysis
    wiring: Mapping[Path, Wiring]
    after: Analysis | None = None

    def __repr__(self) -> str:
        return f"<Seen {'one model' if self.after is None else 'two models'}>"

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """A copy of a report has no pictures: they hold the whole model."""
        return type(None), ()

    @classmethod
    def of(cls, outcome: Outcome) -> Seen:
        """The models before and after a repair, or its rehearsal."""
        after = None if outcome.after is outcome.before else outcome.after
        return cls(outcome.before, outcome.wiring, after)

    @classmethod
    def alone(cls, analysis: Analysis) -> Seen:
        """A model that was only analysed."""
        return cls(analysis, wiring_of(analysis))


def wiring_of(analysis: Analysis) -> dict[Path, Wiring]:
    """The wiring of an analysed model and of the models in it, as it is now."""
    return wirings((path, item.graph) for path, item in analysis.inference.walk())
