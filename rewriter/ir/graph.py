"""The op graph: operations, their calls as nodes, and the tensors between them as edges."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import networkx as nx

from ..errors import BadFileError, shown

# A node's names from the outermost model to it: ``("inner", "scale")``. '/' is a legal character in each.
Path = tuple[str, ...]


def path_text(path: Path) -> str:
    """A path as it is shown, and as users write it: ``inner/scale``."""
    return "/".join(path)


@dataclass(frozen=True, slots=True)
class TensorRef:
    """Output ``index`` of node ``node``; ``shape`` and ``dtype`` are what the file recorded where it is used."""

    node: str
    index: int = 0
    shape: tuple[int | None, ...] | None = field(default=None, compare=False)
    dtype: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """A tensor that the file holds as an argument: nested lists of numbers, its shape and dtype."""

    value: Any
    shape: tuple[int, ...]
    dtype: str


@dataclass(slots=True)
class Operation:
    """A layer, op, input or nested model of the file: what is called. Each call of it is a ``Node``.

    ``kind`` is ``input``, ``layer``, ``op``, ``model``, or ``called``. ``raw`` is the entry of the file, never changed.
    ``opaque`` is the reason why its computation is not known, or "". ``children`` are the operations that a wrapper's
    configuration holds, by its key (``layer``, ``cell``, ``forward_layer`` …; a list for several). ``weights`` are the
    shapes of its variables by path (``vars/0``, ``cell/vars/0``), if the file has them. ``built`` are the shapes of the
    operands on which it was built, if the file states them; edits leave them stale. ``trace`` is set where code of a
    layer calls it, or is its graph. ``untraced`` is set where its code ran, but could not be traced.
    """

    name: str
    kind: str
    class_name: str
    config: dict[str, Any]
    module: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    graph: Graph | None = None
    opaque: str = ""
    children: dict[str, Operation | list[Operation]] = field(default_factory=dict)
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    built: tuple[tuple[int | None, ...], ...] = ()
    trace: Traced | None = None
    untraced: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss that an output of a compiled model is trained with: the name of its class or function."""

    output: TensorRef
    name: str
    config: dict[str, Any]


@dataclass(slots=True)
class Node:
    """One call of an operation. ``args`` and ``kwargs`` are nested structures with ``TensorRef`` leaves.

    ``name`` is the operation's for its first call and ``name#k`` for call k. ``changed`` is set by the rewriter: the
    call's arguments are no longer those that the file's entry states.
    """

    name: str
    operation: Operation
    call: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    changed: bool = False

    def refs(self) -> list[TensorRef]:
        """Every tensor that the call takes, in the order of its arguments."""
        return [leaf for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, TensorRef)]


def node_name(operation: str, call: int) -> str:
    """The name of a call: that of the operation, with ``#k`` from the second call on."""
    return operation if call == 0 else f"{operation}#{call}"


# The kind of a graph that a node runs as a part of itself (If, Loop, Scan of ONNX).
BODY = "Body"
# The kind of a graph that is a function of a TensorFlow file: its inputs have the shapes of the operands. Its nodes are
# examined where the model holds the function itself; an operation of the kind CALLED is a call of it from elsewhere.
FUNCTION = "Function"
CALLED = "called"
# The kind of a graph that was recorded while a layer's own code ran. It is checked; nothing is inserted in it. Its
# models, and the operations that only it has (Weight, Size), are of the module TRACE_MODULE.
TRACED = "Traced"
TRACE_MODULE = "traced"


@dataclass(frozen=True, slots=True)
class Traced:
    """What is known of an operation from the run of a layer's code. No file can hold an object of this class.

    ``lines`` are the places in the source (``file:line``), one for each call; ``weights`` the numbers of its arrays by
    path (``vars/0``). The last inputs of its graph are masks of operands: those with the numbers ``masked_operands``.
    ``masked_results`` says of each result whether it has a mask: if any does, the graph gives ``[results, masks]``.
    """

    lines: tuple[str, ...] = ()
    weights: dict[str, int] = field(default_factory=dict)
    masked_operands: tuple[int, ...] = ()
    masked_results: tuple[bool, ...] = ()

    def with_masks(self, outputs: Any, with_mask: Callable[[Any, Any], Any]) -> Any:
        """The results, each of them ``with_mask`` of what the graph gives for it and its mask (None without one)."""
        if not any(self.masked_results):
            return outputs
        results, masks = outputs
        flags, given = iter(self.masked_results), iter(masks)
        return map_sorted(lambda leaf: with_mask(leaf, next(given) if next(flags) else None), results)


