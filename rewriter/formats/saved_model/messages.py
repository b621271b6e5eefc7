"""The messages of a SavedModel that are read here, with the fields that are used.

Field numbers are from TensorFlow 2.21: ``saved_model.proto``, ``meta_graph.proto``, ``graph.proto``,
``node_def.proto``, ``function.proto``, ``op_def.proto``, ``attr_value.proto``, ``tensor.proto``,
``tensor_shape.proto``, ``saved_object_graph.proto``. They have not changed since TensorFlow 1.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ...errors import BadFileError, shown
from ...ir.graph import Literal
from .wire import Field, Message, entries, signed

Shape = tuple[int | None, ...]

# DataType by number, with the names of NumPy and Keras (types.proto). A reference type has its type's number plus 100.
DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64",
    9: "int64", 10: "bool", 11: "qint8", 12: "quint8", 13: "qint32", 14: "bfloat16", 15: "qint16", 16: "quint16",
    17: "uint16", 18: "complex128", 19: "float16", 20: "resource", 21: "variant", 22: "uint32", 23: "uint64",
    24: "float8_e5m2", 25: "float8_e4m3fn", 29: "int4", 30: "uint4",
}  # fmt: skip
NUMBERS = {name: number for number, name in DTYPES.items()}
_MAX_RANK = 254  # TensorFlow's limit
_FOLLOWED = 4096  # constants with at most this many elements are read as values
# The field of a TensorProto that has the numbers of a type, if they are not in tensor_content.
_VALUES = {
    "float32": 5, "float64": 6, "int32": 7, "int16": 7, "int8": 7, "uint8": 7, "uint16": 7, "int64": 10, "bool": 11,
    "uint32": 16, "uint64": 17, "float16": 13, "bfloat16": 13,
}  # fmt: skip


def dtype_of(number: int) -> str:
    """The name of an element type; "" for an unknown number."""
    return DTYPES.get(number - 100 if number > 100 else number, "")


def shape_of(data: memoryview) -> Shape | None:
    """A TensorShapeProto: None for an unknown rank, None for each unknown size. Raises BadFileError."""
    message = Message(data)
    if message.number(3):
        return None
    sizes = [Message(dim).signed(1) for dim in message.messages(2)]
    if len(sizes) > _MAX_RANK:
        raise BadFileError(f"a shape of {len(sizes)} axes")
    if any(size < -1 for size in sizes):
        raise BadFileError(f"a shape with a size below -1: {shown(sizes)}")
    return tuple(None if size == -1 else size for size in sizes)


class Stored:
    """The numbers of a tensor in the file, decoded on use."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return self.tensor.array()

    def __repr__(self) -> str:
        return f"Stored({id(self.tensor)})"


