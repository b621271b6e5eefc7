"""Checks a node against the definition of its operator: number and types of inputs and outputs, and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ...errors import BadFileError, shown
from .names import DEFAULT_DOMAINS

_INTERNAL = "__"  # onnx.checker accepts any attribute whose name starts like this
# The field of an AttributeProto for each type (onnx.proto).
_FIELDS = {
    1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings", 9: "tensors", 10: "graphs",
    11: "sparse_tensor", 12: "sparse_tensors", 13: "tp", 14: "type_protos",
}  # fmt: skip
# Attributes whose value is an element type.
_TYPES = ("to", "dtype")


def check(node: Any, name: str, opset: int, known: Mapping[str, int]) -> None:
    """Compare a node with the definition of its operator. Without a definition, check only the attributes' form.

    Args:
        known: the reliable element types of tensors (TensorProto.DataType), by name.

    Raises:
        BadFileError: a wrong number of inputs or outputs, a missing input, an input of a wrong type; an attribute that
            occurs twice, of a wrong type, unknown or missing.
    """
    where = f"node {shown(name)!r} ({shown(node.op_type)})"
    _check_form(node, where)
    schema = _schema(node.op_type, opset) if node.domain in DEFAULT_DOMAINS else None
    if schema is None:
        return
    for what, given, low, high in (
        ("takes", len(node.input), schema.min_input, schema.max_input),
        ("gives", len(node.output), schema.min_output, schema.max_output),
    ):
        if not low <= given <= high:
            raise BadFileError(f"{where} {what} {given} tensors, but the operator {what} {_range(low, high)}")
    _check_inputs(node, where, schema, known)
    for attribute in node.attribute:
        wanted = schema.attributes.get(attribute.name)
        if wanted is None and not attribute.name.startswith(_INTERNAL):
            raise BadFileError(
                f"{where} has an attribute {shown(attribute.name)!r}, which the operator does not have"
            )
        if wanted is not None and attribute.type != wanted.type.value:
            raise BadFileError(f"{where}: attribute {shown(attribute.name)!r} is not {wanted.type.name}")
        if attribute.name in _TYPES and attribute.type == 2 and _type_name(attribute.i) is None:
            raise BadFileError(
                f"{where}: attribute {attribute.name!r} is {attribute.i}, which is not a type of tensors"
            )
    stated = {attribute.name for attribute in node.attribute}
    missing = next((n for n, a in schema.attributes.items() if a.required and n not in stated), None)
    if missing is not None:
        raise BadFileError(f"{where} has no attribute {missing!r}, which the operator needs")


def newest() -> int:
    """The newest opset that the installed onnx defines."""
    from onnx import defs

    return int(defs.onnx_opset_version())


def _check_form(node: Any, where: str) -> None:
    """Raises BadFileError unless each attribute is there once and holds a value of its stated type."""
    seen: set[str] = set()
    for attribute in node.attribute:
        if attribute.name in seen:
            raise BadFileError(f"{where} has the attribute {shown(attribute.name)!r} twice")
        seen.add(attribute.name)
        if attribute.ref_attr_name:
            raise BadFileError(
                f"{where}: attribute {shown(attribute.name)!r} refers to a function, but the node is in none"
            )
        held = {field.name for field, _ in attribute.ListFields()} & set(_FIELDS.values())
        if held - {_FIELDS.get(attribute.type)}:
            raise BadFileError(
                f"{where}: attribute {shown(attribute.name)!r} does not hold a value of its type"
            )


def _check_inputs(node: Any, where: str, schema: Any, known: Mapping[str, int]) -> None:
    formal = schema.inputs
    for position, given in enumerate(node.input):
        if not formal:
            return
        wanted = formal[min(position, len(formal) - 1)]
        kind = wanted.option.name
        if not given and (kind == "Single" or (kind == "Variadic" and wanted.is_homogeneous)):
            raise BadFileError(f"{where} has no input {position} ({wanted.name}), which the operator needs")
        name = _type_name(known[given]) if given in known else None
        if (
            name is not None
            and f"tensor({name})" not in wanted.types
            and any("tensor" in t for t in wanted.types)
        ):
            raise BadFileError(f"{where} takes a tensor({name}) as its input {position} ({wanted.name})")


@lru_cache(maxsize=64)
def _type_name(number: int) -> str | None:
    """The name of an element type in operator definitions; None for an unknown number."""
    from onnx import TensorProto

    if number <= 0 or number not in TensorProto.DataType.values():
        return None
    return str(TensorProto.DataType.Name(number)).lower()


@lru_cache(maxsize=1024)
def _schema(operator: str, opset: int) -> Any:
    from onnx import defs

    try:
        return defs.get_schema(operator, opset, "")
    except defs.SchemaError:
        return None


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} or more" if high > 1 << 20 else f"{low} to {high}"
