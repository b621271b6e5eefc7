"""A request: a model, and which of its layers are traced. The packages that the user trusts are imported already."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

Json = dict[str, Any]


def traced(request: Json, say: Callable[[Json], None]) -> Json:
    """The graphs of layers, ``{"layers": [{"path", "entry"} or {"path", "reason"}]}``, or of the whole model,
    ``{"model": entry}``; ``{"skipped": reason}`` if nothing can be traced.

    Args:
        request: ``model``, the path of a file; ``paths`` to layers, None for the whole model;
            ``arrays``, the path of a file to write with the numbers of the variables, "" for none.
    """
    import keras

    from ...proof.keras.models import operands
    from .entries import Entries
    from .recorder import Recorder, recording

    keras.config.disable_traceback_filtering()
    try:
        model = keras.saving.load_model(request["model"], compile=False)
    except Exception as error:
        return {"skipped": f"Keras does not load the model: {_line(error)}"}
    recorder = Recorder(model)
    entries = Entries(recorder)
    with recording(recorder):
        if request["paths"] is None:
            answer = _whole(model, recorder, entries)
        else:
            with suppress(Exception):
                recorder.run(model, (operands(model),), {})  # to see which tensors have masks
            answer = {"layers": [_one(model, path, recorder, entries) for path in request["paths"]]}
    if request["arrays"]:
        answer["arrays"] = _dump(recorder.arrays, request["arrays"])
    return answer


def _whole(model: Any, recorder: Any, entries: Any) -> Json:
    """The graph of a model as its code makes it."""
    from ...proof.keras.models import operands
    from .recorder import leaves, mapped

    try:
        given = operands(model)
        scope = recorder.run(model, (given,), {})
        names = [str(leaf.name) for leaf in leaves(given)]
        numbers = itertools.count()
        taken_as = mapped(lambda leaf: next(numbers), given)
        scope.masks = []
        with recorder.suspension():
            entry = entries.model(scope, model.name, type(model).__name__, names, taken_as)
    except Exception as error:
        return {"skipped": _why(error)}
    if entry.pop("captured"):
        return {"skipped": "it uses tensors from outside of its call"}
    return {"model": entry}


def _one(model: Any, path: Sequence[str], recorder: Any, entries: Any) -> Json:
    """The graph of one layer of a functional model."""
    from .recorder import TraceError

    answer: Json = {"path": list(path)}
    try:
        layer = model
        for name in path:
            layer = layer.get_layer(name)
        found = []
        for node in layer._inbound_nodes or ():
            scope = recorder.run(layer, node.arguments.args, node.arguments.kwargs)
            with recorder.suspension():
                entry = entries.model(scope, layer.name, type(layer).__name__)
            if entry.pop("captured"):
                raise TraceError("it uses tensors from outside of its call")
            if entry not in found:
                found.append(entry)
        if not found:
            raise TraceError("it is not called")
        if len(found) > 1:
            raise TraceError("its calls compute different things")
        return answer | {"entry": found[0]}
    except Exception as error:
        return answer | {"reason": _why(error)}


def _why(error: BaseException) -> str:
    """Why a layer cannot be traced, with the line of its code."""
    from .recorder import TraceError, line_of

    place = line_of(error)
    said = str(error) if isinstance(error, TraceError) else f"{type(error).__name__}: {_line(error)}"
    return f"{said} ({place})" if place else said


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _dump(arrays: Sequence[Callable[[], Any]], path: str) -> list[Json]:
    """Write arrays into a file, one after another; their places in it, shapes and types."""
    import keras
    import numpy as np

    found = []
    with open(path, "wb") as file:
        for load in arrays:
            value = load()
            dtype = keras.backend.standardize_dtype(value.dtype)
            array = np.ascontiguousarray(keras.ops.convert_to_numpy(value))
            file.write(b"\0" * (-file.tell() % 64))
            found.append({"offset": file.tell(), "shape": list(array.shape), "dtype": dtype})
            file.write(array.tobytes())
    return found
