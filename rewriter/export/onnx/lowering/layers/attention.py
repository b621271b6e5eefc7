"""Attention layers: Attention, AdditiveAttention, MultiHeadAttention, GroupQueryAttention.

A query with nothing to attend to gets the mean of the values where Keras calls ``dot_product_attention``, and zeros
where Keras calls ``Softmax``. Source: ``keras/src/layers/attention`` and
``keras/src/backend/tensorflow/nn.py``, Keras 3.15.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .....ir.graph import leaves
from .....ir.size import Size, product
from ...dtypes import FLOATS, numpy_dtype
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer


# -- one score for each query and key -----------------------------
@layer("Attention", "AdditiveAttention")
def attention(call: Emitter) -> Any:
    """``attention([q[B, T, D], v[B, S, E], k[B, S, D]]) -> [B, T, E]``, and the scores ``[B, T, S]`` on request."""
    given = call.args[0] if call.args else call.kwargs.get("inputs")
    operands = [leaf for leaf in leaves(given) if isinstance(leaf, Tensor)]
    query, value = operands[:2]
    key = operands[2] if len(operands) > 2 else value
    masks = call.args[1] if len(call.args) > 1 else call.kwargs.get("mask")
    if masks is None:
        masks = [query.mask, value.mask]
    pair = isinstance(masks, (list, tuple)) and len(masks) > 1
    if not pair or any(not isinstance(m, (Tensor, type(None))) for m in masks):
        raise call.refuse("its mask is not a list of tensors, one for the query and one for the value")
    query_mask, value_mask = (m if m is None else call.cast(m, "bool") for m in list(masks)[:2])
    scores = _scores(call, query, key)
    kept = value_mask
    if _flag(call, "use_causal_mask"):
        kept = _causal(call, query, value)
        if value_mask is not None:
            kept = call.op("And", call.unsqueeze(value_mask, value_mask.rank - 1), kept)
    if kept is not None:
        if kept.rank == 2:
            kept = call.unsqueeze(kept, 1)
        # Keras subtracts a large number instead of using minus infinity.
        far = call.op(
            "Sub", scores, call.constant(65504.0 if scores.dtype == "float16" else 1e9, scores.dtype)
        )
        scores = call.op("Where", kept, scores, far)
    weights = call.op("Softmax", scores, axis=-1)
    output = call.op("MatMul", weights, value)
    if query_mask is not None:
        wanted = call.unsqueeze(query_mask, query_mask.rank)
        output = call.op("Where", wanted, output, call.constant(0, output.dtype))
        output.mask = query_mask
    return (output, weights) if _flag(call, "return_attention_scores") else output


def _scores(call: Emitter, query: Tensor, key: Tensor) -> Tensor:
    scaled = call.flag("use_scale", call.operation.class_name == "AdditiveAttention")
    scale = call.weight("vars/0", "scale") if scaled else None
    additive = call.operation.class_name == "AdditiveAttention"
    if not additive and call.text("score_mode", "dot") == "dot":
        order = [*range(key.rank - 2), key.rank - 1, key.rank - 2]
        scores = call.op("MatMul", query, call.transpose(key, order))
        return scores if scale is None else call.op("Mul", scores, scale)
    total = call.op("Add", call.unsqueeze(query, query.rank - 1), call.unsqueeze(key, key.rank - 2))
    if additive:
        bent = call.op("Tanh", total)
        return call.reduce("ReduceSum", bent if scale is None else call.op("Mul", scale, bent), [-1])
    bent = call.op("Tanh", total if scale is None else call.op("Mul", scale, total))
    weight = call.weight(f"vars/{int(scaled)}", "concat_score_weight")
    return call.op("Mul", weight, call.reduce("ReduceSum", bent, [-1]))


def _flag(call: Emitter, name: str) -> bool:
    return bool(call.kwargs.get(name))


# -- several heads -----------------------------
@layer("MultiHeadAttention")
def multi_head_attention(call: Emitter) -> Any:
    """``mha(q[B, T..., D], v[B, S..., E], k[B, S..., F]) -> [B, T..., D or output_shape]``.

    The scores, on request, are ``[B, heads, T..., S...]``; axes that are not attended over come before the heads.
    """
    query, value, key = _operands(call)
    # Keras 3.15 uses the query's own mask and ignores the argument.
    query_mask = query.mask
    mask = _attention_mask(call, query, value, query_mask)
    rank = query.rank
    axes = call.get("attention_axes")
    if axes is None:
        places = list(range(1, rank - 1))
    else:
        places = [call.axis(a, rank) for a in (axes if isinstance(axes, (list, tuple)) else [axes])]
    wanted = _flag(call, "return_attention_scores")
    zero = wanted or bool(call.get("dropout")) or rank != 3
    q, k, v = (
        _projected(call, name, x)
        for name, x in (("query_dense", query), ("key_dense", key), ("value_dense", value))
    )
    gate = _gate(call, query)
    scale = 1 / math.sqrt(call.integer("key_dim", 1))
    y, scores = _attended(call, q, k, v, mask, places, scale, zero)
    output = _output(call, "output_dense", y if gate is None else call.op("Mul", y, gate))
    if query_mask is not None:
        output.mask = query_mask
    # Keras 3.15 removes the masks of the operands: later calls on them do not see the masks.
    for tensor in (query, value, key):
        tensor.mask = None
    return (output, scores) if wanted else output


# The class is exported as GroupQueryAttention and saved as GroupedQueryAttention (Keras 3.15).
@layer("GroupedQueryAttention", "GroupQueryAttention")
def grouped_query_attention(call: Emitter) -> Any:
    """``gqa(q[B, T, D], v[B, S, D], k[B, S, F]) -> [B, T, D]``, and the scores ``[B, heads, T, S]`` on request."""
    query, value, key = _operands(call)
    mask = _attention_mask(call, query, value, _own_mask(call, 3, "query_mask", query))
    heads, groups = call.integer("num_query_heads", 1), call.integer("num_key_value_heads", 1)
    wanted = _flag(call, "return_attention_scores")
    zero = wanted or bool(call.get("dropout"))
    q, k, v = (
        _projected(call, name, x)
        for name, x in (("_query_dense", query), ("_key_dense", key), ("_value_dense", value))
    )
    k, v = (_repeated(call, x, heads // groups) for x in (k, v))
    gate = _gate(call, query)
    scale = 1 / math.sqrt(call.integer("head_dim", 1))
    y, scores = _attended(call, q, k, v, mask, [1], scale, zero)
    output = _output(call, "_output_dense", y if gate is None else call.op("Mul", y, gate))
    return (output, scores) if wanted else output


def _operands(call: Emitter) -> tuple[Tensor, Tensor, Tensor]:
    query, value = call.operand(0, "query"), call.operand(1, "value")
    return query, value, call.optional(2, "key") or value


def _repeated(call: Emitter, x: Tensor, count: int) -> Tensor:
    """``x[B, S, N, H] -> [B, S, N*count, H]``, every head ``count`` times."""
    if count == 1:
        return x
    batch, time, heads, size = x.sizes
    spread = call.op("Tile", call.unsqueeze(x, 3), [1, 1, 1, count, 1])
    return call.reshape(spread, [batch, time, heads * count, size])


# -- projections -----------------------------
def _kernel(call: Emitter, name: str) -> Tensor:
    """The kernel of an inner layer. Raises Refused if it is quantised: then it also has scales.

    Keras 3.15 saves an attention layer without the policies of the layers in it, and does not load the file.
    """
    kernel = call.weight(f"{name}/vars/0", f"{name}/kernel")
    if kernel.dtype not in FLOATS or call.has_weight(f"{name}/vars/{1 + call.flag('use_bias', True)}"):
        raise call.refuse("its projections are quantised, and Keras does not save how")
    return kernel


def _projected(call: Emitter, name: str, x: Tensor) -> Tensor:
    """``x[B, T..., D], kernel[D, N, H] -> [B, T..., N, H]``."""
    kernel = _kernel(call, name)
    width, heads, size = kernel.sizes
    y = call.op("MatMul", x, call.reshape(kernel, [width, heads * size]))
    if call.flag("use_bias", True):
        y = call.op("Add", y, call.reshape(call.weight(f"{name}/vars/1", f"{name}/bias"), [heads * size]))
    return call.reshape(y, [*x.sizes[:-1], heads, size])


def _gate(call: Emitter, query: Tensor) -> Tensor | None:
    return call.op("Sigmoid", _projected(call, "_gate_dense", query)) if call.flag("use_gate") else None


def _output(call: Emitter, name: str, x: Tensor) -> Tensor:
    """``x[B, T..., N, H], kernel[N, H, D...] -> [B, T..., D...]``."""
    kernel = _kernel(call, name)
    heads, size, *widths = kernel.sizes
    flat = call.reshape(x, [*x.sizes[:-2], heads * size])
    y = call.op("MatMul", flat, call.reshape(kernel, [heads * size, product(widths)]))
    if call.flag("use_bias", True):
        y = call.op("Add", y, call.reshape(call.weight(f"{name}/vars/1", f"{name}/bias"), [product(widths)]))
    return call.reshape(y, [*x.sizes[:-2], *widths])


# -- masks -----------------------------
def _own_mask(call: Emitter, position: int, name: str, x: Tensor | None) -> Tensor | None:
    """The mask argument, else the mask of the operand."""
    mask = call.optional(position, name)
    if mask is None and x is not None:
        mask = x.mask
    return None if mask is None else call.cast(mask, "bool")


def _attention_mask(call: Emitter, query: Tensor, value: Tensor, query_mask: Tensor | None) -> Tensor | None:
    """All masks together, ``[B or 1, T..., S...]``: what each query may attend to."""
    found: list[Tensor] = []
    if query_mask is not None:
        found.append(call.unsqueeze(call.cast(query_mask, "bool"), query_mask.rank))
    for position, name, x in ((4, "value_mask", value), (5, "key_mask", call.optional(2, "key"))):
        mask = _own_mask(call, position, name, x)
        if mask is not None:
            found.append(call.unsqueeze(mask, mask.rank - 1))
    if _flag(call, "use_causal_mask"):
        found.append(_causal(call, query, value))
    window = call.get("sliding_window")
    if window is not None:
        found.append(_near(call, query, value, call.whole("sliding_window", window, 1)))
    given = call.optional(6, "attention_mask")
    if given is not None:
        found.append(call.cast(given, "bool"))
    mask = None
    for each in found:
        mask = each if mask is None else call.op("And", mask, each)
    return mask


def _places(call: Emitter, x: Tensor) -> Tensor:
    """``int64[n]``: 0, 1, … along axis 1."""
    size = x.sizes[1]
    if isinstance(size, int):
        return call.constant(np.arange(size))
    return call.positions(call.count(x, 1, "int64"), size)


def _causal(call: Emitter, query: Tensor, value: Tensor) -> Tensor:
    """``bool[1, T, S]``: a query sees no later positions."""
    rows, columns = call.unsqueeze(_places(call, query), 0, 2), call.unsqueeze(_places(call, value), 0, 1)
    return call.op("GreaterOrEqual", rows, columns)


def _near(call: Emitter, query: Tensor, value: Tensor, window: int) -> Tensor:
    """``bool[1, T, S]``: a query sees positions less than ``window`` away."""
    rows, columns = call.unsqueeze(_places(call, query), 0, 2), call.unsqueeze(_places(call, value), 0, 1)
    return call.op("Less", call.op("Abs", call.op("Sub", rows, columns)), window)


# -- the product -----------------------------
def _attended(
    call: Emitter,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    places: Sequence[int],
    scale: float,
    zero: bool,
) -> tuple[Tensor, Tensor]:
    """``q[B, T..., N, H], k[B, S..., N, H], v[B, S..., N, E] -> [B, T..., N, E]`` and the scores.

    Args:
        places: the axes that are attended over; the others are batch axes.
        zero: whether a query that may attend to nothing gets zeros, else the mean.
    """
    rank = query.rank
    apart = [n for n in range(rank - 2) if n not in places]
    order = [*apart, rank - 2, *places, rank - 1]

    def laid(x: Tensor, last: Sequence[int]) -> Tensor:
        """``[apart..., N, positions, H]``, all attended axes as one; ``last`` orders the last two."""
        turned = call.transpose(x, order)
        head = turned.sizes[: len(apart) + 1]
        flat = call.reshape(turned, [*head, product(x.sizes[p] for p in places), x.sizes[-1]])
        return call.transpose(flat, [*range(flat.rank - 2), *(flat.rank - 2 + n for n in last)])

    if len(places) == 1:
        # One permutation is enough for each.
        k = call.transpose(key, [*apart, rank - 2, rank - 1, *places])
        q, v = call.transpose(query, order), call.transpose(value, order)
    else:
        q, k, v = laid(query, (0, 1)), laid(key, (1, 0)), laid(value, (0, 1))
    scores = call.op("Mul", call.op("MatMul", q, k), scale)
    head = [query.sizes[n] for n in apart] + [query.sizes[rank - 2]]
    apart_sizes: list[Size] = [
        *head,
        *(query.sizes[p] for p in places),
        *(key.sizes[p] for p in places),
    ]
    flat_sizes = scores.sizes
    weights = _weights(call, scores, mask, apart_sizes, len(places), zero)
    y = call.op("MatMul", call.reshape(weights, flat_sizes), v)
    y = call.reshape(y, [*head, *(query.sizes[p] for p in places), value.sizes[-1]])
    back = [order.index(n) for n in range(rank)]
    return call.transpose(y, back), call.reshape(weights, apart_sizes)


def _weights(
    call: Emitter,
    scores: Tensor,
    mask: Tensor | None,
    sizes: Sequence[Size],
    attended: int,
    zero: bool,
) -> Tensor:
    """The softmax of scores over all keys. ``sizes`` are those of the scores with separate attended axes."""
    if mask is None:
        return call.op("Softmax", scores, axis=-1)
    while mask.rank < len(sizes):
        mask = call.unsqueeze(mask, mask.rank - 2 * attended)
    flat = scores.sizes
    apart = call.reshape(scores, sizes)
    if zero:
        low = -3e4 if scores.dtype == "float16" else -1e9
    else:
        # In float32 at least, as dot_product_attention computes it.
        apart = call.cast(apart, "float64" if scores.dtype == "float64" else "float32")
        low = float(np.finfo(numpy_dtype(apart.dtype)).min) * 0.7
    kept = call.op("Where", mask, apart, call.constant(low, apart.dtype))
    weights = call.op("Softmax", call.reshape(kept, flat), axis=-1)
    if zero:
        weights = call.op("Where", mask, call.reshape(weights, sizes), call.constant(0, weights.dtype))
    return call.cast(weights, scores.dtype)
