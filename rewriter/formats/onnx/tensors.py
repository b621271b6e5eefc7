"""Checks the tensors of an ONNX file before use: the count of their numbers, and where they are stored.

Source: onnx.proto (TensorProto), docs/ExternalData.md, ONNX 1.20.
"""

from __future__ import annotations

import math
from typing import Any

from ...errors import BadFileError, shown
from .names import tensors

_EXTERNAL = 1
_STRING = 8
# Bits of one element, by TensorProto.DataType.
_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}  # fmt: skip
# The field that holds numbers which are not raw bytes, and how many of its entries make one element.
_FIELDS = {
    1: ("float_data", 1), 14: ("float_data", 2), 7: ("int64_data", 1), 8: ("string_data", 1), 11: ("double_data", 1),
    15: ("double_data", 2), 12: ("uint64_data", 1), 13: ("uint64_data", 1),
}  # fmt: skip
_TYPED = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
# The location that ONNX Runtime uses for an address in memory (onnxruntime, tensorprotoutils.h).
_MEMORY = "*/_ORT_MEM_ADDR_/*"
_LARGEST = 2**63


def check_tensors(proto: Any) -> None:
    """Check every tensor in a model: in its graph, the graphs of its nodes, its functions and its training graphs.

    Raises:
        BadFileError: a size below 0, no element type, a wrong count of numbers, or numbers stored anywhere else than in
            the model or a file in its folder.
    """
    for tensor in tensors(proto):
        _check(tensor, f"tensor {shown(tensor.name)!r}")


def _check(tensor: Any, where: str) -> None:
    if any(size < 0 for size in tensor.dims):
        raise BadFileError(f"{where} has the shape {shown(list(tensor.dims))}")
    if tensor.data_type <= 0:
        raise BadFileError(f"{where} has no type")
    count = math.prod(tensor.dims)
    if count >= _LARGEST:
        raise BadFileError(
            f"{where} has the shape {shown(list(tensor.dims))}: more elements than 63 bits can count"
        )
    if tensor.data_location == _EXTERNAL:
        _check_external(tensor, count, where)
        return
    filled = [name for name in _TYPED if len(getattr(tensor, name))]
    raw = tensor.HasField("raw_data") and len(tensor.raw_data)
    if len(filled) + bool(raw) > 1:
        raise BadFileError(f"{where} holds its numbers twice")
    bits = _BITS.get(tensor.data_type)
    field, entries = _FIELDS.get(tensor.data_type, ("int32_data", 1))
    if raw and bits is not None and raw != -(-count * bits // 8):
        raise BadFileError(f"{where} of the shape {shown(list(tensor.dims))} holds {raw} bytes of numbers")
    if raw and tensor.data_type == _STRING:
        raise BadFileError(f"{where} holds text as raw bytes")
    if raw or (bits is None and tensor.data_type != _STRING):
        return
    if filled not in ([], [field]):
        raise BadFileError(f"{where} holds its numbers in {filled[0]}, the field of another type")
    packed = -(-count * bits // 8) if bits is not None and bits < 8 else count
    given = len(getattr(tensor, field))
    if given != packed * entries:
        raise BadFileError(
            f"{where} of the shape {shown(list(tensor.dims))} holds {given // entries} numbers"
        )


def _check_external(tensor: Any, count: int, where: str) -> None:
    """Check the reference to an external file. The file is not opened here: a runtime opens it to run the model."""
    entries = [(entry.key, entry.value) for entry in tensor.external_data]
    stated = dict(entries)
    if len(stated) != len(entries):
        raise BadFileError(f"{where} has an entry of its external data twice")
    if not is_beside(stated.get("location", "")):
        raise BadFileError(
            f"{where} keeps its numbers in {shown(repr(stated.get('location', '')))}, not a file beside the model"
        )
    for key in ("offset", "length"):
        text = stated.get(key, "0")
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise BadFileError(f"{where}: {key} is {shown(repr(text))}, which is not a number of bytes")
    bits = _BITS.get(tensor.data_type)
    if "length" in stated and bits is not None and int(stated["length"]) != -(-count * bits // 8):
        raise BadFileError(
            f"{where} of the shape {shown(list(tensor.dims))} is kept in {stated['length']} bytes of another file"
        )


def is_beside(location: str) -> bool:
    """Whether a relative path stays inside its folder, on every platform."""
    parts = location.replace("\\", "/").split("/")
    return (
        location != ""
        and not location.startswith(_MEMORY)
        and not any(part in ("", "..") or "\0" in part or ":" in part for part in parts)
    )
