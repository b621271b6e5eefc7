"""Joining tensors along an axis, old or new, and taking them apart again."""

from __future__ import annotations

from typing import Any

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op
from ._operands import argument, as_tensor, flattened, pair


def _parts(call: Emitter, *names: str) -> list[Tensor]:
    """The operands of an op that takes a list of tensors, in the type of the result."""
    given: Any = argument(call, 0, *names)
    if not isinstance(given, (list, tuple)):
        raise call.bad(names[0], given, "a list of tensors")
    return [as_tensor(call, part, call.dtype) for part in given]


@op("numpy", "Concatenate")
def concatenate(call: Emitter) -> Tensor:
    """``concatenate([x[n, c], y[m, c]], axis=0) -> [n+m, c]``."""
    parts = _parts(call, "xs")
    return call.concat(parts, call.axis(call.get("axis", 0), parts[0].rank))


@op("numpy", "Append")
def append(call: Emitter) -> Tensor:
    """``append(x[n, c], y[m, c], axis=0) -> [n+m, c]``; without an axis both are flattened."""
    parts = [as_tensor(call, part, call.dtype) for part in pair(call)]
    if call.get("axis") is None:
        return call.concat([call.reshape(p, [1]) if p.rank == 0 else flattened(call, p) for p in parts], 0)
    return call.concat(parts, call.axis(call.get("axis"), parts[0].rank))


@op("numpy", "Stack")
def stack(call: Emitter) -> Tensor:
    """``stack([x[a, b], y[a, b]], axis=1) -> [a, 2, b]``."""
    parts = _parts(call, "x")
    axis = call.axis(call.get("axis", 0), parts[0].rank + 1)
    return call.concat([call.unsqueeze(part, axis) for part in parts], axis)


@op("numpy", "Hstack")
def hstack(call: Emitter) -> Tensor:
    """``hstack([x[a, n], y[a, m]]) -> [a, n+m]``; vectors join along their only axis."""
    parts = _parts(call, "xs")
    if parts[0].rank == 0:
        raise call.refuse("TensorFlow does not join scalars")
    return call.concat(parts, 0 if parts[0].rank == 1 else 1)


@op("numpy", "Vstack")
def vstack(call: Emitter) -> Tensor:
    """``vstack([x[n, a], y[m, a]]) -> [n+m, a]``; vectors join end to end, as on TensorFlow."""
    return call.concat(_parts(call, "xs"), 0)


@op("numpy", "Dstack")
def dstack(call: Emitter) -> Tensor:
    """``dstack([x[a, b, n], y[a, b, m]]) -> [a, b, n+m]``; a matrix is one layer, a vector one row of it."""
    new = {0: (0, 1, 2), 1: (0, 2), 2: (2,)}
    return call.concat([call.unsqueeze(p, *new.get(p.rank, ())) for p in _parts(call, "xs")], 2)


_SPLIT_AXIS = {"Hsplit": 1, "Vsplit": 0, "Dsplit": 2}


@op("numpy", "Split", "ArraySplit")
def split(call: Emitter) -> list[Tensor]:
    """``split(x[a, 2n], 2, axis=1) -> [a, n], [a, n]``; a list gives the split positions."""
    return _cut(call, call.axis(call.get("axis", 0), call.x.rank))


@op("numpy", "Hsplit", "Vsplit", "Dsplit")
def split_fixed(call: Emitter) -> list[Tensor]:
    """``hsplit(x[a, 2n], 2) -> [a, n], [a, n]``."""
    return _cut(call, min(_SPLIT_AXIS[call.operation.class_name], call.x.rank - 1))


def _cut(call: Emitter, axis: int) -> list[Tensor]:
    x = call.x
    if len(call.outputs) == 1:
        return [x]
    results = [(x.dtype, value.sizes) for value in call.outputs]
    lengths = [sizes[axis] for _, sizes in results if sizes is not None]
    return call.several("Split", results, x, call.shape(lengths, x), axis=axis)


@op("core", "Unstack")
def unstack(call: Emitter) -> list[Tensor]:
    """``unstack(x[a, 3, b], axis=1) -> [a, b], [a, b], [a, b]``."""
    axis = call.axis(call.get("axis", 0), call.x.rank)
    places = [call.constant(n, "int64") for n in range(len(call.outputs))]
    return [call.op("Gather", call.x, place, axis=axis) for place in places]
