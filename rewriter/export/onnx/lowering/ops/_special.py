"""Functions that ONNX has no operator for, or that lose digits when written out directly."""

from __future__ import annotations

import math

from ...emitter import Emitter
from ...graph import Tensor
from ._operands import floating, where


def log1p(call: Emitter, x: Tensor) -> Tensor:
    """``log(1 + x)``; for small x ``2 * atanh(x / (2 + x))``, which loses no digits.

    For float64, which has no Atanh, ``x * log(u) / (u - 1)`` with ``u = 1 + x``, and x where u is 1 (W. Kahan).
    """
    if x.dtype == "float64":
        above = call.op("Add", x, 1.0)
        log = call.op("Log", above)
        small = call.op("Div", call.op("Mul", x, log), call.op("Sub", above, 1.0))
        small = where(call, call.op("Equal", above, 1.0), x, small)
        return where(call, _within(call, x, 0.5), small, log)
    small = call.op("Mul", call.op("Atanh", call.op("Div", x, call.op("Add", x, 2.0))), 2.0)
    return where(call, _within(call, x, 0.5), small, call.op("Log", call.op("Add", x, 1.0)))


def expm1(call: Emitter, x: Tensor) -> Tensor:
    """``exp(x) - 1``; for small x ``2 * t / (1 - t)`` with ``t = tanh(x / 2)``, which loses no digits."""
    half = call.op("Tanh", call.op("Mul", x, 0.5))
    small = call.op("Div", call.op("Mul", half, 2.0), call.op("Sub", call.constant(1, x.dtype), half))
    return where(call, _within(call, x, 0.5), small, call.op("Sub", call.op("Exp", x), 1.0))


def sinh(call: Emitter, x: Tensor) -> Tensor:
    """``(exp(x) - exp(-x)) / 2``; for small x ``2 * t / (1 - t**2)`` with ``t = tanh(x / 2)``: it loses no digits."""
    if x.dtype != "float64":
        return call.op("Sinh", x)
    half = call.op("Tanh", call.op("Mul", x, 0.5))
    rest = call.op("Sub", call.constant(1, x.dtype), call.op("Mul", half, half))
    small = call.op("Div", call.op("Mul", half, 2.0), rest)
    apart = call.op("Sub", call.op("Exp", x), call.op("Exp", call.op("Neg", x)))
    return where(call, _within(call, x, 1.0), small, call.op("Mul", apart, 0.5))


def cosh(call: Emitter, x: Tensor) -> Tensor:
    """``(exp(x) + exp(-x)) / 2``."""
    if x.dtype != "float64":
        return call.op("Cosh", x)
    return call.op("Mul", call.op("Add", call.op("Exp", x), call.op("Exp", call.op("Neg", x))), 0.5)


def asinh(call: Emitter, x: Tensor) -> Tensor:
    """``log(x + sqrt(x**2 + 1))``, of the size of x by ``log1p(x + x**2 / (1 + sqrt(x**2 + 1)))``."""
    if x.dtype != "float64":
        return call.op("Asinh", x)
    size = call.op("Abs", x)
    square = call.op("Mul", size, size)
    root = call.op("Sqrt", call.op("Add", square, 1.0))
    near = log1p(call, call.op("Add", size, call.op("Div", square, call.op("Add", root, 1.0))))
    return call.op("Mul", call.op("Sign", x), _or_log_of_twice(call, size, near))


def acosh(call: Emitter, x: Tensor) -> Tensor:
    """``log(x + sqrt(x**2 - 1))``, as ``log1p(t + sqrt(t * (t + 2)))`` with ``t = x - 1``."""
    if x.dtype != "float64":
        return call.op("Acosh", x)
    more = call.op("Sub", x, 1.0)
    root = call.op("Sqrt", call.op("Mul", more, call.op("Add", more, 2.0)))
    return _or_log_of_twice(call, x, log1p(call, call.op("Add", more, root)))


def atanh(call: Emitter, x: Tensor) -> Tensor:
    """``log((1 + x) / (1 - x)) / 2``, of the size of x by ``log1p(2 * x / (1 - x)) / 2``."""
    if x.dtype != "float64":
        return call.op("Atanh", x)
    size = call.op("Abs", x)
    ratio = call.op("Div", call.op("Mul", size, 2.0), call.op("Sub", call.constant(1, x.dtype), size))
    return call.op("Mul", call.op("Sign", x), call.op("Mul", log1p(call, ratio), 0.5))


def _or_log_of_twice(call: Emitter, x: Tensor, near: Tensor) -> Tensor:
    """``near``, and ``log(2 * x)`` for large x: both functions differ from it by less than a digit, and x**2 is inf."""
    return where(call, call.op("Less", x, 1e8), near, call.op("Add", call.op("Log", x), math.log(2)))


