"""Downstream: which of several readings the rest of the model can go on with.

Each reading is supposed in turn and the model inferred again: a node that then cannot run, or takes an axis for
something else than it is, speaks against the reading.
"""

from __future__ import annotations

from ..ir.axis import Axis
from ..ir.graph import Graph
from ..shapes.call import Call, known
from ..shapes.infer import Inference, infer
from .candidates import matches
from .finding import Candidate, Finding
from .resolve import choose, tied

_MAX_READINGS = 8


class Trials:
    """Supposes readings of a model's multiplies, within a budget of inferences."""

    def __init__(self, graph: Graph, budget: int = 64) -> None:
        self.graph = graph
        self.budget = budget

    def break_tie(self, finding: Finding) -> None:
        """Choose among tied candidates the one that leaves the fewest contradictions downstream, if it is one."""
        rivals = tied(finding)
        if finding.chosen is not None or len(rivals) < 2:
            return
        if len(rivals) > _MAX_READINGS or len(rivals) > self.budget:
            finding.why += "; too many readings to try each on the rest of the model"
            return
        self.budget -= len(rivals)
        troubles = [self._troubles(finding.node, candidate) for candidate in rivals]
        fewest = min(map(len, troubles))
        left = [c for c, t in zip(rivals, troubles, strict=True) if len(t) == fewest]
        if len(left) > 1:
            return
        others = next(t for t in troubles if len(t) > fewest)
        choose(finding, left[0], f"the other readings leave a contradiction: {sorted(others)[0]}")

    def _troubles(self, path: str, candidate: Candidate) -> set[str]:
        """What goes wrong in the model when this multiply means that."""

        def result(call: Call) -> tuple[Axis, ...] | None:
            operands = [known(v) for v in call.inputs]
            found = matches(candidate.match.equation, operands, roles=False)
            same = next((m for m in found if m.kept == candidate.match.kept), None)
            return None if same is None else same.output()

        return set(_problems(infer(self.graph, {path: result})))


def _problems(inference: Inference) -> list[str]:
    found = []
    for prefix, item in inference.walk():
        found += [f"{prefix}{name}: {message}" for name, message in item.faults.items()]
        found += [
            f"{prefix}{name}: {message}" for name, messages in item.conflicts.items() for message in messages
        ]
    return found
