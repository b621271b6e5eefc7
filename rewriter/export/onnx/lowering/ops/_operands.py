"""Arguments of ops as tensors: numbers, lists of them and literal tensors in the type that Keras converts them to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .....ir.size import Size
from .....shapes.dtypes import is_integral, result_type
from ...dtypes import FLOATS
from ...emitter import Emitter
from ...graph import Tensor

_WEAK = {bool: "bool", int: "int", float: "float"}
_STRONG = {"int": "int32", "float": "float32"}


def kind(call: Emitter, value: Any) -> str:
    """The type of an operand for promotion: a tensor's own type, a weak type for a Python number."""
    if isinstance(value, Tensor):
        return value.dtype
    if type(value) in _WEAK:
        return _WEAK[type(value)]
    if isinstance(value, (list, tuple)):
        return _listed(call, value)
    raise call.bad("an operand", value, "a tensor or a number")


def _listed(call: Emitter, values: Sequence[Any]) -> str:
    kinds = [kind(call, v) for v in values]
    if "float" in kinds or "float32" in kinds or not kinds:
        return "float32"
    return _STRONG.get(kinds[0], kinds[0])


def strong(call: Emitter, value: Any) -> str:
    """The type of an operand that TensorFlow converts to a tensor before promotion."""
    found = kind(call, value)
    return _STRONG.get(found, found)


def common(call: Emitter, *values: Any) -> str:
    """The common type of operands that are converted before promotion, as in comparisons."""
    return result_type(*(strong(call, v) for v in values))


def as_tensor(call: Emitter, value: Any, dtype: str | None = None) -> Tensor:
    """An operand as ``dtype`` (default: its own type): numbers as a constant, a list of tensors stacked."""
    dtype = dtype or strong(call, value)
    if isinstance(value, (list, tuple)) and any(isinstance(v, (Tensor, list, tuple)) for v in value):
        parts = [as_tensor(call, v, dtype) for v in value]
        return call.concat([call.unsqueeze(p, 0) for p in parts], 0)
    if dtype.startswith("complex"):
        raise call.refuse("complex numbers have no ONNX kernels")
    if dtype.startswith("float8"):
        raise call.refuse(f"ONNX Runtime does not compute with {dtype}")
    return call.tensor(value, dtype)


def argument(call: Emitter, position: int, *names: str, default: Any = None) -> Any:
    """An argument by position or one of its names."""
    name = next((n for n in names if n in call.kwargs), names[0])
    return call.arg(position, name, default)


def pair(call: Emitter) -> tuple[Any, Any]:
    """The two operands of a binary op as they are given."""
    return argument(call, 0, "x1", "x"), argument(call, 1, "x2", "y")


def both(call: Emitter, dtype: str | None = None) -> tuple[Tensor, Tensor]:
    """The two operands of a binary op in one type (the result's)."""
    dtype = dtype or call.dtype
    x, y = pair(call)
    return as_tensor(call, x, dtype), as_tensor(call, y, dtype)


def floating(call: Emitter, x: Tensor) -> Tensor:
    """``x`` if it is floating point. Raises Refused for other types, which TensorFlow rejects."""
    if x.dtype not in FLOATS:
        raise call.refuse(f"TensorFlow does not compute it for {x.dtype}")
    return x


def declared(call: Emitter, y: Tensor, number: int = 0) -> Tensor:
    """``y``, if the type that Keras computes is the one that it declares.

    Raises:
        Refused: the two types differ, and later calls depend on which one is meant.
    """
    wanted = call.outputs[number].dtype
    if y.dtype != wanted:
        raise call.refuse(f"Keras declares {wanted} as its result and computes {y.dtype}")
    return y


def is_float(dtype: str) -> bool:
    return dtype in FLOATS


def promoted_float(dtype: str) -> str:
    """The type promoted with a Python float: float32 for integers."""
    return "float32" if is_integral(dtype) else result_type(dtype, "float")


def is_negative_zero(call: Emitter, x: Tensor) -> Tensor:
    """Where x is -0.0 (or so small that its reciprocal overflows)."""
    return call.op("Equal", call.op("Reciprocal", x), call.constant(float("-inf"), x.dtype))


def signbit(call: Emitter, x: Tensor) -> Tensor:
    """Where the sign of a floating point number is negative, including -0.0."""
    return call.op("Or", call.op("Less", x, 0.0), is_negative_zero(call, x))


def is_nan(call: Emitter, x: Tensor) -> Tensor:
    """Where x is NaN; nowhere for integers."""
    if x.dtype in FLOATS:
        return call.op("IsNaN", x)
    return call.op("Not", call.op("Equal", x, x))


def where(call: Emitter, condition: Tensor, x: Tensor | float, y: Tensor | float) -> Tensor:
    """``where(condition[...], x[...], y[...]) -> [...]``; a number gets the type of the other operand."""
    dtype = x.dtype if isinstance(x, Tensor) else y.dtype if isinstance(y, Tensor) else call.dtype
    return call.op("Where", condition, call.tensor(x, dtype), call.tensor(y, dtype))


def reduce_bool(
    call: Emitter, kind_of: str, x: Tensor, axes: Sequence[int], keepdims: bool = False
) -> Tensor:
    """All (``ReduceMin``) or any (``ReduceMax``) of booleans; over an axis of size 0 as in NumPy."""
    if not axes:
        return x
    return call.cast(call.reduce(kind_of, call.cast(x, "uint8"), axes, keepdims), "bool")


def eye(
    call: Emitter, rows: int | Tensor, columns: int | Tensor, offset: int, sizes: Sequence[Size]
) -> Tensor:
    """Booleans ``[rows, columns]``, true where ``column - row`` is the offset; sizes may be measured at run time."""
    down = call.unsqueeze(places(call, rows, sizes[0]), 1)
    across = call.unsqueeze(places(call, columns, sizes[1]), 0)
    return call.op("Equal", call.op("Sub", across, down), call.constant(offset, "int64"))


def places(call: Emitter, count: int | Tensor, size: Size) -> Tensor:
    """``int64[count]``: 0, 1, 2 …"""
    if isinstance(count, int):
        return call.constant(list(range(count)) if count else [], "int64")
    return call.positions(call.op("Squeeze", count, [0]), size)


def flattened(call: Emitter, x: Tensor) -> Tensor:
    """``flatten(x[a, b]) -> [a*b]``."""
    from .....ir.size import product

    return x if x.rank == 1 else call.op("Reshape", x, [-1], as_sizes=[product(x.sizes)])
