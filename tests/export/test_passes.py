"""The written graph: its number of Transposes, its folded nodes, and its unchanged results."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter.errors import VerificationError
from rewriter.export.onnx import passes
from rewriter.export.onnx.builder import Builder
from rewriter.export.onnx.passes._cut import Network
from rewriter.export.onnx.passes.layout import moved_elements
from tests.export import harness
from tests.export.random_networks import network

L, ops = keras.layers, keras.ops


def _image(*sizes):
    return keras.Input(sizes or (9, 8, 3))


def _conv(x, filters=4, size=3, **options):
    return L.Conv2D(filters, size, padding="same", **options)(x)


def _block(x, filters=4, **options):
    return L.ReLU()(L.BatchNormalization()(_conv(x, filters, **options)))


def _checked(inputs, outputs, **options):
    """Compare a model with Keras, and count its nodes by type."""
    model = keras.Model(inputs, outputs)
    harness.randomise(model)
    rng = np.random.default_rng(0)
    feeds = [[rng.normal(0, 1, (n, *x.shape[1:])).astype("float32") for x in model.inputs] for n in (2, 3)]
    return harness.compare(model, feeds, **options).nodes


# -- layouts -----------------------------
def _residual(x):
    y = _block(x)
    return L.Add()([y, _conv(_block(y))])


def _excited(x):
    y = _block(x, 6)
    gate = L.Reshape((1, 1, 6))(L.GlobalAveragePooling2D()(y))
    gate = L.Conv2D(6, 1, activation="hard_sigmoid")(L.Conv2D(2, 1, activation="silu")(gate))
    return _conv(L.Multiply()([y, gate]))


def _gated_by_dense(x):
    y = _block(x, 6)
    gate = L.Dense(6, activation="sigmoid")(L.GlobalMaxPooling2D()(y))
    return _conv(y * ops.expand_dims(gate, (1, 2)))


def _dense_net(x):
    for _ in range(3):
        x = L.Concatenate()([x, _block(x)])
    return L.AveragePooling2D(2)(x)


def _cut_apart(x):
    a, b = ops.split(_block(x, 6), 2, axis=-1)
    return _conv(a[:, 1:, ::2] + L.ZeroPadding2D(((0, 0), (1, 1)))(b)[:, :-1, 1:-1][:, :, ::2])


def _softmaxed(x):
    return _conv(L.Softmax(axis=-1)(_conv(x)) + ops.mean(_conv(x), axis=-1, keepdims=True))


def _up_and_down(x):
    y = L.UpSampling2D(2)(_block(L.MaxPooling2D(2, padding="same")(x)))
    return L.Conv2DTranspose(3, 2, strides=2)(y)


BODIES = [_residual, _excited, _gated_by_dense, _dense_net, _cut_apart, _softmaxed, _up_and_down]


@pytest.mark.parametrize("body", BODIES)
def test_a_transpose_at_the_input_and_none_before_a_pooled_head(body):
    image = _image()
    nodes = _checked(image, L.Dense(3)(L.GlobalAveragePooling2D()(body(image))))
    assert nodes["Transpose"] == 1


@pytest.mark.parametrize("body", BODIES)
def test_a_transpose_at_the_input_and_one_at_an_image(body):
    image = _image()
    assert _checked(image, body(image))["Transpose"] == 2
    assert _checked(image, L.Dense(3)(L.Flatten()(body(image))))["Transpose"] == 2


def test_a_flat_spatial_head_needs_none():
    image = _image()
    nodes = _checked(image, L.Flatten()(_conv(_block(image), 1)))
    assert nodes["Transpose"] == 1


@pytest.mark.parametrize("size", [1, 3])
def test_one_and_three_dimensions(size):
    image = keras.Input((6, 5, 4, 3)[-size - 1 :])
    x = image
    for _ in range(2):
        x = L.BatchNormalization()(getattr(L, f"Conv{size}D")(4, 3, padding="same")(x))
    pooled = getattr(L, f"GlobalAveragePooling{size}D")()(x)
    assert _checked(image, pooled)["Transpose"] == 1


def test_channels_first_models_have_none():
    image = keras.Input((3, 8, 8))
    y = L.Permute((2, 3, 1))(image)
    nodes = _checked(image, L.Permute((3, 1, 2))(_residual(y)))
    assert "Transpose" not in nodes


def test_a_norm_over_the_channels_stays_where_it_is_cheapest():
    """ConvNeXt's block has channels last for the norm and the products: two Transposes a block."""
    image = _image(8, 8, 4)
    x = _conv(image)
    for _ in range(2):
        y = L.DepthwiseConv2D(7, padding="same")(x)
        y = L.Dense(4)(L.Dense(8, activation="gelu")(L.LayerNormalization()(y)))
        x = L.Add()([x, y])
    assert _checked(image, L.GlobalAveragePooling2D()(x))["Transpose"] == 1 + 2 * 2


