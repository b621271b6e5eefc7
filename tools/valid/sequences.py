"""Steps and tokens: class tokens, positions, masks, recurrent states, time before the batch, spectra, experts."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from tools.valid.draw import Draw
from tools.valid.idiom import idiom


@idiom()
def class_token(d: Draw) -> Any:
    """A constant token, broadcast over the batch by adding zeros, concatenated in front."""
    x = d.sequence()
    size = x.shape[2]
    zeros = ops.zeros_like(x[:, :1]) if d.coin() else x[:, :1] * 0.0
    token = zeros + d.constant(*d.pick((size,), (1, size), (1, 1, size)))
    return layers.Concatenate(axis=1)([token, x])


@idiom()
def positions(d: Draw) -> Any:
    """A sequence meets a table (T, D) or (1, T, D)."""
    x = d.sequence()
    return d.give("sequence", d.meet(x, d.constant(*d.pick((), (1,)), *x.shape[1:])))


@idiom()
def step_constant(d: Draw) -> Any:
    """A constant for each step: (T, 1) or (1, T, 1)."""
    x = d.sequence()
    return d.give("sequence", d.meet(x, d.constant(*d.pick((), (1,)), x.shape[1], 1)))


@idiom()
def rotary_positions(d: Draw) -> Any:
    """RoPE: exchanged halves and constant angles (T, D), (1, T, D), or (T, 1, D) with heads."""
    t, half = d.size(), d.size()
    if d.coin():
        x = d.sequence(t, 2 * half)
        shape = d.pick((t, 2 * half), (1, t, 2 * half))
    else:
        h = d.size()
        x = layers.Reshape((t, h, 2 * half))(layers.Dense(h * 2 * half)(d.sequence(t)))
        shape = d.pick((t, 1, 2 * half), (1, t, 1, 2 * half))
    turned = ops.concatenate([-x[..., half:], x[..., :half]], axis=-1)
    return x * d.constant(*shape) + turned * d.constant(*shape)


@idiom()
def masked_mean(d: Draw) -> Any:
    """The sum over the kept steps, divided by their number."""
    x = d.sequence()
    keep = d.mask(x.shape[1])
    total = ops.sum(d.times(x, d.expand(keep, 2)), axis=1)
    if d.coin():
        return total / (ops.sum(keep, axis=1, keepdims=True) + 1e-3)
    return total / d.expand(ops.sum(keep, axis=1) + 1e-3, 1)


@idiom()
def weights_of_tokens(d: Draw) -> Any:
    """Embeddings times one weight for each token, an embedding of size 1."""
    t = d.size()
    tokens = d.input(t, dtype="int32")
    x = layers.Embedding(8, d.size())(tokens)
    return d.give("sequence", d.times(x, layers.Embedding(8, 1)(tokens)))


@idiom()
def query_at_every_step(d: Draw) -> Any:
    """A vector meets every step, through RepeatVector or a unit axis."""
    x = d.sequence()
    q = d.vector(x.shape[2])
    repeated = layers.RepeatVector(x.shape[1])(q) if d.coin() else d.expand(q, 1)
    y = d.times(x, repeated)
    return d.give("sequence", d.times(y, layers.Dense(1, activation="sigmoid")(y)) if d.coin() else y)


@idiom()
def history_and_candidate(d: Draw) -> Any:
    """DIN: history, candidate, difference and product concatenated, one score for each step."""
    x = d.sequence()
    q = layers.RepeatVector(x.shape[1])(d.vector(x.shape[2]))
    joined = layers.Concatenate()([x, q, x - q, d.times(x, q)])
    return ops.sum(d.times(x, layers.Dense(1, activation="sigmoid")(joined)), axis=1)


@idiom()
def recurrent_states(d: Draw) -> Any:
    """The last states gate every step; the layer has several outputs."""
    x = d.sequence()
    n = x.shape[2]
    if d.coin():
        steps, last, cell = layers.LSTM(n, return_sequences=True, return_state=True)(x)
        gate = d.times(last, cell)
    else:
        steps, gate = layers.GRU(n, return_sequences=True, return_state=True)(x)
    return d.give("sequence", d.times(steps, d.expand(gate, 1)))


@idiom()
def both_directions(d: Draw) -> Any:
    """Forward times backward states of a Bidirectional layer, or its merged states times a gate."""
    x, n = d.sequence(), d.size()
    y = layers.Bidirectional(layers.GRU(n, return_sequences=True))(x)
    if d.coin():
        return d.give("sequence", d.times(y[..., :n], y[..., n:]))
    mode = d.pick("mul", "sum", "ave")
    y = layers.Bidirectional(layers.GRU(n, return_sequences=True), merge_mode=mode)(x)
    return d.give("sequence", d.times(y, layers.Dense(n)(x)))


@idiom()
def time_major(d: Draw) -> Any:
    """Time-major: masks (T, B, 1), vectors of the samples (B, D), constants (D,) and (T, 1, 1)."""
    x = d.sequence()
    t, n = x.shape[1:]
    y = ops.transpose(x, (1, 0, 2)) if d.coin() else ops.swapaxes(x, 0, 1)
    way = d.pick("mask", "samples", "constant", "steps", "running")
    if way == "mask":
        keep = ops.transpose(d.mask(t))
        y = d.times(y, d.expand(keep, 2))
    elif way == "samples":
        q = d.vector(n)
        y = d.pick(ops.multiply, ops.add)(y, ops.expand_dims(q, 0) if d.coin() else q)
    elif way == "constant":
        y = d.meet(y, d.constant(n))
    elif way == "steps":
        y = d.pick(ops.multiply, ops.add)(y, d.constant(t, 1, 1))
    else:
        y = y - ops.mean(y, axis=0, keepdims=True)
    return ops.transpose(y, (1, 0, 2)) if d.coin() else ops.sum(y, axis=0)


@idiom()
def shifted_steps(d: Draw) -> Any:
    """Every step meets the one before it, or the first or last step meets all."""
    x = d.sequence(t=d.size() + 1)
    if d.coin():
        return d.meet(x[:, 1:], x[:, :-1])
    return d.give("sequence", d.meet(x, x[:, -1:] if d.coin() else x[:, :1, :]))


@idiom()
def last_step(d: Draw) -> Any:
    """The last step by its index, with its axis restored, meets all steps."""
    x = d.sequence()
    return d.give("sequence", d.meet(x, d.expand(x[:, -1], 1)))


@idiom()
def highway(d: Draw) -> Any:
    """A gate and its complement; the gate may be one number for each step."""
    x = d.sequence()
    n = x.shape[2]
    gate = layers.Dense(d.pick(1, n), activation="sigmoid")(x)
    return d.give("sequence", gate * layers.Dense(n, activation="relu")(x) + (1.0 - gate) * x)


@idiom()
def instance_scale(d: Draw) -> Any:
    """RevIN and DeepAR: normalised by the sequence's own scale, and scaled back after a convolution."""
    x = d.sequence()
    scale = 1.0 + ops.mean(ops.abs(x), axis=1, keepdims=True)
    mean = ops.mean(x, axis=1, keepdims=True)
    y = layers.Conv1D(x.shape[2], 3, padding="same")((x - mean) / scale)
    return d.give("sequence", d.times(y, scale) + mean)


