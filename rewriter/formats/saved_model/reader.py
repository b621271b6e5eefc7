"""Reads a SavedModel as a graph: every callable function is a nested model, nodes are operations of ``tf``.

A function is analysed on its own, with the recorded shapes of its arguments: its nodes are ``function/node``. At a call
by another function, its results follow from the operands of the call.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import BadFileError, UnsupportedError, shown
from ...ir.graph import CALLED, FUNCTION, Graph, Literal, Node, Operation, SizeNames, TensorRef
from ...shapes.call import TF
from ...shapes.tf.naming import SEVERAL, named
from .composite import parts
from .functions import ancestors, called, live, node_of, reachable
from .inputs import arguments, find_batches, follow_calls
from .messages import (
    Argument,
    Function,
    FunctionDef,
    NodeDef,
    Objects,
    Results,
    Shape,
    Signature,
    nodes_of,
    objects_of,
    operators,
    signature_of,
)
from .wire import Field, Message, entries

MODULE = "tf"
MAIN = "graph"
_SERVING = "serve"
_MAX_NODES = 1_000_000
# Operators of the main graph of a model that computes everything in functions.
_AROUND = frozenset(
    [
        "Const",
        "Identity",
        "IdentityN",
        "NoOp",
        "PartitionedCall",
        "Placeholder",
        "PlaceholderWithDefault",
        "ReadVariableOp",
        "StatefulPartitionedCall",
        "VarHandleOp",
        "HashTableV2",
        "MutableHashTableV2",
    ]
)
_GIVE_NOTHING = frozenset(
    {"NoOp", "Assert", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"}
)
_GIVE_HANDLES = frozenset(
    [
        "EmptyTensorList",
        "HashTableV2",
        "MutableHashTableV2",
        "TensorListFromTensor",
        "TensorListPushBack",
        "TensorListReserve",
        "TensorListSetItem",
        "VarHandleOp",
    ]
)
_VARIABLES = frozenset({"VarHandleOp", "VariableV2", "Variable"})
_HANDLES = {"resource": "Resource", "variant": "EmptyTensorList"}


class Kept:
    """A placeholder for a variable's numbers, which are in other files and are not needed here."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise UnsupportedError(f"the numbers of the variable {shown(self.name)!r} are in another file")

    def __repr__(self) -> str:
        return f"Kept({self.name!r})"


@dataclass(slots=True)
class Unit:
    """A function, or the main graph, as read: ``nodes`` are its nodes that run, by name.

    ``function`` is None for the main graph. ``results`` are its result tensors, with their names in the file.
    """

    name: str
    nodes: dict[str, NodeDef]
    results: list[str]
    arguments: list[Argument] = field(default_factory=list)
    function: FunctionDef | None = None
    graph: Graph = field(init=False)
    # The file's names of tensors by node and index, and the positions of each node's inputs that are operands.
    tensors: dict[tuple[str, int], str] = field(default_factory=dict)
    places: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def used(self) -> set[str]:
        """The nodes and arguments whose results are used."""
        taken = (tensor for node in self.nodes.values() for tensor in node.taken)
        return {node_of(tensor) for tensor in (*taken, *self.results)}


@dataclass(slots=True)
class Source:
    """A SavedModel as read.

    Attributes:
        top: the nodes of the main graph that signatures run.
        names: the names of all nodes in the main graph.
        units: the functions, called functions before their callers; the main graph last if it computes something.
        meta, graph_def, library_field: the fields that lead from the outermost message to the library.
        number: the number of ``meta`` among the MetaGraphDefs.
    """

    data: memoryview
    graph: Graph
    units: dict[str, Unit] = field(default_factory=dict)
    top: dict[str, NodeDef] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    number: int = 0
    operators: dict[str, Results] = field(default_factory=dict)
    library: Message | None = None
    gradients: frozenset[str] = frozenset()
    signatures: dict[str, Signature] = field(default_factory=dict)
    objects: Objects = field(default_factory=Objects)
    version: str = ""
    meta: Field | None = None
    graph_def: Field | None = None
    library_field: Field | None = None


