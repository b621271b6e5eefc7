"""Similar products with different meanings: those that are left alone, refused, and decided.

Sizes are equal unless stated otherwise: only roles and identities tell axes apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import rewriter
from tests import support

N = 6


def sequence() -> tuple[Any, Any]:
    x = keras.Input((N, 4))
    return x, layers.GRU(N, return_sequences=True)(x)


def image() -> tuple[Any, Any]:
    x = keras.Input((N, N, 4))
    return x, layers.Conv2D(N, 3, padding="same")(x)


def time_gate() -> keras.Model:
    x, h = sequence()
    gate = layers.Reshape((N, 1))(layers.Dense(N, "sigmoid")(h[:, -1]))
    return keras.Model(x, layers.Multiply()([h, gate]))


def row_gate() -> keras.Model:
    x, y = image()
    gate = layers.Reshape((N, 1, 1))(layers.Dense(N)(layers.GlobalAveragePooling2D()(y)))
    return keras.Model(x, layers.Multiply()([y, gate]))


def feature_gate(lifted: bool) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        x, h = sequence()
        gate = layers.Dense(N)(ops.mean(h, axis=-1))
        return keras.Model(x, layers.Multiply()([h, layers.Reshape((1, N))(gate) if lifted else gate]))

    return build


def adjacency(columns: bool) -> keras.Model:
    """Sizes 5 and 7: each entry of a square matrix times a factor of its row, or of its column."""
    a, x = keras.Input((5, 5)), keras.Input((5, 7))
    d = ops.rsqrt(1.0 + ops.square(ops.sum(a, axis=-1)))
    return keras.Model([a, x], ops.matmul(a * (d[:, None, :] if columns else d[:, :, None]), x))


def mutual() -> keras.Model:
    x = keras.Input((N, N))
    return keras.Model(x, x * ops.transpose(layers.Dense(N, "sigmoid")(x), (0, 2, 1)))


def weights_over_features() -> keras.Model:
    """The weights of the steps on the features: the author's ``None`` index states that this is intended."""
    x, h = sequence()
    weights = layers.Softmax()(layers.Flatten()(layers.Dense(1)(h)))
    return keras.Model(x, ops.sum(h * weights[:, None], axis=1))


