"""Recurrent cells over sequences: the operators LSTM, GRU and RNN, one step at a time, and loops over steps.

A mask may have holes or empty rows: Keras keeps the state at a masked step. The operators have only the length of a
sequence. The unmasked steps are therefore moved to the front (``kept_first``), and every step of the result gets the
output of the last unmasked step (``held``). Source: ``keras/src/backend/tensorflow/rnn.py``, Keras
3.15; the weights' orders from ``keras/src/layers/rnn`` and ONNX's Operators.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ....formats.keras.layer_order import numbered
from ....ir.graph import Operation, leaves
from ....ir.size import Size
from ....shapes.call import Configured
from ..emitter import Emitter
from ..graph import Tensor
from ..refusal import Refused
from ._activations import activation_of
from ._scan import scanned

# By cell: the operator, and Keras's gates in the operator's order.
_OPERATORS: dict[str, tuple[str, tuple[int, ...]]] = {
    "LSTMCell": ("LSTM", (0, 3, 1, 2)),
    "GRUCell": ("GRU", (0, 1, 2)),
    "SimpleRNNCell": ("RNN", (0,)),
}
CELL_OF = {"LSTM": "LSTMCell", "GRU": "GRUCell", "SimpleRNN": "SimpleRNNCell"}
# Activations that the operators have, with their alpha and beta.
_FUNCTIONS: dict[str, tuple[str, tuple[float, ...], tuple[float, ...]]] = {
    "tanh": ("Tanh", (), ()),
    "sigmoid": ("Sigmoid", (), ()),
    "relu": ("Relu", (), ()),
    "linear": ("Affine", (1.0,), (0.0,)),
    "hard_sigmoid": ("HardSigmoid", (1 / 6,), (0.5,)),
    "leaky_relu": ("LeakyRelu", (0.2,), ()),
    "elu": ("Elu", (1.0,), ()),
    "softsign": ("Softsign", (), ()),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's class, its configuration and where its variables are below the layer's group."""

    class_name: str
    config: Configured
    at: str

    @property
    def units(self) -> int:
        return self.config.integer("units", 1)

    @property
    def states(self) -> int:
        return 2 if self.class_name == "LSTMCell" else 1


@dataclass(frozen=True, slots=True)
class Run:
    """The results of a cell over a sequence ``x[B, T, F]``, in the order of the sequence.

    ``steps[B, T, units]`` are all outputs; a masked step repeats the one before. ``last[B, units]`` is the output of
    the last step taken, ``states`` are the states after it.
    """

    steps: Tensor
    last: Tensor
    states: list[Tensor]


def cells_of(layer: Operation, at: str) -> list[Cell]:
    """The cells of an RNN layer, from its input on. Raises Refused for an unknown cell."""
    if layer.class_name in CELL_OF:
        return [Cell(CELL_OF[layer.class_name], Configured(layer, (), {}), f"{at}cell")]
    cell = layer.children.get("cell")
    if not isinstance(cell, Operation):
        raise Refused("its cell is not known")
    return flat_cells(cell, f"{at}cell")


def flat_cells(cell: Operation, at: str) -> list[Cell]:
    """The cells of a cell, which may be a stack; ``at`` is its place below the layer's group."""
    if cell.class_name in _OPERATORS:
        return [Cell(cell.class_name, Configured(cell, (), {}), at)]
    inner = cell.children.get("cells")
    if cell.class_name != "StackedRNNCells" or not isinstance(inner, list):
        raise Refused(f"the RNN cell {cell.class_name} is not known")
    found: list[Cell] = []
    for each, name in zip(inner, numbered(each.class_name for each in inner), strict=True):
        found += flat_cells(each, f"{at}/cells/{name}".lstrip("/"))
    return found


