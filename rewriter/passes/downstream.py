"""Downstream: which of several readings the rest of the model can go on with, for one multiply or several together.

Readings are supposed and what they reach is inferred again. A node that then cannot run, its trained weights included,
rules them out; a layer that then takes an axis for something else than it is speaks against them. Multiplies of which
neither reaches what the other reaches are decided apart, so that independent faults do not multiply; the others by a
search over their readings, producers first, that leaves a branch at the first fault that nothing later can mend.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx

from ..ir.axis import Axis, Value
from ..ir.graph import Graph, Path
from ..ir.size import Size
from ..shapes.call import Call, known
from ..shapes.infer import Override
from ..shapes.inference import Inference
from ..shapes.stated import disagreements
from . import stages
from .decision import Decision, FaultAt, Remark, remark
from .finding import Applicability, Candidate, Finding, Severity
from .resolve import choose, refuse, take_first
from .suppositions import Suppositions, override

# The finding of one node in an inference, None where nothing is wrong with it.
Reexamine = Callable[[Inference, Path], Finding | None]

_MAX_RESULTS = 16
# How many answers are compared.
_MAX_ANSWERS = 64
_MAX_RECONSIDERED = 8
_MAX_SUPPOSED = 16
_MAX_RANK = 5

Readings = dict[Path, tuple[Finding, list[Candidate]]]


@dataclass(slots=True)
class Answer:
    """Readings of several multiplies that leave no fault, by node: the finding, and those that give one result.

    ``because`` is the first conflict that the others leave more than it, where they leave no fault either and stand as
    high.
    """

    readings: Readings
    because: FaultAt | None = None

    def best(self) -> dict[Path, Candidate]:
        return {path: max(group, key=_standing) for path, (_, group) in self.readings.items()}


@dataclass(slots=True)
class Search:
    """What a search came to.

    ``dead`` holds the faults of each branch that was left, ``ruled_out`` the fault that a reading led to, by its id.
    ``capped`` says what kept the search from an end.
    """

    answers: list[Answer] = field(default_factory=list)
    dead: list[dict[Path, str]] = field(default_factory=list)
    ruled_out: dict[int, FaultAt] = field(default_factory=dict)
    capped: Remark | None = None

    def fault(self) -> FaultAt | None:
        return next((FaultAt(path, text) for dead in self.dead for path, text in dead.items()), None)


@dataclass(slots=True)
class Contradictions:
    """What speaks against readings, by node: axes that are taken for something else, and what the file states besides.

    The second is weaker: it only counts between readings that leave as many of the first.
    """

    axes: dict[Path, list[str]]
    stated: dict[Path, str]

    @property
    def number(self) -> tuple[int, int]:
        return sum(map(len, self.axes.values())), len(self.stated)

    def beyond(self, other: Contradictions) -> FaultAt:
        """The first one that the other, which has fewer, lacks."""
        first = (FaultAt(p, t[0]) for p, t in sorted(self.axes.items()) if t and t != other.axes.get(p))
        second = (FaultAt(p, t) for p, t in sorted(self.stated.items()) if t != other.stated.get(p))
        return next(itertools.chain(first, second))


class Trials:
    """Decides the readings of a model's nodes by supposing them and looking at what follows."""

    def __init__(self, graph: Graph, findings: Sequence[Finding], reexamine: Reexamine) -> None:
        self.graph = graph
        self.reexamine = reexamine
        self.findings = {f.path: f for f in findings}
        self.unsatisfiable: set[Path] = set()
        self.model = Suppositions(graph, self.findings)
        self.places = self.model.places

    # -- all of them -----------------------------
    def decide(self) -> list[Finding]:
        """Choose among the readings of undecided multiplies by what follows them, and return the findings.

        A multiply that has other operands once those above it are decided is judged by them. A choice that leaves
        no answer downstream is looked at again, together with what it leaves so.
        """
        self._renew()
        self._decide_open(self._ordered())
        self._renew()
        self._reconsider()
        self._renew()
        self._withdraw_claims()
        self._withdraw_turned()
        self._list_below()
        return list(self.findings.values())

    def _decide_open(self, findings: Sequence[Finding]) -> None:
        for group in self._groups([f for f in findings if _is_open(f)]):
            self._settle(group, self._search(group))

    def take_first(self) -> list[Finding]:
        """Take the first reading of what is open, producers first; what then meets other sizes is judged again."""
        looked_at: set[Path] = set()
        while (finding := self._next_open(looked_at)) is not None:
            looked_at.add(finding.path)
            take_first(finding)
            self.model.adopt([finding.path])
            known = {id(f) for f in self.findings.values()}
            self._renew()
            self._decide_open([f for f in self._ordered() if id(f) not in known])
        return list(self.findings.values())

    def _next_open(self, looked_at: Collection[Path]) -> Finding | None:
        open_ = (f for f in self._ordered() if f.path not in looked_at)
        return next((f for f in open_ if f.first is not None), None)

    def _withdraw_claims(self) -> None:
        """Take back what rests on a claim of the file even with everything that is chosen."""
        self.model.base.finish()
        for finding in self.findings.values():
            taken = self.model.base.taken(finding.path[0]) if len(finding.path) == 1 else None
            claimed = next((v.claimed for v in taken or () if v.claimed), None)
            if finding.choice is not None and claimed:
                finding.choice.applicability = Applicability.UNSAFE
                refuse(finding, stages.CLAIMED, finding.choice, remark("claimed", node=claimed))

    def _withdraw_turned(self) -> None:
        """Take back a choice where what follows takes the axes of the result in another order than they have.

        Its operands fit each other then, but both are turned: no reading of the product alone mends that.
        """
        if all(f.choice is None for f in self.findings.values()):
            return
        left = self._contradictions({})
        against = {name for path in left.axes for name in self.places.enclosing(path)}
        above = self.places.above(against)
        for finding in self.findings.values():
            choice = finding.choice
            held = self.places.enclosing(finding.path)
            nested = len(finding.path) > 1 and not against.isdisjoint(held)
            reaches = nested or any(not above.isdisjoint(self.graph.nx.successors(name)) for name in held)
            if choice is None or not reaches:
                continue
            for order in _orders(choice.plan.output):
                if not self.model.affords(1):
                    finding.note("orders-not-tried", limit=self.model.spent())
                    break
                turned = self._contradictions({finding.path: _turned(choice, order)})
                if turned.number < left.number:
                    choice.applicability = Applicability.UNSAFE
                    reason = remark("turned", fault=left.beyond(turned))
                    refuse(finding, stages.TURNED, choice, reason)
                    break

    def _list_below(self) -> None:
        """List the readings of what follows an open multiply on the result that it has in each of its own readings.

        Nothing is chosen there: which of them it is can matter.
        """
        supposed: dict[Path, Override] = {}
        waiting = [f.path for f in self._ordered() if f.chosen is None]
        while waiting and len(supposed) < _MAX_SUPPOSED and not self.model.is_spent:
            finding = self.findings[waiting.pop(0)]
            alike = [c for c in finding.candidates if c.rank.demanded == finding.candidates[0].rank.demanded]
            if len(_by_sizes(alike)) != 1 or alike[0].match.assumed:
                continue
            supposed[finding.path] = override(alike[0])
            inference = self.model.suppose(supposed)
            below = self.places.below([finding.path])
            faults = dict(inference.faults_at(name for name in self.graph.order if name in below))
            held = [p for p in self.findings if p != finding.path]
            listed = set()
            for path in sorted({*held, *faults} - {finding.path}, key=self.places.key):
                if below.isdisjoint(self.places.enclosing(path)):
                    continue
                before = self.findings.get(path)
                if before is not None and self._as_before(inference, before):
                    continue
                new = self.reexamine(inference, path)
                if new is not None and new.severity is Severity.ERROR:
                    if new.choice is not None:
                        new.choice.applicability = Applicability.UNSAFE
                    new.decide(Decision(stages.WAITS, nodes=(finding.path,)))
                    self.findings[path] = new
                    listed.add(path)
                elif new is None and before is not None:
                    del self.findings[path]
            waiting = [path for path in waiting if path in self.findings]
            waiting = sorted({*waiting, *listed}, key=self.places.key)

    def _ordered(self) -> list[Finding]:
        return sorted(self.findings.values(), key=lambda f: self.places.key(f.path))

    def _renew(self) -> None:
        """Judge again what meets operands of other sizes in the model as it is chosen so far."""
        faults = (path for path, _ in self.model.faults_of_all())
        for path in sorted({*self.findings, *faults}, key=self.places.key):
            self.model.base.finish()
            before = self.findings.get(path)
            if before is None:
                new = self.reexamine(self.model.base, path)
                if new is None or new.severity is not Severity.ERROR:
                    continue
            elif self._as_before(self.model.base, before, claims=before.chosen is None):
                continue
            else:
                new = self.reexamine(self.model.base, path)
            if new is not None:
                self.findings[path] = new
            else:
                del self.findings[path]
            self.model.adopt([path])

    def _as_before(self, inference: Inference, finding: Finding, claims: bool = False) -> bool:
        """True where the operands have the sizes that they had when the finding was made, and by the same claims."""
        *above, name = finding.path
        contexts = [taken for item in inference.at(tuple(above)) if (taken := item.taken(name)) is not None]
        if not contexts and not above:
            return True
        before = [o.value for o in finding.operands]

        def alike(values: Sequence[Value]) -> bool:
            same_sizes = [value.sizes for value in values] == [value.sizes for value in before]
            return same_sizes and not (claims and [v.claimed for v in values] != [v.claimed for v in before])

        return any(map(alike, contexts))

    def _groups(self, undecided: Sequence[Finding]) -> list[list[Finding]]:
        """The findings in groups that have to be decided together: those whose readings reach the same nodes."""
        groups: nx.utils.UnionFind[Path] = nx.utils.UnionFind(f.path for f in undecided)
        first: dict[str, Path] = {}
        for finding in undecided:
            reach = set(self.places.enclosing(finding.path))
            results = _by_sizes(finding.candidates)
            if len(undecided) > 1 and 1 < len(results) <= _MAX_RESULTS and not self.model.is_spent:
                for readings in results:
                    reach.update(self.model.suppose({finding.path: override(readings[0])}).again)
            for name in reach:
                groups.union(first.setdefault(name, finding.path), finding.path)
        members: dict[Path, list[Finding]] = {}
        for finding in undecided:
            members.setdefault(groups[finding.path], []).append(finding)
        return list(members.values())

    # -- one group -----------------------------
    def _settle(self, group: Sequence[Finding], found: Search) -> bool:
        """Decide a group; True where every finding of it that still is one has a choice."""
        if found.capped is not None:
            for finding in group:
                finding.note("not-searched", limit=found.capped)
            return False
        if not found.answers:
            for finding in group:
                self.unsatisfiable.add(finding.path)
                if finding.candidates and found.fault() is not None:
                    finding.note("no-reading-runs", fault=found.fault())
            return False
        answer = self._best(found.answers)
        if answer is None:
            self._tie(found.answers)
            return False
        against = self._stated_against(answer, found.answers)
        if against is not None:
            for path, (finding, _) in answer.readings.items():
                reason = remark("recorded-otherwise", fault=against)
                refuse(finding, stages.FILE_AGAINST, answer.best()[path], reason)
                self.findings.setdefault(path, finding)
            return False
        for finding in group:
            if finding.path not in answer.readings:
                del self.findings[finding.path]
        for path, (finding, readings) in answer.readings.items():
            self.findings[path] = finding
            self._take(finding, readings, found, answer)
        self.model.adopt([f.path for f in group])
        return all(f.chosen is not None for f, _ in answer.readings.values())

    def _take(self, finding: Finding, readings: Sequence[Candidate], found: Search, answer: Answer) -> None:
        """Choose among the readings of one multiply that an answer leaves."""
        alive = {
            id(c) for a in found.answers if finding.path in a.readings for c in a.readings[finding.path][1]
        }
        for candidate in finding.candidates:
            seen = found.ruled_out.get(id(candidate)) or found.fault()
            if seen is not None and id(candidate) not in alive:
                candidate.evidence = [
                    *candidate.evidence,
                    f"against: what follows cannot run with it: at {seen}",
                ]
        fault = found.fault()
        placed = [c for c in readings if not c.needs_evidence]
        if not placed:
            asked = self._asks(finding, answer)
            if asked is None:
                return
            fault = fault or asked
        pool = placed or list(readings)
        best = _alone(pool)
        if best is not None and (fault is not None or answer.because is not None):
            stage = stages.DOWNSTREAM if answer.because is None else stages.CONFLICTS
            rivals = tuple(c for c in finding.candidates if c is not best)
            along = tuple(p for p in answer.readings if p != finding.path)
            self._choose(finding, Decision(stage, best, rivals, fault=answer.because or fault, nodes=along))
        elif best is None:
            self._by_conflicts(finding, pool)

    def _choose(self, finding: Finding, decision: Decision) -> None:
        """What the file claims of a multiply that is decided by now is no claim any more."""
        claims = {o.value.claimed for o in finding.operands} - {None}
        decided = {f.path[-1] for f in self.findings.values() if f.chosen is not None} if claims else set()
        choose(finding, decision, decided)

    def _asks(self, finding: Finding, answer: Answer) -> FaultAt | None:
        """The fault that follows where the result stays what its first operand is: what asks for a sum or a rank."""
        readings = {p: override(c) for p, c in answer.best().items()}
        members = list(answer.readings)
        with_it = self._problems(readings, members)[1]
        without = self._problems({**readings, finding.path: _first_operand}, members)[1]
        others = without.keys() - with_it.keys() - {finding.path}
        return next((FaultAt(p, t) for p, t in without.items() if p in others), None)

    def _by_conflicts(self, finding: Finding, pool: Sequence[Candidate]) -> None:
        """Among readings that tie, take the one that leaves the fewest contradictions."""
        top = max(c.rank for c in pool)
        rivals = [c for c in pool if c.rank == top]
        if not len({_result(c) for c in rivals}) > 1 or len(rivals) > _MAX_RESULTS:
            return
        if not self.model.affords(len(rivals)):
            finding.note("readings-not-tried", limit=self.model.spent())
            return
        found = [(self._contradictions({finding.path: override(c)}), c) for c in rivals]
        fewest, best = min(found, key=lambda pair: pair[0].number)
        others = [other for other, c in found if c is not best]
        if all(other.number > fewest.number for other in others):
            fault = others[0].beyond(fewest)
            others_of = tuple(c for c in rivals if c is not best)
            self._choose(finding, Decision(stages.CONFLICTS, best, others_of, fault=fault))

    def _best(self, answers: Sequence[Answer]) -> Answer | None:
        """The answer that no other is above; of several such, the one that leaves the fewest contradictions."""
        left = [a for a in answers if not any(_above(b, a) for b in answers)]
        if len(left) > 1 and self.model.affords(len(left)):
            readings = [{p: override(c) for p, c in a.best().items()} for a in left]
            found = [self._contradictions(each) for each in readings]
            fewest = min(found, key=lambda each: each.number)
            left = [a for a, each in zip(left, found, strict=True) if each.number == fewest.number]
            if len(left) == 1:
                other = next(each for each in found if each is not fewest)
                left[0].because = other.beyond(fewest)
        return left[0] if len(left) == 1 else None

    def _stated_against(self, best: Answer, answers: Sequence[Answer]) -> FaultAt | None:
        """What the file states besides its graph that agrees with another answer, and not with the best one."""
        mine = self._disagreements(best) if len(answers) > 1 else {}
        others = [self._disagreements(a) for a in answers if a is not best] if mine else []
        fewer = min(others, key=len, default=mine)
        if len(fewer) >= len(mine):
            return None
        path = min(mine.keys() - fewer.keys())
        return FaultAt(path, mine[path])

    def _disagreements(self, answer: Answer) -> dict[Path, str]:
        readings = {path: override(candidate) for path, candidate in answer.best().items()}
        return disagreements(self.model.suppose(readings, list(readings)))

    def _tie(self, answers: Sequence[Answer]) -> None:
        """Two answers or more: name them at every multiply."""
        readings = [answer.best() for answer in answers]
        for path, (finding, _) in answers[0].readings.items():
            first, *others = [each[path] for each in readings if path in each]
            rivals = tuple({id(c): c for c in others if c is not first}.values())
            along = tuple(p for p in readings[0] if p != path)
            details = {"answers": readings}
            finding.decide(Decision(stages.JOINT_TIE, first, rivals, nodes=along, details=details))
            self.findings.setdefault(path, finding)

    # -- the search -----------------------------
    def _search(self, group: Sequence[Finding]) -> Search:
        """Every choice of readings that leaves no fault. What is a fault whatever is chosen is left out of account."""
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
        """Suppose one more reading after those that are taken, and go on as long as no fault is left behind."""
        if self.model.is_spent:
            found.capped = self.model.spent()
        if len(found.answers) >= _MAX_ANSWERS:
            found.capped = remark("most-answers", answers=_MAX_ANSWERS)
        if found.capped is not None:
            return
        without = {name for name in names if name not in taken}
        readings = {path: override(group[0]) for path, (_, group) in taken.items()}
        inference, every = self._problems(readings, names)
        faults = {p: text for p, text in every.items() if p not in ignored}
        following = self._next(inference, faults, taken, without)
        open_ = {following.path, *without} if following is not None else without
        left = {p: t for p, t in faults.items() if p not in open_}
        if left:
            later = self.places.below(open_)
            left = {p: t for p, t in left.items() if later.isdisjoint(self.places.enclosing(p))}
        if left:
            found.dead.append(left)
            path, text = next(iter(left.items()))
            for candidate in list(taken.values())[-1][1] if taken else ():
                found.ruled_out.setdefault(id(candidate), FaultAt(path, text))
            return
        if following is None:
            found.answers.append(Answer(taken))
            return
        groups = _by_sizes(following.candidates)
        if not groups:
            found.dead.append({following.path: following.message})
        if len(groups) > _MAX_RESULTS:
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
        """The first multiply that still has to be read, with the operands that it now has."""
        for path in sorted({*faults, *without} - {*taken}, key=self.places.key):
            before = self.findings.get(path)
            if before is not None and self._as_before(inference, before):
                if path in without:
                    return before
                continue
            finding = self.reexamine(inference, path)
            if finding is not None and finding.severity is Severity.ERROR:
                return finding
        return None

    # -- inferences -----------------------------
    def _problems(
        self, readings: Mapping[Path, Override], members: Collection[Path]
    ) -> tuple[Inference, dict[Path, str]]:
        """What cannot run at the members of a group and below them, faults that are found already left out."""
        inference, every = self.model.faults(readings, members)
        faults = {
            path: text
            for path, text in every.items()
            if path in members or not self._is_apart(inference, path)
        }
        return inference, faults

    def _is_apart(self, inference: Inference, path: Path) -> bool:
        """True for a fault that stands, undecided, whatever the readings are that were supposed."""
        finding = self.findings.get(path)
        return finding is not None and finding.chosen is None and self._as_before(inference, finding)

    def _contradictions(self, readings: Mapping[Path, Override]) -> Contradictions:
        """What speaks against readings in the whole model."""
        inference = self.model.suppose(readings)
        self.model.budget -= len(self.graph.nodes)
        axes = {
            (*prefix, name): messages
            for prefix, item in inference.walk()
            for name, messages in item.conflicts.items()
        }
        return Contradictions(axes, disagreements(inference))

    # -- choices that lead nowhere -----------------------------
    def _reconsider(self) -> None:
        """Look again at choices above a fault, together with what is undecided there: others may leave none."""
        revisable = [f.path for f in self.findings.values() if _has_others(f)]
        if not revisable:
            return
        broken = {path for path, _ in self.model.faults_of_all()} | self.unsatisfiable
        above = self.places.nearest_above(revisable, _MAX_RECONSIDERED + 2)
        for path in sorted(broken, key=self.places.key):
            finding = self.findings.get(path)
            if finding is not None and finding.chosen is not None:
                continue
            paths = dict.fromkeys(
                p for name in self.places.enclosing(path) for p in above.get(name, ()) if p != path
            )
            before_it = [f for p in paths if (f := self.findings.get(p)) is not None and _has_others(f)]
            if not before_it:
                continue
            if len(before_it) > _MAX_RECONSIDERED:
                if finding is not None:
                    finding.note("many-choices-above")
                continue
            self._revise([*before_it, finding] if finding is not None else before_it)

    def _revise(self, group: Sequence[Finding]) -> None:
        """Decide some findings anew, together; what is no better stays as it was."""
        before = {f.path: (f, f.decision) for f in group}
        reopened = {}
        for member in group:
            reopened[member.path] = Decision(stages.REOPENED, member.choice, before=member.decision)
            member.decide(reopened[member.path])
        self.model.adopt(list(before))
        found = self._search(group)
        settled = self._settle(group, found)
        for path, (member, decision) in before.items():
            now = self.findings.get(path)
            choice = decision.choice
            if not settled:
                self.findings[path] = member
                if choice is None or not _is_excluded(path, choice, found):
                    member.decide(decision)
                    continue
                choice.applicability = Applicability.UNSAFE
                if member.decision is reopened[path]:
                    refuse(member, stages.REFUTED, choice, remark("cannot-run", fault=found.fault()))
            elif now is member and member.choice is choice:
                member.decide(decision)
        self.model.adopt(list(before))


