"""Element types: our names, NumPy's and ONNX's; the wider types to compute in; the result type of a node."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import shown
from .graph import Array, Tensor
from .refusal import Refused

# TensorProto.DataType (onnx.proto).
NUMBERS = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "string": 8,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "complex64": 14,
    "complex128": 15,
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e5m2": 19,
    "uint4": 21,
    "int4": 22,
}
NAMES = {number: name for name, number in NUMBERS.items()}
FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
_EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4")

_BOOL_NAMES = "Equal Greater GreaterOrEqual Less LessOrEqual IsNaN IsInf Not And Or Xor"
_BOOL = frozenset(_BOOL_NAMES.split())
_INT64 = frozenset({"Shape", "Size", "ArgMax", "ArgMin", "NonZero", "StringNormalizer"})
# Operators whose result has the type of this operand, not of the first.
_BY_OPERAND = {"Where": 1, "OneHot": 2, "DequantizeLinear": 1}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy type of a name; that of ``string`` is ``object``."""
    if name in _EXTENDED:
        import ml_dtypes

        extended: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return extended
    return np.dtype(object) if name == "string" else np.dtype(name)


def number(name: str) -> int:
    """ONNX's number of a type. Raises Refused for a type that ONNX does not have."""
    if name not in NUMBERS:
        raise Refused(f"ONNX has no element type {shown(name)}")
    return NUMBERS[name]


def of_array(array: Array) -> str:
    """The name of an array's type."""
    return "string" if array.dtype.kind in "OUS" else array.dtype.name


def cast_array(array: Array, dtype: str) -> Array:
    """The array cast to another type. Raises Refused for values that cannot be cast."""
    try:
        return array.astype(numpy_dtype(dtype), copy=False)
    except (TypeError, ValueError, OverflowError):
        raise Refused(f"{shown(repr(array.tolist()))} cannot be written as {shown(dtype)}") from None


def result_dtype(op_type: str, inputs: list[Tensor | None], attributes: dict[str, Any]) -> str:
    """The type of a node's first result, from its operands.

    Raises:
        ValueError: the operands do not determine it: the lowering has to give ``as_dtype``.
    """
    if op_type == "Cast":
        return NAMES[attributes["to"]]
    if op_type in _BOOL:
        return "bool"
    if op_type in _INT64:
        return "int64"
    if op_type == "ConstantOfShape":
        value = attributes.get("value")
        return "float32" if value is None else of_array(np.asarray(value))
    if op_type == "EyeLike" and "dtype" in attributes:
        return NAMES[attributes["dtype"]]
    place = _BY_OPERAND.get(op_type, 0)
    source = inputs[place] if place < len(inputs) else None
    if source is None:
        raise ValueError(f"the type of the result of {op_type} is not known: give it as_dtype")
    return source.dtype


# The types to compute in where ONNX Runtime has no CPU kernel for a type, best first. float16 is left out: the
# runtime casts around a missing kernel itself, and other devices have all kernels.
WIDER = {
    "bool": ("uint8", "int32", "int64", "float32"),
    "int8": ("int32", "int64", "float32"),
    "int16": ("int32", "int64", "float32"),
    "uint8": ("int32", "int64", "float32"),
    "uint16": ("int32", "int64", "float32"),
    "uint32": ("int64", "float64", "float32"),
    "uint64": ("int64", "float64", "float32"),
    "int32": ("int64", "float64", "float32"),
    "int64": ("float64", "int32", "float32"),
    "bfloat16": ("float32",),
    "float64": ("float32",),
}
