"""The pipeline: analyse, apply user choices, rewrite, and analyse again; the same for every format."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ..errors import RewriterError, UsageError, VerificationError, did_you_mean, shown
from ..ir.graph import Graph, Path, path_text
from ..ir.wiring import Wiring, wirings
from ..rules.table import Rule
from ..shapes.infer import infer
from . import stages
from .analysis import Analysis, analyse, is_open
from .candidate import Candidate
from .codes import Severity
from .decision import Decision
from .finding import Finding
from .places import Places
from .readings import as_written
from .recorded import lost
from .resolve import meant
from .rewrite import Applied, Inserted, Rewriter, Spelling
from .sites import DEFAULT_OPS, Site, families, sites
from .suppositions import override

_MAX_ROUNDS = 16


@dataclass(slots=True)
class Outcome:
    """A repair: the findings of the original model, the nodes that were inserted, and what is still undecided.

    ``wiring`` is that of the original model, by the path of each model in it.
    """

    before: Analysis
    after: Analysis
    findings: list[Finding]
    inserted: list[Inserted] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    wiring: Mapping[Path, Wiring] = field(default_factory=dict)

    @classmethod
    def of(cls, analysis: Analysis) -> Outcome:
        """The outcome before anything is done."""
        wiring = wirings((path, item.graph) for path, item in analysis.inference.walk())
        return cls(analysis, analysis, list(analysis.findings), wiring=wiring)

    @property
    def undecided(self) -> list[Finding]:
        return [f for f in self.findings if is_open(f)]


# Called with an analysis and the choices that are applied next.
See = Callable[[Analysis, Sequence[tuple[Site, Candidate]]], None]


def _unseen(analysis: Analysis, todo: Sequence[tuple[Site, Candidate]]) -> None:
    """Ignore what a round applies."""


def supposed_sites(analysis: Analysis, chosen: Mapping[Path, Candidate]) -> dict[Path, Site]:
    """The nodes that may be changed, each with its operands under these choices."""
    supposed = infer(analysis.inference.graph, {p: override(c) for p, c in chosen.items()}.get)
    found = [*sites(supposed, families(analysis.ops)), *lost(supposed, analysis.findings)]
    return {site.path: site for site in reversed(found)}


def state(
    analysis: Analysis, choices: Mapping[str, str], rules: Sequence[Rule]
) -> list[tuple[Site, Candidate]]:
    """The candidates for a user's choices (``{node: rule or equation}``), each on its operands under the other choices.

    Raises:
        UsageError: no such multiply, no such rule, or it does not describe the operands.
    """
    here = {site.path: site for site in reversed(analysis.sites)}
    stated = {_path_of(name, here, analysis.ops): text for name, text in choices.items()}
    for path in stated:
        site = here[path]
        if site.stays:
            why = stages.in_code(site.line) if site.in_code else stages.NOTHING_IN_A_BODY
            raise UsageError(f"{shown(path_text(path))!r}: {why}")
    said: dict[Path, tuple[Site, Candidate]] = {}
    for _ in range(_MAX_ROUNDS):
        known_before = {path: candidate.plan.written for path, (_, candidate) in said.items()}
        said, failure = _said(here, stated, rules)
        plans = {path: candidate.plan.written for path, (_, candidate) in said.items()}
        if plans == known_before or (failure is None and len(choices) < 2):
            break
        here = supposed_sites(analysis, {path: candidate for path, (_, candidate) in said.items()})
    else:
        names = ", ".join(shown(path_text(path)) for path in stated)
        failure = failure or UsageError(f"the choices for {names} change each other's operands without end")
    if failure is not None:
        raise failure
    return list(said.values())


def _path_of(name: str, here: Mapping[Path, Site], ops: str) -> Path:
    """The path of the node with this name. Raises UsageError where there is none, or more than one."""
    found = [path for path in here if path_text(path) == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"several nodes have the name {shown(name)!r}")
    names = [path_text(path) for path in list(here)[::-1]]
    hint, known = did_you_mean(name, names), ", ".join(map(shown, names)) or "it has none"
    if ops == DEFAULT_OPS:
        raise UsageError(f"there is no multiply {shown(name)!r}{hint}; the model's multiplies: {known}")
    raise UsageError(
        f"there is no node to repair called {shown(name)!r}{hint}; the nodes where tensors meet: {known}"
    )


def _said(
    here: Mapping[Path, Site], choices: Mapping[Path, str], rules: Sequence[Rule]
) -> tuple[dict[Path, tuple[Site, Candidate]], UsageError | None]:
    """The candidates of the choices that fit the operands, and the error of the first one that does not."""
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

    A repair changes shapes downstream, so each round analyses the whole model again; a model whose faults are
    independent takes one round. A round applies nothing while one of its findings is undecided.

    Args:
        left: if given, only ``choices`` are applied, and the faults at these nodes are left alone.

    Raises:
        UsageError: a stated choice does not fit.
        VerificationError: the model still changes after the last round.
    """

    def look() -> Analysis:
        analysis = analyse(graph, rules, mode, ops)
        if left is not None:
            _keep_to(analysis.findings, left)
        return analysis

    outcome = Outcome.of(look())
    rewriter = Rewriter(spelling)
    settled = _run(outcome, look, rewriter, rules, choices or {})
    if settled and explicit and not outcome.undecided:
        _spell_out(outcome.after, rewriter)
        outcome.inserted, outcome.applied = rewriter.inserted, rewriter.applied
    return outcome


