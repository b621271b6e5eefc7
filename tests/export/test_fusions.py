"""Fusions of the ONNX graph: the numbers stay those of Keras, each pattern becomes its operator, near misses stay."""

from __future__ import annotations

import math

import keras
import numpy as np
import onnx
import pytest

from rewriter.export.onnx.passes import fusions
from tests.export import harness

L, ops = keras.layers, keras.ops
RNG = np.random.default_rng(0)


def counted(inputs, outputs, feeds=None, tolerance=None, **options):
    """Compare a model with Keras at batch 1 and 3, and count its nodes by type."""
    model = keras.Model(inputs, outputs)
    harness.randomise(model)
    if feeds is None:
        shapes = [[n or 4 for n in x.shape[1:]] for x in model.inputs]
        feeds = [
            [RNG.normal(0, 1, (n, *s)).astype(x.dtype) for s, x in zip(shapes, model.inputs, strict=True)]
            for n in (1, 3)
        ]
    return harness.compare(model, feeds, tolerance, **options).nodes


def each(forms, data, tolerance=None, **options):
    """The node counts of a model in which every form has its own input, and so shares no node with another."""
    inputs = [keras.Input(data.shape[1:], dtype=data.dtype.name) for _ in forms]
    feeds = [[data[:n]] * len(forms) for n in (len(data), 1)]
    return counted(
        inputs, [form(x) for form, x in zip(forms, inputs, strict=True)], feeds, tolerance, **options
    )


def odd(*sizes, dtype="float32"):
    """Numbers with rows of zeros, of equal and of large numbers, with a NaN and with infinities."""
    x = RNG.normal(0, 1, (8, *sizes)).astype(dtype)
    x[0], x[1], x[2] = 0, 3, x[2] * 1e12
    for row, value in ((3, np.nan), (4, np.inf), (5, -np.inf)):
        x[row].flat[1] = value
    return x


# -- normalisations -----------------------------
def _rms(x, axis=-1, epsilon=1e-6, numerator=None, square=ops.square, mean=ops.mean):
    root = ops.sqrt(mean(square(x), axis=axis, keepdims=True) + epsilon)
    return (x if numerator is None else numerator) / root


def test_written_rms_normalisations():
    scale = RNG.normal(1, 1, 6).astype("float32")
    forms = [
        _rms,
        lambda x: _rms(x, square=lambda x: x * x) * scale,
        lambda x: ops.multiply(scale[None, None], _rms(x, square=lambda x: ops.power(x, 2.0), epsilon=0.5)),
        lambda x: x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-3),
        lambda x: _rms(x, axis=(1, 2)),
        L.RMSNormalization(),
    ]
    assert each(forms, odd(5, 6)) == {"RMSNormalization": 6}
    assert "RMSNormalization" not in each(forms, odd(5, 6), opset=22)


def test_what_is_no_rms_normalisation():
    narrow = RNG.normal(1, 1, 5).astype("float32")[:, None]

    def seen(x):
        mean = ops.mean(ops.square(x), axis=-1, keepdims=True)
        return mean + 2.0 * (x / ops.sqrt(mean + 1e-5))

    misses = [
        lambda x: _rms(x, axis=1),
        lambda x: _rms(x, numerator=ops.tanh(x)),
        lambda x: _rms(x, square=lambda x: x * ops.tanh(x) + 99.0),
        lambda x: _rms(x, mean=ops.sum),
        lambda x: _rms(x, square=lambda x: ops.power(x, 4.0)),
        lambda x: _rms(x, epsilon=ops.abs(x)),
        seen,
    ]
    fed = odd(5, 6)
    fed[2] /= 1e12
    assert "RMSNormalization" not in each(misses, fed)
    assert each([lambda x: _rms(x) * narrow], fed) == {"RMSNormalization": 1, "Mul": 1}
    assert "RMSNormalization" not in each([_rms], fed.astype("float64"))


