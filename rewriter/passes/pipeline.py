"""The way through: infer, find, resolve, rewrite, verify; the same for every format."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import UsageError, VerificationError, shown
from ..ir.axis import Value
from ..ir.graph import Graph, Path, path_text
from ..rules.table import Family, Rule
from ..shapes.broadcast import Convention
from ..shapes.infer import infer
from ..shapes.inference import Inference
from .candidates import as_written
from .contractions import suspects
from .downstream import Reexamine, Trials
from .finding import Applicability, Candidate, Finding, Kind, Operand, Severity
from .places import Places
from .recorded import lost, offer
from .resolve import examine, meant
from .rewrite import Applied, Inserted, Rewriter, Spelling
from .sites import DEFAULT_OPS, Site, families, family_of, operands_of, sites, sites_at
from .suppositions import chosen, override
from .upstream import look_upstream

_MAX_ROUNDS = 16
_MAX_SUSPECTS = 4
_IN_A_BODY = "it stands in the body of an If, a Loop or a Scan, where nothing is inserted"


@dataclass(slots=True)
class Analysis:
    """What is known of a model: its values, the nodes that ``ops`` may change in every context, and the findings."""

    inference: Inference
    sites: list[Site]
    findings: list[Finding]
    ops: str = DEFAULT_OPS

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
    applied: list[Applied] = field(default_factory=list)

    @property
    def undecided(self) -> list[Finding]:
        return [f for f in self.findings if is_open(f)]


def is_open(finding: Finding) -> bool:
    """True where nothing was chosen and the model is broken, or a multiply is not known.

    An opaque layer elsewhere is reported, but there is nothing to decide about it.
    """
    if finding.chosen is not None or finding.left:
        return False
    broken = finding.severity is Severity.ERROR
    return broken or (not finding.elsewhere and finding.severity is Severity.WARNING)


def analyse(graph: Graph, rules: Sequence[Rule], mode: str = "safe", ops: str = DEFAULT_OPS) -> Analysis:
    """Infer, find and resolve.

    Args:
        mode: ``safe`` chooses what evidence decides; ``best`` the first-ranked candidate that may be applied.
        ops: what may be changed: ``multiply`` says multiplies; ``all`` sums, contractions and joined tensors as well.
            Faults are reported of all of them.

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
    supposed = _with_what_follows(graph, inference, findings, rules, wanted)
    if Family.CONTRACTION in wanted and not any(is_open(f) for f in findings):
        supposed = _with_suspects(graph, supposed, findings, rules, wanted)
    findings += _beyond(supposed, findings, rules, wanted)
    findings += _other_faults(supposed, findings, wanted)
    look_upstream(
        graph,
        [f for f in findings if f.severity is Severity.ERROR and f.chosen is None],
        chosen({f.path: f for f in findings}),
        _reexamine(rules, wanted),
    )
    if mode == "best":
        for finding in findings:
            _take_best(finding)
    _leave_bodies(found, findings)
    return Analysis(inference, [*found, *lost(inference, findings)], findings, ops)


