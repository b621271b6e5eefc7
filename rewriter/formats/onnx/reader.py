"""Reads an ONNX model as a graph: nodes become operations of the module ``onnx``, initializers literal arguments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ...errors import BadFileError, UnsupportedError, shown
from ...ir.axis import Role
from ...ir.graph import BODY, Graph, Literal, Node, Operation, SizeNames, TensorRef
from ...ir.size import Size, symbol
from ...shapes.call import ONNX
from ...shapes.infer import infer
from ...shapes.onnx.control import BODIES
from .names import DEFAULT_DOMAINS, DTYPES, graphs
from .schema import check, newest
from .tensors import check_tensors

MODULE = "onnx"
OLDEST_OPSET = 7
_FOLLOWED = 4096  # constants with at most this many elements are read as values
_LABEL = re.compile(r"[A-Za-z_]\w*")
# Placeholders that exporters write instead of a name.
_NO_NAMES = frozenset({"", "?", "None", "-1", "*"})
_EXTERNAL = 1
_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _FLOATS, _INTS, _STRINGS, _GRAPHS = 1, 2, 3, 4, 5, 6, 7, 8, 10


class Stored:
    """The numbers of a tensor, decoded on use."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.tensor.data_location == _EXTERNAL:
            raise UnsupportedError(f"the numbers of {shown(self.tensor.name)!r} are in another file")
        return numbers_of(self.tensor)


def numbers_of(tensor: Any) -> np.ndarray[Any, Any]:
    """The numbers in a TensorProto. Raises BadFileError if they do not fit its shape."""
    from onnx import numpy_helper

    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError) as error:
        raise BadFileError(f"tensor {shown(tensor.name)!r} is damaged: {shown(error)}") from None


@dataclass
class Source:
    """A model as read. ``nodes``: the protobuf of each node of ``graph``; ``constants``: literal names by ``id``."""

    proto: Any
    opset: int
    graph: Graph
    nodes: dict[str, Any] = field(default_factory=dict)
    constants: dict[int, str] = field(default_factory=dict)

    @cached_property
    def functions(self) -> frozenset[tuple[str, str]]:
        """(domain, name) of the operators that the file itself defines; they override those of ONNX."""
        return frozenset((function.domain, function.name) for function in self.proto.functions)


def read(proto: Any) -> Source:
    """The graph of a ModelProto.

    Raises:
        BadFileError: a tensor without a producer or with two, a cycle, an impossible shape, numbers that do not fit
            their shape.
        UnsupportedError: no opset of the default domain, one before 7, or one newer than the installed onnx.
    """
    _check_text(proto)
    check_tensors(proto)
    versions = {i.version for i in proto.opset_import if i.domain in DEFAULT_DOMAINS}
    if len(versions) > 1:
        raise BadFileError(
            f"it imports two opsets of the default domain, {' and '.join(map(str, sorted(versions)))}"
        )
    opset = max(versions, default=0)
    if not opset and all(node.domain not in DEFAULT_DOMAINS for node in proto.graph.node):
        opset = OLDEST_OPSET  # the graph has no operators of the default domain
    if not opset:
        raise UnsupportedError("it imports no opset of the default domain")
    if opset < OLDEST_OPSET:
        raise UnsupportedError(
            f"opset {opset}: before {OLDEST_OPSET} broadcasting has other rules; convert the model first "
            "(onnx.version_converter)"
        )
    if opset > newest():
        raise UnsupportedError(
            f"opset {opset}: the installed onnx defines operators up to {newest()}; update it"
        )
    source = Source(proto, opset, Graph(proto.graph.name or "model"))
    _Reader(source, proto.graph, source.graph).run()
    find_batches(source.graph)
    return source