def _norm(x, axis=-1, other=-1, epsilon=1e-5):
    apart = x - ops.mean(x, axis=axis, keepdims=True)
    return apart / ops.sqrt(ops.mean(ops.square(apart), axis=other, keepdims=True) + epsilon)


def test_written_layer_normalisations():
    scale, shift = RNG.normal(1, 1, (2, 6)).astype("float32")

    def inverse(x):
        apart = x - ops.mean(x, axis=-1, keepdims=True)
        return apart * ops.rsqrt(ops.mean(apart * apart, axis=-1, keepdims=True) + 1e-2) * scale

    def seen(x):
        apart = x - ops.mean(x, axis=-1, keepdims=True)
        return ops.tanh(apart) + apart / ops.sqrt(ops.mean(ops.square(apart), axis=-1, keepdims=True) + 1e-5)

    forms = [
        _norm,
        lambda x: _norm(x, epsilon=1e-4) * scale + shift,
        inverse,
        lambda x: _norm(x, (1, 2), (1, 2)) + 1.0,
    ]
    fed = odd(5, 6)
    fed[2] /= 1e12  # a mean of large numbers is not exact
    for opset in (17, 26):
        assert each(forms, fed, opset=opset) == {"LayerNormalization": 4, "Add": 1}
    misses = [lambda x: _norm(x, 1, 1), lambda x: _norm(x, -1, 1), lambda x: _norm(x, 1, -1), seen]
    assert "LayerNormalization" not in each(misses, fed)
    assert "LayerNormalization" not in each([_norm], fed.astype("float64"))


# -- GELU -----------------------------
ROOT = math.sqrt(2)


def _erf(x, half=0.5, root=ROOT, one=1.0, other=None):
    return half * x * (one + ops.erf((x if other is None else other) / root))


def _tanh(x, constant=0.044715, cube=lambda x: x * x * x):
    inner = math.sqrt(2 / math.pi) * (x + constant * cube(x))
    return 0.5 * x * (1.0 + ops.tanh(inner))


def test_written_gelus():
    forms = [
        _erf,
        lambda x: x * (ops.erf(x * math.sqrt(0.5)) + 1.0) * 0.5,
        lambda x: x * ((1.0 + ops.erf(x / ROOT)) / 2.0),
        _tanh,
        lambda x: _tanh(x, cube=lambda x: ops.power(x, 3.0)),
    ]
    fed = np.asarray([[np.nan, np.inf, -np.inf, 0, -0.0, -7, 7], [1e-20, -1, 1, 30, -30, 1e37, 2]], "float32")
    assert each(forms, fed, 1e-5) == {"Gelu": 5}
    assert "Gelu" not in each(forms, fed, opset=19)
    misses = [
        lambda x: _erf(x, half=0.51),
        lambda x: _erf(x, root=math.sqrt(3)),
        lambda x: _erf(x, one=2.0),
        lambda x: _erf(x, other=ops.abs(x)),
        lambda x: _tanh(x, constant=0.05),
        lambda x: _tanh(x, cube=lambda x: x * x),
        lambda x: ops.erf(x / ROOT) + x * 0.5 * (ops.erf(x / ROOT) + 1.0),
    ]
    assert "Gelu" not in each(misses, fed)
    assert "Gelu" not in each([_erf], fed[1:].astype("float64"))


# -- attention -----------------------------
def _heads(x, heads, size, **options):
    return ops.transpose(
        ops.reshape(L.Dense(heads * size, **options)(x), (-1, x.shape[1], heads, size)), (0, 2, 1, 3)
    )


def _attended(q, k, v, change=lambda scores: scores, scale=0.3, axis=-1):
    scores = change(ops.matmul(q, ops.swapaxes(k, -1, -2)) * scale)
    return ops.matmul(ops.softmax(scores, axis=axis), v)


def _joined(y):
    return ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, y.shape[2], y.shape[1] * y.shape[3]))