def _is_excluded(node: Path, choice: Candidate, found: Search) -> bool:
    """True where other readings of a node leave no fault, and this one does."""
    left = [a.readings[node][1] for a in found.answers if node in a.readings]
    return bool(left) and all(choice.plan != candidate.plan for group in left for candidate in group)


def _orders(output: Sequence[Size]) -> Iterator[tuple[int, ...]]:
    """The other orders of a result's axes, the batch first, that leave its shape what it is."""
    straight = tuple(range(1, len(output)))
    for order in itertools.permutations(straight) if len(output) <= _MAX_RANK else ():
        if order != straight and all(output[i] == output[k] for i, k in zip(order, straight, strict=True)):
            yield order


def _turned(candidate: Candidate, order: Sequence[int]) -> Override:
    """The result of a reading with its axes but the batch in another order."""
    straight = override(candidate)

    def result(call: Call) -> tuple[Axis, ...] | None:
        axes = straight(call)
        return None if axes is None else (axes[0], *(axes[i] for i in order))

    return result


def _first_operand(call: Call) -> tuple[Axis, ...]:
    return known(call.inputs[0])


def _is_open(finding: Finding) -> bool:
    """True for a fault with readings between which nothing decides yet."""
    return finding.chosen is None and bool(finding.candidates) and not finding.candidates[0].match.assumed


