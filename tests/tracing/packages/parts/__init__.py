"""A small package of layers with code of their own, as a user has them."""

from __future__ import annotations

import os
import sys
from typing import Any

import keras
import numpy as np
from keras import ops

# Shows that the package was imported.
if mark := os.environ.get("PARTS_IMPORTED"):
    with open(mark, "a") as file:
        file.write("imported\n")

registered = keras.saving.register_keras_serializable("parts")
ALONG = np.array([1.0, -2.0, 0.5, 3.0], "float32")


def scaled_tanh(x: Any) -> Any:
    return 1.7 * ops.tanh(0.6 * x)


@registered
class Gate(keras.layers.Layer):
    """Squeeze and excitation; ``fits=False`` leaves out the Reshape of the gate."""

    def __init__(self, fits: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fits = fits

    def build(self, shape: Any) -> None:
        same = {"dtype": self.dtype_policy}
        self.squeeze = keras.layers.Dense(3, activation=scaled_tanh, name="squeeze", **same)
        self.excite = keras.layers.Dense(shape[-1], activation="sigmoid", name="excite", **same)
        self.squeeze.build((None, shape[-1]))
        self.excite.build((None, 3))
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x: Any) -> Any:
        gate = self.excite(self.squeeze(ops.mean(x, axis=(1, 2))))
        gate = self.scale * gate + 1.0
        if self.fits:
            gate = ops.reshape(gate, (ops.shape(x)[0], 1, 1, -1))
        return x * gate

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fits": self.fits}


@registered
class Attend(keras.layers.Layer):
    """Causal attention over open sequences, in heads of its own making."""

    def __init__(self, heads: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, shape: Any) -> None:
        self.parts = [keras.layers.Dense(shape[-1], name=name) for name in ("query", "key", "value")]
        for part in self.parts:
            part.build(shape)
        self.dropout = keras.layers.Dropout(0.5)

    def split(self, x: Any) -> Any:
        batch, steps = ops.shape(x)[:2]
        return ops.transpose(ops.reshape(x, (batch, steps, self.heads, -1)), (0, 2, 1, 3))

    def call(self, x: Any, training: bool | None = None) -> Any:
        batch, steps, width = ops.shape(x)
        query, key, value = (self.split(part(x)) for part in self.parts)
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / width**0.5
        places = ops.arange(steps)
        hidden = ops.expand_dims(places, 0) > ops.expand_dims(places, 1)
        scores = ops.where(hidden, -1e9, scores)
        mixed = ops.transpose(ops.matmul(ops.softmax(scores), value), (0, 2, 1, 3))
        return self.dropout(ops.reshape(mixed, (batch, steps, width)), training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}


@registered
class Block(keras.layers.Layer):
    """A layer of this package that holds another one, twice in a row, and a shared layer."""

    def build(self, shape: Any) -> None:
        self.attend, self.norm = Attend(), keras.layers.LayerNormalization()
        self.attend.build(shape)
        self.norm.build(shape)

    def call(self, x: Any) -> Any:
        x = x + self.attend(self.norm(x))
        return {"out": x + self.attend(self.norm(x)), "first": x[:, 0], "none": None}["out"]


@registered
class Numbers(keras.layers.Layer):
    """Sizes, arrays and variables in arithmetic on both sides of operators."""

    def build(self, shape: Any) -> None:
        self.bias = self.add_weight(shape=(1, shape[-1]), name="bias")
        self.table = self.add_weight(shape=(9, shape[-1]), name="table")

    def call(self, x: Any) -> Any:
        steps = ops.shape(x)[1]
        x = ALONG * x + self.table[:steps]
        x = 2.0 - self.bias * x / (1.0 + ops.abs(self.bias))
        padded = ops.concatenate([ops.zeros((ops.shape(x)[0], steps, 1)), x], axis=-1)
        tiled = ops.tile(ops.expand_dims(self.bias, 0), (ops.shape(x)[0], steps, 1))
        doubled = ops.broadcast_to(tiled, (ops.shape(x)[0], steps, 4)) * ops.cast(steps * 2 - 1, "float32")
        return ops.concatenate([padded, doubled], axis=-1)


@registered
class Indices(keras.layers.Layer):
    """Indices with sizes as bounds, functions of the framework beneath Keras, and layers made with odd arguments."""

    def build(self, shape: Any) -> None:
        self.alike = keras.layers.Identity(dtype=self.dtype_policy)
        self.alike.build(shape)

    def call(self, x: Any) -> Any:
        steps = ops.shape(x)[1]
        first, last = x[:, : steps - 1], x[:, steps - 1 :, :]
        places = ops.cast(ops.arange(steps)[None], x.dtype)[..., None]
        x = ops.concatenate([last, first * 2.0], axis=1) + places + x[..., :steps, :]
        if keras.config.backend() == "tensorflow":
            import tensorflow

            return tensorflow.nn.relu(self.alike(x))
        return ops.relu(self.alike(ops.repeat(x, 2, axis=2)[..., ::2]))


