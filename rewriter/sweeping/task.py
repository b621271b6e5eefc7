"""What a sweep finds, and what it does with each model. All of it is sent between processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ACTIONS = ("check", "convert", "repair", "export")
# Of what an action writes, if that is always one format.
SUFFIXES = {"convert": ".keras", "export": ".onnx"}


@dataclass(frozen=True, slots=True)
class Found:
    """A model in a place.

    Attributes:
        url: its path or address, also for a folder.
        size: its bytes; of a folder those of all files in it.
        stamp: what changes when the file changes: its etag, or its time of change in nanoseconds.
        age: seconds since its change; None if the place does not say it.
        inside: its path below the root that it was found in, with "/".
        folder: the names, sizes and stamps of the files in a folder; None for a file.
    """

    url: str
    size: int
    stamp: str
    inside: str
    age: float | None = None
    folder: tuple[tuple[str, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is done with every file.

    Attributes:
        action: ``check``, ``convert``, ``repair`` or ``export``.
        out: the root of the files that are written.
        pages: the root of an HTML page for every model with findings.
        options: the options of the library's function.
        trust: the packages whose code may run.
        swept: the places in which nothing is written.
    """

    action: str = "check"
    out: str | None = None
    pages: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    trust: Sequence[str] = ()
    swept: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost: seconds, and bytes of memory of the process that looks at it."""

    seconds: float = 60.0
    memory: int = 4 << 30
