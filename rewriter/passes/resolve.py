"""Resolve: the finding of an illegal or misaligned node, its candidates, and the choice where evidence decides.

Candidates are all readings that match; readings that compute the same are one. They are ordered by evidence
(``passes.ranking.CRITERIA``). One that ranks strictly above the others, with no reason against it, is ``safe`` and
chosen. The others wait for evidence downstream, ``best``, or a user's ``--at``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

from ..errors import UsageError, shown
from ..ir.axis import Axis, Role
from ..ir.size import Size, has_given_name, same
from ..rules.match import NoMatch, match
from ..rules.notation import Equation, parse
from ..rules.table import Kind as RuleKind
from ..rules.table import Rule, find_rule, kind_of
from ..shapes.broadcast import Convention, broadcast, conflicting
from . import stages
from .batches import refusal
from .candidate import Applicability, Candidate, Remark, remark
from .candidates import candidates
from .codes import Kind
from .decision import Decision, FaultAt, Stage
from .evidence import Evidence, Pair, beside_channels, channel_on_space, descent, twins_of_kept
from .find import (
    AsItStands,
    Fault,
    as_it_stands,
    grows,
    noun,
    operand_axes,
    proven_fault,
    strong,
    whole_fault,
)
from .finding import Finding
from .intent import is_padded_to, is_stated
from .ranking import decisive, order
from .readings import matches, plan_of
from .sites import Site, agrees, has_names
from .unlisted import besides

Axes = tuple[Axis, ...]


def examine(site: Site, rules: Sequence[Rule]) -> Finding | None:
    """The finding of a node, with its candidates ranked and one of them chosen where evidence decides.

    Returns None for a node without a fault.
    """
    unknown_rank = next((o for o in site.operands if o.value.axes is None), None)
    if unknown_rank is not None:
        reason = unknown_rank.value.reason or "its rank is unknown"
        return _finding(site, Fault(Kind.NOT_ANALYSED, f"an operand is not known: {reason}"), [])
    if site.convention is Convention.NONE:
        return _without_broadcasting(site, rules)
    if sum(bool(axes) for axes in operand_axes(site)) < 2:
        return None  # one tensor and numbers: nothing meets
    fault = proven_fault(site)
    if fault is not None and fault.kind is not Kind.UNPROVEN:
        found = candidates(site, rules)
        if found and found[0].rule == "layout" and fault.kind is Kind.INCOMPATIBLE:
            fault = Fault(Kind.LAYOUT, fault.message)
        return decide(_finding(site, fault, found))
    silent = _silent_fault(site, rules)
    if silent is not None:
        return silent if silent.kind is Kind.UNPROVEN else decide(silent)
    return None if fault is None else _finding(site, fault, [])


def _without_broadcasting(site: Site, rules: Sequence[Rule]) -> Finding | None:
    """The finding of a contraction or of joined tensors, or None."""
    fault = whole_fault(site)
    if fault is None or fault.kind is Kind.UNPROVEN:
        silent = _unrecorded(site, rules)
        if silent is None and fault is not None:
            silent = _recorded_open(site, fault, rules)
        if silent is not None:
            return decide(silent)
        return None if fault is None else _finding(site, fault, [])
    return decide(_finding(site, fault, candidates(site, rules)))


def contradicted(site: Site, fault: FaultAt, rules: Sequence[Rule]) -> Finding:
    """The finding of a node that runs, but whose result causes a fault downstream."""
    texts = " x ".join(v.text() for v in site.values)
    message = f"{texts}: it runs, but its result fails downstream: at {fault}"
    others = [c for c in candidates(site, rules) if not _is_result(site, c.match.output())]
    return decide(_finding(site, Fault(Kind.AXIS_MISALIGNED, message), others))


def _is_result(site: Site, axes: Axes) -> bool:
    """True if these are the axes of the unchanged result."""
    result = _result(site)
    return len(axes) == len(result) and all(a.is_same(b) for a, b in zip(axes, result, strict=True))


def _finding(site: Site, fault: Fault, found: list[Candidate]) -> Finding:
    return Finding(
        fault.kind,
        fault.kind.severity,
        site.path,
        site.node.operation.class_name,
        site.convention,
        list(site.operands),
        fault.message,
        found,
        Decision(_FOUND.get(fault.kind, stages.FOUND), details={"readings": bool(found)}),
    )


_FOUND = {Kind.UNPROVEN: stages.UNPROVEN, Kind.NOT_ANALYSED: stages.NOT_ANALYSED}


# -- legal products that mean something else -----------------------------
def _silent_fault(site: Site, rules: Sequence[Rule]) -> Finding | None:
    """A product that runs, but whose axes are paired against the evidence."""
    unrecorded = _unrecorded(site, rules) or _unlike_recorded(site, rules)
    if unrecorded is not None:
        return unrecorded
    stands = as_it_stands(site)
    if is_stated(site, operand_axes(site), stands.pairs) or stands.is_known:
        return None
    if (
        stands.pairs
        and not stands.evidence.contradictions
        and all(_is_named(a, b) for _, a, b in stands.pairs)
    ):
        return None
    grown = grows(site)
    has_literal = any(o.value.is_constant for o in site.operands)
    if not stands.implicit and not stands.evidence.contradictions:
        return None
    if has_literal and not stands.evidence.contradictions and not grown:
        return None
    moves = (RuleKind.PLACE, RuleKind.TURN)
    found = [c for c in candidates(site, rules, with_identity=True) if c.kind in moves]
    changes = [c for c in found if not _comes_to(c, stands, _result(site))]
    if not changes:
        return None
    best = changes[0]
    supported = _support(best) and (not best.generic or bool(stands.evidence.contradictions))
    if grown and not has_literal:
        return _finding(site, Fault(Kind.GROWN, _grown_text(site)), changes)
    if best.rank.consistent < 0 or not supported:
        return None
    if stands.evidence.contradictions:
        as_well = _crosses_in_full(site) and not _roles_differ(site, stands) and not _is_turned(site)
        if not stands.implicit and as_well:
            text = _misaligned_text(site, stands.evidence.contradictions)
            return _finding(site, Fault(Kind.UNPROVEN, text), [])
        kind = Kind.LAYOUT if best.rule == "layout" else Kind.AXIS_MISALIGNED
        return _finding(site, Fault(kind, _misaligned_text(site, stands.evidence.contradictions)), changes)
    operands = operand_axes(site)
    readings = [
        c
        for c in found
        if not c.generic
        and _comes_to(c, stands, _result(site))
        and not channel_on_space(c.match.pairs, operands)
    ]
    if readings or not any(strong(a) or strong(b) for _, a, b in best.match.pairs):
        return None
    met, strays = descent(stands.pairs, operands)
    if (strays and not met) or best.rank.same > len(stands.evidence.same):
        fault = Fault(Kind.AXIS_MISALIGNED, _misaligned_text(site, strays))
        return _finding(site, fault, _by_descent(changes, operands) if strays and not met else changes)
    if met and not strays:
        return None
    others = [c for c in changes if not c.needs_evidence] or [best]
    return _finding(site, Fault(Kind.UNPROVEN, _untold_text(site, stands.pairs, others[0])), others)


def _by_descent(found: Sequence[Candidate], operands: Sequence[Axes]) -> list[Candidate]:
    """The readings, ranked by where their factors come from as well.

    Their source is why the node is at fault here, so it also distinguishes the readings.
    """
    for candidate in found:
        met, strays = descent(candidate.match.pairs, operands)
        rank = candidate.rank
        candidate.rank = rank._replace(
            consistent=rank.consistent - len(strays), derived=rank.derived + (met and not strays)
        )
        if strays:
            candidate.evidence = [f"against: {text}" for text in strays]
        elif met:
            candidate.evidence = ["the factors are on the axis that they were computed from"]
    return sorted(found, key=order)


def _is_named(a: Axis, b: Axis) -> bool:
    """True if an ONNX file gives both sizes one name: its author states that they are equal."""
    return has_given_name(a.size) and a.size == b.size


def _unrecorded(site: Site, rules: Sequence[Rule]) -> Finding | None:
    """The finding of a product whose result differs from its recorded shape, or None.

    It is reported if a reading gives the recorded shape, the ranks differ, or all operands are as recorded.
    """
    recorded = site.recorded
    if recorded is None or _lost_above(site):
        return None
    opened = _is_opened(site, recorded)
    if agrees(recorded, _result(site)) and not opened:
        return None
    readings = candidates(site, rules)
    found = [c for c in readings if c.rank.demanded == 1]
    if not found and len(recorded) == len(_result(site)) and not _operands_as_recorded(site):
        return None  # recorded sizes go stale when an input is edited; ranks do not
    texts = " x ".join(v.text() for v in site.values)
    shape = ", ".join(map(str, recorded))
    message = f"{texts}: it runs, but not to the shape ({shape}) that the rest of the model was built for"
    return _finding(site, Fault(Kind.AXIS_MISALIGNED, message), found or readings)


def _recorded_open(site: Site, unproven: Fault, rules: Sequence[Rule]) -> Finding | None:
    """The finding of a contraction that runs at some sizes alone, where another reading has the recorded sizes.

    Those are open sizes of the result; if the file states another shape for an operand here, it is that shape as well.
    """
    recorded, stated = site.recorded, _has_stated_operands(site)
    if recorded is None or (stated and not _opened_sizes(site, recorded)):
        return None
    names = site.recorded_names
    found = [
        c
        for c in candidates(site, rules)
        if _has_sizes(c.plan.output, recorded, names) and (stated or _gives_stated_operands(site, c))
    ]
    for candidate in found:
        candidate.needs_evidence = False  # the recorded shapes are the evidence
    shape = ", ".join(
        name or str(size) for name, size in zip(names or [""] * len(recorded), recorded, strict=True)
    )
    message = f"{unproven.message}, and the rest of the model was built for the shape ({shape})"
    return _finding(site, Fault(Kind.AXIS_MISALIGNED, message), found) if found else None


def _has_sizes(sizes: Sequence[Size], recorded: Sequence[int | None], names: Sequence[str] | None) -> bool:
    """True if sizes are the recorded ones, and open where those are."""
    plain = [size if isinstance(size, int) else None for size in sizes]
    return plain == list(recorded) and has_names(sizes, names)


def _gives_stated_operands(site: Site, candidate: Candidate) -> bool:
    """True if each operand has, after the steps of a reading, the shape that the file states where it is used."""
    for k, value in enumerate(site.values):
        ref = site.reference(k)
        steps = [step.to for step in candidate.plan.steps if step.operand == k]
        shape = [s if isinstance(s, int) else None for s in steps[-1]] if steps else value.shape
        if ref is not None and (ref.shape is None or list(ref.shape) != shape):
            return False
    return True


def _is_opened(site: Site, recorded: Sequence[int | None]) -> bool:
    """True if the file records an open size for the result where every operand has a number.

    Broadcasting gives no open size from numbers, so an operand had the batch there. Everything else is as recorded. If
    the record has only open sizes, just a result of size 1 counts.
    """
    if site.convention is Convention.NONE or not _has_stated_operands(site):
        return False
    known = any(r is not None for r in recorded)
    opened = _opened_sizes(site, recorded)
    return bool(opened) and (known or all(size == 1 for size in opened))


def _has_stated_operands(site: Site) -> bool:
    """True if every operand has the shape that the file states where it is used."""
    refs = [site.reference(k) for k in range(len(site.operands))]
    return all(
        ref is None or (ref.shape is not None and list(ref.shape) == value.shape)
        for ref, value in zip(refs, site.values, strict=True)
    )


def _opened_sizes(site: Site, recorded: Sequence[int | None]) -> list[int]:
    """The numbers of the result where the file records an open size; none if a number is not as recorded."""
    result = [a.size if isinstance(a.size, int) else None for a in _result(site)]
    if len(recorded) != len(result):
        return []
    others = [(r, n) for r, n in zip(recorded, result, strict=True) if r != n]
    if any(r is not None for r, _ in others):
        return []
    return [n for _, n in others if n is not None]


def _lost_above(site: Site) -> bool:
    """True if every operand, and so the result, lost unit axes only: the node computes the same numbers.

    The loss is above the node. It is found where it meets an operand that has all axes.
    """
    tensors = [k for k, axes in enumerate(operand_axes(site)) if axes]
    stated = [(site.meant_shape(k), site.values[k].shape or []) for k in tensors]
    stated.append((site.recorded, [a.size if isinstance(a.size, int) else None for a in _result(site)]))
    return all(meant is not None and _long_sizes(meant) == _long_sizes(sizes) for meant, sizes in stated)


def _long_sizes(shape: Sequence[int | None]) -> list[int | None]:
    return [size for size in shape if size != 1]


def _unlike_recorded(site: Site, rules: Sequence[Rule]) -> Finding | None:
    """The finding of a product with an operand whose rank or unit axes differ from the record at this call, or None.

    Ranks do not go stale as sizes do: a sum lost its ``keepdims``, or a layer that changed the rank is gone.
    """
    tensors = [k for k, axes in enumerate(operand_axes(site)) if axes]
    if all(site.meant_shape(k) for k in tensors):
        return None
    for k, operand in enumerate(site.operands):
        recorded = site.meant_shape(k)
        if recorded is None or is_padded_to(site, k, recorded):
            continue
        shape = ", ".join(map(str, recorded))
        texts = " x ".join(v.text() for v in site.values)
        message = (
            f"{texts}: it runs, but the file records ({shape}) for {shown(operand.source)!r} here, which has "
            "other axes"
        )
        return _finding(site, Fault(Kind.AXIS_MISALIGNED, message), candidates(site, rules))
    return None


def _operands_as_recorded(site: Site) -> bool:
    """True if every operand has the shape that the file records at this call."""
    stated = all(ref.shape is not None for ref in site.node.refs())
    return stated and not any(site.is_stale(k) for k in range(len(site.operands)))


def _result(site: Site) -> Axes:
    """The axes of the unchanged result."""
    if site.convention is Convention.NONE:
        return site.inference.values[site.node.name][0].axes or ()
    return broadcast(site.convention, operand_axes(site), unify=False)


def _comes_to(candidate: Candidate, stands: AsItStands, result: Axes) -> bool:
    """True for a reading that computes what the unchanged node computes, with inserted nodes or without."""
    if not candidate.plan.steps:
        return True
    here = {frozenset((id(a), id(b))) for _, a, b in stands.pairs}
    there = {frozenset((id(a), id(b))) for _, a, b in candidate.match.pairs if a.size != 1}
    return bool(here) and here == there and candidate.plan.output == tuple(a.size for a in result)


def _support(candidate: Candidate) -> bool:
    """True if other evidence than sizes supports the candidate."""
    return candidate.rank.supported or any(strong(a) or strong(b) for _, a, b in candidate.match.pairs)


def _crosses_in_full(site: Site) -> bool:
    """True if no operand has a unit axis or softmax weights: a product such as A * f(A)^T."""
    return not any(v.facts.weights for v in site.values) and all(
        a.size != 1 for axes in operand_axes(site) for a in axes[1:]
    )


def _roles_differ(site: Site, stands: AsItStands) -> bool:
    """True if axes of different roles meet."""
    operands = operand_axes(site)
    return any(conflicting(a, b) or beside_channels(a, b, operands) for _, a, b in stands.pairs)


def _is_turned(site: Site) -> bool:
    """True if one tensor has an axis of the other at another place, and otherwise only new features.

    That is the result of a Dense layer on a tensor with its axes exchanged. False where one operand has the same axis
    twice, as a Gram matrix has.
    """
    operands = [axes[1:] for axes in operand_axes(site)]
    if len(operands) != 2 or any(a.is_same(b) for axes in operands for a, b in combinations(axes, 2)):
        return False
    places = [(i, k) for i, a in enumerate(operands[0]) for k, b in enumerate(operands[1]) if a.is_same(b)]
    if all(i == k for i, k in places):
        return False
    shared = map(set, zip(*places, strict=True))
    others = [
        {axis.role for i, axis in enumerate(axes) if i not in own}
        for axes, own in zip(operands, shared, strict=True)
    ]
    return any(roles and roles <= {Role.FEATURE, Role.CHANNEL} for roles in others)


def _grown_text(site: Site) -> str:
    axes = broadcast(site.convention, operand_axes(site), unify=False)
    texts = " x ".join(v.text() for v in site.values)
    return f"{texts}: the {noun(site)} is [{', '.join(map(str, axes))}], larger than both"


def _misaligned_text(site: Site, contradictions: Sequence[str]) -> str:
    texts = " x ".join(v.text() for v in site.values)
    if contradictions:
        return f"{texts}: it runs, but {contradictions[0]}"
    return f"{texts}: it runs, but along axes that no rule pairs"


def _untold_text(site: Site, pairs: Sequence[Pair], other: Candidate) -> str:
    texts = " x ".join(v.text() for v in site.values)
    place, a, b = next(pair for pair in pairs if Role.BATCH not in (pair[1].role, pair[2].role))
    mine, met = (a, b) if any(axis is a for axis in min(operand_axes(site), key=len)) else (b, a)
    fits = [y if x is mine else x for _, x, y in other.match.pairs if x is mine or y is mine]
    also = f"it fits {fits[0]}" if fits else f"'{other.equation}' fits"
    return f"{texts}: nothing says that {mine} is for {met}, which it meets at {place}; {also} as well"


# -- the choice -----------------------------
def _is_placement(candidate: Candidate) -> bool:
    """True for a reading whose sizes fit as the entries lie in memory: it neither transposes, sums nor grows."""
    equation = candidate.match.equation
    if candidate.kind is RuleKind.REPEAT:
        return True
    turns = any(step.op == "Transpose" for step in candidate.plan.steps)
    return not (candidate.match.assumed or turns or equation.grows or equation.contracted)


def _on_twins(finding: Finding) -> tuple[Remark, ...]:
    """A note where an operand keeps an axis of the other one, which does not decide (``evidence.weigh``)."""
    found = twins_of_kept([o.value.axes or () for o in finding.operands])
    if found is None:
        return ()
    kept, data = (finding.operands[number].source for number in found)
    return (remark("twins", kept=kept, data=data),)


def decide(finding: Finding) -> Finding:
    """Set each candidate's applicability, and choose the one that evidence puts above all others."""
    if finding.kind is Kind.BATCH_SIZE and (refused := refusal(finding.operands)) is not None:
        finding.candidates = []
        finding.decide(refused)
        return finding
    found = finding.candidates
    competing = [c for c in found if not c.needs_evidence]
    for candidate in found:
        candidate.applicability = Applicability.UNSAFE if _allowed(candidate) else Applicability.DISPLAY
    if not competing:
        stage = stages.NO_EVIDENCE if found else stages.UNLISTED
        finding.decide(Decision(stage, notes=besides([o.value.axes or () for o in finding.operands])))
        return finding
    best, *rivals = competing
    alike = tied(finding)[1:]
    if alike:
        finding.decide(Decision(stages.TIE, best, tuple(alike), notes=_on_twins(finding)))
        return finding
    if not rivals:
        others = tuple(c for c in found if c is not best and _is_placement(c))
        details = {"unless_asked": others, "runs": finding.kind in (Kind.AXIS_MISALIGNED, Kind.LAYOUT)}
        return choose(finding, Decision(stages.ONLY, best, details=details))
    rivals.sort(key=lambda c: c.rank, reverse=True)
    return choose(finding, Decision(stages.EVIDENCE, best, tuple(rivals), evidence=decisive(best, rivals[0])))


