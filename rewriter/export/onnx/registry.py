"""The tables of lowerings: one function for each layer class and op, by name; and why other classes have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ...ir.graph import TRACE_MODULE, Operation
from ...shapes.call import registering
from .emitter import Emitter
from .refusal import Refused

Lowering = Callable[[Emitter], Any]
_L = TypeVar("_L", bound=Lowering)

LAYERS: dict[str, Lowering] = {}
OPS: dict[tuple[str, str], Lowering] = {}
TRACED_OPS: dict[str, Lowering] = {}
# Why a class has no ONNX form.
REFUSED_LAYERS: dict[str, str] = {}
REFUSED_OPS: dict[tuple[str, str], str] = {}


def layer(*class_names: str) -> Callable[[_L], _L]:
    """Register the lowering of ``keras.layers`` classes."""
    return registering(LAYERS, class_names, "lowerings")


def op(family: str, *class_names: str) -> Callable[[_L], _L]:
    """Register the lowering of op classes of ``keras.src.ops.<family>`` (``numpy``, ``nn``, ``core``, ``math`` …)."""
    return registering(OPS, [(family, name) for name in class_names], "lowerings")


def traced_op(*names: str) -> Callable[[_L], _L]:
    """Register the lowering of operations that only the graph of a traced layer has."""
    return registering(TRACED_OPS, names, "lowerings")


def refuse_layers(reason: str, *class_names: str) -> None:
    """State why layer classes have no ONNX form."""
    REFUSED_LAYERS.update(dict.fromkeys(class_names, reason))


def refuse_ops(reason: str, family: str, *class_names: str) -> None:
    """State why op classes have no ONNX form."""
    REFUSED_OPS.update({(family, name): reason for name in class_names})


def lowering_for(operation: Operation) -> Lowering:
    """The lowering of an operation. Raises Refused with the reason where it has none."""
    reason: str | None = None
    if operation.module == TRACE_MODULE:
        found = TRACED_OPS.get(operation.class_name)
    elif operation.kind == "op":
        key = (operation.module.rsplit(".", 1)[-1], operation.class_name)
        found, reason = OPS.get(key), REFUSED_OPS.get(key)
    else:
        found, reason = LAYERS.get(operation.class_name), REFUSED_LAYERS.get(operation.class_name)
    if found is None:
        raise Refused(reason or f"no lowering to ONNX is known for {operation.class_name}")
    return found
