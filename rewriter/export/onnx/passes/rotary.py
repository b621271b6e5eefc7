"""Writes rotary position embeddings as one operator (opset 23)."""

from __future__ import annotations

import numpy as np

from ....ir.size import Size, is_unknown
from ..graph import Node, Tensor, array_of
from ..sizes import numbers
from ._match import Site

_SAME_EVERYWHERE = frozenset({"Cos", "Sin"})


def rotary_embedding(site: Site, node: Node) -> Tensor | None:
    """``x * cos + Concat(-b, a) * sin`` with ``a, b = Split(x, 2)`` -> ``RotaryEmbedding(x, cos, sin)`` (opset 23).

    The operator computes ``a * cos - b * sin`` and ``b * cos + a * sin`` (Operators.md, RotaryEmbedding-23) with the
    cosines and sines ``[B, T, K/2]`` of half the width: both halves of ``cos`` have to be the same, those of ``sin``
    too, and the same for all heads. ``x`` is ``[B, heads, T, K]``, or ``[B, T, heads, K]`` and then taken as
    ``[B, T, heads * K]``.
    """
    if node.output.dtype != "float32" or not node.output.known or node.output.rank != 4:
        return None
    for straight, crossed in (node.inputs, node.inputs[::-1]):
        found = _operands(site, straight, crossed)
        if found is not None:
            return _rotated(site, node, *found)
    return None


def _operands(
    site: Site, straight: Tensor | None, crossed: Tensor | None
) -> tuple[Tensor, Tensor, Tensor] | None:
    """``x``, cosines and sines of ``x * cos`` and ``Concat(-b, a) * sin``."""
    first, second = site.inner(straight, "Mul"), site.inner(crossed, "Mul")
    if first is None or second is None:
        return None
    for turned, sine in (second.inputs, second.inputs[::-1]):
        joined = site.inner(turned, "Concat")
        x = None if joined is None else _halves(site, joined)
        if x is None or sine is None or x not in first.inputs:
            continue
        cosine = first.inputs[1] if first.inputs[0] is x else first.inputs[0]
        return None if cosine is None else (x, cosine, sine)
    return None


