"""The recorded calls as a configuration of Keras: each scope is a functional model of layers and ops."""

from __future__ import annotations

import inspect
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor

from ...ir.graph import TRACE_MODULE, leaves, map_leaves
from .recorder import Record, Recorder, Scope, TraceError, own_activation

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def comparable(entry: Any, arrays: Callable[[int], Any]) -> Any:
    """An entry with the numbers of its constants in place of their places: equal for code that computes the same."""
    if isinstance(entry, dict):
        found = {key: comparable(value, arrays) for key, value in entry.items()}
        if entry.get("class_name") == "Weight":
            found["config"]["array"] = arrays(found["config"]["array"])
        return found
    return [comparable(item, arrays) for item in entry] if isinstance(entry, list) else entry


class Entries:
    """Writes scopes of a recorder, which gets the arrays of the layers in them."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.weights: dict[int, dict[str, int]] = {}

    def model(
        self, scope: Scope, name: str, class_name: str, names: Sequence[str] = (), taken_as: Any = None
    ) -> dict[str, Any]:
        """A scope as a functional model.

        ``captured`` are the tensors of other scopes that it uses, its last inputs. ``masked_operands`` and
        ``masked_results`` are as in ``ir.graph.Traced``.

        Args:
            names: the names of its inputs.
            taken_as: the structure of its inputs, with their numbers as leaves.
        """
        _drop_unused(scope)
        named = _Named(self.recorder, scope, names)
        layers: dict[str, dict[str, Any]] = {}
        for record in scope.records:
            title, _ = named.titles[id(record)]
            entry, captured = self._entry(record, title)
            args = [map_leaves(named.reference, leaf) for leaf in (*record.args, *captured)]
            call = {"args": args, "kwargs": map_leaves(named.reference, record.kwargs)}
            written = layers.setdefault(title, {**entry, "name": title, "inbound_nodes": [], "lines": []})
            written["inbound_nodes"].append(call)
            written["lines"].append(record.line)
        ends = map_leaves(named.place, _tensors(scope.returned))
        masks = [named.place(mask) for mask in scope.masks if mask is not None]
        heads = named.inputs()
        taken = [[head["name"], 0, 0] for head in heads]
        config = {
            "name": name,
            "layers": [*heads, *layers.values()],
            "input_layers": taken if taken_as is None else map_leaves(taken.__getitem__, taken_as),
            "output_layers": [ends, masks] if masks else ends,
        }
        results = keras.tree.flatten(scope.returned)
        return {
            "class_name": class_name,
            "module": TRACE_MODULE,
            "name": name,
            "config": config,
            "captured": named.captured,
            "masked_operands": scope.masked_operands,
            "masked_results": [
                mask is not None
                for leaf, mask in zip(results, scope.masks, strict=False)
                if isinstance(leaf, KerasTensor)
            ],
        }

    def _entry(self, record: Record, title: str) -> tuple[dict[str, Any], list[KerasTensor]]:
        """The entry of a recorded operation, and the tensors that its code uses without being given them."""
        operation = record.operation
        if record.inner is not None:
            entry = self.model(record.inner, title, type(operation).__name__)
            return entry, entry.pop("captured")
        if record.spelled is not None:
            class_name, module, config = record.spelled
            return {"class_name": class_name, "module": module, "config": config}, []
        try:
            try:
                entry = dict(keras.saving.serialize_keras_object(operation))
            except NotImplementedError:  # made with arguments that Keras does not write
                entry = _described(operation)
            if own_activation(operation) is not None:
                entry["config"] = {**entry["config"], "activation": "linear"}  # it is an op of its own
            json.dumps(entry)
        except Exception as error:
            kind = type(operation).__name__
            raise TraceError(f"a {kind} cannot be written as a configuration: {error}") from None
        if isinstance(operation, keras.layers.Layer):
            entry["weights"] = self._weights(operation)
        else:  # Keras numbers the names of ops
            entry["config"] = {key: value for key, value in entry["config"].items() if key != "name"}
        return entry, []

    def _weights(self, layer: Any) -> dict[str, int]:
        """The number of each of a layer's arrays, by the path at which an archive keeps it."""
        if id(layer) not in self.weights:
            found: dict[str, int] = {}
            for path, variable in stored(layer):
                found[path] = self.recorder.variable_number(variable)
            self.weights[id(layer)] = found
        return self.weights[id(layer)]