def over_sequence(
    call: Emitter,
    cells: Sequence[Cell],
    x: Tensor,
    mask: Tensor | None,
    initial: Sequence[Tensor],
    backwards: bool,
) -> Run:
    """A stack of cells over ``x[B, T, F]``: each takes the outputs of the one before.

    Args:
        mask: ``bool[B, T]``, true for unmasked steps.
        initial: the states ``[B, units]`` of all cells, or empty for zeros.
    """
    states: list[Tensor] = []
    given = list(initial)
    for cell in cells:
        own, given = given[: cell.states], given[cell.states :]
        if functions(cell) is None:
            result = _looped(call, cell, x, mask, own, backwards)
        else:
            result = both_ways(call, [cell], x, mask, own, [backwards])[0]
        x = result.steps
        states += result.states
    return Run(result.steps, result.last, states)


# -- the operators -----------------------------
def functions(cell: Cell) -> tuple[list[str], list[float], list[float]] | None:
    """The operator's activations with their alphas and betas; None if ONNX lacks one of them."""
    recurrent, own = (cell.config.get(key) for key in ("recurrent_activation", "activation"))
    wanted = {"LSTMCell": [recurrent, own, own], "GRUCell": [recurrent, own], "SimpleRNNCell": [own]}
    names: list[str] = []
    alphas: list[float] = []
    betas: list[float] = []
    for value in wanted[cell.class_name]:
        found = _FUNCTIONS.get("linear" if value is None else value) if not isinstance(value, dict) else None
        if found is None:
            return None
        names.append(found[0])
        alphas += found[1]
        betas += found[2]
    return names, alphas, betas


def alike(a: Cell, b: Cell) -> bool:
    """Whether two cells can be the two directions of one operator."""
    return (
        a.class_name == b.class_name
        and a.units == b.units
        and functions(a) is not None
        and functions(b) is not None
        and _reset_after(a) == _reset_after(b)
    )


def _reset_after(cell: Cell) -> bool:
    return cell.class_name == "GRUCell" and cell.config.flag("reset_after", True)


def both_ways(
    call: Emitter,
    cells: Sequence[Cell],
    x: Tensor,
    mask: Tensor | None,
    initial: Sequence[Tensor],
    backwards: Sequence[bool],
) -> list[Run]:
    """One operator for one cell, or for two that are ``alike``, the first forwards and the second backwards."""
    steps, finals, order = _operator(call, cells, x, mask, initial, backwards)
    count = cells[0].states
    runs = []
    for n, back in enumerate(backwards):
        sequence = call.transpose(_part(call, steps, n, 1), [1, 0, 2])
        states = [_part(call, final, n, 0) for final in finals]
        last = states[0]
        if order is not None:
            sequence = held(call, sequence, order, back)
            zero = call.constant(0, "float32")
            own = initial[n * count : (n + 1) * count]
            last = call.op("Where", order.any, last, zero)
            states = [
                call.op("Where", order.any, state, call.cast(own[k], "float32") if own else zero)
                for k, state in enumerate(states)
            ]
        runs.append(Run(sequence, last, states))
    return runs


def _part(call: Emitter, x: Tensor, number: int, axis: int) -> Tensor:
    """The result of one direction: the operator has an axis for directions."""
    if x.sizes[axis] != 1:
        x = call.slice(x, axis, number, number + 1)
    return call.squeeze(x, axis)


def joined(call: Emitter, cells: Sequence[Cell], x: Tensor, initial: Sequence[Tensor]) -> tuple[Tensor, Run]:
    """``[B, T, 2*units]``, every step of both directions side by side, and as a Run ``[B, 2*units]`` and the states."""
    steps, finals, _ = _operator(call, cells, x, None, initial, (False, True))
    batch, time, units = x.sizes[0], x.sizes[1], cells[0].units
    turned = call.reshape(call.transpose(steps, [2, 0, 1, 3]), [batch, time, 2 * units])
    last = call.reshape(call.transpose(finals[0], [1, 0, 2]), [batch, 2 * units])
    states = [_part(call, final, n, 0) for n in (0, 1) for final in finals]
    return turned, Run(turned, last, states)


