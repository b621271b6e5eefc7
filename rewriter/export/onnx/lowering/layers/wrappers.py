"""Layers that hold layers: TimeDistributed, Bidirectional, SpectralNormalization, Pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .....formats.keras.layer_order import numbered
from .....ir.graph import Operation, flatten_outputs
from .....shapes.call import Configured
from .....shapes.quantisation import quantisation_of
from ...emitter import Emitter
from ...graph import Tensor
from ...refusal import Refused
from ...registry import layer
from .._recurrent import (
    CELL_OF,
    Cell,
    Run,
    alike,
    begun,
    both_ways,
    cells_of,
    ended,
    finished,
    flipped,
    given_states,
    joined,
    over_sequence,
    sizes_of,
    step_mask,
)


def _child(call: Emitter, *names: str) -> Operation:
    for name in names:
        found = call.operation.children.get(name)
        if isinstance(found, Operation):
            return found
    raise Refused("its inner layer is not known")


def _one(result: Any) -> Tensor:
    tensors = [leaf for leaf in flatten_outputs(result) if isinstance(leaf, Tensor)]
    if len(tensors) != 1:
        raise Refused("its inner layer returns more than one tensor")
    return tensors[0]


@layer("TimeDistributed")
def time_distributed(call: Emitter) -> Tensor:
    """``time_distributed(f)(x[B, T, ...]) -> [B, T, ...]``: f takes the steps of all samples as one batch."""
    x = call.x
    batch, time = x.sizes[:2]
    flat = call.reshape(x, [batch * time, *x.sizes[2:]])
    mask = call.optional(2, "mask")
    mask = x.mask if mask is None else mask
    if mask is not None and mask.rank > 2:
        flat = call.identity(flat)
        flat.mask = call.reshape(mask, [batch * time, *mask.sizes[2:]])
    inner = _child(call, "layer")
    if inner.kind == "layer" and quantisation_of(inner.config) is not None:
        # Keras 3.15 calls layer.call, not the layer, and so leaves out the scales.
        raise Refused("its layer is quantised, and Keras computes with its weights without their scales")
    y = _one(call.apply(inner, flat, at="layer"))
    return call.cast(call.reshape(y, [batch, time, *y.sizes[1:]]), call.dtype)


@layer("SpectralNormalization")
def spectral_normalization(call: Emitter) -> Tensor:
    """``spectral_normalization(f)(x) -> f(x)``, with the trained weights."""
    # The result has the operand's type, whatever the layer declares (Keras 3.15).
    return call.cast(_one(call.apply(_child(call, "layer"), call.x, at="layer")), call.x.dtype)


@layer("Pipeline")
def pipeline(call: Emitter) -> Any:
    """``pipeline([f, g])(x) -> g(f(x))``."""
    inner = call.operation.children.get("layers")
    if not isinstance(inner, list):
        raise Refused("its inner layers are not known")
    value: Any = call.args[0] if call.args else call.x
    for each, name in zip(inner, numbered(each.class_name for each in inner), strict=True):
        value = call.apply(each, value, at=f"layers/{name}")
    return value


# -- both directions -----------------------------
_Halves = tuple[tuple[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]]


@layer("Bidirectional")
def bidirectional(call: Emitter) -> Any:
    """``bidirectional(f)(x[B, T, F]) -> [B, T, 2*units]`` (or without T), by ``merge_mode``; then the states.

    One operator for both directions where their cells are alike.
    """
    given = given_states(call)
    ahead = _child(call, "forward_layer", "layer")
    layers = (ahead, _child(call, "backward_layer") if _states_both(call) else _turned(ahead))
    forward = Configured(layers[0], (), {})
    mode = call.get("merge_mode", "concat")
    cells = [
        _cells(each, f"{name}_layer/") for each, name in zip(layers, ("forward", "backward"), strict=True)
    ]
    paired = _pair(cells, layers)
    mask = step_mask(call, given)
    states = _begun(call, forward, given, cells)
    if paired is not None and mask is None and mode == "concat":
        steps, run = joined(call, paired, call.x, states)
        ended(call, forward, given, run.states)
        y = steps if forward.flag("return_sequences") else run.last
        return _with_states(call, forward, call.cast(y, call.dtype), run.states)
    (y, own), (y_back, others) = _halves(call, layers, cells, paired, mask, states)
    ended(call, forward, given, [*own, *others])
    if forward.flag("return_sequences"):
        y_back = flipped(call, y_back)
    if mode is None:
        return _with_states(call, forward, [y, y_back], [*own, *others])
    return _with_states(call, forward, _merged(call, mode, y, y_back), [*own, *others])


def _begun(
    call: Emitter, forward: Configured, given: list[Tensor], cells: list[list[Cell] | None]
) -> list[Tensor]:
    """The states of both layers, the forward one first. Raises Refused where they are kept and have other sizes."""
    if call.states is not None and forward.flag("stateful") and not given and None in cells:
        raise Refused("it keeps the states of layers that are no RNN of vectors")
    sizes = [size for own in cells if own is not None for size in sizes_of(call, own)]
    return list(begun(call, forward, given, sizes))


def _states_both(call: Emitter) -> bool:
    return call.operation.config.get("backward_layer") is not None


def _turned(ahead: Operation) -> Operation:
    """The backward layer where the file has none: a reversed copy of the forward layer.

    It has its own weights, stored beside those of the forward layer.
    """
    if Configured(ahead, (), {}).flag("go_backwards"):
        raise Refused("the forward layer has go_backwards set, and the file has no backward layer")
    config = {**ahead.config, "go_backwards": True}
    return replace(ahead, name=f"backward_{ahead.name}", config=config, weights={})


def _with_states(call: Emitter, forward: Configured, output: Any, states: list[Tensor]) -> Any:
    if not forward.flag("return_state"):
        return output
    return [output, *(call.cast(s, call.outputs[-1].dtype) for s in states)]


def _cells(inner: Operation, at: str) -> list[Cell] | None:
    """The cells of a recurrent layer; None for other layers."""
    if inner.class_name not in CELL_OF and inner.class_name != "RNN":
        return None
    return cells_of(inner, at)


def _pair(cells: list[list[Cell] | None], layers: tuple[Operation, Operation]) -> list[Cell] | None:
    """The two cells as directions of one operator; None if they cannot be."""
    first, second = cells
    if first is None or second is None or len(first) != 1 or len(second) != 1:
        return None
    ahead, back = (Configured(each, (), {}).flag("go_backwards") for each in layers)
    return [first[0], second[0]] if alike(first[0], second[0]) and back and not ahead else None


def _halves(
    call: Emitter,
    layers: tuple[Operation, Operation],
    cells: list[list[Cell] | None],
    paired: list[Cell] | None,
    mask: Tensor | None,
    states: list[Tensor],
) -> _Halves:
    """Output and states of each layer, in the order in which it takes the steps."""
    middle = len(states) // 2
    given = (states[:middle], states[middle:])
    runs: list[Run | None] = [None, None]
    if paired is not None:
        runs = list(both_ways(call, paired, call.x, mask, states, [False, True]))
    halves = []
    for number, (inner, own) in enumerate(zip(layers, given, strict=True)):
        config = Configured(inner, (), {})
        backwards = config.flag("go_backwards")
        held, run = cells[number], runs[number]
        if run is None and held is not None:
            run = over_sequence(call, held, call.x, mask, own, backwards)
        if run is not None:
            # A Bidirectional sets zero_output_for_mask of its layers (Keras 3.15).
            zero = config.flag("return_sequences")
            halves.append(finished(call, config, run, mask, backwards, zero))
            continue
        if mask is not None and config.flag("return_sequences"):
            raise Refused(f"a {inner.class_name} in both directions with a mask")
        name = "backward_layer" if number else "forward_layer"
        more: dict[str, Any] = {"initial_state": own} if own else {}
        result = call.apply(inner, call.x, at=name, **more)
        output, *finals = [leaf for leaf in flatten_outputs(result) if isinstance(leaf, Tensor)]
        halves.append((call.cast(output, call.dtype), finals))
    return halves[0], halves[1]


def _merged(call: Emitter, mode: str, y: Tensor, back: Tensor) -> Tensor:
    if mode == "concat":
        return call.concat([y, back], -1)
    if mode == "mul":
        return call.op("Mul", y, back)
    total = call.op("Add", y, back)
    return call.op("Mul", total, 0.5) if mode == "ave" else total
