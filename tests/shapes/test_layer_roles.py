"""Facts that layers give about axes besides sizes: roles, identities, origins, masks."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from rewriter.ir.axis import Axis, Role, Value, merge_axes, new_axis, scope
from rewriter.ir.graph import Operation
from rewriter.ir.identities import Identities
from rewriter.ir.size import Size, symbol, unknown
from rewriter.shapes import layers  # noqa: F401 - fills the table of rules
from rewriter.shapes.call import LAYERS, Call, OpaqueError

B, H, W, T = (symbol(name) for name in "BHWT")


def tensor(*sizes: Size, dtype: str = "float32", mask: bool = False) -> Value:
    """A tensor whose first axis is the batch; the other axes have no role."""
    axes = (new_axis(sizes[0], Role.BATCH), *(new_axis(size) for size in sizes[1:]))
    return Value(axes, dtype, mask=axes[:-1] if mask else None)


def operation(class_name: str, children: dict[str, Any] | None = None, **config: Any) -> Operation:
    return Operation(
        class_name.lower(), "layer", class_name, {"dtype": "float32"} | config, children=children or {}
    )


def apply(
    class_name: str, *args: Any, children: dict[str, Any] | None = None, call: Any = None, **config: Any
) -> Any:
    return run(operation(class_name, children, **config), *args, **(call or {}))


def run(op: Operation, *args: Any, **kwargs: Any) -> Any:
    """The rule of a layer alone, without a graph around it."""
    return LAYERS[op.class_name](Call(op, args, kwargs, run))


@pytest.fixture(autouse=True)
def _node(monkeypatch):
    """The rules of one test run in one node; ``identities`` has their claims so far."""
    with scope("test") as opened:
        monkeypatch.setattr(sys.modules[__name__], "effects", opened.effects)
        yield


effects: list[Any] = []


def identities() -> Identities:
    """The axis identities that the rules of this test have claimed."""
    result = Identities()
    result.play("test", effects)
    return result


def roles(value: Value) -> str:
    """``b h w c``: the first letter of each role, ``?`` where it is unknown."""
    axes = identities().value(value).axes
    assert axes is not None
    return " ".join(axis.role.value[0] if axis.role is not Role.UNKNOWN else "?" for axis in axes)


def same(a: Value, b: Value, *pairs: tuple[int, int]) -> bool:
    """Whether these axes of a and b, and no others, are the same."""
    known = identities()
    xs, ys = known.value(a).axes, known.value(b).axes
    assert xs is not None and ys is not None
    found = {(i, j) for i, x in enumerate(xs) for j, y in enumerate(ys) if x.size != 1 and x.is_same(y)}
    return found == set(pairs)


def derived(new: Axis, old: Axis) -> bool:
    known = identities()
    return known.origin(old.origin) in list(known.origin(new.origin).lineage())[1:]


CONV = {"filters": 5, "kernel_size": 3}
IMAGE = (B, 13, 17, 7)


@pytest.mark.parametrize(
    ("class_name", "sizes", "config", "before", "after"),
    [
        ("Conv1D", (B, T, 7), CONV, "b t c", "b t c"),
        ("Conv2D", IMAGE, CONV, "b h w c", "b h w c"),
        ("Conv2D", IMAGE, {**CONV, "data_format": "channels_first"}, "b c h w", "b c h w"),
        ("Conv3D", (B, 5, 6, 7, 8), CONV, "b d h w c", "b d h w c"),
        ("Conv2DTranspose", IMAGE, {**CONV, "strides": 2}, "b h w c", "b h w c"),
        ("MaxPooling2D", IMAGE, {}, "b h w c", "b h w c"),
        ("GlobalAveragePooling2D", IMAGE, {}, "b h w c", "b c"),
        (
            "GlobalAveragePooling2D",
            IMAGE,
            {"keepdims": True, "data_format": "channels_first"},
            "b c h w",
            "b c h w",
        ),
        ("GlobalMaxPooling1D", (B, T, 7), {}, "b t c", "b c"),
        ("AdaptiveMaxPooling2D", IMAGE, {"output_size": 4}, "b h w c", "b h w c"),
        ("UpSampling2D", IMAGE, {"size": 2}, "b h w c", "b h w c"),
        ("ZeroPadding2D", IMAGE, {"padding": 1, "data_format": "channels_first"}, "b c h w", "b c h w"),
        ("Cropping1D", (B, T, 7), {}, "b t c", "b t c"),
        ("SpatialDropout2D", IMAGE, {}, "b h w c", "b h w c"),
        ("BatchNormalization", IMAGE, {"axis": 1}, "b c ? ?", "b c ? ?"),
        ("BatchNormalization", IMAGE, {"axis": [3]}, "b ? ? c", "b ? ? c"),
        ("BatchNormalization", (B, 7), {}, "b f", "b f"),
        ("GroupNormalization", (B, 5, 8), {"groups": 2}, "b ? c", "b ? c"),
        ("LayerNormalization", (B, 5, 8), {}, "b ? ?", "b ? ?"),
        ("Dense", (B, 5, 8), {"units": 3}, "b ? ?", "b ? f"),
        ("Embedding", (B, 5), {"input_dim": 9, "output_dim": 3}, "b ?", "b ? f"),
        ("LSTM", (B, T, 7), {"units": 3}, "b t f", "b f"),
        ("GRU", (B, T, 7), {"units": 3, "return_sequences": True}, "b t f", "b t f"),
        ("ConvLSTM2D", (B, T, 13, 17, 7), {**CONV, "return_sequences": True}, "b t h w c", "b t h w c"),
        ("RepeatVector", (B, 7), {"n": 4}, "b ?", "b ? ?"),
        ("Permute", (B, 5, 7), {"dims": [2, 1]}, "b ? ?", "b ? ?"),
        ("Resizing", IMAGE, {"height": 5, "width": 6}, "b h w c", "b h w c"),
        ("RandomFlip", IMAGE, {}, "b h w c", "b h w c"),
        ("RandomFlip", IMAGE, {"data_format": "channels_first"}, "b c h w", "b c h w"),
        ("STFTSpectrogram", (B, 500, 3), {"expand_dims": True}, "b t c", "b t f c"),
    ],
)
def test_roles(class_name: str, sizes: Any, config: dict[str, Any], before: str, after: str):
    x = tensor(*sizes)
    y = apply(class_name, x, **config)
    assert (roles(x), roles(y)) == (before, after)


@pytest.mark.parametrize(
    ("class_name", "sizes", "config", "pairs"),
    [
        ("Conv2D", IMAGE, {**CONV, "padding": "same"}, [(0, 0), (1, 1), (2, 2)]),
        ("Conv2D", IMAGE, {**CONV, "kernel_size": 1}, [(0, 0), (1, 1), (2, 2)]),
        ("Conv2D", IMAGE, {**CONV, "kernel_size": [1, 3]}, [(0, 0), (1, 1)]),
        ("Conv2D", IMAGE, CONV, [(0, 0)]),
        ("Conv2D", IMAGE, {**CONV, "padding": "same", "strides": [1, 2]}, [(0, 0), (1, 1)]),
        ("Conv1D", (B, T, 7), {**CONV, "padding": "causal"}, [(0, 0), (1, 1)]),
        ("DepthwiseConv2D", IMAGE, {"kernel_size": 3, "padding": "same"}, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ("DepthwiseConv2D", IMAGE, {"kernel_size": 3, "depth_multiplier": 2}, [(0, 0)]),
        ("SeparableConv2D", IMAGE, {**CONV, "padding": "same"}, [(0, 0), (1, 1), (2, 2)]),
        ("MaxPooling2D", IMAGE, {}, [(0, 0), (3, 3)]),
        ("AveragePooling2D", IMAGE, {"strides": 1, "padding": "same"}, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ("GlobalAveragePooling2D", IMAGE, {}, [(0, 0), (3, 1)]),
        ("GlobalAveragePooling2D", IMAGE, {"keepdims": True}, [(0, 0), (3, 3)]),
        ("GlobalMaxPooling2D", IMAGE, {"data_format": "channels_first"}, [(0, 0), (1, 1)]),
        ("BatchNormalization", IMAGE, {}, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ("Activation", IMAGE, {"activation": "relu"}, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ("Dropout", IMAGE, {"rate": 0.1}, [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ("Dense", (B, T, 7), {"units": 7}, [(0, 0), (1, 1)]),
        ("Permute", (B, 5, 7, 9), {"dims": [3, 1, 2]}, [(0, 0), (3, 1), (1, 2), (2, 3)]),
        ("Reshape", (B, 24), {"target_shape": [1, 1, 24]}, [(0, 0), (1, 3)]),
        ("Reshape", (B, 1, 5, 7), {"target_shape": [5, 7]}, [(0, 0), (2, 1), (3, 2)]),
        ("Reshape", (B, 5, 7), {"target_shape": [35]}, [(0, 0)]),
        ("Flatten", (B, 1, 1, 7), {}, [(0, 0), (3, 1)]),
        ("Flatten", (B, 7, 1, 1), {"data_format": "channels_first"}, [(0, 0), (1, 1)]),
        ("RepeatVector", (B, 7), {"n": 4}, [(0, 0), (1, 2)]),
        ("UpSampling2D", IMAGE, {"size": [1, 2]}, [(0, 0), (1, 1), (3, 3)]),
        ("ZeroPadding2D", IMAGE, {"padding": [[0, 0], [1, 0]]}, [(0, 0), (1, 1), (3, 3)]),
        ("Cropping2D", IMAGE, {"cropping": [[0, 0], [1, 0]]}, [(0, 0), (1, 1), (3, 3)]),
        ("LSTM", (B, T, 7), {"units": 7, "return_sequences": True}, [(0, 0), (1, 1)]),
        ("LSTM", (B, T, 7), {"units": 7, "return_sequences": True, "go_backwards": True}, [(0, 0)]),
        ("ConvLSTM2D", (B, T, 13, 17, 7), {**CONV, "padding": "same"}, [(0, 0), (2, 1), (3, 2)]),
        ("Embedding", (B, 5), {"input_dim": 9, "output_dim": 5}, [(0, 0), (1, 1)]),
        ("EinsumDense", (B, 5, 7), {"equation": "abc,cd->adb", "output_shape": [8, None]}, [(0, 0), (1, 2)]),
        ("Resizing", IMAGE, {"height": 13, "width": 6}, [(0, 0), (1, 1), (3, 3)]),
        ("RandomZoom", IMAGE, {}, [(0, 0), (1, 1), (2, 2), (3, 3)]),
    ],
)
def test_identity(class_name: str, sizes: Any, config: dict[str, Any], pairs: list[tuple[int, int]]):
    x = tensor(*sizes)
    assert same(x, apply(class_name, x, **config), *pairs)


def test_what_is_new_remembers_what_it_comes_from():
    x = tensor(*IMAGE)
    y = apply("Conv2D", x, filters=5, kernel_size=3, strides=2, padding="same")
    assert all(derived(new, old) for new, old in zip(y.axes[1:], x.axes[1:], strict=True))
    gate = apply("Dense", apply("GlobalAveragePooling2D", y), units=5)
    assert derived(gate.axes[1], y.axes[3]) and derived(gate.axes[1], x.axes[3])


def test_a_hint_reaches_back_through_what_kept_the_axis():
    x = tensor(*IMAGE)
    y = apply("Permute", apply("Dropout", x, rate=0.1), dims=[3, 1, 2])
    apply("Conv2D", y, **CONV, data_format="channels_first")
    assert roles(x) == "b h w c"


def test_dense_says_nothing_of_its_operand():
    x = tensor(B, 5, 8)
    apply("Dense", x, units=3)
    assert roles(x) == "b ? ?"


def test_flatten_remembers_its_factors():
    x = tensor(*IMAGE)
    flat = apply("Flatten", x).axes[1]
    assert [f.size for f in flat.factors] == [13, 17, 7]
    assert flat.factors[2].is_same(x.axes[3])
    first = apply("Flatten", x, data_format="channels_first").axes[1]
    assert [f.size for f in first.factors] == [17, 7, 13]


def test_attention_does_not_make_time_of_flattened_positions():
    batch, height, width, channel = tensor(*IMAGE).axes
    x = Value((batch, merge_axes([height, width]), channel))
    apply("MultiHeadAttention", x, x, num_heads=2, key_dim=3)
    assert roles(x) == "b ? ?"


def test_attention_keeps_the_queries_steps_and_the_values_features():
    q, v = tensor(B, 4, 6), tensor(B, 5, 7)
    k = tensor(B, 5, 6)
    y = apply("Attention", [q, v, k])
    assert y.axes[1].is_same(q.axes[1]) and y.axes[2].is_same(v.axes[2])
    _, scores = apply("Attention", [q, v, k], call={"return_attention_scores": True})
    assert scores.axes[1].is_same(q.axes[1]) and scores.axes[2].is_same(k.axes[1])


def test_bidirectional_turns_the_backward_sequence_round():
    x = tensor(B, T, 7)
    inner = {
        "layer": operation("LSTM", units=3, return_sequences=True),
        "backward_layer": operation("LSTM", units=3, return_sequences=True, go_backwards=True),
    }
    forward, backward = apply("Bidirectional", x, children=inner, merge_mode=None)
    assert forward.axes[1] is x.axes[1] and backward.axes[1] is x.axes[1]
    assert not forward.axes[2].is_same(backward.axes[2])
    assert apply("Bidirectional", x, children=inner, merge_mode="concat").axes[2].size == 6


def test_states_are_the_units_of_the_output():
    out, h, c = apply("LSTM", tensor(B, T, 7), units=3, return_state=True)
    assert h.axes[1].is_same(out.axes[1]) and c.axes[1].is_same(out.axes[1])


def test_time_distributed_keeps_time_and_hints_inside():
    x = tensor(B, T, 13, 17, 7)
    y = apply("TimeDistributed", x, children={"layer": operation("Conv2D", **CONV, padding="same")})
    assert roles(x) == roles(y) == "b t h w c"
    assert same(x, y, (0, 0), (1, 1), (2, 2), (3, 3))


def test_unknown_sizes_pass_through():
    x = Value((new_axis(B, Role.BATCH), new_axis(unknown()), new_axis(unknown()), new_axis(7)))
    for name, config in (("Conv2D", CONV), ("MaxPooling2D", {}), ("Flatten", {}), ("ZeroPadding2D", {})):
        assert apply(name, x, **config).shape[0] is None
    assert apply("Reshape", x, target_shape=[-1, 7]).axes[2].is_same(x.axes[3])


KEEPS = [
    *[
        "Activation",
        "ActivityRegularization",
        "AlphaDropout",
        "BatchNormalization",
        "Dense",
        "Dropout",
        "ELU",
    ],
    *[
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "LayerNormalization",
        "LeakyReLU",
        "Normalization",
        "PReLU",
    ],
    *["ReLU", "Rescaling", "Softmax", "UnitNormalization"],
]


@pytest.mark.parametrize("name", KEEPS)
def test_a_mask_passes(name: str):
    x = tensor(B, 5, 7, mask=True)
    config = {"units": 3, "groups": 1, "equation": "abc,cd->abd", "rate": 0.1, "stddev": 0.1, "scale": 1.0}
    y = apply(name, x, **config)
    assert y.mask is not None and y.mask[1] is x.axes[1]


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Flatten", {}),
        ("Permute", {"dims": [2, 1]}),
        ("Reshape", {"target_shape": [35]}),
        ("Conv1D", CONV),
        ("MaxPooling1D", {}),
        ("GlobalAveragePooling1D", {}),
        ("RMSNormalization", {}),
        ("LSTM", {"units": 3}),
    ],
)
def test_a_mask_stops(name: str, config: dict[str, Any]):
    assert apply(name, tensor(B, 5, 7, mask=True), **config).mask is None


def test_a_mask_begins():
    tokens = tensor(B, T, dtype="int32")
    assert apply("Embedding", tokens, input_dim=9, output_dim=3, mask_zero=True).mask == tokens.axes
    assert apply("Embedding", tokens, input_dim=9, output_dim=3).mask is None
    x = tensor(B, T, 7)
    assert apply("Masking", x).mask == x.axes[:-1]
    assert apply("LSTM", apply("Masking", x), units=3, return_sequences=True).mask == x.axes[:-1]
    assert apply("Attention", [apply("Masking", x), tensor(B, 5, 7)]).mask == x.axes[:-1]


def test_merging_needs_every_mask():
    x, y = tensor(B, 5, 7, mask=True), tensor(B, 5, 7)
    assert apply("Add", [x, y]).mask is None
    assert apply("Add", [x, tensor(B, 5, 7, mask=True)]).mask is not None
    assert apply("Concatenate", [x, y]).mask is not None


def test_multiply_leaves_its_operands_apart_and_add_makes_them_one():
    for name, one in (("Multiply", False), ("Add", True), ("Maximum", True)):
        x, y = tensor(B, 5, 7), tensor(B, 5, 7)
        apply(name, [x, y])
        assert same(x, y, *([(0, 0), (1, 1), (2, 2)] if one else []))


def test_layers_of_applications_keep_their_axes():
    x = tensor(*IMAGE)
    for name in ("LayerScale", "StochasticDepth"):
        assert apply(name, x, projection_dim=7).axes == x.axes


@pytest.mark.parametrize(
    ("policy", "dtype"),
    [
        ("float16", "float16"),
        ("mixed_bfloat16", "bfloat16"),
        ("int8_from_mixed_float16", "float16"),
        ({"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}, "float16"),
        ({"class_name": "QuantizedDTypePolicy", "config": {"source_name": "mixed_bfloat16"}}, "bfloat16"),
        ({"class_name": "DTypePolicyMap", "config": {"default_policy": "float64"}}, "float64"),
        ({"config": {"default_policy": "float8_from_float32"}}, "float32"),
        (None, "float32"),
    ],
)
def test_the_dtype_policy(policy: Any, dtype: str):
    assert run(operation("Dense", units=3, dtype=policy), tensor(B, 5)).dtype == dtype


@pytest.mark.parametrize("name", ["RNN", "StackedRNNCells", "Pipeline", "TimeDistributed", "Bidirectional"])
def test_children_of_the_wrong_form_are_not_known(name: str):
    one = operation("Dense", units=3)
    sequence = tensor(B, 7) if name == "StackedRNNCells" else tensor(B, T, 7)
    for held in ({}, {"cell": [one], "layer": [one]}, {"cells": one, "layers": one}):
        with pytest.raises(OpaqueError):
            apply(name, sequence, children=held)
