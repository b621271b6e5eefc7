"""Writes a graph as an ONNX file: the structure as one small message, the weights streamed from their source.

A ModelProto is a sequence of fields (key, length, bytes) in any order, so the graph's initializers can follow the rest
of it without ever being in one message (protobuf's encoding guide; field numbers from onnx.proto).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ...files.atomic import atomic_write
from ...formats.onnx.names import CONTRIB
from ...ir.size import Size, symbol
from .dtypes import number, numpy_dtype
from .graph import Array, Data, Graph, Node, Tensor
from .options import weights_beside

# Protobuf refuses messages of 2 GiB or more.
_LARGEST_MESSAGE = 2**31 - 1 - (64 << 20)
# Versions of operator sets other than the default; 1 for those not listed.
_DOMAINS = {"ai.onnx.ml": 3}
_INLINE = 1024
_ALIGNMENT = 4096
_MODEL_GRAPH, _GRAPH_INITIALIZER, _TENSOR_RAW_DATA = 7, 5, 9
_BLOCK = 1 << 24
_BATCH = symbol("B")
_LITTLE = np.dtype("<i4").newbyteorder("=") == np.dtype("<i4")


def write_model(
    graph: Graph,
    target: str | os.PathLike[str],
    opset: int,
    metadata: Mapping[str, str],
    producer: tuple[str, str],
    external: bool = False,
    annotate: bool = False,
) -> str | None:
    """Write the graph and return the path of the weights file, None if the model holds the weights.

    Args:
        metadata: key and value pairs of the model.
        producer: name and version of the producer.
        external: put the weights into a file beside the model even if they would fit into it; small ones stay in it.
        annotate: write the type and sizes of every inner tensor, and the origin of every node as its doc string.

    Raises:
        OutputError: the target cannot be written.
    """
    from onnx import helper

    path = os.fspath(target)
    _name(graph)
    constants = graph.constants()
    sizes = [_bytes(t.data) for t in constants if t.data is not None]
    external = (external and max(sizes, default=0) > _INLINE) or sum(sizes) > _LARGEST_MESSAGE
    others = {node.domain for _, node in graph.walk() if node.domain}
    imports = {"": opset, **{domain: _DOMAINS.get(domain, 1) for domain in sorted(others)}}
    model = helper.make_model(
        helper.make_graph([], graph.name, [], []),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in imports.items()],
        producer_name=producer[0],
        producer_version=producer[1],
        ir_version=_ir_version(opset),
    )
    model.ClearField("graph")
    helper.set_model_props(model, dict(metadata))
    structure = graph_proto(graph, annotate).SerializeToString()
    data_path = weights_beside(path) if external else None
    with contextlib.ExitStack() as stack:
        # The model is renamed into place last: it never points at weights that are not there.
        file = stack.enter_context(atomic_write(path))
        beside = stack.enter_context(atomic_write(data_path)) if data_path is not None else None
        heads = [
            _head(t, data_path if beside is not None and _bytes(t.data) > _INLINE else None, place)
            for t, place in _placed(constants, beside is not None)
        ]
        file.write(model.SerializeToString())
        size = len(structure) + sum(_field_size(_GRAPH_INITIALIZER, head[1]) for head in heads)
        file.write(_key(_MODEL_GRAPH) + _varint(size) + structure)
        for tensor, (head, length, inline) in zip(constants, heads, strict=True):
            file.write(_key(_GRAPH_INITIALIZER) + _varint(length) + head)
            if inline:
                assert tensor.data is not None
                _stream(tensor.data, file)
        if beside is not None:
            for tensor, place in _placed(constants, True):
                if place is not None and tensor.data is not None:
                    beside.write(b"\0" * (place - beside.tell()))
                    _stream(tensor.data, beside)
    return data_path


def _ir_version(opset: int) -> int:
    """The oldest IR version that allows this opset: older runtimes can then read the file."""
    from onnx import helper

    return max(8, int(helper.OP_SET_ID_VERSION_MAP.get(("ai.onnx", opset), 10)))


# -- names -----------------------------
def _name(graph: Graph) -> None:
    """Give every tensor and node a unique name; inputs and outputs have theirs already."""
    taken = {t.name for t in (*graph.inputs, *graph.outputs) if t.name}
    counts: dict[str, int] = {}

    def fresh(stem: str) -> str:
        name = stem
        while not name or name in taken:
            counts[stem] = counts.get(stem, 0) + 1
            name = f"{stem}_{counts[stem]}"
        taken.add(name)
        return name

    for tensor in graph.constants():
        if not tensor.name:
            tensor.name = fresh(tensor.stem or "constant")
    used: set[str] = set()
    number: dict[str, int] = {}
    bodies = [graph]
    while bodies:
        body = bodies.pop()
        for tensor in body.inputs:
            if not tensor.name:
                tensor.name = fresh(tensor.stem or f"{body.name}/input")
        for node in body.nodes:
            stem = node.name
            while node.name in used:
                number[stem] = number.get(stem, 0) + 1
                node.name = f"{stem}_{number[stem]}"
            used.add(node.name)
            for tensor in node.outputs:
                if not tensor.name:
                    tensor.name = fresh(tensor.stem or stem)
            bodies.extend(node.bodies)


# -- structure -----------------------------
def graph_proto(graph: Graph, annotate: bool = False) -> Any:
    """The GraphProto without initializers. Every tensor needs a name."""
    from onnx import helper

    # No program infers the types of another domain's operators; without one, LabelEncoder crashes onnx 1.23.
    noted = [node for node in graph.nodes if annotate or node.domain == CONTRIB]
    inner = [t for node in noted for t in node.outputs if t not in graph.outputs]
    return helper.make_graph(
        [_node_proto(node, annotate) for node in graph.nodes],
        graph.name,
        [_value_proto(t) for t in graph.inputs],
        [_value_proto(t) for t in graph.outputs],
        value_info=[_value_proto(t) for t in inner],
    )


def _node_proto(node: Node, annotate: bool) -> Any:
    from onnx import helper

    attributes = {
        key: graph_proto(value, annotate) if isinstance(value, Graph) else _attribute(value)
        for key, value in node.attributes.items()
    }
    return helper.make_node(
        node.op_type,
        [t.name if t is not None else "" for t in node.inputs],
        [t.name for t in node.outputs],
        name=node.name,
        domain=node.domain or None,
        doc_string=(node.scope or None) if annotate else None,
        **attributes,
    )


def _attribute(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        from onnx import numpy_helper

        return numpy_helper.from_array(value)
    return value


def _value_proto(tensor: Tensor) -> Any:
    from onnx import helper

    shape = [dimension(size) for size in tensor.sizes] if tensor.known else None
    return helper.make_tensor_value_info(tensor.name, number(tensor.dtype), shape)


def dimension(size: Size) -> int | str | None:
    """A number, the name of an open size (``batch``, ``H``, ``ceil(H/2)``), or None for an unknown size."""
    if isinstance(size, int):
        return size
    if size == _BATCH:
        return "batch"
    return None if size.unknown else str(size)


# -- constants -----------------------------
def _bytes(data: Data | None) -> int:
    if data is None or data.dtype == "string":
        return 0
    return _packed_size(data)


def _packed_size(data: Data) -> int:
    if data.dtype in ("int4", "uint4"):
        return (data.count + 1) // 2
    return data.count * numpy_dtype(data.dtype).itemsize


def _placed(constants: list[Tensor], external: bool) -> Iterator[tuple[Tensor, int | None]]:
    """Each constant with its offset in the file beside the model, None where it is kept in the model."""
    at = 0
    for tensor in constants:
        size = _bytes(tensor.data)
        if not external or size <= _INLINE:
            yield tensor, None
            continue
        at = -(-at // _ALIGNMENT) * _ALIGNMENT
        yield tensor, at
        at += size


def _head(tensor: Tensor, data_path: str | None, place: int | None) -> tuple[bytes, int, bool]:
    """The TensorProto up to its numbers, the length of the whole, and whether the numbers follow it."""
    from onnx import TensorProto

    data = tensor.data
    assert data is not None
    proto = TensorProto(name=tensor.name, data_type=number(data.dtype), dims=data.shape)
    if data.dtype == "string":
        proto.string_data.extend(str(s).encode() for s in data.load().reshape(-1))
        head = proto.SerializeToString()
        return head, len(head), False
    size = _packed_size(data)
    if data_path is not None:
        proto.data_location = TensorProto.EXTERNAL
        for key, value in (("location", os.path.basename(data_path)), ("offset", place), ("length", size)):
            proto.external_data.add(key=key, value=str(value))
        head = proto.SerializeToString()
        return head, len(head), False
    head = proto.SerializeToString() + _key(_TENSOR_RAW_DATA) + _varint(size)
    return head, len(head) + size, True


def _stream(data: Data, file: BinaryIO) -> None:
    """Write the numbers in C order, little-endian; nothing is cached."""
    array = _packed(data)
    if array.nbytes != _packed_size(data):
        raise AssertionError(f"a constant of {data.shape} has {array.nbytes} bytes")
    view = memoryview(array.reshape(-1).view(np.uint8).data) if array.size else memoryview(b"")
    for at in range(0, len(view), _BLOCK):
        file.write(view[at : at + _BLOCK])


def _packed(data: Data) -> Array:
    array = np.ascontiguousarray(data.load(), numpy_dtype(data.dtype))
    if data.dtype in ("int4", "uint4"):
        flat = array.reshape(-1).astype(np.uint8) & 15
        flat = np.append(flat, np.uint8(0)) if flat.size % 2 else flat
        return flat[::2] | (flat[1::2] << 4)
    if not _LITTLE:
        return array.astype(array.dtype.newbyteorder("<"))
    return array


# -- protobuf's wire format -----------------------------
def _key(field: int) -> bytes:
    return _varint(field << 3 | 2)


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    result.append(value)
    return bytes(result)


def _field_size(field: int, length: int) -> int:
    return len(_key(field)) + len(_varint(length)) + length