def read(data: memoryview, name: str) -> Source:
    """The graph of a SavedModel message.

    Raises:
        BadFileError: damaged protobuf, a function that calls itself, a cycle, a tensor without a producer.
        UnsupportedError: functions nested too deep, or too many nodes.
    """
    message = Message(data)
    meta_field, meta = _chosen(message)
    graph_field = meta.single(2)
    content = meta.message(2)
    if graph_field is None or content is None:
        raise BadFileError("it holds no graph")
    main = Message(content)
    info = Message(meta.message(1) or memoryview(b""))
    source = Source(data, Graph(os.path.basename(name.rstrip(os.sep)) or "model", "SavedModel"))
    source.meta, source.graph_def, source.library_field = meta_field, graph_field, main.single(2)
    source.number = message.all(2).index(meta_field)
    source.version = info.text(5)
    source.operators = operators(info.message(2))
    source.objects = objects_of(meta.message(7))
    source.signatures = {key: signature_of(value) for key, value, _ in entries(meta, 5)}
    library = main.message(2)
    functions: dict[str, FunctionDef] = {}
    if library is not None:
        source.library = Message(library)
        for item, place in zip(source.library.messages(1), source.library.all(1), strict=True):
            function = FunctionDef(item, place)
            if function.name in functions:
                raise BadFileError(f"two functions are called {shown(function.name)!r}")
            functions[function.name] = function
        source.gradients = frozenset(Message(item).text(1) for item in source.library.messages(2))
    top = _main(source, nodes_of(main, 1))
    source.top = top.nodes
    captures = (name for name in source.objects.captures if name not in source.objects.aside)
    roots = [*called(top.nodes.values()), *captures]
    order = reachable(functions, roots)
    for each in order:
        function = functions[each]
        nodes = {node.name: node for node in live(function)}
        source.units[each] = Unit(each, nodes, function.returned, function.arguments, function)
    if any(node.op not in _AROUND and node.op not in functions for node in top.nodes.values()):
        unit_name = next(n for n in (MAIN, f"{MAIN}_of_the_file", "") if n and n not in functions)
        top.name = unit_name
        source.units[unit_name] = top
    if sum(len(unit.nodes) for unit in source.units.values()) > _MAX_NODES:
        raise UnsupportedError(f"its functions have more than {_MAX_NODES:,} nodes")
    for unit in source.units.values():
        _Reader(source, unit).run()
    _assemble(source, top)
    return source


def objects_in(data: memoryview) -> tuple[Objects, str]:
    """Only the objects of a SavedModel message, and the version of its TensorFlow. Raises BadFileError."""
    _, meta = _chosen(Message(data))
    info = Message(meta.message(1) or memoryview(b""))
    return objects_of(meta.message(7)), info.text(5)


def meta_in(data: memoryview) -> Message:
    """The MetaGraphDef of a SavedModel message that is served. Raises BadFileError."""
    return _chosen(Message(data))[1]


def _chosen(message: Message) -> tuple[Field, Message]:
    """The MetaGraphDef that is served, or the first one: others are for training or another device."""
    found = [(place, Message(item)) for item, place in zip(message.messages(2), message.all(2), strict=True)]
    if not found:
        raise BadFileError("not a SavedModel, or a damaged one: it holds no graph")
    for place, meta in found:
        if _SERVING in Message(meta.message(1) or memoryview(b"")).texts(4):
            return place, meta
    return found[0]


def _main(source: Source, nodes: Sequence[NodeDef]) -> Unit:
    """The part of the main graph that the signatures run, with their inputs as arguments."""
    by_name: dict[str, NodeDef] = {}
    for node in nodes:
        if node.name in by_name:
            raise BadFileError(f"two nodes are called {shown(node.name)!r}")
        by_name[node.name] = node
    source.names = frozenset(by_name)
    wanted: dict[str, None] = {}
    given: dict[str, Argument] = {}
    for key, signature in source.signatures.items():
        if key.startswith("__saved_model"):
            continue
        wanted |= dict.fromkeys(name for name, _ in signature.outputs.values() if name)
        for name, shape in signature.inputs.values():
            taken = by_name.get(node_of(name))
            if taken is not None:
                dtype = taken.attribute("dtype")
                given[taken.name] = Argument(taken.name, dtype if isinstance(dtype, str) else "", shape)
    found = {node.name: node for node in ancestors(by_name, wanted)}
    arguments = [given[name] for name in found if name in given]
    return Unit(MAIN, {n: node for n, node in found.items() if n not in given}, list(wanted), arguments)


