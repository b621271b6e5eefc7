"""Search: which readings of several nodes, taken together, leave no fault downstream.

Producers come first; a branch ends at the first fault that no later reading can repair. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..ir.axis import Value
from ..ir.graph import Path
from ..shapes.infer import Override
from ..shapes.inference import Inference
from .candidate import Candidate, Remark, remark
from .codes import Severity
from .decision import FaultAt
from .finding import Finding
from .suppositions import Suppositions, override

# The finding of one node in an inference, None where nothing is wrong with it.
Reexamine = Callable[[Inference, Path], Finding | None]

# How many results of one node are distinguished.
MAX_RESULTS = 16
# How many answers are compared.
_MAX_ANSWERS = 64

Readings = dict[Path, tuple[Finding, list[Candidate]]]


@dataclass(slots=True)
class Answer:
    """Readings of several multiplies that leave no fault, by node: the finding, and its readings with one result shape.

    ``because`` is set where other answers of equal rank leave no fault either: the first contradiction that they leave
    and this one does not.
    """

    readings: Readings
    because: FaultAt | None = None

    def best(self) -> dict[Path, Candidate]:
        return {path: max(group, key=standing) for path, (_, group) in self.readings.items()}


@dataclass(slots=True)
class Search:
    """The result of a search.

    ``dead`` holds the faults of each branch that ended, ``ruled_out`` the fault that a reading leads to, by its ``id``.
    ``capped`` is the limit that stopped the search early, or None.
    """

    answers: list[Answer] = field(default_factory=list)
    dead: list[dict[Path, str]] = field(default_factory=list)
    ruled_out: dict[int, FaultAt] = field(default_factory=dict)
    capped: Remark | None = None

    def fault(self) -> FaultAt | None:
        return next((FaultAt(path, text) for dead in self.dead for path, text in dead.items()), None)


class Searcher:
    """Supposes readings of nodes in a model, and looks for those that leave no fault.

    Args:
        model: the model with the choices so far, and its findings.
        reexamine: gives the finding of a node in another inference.
    """

    def __init__(self, model: Suppositions, reexamine: Reexamine) -> None:
        self.model = model
        self.reexamine = reexamine

    def search(self, group: Sequence[Finding]) -> Search:
        """Every combination of readings that leaves no fault. Faults that no combination avoids are ignored."""
        names = {f.path for f in group}
        found = Search()
        self._extend({}, names, frozenset(), found)
        if not found.answers and found.dead and found.capped is None:
            unavoidable = set.intersection(*(set(dead) for dead in found.dead)) - names
            if unavoidable:
                again = Search()
                self._extend({}, names, unavoidable, again)
                return again if again.answers or again.capped is not None else found
        return found

    def _extend(
        self, taken: Readings, names: Collection[Path], ignored: Collection[Path], found: Search
    ) -> None:
        """Suppose one more reading after those in ``taken``, and go on while later ones can repair every fault."""
        if self.model.is_spent:
            found.capped = self.model.spent()
        if len(found.answers) >= _MAX_ANSWERS:
            found.capped = remark("most-answers", answers=_MAX_ANSWERS)
        if not self.model.combinations:
            found.capped = remark("most-combinations", combinations=self.model.most_combinations)
        if found.capped is not None:
            return
        self.model.combinations -= 1
        without = {name for name in names if name not in taken}
        readings = {path: override(group[0]) for path, (_, group) in taken.items()}
        inference, every = self.problems(readings, names)
        faults = {p: text for p, text in every.items() if p not in ignored}
        following = self._next(inference, faults, taken, without)
        open_ = {following.path, *without} if following is not None else without
        left = {p: t for p, t in faults.items() if p not in open_}
        if left:
            later = self.model.places.below(open_)
            left = {p: t for p, t in left.items() if later.isdisjoint(self.model.places.enclosing(p))}
        if left:
            found.dead.append(left)
            path, text = next(iter(left.items()))
            for candidate in list(taken.values())[-1][1] if taken else ():
                found.ruled_out.setdefault(id(candidate), FaultAt(path, text))
            return
        if following is None:
            found.answers.append(Answer(taken))
            return
        groups = by_sizes(following.candidates)
        if not groups:
            found.dead.append({following.path: following.message})
        if len(groups) > MAX_RESULTS:
            found.capped = remark("most-results", node=following.path, results=len(groups))
            return
        for readings_of_one in groups:
            self._extend({**taken, following.path: (following, readings_of_one)}, names, ignored, found)

    def _next(
        self,
        inference: Inference,
        faults: Collection[Path],
        taken: Collection[Path],
        without: Collection[Path],
    ) -> Finding | None:
        """The first multiply that still needs a reading, with its present operands; None where there is none."""
        for path in sorted({*faults, *without} - {*taken}, key=self.model.places.key):
            before = self.model.findings.get(path)
            if before is not None and self.as_before(inference, before):
                if path in without:
                    return before
                continue
            finding = self.reexamine(inference, path)
            if finding is not None and finding.severity is Severity.ERROR:
                return finding
        return None

    def problems(
        self, readings: Mapping[Path, Override], members: Collection[Path]
    ) -> tuple[Inference, dict[Path, str]]:
        """The inference with these readings, and the new faults at the members of a group and below them."""
        inference, every = self.model.faults(readings, members)
        faults = {
            path: text
            for path, text in every.items()
            if path in members or not self._is_apart(inference, path)
        }
        return inference, faults

    def _is_apart(self, inference: Inference, path: Path) -> bool:
        """True for an undecided fault whose operands the supposed readings do not change."""
        finding = self.model.findings.get(path)
        return finding is not None and finding.chosen is None and self.as_before(inference, finding)

    def as_before(self, inference: Inference, finding: Finding, claims: bool = False) -> bool:
        """True if the operands have the same sizes as in the finding; with ``claims``, also the same claims."""
        *above, name = finding.path
        contexts = [taken for item in inference.at(tuple(above)) if (taken := item.taken(name)) is not None]
        if not contexts and not above:
            return True
        before = [o.value for o in finding.operands]

        def alike(values: Sequence[Value]) -> bool:
            same_sizes = [value.sizes for value in values] == [value.sizes for value in before]
            return same_sizes and not (claims and [v.claimed for v in values] != [v.claimed for v in before])

        return any(map(alike, contexts))


def by_sizes(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """The readings in groups of one result shape: nodes downstream cannot distinguish those of a group."""
    groups: dict[object, list[Candidate]] = {}
    for candidate in candidates:
        if not candidate.asked_only:
            groups.setdefault(candidate.plan.output, []).append(candidate)
    return list(groups.values())


def standing(candidate: Candidate) -> tuple[bool, tuple[int, ...]]:
    return not candidate.needs_evidence, candidate.rank