def _beyond(
    inference: Inference, findings: Sequence[Finding], rules: Sequence[Rule], changeable: Collection[Family]
) -> list[Finding]:
    """The faults of nodes that are looked at and may not be changed: they stand in the way of a repair.

    What comes after a node that is still undecided is left out, and so is what is only not known: the node of which
    nothing is known has a finding of its own.
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
            if finding is None or finding.severity is not Severity.ERROR:
                continue
            unknown.add(name)
            reason = f"--ops all may change it: {finding.why}" if finding.candidates else finding.why
            finding.why = f"it is no multiply: nothing is inserted here; {reason}"
            finding.chosen, finding.elsewhere = None, True
            for candidate in finding.candidates:
                candidate.applicability = Applicability.DISPLAY
            _note_claim(finding)
            result.append(finding)
    return result


def _note_claim(finding: Finding) -> None:
    """A fault that rests on a shape which only the file states may be none."""
    claimed = next((o.value.claimed for o in finding.operands if o.value.claimed), None)
    if claimed:
        finding.severity = Severity.WARNING
        finding.why += f"; the shape of {shown(claimed)!r}, which it depends on, is only claimed by the file"


def _leave_bodies(found: Sequence[Site], findings: Sequence[Finding]) -> None:
    """Take every choice back that is made in the body of another node: what is read there is not written."""
    inside = {site.path for site in found if site.in_body}
    for finding in findings:
        if finding.path in inside:
            finding.chosen, finding.elsewhere = None, True
            finding.why = f"{_IN_A_BODY}; {finding.why}"


def _with_what_follows(
    graph: Graph,
    inference: Inference,
    findings: list[Finding],
    rules: Sequence[Rule],
    wanted: Collection[Family],
) -> Inference:
    """Decide what is open by what follows it, and return the model as it would be with everything that is chosen."""
    if not any(f.candidates for f in findings):
        return inference
    trials = Trials(graph, findings, _reexamine(rules, wanted))
    findings[:] = trials.decide()
    return trials.model.base


def _with_suspects(
    graph: Graph,
    supposed: Inference,
    findings: list[Finding],
    rules: Sequence[Rule],
    wanted: Collection[Family],
) -> Inference:
    """Blame a contraction that runs for the fault that follows, if another reading of it, of it alone, leaves none."""
    suspected = suspects(supposed, {f.path for f in findings}, rules)
    if len(suspected) > _MAX_SUSPECTS:
        return supposed
    guilty = []
    for suspect in suspected:
        trials = Trials(graph, [*findings, suspect], _reexamine(rules, wanted))
        decided = next((f for f in trials.decide() if f.path == suspect.path), None)
        if decided is not None and decided.chosen is not None:
            guilty.append((decided, trials))
    if len(guilty) != 1:
        return supposed
    finding, trials = guilty[0]
    findings.append(finding)
    return trials.model.base


def _reexamine(rules: Sequence[Rule], wanted: Collection[Family]) -> Reexamine:
    def reexamine(inference: Inference, path: Path) -> Finding | None:
        return _joint(list(sites_at(inference, path, wanted)), rules)

    return reexamine


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
    repairable = finding.severity is Severity.ERROR and not finding.elsewhere
    if finding.chosen is None and repairable and finding.candidates:
        usable = [i for i, c in enumerate(finding.candidates) if not c.match.assumed and not c.plan.cannot]
        if usable:
            finding.chosen = usable[0]
            finding.why = f"first-ranked of {len(finding.candidates)} candidates (best mode): {finding.why}"


def _opaque(inference: Inference) -> list[Finding]:
    """A finding for every node of which nothing is known: it may hide a fault. Not for what only comes after one."""
    result: dict[Path, Finding] = {}
    for prefix, item in inference.walk():
        for name, reason in item.opaque.items():
            after_another = any(v.axes is None for v in item.taken(name) or ())
            if (*prefix, name) in result or after_another:
                continue
            finding = _elsewhere(prefix, item, name, Kind.NOT_ANALYSED, f"not analysed: {reason}")
            finding.severity = Severity.WARNING
            finding.why = "its code is not in the file, or is not run; its recorded shape is taken as claimed"
            result[*prefix, name] = finding
    return list(result.values())


def _other_faults(
    inference: Inference, findings: Sequence[Finding], wanted: Collection[Family]
) -> list[Finding]:
    """Nodes that cannot run and are not looked at: reported, since the model is broken, but not repaired.

    What comes after a node that is still undecided is left out: what reaches it is not known.
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
            finding = _elsewhere(prefix, item, name, Kind.INCOMPATIBLE, message)
            finding.why = "nothing is inserted at a node of its kind"
            offer(finding, item, name, wanted)
            _note_claim(finding)
            result[*prefix, name] = finding
    return list(result.values())