class _Reader:
    """Reads one function, or the main graph, as a graph of its own."""

    def __init__(self, source: Source, unit: Unit) -> None:
        self.source = source
        self.unit = unit
        self.graph = unit.graph = Graph(unit.name, FUNCTION)
        self.graph.names = SizeNames(frozenset(), {})
        self.arguments = {argument.name: argument for argument in unit.arguments}
        self.shapes: dict[str, list[Shape | None]] = {}
        self.unlisted: dict[str, dict[str, int]] = {}

    def run(self) -> None:
        for argument in self.unit.arguments:
            operation = Operation(argument.name, "input", "Input", {}, MODULE)
            self.graph.add(Node(argument.name, operation, 0, (), {}))
        self.shapes = {name: recorded_shapes(node) for name, node in self.unit.nodes.items()}
        for node in self.unit.nodes.values():
            if self._gives(node):
                self._node(node)
        self.graph.inputs = [TensorRef(argument.name) for argument in self.unit.arguments]
        self.graph.outputs = [self.tensor(name, "a result") for name in self.unit.results]
        self.graph.link()
        _ = self.graph.order  # no cycle

    def _gives(self, node: NodeDef) -> bool:
        """False for a node without results, which runs only for its side effects (NoOp, AssignVariableOp, Assert)."""
        known = self.source.operators.get(node.op)
        return bool(known.names) if known is not None else node.op not in _GIVE_NOTHING

    def _node(self, node: NodeDef) -> None:
        constants = {place: self._constant(tensor) for place, tensor in enumerate(node.taken)}
        known = node.op in TF
        called = self.source.units.get(node.op)
        attributes = [n for n in node.attributes if not n.startswith("_")] if known or called else []
        config = {n: node.attribute(n) for n in attributes if n != "value" or node.op == "Const"}
        spelled = named(node.op, config, constants, len(node.taken))
        children: dict[str, Operation | list[Operation]] = {}
        for key, value in config.items():
            if isinstance(value, Function) and value.name in self.source.units:
                children[key] = self._function(value.name)
        if called is not None:
            children["f"] = self._function(node.op)
        config = {k: v for k, v in spelled.config.items() if not _holds_a_function(v)}
        config["outputs"] = len(self.shapes[node.name])
        operation = Operation(
            node.name, "op", spelled.class_name, config, MODULE, opaque=spelled.opaque, children=children
        )
        where = f"node {shown(node.name)!r}"
        taken = node.taken
        # A while loop of TensorFlow 1 is a cycle through its Merge nodes: their results are not inferred.
        places = () if node.op in ("Merge", "RefMerge") else spelled.places
        self.unit.places[node.name] = places
        args = tuple(self.tensor(taken[place], where) for place in places)
        self.graph.add(Node(node.name, operation, 0, args, {}))

    def _function(self, name: str) -> Operation:
        unit = self.source.units[name]
        return Operation(name, CALLED, CALLED, {}, MODULE, graph=unit.graph)

    def _constant(self, tensor: str) -> Any:
        """The numbers of a small tensor of integers that a Const node makes, or None."""
        node = self.unit.nodes.get(node_of(tensor))
        if node is None or node.op != "Const" or len(node.attributes.get("value", b"")) > 4096:
            return None
        value = node.attribute("value")
        return value.value if isinstance(value, Literal) and isinstance(value.value, (int, list)) else None

    def tensor(self, name: str, where: str) -> TensorRef:
        """The tensor with a name of the file: ``argument`` or ``node:output:number`` in a function, ``node`` or
        ``node:number`` in the main graph. Raises BadFileError.
        """
        node, *rest = name.split(":")
        if node in self.arguments:
            argument = self.arguments[node]
            return TensorRef(node, 0, _recorded(argument), argument.dtype or None)
        if node not in self.unit.nodes:
            raise BadFileError(f"{where} takes a tensor {shown(name)!r}, which nothing makes")
        number = rest[-1] if rest else "0"
        if not (number.isascii() and number.isdecimal() and len(number) < 7) or len(rest) > 2:
            raise BadFileError(f"{where} takes {shown(name)!r}, which is not the name of a tensor")
        definition = self.unit.nodes[node]
        index = self._index(definition, rest[0], int(number)) if len(rest) == 2 else int(number)
        shapes = self.shapes[node]
        shape = shapes[index] if index < len(shapes) else None
        self.unit.tensors.setdefault((node, index), name)
        return TensorRef(node, index, shape)

    def _index(self, node: NodeDef, output: str, number: int) -> int:
        """The index of an output among all results of its node."""
        known = self.source.operators.get(node.op)
        unit = self.source.units.get(node.op)
        if known is None and unit is not None:
            names = (
                [Message(item).text(1) for item in unit.function.signature.messages(3)]
                if unit.function
                else []
            )
            found = names.index(output) + number if output in names else None
        else:
            found = known.index(node, output, number) if known is not None else None
        if found is not None:
            return found
        if known is None and node.op in TF and node.op not in SEVERAL:
            return number  # one output, which may be a list
        if known is None and output in SEVERAL.get(node.op, ()):
            return SEVERAL[node.op].index(output) + number
        if len(self.shapes[node.name]) == 1 and not number:
            return 0
        # The file does not define its position among the results: use a new index after the recorded ones.
        seen = self.unlisted.setdefault(node.name, {})
        return seen.setdefault(f"{output}:{number}", len(self.shapes[node.name]) + len(seen))


