"""Valid Keras 2 models, each with the layers to remove and the classes to replace to break it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras

L = tf_keras.layers


class Case(NamedTuple):
    build: Callable[[], Any]
    drop: tuple[str, ...]
    at: Mapping[str, str] | None = None
    swap: Mapping[str, str] | None = None


def _gate(x: Any, name: str, expand: str = "") -> Any:
    """A gate over the rows of an image, from two Dense layers of equal shape."""
    rows = x.shape[1]
    g = L.Permute((3, 2, 1), name=f"{name}_turn")(x)
    g = L.GlobalAveragePooling2D(name=f"{name}_pool")(g)
    g = L.Dense(rows, activation="relu", name=f"{name}_squeeze")(g)
    g = L.Dense(rows, activation="sigmoid", name=f"{name}_excite")(g)
    return L.Reshape((rows, 1, 1), name=expand or f"{name}_expand")(g)


def se() -> Any:
    """One gate."""
    image = L.Input((6, 7, 5), name="image")
    x = L.Conv2D(11, 3, padding="same", name="conv")(image)
    y = L.Multiply(name="scale")([x, _gate(x, "gate")])
    return tf_keras.Model(image, L.Dense(4, name="head")(L.GlobalAveragePooling2D(name="pool")(y)))


def two_gates() -> Any:
    """Gates beside each other at different depths: an inserted layer changes which Dense comes first."""
    image = L.Input((6, 7, 5), name="image")
    a = L.Conv2D(11, 3, padding="same", name="conv_a")(image)
    b = L.Conv2D(11, 3, padding="same", name="conv_b")(L.Conv2D(5, 1, name="conv_c")(image))
    left = L.Multiply(name="left")([a, _gate(a, "a")])
    g = L.GlobalAveragePooling2D(name="b_pool")(L.Permute((3, 2, 1), name="b_turn")(b))
    g = L.Dense(6, activation="tanh", name="b_first")(g)
    g = L.Dense(6, activation="relu", name="b_second")(g)
    g = L.Dense(6, activation="sigmoid", name="b_third")(g)
    right = L.Multiply(name="right")([b, L.Reshape((6, 1, 1), name="b_expand")(g)])
    return tf_keras.Model(image, L.Concatenate(name="join")([left, right]))


def order_changes() -> Any:
    """Taking the Reshape out moves one of two Dense layers of equal shape in front of the other."""
    image = L.Input((6, 7, 11), name="image")
    vector = L.Input((6,), name="vector")
    rows = L.GlobalAveragePooling2D(name="rows")(L.Permute((3, 2, 1), name="turn")(image))
    g = L.Dense(6, name="gate_dense")(rows)
    y = L.Multiply(name="scale")([image, L.Reshape((6, 1, 1), name="expand")(g)])
    z = L.GlobalAveragePooling2D(name="pool")(y)
    other = L.Dense(6, name="other_dense")(vector)
    other = L.Dense(6, name="other_narrow")(L.Activation("tanh", name="other_tanh")(other))
    last = L.Concatenate(name="join")([z, L.Activation("tanh", name="last_tanh")(other)])
    return tf_keras.Model([image, vector], [last, L.Dense(6, name="tail")(other)])


def nested() -> Any:
    """The gate in a nested model, whose Dense layers change places."""
    inner = order_changes()
    inner = tf_keras.Model(inner.inputs, inner.outputs[0], name="inner")
    image, vector = L.Input((6, 7, 11), name="x"), L.Input((6,), name="v")
    y = inner([L.Conv2D(11, 1, name="conv")(image), vector])
    return tf_keras.Model([image, vector], L.Dense(3, name="head")(y))


def nested_twice() -> Any:
    """A nested model that is called twice, once on the result of the other call."""
    x = L.Input((6, 7, 11), name="inner_x")
    inner = tf_keras.Model(x, L.Multiply(name="scale")([x, _gate(x, "gate", "expand")]), name="inner")
    image = L.Input((6, 7, 11), name="x")
    y = inner(inner(L.Conv2D(11, 1, name="conv")(image)))
    return tf_keras.Model(image, L.Dense(3, name="head")(y))


def shared() -> Any:
    """A Multiply that is called twice, both times on a gate that does not fit."""
    image = L.Input((6, 7, 5), name="image")
    a, b = (L.Conv2D(11, 3, padding="same", name=f"conv_{n}")(image) for n in "ab")
    multiply = L.Multiply(name="scale")
    y = multiply([a, _gate(a, "a", "expand_a")])
    z = multiply([b, _gate(b, "b", "expand_b")])
    return tf_keras.Model(image, [y, z])


def two_outputs() -> Any:
    """The product is an output, and so is the result of a later layer."""
    image = L.Input((6, 7, 5), name="image")
    x = L.Conv2D(11, 3, padding="same", name="conv")(image)
    y = L.Multiply(name="scale")([_gate(x, "gate", "expand"), x])
    return tf_keras.Model(image, {"b": y, "a": L.Conv2D(2, 1, name="last")(y)})


def spatial() -> Any:
    """A spatial mask without its channel axis."""
    image = L.Input((6, 7, 5), name="image")
    x = L.Conv2D(11, 3, padding="same", name="conv")(image)
    m = L.Conv2D(1, 3, padding="same", activation="sigmoid", name="mask")(x)
    m = L.Reshape((6, 7), name="flat")(m)
    y = L.Multiply(name="scale")([x, L.Reshape((6, 7, 1), name="lift")(m)])
    return tf_keras.Model(image, y)


def sequence() -> Any:
    """Weights of the steps of a sequence of any length."""
    x = L.Input((None, 11), name="x")
    h = L.Conv1D(13, 3, padding="same", name="conv")(x)
    g = L.Reshape((-1,), name="flat")(L.Dense(1, activation="sigmoid", name="gate")(h))
    y = L.Multiply(name="scale")([h, L.Reshape((-1, 1), name="expand")(g)])
    return tf_keras.Model(x, L.LSTM(3, name="lstm")(y))


def masked() -> Any:
    """A masked sequence, gated by steps: Keras 2 computes with the operands as they are."""
    words = L.Input((6,), dtype="int32", name="words")
    h = L.Embedding(9, 11, mask_zero=True, name="embed")(words)
    g = L.Dense(6, activation="sigmoid", name="gate")(
        L.GlobalMaxPooling1D(name="pool")(L.Permute((2, 1), name="turn")(h))
    )
    y = L.Multiply(name="scale")([h, L.Reshape((6, 1), name="expand")(g)])
    return tf_keras.Model(words, L.LSTM(3, name="lstm")(y))


def turned() -> Any:
    """A channels-first mask with a Permute back to channels last."""
    image = L.Input((6, 7, 5), name="image")
    x = L.Conv2D(11, 3, padding="same", name="conv")(image)
    m = L.Permute((3, 1, 2), name="turn")(x)
    m = L.Dense(7, activation="sigmoid", name="mask")(m)
    y = L.Multiply(name="scale")([x, L.Permute((2, 3, 1), name="back")(m)])
    return tf_keras.Model(image, y)


def distributed() -> Any:
    """The gate in a model inside a TimeDistributed."""
    x = L.Input((6, 7, 11), name="inner_x")
    inner = tf_keras.Model(x, L.Multiply(name="scale")([x, _gate(x, "gate", "expand")]), name="inner")
    video = L.Input((4, 6, 7, 11), name="video")
    return tf_keras.Model(video, L.TimeDistributed(inner, name="each")(video))


def sequential() -> Any:
    """A sequential model with a functional one inside."""
    x = L.Input((6, 7, 11), name="inner_x")
    inner = tf_keras.Model(x, L.Multiply(name="scale")([x, _gate(x, "gate", "expand")]), name="inner")
    return tf_keras.Sequential(
        [L.InputLayer((6, 7, 5)), L.Conv2D(11, 1, name="conv"), inner, L.Dense(2, name="head")]
    )


def function_beside() -> Any:
    """A function of TensorFlow beside the gate."""
    image = L.Input((6, 7, 5), name="image")
    x = L.Conv2D(11, 3, padding="same", name="conv")(image)
    y = L.Multiply(name="scale")([x, _gate(x, "gate")])
    z = L.Dense(11, name="side")(x) * 2.0
    return tf_keras.Model(image, [L.Dense(11, name="head")(y), z])


def mixed() -> Any:
    """A gate in float16, in a model that ends in float32."""
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        image = L.Input((6, 7, 5), name="image")
        x = L.Conv2D(11, 3, padding="same", name="conv")(image)
        y = L.Multiply(name="scale")([x, _gate(x, "gate")])
        return tf_keras.Model(image, L.Dense(4, name="head", dtype="float32")(y))
    finally:
        tf_keras.mixed_precision.set_global_policy(before)


def cast() -> Any:
    """A gate of zeros and ones, cast from a comparison."""
    image = L.Input((6, 7, 5), name="image")
    x = L.Conv2D(11, 3, padding="same", name="conv")(image)
    g = tf.cast(_gate(x, "gate") > 0.5, "float32")
    y = L.Multiply(name="scale")([x, L.Reshape((6, 1, 1), name="expand")(L.Reshape((6,), name="flat")(g))])
    return tf_keras.Model(image, L.Dense(4, name="head")(y))


def operator() -> Any:
    """The gate multiplied by ``*``, among functions, some of which become several operations in Keras 3."""
    image = L.Input((6, 7, 5), name="image")
    x = tf.nn.relu(L.Conv2D(11, 3, padding="same", name="conv")(image))
    g = tf.clip_by_value(_gate(x, "gate", "expand"), 0.2, 0.8)
    y = tf.clip_by_value(x * g, -1.0, 1.0)
    return tf_keras.Model(image, [L.Dense(4, name="head")(y), L.Dense(4, name="side")(x)])


def operator_direct() -> Any:
    """The gate multiplied by ``*`` right after the Reshape."""
    image = L.Input((6, 7, 5), name="image")
    x = L.Conv2D(11, 3, padding="same", name="conv")(image)
    y = _gate(x, "gate", "expand") * tf.identity(x)
    return tf_keras.Model(image, L.Dense(4, name="head")(tf.identity(y) + 1.0))


def product() -> Any:
    """Rows of weights times values."""
    a, v = L.Input((5, 6), name="a"), L.Input((6, 7), name="v")
    y = L.Dot(axes=(2, 1), name="mix")([L.Dense(6, name="weights")(a), L.Dense(7, name="values")(v)])
    return tf_keras.Model([a, v], [y, L.Dense(3, name="head")(y)])


def product_of_images() -> Any:
    """A product of matrices for each channel, which no layer computes."""
    a, v = L.Input((4, 5, 6), name="a"), L.Input((4, 6, 7), name="v")
    y = tf.linalg.matmul(L.Dense(6, name="weights")(a), L.Dense(7, name="values")(v))
    return tf_keras.Model([a, v], [y, L.Dense(3, name="head")(y)])


@tf_keras.saving.register_keras_serializable("old_form")
class Own(L.Layer):
    """A custom layer with a weight."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight("factor", shape=shape[-1:], initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.factor


