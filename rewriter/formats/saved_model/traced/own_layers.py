"""Replaces layers that Keras 3 lacks by the operations of their functions, and builds whole models from a function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ....errors import shown
from ...keras.upgrade.masks import has_sources
from ...keras.upgrade.model import layer_name
from ...keras.upgrade.tensors import Call, Old, first_calls, leaves, read_call
from ...model_file import Remark
from ..composite import stated
from .entries import Entries
from .expand import TYPES, Expander
from .library import DEFAULT, Library, Unable
from .products import Weight
from .sizes import Ref

_BECAME = "the operations of its function, as it computes outside of training"


class Traced(NamedTuple):
    """A model with layers replaced by operations.

    Attributes:
        entry: the model in its old form.
        weights: the variables of the new layers, by name; [] for a layer without variables.
        objects: the object numbers of the layers of the file among the new layers, by name.
        gone: the replaced layers.
        remarks: how layers were converted.
        reasons: why a layer was not replaced, by name.
    """

    entry: dict[str, Any]
    weights: dict[str, list[Weight]]
    objects: dict[str, int]
    gone: set[str]
    remarks: list[Remark]
    reasons: dict[str, str]


def with_functions(
    entry: dict[str, Any],
    names: Collection[str],
    numbers: Mapping[str, int],
    library: Library,
    weight: Callable[[int], Weight],
) -> Traced:
    """A functional model with some layers replaced, as far as Keras 3 can express their functions.

    Args:
        entry: the model in its old form.
        names: the layers to replace.
        numbers: the object numbers of all layers, by name.
        weight: returns a variable by its object number.
    """
    config = entry["config"]
    done = Traced(entry, {}, {}, set(), [], {})
    if "output_layers" not in config or has_sources(config):
        return done  # a function does not show where a mask goes
    first = first_calls(config)
    explicit = {
        layer_name(layer)
        for layer in config["layers"]
        for node in layer.get("inbound_nodes", [])
        if read_call(node, layer_name(layer), first).kwargs.get("mask") is not None
    }
    if masked := sorted(library.masked() - explicit):
        reason = f"a mask reaches {shown(masked[0])!r}, and no function shows where it comes from"
        done.reasons.update(dict.fromkeys(names, reason))
        return done
    taken = {layer_name(layer) for layer in config["layers"]}
    moved: dict[tuple[str, int], list[Ref]] = {}
    layers: list[dict[str, Any]] = []
    for layer in config["layers"]:
        name = layer_name(layer)
        if name not in names or name not in numbers:
            layers.append(layer)
            continue
        metadata = library.said(numbers[name])
        calls = [read_call(node, name, first) for node in layer.get("inbound_nodes", [])]
        try:
            entries, results = _layer(name, numbers[name], calls, metadata, library, taken, weight)
        except Unable as unable:
            done.reasons[name] = str(unable)
            layers.append(layer)
            continue
        taken = entries.taken
        layers += entries.items
        done.weights.update(entries.made())
        done.objects.update(entries.objects)
        done.gone.add(name)
        moved.update({(name, number): refs for number, refs in enumerate(results)})
        done.remarks.append(Remark((name,), str(layer.get("class_name")), _BECAME))
    ends = {key: _replaced(config.get(key), moved, first) for key in ("input_layers", "output_layers")}
    layers = [
        {**layer, "inbound_nodes": _replaced(layer["inbound_nodes"], moved, first)}
        if layer.get("inbound_nodes")
        else layer
        for layer in layers
    ]
    return done._replace(entry={**entry, "config": {**config, "layers": layers, **ends}})


def _layer(
    name: str,
    number: int,
    calls: Sequence[Call],
    metadata: dict[str, Any],
    library: Library,
    taken: set[str],
    weight: Callable[[int], Weight],
) -> tuple[Entries, list[list[Ref]]]:
    """The entries for all calls of a layer, and the results of each call. Raises Unable if its functions disagree."""
    functions = library.calls(number, metadata.get("expects_training_arg") is not False)
    if not functions:
        raise Unable("it has no function for inference")
    found: list[tuple[Entries, list[list[Ref]], list[Any]]] = []
    reasons: list[Unable] = []
    for function in functions:
        entries = Entries(set(taken))
        try:
            results = [_called(name, function, call, library, entries, weight) for call in calls]
        except Unable as unable:
            reasons.append(unable)
        else:
            shapes = [each.shape for each in library.function(function).arguments]
            found.append((entries, results, shapes))
    if not found:
        raise reasons[0]
    entries, results, shapes = found[0]
    for others, gives, on in found[1:]:
        # Functions on the same input shapes compute the same, even if their entries differ.
        if on != shapes and (others.items, gives) != (entries.items, results):
            raise Unable("its functions compute different things for different input shapes")
    _name_after(entries, results, name)
    return entries, results


def _called(
    name: str, function: str, call: Call, library: Library, entries: Entries, weight: Callable[[int], Weight]
) -> list[Ref]:
    captured = len(library.objects.captures.get(function, []))
    arguments = library.function(function).arguments
    own = arguments[: len(arguments) - captured]
    if isinstance(call.first, dict):
        raise Unable("it takes a dictionary")
    inputs = list(leaves(call.first))
    named: dict[str, Any] = {}
    for key, value in call.kwargs.items():
        if isinstance(value, Old):
            named[key] = value
        elif value not in (None, False):
            raise Unable(f"it is called with {shown(key)}={shown(value)}")
    inputs += [named.pop(argument.name, None) for argument in own[len(inputs) :]]
    if named or len(inputs) != len(own) or not all(isinstance(each, Old) for each in inputs):
        raise Unable("its function needs other tensors than its call passes")
    if other := [argument.dtype for argument in own if argument.dtype not in TYPES]:
        raise Unable(f"its function takes tensors of type {other[0]}")
    return Expander(library, entries, name, weight).results(function, [Ref(*each) for each in inputs])


def _name_after(entries: Entries, results: list[list[Ref]], name: str) -> None:
    """Rename the entry of the first result to the name of the layer, which names the output."""
    made = {entry["name"] for entry in entries.items}
    if not results or not results[0] or results[0][0].layer not in made:
        return
    old = results[0][0].layer
    entries.rename({old: name})
    results[:] = [[ref._replace(layer=name) if ref.layer == old else ref for ref in refs] for refs in results]


def _replaced(value: Any, moved: Mapping[tuple[str, int], list[Ref]], first: Mapping[str, int]) -> Any:
    """A configuration with references to replaced layers' outputs changed to the new tensors."""
    if isinstance(value, dict):
        return {key: _replaced(item, moved, first) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) > 2 and isinstance(value[0], str) and type(value[1]) is int and type(value[2]) is int:
        refs = moved.get((value[0], value[1]))
        if refs is not None and 0 <= value[2] < len(refs):
            ref = refs[value[2]]
            return [
                ref.layer,
                ref.call + first.get(ref.layer, 0),
                ref.output,
                *_replaced(value[3:], moved, first),
            ]
    return [_replaced(item, moved, first) for item in value]


