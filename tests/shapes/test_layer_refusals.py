"""Operands that a layer cannot take: the rule refuses them, and so does Keras, in its symbolic call or in a run.

And contents of a file: for any value of a configured argument or an operand, a rule gives axes or one of the errors of
this package.
"""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import pytest

from rewriter.errors import BadFileError, RewriterError
from rewriter.ir.axis import Role, Value, new_axis
from rewriter.ir.graph import Operation, map_leaves
from rewriter.ir.size import symbol, unknown
from rewriter.shapes.call import LAYERS, Call, OpaqueError, ShapeError
from tests.shapes import layers_harness as harness
from tests.shapes.layer_cases import CASES, query_value, states
from tests.shapes.layers_harness import Case, case

keras = pytest.importorskip("keras")


def refusals(layers: Any) -> list[Case]:
    """Cases that fail in every run of Keras."""
    conv = partial(layers.Conv2D, 6, 3)
    return [
        case(conv, (None, 2, 9, 3)),
        case(conv, (None, 9, 3)),
        case(conv, (None, 9, 9, 9, 3)),
        case(lambda: layers.Conv2D(6, 3, groups=2), (None, 9, 9, 3)),
        case(lambda: layers.Conv2D(6, 3, dilation_rate=5), (None, 9, 9, 3)),
        case(lambda: layers.Conv1D(6, 3), (None, 9, 9, 3)),
        case(lambda: layers.SeparableConv2D(6, 3), (None, 9, 3)),
        case(lambda: layers.DepthwiseConv2D(10), (None, 9, 9, 3)),
        case(lambda: layers.Conv2DTranspose(6, 3), (None, 9, 3)),
        case(lambda: layers.MaxPooling2D(10), (None, 9, 9, 3)),
        case(lambda: layers.MaxPooling1D(2), (None, 9, 9, 3)),
        case(lambda: layers.GlobalMaxPooling2D(), (None, 9, 3)),
        case(lambda: layers.BatchNormalization(axis=3), (None, 9, 3)),
        case(lambda: layers.LayerNormalization(axis=[1, 3]), (None, 9, 3)),
        case(lambda: layers.GroupNormalization(groups=2), (None, 9, 3)),
        case(lambda: layers.GroupNormalization(groups=6), (None, 9, 3)),
        case(lambda: layers.RMSNormalization(axis=1), (None, 5, 7)),
        case(lambda: layers.UnitNormalization(axis=-4), (None, 5, 7)),
        case(lambda: layers.SpatialDropout1D(0.1), (None, 7)),
        case(lambda: layers.Dense(3), (None,)),
        case(lambda: layers.EinsumDense("abc,cd->abd", (5, 4)), (None, 6, 7)),
        case(lambda: layers.EinsumDense("abc,cd->abd", (None, 4)), (None, 6)),
        case(lambda: layers.Softmax(axis=3), (None, 5, 7)),
        case(lambda: layers.Reshape((5, 5)), (None, 24)),
        case(lambda: layers.Reshape((-1, 5)), (None, 24)),
        case(lambda: layers.Reshape((24,)), (None, 5, 5)),
        case(lambda: layers.Permute((2, 1)), (None, 5)),
        case(lambda: layers.RepeatVector(3), (None, 5, 7)),
        case(lambda: layers.UpSampling2D(), (None, 5, 7)),
        case(lambda: layers.ZeroPadding2D(), (None, 5, 7)),
        case(lambda: layers.Cropping1D((3, 2)), (None, 5, 7)),
        case(lambda: layers.Cropping2D(3), (None, 6, 9, 3)),
        case(lambda: layers.Cropping3D(1, data_format="channels_first"), (None, 3, 2, 5, 5)),
        case(layers.Add, (None, 5), (None, 7)),
        case(layers.Multiply, (None, 4, 5), (None, 6, 5)),
        case(layers.Subtract, (None, 5), (None, 5), (None, 5)),
        case(layers.Concatenate, (None, 4, 5), (None, 6, 5)),
        case(layers.Concatenate, (None, 4, 5), (None, 5)),
        case(lambda: layers.Concatenate(axis=3), (None, 4, 5), (None, 4, 5)),
        case(lambda: layers.Dot(axes=1), (None, 4), (None, 5)),
        case(lambda: layers.Dot(axes=0), (2, 4), (2, 4)),
        case(lambda: layers.Dot(axes=(2, 1)), (None, 4, 5), (None, 4, 5)),
        case(layers.Attention, (None, 4, 5), (None, 6, 7)),
        case(layers.Attention, (None, 4, 5), (None, 6, 7), (None, 3, 5)),
        case(
            lambda: layers.MultiHeadAttention(2, 3),
            (None, 4, 5),
            (None, 6, 7),
            (None, 3, 5),
            pack=query_value,
        ),
        case(lambda: layers.GroupQueryAttention(3, 4, 2), (None, 4, 5), (None, 6, 7), pack=query_value),
        case(lambda: layers.LSTM(3), (None, 5)),
        case(lambda: layers.LSTM(3), (None, 4, 5, 6)),
        case(lambda: layers.GRU(3), (None, 4, 5), (None, 4), pack=states),
        case(lambda: layers.LSTM(3), (None, 4, 5), (None, 3), pack=states),
        case(lambda: layers.ConvLSTM2D(3, 3), (None, 4, 2, 9, 3)),
        case(lambda: layers.Bidirectional(layers.LSTM(3)), (None, 5)),
        case(
            lambda: layers.Bidirectional(
                layers.LSTM(3), backward_layer=layers.LSTM(4, go_backwards=True), merge_mode="sum"
            ),
            (None, 4, 5),
        ),
        case(lambda: layers.TimeDistributed(layers.Dense(3)), (None, 5)),
        case(lambda: layers.TimeDistributed(layers.Conv2D(3, 5)), (None, 4, 3, 9, 2)),
        case(lambda: layers.RandomColorDegeneration(0.1), (None, 5, 7, 4)),
        case(lambda: layers.Normalization(axis=4), (None, 5)),
        case(lambda: layers.HashedCrossing(5), (None, 3), (None, 3), dtype="int32"),
        case(lambda: layers.TextVectorization(vocabulary=["a"]), (None, 3), dtype="string"),
        case(lambda: layers.CenterCrop(3, 4), (None, 5)),
    ]


