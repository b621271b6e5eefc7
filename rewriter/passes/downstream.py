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

from ..ir.axis import Axis
from ..ir.graph import Graph
from ..ir.size import Size
from ..shapes.call import Call, known
from ..shapes.infer import Inference, Override, infer, infer_again
from ..shapes.stated import disagreements
from .candidates import matches, must_be_asked_for
from .finding import Applicability, Candidate, Finding, Severity
from .places import Places
from .resolve import choose, claim_text

# The finding of one node in an inference, None where nothing is wrong with it.
Look = Callable[[Inference, str], Finding | None]

_MAX_RESULTS = 16
# How many nodes may be inferred again: so many models, and at least so many. How many answers are compared.
_MAX_MODELS = 48
_MIN_NODES = 40_000
_MAX_ANSWERS = 64
_MAX_RECONSIDERED = 8
_MAX_SUPPOSED = 16
_MAX_RANK = 5

Readings = dict[str, tuple[Finding, list[Candidate]]]


@dataclass(slots=True)
class Answer:
    """Readings of several multiplies that leave no fault, by node: the finding, and those that give one result.

    ``because`` says what decided for it where others leave no fault either and stand as high.
    """

    readings: Readings
    because: str = ""

    def best(self) -> dict[str, Candidate]:
        return {path: max(group, key=_standing) for path, (_, group) in self.readings.items()}


@dataclass(slots=True)
class Search:
    """What a search came to.

    ``dead`` holds the faults of each branch that was left, ``ruled_out`` the fault that a reading led to, by its id.
    ``capped`` says what kept the search from an end, or is "".
    """

    answers: list[Answer] = field(default_factory=list)
    dead: list[dict[str, str]] = field(default_factory=list)
    ruled_out: dict[int, str] = field(default_factory=dict)
    capped: str = ""

    def fault(self) -> str:
        return next((f"{path!r}: {text}" for dead in self.dead for path, text in dead.items()), "")


@dataclass(slots=True)
class Contradictions:
    """What speaks against readings, by node: axes that are taken for something else, and what the file states besides.

    The second is weaker: it only counts between readings that leave as many of the first.
    """

    axes: dict[str, list[str]]
    stated: dict[str, str]

    @property
    def number(self) -> tuple[int, int]:
        return sum(map(len, self.axes.values())), len(self.stated)

    def beyond(self, other: Contradictions) -> str:
        """The first one that the other lacks, in words."""
        return next(
            (f"at {p!r}: {t[0]}" for p, t in sorted(self.axes.items()) if t != other.axes.get(p)),
            next((f"at {p!r}: {t}" for p, t in sorted(self.stated.items()) if t != other.stated.get(p)), ""),
        )


