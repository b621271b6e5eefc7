"""Operands of ops as values: tensors, literal tensors, Python scalars and nested lists of numbers."""

from __future__ import annotations

from typing import Any

from ...ir.axis import Axis, Value, new_axis
from ...ir.size import Truth, product, same
from ..broadcast import fixes_batch, leave_open, only_at
from ..call import Call, OpaqueError, ShapeError, known
from ..dtypes import FLOATX
from ..facts import constant_axes
from ..reshape import reshape

MAX_OUTPUTS = 65_536
_SCALARS = {bool: "bool", int: "int", float: "float"}


def operand(call: Call, position: int, name: str) -> Value:
    """A required operand by position or keyword. Raises BadFileError for what is not a tensor, a number or a list."""
    return value_of(call, call.arg(position, name), name)


def optional(call: Call, position: int, name: str) -> Value | None:
    """An operand that may be absent or None."""
    given = call.arg(position, name, None)
    return None if given is None else value_of(call, given, name)


def value_of(call: Call, given: Any, name: str) -> Value:
    """A tensor unchanged, a number as a scalar of its weak dtype, nested lists of numbers as a literal tensor."""
    if isinstance(given, Value):
        return given
    if type(given) in _SCALARS:
        return Value((), _SCALARS[type(given)], constant=given)
    if isinstance(given, (list, tuple)):
        return _literal(call, given, name)
    raise call.bad(name, given, "a tensor or a number")


def _literal(call: Call, given: Any, name: str) -> Value:
    sizes: list[int] = []
    level: list[Any] = [given]
    while level and isinstance(level[0], (list, tuple)):
        sizes.append(len(level[0]))
        if any(not isinstance(row, (list, tuple)) or len(row) != sizes[-1] for row in level):
            raise call.bad(name, given, "lists of equal length")
        level = [item for row in level for item in row]
    if any(type(item) not in _SCALARS for item in level):
        if any(isinstance(item, Value) for item in level):
            return _stacked(sizes, level)
        raise call.bad(name, given, "numbers")
    kinds = {type(item) for item in level}
    dtype = FLOATX if float in kinds or not kinds else "bool" if kinds == {bool} else "int32"
    return Value(constant_axes(sizes), dtype, constant=given)


def _stacked(sizes: list[int], level: list[Any]) -> Value:
    values = [item for item in level if isinstance(item, Value)]
    return Value((*(new_axis(size) for size in sizes), *known(values[0])), values[0].dtype)


def sequence(call: Call, position: int, name: str) -> list[Value]:
    """The operands of an op that takes a list of tensors.

    Raises:
        OpaqueError: it is a single tensor (Keras unstacks it along its first axis).
        BadFileError: it is not a list, or an empty one.
    """
    given = call.arg(position, name)
    if isinstance(given, Value):
        raise OpaqueError(f"{name} is one tensor, not a list of tensors")
    if not isinstance(given, (list, tuple)) or not given:
        raise call.bad(name, given, "a list of tensors")
    return [value_of(call, item, name) for item in given]


def pair(call: Call, position: int = 0, name: str = "x") -> tuple[Value, Value]:
    """A (real, imaginary) operand: two tensors of equal shape. Raises ShapeError where the shapes differ."""
    values = sequence(call, position, name)
    if len(values) != 2:
        raise call.bad(name, len(values), "two tensors, the real and the imaginary part")
    agree(known(values[0]), known(values[1]), "the real and the imaginary part")
    return values[0], values[1]


def agree(a: tuple[Axis, ...], b: tuple[Axis, ...], what: str) -> None:
    """Unify the axes of two tensors of equal shape. Raises ShapeError where the shapes cannot be equal."""
    if len(a) != len(b):
        raise ShapeError(f"{what} have rank {len(a)} and {len(b)}")
    for x, y in zip(a, b, strict=True):
        equate(x, y, what)
        if fixes_batch(x, y):
            raise ShapeError(f"{what}: {only_at(x, y)}")


def equate(a: Axis, b: Axis, what: str) -> None:
    """Unify two axes of equal size. Raises ShapeError where the sizes differ; records where they may differ."""
    answer = same(a.size, b.size)
    if answer is Truth.NO:
        raise ShapeError(f"{what}: {a} here and {b} there")
    leave_open(a, b)
    if answer is Truth.YES and not (a.factors or b.factors):
        a.origin.unify(b.origin)


def flattened(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """``ravel(x[a, b, c]) -> [a*b*c]``."""
    return reshape(axes, [product(a.size for a in axes)])


def configured_dtype(call: Call, default: str, name: str = "dtype") -> str:
    """The dtype argument of an op, or the default where it has none."""
    given = call.arg(99, name, None)
    if isinstance(given, dict):
        given = given.get("config", {}).get("name") if isinstance(given.get("config"), dict) else None
    return {"int": "int64", "float": "float32"}.get(given, given) if isinstance(given, str) else default