def test_attention_in_the_form_of_three_axes():
    """No Transpose is left, nor a Reshape of heads; keys of another length, values of another width."""
    x, y = keras.Input((5, 6)), keras.Input((7, 4))
    forms = [
        _joined(_attended(_heads(x, 2, 3), _heads(y, 2, 3), _heads(y, 2, 4))),
        _joined(_attended(_heads(x, 2, 3) * 0.5, _heads(x, 2, 3), _heads(x, 2, 3), lambda s: s / 7.0)),
        L.MultiHeadAttention(2, 3, value_dim=4)(x, y),
        L.GroupQueryAttention(3, 4, 2)(x, L.Dense(6)(y)),
        L.Attention()([L.Dense(4)(x), y]),
    ]
    nodes = counted([x, y], forms)
    assert nodes["Attention"] == 5
    assert not {"Transpose", "Softmax", "Tile", "Unsqueeze"} & nodes.keys(), nodes
    operands = 5  # of products on rows: x, y, and what the last layers of three forms take
    assert nodes["Reshape"] == nodes["Gemm"] + operands, nodes


def test_attention_over_one_of_several_axes():
    x = keras.Input((3, 5, 6))
    nodes = counted(x, L.MultiHeadAttention(2, 3, attention_axes=2)(x, x))
    assert nodes["Attention"] == 1 and "Softmax" not in nodes and "Transpose" not in nodes


def test_attention_with_a_cache():
    """The lengths of earlier keys and values are two open sizes."""
    x, keys, values = keras.Input((1, 6)), keras.Input((2, None, 3)), keras.Input((2, None, 3))
    q, k, v = (_heads(x, 2, 3, use_bias=False) for _ in range(3))
    k, v = ops.concatenate([keys, k], 2), ops.concatenate([values, v], 2)
    nodes = counted([x, keys, values], [_attended(q, k, v), k, v])
    assert nodes["Attention"] == 1 and "Softmax" not in nodes
    assert nodes["MatMul"] == nodes["Split"] == 1, nodes  # three products of one step


def test_two_decoder_blocks_of_open_length():
    """Sizes are measured where they are known before the node that needs them."""
    x = y = keras.Input((None, 4))
    places = ops.cumsum(ops.ones_like(x[0, :, 0])) - 1.0
    angles = ops.expand_dims(places, 1) * np.asarray([1.0, 0.1], "float32")
    angles = ops.expand_dims(ops.concatenate([angles, angles], -1), 1)
    for _ in range(2):
        q, k, v = (L.Reshape((-1, 1, 4))(L.Dense(4, use_bias=False)(y)) for _ in range(3))
        q, k = (_rotated(each, ops.cos(angles), ops.sin(angles)) for each in (q, k))
        q, k, v = (ops.transpose(each, (0, 2, 1, 3)) for each in (q, k, v))
        seen = ops.expand_dims(places, 1) >= ops.expand_dims(places, 0)
        y = _attended(q, k, v, lambda s, seen=seen: ops.where(seen, s, -1e9))
        y = x + L.Reshape((-1, 4))(ops.transpose(y, (0, 2, 1, 3)))
    nodes = counted(x, y, [[RNG.normal(0, 1, (n, n + 4, 4)).astype("float32")] for n in (1, 3)])
    assert nodes["Attention"] == 2 and nodes["RotaryEmbedding"] == 4
    assert nodes["Shape"] <= 3 and "Transpose" not in nodes