def test_both_refuse():
    disagreements = []
    for item in refusals(keras.layers):
        keras_refuses, rule_refuses = harness.refused(item)
        if not keras_refuses:
            keras_refuses = fails_in_a_run(item)
        if not (keras_refuses and rule_refuses):
            disagreements.append(f"Keras {keras_refuses}, rule {rule_refuses}: {harness.describe(item)}")
    assert not disagreements, "\n".join(disagreements)


def fails_in_a_run(item: Case) -> bool:
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    tensors = [
        tf.constant(harness._draw(rng, shape, dtype, 0, 2))
        for shape, dtype in zip(harness.concrete(item, 0), item.dtypes * len(item.shapes), strict=False)
    ]
    args, kwargs = item.packed(tensors)
    try:
        item.build()(*args, **kwargs)
    except Exception:
        return True
    return False


HOSTILE: tuple[Any, ...] = (
    -1, 0, 1, 2, 7, -(2**63), 2**63, 2**4000, 1.5, 1e300, math.inf, math.nan, True, False, None,
    "", "x", "same", "\x00",
    [], [0], [-1], [1, 2], [1, 2, 3], [[1, 2], [3, 4]], [[]], [None], ["x"], [2**63], [2.5], [1, 2, 3, 4, 5, 6, 7, 8],
    [-1, -1], {}, {"class_name": "x"}, {"config": 3}, {"config": {"name": 3, "value": {}}}, [{}], "channels_first",
)  # fmt: skip
B = symbol("B")


def operands() -> list[Value]:
    """Tensors of every rank that a model can pass on, of sizes known, symbolic, unknown and zero."""
    sizes = [
        (),
        (B,),
        (B, 6),
        (B, symbol("T"), 6),
        (B, 0, 6),
        (B, 6, 6, 3),
        (B, 5, unknown(), 7),
        (B, 3, 4, 5, 6),
        (B, 2, 3, 4, 5, 6),
    ]
    made = [
        Value(tuple(new_axis(s, Role.BATCH if n == 0 else Role.UNKNOWN) for n, s in enumerate(shape)))
        for shape in sizes
    ]
    return [*made, Value(None, reason="a test")]


