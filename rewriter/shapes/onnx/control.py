"""Nodes that run subgraphs: If, Loop, Scan.

A body is applied to the node's inputs, then to the tensors that it captures from the outer graph. The state that a body
returns can have another shape than the state that it got: the body is run again on what the two have in common.

Sources: https://onnx.ai/onnx/operators/onnx__Loop.html, onnx__Scan.html (opset 9 and later), onnx__If.html.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...errors import BadFileError, shown
from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.graph import Operation
from ...ir.size import Size, Truth, is_unknown, same, unknown
from ..call import Call, OpaqueError, known, onnx_op
from ._operands import array, number, operand, optional

# The operators whose bodies are analysed, and whether one has several bodies.
BODIES = {"If": True, "Loop": False, "Scan": False}
_MAX_RUNS = 4


def _run(call: Call, name: str, given: Sequence[Value]) -> list[Value]:
    """A body's results for these values. Raises BadFileError where there is no body or the number of values differs."""
    body = call.operation.children.get(name)
    if not isinstance(body, Operation) or body.graph is None:
        raise BadFileError(f"node {shown(call.operation.name)!r} has no {name}")
    captured = call.kwargs.get("captured", {}).get(name, ())
    taken = len(body.graph.input_refs())
    if len(given) + len(captured) != taken:
        raise BadFileError(
            f"node {shown(call.operation.name)!r} passes to its {name} {len(given)} tensors, but the graph takes "
            f"{taken - len(captured)}"
        )
    return list(call.apply(body, *given, *captured))


@onnx_op("If")
def if_(call: Call) -> list[Value]:
    """``if(condition, then, else)``: what the results of both branches have in common; one branch's if it is known."""
    condition = array(operand(call, 0))
    if condition is not None and condition.size == 1 and isinstance(condition.item(), (bool, int)):
        return _run(call, "then_branch" if condition.item() else "else_branch", ())
    branches = [_run(call, name, ()) for name in ("then_branch", "else_branch")]
    if len(branches[0]) != len(branches[1]):
        raise BadFileError(
            f"the branches of {shown(call.operation.name)!r} give different numbers of tensors"
        )
    return [either_of(a, b) for a, b in zip(*branches, strict=True)]


@onnx_op("Loop")
def loop(call: Call) -> list[Value]:
    """``loop(trips, condition, state...) -> state..., [trips, ...]...``."""
    start = [operand(call, position) for position in range(2, len(call.args))]
    count, go = Value((), "int64"), Value((), "bool")

    def once(state: Sequence[Value]) -> list[Value]:
        return _run(call, "body", [count, go, *state])[1:]

    state, given = settled_state(start, once)
    trips = number(optional(call, 0))
    length: Size = trips if isinstance(trips, int) and optional(call, 1) is None else unknown()
    return [*state, *(_stacked(value, 0, new_axis(length)) for value in given)]


@onnx_op("Scan")
def scan(call: Call) -> list[Value]:
    """``scan(state..., x[n, ...]...) -> state..., [n, ...]...``: the body gets one element of each x."""
    if call.integer("opset", 0, 9) < 9:
        raise OpaqueError("a Scan of opset 8, which has a batch of its own, is not followed")
    count = call.integer("num_scan_inputs", 1)
    values = [operand(call, position) for position in range(len(call.args))]
    if count > len(values):
        raise BadFileError(f"node {shown(call.operation.name)!r} does not have {count} tensors to scan")
    start, scanned = values[: len(values) - count], values[len(values) - count :]
    places = [
        call.axis(place, len(known(x)), "scan_input_axes")
        for place, x in zip(call.config.get("scan_input_axes") or [0] * count, scanned, strict=False)
    ]
    if len(places) != count or len(scanned) != count:
        raise BadFileError(f"node {shown(call.operation.name)!r} does not have {count} tensors to scan")
    elements = [
        Value(tuple(a for i, a in enumerate(known(x)) if i != place), x.dtype)
        for place, x in zip(places, scanned, strict=True)
    ]
    length = known(scanned[0])[places[0]]

    def once(state: Sequence[Value]) -> list[Value]:
        return _run(call, "body", [*state, *elements])

    state, given = settled_state(start, once)
    to = call.config.get("scan_output_axes") or [0] * len(given)
    return [*state, *(_stacked(value, place, length) for place, value in zip(to, given, strict=False))]


def settled_state(
    start: Sequence[Value], once: Callable[[Sequence[Value]], list[Value]]
) -> tuple[list[Value], list[Value]]:
    """The state after any number of runs, and the other results of the last run."""
    state = [replace(value, constant=None) for value in start]
    for _ in range(_MAX_RUNS):
        given = once(state)
        after = given[: len(state)]
        if len(after) < len(state):
            raise BadFileError(f"a body returns {len(after)} of {len(state)} state tensors")
        merged = [either_of(a, b) for a, b in zip(state, after, strict=True)]
        if all(_is_like(a, b) for a, b in zip(state, merged, strict=True)):
            return merged, given[len(state) :]
        state = merged
    state = [Value(None, v.dtype, reason="its rank or sizes change from run to run") for v in state]
    return state, once(state)[len(state) :]


def _is_like(a: Value, b: Value) -> bool:
    if a.axes is None or b.axes is None:
        return a.axes is b.axes
    return a.rank == b.rank and all(
        same(x.size, y.size) is Truth.YES or (is_unknown(x.size) and is_unknown(y.size))
        for x, y in zip(a.axes, b.axes, strict=True)
    )


def either_of(a: Value, b: Value) -> Value:
    """What two values have in common, where the result is one or the other."""
    claimed = a.claimed or b.claimed
    if a.axes is None or b.axes is None:
        unclear = a if a.axes is None else b
        return Value(None, a.dtype, claimed, unclear.reason)
    if len(a.axes) != len(b.axes):
        return Value(None, a.dtype, claimed, "its rank depends on the run")
    return Value(tuple(_common(x, y) for x, y in zip(a.axes, b.axes, strict=True)), a.dtype, claimed)


def _common(a: Axis, b: Axis) -> Axis:
    if a.is_same(b):
        return a
    role = a.role if a.role is b.role else Role.UNKNOWN
    return new_axis(a.size if same(a.size, b.size) is Truth.YES else unknown(), role)


def _stacked(value: Value, place: int, axis: Axis) -> Value:
    """The values of all runs, stacked along a new axis."""
    if value.axes is None:
        return value
    axes = list(value.axes)
    axes.insert(place if place >= 0 else len(axes) + 1 + place, axis)
    return Value(tuple(axes), value.dtype, value.claimed)
