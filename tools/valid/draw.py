"""Random choices for idioms: sizes, tensors of the usual kinds, and the spellings of one operation."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

PRIMES = (2, 3, 5, 7, 11)
SMALL = (2, 3, 4, 5, 6)
RANKS = {"vector": 2, "sequence": 3, "image": 4, "first": 4, "volume": 5}

PRODUCTS = (ops.multiply, lambda a, b: a * b)
SUMS = (ops.add, ops.subtract, ops.maximum, ops.minimum, lambda a, b: a + b, lambda a, b: a - b)
LAYERS = {"product": (layers.Multiply,), "sum": (layers.Add, layers.Subtract, layers.Maximum, layers.Minimum)}


class Draw:
    """Random choices for one model. Sizes come from a small palette, so that they are often equal.

    ``batch`` is the batch size of every input, or None. ``tensors`` are the tensors that other idioms may use.
    """

    def __init__(self, seed: str, batch: str = "any") -> None:
        self.random = random.Random(seed)
        self.palette = self._palette()
        self.batch = self._batch(batch)
        self.inputs: list[Any] = []
        self.tensors: dict[str, list[Any]] = {kind: [] for kind in RANKS}

    def _palette(self) -> list[int]:
        kind = self.pick("equal", "equal", "few", "primes")
        if kind == "equal":
            return [self.pick(*SMALL)]
        return self.random.sample(SMALL, 2) if kind == "few" else self.random.sample(PRIMES, 4)

    def _batch(self, wanted: str) -> int | None:
        if wanted == "one":
            return 1
        if wanted == "fixed" or (wanted == "any" and self.coin(0.12)):
            return self.pick(1, 4, self.size())
        return None

    # -- choices -----------------------------
    def pick(self, *options: Any) -> Any:
        """One of the options."""
        return self.random.choice(options)

    def coin(self, chance: float = 0.5) -> bool:
        """True with this probability."""
        return self.random.random() < chance

    def size(self) -> int:
        """A size of the model's palette."""
        return self.random.choice(self.palette)

    def constant(self, *shape: int) -> np.ndarray:
        """A NumPy array of random float32 numbers between 0.5 and 1.5."""
        values = np.random.default_rng(self.random.randrange(1 << 30)).uniform(0.5, 1.5, shape)
        return values.astype("float32")

    # -- tensors -----------------------------
    def input(self, *shape: int | None, dtype: str = "float32") -> Any:
        """input(shape) -> [B, shape...]"""
        self.inputs.append(keras.Input(shape, batch_size=self.batch, dtype=dtype))
        return self.inputs[-1]

    def give(self, kind: str, tensor: Any) -> Any:
        """Return the tensor, and let other idioms use it as one of this kind."""
        self.tensors[kind].append(tensor)
        return tensor

    def _known(self, kind: str, fits: Callable[[Any], bool]) -> Any | None:
        found = [x for x in self.tensors[kind] if None not in x.shape[1:] and fits(x)]
        return self.random.choice(found) if found and self.coin(0.6) else None

    def vector(self, d: int | None = None) -> Any:
        """vector() -> [B, D]: an input, the output of a Dense layer, or a tensor of another idiom."""
        known = self._known("vector", lambda x: d in (None, x.shape[1]))
        if known is not None:
            return known
        size = d or self.size()
        if self.coin(0.3):
            return self.give("vector", self.input(size))
        x = self.input(self.size())
        return self.give("vector", layers.Dense(size, activation=self.pick(None, "relu", "tanh"))(x))

    def sequence(self, t: int | None = None, d: int | None = None, open_time: bool = False) -> Any:
        """sequence() -> [B, T, D]; ``open_time`` allows T to be open."""
        known = self._known("sequence", lambda x: t in (None, x.shape[1]) and d in (None, x.shape[2]))
        if known is not None:
            return known
        time, size = t or self.size(), d or self.size()
        if open_time and t is None and self.coin(0.25):
            return layers.Dense(size)(self.input(None, self.size()))
        way = self.pick("input", "dense", "conv", "recurrent", "embedding", "normalised")
        if way == "embedding":
            x = layers.Embedding(8, size)(self.input(time, dtype="int32"))
        elif way == "input":
            x = self.input(time, size)
        elif way == "normalised":
            x = layers.LayerNormalization()(self.input(time, size))
        else:
            x = self.input(time, self.size())
            makers = {
                "dense": layers.Dense(size),
                "conv": layers.Conv1D(size, 3, padding=self.pick("same", "causal")),
                "recurrent": self.pick(layers.GRU, layers.LSTM)(size, return_sequences=True),
            }
            x = makers[way](x)
        return self.give("sequence", x)

    def image(
        self,
        h: int | None = None,
        w: int | None = None,
        c: int | None = None,
        fits: Callable[[Any], bool] = lambda x: True,
        open_places: bool = False,
    ) -> Any:
        """image() -> [B, H, W, C]; ``open_places`` allows H and W to be open."""
        wanted = (h, w, c)

        def suits(x: Any) -> bool:
            return all(n in (None, m) for n, m in zip(wanted, x.shape[1:], strict=True)) and fits(x)

        known = self._known("image", suits)
        if known is not None:
            return known
        channels = c or self.size()
        if open_places and (h, w) == (None, None) and self.coin(0.25):
            return layers.Conv2D(channels, 3, padding="same")(self.input(None, None, self.size()))
        places = (h or self.size(), w or self.size())
        if self.coin(0.25):
            return self.give("image", self.input(*places, channels))
        x = layers.Conv2D(channels, 3, padding="same")(self.input(*places, self.size()))
        return self.give("image", self._activated(x, -1))

    def first(self, square: bool = False) -> Any:
        """first() -> [B, C, H, W]: a channels-first image behind a BatchNormalization of axis 1."""
        known = self._known("first", lambda x: not square or x.shape[2] == x.shape[3])
        if known is not None:
            return known
        h = self.size()
        x = self.input(self.size(), h, h if square else self.size())
        return self.give("first", layers.BatchNormalization(axis=1)(x))

    def _activated(self, x: Any, axis: int) -> Any:
        if self.coin(0.3):
            x = layers.BatchNormalization(axis=axis)(x)
        return layers.Activation(self.pick("relu", "tanh", "sigmoid"))(x) if self.coin(0.4) else x

    def gate(self, x: Any, size: int) -> Any:
        """gate(x[..., K]) -> [..., size]: one or two Dense layers that end in a sigmoid, a tanh or no activation."""
        if self.coin():
            x = layers.Dense(self.size(), activation="relu")(x)
        return layers.Dense(size, activation=self.pick("sigmoid", "sigmoid", "tanh", None))(x)

    def mask(self, t: int) -> Any:
        """mask(T) -> [B, T]: the steps to keep, from an input of numbers, booleans or tokens."""
        way = self.pick("input", "bool", "tokens")
        if way == "input":
            return self.input(t)
        if way == "bool":
            return ops.cast(self.input(t, dtype="bool"), "float32")
        return ops.cast(ops.not_equal(self.input(t, dtype="int32"), 0), "float32")

    # -- spellings -----------------------------
    def times(self, a: Any, b: Any) -> Any:
        """A product, as an operation, an operator, or a layer where the ranks are equal."""
        return self._meet(a, b, PRODUCTS, "product")

    def plus(self, a: Any, b: Any) -> Any:
        """A sum or a similar operation (``SUMS``)."""
        return self._meet(a, b, SUMS, "sum")

    def meet(self, a: Any, b: Any) -> Any:
        """A product or a sum."""
        return self.times(a, b) if self.coin(0.7) else self.plus(a, b)

    def _meet(self, a: Any, b: Any, operations: Sequence[Callable[..., Any]], kind: str) -> Any:
        pair = (a, b) if self.coin(0.6) else (b, a)
        if isinstance(pair[0], np.ndarray):  # NumPy would take the operator to itself
            pair = (ops.convert_to_tensor(pair[0]), pair[1])
        if not all(isinstance(x, keras.KerasTensor) for x in pair):
            return self.pick(*operations)(*pair)
        alike = len(a.shape) == len(b.shape) and a.shape[0] == b.shape[0]
        if alike and self.coin(0.4):
            return self.pick(*LAYERS[kind])()(list(pair))
        return self.pick(*operations)(*pair)

    def expand(self, x: Any, *axes: int) -> Any:
        """expand(x, axes) -> x with unit axes at these places of the result, written in one of six ways."""
        rank = len(x.shape) + len(axes)
        old = iter(x.shape)
        shape = [1 if i in axes else next(old) for i in range(rank)]
        ways = ["at once", "one by one", "index"]
        if 0 not in axes and None not in shape[1:]:
            ways += ["layer", "layer", "operation"]
            if len(x.shape) == 2 and axes[0] == 1:
                ways.append("repeat")
        way = self.pick(*ways)
        if way == "layer":
            return layers.Reshape(shape[1:])(x)
        if way == "operation":
            return ops.reshape(x, (-1 if shape[0] is None else shape[0], *shape[1:]))
        if way == "index":
            return x[tuple(None if i in axes else slice(None) for i in range(rank))]
        if way == "at once":
            return ops.expand_dims(x, axes[0] if len(axes) == 1 else axes)
        if way == "repeat":
            x, axes = layers.RepeatVector(1)(x), axes[1:]
        for axis in axes:
            x = ops.expand_dims(x, axis)
        return x

    def reduce(self, x: Any, *axes: int) -> Any:
        """reduce(x, axes) -> x with those axes of size 1: a statistic that keeps them, or gets them back."""
        axis = axes[0] if len(axes) == 1 else axes
        statistic = self.pick(ops.mean, ops.mean, ops.max, ops.sum)
        if self.coin(0.7):
            return statistic(x, axis=axis, keepdims=True)
        return self.expand(statistic(x, axis=axis), *axes)

    def swap(self, x: Any, first: int, second: int) -> Any:
        """swap(x, i, j) -> x with these two axes exchanged, in one of four ways."""
        order = list(range(len(x.shape)))
        order[first], order[second] = second, first
        ways = ["transpose", "swap", "move"] if abs(first - second) == 1 else ["transpose", "swap"]
        if 0 not in (first, second):
            ways.append("permute")
        way = self.pick(*ways)
        if way == "permute":
            return layers.Permute(order[1:])(x)
        if way == "swap":
            return ops.swapaxes(x, first, second)
        return ops.moveaxis(x, first, second) if way == "move" else ops.transpose(x, order)

    def softmax(self, x: Any, axis: int = -1) -> Any:
        """softmax(x, axis) -> weights that sum to one along it, as an operation, a layer, or its formula."""
        way = self.pick("operation", "layer", "written", "stable", "activation", "masked", "log")
        if way == "activation" and axis == -1:
            return layers.Activation("softmax")(x)
        if way == "layer":
            return layers.Softmax(axis=axis)(x)
        if way == "written":
            e = ops.exp(ops.minimum(x, 30.0))  # masks of random numbers give large ones
            return e / (ops.sum(e, axis=axis, keepdims=True) + 1e-9)
        if way == "stable":
            e = ops.exp(x - ops.max(x, axis=axis, keepdims=True))
            return ops.divide(e, ops.sum(e, axis=axis, keepdims=True))
        if way == "log":
            return ops.exp(x - ops.logsumexp(x, axis=axis, keepdims=True))
        if way == "masked":
            return layers.Dropout(0.1)(ops.softmax(x, axis=axis))
        return ops.softmax(x, axis=axis)