def harmless(operation: Operation, *args: Any, **kwargs: Any) -> None:
    """Run a rule; only the errors for users may come out."""
    try:
        apply(operation, *args, **kwargs)
    except (RewriterError, ShapeError, OpaqueError) as error:
        assert str(error)  # noqa: PT017 - which of the errors it is does not matter, that it says something does
    except Exception as error:
        changed = {k: v for k, v in operation.config.items() if k not in ("name", "dtype", "trainable")}
        raise AssertionError(
            f"{operation.class_name} {str(changed)[:300]} on {str(args)[:300]}: {error!r}"
        ) from error


def apply(operation: Operation, *args: Any, **kwargs: Any) -> Any:
    return LAYERS[operation.class_name](Call(operation, args, kwargs, apply))


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_configuration_breaks_a_rule(name: str):
    from rewriter.formats.keras.config import _operation

    seen: set[str] = set()
    for item in CASES[name](keras.layers):
        layer = item.build()
        text = json.dumps(keras.saving.serialize_keras_object(layer))
        operation = _operation(json.loads(text), 0)
        key = repr(sorted((k, v) for k, v in operation.config.items() if k != "name"))
        if key in seen or len(seen) > 4:
            continue
        seen.add(key)
        good = tuple(
            Value(tuple(new_axis(B if s is None else s) for s in shape), dtype)
            for shape, dtype in zip(item.shapes, item.dtypes * len(item.shapes), strict=False)
        )
        args, kwargs = map_leaves(lambda leaf: leaf, item.packed(list(good)))
        for argument in [*operation.config, "units", "no_such_argument"]:
            if argument.endswith(("initializer", "regularizer", "constraint")):
                continue
            for value in HOSTILE:
                changed = Operation(
                    operation.name, "layer", operation.class_name, {**operation.config, argument: value},
                    children=operation.children,
                )  # fmt: skip
                harmless(changed, *args, **kwargs)
        for value in operands():
            harmless(operation, value)
            harmless(operation, [value, good[0]])
            harmless(operation, good[0], value)
            harmless(operation, good[0], initial_state=[value, 3], value=value, mask=value)
        for argument in ("reverse", "return_attention_scores", "initial_state", "value", "key", "mask"):
            for value in HOSTILE:
                harmless(operation, *args, **{**kwargs, argument: value})
        harmless(operation)
        harmless(operation, 3, "x", None)
        harmless(operation, {"images": good[0], "bounding_boxes": {"boxes": good[0], 3: 4}})
        bare = Operation(operation.name, "layer", operation.class_name, {})
        for value in operands():
            harmless(bare, value, value)


@pytest.mark.parametrize(
    ("class_name", "argument", "value"),
    [
        ("Conv2D", "strides", 0),
        ("Conv2D", "strides", [1, -1]),
        ("Conv2D", "kernel_size", "3"),
        ("Conv2D", "kernel_size", [3]),
        ("Conv2D", "filters", 2**63),
        ("Conv2D", "filters", None),
        ("Conv2D", "filters", True),
        ("Conv2D", "padding", "reflect"),
        ("Conv2D", "data_format", "NHWC"),
        ("Conv2D", "groups", 0),
        ("MaxPooling2D", "pool_size", [2, 2.5]),
        ("Dense", "units", -3),
        ("Dense", "units", math.inf),
        ("Reshape", "target_shape", [-1, -1]),
        ("Reshape", "target_shape", [-2]),
        ("Reshape", "target_shape", 12),
        ("Permute", "dims", [1, 1, 2]),
        ("Flatten", "data_format", 3),
        ("Dropout", "dtype", {"config": 3}),
        ("Bidirectional", "merge_mode", "max"),
    ],
)
def test_the_error_names_the_layer_and_the_argument(class_name: str, argument: str, value: Any):
    good = {"filters": 4, "kernel_size": 3, "units": 5, "pool_size": 2}
    op = Operation("my_layer", "layer", class_name, {**good, argument: value})
    x = Value(tuple(new_axis(n) for n in (B, 6, 6, 3)))
    if argument == "dtype":
        assert apply(op, x).dtype == "float32"
        return
    with pytest.raises(BadFileError, match=f"my_layer.*{argument}"):
        apply(op, x)


def test_the_message_shows_the_operand_that_an_attention_layer_cannot_take():
    query, value = (Value(tuple(map(new_axis, sizes))) for sizes in ((2, 4, 5), (7,)))
    call = Call(Operation("a", "layer", "Attention", {}), ([query, value],), {})
    with pytest.raises(ShapeError, match=r"not \[7\]"):
        LAYERS["Attention"](call)
