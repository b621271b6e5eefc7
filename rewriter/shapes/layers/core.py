"""Core layers: Dense, EinsumDense, Embedding, Identity, Masking."""

from __future__ import annotations

import re

from ...errors import BadFileError
from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.graph import map_leaves
from ...ir.size import Truth, same
from ..call import Call, ShapeError, layer
from ..dtypes import bool_to_int32
from ..spatial import autocast, call_flag, masked

_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


@layer("Dense")
def dense(call: Call) -> Value:
    """``dense(x[..., K]) -> [..., units]``; the new axis is derived from the contracted one."""
    axes = call.axes
    if len(axes) < 2:
        raise ShapeError(f"takes a tensor of rank 2 or more, not {call.x.text()}")
    units = new_axis(call.integer("units", 1), Role.FEATURE, derived=axes[-1])
    return masked(call.like([*axes[:-1], units], call.compute_dtype()), call.x.mask)


@layer("EinsumDense")
def einsum_dense(call: Call) -> Value:
    """``einsum_dense(x[a, b, c]; "abc,cd->abd") -> [a, b, d]``; a label in both terms keeps its axis."""
    given, out, left, right = _equation(call)
    axes = call.axes
    elided = len(axes) - len(given)
    if elided < 0 or (elided and not (left or right)):
        raise ShapeError(f"the equation takes a tensor of rank {len(given)}, not {call.x.text()}")
    start = elided if left else 0
    by_label = dict(zip(given, axes[start : start + len(given)], strict=True))
    # The stated sizes include neither the batch nor elided axes.
    ahead, behind = (max(elided, 1), 0) if left else (1, elided)
    stated = [None] * ahead + _stated_sizes(call, len(out) + elided - ahead - behind) + [None] * behind
    mixed = next((by_label[label] for label in reversed(given) if label not in out), None)
    body = [_output_axis(call, by_label.get(label), stated[start + n], mixed) for n, label in enumerate(out)]
    if left:
        return call.like([*axes[:elided], *body], call.compute_dtype())
    return call.like([*body, *axes[len(given) :]], call.compute_dtype())


def _equation(call: Call) -> tuple[str, str, bool, bool]:
    """Input labels, output labels, and whether axes are elided on the left or on the right."""
    text = call.text("equation")
    parts = _EQUATION.fullmatch(text)
    if parts is None:
        raise call.bad("equation", text, "an equation like 'abc,cd->abd'")
    before, given, after, weight, out_before, out, out_after = parts.groups()
    if bool(before) != bool(out_before) or bool(after) != bool(out_after) or (before and after):
        raise call.bad("equation", text, "the same '...' on both sides")
    if len(set(given)) < len(given) or len(set(out)) < len(out):
        raise call.bad("equation", text, "every label once in a term")
    if not set(out) <= set(given) | set(weight) or not set(weight) <= set(given) | set(out):
        raise call.bad("equation", text, "every label in two terms")
    return given, out, bool(before), bool(after)


def _stated_sizes(call: Call, count: int) -> list[int | None]:
    value = call.get("output_shape")
    items = value if isinstance(value, (list, tuple)) else [value]
    if len(items) != count:
        raise ShapeError(f"its output_shape has {len(items)} sizes where the equation leaves {count}")
    return [None if item is None else call.whole("output_shape", item, 1) for item in items]


def _output_axis(call: Call, source: Axis | None, stated: int | None, mixed: Axis | None) -> Axis:
    if source is None:
        if stated is None:
            raise call.bad("output_shape", call.get("output_shape"), "a size for every label of the weight")
        return new_axis(stated, Role.FEATURE, derived=mixed)
    if stated is not None and same(source.size, stated) is Truth.NO:
        raise ShapeError(f"its output_shape states {stated} where {source} stays")
    return source


@layer("Embedding")
def embedding(call: Call) -> Value:
    """``embedding(x[...]) -> [..., output_dim]``; with mask_zero, a mask with the operand's axes."""
    call.integer("input_dim", 1)
    axes = call.axes
    result = call.like([*axes, new_axis(call.integer("output_dim", 1), Role.FEATURE)], call.compute_dtype())
    return masked(result, axes if call.flag("mask_zero") else None)


@layer("ReversibleEmbedding")
def reversible_embedding(call: Call) -> Value:
    """``embedding(x[...]) -> [..., output_dim]``; with ``reverse`` ``(x[..., output_dim]) -> [..., input_dim]``."""
    if not call_flag(call, "reverse"):
        return embedding(call)
    axes = call.axes
    taken, given = call.integer("output_dim", 1), call.integer("input_dim", 1)
    if not axes or same(axes[-1].size, taken) is Truth.NO:
        raise ShapeError(f"reverses an embedding of {taken}, not {call.x.text()}")
    return call.like([*axes[:-1], new_axis(given, Role.FEATURE, derived=axes[-1])], call.compute_dtype())


@layer("Identity")
def identity(call: Call) -> object:
    """``identity(x[...]) -> [...]``, for any structure of tensors."""
    if not call.args and len(call.kwargs) != 1:
        raise BadFileError("an Identity layer is called on no tensor")
    structure = call.args[0] if call.args else next(iter(call.kwargs.values()))

    def passed(leaf: object) -> object:
        if not isinstance(leaf, Value):
            return leaf
        return Value(leaf.axes, autocast(call, leaf), leaf.claimed, leaf.reason, leaf.constant, leaf.mask)

    return map_leaves(passed, structure)


@layer("Masking")
def masking(call: Call) -> Value:
    """``masking(x[..., F]) -> [..., F]`` with a mask ``[...]`` over all axes but the last."""
    axes = call.axes
    if not axes:
        raise ShapeError("takes a tensor of rank 1 or more")
    return masked(call.like(axes, bool_to_int32(autocast(call, call.x))), axes[:-1])
