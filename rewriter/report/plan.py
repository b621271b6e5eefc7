"""A plan as TOML: what ``check`` found, with the candidates and the choice of each finding, for a person to edit."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from ..errors import shown
from ..passes.candidate import Candidate
from ..passes.finding import Finding, Operand
from ..passes.plan import LEAVE, SCHEMA, UNDECIDED
from ..results import Report
from ..version import __version__
from .alignment import alignment
from .console import plain, rendered
from .layout import fields, words
from .words import complaint, count, operand_names, sizes_text, steps_text

_WIDTH = 100
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_HIDDEN = ("Cc", "Cf", "Zl", "Zp", "Co", "Cn")


def text(item: Report, sha256: str, mode: str, ops: str, choices: Mapping[str, str]) -> str:
    """The plan of a report.

    Args:
        sha256: of the model's file.
        mode: the mode that made the choices.
        ops: the operations that were looked at.
        choices: how each finding's choice is stated, by node.
    """
    number = sum(choice == UNDECIDED for choice in choices.values())
    head = [
        f"A plan for {shown(item.path)}: {count(len(item.findings), 'finding')}, {number} undecided.",
        "",
        "Edit the choice of each finding:",
        f"{quoted('channel-gate'):28} a rule's name, or",
        f"{quoted('b h w c, b c -> b h w c'):28} an equation: the nodes that make the product so are inserted",
        f"{quoted(LEAVE):28} the node is left as it is",
        f"{quoted(UNDECIDED):28} not decided: nothing is written until it is",
        "",
        "This is applied, and nothing else, by",
        f"rewriter repair {shown(item.path)} -o OUT --plan FILE",
    ]
    lines = [
        *_comments(head),
        "",
        f"schema = {quoted(SCHEMA)}",
        f"model = {quoted(item.path)}",
        f"sha256 = {quoted(sha256)}",
        f"rewriter = {quoted(__version__)}",
        f"mode = {quoted(mode)}",
        f"ops = {quoted(ops)}",
    ]
    for finding in item.findings:
        lines += ["", "", *_finding(finding, choices[finding.node])]
    return "\n".join(lines) + "\n"


def quoted(value: str) -> str:
    """A TOML basic string; what cannot be seen is written as an escape (https://toml.io/en/v1.0.0#string)."""
    return '"' + "".join(_ESCAPES.get(c) or _escaped(c) for c in value) + '"'


def _escaped(character: str) -> str:
    if unicodedata.category(character) == "Cs":  # a path can have bytes that are not text
        return "\N{REPLACEMENT CHARACTER}"
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _finding(item: Finding, choice: str) -> list[str]:
    comment = rendered(
        words(f"{item.severity} {item.code} {item.kind}: {item.kind.summary}"),
        "",
        *alignment(item.operands, item.convention, _WIDTH - 2, 2),
        "",
        fields([("wrong", words(complaint(item))), ("why", words(item.why))], 0, 6),
        width=_WIDTH - 2,
    )
    lines = [
        *_comments(comment.splitlines()),
        "[[finding]]",
        f"node = {quoted(item.node)}",
        f"kind = {quoted(str(item.kind))}",
        f"op = {quoted(item.op)}",
        "operands = [",
        *map(_operand, item.operands),
        "]",
        f"choice = {quoted(choice)}",
    ]
    names = operand_names(item.operands)
    for candidate in item.candidates:
        lines += ["", *_candidate(candidate, names)]
    return lines


def _operand(item: Operand) -> str:
    sizes = item.value.sizes
    shape = "not known" if sizes is None else sizes_text(sizes)
    return f"    {{ from = {quoted(item.source)}, shape = {quoted(shape)} }},"


def _candidate(item: Candidate, names: Sequence[str]) -> list[str]:
    lines = [
        "[[finding.candidate]]",
        f"rule = {quoted(item.rule)}",
        f"equation = {quoted(item.equation)}",
        *_list("insert", steps_text(item.plan.steps, names)),
        f"output = {quoted(sizes_text(item.plan.output))}",
        *_list("evidence", item.evidence),
        f"applicability = {quoted(str(item.applicability))}",
    ]
    return [f"    {line}" for line in lines]


def _list(key: str, items: Sequence[str]) -> list[str]:
    """A list of texts, on one line where it holds one."""
    if len(items) < 2:
        return [f"{key} = [{''.join(map(quoted, items))}]"]
    return [f"{key} = [", *(f"    {quoted(item)}," for item in items), "]"]


def _comments(lines: Sequence[str]) -> list[str]:
    return [f"# {plain(line)}".rstrip() for line in lines]
