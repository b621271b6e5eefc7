"""Contractions and outer products: einsum, matmul and Dot in their forms, capsules, graphs, crossed features."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from tools.valid.draw import Draw
from tools.valid.idiom import idiom

# Equations over operands of one batch `b`; the sizes of the other letters are drawn.
EQUATIONS = (
    "btd,btd->bt",
    "btd,bd->bt",
    "btd,bd->btd",
    "btd,bt->bd",
    "btd,bsd->bts",
    "bts,bsd->btd",
    "bd,be->bde",
    "bd,bde->be",
    "bde,be->bd",
    "btd,bte->bde",
    "btd,bte->btde",
    "bhwc,bc->bhwc",
    "bhwc,bhw->bc",
    "bhwc,bc->bhw",
    "bhwc,bkc->bhwk",
    "bnhd,bmhd->bhnm",
    "bhnm,bmhd->bnhd",
    "bik,bjk->bijk",
    "bikc,bjkc->bijc",
    "bijc,bkjc->bikc",
    "btd,bd,bt->bt",
    "bi,bj,bk->bijk",
    "bii->bi",
    "bij->bji",
)


@idiom()
def einsum_of_data(d: Draw) -> Any:
    """An equation over inputs of the model."""
    equation = d.pick(*EQUATIONS)
    sizes = {letter: d.size() for letter in sorted(set(equation) - set("b,->"))}
    operands = [
        d.input(*(sizes[letter] for letter in term[1:])) for term in equation.split("->")[0].split(",")
    ]
    return ops.einsum(equation, *operands)


@idiom()
def einsum_with_constant(d: Draw) -> Any:
    """Data with a constant: projections, scales, tables for each head."""
    equation = d.pick(
        "btd,de->bte",
        "btd,d->bt",
        "btd,td->btd",
        "btd,dhk->bhtk",
        "bhtk,hkd->btd",
        "bd,kd->bk",
        "btd,ts->bsd",
    )
    sizes = {letter: d.size() for letter in sorted(set(equation) - set("b,->"))}
    data, table = equation.split("->")[0].split(",")
    x = d.input(*(sizes[letter] for letter in data[1:]))
    return ops.einsum(equation, x, d.constant(*(sizes[letter] for letter in table)))


@idiom()
def matrix_products(d: Draw) -> Any:
    """Matrices of each sample, one for all samples, one for several heads."""
    m, k, n, h = (d.size() for _ in range(4))
    way = d.pick("each", "shared", "left", "vector", "heads", "one head", "row")
    if way == "each":
        return ops.matmul(d.input(m, k), d.input(k, n))
    if way == "shared":
        return ops.matmul(d.sequence(m, k), d.constant(k, n))
    if way == "left":
        return ops.matmul(d.constant(m, k), d.sequence(k, n))
    if way == "vector":
        return ops.matmul(d.vector(k), d.constant(k, n))
    if way == "heads":
        return ops.matmul(d.input(h, m, k), d.input(h, k, n))
    if way == "one head":
        return ops.matmul(d.input(h, m, k), d.expand(d.input(k, n), 1))
    return ops.matmul(d.expand(d.vector(k), 1), d.input(k, n))


@idiom()
def dot_layers(d: Draw) -> Any:
    """Dot over either axis, of vectors, of vectors with matrices, of matrices; normalised or not."""
    m, k, n = (d.size() for _ in range(3))
    normalize = d.coin(0.3)
    axes, left, right = d.pick(
        (1, (k,), (k,)),
        ((2, 2), (m, k), (n, k)),
        ((1, 1), (k, m), (k, n)),
        ((2, 1), (m, k), (k, n)),
        ((1, 2), (k, m), (n, k)),
        ((1, 2), (k,), (n, k)),
        ((2, 1), (m, k), (k,)),
        (-1, (k,), (k,)),
        (-1, (m, k), (n, k)),
    )
    return layers.Dot(axes=axes, normalize=normalize)([d.input(*left), d.input(*right)])


@idiom()
def outer_products(d: Draw) -> Any:
    """Each entry of one vector with each of the other, both unit axes explicit."""
    u, v = d.vector(), d.vector()
    y = d.meet(d.expand(u, 2), d.expand(v, 1))
    return layers.Flatten()(y) if d.coin() else y


@idiom()
def outer_products_of_steps(d: Draw) -> Any:
    """Outer products at every step, or of all steps with all features."""
    x = d.sequence()
    if d.coin():
        y = layers.Dense(d.size())(x)
        return d.meet(d.expand(x, 3), d.expand(y, 2))
    return d.meet(d.expand(ops.mean(x, axis=2), 2), d.expand(ops.mean(x, axis=1), 1))


@idiom()
def bilinear_pooling(d: Draw) -> Any:
    """Outer products of two maps, summed over the positions."""
    h, w = d.size(), d.size()
    x, y = d.image(h, w), d.image(h, w)
    a, b = (layers.Reshape((h * w, z.shape[-1]))(z) for z in (x, y))
    way = d.pick("dot", "matmul", "einsum", "product")
    if way == "dot":
        return layers.Dot(axes=(1, 1))([a, b])
    if way == "matmul":
        return ops.matmul(d.swap(a, 1, 2), b)
    if way == "einsum":
        return ops.einsum("bhwc,bhwd->bcd", x, y)
    return ops.mean(d.times(d.expand(x, 4), d.expand(y, 3)), axis=(1, 2))


@idiom()
def capsules(d: Draw) -> Any:
    """Routing by agreement: couplings, weighted sums, squashing, agreements."""
    i, j, k = (d.size() for _ in range(3))
    x = d.sequence(i)
    votes = layers.Reshape((i, j, k))(layers.Dense(j * k)(x))
    logits = layers.Dense(j)(x)
    for _ in range(d.pick(1, 2)):
        weights = d.expand(d.softmax(logits), 3)
        out = ops.sum(d.times(votes, weights), axis=1, keepdims=d.coin())
        out = out if len(out.shape) == 4 else d.expand(out, 1)
        norm = ops.sum(ops.square(out), axis=-1, keepdims=True)
        out = out * (norm / (1.0 + norm) / ops.sqrt(norm + 1e-6))
        logits = logits + ops.sum(d.times(votes, out), axis=-1)
    return ops.sqrt(ops.sum(ops.square(out), axis=-1) + 1e-6)


@idiom()
def capsule_mask(d: Draw) -> Any:
    """Capsules (B, J, K) times one-hot labels (B, J, 1)."""
    j, k = d.size(), d.size()
    x = layers.Reshape((j, k))(layers.Dense(j * k)(d.vector()))
    labels = d.input(j) if d.coin() else ops.one_hot(d.input(dtype="int32"), j)
    return layers.Flatten()(d.times(x, d.expand(labels, 2)))


@idiom()
def graph_convolution(d: Draw) -> Any:
    """A X W with degrees as columns and rows; the adjacency A is an input or a constant."""
    x = d.sequence()
    n = x.shape[1]
    if d.coin():
        adjacency = d.input(n, n)
        degree = ops.sum(ops.abs(adjacency), axis=2, keepdims=True) + 1.0
        if d.coin():
            adjacency = d.times(adjacency, ops.rsqrt(degree)) * d.swap(ops.rsqrt(degree), 1, 2)
        else:
            adjacency = adjacency / degree
    else:
        adjacency = d.constant(n, n)
    y = ops.matmul(adjacency, layers.Dense(d.size())(x))
    return d.give("sequence", y)


@idiom()
def message_passing(d: Draw) -> Any:
    """A message for each edge from its two ends, times its weight, summed over the neighbours."""
    x, k = d.sequence(), d.size()
    n = x.shape[1]
    ends = d.plus(d.expand(layers.Dense(k)(x), 1), d.expand(layers.Dense(k)(x), 2))
    edges = d.input(n, n)
    messages = d.times(ops.relu(ends), d.expand(edges, 3))
    return d.give("sequence", ops.sum(messages, axis=d.pick(1, 2)))


@idiom()
def factorization_machine(d: Draw) -> Any:
    """Embeddings times values; then half of the square of the sum minus the sum of the squares."""
    x = d.sequence()
    values = d.expand(d.input(x.shape[1]), 2)
    x = d.times(x, values)
    total = ops.square(ops.sum(x, axis=1))
    return 0.5 * ops.sum(total - ops.sum(ops.square(x), axis=1), axis=1, keepdims=True)


@idiom()
def feature_crosses(d: Draw) -> Any:
    """All pairs of embedded fields: their inner products, perhaps times a constant (F, F)."""
    x = d.sequence()
    f = x.shape[1]
    if d.coin():
        inner = ops.matmul(x, d.swap(x, 1, 2)) if d.coin() else layers.Dot(axes=2)([x, x])
        return d.times(inner, d.constant(f, f))
    return ops.sum(d.times(d.expand(x, 1), d.expand(x, 2)), axis=3)


@idiom()
def cross_network(d: Draw) -> Any:
    """DCN: the first vector times a number or a vector of the last, plus the last."""
    first = d.vector()
    x = first
    for _ in range(2):
        x = d.times(first, layers.Dense(d.pick(1, first.shape[1]))(x)) + x
    return d.give("vector", x)


@idiom()
def hypernetwork(d: Draw) -> Any:
    """Weights from another network, and a gate on the result."""
    x, condition, m = d.vector(), d.vector(), d.size()
    n = x.shape[1]
    weights = layers.Reshape((n, m))(layers.Dense(n * m)(condition))
    way = d.pick("dot", "matmul", "einsum", "product")
    if way == "dot":
        y = layers.Dot(axes=(1, 1))([x, weights])
    elif way == "matmul":
        y = ops.squeeze(ops.matmul(d.expand(x, 1), weights), 1)
    elif way == "einsum":
        y = ops.einsum("bn,bnm->bm", x, weights)
    else:
        y = ops.sum(d.times(d.expand(x, 2), weights), axis=1)
    return d.give("vector", d.times(y, layers.Dense(m, activation="sigmoid")(condition)))


@idiom()
def memory_lookup(d: Draw) -> Any:
    """Cosines of a query with every slot and their softmax, then a write to the slots: erase and add."""
    slots = d.sequence()
    k = slots.shape[2]
    query = layers.Dense(k)(d.vector())
    inner = ops.sum(d.times(slots, d.expand(query, 1)), axis=2)
    lengths = ops.sqrt(ops.sum(ops.square(slots), axis=2) + 1e-3)
    own = ops.sqrt(ops.sum(ops.square(query), axis=1, keepdims=True) + 1e-3)
    weights = d.softmax(inner / (lengths * own))
    erase, add = layers.Dense(k, activation="sigmoid")(query), layers.Dense(k)(query)
    place = d.expand(weights, 2)
    return slots * (1.0 - d.times(place, d.expand(erase, 1))) + d.times(place, d.expand(add, 1))


@idiom()
def tensor_fusion(d: Draw) -> Any:
    """Every product of one entry from each of three vectors."""
    u, v, w = d.vector(), d.vector(), d.vector()
    pair = layers.Flatten()(d.times(d.expand(u, 2), d.expand(v, 1)))
    if d.coin():
        return layers.Flatten()(d.times(d.expand(pair, 2), d.expand(w, 1)))
    return d.times(d.times(d.expand(u, 2, 3), d.expand(v, 1, 3)), d.expand(w, 1, 2))


@idiom()
def residuals_to_centres(d: Draw) -> Any:
    """NetVLAD: the residual of each step to constant centres (K, D), times its share in each."""
    x, k = d.sequence(), d.size()
    share = d.softmax(layers.Dense(k)(x))
    lack = d.expand(x, 2) - d.constant(*d.pick((), (1,), (1, 1)), k, x.shape[2])
    return ops.sum(d.times(lack, d.expand(share, 3)), axis=1)


@idiom()
def pair_representation(d: Draw) -> Any:
    """Sums of all pairs of steps, gated; then a triangular contraction, or the transpose is met."""
    x, k = d.sequence(), d.size()
    pairs = d.plus(d.expand(layers.Dense(k)(x), 2), d.expand(layers.Dense(k)(x), 1))
    gate = layers.Dense(d.pick(1, k), activation="sigmoid")(pairs)
    gated = d.times(pairs, gate)
    return ops.einsum("bikc,bjkc->bijc", gated, pairs) if d.coin() else d.meet(gated, d.swap(gated, 1, 2))


@idiom()
def mixture_density(d: Draw) -> Any:
    """Means (B, K, D) minus a target (B, 1, D), with log-shares (B, K)."""
    x, k = d.vector(), d.size()
    n = x.shape[1]
    means = layers.Reshape((k, n))(layers.Dense(k * n)(x))
    target = d.input(n)
    inside = ops.sum(ops.square(means - d.expand(target, 1)), axis=2)
    return ops.logsumexp(ops.log_softmax(layers.Dense(k)(x)) - inside, axis=1)


@idiom()
def quadratic_form(d: Draw) -> Any:
    """x W x of each sample, through a product or two contractions."""
    x = d.vector()
    n = x.shape[1]
    y = ops.matmul(x, d.constant(n, n)) if d.coin() else layers.Dense(n)(x)
    return layers.Dot(axes=1)([x, y]) if d.coin() else ops.sum(d.times(x, y), axis=-1, keepdims=True)


@idiom()
def weighted_image_sum(d: Draw) -> Any:
    """Attention pooling with one map for each class."""
    x, k = d.image(), d.size()
    maps = layers.Conv2D(k, 1, activation="sigmoid")(x)
    if d.coin():
        return ops.einsum("bhwc,bhwk->bkc", x, maps)
    return ops.mean(d.times(d.expand(x, 3), d.expand(maps, 4)), axis=(1, 2))
