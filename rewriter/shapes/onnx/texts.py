"""Operators on texts, and the one of onnxruntime-extensions that an export to ONNX has."""

from __future__ import annotations

from ...ir.axis import Role, Value
from ..call import Call, known, onnx_op, unknown_axis
from ._operands import operand
from .elementwise import joined_values

_STRING = "string"


@onnx_op("StringNormalizer")
def normalised(call: Call) -> Value:
    """``normalised(x[..., n]) -> [..., n]``; fewer where words are left out."""
    axes = known(operand(call, 0))
    return Value((*axes[:-1], unknown_axis(Role.TIME)) if call.get("stopwords") else axes, _STRING)


@onnx_op("ai.onnx.contrib:StringECMARegexReplace")
def replaced(call: Call) -> Value:
    """``replaced(x[...], pattern, by) -> [...]``."""
    return Value(known(operand(call, 0)), _STRING)


@onnx_op("StringConcat")
def concatenated(call: Call) -> Value:
    """``concatenated(x[..., a, 1], y[a, b]) -> [..., a, b]``, right-aligned."""
    return joined_values(call, unify=True)


@onnx_op("StringSplit")
def split(call: Call) -> list[Value]:
    """``split(x[...]) -> [..., parts], [...]``: the parts of each text, and their number."""
    axes = known(operand(call, 0))
    return [Value((*axes, unknown_axis(Role.TIME)), _STRING), Value(axes, "int64")]
