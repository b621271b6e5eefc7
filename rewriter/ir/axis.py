"""Named axes: a tensor is a tuple of axes, and an axis knows its size, its role and where it comes from."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .size import Size, is_unknown, product


class Role(str, enum.Enum):
    """What an axis stands for. ``FEATURE`` is weak: a Dense layer's output can play any part later."""

    BATCH = "batch"
    CHANNEL = "channel"
    HEIGHT = "height"
    WIDTH = "width"
    DEPTH = "depth"
    TIME = "time"
    FEATURE = "feature"
    UNKNOWN = "unknown"

    __str__ = str.__str__


SPATIAL = frozenset({Role.HEIGHT, Role.WIDTH, Role.DEPTH, Role.TIME})
WEAK = frozenset({Role.UNKNOWN, Role.FEATURE})


# Where `Origin.hint` notes that a layer takes an axis for something else than it is; None: nobody listens.
CONFLICTS: ContextVar[list[str] | None] = ContextVar("conflicts", default=None)


def note_conflict(message: str) -> None:
    """Tell whoever listens that an axis is taken for something else than it is."""
    log = CONFLICTS.get()
    if log is not None:
        log.append(message)


class Origin:
    """The identity of an axis across the tensors that share it; a union-find node that carries the role.

    ``unify`` makes two origins one: from then on all axes of both are the same axis, and the stronger role holds.
    ``derived`` names the origin that the values along this axis were computed from (a Dense over a pooled channel
    axis makes a new feature axis derived from that channel axis); it is evidence, not identity.
    """

    __slots__ = ("_parent", "_role", "derived", "inserted")

    def __init__(self, role: Role = Role.UNKNOWN, derived: Origin | None = None) -> None:
        self._parent: Origin | None = None
        self._role = role
        self.derived = derived
        self.inserted = False

    def root(self) -> Origin:
        node = self
        while node._parent is not None:
            if node._parent._parent is not None:
                node._parent = node._parent._parent
            node = node._parent
        return node

    @property
    def role(self) -> Role:
        return self.root()._role

    def hint(self, role: Role) -> None:
        """Give the axis a role if it has none, or a strong one if it had a weak one; note a contradiction."""
        root = self.root()
        if root._role is Role.UNKNOWN or (root._role is Role.FEATURE and role not in WEAK):
            root._role = role
        elif role not in WEAK and root._role not in WEAK and root._role is not role:
            note_conflict(f"an axis that is {root._role} is taken for {role}")

    def unify(self, other: Origin) -> None:
        a, b = self.root(), other.root()
        if a is b:
            return
        b._parent = a
        a.hint(b._role)
        if a.derived is None:
            a.derived = b.derived

    def source(self) -> Role | None:
        """The role that a layer gave this axis, or the first one that it is computed along."""
        roles = (origin.role for origin in self.lineage())
        return next((role for role in roles if role not in WEAK and role is not Role.BATCH), None)

    def lineage(self) -> Iterator[Origin]:
        """The roots that this axis is derived from, nearest first, itself included; never longer than 64."""
        node: Origin | None = self.root()
        for _ in range(64):
            if node is None:
                return
            yield node
            node = node.derived.root() if node.derived is not None else None


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a tensor. ``factors`` is set where it is a row-major product of other axes."""

    size: Size
    origin: Origin = field(default_factory=Origin, compare=False)
    factors: tuple[Axis, ...] = field(default=(), compare=False)

    @property
    def role(self) -> Role:
        return self.origin.role

    def is_same(self, other: Axis) -> bool:
        """True where both are one axis by origin (factor by factor for products)."""
        if self.factors or other.factors:
            return len(self.factors) == len(other.factors) and all(
                a.is_same(b) for a, b in zip(self.factors, other.factors, strict=True)
            )
        return self.origin.root() is other.origin.root()

    def flat(self) -> tuple[Axis, ...]:
        """The axes that this one is a product of; itself where it is none."""
        return tuple(leaf for f in self.factors for leaf in f.flat()) if self.factors else (self,)

    def __str__(self) -> str:
        return str(self.size) if self.role is Role.UNKNOWN else f"{self.role}={self.size}"


def new_axis(size: Size, role: Role = Role.UNKNOWN, derived: Axis | None = None) -> Axis:
    """An axis of its own, the same as no other."""
    return Axis(size, Origin(role, derived.origin if derived is not None else None))


def unit_axis() -> Axis:
    """An axis of size 1 that somebody inserted: by a Reshape, an ExpandDims, a slice with a new axis."""
    axis = Axis(1)
    axis.origin.inserted = True
    return axis


def merge_axes(axes: Iterable[Axis]) -> Axis:
    """The row-major product of the axes, unit axes left out: ``merge(H, W, C) -> H*W*C``."""
    kept = tuple(leaf for axis in axes if axis.size != 1 for leaf in axis.flat())
    if not kept:
        return unit_axis()
    if len(kept) == 1:
        return kept[0]
    return Axis(product(a.size for a in kept), Origin(), kept)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor as the analysis sees it.

    ``axes`` is None where the rank is unknown (``reason`` says why). ``claimed`` marks a shape that a file states and
    nothing proves: the output of a layer whose code is not known, and what is computed from it; it names that node.
    ``constant`` is the value itself where a file holds it (a literal argument): a scalar or nested lists.
    ``mask`` names the axes of a mask that travels with the tensor, if there is one.
    """

    axes: tuple[Axis, ...] | None
    dtype: str = "float32"
    claimed: str | None = None
    reason: str = ""
    constant: Any = None
    mask: tuple[Axis, ...] | None = None

    @property
    def rank(self) -> int | None:
        return None if self.axes is None else len(self.axes)

    @property
    def sizes(self) -> tuple[Size, ...] | None:
        return None if self.axes is None else tuple(a.size for a in self.axes)

    @property
    def shape(self) -> list[int | None] | None:
        """The sizes as the JSON contract has them: ints, and None for what is not a plain number."""
        return None if self.axes is None else [a.size if isinstance(a.size, int) else None for a in self.axes]

    @property
    def is_constant(self) -> bool:
        return self.constant is not None

    def text(self) -> str:
        """``[batch=B, height=28, channel=64]``."""
        if self.axes is None:
            return "[rank unknown]"
        return f"[{', '.join(map(str, self.axes))}]"


def has_unknown(axes: Iterable[Axis]) -> bool:
    """True where the size of one of the axes is unknown."""
    return any(is_unknown(a.size) for a in axes)
