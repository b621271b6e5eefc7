"""A picture before its layout: boxes, links between them, and shapes with the role of each axis.

All text in it is safe to show (``errors.shown``).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...errors import shown
from ...ir.axis import Axis, Role, Value
from ...ir.size import Size


class Mark(str, enum.Enum):
    """The mark of a box or a link: none, at fault (by severity), or inserted."""

    NONE = "plain"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    INSERTED = "inserted"

    __str__ = str.__str__


@dataclass(frozen=True, slots=True)
class Part:
    """One axis of a shape: its size as text, and its role (``batch``, ``height`` …)."""

    text: str
    role: str = str(Role.UNKNOWN)

    @property
    def label(self) -> str:
        """``height=28``; only the size if the role is not known."""
        return self.text if self.role == Role.UNKNOWN else f"{self.role}={self.text}"


Shape = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A node: its class, its name, its whole path, and how many edges lead to nodes that are not drawn."""

    title: str
    name: str
    path: str
    mark: Mark = Mark.NONE
    hidden_in: int = 0
    hidden_out: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A tensor from one box to another (their numbers). ``shape`` is None where it is not known."""

    source: int
    target: int
    shape: Shape | None = None
    mark: Mark = Mark.NONE


@dataclass(slots=True)
class Picture:
    """Boxes and links; ``title`` says what is shown, for readers who cannot see it."""

    title: str
    boxes: list[Box] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    def add(self, box: Box) -> int:
        """Add a box; returns its number."""
        self.boxes.append(box)
        return len(self.boxes) - 1


def part_of(axis: Axis) -> Part:
    return Part(shown(axis.size), str(axis.role))


def shape_of(value: Value | None) -> Shape | None:
    """The axes of a value; None where its rank is not known."""
    return None if value is None or value.axes is None else tuple(part_of(axis) for axis in value.axes)


def shape_of_sizes(sizes: Sequence[Size], roles: Sequence[str] = ()) -> Shape:
    """A shape of plain sizes, with a role for each if they are known."""
    named = roles if len(roles) == len(sizes) else [str(Role.UNKNOWN)] * len(sizes)
    return tuple(Part(shown(size), role) for size, role in zip(sizes, named, strict=True))


def shape_text(shape: Shape | None) -> str:
    """``(B, 28, 28, 64)``."""
    if shape is None:
        return "shape not known"
    inside = ", ".join(part.text for part in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"