def find_batches(graph: Graph) -> None:
    """Set the batch axis of each input, if the model shows it.

    An operator shows it (Conv, LSTM …), or several inputs whose first axes have the same name. An axis with the name of
    a batch axis is the batch in the other inputs too.
    """
    assert graph.names is not None
    inputs = [node for node in graph.nodes.values() if node.operation.kind == "input"]
    shown_at = _shown(graph, inputs)
    labels = {node.name: node.operation.config["labels"] for node in inputs}
    first = Counter(names[0] for names in labels.values() if names)
    names = {labels[name][place] for name, place in shown_at.items()}
    names |= {n for n, count in first.items() if count > 1 and not any(n in of[1:] for of in labels.values())}
    names -= {""}
    for node in inputs:
        named = next((i for i, label in enumerate(labels[node.name]) if label in names), None)
        node.operation.config["batch"] = shown_at.get(node.name, named)
    graph.names = replace(graph.names, batches=frozenset(names))


def _shown(graph: Graph, inputs: Sequence[Node]) -> dict[str, int]:
    """The axis of each input that an operator uses as the batch."""
    values = infer(graph).values
    found = {}
    for node in inputs:
        (value,) = values[node.name]
        roles = [axis.role for axis in value.axes or ()]
        if Role.BATCH in roles:
            found[node.name] = roles.index(Role.BATCH)
    return found


def _check_text(proto: Any) -> None:
    """Raises BadFileError for a name that is not UTF-8: protobuf returns it as bytes."""
    for graph in graphs(proto.graph):
        groups = (graph.input, graph.output, graph.value_info, graph.initializer)
        names = [item.name for group in groups for item in group]
        for node in graph.node:
            names += [node.name, node.op_type, node.domain, *node.input, *node.output]
            names += [attribute.name for attribute in node.attribute]
        names += [d.dim_param for v in (*graph.input, *graph.output) for d in v.type.tensor_type.shape.dim]
        if not all(isinstance(name, str) for name in (graph.name, *names)):
            raise BadFileError("a name in it is not text")


