"""Operations of TensorFlow 2.0 to 2.3 (``TensorFlowOpLayer``): written by hand, run by tf_keras."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import tf_keras
from tf_keras.src.engine.base_layer import TensorFlowOpLayer

from rewriter.formats.keras import upgrade

from . import oracle

FLOAT = {"T": {"type": "DT_FLOAT"}}
INDEX = {"Tidx": {"type": "DT_INT32"}, **FLOAT}
SLICE = {"Index": {"type": "DT_INT32"}, **FLOAT}


def masks(**given: int) -> dict[str, Any]:
    names = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    return {**SLICE, **{name: {"i": str(given.get(name, 0))} for name in names}}


# Operation, attributes, the positions of tensor operands, constants by position.
CASES: dict[str, tuple[str, dict[str, Any], int, dict[str, Any]]] = {
    "mul": ("Mul", FLOAT, 1, {"1": 2.5}),
    "mul-of-two": ("Mul", FLOAT, 2, {}),
    "sub-from": ("Sub", FLOAT, 1, {"0": 1.0}),
    "add-rows": ("AddV2", FLOAT, 1, {"1": [1.0, 2.0, 3.0, 4.0]}),
    "real-div": ("RealDiv", FLOAT, 2, {}),
    "mean": ("Mean", {**INDEX, "keep_dims": {"b": True}}, 1, {"1": [1]}),
    "sum": ("Sum", {**INDEX, "keep_dims": {"b": False}}, 1, {"1": 2}),
    "reshape": ("Reshape", {**FLOAT, "Tshape": {"type": "DT_INT32"}}, 1, {"1": [-1, 20]}),
    "transpose": ("Transpose", {**FLOAT, "Tperm": {"type": "DT_INT32"}}, 1, {"1": [0, 2, 1]}),
    "expand": ("ExpandDims", {**FLOAT, "Tdim": {"type": "DT_INT32"}}, 1, {"1": 1}),
    "concat": ("ConcatV2", {**INDEX, "N": {"i": "2"}}, 2, {"2": -1}),
    "pack": ("Pack", {**FLOAT, "N": {"i": "2"}, "axis": {"i": "1"}}, 2, {}),
    "slice": (
        "StridedSlice",
        masks(begin_mask=5, end_mask=5),
        1,
        {"1": [0, 1, 0], "2": [0, 4, 0], "3": [1, 2, 1]},
    ),
    "last": (
        "StridedSlice",
        masks(begin_mask=1, end_mask=1, shrink_axis_mask=2),
        1,
        {"1": [0, -1], "2": [0, 0], "3": [1, 1]},
    ),
    "axis": (
        "StridedSlice",
        masks(ellipsis_mask=1, new_axis_mask=2),
        1,
        {"1": [0, 0], "2": [0, 0], "3": [1, 1]},
    ),
    "relu": ("Relu", FLOAT, 1, {}),
    "matmul": ("BatchMatMulV2", {**FLOAT, "adj_x": {"b": False}, "adj_y": {"b": True}}, 2, {}),
    "cast": (
        "Cast",
        {"SrcT": {"type": "DT_FLOAT"}, "DstT": {"type": "DT_INT32"}, "Truncate": {"b": False}},
        1,
        {},
    ),
    "einsum": (
        "Einsum",
        {**FLOAT, "N": {"i": "2"}, "equation": {"s": base64.b64encode(b"BTD,BSD->BTS").decode()}},
        2,
        {},
    ),
    "roll": (
        "Roll",
        {**FLOAT, "Tshift": {"type": "DT_INT32"}, "Taxis": {"type": "DT_INT32"}},
        1,
        {"1": [2], "2": [1]},
    ),
    "atan": ("Atan", FLOAT, 1, {}),
    "leaky": ("LeakyRelu", {**FLOAT, "alpha": {"f": 0.25}}, 1, {}),
}


def model(name: str) -> dict[str, Any]:
    op, attributes, count, constants = CASES[name]
    rows: list[Any] = [
        {"class_name": "InputLayer", "name": f"x{k}", "inbound_nodes": [],
         "config": {"name": f"x{k}", "batch_input_shape": [None, 5, 4], "dtype": "float32"}}
        for k in range(2)
    ]  # fmt: skip
    total = count + len(constants)
    node = {"name": op, "op": op, "input": [f"in{k}" for k in range(total)], "attr": attributes}
    rows.append({
        "class_name": "TensorFlowOpLayer",
        "name": f"tf_op_layer_{op}",
        "config": {"name": op, "trainable": True, "dtype": "float32", "node_def": node, "constants": constants},
        "inbound_nodes": [[[f"x{k}", 0, 0, {}] for k in range(count)]],
    })  # fmt: skip
    ends = {"input_layers": [["x0", 0, 0], ["x1", 0, 0]], "output_layers": [[f"tf_op_layer_{op}", 0, 0]]}
    return {
        "class_name": "Functional",
        "keras_version": "2.4.0",
        "config": {"name": "m", "layers": rows, **ends},
    }


@pytest.mark.parametrize("name", CASES)
def test_op_layers(name: str):
    entry = model(name)
    old = tf_keras.models.model_from_json(
        json.dumps(entry), custom_objects={"TensorFlowOpLayer": TensorFlowOpLayer}
    )
    found = upgrade.upgraded(entry)
    assert not found.refusals
    given = oracle.inputs_for(old)
    wanted = oracle.outputs(old, given)
    assert all(oracle.says_something(array) for array in wanted)
    assert oracle.difference(oracle.outputs(oracle.keras_3_model(found), given), wanted) < oracle.TOLERANCE


def test_an_operation_without_a_translation_is_refused():
    entry = model("mul")
    entry["config"]["layers"][-1]["config"]["node_def"]["op"] = "Betainc"
    assert "Betainc" in upgrade.upgraded(entry).refusals[0].construct