def test_biases_and_masks_of_attention():
    x, mask = keras.Input((5, 6)), keras.Input((5,), dtype="bool")

    def attended(change):
        return _attended(_heads(x, 2, 3), _heads(x, 2, 3), _heads(x, 2, 3), change)

    bias, causal = RNG.normal(0, 1, (2, 5, 5)).astype("float32"), np.tril(np.ones((5, 5), bool))
    row = ops.expand_dims(ops.expand_dims(mask, 1), 1)
    forms = [
        attended(lambda s: s + bias),
        attended(lambda s: ops.where(causal, s, float(np.finfo("float32").min))),
        attended(lambda s: ops.where(row, s + bias, -1e9)),
        attended(lambda s: ops.where(ops.logical_not(row), -2e9, s) + bias),
        attended(lambda s: s + (1.0 - ops.cast(row, "float32")) * -1e9),
        L.MultiHeadAttention(2, 3)(x, x, attention_mask=ops.expand_dims(mask, 1), use_causal_mask=True),
    ]
    kept = RNG.random((3, 5)) > 0.4
    kept[0] = False  # nothing to attend to
    kept[1, 0] = True
    fed = RNG.normal(0, 1, (3, 5, 6)).astype("float32")
    fed[2, 3] = np.nan
    nodes = counted([x, mask], forms, [[fed, kept], [fed[1:2], kept[1:2]]])
    assert nodes["Attention"] == 6 and "Softmax" not in nodes


def test_what_is_no_attention():
    x, y, bias = keras.Input((5, 6)), keras.Input((5, 6)), keras.Input((5, 5))
    causal = np.tril(np.ones((5, 5), bool))

    def fresh(change=lambda scores: scores, keys=x, **options):
        return _attended(_heads(x, 2, 3), _heads(keys, 2, 3), _heads(x, 2, 3), change, **options)

    def seen(at):
        q, k, v = (_heads(x, 2, 3) for _ in range(3))
        scores = ops.matmul(q, ops.swapaxes(k, -1, -2))
        weights = ops.softmax(scores)
        return ops.matmul(weights, v), (scores, weights)[at]

    def straight():
        q, k, v = (_heads(x, 2, 3)[:, :, :3] for _ in range(3))
        return ops.matmul(ops.softmax(ops.matmul(q, k)), v)  # keys that are not transposed

    forms = [
        fresh(axis=-2),
        fresh(scale=-1.0),
        fresh(lambda s: ops.where(causal, s, -1e4)),
        fresh(lambda s: ops.where(causal, s, -np.inf)),
        fresh(lambda s: ops.where(causal, s, -1e9), keys=y),
        fresh(lambda s: s + ops.expand_dims(bias, 1)),
        fresh(lambda s: s + np.where(causal, 0, -np.inf).astype("float32")),
        fresh(lambda s: (s + 1.0) * 2.0),
        fresh(ops.tanh),
        straight(),
        *seen(0),
        *seen(1),
    ]
    nodes = counted([x, y, bias], forms)
    assert "Attention" not in nodes and nodes["Softmax"] == 12
    double = keras.Input((5, 6), dtype="float64")
    assert "Attention" not in counted(double, _attended(double, double, double))


def test_heads_that_are_repeated_otherwise():
    """Every head follows its copies in a group: other orders stay written out as Gathers."""
    x = keras.Input((5, 6))

    def repeated(places):
        q, k, v = _heads(x, 4, 3), _heads(x, 2, 3), _heads(x, 2, 3)
        return _attended(q, *(ops.take(each, np.asarray(places), axis=1) for each in (k, v)))

    nodes = counted(x, [repeated([0, 0, 1, 1]), repeated([0, 1, 0, 1]), repeated([0, 1, 1, 1])])
    assert nodes["Attention"] == 3 and nodes["Gather"] == 4
    q, *pair = _heads(x, 4, 3), _heads(x, 2, 3), _heads(x, 2, 3)
    tiled = [ops.reshape(ops.tile(each[:, None], (1, 2, 1, 1, 1)), (-1, 4, 5, 3)) for each in pair]
    assert counted(x, _attended(q, *tiled))["Tile"] == 2
    # Repeated heads of keys alone are no group.
    q, k, v = _heads(x, 2, 3), _heads(x, 1, 3), _heads(x, 2, 3)
    assert "Gather" in counted(x, _attended(q, ops.take(k, np.asarray([0, 0]), axis=1), v))