class Trials:
    """Supposes readings of a model's multiplies, within a budget of nodes that are inferred again.

    ``base`` is the model with everything that is chosen; it is inferred again in parts, and speaks of sizes only.
    """

    def __init__(self, graph: Graph, findings: Sequence[Finding], look: Look) -> None:
        self.graph = graph
        self.look = look
        self.findings = {f.node: f for f in findings}
        self.budget = self.limit = max(_MIN_NODES, _MAX_MODELS * len(graph.nodes))
        self.stuck: set[str] = set()
        self.places = Places(graph)
        self.base = infer(graph, self._chosen())

    # -- all of them -----------------------------
    def decide(self) -> list[Finding]:
        """Choose among the readings of undecided multiplies by what follows them, and return the findings.

        A multiply that has other operands once those above it are decided is judged by them. A choice that leaves
        no answer downstream is looked at again, together with what it leaves so.
        """
        self._renew()
        for group in self._groups([f for f in self._ordered() if _is_open(f)]):
            self._settle(group, self._search(group))
        self._renew()
        self._reconsider()
        self._renew()
        self._withdraw_claims()
        self._withdraw_turned()
        self._list_below()
        return list(self.findings.values())

    def _withdraw_claims(self) -> None:
        """Take back what rests on a claim of the file even with everything that is chosen."""
        supposed = self.supposed()
        for finding in self.findings.values():
            call = supposed.calls.get(finding.node)
            claimed = next((v.claimed for v in call.inputs if v.claimed), None) if call is not None else None
            if finding.choice is not None and claimed:
                finding.choice.applicability = Applicability.UNSAFE
                finding.chosen, finding.why = None, claim_text(finding.choice, claimed)

    def _withdraw_turned(self) -> None:
        """Take back a choice where what follows takes the axes of the result in another order than they have.

        Its operands fit each other then, but both are turned: no reading of the product alone mends that.
        """
        if all(f.choice is None for f in self.findings.values()):
            return
        left = self._contradictions({})
        for finding in self.findings.values():
            choice = finding.choice
            reached = self.places.below(finding.node)
            if choice is None or not any(top in reached for p in left.axes for top in self.places.tops(p)):
                continue
            for order in _orders(choice.plan.output):
                if self.budget < len(self.graph.nodes):
                    finding.why += f"; not every order of the result's axes was tried: {self._spent()}"
                    break
                turned = self._contradictions({finding.node: _turned(choice, order)})
                if turned.number < left.number:
                    choice.applicability = Applicability.UNSAFE
                    finding.chosen = None
                    finding.why = (
                        f"{choice.rule} fits best, but the axes of its result stand in another order than "
                        f"what follows takes them in: {left.beyond(turned)}"
                    )
                    break

    def _list_below(self) -> None:
        """List the readings of what follows an open multiply on the result that it has in each of its own readings.

        Nothing is chosen there: which of them it is can matter.
        """
        supposed: dict[str, Override] = {}
        waiting = [f.node for f in self._ordered() if f.chosen is None]
        while waiting and len(supposed) < _MAX_SUPPOSED and self.budget > 0:
            finding = self.findings[waiting.pop(0)]
            alike = [c for c in finding.candidates if c.rank[0] == finding.candidates[0].rank[0]]
            if len(_by_sizes(alike)) != 1 or alike[0].match.assumed:
                continue
            supposed[finding.node] = override(alike[0])
            inference, _ = self._suppose(supposed)
            listed = set()
            for path in sorted({*self.findings, *inference.faults}, key=self.places.key):
                before = self.findings.get(path)
                known = before is not None and self._as_before(inference, before)
                if known or not self.places.reaches(finding.node, path):
                    continue
                new = self.look(inference, path)
                if new is not None and new.severity is Severity.ERROR:
                    if new.choice is not None:
                        new.choice.applicability = Applicability.UNSAFE
                    new.chosen, new.follows = None, finding.node
                    new.why = f"{finding.node!r}, which it follows, is not decided; each reading of it gives this shape"
                    self.findings[path] = new
                    listed.add(path)
                elif new is None and before is not None:
                    del self.findings[path]
            waiting = [path for path in waiting if path in self.findings]
            waiting = sorted({*waiting, *listed}, key=self.places.key)

    def supposed(self) -> Inference:
        """The model as it would be with everything that is chosen."""
        return infer(self.graph, self._chosen())

    def _chosen(self) -> dict[str, Override]:
        return overrides(self.findings.values())

    def _ordered(self) -> list[Finding]:
        return sorted(self.findings.values(), key=lambda f: self.places.key(f.node))

    def _renew(self) -> None:
        """Judge again what meets operands of other sizes in the model as it is chosen so far."""
        for path in sorted({*self.findings, *self.base.faults}, key=self.places.key):
            before = self.findings.get(path)
            if before is None:
                new = self.look(self.base, path)
                if new is None or new.severity is not Severity.ERROR:
                    continue
            elif self._as_before(self.base, before):
                continue
            else:
                new = self.look(self.base, path)
            if new is not None:
                self.findings[path] = new
            else:
                del self.findings[path]
            self.base, _ = self._suppose({}, at=[path])

    def _as_before(self, inference: Inference, finding: Finding) -> bool:
        """True where the operands have the sizes that they had when the finding was made, by the same claims."""
        call = inference.calls.get(finding.node)
        if call is not None:
            values = call.inputs
        elif "/" in finding.node:
            now = self.look(inference, finding.node)
            values = [o.value for o in now.operands] if now is not None else []
        else:
            return True
        before = [(o.value.sizes, o.value.claimed) for o in finding.operands]
        return [(value.sizes, value.claimed) for value in values] == before

    def _groups(self, undecided: Sequence[Finding]) -> list[list[Finding]]:
        """The findings in groups that have to be decided together: those whose readings reach the same nodes."""
        groups: list[tuple[set[str], list[Finding]]] = []
        for finding in undecided:
            reach = set(self.places.tops(finding.node))
            results = _by_sizes(finding.candidates)
            if len(undecided) > 1 and 1 < len(results) <= _MAX_RESULTS and self.budget > 0:
                for readings in results:
                    reach.update(self._suppose({finding.node: override(readings[0])})[1])
            together = [g for g in groups if g[0] & reach]
            groups = [g for g in groups if not g[0] & reach]
            members = [f for g in together for f in g[1]]
            groups.append((reach.union(*(g[0] for g in together)), [*members, finding]))
        return [members for _, members in groups]

    # -- one group -----------------------------
    def _settle(self, group: Sequence[Finding], found: Search) -> bool:
        """Decide a group; True where every finding of it that still is one has a choice."""
        if found.capped:
            for finding in group:
                finding.why += f"; what follows was not searched to the end: {found.capped}"
            return False
        if not found.answers:
            for finding in group:
                self.stuck.add(finding.node)
                if finding.candidates and found.fault():
                    finding.why += f"; no reading leaves what follows without a fault: at {found.fault()}"
            return False
        answer = self._best(found.answers)
        if answer is None:
            self._tie(found.answers)
            return False
        against = self._stated_against(answer, found.answers)
        if against:
            for path, (finding, _) in answer.readings.items():
                finding.why = f"{answer.best()[path].rule} fits best, but {against}"
                self.findings.setdefault(path, finding)
            return False
        for finding in group:
            if finding.node not in answer.readings:
                del self.findings[finding.node]
        for path, (finding, readings) in answer.readings.items():
            self.findings[path] = finding
            self._take(finding, readings, found, answer)
        self.base, _ = self._suppose({}, at=[f.node for f in group])
        return all(f.chosen is not None for f, _ in answer.readings.values())

    def _take(self, finding: Finding, readings: Sequence[Candidate], found: Search, answer: Answer) -> None:
        """Choose among the readings of one multiply that an answer leaves."""
        alive = {
            id(c) for a in found.answers if finding.node in a.readings for c in a.readings[finding.node][1]
        }
        for candidate in finding.candidates:
            text = found.ruled_out.get(id(candidate)) or found.fault()
            if text and id(candidate) not in alive:
                candidate.evidence = [
                    *candidate.evidence,
                    f"against: what follows cannot run with it: at {text}",
                ]
        fault = found.fault()
        placed = [c for c in readings if not must_be_asked_for(c)]
        if not placed:
            asked = self._asks(finding, answer)
            if not asked:
                return
            fault = fault or asked
        pool = placed or list(readings)
        best = _alone(pool)
        if best is not None and (fault or answer.because):
            others = [repr(p) for p in answer.readings if p != finding.node]
            along = f" (decided together with {', '.join(others)})" if others else ""
            decided = answer.because or f"what follows rules the other readings out: at {fault}"
            self._choose(finding, best, f"{decided}{along}")
        elif best is None:
            self._by_conflicts(finding, pool)

    def _choose(self, finding: Finding, candidate: Candidate, why: str) -> None:
        """What the file claims of a multiply that is decided by now is no claim any more."""
        decided = {f.node.rpartition("/")[2] for f in self.findings.values() if f.chosen is not None}
        choose(finding, candidate, why, decided)

    def _asks(self, finding: Finding, answer: Answer) -> str:
        """The fault that follows where the result stays what its first operand is: what asks for a sum or a rank."""
        readings = {p: override(c) for p, c in answer.best().items()}
        members = list(answer.readings)
        with_it = self._problems(readings, members)[1]
        without = self._problems({**readings, finding.node: _first_operand}, members)[1]
        return next((f"{p!r}: {t}" for p, t in without.items() if p not in with_it and p != finding.node), "")

    def _by_conflicts(self, finding: Finding, pool: Sequence[Candidate]) -> None:
        """Among readings that tie, take the one that leaves the fewest contradictions."""
        top = max(c.rank for c in pool)
        rivals = [c for c in pool if c.rank == top]
        if not len({_result(c) for c in rivals}) > 1 or len(rivals) > _MAX_RESULTS:
            return
        if self.budget < len(rivals) * len(self.graph.nodes):
            finding.why += f"; the readings were not all tried on the rest of the model: {self._spent()}"
            return
        found = [(self._contradictions({finding.node: override(c)}), c) for c in rivals]
        fewest, best = min(found, key=lambda pair: pair[0].number)
        others = [other for other, c in found if c is not best]
        if all(other.number > fewest.number for other in others):
            why = f"the other readings leave a contradiction: {others[0].beyond(fewest)}"
            self._choose(finding, best, why)

    def _best(self, answers: Sequence[Answer]) -> Answer | None:
        """The answer that no other is above; of several such, the one that leaves the fewest contradictions."""
        left = [a for a in answers if not any(_above(b, a) for b in answers)]
        if len(left) > 1 and self.budget >= len(left) * len(self.graph.nodes):
            readings = [{p: override(c) for p, c in a.best().items()} for a in left]
            found = [self._contradictions(each) for each in readings]
            fewest = min(found, key=lambda each: each.number)
            left = [a for a, each in zip(left, found, strict=True) if each.number == fewest.number]
            if len(left) == 1:
                other = next(each for each in found if each is not fewest)
                left[0].because = f"the other readings leave a contradiction: {other.beyond(fewest)}"
        return left[0] if len(left) == 1 else None

    def _stated_against(self, best: Answer, answers: Sequence[Answer]) -> str:
        """What the file states besides its graph that agrees with another answer, and not with the best one."""
        mine = self._disagreements(best) if len(answers) > 1 else {}
        others = [self._disagreements(a) for a in answers if a is not best] if mine else []
        fewer = min(others, key=len, default=mine)
        if len(fewer) >= len(mine):
            return ""
        path = min(mine.keys() - fewer.keys())
        return f"at {path!r}: {mine[path]}; with another reading it takes that"

    def _disagreements(self, answer: Answer) -> dict[str, str]:
        readings = {path: override(candidate) for path, candidate in answer.best().items()}
        return disagreements(self._suppose(readings, list(readings))[0])

    def _tie(self, answers: Sequence[Answer]) -> None:
        """Two answers or more: name them at every multiply."""
        names = [
            " with ".join(f"{c.equation} at {path!r}" for path, c in a.best().items()) for a in answers[:2]
        ]
        more = f" (and {len(answers) - 2} more)" if len(answers) > 2 else ""
        for path, (finding, _) in answers[0].readings.items():
            joint = "a joint tie" if len(answers[0].readings) > 1 else "a tie"
            finding.why = f"{joint}: {' or '.join(names)}{more}: what follows can go on with either"
            self.findings.setdefault(path, finding)

    # -- the search -----------------------------
    def _search(self, group: Sequence[Finding]) -> Search:
        """Every choice of readings that leaves no fault. What is a fault whatever is chosen is left out of account."""
        names = {f.node for f in group}
        found = Search()
        self._extend({}, names, frozenset(), found)
        if not found.answers and found.dead and not found.capped:
            unavoidable = set.intersection(*(set(dead) for dead in found.dead)) - names
            if unavoidable:
                again = Search()
                self._extend({}, names, unavoidable, again)
                return again if again.answers or again.capped else found
        return found

    def _extend(
        self, taken: Readings, names: Collection[str], ignored: Collection[str], found: Search
    ) -> None:
        """Suppose one more reading after those that are taken, and go on as long as no fault is left behind."""
        if self.budget <= 0:
            found.capped = self._spent()
        if len(found.answers) >= _MAX_ANSWERS:
            found.capped = f"there are {_MAX_ANSWERS} answers and more"
        if found.capped:
            return
        without = {name for name in names if name not in taken}
        readings = {path: override(group[0]) for path, (_, group) in taken.items()}
        inference, every = self._problems(readings, names)
        faults = {p: text for p, text in every.items() if p not in ignored}
        following = self._next(inference, faults, taken, without)
        open_ = {following.node, *without} if following is not None else without
        later = set().union(*(self.places.below(path) for path in open_))
        left = {
            p: t
            for p, t in faults.items()
            if p not in open_ and not any(n in later for n in self.places.tops(p))
        }
        if left:
            found.dead.append(left)
            path, text = next(iter(left.items()))
            for candidate in list(taken.values())[-1][1] if taken else ():
                found.ruled_out.setdefault(id(candidate), f"{path!r}: {text}")
            return
        if following is None:
            found.answers.append(Answer(taken))
            return
        groups = _by_sizes(following.candidates)
        if not groups:
            found.dead.append({following.node: following.message})
        if len(groups) > _MAX_RESULTS:
            found.capped = f"{following.node!r} has readings with {len(groups)} different results"
            return
        for readings_of_one in groups:
            self._extend({**taken, following.node: (following, readings_of_one)}, names, ignored, found)

    def _next(
        self, inference: Inference, faults: Collection[str], taken: Collection[str], without: Collection[str]
    ) -> Finding | None:
        """The first multiply that still has to be read, with the operands that it now has."""
        for path in sorted({*faults, *without} - {*taken}, key=self.places.key):
            before = self.findings.get(path)
            if before is not None and self._as_before(inference, before):
                if path in without:
                    return before
                continue
            finding = self.look(inference, path)
            if finding is not None and finding.severity is Severity.ERROR and finding.node == path:
                return finding
        return None

    # -- inferences -----------------------------
    def _suppose(
        self, readings: Mapping[str, Override], without: Collection[str] = (), at: Collection[str] = ()
    ) -> tuple[Inference, list[str]]:
        """The model with these readings, and without the choices at some nodes; and what was inferred again."""
        chosen = {path: o for path, o in self._chosen().items() if path not in without}
        tops = {top for path in (*readings, *without, *at) for top in self.places.tops(path)}
        inference, again = infer_again(self.base, {**chosen, **readings}, tops)
        self.budget -= len(again) + 1
        return inference, again

    def _problems(
        self, readings: Mapping[str, Override], members: Collection[str]
    ) -> tuple[Inference, dict[str, str]]:
        """What cannot run at the members of a group and below them, faults that are found already left out."""
        inference, again = self._suppose(readings, members)
        anew = set(again)
        reach = set().union(
            *(self.places.below(path) for path in members), *(self.places.tops(path) for path in members)
        )
        names = [name for name in (*inference.faults, *inference.inner) if name in reach]
        faults = {
            path: text
            for path, text in _faults(inference, dict.fromkeys(names))
            if path in members or not self._is_apart(inference, path, anew)
        }
        return inference, faults

    def _is_apart(self, inference: Inference, path: str, anew: Collection[str]) -> bool:
        """True for a fault that stands, undecided, whatever the readings are that were supposed."""
        finding = self.findings.get(path)
        if finding is None or finding.chosen is not None:
            return False
        return not any(top in anew for top in self.places.tops(path)) or self._as_before(inference, finding)

    def _contradictions(self, readings: Mapping[str, Override]) -> Contradictions:
        """What speaks against readings in the whole model."""
        self.budget -= len(self.graph.nodes)
        inference = infer(self.graph, {**self._chosen(), **readings})
        axes = {
            prefix + name: messages
            for prefix, item in inference.walk()
            for name, messages in item.conflicts.items()
        }
        return Contradictions(axes, disagreements(inference))

    def _spent(self) -> str:
        return f"{self.limit - self.budget} nodes were inferred again, which is the most"

    # -- choices that lead nowhere -----------------------------
    def _reconsider(self) -> None:
        """Look again at choices above a fault, together with what is undecided there: others may leave none."""
        broken = {path for path, _ in _faults(self.base, self.graph.order)} | self.stuck
        for path in sorted(broken, key=self.places.key):
            finding = self.findings.get(path)
            if finding is not None and finding.chosen is not None:
                continue
            above = [f for f in self._ordered() if _has_others(f) and self.places.reaches(f.node, path)]
            if not above:
                continue
            if len(above) > _MAX_RECONSIDERED:
                if finding is not None:
                    finding.why += f"; {len(above)} choices above it were not looked at again together"
                continue
            group = [*above, finding] if finding is not None else above
            before = {f.node: (f, f.chosen, f.why) for f in group}
            for member in group:
                member.chosen = None
            self.base = self.supposed()
            found = self._search(group)
            settled = self._settle(group, found)
            for node, (member, chosen, why) in before.items():
                now = self.findings.get(node)
                if not settled:
                    self.findings[node] = member
                    choice = None if chosen is None else member.candidates[chosen]
                    if choice is None or not _is_excluded(node, choice, found):
                        member.chosen, member.why = chosen, why
                        continue
                    choice.applicability = Applicability.UNSAFE
                    if member.why == why:
                        member.why = (
                            f"{choice.rule} fits best, but what follows cannot run with it: at {found.fault()}; "
                            "nothing tells the others apart"
                        )
                elif now is member and member.chosen == chosen:
                    member.why = why
            self.base = self.supposed()


