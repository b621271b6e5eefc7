"""Layers that Keras quantised, against Keras: the same whole numbers, and floats that differ by rounding only."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers as L
from keras import quantizers as Q

from rewriter import cli
from rewriter.api import export_onnx
from rewriter.errors import RewriterError, UsageError
from rewriter.proof.exported import ALLOWED
from rewriter.proof.outputs import furthest
from rewriter.report.onnx import verdict
from tests.export.harness import Refused, compare, exported, randomise, session

CONFIGS: dict[str, Any] = {
    "int8": lambda: Q.Int8QuantizationConfig(),
    "int8, weights only": lambda: Q.Int8QuantizationConfig(activation_quantizer=None),
    "int8, a range": lambda: Q.Int8QuantizationConfig(
        activation_quantizer=Q.AbsMaxQuantizer(value_range=(-31, 63), epsilon=1e-2)
    ),
    "int4": lambda: Q.Int4QuantizationConfig(),
    "int4, groups of 4": lambda: Q.Int4QuantizationConfig(block_size=4),
    "int4, no groups": lambda: Q.Int4QuantizationConfig(block_size=None),
    "int4, activations": lambda: Q.Int4QuantizationConfig(
        block_size=-1, activation_quantizer=Q.AbsMaxQuantizer(axis=-1)
    ),
    "float8": lambda: Q.Float8QuantizationConfig(),
}
# The others are as exhaustive as slow.
QUICK = ("int8", "int4, groups of 4")
NAMED = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in CONFIGS]
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, 1e30]


def quantise(layers: list[Any], name: str) -> None:
    for layer in layers:
        config = CONFIGS[name]()
        layer.quantize(config.mode, config=config)


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0, 1, shape).astype("float32")


def odd_rows(width: int) -> Any:
    """Rows of random numbers with one odd value each, and a row of zeros."""
    rows = numbers(len(ODD) + 1, width)
    rows[np.arange(len(ODD)), (np.arange(len(ODD)) + 1) % width] = ODD
    rows[-1] = 0
    return rows


@pytest.mark.parametrize("name", NAMED)
def test_products(name: str) -> None:
    keras.utils.set_random_seed(1)
    x, y = keras.Input((3, 8)), keras.Input((3, 4, 5))
    shared = L.Dense(8)
    made = [
        (L.Dense(7, activation="relu"), x),
        (L.Dense(5, use_bias=False), x),
        (L.EinsumDense("abc,cde->abde", output_shape=(3, 4, 5), bias_axes="de"), x),
        (L.EinsumDense("abcd,cde->abe", output_shape=(3, 6), bias_axes="e"), y),
        (L.EinsumDense("abc,bd->adc", output_shape=(6, 8)), x),
        (L.EinsumDense("abc,cde->aebd", output_shape=(5, 3, 4)), x),
        (L.EinsumDense("abc,bcd->abd", output_shape=(3, 6)), x),
    ]
    outputs = [layer(operand) for layer, operand in made] + [shared(shared(x))]
    model = keras.Model([x, y], outputs)
    randomise(model)
    quantise([layer for layer, _ in made] + [shared], name)
    feeds = [[numbers(n, 3, 8), numbers(n, 3, 4, 5, seed=1)] for n in (3, 1)]
    compare(model, feeds, 1e-6)


@pytest.mark.parametrize("name", ["int8", "int8, a range", "int4, activations", "int4", "float8"])
def test_odd_values(name: str) -> None:
    keras.utils.set_random_seed(2)
    x = keras.Input((9,))
    layer = L.Dense(5)
    model = keras.Model(x, layer(x))
    randomise(model)
    quantise([layer], name)
    compare(model, [[odd_rows(9)]], 1e-6)
    if name == "float8":
        with pytest.raises(Refused, match="needs opset 19"):
            compare(model, [], opset=18)
    else:
        compare(model, [[odd_rows(9)]], 1e-6, opset=17)


@pytest.mark.parametrize("name", [each for each in NAMED if each.values != ("float8",)])
def test_embeddings(name: str) -> None:
    keras.utils.set_random_seed(3)
    words = keras.Input((None,), dtype="int32")
    layers = [
        L.Embedding(11, 9, mask_zero=True),
        L.ReversibleEmbedding(13, 9, logit_soft_cap=5.0),
        L.ReversibleEmbedding(13, 9, tie_weights=False),
    ]
    vectors = [layer(words) for layer in layers]
    logits = [layer(vectors[0], reverse=True) for layer in layers[1:]]
    model = keras.Model(words, [*vectors, *logits, layers[0](words)])
    randomise(model)
    quantise(layers, name)
    feeds = [[np.random.default_rng(n).integers(0, 11, (n, 4)).astype("int32")] for n in (3, 1)]
    compare(model, feeds, 1e-6, opset=26 if "4" in name else 17)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float64", "mixed_float16", "mixed_bfloat16"])
def test_types(policy: str) -> None:
    names = ["int4, groups of 4", "float8"] if policy == "mixed_float16" else ["int8", "int4", "float8"]
    tolerance = {"float64": 1e-12, "mixed_float16": 2e-3, "mixed_bfloat16": 1e-2}[policy]
    for name in names:
        keras.utils.set_random_seed(4)
        x = keras.Input((3, 8), dtype="float64" if policy == "float64" else "float32")
        layers = [
            L.Dense(7, dtype=policy),
            L.EinsumDense("abc,cde->abde", output_shape=(3, 2, 5), bias_axes="e", dtype=policy),
        ]
        outputs = [layer(x) for layer in layers]
        model = keras.Model(
            x,
            [
                L.Activation("linear", dtype="float64" if policy == "float64" else "float32")(y)
                for y in outputs
            ],
        )
        randomise(model)
        quantise(layers, name)
        compare(model, [[numbers(3, 3, 8).astype(x.dtype)]], tolerance)
        compare(model, [[numbers(1, 3, 8).astype(x.dtype)]], tolerance, opset=19 if name == "float8" else 17)


def calibrated(layer: Any, config: Any, seed: int, ordered: bool) -> None:
    """Quantise by GPTQ or AWQ, with random results of the calibration.

    Keras 3.15 saves such a layer without ``kernel_zero``, which it needs to load it: here it is saved.
    """
    rng = np.random.default_rng(seed)
    layer.quantize(config.mode, config=config)
    bits = config.weight_bits
    stored = layer.quantized_kernel
    stored.assign(rng.integers(0, 256 if bits == 4 else 2**bits, stored.shape))
    layer.kernel_scale.assign(rng.random(layer.kernel_scale.shape) / 8)
    layer.kernel_zero.assign(rng.integers(0, 2**bits, layer.kernel_zero.shape))
    rows = layer.g_idx.shape[0]
    groups = np.arange(rows) / (config.group_size if config.group_size > 0 else rows)
    layer.g_idx.assign(groups if ordered else rng.permutation(groups))
    if config.mode == "awq":
        layer.awq_scales.assign(0.5 + rng.random(rows))
    setattr(layer, f"is_{config.mode}_calibrated", True)
    layer._get_kernel_with_merged_lora = lambda: (None, None, layer.kernel_zero)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("gptq", {"weight_bits": 4, "group_size": 4}),
        ("awq", {"group_size": -1}),
        pytest.param("gptq", {"weight_bits": 4, "group_size": -1}, marks=pytest.mark.slow),
        pytest.param("gptq", {"weight_bits": 8, "group_size": 4}, marks=pytest.mark.slow),
        pytest.param("gptq", {"weight_bits": 3, "group_size": 5}, marks=pytest.mark.slow),
        pytest.param("awq", {"group_size": 4}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_calibrated_weights(mode: str, options: dict[str, Any]) -> None:
    maker = Q.GPTQConfig if mode == "gptq" else Q.AWQConfig
    x = keras.Input((3, 9))
    layers = [
        L.Dense(7),
        L.Dense(4, use_bias=False),
        L.EinsumDense("abc,cde->abde", output_shape=(3, 2, 3), bias_axes="e"),
    ]
    model = keras.Model(x, [layer(x) for layer in layers])
    randomise(model)
    for seed, layer in enumerate(layers):
        calibrated(layer, maker(dataset=[], tokenizer=None, **options), seed, seed != 1)
    compare(model, [[numbers(3, 3, 9)], [numbers(1, 3, 9)]], 1e-6, opset=26 if mode == "gptq" else 17)


@pytest.mark.parametrize("name", ["int8", "float8"])
def test_layers_one_after_the_other(name: str) -> None:
    """A runtime may fuse what lies between them: a Relu before a rounding."""
    keras.utils.set_random_seed(8)
    x = keras.Input((4, 64))
    layers = [L.Dense(64, activation="relu"), L.Dense(32, activation="relu6"), L.Dense(3)]
    y = x
    for layer in layers:
        y = layer(y)
    model = keras.Model(x, y)
    randomise(model)
    quantise(layers, name)
    compare(model, [[numbers(3, 4, 64)]], 1e-5)
    compare(model, [[numbers(3, 4, 64)]], 2e-2, fp16=True)


# -- the file -----------------------------
SIZES = {
    "int8": (0.26, "uint8"),
    "int8, weights only": (0.26, "int8"),
    "int4": (0.15, "int4"),
    "int4, no groups": (0.135, "int4"),
    "float8": (0.26, "float8e4m3fn"),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_file_has_the_narrow_weights_and_the_runtime_rounds_nothing_more(
    name: str, tmp_path: Any
) -> None:
    """Of 512 x 512 weights: the size of which ONNX Runtime fuses its nodes and would round operands to 8 bits."""
    keras.utils.set_random_seed(5)
    share, dtype = SIZES[name]
    x = keras.Input((512,), name="x")
    layer = L.Dense(512)
    model = keras.Model(x, layer(x))
    quantise([layer], name)
    result, path = exported(model, tmp_path)
    assert result.bytes < share * 4 * 512 * 512
    stored = max(onnx.load(path).graph.initializer, key=lambda t: np.prod(t.dims))
    assert onnx.TensorProto.DataType.Name(stored.data_type).lower() == dtype
    data = numbers(7, 512)
    ours, theirs = session(path).run(None, {"x": data})[0], np.asarray(model(data))
    assert np.abs(ours - theirs).max() < 1e-6 * np.abs(theirs).max()


# -- refusals -----------------------------
def test_what_keras_does_not_save_whole_is_refused() -> None:
    x = keras.Input((3, 9))
    layer = L.Dense(7)
    model = keras.Model(x, layer(x))
    calibrated(layer, Q.GPTQConfig(dataset=[], tokenizer=None), 0, True)
    del layer._get_kernel_with_merged_lora
    with pytest.raises(Refused, match=r"saves gptq weights without their zero points"):
        compare(model, [])


def test_a_quantised_layer_in_time_distributed_is_refused() -> None:
    x = keras.Input((3, 9))
    layer = L.Dense(7)
    model = keras.Model(x, L.TimeDistributed(layer)(x))
    quantise([layer], "int8")
    with pytest.raises(Refused, match="without their scales"):
        compare(model, [])


def test_a_quantiser_that_is_not_keras_s_is_refused() -> None:
    @keras.saving.register_keras_serializable("tests")
    class Halves(Q.Quantizer):
        def __call__(self, x: Any, axis: Any = None) -> Any:
            return keras.ops.cast(x / 2, "int8"), keras.ops.ones_like(x[..., :1])

        def get_config(self) -> dict[str, Any]:
            return {}

    x = keras.Input((9,))
    layer = L.Dense(7)
    model = keras.Model(x, layer(x))
    layer.quantize("int8", config=Q.Int8QuantizationConfig(activation_quantizer=Halves()))
    with pytest.raises(Refused, match="its activation quantizer tests>Halves is not known"):
        compare(model, [])


def _of(layer: dict[str, Any], **changes: Any) -> None:
    """Change the configuration of the activation quantizer."""
    layer["quantization_config"]["config"]["activation_quantizer"]["config"].update(changes)


BROKEN: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str]] = {
    "a range of text": ("int8", lambda layer: _of(layer, value_range="wide"), "value_range is"),
    "a range of one number": ("int8", lambda layer: _of(layer, value_range=[127]), "has the range"),
    "a range beyond a byte": ("int8", lambda layer: _of(layer, value_range=[-127, 128]), "has the range"),
    "another type": ("int8", lambda layer: _of(layer, output_dtype="uint8"), "gives uint8, not int8"),
    "no epsilon": ("int8", lambda layer: _of(layer, epsilon=None), "epsilon is"),
    "an unknown configuration": (
        "int8",
        lambda layer: layer["quantization_config"].update(class_name="Mine"),
        "quantization_config is not one of Keras's",
    ),
    "another kernel": ("int4", lambda layer: layer.update(output_shape=[3, 4]), "is expected"),
    "another mode": (
        "int4",
        lambda layer: layer["dtype"].update(config={"mode": "int8", "source_name": "float32"}),
        "",
    ),
    "no bias": ("int4, groups of 4", lambda layer: layer.update(bias_axes=None), ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_refused(name: str, tmp_path: Any) -> None:
    mode, change, text = BROKEN[name]
    x = keras.Input((3, 9))
    layer = L.EinsumDense("abc,cd->abd", output_shape=(3, 8), bias_axes="d")
    model = keras.Model(x, layer(x))
    quantise([layer], mode)
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as source, zipfile.ZipFile(tmp_path / "n.keras", "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "config.json":
                entry = json.loads(data)
                change(entry["config"]["layers"][1]["config"])
                data = json.dumps(entry).encode()
            copy.writestr(member, data)
    with pytest.raises(RewriterError, match=text) as caught:
        export_onnx(tmp_path / "n.keras", tmp_path / "m.onnx")
    assert "internal" not in str(caught.value)
    assert not (tmp_path / "m.onnx").exists()


# -- --quantize -----------------------------
def plain(kind: str) -> Any:
    keras.utils.set_random_seed(6)
    if kind == "products":
        words = keras.Input((12,), dtype="int32", name="x")
        y = L.Embedding(300, 32)(words)
        y = y + L.MultiHeadAttention(4, 16)(y, y)
        return keras.Model(
            words, L.Dense(40)(L.LSTM(24, return_sequences=True)(L.Dense(64, activation="relu")(y)))
        )
    x = keras.Input((9, 9, 8), name="x")
    y = L.Conv2D(32, 3, padding="same", activation="relu", bias_initializer="normal")(x)
    y = L.Conv2D(32, 3, strides=2, padding="same", groups=2)(L.DepthwiseConv2D(3)(y))
    y = L.Reshape((16, 32))(L.Conv2DTranspose(32, 2)(y)[:, :4, :4])
    return keras.Model(x, L.Conv1D(24, 3, padding="causal", dilation_rate=2)(y))


def fed(model: Any) -> Any:
    (x,) = model.inputs
    rng = np.random.default_rng(7)
    return (
        rng.integers(0, 300, (3, *x.shape[1:])).astype("int32")
        if x.dtype == "int32"
        else numbers(3, *x.shape[1:])
    )


def ran(path: Any, data: Any) -> Any:
    return session(path).run(None, {"x": data})[0]


def off(found: Any, model: Any, data: Any) -> float:
    wanted = np.asarray(model(data))
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


INTEGER = {"products": {"MatMulInteger": 5}, "convolutions": {"ConvInteger": 3}}


@pytest.mark.parametrize("kind", INTEGER)
def test_quantize_is_as_small_and_as_close_as_the_tool_of_onnx_runtime(kind: str, tmp_path: Any) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = plain(kind)
    data = fed(model)
    whole, path = exported(model, tmp_path, opset=17)  # the tool does not know newer operators
    quantize_dynamic(path, tmp_path / "peer.onnx", weight_type=QuantType.QUInt8)
    theirs = off(ran(tmp_path / "peer.onnx", data), model, data)
    for option in ("weights", "dynamic"):
        made, path = exported(model, tmp_path, quantize=option)
        assert made.bytes < 0.45 * whole.bytes
        assert made.bytes < 1.1 * (tmp_path / "peer.onnx").stat().st_size + 4000
        # Of each value the rounding is at most 1/254 of its channel's or its operand's largest.
        assert (
            1e-4
            < off(ran(path, data), model, data)
            < (0.02 if option == "weights" else max(0.04, 1.5 * theirs))
        )
        found = {name: made.nodes.get(name, 0) for name in INTEGER[kind]}
        assert found == (INTEGER[kind] if option == "dynamic" else dict.fromkeys(found, 0))


def test_quantize_computes_with_the_rounded_weights_in_float32(tmp_path: Any) -> None:
    """The oracle is Keras with its weights rounded by NumPy: channel by channel, the largest to 127."""
    model = plain("convolutions")
    data = fed(model)
    _, path = exported(model, tmp_path, quantize="weights")
    found = ran(path, data)
    for layer in model.layers:
        if isinstance(layer, (L.Conv2D, L.Conv1D, L.Conv2DTranspose)):
            kernel = np.asarray(layer.kernel)
            if kernel.size < 1024:
                continue
            channel = kernel.ndim - (2 if isinstance(layer, L.Conv2DTranspose) else 1)
            scale = (
                np.abs(kernel).max(tuple(n for n in range(kernel.ndim) if n != channel), keepdims=True) / 127
            )
            layer.kernel.assign(np.rint(kernel / scale) * scale)
    assert off(found, model, data) < 2e-5


def test_weights_that_have_no_bytes_stay_float32(tmp_path: Any) -> None:
    x = keras.Input((64,), name="x")
    small, odd, zero = L.Dense(8), L.Dense(64), L.Dense(32)
    model = keras.Model(x, [small(x), odd(x), zero(x)])
    odd.kernel.assign(np.where(np.eye(64), np.inf, 0.0))
    zero.kernel.assign(np.zeros((64, 32)))
    for option in ("weights", "dynamic"):
        result, path = exported(model, tmp_path, quantize=option)
        a, b, c = session(path).run(None, {"x": np.ones((2, 64), "float32")})
        np.testing.assert_allclose(a, np.asarray(small(np.ones((2, 64)))), rtol=1e-5, atol=1e-6)
        assert np.isinf(b).all() and not c.any()
        assert result.nodes.get("MatMulInteger", 0) == (option == "dynamic")
        assert result.warnings == []
        narrow = keras.Model(x, L.Dense(64, dtype="bfloat16")(x))
        assert exported(narrow, tmp_path, quantize=option)[0].warnings == [
            "nothing is quantised: no product has 1,024 weights of float32 or more"
        ]


@pytest.mark.slow
def test_the_comparison_states_the_difference_that_it_allows(
    tmp_path: Any, capsys: Any, monkeypatch: Any
) -> None:
    model, path = plain("convolutions"), tmp_path / "m.keras"
    model.save(path)
    words = ["export", str(path), str(tmp_path / "m.onnx"), "--verify", "--quantize"]
    assert cli.main([*words, "dynamic"]) == 0
    assert "0.1 is allowed)" in capsys.readouterr().out
    monkeypatch.setitem(ALLOWED, "weights", 0.001)
    assert cli.main([*words, "weights"]) == 3
    assert "and 0.001 is allowed" in capsys.readouterr().err


def test_a_difference_is_allowed_of_floats_alone() -> None:
    wanted = np.asarray([1.0, 50.0], "float32")
    assert furthest([("y", wanted + 1, wanted)], "float32", 0.05) == (pytest.approx(0.02), "")
    difference, text = furthest([("y", wanted + 5, wanted)], "float32", 0.05)
    assert difference == pytest.approx(0.1) and text.endswith("of the largest value, and 0.05 is allowed")
    assert furthest([("y", wanted + 1, wanted)], "float32")[1]
    assert furthest([("y", np.asarray([1, 2]), np.asarray([1, 3]))], "float32", 0.9)[1]
    assert furthest([("y", np.asarray([np.nan, 50.0]), wanted)], "float32", 0.9)[1]
    verified = {"difference": 0.012, "batches": [2, 3], "allowed": 0.05}
    assert verdict(verified).endswith("(largest relative difference 0.012; 0.05 is allowed)")


@pytest.mark.parametrize(
    ("options", "text"),
    [({"quantize": "half"}, "dynamic or weights"), ({"quantize": "weights", "fp16": True}, "one of")],
)
def test_options_that_cannot_be_used(options: dict[str, Any], text: str, tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=text):
        export_onnx("m.keras", tmp_path / "m.onnx", **options)