def test_the_newest_opset_with_a_kernel(tmp_path):
    """ONNX Runtime 1.32 has no kernel for Attention-25: the file moves to opset 24, unless one was asked for."""
    x = keras.Input((5, 6))
    y = L.Attention()([x, x])

    def written(outputs, **options):
        result, path = harness.exported(keras.Model(x, outputs), tmp_path, **options)
        assert [o.version for o in onnx.load(path).opset_import] == [result.opset]
        return result.opset, result.nodes.get("Attention", 0)

    assert written(y) == (24, 1)
    assert written(y, opset=23) == (23, 1)
    assert written(y, opset=22) == (22, 0)
    assert written(y, opset=26) == (26, 0)
    assert written(y, fp16=True) == (26, 0)
    assert written([y, ops.view(x, "int32")]) == (26, 0)
    assert written(ops.tanh(x)) == (26, 0)


def test_which_operators_are_newer():
    """The operators that opsets after that of Attention's kernel add."""
    oldest = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain:
            oldest[schema.name] = min(schema.since_version, oldest.get(schema.name, 99))
    assert {name: n for name, n in oldest.items() if 24 < n <= 26} == fusions._FIRST_OPSET


# -- rotary embeddings -----------------------------
def _tables(size, time, double=True):
    angles = np.arange(time)[:, None] * 10.0 ** (-np.arange(0, size, 2) / size)
    angles = np.concatenate([angles, angles if double else 2 * angles], -1).astype("float32")
    return np.cos(angles), np.sin(angles)


def _rotated(x, cosine, sine, turn=lambda a, b: (-b, a), at=2):
    a, b = ops.split(x, [at], axis=-1)
    return x * cosine + ops.concatenate(turn(a, b), axis=-1) * sine


def test_rotary_embeddings():
    data = RNG.normal(0, 1, (3, 3, 5, 4)).astype("float32")
    data[0, 0, 0] = np.nan, np.inf, 0, -1
    cosine, sine = _tables(4, 5)

    def sliced(x):
        return ops.concatenate([-x[..., 2:], x[..., :2]], -1) * sine + x * cosine

    def heads_last(x):
        return _rotated(ops.transpose(x, (0, 2, 1, 3)), cosine[:, None], sine[:, None])

    forms = [lambda x: _rotated(x, cosine, sine), sliced, heads_last]
    assert each(forms, data)["RotaryEmbedding"] == 3
    assert "RotaryEmbedding" not in each(forms, data, opset=22)


def test_rotary_embeddings_at_given_places():
    x, places = keras.Input((3, 5, 4)), keras.Input((5,), dtype="int32")
    angles = ops.cast(places, "float32")[..., None] * np.asarray([1.0, 0.1], "float32")
    angles = ops.expand_dims(ops.concatenate([angles, angles], -1), 1)
    given = RNG.normal(0, 1, (3, 3, 5, 4)).astype("float32"), RNG.integers(0, 9, (3, 5)).astype("int32")
    nodes = counted(
        [x, places], _rotated(x, ops.cos(angles), ops.sin(angles)), [given, [g[:1] for g in given]]
    )
    assert nodes["RotaryEmbedding"] == 1 and "Split" not in nodes


