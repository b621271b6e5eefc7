"""The recorded calls as a configuration of Keras: each scope is a functional model of layers and ops."""

from __future__ import annotations

import inspect
import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor

from .recorder import Record, Recorder, Scope, TraceError, leaves, mapped, own_activation

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Entries:
    """Configurations of scopes. ``arrays`` are the numbers of the variables that they use, by recorder's order."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.weights: dict[int, dict[str, int]] = {}

    def model(
        self, scope: Scope, name: str, class_name: str, names: Sequence[str] = (), taken_as: Any = None
    ) -> dict[str, Any]:
        """A scope as a functional model.

        Args:
            names: the names of its inputs.
            taken_as: the structure of its inputs, with their numbers as leaves.
        """
        _drop_unused(scope)
        extra: list[KerasTensor] = []
        taken: set[str] = set()
        titles: dict[int, tuple[str, int]] = {}
        inputs = [
            self._unique(names[n] if names else f"operand_{n}", taken) for n in range(len(scope.inputs))
        ]
        layers: dict[str, dict[str, Any]] = {}
        by_layer: dict[int, str] = {}
        calls: Counter[str] = Counter()
        for record in scope.records:
            shared = record.inner is None and record.operation is not None
            known = by_layer.get(id(record.operation)) if shared else None
            title = known or self._unique(self._stem(record), taken)
            titles[id(record)] = (title, calls[title])
            calls[title] += 1
            if isinstance(record.operation, keras.layers.Layer) and record.inner is None:
                by_layer[id(record.operation)] = title
            if not known:
                layers[title] = {"name": title, "inbound_nodes": []}
        captured: dict[int, str] = {}

        def reference(leaf: Any) -> Any:
            if not isinstance(leaf, KerasTensor):
                return _plain(leaf)
            owner, record, number = self.recorder.origin[id(leaf)]
            if owner is not scope:
                if id(leaf) not in captured:
                    captured[id(leaf)] = self._unique("captured", taken)
                    extra.append(leaf)
                place = [captured[id(leaf)], 0, 0]
            elif record is None:
                place = [inputs[number], 0, 0]
            else:
                place = [*titles[id(record)], number]
            config = {"shape": list(leaf.shape), "dtype": leaf.dtype, "keras_history": place}
            return {"class_name": "__keras_tensor__", "config": config}

        for record in scope.records:
            title, _ = titles[id(record)]
            args, kwargs = list(record.args), record.kwargs
            entry = self._entry(record, title)
            if record.inner is not None:
                args += entry.pop("captured")
            node = {"args": [mapped(reference, a) for a in args], "kwargs": mapped(reference, kwargs)}
            layers[title] = {**entry, "name": title, "inbound_nodes": [*layers[title]["inbound_nodes"], node]}
            layers[title].setdefault("lines", []).append(record.line)
        ends = mapped(lambda leaf: reference(leaf)["config"]["keras_history"], _tensors(scope.returned))
        masks = [mask for mask in scope.masks if mask is not None]
        if masks:
            ends = [ends, [reference(mask)["config"]["keras_history"] for mask in masks]]
        heads = [
            _input(title, tensor)
            for title, tensor in (
                *zip(inputs, scope.inputs, strict=True),
                *((captured[id(leaf)], leaf) for leaf in extra),
            )
        ]
        return {
            "class_name": class_name,
            "module": "traced",
            "name": name,
            "config": {
                "name": name,
                "layers": [*heads, *layers.values()],
                "input_layers": (
                    [[head["name"], 0, 0] for head in heads]
                    if taken_as is None
                    else mapped(lambda number: [heads[number]["name"], 0, 0], taken_as)
                ),
                "output_layers": ends,
            },
            "masked": scope.masked,
            "masks": [
                mask is not None
                for leaf, mask in zip(keras.tree.flatten(scope.returned), scope.masks, strict=True)
                if isinstance(leaf, KerasTensor)
            ]
            if scope.masks
            else [],
            "captured": extra,
        }

    def _entry(self, record: Record, title: str) -> dict[str, Any]:
        if record.inner is not None:
            return self.model(record.inner, title, type(record.operation).__name__)
        if record.spelled is not None:
            class_name, module, config = record.spelled
            return {"class_name": class_name, "module": module, "config": config}
        try:
            try:
                entry = keras.saving.serialize_keras_object(record.operation)
            except NotImplementedError:  # made with arguments that Keras does not write
                entry = _described(record.operation)
            if own_activation(record.operation) is None:
                json.dumps(entry)
        except Exception as error:
            kind = type(record.operation).__name__
            raise TraceError(f"a {kind} cannot be written as a configuration: {error}") from None
        if own_activation(record.operation) is not None:
            entry["config"] = {**entry["config"], "activation": "linear"}  # it is called as an op of its own
        if isinstance(record.operation, keras.layers.Layer):
            entry["weights"] = self._weights(record.operation)
        return dict(entry)

    def _weights(self, layer: Any) -> dict[str, int]:
        """The number of each of a layer's arrays, by the path at which an archive keeps it."""
        if id(layer) not in self.weights:
            found: dict[str, int] = {}
            for path, variable in stored(layer):
                number = self.recorder.numbers.setdefault(
                    ("variable", id(variable)), len(self.recorder.arrays)
                )
                if number == len(self.recorder.arrays):
                    self.recorder.arrays.append(lambda variable=variable: variable._value)  # type: ignore[misc]
                    self.recorder.kept.append(variable)
                found[path] = number
            self.weights[id(layer)] = found
        return self.weights[id(layer)]

    @staticmethod
    def _stem(record: Record) -> str:
        if isinstance(record.operation, keras.layers.Layer):
            return str(record.operation.name).replace("/", "_")
        name = record.spelled[0] if record.spelled else type(record.operation).__name__
        return _WORD.sub("_", name).lower()

    @staticmethod
    def _unique(stem: str, taken: set[str]) -> str:
        for number in itertools.count():
            name = f"{stem}_{number}" if number else stem
            if name not in taken:
                taken.add(name)
                return name
        raise AssertionError


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
    config = {name: mapped(_number, getattr(operation, name)) for name in names if hasattr(operation, name)}
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
