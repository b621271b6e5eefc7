"""Completes a model that was loaded from another model's file, and compares weights and optimizer states.

A file of Keras 3.15 leaves out the states of random generators and of stateful recurrent layers, plain attributes that
a configuration does not have (of custom layers, ``MaxNumBoundingBoxes.fill_value``), and arguments
of losses and metrics (``Huber.delta``, ``CosineSimilarity.axis``). The new model gets all of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..errors import shown
from .library import is_compiled, is_functional, is_sequential
from .names import leaves_of

_SEED = "seed_generator_state"
_ITS_OWN = ("name", "built")  # attributes that each layer keeps
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def carry_over(before: Any, after: Any) -> None:
    """Copy to a loaded model what the file of the original model does not have."""
    for layer, other in ((before, after), *_models(before, after)):
        _carry_attributes(layer, other)
        _carry_compiled(layer, other)
    for layer, other in _pairs(before, after):
        if other is None:
            continue
        old, new = ([v for v in each.variables if _SEED in v.name] for each in (layer, other))
        if len(old) == len(new):
            for state, variable in zip(old, new, strict=True):
                variable.assign(state)
        ours, theirs = list(layer._flatten_layers()), list(other._flatten_layers())
        if [type(each) for each in ours] == [type(each) for each in theirs]:
            for one, two in zip(ours, theirs, strict=True):
                _carry_attributes(one, two)
                _carry_states(one, two)


def difference(before: Any, after: Any) -> str:
    """How a model differs from the original, bit for bit, or "". Layers are matched by name."""
    for layer, other in _pairs(before, after):
        name = shown(layer.name)
        if other is None:
            return f"it has no layer {name!r}"
        if _arrays(layer.variables) != _arrays(other.variables):
            return f"{name!r} has different weights"
        if [v.trainable for v in layer.variables] != [v.trainable for v in other.variables]:
            return f"{name!r} has different trainable flags"
    return _optimizers(before, after)


def _pairs(before: Any, after: Any) -> Iterator[tuple[Any, Any]]:
    """The layers of a model and of the models in it with a graph, each with the layer of the same name, or None."""
    found = {layer.name: layer for layer in after.layers}
    for layer in before.layers:
        other = found.get(layer.name)
        if other is not None and _corresponds(layer, other):
            yield from _pairs(layer, other)
        else:
            yield layer, other


def _models(before: Any, after: Any) -> Iterator[tuple[Any, Any]]:
    """The models in a model that have a graph, each with the model of the same name."""
    found = {layer.name: layer for layer in after.layers}
    for layer in before.layers:
        other = found.get(layer.name)
        if other is not None and _corresponds(layer, other):
            yield layer, other
            yield from _models(layer, other)


def _corresponds(model: Any, other: Any) -> bool:
    """True if a model has a graph and the other one has all its layer names: code may choose new names each time."""
    if not (is_functional(model) or is_sequential(model)):
        return False
    return {layer.name for layer in model.layers} <= {layer.name for layer in other.layers}


def _carry_attributes(layer: Any, other: Any) -> None:
    if type(layer) is not type(other):
        return
    for name, value in vars(layer).items():
        if name.startswith("_") or name in _ITS_OWN or name not in vars(other) or not _is_plain(value):
            continue
        theirs = vars(other)[name]
        if _is_plain(theirs) and not _equal(value, theirs):
            setattr(other, name, value)


def _carry_compiled(model: Any, other: Any) -> None:
    """Copy what losses, metrics and optimizers have in addition to their configurations."""
    given, made = (getattr(getattr(each, "_compile_config", None), "config", None) for each in (model, other))
    ours, theirs = leaves_of(given), leaves_of(made)
    if [type(item) for item in ours] != [type(item) for item in theirs]:
        return
    for one, two in zip(ours, theirs, strict=True):
        if hasattr(one, "get_config"):
            _carry_attributes(one, two)
            if isinstance(vars(one).get("_fn_kwargs"), dict) and hasattr(two, "_fn_kwargs"):
                two._fn_kwargs = dict(one._fn_kwargs)


def _carry_states(layer: Any, other: Any) -> None:
    if getattr(layer, "stateful", False) is True:
        states, others = (getattr(each, "states", None) for each in (layer, other))
        for state, variable in zip(states or (), others or (), strict=False):
            if hasattr(state, "numpy") and hasattr(variable, "assign"):
                variable.assign(state)


def _is_plain(value: Any) -> bool:
    import numpy as np

    return type(value) in _PLAIN or isinstance(value, (np.ndarray, np.generic))


def _equal(value: Any, other: Any) -> bool:
    import numpy as np

    return type(value) is type(other) and np.array_equal(value, other)


def _optimizers(before: Any, after: Any) -> str:
    old, new = (getattr(model, "optimizer", None) for model in (before, after))
    if old is None or new is None or not _is_built(old) or not is_compiled(after):
        return ""
    state, other = (Counter(_arrays(_state(optimizer))) for optimizer in (old, new))
    return "" if state == other else "its optimizer has a different state"


def _is_built(optimizer: Any) -> bool:
    """False for an optimizer that has no state for the weights yet, which Keras may build as it loads the file.

    ``built`` is of Keras 3, ``_built`` of tf_keras (optimizers/adam.py, 2.21), where ``build`` sets it. The legacy
    optimizers of tf_keras have neither, and no ``build``.
    """
    built = getattr(optimizer, "built", getattr(optimizer, "_built", not hasattr(optimizer, "build")))
    return bool(built)


def _state(optimizer: Any) -> Any:
    variables = optimizer.variables
    return variables() if callable(variables) else variables


def _arrays(variables: Any) -> list[tuple[str, tuple[int, ...], bytes]]:
    import numpy as np

    found = []
    for variable in variables:
        array = _numpy(variable)
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        found.append((str(array.dtype), array.shape, hashlib.sha256(data).digest()))
    return found


def _numpy(variable: Any) -> Any:
    import numpy as np

    if hasattr(variable, "numpy"):  # a variable of Keras or TensorFlow
        return np.asarray(variable.numpy())
    return np.asarray(variable)
