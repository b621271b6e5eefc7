"""Layers that hold layers: TimeDistributed, Bidirectional, SpectralNormalization, Pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...ir.axis import Axis, Facts, Role, Value, new_axis
from ...ir.graph import Operation
from ...ir.size import Truth, same
from ..call import Call, OpaqueError, ShapeError, known, layer
from ..spatial import child, children, hint_time, masked
from .recurrent import initial_states


@layer("TimeDistributed")
def time_distributed(call: Call) -> Value:
    """``time_distributed(f)(x[B, T, ...]) -> [B, T, ...]`` where ``f(x[B, ...]) -> [B, ...]`` at every step."""
    axes = call.axes
    if len(axes) < 3:
        raise ShapeError(f"takes a tensor of rank 3 or more, not {call.x.text()}")
    hint_time(axes[1])
    weights = Facts(weights=call.x.facts.weights)
    step = Value((axes[0], *axes[2:]), call.compute_dtype() or call.x.dtype, facts=weights)
    out = _only(call.apply(child(call, "layer"), step))
    inner = known(out)
    if not inner:
        raise ShapeError("the layer inside gives a scalar")
    made = masked(call.like([inner[0], axes[1], *inner[1:]], call.compute_dtype()), call.x.mask)
    return replace(made, facts=Facts(weights=out.facts.weights))


@layer("SpectralNormalization")
def spectral_normalization(call: Call) -> Value:
    """``spectral_normalization(f)(x) -> f(x)``."""
    out = call.apply(child(call, "layer"), masked(call.x, None))
    made = _only(out)
    return replace(call.like(known(made), call.compute_dtype()), facts=made.facts)


def _only(out: Any) -> Value:
    """A layer's one output, taken out of a list of one (``unpack_singleton``). Raises OpaqueError for several."""
    while isinstance(out, (list, tuple)) and len(out) == 1:
        out = out[0]
    if not isinstance(out, Value):
        raise OpaqueError("the layer inside gives more than one tensor")
    return out


@layer("Pipeline")
def pipeline(call: Call) -> Any:
    """``pipeline([f, g])(x) -> g(f(x))``."""
    value: Any = call.args[0] if call.args else call.x
    for each in children(call, "layers"):
        value = call.apply(each, value)
    return value


@layer("Bidirectional")
def bidirectional(call: Call) -> Any:
    """``bidirectional(f)(x[B, T, F]) -> [B, T, 2*units]`` (or without T) for merge_mode "concat"; then the states."""
    mode = call.get("merge_mode", "concat")
    if mode not in ("sum", "mul", "ave", "concat", None):
        raise call.bad("merge_mode", mode, "sum, mul, ave, concat or null")
    given = initial_states(call)
    middle = len(given) // 2
    forward, y_states = _direction(call, child(call, "forward_layer", "layer"), given[:middle])
    if "backward_layer" in call.operation.children:
        backward, b_states = _direction(call, child(call, "backward_layer"), given[middle:])
    else:
        # Files of Keras 2 can leave it out: then it is a copy of the forward layer, with its own features.
        axes = known(forward)
        if not axes:
            raise ShapeError("the layer inside gives a scalar")
        feature = new_axis(axes[-1].size, Role.FEATURE, derived=axes[-1])
        backward, b_states = call.like([*axes[:-1], feature], x=forward), y_states
    ahead, back = known(forward), known(backward)
    if len(ahead) != len(back) or not ahead:
        raise ShapeError(f"its layers give {forward.text()} and {backward.text()}")
    dtype = call.compute_dtype()
    # The backward sequence is reversed again: all its axes except the last are those of the forward one.
    turned = (*ahead[:-1], back[-1])
    if mode is None:
        return [
            masked(call.like(ahead, dtype), forward.mask),
            masked(call.like(turned, dtype), forward.mask),
            *y_states,
            *b_states,
        ]
    if mode == "concat":
        last = new_axis(ahead[-1].size + back[-1].size, Role.FEATURE, derived=ahead[-1])
    else:
        last = _unified(ahead[-1], back[-1])
    out = masked(call.like([*ahead[:-1], last], dtype), forward.mask)
    return [out, *y_states, *b_states] if y_states or b_states else out


def _direction(call: Call, inner: Operation, states: list[Value]) -> tuple[Value, list[Any]]:
    """The output and the states of one direction."""
    out = call.apply(inner, call.x, **({"initial_state": states} if states else {}))
    parts = list(out) if isinstance(out, (list, tuple)) else [out]
    if not parts or not isinstance(parts[0], Value):
        raise OpaqueError("the first output of the layer inside is not a tensor")
    return parts[0], parts[1:]


def _unified(a: Axis, b: Axis) -> Axis:
    if same(a.size, b.size) is Truth.NO:
        raise ShapeError(f"merges {a} with {b}: the sizes differ")
    a.origin.unify(b.origin)
    return a