class _Named:
    """The names of the operations of a scope, and its tensors by them.

    ``titles`` are the name and the call number of each record. ``captured`` are the tensors of other scopes that were
    referred to.
    """

    def __init__(self, recorder: Recorder, scope: Scope, names: Sequence[str]) -> None:
        self.recorder = recorder
        self.scope = scope
        self.captured: list[KerasTensor] = []
        self.titles: dict[int, tuple[str, int]] = {}
        self._taken: set[str] = set()
        self._heads = [self._unique(names[n] if names else f"operand_{n}") for n in range(len(scope.inputs))]
        self._places: dict[int, str] = {}
        layers: dict[int, str] = {}
        calls: Counter[str] = Counter()
        for record in scope.records:
            shared = record.inner is None and isinstance(record.operation, keras.layers.Layer)
            title = layers.get(id(record.operation)) if shared else None
            if title is None:
                title = self._unique(_stem(record))
            if shared:
                layers[id(record.operation)] = title
            self.titles[id(record)] = (title, calls[title])
            calls[title] += 1

    def _unique(self, stem: str) -> str:
        names = (f"{stem}_{number}" if number else stem for number in itertools.count())
        name = next(name for name in names if name not in self._taken)
        self._taken.add(name)
        return name

    def place(self, tensor: KerasTensor) -> list[Any]:
        """``[operation, call, output]``."""
        owner, record, number = self.recorder.origin[id(tensor)]
        if owner is not self.scope:
            if id(tensor) not in self._places:
                self._places[id(tensor)] = self._unique("captured")
                self.captured.append(tensor)
            return [self._places[id(tensor)], 0, 0]
        return [self._heads[number], 0, 0] if record is None else [*self.titles[id(record)], number]

    def reference(self, leaf: Any) -> Any:
        """A leaf of a call's arguments in JSON."""
        if not isinstance(leaf, KerasTensor):
            return _plain(leaf)
        config = {"shape": list(leaf.shape), "dtype": leaf.dtype, "keras_history": self.place(leaf)}
        return {"class_name": "__keras_tensor__", "config": config}

    def inputs(self) -> list[dict[str, Any]]:
        """The entries of the inputs: those of the scope, then what is captured."""
        own = zip(self._heads, self.scope.inputs, strict=True)
        others = ((self._places[id(tensor)], tensor) for tensor in self.captured)
        return [_input(name, tensor) for name, tensor in (*own, *others)]


def _stem(record: Record) -> str:
    if isinstance(record.operation, keras.layers.Layer):
        return str(record.operation.name).replace("/", "_")
    if record.spelled is not None:
        class_name, _, config = record.spelled
        return str(config.get("stem") or _WORD.sub("_", class_name).lower())
    return _WORD.sub("_", type(record.operation).__name__).lower()


def stored(layer: Any) -> list[tuple[str, Any]]:
    """The variables of a layer with the paths at which Keras keeps them in an archive."""
    from keras.src.saving import saving_lib

    found: list[tuple[str, Any]] = []

    class Store(saving_lib.H5IOStore):  # type: ignore[misc]
        def __init__(self) -> None:
            """No file."""

        def __bool__(self) -> bool:
            return True

        def make(self, path: str, metadata: Any = None) -> Any:
            class Group(dict[str, Any]):
                def __setitem__(self, key: str, value: Any) -> None:
                    found.append((f"{path}/vars/{key}".lstrip("/"), value))

            return Group()

    saving_lib._save_state(
        layer, weights_store=Store(), assets_store=None, inner_path="", visited_saveables=set()
    )
    by_value = {id(variable): variable for variable in layer.variables}
    return [
        (path, by_value.get(id(value), value)) for path, value in found if isinstance(value, keras.Variable)
    ]


def _described(operation: Any) -> dict[str, Any]:
    """The entry of a layer or op of Keras, from the attributes that have the names of its arguments."""
    kind = type(operation)
    names = [name for name in inspect.signature(kind.__init__).parameters if name != "self"]
    config = {
        name: map_leaves(_number, getattr(operation, name)) for name in names if hasattr(operation, name)
    }
    if isinstance(operation, keras.layers.Layer):
        config["dtype"] = keras.dtype_policies.serialize(operation.dtype_policy)
    return {"class_name": kind.__name__, "module": kind.__module__, "config": config}


def _number(leaf: Any) -> Any:
    return leaf.item() if isinstance(leaf, np.generic) else leaf


def _tensors(structure: Any) -> Any:
    """A structure of results with its tensors only. Raises TraceError if there are none."""

    def kept(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: part for key, value in item.items() if (part := kept(value)) not in (None, [], {})}
        if isinstance(item, (list, tuple)):
            return [part for value in item if (part := kept(value)) not in (None, [], {})]
        return item if isinstance(item, KerasTensor) else None

    found = kept(structure)
    if not any(isinstance(leaf, KerasTensor) for leaf in leaves(found)):
        raise TraceError("it returns no tensor that depends on its operands")
    return found


def _drop_unused(scope: Scope) -> None:
    """Remove sizes that nothing takes: code asks for all sizes of a tensor at once."""
    taken = {id(leaf) for leaf in (*leaves(scope.returned), *scope.masks)}
    kept = []
    for record in reversed(scope.records):
        if record.operation is None and record.outputs and id(record.outputs[0]) not in taken:
            continue
        kept.append(record)
        taken |= _takes(record)
    scope.records = kept[::-1]


def _takes(record: Record) -> set[int]:
    """The tensors that a call takes, also those that its code uses without being given them."""
    found = {id(leaf) for leaf in leaves((record.args, record.kwargs))}
    for inner in record.inner.records if record.inner is not None else ():
        found |= _takes(inner)
    return found


def _input(name: str, tensor: KerasTensor) -> dict[str, Any]:
    config = {"batch_shape": list(tensor.shape), "dtype": tensor.dtype, "name": name}
    return {
        "class_name": "InputLayer",
        "module": "keras.layers",
        "name": name,
        "config": config,
        "inbound_nodes": [],
    }


def _plain(leaf: Any) -> Any:
    """A leaf that is no tensor as JSON. Raises TraceError for anything that JSON cannot hold."""
    if leaf is None or isinstance(leaf, (bool, int, float, str)):
        return leaf
    if isinstance(leaf, slice):
        bounds = [None if b is None else int(b) for b in (leaf.start, leaf.stop, leaf.step)]
        return {
            "class_name": "__slice__",
            "config": dict(zip(("start", "stop", "step"), bounds, strict=True)),
        }
    if leaf is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(leaf, np.dtype):
        return str(leaf)
    raise TraceError(f"an argument is a {type(leaf).__name__}")
