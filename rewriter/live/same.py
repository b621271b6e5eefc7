"""Whether a model that was made of another one's file has the same weights and optimizer state, bit for bit.

What Keras 3.15 leaves out of a file is given to it first: the states of random generators that are not layers.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..errors import shown
from .library import is_compiled, is_functional, is_sequential

_SEED = "seed_generator_state"


def carry_seeds(before: Any, after: Any) -> None:
    """Give the random generators of a model the states of those of the model that it was made of."""
    found = {layer.name: layer for layer in after.layers}
    for layer in before.layers:
        other = found.get(layer.name)
        if other is None:
            continue
        if is_functional(layer) or is_sequential(layer):
            carry_seeds(layer, other)
            continue
        old, new = ([v for v in each.variables if _SEED in v.name] for each in (layer, other))
        if len(old) == len(new):
            for variable, state in zip(new, old, strict=True):
                variable.assign(state)


def difference(before: Any, after: Any, path: str = "") -> str:
    """What a model has otherwise than the one it was made of, or "". Layers are told by their names."""
    found = {layer.name: layer for layer in after.layers}
    for layer in before.layers:
        name = f"{path}{layer.name}"
        other = found.get(layer.name)
        if other is None:
            return f"it has no layer {shown(name)!r}"
        if is_functional(layer) or is_sequential(layer):
            inner = difference(layer, other, f"{name}/")
            if inner:
                return inner
        elif _arrays(layer.variables) != _arrays(other.variables):
            return f"{shown(name)!r} has other weights"
        elif [v.trainable for v in layer.variables] != [v.trainable for v in other.variables]:
            return f"{shown(name)!r} is frozen otherwise"
    return "" if path else _optimizers(before, after)


def _optimizers(before: Any, after: Any) -> str:
    old, new = (getattr(model, "optimizer", None) for model in (before, after))
    if old is None or new is None or not getattr(old, "built", True) or not is_compiled(after):
        return ""
    state, other = (Counter(_arrays(_state(optimizer))) for optimizer in (old, new))
    return "" if state == other else "its optimizer has another state"


def _state(optimizer: Any) -> Any:
    variables = optimizer.variables
    return variables() if callable(variables) else variables


def _arrays(variables: Any) -> list[tuple[str, tuple[int, ...], bytes]]:
    import numpy as np

    arrays = [np.asarray(variable.numpy()) for variable in variables]
    return [(str(array.dtype), array.shape, array.tobytes()) for array in arrays]