def choose(finding: Finding, decision: Decision, decided: Collection[str] = ()) -> Finding:
    """Make a decision that chooses a candidate, unless the candidate must not be applied automatically.

    Args:
        decided: nodes whose results are known; claims of the file about them do not count.
    """
    candidate = decision.candidate
    assert candidate is not None
    claims = [o.value.claimed for o in finding.operands if o.value.claimed not in {None, *decided}]
    reason = _against(candidate)
    if claims and claims[0]:
        refuse(finding, stages.CLAIMED, candidate, remark("claimed", node=claims[0]))
    elif reason is not None:
        refuse(finding, stages.DOUBTED, candidate, reason)
    else:
        candidate.applicability = Applicability.SAFE
        finding.decide(decision)
    return finding


def refuse(finding: Finding, stage: Stage, candidate: Candidate, reason: Remark) -> None:
    """Decide that the best candidate is not chosen, and why."""
    rivals = tuple(c for c in finding.candidates if c is not candidate and not c.needs_evidence)
    fault = reason.details.get("fault")
    finding.decide(Decision(stage, candidate, rivals, fault=fault, reason=reason))


def take_first(finding: Finding) -> None:
    """Take the first reading that can be written, whatever the evidence (``--mode best``)."""
    first = finding.first
    if first is not None:
        others = tuple(c for c in finding.candidates if c is not first)
        finding.decide(Decision(stages.BEST, first, others, before=finding.decision))


