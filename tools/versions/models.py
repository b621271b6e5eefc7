"""Small models for any Keras 3: each with a node that it needs, and without that node.

`build(True)` is the truth. If Keras accepts the model without the node, `build(False)` is the broken model; otherwise
`cut` names the nodes to remove from the configuration of the truth. Every layer has a unique name: weights and the
state of an optimizer are matched by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers, ops, optimizers

Version = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """One model.

    Args:
        build: makes the truth, or the broken model.
        cut: nodes to remove from the truth, if Keras does not build the broken model.
        contract: products that become Multiply layers.
        squeeze: the constants lose their unit axes.
        at: the node with the finding.
        inserts: the classes of the inserted nodes, in the order of the report.
        repair: arguments for `rewriter.repair`.
        since: the first version that can make it.
        finish: changes a model after it has its weights.
        optimizer: makes the optimizer, whose state is saved; None for a model that is not compiled.
        form: the suffix of its file; "" for a folder (`zipped=False`).
        batches: the batch sizes to compare.
    """

    name: str
    build: Callable[[bool], keras.Model]
    inserts: tuple[str, ...]
    cut: tuple[str, ...] = ()
    contract: tuple[str, ...] = ()
    squeeze: bool = False
    at: str = "scale"
    repair: dict[str, Any] = field(default_factory=dict)
    since: Version = (3, 0)
    finish: Callable[[keras.Model], None] | None = None
    optimizer: Callable[[], Any] | None = None
    form: str = ".keras"
    batches: tuple[int, ...] = (1, 2, 3, 4, 6)

    @property
    def edited(self) -> bool:
        """Whether the broken model is the truth with its configuration edited."""
        return bool(self.cut or self.contract or self.squeeze)


def excite(x: Any, channels: int, name: str = "excite") -> Any:
    """excite(x[B, H, W, C]) -> [B, C]."""
    pooled = layers.GlobalAveragePooling2D(name=f"{name}_pool")(x)
    return layers.Dense(channels, activation="sigmoid", name=name)(pooled)


def channel_gate(fix: bool) -> keras.Model:
    image = keras.Input((5, 6, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="features")(image)
    g = excite(x, 4)
    return keras.Model(image, ops.multiply(x, layers.Reshape((1, 1, 4), name="fix")(g) if fix else g))


def channel_gate_layer(fix: bool) -> keras.Model:
    """The layer's convention: channels first, all sizes equal."""
    image = keras.Input((4, 4, 4), name="image")
    x = layers.BatchNormalization(axis=1, name="features")(image)
    pooled = layers.GlobalAveragePooling2D(data_format="channels_first", name="pool")(x)
    g = layers.Activation("sigmoid", name="excite")(pooled)
    g = layers.Reshape((4, 1, 1), name="fix")(g) if fix else g
    y = layers.Multiply(name="scale")([x, g])
    return keras.Model(image, layers.BatchNormalization(axis=1, name="after")(y))