def _recorded(argument: Argument) -> Shape | None:
    """The recorded shape of an argument; None for a handle, whose shape is not that of its value."""
    return None if argument.dtype in _HANDLES else argument.shape


def recorded_shapes(node: NodeDef) -> list[Shape | None]:
    """The recorded shapes of a node's results, None for handles."""
    shapes = node.shapes
    if node.op in _GIVE_HANDLES:
        return [None for _ in shapes]
    for name in ("Tout", "T", "dtype"):
        types = node.attribute(name)
        if isinstance(types, str):
            types = [types] * len(shapes)
        if isinstance(types, list) and len(types) == len(shapes):
            return [None if dtype in _HANDLES else shape for shape, dtype in zip(shapes, types, strict=True)]
    return shapes


def _holds_a_function(value: Any) -> bool:
    return isinstance(value, Function) or (
        isinstance(value, list) and any(isinstance(v, Function) for v in value)
    )


# -- the model around the functions -----------------------------
def _assemble(source: Source, top: Unit) -> None:
    """Add one node for each function, on inputs with the recorded shapes of its arguments."""
    graph = source.graph
    graph.names = SizeNames(frozenset(), {})
    variables = {name: _variable(node) for name, node in top.nodes.items() if node.op in _VARIABLES}
    bound = _bound(source, top, variables)
    composite = parts(
        {name: unit.arguments for name, unit in source.units.items()},
        {name: unit.nodes for name, unit in source.units.items()},
        source.objects.signatures,
        {name: len(objects) for name, objects in source.objects.captures.items()},
    )
    outputs = []
    for unit in source.units.values():
        args: list[Any] = []
        for number, argument in enumerate(unit.arguments):
            known = bound.get(unit.name, {}).get(number)
            args.append(
                known
                if known is not None
                else _declare(graph, unit, argument, number in composite[unit.name])
            )
        graph.add(
            Node(
                unit.name,
                Operation(unit.name, "model", FUNCTION, {}, MODULE, graph=unit.graph),
                0,
                tuple(args),
                {},
            )
        )
        outputs += [TensorRef(unit.name, index) for index in range(len(unit.results))]
    graph.inputs = [TensorRef(name) for name, node in graph.nodes.items() if node.operation.kind == "input"]
    graph.outputs = outputs
    graph.link()
    find_batches(graph, source.objects.by_keras)
    loops = _of_loops(source, {*source.objects.captures, *called(top.nodes.values()), top.name})
    deep = any(name in loops for each in loops for name in called(source.units[each].nodes.values()))
    follow_calls(graph, {name: arguments(graph, name) for name in loops}, deep)


