"""Idioms whose samples meet each other on purpose: logits of all pairs, Gram matrices, distances, rankings, losses."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from tools.valid.draw import Draw
from tools.valid.idiom import idiom


def towers(d: Draw) -> tuple[Any, Any]:
    """towers() -> [B, D], [B, D]: two vectors of one size, perhaps normalised."""
    n = d.size()
    u, v = (layers.Dense(n)(d.vector()) for _ in range(2))
    if d.coin(0.3):
        u, v = layers.UnitNormalization()(u), layers.UnitNormalization()(v)
    return u, v


def column(d: Draw) -> Any:
    """column() -> [B, 1]: a score for each sample."""
    return layers.Dense(1)(d.vector()) if d.coin() else d.input(1)


def scores(d: Draw) -> Any:
    """scores() -> [B]."""
    way = d.pick("squeeze", "reshape", "sum", "input", "index")
    if way == "input":
        return d.input()
    if way == "sum":
        return ops.sum(d.vector(), axis=-1)
    s = layers.Dense(1)(d.vector())
    if way == "reshape":
        return ops.reshape(s, (-1,))
    return ops.squeeze(s, -1) if way == "squeeze" else s[:, 0]


def gram(d: Draw) -> Any:
    """gram() -> [B, B]: the inner products of all pairs."""
    u, v = towers(d)
    if d.coin():
        v = u
    way = d.pick("matmul", "operator", "einsum", "product", "dot")
    if way == "einsum":
        return ops.einsum("id,jd->ij", u, v)
    if way == "product":
        return ops.sum(d.times(d.expand(u, 1), d.expand(v, 0)), axis=-1)
    turned = ops.transpose(v) if d.coin() else ops.transpose(v, (1, 0))
    if way == "dot":
        return ops.dot(u, turned)
    return ops.matmul(u, turned) if way == "matmul" else u @ turned


@idiom(apart=False)
def logits_of_all_pairs(d: Draw) -> Any:
    """Two towers: `sum(expand_dims(u, 1) * expand_dims(v, 0), -1)`, or a Dense in place of the sum."""
    u, v = towers(d)
    both = d.meet(d.expand(u, 1), d.expand(v, 0))
    return ops.sum(both, axis=-1) if d.coin() else ops.squeeze(layers.Dense(1)(both), -1)


@idiom(apart=False)
def logits_by_padding(d: Draw) -> Any:
    """Two towers, where the operation inserts the second unit axis: `sum(expand_dims(u, 1) * v, -1)`."""
    u, v = towers(d)
    return ops.sum(d.expand(u, 1) * v, axis=-1)


@idiom(apart=False)
def in_batch_negatives(d: Draw) -> Any:
    """A softmax over the samples of a batch."""
    return d.softmax(gram(d) / 0.5, axis=d.pick(0, 1, -1))


@idiom(apart=False)
def weighted_gram(d: Draw) -> Any:
    """(B, B) times weights of the samples: (B,), (B, 1), (1, B) or both."""
    w = scores(d)
    g = gram(d)
    way = d.pick("padded", "rows", "columns", "both")
    if way == "padded":
        return d.pick(ops.multiply, lambda a, b: a * b)(g, w)
    if way == "both":
        return d.times(g, d.times(d.expand(w, 0), d.expand(w, 1)))
    return d.times(g, d.expand(w, 1 if way == "rows" else 0))


@idiom(apart=False)
def rank_net(d: Draw) -> Any:
    """RankNet: s_i - s_j of all pairs."""
    way = d.pick("expanded", "transposed", "padded", "index")
    if way == "transposed":
        s = column(d)
        difference = d.plus(s, ops.transpose(s))
    else:
        s = scores(d)
        other = s if way == "padded" else d.expand(s, 0)
        difference = d.expand(s, 1) - other if way != "index" else s[:, None] - s[None, :]
    return ops.sigmoid(difference)


@idiom(apart=False)
def rank_net_loss(d: Draw) -> Any:
    """RankNet's loss: the differences of the scores times the signs of those of the labels."""
    s, y = scores(d), scores(d)
    differences = d.expand(s, 1) - d.expand(s, 0)
    signs = ops.sign(d.expand(y, 1) - d.expand(y, 0))
    return ops.mean(ops.softplus(-signs * differences))


@idiom(apart=False)
def squared_distances(d: Draw) -> Any:
    """|u|^2 + |v|^2 - 2 u v, or the differences written out."""
    u, v = towers(d)
    if d.coin():
        difference = d.expand(u, 1) - (d.expand(v, 0) if d.coin() else v)
        return ops.sum(ops.square(difference), axis=-1)
    rows = ops.sum(ops.square(u), axis=1, keepdims=True)
    if d.coin():
        columns = ops.sum(ops.square(v), axis=1)
    else:
        columns = ops.transpose(ops.sum(ops.square(v), axis=1, keepdims=True))
    return rows - 2.0 * ops.matmul(u, ops.transpose(v)) + columns


@idiom(apart=False)
def contrastive_loss(d: Draw) -> Any:
    """InfoNCE: log-sum-exp of the logits, the positives on the diagonal."""
    u, v = towers(d)
    logits = ops.matmul(u, ops.transpose(v)) / 0.1
    positive = ops.sum(u * v, axis=-1) / 0.1 if d.coin() else ops.diagonal(logits)
    if d.coin():
        return ops.mean(ops.logsumexp(logits, axis=1) - positive)
    if d.coin():
        return d.expand(positive, 1) - logits
    return logits - ops.logsumexp(logits, axis=d.pick(0, 1), keepdims=True)


