"""A request: a model, and which of its layers are traced. The packages that the user trusts are imported already."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from ...ir.graph import leaves, map_leaves
from ...proof.child import RAISED, ended_with

Json = dict[str, Any]
# A layer, and the arguments of each of its calls.
Called = tuple[Any, list[tuple[tuple[Any, ...], Json]]]
_ENDINGS = (MemoryError, SystemExit)


def traced(request: Json, say: Callable[[Json], None]) -> Json:
    """The graphs of layers, ``{"layers": [{"path", "entry"} or {"path", "reason"}]}``, or of the whole model,
    ``{"model": entry}``; ``{"skipped": reason}`` if nothing can be traced.

    If Keras does not load the model, each layer is made from its entry, without its weights.

    Args:
        request: ``model``, the path of a file; ``paths`` to layers and ``entries``, their entries in the file, or None
            for the whole model; ``arrays``, the path of a file to write with the numbers of the variables.
    """
    import keras

    from .entries import Entries
    from .functions import recording
    from .recorder import Recorder

    keras.config.disable_traceback_filtering()
    names: dict[int, str] = {}
    model, reason = None, ""
    try:
        with _naming(names):
            model = keras.saving.load_model(request["model"], compile=False)
    except RAISED as error:
        reason = f"Keras does not load the model: {_line(error)}"
    paths, stated = request["paths"], request.get("entries") or []
    if model is None and (paths is None or not stated):
        return {"skipped": reason}
    recorder = Recorder([] if model is None else model.variables)
    entries = Entries(recorder)
    with recording(recorder):
        if paths is None:
            answer = _whole(model, recorder, entries)
        else:
            if model is None:
                found = [partial(_made, entry) for entry in stated]
            else:
                _note_masks(model, recorder)
                found = [partial(_found, model, path, names) for path in paths]
            answer = {"layers": [_one(*each, recorder, entries) for each in zip(paths, found, strict=True)]}
    answer["arrays"] = _dump(recorder.arrays, request["arrays"], loaded=model is not None)
    return answer


def _note_masks(model: Any, recorder: Any) -> None:
    """Run the model once, to see which tensors have masks."""
    from ...proof.keras.models import operands

    with suppress(*RAISED):
        recorder.run(model, (operands(model),), {})


def _found(model: Any, path: Sequence[str], names: dict[int, str]) -> Called:
    """The layer of a model at a path of names in the file. Raises TraceError if Keras has none."""
    from .recorder import TraceError

    layer = model
    for name in path:
        layer = next((each for each in layer._layers if names.get(id(each)) == name), None)
        if layer is None:
            raise TraceError("Keras gives the layers of the model other names than the file")
    return layer, [(node.arguments.args, node.arguments.kwargs) for node in layer._inbound_nodes]


def _made(entry: Json) -> Called:
    """The layer of an entry in a file, with new weights, and its calls on tensors of the recorded shapes."""
    import keras

    from .recorder import now

    def revived(value: Any) -> Any:
        if isinstance(value, list):
            return [revived(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("class_name") == "__keras_tensor__":
            return keras.KerasTensor(tuple(value["config"]["shape"]), dtype=value["config"]["dtype"])
        if "class_name" in value:
            return keras.saving.deserialize_keras_object(value)
        return {key: revived(item) for key, item in value.items()}

    with now().suspension():
        layer = keras.saving.deserialize_keras_object(
            {key: value for key, value in entry.items() if key != "inbound_nodes"}
        )
        calls = [
            (tuple(revived(call["args"])), revived(call.get("kwargs", {})))
            for call in entry.get("inbound_nodes", ())
        ]
        shape = (entry.get("build_config") or {}).get("input_shape")
        if not calls and shape is not None:  # in a Sequential model
            calls = [((keras.KerasTensor(tuple(shape), dtype=layer.compute_dtype),), {})]
        if calls and not layer.built:
            layer(*calls[0][0], **calls[0][1])
    return layer, calls


@contextmanager
def _naming(names: dict[int, str]) -> Iterator[None]:
    """Collect the name that the file gives to each layer, by the layer's id.

    A layer whose ``get_config`` leaves out its name gets another one from Keras.
    """
    from keras.src.saving import serialization_lib

    original = serialization_lib.deserialize_keras_object

    def deserialize(config: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(config, *args, **kwargs)
        if isinstance(config, dict) and hasattr(made, "_inbound_nodes"):
            inner = config.get("config")
            name = config.get("name", inner.get("name") if isinstance(inner, dict) else None)
            names[id(made)] = name or str(config.get("class_name", "")).lower()
        return made

    serialization_lib.deserialize_keras_object = deserialize
    try:
        yield
    finally:
        serialization_lib.deserialize_keras_object = original


def _whole(model: Any, recorder: Any, entries: Any) -> Json:
    """The graph of a model as its code makes it."""
    from ...proof.keras.models import operands

    try:
        given = operands(model)
        names = [str(leaf.name) for leaf in leaves(given)]
        numbers = itertools.count()
        taken_as = map_leaves(lambda leaf: next(numbers), given)

        def written() -> Json:
            scope = recorder.run(model, (given,), {})
            scope.masks = []
            with recorder.suspension():
                return dict(entries.model(scope, model.name, type(model).__name__, names, taken_as))

        entry = _common_entry([written], recorder)
    except RAISED as error:
        return {"skipped": _why(error)}
    return {"model": entry}


def _one(path: Sequence[str], found: Callable[[], Called], recorder: Any, entries: Any) -> Json:
    """The graph of one layer of a functional model."""
    from .recorder import TraceError

    answer: Json = {"path": list(path)}
    try:
        layer, calls = found()
        recorder.know(layer.variables)

        def written(args: tuple[Any, ...], kwargs: Json) -> Json:
            if kwargs.get("training") is True:
                raise TraceError("it is called with training=True")
            scope = recorder.run(layer, args, kwargs)
            with recorder.suspension():
                return dict(entries.model(scope, path[-1], type(layer).__name__))

        if not calls:
            raise TraceError("it is not called")
        return answer | {"entry": _common_entry([partial(written, *call) for call in calls], recorder)}
    except RAISED as error:
        return answer | {"reason": _why(error)}


def _common_entry(calls: Sequence[Callable[[], Json]], recorder: Any) -> Json:
    """The entry that all calls make. The first one is made twice: code may use what changes from run to run.

    Raises:
        TraceError: the entries differ, or use tensors from outside.
    """
    from .entries import comparable
    from .recorder import TraceError

    made = [call() for call in (calls[0], *calls)]
    if any(entry.pop("captured") for entry in made):
        raise TraceError("it uses tensors from outside of its call")
    first, again, *others = [comparable(entry, recorder.array) for entry in made]
    if first != again:
        raise TraceError("its code computes something else each time")
    if any(other != first for other in others):
        raise TraceError("its calls compute different things")
    return made[0]


def _why(error: BaseException) -> str:
    """Why a layer cannot be traced, with the line of its code."""
    from .recorder import TraceError, called_wrongly, line_of

    place = line_of(error)
    layer = called_wrongly(error)
    if layer is not None:
        said = f"the call of {layer.name!r} ({type(layer).__name__}) does not take its arguments: {error}"
    elif isinstance(error, (TraceError, *_ENDINGS)) or not str(error).strip():
        said = _line(error)
    else:
        said = f"{type(error).__name__}: {_line(error)}"
    return f"{said} ({place})" if place else said


def _line(error: BaseException) -> str:
    """The first line of an error; its type if it says nothing."""
    if isinstance(error, _ENDINGS):
        return ended_with(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _dump(arrays: Sequence[Callable[[], Any]], path: str, loaded: bool) -> list[Json]:
    """Write arrays into a file, one after another; their places in it (None if not loaded), shapes and types."""
    import keras
    import numpy as np

    found = []
    with open(path, "wb") as file:
        for load in arrays:
            value = load()
            dtype = keras.backend.standardize_dtype(value.dtype)
            if not loaded:
                found.append({"offset": None, "shape": list(value.shape), "dtype": dtype})
                continue
            array = np.ascontiguousarray(keras.ops.convert_to_numpy(value))
            file.write(b"\0" * (-file.tell() % 64))
            found.append({"offset": file.tell(), "shape": list(array.shape), "dtype": dtype})
            file.write(array.tobytes())
    return found
