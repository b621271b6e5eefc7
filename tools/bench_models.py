"""Models of the part `fusions` of `bench.py`: one process per model, `python tools/bench_models.py NAME OUT.keras`.

Networks of the kinds that are exported most, small enough that a run takes milliseconds: the weights are random.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.architectures import ARCHITECTURES
from tools.architectures.parts import randomise


def _encoder(x: Any, heads: int, hidden: int) -> Any:
    """A pre-norm block on ``x[B, T, D]``."""
    width = x.shape[-1]
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = x + layers.MultiHeadAttention(heads, width // heads)(y, y)
    y = layers.Dense(hidden, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
    return x + layers.Dense(width)(y)


def vit(size: int = 64, patch: int = 8, width: int = 96, depth: int = 4) -> keras.Model:
    """Vision Transformer (arXiv:2010.11929): patches by a convolution, a class token, learnt positions."""
    image = keras.Input((size, size, 3))
    count = (size // patch) ** 2
    x = layers.Reshape((count, width))(layers.Conv2D(width, patch, strides=patch)(image))
    token = ops.zeros_like(x[:, :1]) + np.linspace(-1, 1, width, dtype="float32")
    x = layers.Concatenate(axis=1)([token, x])
    x = x + layers.Embedding(count + 1, width)(ops.arange(count + 1))
    for _ in range(depth):
        x = _encoder(x, 4, 4 * width)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    return keras.Model(image, layers.Dense(10)(x[:, 0]), name="vit")


def swin(size: int = 32, width: int = 48, window: int = 4, depth: int = 4) -> keras.Model:
    """Swin (arXiv:2103.14030): windows, shifted in every second block, with written-out heads and position biases."""
    image = keras.Input((size, size, 3))
    x = layers.LayerNormalization()(layers.Conv2D(width, 2, strides=2)(image))
    side, heads, area = size // 2, 4, window * window
    n = side // window
    rng = np.random.default_rng(0)
    for block in range(depth):
        shift = window // 2 if block % 2 else 0
        y = layers.LayerNormalization()(x)
        if shift:
            y = ops.roll(y, (-shift, -shift), axis=(1, 2))
        y = ops.reshape(y, (-1, n, window, n, window, width))
        y = ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, area, width))
        qkv = ops.reshape(layers.Dense(3 * width)(y), (-1, area, 3, heads, width // heads))
        q, k, v = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3, axis=0)
        scores = ops.matmul(q * (width // heads) ** -0.5, ops.transpose(k, (0, 1, 3, 2)))
        scores = scores + rng.normal(0, 1, (heads, area, area)).astype("float32")
        y = ops.transpose(ops.matmul(ops.softmax(scores), v), (0, 2, 1, 3))
        y = layers.Dense(width)(ops.reshape(y, (-1, area, width)))
        y = ops.transpose(ops.reshape(y, (-1, n, n, window, window, width)), (0, 1, 3, 2, 4, 5))
        y = ops.reshape(y, (-1, side, side, width))
        if shift:
            y = ops.roll(y, (shift, shift), axis=(1, 2))
        x = x + y
        y = layers.Dense(4 * width, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(width)(y)
    x = layers.GlobalAveragePooling2D()(layers.LayerNormalization()(x))
    return keras.Model(image, layers.Dense(10)(x), name="swin")


def mobilevit(size: int = 64, width: int = 48, patch: int = 2) -> keras.Model:
    """MobileViT (arXiv:2110.02178): inverted residuals, and transformers over the same pixel of all patches."""
    image = keras.Input((size, size, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="silu")(image)
    for filters, strides in ((24, 2), (32, 2)):
        y = layers.Conv2D(2 * x.shape[-1], 1, activation="silu")(x)
        y = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(y)
        y = layers.Activation("silu")(layers.BatchNormalization()(y))
        x = layers.BatchNormalization()(layers.Conv2D(filters, 1)(y))
    for _ in range(2):
        y = layers.Conv2D(width, 1)(layers.Conv2D(x.shape[-1], 3, padding="same", activation="silu")(x))
        side = y.shape[1]
        y = layers.Reshape((patch * patch, side * side // (patch * patch), width))(y)
        for _ in range(2):
            z = layers.LayerNormalization()(y)
            y = layers.Add()([y, layers.MultiHeadAttention(2, width // 2, attention_axes=2)(z, z)])
            z = layers.Dense(2 * width, activation="silu")(layers.LayerNormalization()(y))
            y = layers.Add()([y, layers.Dense(width)(z)])
        y = layers.Conv2D(x.shape[-1], 1, activation="silu")(layers.Reshape((side, side, width))(y))
        x = layers.Conv2D(x.shape[-1], 3, padding="same")(layers.Concatenate()([x, y]))
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)), name="mobilevit")


def _rotated(x: Any, cosine: Any, sine: Any) -> Any:
    """The rotary embedding (arXiv:2104.09864) of ``x[B, T, H, K]``, halves rotated; ``cosine[T, 1, K]``."""
    a, b = ops.split(x, 2, axis=-1)
    return x * cosine + ops.concatenate([-b, a], axis=-1) * sine


def _heads(x: Any, heads: int, size: int) -> Any:
    """``[B, T, D] -> [B, T, H, K]``, T open."""
    return layers.Reshape((-1, heads, size))(layers.Dense(heads * size, use_bias=False)(x))


def _swiglu(x: Any, hidden: int) -> Any:
    y = layers.Dense(hidden, activation="silu", use_bias=False)(x) * layers.Dense(hidden, use_bias=False)(x)
    return layers.Dense(x.shape[-1], use_bias=False)(y)


def _written_norm(x: Any) -> Any:
    return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6)


def _angles(positions: Any, size: int) -> tuple[Any, Any]:
    """Cosines and sines ``[T, 1, K]`` of the rotary embedding at positions ``[T]``."""
    rates = (10000.0 ** (-np.arange(0, size, 2) / size)).astype("float32")
    angles = ops.expand_dims(ops.cast(positions, "float32"), -1) * rates
    angles = ops.expand_dims(ops.concatenate([angles, angles], axis=-1), 1)
    return ops.cos(angles), ops.sin(angles)


def llama(width: int = 128, heads: int = 4, depth: int = 4, time: int | None = None) -> keras.Model:
    """A decoder of Llama's kind (arXiv:2302.13971) on sequences of open length: two queries share a key."""
    tokens = keras.Input((time,), dtype="int32")
    x = layers.Embedding(512, width)(tokens)
    size = width // heads
    places = ops.cumsum(ops.ones_like(tokens[0])) - 1
    cosine, sine = _angles(places, size)
    for n in range(depth):
        y = layers.RMSNormalization(epsilon=1e-6)(x) if n % 2 else _written_norm(x)
        q = _rotated(_heads(y, heads, size), cosine, sine)
        k, v = _rotated(_heads(y, heads // 2, size), cosine, sine), _heads(y, heads // 2, size)
        k, v = ops.repeat(k, 2, axis=2), ops.repeat(v, 2, axis=2)
        q, k, v = (ops.transpose(t, (0, 2, 1, 3)) for t in (q, k, v))
        scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / float(np.sqrt(size))
        seen = ops.expand_dims(places, 1) >= ops.expand_dims(places, 0)
        scores = ops.where(seen, scores, -1e9)
        y = ops.transpose(ops.matmul(ops.softmax(scores), v), (0, 2, 1, 3))
        x = x + layers.Dense(width, use_bias=False)(layers.Reshape((-1, width))(y))
        x = x + _swiglu(layers.RMSNormalization(epsilon=1e-6)(x), 3 * width)
    x = layers.RMSNormalization(epsilon=1e-6)(x)
    return keras.Model(tokens, layers.Dense(512, use_bias=False)(x), name="llama")


def kv_cache(width: int = 128, heads: int = 4, depth: int = 4) -> keras.Model:
    """One step of a decoder with the keys and values of the earlier steps as inputs, and the longer ones as outputs."""
    token, place = keras.Input((1,), dtype="int32"), keras.Input((1,), dtype="int32", name="place")
    size = width // heads
    x, caches, grown = layers.Embedding(512, width)(token), [], []
    cosine, sine = _angles(place, size)
    cosine, sine = ops.expand_dims(cosine[:, 0], 1), ops.expand_dims(sine[:, 0], 1)
    for n in range(depth):
        y = layers.RMSNormalization(epsilon=1e-6)(x)
        q, k, v = (_heads(y, heads, size) for _ in range(3))
        q, k = _rotated(q, cosine, sine), _rotated(k, cosine, sine)
        q, k, v = (ops.transpose(t, (0, 2, 1, 3)) for t in (q, k, v))
        past = [keras.Input((heads, None, size), name=f"{kind}_{n}") for kind in ("key", "value")]
        caches += past
        k, v = (ops.concatenate(pair, axis=2) for pair in zip(past, (k, v), strict=True))
        grown += [k, v]
        scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / float(np.sqrt(size))
        y = ops.transpose(ops.matmul(ops.softmax(scores), v), (0, 2, 1, 3))
        x = x + layers.Dense(width, use_bias=False)(layers.Reshape((1, width))(y))
        x = x + _swiglu(layers.RMSNormalization(epsilon=1e-6)(x), 3 * width)
    logits = layers.Dense(512, use_bias=False)(layers.RMSNormalization(epsilon=1e-6)(x))
    return keras.Model([token, place, *caches], [logits, *grown], name="kv_cache")


def bert(width: int = 128, depth: int = 4, time: int = 48) -> keras.Model:
    """A post-norm encoder with a padding mask and with its normalisation and GELU written out."""
    tokens, mask = keras.Input((time,), dtype="int32"), keras.Input((time,), dtype="bool")
    x = layers.Embedding(512, width)(tokens)
    x = x + np.random.default_rng(0).normal(0, 1, (time, width)).astype("float32")
    for _ in range(depth):
        y = layers.MultiHeadAttention(4, width // 4)(x, x, attention_mask=ops.expand_dims(mask, 1))
        x = _written_layer_norm(x + y)
        y = layers.Dense(4 * width)(x)
        y = y * 0.5 * (1.0 + ops.erf(y / float(np.sqrt(2))))
        x = _written_layer_norm(x + layers.Dense(width)(y))
    return keras.Model([tokens, mask], layers.Dense(3)(x[:, 0]), name="bert")


def _written_layer_norm(x: Any) -> Any:
    apart = x - ops.mean(x, axis=-1, keepdims=True)
    return apart / ops.sqrt(ops.mean(ops.square(apart), axis=-1, keepdims=True) + 1e-6)


def _application(name: str, **options: Any) -> Callable[[], keras.Model]:
    return lambda: getattr(keras.applications, name)(weights=None, classes=10, **options)


MODELS: dict[str, Callable[[], keras.Model]] = {
    "MobileNetV3Small": _application("MobileNetV3Small", input_shape=(96, 96, 3)),
    "EfficientNetB0": _application("EfficientNetB0", input_shape=(96, 96, 3)),
    "ConvNeXtTiny": _application("ConvNeXtTiny", input_shape=(64, 64, 3)),
    "vit": vit,
    "swin": swin,
    "mobilevit": mobilevit,
    "bert": bert,
    "llama": llama,
    "kv_cache": kv_cache,
    "WaveNet": lambda: ARCHITECTURES["WaveNet"].build(t=64, c=32),
    "BiLSTM": lambda: ARCHITECTURES["BiLSTM attention"].build(t=64, d=32),
    "gMLP": lambda: ARCHITECTURES["gMLP"].build(t=64, d=64),
}


if __name__ == "__main__":
    randomise(MODELS[sys.argv[1]]()).save(sys.argv[2])