@idiom()
def decay(d: Draw) -> Any:
    """A running sum with constant powers of the steps."""
    x = d.sequence()
    t = x.shape[1]
    powers = (0.9 ** np.arange(t)).astype("float32").reshape(d.pick((t, 1), (1, t, 1)))
    return d.give("sequence", ops.cumsum(x * powers, axis=1) / powers)


@idiom()
def spectrum(d: Draw) -> Any:
    """A real Fourier transform along time, constant filters, and back to time."""
    t, n = 2 * d.pick(1, 2, 3), d.size()
    x = d.swap(d.sequence(t, n), 1, 2)
    real, imaginary = ops.rfft(x)
    f = t // 2 + 1
    shape = d.pick((f,), (1, f), (n, f), (1, n, f))
    a, b = d.constant(*shape), d.constant(*shape)
    pair = real * a - imaginary * b, real * b + imaginary * a
    if d.coin():
        return d.swap(ops.irfft(pair), 1, 2)
    return ops.sqrt(ops.square(pair[0]) + ops.square(pair[1]) + 1e-6)


@idiom()
def fourier_matrices(d: Draw) -> Any:
    """A transform along time through two constant matrices, for real and imaginary parts."""
    x = d.sequence()
    t = x.shape[1]
    real, imaginary = ops.matmul(d.constant(t, t), x), ops.matmul(d.constant(t, t), x)
    return d.give("sequence", ops.sqrt(real * real + imaginary * imaginary + 1e-6))


