"""Functions of whole numbers that ONNX lacks, or that ONNX Runtime computes in floats, as loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...emitter import Emitter
from ...graph import Tensor, array_of
from ._operands import reduce_bool, where


def whole_power(call: Emitter, x: Tensor, y: Tensor) -> Tensor:
    """``x ** y`` of integers by squaring: overflow drops the upper bits. ONNX Runtime's Pow goes through float64."""
    known = array_of(y)
    if known is not None and known.size == 1 and 0 < int(known.item()) <= 64:
        result, square, left = None, x, int(known.item())
        while left:
            if left % 2:
                result = square if result is None else call.op("Mul", result, square)
            left //= 2
            square = call.op("Mul", square, square) if left else square
        return call.expand(result or x, call.sizes)
    one, two = call.constant(1, x.dtype), call.constant(2, x.dtype)

    def squared(result: Tensor, base: Tensor, rest: Tensor) -> tuple[Tensor, ...]:
        odd = call.op("Equal", call.op("Mod", rest, two), one)
        after = where(call, odd, call.op("Mul", result, base), result)
        return after, call.op("Mul", base, base), call.op("Div", rest, two)

    starts = [call.expand(t, call.sizes) for t in (one, x, y)]
    return _while_positive(call, "square", ("result", "base", "rest"), starts, squared)


def greatest_divisor(call: Emitter, x: Tensor, y: Tensor) -> Tensor:
    """The greatest common divisor of non-negative numbers, broadcast to the result's sizes."""
    zero = call.constant(0, x.dtype)

    def divided(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        done = call.op("Equal", b, zero)
        divisor = where(call, done, call.constant(1, x.dtype), b)
        rest = where(call, done, zero, call.op("Mod", a, divisor))
        return where(call, done, a, b), rest

    starts = [call.expand(t, call.sizes) for t in (x, y)]
    return _while_positive(call, "divide", ("a", "b"), starts, divided)


def _while_positive(
    call: Emitter,
    name: str,
    stems: Sequence[str],
    starts: Sequence[Tensor],
    step: Callable[..., tuple[Tensor, ...]],
) -> Tensor:
    """A Loop of ``step(*states) -> states`` while the last state has a number above 0; returns the first state.

    All states have the type and the sizes of the first.
    """
    dtype, sizes = starts[0].dtype, starts[0].sizes
    with call.builder.body(name) as body:
        number, going = Tensor("int64", [], stem="step"), Tensor("bool", [], stem="going")
        states = [Tensor(dtype, sizes, stem=stem) for stem in stems]
        body.inputs = [number, going, *states]
        after = step(*states)
        body.outputs = [_any_positive(call, after[-1]), *after]
    results = [(dtype, sizes)] * len(starts)
    return call.several("Loop", results, None, _any_positive(call, starts[-1]), *starts, body=body)[0]


def _any_positive(call: Emitter, x: Tensor) -> Tensor:
    some = call.op("Greater", x, call.constant(0, x.dtype))
    return reduce_bool(call, "ReduceMax", some, range(x.rank))