@registered
class Places(keras.layers.Layer):
    """``==``, ranges that run down between sizes, a rank, padding by a size, and a size 1 that Keras loses."""

    def build(self, shape: Any) -> None:
        self.project = keras.layers.EinsumDense("btd,dnh->btnh", (None, 2, 3))
        self.project.build(shape)

    def call(self, x: Any) -> Any:
        steps = ops.shape(x)[1]
        places = ops.arange(steps)
        own = ops.where(ops.expand_dims(places, -1) == places, 2.0, -1.0)
        first = 1.0 if x == None else ops.where(ops.round(x) == 1.0, 3.0, x)  # noqa: E711
        down = ops.cast(ops.arange(steps + 1, -steps, -2.0), x.dtype)
        own = own + ops.pad(ops.ones((steps, 1)), ((0, 0), (0, steps - 1)), constant_values=-0.5)
        own = ops.pad(own, ((steps, 0), (1, 2)), constant_values=0.25)
        own = ops.matmul(ops.transpose(own), own)[:steps, :steps]
        count = ops.sum(ops.ones((ops.shape(down)[0], ops.shape(x)[0])), axis=0)
        mean = ops.squeeze(self.project(ops.mean(x, axis=1, keepdims=True)), 1)
        total = ops.sum(mean, axis=(1, 2)) + count * ops.sum(down) * ops.ndim(x)
        return ops.matmul(own, first) + ops.reshape(total, (-1, 1, 1))


@registered
class Marked(keras.layers.Layer):
    """An embedding that makes a mask."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=(8, 4), name="table")
        self.supports_masking = True

    def call(self, x: Any) -> Any:
        return ops.take(self.table, x, axis=0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.not_equal(inputs, 0)


@registered
class Masking(keras.layers.Layer):
    """A layer that takes a mask, and passes it on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x: Any, mask: Any = None) -> Any:
        if mask is None:
            return x
        return x * ops.expand_dims(ops.cast(mask, x.dtype), -1) + 1.0


@registered
class Net(keras.Model):
    """A subclassed model."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(4, activation="relu")
        self.block = Block()
        self.last = keras.layers.Dense(3)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.last(self.block(self.first(x)))


@registered
class Faulty(keras.Model):
    """A subclassed model with a fault in its own code."""

    def call(self, x: Any) -> Any:
        return x * ops.mean(x, axis=1)


@registered
class Sum(keras.layers.Layer):
    """A layer with two calls that compute different things."""

    def call(self, x: Any, twice: bool = False) -> Any:
        return x + x if twice else x + 1.0


# -- code that is not a graph of ops -----------------------------
class Alike(keras.layers.Layer):
    """Its result has the shape of its operand, so Keras does not run the code to load it."""

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


@registered
class Unnamed(Alike):
    """A layer whose configuration leaves out its name: Keras numbers it anew."""

    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape: Any) -> None:
        self.shift = self.add_weight(shape=(shape[-1],), name="shift")

    def call(self, x: Any) -> Any:
        self.add_loss(ops.mean(x))
        return ops.sin(x * self.factor + self.shift) if ops.is_tensor(x) else x

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor}


@registered
class Trains(Alike):
    def call(self, x: Any, training: bool | None = None) -> Any:
        return x * 0.0 if training else x


@registered
class LooksUp(Alike):
    def call(self, x: Any) -> Any:
        return x * {6: 2.0}.get(ops.shape(x)[0], 3.0)


@registered
class Writes(Alike):
    def call(self, x: Any) -> Any:
        return x * (2.0 if f"{ops.shape(x)[0]}" == "6" else 3.0)


@registered
class Dice(Alike):
    def call(self, x: Any) -> Any:
        return x + np.random.default_rng().normal(size=4).astype("float32")


@registered
class Draws(Alike):
    def call(self, x: Any) -> Any:
        return x + keras.random.normal((4,))


@registered
class Branches(Alike):
    def call(self, x: Any) -> Any:
        return x if ops.sum(x) > 0 else -x


@registered
class Alone(Alike):
    def call(self, x: Any) -> Any:
        return -x if ops.shape(x)[0] == 1 else x


@registered
class Counts(Alike):
    def build(self, shape: Any) -> None:
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.seen.assign_add(1.0)
        return x * self.seen


@registered
class Makes(Alike):
    def call(self, x: Any) -> Any:
        return keras.layers.Dense(4)(x)


@registered
class Scans(Alike):
    def call(self, x: Any) -> Any:
        return ops.scan(lambda c, y: (c + y, c), ops.zeros((4,)), ops.transpose(x, (1, 0, 2)))[0]


@registered
class Ends(Alike):
    """Ends its process, or raises, as PARTS_ENDS says."""

    def call(self, x: Any) -> Any:
        match os.environ.get("PARTS_ENDS"):
            case "sys":
                sys.exit("bye")
            case "os":
                os._exit(0)
            case "memory":
                raise MemoryError
            case "empty":
                raise ValueError
            case "error":
                raise ValueError("boom")
        return x