def _elsewhere(prefix: Path, item: Inference, name: str, kind: Kind, message: str) -> Finding:
    node = item.graph.nodes[name]
    operands = operands_of(node, item.calls[name], prefix) or [Operand(("none",), Value(()))]
    return Finding(
        kind,
        Severity.ERROR,
        (*prefix, name),
        node.operation.class_name,
        Convention.NONE,
        operands,
        message,
        elsewhere=True,
    )


def state(
    analysis: Analysis, choices: Mapping[str, str], rules: Sequence[Rule]
) -> list[tuple[Site, Candidate]]:
    """What a user said of multiplies (``{node: rule or equation}``) as candidates, each on the operands that the others
    leave it.

    Raises:
        UsageError: no such multiply, no such rule, or it does not describe the operands.
    """
    here = {site.path: site for site in reversed(analysis.sites)}
    stated = {_path_of(name, here, analysis.ops): text for name, text in choices.items()}
    inside = next((path for path in stated if here[path].in_body), None)
    if inside is not None:
        raise UsageError(f"{shown(path_text(inside))!r}: {_IN_A_BODY}")
    said: dict[Path, tuple[Site, Candidate]] = {}
    for _ in range(_MAX_ROUNDS):
        known_before = {path: candidate.plan for path, (_, candidate) in said.items()}
        said, failure = _said(here, stated, rules)
        plans = {path: candidate.plan for path, (_, candidate) in said.items()}
        if plans == known_before or (failure is None and len(choices) < 2):
            break
        supposed = infer(analysis.inference.graph, {p: override(c) for p, (_, c) in said.items()}.get)
        here = {site.path: site for site in reversed(list(sites(supposed, families(analysis.ops))))}
    if failure is not None:
        raise failure
    return list(said.values())


def _path_of(name: str, here: Mapping[Path, Site], ops: str) -> Path:
    """The node that a user writes so. Raises UsageError where there is none, or more than one."""
    found = [path for path in here if path_text(path) == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"several nodes are written {shown(name)!r}")
    known = ", ".join(shown(path_text(path)) for path in list(here)[::-1]) or "it has none"
    if ops == DEFAULT_OPS:
        raise UsageError(f"there is no multiply {shown(name)!r}; the model's multiplies: {known}")
    raise UsageError(
        f"there is nothing to repair called {shown(name)!r}; the nodes that are looked at: {known}"
    )


def _said(
    here: Mapping[Path, Site], choices: Mapping[Path, str], rules: Sequence[Rule]
) -> tuple[dict[Path, tuple[Site, Candidate]], UsageError | None]:
    """What can be said of the operands as they are, and the first reason why something cannot."""
    said: dict[Path, tuple[Site, Candidate]] = {}
    failure = None
    for path, text in choices.items():
        try:
            said[path] = here[path], meant(here[path], text, rules)
        except UsageError as error:
            failure = failure or error
    return said, failure