@idiom(apart=False)
def cosine_of_all_pairs(d: Draw) -> Any:
    """Inner products divided by both norms, a column and a row."""
    u, v = towers(d)
    a = ops.sqrt(ops.sum(ops.square(u), axis=-1, keepdims=True) + 1e-3)
    b = ops.sqrt(ops.sum(ops.square(v), axis=-1, keepdims=True) + 1e-3)
    lengths = d.times(a, ops.transpose(b)) if d.coin() else ops.matmul(a, ops.transpose(b))
    return ops.matmul(u, ops.transpose(v)) / lengths


@idiom(apart=False)
def kernel_of_samples(d: Draw) -> Any:
    """A radial kernel between samples, centred or divided by the means of its rows and columns."""
    u, v = towers(d)
    k = ops.exp(-ops.sum(ops.square(d.expand(u, 1) - d.expand(v, 0)), axis=-1))
    rows, columns = ops.mean(k, axis=1, keepdims=True), ops.mean(k, axis=0, keepdims=True)
    if d.coin():
        return k - rows - columns + ops.mean(k)
    return k / (rows * columns + 1e-3)


@idiom(apart=False)
def sample_attention(d: Draw) -> Any:
    """A softmax over the samples: each row of the result is a weighted mean of samples."""
    u, v = towers(d)
    weights = d.softmax(ops.matmul(u, ops.transpose(v)))
    return d.give("vector", ops.matmul(weights, v))


@idiom(apart=False)
def weights_over_samples(d: Draw) -> Any:
    """A softmax along the batch gives each sample its share."""
    x = d.vector()
    share = ops.softmax(layers.Dense(1)(x), axis=0)
    return ops.sum(d.times(x, share), axis=0, keepdims=True)


@idiom(apart=False)
def batch_statistics(d: Draw) -> Any:
    """Normalisation over the batch by hand; the mean keeps the batch axis or not."""
    kind = d.pick("vector", "sequence")
    x = getattr(d, kind)()
    keep = d.coin()
    mean, spread = ops.mean(x, axis=0, keepdims=keep), ops.std(x, axis=0, keepdims=keep)
    return d.give(kind, (x - mean) / (spread + 1e-2))


@idiom(apart=False)
def standard_deviation_channel(d: Draw) -> Any:
    """Minibatch standard deviation: one number of the batch, as a channel at every position."""
    x = d.image()
    spread = ops.mean(ops.std(x, axis=0, keepdims=True), axis=(1, 2, 3), keepdims=True)
    return layers.Concatenate()([x, ops.zeros_like(x[..., :1]) + spread])


@idiom(apart=False)
def minibatch_discrimination(d: Draw) -> Any:
    """L1 distances between the samples' matrices, summed over the other samples."""
    x = d.vector()
    b, c = d.size(), d.size()
    m = layers.Reshape((b, c))(layers.Dense(b * c)(x))
    distance = ops.sum(ops.abs(d.expand(m, 1) - d.expand(m, 0)), axis=3)
    return layers.Concatenate()([x, ops.sum(ops.exp(-distance), axis=1)])


@idiom(apart=False)
def prototypes(d: Draw) -> Any:
    """Class means from a matrix product with soft labels, and the distance of every sample to each mean."""
    n = d.size()
    x = d.vector()
    labels = d.softmax(layers.Dense(n)(x))
    counts = ops.sum(labels, axis=0)
    means = ops.matmul(ops.transpose(labels), x) / d.expand(counts + 1.0, 1)
    return ops.sum(ops.square(d.expand(x, 1) - d.expand(means, 0)), axis=-1)


@idiom(apart=False)
def triplets(d: Draw) -> Any:
    """Every positive distance against every negative one of the batch."""
    u, v = towers(d)
    w = layers.Dense(u.shape[-1])(d.vector())
    near, far = ops.sum(ops.square(u - v), axis=-1), ops.sum(ops.square(u - w), axis=-1)
    return ops.relu(1.0 + d.expand(near, 1) - d.expand(far, 0))


@idiom(apart=False)
def pairs_of_images(d: Draw) -> Any:
    """All pairs of images, multiplied position by position and averaged."""
    x = d.image()
    y = layers.Conv2D(x.shape[-1], 1)(x)
    return ops.mean(d.times(d.expand(x, 1), d.expand(y, 0)), axis=(2, 3, 4))


@idiom(apart=False)
def listwise_mask(d: Draw) -> Any:
    """A Gram matrix times a mask of the pairs whose first score is greater."""
    m = scores(d)
    pairs = ops.cast(ops.greater(d.expand(m, 1), d.expand(m, 0)), "float32")
    return d.times(gram(d), pairs)


@idiom(apart=False)
def style_gram(d: Draw) -> Any:
    """Gram matrices of the channels of each image (Gatys), and their difference from the mean or from a constant."""
    x = d.image()
    h, w, c = x.shape[1:]
    flat = layers.Reshape((h * w, c))(x)
    grams = ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) if d.coin() else layers.Dot(axes=1)([flat, flat])
    target = ops.mean(grams, axis=0, keepdims=True) if d.coin() else d.constant(c, c)
    return ops.mean(ops.square(grams - target), axis=(1, 2))
