"""Connectionist temporal classification: sequences of classes, one of which is blank, along the steps of an input."""

from __future__ import annotations

import math

from .....ir.size import Size
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op
from .._scan import scanned
from . import _factorisations as factorisations
from ._operands import argument, as_tensor, places, where


@op("nn", "CTCDecode")
def ctc_decode(call: Emitter) -> list[Tensor]:
    """``ctc_decode(x[B, T, C], lengths[B]) -> int32[1, B, T], [B, 1]``: the largest class of each step, greedily.

    Repeated classes are merged, blanks dropped; -1 fills the rest. The score is minus the sum of the largest numbers.
    """
    if call.text("strategy", "greedy", ("greedy", "beam_search")) != "greedy":
        raise call.refuse("its beams are sets of prefixes, which ONNX has no type for")
    x = call.cast(as_tensor(call, argument(call, 0, "inputs")), call.outputs[1].dtype)
    lengths = as_tensor(call, call.arg(1, "sequence_lengths"), "int64")
    blank = call.op("Mod", _blank(call), call.count(x, 2, "int64"))
    best = call.op("ArgMax", x, axis=2, keepdims=0)
    steps = factorisations.indices(call, x, 1)
    inside = call.op("Less", steps, call.unsqueeze(lengths, 1))
    kept = call.op("And", inside, call.op("Not", call.op("Equal", best, blank)))
    if call.flag("merge_repeated", True):
        before = call.op("Slice", call.pad(best, [0, 1], [0, 0], -1), [0], [-1], [1], as_sizes=best.sizes)
        kept = call.op("And", kept, call.op("Not", call.op("Equal", best, before)))
    # Dropped steps are written one place behind the last.
    count = call.count(x, 1, "int64")
    place = call.op("Sub", call.op("CumSum", call.cast(kept, "int64"), call.constant(1, "int64")), 1)
    place = where(call, kept, place, count)
    empty = call.pad(call.op("Add", call.op("Mul", best, 0), -1), [0, 0], [0, 1], -1)
    decoded = call.op("ScatterElements", empty, place, best, axis=1)
    decoded = call.op("Slice", decoded, [0], [-1], [1], as_sizes=best.sizes)
    top = where(call, inside, call.reduce("ReduceMax", x, [2]), 0.0)
    score = call.op("Neg", call.reduce("ReduceSum", top, [1], keepdims=True))
    return [call.cast(call.unsqueeze(decoded, 0), "int32"), score]


def _blank(call: Emitter) -> Tensor:
    return call.constant(call.whole("mask_index", call.get("mask_index", 0), -(2**31)), "int64")


@op("nn", "CTCLoss")
def ctc_loss(call: Emitter) -> Tensor:
    """``ctc_loss(target[B, n], x[B, T, C], target_length[B], length[B]) -> [B]``: minus the logarithm of the chance.

    A path visits ``blank, target[0], blank, target[1] … blank``; it stays, goes on, or leaves out a blank between two
    different classes (Graves et al., 2006, equations 5 to 8).
    """
    target, x, target_length, length = (
        as_tensor(call, call.arg(n, name), dtype)
        for n, (name, dtype) in enumerate(
            (
                ("target", "int64"),
                ("output", "float32"),
                ("target_length", "int64"),
                ("output_length", "int64"),
            )
        )
    )
    batch, n = target.sizes
    blank = call.op("Mod", _blank(call), call.count(x, 2, "int64"))
    # blank, target[0], blank, target[1] ...: pairs, and a last blank.
    pairs = where(call, call.constant([True, False]), blank, call.unsqueeze(target, 2))
    count: Size = 2 * n + 1
    flat = call.op("Reshape", pairs, [0, -1], as_sizes=[batch, 2 * n])
    last = call.unsqueeze(call.op("Expand", blank, call.op("Shape", length), as_sizes=[batch]), 1)
    path = call.op("Concat", flat, last, axis=1, as_sizes=[batch, count])
    least = call.constant(-math.inf, "float32")

    index = call.op(
        "Expand",
        call.unsqueeze(path, 1),
        call.shape([1, x.sizes[1], 1], x),
        as_sizes=[batch, x.sizes[1], count],
    )
    chances = call.op("GatherElements", call.op("LogSoftmax", x, axis=2), index, axis=2)
    at = places(call, call.size(path, 1), count)
    # A blank may be left out before a class that differs from the one before it.
    behind = call.op("Slice", call.pad(path, [0, 2], [0, 0], -1), [0], [-2], [1], as_sizes=path.sizes)
    skips = call.op(
        "And", call.op("Not", call.op("Equal", path, behind)), call.op("Not", call.op("Equal", path, blank))
    )
    first = where(call, call.op("Equal", at, 0), call.constant(0.0, "float32"), least)
    begun = call.op("Expand", first, call.op("Shape", path), as_sizes=path.sizes)

    def moved(states: Tensor, by: int) -> Tensor:
        wider = call.op("Pad", states, [0, by, 0, 0], least, mode="constant", as_sizes=[batch, count + by])
        return call.op("Slice", wider, [0], [-by], [1], as_sizes=path.sizes)

    def step(given: list[Tensor], place: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        (states,) = given
        sources = [states, moved(states, 1), where(call, skips, moved(states, 2), least)]
        after = call.op("Add", _log_sum(call, sources), factorisations.at(call, chances, place, 1))
        running = call.unsqueeze(call.op("Less", place, length), 1)
        return [where(call, running, after, states)], []

    steps = factorisations.indices(call, x, 1)
    (states,) = scanned(call, [steps], [begun], step)
    end = call.unsqueeze(call.op("Mul", target_length, 2), 1)
    # The path ends in the last class or in the blank behind it.
    last_class = where(call, call.op("Equal", at, call.op("Sub", end, 1)), states, least)
    last_blank = where(call, call.op("Equal", at, end), states, least)
    ends = [call.reduce("ReduceMax", t, [1]) for t in (last_class, last_blank)]
    return call.cast(call.op("Neg", _log_sum(call, ends)), call.dtype)


def _log_sum(call: Emitter, parts: list[Tensor]) -> Tensor:
    """``log(exp(a) + exp(b) + ...)``; minus infinity where all are."""
    top = call.op("Max", *parts)
    safe = where(call, call.op("IsInf", top), 0.0, top)
    total = None
    for part in parts:
        chance = call.op("Exp", call.op("Sub", part, safe))
        total = chance if total is None else call.op("Add", total, chance)
    assert total is not None
    return call.op("Add", call.op("Log", total), safe)
