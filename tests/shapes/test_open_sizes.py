"""Models whose inputs leave every size open: no false finding, and every tensor has the shape of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rewriter
from rewriter.formats.registry import open_model
from rewriter.ir.graph import node_name
from rewriter.ir.size import is_unknown
from rewriter.passes.codes import Severity
from rewriter.shapes.infer import infer
from rewriter.shapes.inference import Inference
from tests.ir.evaluate import evaluate

keras = pytest.importorskip("keras")

Shapes = tuple[tuple[int, ...], ...]
WORDS = 50


def application(name: str) -> Any:
    """An application without its top, with pooling, on images of any size."""
    return getattr(keras.applications, name)(
        weights=None, include_top=False, input_shape=(None, None, 3), pooling="avg"
    )


def unet(way_up: str, padding: str = "same", gated: bool = False) -> Any:
    """Two levels down and up with skips; ``gated`` scales each skip by a coarser map."""
    x = image = keras.Input((None, None, 3), name="image")
    skipped = []
    for filters in (4, 8):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        skipped.append(x)
        x = keras.layers.MaxPooling2D(2, padding=padding)(x)
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    for filters, skip in zip((8, 4), reversed(skipped), strict=True):
        if way_up == "upsampling":
            x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
            x = keras.layers.Conv2D(filters, 3, padding="same")(x)
        else:
            x = keras.layers.Conv2DTranspose(filters, 3, strides=2, padding="same")(x)
        if gated:
            skip = keras.layers.Multiply()([skip, keras.layers.Conv2D(1, 1, activation="sigmoid")(x)])
        x = keras.layers.Concatenate()([skip, x])
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return keras.Model(image, keras.layers.Conv2D(2, 1)(x))


def transformer() -> Any:
    """Tokens of any number: masked embedding, positions by counting, two blocks, a masked mean."""
    ops, layers = keras.ops, keras.layers
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    positions = ops.cumsum(ops.ones_like(tokens), axis=1) - 1
    x = layers.Embedding(WORDS, 16, mask_zero=True)(tokens) + layers.Embedding(64, 16)(positions)
    present = ops.not_equal(tokens, 0)
    for _ in range(2):
        seen = layers.MultiHeadAttention(2, 8)(x, x, attention_mask=ops.expand_dims(present, 1))
        x = layers.LayerNormalization()(layers.Add()([x, seen]))
        inner = layers.Dense(16)(layers.Dense(32, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, layers.Dropout(0.1)(inner)]))
    weights = ops.expand_dims(ops.cast(present, "float32"), -1)
    mean = ops.sum(x * weights, axis=1) / ops.sum(weights, axis=1)
    return keras.Model(tokens, layers.Dense(3, activation="softmax")(mean))


def causal_transformer() -> Any:
    """Positions from the states themselves, masks that travel with the tensors, a causal and a cross attention."""
    ops, layers = keras.ops, keras.layers
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    memory = keras.Input((None, 16), name="memory")
    x = layers.Embedding(WORDS, 16, mask_zero=True)(tokens)
    steps = ops.cumsum(ops.ones_like(x[:, :, :1]), axis=1)
    rates = ops.reshape(ops.exp(ops.arange(8, dtype="float32") * -0.5), (1, 1, 8))
    x = x + ops.concatenate([ops.sin(steps * rates), ops.cos(steps * rates)], axis=-1)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 8)(x, x, use_causal_mask=True)])
    x = layers.Add()([x, layers.MultiHeadAttention(2, 8)(x, layers.Masking()(memory))])
    scores = layers.Softmax(axis=1)(layers.Dense(1)(x))
    return keras.Model([tokens, memory], layers.Dot(axes=1)([scores, x]))


IMAGES = (((2, 64, 96, 3),), ((3, 96, 32, 3),))
DIVISIBLE = (((2, 12, 20, 3),), ((3, 8, 4, 3),))
MODELS: dict[str, tuple[Any, tuple[Shapes, Shapes]]] = {
    "MobileNetV3Small": (lambda: application("MobileNetV3Small"), IMAGES),
    "EfficientNetB0": (lambda: application("EfficientNetB0"), (((2, 45, 77, 3),), ((3, 64, 38, 3),))),
    "unet-upsampling": (lambda: unet("upsampling"), DIVISIBLE),
    "unet-upsampling-valid": (lambda: unet("upsampling", "valid"), DIVISIBLE),
    "unet-transposed": (lambda: unet("transposed"), DIVISIBLE),
    "unet-transposed-valid": (lambda: unet("transposed", "valid"), DIVISIBLE),
    "unet-gated": (lambda: unet("upsampling", gated=True), DIVISIBLE),
    "unet-gated-transposed-valid": (lambda: unet("transposed", "valid", gated=True), DIVISIBLE),
    "transformer": (transformer, (((2, 7),), ((3, 11),))),
    "transformer-causal": (causal_transformer, (((2, 7), (2, 5, 16)), ((3, 11), (3, 4, 16)))),
}


def calls(model: Any) -> Iterator[tuple[str, int, list[Any]]]:
    """Name, number and results of every call in a functional model, without calls outside of it."""
    inside = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    for operation in model.operations:
        nodes = [node for node in operation._inbound_nodes if id(node) in inside]
        for number, node in enumerate(nodes):
            yield operation.name, number, list(node.output_tensors)


def symbols(model: Any, inference: Inference, shapes: Shapes) -> dict[str, int]:
    """The values of the open input sizes at these shapes."""
    given = {}
    for x, shape in zip(model.inputs, shapes, strict=True):
        (value,) = inference.values[x._keras_history.operation.name]
        for size, number in zip(value.sizes or (), shape, strict=True):
            if not isinstance(size, int):
                given[str(size)] = number
    return given


def feed(x: Any, shape: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(0)
    return rng.integers(1, WORDS, shape).astype(x.dtype) if "int" in x.dtype else rng.random(shape, "float32")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_open_sizes(name: str, tmp_path: Path) -> None:
    build, trials = MODELS[name]
    model = build()
    assert all(size is None for x in model.inputs for size in x.shape[:-1])
    path = tmp_path / "model.keras"
    model.save(path)

    findings = rewriter.check(path).findings
    assert [f for f in findings if f.severity in (Severity.ERROR, Severity.WARNING)] == []

    with open_model(path) as source:
        inference = infer(source.graph)
    assert not inference.faults
    assert not inference.conflicts
    assert not inference.opaque
    made = list(calls(model))
    named = [(node_name(name, number), results) for name, number, results in made]
    assert {node for node, _ in named} == set(inference.graph.order)
    probe = keras.Model(model.inputs, [results for _, results in named])
    for shapes in trials:
        given = symbols(model, inference, shapes)
        ran = probe([feed(x, shape) for x, shape in zip(model.inputs, shapes, strict=True)])
        for (node, _), results in zip(named, ran, strict=True):
            values = inference.values[node]
            assert not any(is_unknown(size) for v in values for size in v.sizes or ()), node
            ours = [tuple(evaluate(size, given) for size in v.sizes or ()) for v in values]
            assert ours == [tuple(y.shape) for y in results], f"{node} at {shapes}"
