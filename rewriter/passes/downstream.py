"""Downstream: with which readings the rest of the model runs, for one multiply or several together.

A reading is supposed, and the nodes that it reaches are inferred again. A node that then cannot run with its trained
weights rules the reading out. A layer that then uses an axis in another role is evidence against it
(``contradictions``). Multiplies that reach no common node are decided separately, which keeps the number of
combinations low; the others by a ``search`` over their readings together. Choices that leave a fault are then
withdrawn.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import networkx as nx

from ..ir.axis import Axis, Role
from ..ir.graph import Graph, Path
from ..rules.table import Kind as RuleKind
from ..shapes.broadcast import Convention, align, is_fixed, pairs_of
from ..shapes.call import Call, known
from ..shapes.infer import Override
from ..shapes.stated import disagreements
from . import stages
from .candidate import Applicability, Candidate, remark
from .codes import Severity
from .contradictions import contradictions, other_orders, turned
from .decision import Decision, FaultAt
from .find import operand_axes
from .finding import Finding
from .resolve import choose, refuse, take_first
from .search import MAX_RESULTS, Answer, Reexamine, Search, Searcher, by_sizes, standing
from .sites import families, sites_at
from .suppositions import Suppositions, override

_MAX_RECONSIDERED = 8
_MAX_SUPPOSED = 16
# A doubt about the layout of a result, which nodes downstream can remove.
_LAYOUT_DOUBT = "unit-of-layout"


class Trials:
    """Decides between the readings of a model's nodes: supposes each, and infers what is downstream."""

    def __init__(self, graph: Graph, findings: Sequence[Finding], reexamine: Reexamine) -> None:
        self.graph = graph
        self.reexamine = reexamine
        self.findings = {f.path: f for f in findings}
        self.unsatisfiable: set[Path] = set()
        self.model = Suppositions(graph, self.findings)
        self.places = self.model.places
        self.searcher = Searcher(self.model, reexamine)

    # -- all of them -----------------------------
    def decide(self) -> list[Finding]:
        """Decide the undecided findings by downstream evidence, and return all findings.

        A multiply whose operands change once those above it are decided is examined again. A choice that leaves a node
        downstream without a reading is searched again, together with that node.
        """
        self._renew()
        self._decide_open(self._ordered())
        self._renew()
        self._reconsider()
        self._renew()
        self._withdraw_claims()
        self._withdraw_turned()
        self._withdraw_without_batch()
        self._withdraw_fixing()
        self._list_below()
        return list(self.findings.values())

    def _decide_open(self, findings: Sequence[Finding]) -> None:
        for group in self._groups([f for f in findings if _is_open(f)]):
            self._settle(group, self.searcher.search(group))

    def take_first(self) -> list[Finding]:
        """Choose the first reading of each open finding, producers first, and return all findings.

        Nodes whose operand sizes then change are examined again.
        """
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
        """Withdraw choices whose operands rest on a claim of the file, even under all other choices."""
        self.model.base.finish()
        for finding in self.findings.values():
            taken = self.model.base.taken(finding.path[0]) if len(finding.path) == 1 else None
            claimed = next((v.claimed for v in taken or () if v.claimed), None)
            if finding.choice is not None and claimed:
                finding.choice.applicability = Applicability.UNSAFE
                refuse(finding, stages.CLAIMED, finding.choice, remark("claimed", node=claimed))

    def _withdraw_turned(self) -> None:
        """Withdraw a choice where layers downstream take the axes of its result in another order.

        Then its operands fit each other, but both are transposed: no reading of the product alone repairs that.
        """
        if all(f.choice is None for f in self.findings.values()):
            return
        left = contradictions(self.model, {})
        against = {name for path in left.axes for name in self.places.enclosing(path)}
        above = self.places.above(against)
        for finding in self.findings.values():
            choice = finding.choice
            held = self.places.enclosing(finding.path)
            nested = len(finding.path) > 1 and not against.isdisjoint(held)
            reaches = nested or any(not above.isdisjoint(self.graph.nx.successors(name)) for name in held)
            if choice is None or not reaches:
                continue
            for order in other_orders(choice.plan.output):
                if not self.model.affords(1):
                    finding.note("orders-not-tried", limit=self.model.spent())
                    break
                better = contradictions(self.model, {finding.path: turned(choice, order)})
                if better.number < left.number:
                    choice.applicability = Applicability.UNSAFE
                    reason = remark("turned", fault=left.beyond(better))
                    refuse(finding, stages.TURNED, choice, reason)
                    break

    def _withdraw_without_batch(self) -> None:
        """Withdraw a choice that puts the batch behind another axis, where an output of the model then has no batch.

        A node downstream took that axis for the batch, and summed the batch itself.
        """
        moved = [f for f in self.findings.values() if f.choice is not None and _moves_the_batch(f.choice)]
        if not moved:
            return
        inference = self.model.suppose({})
        lost = {
            ref.node
            for ref in self.graph.output_refs()
            if (axes := inference.value(ref).axes) is not None
            and all(axis.role is not Role.BATCH for axis in axes)
        }
        above = self.places.above(lost)
        for finding in moved:
            held = self.places.enclosing(finding.path)
            if finding.choice is not None and not (above | lost).isdisjoint(held):
                finding.choice.applicability = Applicability.UNSAFE
                reason = remark("no-batch", outputs=sorted(lost))
                refuse(finding, stages.TURNED, finding.choice, reason)

    def _withdraw_fixing(self) -> None:
        """Withdraw a choice where a named size of the file has to be a number further down: it gives another shape."""
        for finding in self.findings.values():
            choice = finding.choice
            if choice is None or not self.graph.names:
                continue
            fault = self._fixing_below(finding.path)
            if fault is not None:
                choice.applicability = Applicability.UNSAFE
                refuse(finding, stages.REFUTED, choice, remark("fixes-size", fault=fault))

    def _fixing_below(self, path: Path) -> FaultAt | None:
        """The first node below a multiply where a named size meets a number, under the choices so far."""
        below = self.places.below([path])
        for name in self.graph.order:
            for site in sites_at(self.model.base, (name,), families("all")) if name in below else ():
                if site.path == path or any(value.axes is None for value in site.values):
                    continue
                columns = align(site.convention, operand_axes(site))
                pairs = site.unproven or [pair for column in columns for pair in pairs_of(column)]
                fixed = next((pair for pair in pairs if is_fixed(*pair)), None)
                if fixed is not None:
                    return FaultAt(site.path, f"{fixed[0]} meets {fixed[1]}")
        return None

    def _list_below(self) -> None:
        """List the readings of nodes below an open multiply whose own readings all give one result shape.

        Nothing is chosen there: it can matter which reading of the multiply is right.
        """
        supposed: dict[Path, Override] = {}
        waiting = [f.path for f in self._ordered() if f.chosen is None]
        while waiting and len(supposed) < _MAX_SUPPOSED and not self.model.is_spent:
            finding = self.findings[waiting.pop(0)]
            alike = [c for c in finding.candidates if c.rank.demanded == finding.candidates[0].rank.demanded]
            groups = by_sizes(alike)
            if len(groups) != 1 or groups[0][0].match.assumed:
                continue
            supposed[finding.path] = override(groups[0][0])
            inference = self.model.suppose(supposed)
            below = self.places.below([finding.path])
            faults = dict(inference.faults_at(name for name in self.graph.order if name in below))
            held = [p for p in self.findings if p != finding.path]
            listed = set()
            for path in sorted({*held, *faults} - {finding.path}, key=self.places.key):
                if below.isdisjoint(self.places.enclosing(path)):
                    continue
                before = self.findings.get(path)
                if before is not None and self.searcher.as_before(inference, before):
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
        """Examine again every node whose operand sizes differ under the choices so far."""
        faults = (path for path, _ in self.model.faults_of_all())
        for path in sorted({*self.findings, *faults}, key=self.places.key):
            self.model.base.finish()
            before = self.findings.get(path)
            if before is None:
                new = self.reexamine(self.model.base, path)
                if new is None or new.severity is not Severity.ERROR:
                    continue
            elif self.searcher.as_before(self.model.base, before, claims=before.chosen is None):
                continue
            else:
                new = self.reexamine(self.model.base, path)
            if new is not None:
                self.findings[path] = new
            else:
                del self.findings[path]
            self.model.adopt([path])

    def _groups(self, undecided: Sequence[Finding]) -> list[list[Finding]]:
        """The findings in groups that are decided together: those whose readings reach a common node."""
        groups: nx.utils.UnionFind[Path] = nx.utils.UnionFind(f.path for f in undecided)
        first: dict[str, Path] = {}
        for finding in undecided:
            reach = set(self.places.enclosing(finding.path))
            results = by_sizes(finding.candidates)
            if len(undecided) > 1 and 1 < len(results) <= MAX_RESULTS and not self.model.is_spent:
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
        """Decide a group; True where every finding that remains in it has a choice."""
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
        """Choose between the readings of one multiply that the best answer allows."""
        alive = {
            id(c) for a in found.answers if finding.path in a.readings for c in a.readings[finding.path][1]
        }
        for candidate in finding.candidates:
            seen = found.ruled_out.get(id(candidate)) or found.fault()
            if seen is not None and id(candidate) not in alive:
                candidate.evidence = [
                    *candidate.evidence,
                    f"against: it fails downstream: at {seen}",
                ]
        fault = found.fault()
        placed = [c for c in readings if not c.needs_evidence]
        if not placed and self.graph.names is not None and finding.convention is not Convention.NONE:
            # No exporter of ONNX writes a product of matrices as a Mul.
            readings = [c for c in readings if not c.match.equation.contracted]
            if not readings:
                return
        if not placed:
            asked = self._asks(finding, answer)
            if asked is None:
                return
            fault = fault or asked
        pool = placed or list(readings)
        best = _alone(pool)
        if best is not None and best.doubt is not None and best.doubt.name == _LAYOUT_DOUBT:
            turns = [c for c in finding.candidates if c.kind is RuleKind.TURN and id(c) in alive]
            if all(c.rank.units <= best.rank.units for c in turns):
                best.doubt = None
        if best is not None and (fault is not None or answer.because is not None):
            stage = stages.DOWNSTREAM if answer.because is None else stages.CONFLICTS
            rivals = tuple(c for c in finding.candidates if c is not best)
            along = tuple(p for p in answer.readings if p != finding.path)
            self._choose(finding, Decision(stage, best, rivals, fault=answer.because or fault, nodes=along))
        elif best is None:
            self._by_conflicts(finding, pool)

    def _choose(self, finding: Finding, decision: Decision) -> None:
        """Choose; what the file claims of a multiply that is already decided does not count as a claim."""
        claims = {o.value.claimed for o in finding.operands} - {None}
        decided = {f.path[-1] for f in self.findings.values() if f.chosen is not None} if claims else set()
        choose(finding, decision, decided)

    def _asks(self, finding: Finding, answer: Answer) -> FaultAt | None:
        """The fault downstream if the result had the first operand's axes: then a sum or another rank is needed."""
        readings = {p: override(c) for p, c in answer.best().items()}
        members = list(answer.readings)
        with_it = self.searcher.problems(readings, members)[1]
        without = self.searcher.problems({**readings, finding.path: _first_operand}, members)[1]
        others = without.keys() - with_it.keys() - {finding.path}
        return next((FaultAt(p, t) for p, t in without.items() if p in others), None)

    def _by_conflicts(self, finding: Finding, pool: Sequence[Candidate]) -> None:
        """Among readings that tie, choose the one that leaves the fewest contradictions."""
        top = max(c.rank for c in pool)
        rivals = [c for c in pool if c.rank == top]
        if not len({_result(c) for c in rivals}) > 1 or len(rivals) > MAX_RESULTS:
            return
        if not self.model.affords(len(rivals)):
            finding.note("readings-not-tried", limit=self.model.spent())
            return
        found = [(contradictions(self.model, {finding.path: override(c)}), c) for c in rivals]
        fewest, best = min(found, key=lambda pair: pair[0].number)
        others = [other for other, c in found if c is not best]
        if all(other.number > fewest.number for other in others):
            fault = others[0].beyond(fewest)
            others_of = tuple(c for c in rivals if c is not best)
            self._choose(finding, Decision(stages.CONFLICTS, best, others_of, fault=fault))

    def _best(self, answers: Sequence[Answer]) -> Answer | None:
        """The answer that no other one outranks; of several, the one with the fewest contradictions; None for a tie."""
        left = [a for a in answers if not any(_above(b, a) for b in answers)]
        if len(left) > 1 and self.model.affords(len(left)):
            readings = [{p: override(c) for p, c in a.best().items()} for a in left]
            found = [contradictions(self.model, each) for each in readings]
            fewest = min(found, key=lambda each: each.number)
            left = [a for a, each in zip(left, found, strict=True) if each.number == fewest.number]
            if len(left) == 1:
                other = next(each for each in found if each is not fewest)
                left[0].because = other.beyond(fewest)
        return left[0] if len(left) == 1 else None

    def _stated_against(self, best: Answer, answers: Sequence[Answer]) -> FaultAt | None:
        """What the file states (``shapes.stated``) that agrees with another answer and not with the best, or None."""
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
        """Report a tie of two or more answers at every multiply."""
        readings = [answer.best() for answer in answers]
        for path, (finding, _) in answers[0].readings.items():
            first, *others = [each[path] for each in readings if path in each]
            rivals = tuple({id(c): c for c in others if c is not first}.values())
            along = tuple(p for p in readings[0] if p != path)
            details = {"answers": readings}
            finding.decide(Decision(stages.JOINT_TIE, first, rivals, nodes=along, details=details))
            self.findings.setdefault(path, finding)

    # -- choices that leave a fault -----------------------------
    def _reconsider(self) -> None:
        """Search choices above a fault again, with the undecided findings there: other choices may leave no fault."""
        revisable = [f.path for f in self.findings.values() if _has_others(f)]
        if not revisable:
            return
        broken = {path for path, _ in self.model.faults_of_all()} | self.unsatisfiable
        above = self.places.some_above(revisable, _MAX_RECONSIDERED + 2)
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
        """Decide some findings again, together; a decision that does not improve stays as it was."""
        before = {f.path: (f, f.decision) for f in group}
        reopened = {}
        for member in group:
            reopened[member.path] = Decision(stages.REOPENED, member.choice, before=member.decision)
            member.decide(reopened[member.path])
        self.model.adopt(list(before))
        found = self.searcher.search(group)
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
    """True if other readings of a node leave no fault, and this one does."""
    left = [a.readings[node][1] for a in found.answers if node in a.readings]
    return bool(left) and all(choice.plan != candidate.plan for group in left for candidate in group)


