"""Random small networks on images: windows, merges, reductions, reshapes, permutations."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

L, ops = keras.layers, keras.ops


class _Maker:
    """Builds a network from an input, one random step at a time; ``images`` and ``vectors`` are its tensors so far."""

    def __init__(self, seed: int, dimensions: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.dimensions = dimensions
        sizes = [int(n) for n in self.rng.choice([4, 5, 6, 7], dimensions)]
        self.given = keras.Input((*sizes, int(self.rng.integers(1, 4))))
        self.images: list[Any] = [self.given]
        self.vectors: list[Any] = []

    def one(self, tensors: list[Any]) -> Any:
        return tensors[int(self.rng.integers(max(0, len(tensors) - 3), len(tensors)))]

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    # -- steps, each on an image x[B, S..., C] -----------------------------
    def conv(self, x: Any) -> Any:
        options = {"padding": ["same", "valid"][self.number(0, 2)], "use_bias": self.number(0, 2) == 1}
        if min(x.shape[1:-1]) < 3:
            options["padding"] = "same"
        layer = getattr(L, f"Conv{self.dimensions}D")
        return layer(self.number(1, 5), self.number(1, 4), strides=self.number(1, 3), **options)(x)

    def grouped(self, x: Any) -> Any:
        channels = x.shape[-1]
        layer = getattr(L, f"Conv{self.dimensions}D")
        return layer(channels * 2, 2, padding="same", groups=channels)(x)

    def transposed(self, x: Any) -> Any:
        if max(x.shape[1:-1]) > 12:
            return x
        return getattr(L, f"Conv{self.dimensions}DTranspose")(3, 2, strides=2, padding="same")(x)

    def pool(self, x: Any) -> Any:
        kind = ["Max", "Average"][self.number(0, 2)]
        return getattr(L, f"{kind}Pooling{self.dimensions}D")(2, padding="same")(x)

    def norm(self, x: Any) -> Any:
        return L.BatchNormalization()(x)

    def layer_norm(self, x: Any) -> Any:
        return L.LayerNormalization()(x)

    def activation(self, x: Any) -> Any:
        return L.Activation(["relu", "silu", "sigmoid", "hard_silu", "gelu", "softmax"][self.number(0, 6)])(x)

    def prelu(self, x: Any) -> Any:
        return L.PReLU(shared_axes=list(range(1, self.dimensions + 1)))(x)

    def arithmetic(self, x: Any) -> Any:
        value = self.rng.normal(0, 1, [1, x.shape[-1]][self.number(0, 2)]).astype("float32")
        return [ops.add, ops.multiply, ops.subtract, ops.maximum][self.number(0, 4)](x, value)

    def reversed_arithmetic(self, x: Any) -> Any:
        value = self.rng.normal(0, 1, x.shape[-2:]).astype("float32")
        return [ops.subtract, ops.multiply][self.number(0, 2)](value, x)

    def concat(self, x: Any) -> Any:
        return L.Concatenate(axis=[-1, 1][self.number(0, 2)])([x, self.activation(x)])

    def merge(self, x: Any) -> Any:
        same = [y for y in self.images if y.shape == x.shape]
        return [L.Add(), L.Multiply(), L.Maximum()][self.number(0, 3)]([x, self.one(same)])

    def excite(self, x: Any) -> Any:
        gate = getattr(L, f"GlobalAveragePooling{self.dimensions}D")(keepdims=self.number(0, 2) == 1)(x)
        gate = L.Reshape((1,) * self.dimensions + (x.shape[-1],))(gate)
        conv = getattr(L, f"Conv{self.dimensions}D")
        gate = conv(x.shape[-1], 1, activation="sigmoid")(conv(2, 1, activation="relu")(gate))
        return L.Multiply()([x, gate])

    def excite_dense(self, x: Any) -> Any:
        gate = L.Dense(x.shape[-1], activation="sigmoid")(
            ops.max(x, axis=tuple(range(1, self.dimensions + 1)))
        )
        self.vectors.append(gate)
        return x * ops.expand_dims(gate, tuple(range(1, self.dimensions + 1)))

    def spatial_gate(self, x: Any) -> Any:
        return x * ops.sigmoid(ops.mean(x, axis=-1, keepdims=True))

    def dense(self, x: Any) -> Any:
        return L.Dense(self.number(1, 5))(x)

    def split(self, x: Any) -> Any:
        axis = self.number(1, len(x.shape))
        half = x.shape[axis] // 2
        return ops.split(x, [half], axis=axis)[1] if half else x

    def crop(self, x: Any) -> Any:
        return x[:, 1:] if x.shape[1] > 3 else x[..., ::-1]

    def pad(self, x: Any) -> Any:
        return getattr(L, f"ZeroPadding{self.dimensions}D")(1)(x) if max(x.shape[1:-1]) < 12 else x

    def permute(self, x: Any) -> Any:
        order = self.rng.permutation(np.arange(1, len(x.shape)))
        return L.Permute([int(n) for n in order])(x)

    def there_and_back(self, x: Any) -> Any:
        flat = L.Reshape((-1, x.shape[-1]))(x)
        flat = [ops.tanh, L.LayerNormalization(), L.Dense(x.shape[-1])][self.number(0, 3)](flat)
        return L.Reshape(x.shape[1:])(flat)

    def flatten(self, x: Any) -> Any:
        return L.Reshape(x.shape[1:])(L.Flatten()(x))

    def row(self, x: Any) -> Any:
        axis = self.number(1, len(x.shape))
        return x + ops.max(x, axis=axis, keepdims=True)

    def row_dropped(self, x: Any) -> Any:
        axis = self.number(1, len(x.shape))
        return x - ops.expand_dims(ops.sum(x, axis=axis), axis)

    def lower_rank(self, x: Any) -> Any:
        return ops.add(ops.mean(x, axis=0), x)

    def repeat(self, x: Any) -> Any:
        return getattr(L, f"UpSampling{self.dimensions}D")(2)(x) if max(x.shape[1:-1]) < 7 else x

    def softmax(self, x: Any) -> Any:
        return L.Softmax(axis=self.number(1, len(x.shape)))(x)

    def narrow(self, x: Any) -> Any:
        return getattr(L, f"Conv{self.dimensions}D")(1, 1)(x)

    def shift(self, x: Any) -> Any:
        return ops.roll(x, 1, axis=self.number(1, len(x.shape)))

    def masked(self, x: Any) -> Any:
        return ops.where(x > 0, x, ops.mean(x, axis=-1, keepdims=True))


_WINDOWS = ("conv", "conv", "conv", "grouped", "transposed", "pool", "norm", "activation")
_OTHERS = tuple(
    name for name in vars(_Maker) if not name.startswith("_") and name not in (*_WINDOWS, "one", "number")
)


def network(seed: int) -> tuple[Any, list[str]]:
    """A network of 4 to 14 steps, with one to three outputs, and the names of its steps."""
    keras.backend.clear_session()
    first = np.random.default_rng(seed)
    maker = _Maker(seed, int(first.choice([1, 2, 2, 2, 3])))
    done: list[str] = []
    for _ in range(int(first.integers(4, 15))):
        name = str(first.choice(_WINDOWS if first.random() < 0.55 else _OTHERS))
        x = maker.one(maker.images)
        y = getattr(maker, name)(x)
        if y is x or min(y.shape[1:]) == 0 or np.prod(y.shape[1:]) > 20_000:
            continue
        done.append(name)
        maker.images.append(y)
    outputs = [maker.images[-1]]
    if first.random() < 0.4:
        outputs.append(maker.one(maker.images[1:] or outputs))
    if first.random() < 0.5:
        outputs.append(L.Dense(3)(L.Flatten()(maker.one(maker.images))))
    unique = list({id(y): y for y in outputs if y is not maker.given}.values()) or [L.ReLU()(maker.given)]
    return keras.Model(maker.given, unique), done
