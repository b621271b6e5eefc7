"""Every layer and function that replaces an inserted operation, run by tf_keras and compared with NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tf_keras

from rewriter.errors import UnsupportedError
from rewriter.formats.keras.old_form.spelling import Form, entry_of, form_of, spelled
from rewriter.ir.axis import Value
from rewriter.ir.graph import Graph, Node, Operation, TensorRef
from rewriter.shapes import layers as _layers  # noqa: F401 - fills the table of rules
from rewriter.shapes import ops as _ops  # noqa: F401
from rewriter.shapes.infer import infer
from tests.formats.keras.upgrade.oracle import says_something

LAYERS = Form("2.3.1", False, "", "float32", True)
FUNCTIONS = Form("2.15.0", True, "", "float32", False)
X = (None, 2, 3, 5)

# Operation, configuration, operand shapes, the result in NumPy, and the layer ("" if there is none).
ROWS: list[tuple[str, dict[str, Any], tuple[Any, ...], Callable[..., Any], str]] = [
    ("Reshape", {"newshape": [-1, 6, 5]}, (X,), lambda x: x.reshape(-1, 6, 5), "Reshape"),
    ("Reshape", {"newshape": [-1, 2, 5]}, (X,), lambda x: x.reshape(-1, 2, 5), ""),
    ("Transpose", {"axes": [0, 3, 1, 2]}, (X,), lambda x: x.transpose(0, 3, 1, 2), "Permute"),
    ("Transpose", {"axes": [3, 0, 1, 2]}, (X,), lambda x: x.transpose(3, 0, 1, 2), ""),
    ("ExpandDims", {"axis": [1, 3]}, ((None, 2, 3),), lambda x: np.expand_dims(x, (1, 3)), "Reshape"),
    ("ExpandDims", {"axis": 2}, ((None, None, 3),), lambda x: x[:, :, None], "Reshape"),
    ("ExpandDims", {"axis": 1}, ((None, None, None, 3),), lambda x: x[:, None], ""),
    ("ExpandDims", {"axis": 0}, ((None, 3),), lambda x: x[None], ""),
    ("Squeeze", {"axis": [1, 3]}, ((None, 1, 3, 1),), lambda x: x[:, 0, :, 0], "Reshape"),
    ("Squeeze", {"axis": 1}, ((None, 1, None, None),), lambda x: x[:, 0], ""),
    ("Tile", {"repeats": [1, 4, 1]}, ((None, 1, 3),), lambda x: np.tile(x, (1, 4, 1)), "UpSampling1D"),
    ("Tile", {"repeats": [1, 4, 2, 1]}, ((None, 1, 1, 3),), lambda x: np.tile(x, (1, 4, 2, 1)), "UpSampling2D"),
    ("Tile", {"repeats": [1, 2, 1, 1, 1]}, ((None, 1, 2, 3, 2),), lambda x: x.repeat(2, 1), "UpSampling3D"),
    ("Tile", {"repeats": [1, 2, 1]}, ((None, 2, 3),), lambda x: np.tile(x, (1, 2, 1)), ""),
    ("Tile", {"repeats": [1, 1, 4]}, ((None, 3, 1),), lambda x: np.tile(x, (1, 1, 4)), ""),
    ("Repeat", {"repeats": 3, "axis": 1}, (X,), lambda x: x.repeat(3, 1), "UpSampling2D"),
    ("Repeat", {"repeats": 3, "axis": 3}, (X,), lambda x: x.repeat(3, 3), ""),
    ("Repeat", {"repeats": 3, "axis": 0}, (X,), lambda x: x.repeat(3, 0), ""),
    ("Matmul", {}, ((None, 2, 3), (None, 3, 5)), np.matmul, "Dot"),
    ("Matmul", {}, ((None, 4, 2, 3), (None, 4, 3, 5)), np.matmul, ""),
    ("Slice", {"shape": [-1, 1, 3, 2]}, (X,), lambda x: x[:, :1, :3, :2], ""),
]  # fmt: skip
IDS = [f"{row[0]}-{k}" for k, row in enumerate(ROWS)]


def node_of(
    class_name: str, config: dict[str, Any], shapes: tuple[Any, ...]
) -> tuple[Node, list[Value], Value]:
    """An operation on inputs, and the values of both by inference."""
    graph = Graph("")
    refs = []
    for name, shape in zip("ab", shapes, strict=False):
        stated = {"name": name, "batch_shape": list(shape), "dtype": "float32"}
        graph.add(Node(name, Operation(name, "input", "InputLayer", stated, "keras.layers"), 0, (), {}))
        refs.append(TensorRef(name))
    module = "keras.src.ops.core" if class_name == "Slice" else "keras.src.ops.numpy"
    arguments = ([0] * len(shapes[0]),) if class_name == "Slice" else ()
    operation = Operation("op", "op", class_name, {"name": "op", **config}, module)
    node = Node("op", operation, 0, (*refs, *arguments), {})
    graph.add(node)
    graph.inputs, graph.outputs = refs, TensorRef("op")
    graph.link()
    values = infer(graph).values
    return node, [values[ref.node][0] for ref in refs], values["op"][0]


def run(parts: list[Any], shapes: tuple[Any, ...], form: Form, arrays: list[Any]) -> Any:
    """The outputs of a model with these layers in tf_keras."""
    inputs = [
        {"class_name": "InputLayer", "config": {"batch_input_shape": shape, "name": name, "dtype": "float32"},
         "name": name, "inbound_nodes": []}
        for name, shape in zip("ab", shapes, strict=False)
    ]  # fmt: skip
    tensors = [[entry["name"], 0, 0] for entry in inputs]
    ends, entries = tensors, list(inputs)
    for k, part in enumerate(parts):
        entries.append(entry_of(part, f"op_{k}", tensors, form))
        tensors = [[f"op_{k}", 0, 0]]
    config = {"name": "m", "layers": entries, "input_layers": ends, "output_layers": tensors}
    model = tf_keras.Model.from_config(config)
    return np.asarray(model(arrays if len(arrays) > 1 else arrays[0]))


@pytest.mark.parametrize("form", [LAYERS, FUNCTIONS], ids=["layer", "function"])
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_it_computes_what_the_operation_does(row: Any, form: Form):
    class_name, config, shapes, wanted, layer = row
    node, operands, result = node_of(class_name, config, shapes)
    if form is LAYERS and not layer:
        with pytest.raises(UnsupportedError, match=f"no layer .* {class_name} 'op'"):
            spelled(node, operands, result, form)
        return
    parts = spelled(node, operands, result, form)
    assert [part.class_name for part in parts] == [layer] if form is LAYERS else parts[0].function
    random = np.random.default_rng(0)
    arrays = [random.normal(size=[n or 4 for n in shape]).astype("float32") for shape in shapes]
    desired = wanted(*arrays)
    assert says_something(desired)
    np.testing.assert_allclose(run(parts, shapes, form, arrays), desired, rtol=1e-5, atol=1e-6)


def test_what_needs_the_size_of_another_tensor_is_refused():
    node, operands, result = node_of("Transpose", {"axes": [0, 2, 1]}, ((None, 2, 3),))
    node.operation.class_name = "Where"
    for form in (LAYERS, FUNCTIONS):
        with pytest.raises(UnsupportedError, match="Where"):
            spelled(node, operands, result, form)


# -- dtypes -----------------------------
def entry_with(*layers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    entries = [{"class_name": name, "config": config} for name, config in layers]
    return {"class_name": "Functional", "config": {"layers": entries}}


DENSE = ("Dense", {"dtype": "float32"})
CAST = ("TFOpLambda", {"dtype": "float32", "function": "cast"})


@pytest.mark.parametrize(
    ("layers", "dtype", "single"),
    [
        ([DENSE], "float32", True),
        ([DENSE, CAST], "float32", False),
        ([("TFOpLambda", {"function": "cast"})], "", False),
        ([DENSE, ("Dense", {"dtype": "float16"})], "", False),
        ([("Dense", {"dtype": {"config": {"name": "mixed_float16"}}})], "float16", True),
    ],
)
def test_the_dtype_of_a_file_is_one_that_its_layers_state(layers: Any, dtype: str, single: bool):
    form = form_of(entry_with(*layers), "2.15.0")
    assert (form.dtype, form.layers) == (dtype, single)


@pytest.mark.parametrize(
    ("dtype", "class_name"),
    [("float32", "Reshape"), ("int32", "Reshape"), ("float16", "TFOpLambda"), ("float64", "TFOpLambda")],
)
def test_no_layer_casts_its_operand(dtype: str, class_name: str):
    node, operands, result = node_of("Reshape", {"newshape": [-1, 6, 5]}, (X,))
    form = form_of(entry_with(DENSE), "2.15.0")
    (part,) = spelled(node, [replace(x, dtype=dtype) for x in operands], result, form)
    assert part.class_name == class_name