def spatial_gate(fix: bool) -> keras.Model:
    image = keras.Input((5, 6, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="features")(image)
    m = layers.Conv2D(1, 1, activation="sigmoid", name="score")(x)
    m = layers.Reshape((5, 6, 1), name="fix")(layers.Reshape((5, 6), name="map")(m))
    return keras.Model(image, layers.Multiply(name="scale")([x, m]))


def time_gate(fix: bool) -> keras.Model:
    steps = keras.Input((6, 3), name="steps")
    x = layers.GRU(4, return_sequences=True, name="first")(steps)
    score = layers.Dense(1, name="score")(x)
    w = layers.Softmax(axis=-1, name="weights")(layers.Reshape((6,), name="flat")(score))
    w = layers.Reshape((6, 1), name="fix")(w)
    return keras.Model(steps, ops.sum(layers.Multiply(name="scale")([x, w]), axis=1))


def two_grus(fix: bool) -> keras.Model:
    """The node before the second branch changes the depths, and so the group numbers."""
    steps = keras.Input((6, 4), name="steps")
    a = layers.GRU(4, return_sequences=True, name="zeta")(steps)
    b = layers.GRU(4, return_sequences=True, name="alpha")(steps)
    g = layers.Dense(4, activation="sigmoid", name="excite")(layers.GlobalAveragePooling1D(name="pool")(b))
    g = layers.Reshape((1, 4), name="fix")(g) if fix else g
    return keras.Model(steps, layers.Dense(2, name="head")(ops.multiply(a, g)))


def nested(fix: bool) -> keras.Model:
    inner = keras.Input((5, 6, 4), name="inner_image")
    g = excite(inner, 4)
    g = layers.Reshape((1, 1, 4), name="fix")(g) if fix else g
    block = keras.Model(inner, ops.multiply(inner, g), name="block")
    image = keras.Input((5, 6, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="features")(image)
    return keras.Model(image, layers.Conv2D(2, 1, name="head")(block(x)))


def of_layers(fix: bool) -> keras.Model:
    """Only layers, so an .h5 file can hold the model."""

    def groups(name: str) -> keras.layers.Layer:
        return layers.GroupNormalization(2, axis=1, name=name)

    image = keras.Input((4, 4, 4), name="image")
    x = groups("features")(image)
    pooled = layers.GlobalAveragePooling2D(data_format="channels_first", name="pool")(x)
    g = layers.Activation("sigmoid", name="excite")(pooled)
    g = layers.Reshape((4, 1, 1), name="fix")(g) if fix else g
    y = groups("after")(layers.Multiply(name="scale")([x, g]))
    return keras.Model(image, layers.Add(name="both")([groups("alpha")(y), groups("zeta")(image)]))


def nested_layers(fix: bool) -> keras.Model:
    image = keras.Input((4, 4, 4), name="outer_image")
    x = layers.GroupNormalization(2, axis=1, name="first")(image)
    return keras.Model(image, layers.GroupNormalization(2, axis=1, name="head")(of_layers(fix)(x)))


def in_sequence(fix: bool) -> keras.Model:
    inner = keras.Input((5, 6, 4), name="inner_image")
    g = excite(inner, 4)
    g = layers.Reshape((1, 1, 4), name="fix")(g) if fix else g
    block = keras.Model(inner, ops.multiply(inner, g), name="block")
    first = layers.Conv2D(4, 3, padding="same", name="features")
    return keras.Sequential(
        [keras.Input((5, 6, 3), name="image"), first, block, layers.Conv2D(2, 1, name="head")]
    )


def over_time(fix: bool) -> keras.Model:
    inner = keras.Input((5, 6, 4), name="inner_image")
    g = excite(inner, 4)
    g = layers.Reshape((1, 1, 4), name="fix")(g) if fix else g
    block = keras.Model(inner, ops.multiply(inner, g), name="block")
    film = keras.Input((3, 5, 6, 4), name="film")
    return keras.Model(film, layers.TimeDistributed(block, name="frames")(film))


def shared(fix: bool) -> keras.Model:
    """Two layers called twice, and two gates."""
    a, b = keras.Input((5, 6, 4), name="a"), keras.Input((5, 6, 4), name="b")
    conv, dense = layers.Conv2D(4, 3, padding="same", name="features"), layers.Dense(4, name="excite")
    pool = layers.GlobalAveragePooling2D(name="pool")
    x, y = conv(a), conv(b)
    g, h = dense(pool(x)), dense(pool(y))
    x = ops.multiply(x, layers.Reshape((1, 1, 4), name="fix")(h) if fix else h)
    y = ops.multiply(y, layers.Reshape((1, 1, 4), name="fix2")(g) if fix else g)
    return keras.Model([a, b], [x, y])


def again(fix: bool) -> keras.Model:
    """The nodes after a layer lead through the same layer again."""
    image = keras.Input((5, 6, 4), name="image")
    conv = layers.Conv2D(4, 3, padding="same", name="features")
    x = conv(image)
    g = excite(x, 4)
    y = conv(ops.multiply(x, layers.Reshape((1, 1, 4), name="fix")(g) if fix else g))
    h = excite(y, 4, "again")
    return keras.Model(image, ops.multiply(y, layers.Reshape((1, 1, 4), name="fix2")(h) if fix else h))


def constant(fix: bool) -> keras.Model:
    """A constant in the file loses its unit axes."""
    image = keras.Input((4, 5, 6), name="image")
    x = layers.BatchNormalization(axis=1, name="features")(image)
    scale = np.linspace(0.5, 2.0, 4, dtype="float32").reshape(4, 1, 1)
    y = ops.multiply(x, scale)
    return keras.Model(image, layers.BatchNormalization(axis=1, name="after")(y))


def layout(fix: bool) -> keras.Model:
    last, first = keras.Input((4, 4, 3), name="last"), keras.Input((4, 4, 4), name="first")
    x = layers.Conv2D(4, 3, padding="same", name="features")(last)
    y = layers.BatchNormalization(axis=1, name="other")(first)
    y = layers.Permute((2, 3, 1), name="fix")(y) if fix else y
    return keras.Model(
        [last, first], layers.Conv2D(2, 1, name="after")(layers.Multiply(name="scale")([x, y]))
    )


def batch_tile(fix: bool) -> keras.Model:
    signal = keras.Input(batch_shape=(4, 5), name="signal")
    memory = keras.Input(batch_shape=(2, 5), name="memory")
    x = layers.Activation("relu", name="after")(layers.Dense(5, name="features")(signal))
    y = layers.Dense(5, activation="tanh", name="recall")(memory)
    return keras.Model([signal, memory], ops.multiply(x, ops.tile(y, (2, 1))))


def batch_cover(fix: bool) -> keras.Model:
    signal = keras.Input(batch_shape=(5, 3), name="signal")
    memory = keras.Input(batch_shape=(3, 3), name="memory")
    x = layers.Dense(3, name="features")(signal)
    x = layers.Activation("tanh", name="behind")(layers.Activation("relu", name="after")(x))
    y = layers.Dense(3, activation="tanh", name="recall")(memory)
    return keras.Model([signal, memory], ops.multiply(x, ops.slice(ops.tile(y, (2, 1)), (0, 0), (5, 3))))


def open_map(fix: bool) -> keras.Model:
    """(B, H, W, C) x (B, H, W), height and width open: a Reshape cannot express it."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="features")(image)
    m = ops.mean(layers.Conv2D(4, 1, activation="sigmoid", name="score")(x), axis=-1)
    return keras.Model(image, ops.multiply(x, ops.expand_dims(m, -1)))


def open_rows(fix: bool) -> keras.Model:
    """(B, H, W, C) x (B, H), height and width open: two axes at once."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="features")(image)
    m = ops.mean(layers.Conv2D(4, 1, activation="sigmoid", name="score")(x), axis=(2, 3))
    return keras.Model(image, ops.multiply(x, ops.expand_dims(ops.expand_dims(m, -1), -1)))


def too_many_axes(fix: bool) -> keras.Model:
    """(B, T, D) x (B, T, 1, D), the length open: one axis too many."""
    steps = keras.Input((None, 3), name="steps")
    x = layers.Dense(4, name="features")(steps)
    g = ops.expand_dims(layers.Dense(4, name="gate")(steps), 2)
    return keras.Model(steps, ops.multiply(x, ops.squeeze(g, 2)))


def attention(fix: bool) -> keras.Model:
    """A matrix product written as a multiply."""
    a, b = keras.Input((5, 4), name="a"), keras.Input((4, 3), name="b")
    x, y = layers.Dense(4, name="left")(a), layers.Dense(3, name="right")(b)
    return keras.Model([a, b], layers.Dense(2, name="head")(ops.matmul(x, y)))


def outer(fix: bool) -> keras.Model:
    a, b = keras.Input((5,), name="a"), keras.Input((3,), name="b")
    x, y = layers.Dense(5, name="left")(a), layers.Dense(3, name="right")(b)
    x, y = ops.expand_dims(x, 2), ops.expand_dims(y, 1)
    return keras.Model([a, b], ops.multiply(x, y))


def upsample(fix: bool) -> keras.Model:
    image = keras.Input((4, 6, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="features")(image)
    g = layers.Conv2D(4, 3, strides=2, padding="same", activation="sigmoid", name="gate")(x)
    return keras.Model(image, layers.Multiply(name="scale")([x, layers.UpSampling2D(2, name="fix")(g)]))


def class_token(fix: bool) -> keras.Model:
    """One token beside the patches of every sample: right at batch 1 only."""
    patches = keras.Input((5, 4), name="patches")
    x = layers.Dense(4, name="embed")(patches)
    token = np.arange(4, dtype="float32").reshape(1, 1, 4)
    if fix:
        token = ops.add(ops.multiply(ops.mean(x, axis=1, keepdims=True), 0.0), token)
    return keras.Model(patches, ops.concatenate([token, x], axis=1))


def added(fix: bool) -> keras.Model:
    """A sum with the same fault (`ops="all"`)."""
    image = keras.Input((5, 6, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="features")(image)
    g = excite(x, 4)
    return keras.Model(image, ops.add(x, layers.Reshape((1, 1, 4), name="fix")(g) if fix else g))


def in_half(build: Callable[[bool], keras.Model]) -> Callable[[bool], keras.Model]:
    """A builder under mixed_float16, where Keras saves a policy with every layer."""

    def built(fix: bool) -> keras.Model:
        keras.mixed_precision.set_global_policy("mixed_float16")
        try:
            return build(fix)
        finally:
            keras.mixed_precision.set_global_policy("float32")

    return built


def lora(model: keras.Model) -> None:
    layer = model.get_layer("excite")
    layer.enable_lora(2)
    rng = np.random.default_rng(3)
    for variable in (layer.lora_kernel_a, layer.lora_kernel_b):
        variable.assign(rng.normal(0, 1, variable.shape))


def quantised(mode: str) -> Callable[[keras.Model], None]:
    return lambda model: model.get_layer("excite").quantize(mode)


_ALL = {"ops": "all"}


def _at(equation: str, node: str) -> dict[str, Any]:
    return {"at": {node: equation}}


CASES: tuple[Case, ...] = (
    Case("channel_gate", channel_gate, ("Reshape",)),
    Case("channel_gate_layer", channel_gate_layer, ("Reshape",)),
    Case("spatial_gate", spatial_gate, ("Reshape",), cut=("fix",)),
    Case("time_gate", time_gate, ("Reshape",), cut=("fix",)),
    Case("two_grus", two_grus, ("Reshape",)),
    Case("nested", nested, ("Reshape",)),
    Case("in_sequence", in_sequence, ("Reshape",), since=(3, 1)),
    Case("over_time", over_time, ("Reshape",), since=(3, 5)),
    Case("shared", shared, ("Reshape", "Reshape")),
    Case("again", again, ("Reshape", "Reshape"), since=(3, 8)),
    Case("constant", constant, ("Reshape",), squeeze=True),
    Case("layout", layout, ("Transpose",)),
    Case("batch_tile", batch_tile, ("Tile",), cut=("tile",), at="multiply", batches=(4,)),
    Case(
        "batch_cover",
        batch_cover,
        ("Tile", "Slice"),
        cut=("slice", "tile"),
        at="multiply",
        repair=_at("batch-cover", "multiply"),
        batches=(5,),
    ),
    Case("open_map", open_map, ("ExpandDims",), cut=("expand_dims",), at="multiply"),
    Case("open_rows", open_rows, ("ExpandDims",), cut=("expand_dims_1", "expand_dims"), at="multiply"),
    Case(
        "too_many_axes",
        too_many_axes,
        ("Squeeze",),
        cut=("squeeze",),
        at="multiply",
        repair=_at("b t d, b t d -> b t d", "multiply"),
    ),
    Case(
        "attention", attention, ("MatMul",), contract=("matmul",), at="matmul", repair=_at("matmul", "matmul")
    ),
    Case(
        "outer",
        outer,
        ("Reshape", "Reshape"),
        cut=("expand_dims", "expand_dims_1"),
        at="multiply",
        repair=_at("outer", "multiply"),
    ),
    Case("upsample", upsample, ("Repeat", "Repeat"), cut=("fix",), repair=_at("upsample", "scale")),
    Case("class_token", class_token, ("Slice", "Tile"), repair=_ALL),
    Case("added", added, ("Reshape",), repair=_ALL),
    Case("mixed_float16", in_half(channel_gate), ("Reshape",)),
    Case("adam", two_grus, ("Reshape",), optimizer=optimizers.Adam),
    Case("nadam", two_grus, ("Reshape",), optimizer=optimizers.Nadam),
    Case(
        "rmsprop", two_grus, ("Reshape",), optimizer=lambda: optimizers.RMSprop(momentum=0.5, centered=True)
    ),
    Case(
        "averaged",
        two_grus,
        ("Reshape",),
        optimizer=lambda: optimizers.Nadam(use_ema=True, gradient_accumulation_steps=2),
        since=(3, 1),
    ),
    Case(
        "loss_scale",
        two_grus,
        ("Reshape",),
        optimizer=lambda: optimizers.LossScaleOptimizer(optimizers.Adam()),
    ),
    Case("lora", channel_gate, ("Reshape",), finish=lora, since=(3, 1)),
    Case("int8", channel_gate, ("Reshape",), finish=quantised("int8"), since=(3, 3)),
    Case("float8", channel_gate, ("Reshape",), finish=quantised("float8"), since=(3, 4)),
    Case("int4", channel_gate, ("Reshape",), finish=quantised("int4"), since=(3, 11)),
    Case("folder", two_grus, ("Reshape",), form="", since=(3, 5)),
    Case("h5", of_layers, ("Reshape",), form=".h5", optimizer=optimizers.Adam),
    # Before 3.3 Keras does not write it: two of its datasets have the same name.
    Case("h5_nested", nested_layers, ("Reshape",), form=".h5", since=(3, 3)),
)