def _operator(
    call: Emitter,
    cells: Sequence[Cell],
    x: Tensor,
    mask: Tensor | None,
    initial: Sequence[Tensor],
    backwards: Sequence[bool],
) -> tuple[Tensor, list[Tensor], Order | None]:
    op_type, gates = _OPERATORS[cells[0].class_name]
    batch, time, units = x.sizes[0], x.sizes[1], cells[0].units
    order = None if mask is None else kept_first(call, mask)
    # ONNX Runtime 1.31 has kernels for float32 only.
    x = call.cast(x, "float32")
    if order is not None:
        x = call.op("GatherND", x, order.first, batch_dims=1, as_sizes=x.sizes)
    parts = [_weights(call, cell, gates) for cell in cells]
    biases = [bias for _, _, bias in parts if bias is not None]
    if biases and len(biases) < len(parts):
        zeros = call.expand(call.constant(0, "float32"), biases[0].sizes)
        biases = [zeros if bias is None else bias for _, _, bias in parts]
    names: list[str] = []
    alphas: list[float] = []
    betas: list[float] = []
    for cell in cells:
        found = functions(cell)
        assert found is not None
        names, alphas, betas = names + found[0], alphas + found[1], betas + found[2]
    count = cells[0].states
    starts = [_stacked(call, initial[k::count]) for k in range(count)] if initial else [None] * count
    state: tuple[Size, ...] = (len(cells), batch, units)
    results = [("float32", (time, len(cells), batch, units))] + [("float32", state)] * count
    steps, *finals = call.several(
        op_type,
        results,
        call.transpose(x, [1, 0, 2]),
        call.concat([w for w, _, _ in parts], 0),
        call.concat([r for _, r, _ in parts], 0),
        call.concat(biases, 0) if biases else None,
        None if order is None else order.lengths,
        *starts,
        hidden_size=units,
        direction="bidirectional" if len(cells) == 2 else "reverse" if backwards[0] else "forward",
        activations=names,
        activation_alpha=alphas or None,
        activation_beta=betas or None,
        linear_before_reset=int(_reset_after(cells[0])) if op_type == "GRU" else None,
    )
    return steps, finals, order


def _stacked(call: Emitter, states: Sequence[Tensor]) -> Tensor:
    return call.concat([call.unsqueeze(call.cast(s, "float32"), 0) for s in states], 0)


def _weights(call: Emitter, cell: Cell, gates: Sequence[int]) -> tuple[Tensor, Tensor, Tensor | None]:
    """``W[1, gates*units, F]``, ``R[1, gates*units, units]`` and ``B[1, 2*gates*units]`` of one direction."""

    def sorted_gates(x: Tensor) -> Tensor:
        if list(gates) == sorted(gates):
            return x
        units = cell.units
        return call.concat([call.slice(x, 0, g * units, (g + 1) * units) for g in gates], 0)

    kernel, recurrent, bias = variables(call, cell, "float32")
    w, r = (call.unsqueeze(sorted_gates(call.transpose(k, [1, 0])), 0) for k in (kernel, recurrent))
    if bias is None:
        return w, r, None
    if bias.rank == 2:
        return w, r, call.reshape(bias, [1, 2 * len(gates) * cell.units])
    zeros = call.expand(call.constant(0, "float32"), bias.sizes)
    return w, r, call.unsqueeze(call.concat([sorted_gates(bias), zeros], 0), 0)


def variables(call: Emitter, cell: Cell, dtype: str) -> tuple[Tensor, Tensor, Tensor | None]:
    """Kernel, recurrent kernel and bias."""
    at = f"{cell.at}/" if cell.at else ""
    kernel = call.weight(f"{at}vars/0", "kernel", dtype)
    recurrent = call.weight(f"{at}vars/1", "recurrent_kernel", dtype)
    bias = call.weight(f"{at}vars/2", "bias", dtype) if cell.config.flag("use_bias", True) else None
    return kernel, recurrent, bias