class _Reader:
    """Reads one graph. ``outer`` reads the enclosing graph: the nodes of a body can use its tensors.

    Each captured tensor becomes an input of the body. ``captured`` has the outer tensors for these inputs, in order.
    """

    def __init__(self, source: Source, model: Any, graph: Graph, outer: _Reader | None = None) -> None:
        self.source = source
        self.model = model
        self.graph = graph
        self.outer = outer
        self.captured: dict[str, TensorRef] = {}
        self.names: set[str] = set()
        self.stated = {v.name: v.type for v in (*self.model.value_info, *self.model.output)}
        self.made: dict[str, TensorRef | Literal] = {}
        # Reliable types only: of constants and of the model's inputs. Recorded types of inner tensors can be stale.
        self.types: dict[str, int] = {}

    def run(self) -> None:
        graph = self.graph
        for tensor in self.model.initializer:
            self._make(tensor.name, self._literal(tensor))
            self.types[tensor.name] = tensor.data_type
        for sparse in self.model.sparse_initializer:
            dtype = DTYPES.get(sparse.values.data_type, "float32")
            self._make(sparse.values.name, Literal(Stored(sparse.values), _dims(sparse.dims), dtype))
        for value in self.model.input:
            self._check_default(value)
        inputs = [v for v in self.model.input if v.name not in self.made]
        for value in inputs:
            self._input(value, self.outer is not None)
        nodes = list(zip(self._names(), self.model.node, strict=True))
        recorded: dict[tuple[str, int], tuple[str, ...]] = {}
        for name, node in nodes:
            for index, output in enumerate(node.output):
                if output:
                    stated = self.stated.get(output)
                    recorded[name, index] = tuple(_labels(stated))
                    self._make(output, TensorRef(name, index, _shape(stated), _dtype(stated)))
        for name, node in nodes:
            self._node(name, node)
        graph.outputs = [self._tensor(v.name, "the model") for v in self.model.output]
        graph.inputs = [self.made[name] for name in (*(v.name for v in inputs), *self.captured)]
        taken = _all_labels(self.model) if self.outer is None else frozenset()
        graph.names = SizeNames(taken, recorded)
        graph.link()

    def _check_default(self, value: Any) -> None:
        """Raises BadFileError if an input's default, the initializer with its name, does not have its shape."""
        default = self.made.get(value.name)
        if not isinstance(default, Literal):
            return
        stated = _shape(value.type)
        if stated is not None and (
            len(stated) != len(default.shape)
            or any(s is not None and s != d for s, d in zip(stated, default.shape, strict=True))
        ):
            raise BadFileError(
                f"the input {shown(value.name)!r} is stated as {shown(list(stated))}, and its default is "
                f"{shown(list(default.shape))}"
            )

    def _names(self) -> Iterator[str]:
        """A unique name for every node: its own, else that of an output, else one from its operator."""
        known = self.names
        known |= set(self.graph.nodes)
        for number, node in enumerate(self.model.node):
            stems = (node.name, *node.output, f"{node.op_type}_{number}")
            name = next((stem for stem in stems if stem and stem not in known), "")
            while not name or name in known:
                name = f"{node.op_type}_{number}_{len(known)}"
            known.add(name)
            yield name

    def _make(self, name: str, item: TensorRef | Literal) -> None:
        if name in self.made:
            raise BadFileError(f"two nodes make the tensor {shown(name)!r}")
        self.made[name] = item
        if isinstance(item, Literal):
            self.source.constants[id(item)] = name

    def _tensor(self, name: str, where: str) -> TensorRef | Literal:
        if name in self.made:
            return self.made[name]
        if self.outer is None:
            raise BadFileError(f"{where} takes a tensor {shown(name)!r}, which nothing makes")
        item = self.outer._tensor(name, where)
        if isinstance(item, TensorRef):
            self.captured[name] = item
            item = TensorRef(self._declared(name), 0, item.shape, item.dtype)
        self.made[name] = item
        return item

    def _declared(self, name: str) -> str:
        """Add an input to a body and return its name. Its axes are those of the tensor passed in."""
        node = name
        while node in self.names or node in self.graph.nodes:
            node = f"{node}_outside"
        self.names.add(node)
        self.graph.add(Node(node, Operation(node, "input", "Input", {}, MODULE), 0, (), {}))
        return node

    def _input(self, value: Any, of_a_body: bool) -> None:
        name, shape = value.name, _shape(value.type)
        if value.type.HasField("tensor_type"):
            self.types[name] = value.type.tensor_type.elem_type
        if of_a_body:
            self._make(name, TensorRef(self._declared(name), 0, shape, _dtype(value.type)))
            return
        if shape is None:
            operation = Operation(
                name, "op", "Input", {}, MODULE, opaque="the file states no shape for this input"
            )
        else:
            dtype = _dtype(value.type) or "float32"
            config = {
                "batch_shape": list(shape),
                "labels": _labels(value.type),
                "batch": None,
                "dtype": dtype,
            }
            operation = Operation(name, "input", "Input", config, MODULE)
        self.graph.add(Node(name, operation, 0, (), {}))
        self._make(name, TensorRef(name, 0, shape, _dtype(value.type)))

    def _node(self, name: str, node: Any) -> None:
        config: dict[str, Any] = {}
        raw: dict[str, Any] = {}
        opaque = ""
        if (node.domain, node.op_type) in self.source.functions:
            opaque = "the file defines this operator itself"
        else:
            check(node, name, self.source.opset, self.types)
            self._note_type(node)
        bodies: dict[str, Operation | list[Operation]] = {}
        captured: dict[str, list[TensorRef]] = {}
        for attribute in node.attribute:
            if attribute.type == _GRAPH and node.op_type in BODIES and node.domain in DEFAULT_DOMAINS:
                body, captured[attribute.name] = self._body(name, attribute, BODIES[node.op_type])
                bodies[attribute.name] = body
            elif attribute.type in (_GRAPH, _GRAPHS):
                opaque = "it holds a graph of its own, which is not followed"
            else:
                config[attribute.name] = self._attribute(node, attribute)
        if node.domain not in DEFAULT_DOMAINS:
            raw["domain"] = f"{node.domain}:"
            if f"{node.domain}:{node.op_type}" not in ONNX:
                opaque = f"an operator of the domain {shown(node.domain)!r}, which is not known"
        if "to" in config:
            config["to"] = DTYPES.get(config["to"], "float32")
        config |= {"outputs": len(node.output), "opset": self.source.opset}
        operation = Operation(name, "op", node.op_type, config, MODULE, raw, opaque=opaque, children=bodies)
        where = f"node {shown(name)!r}"
        args = tuple(self._tensor(i, where) if i else None for i in node.input)
        self.graph.add(Node(name, operation, 0, args, {"captured": captured} if captured else {}))
        if self.outer is None:
            self.source.nodes[name] = node

    def _note_type(self, node: Any) -> None:
        """Record the type of a constant for the nodes that follow."""
        if node.op_type == "Constant" and node.domain in DEFAULT_DOMAINS and node.output:
            tensors = [a.t for a in node.attribute if a.name == "value"]
            if tensors:
                self.types[node.output[0]] = tensors[0].data_type

    def _body(self, name: str, attribute: Any, several: bool) -> tuple[Operation, list[TensorRef]]:
        """The graph inside a node, and the outer tensors that it captures.

        Its path is that of the node; if a node has several graphs, the attribute's name is added.
        """
        path = f"{name}/{attribute.name}" if several else name
        graph = Graph(path, BODY)
        reader = _Reader(self.source, attribute.g, graph, self)
        reader.run()
        return Operation(path, "model", BODY, {}, MODULE, graph=graph), list(reader.captured.values())

    def _attribute(self, node: Any, attribute: Any) -> Any:
        kind = attribute.type
        if kind == _TENSOR:
            return self._literal(attribute.t)
        if kind == _STRING:
            return attribute.s.decode(errors="replace")
        if kind == _STRINGS:
            return [s.decode(errors="replace") for s in attribute.strings]
        plain = {_FLOAT: attribute.f, _INT: attribute.i}
        if kind in plain:
            value = plain[kind]
        else:
            value = list({_FLOATS: attribute.floats, _INTS: attribute.ints}.get(kind, ()))
        if node.op_type == "Constant" and attribute.name.startswith("value_"):
            array = np.asarray(value)
            dtype = "float32" if array.dtype.kind == "f" else "int64"
            return Literal(array.tolist(), array.shape, dtype)
        return value

    def _literal(self, tensor: Any) -> Literal:
        dims, dtype = _dims(tensor.dims), DTYPES.get(tensor.data_type, "float32")
        small = int(np.prod(dims, dtype=object)) <= _FOLLOWED and tensor.data_type in DTYPES
        if not small or tensor.data_location == _EXTERNAL:
            return Literal(Stored(tensor), dims, dtype)
        return Literal(numbers_of(tensor).tolist(), dims, dtype)


