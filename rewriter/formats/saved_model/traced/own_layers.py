"""The layers of a model that Keras 3 lacks, replaced by what their functions compute; and whole models."""

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
    """A model without layers that Keras 3 lacks.

    Attributes:
        entry: in its old form.
        weights: the variables of layers that are in no object of the file, those without any too.
        objects: the objects of the file that other layers are, by name.
        gone: layers that are replaced.
        remarks: what became of layers.
        reasons: why others stay, by name.
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
    """A functional model with some layers replaced, as far as their functions have a form.

    Args:
        entry: the model in its old form.
        names: the layers to replace, ``numbers`` the objects of all layers.
        weight: a variable by the number of its object.
    """
    config = entry["config"]
    done = Traced(entry, {}, {}, set(), [], {})
    if "output_layers" not in config or has_sources(config):
        return done  # where a mask would go a function does not say
    first = first_calls(config)
    explicit = {
        layer_name(layer)
        for layer in config["layers"]
        for node in layer.get("inbound_nodes", [])
        if read_call(node, layer_name(layer), first).kwargs.get("mask") is not None
    }
    if masked := sorted(library.masked() - explicit):
        reason = f"a mask reaches {shown(masked[0])!r}, of which no function says where it comes from"
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
    """The entries for all calls of a layer, and what each gives. Raises Unable where its functions do not agree."""
    functions = library.calls(number, metadata.get("expects_training_arg") is not False)
    if not functions:
        raise Unable("no function of it says what it computes outside of training")
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
        # On tensors of the same shapes they compute the same, in whatever form.
        if on != shapes and (others.items, gives) != (entries.items, results):
            raise Unable("its functions compute different things, by what they are called on")
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
        raise Unable("its function takes other tensors than its call gives")
    if any(argument.dtype not in TYPES for argument in own):
        raise Unable(f"its function takes tensors of type {own[0].dtype}")
    return Expander(library, entries, name, weight).results(function, [Ref(*each) for each in inputs])


def _name_after(entries: Entries, results: list[list[Ref]], name: str) -> None:
    """Give the entry that makes the result the name of the layer, by which outputs are called."""
    made = {entry["name"] for entry in entries.items}
    if not results or not results[0] or results[0][0].layer not in made:
        return
    old = results[0][0].layer
    entries.rename({old: name})
    results[:] = [[ref._replace(layer=name) if ref.layer == old else ref for ref in refs] for refs in results]


def _replaced(value: Any, moved: Mapping[tuple[str, int], list[Ref]], first: Mapping[str, int]) -> Any:
    """References to outputs of layers that are gone, as references to what stands for them."""
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
    """A functional model of what the outermost model computes by one of its functions. Raises Unable.

    The first one is that of its signature; the others call those of its layers.
    """
    served = library.of(0, DEFAULT)
    reason = Unable("no function says what it computes")
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
        raise Unable("it takes nothing, or tensors that are ragged or sparse")
    entries = Entries({argument.name for argument in own})
    for each in own:
        if each.shape is None or each.dtype not in TYPES:
            raise Unable(f"its input {shown(each.name)!r} is of an open rank, or of type {each.dtype}")
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