@dataclass(frozen=True, slots=True)
class SizeNames:
    """The names of sizes in an ONNX or TensorFlow file.

    ``taken`` are all names in the file, ``labels`` those of the axes of each recorded shape ("" where one has none),
    ``batches`` the names of batches. Sizes of one name are equal, and no others are. Axis 0 of a recorded shape is a
    batch only if its name is one.
    """

    taken: frozenset[str]
    labels: dict[tuple[str, int], tuple[str, ...]]
    batches: frozenset[str] = frozenset()


class Graph:
    """Operations and their calls, in a networkx MultiDiGraph (``nx``): an edge is one use of one tensor.

    ``inputs`` and ``outputs`` are the model's structures with ``TensorRef`` leaves. ``raw`` is the model's
    configuration in the file, never changed. ``calls`` counts the calls of each operation. ``losses`` are those of a
    compiled model. ``names`` is set for an ONNX or TensorFlow file; in a Keras file axis 0 of every recorded shape is
    the batch. ``model_class`` is the class of the outermost model of a Keras file, as the file names it.
    """

    def __init__(self, name: str, kind: str = "Functional", raw: dict[str, Any] | None = None) -> None:
        self.name = name
        self.kind = kind
        self.raw = raw or {}
        self.operations: dict[str, Operation] = {}
        self.nodes: dict[str, Node] = {}
        self.calls: Counter[str] = Counter()
        self.inputs: Any = []
        self.outputs: Any = []
        self.losses: list[Loss] = []
        self.names: SizeNames | None = None
        self.model_class: dict[str, Any] = {}
        self.nx: nx.MultiDiGraph[str] = nx.MultiDiGraph()

    def add(self, node: Node) -> None:
        """Add a call; its tensors may come from nodes that are added later (see ``link``)."""
        if node.name in self.nodes:
            raise BadFileError(f"two layers are called {shown(node.name)!r}")
        self.operations.setdefault(node.operation.name, node.operation)
        self.calls[node.operation.name] += 1
        self.nodes[node.name] = node

    def remove(self, node: Node) -> None:
        """Remove a call, and with its last call the operation."""
        del self.nodes[node.name]
        self.calls[node.operation.name] -= 1
        if not self.calls[node.operation.name]:
            del self.operations[node.operation.name]

    def link(self) -> None:
        """Draw the edges. Raises BadFileError if a tensor has no producer or the graph has a cycle."""
        self.nx = nx.MultiDiGraph()
        self.nx.add_nodes_from(self.nodes)
        for node in self.nodes.values():
            for slot, ref in enumerate(node.refs()):
                if ref.node not in self.nodes:
                    raise BadFileError(
                        f"node {shown(node.name)!r} takes a tensor of {shown(ref.node)!r}, which does not exist"
                    )
                self.nx.add_edge(ref.node, node.name, index=ref.index, slot=slot)
        for ref in (*self.input_refs(), *self.output_refs()):
            if ref.node not in self.nodes:
                raise BadFileError(
                    f"the model's inputs or outputs name {shown(ref.node)!r}, which it does not have"
                )
        for derived in ("order", "place", "recorded", "used_outputs", "_calls"):
            self.__dict__.pop(derived, None)

    @cached_property
    def order(self) -> list[str]:
        """Node names, producers first. Raises BadFileError on a cycle."""
        try:
            return list(nx.topological_sort(self.nx))
        except nx.NetworkXUnfeasible:
            cycle = nx.find_cycle(self.nx)
            path = " -> ".join(shown(edge[0]) for edge in cycle[:8])
            raise BadFileError(f"the graph has a cycle: {path} -> {shown(cycle[0][0])}") from None

    @cached_property
    def place(self) -> dict[str, int]:
        """The number of each node in ``order``."""
        return {name: number for number, name in enumerate(self.order)}

    @cached_property
    def _calls(self) -> dict[str, list[str]]:
        """The names of an operation's calls, in order."""
        result: dict[str, list[str]] = {}
        for name in self.order:
            result.setdefault(self.nodes[name].operation.name, []).append(name)
        return result

    def calls_of(self, operation: Operation) -> list[str]:
        """The names of an operation's calls, in order."""
        return self._calls.get(operation.name, [])

    def enclosing(self, path: Path) -> list[str]:
        """The nodes of this model that are the node at a path, or hold it."""
        first = path[0]
        if len(path) > 1:
            return self._calls.get(first, [])
        return [first] if first in self.nodes else []

    def input_refs(self) -> list[TensorRef]:
        return [leaf for leaf in leaves(self.inputs) if isinstance(leaf, TensorRef)]

    def output_refs(self) -> list[TensorRef]:
        return [leaf for leaf in leaves(self.outputs) if isinstance(leaf, TensorRef)]

    def fresh_name(self, stem: str) -> str:
        """A name that no operation has: ``stem``, or the first free ``stem_k``. The one source of new names."""
        if stem not in self.operations and stem not in self.nodes:
            return stem
        return next(
            name
            for k in itertools.count(1)
            if (name := f"{stem}_{k}") not in self.operations and name not in self.nodes
        )

    def consumers(self, name: str) -> list[Node]:
        """The calls that take a tensor of node ``name``."""
        return [self.nodes[n] for n in self.nx.successors(name)]

    def ancestors(self, name: str) -> set[str]:
        return set(nx.ancestors(self.nx, name))

    def descendants(self, name: str) -> set[str]:
        return set(nx.descendants(self.nx, name))

    @cached_property
    def recorded(self) -> dict[tuple[str, int], tuple[int | None, ...]]:
        """The recorded shape of each tensor: that of the first use that states one, the model's outputs last."""
        shapes: dict[tuple[str, int], tuple[int | None, ...]] = {}
        for ref in itertools.chain(*(node.refs() for node in self.nodes.values()), self.output_refs()):
            if ref.shape is not None:
                shapes.setdefault((ref.node, ref.index), ref.shape)
        return shapes

    @cached_property
    def used_outputs(self) -> Counter[str]:
        """How many outputs of each node the graph needs: the highest index that is used, plus one."""
        counts: Counter[str] = Counter()
        for ref in itertools.chain(*(node.refs() for node in self.nodes.values()), self.output_refs()):
            counts[ref.node] = max(counts[ref.node], ref.index + 1)
        return counts

    def walk(self) -> Iterator[tuple[Path, Graph, Node]]:
        """Every call of this model and, below its name, of the models in it: (path, graph, node)."""
        stack: list[tuple[Path, Graph]] = [((), self)]
        while stack:
            prefix, graph = stack.pop()
            for node in graph.nodes.values():
                yield (*prefix, node.name), graph, node
            inner = [
                ((*prefix, op.name), op.graph) for op in graph.operations.values() if op.graph is not None
            ]
            stack.extend(reversed(inner))