def repair(
    graph: Graph,
    rules: Sequence[Rule],
    spelling: Spelling,
    mode: str = "safe",
    choices: Mapping[str, str] | None = None,
    explicit: bool = False,
    left: Collection[str] | None = None,
    ops: str = DEFAULT_OPS,
) -> Outcome:
    """Rewrite the graph until no finding is left that can be decided.

    A choice changes what flows on, so each round looks at the whole model again; a model whose faults are independent
    takes one round. Nothing of a round is applied while something in it is undecided.

    Args:
        left: where it is given, ``choices`` are all that is applied, and the faults at these nodes are left alone.

    Raises:
        UsageError: a stated choice does not fit.
        VerificationError: the rewritten graph is not free of the faults that were repaired.
    """

    def look() -> Analysis:
        analysis = analyse(graph, rules, mode, ops)
        if left is not None:
            _keep_to(analysis.findings, left)
        return analysis

    current = before = look()
    rewriter = Rewriter(spelling)
    told = dict(choices or {})
    outcome = Outcome(before, before, list(before.findings), applied=rewriter.applied)
    for _ in range(_MAX_ROUNDS):
        todo = state(current, told, rules)
        stated_paths = {site.path for site, _ in todo}
        _note_choices(outcome.findings, todo)
        told = {}
        chosen = {
            f.path: f.choice for f in current.findings if f.choice is not None and f.path not in stated_paths
        }
        seen: set[Path] = set()
        for site in current.sites:
            choice = chosen.get(site.path)
            if choice is not None and site.path not in seen:
                seen.add(site.path)
                todo.append((site, choice))
        if not todo:
            break
        if _left_open(current.undecided, stated_paths):
            return outcome
        rewriter.apply(todo)
        current = look()
        applied = {site.path for site, _ in todo}
        outcome.findings = _with_later(outcome.findings, current.findings, applied)
        if _withdrawn(outcome.findings, current.findings, applied):
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


def _left_open(undecided: Sequence[Finding], stated: Collection[Path]) -> bool:
    """True where something is open that is not stated, and that does not just wait for what is."""
    settled = set(stated)
    for _ in undecided:
        waiting = {f.path for f in undecided if f.follows in settled} - settled
        if not waiting:
            break
        settled |= waiting
    return any(f.path not in settled for f in undecided)


def _with_later(
    findings: Iterable[Finding], later: Iterable[Finding], applied: Collection[Path]
) -> list[Finding]:
    """The findings of the rounds so far: what waited for another one is what it is after that."""
    now = {f.path: f for f in later}
    kept = [now.pop(f.path, None) if f.follows and f.path not in applied else f for f in findings]
    known = {f.path for f in kept if f is not None}
    return [f for f in kept if f is not None] + [f for f in now.values() if f.path not in known]


def _keep_to(findings: Iterable[Finding], left: Collection[str]) -> None:
    """Take every choice of the findings back, which a plan makes in its place."""
    for finding in findings:
        finding.chosen, finding.left = None, finding.node in left
        finding.why = "the plan leaves it alone" if finding.left else "the plan does not decide it"


def _withdrawn(findings: list[Finding], left: list[Finding], repaired: set[Path]) -> bool:
    """Take back choices at nodes that still have a fault once they are applied; True where there are any."""
    again = {f.path: f for f in left if f.path in repaired and f.severity is Severity.ERROR}
    for finding in findings:
        if finding.path in again:
            finding.chosen = None
            finding.why = f"what fits best leaves a fault: {again[finding.path].message}"
    return bool(again)


def _spell_out(analysis: Analysis, rewriter: Rewriter) -> None:
    """Write the Reshape of every legal implicit broadcast, where all contexts of the multiply ask for the same one."""
    by_path: dict[Path, list[Site]] = {}
    for site in analysis.sites:
        by_path.setdefault(site.path, []).append(site)
    written: list[tuple[Site, Candidate]] = []
    for group in by_path.values():
        plans = [as_written(site) for site in group if not site.in_body]
        if not plans:
            continue
        first = plans[0]
        if first is not None and all(p is not None and p.plan.steps == first.plan.steps for p in plans):
            written.append((group[0], first))
    rewriter.apply(written)


def _note_choices(findings: list[Finding], todo: Iterable[tuple[Site, Candidate]]) -> None:
    """Enter what the user stated as the choice of the finding at that node."""
    stated = {site.path: candidate for site, candidate in todo}
    for finding in findings:
        candidate = stated.get(finding.path)
        if candidate is not None:
            others = [c for c in finding.candidates if c.plan != candidate.plan]
            finding.candidates = [candidate, *others]
            finding.chosen, finding.why = 0, "stated by the user"


def _cycle(inserted: Sequence[Inserted]) -> str:
    return ", ".join(dict.fromkeys(i.rule for i in inserted[-8:]))