def rehearse(
    graph: Graph, rules: Sequence[Rule], spelling: Spelling, mode: str, ops: str, see: See = _unseen
) -> Outcome:
    """What ``repair`` would do, up to the first error. It changes the graph."""
    outcome = Outcome.of(analyse(graph, rules, mode, ops))
    with suppress(RewriterError):
        _run(outcome, lambda: analyse(graph, rules, mode, ops), Rewriter(spelling), rules, {}, see)
    return outcome


def _run(
    outcome: Outcome,
    look: Callable[[], Analysis],
    rewriter: Rewriter,
    rules: Sequence[Rule],
    told: Mapping[str, str],
    see: See = _unseen,
) -> bool:
    """Apply the decisions and analyse again, until nothing is left.

    Returns False where a finding stays undecided, or a choice leaves a fault and is withdrawn.

    Args:
        see: called with what each round is about to apply.
    """
    current = outcome.before
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
            return True
        see(current, todo)
        waiting = _waiting(current, stated_paths)
        if any(f.path not in stated_paths | waiting for f in current.undecided):
            return False
        asked = {f.path for f in current.findings if f.decision.stage is stages.BEST}
        rewriter.apply(todo, stated_paths | asked)
        outcome.applied = rewriter.applied
        current = look()
        applied = {site.path for site, _ in todo}
        outcome.findings = _with_later(outcome.findings, current.findings, waiting - applied)
        if _withdrawn(outcome.findings, current.findings, applied):
            return False
        outcome.after, outcome.inserted = current, rewriter.inserted
        if not current.findings:
            return True
    raise VerificationError(
        f"the model still changes after {_MAX_ROUNDS} rounds: {_cycle(rewriter.inserted)}"
    )


def _waiting(analysis: Analysis, stated: Collection[Path]) -> set[Path]:
    """The findings to examine again after this round: those below a stated node, or that wait for another node."""
    places = Places(analysis.inference.graph)
    below = places.below(stated)
    own = {f.path for f in analysis.undecided if not below.isdisjoint(places.enclosing(f.path))}
    return {f.path for f in analysis.findings if f.follows} | (own - set(stated))


def _with_later(
    findings: Iterable[Finding], later: Iterable[Finding], waiting: Collection[Path]
) -> list[Finding]:
    """The findings of all rounds so far; one that waited for another node is replaced by its later state."""
    now = {f.path: f for f in later}
    kept = [now.pop(f.path, None) if f.path in waiting else f for f in findings]
    known = {f.path for f in kept if f is not None}
    return [f for f in kept if f is not None] + [f for f in now.values() if f.path not in known]


def _keep_to(findings: Iterable[Finding], left: Collection[str]) -> None:
    """Withdraw every choice of the findings: the plan makes them instead."""
    for finding in findings:
        stage = stages.LEFT if finding.node in left else stages.NOT_PLANNED
        finding.decide(Decision(stage, before=finding.decision))


def _withdrawn(findings: list[Finding], left: list[Finding], repaired: set[Path]) -> bool:
    """Withdraw choices at nodes that still have a fault once they are applied; True where there are any."""
    again = {f.path: f for f in left if f.path in repaired and f.severity is Severity.ERROR}
    for finding in findings:
        if finding.path in again:
            details = {"message": again[finding.path].message}
            finding.decide(Decision(stages.LEAVES_A_FAULT, finding.choice, details=details))
    return bool(again)


def _spell_out(analysis: Analysis, rewriter: Rewriter) -> None:
    """Write the Reshape of every legal implicit broadcast, where all contexts of the multiply need the same one."""
    by_path: dict[Path, list[Site]] = {}
    for site in analysis.sites:
        by_path.setdefault(site.path, []).append(site)
    written: list[tuple[Site, Candidate]] = []
    for group in by_path.values():
        plans = [as_written(site) for site in group if not site.stays]
        if not plans:
            continue
        first = plans[0]
        if first is not None and all(p is not None and p.plan.steps == first.plan.steps for p in plans):
            written.append((group[0], first))
    rewriter.apply(written)


def _note_choices(findings: list[Finding], todo: Iterable[tuple[Site, Candidate]]) -> None:
    """Make what the user stated the choice of the finding at that node."""
    stated = {site.path: candidate for site, candidate in todo}
    for finding in findings:
        candidate = stated.get(finding.path)
        if candidate is not None:
            others = [c for c in finding.candidates if c.plan != candidate.plan]
            finding.candidates = [candidate, *others]
            finding.decide(Decision(stages.STATED, candidate, tuple(others)))


def _cycle(inserted: Sequence[Inserted]) -> str:
    return ", ".join(dict.fromkeys(i.rule for i in inserted[-8:]))