def tied(finding: Finding) -> list[Candidate]:
    """The first-ranked candidates, between which the evidence at the node does not decide."""
    competing = [c for c in finding.candidates if not c.needs_evidence]
    return [c for c in competing if c.rank == competing[0].rank]


def _allowed(candidate: Candidate) -> bool:
    return not candidate.match.assumed and candidate.rank.consistent == 0 and not candidate.needs_evidence


def _against(candidate: Candidate) -> Remark | None:
    """Why the best candidate must not be applied automatically, or None."""
    against = [t.removeprefix("against: ") for t in candidate.evidence]
    if candidate.match.assumed:
        return remark("assumed", names=sorted(candidate.match.assumed))
    if candidate.rank.demanded < 0:
        return remark("against", text=next(t for t in against if "records" in t))
    if candidate.rank.consistent < 0:
        pairs = zip(candidate.evidence, against, strict=True)
        return remark("against", text=next(t for full, t in pairs if full != t))
    if candidate.doubt is not None:
        return candidate.doubt
    if any(term.cropped for terms in candidate.match.equation.operands for term in terms):
        return remark("cropped")
    if any(step.op == "Slice" for step in candidate.plan.steps):
        return remark("sliced")
    return _against_repeating(candidate) if candidate.kind is RuleKind.REPEAT else None