# -- masks -----------------------------
@dataclass(frozen=True, slots=True)
class Order:
    """How to move the unmasked steps to the front, and back.

    ``mask[B, T]`` is the mask. ``first[B, T, 1]`` are the positions of the unmasked steps in order, then those of the
    others. ``count[B, 1]`` is the number of unmasked steps, ``lengths[B]`` the same but 1 at least, ``any[B, 1]``
    whether there is one, ``upto[B, T]`` their number up to and including a step.
    """

    mask: Tensor
    first: Tensor
    lengths: Tensor
    any: Tensor
    upto: Tensor
    count: Tensor


def kept_first(call: Emitter, mask: Tensor) -> Order:
    """The order for ``mask[B, T]``. It is stable: of equal values TopK takes the lower index first (Operators.md)."""
    numbers = call.cast(mask, "int32")
    size = call.size(mask, 1)
    wanted = size if isinstance(size, Tensor) else call.constant([size], "int64")
    types = [("int32", mask.sizes), ("int64", mask.sizes)]
    _, places = call.several("TopK", types, numbers, wanted, axis=1, largest=1, sorted=1)
    upto = call.op("CumSum", numbers, call.constant(1, "int64"))
    count = call.reduce("ReduceSum", numbers, [1], keepdims=True)
    lengths = call.op("Max", call.squeeze(count, 1), call.constant(1, "int32"))
    return Order(mask, call.unsqueeze(places, 2), lengths, call.op("Greater", count, 0), upto, count)


def held(call: Emitter, steps: Tensor, order: Order, backwards: bool) -> Tensor:
    """``steps[B, T, U]`` from the compact order to that of the sequence; masked steps repeat the last one, or are 0."""
    if backwards:
        # Backwards, the last step is the next unmasked one; its index is the number of unmasked steps before this one.
        place = call.op("Sub", order.upto, call.cast(order.mask, "int32"))
        there = call.op("Less", place, order.count)
        place = call.op(
            "Min", place, call.op("Max", call.op("Sub", order.count, 1), call.constant(0, "int32"))
        )
    else:
        place = call.op("Max", call.op("Sub", order.upto, 1), call.constant(0, "int32"))
        there = call.op("Greater", order.upto, 0)
    places = call.unsqueeze(call.cast(place, "int64"), 2)
    found = call.op("GatherND", steps, places, batch_dims=1, as_sizes=steps.sizes)
    return call.op("Where", call.unsqueeze(there, 2), found, call.constant(0, steps.dtype))


def last_counts(call: Emitter, mask: Tensor, backwards: bool) -> Tensor:
    """``bool[B, 1]``: whether the last step taken is unmasked."""
    return call.slice(mask, 1, 0, 1) if backwards else call.slice(mask, 1, -1)


# -- one step, and loops over steps -----------------------------
def step(
    call: Emitter, cell: Cell, x: Tensor, states: Sequence[Tensor], dtype: str
) -> tuple[Tensor, list[Tensor]]:
    """``cell(x[B, F], states[B, units]...) -> [B, units], states``."""
    return _STEPS[cell.class_name](call, cell, x, states, dtype)


def _activated(call: Emitter, cell: Cell, x: Tensor, key: str) -> Tensor:
    return activation_of(call, x, cell.config.get(key))


def _split(call: Emitter, x: Tensor, count: int, units: int) -> list[Tensor]:
    return [call.slice(x, -1, n * units, (n + 1) * units) for n in range(count)]