RIGHT = {
    "weights of the steps on the features, written out": weights_over_features,
    "a gate per step from a Dense layer": time_gate,
    "a gate per row from a Dense layer": row_gate,
    "a gate per feature, written out": feature_gate(True),
    "a gate per feature, by the layer": feature_gate(False),
    "a factor per column of a matrix": lambda: adjacency(True),
    "a factor per row of a matrix": lambda: adjacency(False),
    "a product with its own transpose through a layer": mutual,
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_runs_and_may_be_meant_is_left_alone(name, tmp_path):
    RIGHT[name]().save(tmp_path / "m.keras")
    report = rewriter.check(tmp_path / "m.keras")
    assert report.clean, [f.message for f in report.findings]
    rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras")
    assert (tmp_path / "out.keras").read_bytes() == (tmp_path / "m.keras").read_bytes()


def columns_lost() -> keras.Model:
    a, x = keras.Input((5, 5)), keras.Input((5, 7))
    d = ops.rsqrt(1.0 + ops.square(ops.sum(a, axis=-1)))
    return keras.Model([a, x], ops.matmul(a * d, x))


def frame_mask() -> keras.Model:
    x, mask = keras.Input((N, 4, 5, 2)), keras.Input((N,))
    y = layers.Conv3D(N, 3, padding="same")(x)
    return keras.Model([x, mask], layers.GlobalAveragePooling3D()(y * mask))


def query_mask() -> keras.Model:
    """Sizes 2, 5 and 5: attention scores of every head times a mask of the queries or of the keys."""
    x, mask = keras.Input((5, 4)), keras.Input((5,))
    q = layers.Permute((2, 1, 3))(layers.Reshape((5, 2, 3))(layers.Dense(6)(x)))
    scores = ops.softmax(ops.einsum("bntd,bnsd->bnts", q, q))
    return keras.Model([x, mask], scores * mask)


def experts() -> keras.Model:
    x = keras.Input((4,))
    each = ops.stack([layers.Dense(N, "relu")(x) for _ in range(N)], axis=1)
    return keras.Model(x, ops.sum(each * layers.Dense(N, "sigmoid")(x), axis=1))


def context_mask() -> keras.Model:
    a, b, mask = keras.Input((N, 4)), keras.Input((N, 4)), keras.Input((N,))
    x, y = (layers.LSTM(7, return_sequences=True)(i) for i in (a, b))
    return keras.Model([a, b, mask], ops.matmul(ops.matmul(x, ops.transpose(y, (0, 2, 1))) * mask, y))


def head_gate() -> keras.Model:
    x = keras.Input((N, 4))
    heads = layers.Reshape((N, N, N))(layers.Dense(N * N)(x))
    return keras.Model(x, heads * layers.Dense(N, "sigmoid")(layers.GlobalAveragePooling1D()(x)))


def gate_lost() -> keras.Model:
    x, h = sequence()
    return keras.Model(x, ops.mean(h * layers.Dense(N, "sigmoid")(h[:, -1]), axis=1))


def bilinear() -> keras.Model:
    x, y = image()
    z = layers.Conv2D(N, 3, padding="same")(y)
    return keras.Model(x, layers.Flatten()(ops.mean(y[..., None] * z, axis=(1, 2))))


def frames() -> keras.Model:
    x = keras.Input((N, N, N, 4))
    y = layers.TimeDistributed(layers.Conv2D(N, 3, padding="same"))(x)
    gate = layers.Dense(N)(layers.TimeDistributed(layers.GlobalAveragePooling2D())(y))
    return keras.Model(x, layers.Multiply()([y, gate]))


# Undecidable products, each with an equation that must be among the readings.
OPEN = {
    "columns of a matrix": (columns_lost, "b t d, b d -> b t d"),
    "frames or channels": (frame_mask, "b n r1 r2 r3, b n -> b n r1 r2 r3"),
    "queries or keys": (query_mask, "b m n r, b n -> b m n r"),
    "experts or features": (experts, "b t d, b t -> b t d"),
    "context or query": (context_mask, "b n r, b n -> b n r"),
    "heads or features": (head_gate, "b m n r, b n -> b m n r"),
    "a Dense layer's gate per frame": (frames, "b m r1 r2 n, b m n -> b m r1 r2 n"),
    "steps or features": (gate_lost, "b t d, b t -> b t d"),
    "an outer product with one axis lost": (bilinear, "b h w c 1, b h w m -> b h w c m"),
}


@pytest.mark.parametrize("name", OPEN)
def test_what_cannot_be_known_is_refused(name, tmp_path):
    build, truth = OPEN[name]
    build().save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras")
    assert result.output is None
    assert not (tmp_path / "out.keras").exists()
    (finding,) = result.undecided
    assert truth in {c.equation for c in finding.candidates}


def strip_pool() -> tuple[keras.Model, keras.Model]:
    x, y = image()
    strip = ops.mean(y, axis=2)
    return keras.Model(x, layers.Multiply()([y, strip])), keras.Model(x, y * strip[:, :, None, :])


def three_gates() -> tuple[keras.Model, keras.Model]:
    x, y = image()
    where = layers.Conv2D(1, 1, activation="sigmoid")(y)
    gate = layers.Reshape((1, 1, N))(layers.Dense(N)(layers.GlobalAveragePooling2D()(y)))
    broken = layers.Multiply()([gate, y, ops.squeeze(where, -1)])
    return keras.Model(x, broken), keras.Model(x, layers.Multiply()([gate, y, where]))


DECIDED = {
    "the mean of every row": strip_pool,
    "three operands, the gate first": three_gates,
}


@pytest.mark.parametrize("name", DECIDED)
def test_identities_decide_even_where_all_sizes_are_equal(name, tmp_path):
    broken, meant = DECIDED[name]()
    broken.save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras")
    assert result.output is not None, [f.why for f in result.findings]
    fixed = keras.saving.load_model(tmp_path / "out.keras")
    for batch in (1, 3, N):
        inputs = support.random_inputs(meant, batch)
        desired = [np.asarray(a) for a in support.run(meant, inputs)]
        support.compare(support.run(fixed, inputs), desired)
