"""A model with what is chosen so far, and what would follow if more of its nodes were read in some way.

What is supposed is never entered into what is known: a supposition is an inference of its own, which shares with the
one that it is made from the steps of all nodes that it does not reach.
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

# How many nodes may be inferred again: so many models, and at least so many.
_MAX_MODELS = 48
_MIN_NODES = 40_000


def override(candidate: Candidate) -> Override:
    """What a node's result would be if it meant this. A Reshape that was lost is supposed by the inference itself."""

    def result(call: Call) -> tuple[Axis, ...] | None:
        if candidate.rule == RULE:
            return None
        operands = [known(v) for v in call.inputs]
        found = matches(candidate.match.equation, operands, roles=False)
        same = next((m for m in found if m.kept == candidate.match.kept), None)
        return None if same is None else same.output()

    return result


def chosen(findings: Mapping[Path, Finding]) -> Overrides:
    """The results of everything that is chosen."""

    def of(path: Path) -> Override | None:
        finding = findings.get(path)
        choice = finding.choice if finding is not None else None
        return None if choice is None else override(choice)

    return of


class Suppositions:
    """The model as it is chosen so far (``base``), and suppositions from there, within a budget of nodes.

    ``findings`` are looked at, not kept: what is chosen there holds from the next ``adopt`` on.
    """

    def __init__(self, graph: Graph, findings: Mapping[Path, Finding]) -> None:
        self.graph = graph
        self.findings = findings
        self.places = Places(graph)
        self.budget = self.limit = max(_MIN_NODES, _MAX_MODELS * len(graph.nodes))
        self._unlisted: set[str] = set()
        self.base = infer(graph, chosen(findings))
        self._list(graph.order)

    @property
    def is_spent(self) -> bool:
        return self.budget <= 0

    def affords(self, models: int) -> bool:
        """True where so many whole models may still be inferred."""
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
            at: nodes whose choices are others than those of ``base``.
        """
        inference = suppose(self.base, self._overrides(readings, without), {*readings, *without, *at})
        self.budget -= len(inference.again) + 1
        return inference

    def adopt(self, at: Collection[Path]) -> None:
        """Let the choices of these nodes hold."""
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
        """What cannot run in the model as it is chosen so far."""
        return self.base.faults_at(self.graph.order)

    def _overrides(self, readings: Mapping[Path, Override], without: Collection[Path]) -> Overrides:
        of = chosen(self.findings)
        return lambda path: readings[path] if path in readings else None if path in without else of(path)

    def _list(self, names: Iterable[str]) -> None:
        """Note which nodes have a fault that no undecided finding is about."""
        for name in names:
            loose = any(
                (finding := self.findings.get(path)) is None or finding.chosen is not None
                for path, _ in self.base.faults_at([name])
            )
            (self._unlisted.add if loose else self._unlisted.discard)(name)
