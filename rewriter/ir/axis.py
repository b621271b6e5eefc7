"""Named axes: a tensor is a tuple of axes, and an axis has a size, a role and an origin.

A rule does not change axes. It records what it learns about one (``hint``, ``unify``) as an *effect*;
``ir.identities`` plays the effects of all nodes in order, and determines which axes are the same and the role of each.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..errors import shown
from .size import Size, product


class Role(str, enum.Enum):
    """The role of an axis. ``FEATURE`` is weak: a Dense layer's output can get any other role later."""

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


class Known(Protocol):
    """What an effect may use of the identities while effects are played (``ir.identities.Identities``)."""

    def role(self, origin: Origin) -> Role: ...

    def identity(self, axis: Axis) -> Hashable: ...

    def source(self, axis: Axis) -> Role | None: ...

    def axis_text(self, axis: Axis) -> str: ...

    def hint(self, origin: Origin, role: Role) -> None: ...

    def unify(self, a: Origin, b: Origin) -> None: ...

    def note(self, message: str) -> None: ...

    def leave_open(self, a: Axis, b: Axis) -> None: ...


Effect = Callable[[Known], None]


class Scope:
    """What one node's rule records: its effects in order, and a counter for its origins.

    A node and a number identify an origin, so a rule that runs again on equal operands makes equal axes.
    """

    __slots__ = ("count", "effects", "owner")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.count = itertools.count()
        self.effects: list[Effect] = []


_SCOPE: ContextVar[Scope | None] = ContextVar("scope", default=None)
_OUTSIDE = itertools.count()


@contextmanager
def scope(owner: object) -> Iterator[Scope]:
    """Collect the effects of the block for ``owner``, a node's path."""
    opened = Scope(owner)
    token = _SCOPE.set(opened)
    try:
        yield opened
    finally:
        _SCOPE.reset(token)


def record(effect: Effect) -> None:
    """Record an effect for the node whose rule runs; outside of a rule it is dropped."""
    current = _SCOPE.get()
    if current is not None:
        current.effects.append(effect)


def recording() -> bool:
    """True inside of a node's rule."""
    return _SCOPE.get() is not None


class Origin:
    """The identity of an axis across the tensors that share it.

    ``role`` is the role that the rule gave it. ``derived`` names the origin that the values along this axis were
    computed from (a Dense over a pooled channel axis makes a new feature axis derived from that channel axis); it is
    evidence, not identity. ``like`` is the origin whose role it takes over (a pooled height is still a height).
    ``parts`` are the axes that were joined to make it: a slice of exactly one part is that axis again.

    A rule sees origins as they were made. The identities of an inference hold the result for the whole model: one
    origin for all axes that are the same.
    """

    __slots__ = ("_hash", "_key", "derived", "like", "parts", "role")

    def __init__(
        self,
        role: Role = Role.UNKNOWN,
        derived: Origin | None = None,
        like: Origin | None = None,
        parts: tuple[Axis, ...] = (),
    ) -> None:
        current = _SCOPE.get()
        self._key = (None, next(_OUTSIDE)) if current is None else (current.owner, next(current.count))
        self._hash = hash(self._key)
        self.role: Role = like.role if like is not None and role in WEAK else role
        self.derived = derived
        self.like = like
        self.parts = parts

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        """True for the same number of the same node, made of equal origins."""
        a: Origin | None = self
        b = other
        while a is not b:
            if a is None or not isinstance(b, Origin) or a._made != b._made:
                return False
            a, b = a.derived or a.like, b.derived or b.like
        return True

    @property
    def _made(self) -> tuple[object, ...]:
        parts = tuple((part.size, part.origin._key) for part in self.parts)
        return self._key, self.role, self.derived is None, self.like is None, parts

    def hint(self, role: Role) -> None:
        """Record that a layer takes this axis as ``role``, which replaces an unknown role, or a weak one if it is
        strong.

        A second strong role is a conflict at the node whose rule records it.
        """
        record(lambda known: known.hint(self, role))

    def unify(self, other: Origin) -> None:
        """Record that two origins are one: all axes of both are the same axis, with the stronger role."""
        record(lambda known: known.unify(self, other))

    def source(self) -> Role | None:
        """The role that a layer gave this axis, or else that of the nearest axis that it was computed from."""
        roles = (origin.role for origin in self.lineage())
        return next((role for role in roles if role not in WEAK and role is not Role.BATCH), None)

    def lineage(self) -> Iterator[Origin]:
        """This axis's origin and those that it is derived from, nearest first; at most 64."""
        node: Origin | None = self
        for _ in range(64):
            if node is None:
                return
            yield node
            node = node.derived


