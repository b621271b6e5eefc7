"""The result of a translation: the entry, and an account of what changed or has no new form."""

from __future__ import annotations

from typing import Any, NamedTuple

from ....ir.graph import Path
from ...model_file import Remark


class Refusal(NamedTuple):
    """A construct that has no translation. The layer stays under its old class."""

    path: Path
    construct: str
    reason: str


class Origin(NamedTuple):
    """The relation between the calls of an old model and those of the new one.

    ``now`` maps each old call (layer, call) to its first output in the new model. ``of`` maps each new layer to its old
    layer and the number of the old call; None if calls keep their numbers.
    """

    now: dict[tuple[str, int], tuple[str, int, int]]
    of: dict[str, tuple[str, int | None]]


class Upgraded(NamedTuple):
    """A configuration of Keras 3, and what changed in the old one. ``origins`` is keyed by the path of each model."""

    entry: dict[str, Any]
    remarks: list[Remark]
    refusals: list[Refusal]
    origins: dict[Path, Origin]


class Account:
    """Collects remarks and refusals. ``at`` returns the account of an inner layer, with the same lists."""

    def __init__(self, path: Path = (), other: Account | None = None) -> None:
        self.path = path
        self.remarks: list[Remark] = [] if other is None else other.remarks
        self.refusals: list[Refusal] = [] if other is None else other.refusals
        self.origins: dict[Path, Origin] = {} if other is None else other.origins

    def at(self, name: str) -> Account:
        return Account((*self.path, name), self)

    def remark(self, construct: str, became: str) -> None:
        entry = Remark(self.path, construct, became)
        if entry not in self.remarks[-4:]:
            self.remarks.append(entry)

    def refuse(self, construct: str, reason: str) -> None:
        self.refusals.append(Refusal(self.path, construct, reason))
