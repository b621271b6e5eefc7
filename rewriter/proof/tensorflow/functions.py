"""Run the functions of a loaded SavedModel on arrays, and read their inner tensors.

Loading a SavedModel runs no Python code from it. The tensors inside a called function can be read only in a graph where
the call is inlined. Grappler makes that graph (``convert_to_constants``, TensorFlow 2.21).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ...formats.saved_model.reader import Source, Unit
from ..blame import line
from ..feeds import CannotFeedError, Feeds, Input
from ..running import Arrays, FailedError, RefusedError, Running


@lru_cache(maxsize=4)
def loaded(path: str) -> Any:
    """Load a SavedModel. Raises RefusedError."""
    import tensorflow as tf

    try:
        return tf.saved_model.load(path)
    except Exception as error:
        raise RefusedError(line(error, path)) from None


def function_at(model: Any, path: Sequence[str], number: int) -> Any:
    """The concrete function at a path of names. Raises RefusedError if there is none."""
    try:
        found = model
        for name in path:
            if name in getattr(found, "signatures", {}) and found is not model:
                found = found.signatures[name]
            elif hasattr(found, name):
                found = getattr(found, name)
            else:
                found = found[int(name)] if name.isdecimal() else found[name]
        listed = getattr(found, "concrete_functions", None)
        return listed[number] if listed is not None else found
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise RefusedError(f"it has no function {'/'.join(path)}: {line(error)}") from None


class Session(Running):
    """A function that runs on arrays, and returns inner tensors with its results.

    Args:
        function: a concrete function of TensorFlow.
        unit: the same function as read from the file.
        names: the names of its inputs in the file, in order.
    """

    def __init__(self, function: Any, source: Source, unit: Unit, names: Sequence[str]) -> None:
        self.function = function
        self.names = list(names)
        self.outputs = [f"result {number}" for number in range(len(function.outputs))]
        self.feeds = Feeds([_input(source, unit, name) for name in names])
        self.wanted: list[str] = []
        graph = function.graph.as_graph_def()
        self._plain = _callable(graph, function, [tensor.name for tensor in function.outputs])
        self._before = _variables(function) if _assigns(graph) else []
        self._probe: Any = None

    def inside(self) -> Any:
        """The graph with every call inlined. Raises RefusedError."""
        try:
            from tensorflow.python.framework import convert_to_constants

            return convert_to_constants._run_inline_graph_optimization(self.function, False, True)
        except Exception as error:
            raise RefusedError(line(error)) from None

    def probe(self, graph: Any, wanted: Sequence[str]) -> None:
        """Also return these tensors of the graph of ``inside``. Raises RefusedError."""
        self.wanted = list(wanted)
        try:
            self._probe = _callable(graph, self.function, [_tensor(name) for name in wanted])
        except Exception as error:
            raise RefusedError(line(error)) from None

    def run(self, given: Arrays) -> Arrays:
        """The results and the wanted inner tensors, by name. Raises FailedError."""
        import tensorflow as tf

        tensors = [tf.constant(given[name]) for name in self.names] + list(self.function.captured_inputs)
        try:
            found = _arrays(self.outputs, self._plain(*tensors))
            self._restore()
            return found | (_arrays(self.wanted, self._probe(*tensors)) if self.wanted else {})
        except Exception as error:
            raise FailedError(line(error)) from None
        finally:
            self._restore()

    def _restore(self) -> None:
        """Restore the values that the variables had before the run."""
        import tensorflow as tf

        for handle, value in self._before:
            tf.raw_ops.AssignVariableOp(resource=handle, value=value)

    @property
    def squared(self) -> bool:
        """Whether an input has the batch along two axes. It does not: each open axis has its own name here."""
        return False


def _assigns(graph: Any) -> bool:
    """Whether a function changes variables, as a training step does. Each run starts from their first values."""
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return any("Assign" in node.op for node in nodes)


def _variables(function: Any) -> list[tuple[Any, Any]]:
    """The variables that a function uses, with their values."""
    import tensorflow as tf

    found = []
    for handle in function.captured_inputs:
        data = getattr(handle, "_handle_data", None)
        if handle.dtype == tf.resource and data is not None and len(data.shape_and_type) == 1:
            dtype = tf.dtypes.as_dtype(data.shape_and_type[0].dtype)
            found.append((handle, tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)))
    return found


def _callable(graph: Any, function: Any, outputs: Sequence[str]) -> Any:
    from tensorflow.python.eager import wrap_function

    inputs = [tensor.name for tensor in function.inputs]
    return wrap_function.function_from_graph_def(graph, inputs, list(outputs))


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _arrays(names: Sequence[str], tensors: Any) -> Arrays:
    listed = tensors if isinstance(tensors, (list, tuple)) else [tensors]
    return {name: tensor.numpy() for name, tensor in zip(names, listed, strict=True)}


def _input(source: Source, unit: Unit, name: str) -> Input:
    """An input of the graph. Raises CannotFeedError for a part of a ragged or sparse tensor, or an unknown shape."""
    node = source.graph.nodes.get(f"{unit.name}:{name}")
    config: Mapping[str, Any] = node.operation.config if node is not None else {}
    shape = config.get("batch_shape")
    if shape is None:
        raise CannotFeedError(f"the shape of the input {name!r} is not known")
    if config.get("part"):
        raise CannotFeedError(f"the input {name!r} is a part of a ragged or sparse tensor")
    batch, labels = config.get("batch"), config.get("labels") or []
    names = tuple(
        "batch"
        if place == batch and size is None
        else size
        if size is not None
        else labels[place] or f"{name}, {place}"
        for place, size in enumerate(shape)
    )
    return Input(name, str(config.get("dtype")), names, batch)
