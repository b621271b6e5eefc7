"""Writes scaled dot-product attention as one operator (opset 23).

``MatMul(Softmax(MatMul(q, k^T) * s + bias), v)`` -> ``Attention(q, k, v, bias, scale=s)``: this is how the operator is
defined (Operators.md, Attention-23). Without Transposes around it, in the form ``[B, T, heads * size]``, where the
heads were split off and are joined again; as ``[B, heads, T, size]`` elsewhere.

ONNX Runtime 1.32 gives zeros, not NaN, where all biases of a query are minus infinity: a bias has to be finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....ir.size import Size, is_unknown, product
from ..dtypes import INTEGERS
from ..graph import Node, Tensor, array_of
from ._graphs import only_user
from ._match import Site, scalar, scaled
from .transposes import order as permutation

# A bias that leaves nothing of a score: a float32 sum with it is the bias itself, as if it replaced the score.
_LOW = float(np.finfo(np.float32).min) * 0.7
_MASKS = -1e9  # a score replaced by this or less has no weight beside any other: exp(-1e9) is 0
_FINITE_NAMES = (
    "Add Cast Concat Expand Gather Identity Mul Neg Reshape Slice Squeeze Sub Tile Transpose Unsqueeze Where"
)
_KEEPS_FINITE = frozenset(_FINITE_NAMES.split())
# Operators that map each step of a tensor linearly, or move steps; the data comes first.
_LINEAR_NAMES = "Add Expand Gather Reshape RotaryEmbedding Squeeze Tile Transpose Unsqueeze"
_LINEAR = frozenset(_LINEAR_NAMES.split())


@dataclass(slots=True)
class _Scores:
    """``q k^T * scale + bias``: the operands of the MatMul, and what is done to its result."""

    query: Tensor
    key: Tensor  # transposed
    scale: float = 1.0
    bias: Tensor | None = None
    kept: Tensor | None = None  # a mask: other scores are replaced
    inverted: bool = False  # the mask is true where scores are replaced


def attention(site: Site, node: Node) -> Tensor | None:
    """``MatMul(Softmax(MatMul(q, k^T) * s + bias), v)`` -> ``Attention(q, k, v, bias)``, float32 (opset 23).

    ``Where(mask, scores, low)`` becomes a bias that is ``low`` elsewhere. This is the same if no score has a size of
    1e9, and if scores that the mask hides are numbers: keys have to come from the tensor that values come from, so
    a NaN there is one in the result in both forms.
    """
    softmax = site.inner(node.inputs[0], "Softmax")
    value = node.inputs[1]
    if softmax is None or value is None or node.output.dtype != "float32" or not node.output.known:
        return None
    scores = softmax.inputs[0]
    rank = node.output.rank
    if scores is None or softmax.attributes.get("axis", -1) not in (-1, rank - 1) or rank not in (3, 4, 5):
        return None
    found = _scores(site, scores)
    if found is None or not _fits(found, value, rank):
        return None
    if found.kept is not None and not _one_source(found.key, value):
        return None
    if rank == 3:
        return _of_one_head(site, found, value)
    return _joined(site, node, found, value) or (_apart(site, found, value) if rank == 4 else None)


# -- the scores -----------------------------
def _scores(site: Site, scores: Tensor) -> _Scores | None:
    """``MatMul(q, k) * s``, then a bias and a ``Where(mask, scores, low)`` at most; None for other scores."""
    scale, bias, kept, inverted = 1.0, None, None, False
    while True:
        node = site.inner(scores, "Add", "Div", "MatMul", "Mul", "Where")
        if node is None:
            return None
        first, second = node.inputs[0], node.inputs[1]
        if node.op_type == "MatMul":
            if first is None or second is None or not scale > 0 or not np.isfinite(np.float32(scale)):
                return None
            return _with_scales(site, _Scores(first, second, scale, bias, kept, inverted))
        if node.op_type == "Where":
            third = node.inputs[2]
            inverted = scalar(third) is None
            low = scalar(second if inverted else third)
            if kept is not None or scale != 1 or low is None or not -np.inf < low <= _MASKS:
                return None
            kept, inner = first, third if inverted else second
        elif node.op_type == "Add":
            if bias is not None or scale != 1 or first is None or second is None:
                return None
            pair = (first, second) if _is_score(site, first) else (second, first)
            inner, bias = pair
            if not _is_score(site, inner) or not _is_finite(site, bias):
                return None
        else:
            parts = scaled(node)
            if parts is None:
                return None
            inner, factor = parts
            scale *= factor
        if inner is None or not inner.known or inner.sizes != node.output.sizes:
            return None
        scores = inner


def _is_score(site: Site, tensor: Tensor) -> bool:
    return site.inner(tensor, "Div", "MatMul", "Mul", "Where") is not None


def _with_scales(site: Site, found: _Scores) -> _Scores:
    """The scores with a factor of the query or of the transposed key as part of the scale."""
    for name in ("query", "key"):
        node = site.inner(getattr(found, name), "Mul", "Div")
        parts = None if node is None else scaled(node)
        if parts is not None and parts[1] > 0 and parts[0].sizes == getattr(found, name).sizes:
            setattr(found, name, parts[0])
            found.scale *= parts[1]
    return found


def _is_finite(site: Site, tensor: Tensor | None, depth: int = 12) -> bool:
    """Whether a tensor is computed from finite constants and whole numbers only."""
    if tensor is None or tensor.dtype == "bool" or tensor.dtype in INTEGERS:
        return True
    if tensor.data is not None:
        values = array_of(tensor)
        return values is not None and bool(np.isfinite(values).all())
    node = site.maker(tensor, *_KEEPS_FINITE)
    if node is None or not depth:
        return False
    return all(_is_finite(site, each, depth - 1) for each in node.inputs)


def _one_source(key: Tensor, value: Tensor) -> bool:
    """Whether keys and values are linear maps of one tensor."""
    sources = [_source(each) for each in (key, value)]
    return sources[0] is not None and sources[0] is sources[1]


def _source(tensor: Tensor) -> Tensor | None:
    """The tensor whose product with weights this is, perhaps with a bias, moved or rotated; None for others."""
    for _ in range(24):
        node = tensor.producer
        if node is None or node.domain:
            return None
        data = [t for t in node.inputs if t is not None and t.data is None]
        if node.op_type == "MatMul":
            return data[0] if len(data) == 1 and data[0] is node.inputs[0] else None
        alone = len(data) == 1 or (node.op_type in ("Expand", "Reshape", "RotaryEmbedding", "Tile") and data)
        if node.op_type not in _LINEAR or not alone:
            return None
        tensor = data[0]
    return None


# -- the operands -----------------------------
def _fits(found: _Scores, value: Tensor, rank: int) -> bool:
    """Whether all operands have this rank, float32, and equal leading sizes, so that none is broadcast.

    A product needs as many keys as values, so these may be two open sizes.
    """
    operands, others = (found.query, found.key, value), (found.bias, found.kept)
    if any(not t.known or t.rank != rank or t.dtype != "float32" for t in operands):
        return False
    if any(t is not None and not t.known for t in others):
        return False
    leading = found.query.sizes[:-2]
    sizes = (*leading, found.query.sizes[-1], value.sizes[-1])
    return (
        all(t.sizes[:-2] == leading for t in operands)
        and not any(is_unknown(size) for size in sizes)
        and found.query.sizes[-1] == found.key.sizes[-2]
    )


def _of_one_head(site: Site, found: _Scores, value: Tensor) -> Tensor | None:
    """``q[B, T, D], k[B, S, D], v[B, S, E]`` with one head."""
    key = _untransposed(site, found.key, [0, 2, 1])
    if key is None or not isinstance(value.sizes[-1], int) or not isinstance(key.sizes[-1], int):
        return None
    bias = _bias(site, found, (found.query.sizes[0], 1, found.query.sizes[1], key.sizes[1]), 1)
    result = (*found.query.sizes[:2], value.sizes[-1])
    return _made(site, found, (found.query, key, value, bias), result, (1, 1))


def _untransposed(site: Site, tensor: Tensor, order: list[int]) -> Tensor | None:
    """``x`` of a tensor that is ``Transpose(x, order)``, in one or several steps."""
    left, node = list(range(tensor.rank)), site.maker(tensor, "Transpose")
    while node is not None and node.inputs[0] is not None:
        perm, tensor = permutation(node), node.inputs[0]
        left = [perm[place] for place in left]
        if left == order:
            return tensor
        node = site.maker(tensor, "Transpose")
    return None


def _joined(site: Site, node: Node, found: _Scores, value: Tensor) -> Tensor | None:
    """The form ``[B, T, heads * size]``: operands are ``[B..., T, heads, size]`` before their Transposes.

    Returns the result as ``[B..., heads, T, size]``, transposed for its user, which transposes it back.
    """
    rank = node.output.rank
    places = list(range(rank))
    order = [*places[:-3], rank - 2, rank - 3, rank - 1]
    after = only_user(node.output, site.needed)
    if after is None or after.op_type != "Transpose" or permutation(after) != order:
        return None
    query, values = _untransposed(site, found.query, order), _untransposed(site, value, order)
    key = _untransposed(site, found.key, [*places[:-3], rank - 2, rank - 1, rank - 3])
    if query is None or key is None or values is None:
        return None
    heads = query.sizes[-2]
    key, values, groups = _ungrouped(site, key, values, rank - 2)
    widths = [t.sizes[-1] for t in (query, key, values)]
    if not isinstance(heads, int) or not all(isinstance(size, int) for size in (groups, *widths)):
        return None
    leading = query.sizes[:-3]
    batch = product(leading)
    open_sizes = [size for t in (query, key, values) for size in t.sizes[1:] if not isinstance(size, int)]
    if rank == 5 and (found.bias is not None or found.kept is not None or open_sizes):
        return None
    times = query.sizes[-3], key.sizes[-3]
    bias = _bias(site, found, (batch, heads, *times), rank - 2)
    reshape = site.builder.reshape
    operands = [reshape(t, [batch, t.sizes[-3], product(t.sizes[-2:])]) for t in (query, key, values)]
    result = (batch, times[0], product((heads, values.sizes[-1])))
    assert isinstance(groups, int)
    made = _made(site, found, (*operands, bias), result, (heads, groups))
    split = reshape(made, [*leading, times[0], heads, values.sizes[-1]])
    return site.builder.node("Transpose", split, perm=order)


def _apart(site: Site, found: _Scores, value: Tensor) -> Tensor | None:
    """The form ``[B, heads, T, size]``."""
    key = _untransposed(site, found.key, [0, 1, 3, 2])
    turned = None if key is not None else _untransposed(site, found.key, [0, 2, 3, 1])
    if not all(
        isinstance(size, int) for size in (found.query.sizes[1], found.query.sizes[3], value.sizes[3])
    ):
        return None
    if key is None:
        if turned is None:
            return None
        key = site.builder.node("Transpose", turned, perm=[0, 2, 1, 3])
    sizes = (*found.query.sizes[:3], key.sizes[2])
    key, value, _ = _ungrouped(site, key, value, 1)
    bias = _bias(site, found, sizes, 2)
    return _made(site, found, (found.query, key, value, bias), (*found.query.sizes[:3], value.sizes[3]), None)


def _ungrouped(site: Site, key: Tensor, value: Tensor, axis: int) -> tuple[Tensor, Tensor, Size]:
    """Keys and values before each of their heads was repeated, and the number of heads that are left.

    Query head ``n`` attends to the heads of group ``n // (query heads / groups)``, as after the repetition.
    """
    before = [_unrepeated(site, each, axis) for each in (key, value)]
    a, b = before
    if a is None or b is None or a.sizes[axis] != b.sizes[axis]:
        return key, value, key.sizes[axis]
    return a, b, a.sizes[axis]


def _unrepeated(site: Site, tensor: Tensor, axis: int) -> Tensor | None:
    """``x`` of ``x[..., N, H]`` with every head repeated: by a Gather, or by Unsqueeze, Tile and Reshape."""
    total = tensor.sizes[axis]
    gather = site.maker(tensor, "Gather")
    if gather is not None:
        x, indices = gather.inputs[0], array_of(gather.inputs[1])
        groups = None if x is None or not x.known else x.sizes[axis]
        if indices is None or gather.attributes.get("axis", 0) != axis or not isinstance(groups, int):
            return None
        if not isinstance(total, int) or indices.ndim != 1 or not groups or total % groups:
            return None
        return x if indices.tolist() == [n * groups // total for n in range(total)] else None
    reshape = site.maker(tensor, "Reshape")
    tile = None if reshape is None else site.maker(reshape.inputs[0], "Tile")
    spread = None if tile is None else site.maker(tile.inputs[0], "Unsqueeze")
    if tile is None or spread is None:
        return None
    x, repeats, places = spread.inputs[0], array_of(tile.inputs[1]), array_of(spread.inputs[1])
    if x is None or not x.known or repeats is None or places is None or x.rank != tensor.rank:
        return None
    count, groups = int(repeats[axis + 1]), x.sizes[axis]
    ones = [1 if n != axis + 1 else count for n in range(tensor.rank + 1)]
    wanted = (*x.sizes[:axis], groups * count, *x.sizes[axis + 1 :])
    alike = places.tolist() == [axis + 1] and repeats.tolist() == ones and tensor.sizes == wanted
    return x if alike else None


# -- the bias -----------------------------
def _bias(site: Site, found: _Scores, sizes: tuple[Size, ...], place: int) -> Tensor | None:
    """The biases and the mask as one float32 tensor, its last two sizes those of the scores ``[B, heads, T, S]``.

    Args:
        place: how many axes of the original scores are in front of T and S.
    """
    builder = site.builder
    bias = found.bias
    if found.kept is not None:
        kept = _aligned(site, found.kept, place)
        zero, low = builder.constant(0, "float32"), builder.constant(_LOW, "float32")
        extra = builder.node("Where", kept, *((low, zero) if found.inverted else (zero, low)))
        bias = extra if bias is None else builder.node("Add", _aligned(site, bias, place), extra)
    if bias is None:
        return None
    bias = _aligned(site, bias, place)
    if bias.sizes[2:] == sizes[2:]:
        return bias
    full = (*bias.sizes[:2], *sizes[2:])
    return builder.node("Expand", bias, site.shape(full, bias, found.query, found.key), as_sizes=full)


def _aligned(site: Site, tensor: Tensor, place: int) -> Tensor:
    """A tensor that broadcasts to the scores as one of rank 4; scores of rank 3 have no axis of heads."""
    missing = 4 - tensor.rank
    if not missing:
        return tensor
    axes = [1] if place == 1 and missing == 1 else list(range(missing))
    return site.builder.node("Unsqueeze", tensor, axes)


def _made(
    site: Site,
    found: _Scores,
    operands: tuple[Tensor | None, ...],
    sizes: tuple[Size, ...],
    heads: tuple[int, int] | None,
) -> Tensor:
    queries, keys = heads or (None, None)
    return site.builder.node(
        "Attention", *operands, as_sizes=sizes, scale=found.scale, q_num_heads=queries, kv_num_heads=keys
    )
