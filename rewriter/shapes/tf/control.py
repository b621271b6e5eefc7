"""Nodes that call functions and return their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...ir.axis import Value
from ...ir.graph import Operation
from ..call import Call, OpaqueError, ShapeError, tf_op
from ..onnx._operands import array
from ..onnx.control import either_of, settled_state

VARIANT = "variant"


def _run(call: Call, name: str, given: Sequence[object]) -> list[Value]:
    body = call.operation.children.get(name)
    if not isinstance(body, Operation) or body.graph is None:
        raise OpaqueError("the function that it calls is not in the file")
    taken = len(body.graph.input_refs())
    if taken != len(given):
        raise ShapeError(f"calls a function of {taken} arguments with {len(given)}")
    return list(call.apply(body, *given))


@tf_op("PartitionedCall", "StatefulPartitionedCall", "RemoteCall")
def called(call: Call) -> list[Value]:
    """``f(x...) -> ...``."""
    return _run(call, "f", call.args)


@tf_op("If", "StatelessIf")
def if_(call: Call) -> list[Value]:
    """``if(condition, x...)``: what the results of both branches have in common; one branch's if it is known."""
    condition, *given = call.args
    numbers = array(condition) if isinstance(condition, Value) else None
    if numbers is not None and numbers.size == 1 and isinstance(numbers.item(), (bool, int)):
        return _run(call, "then_branch" if numbers.item() else "else_branch", given)
    one, other = (_run(call, name, given) for name in ("then_branch", "else_branch"))
    if len(one) != len(other):
        raise ShapeError("its branches give different numbers of tensors")
    return [either_of(a, b) for a, b in zip(one, other, strict=True)]


@tf_op("While", "StatelessWhile")
def while_(call: Call) -> list[Value]:
    """``while(x...) -> x...``: the state after any number of runs of the body.

    A list that starts without elements starts as the list that the first run returns (``lists``).
    """
    start = list(call.inputs)
    first = _run(
        call, "body", [value if value.dtype == VARIANT else replace(value, constant=None) for value in start]
    )
    if len(first) != len(start):
        raise ShapeError(f"a loop has {len(start)} state tensors, but its body returns {len(first)}")
    begun = [
        after if before.dtype == VARIANT and before.axes is None else before
        for before, after in zip(start, first, strict=True)
    ]
    return settled_state(begun, lambda state: _run(call, "body", state))[0]