def _halves(site: Site, joined: Node) -> Tensor | None:
    """``x`` of ``Concat(-b, a)`` along the last axis, ``a`` and ``b`` its halves."""
    if (
        len(joined.inputs) != 2
        or not joined.output.known
        or joined.attributes["axis"] != joined.output.rank - 1
    ):
        return None
    negative, a = site.inner(joined.inputs[0], "Neg"), joined.inputs[1]
    b = None if negative is None else negative.inputs[0]
    if a is None or b is None:
        return None
    last = joined.output.rank - 1
    split = site.maker(a, "Split")
    if split is not None:
        sizes = numbers(split.inputs[1]) if len(split.inputs) > 1 else None
        whole = split.inputs[0]
        halved = sizes is None or (len(sizes) == 2 and sizes[0] == sizes[1])
        alike = split.outputs[0] is a and split.outputs[-1] is b and len(split.outputs) == 2
        right = split.attributes.get("axis", 0) in (-1, last)
        return whole if halved and alike and right else None
    parts = [site.maker(each, "Slice") for each in (a, b)]
    if parts[0] is None or parts[1] is None or parts[0].inputs[0] is not parts[1].inputs[0]:
        return None
    x = parts[0].inputs[0]
    width = x.sizes[-1] if x is not None and x.known else None
    if not isinstance(width, int) or width % 2:
        return None
    halves = [_range(part, last, width) for part in parts if part is not None]
    return x if halves == [(0, width // 2), (width // 2, width)] else None


def _range(part: Node, axis: int, size: int) -> tuple[int, int] | None:
    """The places that a Slice along one axis takes, every one."""
    starts, ends, axes, steps = ([*map(numbers, part.inputs[1:]), None, None])[:4]
    if starts is None or ends is None or axes not in ([axis], [-1]) or steps not in (None, [1]):
        return None
    start, end, _ = slice(starts[0], ends[0]).indices(size)
    return start, end


def _rotated(site: Site, node: Node, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor | None:
    width = x.sizes[-1]
    if not x.known or x.sizes != node.output.sizes or not isinstance(width, int) or width % 2:
        return None
    if (
        any(is_unknown(size) for size in x.sizes)
        or not _is_doubled(site, cosine)
        or not _is_doubled(site, sine)
    ):
        return None
    for heads, time in ((1, 2), (2, 1)):
        if not isinstance(x.sizes[heads], int):
            continue
        tables = (x.sizes[0], x.sizes[time], width // 2)
        if not all(_spread(table, heads, time, x) for table in (cosine, sine)):
            continue
        halves = [_table(site, _half(site, table), heads, tables, x) for table in (cosine, sine)]
        if heads == 1:
            return site.builder.node("RotaryEmbedding", x, *halves, as_sizes=x.sizes)
        joined = site.builder.reshape(x, [*x.sizes[:2], x.sizes[2] * width])
        made = site.builder.node(
            "RotaryEmbedding", joined, *halves, as_sizes=joined.sizes, num_heads=x.sizes[2]
        )
        return site.builder.reshape(made, x.sizes)
    return None


def _spread(table: Tensor, heads: int, time: int, x: Tensor) -> bool:
    """Whether a table broadcasts to ``x`` with one entry for all heads, and one for each step."""
    sizes = (*[1] * (4 - table.rank), *table.sizes)
    return sizes[heads] == 1 and sizes[time] == x.sizes[time] and sizes[0] in (1, x.sizes[0])


def _table(site: Site, half: Tensor, heads: int, sizes: tuple[Size, ...], x: Tensor) -> Tensor:
    """A half table as ``[B, T, K/2]``."""
    given: list[Size] = [*[1] * (4 - half.rank), *half.sizes]
    del given[heads]
    table = site.builder.reshape(half, given)
    if table.sizes == sizes:
        return table
    return site.builder.node("Expand", table, site.shape(sizes, x), as_sizes=sizes)


# -- tables whose halves are equal -----------------------------
def _is_doubled(site: Site, table: Tensor | None, depth: int = 8) -> bool:
    """Whether the last axis of a table is the same numbers twice."""
    if table is None or not depth or not table.known or not table.rank or table.dtype != "float32":
        return False
    width = table.sizes[-1]
    if not isinstance(width, int) or width % 2:
        return False
    values = array_of(table)
    if values is not None:
        return bool(np.array_equal(values[..., : width // 2], values[..., width // 2 :]))
    node = site.maker(table, "Concat", "Gather", "Mul", "Unsqueeze", *_SAME_EVERYWHERE)
    if node is None:
        return False
    if node.op_type == "Concat":
        return len(node.inputs) == 2 and node.inputs[0] is node.inputs[1] and _last(node, table)
    x = node.inputs[0]
    if node.op_type == "Mul":
        return all(
            each is not None and (_is_one(each) or _is_doubled(site, each, depth - 1)) for each in node.inputs
        )
    if node.op_type == "Gather":
        return (
            x is not None and x.known and _axis(node, x.rank) < x.rank - 1 and _is_doubled(site, x, depth - 1)
        )
    if node.op_type == "Unsqueeze":
        axes = numbers(node.inputs[1])
        kept = axes is not None and all(axis % table.rank < table.rank - 1 for axis in axes)
        return kept and _is_doubled(site, x, depth - 1)
    return _is_doubled(site, x, depth - 1)


def _half(site: Site, table: Tensor) -> Tensor:
    """The first half of a table whose halves are equal."""
    values, width = array_of(table), table.sizes[-1]
    assert isinstance(width, int)
    if values is not None:
        return site.builder.constant(np.ascontiguousarray(values[..., : width // 2]))
    node = table.producer
    assert node is not None and node.inputs[0] is not None
    if node.op_type == "Concat":
        return node.inputs[0]
    places = range(2) if node.op_type == "Mul" else range(1)
    operands = list(node.inputs)
    for place in places:
        operand = operands[place]
        assert operand is not None
        operands[place] = operand if _is_one(operand) else _half(site, operand)
    sizes = (*table.sizes[:-1], width // 2)
    return site.builder.node(node.op_type, *operands, as_sizes=sizes, **node.attributes)


def _is_one(tensor: Tensor) -> bool:
    """Whether a constant has a single number."""
    return tensor.data is not None and tensor.data.count == 1


def _last(node: Node, tensor: Tensor) -> bool:
    return _axis(node, tensor.rank) == tensor.rank - 1


def _axis(node: Node, rank: int) -> int:
    return int(node.attributes.get("axis", 0)) % rank
