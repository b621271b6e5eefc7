"""A model with the choices so far, and inferences that suppose further readings.

A supposition never changes what is known: it is an inference of its own. It shares the steps of all nodes that the
supposed readings do not reach with the inference that it is made from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from ..ir.axis import Axis
from ..ir.graph import Graph, Path
from ..shapes.call import Call, known
from ..shapes.infer import Override, Overrides, infer, suppose
from ..shapes.inference import Inference
from .candidate import Candidate, Remark, remark
from .finding import Finding
from .places import Places
from .readings import matches
from .recorded import RULE

# How many nodes may be inferred again: those of so many models, and at least so many nodes.
_MAX_MODELS = 48
_MIN_NODES = 40_000
# How many combinations of readings may be tried, also of only some nodes of a search: a number for each node of the
# model, and a minimum.
_COMBINATIONS_PER_NODE = 2
_MIN_COMBINATIONS = 512


def override(candidate: Candidate) -> Override:
    """The axes of a node's result under a reading. A lost Reshape is supposed by the inference itself."""

    def result(call: Call) -> tuple[Axis, ...] | None:
        if candidate.rule == RULE:
            return None
        operands = [known(v) for v in call.inputs]
        found = matches(candidate.match.equation, operands, roles=False)
        same = next((m for m in found if m.kept == candidate.match.kept), None)
        return None if same is None else same.output()

    return result


def chosen(findings: Mapping[Path, Finding]) -> Overrides:
    """The overrides of all chosen candidates."""

    def of(path: Path) -> Override | None:
        finding = findings.get(path)
        choice = finding.choice if finding is not None else None
        return None if choice is None else override(choice)

    return of


class Suppositions:
    """The model with the choices so far (``base``), and suppositions on it, within a budget of nodes.

    ``combinations`` is how many combinations of readings may still be tried.

    ``findings`` is read, not copied: a new choice in it counts from the next ``adopt`` on.
    """

    def __init__(self, graph: Graph, findings: Mapping[Path, Finding]) -> None:
        self.graph = graph
        self.findings = findings
        self.places = Places(graph)
        self.budget = self.limit = max(_MIN_NODES, _MAX_MODELS * len(graph.nodes))
        self.most_combinations = max(_MIN_COMBINATIONS, _COMBINATIONS_PER_NODE * len(graph.nodes))
        self.combinations = self.most_combinations
        self._unlisted: set[str] = set()
        self.base = infer(graph, chosen(findings))
        self._list(graph.order)

    @property
    def is_spent(self) -> bool:
        return self.budget <= 0

    def affords(self, models: int) -> bool:
        """True if the budget allows so many more inferences of the whole model."""
        return self.budget >= models * len(self.graph.nodes)

    def spent(self) -> Remark:
        return remark("most-nodes", nodes=self.limit - self.budget)

    def suppose(
        self,
        readings: Mapping[Path, Override],
        without: Collection[Path] = (),
        at: Iterable[Path] = (),
    ) -> Inference:
        """The model with these readings, and without the choices at some nodes.

        Args:
            at: nodes whose choices differ from those of ``base``.
        """
        inference = suppose(self.base, self._overrides(readings, without), {*readings, *without, *at})
        self.budget -= len(inference.again) + 1
        return inference

    def adopt(self, at: Collection[Path]) -> None:
        """Enter the choices of these nodes into ``base``."""
        self.base = self.suppose({}, at=at)
        self._list([*self.base.again, *(name for path in at for name in self.places.enclosing(path))])

    def faults(
        self, readings: Mapping[Path, Override], members: Collection[Path]
    ) -> tuple[Inference, dict[Path, str]]:
        """The model with these readings, and what cannot run at the members of a group and below them."""
        inference = self.suppose(readings, members)
        found = dict(inference.faults_at(inference.again))
        standing = self._unlisted.difference(inference.again)
        if standing:
            reached = self.places.below(members)
            found.update(inference.faults_at(name for name in standing if name in reached))
        return inference, found

    def faults_of_all(self) -> Iterator[tuple[Path, str]]:
        """The faults in the model with the choices so far."""
        return self.base.faults_at(self.graph.order)

    def _overrides(self, readings: Mapping[Path, Override], without: Collection[Path]) -> Overrides:
        of = chosen(self.findings)
        return lambda path: readings[path] if path in readings else None if path in without else of(path)

    def _list(self, names: Iterable[str]) -> None:
        """Record which of these nodes have a fault without an undecided finding."""
        for name in names:
            loose = any(
                (finding := self.findings.get(path)) is None or finding.chosen is not None
                for path, _ in self.base.faults_at([name])
            )
            (self._unlisted.add if loose else self._unlisted.discard)(name)