def _dims(dims: Any) -> tuple[int, ...]:
    if any(size < 0 for size in dims):
        raise BadFileError(f"a tensor has a negative size: {list(dims)}")
    return tuple(dims)


def _shape(kind: Any) -> tuple[int | None, ...] | None:
    """The shape in a TypeProto; None without a shape, or for a type other than a tensor."""
    if kind is None or not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None
        for d in kind.tensor_type.shape.dim
    )


def _labels(kind: Any) -> list[str]:
    """The names of the axis sizes in a TypeProto; "" for an axis without a name."""
    return [_label(d.dim_param) for d in kind.tensor_type.shape.dim] if _shape(kind) is not None else []


def size_names(graph: Any) -> dict[Size, str]:
    """The names of sizes in a graph, by the symbol that each becomes."""
    values = (*graph.input, *graph.value_info, *graph.output)
    dims = (dim for value in values for dim in value.type.tensor_type.shape.dim)
    return {symbol(label, given=True): dim.dim_param for dim in dims if (label := _label(dim.dim_param))}


def _all_labels(graph: Any) -> frozenset[str]:
    """Every name of a size in a graph and in the graphs inside its nodes."""
    values = (v for g in graphs(graph) for v in (*g.input, *g.value_info, *g.output))
    return frozenset(label for value in values for label in _labels(value.type))


def _label(label: str) -> str:
    """The name of a size as written in a polynomial: in quotes if it is not a word, "" for a placeholder."""
    if label.strip() in _NO_NAMES:
        return ""
    return label if _LABEL.fullmatch(label) else repr(shown(label))


def _dtype(kind: Any) -> str | None:
    return (
        DTYPES.get(kind.tensor_type.elem_type) if kind is not None and kind.HasField("tensor_type") else None
    )
