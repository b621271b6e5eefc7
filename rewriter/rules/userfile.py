"""Rules that users add: a TOML file, or ``[tool.rewriter]`` in a ``pyproject.toml``.

[[rule]]                      # [[tool.rewriter.rule]] in a pyproject.toml
name = "head-gate"
equations = ["b h t s, b h -> b h t s"]
summary = "one factor per attention head"
generic = true                # it only completes the list of readings: its fit alone is not evidence
"""

from __future__ import annotations

import os
import re
from typing import Any

from ..errors import BadFileError, UsageError, shown
from ..files import toml
from .notation import parse
from .table import Rule, builtin

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_SIZE = 1 << 20


def load(path: str | os.PathLike[str]) -> tuple[Rule, ...]:
    """The rules of a file.

    Raises:
        UsageError: the file is not readable or not TOML, or a rule is not valid; it names the rule and the reason.
    """
    name = shown(os.fspath(path))
    try:
        data = toml.load(path, _MAX_SIZE)
    except BadFileError as error:
        raise UsageError(f"rules file {name}: {error}") from None
    section: Any = data.get("tool", {}).get("rewriter", {}) if isinstance(data.get("tool"), dict) else data
    if section is data:
        unknown = sorted(set(data) - {"rule"})
        if unknown or not data:
            key = f"the unknown key {shown(unknown[0])!r}" if unknown else "no [[rule]]"
            raise UsageError(f"rules file {name}: it has {key}: rules are tables called [[rule]]")
    entries = section.get("rule", []) if isinstance(section, dict) else None
    if not isinstance(entries, list):
        raise UsageError(f"rules file {name}: 'rule' must be a list of tables ([[rule]])")
    taken = {rule.name for rule in builtin()}
    rules = []
    for entry in entries:
        rule = _rule(entry, name)
        if rule.name in taken:
            raise UsageError(f"rules file {name}: there is already a rule {rule.name!r}")
        taken.add(rule.name)
        rules.append(rule)
    return tuple(rules)


def _rule(entry: Any, file: str) -> Rule:
    if not isinstance(entry, dict):
        raise UsageError(f"rules file {file}: a rule must be a table")
    name, equations = entry.get("name"), entry.get("equations", entry.get("equation"))
    summary = entry.get("summary", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"rules file {file}: a rule's name must be lower-case words joined by '-', not {shown(repr(name))}"
        )
    if isinstance(equations, str):
        equations = [equations]
    if not isinstance(equations, list) or not equations or not all(isinstance(e, str) for e in equations):
        raise UsageError(f"rules file {file}: rule {name!r} needs 'equations', a list of strings")
    unknown = sorted(set(entry) - {"name", "equation", "equations", "summary", "generic"})
    if unknown:
        raise UsageError(f"rules file {file}: rule {name!r} has an unknown key {shown(unknown[0])!r}")
    if "equation" in entry and "equations" in entry:
        raise UsageError(f"rules file {file}: rule {name!r} has both 'equation' and 'equations': keep one")
    if not isinstance(summary, str):
        raise UsageError(f"rules file {file}: rule {name!r}: 'summary' must be a string")
    try:
        parsed = tuple(map(parse, equations))
    except UsageError as error:
        raise UsageError(f"rules file {file}: rule {name!r}: {error}") from None
    if any(len(e.operands) != 2 for e in parsed):
        raise UsageError(f"rules file {file}: rule {name!r}: a rule must have two operands")
    if any(e.joins for e in parsed):
        raise UsageError(
            f"rules file {file}: rule {name!r}: a rule has no sum (c+d): the operands' axes decide it"
        )
    generic = entry.get("generic", False)
    if not isinstance(generic, bool):
        raise UsageError(f"rules file {file}: rule {name!r}: 'generic' must be true or false")
    return Rule(name, summary, parsed, source=file, generic=generic)