def leaves(structure: Any) -> Iterator[Any]:
    """The leaves of nested lists, tuples and dicts in order; iterative, so deep nesting does not exhaust the stack."""
    stack = [structure]
    while stack:
        item = stack.pop()
        if isinstance(item, (list, tuple)):
            stack.extend(reversed(item))
        elif isinstance(item, dict):
            stack.extend(reversed(list(item.values())))
        else:
            yield item


def given_to(taken: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
    """The leaves of a model's arguments in the order of its inputs (``taken``); dicts are matched by key.

    Everything else, including a dict with other keys, is matched by order.
    """
    first = args[0] if args else next(iter(kwargs.values()), None)
    if not isinstance(taken, dict) or not isinstance(first, dict) or taken.keys() != first.keys():
        yield from leaves((args, kwargs))
        return
    for key, item in taken.items():
        yield from given_to(item, (first[key],), {})
    rest = dict(list(kwargs.items())[0 if args else 1 :])
    yield from leaves((args[1:], rest))


def operands_of(graph: Graph, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
    """The leaves of the arguments of a nested graph in the order of its inputs."""
    return leaves((args, kwargs)) if graph.kind == TRACED else given_to(graph.inputs, args, kwargs)


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same nested lists, tuples and dicts with ``function`` applied to each leaf."""
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(map_leaves(function, item) for item in structure))
    if isinstance(structure, (list, tuple)):
        return type(structure)(map_leaves(function, item) for item in structure)
    if isinstance(structure, dict):
        return {key: map_leaves(function, item) for key, item in structure.items()}
    return function(structure)


def flatten_outputs(structure: Any) -> Iterator[Any]:
    """Leaves in the order in which Keras numbers a call's outputs: dicts by sorted key (``keras.tree.flatten``)."""
    if isinstance(structure, dict):
        structure = [structure[key] for key in sorted(structure)]
    if isinstance(structure, (list, tuple)):
        for item in structure:
            yield from flatten_outputs(item)
    else:
        yield structure


def map_sorted(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure with ``function`` applied to each leaf, in the order of ``flatten_outputs``."""
    if isinstance(structure, dict):
        made = {key: map_sorted(function, structure[key]) for key in sorted(structure)}
        return {key: made[key] for key in structure}
    if isinstance(structure, (list, tuple)):
        return type(structure)(map_sorted(function, item) for item in structure)
    return function(structure)


def flatten_with_path(
    structure: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The leaves of ``flatten_outputs``, each with the keys and numbers that lead to it."""
    if isinstance(structure, dict):
        for key in sorted(structure):
            yield from flatten_with_path(structure[key], (*path, key))
    elif isinstance(structure, (list, tuple)):
        for number, item in enumerate(structure):
            yield from flatten_with_path(item, (*path, number))
    else:
        yield path, structure
