"""Downstream: which of several readings the rest of the model can go on with.

Each reading is supposed in turn and the model inferred again. A node that then cannot run, its trained weights
included, rules the reading out; a layer that then takes an axis for something else than it is speaks against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..ir.axis import Axis
from ..ir.graph import Graph
from ..shapes.call import Call, known
from ..shapes.infer import Inference, Override, infer
from .candidates import matches, must_be_asked_for
from .finding import Candidate, Finding
from .resolve import choose, tied

_MAX_READINGS = 8


class Trials:
    """Supposes readings of a model's multiplies, within a budget of inferences."""

    def __init__(self, graph: Graph, budget: int = 96) -> None:
        self.graph = graph
        self.budget = budget

    def decide(self, finding: Finding, others: Sequence[Finding]) -> None:
        """Choose among the readings of an undecided multiply by what follows it, if one is left.

        A reading that sums or changes the rank is taken where what follows rules every other one out.

        Args:
            others: the model's other findings; what is chosen there is supposed too.
        """
        readings = finding.candidates[:_MAX_READINGS]
        if finding.chosen is not None or not readings or readings[0].match.assumed:
            return
        if len(readings) >= self.budget:
            finding.why += "; too many readings to try each on the rest of the model"
            return
        self.budget -= len(readings) + 1
        chosen = overrides(others)
        trials = [self._problems(finding.node, {**chosen, finding.node: override(c)}) for c in readings]
        # What goes wrong with a result that nobody means, the first operand, is what readings are measured by.
        untouched, _ = self._problems(
            finding.node, {**chosen, finding.node: lambda call: known(call.inputs[0])}
        )
        unavoidable = set(untouched).intersection(*(set(faults) for faults, _ in trials))
        faults = [[f for f in found if f not in unavoidable] for found, _ in trials]
        standing = [c for c, found in zip(readings, faults, strict=True) if not found]
        ruled_out = next((f for found in [*faults, untouched] for f in found if f not in unavoidable), "")
        placed = [c for c in standing if not must_be_asked_for(c)]
        asked = [c for c in standing if must_be_asked_for(c)] if set(untouched) - unavoidable else []
        best = _alone(placed or asked) if ruled_out else None
        if best is not None:
            choose(finding, best, f"what follows rules the other readings out: at {ruled_out}")
        else:
            self._by_conflicts(finding, readings, [conflicts for _, conflicts in trials])

    def _by_conflicts(
        self, finding: Finding, readings: Sequence[Candidate], conflicts: Sequence[list[str]]
    ) -> None:
        """Among readings that tie, take the one that leaves the fewest layers with an axis that is something else."""
        rivals = [i for i, c in enumerate(readings) if c in tied(finding)]
        if len(rivals) < 2:
            return
        fewest = min(len(conflicts[i]) for i in rivals)
        left = [i for i in rivals if len(conflicts[i]) == fewest]
        if len(left) == 1:
            other = next(conflicts[i] for i in rivals if len(conflicts[i]) > fewest)
            choose(
                finding, readings[left[0]], f"the other readings leave a contradiction: at {sorted(other)[0]}"
            )

    def reconsider(self, finding: Finding, others: Sequence[Finding]) -> None:
        """Look again at a choice that leaves a fault downstream: another reading may leave none."""
        before = (finding.chosen, finding.why)
        finding.chosen = None
        self.decide(finding, others)
        if finding.chosen is None:
            finding.chosen, finding.why = before

    def _problems(self, at: str, supposed: Mapping[str, Override]) -> tuple[list[str], list[str]]:
        """What cannot run, and what takes an axis for something else, apart from the multiply itself."""
        inference = infer(self.graph, supposed)
        faults = [f"{node!r}: {message}" for node, message in _faults(inference) if node != at]
        conflicts = [
            f"{prefix + name!r}: {message}"
            for prefix, item in inference.walk()
            for name, messages in item.conflicts.items()
            for message in messages
        ]
        return faults, conflicts


def override(candidate: Candidate) -> Override:
    """What a multiply's result would be if it meant this."""

    def result(call: Call) -> tuple[Axis, ...] | None:
        operands = [known(v) for v in call.inputs]
        found = matches(candidate.match.equation, operands, roles=False)
        same = next((m for m in found if m.kept == candidate.match.kept), None)
        return None if same is None else same.output()

    return result


def overrides(findings: Iterable[Finding]) -> dict[str, Override]:
    """The results of everything that is chosen, by node."""
    return {f.node: override(f.choice) for f in findings if f.choice is not None}


def _alone(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate that stands strictly above the others."""
    if not candidates:
        return None
    best = candidates[0]
    return None if any(c.rank >= best.rank for c in candidates[1:]) else best


def _faults(inference: Inference) -> list[tuple[str, str]]:
    return [(prefix + name, text) for prefix, item in inference.walk() for name, text in item.faults.items()]