def _against_repeating(candidate: Candidate) -> Remark | None:
    """Why repeated axes are in doubt, or None: they need one role on both sides, and one factor for each operand."""
    repeated = [(a, b) for _, a, b in candidate.match.pairs if same(a.size, b.size).value == "no"]
    repeats = [s for s in candidate.plan.steps if s.op == "Repeat"]
    by_operand = [{s.repeats[0] for s in repeats if s.operand == k} for k in {s.operand for s in repeats}]
    ratios = next((ratios for ratios in by_operand if len(ratios) > 1), None)
    if ratios:
        return remark("factors", factors=sorted(ratios))
    for a, b in repeated:
        if a.role is not b.role or not (strong(a) or a.role is Role.BATCH):
            return remark("repeated-kind", axes=(a, b))
    return None


# -- what a user states -----------------------------
def meant(site: Site, text: str, rules: Sequence[Rule]) -> Candidate:
    """The candidate that a rule's name or an equation stands for.

    Raises:
        UsageError: no such rule, not an equation, or it does not describe the operands.
    """
    unknown = next((o for o in site.operands if o.value.axes is None), None)
    if unknown is not None:
        raise UsageError(f"an operand of {shown(site.name)!r} is of unknown rank")
    equation = parse(text) if "->" in text else None
    listed = [c for c in candidates(site, rules) if text == c.rule or str(equation) == c.equation]
    if len(listed) == 1:
        return _said(listed[0])
    if len(listed) > 1 and equation is None and all(text != rule.name for rule in rules):
        options = " or ".join(f"'{c.equation}'" for c in listed[:4])
        raise UsageError(f"{text} fits {shown(site.name)} in several ways: state {options}")
    return stated_rule(site, find_rule(text, tuple(rules))) if equation is None else stated(site, equation)