def own_layer() -> Any:
    """A custom layer of unknown class, in a model where the order of the other layers changes."""
    model = order_changes()
    first, second = model.outputs
    return tf_keras.Model(model.inputs, [Own(name="own")(first), Own(name="own_2")(second)])


CASES = {
    "se": Case(se, ("gate_expand",)),
    "two_gates": Case(two_gates, ("a_expand", "b_expand")),
    "two_gates_one": Case(two_gates, ("b_expand",)),
    "order_changes": Case(order_changes, ("expand",)),
    "own_layer": Case(own_layer, ("expand",)),
    "nested": Case(nested, ("expand",)),
    "nested_twice": Case(nested_twice, ("expand",)),
    "shared": Case(shared, ("expand_a", "expand_b")),
    "shared_one": Case(shared, ("expand_a",)),
    "two_outputs": Case(two_outputs, ("expand",)),
    "spatial": Case(spatial, ("lift",)),
    "sequence": Case(sequence, ("expand",)),
    "masked": Case(masked, ("expand",)),
    "turned": Case(turned, ("back",), {"scale": "b h w c, b c h w -> b h w c"}),
    "distributed": Case(distributed, ("expand",)),
    "sequential": Case(sequential, ("expand",)),
    "function_beside": Case(function_beside, ("gate_expand",)),
    "mixed": Case(mixed, ("gate_expand",)),
    "cast": Case(cast, ("expand",)),
    "operator": Case(operator, ("expand",)),
    "operator_direct": Case(operator_direct, ("expand",)),
    "product": Case(product, (), {"mix": "b i j, b j k -> b i k"}, {"Dot": "Multiply"}),
    "product_of_images": Case(
        product_of_images,
        (),
        {"tf.linalg.matmul": "b c i j, b c j k -> b c i k"},
        {"linalg.matmul": "math.multiply"},
    ),
}
