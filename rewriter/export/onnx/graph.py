"""An ONNX graph while it is built: tensors, nodes and who uses what. It becomes protobuf in ``write``.

It is our own because importing ``onnx_ir`` 1.1 takes a second, most of it SymPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...ir.size import Size

Array = NDArray[Any]
_LARGEST_READ = 65536  # constants with more numbers are not read while the graph is built


@dataclass(frozen=True)
class Data:
    """Numbers of a constant, computed or mapped on use; ``load`` caches nothing."""

    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], Array]

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def small(self) -> Array:
        """The numbers, cached: for constants that are read while the graph is built (axes, shapes)."""
        return self.load()


class Tensor:
    """A value of the graph: an input, a constant (``data``), or an output of ``producer``.

    ``sizes`` are those of the axis analysis, numbers or polynomials over symbols. ``mask`` is the Keras mask that
    travels with it. ``stem`` is its name if no other tensor has that name; without one it is named after its producer.
    ``literal`` is the value of an argument in the model's file, as nested lists. ``undefined`` says why it has no
    numbers: the model is refused if it uses them.
    """

    __slots__ = (
        "_sizes",
        "data",
        "dtype",
        "literal",
        "mask",
        "name",
        "producer",
        "stem",
        "undefined",
        "users",
    )

    def __init__(
        self,
        dtype: str,
        sizes: Sequence[Size] | None,
        *,
        stem: str | None = None,
        data: Data | None = None,
        producer: Node | None = None,
    ) -> None:
        self.dtype = dtype
        self._sizes = None if sizes is None else tuple(sizes)
        self.stem = stem
        self.data = data
        self.producer = producer
        self.mask: Tensor | None = None
        self.literal: Any = None
        self.undefined = ""
        self.users: dict[Node, int] = {}
        self.name = ""

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes. Raises ValueError where the rank is not known: the lowering has to give ``as_sizes``."""
        if self._sizes is None:
            made = self.producer.op_type if self.producer is not None else "an input"
            raise ValueError(f"the rank of the result of {made} is not known: give it as_sizes")
        return self._sizes

    @sizes.setter
    def sizes(self, sizes: Sequence[Size] | None) -> None:
        self._sizes = None if sizes is None else tuple(sizes)

    @property
    def known(self) -> bool:
        """Whether the rank is known."""
        return self._sizes is not None

    @property
    def rank(self) -> int:
        return len(self.sizes)

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    def __repr__(self) -> str:
        sizes = "?" if self._sizes is None else list(self._sizes)
        return f"Tensor({self.name or self.stem!r}, {self.dtype}, {sizes})"


@dataclass(eq=False)
class Node:
    """One ONNX node. An attribute that is a ``Graph`` is a body, which may use tensors of the graphs around it."""

    op_type: str
    inputs: list[Tensor | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    name: str = ""
    outputs: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        for tensor in self.inputs:
            if tensor is not None:
                tensor.users[self] = tensor.users.get(self, 0) + 1

    @property
    def output(self) -> Tensor:
        return self.outputs[0]

    @property
    def scope(self) -> str:
        """The path of the call that the node belongs to, as in its name: ``block/dense`` of ``block/dense/MatMul``."""
        return self.name.rpartition("/")[0]

    @property
    def bodies(self) -> list[Graph]:
        return [value for value in self.attributes.values() if isinstance(value, Graph)]

    def set_input(self, place: int, tensor: Tensor | None) -> None:
        """Replace the operand at a position and update the users of both tensors."""
        old = self.inputs[place]
        if old is not None:
            if old.users[self] > 1:
                old.users[self] -= 1
            else:
                del old.users[self]
        self.inputs[place] = tensor
        if tensor is not None:
            tensor.users[self] = tensor.users.get(self, 0) + 1


class Graph:
    """Nodes in any order (``sort`` puts producers first), with the graph's inputs and outputs."""

    def __init__(self, name: str = "model") -> None:
        self.name = name
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.nodes: list[Node] = []

    def replace(self, old: Tensor, new: Tensor) -> None:
        """Replace ``old`` by ``new`` in all its users, in any graph, and in this graph's outputs."""
        for user in list(old.users):
            for place, tensor in enumerate(user.inputs):
                if tensor is old:
                    user.set_input(place, new)
        self.outputs = [new if tensor is old else tensor for tensor in self.outputs]

    def walk(self) -> Iterator[tuple[Graph, Node]]:
        """Every node of this graph and of the bodies in it, with its graph."""
        waiting = [self]
        while waiting:
            graph = waiting.pop()
            for node in graph.nodes:
                yield graph, node
                waiting.extend(node.bodies)

    def all_outputs(self) -> set[Tensor]:
        """The outputs of this graph and of every body in it: they are needed even without a user."""
        found = set(self.outputs)
        for _, node in self.walk():
            for body in node.bodies:
                found.update(body.outputs)
        return found

    def constants(self) -> list[Tensor]:
        """Every constant in use, in the order of use."""
        used = {
            t: None for _, node in self.walk() for t in node.inputs if t is not None and t.data is not None
        }
        used.update({t: None for t in self.all_outputs() if t.data is not None})
        return list(used)

    def remove(self, nodes: set[Node]) -> None:
        """Remove nodes, also from the users of their operands."""
        for node in nodes:
            for place in range(len(node.inputs)):
                node.set_input(place, None)
        self.nodes = [node for node in self.nodes if node not in nodes]

    def sort(self) -> None:
        """Sort the nodes of the graph and its bodies producers first, close to their present order."""
        done: set[Node] = set()
        order: list[Node] = []
        own = set(self.nodes)
        for start in self.nodes:
            waiting = [(start, False)]
            while waiting:
                node, ready = waiting.pop()
                if node in done:
                    continue
                if ready:
                    done.add(node)
                    order.append(node)
                    continue
                waiting.append((node, True))
                needed = [t.producer for t in reversed(captured(node)) if t.producer is not None]
                waiting.extend((p, False) for p in needed if p in own and p not in done)
        self.nodes = order
        for node in order:
            for body in node.bodies:
                body.sort()


def captured(node: Node) -> list[Tensor]:
    """The tensors that a node needs: its inputs, and all that its bodies use."""
    found = [t for t in node.inputs if t is not None]
    for body in node.bodies:
        for _, inner in body.walk():
            found.extend(t for t in inner.inputs if t is not None)
        found.extend(body.all_outputs())
    return found


def constant_data(array: Array, dtype: str) -> Data:
    """An array in memory as data of a constant."""
    kept = np.ascontiguousarray(array) if array.ndim else array
    return Data(tuple(kept.shape), dtype, lambda: kept)


def array_of(tensor: Tensor | None) -> Array | None:
    """The numbers of a constant; None for other tensors and large constants."""
    if tensor is None or tensor.data is None or tensor.data.count > _LARGEST_READ:
        return None
    return np.asarray(tensor.data.small)