@idiom()
def experts(d: Draw) -> Any:
    """Each expert's vector times its share, stacked along either axis, or as a contraction."""
    x = d.vector()
    e, n = d.size(), d.size()
    share = d.softmax(layers.Dense(e)(x))
    outputs = [layers.Dense(n, activation="tanh")(x) for _ in range(e)]
    way = d.pick("first", "last", "einsum", "matmul", "dot", "dense")
    if way == "last":
        return ops.sum(d.times(ops.stack(outputs, axis=2), d.expand(share, 1)), axis=2)
    if way == "dense":
        stacked = layers.Reshape((e, n))(layers.Dense(e * n)(x))
    else:
        stacked = ops.stack(outputs, axis=1)
    if way == "einsum":
        return ops.einsum("be,bed->bd", share, stacked)
    if way == "dot":
        return layers.Dot(axes=(1, 1))([share, stacked])
    if way == "matmul":
        return layers.Flatten()(ops.matmul(d.expand(share, 1), stacked))
    return ops.sum(d.times(stacked, d.expand(share, 2)), axis=1)


@idiom()
def experts_of_steps(d: Draw) -> Any:
    """Experts at every step: (B, T, E, D) times (B, T, E, 1)."""
    x = d.sequence()
    e, n, t = d.size(), d.size(), x.shape[1]
    share = d.softmax(layers.Dense(e)(x))
    outputs = layers.Reshape((t, e, n))(layers.Dense(e * n)(x))
    if d.coin():
        return d.give("sequence", ops.einsum("bte,bted->btd", share, outputs))
    return d.give("sequence", ops.sum(d.times(outputs, d.expand(share, 3)), axis=2))


@idiom()
def spatial_gating(d: Draw) -> Any:
    """gMLP: a Dense between two transposes mixes the gate along time."""
    x = d.sequence()
    t, n = x.shape[1:]
    gate = d.swap(layers.Dense(t)(d.swap(layers.LayerNormalization()(x), 1, 2)), 1, 2)
    return d.give("sequence", d.times(layers.Dense(n)(x), gate))


@idiom()
def basis_functions(d: Draw) -> Any:
    """N-BEATS: coefficients times a constant basis, as a sum of terms or a matrix product."""
    k, t = d.size(), d.size()
    theta = layers.Dense(k)(d.vector())
    basis = d.constant(k, t)
    if d.coin():
        return ops.matmul(theta, basis)
    return ops.sum(d.expand(theta, 2) * basis, axis=1)


@idiom()
def time_embedding(d: Draw) -> Any:
    """A number for each sample times constant frequencies: (B, 1) with (F,) or (1, F)."""
    step, f = d.input(1), d.size()
    angle = step * d.constant(*d.pick((), (1,)), f)
    y = ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)
    x = d.image()
    return d.give("image", d.plus(x, d.expand(layers.Dense(x.shape[-1])(y), 1, 2)))


@idiom()
def noise_schedule(d: Draw) -> Any:
    """A factor for each sample, (B,) or (B, 1), expanded to the rank of the data."""
    kind = d.pick("image", "sequence", "vector")
    x = getattr(d, kind)()
    rest = len(x.shape) - 1
    if d.coin():
        alpha = d.expand(d.input(), *range(1, rest + 1))
    else:
        one = d.input(1)
        alpha = d.expand(one, *range(2, rest + 1)) if rest > 1 else one
    return d.give(kind, d.times(x, ops.sigmoid(alpha)))