class Tensor:
    """A TensorProto. Raises BadFileError if its shape is not fully known."""

    def __init__(self, data: memoryview) -> None:
        self.message = Message(data)
        self.dtype = dtype_of(self.message.number(1))
        shape = shape_of(self.message.message(2) or memoryview(b""))
        if shape is None or None in shape:
            raise BadFileError("a constant of an unknown shape")
        self.shape = tuple(size for size in shape if size is not None)
        if math.prod(self.shape) >= 2**63:
            raise BadFileError(f"a constant of the shape {shown(list(self.shape))}")

    def literal(self) -> Literal:
        """The tensor as an argument: with its numbers if they are few, else with a ``Stored``."""
        few = math.prod(self.shape) <= _FOLLOWED and self.dtype in _VALUES
        return Literal(self.array().tolist() if few else Stored(self), self.shape, self.dtype or "unknown")

    def array(self) -> np.ndarray[Any, Any]:
        """The numbers. If the file has too few, the last one is repeated; without any, all are 0 (``tensor.cc``)."""
        count = math.prod(self.shape)
        if self.dtype not in _VALUES:
            raise BadFileError(f"a constant of the type {shown(self.dtype or 'unknown')} is not read")
        dtype = np.dtype("uint16") if self.dtype == "bfloat16" else np.dtype(self.dtype)
        raw = self.message.message(4)
        if raw is not None and len(raw):
            if len(raw) != count * dtype.itemsize:
                raise BadFileError(
                    f"a constant of the shape {list(self.shape)} has {len(raw)} bytes of numbers"
                )
            values = np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype)
        else:
            values = self._listed(dtype)
            if len(values) > count:
                raise BadFileError(f"a constant of the shape {list(self.shape)} has {len(values)} numbers")
            last = values[-1:] if len(values) else np.zeros(1, dtype)
            values = np.concatenate([values, np.broadcast_to(last, (count - len(values),))])
        if self.dtype == "bfloat16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.reshape(self.shape)

    def _listed(self, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        number = _VALUES[self.dtype]
        if self.dtype in ("float32", "float64"):
            return np.asarray(self.message.floats(number, "f" if self.dtype == "float32" else "d"), dtype)
        values = self.message.numbers(number)
        if self.dtype in ("float16", "bfloat16"):
            bits = np.asarray([value & 0xFFFF for value in values], np.uint16)
            return bits.view(np.float16) if self.dtype == "float16" else bits
        if self.dtype in ("uint32", "uint64"):
            return np.asarray(values, np.uint64).astype(dtype)
        return np.asarray([signed(value) for value in values], np.int64).astype(dtype)


# -- attributes -----------------------------
@dataclass(frozen=True, slots=True)
class Function:
    """An attribute that names a function."""

    name: str


def value_of(data: memoryview) -> Any:
    """An AttrValue: a string, number, bool, type name, shape (``Shape | None``), ``Literal``, ``Function`` or list."""
    message = Message(data)
    number = next(reversed(message.found), 0)
    if number == 1:
        return _listed(Message(message.messages(1)[-1]))
    return _single(message, number, number)


def _single(message: Message, number: int, kind: int) -> Any:
    if kind == 2:
        return bytes(message.messages(number)[-1]).decode(errors="replace")
    if kind == 3:
        return message.signed(number)
    if kind == 4:
        return message.floats(number)[-1]
    if kind == 5:
        return bool(message.number(number))
    if kind == 6:
        return dtype_of(message.number(number))
    if kind == 7:
        return shape_of(message.messages(number)[-1])
    if kind == 8:
        return Tensor(message.messages(number)[-1]).literal()
    if kind == 10:
        return Function(Message(message.messages(number)[-1]).text(1))
    return None


def _listed(message: Message) -> list[Any]:
    """An AttrValue.ListValue: it has the field numbers of AttrValue, except for functions."""
    for number in message.found:
        if number == 2:
            return [bytes(item).decode(errors="replace") for item in message.messages(2)]
        if number in (3, 5, 6):
            values = message.numbers(number)
            if number == 6:
                return [dtype_of(value) for value in values]
            return [signed(value) if number == 3 else bool(value) for value in values]
        if number == 4:
            return list(message.floats(4))
        if number == 7:
            return [shape_of(item) for item in message.messages(7)]
        if number == 8:
            return [Tensor(item).literal() for item in message.messages(8)]
        if number == 9:
            return [Function(Message(item).text(1)) for item in message.messages(9)]
    return []


class NodeDef:
    """One node of a graph or a function. ``place`` is its field in the enclosing message."""

    __slots__ = ("_attributes", "inputs", "message", "name", "op", "place")

    def __init__(self, data: memoryview, place: Field) -> None:
        self.message = Message(data)
        self.place = place
        self.name = self.message.text(1)
        self.op = self.message.text(2)
        self.inputs = self.message.texts(3)
        self._attributes: dict[str, memoryview] | None = None
        if not self.name or not self.op:
            raise BadFileError("a node without a name or an operator")

    @property
    def attributes(self) -> Mapping[str, memoryview]:
        if self._attributes is None:
            self._attributes = {key: value for key, value, _ in entries(self.message, 5)}
        return self._attributes

    def attribute(self, name: str) -> Any:
        """The value of an attribute, or None. Raises BadFileError with the node's name."""
        found = self.attributes.get(name)
        try:
            return None if found is None else value_of(found)
        except BadFileError as error:
            raise BadFileError(f"node {shown(self.name)!r}, attribute {shown(name)!r}: {error}") from None

    @property
    def shapes(self) -> list[Shape | None]:
        """The shapes that the file records for its results; [] if it records none."""
        found = self.attribute("_output_shapes")
        return found if isinstance(found, list) else []

    @property
    def taken(self) -> list[str]:
        """Its data inputs, without the control inputs, which follow them in the file."""
        return [name for name in self.inputs if not name.startswith("^")]


def nodes_of(message: Message, number: int) -> list[NodeDef]:
    """The nodes in the fields ``number`` of a function or a graph."""
    places = zip(message.messages(number), message.all(number), strict=True)
    return [NodeDef(item, place) for item, place in places]


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a function: its name, type, and recorded shape."""

    name: str
    dtype: str
    shape: Shape | None


@dataclass(slots=True)
class Results:
    """The outputs of an operator: (name, attribute with the number of tensors, attribute with their types) of each."""

    names: list[tuple[str, str, str]] = field(default_factory=list)

    def index(self, node: NodeDef, name: str, number: int) -> int | None:
        """The index of ``node:name:number`` among all results of a node; None if the file does not define it."""
        start = 0
        for each, counted, listed in self.names:
            if each == name:
                return start + number
            if counted:
                count = node.attribute(counted)
                if not isinstance(count, int):
                    return None
                start += count
            elif listed:
                types = node.attribute(listed)
                if not isinstance(types, list):
                    return None
                start += len(types)
            else:
                start += 1
        return None


def operators(data: memoryview | None) -> dict[str, Results]:
    """The outputs of each operator in an OpList, by operator name."""
    found: dict[str, Results] = {}
    for item in Message(data).messages(1) if data is not None else ():
        message = Message(item)
        arguments = [Message(argument) for argument in message.messages(3)]
        found[message.text(1)] = Results([(a.text(1), a.text(5), a.text(6)) for a in arguments])
    return found


class FunctionDef:
    """A function of the library. ``place`` is its field in the library."""

    def __init__(self, data: memoryview, place: Field) -> None:
        self.message = Message(data)
        self.place = place
        self.signature = Message(self.message.message(1) or memoryview(b""))
        self.name = self.signature.text(1)
        if not self.name:
            raise BadFileError("a function without a name")

    @cached_property
    def nodes(self) -> list[NodeDef]:
        return nodes_of(self.message, 3)

    @cached_property
    def returned(self) -> list[str]:
        """The tensors that it returns, in the order of its results. Raises BadFileError if one is missing."""
        found = dict(_texts(self.message, 4))
        names = [Message(item).text(1) for item in self.signature.messages(3)]
        missing = next((name for name in names if name not in found), None)
        if missing is not None:
            raise BadFileError(f"function {shown(self.name)!r} does not define its result {shown(missing)!r}")
        return [found[name] for name in names]

    @cached_property
    def waits(self) -> list[str]:
        """Its control outputs: the nodes that it always runs."""
        return [value for _, value in _texts(self.message, 6)]

    @cached_property
    def arguments(self) -> list[Argument]:
        """Its arguments with their recorded shapes. Raises BadFileError for a list of tensors."""
        shapes: dict[int, Shape | None] = {}
        for item in self.message.messages(7):
            entry = Message(item)
            attributes = Message(entry.messages(2)[-1]) if entry.messages(2) else None
            for key, value, _ in entries(attributes, 1) if attributes is not None else ():
                listed = value_of(value) if key == "_output_shapes" else None
                if isinstance(listed, list) and listed:
                    shapes[entry.number(1)] = listed[0]
        result = []
        for number, item in enumerate(self.signature.messages(2)):
            argument = Message(item)
            if argument.text(5) or argument.text(6):
                raise BadFileError(f"function {shown(self.name)!r} takes a list of tensors as one argument")
            result.append(Argument(argument.text(1), dtype_of(argument.number(3)), shapes.get(number)))
        return result


def _texts(message: Message, number: int) -> list[tuple[str, str]]:
    """A map from strings to strings. Raises BadFileError for a key that occurs twice."""
    found = [Message(item) for item in message.messages(number)]
    pairs = [(entry.text(1), entry.text(2)) for entry in found]
    if len({key for key, _ in pairs}) != len(pairs):
        raise BadFileError("a map with one key twice")
    return pairs


# -- signatures and objects -----------------------------
@dataclass(frozen=True, slots=True)
class Signature:
    """A signature: (name in the main graph, shape) of each of its inputs and outputs."""

    inputs: dict[str, tuple[str, Shape | None]]
    outputs: dict[str, tuple[str, Shape | None]]


def signature_of(data: memoryview) -> Signature:
    message = Message(data)
    sides = []
    for number in (1, 2):
        side = {}
        for key, value, _ in entries(message, number):
            info = Message(value)
            shape = info.message(3)
            side[key] = (info.text(1), None if shape is None else shape_of(shape))
        sides.append(side)
    return Signature(*sides)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the object graph."""

    name: str
    shape: Shape | None
    dtype: str


# The name of a preprocessing layer's ``adapt`` function (tf_keras/src/engine/base_preprocessing_layer.py, 2.21).
_ADAPT = "_adapt_function"
_KERAS_2 = "_tf_keras"
# Names of children of an ExportArchive (keras/src/export/saved_model.py, Keras 3.0 to 3.15).
_EXPORTED = frozenset({"_all_variables", "_misc_assets"})


@dataclass(slots=True)
class Objects:
    """The object graph. Objects are known by their numbers; the outermost object is 0.

    Attributes:
        variables, constants: by object number.
        captures: the objects that each function captures.
        signatures: the arguments of each function (a StructuredValue).
        identifiers: the identifiers of all user objects.
        held: the names of the children of the outermost object.
        children: (name, number) of the children of each object.
        functions: the names of the functions that an object is, by object number.
        described: identifier and metadata of a user object, by object number.
        tables: the objects with content outside variables: assets and resources.
        aside: the functions that compute nothing of the model: those that save and restore tables for a checkpoint, and
            those with which layers of Keras 2 read a data set in ``adapt``.
    """

    variables: dict[int, Variable] = field(default_factory=dict)
    constants: dict[int, str] = field(default_factory=dict)
    captures: dict[str, list[int]] = field(default_factory=dict)
    signatures: dict[str, memoryview] = field(default_factory=dict)
    identifiers: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    children: list[list[tuple[str, int]]] = field(default_factory=list)
    functions: dict[int, list[str]] = field(default_factory=dict)
    described: dict[int, tuple[str, memoryview]] = field(default_factory=dict)
    tables: set[int] = field(default_factory=set)
    aside: frozenset[str] = frozenset()

    @property
    def by_keras(self) -> bool:
        """True if Keras wrote it: ``model.save`` of Keras 2 (``_tf_keras_layer``) or ``model.export`` of Keras 3."""
        return any(name.startswith(_KERAS_2) for name in self.identifiers) or self.held >= _EXPORTED

    def paths(self) -> dict[str, tuple[tuple[str, ...], int]]:
        """The path of names from the outermost object to each function's object, and its position there."""
        found: dict[str, tuple[tuple[str, ...], int]] = {}
        seen = {0}
        waiting: deque[tuple[int, tuple[str, ...]]] = deque([(0, ())])
        while waiting:
            number, path = waiting.popleft()
            for place, name in enumerate(self.functions.get(number, ())):
                found.setdefault(name, (path, place))
            for name, child in self.children[number] if number < len(self.children) else ():
                if child not in seen:
                    seen.add(child)
                    waiting.append((child, (*path, name)))
        return found


def objects_of(data: memoryview | None) -> Objects:
    """The objects of a SavedObjectGraph; none for None."""
    found = Objects()
    if data is None:
        return found
    message = Message(data)
    savers: set[int] = set()
    for number, item in enumerate(message.messages(1)):
        each = Message(item)
        for _, saveable, _ in entries(each, 11):
            functions = Message(saveable)
            savers |= {functions.number(2), functions.number(3)}
        links = [Message(child) for child in each.messages(1)]
        found.children.append([(link.text(2), link.number(1)) for link in links])
        callable_, concrete = each.message(6), each.message(8)
        if callable_ is not None:
            found.functions[number] = Message(callable_).texts(1)
        elif concrete is not None:
            found.functions[number] = [Message(concrete).text(1)]
        variable, constant, user = each.message(7), each.message(9), each.message(4)
        if variable is not None:
            inner = Message(variable)
            shape = inner.message(2)
            found.variables[number] = Variable(
                inner.text(6), () if shape is None else shape_of(shape), dtype_of(inner.number(1))
            )
        elif constant is not None:
            found.constants[number] = Message(constant).text(1)
        elif user is not None:
            inner = Message(user)
            found.identifiers.add(inner.text(1))
            found.described[number] = (inner.text(1), inner.message(3) or memoryview(b""))
        elif each.all(5) or each.all(10):
            found.tables.add(number)
    found.held = {name for name, _ in found.children[0]} if found.children else set()
    found.aside = _aside(found, savers - {0})  # 0: no function
    for name, value, _ in entries(message, 2):
        concrete_function = Message(value)
        found.captures[name] = [signed(n) for n in concrete_function.numbers(2)]
        signature = concrete_function.message(3)
        if signature is not None:
            found.signatures[name] = signature
    return found


def _aside(objects: Objects, savers: set[int]) -> frozenset[str]:
    """The functions that save tables and those of ``adapt``, without functions that other objects use too.

    Each trace of a function is a separate object.
    """
    adapting: set[int] = set()
    held: set[int] = set()
    links = [(number, name, child) for number, each in enumerate(objects.children) for name, child in each]
    for number, name, child in links:
        if name != _ADAPT or child in adapting:
            continue
        if objects.described.get(number, ("", b""))[0].startswith(_KERAS_2):
            traces = objects.children[child] if child < len(objects.children) else ()
            adapting |= {child, *(each for _, each in traces)}
    for number, name, child in links:
        if number not in adapting and not (name == _ADAPT and child in adapting):
            held.add(child)
    chosen = (savers | adapting) - held
    kept = {name for number, names in objects.functions.items() if number not in chosen for name in names}
    return frozenset(name for number in chosen for name in objects.functions.get(number, ())) - kept
