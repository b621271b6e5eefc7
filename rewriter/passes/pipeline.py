"""The way through: infer, find, resolve, rewrite, verify; the same for every format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import UsageError, VerificationError, shown
from ..ir.axis import Value
from ..ir.graph import Graph
from ..rules.notation import parse
from ..rules.table import Rule, find_rule
from ..shapes.broadcast import Convention
from ..shapes.infer import Inference, infer
from .candidates import as_written
from .contractions import CONTRACTIONS, offer_readings
from .downstream import Trials, overrides
from .finding import Candidate, Finding, Kind, Operand, Severity
from .resolve import examine, stated, stated_rule
from .rewrite import Inserted, Rewriter, Spelling
from .sites import Site, is_multiply, operands_of, sites

_MAX_ROUNDS = 16


@dataclass(slots=True)
class Analysis:
    """What is known of a model: its values, its multiplies in every context, and the findings."""

    inference: Inference
    sites: list[Site]
    findings: list[Finding]

    @property
    def undecided(self) -> list[Finding]:
        """Findings that stand in the way of a repair."""
        return [f for f in self.findings if is_open(f)]


@dataclass(slots=True)
class Outcome:
    """A repair: the findings of the model as it was, the nodes that were inserted, and what is still undecided."""

    before: Analysis
    after: Analysis
    findings: list[Finding]
    inserted: list[Inserted] = field(default_factory=list)

    @property
    def undecided(self) -> list[Finding]:
        return [f for f in self.findings if is_open(f)]


def is_open(finding: Finding) -> bool:
    """True where nothing was chosen and the model is broken, or a multiply is not known.

    An opaque layer elsewhere is reported, but there is nothing to decide about it.
    """
    if finding.chosen is not None:
        return False
    at_multiply = finding.convention is not Convention.NONE
    return finding.severity is Severity.ERROR or (at_multiply and finding.severity is Severity.WARNING)


def analyse(graph: Graph, rules: Sequence[Rule], mode: str = "safe") -> Analysis:
    """Infer, find and resolve.

    Args:
        mode: ``safe`` chooses what evidence decides; ``best`` the first-ranked candidate that may be applied.
    """
    inference = infer(graph)
    found = list(sites(inference))
    by_path: dict[str, list[Site]] = {}
    for site in found:
        by_path.setdefault(site.path, []).append(site)
    findings = [f for group in by_path.values() if (f := _joint(group, rules)) is not None]
    findings += _opaque(inference)
    findings += _other_faults(_with_what_follows(graph, inference, findings), findings, rules)
    if mode == "best":
        for finding in findings:
            _take_best(finding)
    return Analysis(inference, found, findings)


def _with_what_follows(graph: Graph, inference: Inference, findings: list[Finding]) -> Inference:
    """Decide what is open by what follows it, and return the model as it would be with everything that is chosen."""
    if not any(f.candidates for f in findings):
        return inference
    trials = Trials(graph)
    for finding in findings:
        trials.decide(finding, findings)
    supposed = infer(graph, overrides(findings))
    if any(item.faults for _, item in supposed.walk()):
        for finding in findings:
            if finding.chosen is not None and len(finding.candidates) > 1:
                trials.reconsider(finding, findings)
        supposed = infer(graph, overrides(findings))
    return supposed


def _joint(group: Sequence[Site], rules: Sequence[Rule]) -> Finding | None:
    """One finding for a multiply that is reached in several contexts; they have to agree on what to insert."""
    results = [examine(site, rules) for site in group]
    found = [f for f in results if f is not None]
    if not found:
        return None
    first = min(found, key=lambda f: list(Severity).index(f.severity))
    if len(found) == len(results) and all(_same_choice(first, f) for f in found):
        return first
    if len(results) > 1 and first.choice is not None:
        first.chosen = None
        first.why = (
            "the model that it is in is called on operands of different shapes, which need different repairs"
        )
    return first


def _same_choice(a: Finding, b: Finding) -> bool:
    return (
        a is b
        or (a.choice is None) == (b.choice is None)
        and (a.choice is None or b.choice is None or a.choice.plan.steps == b.choice.plan.steps)
    )


def _take_best(finding: Finding) -> None:
    repairable = finding.severity is Severity.ERROR and finding.convention is not Convention.NONE
    if finding.chosen is None and repairable and finding.candidates:
        usable = [i for i, c in enumerate(finding.candidates) if not c.match.assumed and not c.plan.cannot]
        if usable:
            finding.chosen = usable[0]
            finding.why = f"first-ranked of {len(finding.candidates)} candidates (best mode): {finding.why}"


def _opaque(inference: Inference) -> list[Finding]:
    """A finding for every node of which nothing is known: it may hide a fault."""
    result: dict[str, Finding] = {}
    for prefix, item in inference.walk():
        for name, reason in item.opaque.items():
            node = item.graph.nodes[name]
            if is_multiply(node) or prefix + name in result:
                continue
            finding = _elsewhere(prefix, item, name, Kind.NOT_ANALYSED, f"not analysed: {reason}")
            finding.severity = Severity.WARNING
            finding.why = "its code is not in the file, or is not run; its recorded shape is taken as claimed"
            result[prefix + name] = finding
    return list(result.values())


def _other_faults(inference: Inference, findings: Sequence[Finding], rules: Sequence[Rule]) -> list[Finding]:
    """Nodes that cannot run and are no multiplies: reported, since the model is broken, but not repaired.

    What comes after a multiply that is still undecided is left out: what reaches it is not known.
    """
    undecided = {f.node for f in findings if f.chosen is None}
    result: dict[str, Finding] = {}
    for prefix, item in inference.walk():
        open_here = [name for name in item.graph.nodes if prefix + name in undecided]
        unknown = set().union(*(item.graph.descendants(name) for name in open_here)) if item.faults else set()
        for name, message in item.faults.items():
            if is_multiply(item.graph.nodes[name]) or prefix + name in result or name in unknown:
                continue
            operands = [
                o.value.claimed for o in operands_of(item.graph.nodes[name], item.calls[name], item.graph)
            ]
            finding = _elsewhere(prefix, item, name, Kind.INCOMPATIBLE, message)
            claimed = next((c for c in operands if c), None)
            finding.why = "it is no multiply: nothing is inserted here"
            if item.graph.nodes[name].operation.class_name in CONTRACTIONS:
                offer_readings(finding, item, name, rules)
            if claimed:
                finding.severity = Severity.WARNING
                finding.why += (
                    f"; the shape of {shown(claimed)!r}, which it depends on, is only claimed by the file"
                )
            result[prefix + name] = finding
    return list(result.values())


def _elsewhere(prefix: str, item: Inference, name: str, kind: Kind, message: str) -> Finding:
    node = item.graph.nodes[name]
    operands = operands_of(node, item.calls[name], item.graph, prefix) or [Operand("none", Value(()))]
    return Finding(
        kind, Severity.ERROR, prefix + name, node.operation.class_name, Convention.NONE, operands, message
    )


def state(
    analysis: Analysis, choices: Mapping[str, str], rules: Sequence[Rule]
) -> list[tuple[Site, Candidate]]:
    """What a user said of multiplies (``{node: rule or equation}``) as candidates.

    Raises:
        UsageError: no such multiply, no such rule, or it does not describe the operands.
    """
    result = []
    for path, text in choices.items():
        here = [site for site in analysis.sites if site.path == path]
        if not here:
            known = ", ".join(dict.fromkeys(shown(s.path) for s in analysis.sites)) or "it has none"
            raise UsageError(f"--at: there is no multiply {shown(path)!r}; the model's multiplies: {known}")
        if any(o.value.axes is None for o in here[0].operands):
            raise UsageError(f"--at: an operand of {shown(path)!r} is of unknown rank")
        site = here[0]
        if "->" in text:
            result.append((site, stated(site, parse(text))))
        else:
            result.append((site, stated_rule(site, find_rule(text, tuple(rules)))))
    return result


def repair(
    graph: Graph,
    rules: Sequence[Rule],
    spelling: Spelling,
    mode: str = "safe",
    choices: Mapping[str, str] | None = None,
    explicit: bool = False,
) -> Outcome:
    """Rewrite the graph until no finding is left that can be decided.

    A choice changes what flows on, so each round looks at the whole model again; a model whose faults are independent
    takes one round. Nothing of a round is applied while something in it is undecided.

    Raises:
        UsageError: a stated choice does not fit.
        VerificationError: the rewritten graph is not free of the faults that were repaired.
    """
    before = analyse(graph, rules, mode)
    current = before
    rewriter = Rewriter(spelling)
    told = dict(choices or {})
    outcome = Outcome(before, before, list(before.findings))
    for _ in range(_MAX_ROUNDS):
        todo = state(current, told, rules)
        stated_paths = {site.path for site, _ in todo}
        _note_choices(outcome.findings, todo)
        told = {}
        chosen = {
            f.node: f.choice for f in current.findings if f.choice is not None and f.node not in stated_paths
        }
        seen: set[str] = set()
        for site in current.sites:
            choice = chosen.get(site.path)
            if choice is not None and site.path not in seen:
                seen.add(site.path)
                todo.append((site, choice))
        if not todo:
            break
        if any(f.node not in stated_paths for f in current.undecided):
            return outcome
        rewriter.apply(todo)
        current = analyse(graph, rules, mode)
        known = {f.node for f in outcome.findings}
        outcome.findings += [f for f in current.findings if f.node not in known]
        if _withdrawn(outcome.findings, current.findings, {site.path for site, _ in todo}):
            return outcome
        outcome.after, outcome.inserted = current, rewriter.inserted
        if not current.findings:
            break
    else:
        raise VerificationError(
            f"the model still changes after {_MAX_ROUNDS} rounds: {_cycle(rewriter.inserted)}"
        )
    if explicit and not outcome.undecided:
        _spell_out(outcome.after, rewriter)
        outcome.inserted = rewriter.inserted
    return outcome


def _withdrawn(findings: list[Finding], left: list[Finding], repaired: set[str]) -> bool:
    """Take back choices at nodes that still have a fault once they are applied; True where there are any."""
    again = {f.node: f for f in left if f.node in repaired and f.severity is Severity.ERROR}
    for finding in findings:
        if finding.node in again:
            finding.chosen = None
            finding.why = f"what fits best leaves a fault: {again[finding.node].message}"
    return bool(again)


def _spell_out(analysis: Analysis, rewriter: Rewriter) -> None:
    """Write the Reshape of every legal implicit broadcast, where all contexts of the multiply ask for the same one."""
    by_path: dict[str, list[Site]] = {}
    for site in analysis.sites:
        by_path.setdefault(site.path, []).append(site)
    written: list[tuple[Site, Candidate]] = []
    for group in by_path.values():
        plans = [as_written(site) for site in group]
        first = plans[0]
        if first is not None and all(p is not None and p.plan.steps == first.plan.steps for p in plans):
            written.append((group[0], first))
    rewriter.apply(written)


def _note_choices(findings: list[Finding], todo: Iterable[tuple[Site, Candidate]]) -> None:
    """Enter what the user stated as the choice of the finding at that node."""
    stated = {site.path: candidate for site, candidate in todo}
    for finding in findings:
        candidate = stated.get(finding.node)
        if candidate is not None:
            others = [c for c in finding.candidates if c.plan != candidate.plan]
            finding.candidates = [candidate, *others]
            finding.chosen, finding.why = 0, "stated by the user"


def _cycle(inserted: Sequence[Inserted]) -> str:
    return ", ".join(dict.fromkeys(i.rule for i in inserted[-8:]))
