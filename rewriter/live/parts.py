"""What can be saved of a model: the model itself, or the functional and sequential models in a subclassed one.

A part is saved in a wrapper model that only calls it, under the part's name: its nodes then have the paths
``part/node``. The wrapper and its view of the part share the part's layers and add nothing to them: a call of a
functional model makes no nodes inside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import UnsupportedError, shown
from .library import Library, ends_of, has_own_call, is_functional, is_keras_class, is_sequential, library_of


@dataclass(frozen=True, slots=True)
class Target:
    """A model that can be saved.

    Attributes:
        model: what is saved.
        part: the name of the part that it holds, as an attribute path (``encoder``, ``blocks.0``); "" for all.
        added: how many nodes it has in addition to those of the part.
    """

    model: Any
    part: str = ""
    added: int = 0


def is_whole(model: Any) -> bool:
    """True if the graph of a model is all that it computes."""
    return (is_functional(model) or is_sequential(model)) and not has_own_call(model)


def target_of(model: Any) -> Target:
    """A model whose graph is all that it computes, ready to be saved.

    A class with its own constructor is saved as a plain functional model (``Functional.get_config``
    of Keras 3.15 writes no graph for it).

    Raises:
        UnsupportedError: it is a subclassed model.
    """
    if not is_whole(model):
        raise UnsupportedError(subclassed(model))
    if ends_of(model) is None or _is_made_of_its_config(model):
        return Target(model)
    return Target(_plain(model, library_of(model)))


def subclassed(model: Any) -> str:
    """The message on a subclassed model where a graph is needed."""
    return (
        f"{shown(type(model).__name__)!r} is a subclassed model: its computation is Python code; check and repair"
        " handle its functional parts"
    )


def parts_of(model: Any) -> dict[str, Any]:
    """The outermost functional and sequential models in a subclassed one, by the attributes that lead to them.

    A model with two paths has the first one. A Sequential model that was never built is included, and so are the models
    in it. A functional or sequential model with its own ``call`` is its only part, under its name.
    """
    found: dict[str, Any] = {}
    if is_functional(model) or is_sequential(model):
        return {_name(str(model.name)): model}
    seen = {id(model)}
    waiting = [("", model)]
    while waiting:
        path, item = waiting.pop(0)
        for name, child in _held(item):
            if id(child) in seen:
                continue
            seen.add(id(child))
            name = f"{path}.{name}" if path else name
            if (is_functional(child) or is_sequential(child)) and not has_own_call(child):
                found[_name(name)] = child
                if ends_of(child) is not None:
                    continue
            waiting.append((name, child))
    return found


def part_target(name: str, part: Any) -> Target:
    """A part in a wrapper model that calls it.

    Raises:
        UnsupportedError: it is a Sequential model that was never built.
    """
    library = library_of(part)
    ends = ends_of(part)
    if ends is None:
        raise UnsupportedError("a Sequential model that was never built: its input shape is not known")
    model, module = library.module.Model, library.module
    view = model(*ends, name=name)
    numbers = itertools.count()
    structure = _map(library, lambda tensor: _like(module, tensor, f"{name}.in{next(numbers)}"), ends[0])
    inputs = _flat(library, structure)
    holder = model(inputs, _flat(library, view(structure)), name="parts")
    return Target(holder, name, len(inputs) + 1)


def overridden(model: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The paths and classes of models inside a functional one that have their own ``call``."""
    for layer in model.layers:
        if is_functional(layer) or is_sequential(layer):
            here = (*path, str(layer.name))
            if has_own_call(layer):
                yield here, type(layer).__name__
            yield from overridden(layer, here)


# -- the attributes of a model -----------------------------
def _held(item: Any) -> Iterator[tuple[str, Any]]:
    """The layers and models in the attributes of a Keras object, also in lists and dicts, with their paths."""
    tracked = {id(layer): layer for layer in item._flatten_layers(recursive=False, include_self=False)}
    for name, value in list(vars(item).items()):
        if name == "_layers" or name.startswith("_self_"):  # Keras 3 and tf_keras keep all layers there
            continue
        for path, layer in _leaves(name, value, 0):
            if tracked.pop(id(layer), None) is not None:
                yield path, layer
    for layer in tracked.values():  # not found in the attributes above
        yield str(layer.name), layer


def _leaves(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and depth < 8:
        for key, item in value.items():
            yield from _leaves(f"{path}.{key}", item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < 8:
        for number, item in enumerate(value):
            yield from _leaves(f"{path}.{number}", item, depth + 1)
    else:
        yield path, value


def _name(path: str) -> str:
    """A path as the name of a layer, which may not contain '/'."""
    return path.replace("/", "_")


# -- views -----------------------------
def _is_made_of_its_config(model: Any) -> bool:
    """Whether Keras can rebuild the model from its configuration: not if the class has its own constructor."""
    kind = type(model)
    if is_keras_class(kind):
        return True
    if is_sequential(model):  # Keras rebuilds it with its name only
        methods = ("__init__", "from_config")
        owners = [next(base for base in kind.__mro__ if name in vars(base)) for name in methods]
        return is_keras_class(owners[0]) or not is_keras_class(owners[1])
    try:
        return "layers" in model.get_config()
    except Exception:  # it may raise anything; saving names a layer that cannot be saved
        return False


def _plain(model: Any, library: Library) -> Any:
    """The same graph and layers as a model of Keras's own class; in Keras 3 compiled like the model."""
    ends = ends_of(model)
    assert ends is not None
    plain = library.module.Model(*ends, name=model.name)
    if not library.legacy and model.compiled and hasattr(model, "_compile_config"):
        plain._compile_config, plain.optimizer, plain.compiled = model._compile_config, model.optimizer, True
    return plain


def _like(module: Any, tensor: Any, name: str) -> Any:
    kinds = {kind: True for kind in ("sparse", "ragged") if getattr(tensor, kind, False) is True}
    return module.Input(batch_shape=tuple(tensor.shape), dtype=tensor.dtype, name=name, **kinds)


def _map(library: Library, function: Any, structure: Any) -> Any:
    if library.legacy:
        import tensorflow

        return tensorflow.nest.map_structure(function, structure)
    return library.module.tree.map_structure(function, structure)


def _flat(library: Library, structure: Any) -> list[Any]:
    if library.legacy:
        import tensorflow

        return list(tensorflow.nest.flatten(structure))
    return list(library.module.tree.flatten(structure))
