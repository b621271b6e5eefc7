"""Products that sum or grow: matrix products, outer products, dot products per group."""

from __future__ import annotations

import keras
from keras import layers, ops

from tests.zoo.common import gate


def matmul(*, m: int, k: int, n: int, head: bool = True) -> keras.Model:
    """(B, M, K) @ (B, K, N); the Dense that follows has N rows."""
    left = keras.Input((m, k), name="left")
    right = keras.Input((k, n), name="right")
    y = ops.matmul(left, right)
    y = layers.Dense(2, name="head")(y) if head else layers.Activation("tanh", name="squash")(y)
    return keras.Model([left, right], y, name="matmul")


def matmul_bare(*, m: int, k: int, n: int) -> keras.Model:
    """(B, M, K) @ (B, K, N) as the output, without a later layer."""
    left = keras.Input((m, k), name="left")
    right = keras.Input((k, n), name="right")
    return keras.Model([left, right], ops.matmul(left, right), name="matmul_bare")


def dot(*, m: int, k: int, n: int) -> keras.Model:
    """(B, M, K) . (B, N, K) over K by the Dot layer; the Dense that follows has N rows."""
    left = keras.Input((m, k), name="left")
    right = keras.Input((n, k), name="right")
    y = layers.Dot(axes=(2, 2), name="dot")([left, right])
    return keras.Model([left, right], layers.Dense(2, name="head")(y), name="dot")


def dot_plain(*, m: int, k: int, n: int) -> keras.Model:
    """(B, M, K) . (B, K, N) by the Dot layer."""
    left = keras.Input((m, k), name="left")
    right = keras.Input((k, n), name="right")
    y = layers.Dot(axes=(2, 1), name="dot")([left, right])
    return keras.Model([left, right], layers.Dense(2, name="head")(y), name="dot_plain")


def outer(*, f: int, g: int, op: bool = False) -> keras.Model:
    """Bilinear pooling: (B, F, 1) * (B, 1, G), flattened into a Dense of F * G rows."""
    left = keras.Input((3,), name="left")
    right = keras.Input((4,), name="right")
    u = layers.Reshape((f, 1), name="column")(layers.Dense(f, name="first")(left))
    v = layers.Reshape((1, g), name="row")(layers.Dense(g, name="second")(right))
    y = layers.Flatten(name="line")(gate(u, v, op=op))
    return keras.Model([left, right], layers.Dense(2, name="head")(y), name="outer")


def grouped_dot(*, p: int, g: int) -> keras.Model:
    """(B, P * G) in P groups, each dotted with (B, G); the Dense that follows has P rows."""
    long = keras.Input((p * g,), name="long")
    short = keras.Input((3,), name="short")
    s = layers.Dense(g, name="project")(short)
    y = layers.Dot(axes=(2, 1), name="dot")([layers.Reshape((p, g), name="groups")(long), s])
    return keras.Model([long, short], layers.Dense(2, name="head")(y), name="grouped_dot")


def dot_bare(*, m: int, k: int, n: int) -> keras.Model:
    """(B, M, K) . (B, N, K) over K as the output, without a later layer."""
    left = keras.Input((m, k), name="left")
    right = keras.Input((n, k), name="right")
    return keras.Model([left, right], layers.Dot(axes=(2, 2), name="dot")([left, right]), name="dot_bare")


def outer_bare(*, f: int, g: int) -> keras.Model:
    """The outer product (B, F, G) as the output."""
    left = keras.Input((f,), name="left")
    right = keras.Input((g,), name="right")
    u = layers.Reshape((f, 1), name="column")(left)
    v = layers.Reshape((1, g), name="row")(right)
    return keras.Model([left, right], gate(u, v), name="outer_bare")


def grouped_dot_bare(*, p: int, g: int) -> keras.Model:
    """The dot product per group (B, P) as the output."""
    long = keras.Input((p * g,), name="long")
    short = keras.Input((g,), name="short")
    y = layers.Dot(axes=(2, 1), name="dot")([layers.Reshape((p, g), name="groups")(long), short])
    return keras.Model([long, short], y, name="grouped_dot_bare")