def _has_others(finding: Finding) -> bool:
    """True for a choice in whose place another one would give another shape."""
    return finding.chosen is not None and len(_by_sizes(finding.candidates)) > 1


def _by_sizes(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """The readings in groups that give a result of one shape: what follows cannot tell those of a group apart."""
    groups: dict[object, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.plan.output, []).append(candidate)
    return list(groups.values())


def _result(candidate: Candidate) -> tuple[object, ...]:
    """The axes of the result, by identity where they are an operand's."""
    own = {id(a.origin) for axes in candidate.match.operands for a in axes}
    return tuple((a.size, id(a.origin) in own and id(a.origin)) for a in candidate.match.output())


def _standing(candidate: Candidate) -> tuple[bool, tuple[int, ...]]:
    return not candidate.needs_evidence, candidate.rank


def _above(a: Answer, b: Answer) -> bool:
    """True where an answer stands above another at some multiply and below it at none."""
    both = [(_standing(c), _standing(b.best()[p])) for p, c in a.best().items() if p in b.readings]
    return all(x >= y for x, y in both) and any(x > y for x, y in both)


def _alone(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate that stands strictly above the others."""
    best = max(candidates, key=lambda c: c.rank)
    return None if any(c.rank >= best.rank for c in candidates if c is not best) else best
