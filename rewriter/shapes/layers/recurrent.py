"""Recurrent layers: RNN over a cell, LSTM, GRU, SimpleRNN, convolutional LSTMs, and cells called by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import shown
from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.graph import Operation, leaves
from ...ir.size import Truth, same
from ..call import Call, OpaqueError, ShapeError, layer, need_rank
from ..spatial import Image, child, children, flatly, hint_all, hint_time, masked, resized
from ..windows import window
from .convolution import lowered

_CONV_ROLES: dict[int, tuple[Role, ...]] = {
    1: (Role.HEIGHT,),
    2: (Role.HEIGHT, Role.WIDTH),
    3: (Role.DEPTH, Role.HEIGHT, Role.WIDTH),
}
# How many states of size ``units`` each cell has.
_CELLS = {"SimpleRNNCell": 1, "GRUCell": 1, "LSTMCell": 2}
_LAYERS = {"SimpleRNN": 1, "GRU": 1, "LSTM": 2, "CuDNNGRU": 1, "CuDNNLSTM": 2}


@dataclass(frozen=True, slots=True)
class _State:
    """The output axis of a cell, and one axis for each state, nested as Keras nests them."""

    output: Axis
    states: list[Any]


def _cell_state(call: Call, cell: Operation, source: Axis) -> _State:
    """Output and states of a cell for steps with the feature axis ``source``. Raises OpaqueError for unknown code."""
    if cell.opaque:
        raise OpaqueError(cell.opaque)
    inner = Call(cell, (), {}, call.apply)
    if cell.class_name in _CELLS:
        units = new_axis(inner.integer("units", 1), Role.FEATURE, derived=source)
        return _State(units, [units] * _CELLS[cell.class_name])
    if cell.class_name == "StackedRNNCells":
        nested: list[Any] = []
        for each in children(inner, "cells"):
            state = _cell_state(call, each, source)
            nested.append(state.states if len(state.states) > 1 else state.states[0])
            source = state.output
        return _State(source, nested)
    raise OpaqueError(f"nothing is known about the RNN cell {shown(cell.class_name)}")


@layer("RNN")
def rnn(call: Call) -> Any:
    """``rnn(x[B, T, F]) -> [B, units]``, ``[B, T, units]`` with return_sequences; then the states ``[B, units]``."""
    axes = _sequence(call)
    return _results(call, axes, _cell_state(call, child(call, "cell"), axes[2]))


@layer(*_LAYERS)
def fused_rnn(call: Call) -> Any:
    """``lstm(x[B, T, F]) -> [B, units]``, ``[B, T, units]`` with return_sequences; then the states ``[B, units]``."""
    axes = _sequence(call)
    units = new_axis(call.integer("units", 1), Role.FEATURE, derived=axes[2])
    return _results(call, axes, _State(units, [units] * _LAYERS[call.operation.class_name]))


def _sequence(call: Call) -> tuple[Axis, ...]:
    axes = need_rank(call.x, 3)
    hint_time(axes[1])
    axes[2].origin.hint(Role.FEATURE)
    return axes


def steps(call: Call, time: Axis) -> Axis:
    """The time axis of an output sequence; with ``go_backwards`` it is another axis than the operand's."""
    return new_axis(time.size, Role.TIME, derived=time) if call.flag("go_backwards") else time


def _results(call: Call, axes: tuple[Axis, ...], state: _State) -> Any:
    _check_initial(call, axes[0], state)
    dtype = call.compute_dtype()
    if call.flag("return_sequences"):
        # Keras 3.15 passes the mask on unchanged, even where the output runs backwards.
        out = masked(call.like([axes[0], steps(call, axes[1]), state.output], dtype), call.x.mask)
    else:
        out = call.like([axes[0], state.output], dtype)
    if not call.flag("return_state"):
        return out

    def tensors(item: Any) -> Any:
        return [tensors(i) for i in item] if isinstance(item, list) else call.like([axes[0], item], dtype)

    return (out, *(tensors(item) for item in state.states))


