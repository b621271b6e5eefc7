"""Chooses channels first or channels last for each tensor: few of the convolutions' ``Transpose``s remain.

``x -> Transpose -> Conv -> Transpose -> Relu -> Transpose -> Conv`` becomes ``x -> Transpose -> Conv -> Relu -> Conv``.

Every tensor of rank 3 and more has one of the two layouts. Convolutions need channels first. The graph's inputs and
outputs and operators without a rule in ``_axes`` need their tensors unchanged. All other nodes are free. A choice for
the free nodes is a cut of a network, in which an edge costs the elements that a Transpose moves. The minimum cut moves
the fewest, and never more than before: the original graph is one of the cuts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ....ir.size import FloorDiv, Poly, Size, Symbol, symbol
from ..builder import Builder
from ..graph import Graph, Node, Tensor
from ._axes import Order, Orders, Reordered, is_free, reordered
from ._cut import ENDLESS, Network
from ._graphs import graphs
from .transposes import order as order_of

# Operators on channels-first data; the layouts of other tensors follow from theirs across Transposes.
_WINDOWED = (
    "AveragePool Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalMaxPool InstanceNormalization LRN LpPool "
    "MaxPool Resize SpaceToDepth"
)
_CHANNELS_FIRST = frozenset(_WINDOWED.split())
_ASSUMED = 64  # the assumed size of an open axis
_BATCH = next(iter(symbol("B").terms))[0][0][0]


def to_first(rank: int) -> Order:
    """The order from ``[B, S..., C]`` to ``[B, C, S...]``."""
    return [0, rank - 1, *range(1, rank - 1)] if rank > 2 else list(range(rank))


def to_last(rank: int) -> Order:
    """The order from ``[B, C, S...]`` to ``[B, S..., C]``."""
    return [0, *range(2, rank), 1] if rank > 2 else list(range(rank))


def choose_layouts(builder: Builder) -> bool:
    """Choose the layouts that transpose the fewest elements."""
    return sum(_Layouts(builder, graph).run() for graph in graphs(builder)) > 0


def moved_elements(graph: Graph) -> int:
    """How many elements the Transposes of a graph move, open sizes estimated."""
    return sum(
        _elements(node.output.sizes)
        for node in graph.nodes
        if node.op_type == "Transpose" and node.inputs[0] is not None and not _is_free(node)
    )


def _is_free(node: Node) -> bool:
    source = node.inputs[0]
    return source is not None and source.known and is_free(source.sizes, order_of(node))


def _elements(sizes: Sequence[Size]) -> int:
    total = 1
    for size in sizes:
        total *= max(_estimate(size), 1)
    return total


def _estimate(size: Size) -> int:
    if not isinstance(size, Poly):
        return size
    total = 0
    for monomial, coefficient in size.terms:
        for atom, power in monomial:
            coefficient *= _atom(atom) ** power
        total += coefficient
    return total


def _atom(atom: Symbol | FloorDiv) -> int:
    if isinstance(atom, FloorDiv):
        return _estimate(atom.numerator) // atom.divisor
    return 1 if atom == _BATCH else _ASSUMED


def _tracked(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.data is None and tensor.known and tensor.rank > 2


@dataclass(eq=False, slots=True)
class _Value:
    """A value in one or both layouts: the tensors before and after a Transpose from one layout to the other.

    ``forms`` holds its channels-first (True) and channels-last (False) tensors that exist already.
    """

    origin: Tensor
    tensors: list[Tensor] = field(default_factory=list)
    forms: dict[bool, Tensor] = field(default_factory=dict)


class _Layouts:
    """The layouts of one graph. ``first`` says whether a tensor is channels first originally."""

    def __init__(self, builder: Builder, graph: Graph) -> None:
        self.builder = builder
        self.graph = graph
        self.parents: dict[Tensor, Tensor] = {}
        self.firsts: dict[Tensor, bool] = {}
        self.values: dict[Tensor, _Value] = {}
        self.rules: dict[Node, Reordered] = {}
        self.renamed: dict[Tensor, Tensor] = {}
        self.own = set(graph.nodes)

    def run(self) -> bool:
        """Choose the layouts and rebuild the graph; return whether it was rebuilt."""
        if not any(node.op_type == "Transpose" for node in self.graph.nodes):
            return False
        self.graph.sort()
        self._components()
        self._values()
        if not any(len(value.tensors) > 1 for value in set(self.values.values())):
            return False
        self._rules()
        chosen = self._choose()
        self._rebuild(chosen)
        return True

    # -- the original layouts -----------------------------
    def _find(self, tensor: Tensor) -> Tensor:
        while (parent := self.parents.get(tensor, tensor)) is not tensor:
            self.parents[tensor] = self.parents.get(parent, parent)
            tensor = parent
        return tensor

    def _components(self) -> None:
        """Find the original layouts: nodes keep the layout, convolutions determine it, Transposes switch it."""
        links: dict[Tensor, list[tuple[Tensor, bool]]] = {}
        seeds: list[tuple[Tensor, bool]] = []
        for node in self.graph.nodes:
            if node.op_type == "Transpose":
                continue
            rule = reordered(node, to_first)
            if rule is not None:
                alike = [t for n in rule.data if (t := node.inputs[n]) is not None and _tracked(t)]
                alike += [t for t, order in zip(node.outputs, rule.results, strict=True) if order is not None]
                for tensor in alike[1:]:
                    self.parents[self._find(tensor)] = self._find(alike[0])
            if node.op_type in _CHANNELS_FIRST:
                seeds += [(t, True) for t in (node.inputs[0], node.output) if t is not None and _tracked(t)]
        for node in self.graph.nodes:
            source = node.inputs[0] if node.op_type == "Transpose" else None
            if source is None or not _tracked(source):
                continue
            a, b, perm = self._find(source), self._find(node.output), order_of(node)
            for result_first, order in ((True, to_first(len(perm))), (False, to_last(len(perm)))):
                if perm == order:
                    links.setdefault(a, []).append((b, result_first))
                    links.setdefault(b, []).append((a, not result_first))
        waiting = deque((self._find(t), first) for t, first in seeds)
        while waiting:
            tensor, first = waiting.popleft()
            if tensor in self.firsts:
                continue
            self.firsts[tensor] = first
            # A Transpose to channels first comes from channels last, and vice versa.
            waiting.extend((other, result) for other, result in links.get(tensor, ()) if result is not first)

    def first(self, tensor: Tensor) -> bool:
        return self.firsts.get(self._find(tensor), False)

    def orders(self, first: bool) -> Orders:
        """The orders to the other layout, for tensors that are channels first (or last) originally."""
        return to_last if first else to_first

    def _values(self) -> None:
        made = [t for node in self.graph.nodes for t in node.outputs if _tracked(t)]
        for tensor in [*(t for t in self.graph.inputs if _tracked(t)), *made]:
            source = self._turned(tensor.producer) if tensor.producer in self.own else None
            value = self.values[source] if source is not None else _Value(tensor)
            value.tensors.append(tensor)
            self.values[tensor] = value

    def _turned(self, node: Node | None) -> Tensor | None:
        """The operand of a Transpose from one layout to the other; None for other nodes."""
        if node is None or node.op_type != "Transpose" or node.inputs[0] not in self.values:
            return None
        source = node.inputs[0]
        first = self.first(source)
        if self.first(node.output) is first or order_of(node) != self.orders(first)(source.rank):
            return None
        return source

    # -- nodes that work in both layouts -----------------------------
    def _rules(self) -> None:
        for node in self.graph.nodes:
            if self._turned(node) is not None:
                continue
            first = next((self.first(t) for t in node.inputs if t in self.values), None)
            if first is None:
                continue
            rule = reordered(node, self.orders(first))
            if rule is None:
                continue
            followed = [node.inputs[n] for n in rule.data] + [
                t for t, order in zip(node.outputs, rule.results, strict=True) if order is not None
            ]
            if all(
                t is not None and (t.data is not None or self.first(t) is first) for t in followed
            ) and all(t in self.values for t in followed if t is not None and t.data is None):
                self.rules[node] = rule

    def _way(self, node: Node) -> bool:
        """Whether a node with a rule is channels first originally."""
        return next(self.first(t) for n in self.rules[node].data if (t := node.inputs[n]) in self.values)

    # -- the minimum cut -----------------------------
    def _choose(self) -> set[Node]:
        """The nodes that change their layout. The source's side of the cut is channels last."""
        network = Network()
        places = {node: network.node() for node in self.rules}
        ends = {False: Network.SOURCE, True: Network.SINK}
        values = dict.fromkeys(self.values.values())
        scale = 1 + 2 * len(values)  # prefer fewer Transposes among equal cuts
        kept = self._kept()

        def cost(sizes: Sequence[Size], order: Order) -> int:
            return 1 if is_free(sizes, order) else 1 + scale * _elements(sizes)

        for value in values:
            origin = value.origin
            start = ends[self.first(origin)]
            producer = origin.producer
            rule = None if producer is None else self.rules.get(producer)
            if producer is not None and rule is not None and rule.results[producer.outputs.index(origin)]:
                start = places[producer]
            users: set[int] = set()
            for tensor in value.tensors:
                pinned = ends[self.first(tensor)]
                if tensor in kept:
                    users.add(pinned)
                for user in tensor.users:
                    if user not in self.own:
                        users.add(pinned)
                    elif self._turned(user) is None:
                        rule = self.rules.get(user)
                        for n, given in enumerate(user.inputs):
                            if given is tensor:
                                users.add(places[user] if rule is not None and n in rule.data else pinned)
            users.discard(start)
            if not users:
                continue
            price = cost(origin.sizes, self.orders(self.first(origin))(origin.rank))
            to_sink, to_source = network.node(), network.node()
            network.edge(start, to_sink, price)
            network.edge(to_source, start, price)
            for end in users:
                network.edge(to_sink, end, ENDLESS)
                network.edge(end, to_source, ENDLESS)
        for node, rule in self.rules.items():
            first = self._way(node)
            for n in rule.spread:
                operand = node.inputs[n]
                if operand is None or operand.data is not None:
                    continue
                sizes = [1] * (node.output.rank - operand.rank) + list(operand.sizes)
                price = cost(sizes, self.orders(first)(len(sizes)))
                network.edge(*((places[node], ends[True]) if first else (ends[False], places[node])), price)
        last = network.cut()
        return {node for node, place in places.items() if (place in last) is self._way(node)}

    def _kept(self) -> set[Tensor]:
        """Tensors needed unchanged that may have no user in this graph: its outputs and those of bodies."""
        found = set(self.graph.outputs)
        for node in self.graph.nodes:
            for body in node.bodies:
                found |= body.all_outputs()
        return found

    # -- the new graph -----------------------------
    def _rebuild(self, chosen: set[Node]) -> None:
        nodes, self.graph.nodes = self.graph.nodes, []
        scope = self.builder.scope
        dropped = {node for node in nodes if self._turned(node) is not None}
        with self.builder.inside(self.graph):
            for tensor in self.graph.inputs:
                if tensor in self.values:
                    self.values[tensor].forms[self.first(tensor)] = tensor
            for node in nodes:
                if node in dropped:
                    continue
                self.builder.scope = node.scope
                rule = self.rules[node] if node in chosen else None
                self._operands(node, rule)
                self.graph.nodes.append(node)
                self._results(node, rule)
            self.builder.scope = scope
            self.graph.outputs = [self._output(t) for t in self.graph.outputs]
        self.graph.nodes.extend(dropped)
        self.graph.remove(dropped)

    def _operands(self, node: Node, rule: Reordered | None) -> None:
        first = rule is not None and self._way(node)  # before the operands are replaced
        for place, tensor in enumerate(node.inputs):
            if tensor is None:
                continue
            if rule is not None and place in rule.data:
                node.set_input(place, self._other(tensor, first))
            elif rule is not None and place in rule.spread:
                node.set_input(place, self._spread(self._as_is(tensor), node.output.rank, first))
            else:
                node.set_input(place, self._as_is(tensor))
        for body in node.bodies:
            for _, inner in body.walk():
                for place, tensor in enumerate(inner.inputs):
                    if tensor is not None:
                        inner.set_input(place, self._as_is(tensor))
            for graph in (body, *(b for _, n in body.walk() for b in n.bodies)):
                graph.outputs = [self._as_is(t) for t in graph.outputs]
        if rule is None:
            return
        node.attributes.update(rule.attributes)
        for place, numbers in rule.listed.items():
            node.set_input(place, self.builder.operand(numbers, "int64"))
        for place, wanted in rule.picked.items():
            given = node.inputs[place]
            assert given is not None
            node.set_input(place, self.builder.node("Gather", given, wanted, axis=0))

    def _results(self, node: Node, rule: Reordered | None) -> None:
        for number, tensor in enumerate(node.outputs):
            order = None if rule is None else rule.results[number]
            if tensor in self.values:
                first = self.first(tensor)
                self.values[tensor].forms[first if order is None else not first] = tensor
            if order is not None:
                tensor.sizes = [tensor.sizes[axis] for axis in order]
        if rule is not None and rule.taken is not None:
            whole = node.output
            whole.sizes = (node.attributes["end"] - node.attributes["start"],)
            self.renamed[whole] = self.builder.node("Gather", whole, rule.taken, axis=0)

    def _as_is(self, tensor: Tensor) -> Tensor:
        if tensor in self.values:
            return self._form(self.values[tensor], self.first(tensor))
        return self.renamed.get(tensor, tensor)

    def _other(self, tensor: Tensor, first: bool) -> Tensor:
        if tensor in self.values:
            return self._form(self.values[tensor], not first)
        return self.builder.node("Transpose", tensor, perm=self.orders(first)(tensor.rank))

    def _form(self, value: _Value, first: bool) -> Tensor:
        if first not in value.forms:
            value.forms[first] = self._transposed(value.forms[not first], not first)
        return value.forms[first]

    def _transposed(self, x: Tensor, first: bool) -> Tensor:
        """``x``, which is channels first or last, in the other layout."""
        order = self.orders(first)(x.rank)
        wanted = [x.sizes[axis] for axis in order]
        if is_free(x.sizes, order) and all(isinstance(size, int) for size in wanted[1:]):
            return self.builder.reshape(x, wanted)
        return self.builder.node("Transpose", x, perm=order)

    def _spread(self, x: Tensor, rank: int, first: bool) -> Tensor:
        """An operand of lower rank, reordered to broadcast in the other layout."""
        widened = self.builder.node("Unsqueeze", x, list(range(rank - x.rank)))
        y = self._transposed(widened, first)
        ones = next((n for n, size in enumerate(y.sizes) if size != 1), y.rank)
        return self.builder.node("Squeeze", y, list(range(ones))) if ones and y.data is not None else y

    def _output(self, tensor: Tensor) -> Tensor:
        """The graph's output in its original layout, under its name."""
        made = self._as_is(tensor)
        if made is tensor:
            return tensor
        if made.name or made.producer is None or made in self.graph.outputs:
            made = self.builder.node("Identity", made)
        made.name, tensor.name = tensor.name, ""
        made.stem = made.stem or tensor.stem
        return made
