"""``check``, ``repair`` and ``suggest`` as text for people, readable in 80 columns and without colour."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import shown
from ..formats.keras.spelling import line as keras_line
from ..passes.candidate import Candidate
from ..passes.codes import Severity
from ..passes.finding import Finding
from ..passes.placements import SUMMARIES
from ..passes.rewrite import recorded_shape
from ..passes.sites import DEFAULT_OPS
from ..passes.suggest import CONTRACTIONS, ELEMENTWISE, Suggestion
from ..results import Report, Result
from ..rules.table import Rule
from ..shapes.broadcast import Convention
from .alignment import alignment
from .console import columns, pad, paint
from .onnx import verdict
from .words import (
    COLOURS,
    CONVENTIONS,
    complaint,
    convention_of,
    count,
    labelled,
    op_text,
    operand_names,
    sizes_text,
    steps_text,
    wrapped,
)

# Beside a choice, and where a person has to make one.
_MOST_RIVALS = 3
_MOST_CANDIDATES = 8


def report(item: Report, rules: Sequence[Rule], width: int) -> str:
    """What ``check`` found."""
    lines = [*_heading(item, width), ""]
    for finding in item.findings:
        lines += [*show_finding(finding, rules, width), ""]
    if any(f.chosen is not None for f in item.findings):
        lines += [*wrapped(f"To repair: {_command(item)}", width, hang=4), ""]
    return "\n".join(lines).rstrip() + "\n"


def _command(item: Report) -> str:
    """The ``repair`` that applies what a report shows as chosen."""
    asked = [("--mode", item.mode, "safe"), ("--ops", item.ops, DEFAULT_OPS)]
    options = "".join(f" {option} {value}" for option, value, usual in asked if value != usual)
    return f"rewriter repair {_word(item.path)} -o OUT{options}"


def _heading(item: Report, width: int) -> list[str]:
    """What was found, and the verdicts on all multiplies."""
    v = item.verdicts
    counts = f"{v.right} proven right, {v.wrong} proven wrong, {v.ambiguous} ambiguous"
    verdicts = f"multiplies: {counts}, {v.not_analysed} not analysed"
    return [*wrapped(headline(item), width, hang=4), *wrapped(verdicts, width, 2, 4)]


def headline(item: Report) -> str:
    """``model.keras: 17 nodes, 2 multiplies, no findings``."""
    counts = f"{count(item.nodes, 'node')}, {count(item.multiplies, 'multiply')}"
    if not item.findings:
        return f"{paint(shown(item.path), 'bold')}: {counts}, {paint('no findings', 'green')}"
    split = [
        paint(count(number, str(severity)), COLOURS[severity])
        if severity is not Severity.INFO
        else f"{number} info"
        for severity in Severity
        if (number := sum(f.severity is severity for f in item.findings))
    ]
    return f"{paint(shown(item.path), 'bold')}: {counts}, {count(len(item.findings), 'finding')} ({', '.join(split)})"


def show_finding(item: Finding, rules: Sequence[Rule], width: int, done: bool = False) -> list[str]:
    """A finding: the node, how its operands meet, what is wrong, what was meant, what is inserted, and why.

    ``done`` says that the repair was made.
    """
    title = f"{item.code} {item.kind}: {item.kind.summary}"
    lines = [f"{paint(str(item.severity), COLOURS[item.severity], 'bold')} {title}"]
    lines += labelled("node", [f"{paint(shown(item.node), 'bold')} ({op_text(item)})"], width)
    lines += ["", *alignment(item.operands, item.convention, width, 4), ""]
    if item.convention is not Convention.NONE:
        lines += labelled("operation", [convention_of(item.convention, item.op)], width)
    lines += labelled("wrong", [complaint(item)], width)
    names = operand_names(item.operands)
    chosen = item.choice
    if chosen is not None:
        lines += labelled("meant", [meaning(chosen, rules)], width)
        lines += labelled("inserted" if done else "insert", steps_text(chosen.plan.steps, names), width)
        lines += labelled("why", [item.why], width)
    else:
        lines += labelled("undecided" if item.candidates else "why", [item.why], width)
    others = [c for c in item.candidates if chosen is None or c.plan != chosen.plan]
    if others:
        lines += ["", *_others(item, others, rules, names, width)]
    return lines


def meaning(item: Candidate, rules: Sequence[Rule]) -> str:
    """``b h w c, b c -> b h w c  (channel-gate: one factor per channel)``."""
    return f"{paint(item.equation, 'bold')}  ({_rule_text(item.rule, rules)})"


def _rule_text(name: str, rules: Sequence[Rule]) -> str:
    summary = next((r.summary for r in rules if r.name == name), SUMMARIES.get(name, ""))
    return f"{name}: {summary}" if summary else name


def _others(
    item: Finding, others: Sequence[Candidate], rules: Sequence[Rule], names: Sequence[str], width: int
) -> list[str]:
    """The candidates that were not chosen, the first-ranked one first, and how to ask for one."""
    lines = ["  It could also mean:" if item.choice is not None else "  It could mean:"]
    most = _MOST_CANDIDATES if item.choice is None else _MOST_RIVALS
    for number, candidate in enumerate(others[:most], 1):
        lines += _candidate(number, candidate, rules, names, width, candidate is item.first)
    if len(others) > most:
        lines.append(f"    ... and {len(others) - most} more (--format json shows all)")
    if item.elsewhere:
        return lines
    first = others[0]
    said = first.equation if len(first.match.equation.operands) > 1 else first.rule
    lines += wrapped(f"To say which: --at {_word(f'{shown(item.node)}={said}')}", width, 2, 6)
    return lines


def _candidate(
    number: int, item: Candidate, rules: Sequence[Rule], names: Sequence[str], width: int, best: bool
) -> list[str]:
    note = "  [what --mode best takes]" if best else ""
    lines = wrapped(f"{number}  {meaning(item, rules)}{note}", width, 3, 6)
    details = [*steps_text(item.plan.steps, names), f"evidence: {'; '.join(item.evidence)}"]
    return lines + [line for text in details for line in wrapped(text, width, 6, 8)]


def _word(text: str) -> str:
    """A word for a shell."""
    return shlex.quote(shown(text))


# -- repair -----------------------------
def result(item: Result, rules: Sequence[Rule], width: int) -> str:
    """What ``repair`` did."""
    done = item.output is not None
    lines = [*_heading(item, width), ""]
    for finding in item.findings:
        lines += [*show_finding(finding, rules, width, done), ""]
    if not done:
        number = len(item.undecided)
        text = f"Nothing was written: {count(number, 'finding')} could not be decided."
        return "\n".join([*lines, *wrapped(paint(text, "red"), width)]) + "\n"
    lines += _inserted(item, width)
    copy = ", an identical copy of the input" if (item.verified or {}).get("identical") else ""
    lines.append(f"Written: {paint(shown(item.output), 'bold')}{copy}")
    if item.onnx and item.onnx != item.output:
        lines.append(f"Written: {paint(shown(item.onnx), 'bold')}")
    if item.onnx_verified is not None:
        word = "Not compared with Keras:" if "skipped" in item.onnx_verified else "As ONNX:"
        lines += wrapped(f"{word} {verdict(item.onnx_verified)}.", width, hang=4)
    lines += _proven(item, width)
    return "\n".join(lines) + "\n"


def _inserted(item: Result, width: int) -> list[str]:
    if not item.inserted:
        return []
    rows = [(shown(i.node), i.op, i.rule) for i in item.inserted]
    first, second = (max(columns(row[k]) for row in rows) for k in (0, 1))
    lines = [f"Inserted ({count(len(rows), 'node')}, each with the rule that asked for it):"]
    for node, op, rule in rows:
        line = f"  {pad(node, first)}  {pad(op, second)}  {rule}"
        lines += [line] if columns(line) <= width else [f"  {node}", f"      {op}  {rule}"]
    return [*lines, ""]


_CHECKS = {
    "independence": "no sample depends on another",
    "batch-one": "each is what the original gives at batch 1",
    "equation": "each changed node computes its equation",
    "gradients": "finite gradients go through it",
}


def _proven(item: Result, width: int) -> list[str]:
    """What was shown from the axes, what by running the model, and what was not."""
    verified = item.verified
    if verified is None:
        return []
    left = verified["findings_left"]
    rest = f"{count(left, 'finding')} left" if left else "no finding is left"
    text = [f"Checked: the axes of every tensor were computed again; {rest}."]
    if "skipped" in verified:
        text += [f"Not run: {verified['skipped']}."] if item.inserted else []
        return _paragraphs(text, width)
    checks: Mapping[str, Any] = verified["checks"]
    proven = verified["verdict"] == "proven"
    if not proven:
        text.append(f"Not proven: {verified['reason']}.")
    shown_by = [name for name in _CHECKS if checks[name]["proven"]]
    if shown_by:
        word = "Proven" if proven else "Shown"
        batches = ", ".join(map(str, checks[shown_by[0]]["batches"]))
        off = max(checks[name].get("difference", 0.0) for name in shown_by)
        facts = f"{'; '.join(_CHECKS[name] for name in shown_by)} (off by {off:.1g} at most)"
        where = f" in {verified['ran']}" if "ran" in verified else ""
        text.append(f"{word} by running it{where} at batch {batches}: {facts}.")
    if "own_keras" in verified:
        text.append(_own_keras(verified["own_keras"]))
    missing = [f"{name}, since {c['why']}" for name, c in checks.items() if c.get("why")]
    text += [f"Not shown: {'; '.join(missing)}."] if missing else []
    return _paragraphs([*text, *_behaviour(verified["behaviour"])], width)


def _own_keras(answer: Mapping[str, Any]) -> str:
    """Whether the Keras of an old file loads it repaired, and computes the same."""
    if "skipped" in answer:
        return f"Not loaded by its own Keras: {answer['skipped']}."
    off = f"off by {answer['difference']:.1g} at most"
    return f"Loaded by its own Keras, with the same numbers ({off}): {answer['ran']}."


def _behaviour(behaviour: Mapping[str, Any]) -> list[str]:
    """What is to be said where the original runs as well and computes something else."""
    if not behaviour["changes"]:
        return []
    batches, off = ", ".join(map(str, behaviour["batches"])), behaviour["difference"]
    how = (
        "something of another shape"
        if off is None
        else f"something else (off by {off:.1g} of the largest value)"
    )
    return [
        f"The behaviour changes: the original runs too, at batch {batches}, and computes {how}. No run can show which "
        "of the two was meant."
    ]


def _paragraphs(text: Sequence[str], width: int) -> list[str]:
    return [line for paragraph in text for line in wrapped(paragraph, width, hang=4)]


# -- suggest -----------------------------
def suggestion(item: Suggestion, rules: Sequence[Rule], width: int) -> str:
    """What two shapes can mean, with the lines of Keras for each."""
    op, convention = item.op, ELEMENTWISE.get(item.op, Convention.NONE)
    names = ("lhs", "rhs")
    shapes = " and ".join(sizes_text(o.value.shape or []) for o in item.operands)
    lines = [f"{op} of {shapes}", "", *alignment(item.operands, convention, width), ""]
    if item.legal:
        lines += wrapped(f"It runs as it stands and gives {sizes_text(item.output or [])}.", width)
    elif op not in CONTRACTIONS or item.candidates:
        lines += wrapped("It does not fit as it stands.", width)
    if convention is not Convention.NONE:
        lines += wrapped(CONVENTIONS[convention].replace("Multiply", op).replace("multiply", op), width)
    if not item.candidates:
        return (
            "\n".join(
                [*lines, *([] if item.legal else wrapped(f"{item.why[:1].upper()}{item.why[1:]}.", width))]
            )
            + "\n"
        )
    lines += ["", "It can also mean:" if item.legal else "It can mean:"]
    for number, candidate in enumerate(item.candidates, 1):
        lines.append("")
        star = "  <- best" if item.chosen == number - 1 else ""
        lines += wrapped(f"{number}  {meaning(candidate, rules)}{paint(star, 'green')}", width, 1, 4)
        lines += [f"      {text}" for text in keras_lines(candidate, op, names)]
        facts = f"gives {sizes_text(recorded_shape(candidate.plan.output))}; {'; '.join(candidate.evidence)}"
        lines += wrapped(facts, width, 4, 4)
    if not item.legal:
        verdict = "Best" if item.chosen is not None else "Undecided"
        lines += ["", *wrapped(f"{verdict}: {item.why}.", width)]
    return "\n".join(lines) + "\n"


def keras_lines(item: Candidate, op: str, names: tuple[str, ...]) -> list[str]:
    """The lines of Keras that a person would write for a candidate."""
    before = [keras_line(s, names) for s in item.plan.steps if s.operand >= 0]
    after = [keras_line(s, names) for s in item.plan.steps if s.operand < 0]
    if item.plan.replaces:
        return before + after
    operands = ", ".join(names)
    call = f"layers.{op}()([{operands}])" if op[:1].isupper() else f"ops.{op}({operands})"
    return [*before, f"y = {call}", *after]
