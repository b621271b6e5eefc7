"""Facts about values: every spelling of a computation gives the same facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from onnx import TensorProto, helper, numpy_helper

from rewriter.formats.onnx.reader import read
from rewriter.formats.registry import open_model
from rewriter.ir.axis import Value
from rewriter.shapes.infer import infer, suppose

N = 6


def attention(y: Any) -> Any:
    """Scores of ``y[B, N, N]`` along its last axis, one and the same axis twice."""
    return ops.matmul(y, ops.transpose(layers.Dense(5)(y), (0, 2, 1)))


def last(tmp_path, build: Callable[[Any], Any], shape: tuple[int, ...] = (N, 5)) -> Value:
    """The facts of the result."""
    x = keras.Input(shape)
    keras.Model(x, build(x)).save(tmp_path / "m.keras")
    with open_model(tmp_path / "m.keras") as source:
        (value,) = infer(source.graph).outputs()
    return value


def divided(x: Any) -> Any:
    e = ops.exp(x)
    return e / ops.sum(e, axis=-1, keepdims=True)


def divided_safely(x: Any) -> Any:
    e = ops.exp(x)
    return ops.divide(e, ops.sum(e, axis=-1, keepdims=True) + 1e-7)


def divided_by_what_was_lifted(x: Any) -> Any:
    e = ops.exp(x)
    return e / ops.expand_dims(ops.sum(e, axis=-1), -1)


def nested(x: Any) -> Any:
    inner = keras.Input((N, 5))
    return keras.Model(inner, layers.Softmax()(inner), name="inner")(x)


def cut(x: Any) -> Any:
    return ops.softmax(x)[:, 1:4]


SOFTMAXES: dict[str, Callable[[Any], Any]] = {
    "an activation by name": lambda x: layers.Dense(5, activation="softmax")(x),
    "an activation layer": lambda x: layers.Activation("softmax")(x),
    "a layer": lambda x: layers.Softmax()(x),
    "a layer as an activation": lambda x: layers.Dense(5, activation=layers.Softmax())(x),
    "a function as an activation": lambda x: layers.Dense(5, activation=keras.activations.softmax)(x),
    "a convolution's activation": lambda x: layers.Conv1D(5, 1, activation="softmax")(x),
    "an op": lambda x: ops.softmax(x),
    "a quotient": divided,
    "a quotient that is kept from zero": divided_safely,
    "a quotient by a lifted sum": divided_by_what_was_lifted,
    "inside TimeDistributed": lambda x: layers.TimeDistributed(layers.Softmax())(x),
    "a Dense layer inside TimeDistributed": lambda x: layers.TimeDistributed(layers.Dense(5, "softmax"))(x),
    "in a nested model": nested,
    "with Dropout behind": lambda x: layers.Dropout(0.5)(layers.Softmax()(x)),
    "cut along another axis": cut,
    "turned twice": lambda x: layers.Permute((2, 1))(layers.Permute((2, 1))(layers.Softmax()(x))),
    "along the other axis of what was turned": lambda x: layers.Permute((2, 1))(
        layers.Softmax(axis=1)(layers.Permute((2, 1))(x))
    ),
}


@pytest.mark.parametrize("name", SOFTMAXES)
def test_one_softmax_written_in_many_ways(name, tmp_path):
    value = last(tmp_path, SOFTMAXES[name])
    assert value.facts.weights
    assert [axis.facts.sums_to_one for axis in value.axes] == [False, False, True]
    assert not value.facts.moved


def divided_along_another_axis(x: Any) -> Any:
    """The sums of the rows ``[B, 1, N]`` meet the columns of ``[B, N, N]``."""
    e = ops.exp(x[:, :, :1] * ops.ones((1, 1, N)))
    return e / ops.expand_dims(ops.sum(e, axis=-1), 1)


def divided_by_the_largest_sum(x: Any) -> Any:
    e = ops.exp(x)
    return e / ops.max(ops.sum(e, axis=-1, keepdims=True), axis=1, keepdims=True)


def divided_by_flipped_sums(x: Any) -> Any:
    e = ops.exp(x)
    return e / ops.flip(ops.sum(e, axis=-1, keepdims=True), axis=1)


OTHERS: dict[str, Callable[[Any], Any]] = {
    "a quotient by the largest of the sums": divided_by_the_largest_sum,
    "a quotient by the sums in another order": divided_by_flipped_sums,
    "a quotient by the sums along another axis": divided_along_another_axis,
    "another activation": lambda x: layers.Dense(5, activation="sigmoid")(x),
    "a logarithm of it": lambda x: ops.log_softmax(x),
    "a Dense layer behind it": lambda x: layers.Dense(5)(layers.Softmax()(x)),
    "a product with something": lambda x: layers.Softmax()(x) * x,
    "a quotient by another sum": lambda x: ops.exp(x) / ops.sum(x, axis=-1, keepdims=True),
    "cut along that axis": lambda x: ops.softmax(x)[:, :, 1:4],
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_softmax(name, tmp_path):
    value = last(tmp_path, OTHERS[name])
    assert not value.facts.weights
    assert not any(axis.facts.sums_to_one for axis in value.axes)


BY_SUMS: dict[str, tuple[Callable[[Any], Any], list[bool]]] = {
    "sums over the first axis": (lambda e: e / ops.sum(e, axis=0), [True, False]),
    "sums over the last axis": (lambda e: e / ops.sum(e, axis=-1), [False, False]),
    "sums over the last axis, kept": (lambda e: e / ops.sum(e, axis=-1, keepdims=True), [False, True]),
}


@pytest.mark.parametrize("name", BY_SUMS)
def test_a_quotient_by_sums_of_lower_rank_is_right_aligned(name, tmp_path):
    build, marked = BY_SUMS[name]
    x = keras.Input(batch_shape=(N, N))
    keras.Model(x, build(ops.exp(x))).save(tmp_path / "m.keras")
    with open_model(tmp_path / "m.keras") as source:
        (value,) = infer(source.graph).outputs()
    assert [axis.facts.sums_to_one for axis in value.axes] == marked
    x = np.random.default_rng(0).uniform(1, 2, (N, N))
    sums = [np.allclose(np.sum(build(x), axis), 1) for axis in (0, 1)]
    assert sums == marked


@pytest.mark.parametrize(
    ("op_type", "total", "mean"), [("Max", True, False), ("Mean", False, False), ("Sum", False, False)]
)
def test_operators_that_are_elementwise_in_onnx_and_reductions_elsewhere(op_type, total, mean):
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["t"], axes=[1]),
        helper.make_node(op_type, ["t", "least"], ["y"]),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [3, 5]), ("y", None))]
    least = numpy_helper.from_array(np.array(1e-7, np.float32), "least")
    graph = helper.make_graph(nodes, "graph", infos[:1], infos[1:], [least])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)])
    (value,) = infer(read(proto).graph).outputs()
    assert (value.facts.total is not None) is total
    assert (value.facts.mean is not None) is mean


@pytest.mark.parametrize(
    ("axes", "marked"), [([1], [False, True]), ([0], [True, False]), ([0, 1], [False] * 2)]
)
@pytest.mark.parametrize("opset", [12, 18])
def test_a_softmax_written_out_in_onnx(opset, axes, marked):
    """From opset 13 on, ReduceSum takes its axes as an operand."""
    config = {"axes": axes} if opset < 13 else {}
    nodes = [
        helper.make_node("Exp", ["x"], ["e"]),
        helper.make_node("ReduceSum", ["e", *["axes"] * (opset >= 13)], ["t"], keepdims=1, **config),
        helper.make_node("Div", ["e", "t"], ["y"]),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3, 5]) for n in ("x", "y")]
    numbers = [numpy_helper.from_array(np.array(axes, np.int64), "axes")] * (opset >= 13)
    graph = helper.make_graph(nodes, "graph", infos[:1], infos[1:], numbers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    (value,) = infer(read(proto).graph).outputs()
    assert [axis.facts.sums_to_one for axis in value.axes] == marked


def test_of_two_like_axes_the_one_that_adds_up_is_known(tmp_path):
    """Rows and columns of scores have one axis identity: only their positions tell them apart."""
    straight = last(tmp_path, lambda x: ops.softmax(attention(x)))
    turned = last(tmp_path, lambda x: ops.transpose(ops.softmax(attention(x)), (0, 2, 1)))
    assert [a.facts.sums_to_one for a in straight.axes] == [False, False, True]
    assert [a.facts.sums_to_one for a in turned.axes] == [False, True, False]


MOVED: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "as it is": (lambda x: x, ()),
    "Permute": (lambda x: layers.Permute((2, 1, 3))(x), (0, 2, 1, 3)),
    "transpose": (lambda x: ops.transpose(x, (0, 3, 1, 2)), (0, 3, 1, 2)),
    "swapaxes": (lambda x: ops.swapaxes(x, 1, 2), (0, 2, 1, 3)),
    "moveaxis": (lambda x: ops.moveaxis(x, -1, 1), (0, 3, 1, 2)),
    "rot90": (lambda x: ops.rot90(x, axes=(1, 2)), (0, 2, 1, 3)),
    "half a turn": (lambda x: ops.rot90(x, k=2, axes=(1, 2)), ()),
    "there and back": (lambda x: layers.Permute((2, 1, 3))(layers.Permute((2, 1, 3))(x)), ()),
    "a function of it": (lambda x: ops.sigmoid(layers.Permute((2, 1, 3))(x)), (0, 2, 1, 3)),
    "a number times it": (lambda x: 2.0 * layers.Permute((2, 1, 3))(x), (0, 2, 1, 3)),
    "with a unit axis": (lambda x: ops.expand_dims(layers.Permute((2, 1, 3))(x), 1), (0, -1, 2, 1, 3)),
    "a Dense layer behind": (lambda x: layers.Dense(5)(layers.Permute((2, 1, 3))(x)), ()),
    "regrouped": (lambda x: layers.Reshape((4, 15))(layers.Permute((2, 1, 3))(x)), ()),
}


@pytest.mark.parametrize("name", MOVED)
def test_the_order_in_which_somebody_transposed_a_tensor(name, tmp_path):
    build, order = MOVED[name]
    assert last(tmp_path, build, (3, 4, 5)).facts.moved == order


@pytest.mark.parametrize(("axis", "order"), [(1, ()), (-1, (0, 3, 1, 2))])
def test_a_layer_that_says_where_the_channels_are(axis, order, tmp_path):
    """It confirms the order if the channels were moved there; otherwise the position counts as the author's."""

    def build(x: Any) -> Any:
        y = layers.Conv2D(6, 3, padding="same")(x)
        return layers.BatchNormalization(axis=axis)(layers.Permute((3, 1, 2))(y))

    assert last(tmp_path, build, (3, 4, 5)).facts.moved == order


