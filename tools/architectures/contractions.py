"""Products that are summed: capsules with heads, graphs, crossed features, residuals to centres, memory, fusion."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from tools.architectures.parts import Architecture, pool


def capsule_heads(i: int, j: int, d: int, h: int) -> keras.Model:
    """Capsules whose votes have heads: couplings (B, H, I, J, 1), a factor for each head, a mask of the class."""
    inputs, labels = keras.Input((i, 4)), keras.Input((j,))
    votes = layers.Permute((2, 1, 3, 4))(layers.Reshape((i, h, j, d))(layers.Dense(h * j * d)(inputs)))
    logits = layers.Permute((2, 1, 3))(layers.Reshape((i, h, j))(layers.Dense(h * j)(inputs)))
    coupling = layers.Reshape((h, i, j, 1))(layers.Softmax()(logits))
    out = ops.sum(layers.Multiply()([votes, coupling]), axis=2)
    factor = layers.Dense(h, activation="sigmoid")(pool(inputs))
    out = ops.sum(layers.Multiply()([out, layers.Reshape((h, 1, 1))(factor)]), axis=1)
    kept = layers.Multiply()([out, layers.Reshape((j, 1))(labels)])
    return keras.Model([inputs, labels], layers.Dense(3)(layers.Flatten()(kept)), name="capsule_heads")


def shared_value_heads(t: int, h: int, d: int) -> keras.Model:
    """Scores of several heads over shared values, which a Reshape gives a unit head axis."""
    signal = keras.Input((t, d))
    q = layers.Permute((2, 1, 3))(layers.Reshape((t, h, d))(layers.Dense(h * d)(signal)))
    key, value = layers.Dense(d)(signal), layers.Dense(d)(signal)
    scores = layers.Softmax()(ops.matmul(q, layers.Reshape((1, d, t))(layers.Permute((2, 1))(key))))
    x = ops.matmul(scores, layers.Reshape((1, t, d))(value))
    weight = layers.Dense(h, activation="sigmoid")(pool(signal))
    x = ops.sum(layers.Multiply()([x, layers.Reshape((h, 1, 1))(weight)]), axis=1)
    return keras.Model(signal, layers.Dense(3)(x), name="shared_value_heads")


def graph_convolution(n: int, d: int) -> keras.Model:
    """D^-1/2 A D^-1/2 X: the degrees as a column and as a row."""
    nodes, adjacency = keras.Input((n, 4)), keras.Input((n, n))
    degree = ops.rsqrt(1.0 + ops.sum(ops.square(adjacency), axis=2))
    a = layers.Multiply()([adjacency, layers.Reshape((n, 1))(degree)])
    a = layers.Multiply()([a, layers.Reshape((1, n))(degree)])
    x = layers.Dot(axes=(2, 1))([a, layers.Dense(d)(nodes)])
    return keras.Model([nodes, adjacency], layers.Dense(3)(layers.Activation("relu")(x)), name="graph")


def message_passing(n: int, d: int) -> keras.Model:
    """A message for each edge: the product of its two ends and its weight."""
    nodes, edges = keras.Input((n, 4)), keras.Input((n, n))
    x = layers.Dense(d, activation="tanh")(nodes)
    messages = ops.expand_dims(x, 1) * ops.expand_dims(layers.Dense(d)(nodes), 2)
    messages = layers.Multiply()([messages, layers.Reshape((n, n, 1))(edges)])
    return keras.Model([nodes, edges], layers.Dense(3)(ops.sum(messages, axis=2)), name="message_passing")


def factorization_machine(f: int, d: int) -> keras.Model:
    """Embeddings times their values and a gate for each field; all pairs through the square of the sum."""
    fields, values = keras.Input((f,), dtype="int32"), keras.Input((f,))
    x = layers.Multiply()([layers.Embedding(17, d)(fields), layers.Reshape((f, 1))(values)])
    gate = layers.Dense(f, activation="sigmoid")(values)
    x = x * ops.expand_dims(gate, -1)
    pairs = ops.square(ops.sum(x, axis=1)) - ops.sum(ops.square(x), axis=1)
    return keras.Model([fields, values], layers.Dense(3)(pairs), name="factorization_machine")


def cross_network(d: int) -> keras.Model:
    """DCN: twice the inputs times one number for each sample; then the result over its norm."""
    inputs = keras.Input((d,))
    x = inputs
    for _ in range(2):
        x = layers.Add()([layers.Multiply()([inputs, layers.Dense(1)(x)]), x])
    x = x * ops.rsqrt(1.0 + ops.sum(ops.square(x), axis=-1, keepdims=True))
    return keras.Model(inputs, layers.Dense(3)(x), name="cross_network")


def residuals_to_centres(t: int, k: int, d: int) -> keras.Model:
    """NetVLAD: the residual of each step to constant centres, times its share in each centre."""
    signal = keras.Input((t, d))
    share = layers.Dense(k, activation="softmax")(signal)
    centres = np.linspace(-1, 1, k * d, dtype="float32").reshape(k, d)
    lack = layers.Reshape((t, 1, d))(signal) - centres
    x = ops.sum(layers.Multiply()([lack, layers.Reshape((t, k, 1))(share)]), axis=1)
    return keras.Model(signal, layers.Dense(3)(layers.Flatten()(x)), name="residuals_to_centres")


def memory_writing(m: int, k: int) -> keras.Model:
    """NTM: slot weights as a column, the erase and add vectors as rows."""
    slots, query = keras.Input((m, k)), keras.Input((5,))
    place = layers.Dense(m, activation="softmax")(query)
    erase, add = layers.Dense(k, activation="sigmoid")(query), layers.Dense(k)(query)
    column = layers.Reshape((m, 1))(place)
    kept = layers.Multiply()([slots, 1.0 - layers.Multiply()([column, layers.Reshape((1, k))(erase)])])
    written = layers.Add()([kept, layers.Multiply()([column, layers.Reshape((1, k))(add)])])
    return keras.Model([slots, query], layers.Dense(3)(written), name="memory_writing")


def tensor_fusion(a: int, b: int) -> keras.Model:
    """Two outer products in sequence; the second takes the first, flattened."""
    left, right, third = keras.Input((4,)), keras.Input((3,)), keras.Input((5,))
    u, v, w = layers.Dense(a)(left), layers.Dense(b)(right), layers.Dense(2)(third)
    pair = layers.Flatten()(layers.Multiply()([layers.Reshape((a, 1))(u), layers.Reshape((1, b))(v)]))
    triple = layers.Multiply()([layers.Reshape((a * b, 1))(pair), layers.Reshape((1, 2))(w)])
    return keras.Model([left, right, third], layers.Dense(3)(layers.Flatten()(triple)), name="tensor_fusion")


ARCHITECTURES: dict[str, Architecture] = {
    "capsule heads": Architecture(
        capsule_heads, {"i": 5, "j": 3, "d": 7, "h": 2}, {"i": 4, "j": 4, "d": 4, "h": 4}
    ),
    "shared values": Architecture(shared_value_heads, {"t": 5, "h": 2, "d": 7}, {"t": 4, "h": 4, "d": 4}),
    "graph convolution": Architecture(graph_convolution, {"n": 5, "d": 7}, {"n": 6, "d": 6}),
    "message passing": Architecture(message_passing, {"n": 5, "d": 7}, {"n": 5, "d": 5}),
    "factorization machine": Architecture(factorization_machine, {"f": 5, "d": 7}, {"f": 6, "d": 6}),
    "cross network": Architecture(cross_network, {"d": 7}, {"d": 5}),
    "NetVLAD": Architecture(residuals_to_centres, {"t": 5, "k": 3, "d": 7}, {"t": 4, "k": 4, "d": 4}),
    "memory writing": Architecture(memory_writing, {"m": 5, "k": 7}, {"m": 6, "k": 6}),
    "tensor fusion": Architecture(tensor_fusion, {"a": 3, "b": 5}, {"a": 4, "b": 4}),
}