def test_what_is_no_rotary_embedding():
    cosine, sine = _tables(4, 5)
    apart = _tables(4, 5, double=False)
    other = RNG.normal(0, 1, (5, 1, 2)).astype("float32").repeat(2, -1)  # one for each head
    full = RNG.normal(0, 1, (2, 5, 5, 2)).astype("float32").repeat(2, -1)[..., [0, 2, 1, 3]]  # and each step

    def seen(x):
        a, b = ops.split(x, 2, axis=-1)
        turned = ops.concatenate([-b, a], axis=-1)
        return x * cosine + turned * sine, ops.tanh(turned)

    misses = [
        lambda x: _rotated(x, cosine, apart[1]),
        lambda x: _rotated(x, apart[0], sine),
        lambda x: _rotated(x, cosine, sine, lambda a, b: (b, a)),
        lambda x: _rotated(x, cosine, sine, lambda a, b: (-a, b)),
        lambda x: _rotated(x, cosine, sine, lambda a, b: (b, -a)),
        lambda x: _rotated(x, cosine, sine, lambda a, b: (a, -b)),
        lambda x: _rotated(x, cosine, sine, lambda a, b: (-b, b)),
        lambda x: _rotated(x, cosine, sine, at=1),
        lambda x: _rotated(x, other, sine),
        lambda x: _rotated(x, *full),
        seen,
    ]
    data = RNG.normal(0, 1, (3, 5, 5, 4)).astype("float32")
    assert "RotaryEmbedding" not in each(misses, data)
    assert "RotaryEmbedding" not in each([lambda x: _rotated(x, *_tables(4, 5))], data.astype("float64"))


# -- products -----------------------------
def test_products_with_a_bias_are_on_rows():
    x = keras.Input((5, 6))
    assert counted(x, L.Dense(3)(x)) == {"Reshape": 2, "Gemm": 1}
    two = counted(x, [L.Dense(3)(x), L.Dense(7, activation="softmax")(x)])
    assert two == {"Reshape": 3, "Gemm": 2, "Softmax": 1}
    y = L.Dense(3)(L.Dense(7, activation="gelu")(x))
    assert counted(x, y) == {"Reshape": 2, "Gemm": 2, "Gelu": 1}
    z = keras.Input((2, 3, 6))
    y = L.Dense(3)(L.LeakyReLU()(L.Dense(7, activation="tanh")(L.Dense(2)(z))))
    assert counted(z, y) == {"Reshape": 2, "Gemm": 3, "Tanh": 1, "LeakyRelu": 1}
    assert counted(z, L.Reshape((6, 4))(L.Dense(4)(z))) == {"Reshape": 2, "Gemm": 1}


def test_products_that_stay():
    x, long = keras.Input((5, 6)), keras.Input((None, 6))
    assert "Gemm" not in counted(x, L.Dense(3, use_bias=False)(x))
    hidden = ops.matmul(x, RNG.normal(0, 1, (6, 7)).astype("float32"))
    assert "Gemm" not in counted(x, [hidden + RNG.normal(0, 1, 7).astype("float32"), hidden])
    assert "Gemm" not in counted(long, L.Dense(3)(L.Dense(7, activation="relu")(long)))
    bias = RNG.normal(0, 1, (5, 7)).astype("float32")
    assert "Gemm" not in counted(x, L.Dense(7, use_bias=False)(x) + bias)


def test_products_of_one_step_are_one():
    x, two = keras.Input((1, 6)), keras.Input((2, 6))
    shared = L.Dense(4, use_bias=False)
    nodes = counted(x, [L.Dense(n, use_bias=False)(x) for n in (3, 4, 5)])
    assert nodes == {"MatMul": 1, "Split": 1}
    assert counted(two, [L.Dense(n, use_bias=False)(two) for n in (3, 4)]) == {"MatMul": 2}
    # Weights that are used elsewhere would be stored twice.
    assert counted(x, [shared(x), L.Dense(4, use_bias=False)(x), shared(ops.tanh(x))])["MatMul"] == 3


def test_heads_cut_out_of_one_product():
    x = keras.Input((5, 6))
    qkv = ops.reshape(L.Dense(18)(x), (-1, 5, 3, 2, 3))
    q, k, v = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3, axis=0)
    nodes = counted(x, ops.tanh(_joined(_attended(q, k, v))))
    assert nodes == {"Gemm": 1, "Reshape": 2, "Split": 1, "Attention": 1, "Tanh": 1}
    other = ops.transpose(qkv, (3, 0, 2, 1, 4))
    assert "Split" not in counted(x, [other[0], other[1]])
    turned = ops.transpose(qkv, (2, 0, 3, 1, 4))
    assert "Split" not in counted(x, [turned[0], ops.tanh(turned)])