def _said(candidate: Candidate) -> Candidate:
    candidate.applicability = Applicability.SAFE
    candidate.evidence = ["stated by the user", *candidate.evidence]
    return candidate


def stated(site: Site, equation: Equation, name: str = "stated") -> Candidate:
    """The candidate that a user's equation describes.

    Raises:
        UsageError: it does not describe these operands, with the reason.
    """
    operands = operand_axes(site)
    if len(equation.operands) != len(operands):
        raise UsageError(f"{site.name} has {len(operands)} operands, the equation {len(equation.operands)}")
    found = next(matches(equation, operands, roles=False), None)
    if found is None:
        failure = match(equation, operands, roles=False)
        reason = failure.reason if isinstance(failure, NoMatch) else ""
        texts = ", ".join(v.text() for v in site.values)
        raise UsageError(f"{equation} does not describe the operands {texts} of {site.name}: {reason}")
    clash = next((pair for pair in found.pairs if _is_open_batch(pair[1]) != _is_open_batch(pair[2])), None)
    if clash is not None and all(isinstance(a.size, int) or _is_open_batch(a) for a in clash[1:]):
        name, a, b = clash
        raise UsageError(
            f"{equation} does not describe the operands of {site.name}: {name} pairs {a} with {b}"
        )
    plan = plan_of(found, site)
    if plan.cannot:
        raise UsageError(f"{equation} cannot be written as nodes at {site.name}: {plan.cannot}")
    candidate = Candidate(name, found, plan, kind_of(equation), applicability=Applicability.SAFE)
    candidate.evidence = ["stated by the user"]
    candidate.rank = Evidence().rank
    return candidate


def _is_open_batch(axis: Axis) -> bool:
    return axis.role is Role.BATCH and not isinstance(axis.size, int)


def stated_rule(site: Site, rule: Rule) -> Candidate:
    """The candidate of a rule that the user names. Raises UsageError where it does not fit or is a tie."""
    found = [c for c in candidates(site, [rule], complete=False) if c.rule == rule.name]
    if not found:
        reasons = [r for e in rule.equations if isinstance(r := match(e, operand_axes(site)), NoMatch)]
        why = reasons[0].reason if reasons else "it does not fit"
        raise UsageError(f"rule {rule.name} does not describe the operands of {site.name}: {why}")
    if len(found) > 1 and found[0].rank == found[1].rank:
        options = " or ".join(f"'{c.equation}'" for c in found[:4])
        raise UsageError(f"rule {rule.name} fits {site.name} in several ways: state {options}")
    return _said(found[0])