def _of_loops(source: Source, roots: Collection[str]) -> list[str]:
    """The functions that only others call, with an argument that is a tensor list or has no recorded shape."""
    return [
        name
        for name, unit in source.units.items()
        if name not in roots
        and any(
            a.dtype == "variant" or (a.shape is None and a.name in unit.used and a.dtype not in _HANDLES)
            for a in unit.arguments
        )
    ]


def _declare(graph: Graph, unit: Unit, argument: Argument, part: bool) -> TensorRef:
    """Add an input of the model for an argument. ``part``: it is a part of a ragged or sparse tensor."""
    name = graph.fresh_name(f"{unit.name}:{argument.name}")
    if argument.dtype in _HANDLES:
        operation = Operation(name, "op", _HANDLES[argument.dtype], {}, MODULE)
    elif argument.shape is None and argument.name not in unit.used:
        operation = Operation(
            name, "op", _HANDLES["resource"], {}, MODULE
        )  # its type does not matter: nothing uses it
    elif argument.shape is None:
        operation = Operation(
            name, "op", "Input", {}, MODULE, opaque="the file states no shape for this input"
        )
    else:
        labels = [
            f"N{place}" if size is None and not part else "" for place, size in enumerate(argument.shape)
        ]
        config = {
            "batch_shape": list(argument.shape),
            "labels": labels,
            "batch": None,
            "dtype": argument.dtype or "float32",
            "given": part,
            "function": unit.name,
            "part": part,
        }
        operation = Operation(name, "input", "Input", config, MODULE)
    graph.add(Node(name, operation, 0, (), {}))
    return TensorRef(name, 0, _recorded(argument), argument.dtype or None)


def _variable(node: NodeDef) -> Literal | None:
    """The variable of a node of the main graph; None if its shape is not fully known."""
    shape = node.attribute("shape")
    if shape is None or None in shape:
        return None
    dtype = node.attribute("dtype")
    return Literal(Kept(node.name), shape, dtype if isinstance(dtype, str) and dtype else "float32")


def _bound(
    source: Source, top: Unit, variables: Mapping[str, Literal | None]
) -> dict[str, dict[int, Literal]]:
    """The variables that are passed to functions, by function and argument position.

    A function of the object graph takes its captures after its own arguments. The main graph calls other functions.
    """
    found: dict[str, dict[int, Literal]] = {}
    for name, objects in source.objects.captures.items():
        unit = source.units.get(name)
        if unit is None or len(objects) > len(unit.arguments):
            continue
        first = len(unit.arguments) - len(objects)
        for number, each in enumerate(objects, first):
            variable = source.objects.variables.get(each)
            if variable is not None and variable.shape is not None and None not in variable.shape:
                sizes = tuple(size for size in variable.shape if size is not None)
                literal = Literal(
                    Kept(variable.name or f"{name}, {number}"), sizes, variable.dtype or "float32"
                )
                found.setdefault(name, {})[number] = literal
    calls = [
        (node, {n: variables.get(node_of(t)) for n, t in enumerate(node.taken)})
        for node in top.nodes.values()
    ]
    _pass_on(source, calls, found)
    for name in reversed(source.units):
        unit = source.units[name]
        own = {unit.arguments[n].name: literal for n, literal in found.get(name, {}).items()}
        calls = [(node, {n: own.get(t) for n, t in enumerate(node.taken)}) for node in unit.nodes.values()]
        _pass_on(source, calls, found)
    return found


def _pass_on(
    source: Source,
    calls: Sequence[tuple[NodeDef, Mapping[int, Literal | None]]],
    found: dict[str, dict[int, Literal]],
) -> None:
    """Record the variables that nodes pass to functions; the first call of a function counts."""
    for node, given in calls:
        if node.op not in ("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile"):
            continue
        for attribute in ("f", "body", "cond"):
            target = node.attribute(attribute)
            if isinstance(target, Function) and target.name in source.units:
                known = found.setdefault(target.name, {})
                for number, literal in given.items():
                    if literal is not None and number < len(source.units[target.name].arguments):
                        known.setdefault(number, literal)
