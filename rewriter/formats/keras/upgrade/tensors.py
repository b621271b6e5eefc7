"""References to tensors: read from the list form of ``inbound_nodes``, written in the form of Keras 3.

Source of the list form: ``keras/engine/node.py`` (``Node.serialize``) and ``functional.py``
(``reconstruct_from_config``), Keras 2.0 to tf_keras 2.21: ``[layer, call, output]``, with the keyword arguments of
the call as a fourth item in Keras 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ....errors import BadFileError, UnsupportedError, shown

_MAX_NESTING = 64
CONSTANT = "_CONSTANT_VALUE"
_COMPOSITE = "_COMPOSITE_TYPE"
_MODELS = ("Functional", "Sequential", "Model")


class Old(NamedTuple):
    """An output of a call in the old configuration. Calls count from 0."""

    layer: str
    call: int
    output: int


class New(NamedTuple):
    """An output of a call in the new configuration."""

    layer: str
    call: int
    output: int


def is_tensor(value: Any) -> bool:
    """Whether an argument is a tensor of the model."""
    return isinstance(value, (Old, New))


class Call(NamedTuple):
    """The arguments of one call, with ``Old`` leaves. ``first`` is the first argument, the others go by name."""

    first: Any
    kwargs: dict[str, Any]


def first_calls(config: dict[str, Any]) -> dict[str, int]:
    """The number of the first call of each nested model in references: 0 or 1.

    A model with inputs of its own already has one call before another model calls it. No file contains that call
    (``_should_skip_first_node``, Keras 2.8). Which models have it depends on the version: a reference to call 0 shows
    that this model does not.
    """
    result: dict[str, int] = {}
    found = list(_references(config))
    used: dict[str, set[int]] = {}
    for name, number in found:
        used.setdefault(name, set()).add(number)
    for entry in config["layers"]:
        inner = entry.get("config") if isinstance(entry, dict) else None
        if not isinstance(inner, (dict, list)):
            continue
        # A model of a custom class has layers too.
        if entry.get("class_name") not in _MODELS and not (isinstance(inner, dict) and "layers" in inner):
            continue
        name = entry.get("name", inner.get("name") if isinstance(inner, dict) else None)
        if isinstance(name, str):
            result[name] = 0 if 0 in used.get(name, ()) else 1
    return result


def _references(config: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Layer and call of every list that has the form of a reference."""
    waiting: list[Any] = [config.get("output_layers")]
    waiting += [entry.get("inbound_nodes") for entry in config["layers"] if isinstance(entry, dict)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            if len(item) > 2 and isinstance(item[0], str) and type(item[1]) is int:
                yield item[0], item[1]
            waiting.extend(item)


def read_call(node: Any, name: str, first: dict[str, int], as_it_is: bool = False) -> Call:
    """One item of ``inbound_nodes``. Raises BadFileError if it is malformed.

    A list of one reference is the reference itself: Keras 2 writes both alike, except for functions of TensorFlow,
    whose first argument is kept ``as_it_is`` (``_preserve_input_structure_in_config``).
    """
    kwargs: dict[str, Any] = {}
    if isinstance(node, dict) and "args" in node and "kwargs" in node:
        raise UnsupportedError(
            f"a call of {shown(name)!r} has the form of Keras 3 beside calls in the form of Keras 2"
        )
    value = _structure(node, name, first, kwargs, 0)
    if isinstance(value, list) and len(value) == 1 and not as_it_is:
        value = value[0]
    return Call(value, kwargs)


def _structure(node: Any, name: str, first: dict[str, int], kwargs: dict[str, Any], depth: int) -> Any:
    """The first argument. The keyword arguments, which each of its tensors carries, are added to ``kwargs``."""
    if depth > _MAX_NESTING:
        raise UnsupportedError(f"an argument of {shown(name)!r} is nested more than {_MAX_NESTING} deep")
    if isinstance(node, dict):
        return {key: _structure(item, name, first, kwargs, depth + 1) for key, item in node.items()}
    if not isinstance(node, list):
        raise BadFileError(f"a call of {shown(name)!r} is neither an object nor a list")
    if node and isinstance(node[0], str):
        if len(node) > 3 and isinstance(node[3], dict):
            kwargs.update({key: read_argument(value, name, first) for key, value in node[3].items()})
        return _leaf(node, name, first)
    return [_structure(item, name, first, kwargs, depth + 1) for item in node]


def _leaf(item: list[Any], name: str, first: dict[str, int]) -> Any:
    if len(item) < 3:
        raise BadFileError(f"a call of {shown(name)!r} has a malformed tensor reference")
    if item[0] == CONSTANT:
        return item[2]
    call = _index(item[1], item[0]) - first.get(item[0], 0)
    if call < 0:
        raise BadFileError(
            f"a call of {shown(name)!r} refers to a call of {shown(item[0])!r} that does not exist"
        )
    return Old(item[0], call, _index(item[2], item[0]))


def read_argument(value: Any, name: str, first: dict[str, int], depth: int = 0) -> Any:
    """A keyword argument: ``["layer", 0, 0]`` is a tensor there, in lists and objects too."""
    if depth > _MAX_NESTING:
        raise UnsupportedError(f"an argument of {shown(name)!r} is nested more than {_MAX_NESTING} deep")
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__" and isinstance(value.get("items"), list):
            return [read_argument(item, name, first, depth + 1) for item in value["items"]]
        return {key: read_argument(item, name, first, depth + 1) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    if value and value[0] == _COMPOSITE:
        raise UnsupportedError(f"an argument of {shown(name)!r} is a ragged or sparse tensor")
    if len(value) == 3 and isinstance(value[0], str):
        if value[0] == CONSTANT:
            return value[2]
        if all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in value[1:]):
            return _leaf(value, name, first)
    return [read_argument(item, name, first, depth + 1) for item in value]


def read_ends(structure: Any, first: dict[str, int], what: str) -> Any:
    """``input_layers`` / ``output_layers`` with ``Old`` leaves: nested lists and objects of references."""
    if isinstance(structure, dict):
        return {key: read_ends(item, first, what) for key, item in structure.items()}
    if not isinstance(structure, list):
        raise BadFileError(f"{what} is malformed")
    if len(structure) == 3 and isinstance(structure[0], str):
        call = _index(structure[1], structure[0]) - first.get(structure[0], 0)
        if call < 0:
            raise BadFileError(f"{what}: a reference to {shown(structure[0])!r} has the call {structure[1]}")
        return Old(structure[0], call, _index(structure[2], structure[0]))
    return [read_ends(item, first, what) for item in structure]


def _index(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise BadFileError(f"a reference to {shown(name)!r} has the index {shown(repr(value))}")
    return value


def leaves(value: Any) -> Iterator[Any]:
    """The leaves of nested lists, tuples and objects; a reference is one."""
    if isinstance(value, (Old, New)):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def written(value: Any) -> Any:
    """An argument as Keras 3 writes it: ``New`` leaves as ``__keras_tensor__``, without a shape.

    The old configuration records no shapes; ``with_shapes`` adds the inferred ones.
    """
    if isinstance(value, New):
        return {"class_name": "__keras_tensor__", "config": {"keras_history": list(value)}}
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    if isinstance(value, slice):
        bounds = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": bounds}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, (list, tuple)):
        return [written(item) for item in value]
    return value