def _first_operand(call: Call) -> tuple[Axis, ...]:
    return known(call.inputs[0])


def _is_open(finding: Finding) -> bool:
    """True for a finding with readings and no choice yet."""
    return finding.chosen is None and bool(finding.candidates) and not finding.candidates[0].match.assumed


def _has_others(finding: Finding) -> bool:
    """True for a choice that has an alternative with another result shape."""
    return finding.chosen is not None and len(by_sizes(finding.candidates)) > 1


def _result(candidate: Candidate) -> tuple[object, ...]:
    """The axes of the result, by identity where they are an operand's."""
    own = {id(a.origin) for axes in candidate.match.operands for a in axes}
    return tuple((a.size, id(a.origin) in own and id(a.origin)) for a in candidate.match.output())


def _above(a: Answer, b: Answer) -> bool:
    """True if an answer ranks higher than another at some multiply, and lower at none."""
    both = [(standing(c), standing(b.best()[p])) for p, c in a.best().items() if p in b.readings]
    return all(x >= y for x, y in both) and any(x > y for x, y in both)


def _alone(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate that ranks strictly above the others, or None."""
    best = max(candidates, key=lambda c: c.rank)
    return None if any(c.rank >= best.rank for c in candidates if c is not best) else best


def _moves_the_batch(candidate: Candidate) -> bool:
    """True for a reading whose result has the batch behind another axis."""
    output = candidate.match.equation.output
    batch = [i for i, term in enumerate(output) if term.names == ("b",)]
    return bool(batch) and batch[0] > 0
