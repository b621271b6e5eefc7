"""Attention layers."""

from __future__ import annotations

from typing import Any

from ...errors import BadFileError, shown
from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.size import Truth, same
from ..broadcast import fixes_batch, meet, only_at
from ..call import Call, ShapeError, known, layer, need_rank
from ..spatial import call_flag, flatly, hint_time, masked, operand, required

Axes = tuple[Axis, ...]


@layer("Attention", "AdditiveAttention")
def attention(call: Call) -> Any:
    """``attention([q[B, T, D], v[B, S, E], k[B, S, D]]) -> [B, T, E]``; also the scores ``[B, T, S]`` on request."""
    operands = flatly(call.args[0] if call.args else call.kwargs.get("inputs"))
    if not 2 <= len(operands) <= 3:
        raise BadFileError(
            f"layer {shown(call.operation.name)!r} takes [query, value] or [query, value, key]"
        )
    for each in operands:
        axes = known(each)
        if len(axes) < 2:
            raise ShapeError(f"takes tensors of rank 2 or more, not {each.text()}")
        if len(axes) == 3:
            hint_time(axes[1])
    query, value = known(operands[0]), known(operands[1])
    key = known(operands[2]) if len(operands) > 2 else value
    _must_equal(query[-1], key[-1], "query", "key")
    _must_equal(value[-2], key[-2], "value", "key")
    if fixes_batch(query[0], value[0]):
        if 1 not in (query[0].size, value[0].size):
            raise ShapeError(only_at(query[0], value[0]))
        query = (meet(query[0], value[0]), *query[1:])
    dtype = call.compute_dtype()
    # The result is a weighted sum of the value's steps: its last axis is the value's.
    out = masked(call.like([*query[:-1], value[-1]], dtype), operands[0].mask)
    if call_flag(call, "return_attention_scores"):
        return out, call.like([*query[:-1], key[-2]], dtype)
    return out


@layer("MultiHeadAttention")
def multi_head_attention(call: Call) -> Any:
    """``mha(q[B, T..., D], v[B, S..., E], k[B, S..., F]) -> [B, T..., D or output_shape]``.

    The scores, on request, are ``[B, heads, T..., S...]``; axes that are not attended over come before the heads.
    """
    heads = call.integer("num_heads", 1)
    call.integer("key_dim", 1)
    x, query, value = _attended(call)
    rank = len(query)
    if rank < 2 or len(value) != rank:
        raise ShapeError(f"takes a query and a value of the same rank, not {rank} and {len(value)}")
    stated = call.get("output_shape")
    if stated:
        items = stated if isinstance(stated, (list, tuple)) else [stated]
        last = [new_axis(call.whole("output_shape", n, 1), Role.FEATURE, derived=query[-1]) for n in items]
    else:
        last = [new_axis(query[-1].size, Role.FEATURE, derived=query[-1])]
    attended = _attention_axes(call, rank)
    out = masked(call.like([*query[:-1], *last], call.compute_dtype()), x.mask)
    if not call_flag(call, "return_attention_scores"):
        return out
    apart = [query[i] for i in range(rank - 1) if i not in attended]
    scores = [*apart, new_axis(heads), *(query[i] for i in attended), *(value[i] for i in attended)]
    return out, call.like(scores, call.compute_dtype())


# The class is exported as GroupQueryAttention and saved as GroupedQueryAttention (Keras 3.15).
@layer("GroupedQueryAttention", "GroupQueryAttention")
def grouped_query_attention(call: Call) -> Any:
    """``gqa(q[B, T, D], v[B, S, D], k[B, S, F]) -> [B, T, D]``; also the scores ``[B, heads, T, S]`` on request."""
    heads, groups = call.integer("num_query_heads", 1), call.integer("num_key_value_heads", 1)
    if heads % groups:
        raise call.bad("num_query_heads", heads, f"a multiple of num_key_value_heads={groups}")
    x, query, value = _attended(call)
    need_rank(x, 3)
    if len(value) != 3:
        raise ShapeError(f"takes a value of rank 3, not {len(value)}")
    _must_equal(query[-1], value[-1], "query", "value")
    last = new_axis(query[-1].size, Role.FEATURE, derived=query[-1])
    out = masked(call.like([*query[:-1], last], call.compute_dtype()), x.mask)
    if call_flag(call, "return_attention_scores"):
        return out, call.like([query[0], new_axis(heads), query[1], value[1]], call.compute_dtype())
    return out


def _attended(call: Call) -> tuple[Value, Axes, Axes]:
    """The query as a value, its axes and the value's. Key and value may differ only in the last axis (ShapeError)."""
    x, v = required(call, 0, "query"), required(call, 1, "value")
    k = operand(call, 2, "key") or v
    query, value, key = known(x), known(v), known(k)
    if len(key) != len(value):
        raise ShapeError(f"value has rank {len(value)} and key rank {len(key)}")
    for a, b in zip(value[1:-1], key[1:-1], strict=True):
        _must_equal(a, b, "value", "key")
    for axes in (query, value, key):
        if len(axes) == 3:
            hint_time(axes[1])
        if axes and query and fixes_batch(query[0], axes[0]):  # einsum does not broadcast a batch of 1
            raise ShapeError(only_at(query[0], axes[0]))
    return x, query, value


def _attention_axes(call: Call, rank: int) -> tuple[int, ...]:
    value = call.get("attention_axes")
    if value is None:
        return tuple(range(1, rank - 1))
    items = value if isinstance(value, (list, tuple)) else [value]
    places = tuple(call.axis(item, rank, "attention_axes") for item in items)
    if len(set(places)) < len(places) or 0 in places or rank - 1 in places:
        raise ShapeError(f"cannot attend over axes {list(places)} of a tensor of rank {rank}")
    return places


def _must_equal(a: Axis, b: Axis, left: str, right: str) -> None:
    if same(a.size, b.size) is Truth.NO:
        raise ShapeError(f"{left} has {a} where {right} has {b}")
