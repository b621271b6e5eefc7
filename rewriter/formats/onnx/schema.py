"""What an operator's definition says of a node: how many tensors it takes and gives, and which attributes it has."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...errors import BadFileError, shown
from .names import DEFAULT_DOMAINS

_INTERNAL = "__"  # onnx.checker lets attributes of such names pass


def check(node: Any, name: str, opset: int) -> None:
    """Compare a node with the definition of its operator; operators that nothing defines are left alone.

    Raises:
        BadFileError: it takes or gives another number of tensors, or an attribute is of another type, unknown, missing.
    """
    schema = _schema(node.op_type, opset) if node.domain in DEFAULT_DOMAINS else None
    if schema is None:
        return
    where = f"node {shown(name)!r} ({shown(node.op_type)})"
    for what, given, low, high in (
        ("takes", len(node.input), schema.min_input, schema.max_input),
        ("gives", len(node.output), schema.min_output, schema.max_output),
    ):
        if not low <= given <= high:
            raise BadFileError(f"{where} {what} {given} tensors, and the operator {what} {_range(low, high)}")
    for attribute in node.attribute:
        wanted = schema.attributes.get(attribute.name)
        if wanted is None and not attribute.name.startswith(_INTERNAL):
            raise BadFileError(
                f"{where} has an attribute {shown(attribute.name)!r}, which the operator does not have"
            )
        if wanted is not None and attribute.type != wanted.type.value and not attribute.ref_attr_name:
            raise BadFileError(f"{where}: attribute {shown(attribute.name)!r} is no {wanted.type.name}")
    stated = {attribute.name for attribute in node.attribute}
    missing = next((n for n, a in schema.attributes.items() if a.required and n not in stated), None)
    if missing is not None:
        raise BadFileError(f"{where} has no attribute {missing!r}, which the operator needs")


@lru_cache(maxsize=1024)
def _schema(operator: str, opset: int) -> Any:
    from onnx import defs

    if opset > defs.onnx_opset_version():
        return None
    try:
        return defs.get_schema(operator, opset, "")
    except defs.SchemaError:
        return None


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} or more" if high > 1 << 20 else f"{low} to {high}"