def initial_states(call: Call) -> list[Value]:
    """The initial states of a call: a separate argument or, as in Keras 2, after the sequence in one list."""
    if call.args and isinstance(call.args[0], (list, tuple)):
        return flatly(call.args[0])[1:] + flatly(call.args[1:2])
    return flatly(call.args[1] if len(call.args) > 1 else call.kwargs.get("initial_state"))


def _check_initial(call: Call, batch: Axis, state: _State) -> None:
    given = initial_states(call)
    widths = list(leaves(state.states))
    if given and len(given) != len(widths):
        raise ShapeError(f"takes {len(widths)} initial states, not {len(given)}")
    for value, width in zip(given, widths, strict=False):
        if value.axes is None:
            continue
        first, last = need_rank(value, 2)
        if same(last.size, width.size) is Truth.NO or same(first.size, batch.size) is Truth.NO:
            raise ShapeError(f"an initial state is {value.text()}, it must be [{batch}, {width}]")


# -- cells called by themselves -----------------------------
@layer(*_CELLS, "StackedRNNCells")
def cell_step(call: Call) -> Any:
    """``cell(x[B, F], states) -> ([B, units], states)``."""
    batch, feature = need_rank(call.x, 2)
    state = _cell_state(call, call.operation, feature)
    dtype = call.compute_dtype()

    def tensors(item: Any) -> Any:
        return [tensors(i) for i in item] if isinstance(item, list) else call.like([batch, item], dtype)

    given = call.args[1] if len(call.args) > 1 else call.kwargs.get("states")
    new: Any = [tensors(item) for item in state.states]
    if len(new) == 1 and (isinstance(given, Value) or call.operation.class_name == "StackedRNNCells"):
        new = new[0]
    return call.like([batch, state.output], dtype), new


# -- convolutional LSTMs -----------------------------
def _conv_lstm(dimensions: int) -> Callable[[Call], Any]:
    def rule(call: Call) -> Any:
        """``conv_lstm(x[B, T, S..., C]) -> [B, S'..., filters]``, with T for sequences; states like the last output."""
        axes = need_rank(call.x, dimensions + 3)
        hint_time(axes[1])
        first = call.channels_first()
        spatial, channel = (axes[3:], axes[2]) if first else (axes[2:-1], axes[-1])
        hint_all((*spatial, channel), (*_CONV_ROLES[dimensions], Role.CHANNEL))
        slides = _slides(call, spatial)
        filters = new_axis(call.integer("filters", 1), Role.CHANNEL, derived=channel)
        frame = Image(axes[0], tuple(spatial), channel, first).join(slides, filters)
        dtype = call.compute_dtype()
        out = call.like(frame, dtype)
        if call.flag("return_sequences"):
            out = masked(call.like([axes[0], steps(call, axes[1]), *frame[1:]], dtype), call.x.mask)
        if call.flag("return_state"):
            return out, call.like(frame, dtype), call.like(frame, dtype)
        return out

    return rule


def _slides(call: Call, spatial: Sequence[Axis]) -> list[Axis]:
    count = len(spatial)
    kernel = call.integers("kernel_size", count, 1)
    strides = call.integers("strides", count, 1, 1)
    dilation = call.integers("dilation_rate", count, 1, 1)
    if max(strides) > 1 and max(dilation) > 1:
        raise call.bad("dilation_rate", list(dilation), "1 together with strides above 1")
    padding = lowered(call, "padding", ("valid", "same"))
    return [
        resized(axis, window(axis.size, k, s, d, padding), f"a window of {k}")
        for axis, k, s, d in zip(spatial, kernel, strides, dilation, strict=True)
    ]


for _n in (1, 2, 3):
    layer(f"ConvLSTM{_n}D")(_conv_lstm(_n))