@dataclass(frozen=True, slots=True)
class AxisFacts:
    """Facts about one axis of one tensor; they move with the axis.

    ``written`` names what made an axis of size 1 where the author did (``Reshape``, ``keepdims`` …): the axis states
    the positions of the others. ``sums_to_one``: the numbers along the axis add up to one. ``split``: a Reshape made
    the axis out of others. The last two hold for these numbers only: an operation that computes new ones drops them.
    """

    written: str = ""
    sums_to_one: bool = False
    split: bool = False


_NO_AXIS_FACTS = AxisFacts()


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a tensor. ``factors`` is set where it is a row-major product of other axes."""

    size: Size
    origin: Origin = field(default_factory=Origin, compare=False)
    factors: tuple[Axis, ...] = field(default=(), compare=False)
    facts: AxisFacts = field(default=_NO_AXIS_FACTS, compare=False)

    @property
    def role(self) -> Role:
        return self.origin.role

    def is_same(self, other: Axis) -> bool:
        """True if both are one axis by origin (factor by factor for products)."""
        if self.factors or other.factors:
            return len(self.factors) == len(other.factors) and all(
                a.is_same(b) for a, b in zip(self.factors, other.factors, strict=True)
            )
        return self.origin == other.origin

    def is_identical(self, other: Axis) -> bool:
        """True for the same axis of the same size, factor by factor."""
        return (
            self is other
            or self.size == other.size
            and self.origin == other.origin
            and self.facts == other.facts
            and len(self.factors) == len(other.factors)
            and all(a.is_identical(b) for a, b in zip(self.factors, other.factors, strict=True))
        )

    def flat(self) -> tuple[Axis, ...]:
        """The axes that this one is a product of; the axis itself if it is not a product."""
        return tuple(leaf for f in self.factors for leaf in f.flat()) if self.factors else (self,)

    def __str__(self) -> str:
        return str(self.size) if self.role is Role.UNKNOWN else f"{self.role}={self.size}"


def new_axis(
    size: Size, role: Role = Role.UNKNOWN, derived: Axis | None = None, facts: AxisFacts = _NO_AXIS_FACTS
) -> Axis:
    """A new axis, not the same as any other."""
    return Axis(size, Origin(role, derived.origin if derived is not None else None), facts=facts)


def remade(axis: Axis, size: Size) -> Axis:
    """A new axis that is computed from another and keeps its role: a slice, a window, a repetition."""
    return Axis(size, Origin(derived=axis.origin, like=axis.origin))


def cut_out(axis: Axis, start: Size | None, size: Size) -> Axis:
    """``size`` entries of an axis from ``start`` (None: not known): a part that was joined there, or a new axis."""
    end: Size = 0
    for part in axis.origin.parts if start is not None else ():
        if end == start and part.size == size:
            return Axis(part.size, part.origin, part.factors)
        end = end + part.size
    return remade(axis, size)


def joined_axis(parts: Sequence[Axis], size: Size) -> Axis:
    """A new axis that holds others one after another, with the role of the first."""
    return Axis(size, Origin(like=parts[0].origin, parts=tuple(parts)))


def same_kind(axis: Axis, size: Size) -> Axis:
    """A new axis with the role of another, not computed from it."""
    return Axis(size, Origin(like=axis.origin))


def either(axes: Sequence[Axis]) -> Axis:
    """One of several axes of one size: the first that a layer gave a role, else the first."""
    first = axes[0]
    if len(axes) == 1 or not recording() or any(axis.factors for axis in axes):
        return next((axis for axis in axes if axis.role not in WEAK), first)
    if all(axis.origin is first.origin for axis in axes):
        return first
    batch = any(axis.role is Role.BATCH for axis in axes)
    result = new_axis(first.size, Role.BATCH if batch else Role.UNKNOWN)

    def effect(known: Known) -> None:
        best = next((axis for axis in axes if known.role(axis.origin) not in WEAK), first)
        known.unify(best.origin, result.origin)

    record(effect)
    return result


# ``AxisFacts.written`` of a constant's axis of size 1.
CONSTANT = "constant"


def unit_axis(by: str, like: Axis | None = None) -> Axis:
    """An axis of size 1 that the author wrote: by a Reshape, an ExpandDims, keepdims, a slice with a new axis.

    Args:
        like: the axis that it is computed from; the new axis keeps its role.
    """
    axis = Axis(1) if like is None else remade(like, 1)
    return replace(axis, facts=AxisFacts(by))


def merge_axes(axes: Iterable[Axis], by: str = "Reshape") -> Axis:
    """The row-major product of the axes without unit axes: ``merge(H, W, C) -> H*W*C``; ``by`` names the operation."""
    kept = tuple(leaf for axis in axes if axis.size != 1 for leaf in axis.flat())
    if not kept:
        return unit_axis(by)
    if len(kept) == 1:
        return kept[0]
    return Axis(product(a.size for a in kept), Origin(), kept)


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about the numbers of a tensor.

    ``weights``: a softmax made them, and since then they were only moved or left out. ``moved`` is the order in which
    the author transposed the tensor: for each axis its place before (-1 for a unit axis that came later). It is empty
    where the tensor was not transposed, or a later layer gives its axes their roles. ``total`` is the tensor that this
    one is the sum of (``Value.tensor``), with the number of the axis. ``scaled`` is the axis, counted from the right
    from 0, along which the operation that made the tensor multiplied it by constants. ``mean`` is the tensor that this
    one is the mean of.
    """

    weights: bool = False
    moved: tuple[int, ...] = ()
    total: tuple[Tensor, int] | None = None
    scaled: int | None = None
    mean: Tensor | None = None

    def inside(self) -> Facts:
        """The facts that hold inside a nested model: none that name tensors or operations outside it."""
        return replace(self, total=None, scaled=None, mean=None)


