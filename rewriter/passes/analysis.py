"""Analyse a model: infer, find and decide, without changing anything; the same for every format.

The order is that of ``stages.STAGES``: each node from its operands (``resolve``), downstream evidence (``downstream``),
contractions whose other reading repairs a later fault, nodes that are not changed, arguments above (``upstream``),
graphs inside nodes (bodies), and ``best``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..ir.axis import Value
from ..ir.graph import Graph, Path
from ..ir.size import has_given_name
from ..presentation import count
from ..rules.table import Family, Rule
from ..shapes.broadcast import Convention
from ..shapes.infer import infer
from ..shapes.inference import Inference
from . import stages
from .candidate import Applicability
from .codes import Kind, Severity
from .contractions import suspects
from .decision import Decision, Stage
from .downstream import Trials
from .finding import Finding, Operand
from .places import Places
from .recorded import lost, offer
from .resolve import examine, take_first
from .search import Reexamine
from .sites import DEFAULT_OPS, Site, families, family_of, operands_of, sites, sites_at
from .suppositions import chosen
from .upstream import look_upstream

_MAX_SUSPECTS = 4


@dataclass(slots=True, repr=False)
class Analysis:
    """The analysis of a model: its values, its findings, and the nodes that ``ops`` may change, in every context."""

    inference: Inference
    sites: list[Site]
    findings: list[Finding]
    ops: str = DEFAULT_OPS

    @property
    def undecided(self) -> list[Finding]:
        """Findings that block a repair."""
        return [f for f in self.findings if is_open(f)]

    def __repr__(self) -> str:
        return f"<Analysis {count(len(self.sites), 'site')}, {count(len(self.findings), 'finding')}>"


def is_open(finding: Finding) -> bool:
    """True if nothing is chosen, and the finding is an error, or a warning at a node that can be repaired.

    An opaque layer elsewhere is reported but needs no decision. Neither does a fault that a plan leaves as it is.
    """
    if finding.chosen is not None or finding.left:
        return False
    broken = finding.severity is Severity.ERROR
    return broken or (not finding.elsewhere and finding.severity is Severity.WARNING)


def analyse(graph: Graph, rules: Sequence[Rule], mode: str = "safe", ops: str = DEFAULT_OPS) -> Analysis:
    """Infer, find and resolve.

    Args:
        mode: ``safe`` chooses what evidence decides; ``best`` the first-ranked candidate that may be applied.
        ops: the nodes that may be changed: ``multiply`` means multiplies; ``all`` also sums, contractions and joined
            tensors. Faults of all of them are reported.

    Raises:
        UsageError: ops is neither.
    """
    wanted = families(ops)
    inference = infer(graph)
    found = list(sites(inference, wanted))
    by_path: dict[Path, list[Site]] = {}
    for site in found:
        by_path.setdefault(site.path, []).append(site)
    findings = [f for group in by_path.values() if (f := _joint(group, rules)) is not None]
    findings += _opaque(inference)
    trials = _with_what_follows(graph, findings, rules, wanted)
    if Family.CONTRACTION in wanted and not any(is_open(f) for f in findings):
        trials = _with_suspects(graph, inference, trials, findings, rules, wanted)
    supposed = inference if trials is None else trials.model.base
    findings += _beyond(supposed, findings, rules, wanted)
    findings += _other_faults(supposed, findings, wanted)
    findings += _open_elsewhere(supposed)
    look_upstream(
        graph,
        [f for f in findings if f.severity is Severity.ERROR and f.chosen is None],
        chosen({f.path: f for f in findings}),
        _reexamine(rules, wanted),
    )
    _leave_unchanged(found, findings)
    if mode == "best":
        findings = _with_first(trials, findings)
        _leave_unchanged(found, [f for f in findings if not f.elsewhere])
    return Analysis(inference, [*found, *lost(inference, findings)], findings, ops)


def _beyond(
    inference: Inference, findings: Sequence[Finding], rules: Sequence[Rule], changeable: Collection[Family]
) -> list[Finding]:
    """The faults of nodes outside the families that may be changed: they block a repair.

    Nodes below an undecided node are left out. So are nodes with an unknown operand: the node that gives it has its own
    finding. A contraction that fits at some run-time sizes only is included.
    """
    groups: dict[Path, dict[str, list[Site]]] = {}
    for site in sites(inference, families("all") - set(changeable)):
        groups.setdefault(site.path[:-1], {}).setdefault(site.node.name, []).append(site)
    undecided = {f.path for f in findings if f.chosen is None}
    result = []
    for prefix, here in groups.items():
        graph = next(iter(here.values()))[0].inference.graph
        unknown: set[str] = set()
        for name in graph.order:
            if not unknown.isdisjoint(graph.nx.predecessors(name)) or (*prefix, name) in undecided:
                unknown.add(name)
                continue
            finding = _joint(here[name], rules) if name in here else None
            if (
                finding is not None
                and finding.kind is Kind.UNPROVEN
                and here[name][0].family is Family.CONTRACTION
            ):
                result.append(finding)
            if finding is None or finding.severity is not Severity.ERROR:
                continue
            unknown.add(name)
            details = {"candidates": len(finding.candidates)}
            finding.decide(Decision(stages.OTHER_FAMILY, details=details, before=finding.decision))
            for candidate in finding.candidates:
                candidate.applicability = Applicability.DISPLAY
            _note_claim(finding)
            result.append(finding)
    return result


def _note_claim(finding: Finding) -> None:
    """Lower a finding to a warning where it rests on a shape that only the file states: the fault may not exist."""
    claimed = next((o.value.claimed for o in finding.operands if o.value.claimed), None)
    if claimed:
        finding.severity = Severity.WARNING
        finding.note("rests-on-a-claim", node=claimed)


def _leave_unchanged(found: Sequence[Site], findings: Sequence[Finding]) -> None:
    """Withdraw every choice in the body of another node (If, Loop, Scan) or in code: these are analysed, not
    rewritten."""
    inside = {site.path: site for site in found if site.stays}
    for finding in findings:
        site = inside.get(finding.path)
        if site is not None:
            stage = stages.IN_CODE if site.in_code else stages.IN_A_BODY
            finding.decide(Decision(stage, details={"line": site.line}, before=finding.decision))


def _with_what_follows(
    graph: Graph, findings: list[Finding], rules: Sequence[Rule], wanted: Collection[Family]
) -> Trials | None:
    """Decide open findings by downstream evidence.

    Returns the trials, whose model has all choices; None where no finding has a candidate.
    """
    if not any(f.candidates for f in findings):
        return None
    trials = Trials(graph, findings, _reexamine(rules, wanted))
    findings[:] = trials.decide()
    return trials


def _with_suspects(
    graph: Graph,
    inference: Inference,
    before: Trials | None,
    findings: list[Finding],
    rules: Sequence[Rule],
    wanted: Collection[Family],
) -> Trials | None:
    """Choose another reading of a contraction that runs, if it is the only one that so repairs a later fault."""
    known = {f.path for f in findings if f.kind is not Kind.UNPROVEN}
    suspected = suspects(inference if before is None else before.model.base, known, rules)
    if len(suspected) > _MAX_SUSPECTS:
        return before
    guilty = []
    for suspect, fault in suspected:
        trials = Trials(
            graph, [*(f for f in findings if f.path != suspect.path), suspect], _reexamine(rules, wanted)
        )
        decided = next((f for f in trials.decide() if f.path == suspect.path), None)
        if decided is not None and decided.chosen is not None:
            guilty.append((decided, fault, trials))
    if len(guilty) != 1:
        return before
    finding, fault, trials = guilty[0]
    decision = finding.decision
    finding.decide(Decision(stages.MENDS, decision.candidate, decision.rivals, fault=fault, before=decision))
    findings[:] = [*(f for f in findings if f.path != finding.path), finding]
    return trials


def _reexamine(rules: Sequence[Rule], wanted: Collection[Family]) -> Reexamine:
    def reexamine(inference: Inference, path: Path) -> Finding | None:
        return _joint(list(sites_at(inference, path, wanted)), rules)

    return reexamine


def _joint(group: Sequence[Site], rules: Sequence[Rule]) -> Finding | None:
    """One finding for a node that is reached in several contexts; they have to agree on the nodes to insert."""
    results = [examine(site, rules) for site in group]
    found = [f for f in results if f is not None]
    if not found:
        return None
    first = min(found, key=lambda f: list(Severity).index(f.severity))
    if len(found) == len(results) and all(_same_choice(first, f) for f in found):
        return first
    if len(results) > 1 and first.choice is not None:
        first.decide(Decision(stages.CONTEXTS, first.choice))
    return first


def _same_choice(a: Finding, b: Finding) -> bool:
    return (
        a is b
        or (a.choice is None) == (b.choice is None)
        and (a.choice is None or b.choice is None or a.choice.plan.steps == b.choice.plan.steps)
    )


def _with_first(trials: Trials | None, findings: Sequence[Finding]) -> list[Finding]:
    """The findings, each open one with its first reading chosen; each is judged under the choices above it."""
    before = set() if trials is None else set(trials.findings)
    after = {} if trials is None else {f.path: f for f in trials.take_first()}
    kept = [after.pop(f.path, None) if f.path in before else f for f in findings]
    result = [*(f for f in kept if f is not None), *after.values()]
    for finding in result:
        take_first(finding)
    return result


def _opaque(inference: Inference) -> list[Finding]:
    """A finding for every node whose computation is unknown: it may hide a fault. Nodes below such a node get none."""
    result: dict[Path, Finding] = {}
    for prefix, item in inference.walk():
        for name, reason in item.opaque.items():
            after_another = any(v.axes is None for v in item.taken(name) or ())
            if (*prefix, name) in result or after_another:
                continue
            ran = item.graph.nodes[name].operation.untraced
            stage = stages.UNTRACED if ran else stages.OPAQUE
            finding = _elsewhere(prefix, item, name, Kind.NOT_ANALYSED, f"not analysed: {reason}", stage)
            result[*prefix, name] = finding
    return list(result.values())


def _other_faults(
    inference: Inference, findings: Sequence[Finding], wanted: Collection[Family]
) -> list[Finding]:
    """Findings for nodes of no family that cannot run: reported, and repaired only by a lost Reshape.

    Nodes below an undecided node are left out: their operands are not known.
    """
    undecided = {f.path for f in findings if f.chosen is None}
    result: dict[Path, Finding] = {}
    for prefix, item in inference.walk():
        strange = {
            name: message
            for name, message in item.faults.items()
            if family_of(item.graph.nodes[name]) is None and (*prefix, name) not in result
        }
        open_here = [(name,) for name in item.graph.nodes if (*prefix, name) in undecided] if strange else ()
        unknown = Places(item.graph).below(open_here)
        for name, message in strange.items():
            if name in unknown:
                continue
            finding = _elsewhere(prefix, item, name, Kind.INCOMPATIBLE, message, stages.OTHER_NODE)
            offer(finding, item, name, wanted)
            _note_claim(finding)
            result[*prefix, name] = finding
    return list(result.values())


def _open_elsewhere(inference: Inference) -> list[Finding]:
    """Findings for nodes of no family that run at some of the sizes alone that an ONNX file leaves open."""
    result: dict[Path, Finding] = {}
    for prefix, item in inference.walk():
        for name, found in item.unproven.items():
            pairs = [pair for pair in found if any(has_given_name(axis.size) for axis in pair)]
            other = family_of(item.graph.nodes[name]) is None and name not in item.faults
            if pairs and other and (*prefix, name) not in result:
                a, b = pairs[0]
                message = f"nothing proves that {a} and {b} are equal, and it runs only where they are"
                result[*prefix, name] = _elsewhere(
                    prefix, item, name, Kind.UNPROVEN, message, stages.UNPROVEN
                )
    return list(result.values())


def _elsewhere(prefix: Path, item: Inference, name: str, kind: Kind, message: str, stage: Stage) -> Finding:
    node = item.graph.nodes[name]
    operands = operands_of(node, item.calls[name], prefix) or [Operand(("none",), Value(()))]
    return Finding(
        kind,
        kind.severity,
        (*prefix, name),
        node.operation.class_name,
        Convention.NONE,
        operands,
        message,
        decision=Decision(stage),
    )