def _is_excluded(node: str, choice: Candidate, found: Search) -> bool:
    """True where other readings of a node leave no fault, and this one does."""
    left = [a.readings[node][1] for a in found.answers if node in a.readings]
    return bool(left) and all(choice.plan != candidate.plan for group in left for candidate in group)


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
    own = {id(a.origin.root()) for axes in candidate.match.operands for a in axes}
    return tuple(
        (a.size, id(a.origin.root()) in own and id(a.origin.root())) for a in candidate.match.output()
    )


def _standing(candidate: Candidate) -> tuple[bool, tuple[int, ...]]:
    return not must_be_asked_for(candidate), candidate.rank


def _above(a: Answer, b: Answer) -> bool:
    """True where an answer stands above another at some multiply and below it at none."""
    both = [(_standing(c), _standing(b.best()[p])) for p, c in a.best().items() if p in b.readings]
    return all(x >= y for x, y in both) and any(x > y for x, y in both)


def _alone(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate that stands strictly above the others."""
    best = max(candidates, key=lambda c: c.rank)
    return None if any(c.rank >= best.rank for c in candidates if c is not best) else best


def _faults(inference: Inference, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What cannot run at these nodes of the outermost model, and in the models below them."""
    for name in names:
        if name in inference.faults:
            yield name, inference.faults[name]
        for path, below in inference.inner.get(name, ()):
            for prefix, item in below.walk(f"{path}/"):
                yield from ((prefix + inner, text) for inner, text in item.faults.items())
