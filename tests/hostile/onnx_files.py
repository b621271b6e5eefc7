"""ONNX files that contradict their own definitions, each with an honest twin."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class OnnxCase(NamedTuple):
    """A file that is refused with these words; the twin is the file before ``spoil``."""

    name: str
    spoil: Callable[[Any], None]
    words: str
    base: Callable[[], Any]


def model(
    nodes: list[Any],
    tensors: dict[str, Any] | None = None,
    shape: Any = ("N", 4),
    opset: int = 17,
    dtype: int = 1,
) -> Any:
    """A model from ``x`` to ``y``; ``tensors`` are initializers."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (tensors or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def scaled() -> Any:
    return model([helper.make_node("Mul", ["x", "w"], ["y"], "m")], {"w": np.ones(4, np.float32)})


def reshaped() -> Any:
    return model([helper.make_node("Reshape", ["x", "s"], ["y"], "r")], {"s": np.array([-1, 2, 2], np.int64)})


def turned() -> Any:
    return model([helper.make_node("Transpose", ["x"], ["y"], "t", perm=[1, 0])])


def cast() -> Any:
    return model([helper.make_node("Cast", ["x"], ["y"], "c", to=TensorProto.INT64)])


def constant() -> Any:
    value = numpy_helper.from_array(np.ones(4, np.float32))
    return model(
        [
            helper.make_node("Constant", [], ["k"], "k", value=value),
            helper.make_node("Mul", ["x", "k"], ["y"], "m"),
        ]
    )


def joined() -> Any:
    return model([helper.make_node("Concat", ["x", "x"], ["y"], "j", axis=1)])


def outside() -> Any:
    proto = scaled()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "w.bin"), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return proto


def typed() -> Any:
    proto = scaled()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 4)
    return proto


def described() -> Any:
    proto = scaled()
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4]))
    return proto


def sparse() -> Any:
    proto = scaled()
    values = numpy_helper.from_array(np.ones(2, np.float32), "v")
    indices = numpy_helper.from_array(np.array([0, 3], np.int64), "i")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    return proto


def _located(value: str) -> Callable[[Any], None]:
    def spoil(proto: Any) -> None:
        proto.graph.initializer[0].external_data[0].value = value

    return spoil


def _entry(key: str, value: str) -> Callable[[Any], None]:
    def spoil(proto: Any) -> None:
        entries = proto.graph.initializer[0].external_data
        for entry in entries:
            if entry.key == key:
                entry.value = value

    return spoil


