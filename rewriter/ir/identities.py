"""The identities of a model's axes: which axes are the same, their roles, and role conflicts, from all rules together.

A rule sees only its operands. What it learns of an axis may come from far downstream (a convolution shows that an
input's last axis is the channel), so rules record effects. Effects are played once, in the order of the nodes, and then
looked up. Two inferences with the same effects have the same identities; they share no state.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from .axis import SPATIAL, WEAK, Axis, Effect, Origin, Role, Value

_PLACES = SPATIAL | {Role.CHANNEL}


class Identities:
    """The identities and roles of axes: a union-find that is final once the last effect is played.

    ``node`` is the node whose effects are played. By node, ``conflicts`` holds a message for each axis that a layer
    uses in another role, ``unproven`` the axes whose sizes have to be equal and may differ, and ``below`` what is
    known inside the models that it calls.
    """

    def __init__(self) -> None:
        self.node = ""
        self.conflicts: dict[str, list[str]] = {}
        self.unproven: dict[str, list[tuple[Axis, Axis]]] = {}
        self.below: dict[str, list[tuple[str, Any]]] = {}
        self._parent: dict[Origin, Origin] = {}
        self._role: dict[Origin, Role] = {}
        self._derived: dict[Origin, Origin | None] = {}
        self._mixed: set[Origin] = set()
        self._seen: dict[Origin, Origin] = {}
        self._values: dict[int, tuple[Value, Value]] = {}

    # -- while effects are played -----------------------------
    def play(self, node: str, effects: Iterable[Effect]) -> None:
        """Play the effects that a node's rule recorded."""
        self.node = node
        for effect in effects:
            effect(self)

    def root(self, origin: Origin) -> Origin:
        """The representative of all origins that are one with this one."""
        parent = self._parent
        above = parent.get(origin)
        if above is None:
            parent[origin] = origin
            like = origin.like
            self._role[origin] = self.role(like) if like is not None and origin.role in WEAK else origin.role
            if like is not None and self.root(like) in self._mixed:
                self._mixed.add(origin)
            self._derived[origin] = origin.derived
            return origin
        while above is not origin:
            further = parent[above]
            if further is above:
                return above
            parent[origin] = further
            origin, above = further, parent[further]
        return origin

    def role(self, origin: Origin) -> Role:
        """The role of the axis, from the effects played so far."""
        return self._role[self.root(origin)]

    def identity(self, axis: Axis) -> Hashable:
        """A key that is equal for axes that are the same, factor by factor for products."""
        return tuple(map(self.identity, axis.factors)) if axis.factors else self.root(axis.origin)

    def axis_text(self, axis: Axis) -> str:
        """An axis as messages name it: ``height=28``."""
        return str(Axis(axis.size, Origin(self.role(axis.origin))))

    def hint(self, origin: Origin, role: Role) -> None:
        root = self.root(origin)
        if root in self._mixed:
            return
        known = self._role[root]
        if known is Role.UNKNOWN or (known is Role.FEATURE and role not in WEAK):
            self._role[root] = role
        elif role not in WEAK and known not in WEAK and known is not role:
            self.note(f"an axis that is {known} is used as {role}")

    def unify(self, a: Origin, b: Origin) -> None:
        one, other = self.root(a), self.root(b)
        if one == other:
            return
        self._parent[other] = one
        self.hint(one, self._role[other])
        if self._derived[one] is None:
            self._derived[one] = self._derived[other]

    def join(self, made: Origin, parts: Iterable[Origin]) -> None:
        """Record that an axis holds others one after another.

        An axis that mixes rows and columns is neither: no layer can give it, or a slice of it, a role.
        """
        if len({self.role(part) for part in parts} & _PLACES) > 1:
            root = self.root(made)
            self._role[root] = Role.UNKNOWN
            self._mixed.add(root)

    def note(self, message: str) -> None:
        """Record a role conflict: the node takes an axis for another role than it has."""
        self.conflicts.setdefault(self.node, []).append(message)

    def leave_open(self, a: Axis, b: Axis) -> None:
        """Record that the node runs only if two axes have one size, which nothing proves."""
        self.unproven.setdefault(self.node, []).append((a, b))

    def touch(self, values: Iterable[Value]) -> None:
        """Give new axes the present roles of the axes that they are like."""
        for value in values:
            for axis in value.axes or ():
                for leaf in axis.flat():
                    self.root(leaf.origin)

    def start(self, origin: Origin, role: Role, derived: Origin | None) -> None:
        """Set what is known of an origin before any effect is played."""
        self._parent[origin] = origin
        self._role[origin] = role
        self._derived[origin] = derived

    def ancestry(self, origin: Origin) -> Origin | None:
        """What an axis is derived from."""
        derived = self._derived[self.root(origin)]
        return None if derived is None else self.root(derived)

    def source(self, axis: Axis) -> Role | None:
        """The role that a layer gave this axis, or else that of the nearest axis that it was computed from."""
        node: Origin | None = self.root(axis.origin)
        for _ in range(64):
            if node is None:
                return None
            role = self._role[node]
            if role not in WEAK and role is not Role.BATCH:
                return role
            node = self.ancestry(node)
        return None

    # -- after the last effect -----------------------------
    def origin(self, made: Origin) -> Origin:
        """The final origin of an axis, one for all axes that are the same, with its role and lineage."""
        chain: list[Origin] = []
        node: Origin | None = self.root(made)
        while node is not None and node not in self._seen:
            self._seen[node] = known = Origin(self._role[node])
            chain.append(known)
            node = self.ancestry(node)
        below = None if node is None else self._seen[node]
        for known in reversed(chain):
            known.derived = below
            below = known
        return self._seen[self.root(made)]

    def near(self, axis: Axis) -> Axis:
        """An axis with its final role; its lineage stays as it was."""
        root = self.root(axis.origin)
        if root not in self._seen:
            self._seen[root] = Origin(self._role[root], self._derived[root])
        return replace(axis, origin=self._seen[root], factors=tuple(map(self.near, axis.factors)))

    def axis(self, axis: Axis) -> Axis:
        return replace(axis, origin=self.origin(axis.origin), factors=tuple(map(self.axis, axis.factors)))

    def value(self, value: Value) -> Value:
        """A value with its final axes."""
        known = self._values.get(id(value))
        if known is None:
            axes = None if value.axes is None else tuple(map(self.axis, value.axes))
            mask = None if value.mask is None else tuple(map(self.axis, value.mask))
            known = self._values[id(value)] = (value, value.with_axes(axes, mask))
        return known[1]


def settle(effects: Sequence[Effect], axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """Axes after some effects, without a model around them.

    Their lineage stays as it is: it comes from a model that is finished, and can be long.
    """
    known = Identities()
    known.play("", effects)
    return tuple(map(known.near, axes))