# -- copies along an axis -----------------------------
def test_what_broadcasts_is_not_copied():
    x, factor, column = keras.Input((5, 4)), keras.Input((4,)), keras.Input((5, 1))
    steps, wide = L.RepeatVector(5)(factor), ops.tile(column, (1, 1, 4))
    forms = [
        lambda: x * wide,
        lambda: ops.subtract(wide, x),
        lambda: ops.where(ops.repeat(column, 4, axis=2) > x, x, steps),
        lambda: x[:, :1] * wide,
        lambda: x + ops.broadcast_to(ops.sum(factor, axis=1)[0], (1, 5, 4)),
        lambda: wide * factor[:, None],
    ]
    for form in forms:
        nodes = counted([x, factor, column], form())
        assert nodes.get("Tile", 0) + nodes.get("Expand", 0) == ("Where" in nodes), nodes
    image, voice = keras.Input((5, 2)), keras.Input((3,))
    y = L.Conv1D(3, 1)(L.Conv1D(3, 1)(image) * L.RepeatVector(5)(voice))
    assert "Tile" not in counted([image, voice], y)  # channels first, the steps are the last axis


def test_copies_that_stay():
    """Nothing else has the axis, runs of numbers are copied, or an axis that is longer than 1."""
    x, factor, column = keras.Input((5, 4)), keras.Input((4,)), keras.Input((5, 1))
    wide = ops.tile(column, (1, 1, 4))
    for form in (
        lambda: wide * column,
        lambda: wide + ops.tile(column, (1, 1, 4)) * 1.0,
        lambda: x * L.RepeatVector(5)(factor),
        lambda: ops.tile(factor[:, None, :2], (1, 1, 2)) * x,
        lambda: L.Concatenate()([x, wide]),
    ):
        nodes = counted([x, factor, column], form())
        assert {"Tile", "Expand"} & nodes.keys(), nodes


@pytest.mark.parametrize("times", [2, 3, 7])
def test_steps_side_by_side_are_resized(times):
    x = keras.Input((5, 4))
    y = L.Conv1D(6, 3, padding="same")(L.UpSampling1D(times)(L.Conv1D(4, 1)(x)))
    nodes = counted(x, y)
    assert nodes["Resize"] == 1 and "Expand" not in nodes, nodes
    assert "Resize" not in counted(x, ops.tanh(L.UpSampling1D(times)(x)))


# -- padding -----------------------------
@pytest.mark.parametrize(
    "layer", [L.Conv2D(4, 3), L.DepthwiseConv2D(3, strides=2), L.Conv2D(4, 3, padding="same")]
)
def test_zeros_in_front_of_a_convolution_go_into_it(layer):
    x = keras.Input((9, 8, 3))
    layer = type(layer).from_config({**layer.get_config(), "name": None})
    y = layer(L.ZeroPadding2D(((0, 1), (2, 1)))(x))
    assert "Pad" not in counted(x, y)


def test_what_a_convolution_does_not_pad_with_stays():
    x = keras.Input((9, 8, 3))
    sides = [[0, 0], [1, 1], [1, 1], [0, 0]]
    ones = L.Conv2D(4, 3)(ops.pad(x, sides, "constant", 1))
    mirrored = L.Conv2D(4, 3)(ops.pad(x, sides, "reflect"))
    channels = L.Conv2D(4, 3)(ops.pad(x, [[0, 0], [0, 0], [0, 0], [1, 1]]))
    padded = ops.pad(x, [[0, 0], [2, 2], [1, 1], [0, 0]])
    turned = L.Conv2DTranspose(4, 3)(ops.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]]))
    nodes = counted(x, [ones, mirrored, channels, turned, L.Conv2D(4, 3)(padded), padded])
    assert nodes["Pad"] == 5
