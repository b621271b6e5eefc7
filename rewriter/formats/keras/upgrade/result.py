"""What comes of a translation: the entry, and an account of what changed its form or has none."""

from __future__ import annotations

from typing import Any, NamedTuple

from ....ir.graph import Path


class Remark(NamedTuple):
    """What became of a construct. ``path`` are the names of the models and the layer, from the outermost."""

    path: Path
    construct: str
    became: str


class Refusal(NamedTuple):
    """A construct that has no translation. The layer stays under its old class."""

    path: Path
    construct: str
    reason: str


class Upgraded(NamedTuple):
    """A configuration of Keras 3, and what became of the old one."""

    entry: dict[str, Any]
    remarks: list[Remark]
    refusals: list[Refusal]


class Account:
    """Collects remarks and refusals. ``at`` gives the account of a layer inside, into the same lists."""

    def __init__(self, path: Path = (), other: Account | None = None) -> None:
        self.path = path
        self.remarks: list[Remark] = [] if other is None else other.remarks
        self.refusals: list[Refusal] = [] if other is None else other.refusals

    def at(self, name: str) -> Account:
        return Account((*self.path, name), self)

    def remark(self, construct: str, became: str) -> None:
        entry = Remark(self.path, construct, became)
        if entry not in self.remarks[-4:]:
            self.remarks.append(entry)

    def refuse(self, construct: str, reason: str) -> None:
        self.refusals.append(Refusal(self.path, construct, reason))
