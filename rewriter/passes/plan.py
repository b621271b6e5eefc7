"""Plans: a file with the findings of a model and the user's decision on each.

``report.plan`` writes one; this module reads it back and checks it against the model. A choice is a rule's name or an
equation, ``LEAVE`` for a fault that is to stay, or ``UNDECIDED``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import BadFileError, UsageError, shown
from ..files import toml
from ..rules.notation import parse
from ..rules.table import Rule
from .analysis import Analysis, is_open
from .candidate import Candidate
from .finding import Finding
from .pipeline import supposed_sites
from .resolve import meant
from .sites import DEFAULT_OPS, Site, families

SCHEMA = "rewriter-plan/1"
LEAVE, UNDECIDED = "leave", ""

_MAX_SIZE = 16 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXTS = ("schema", "model", "sha256", "rewriter", "mode", "ops")
_ENTRY_TEXTS = ("node", "kind", "op", "choice")
_ENTRY_LISTS = ("operands", "candidate")


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as read: the hash of its model's file, the choice of each node, and the operations that may be changed."""

    name: str
    sha256: str
    choices: Mapping[str, str]
    ops: str

    def of(self, sha256: str, nodes: Collection[str]) -> Plan:
        """This plan, checked against a model.

        Args:
            sha256: the hash of the model's file.
            nodes: the paths of its nodes.

        Raises:
            UsageError: the model is another one, or has no such node.
        """
        if sha256 != self.sha256:
            raise UsageError(
                f"{self.name}: the model has changed since: its sha256 is {sha256[:12]}…, the plan is for "
                f"{self.sha256[:12]}…"
            )
        known = set(nodes)
        missing = next((node for node in self.choices if node not in known), None)
        if missing is not None:
            raise UsageError(f"{self.name}: the model has no node {shown(missing)!r}")
        return self

    @property
    def stated(self) -> dict[str, str]:
        """The nodes with a rule or an equation."""
        return {node: text for node, text in self.choices.items() if text not in (LEAVE, UNDECIDED)}

    @property
    def left(self) -> frozenset[str]:
        """The nodes whose faults are to stay."""
        return frozenset(node for node, text in self.choices.items() if text == LEAVE)


def worded(
    analysis: Analysis, choices: Sequence[tuple[Site, Candidate]], rules: Sequence[Rule]
) -> dict[str, str]:
    """How a plan states choices, by node: the rule's name if that is enough, else the equation.

    Each text is read on the operands under the other choices, as ``state`` does; a choice that no text states is left
    out.
    """
    here = supposed_sites(analysis, {site.path: candidate for site, candidate in choices})
    result: dict[str, str] = {}
    for site, candidate in choices:
        for text in (candidate.rule, candidate.equation):
            with suppress(UsageError):
                if meant(here[site.path], text, rules).plan.written == candidate.plan.written:
                    result[site.name] = text
                    break
    return result


def choice_text(finding: Finding, said: Mapping[str, str]) -> str:
    """What a plan says of a finding: its choice, ``UNDECIDED``, or ``LEAVE`` where there is nothing to decide."""
    if finding.choice is not None:
        return said.get(finding.node, UNDECIDED)
    return UNDECIDED if is_open(finding) else LEAVE


# -- reading -----------------------------
def read(path: str | os.PathLike[str]) -> Plan:
    """The plan in a file.

    Raises:
        UsageError: not readable, not TOML, or not a plan; the message states the place and the reason.
    """
    name = f"plan {shown(os.fspath(path))}"
    try:
        data = toml.load(path, _MAX_SIZE)
    except BadFileError as error:
        raise UsageError(f"{name}: {error}") from None
    if data.get("schema") != SCHEMA:
        raise UsageError(f"{name}: it is not a plan of this version: schema is not {SCHEMA!r}")
    _check_keys(data, _TEXTS, ("finding",), name)
    sha256 = data.get("sha256")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise UsageError(f"{name}: sha256 must be the 64 hexadecimal digits of the model's file")
    choices: dict[str, str] = {}
    for number, entry in enumerate(data.get("finding", []), 1):
        node, choice = _entry(entry, f"{name}: finding {number}")
        if node in choices:
            raise UsageError(f"{name}: {shown(node)!r} is listed twice")
        choices[node] = choice
    ops: str = data.get("ops", DEFAULT_OPS)
    families(ops)
    return Plan(name, sha256, choices, ops)


def _entry(entry: Any, where: str) -> tuple[str, str]:
    """Node and choice of a ``[[finding]]``."""
    if not isinstance(entry, dict):
        raise UsageError(f"{where}: it must be a table ([[finding]])")
    _check_keys(entry, _ENTRY_TEXTS, _ENTRY_LISTS, where)
    node, choice = entry.get("node"), entry.get("choice")
    if not isinstance(node, str) or not isinstance(choice, str):
        raise UsageError(f"{where}: it needs a node and a choice, both strings")
    choice = choice.strip()
    if set(choice) & set(" ,>"):
        try:
            parse(choice)
        except UsageError as error:
            raise UsageError(f"{where}, {shown(node)!r}: {error}") from None
    return node, choice


def _check_keys(table: Mapping[str, Any], texts: Sequence[str], lists: Sequence[str], where: str) -> None:
    for key, value in table.items():
        if key not in texts and key not in lists:
            raise UsageError(f"{where}: unknown key {shown(key)!r}")
        wanted, word = (str, "a string") if key in texts else (list, "a list")
        if not isinstance(value, wanted):
            raise UsageError(f"{where}: {key} must be {word}")