def test_open_sizes():
    image = keras.Input((None, None, 3))
    x = _block(image, strides=2)
    y = L.Reshape((-1, 4))(x)
    model = keras.Model(image, [L.GlobalAveragePooling2D()(L.Add()([x, _conv(x)])), ops.tanh(y)])
    harness.randomise(model)
    rng = np.random.default_rng(0)
    feeds = [[rng.normal(0, 1, (n, h, w, 3)).astype("float32")] for n, h, w in ((1, 8, 7), (3, 5, 10))]
    harness.compare(model, feeds)


def test_an_intermediate_image_as_output_keeps_its_name(tmp_path):
    image = _image()
    middle = _block(image)
    model = keras.Model(image, [middle, _conv(middle), L.GlobalMaxPooling2D()(middle)])
    harness.randomise(model)
    result, _ = harness.exported(model, tmp_path)
    assert result.outputs == [y._keras_history.operation.name for y in model.outputs]
    harness.compare(model, [[np.random.default_rng(0).normal(0, 1, (2, 9, 8, 3)).astype("float32")]])


def test_channels_first_inputs_cost_no_transpose(tmp_path):
    image = _image()
    model = keras.Model(image, L.GlobalAveragePooling2D()(_residual(image)))
    result, _ = harness.exported(model, tmp_path, nchw_inputs=True)
    assert "Transpose" not in result.nodes
    model = keras.Model(image, _residual(image))
    result, _ = harness.exported(model, tmp_path, nchw_inputs=True, nchw_outputs=True)
    assert "Transpose" not in result.nodes


def _moved(model, tmp_path, monkeypatch):
    """The number of elements that Transposes move: before and after the choice of layouts, and at the end."""
    seen = []

    def watch(builder):
        seen.append(moved_elements(builder.graph))
        return False

    first, layouts, *rest = passes.STAGES
    stages = (first, (watch,), layouts, (watch,), *rest, (watch,))
    monkeypatch.setattr(passes.optimise, "__defaults__", (stages,))
    harness.exported(model, tmp_path)
    return seen


@pytest.mark.parametrize("seed", range(16))
def test_random_networks(seed, tmp_path, monkeypatch):
    _random_network(seed, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(16, 316))
def test_more_random_networks(seed, tmp_path, monkeypatch):
    _random_network(seed, tmp_path, monkeypatch)


def _random_network(seed, tmp_path, monkeypatch):
    """The written graph equals Keras, and no pass increases the number of moved elements."""
    model, steps = network(seed)
    harness.randomise(model)
    before, chosen, after = _moved(model, tmp_path, monkeypatch)
    assert after <= chosen <= before, steps
    run = harness.session(tmp_path / "model.onnx")
    for batch in (2, 3):
        x = np.random.default_rng(seed).normal(0, 1, (batch, *model.input_shape[1:])).astype("float32")
        wanted = keras.tree.flatten(model(x, training=False))
        for ours, theirs in zip(run.run(None, {run.get_inputs()[0].name: x}), wanted, strict=True):
            theirs = np.asarray(theirs)
            scale = max(1, np.abs(theirs).max())
            harness.same(ours / scale, theirs / scale, 3e-4)


# -- the cheapest cut -----------------------------
@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 6).flatmap(
        lambda count: st.lists(
            st.tuples(st.integers(0, count + 1), st.integers(0, count + 1), st.integers(0, 9)), max_size=20
        ).map(lambda edges: (count, edges))
    )
)
def test_the_cut_is_the_cheapest_of_all(found):
    count, edges = found
    whole = Network()
    for _ in range(count):
        whole.node()
    for start, end, capacity in edges:
        whole.edge(start, end, capacity)

    def cost(side):
        return sum(c for a, b, c in edges if a in side and b not in side)

    inner = range(2, count + 2)
    sides = [{0, *chosen} for n in range(count + 1) for chosen in itertools.combinations(inner, n)]
    side = whole.cut()
    assert 0 in side and 1 not in side
    assert cost(side) == min(map(cost, sides))


# -- folding -----------------------------
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "layer",
    [
        L.Conv1D(4, 3),
        L.Conv2D(4, 3),
        L.Conv3D(4, 2),
        L.Conv2D(6, 3, groups=3),
        L.Conv2DTranspose(4, 3),
        L.DepthwiseConv2D(3, depth_multiplier=2),
        L.SeparableConv2D(4, 3),
        L.Dense(4),
    ],
    ids=lambda layer: layer.name,
)
def test_a_batch_normalization_goes_into_the_weights(layer, bias):
    config = {**layer.get_config(), "use_bias": bias, "name": None}
    layer = type(layer).from_config(config)
    rank = 1 if isinstance(layer, L.Dense) else int(type(layer).__name__.replace("Transpose", "")[-2])
    x = keras.Input((5,) if isinstance(layer, L.Dense) else (6, 5, 4, 3)[3 - rank :])
    nodes = _checked(x, L.BatchNormalization()(layer(x)))
    assert not {"Mul", "Add", "Sub", "Div"} & nodes.keys(), nodes


