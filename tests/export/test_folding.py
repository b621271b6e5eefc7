"""Constant folding during export, against ONNX Runtime on the same node."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from rewriter.export.onnx.builder import Builder
from rewriter.export.onnx.folding import _FOLDS

_RNG = np.random.default_rng(0)
X, Y = _RNG.normal(1, 1, (2, 3, 4)).astype("float32"), _RNG.normal(1, 1, (3, 4)).astype("float32")
WHOLE = np.asarray([-7, 7, 5, -5], np.int64)
TRUE = np.asarray([True, False, True])


def ints(*values):
    return np.asarray(values, np.int64)


CASES = {
    **{name: [((np.abs(X) + 0.1,), {})] for name in ("Log", "Sqrt", "Reciprocal", "Exp")},
    **{name: [((X,), {})] for name in ("Abs", "Ceil", "Floor", "Neg")},
    **{name: [((X,), {})] for name in ("Cos", "Sin", "Tanh", "Sign", "Identity", "Shape")},
    **{name: [((X, Y), {}), ((WHOLE, WHOLE[::-1]), {})] for name in ("Add", "Sub", "Mul", "Equal", "Greater", "Less")},
    **{name: [((X, Y), {})] for name in ("GreaterOrEqual", "LessOrEqual", "Max", "Min")},
    **{name: [((TRUE, ~TRUE), {})] for name in ("And", "Or")},
    "Not": [((TRUE,), {})],
    "Pow": [((np.abs(X), Y), {})],
    "MatMul": [((X, Y.T), {})],
    "Div": [((X, Y), {}), ((WHOLE, ints(2, 2, -3, -3)), {}), ((WHOLE, ints(4, 4, 4, 4)), {}),
            ((ints(2**62 + 1, -(2**62) - 1), ints(1, 2)), {})],
    "Cast": [((X,), {"to": 7}), ((X,), {"to": 10}), ((WHOLE,), {"to": 9})],
    "Concat": [((X, X), {"axis": 1})],
    "Expand": [((Y, ints(2, 3, 4)), {}), ((X, ints(3, 1)), {})],
    "Flatten": [((X,), {}), ((X,), {"axis": 2})],
    "Gather": [((X, ints(2, 0)), {"axis": 1})],
    "Pad": [((X, ints(0, 1, 0, 2, 0, 1)), {}), ((X, ints(1, 1), np.float32(2), ints(2)), {})],
    "Range": [((np.int64(1), np.int64(9), np.int64(3)), {})],
    "ReduceMean": [((X, ints(0, 2)), {}), ((X, ints(1)), {"keepdims": 0})],
    "ReduceProd": [((X, ints(1)), {})],
    "ReduceSum": [((X, ints(-1)), {}), ((X,), {"keepdims": 0})],
    "Reshape": [((X, ints(0, -1)), {}), ((X, ints(4, 6)), {})],
    "Slice": [
        ((X, ints(1), ints(3), ints(1)), {}),
        ((X, ints(-1), ints(-(2**63)), ints(2), ints(-1)), {}),
        ((X, ints(0, -3), ints(2**63 - 1, -1), ints(0, 2), ints(1, 2)), {}),
    ],
    "Squeeze": [((X[:, :1], ints(1)), {})],
    "Tile": [((X, ints(1, 2, 3)), {})],
    "Transpose": [((X,), {}), ((X,), {"perm": [2, 0, 1]})],
    "Unsqueeze": [((X, ints(0, -1)), {})],
    "Where": [((X > 1, X, Y), {})],
}  # fmt: skip


def test_every_fold_has_a_case():
    assert sorted(CASES) == sorted(_FOLDS)


@pytest.mark.parametrize("op_type", sorted(CASES))
def test_a_fold_is_what_the_runtime_computes(op_type):
    for operands, attributes in CASES[op_type]:
        builder = Builder(21)
        ours = builder.node(op_type, *(builder.constant(np.asarray(o)) for o in operands), **attributes)
        assert ours.data is not None
        wanted = _run(op_type, [np.asarray(o) for o in operands], attributes)
        got = ours.data.load()
        assert ours.data.shape == got.shape == wanted.shape
        assert ours.dtype == got.dtype.name == wanted.dtype.name
        if wanted.dtype.kind in "iub":
            np.testing.assert_array_equal(got, wanted)
        else:
            np.testing.assert_allclose(got, wanted, rtol=1e-6)


def _run(op_type, operands, attributes):
    names = [f"x{n}" for n in range(len(operands))]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, ["y"], **attributes)],
        "one",
        [],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(o, n) for o, n in zip(operands, names, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {}
    )[0]


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_a_constant_is_padded_in_every_mode(mode):
    from rewriter.export.onnx.builder import Builder

    builder = Builder(17)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    padded = builder.node("Pad", builder.constant(x), [0, 1, 1, 2], mode=mode)
    np.testing.assert_array_equal(padded.data.load(), np.pad(x, ((0, 1), (1, 2)), mode=mode))


@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceProd"])
def test_axes_are_an_attribute_before_opset_18(op_type):
    builder = Builder(17)
    reduced = builder.node(op_type, builder.constant(X), axes=[0, 2], keepdims=0)
    wanted = getattr(np, op_type.removeprefix("Reduce").lower())(X, (0, 2))
    np.testing.assert_allclose(reduced.data.load(), wanted, rtol=1e-6)
