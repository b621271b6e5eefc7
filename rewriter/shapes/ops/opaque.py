"""Ops whose result cannot be inferred without running them, each with the reason."""

from __future__ import annotations

from typing import NoReturn

from ..call import Call, OpaqueError, op

_FUNCTION = "it runs a Python function of the file"
_DATA = "its shape depends on the values of its operand"

OPAQUE_OPS: dict[tuple[str, str], str] = {
    ("core", "AssociativeScan"): _FUNCTION,
    ("core", "Cond"): _FUNCTION,
    ("core", "ForiLoop"): _FUNCTION,
    ("core", "Map"): _FUNCTION,
    ("core", "Scan"): _FUNCTION,
    ("core", "Switch"): _FUNCTION,
    ("core", "VectorizedMap"): _FUNCTION,
    ("core", "WhileLoop"): _FUNCTION,
    ("function", "Function"): _FUNCTION,
    ("linalg", "JVP"): _FUNCTION,
    ("math", "SegmentReduction"): "it is the base of the segment ops and computes nothing",
    ("numpy", "Bincount"): _DATA,
    ("numpy", "Ndim"): "it is the rank itself, which is not a tensor",
    ("numpy", "Nonzero"): _DATA,
    ("numpy", "Unique"): _DATA,
}


def _register(family: str, name: str, reason: str) -> None:
    @op(family, name)
    def opaque(call: Call) -> NoReturn:
        """``f(...) -> ?``."""
        raise OpaqueError(reason)


for (_family, _name), _reason in OPAQUE_OPS.items():
    _register(_family, _name, _reason)
