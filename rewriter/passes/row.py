"""Rows of tables that hold functions. Rows are copied and pickled by name, so a copy is the same object."""

from __future__ import annotations

from typing import Any


class Row:
    """A row that is identified by its name; a frozen dataclass derives from it."""

    __slots__ = ()
    name: str

    def __post_init__(self) -> None:
        _ROWS[type(self), self.name] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return _row, (type(self), self.name)


_ROWS: dict[tuple[type, str], Row] = {}


def _row(cls: type, name: str) -> Row:
    return _ROWS[cls, name]
