"""Categorical preprocessing: CategoryEncoding, Discretization, Hashing, HashedCrossing, lookups, TextVectorization.

Where Keras's ``compute_output_spec`` and its ``call`` disagree (Keras 3.15: one_hot in Hashing, counting over tensors
of rank 3, most of TextVectorization, the dtype of lookups), the rules here follow ``call``.
"""

from __future__ import annotations

from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.size import Truth, is_unknown, same
from ..call import Call, OpaqueError, ShapeError, known, layer, need_rank, unknown_axis

_COUNTS = ("multi_hot", "count", "tf_idf")
_ALIASES = {"binary": "multi_hot", "tf-idf": "tf_idf"}


def _mode(call: Call, default: str, choices: tuple[str, ...]) -> str:
    value = call.text("output_mode", default)
    value = _ALIASES.get(value, value)
    if value not in choices:
        raise call.bad("output_mode", value, " or ".join(choices))
    return value


def encoded(axes: tuple[Axis, ...], mode: str, depth: Axis) -> tuple[Axis, ...]:
    """``one_hot(x[..., N]) -> [..., N, depth]`` with an N of 1 dropped; counts: ``[B, N, ...] -> [B, ..., depth]``.

    The counts of a vector are ``[depth]``. Source: ``encode_categorical_inputs`` in
    ``keras/src/utils/numerical_utils.py``.
    """
    if not axes:
        raise OpaqueError("encodes a scalar")
    if mode in _COUNTS:
        return (*axes[:1], *axes[2:], depth) if len(axes) > 1 else (depth,)
    if len(axes) > 1:
        if same(axes[-1].size, 1) is Truth.UNKNOWN:
            raise OpaqueError(f"the rank of its result depends on whether {axes[-1]} is 1")
        if axes[-1].size == 1:
            axes = axes[:-1]
    return (*axes, depth)


def _depth(call: Call, name: str, minimum: int = 1) -> Axis:
    if call.get(name) is None:
        return unknown_axis(Role.FEATURE)
    return new_axis(call.integer(name, minimum), Role.FEATURE)


@layer("CategoryEncoding")
def category_encoding(call: Call) -> Value:
    """``category_encoding(x[B, N]) -> [B, num_tokens]``; ``one_hot`` gives ``[B, N, num_tokens]``."""
    mode = _mode(call, "multi_hot", ("multi_hot", "one_hot", "count"))
    depth = new_axis(call.integer("num_tokens", 1), Role.FEATURE)
    return call.like(encoded(call.axes, mode, depth), call.compute_dtype())


@layer("Discretization")
def discretization(call: Call) -> Value:
    """``discretization(x[...]) -> [...]`` bins as int32, or encoded over the bins."""
    mode = _mode(call, "int", ("int", "one_hot", "multi_hot", "count"))
    if mode == "int":
        return call.like(call.axes, "int32")
    boundaries = call.get("bin_boundaries")
    if isinstance(boundaries, (list, tuple)):
        depth = new_axis(len(boundaries) + 1, Role.FEATURE)
    else:
        depth = _depth(call, "num_bins")
    return call.like(encoded(call.axes, mode, depth), call.compute_dtype())


@layer("Hashing")
def hashing(call: Call) -> Value:
    """``hashing(x[...]) -> [...]`` bins, or encoded over num_bins."""
    mode = _mode(call, "int", ("int", "one_hot", "multi_hot", "count"))
    bins = call.integer("num_bins", 1)
    if mode == "int":
        return call.like(call.axes, call.compute_dtype() or "int64")
    return call.like(
        encoded(call.axes, mode, new_axis(bins, Role.FEATURE)), call.compute_dtype() or "float32"
    )


@layer("HashedCrossing")
def hashed_crossing(call: Call) -> Value:
    """``hashed_crossing([x[B, 1], y[B, 1]]) -> [B, 1]``; with one_hot ``[B, num_bins]``. Also for operands ``[B]``."""
    mode = _mode(call, "int", ("int", "one_hot"))
    bins = call.integer("num_bins", 1)
    operands = call.inputs
    if len(operands) < 2:
        raise ShapeError("takes at least two tensors")
    axes = known(operands[0])
    for value in operands:
        other = need_rank(value, 0, 1, 2)
        if len(other) != len(axes) or any(
            same(a.size, b.size) is Truth.NO for a, b in zip(axes, other, strict=True)
        ):
            raise ShapeError(f"takes tensors of one shape, not {operands[0].text()} and {value.text()}")
    if len(axes) == 2 and same(axes[1].size, 1) is Truth.NO:
        raise ShapeError(f"takes one value of each sample, not {operands[0].text()}")
    if mode == "int":
        return call.like(axes, call.compute_dtype() or "int64")
    if len(axes) == 2:
        axes = (axes[0], new_axis(1))
    return call.like(encoded(axes, mode, new_axis(bins, Role.FEATURE)), call.compute_dtype() or "float32")


def _vocabulary(call: Call) -> Axis:
    return _depth(call, "max_tokens" if call.flag("pad_to_max_tokens") else "vocabulary_size")


def _lookup_dtype(mode: str) -> str:
    return "float32" if mode == "tf_idf" else "int64"


@layer("IntegerLookup", "StringLookup")
def lookup(call: Call) -> Value:
    """``lookup(x[...]) -> [...]`` indices, or encoded over the vocabulary."""
    mode = _mode(call, "int", ("int", "one_hot", *_COUNTS))
    if mode == "int":
        strings = call.operation.class_name == "StringLookup"
        return call.like(call.axes, "string" if strings and call.flag("invert") else "int64")
    return call.like(encoded(call.axes, mode, _vocabulary(call)), _lookup_dtype(mode))


@layer("TextVectorization")
def text_vectorization(call: Call) -> Value:
    """``text_vectorization(x[B]) -> [B, tokens]`` or ``[B, vocabulary]``; a last axis of 1 is dropped first."""
    mode = _mode(call, "int", ("int", "one_hot", *_COUNTS))
    for name in ("standardize", "split"):
        if not isinstance(call.get(name), (str, type(None))):
            raise OpaqueError(f"its {name} is Python code, which is not run")
    axes = call.axes
    if not axes:
        raise OpaqueError("vectorises a scalar")
    ngrams = call.get("ngrams") is not None
    if call.get("split", "whitespace") is not None:
        if len(axes) > 1:
            if same(axes[-1].size, 1) is Truth.NO:
                raise ShapeError(f"splits one text of each sample, not {call.x.text()}")
            axes = axes[:-1]
        axes = (*axes, unknown_axis(Role.TIME))
    elif ngrams:
        axes = (*axes[:-1], unknown_axis(Role.TIME))
    if mode != "int":
        return call.like(_encoded_tokens(axes, mode, _vocabulary(call)), _lookup_dtype(mode))
    length = call.get("output_sequence_length")
    if length is not None:
        cut = new_axis(call.whole("output_sequence_length", length, 0), Role.TIME)
        axes = (*axes[:-1], unknown_axis(Role.TIME) if call.flag("ragged") else cut)
    return call.like(axes, "int64")


def _encoded_tokens(axes: tuple[Axis, ...], mode: str, depth: Axis) -> tuple[Axis, ...]:
    """``encoded`` for tokens: split texts are ragged, and Keras never drops a ragged axis as one of size 1."""
    if mode == "one_hot" and is_unknown(axes[-1].size):
        return (*axes, depth)
    return encoded(axes, mode, depth)