def _plus(call: Emitter, x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else call.op("Add", x, bias)


def _lstm_step(
    call: Emitter, cell: Cell, x: Tensor, states: Sequence[Tensor], dtype: str
) -> tuple[Tensor, list[Tensor]]:
    kernel, recurrent, bias = variables(call, cell, dtype)
    h, c = states
    total = call.op("Add", call.op("MatMul", x, kernel), call.op("MatMul", h, recurrent))
    return gated(call, cell, _split(call, _plus(call, total, bias), 4, cell.units), c)


def gated(call: Emitter, cell: Cell, parts: Sequence[Tensor], carry: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The gates i, f, c, o of an LSTM before their activations, and its carry -> output and new states."""
    i, f, o = (_activated(call, cell, parts[n], "recurrent_activation") for n in (0, 1, 3))
    new = _activated(call, cell, parts[2], "activation")
    c = call.op("Add", call.op("Mul", f, carry), call.op("Mul", i, new))
    h = call.op("Mul", o, _activated(call, cell, c, "activation"))
    return h, [h, c]


def _gru_step(
    call: Emitter, cell: Cell, x: Tensor, states: Sequence[Tensor], dtype: str
) -> tuple[Tensor, list[Tensor]]:
    kernel, recurrent, bias = variables(call, cell, dtype)
    h, units = states[0], cell.units
    after = _reset_after(cell)
    own = inner = bias
    if bias is not None and after:
        own, inner = (call.squeeze(call.slice(bias, 0, n, n + 1), 0) for n in (0, 1))
    x_z, x_r, x_h = _split(call, _plus(call, call.op("MatMul", x, kernel), own), 3, units)
    if after:
        h_z, h_r, h_h = _split(call, _plus(call, call.op("MatMul", h, recurrent), inner), 3, units)
    else:
        h_z, h_r = (
            call.op("MatMul", h, call.slice(recurrent, 1, n * units, (n + 1) * units)) for n in (0, 1)
        )
    z = _activated(call, cell, call.op("Add", x_z, h_z), "recurrent_activation")
    r = _activated(call, cell, call.op("Add", x_r, h_r), "recurrent_activation")
    if after:
        reset = call.op("Mul", r, h_h)
    else:
        reset = call.op("MatMul", call.op("Mul", r, h), call.slice(recurrent, 1, 2 * units))
    new = _activated(call, cell, call.op("Add", x_h, reset), "activation")
    # z * h + (1 - z) * new
    h = call.op("Add", call.op("Mul", z, call.op("Sub", h, new)), new)
    return h, [h]


def _simple_step(
    call: Emitter, cell: Cell, x: Tensor, states: Sequence[Tensor], dtype: str
) -> tuple[Tensor, list[Tensor]]:
    kernel, recurrent, bias = variables(call, cell, dtype)
    total = call.op(
        "Add", _plus(call, call.op("MatMul", x, kernel), bias), call.op("MatMul", states[0], recurrent)
    )
    h = _activated(call, cell, total, "activation")
    return h, [h]


_STEPS: dict[str, Callable[..., tuple[Tensor, list[Tensor]]]] = {
    "LSTMCell": _lstm_step,
    "GRUCell": _gru_step,
    "SimpleRNNCell": _simple_step,
}


def _looped(
    call: Emitter, cell: Cell, x: Tensor, mask: Tensor | None, initial: Sequence[Tensor], backwards: bool
) -> Run:
    dtype = "float64" if x.dtype == "float64" else "float32"
    x = call.cast(x, dtype)
    state = (x.sizes[0], cell.units)
    starts = [call.cast(s, dtype) for s in initial] or [zeros(call, dtype, state, x)] * cell.states

    def one(current: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return step(call, cell, current, states, dtype)

    return loop(call, one, call.transpose(x, [1, 0, 2]), mask, starts, backwards)


def zeros(call: Emitter, dtype: str, sizes: Sequence[Size], *near: Tensor) -> Tensor:
    return call.op("Expand", call.constant(0, dtype), call.shape(sizes, *near), as_sizes=sizes)


def loop(
    call: Emitter,
    one: Callable[[Tensor, Sequence[Tensor]], tuple[Tensor, list[Tensor]]],
    sequence: Tensor,
    mask: Tensor | None,
    starts: Sequence[Tensor],
    backwards: bool,
) -> Run:
    """A Scan of ``one(x[B, ...], states) -> output, states`` over ``sequence[T, B, ...]``.

    The output has the type and sizes of the first state.
    """
    like = starts[0].sizes
    carried, over = [*starts], [sequence]
    if mask is not None:
        carried.append(zeros(call, starts[0].dtype, like, starts[0]))
        turned = call.transpose(mask, [1, 0])
        over.append(call.unsqueeze(turned, *range(2, 1 + len(like))))

    def masked(
        states: list[Tensor], x: Tensor, kept: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        output, new = one(x, states[: len(starts)])
        if kept is not None:
            new = [call.op("Where", kept, n, o) for n, o in zip(new, states, strict=False)]
            output = call.op("Where", kept, output, states[-1])
        output.sizes = like
        return [*new, *([output] if kept is not None else [])], [output]

    *finals, steps = scanned(call, over, carried, masked, backwards)
    order = [1, 0, *range(2, steps.rank)]
    last = finals[-1] if mask is not None else finals[0]
    return Run(call.transpose(steps, order), last, finals[: len(starts)])


# -- results of layers -----------------------------
def finished(
    call: Emitter, layer: Configured, run: Run, mask: Tensor | None, backwards: bool, zero: bool
) -> tuple[Tensor, list[Tensor]]:
    """A layer's output and final states: in the order in which it takes the steps; with ``zero``, 0 at masked ones."""
    sequences = layer.flag("return_sequences")
    output = run.steps if sequences else run.last
    if sequences and backwards:
        output = flipped(call, output)
    if zero and mask is not None:
        if not sequences:
            counts = last_counts(call, mask, backwards)
        else:
            # Keras 3.15 does not reverse the mask of an unrolled loop.
            turned = backwards and not layer.flag("unroll")
            counts = flipped(call, mask) if turned else mask
        counts = call.unsqueeze(counts, *range(counts.rank, output.rank))
        output = call.op("Where", counts, output, call.constant(0, output.dtype))
    return call.cast(output, call.compute), [call.cast(s, call.compute) for s in run.states]


def flipped(call: Emitter, x: Tensor) -> Tensor:
    """``x[B, T, ...]`` with its steps reversed."""
    return call.slice(x, 1, -1, None, -1)


def given_states(call: Emitter) -> list[Tensor]:
    """The initial states of the call: an argument or, as in Keras 2, in the list with the sequence."""

    def flat(structure: Any) -> list[Tensor]:
        return [leaf for leaf in leaves(structure) if isinstance(leaf, Tensor)]

    if call.args and isinstance(call.args[0], (list, tuple)):
        return flat(call.args[0])[1:] + flat(call.args[1:2])
    return flat(call.args[1] if len(call.args) > 1 else call.kwargs.get("initial_state"))


def step_mask(call: Emitter, states: Sequence[Tensor]) -> Tensor | None:
    """The mask of the call: its argument, else the mask of its operand if it has only one (``Layer.__call__``)."""
    mask = call.optional(2, "mask")
    if mask is None and not states:
        mask = call.x.mask
    return None if mask is None else call.cast(mask, "bool")


def begun(
    call: Emitter, layer: Configured, given: Sequence[Tensor], sizes: Sequence[Sequence[Size]]
) -> Sequence[Tensor]:
    """The given states; without them, those that a stateful layer keeps, of these sizes.

    Raises:
        Refused: the layer is stateful, and its states are neither given nor inputs and outputs of the model.
    """
    if given or not layer.flag("stateful"):
        return given
    if call.states is None:
        raise Refused(
            "it is stateful: it keeps its states between calls, which an ONNX model cannot; pass them as "
            "initial_state and return them, or export with --states (states=True), which does that"
        )
    return call.states.of(call.group, call.path, call.compute, sizes)


def ended(call: Emitter, layer: Configured, given: Sequence[Tensor], finals: Sequence[Tensor]) -> None:
    """Keep the final states of a stateful layer."""
    if call.states is not None and layer.flag("stateful") and not given:
        call.states.end(call.group, [call.cast(t, call.compute) for t in finals])


def sizes_of(call: Emitter, cells: Sequence[Cell]) -> list[tuple[Size, ...]]:
    """The sizes ``[B, units]`` of the states of cells, one after the other."""
    return [(call.x.sizes[0], cell.units) for cell in cells for _ in range(cell.states)]
