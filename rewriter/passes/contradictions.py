"""Contradictions: evidence against readings where everything runs.

A layer downstream uses an axis in another role, or the file states other shapes in ``build_config`` or the losses.
Contradictions only rank readings that leave no fault.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..ir.axis import Axis
from ..ir.graph import Path
from ..ir.size import Size
from ..shapes.call import Call
from ..shapes.infer import Override
from ..shapes.stated import disagreements
from .candidate import Candidate
from .decision import FaultAt
from .suppositions import Suppositions, override

_MAX_RANK = 5


@dataclass(slots=True)
class Contradictions:
    """Evidence against readings, by node.

    ``axes`` are role conflicts, ``stated`` disagreements with ``build_config`` or the losses. The latter are weaker:
    they only count between readings with equally many role conflicts.
    """

    axes: dict[Path, list[str]]
    stated: dict[Path, str]

    @property
    def number(self) -> tuple[int, int]:
        return sum(map(len, self.axes.values())), len(self.stated)

    def beyond(self, other: Contradictions) -> FaultAt:
        """The first contradiction that ``other``, which has fewer, does not have."""
        first = (FaultAt(p, t[0]) for p, t in sorted(self.axes.items()) if t and t != other.axes.get(p))
        second = (FaultAt(p, t) for p, t in sorted(self.stated.items()) if t != other.stated.get(p))
        return next(itertools.chain(first, second))


def contradictions(model: Suppositions, readings: Mapping[Path, Override]) -> Contradictions:
    """The contradictions in the whole model under these readings."""
    inference = model.suppose(readings)
    model.budget -= len(model.graph.nodes)
    axes = {
        (*prefix, name): messages
        for prefix, item in inference.walk()
        for name, messages in item.conflicts.items()
    }
    return Contradictions(axes, disagreements(inference))


def other_orders(output: Sequence[Size]) -> Iterator[tuple[int, ...]]:
    """The other orders of a result's axes that keep the batch first and the shape unchanged."""
    straight = tuple(range(1, len(output)))
    for order in itertools.permutations(straight) if len(output) <= _MAX_RANK else ():
        if order != straight and all(output[i] == output[k] for i, k in zip(order, straight, strict=True)):
            yield order


def turned(candidate: Candidate, order: Sequence[int]) -> Override:
    """The result of a reading with its axes, except the batch, in another order."""
    straight = override(candidate)

    def result(call: Call) -> tuple[Axis, ...] | None:
        axes = straight(call)
        return None if axes is None else (axes[0], *(axes[i] for i in order))

    return result