# A tensor of a model: the path of its node, and the number of the output.
Tensor = tuple[tuple[str, ...], int]

_NO_FACTS = Facts()


@dataclass(frozen=True, slots=True, repr=False)
class Value:
    """A tensor as the analysis sees it.

    ``axes`` is None where the rank is unknown (``reason`` says why). ``claimed`` is set where only the file states the
    shape and nothing proves it: it names the layer whose code is not known, even for what is computed from its output.
    ``constant`` is the value itself where a file holds it (a literal argument): a scalar or nested lists. ``mask``
    holds the axes of the tensor's mask, if there is one. ``tensor`` identifies the tensor in the model; a node that
    returns an operand unchanged returns the same tensor.
    """

    axes: tuple[Axis, ...] | None
    dtype: str = "float32"
    claimed: str | None = None
    reason: str = ""
    constant: Any = None
    mask: tuple[Axis, ...] | None = None
    facts: Facts = _NO_FACTS
    tensor: Tensor | None = field(default=None, compare=False)

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

    def with_axes(self, axes: tuple[Axis, ...] | None, mask: tuple[Axis, ...] | None) -> Value:
        """The same value, with other axes."""
        return replace(self, axes=axes, mask=mask)

    def is_identical(self, other: Value) -> bool:
        """True if no rule can distinguish the two."""
        return self is other or (
            self.is_alike(other)
            and self.facts == other.facts
            and (self.claimed, self.reason) == (other.claimed, other.reason)
            and _identical(self.axes, other.axes)
            and _identical(self.mask, other.mask)
        )

    def is_alike(self, other: Value) -> bool:
        """True if a rule gives results of the same sizes, and the same fault, for both."""
        return (
            self.dtype == other.dtype
            and (self.constant is other.constant or self.constant == other.constant)
            and _alike(self.axes, other.axes)
            and _alike(self.mask, other.mask)
        )

    def text(self) -> str:
        """``[batch=B, height=28, channel=64]``."""
        if self.axes is None:
            return "[rank unknown]"
        return f"[{', '.join(map(str, self.axes))}]"

    def __repr__(self) -> str:
        return shown(f"<Value {self.text()}>", 180)


def _alike(a: tuple[Axis, ...] | None, b: tuple[Axis, ...] | None) -> bool:
    if a is None or b is None:
        return a is b
    return len(a) == len(b) and all(
        x.size == y.size and (x.role is Role.BATCH) is (y.role is Role.BATCH)
        for x, y in zip(a, b, strict=True)
    )


def _identical(a: tuple[Axis, ...] | None, b: tuple[Axis, ...] | None) -> bool:
    if a is None or b is None:
        return a is b
    return len(a) == len(b) and all(x.is_identical(y) for x, y in zip(a, b, strict=True))