UNITS: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "Reshape": (lambda x: layers.Reshape((1, N, 5))(x), ["Reshape", "", ""]),
    "expand_dims": (lambda x: ops.expand_dims(x, 2), ["", "ExpandDims", ""]),
    "keepdims": (lambda x: ops.mean(x, axis=1, keepdims=True), ["keepdims", ""]),
    "a pooling layer's keepdims": (
        lambda x: layers.GlobalAveragePooling1D(keepdims=True)(x),
        ["keepdims", ""],
    ),
    "a None index": (lambda x: x[:, None], ["None index", "", ""]),
    "a RepeatVector of one": (
        lambda x: layers.RepeatVector(1)(layers.Flatten()(x)),
        ["RepeatVector", ""],
    ),
    "a slice of one": (lambda x: x[:, 2:3], ["a slice", ""]),
    "a Dense layer of one": (lambda x: layers.Dense(1)(x), ["", ""]),
    "through a Dense layer": (lambda x: layers.Dense(4)(ops.expand_dims(x, 1)), ["ExpandDims", "", ""]),
}


@pytest.mark.parametrize("name", UNITS)
def test_who_wrote_a_unit_axis(name, tmp_path):
    build, written = UNITS[name]
    assert [axis.facts.written for axis in last(tmp_path, build).axes[1:]] == written


def test_the_axes_that_a_reshape_made(tmp_path):
    value = last(tmp_path, lambda x: layers.Reshape((N, 4, 3))(layers.Dense(12)(x)))
    assert [axis.facts.split for axis in value.axes] == [False, False, True, True]
    value = last(tmp_path, lambda x: ops.relu(layers.Reshape((N, 4, 3))(layers.Dense(12)(x))))
    assert not any(axis.facts.split for axis in value.axes)


def test_a_quotient_knows_its_sum_after_one_of_the_two_was_inferred_again(tmp_path):
    """A tensor is identified by its node: a new inference makes another object."""
    x = keras.Input((N, 5))
    e = layers.Activation("exponential", name="e")(x)
    keras.Model(x, ops.divide(e, ops.sum(e, axis=-1, keepdims=True))).save(tmp_path / "m.keras")
    with open_model(tmp_path / "m.keras") as source:
        graph = source.graph
        before = infer(graph)
        quotient = graph.output_refs()[0].node
        for at in (["e"], [quotient], ["e", quotient]):
            (value,) = suppose(before, lambda path: None, [(name,) for name in at]).outputs()
            assert [axis.facts.sums_to_one for axis in value.axes] == [False, False, True]