def _tensor(change: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda proto: change(proto.graph.initializer[0])


def _node(change: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda proto: change(proto.graph.node[-1])


def _set(**fields: Any) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        for name, value in fields.items():
            field = getattr(message, name)
            if isinstance(value, list):
                del field[:]
                field.extend(value)
            else:
                setattr(message, name, value)

    return change


def _attribute(**fields: Any) -> Callable[[Any], None]:
    return _node(lambda node: _set(**fields)(node.attribute[0]))


def _retagged(proto: Any) -> None:
    proto.graph.node[-1].attribute[0].CopyFrom(helper.make_attribute("to", [1]))


def _retyped(proto: Any) -> None:
    old = proto.graph.initializer[0]
    old.CopyFrom(numpy_helper.from_array(np.array([-1, 2, 2], np.float32), old.name))


CASES = [
    OnnxCase("dims-without-data", _tensor(_set(dims=[5])), "holds 16 bytes", scaled),
    OnnxCase("dims-huge", _tensor(_set(dims=[2**32, 2**32])), "more elements than 63 bits", scaled),
    OnnxCase("dims-negative", _tensor(_set(dims=[-4])), "shape [-4]", scaled),
    OnnxCase("no-type", _tensor(_set(data_type=0)), "has no type", scaled),
    OnnxCase("numbers-short", _tensor(_set(float_data=[1.0])), "holds 1 numbers", typed),
    OnnxCase("numbers-of-another-type", _tensor(_set(float_data=[], int64_data=[1, 2, 3, 4])), "int64_data", typed),
    OnnxCase("numbers-twice", _tensor(_set(float_data=[1.0] * 4)), "twice", scaled),
    OnnxCase("text-as-numbers", _tensor(_set(data_type=8)), "text", scaled),
    OnnxCase("constant-without-data", lambda p: _set(dims=[2**40])(p.graph.node[0].attribute[0].t), "16 bytes",
             constant),
    OnnxCase("sparse-without-data", lambda p: _set(dims=[3])(p.graph.sparse_initializer[0].values), "bytes", sparse),
    OnnxCase("input-other-than-default", lambda p: _set(dim_value=5)(p.graph.input[1].type.tensor_type.shape.dim[0]),
             "stated as [5]", described),
    *(OnnxCase(f"kept-in-{where!r}", _located(where), "not a file beside the model", outside) for where in (
        "", "/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin", "\\\\host\\share\\w.bin", "..\\w.bin", "a\0b",
        "file:w.bin", "*/_ORT_MEM_ADDR_/*")),
    OnnxCase("kept-in-no-place", _tensor(lambda t: t.external_data.__delitem__(slice(None))), "not a file beside",
             outside),
    OnnxCase("kept-in-two-places", _tensor(lambda t: t.external_data.add(key="location", value="v.bin")), "twice",
             outside),
    OnnxCase("offset-negative", _entry("offset", "-1"), "offset", outside),
    OnnxCase("offset-huge", _entry("offset", "9" * 4000), "offset", outside),
    OnnxCase("length-short", _entry("length", "15"), "kept in 15 bytes", outside),
    OnnxCase("length-a-text", _entry("length", "x"), "length", outside),
    OnnxCase("attribute-twice", _node(lambda n: n.attribute.append(n.attribute[0])), "twice", turned),
    OnnxCase("attribute-of-another-type", _retagged, "not INT", cast),
    OnnxCase("attribute-holds-another", _attribute(floats=[1.0]), "a value of its type", turned),
    OnnxCase("attribute-unknown", _attribute(name="axes"), "does not have", turned),
    OnnxCase("attribute-missing", _node(lambda n: n.attribute.__delitem__(slice(None))), "'axis'", joined),
    OnnxCase("attribute-of-a-function", _attribute(ref_attr_name="q"), "in none", turned),
    OnnxCase("to-no-type", _attribute(i=99), "not a type of tensors", cast),
    OnnxCase("to-negative", _attribute(i=-1), "not a type of tensors", cast),
    OnnxCase("shape-of-floats", _retyped, "tensor(float) as its input 1", reshaped),
    OnnxCase("input-left-out", _node(lambda n: n.input.__setitem__(1, "")), "no input 1", scaled),
    OnnxCase("inputs-left-out", _node(lambda n: n.input.__setitem__(1, "")), "no input 1", joined),
    OnnxCase("inputs-none", _node(lambda n: n.input.__delitem__(slice(None))), "takes 0 tensors", joined),
    OnnxCase("outputs-many", _node(lambda n: n.output.append("z")), "gives 2 tensors", turned),
    OnnxCase("opset-twice", lambda p: p.opset_import.add(domain="ai.onnx", version=13), "two opsets", scaled),
    OnnxCase("opset-of-the-future", lambda p: _set(version=10_000)(p.opset_import[0]), "update it", scaled),
    OnnxCase("opset-huge", lambda p: _set(version=2**62)(p.opset_import[0]), "update it", scaled),
    OnnxCase("opset-negative", lambda p: _set(version=-1)(p.opset_import[0]), "opset -1", scaled),
]  # fmt: skip


def spoiled(case: OnnxCase) -> bytes:
    proto = case.base()
    case.spoil(proto)
    return bytes(proto.SerializeToString())


def saved(proto: Any) -> bytes:
    stream = io.BytesIO()
    onnx.save(proto, stream)
    return stream.getvalue()