def test_what_comes_before_a_valid_convolution_goes_into_it():
    image = _image()
    x = L.BatchNormalization()(L.Rescaling(2.0, 0.5)(image))
    nodes = _checked(image, L.GlobalMaxPooling2D()(L.Conv2D(4, 3)(x)))
    assert not {"Mul", "Add"} & nodes.keys(), nodes
    nodes = _checked(image, L.GlobalMaxPooling2D()(L.Conv2D(6, 3, groups=3)(x)))
    assert not {"Mul", "Add"} & nodes.keys(), nodes


def test_padding_keeps_a_sum_before_it():
    """Zeros are padded after the sum: nothing is added to them."""
    image = _image()
    nodes = _checked(image, L.GlobalMaxPooling2D()(_conv(L.Rescaling(2.0, 0.5)(image))))
    assert nodes["Add"] == 1


def test_what_others_see_is_not_folded():
    image = _image()
    y = L.Conv2D(4, 3)(image)
    nodes = _checked(image, [L.BatchNormalization()(y), y])
    assert nodes["Mul"] == 1


def test_a_shared_convolution_is_stored_once(tmp_path):
    a, b = _image(), _image()
    shared = L.Conv2D(4, 3, name="shared")
    model = keras.Model([a, b], [L.BatchNormalization()(shared(a)), L.BatchNormalization()(shared(b))])
    harness.randomise(model)
    _, path = harness.exported(model, tmp_path)
    kernels = [i for i in onnx.load(path).graph.initializer if list(i.dims) == [4, 3, 3, 3]]
    assert len(kernels) == 1
    norm = L.BatchNormalization()
    model = keras.Model([a, b], [norm(shared(a)), norm(shared(b))])
    harness.randomise(model)
    result, path = harness.exported(model, tmp_path)
    assert "Mul" not in result.nodes
    kernels = [i for i in onnx.load(path).graph.initializer if list(i.dims) == [4, 3, 3, 3]]
    assert len(kernels) == 1
    rng = np.random.default_rng(0)
    harness.compare(model, [[rng.normal(0, 1, (2, 9, 8, 3)).astype("float32") for _ in range(2)]])


def test_a_product_with_weights_and_a_sum_is_a_gemm():
    x = keras.Input((5,))
    assert _checked(x, L.Dense(4)(x)) == {"Gemm": 1}


@pytest.mark.parametrize("pads", [1, ((1, 0), (0, 2)), ((2, 2), (1, 1))])
def test_zeros_in_front_of_a_max_pool_go_into_it_behind_a_relu(pads):
    x = _image()
    padded = L.ZeroPadding2D(pads)(L.ReLU()(_conv(x)))
    nodes = _checked(x, L.MaxPooling2D(3, strides=2)(padded))
    assert nodes["MaxPool"] == 1
    assert "Pad" not in nodes


@pytest.mark.parametrize(
    "body",
    [
        lambda x: L.MaxPooling2D(3)(L.ZeroPadding2D(1)(_conv(x))),
        lambda x: L.MaxPooling2D(2)(L.ZeroPadding2D(2)(L.ReLU()(_conv(x)))),
        lambda x: L.AveragePooling2D(3)(L.ZeroPadding2D(1)(L.ReLU()(_conv(x)))),
        lambda x: L.MaxPooling2D(3)(
            ops.pad(L.ReLU()(_conv(x)), [[0, 0], [1, 1], [1, 1], [0, 0]], "constant", 9)
        ),
    ],
)
def test_zeros_that_a_max_pool_sees_stay_in_front_of_it(body):
    x = _image()
    assert _checked(x, body(x))["Pad"] == 1


def test_a_bias_of_zeros_is_left_out(tmp_path):
    x = _image()
    model = keras.Model(x, L.Conv2DTranspose(2, 3)(_conv(x)))
    harness.exported(model, tmp_path)
    taken = [
        len(n.input) for n in onnx.load(tmp_path / "model.onnx").graph.node if n.op_type.startswith("Conv")
    ]
    assert taken == [2, 2]


def test_equal_nodes_are_one():
    x = keras.Input((5,))
    y = ops.tanh(x)
    assert _checked(x, [y + ops.exp(x), ops.tanh(x) * ops.exp(x)])["Tanh"] == 1


def test_reshapes_that_meet_are_one_or_none():
    x = keras.Input((4, 6))
    y = L.Reshape((2, 12))(L.Reshape((24,))(ops.expand_dims(x, 1)))
    assert _checked(x, ops.tanh(y))["Reshape"] == 1
    back = L.Reshape((4, 6))(y)
    assert _checked(x, ops.tanh(back)) == {"Tanh": 1}


def test_passes_that_undo_one_another_are_named():
    def turn(builder):
        return True

    def idle(builder):
        return False

    def turn_back(builder):
        return True

    with pytest.raises(VerificationError, match=r"after 50 rounds: turn, turn_back$"):
        passes.optimise(Builder(21), ((turn, idle, turn_back),))
