"""Recurrent layers: LSTM, GRU and SimpleRNN as ONNX's operators, single cells, convolutional LSTMs as a Scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .....ir.graph import leaves
from .....ir.size import Size
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer, refuse_layers
from .._recurrent import (
    CELL_OF,
    Cell,
    Run,
    begun,
    cells_of,
    ended,
    finished,
    flat_cells,
    gated,
    given_states,
    loop,
    over_sequence,
    sizes_of,
    step,
    step_mask,
    zeros,
)
from .._windows import Window, convolve

refuse_layers("it exists only in Keras 2", "CuDNNGRU", "CuDNNLSTM")


@layer(*CELL_OF, "RNN")
def recurrent(call: Emitter) -> Any:
    """``rnn(x[B, T, F]) -> [B, units]``, ``[B, T, units]`` with return_sequences; then the states ``[B, units]``."""
    given, cells = given_states(call), cells_of(call.operation, "")
    mask, backwards = step_mask(call, given), call.flag("go_backwards")
    states = begun(call, call, given, sizes_of(call, cells))
    run = over_sequence(call, cells, call.x, mask, states, backwards)
    ended(call, call, given, run.states)
    return results(call, run, mask, backwards)


def results(call: Emitter, run: Run, mask: Tensor | None, backwards: bool) -> Any:
    output, finals = finished(call, call, run, mask, backwards, call.flag("zero_output_for_mask"))
    return (output, *finals) if call.flag("return_state") else output


@layer("LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells")
def cell_step(call: Emitter) -> Any:
    """``cell(x[B, F], states) -> ([B, units], states)``."""
    given = call.args[1] if len(call.args) > 1 else call.kwargs.get("states")
    states = [leaf for leaf in leaves(given) if isinstance(leaf, Tensor)]
    output, found = call.x, []
    for cell in flat_cells(call.operation, ""):
        output, new = step(call, cell, output, states[: cell.states], call.compute)
        states = states[cell.states :]
        found += new
    # The output of a cell is its first state too; each result needs its own tensor.
    return output, [call.identity(state) if state is output else state for state in found]


# -- convolutional LSTMs -----------------------------
def _conv_lstm(dimensions: int) -> Callable[[Emitter], Any]:
    def lowering(call: Emitter) -> Any:
        """``conv_lstm(x[B, T, S..., C]) -> [B, S'..., filters]``, with T for sequences; states like the last output."""
        given = given_states(call)
        mask, backwards = step_mask(call, given), call.flag("go_backwards")
        image = call.sizes[2:] if call.flag("return_sequences") else call.sizes[1:]
        states = begun(call, call, given, [(call.x.sizes[0], *image)] * 2)
        run = convolved(call, dimensions, mask, states, backwards)
        ended(call, call, given, run.states)
        return results(call, run, mask, backwards)

    return lowering


def convolved(
    call: Emitter, dimensions: int, mask: Tensor | None, states: Sequence[Tensor], backwards: bool
) -> Run:
    """Convolve the inputs of all steps at once, then scan over the convolutions of the states, channels first."""
    x, first = call.x, call.channels_first()
    batch, time = x.sizes[:2]
    cell = Cell("ConvLSTMCell", call, "cell")
    filters = call.integer("filters", 1)
    kernel = call.weight("cell/vars/0", "kernel")
    recurrent = call.weight("cell/vars/1", "recurrent_kernel")
    bias = call.weight("cell/vars/2", "bias") if call.flag("use_bias", True) else None
    frames = call.reshape(x, [batch * time, *x.sizes[2:]])
    if not first:
        frames = call.transpose(frames, [0, frames.rank - 1, *range(1, frames.rank - 1)])
    window = replace(Window.of(call, dimensions), first=True)
    taken = convolve(call, frames, kernel, bias, window)
    spatial = taken.sizes[2:]
    steps = call.reshape(taken, [batch, time, 4 * filters, *spatial])
    sequence = call.transpose(steps, [1, 0, *range(2, steps.rank)])
    like: tuple[Size, ...] = (batch, filters, *spatial)
    starts = [_channels_moved(call, s, first) for s in states] or [zeros(call, taken.dtype, like, steps)] * 2

    def one(current: Tensor, carried: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, c = carried
        from_state = convolve(call, h, recurrent, None, replace(window.at_each_point(), padding="same"))
        total = call.op("Add", current, from_state)
        parts = [call.slice(total, 1, n * filters, (n + 1) * filters) for n in range(4)]
        return gated(call, cell, parts, c)

    run = loop(call, one, sequence, mask, starts, backwards)
    if first:
        return run
    return Run(
        call.transpose(run.steps, [0, 1, *range(3, run.steps.rank), 2]),
        _channels_back(call, run.last),
        [_channels_back(call, s) for s in run.states],
    )


def _channels_moved(call: Emitter, x: Tensor, first: bool) -> Tensor:
    x = call.cast(x, call.compute)
    return x if first else call.transpose(x, [0, x.rank - 1, *range(1, x.rank - 1)])


def _channels_back(call: Emitter, x: Tensor) -> Tensor:
    return call.transpose(x, [0, *range(2, x.rank), 1])


for _n in (1, 2, 3):
    layer(f"ConvLSTM{_n}D")(_conv_lstm(_n))