def _within(call: Emitter, x: Tensor, limit: float) -> Tensor:
    return call.op("Less", call.op("Abs", x), limit)


# Abramowitz and Stegun, Handbook of Mathematical Functions, 9.8.1 and 9.8.2: relative errors below 2e-7.
_I0_SMALL = (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813)
_I0_LARGE = (
    0.39894228,
    0.01328592,
    0.00225319,
    -0.00157565,
    0.00916281,
    -0.02057706,
    0.02635537,
    -0.01647633,
    0.00392377,
)
_I0_LIMIT = 3.75


def bessel_i0(call: Emitter, x: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, of order 0."""
    if x.dtype == "float64":
        raise call.refuse("ONNX has no Bessel function, and a polynomial is exact for float32 only")
    wide = call.cast(x, "float32")
    size = call.op("Abs", wide)
    ratio = call.op("Div", wide, _I0_LIMIT)
    small = _polynomial(call, call.op("Mul", ratio, ratio), _I0_SMALL)
    far = call.op("Max", size, call.constant(_I0_LIMIT, "float32"))
    tail = _polynomial(call, call.op("Div", call.constant(_I0_LIMIT, "float32"), far), _I0_LARGE)
    large = call.op("Mul", call.op("Div", call.op("Exp", far), call.op("Sqrt", far)), tail)
    return call.cast(where(call, call.op("Less", size, _I0_LIMIT), small, large), x.dtype)


def _polynomial(call: Emitter, x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """``c[0] + c[1]*x + c[2]*x**2 ...``."""
    y = call.constant(coefficients[-1], x.dtype)
    for coefficient in reversed(coefficients[:-1]):
        y = call.op("Add", call.op("Mul", y, x), call.constant(coefficient, x.dtype))
    return y


# Press et al., Numerical Recipes, section 6.2: relative error below 1.2e-7 everywhere.
_ERFC = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.09678418,
    -0.18628806,
    0.27886807,
    -1.13520398,
    1.48851587,
    -0.82215223,
    0.17087277,
)


def erfc(call: Emitter, x: Tensor) -> Tensor:
    """``1 - erf(x)``, accurate in its tail too."""
    if x.dtype == "float64":
        raise call.refuse("ONNX has no erfc, and a polynomial is exact for float32 only")
    wide = call.cast(x, "float32")
    size = call.op("Abs", wide)
    t = call.op("Reciprocal", call.op("Add", call.op("Mul", size, 0.5), 1.0))
    power = call.op("Sub", _polynomial(call, t, _ERFC), call.op("Mul", size, size))
    tail = call.op("Mul", t, call.op("Exp", power))
    y = where(call, call.op("Less", wide, 0.0), call.op("Sub", call.constant(2, "float32"), tail), tail)
    return call.cast(y, x.dtype)


# Giles, Approximating the erfinv function (2012), the single precision form.
_ERFINV_CENTRE = (
    1.50140941,
    0.246640727,
    -0.00417768164,
    -0.00125372503,
    0.00021858087,
    -4.39150654e-06,
    -3.5233877e-06,
    3.43273939e-07,
    2.81022636e-08,
)
_ERFINV_TAIL = (
    2.83297682,
    1.00167406,
    0.00943887047,
    -0.0076224613,
    0.00573950773,
    -0.00367342844,
    0.00134934322,
    0.000100950558,
    -0.000200214257,
)


def erfinv(call: Emitter, x: Tensor) -> Tensor:
    """The inverse of ``erf``; infinite at -1 and 1."""
    if floating(call, x).dtype == "float64":
        raise call.refuse("ONNX has no erfinv, and a polynomial is exact for float32 only")
    wide = call.cast(x, "float32")
    one = call.constant(1, "float32")
    rest = call.op("Mul", call.op("Sub", one, wide), call.op("Add", one, wide))
    w = call.op("Neg", call.op("Log", rest))
    centre = _polynomial(call, call.op("Sub", w, 2.5), _ERFINV_CENTRE)
    far = call.op("Max", w, call.constant(0, "float32"))
    tail = _polynomial(call, call.op("Sub", call.op("Sqrt", far), 3.0), _ERFINV_TAIL)
    y = call.op("Mul", where(call, call.op("Less", w, 5.0), centre, tail), wide)
    edge = call.op("Mul", wide, call.constant(math.inf, "float32"))
    at_edge = call.op("Equal", call.op("Abs", wide), 1.0)
    return call.cast(where(call, at_edge, edge, y), x.dtype)