def of_function(metadata: dict[str, Any], library: Library, weight: Callable[[int], Weight]) -> Traced:
    """The outermost model as a functional model, built from one of its functions. Raises Unable.

    The function of its signature is tried first, then those of its calls.
    """
    served = library.of(0, DEFAULT)
    reason = Unable("it has no function for inference")
    for number, function in enumerate([*served, *library.calls(0, trains=True)]):
        try:
            return _of_function(function, metadata, library, weight)
        except Unable as unable:
            reason = reason if number else unable
    raise reason


def _of_function(
    function: str, metadata: dict[str, Any], library: Library, weight: Callable[[int], Weight]
) -> Traced:
    objects = library.objects
    arguments = library.function(function).arguments
    own = arguments[: len(arguments) - len(objects.captures.get(function, []))]
    said = stated(objects.signatures.get(function), len(own) + 1)
    if not own or said is None or len(said) != len(own) or None in said:
        raise Unable("it has no inputs, or ragged or sparse ones")
    entries = Entries({argument.name for argument in own})
    for each in own:
        if each.shape is None or each.dtype not in TYPES:
            raise Unable(f"its input {shown(each.name)!r} has an unknown rank, or the type {each.dtype}")
        entries.given(each.name, each.dtype, each.shape)
    name = str(metadata.get("name") or "model")
    inputs = [Ref(argument.name, 0, 0) for argument in own]
    results = Expander(library, entries, name, weight).results(function, inputs)
    config = {
        "name": name, "trainable": True, "layers": entries.items,
        "input_layers": [list(ref) for ref in inputs], "output_layers": [list(ref) for ref in results],
    }  # fmt: skip
    remark = Remark((), f"the class {metadata.get('class_name')}", _BECAME)
    entry = {"class_name": "Functional", "config": config}
    return Traced(entry, entries.made(), entries.objects, set(), [remark], {})
