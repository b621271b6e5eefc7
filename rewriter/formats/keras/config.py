"""A Keras 3 model configuration (``config.json``) as a ``Graph``. Names in it are only looked up in tables.

Source of the form: ``keras/src/models/functional.py`` (``get_config``, ``functional_from_config``) and
``keras/src/saving/serialization_lib.py``, Keras 3.15. ``upgrade`` first converts models of Keras 1 and 2
to this form.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from ...errors import BadFileError, UnsupportedError, shown
from ...ir.graph import (
    TRACE_MODULE,
    TRACED,
    Graph,
    Literal,
    Loss,
    Node,
    Operation,
    TensorRef,
    Traced,
    node_name,
)
from ...shapes.dtypes import FLOATX, NUMBERS
from .moved import to_newer
from .opaque import is_custom, opaque_reason

_CHILD_KEYS = ("layer", "forward_layer", "backward_layer", "cell", "cells", "layers")
_MODEL_CLASSES = ("Functional", "Sequential", "Model")
# Marks an entry that stays in the form of an older Keras (upgrade/model.py).
_OLD = "not_upgraded"
_MAX_NESTING = 100
_MAX_ARGUMENT_NESTING = 64
_MAX_OUTPUT = 1000
# The dtypes of strings, as NumPy writes them.
_TEXT = re.compile("O|object|str(ing)?|[<>|=]?[US][0-9]*")


def read_model(config: Any) -> Graph:
    """The graph of a serialised model (the top level of ``config.json``).

    Raises:
        BadFileError: the configuration contradicts itself.
        UnsupportedError: a subclassed model, whose graph exists only as code.
    """
    try:
        operation = _operation(config, 0)
    except RecursionError:
        raise BadFileError("the configuration is nested too deep to read") from None
    if operation.graph is None and _OLD in operation.raw:
        raise UnsupportedError(
            f"the file holds a {shown(operation.class_name)!r}: {shown(str(operation.raw[_OLD]))}"
        )
    if operation.graph is None:
        if operation.kind != "model":
            own = "; its code may be one, which --trust PACKAGE runs" if is_custom(operation.raw) else ""
            raise UnsupportedError(f"the file holds a {shown(operation.class_name)!r}, not a model{own}")
        raise UnsupportedError(
            f"{shown(operation.class_name)!r} is a subclassed model: its graph is in its code, not in the file "
            "(--trust PACKAGE runs the code)"
        )
    operation.graph.model_class = {
        key: operation.raw.get(key) for key in ("class_name", "module", "registered_name")
    }
    operation.graph.losses = _losses(operation.graph, operation.raw.get("compile_config"))
    return operation.graph


def read_traced(entry: dict[str, Any]) -> Operation:
    """The operation of a traced layer or model; its entries are marked (``ir.graph.Traced``). Raises BadFileError."""
    try:
        return _operation(entry, 0)
    except RecursionError:
        raise BadFileError("the layers call each other too deep") from None


def _operation(entry: Any, depth: int) -> Operation:
    """One serialised layer, op or model. ``entry`` is untrusted."""
    if depth > _MAX_NESTING:
        raise UnsupportedError(f"models nested more than {_MAX_NESTING} deep")
    entry = _mapping(entry, "a layer")
    class_name = entry.get("class_name")
    if not isinstance(class_name, str) or not class_name:
        raise BadFileError("a layer has no class_name")
    config = _mapping(entry.get("config"), f"the config of {shown(class_name)!r}")
    name = entry.get("name", config.get("name"))
    if name is None:
        name = class_name.lower()
    _check_name(name)
    module = entry.get("module")
    module = module if isinstance(module, str) else ""
    kind = "layer" if _OLD in entry else _kind(class_name, module, config)
    operation = Operation(name, kind, class_name, config, module, entry)
    if class_name in _MODEL_CLASSES and not isinstance(config.get("layers", []), list):
        raise BadFileError(f"the layers of {shown(name)!r} are not a list")
    trace = entry.get("traced")
    operation.trace = trace if isinstance(trace, Traced) else None
    operation.opaque = (
        "" if operation.trace is not None and module == TRACE_MODULE else opaque_reason(operation)
    )
    operation.built = _built(entry.get("build_config"))
    if _OLD in entry:
        return operation
    if operation.kind == "model" and isinstance(config.get("layers"), list):
        operation.graph = _model(operation, depth)
        if operation.trace is not None:
            operation.graph.kind = TRACED
    elif operation.kind == "layer":
        for key in _CHILD_KEYS:
            if key in config and (children := _children(config[key], depth)) is not None:
                operation.children[key] = children
    return operation


def _kind(class_name: str, module: str, config: dict[str, Any]) -> str:
    if class_name == "InputLayer":
        return "input"
    if module == TRACE_MODULE:
        return "model" if "layers" in config else "op"
    if module.startswith(("keras.src.ops", "keras.ops", "keras.src.activations")):
        return "op"
    if class_name in _MODEL_CLASSES or ("layers" in config and "input_layers" in config):
        return "model"
    return "model" if ".models" in module and module.startswith("keras") else "layer"


def _children(value: Any, depth: int) -> Operation | list[Operation] | None:
    """The operations in a wrapper's config entry; None if there are none."""
    if isinstance(value, dict) and "class_name" in value and isinstance(value.get("config"), dict):
        return _operation(value, depth + 1)
    if isinstance(value, list) and value and all(isinstance(v, dict) and "class_name" in v for v in value):
        return [_operation(v, depth + 1) for v in value]
    return None


def _model(operation: Operation, depth: int) -> Graph:
    functional = "input_layers" in operation.config
    if operation.class_name == "Sequential" or (
        not functional and operation.class_name not in _MODEL_CLASSES
    ):
        return _sequential(operation.name, operation.config, depth)
    return _functional(operation.name, operation.config, depth)


# -- functional models -----------------------------
def _functional(name: str, config: dict[str, Any], depth: int) -> Graph:
    graph = Graph(name, raw=config)
    for entry in config["layers"]:
        operation = _operation(entry, depth + 1)
        if operation.name in graph.operations:
            raise BadFileError(f"two layers are called {shown(operation.name)!r}")
        graph.operations[operation.name] = operation
        inbound = entry.get("inbound_nodes", [])
        if not isinstance(inbound, list):
            raise BadFileError(f"inbound_nodes of {shown(operation.name)!r} is not a list")
        if not inbound and operation.kind == "input":
            graph.add(Node(operation.name, operation, 0, (), {}))
        for call, node in enumerate(inbound):
            args, kwargs = _call(node, operation.name)
            added = Node(node_name(operation.name, call), operation, call, args, kwargs)
            if operation.kind != "input" and not added.refs() and operation.trace is None:
                # Keras creates a node only for a call on tensors of the model.
                raise BadFileError(f"{shown(operation.name)!r} is called on no tensor of the model")
            graph.add(added)
    _check_calls(graph)
    to_newer(graph)
    graph.inputs = _ends(config.get("input_layers"), graph, "input_layers")
    graph.outputs = _ends(config.get("output_layers"), graph, "output_layers")
    graph.link()
    _check_inputs(graph)
    graph.order  # noqa: B018 - a cycle is an error of the file
    return graph


def _check_calls(graph: Graph) -> None:
    """Refuse a layer that is named like a call: the second call of ``a`` is written ``a#1``."""
    for name in graph.operations:
        stem, mark, call = name.rpartition("#")
        if mark and call.isdecimal() and stem in graph.operations:
            raise UnsupportedError(
                f"the layer name {shown(name)!r} is also the name of a call of {shown(stem)!r}: rename the layer"
            )


def _check_inputs(graph: Graph) -> None:
    if not graph.output_refs():
        raise BadFileError(f"model {shown(graph.name)!r} has no outputs")
    for ref in graph.input_refs():
        if ref.index:
            raise BadFileError(f"input {shown(ref.node)!r} has no output {ref.index}")
        if graph.nodes[ref.node].operation.kind != "input":
            raise UnsupportedError(
                f"model {shown(graph.name)!r} starts at {shown(ref.node)!r}, which is not an input layer"
            )


def _call(node: Any, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of one serialised call."""
    if not isinstance(node, dict):
        raise BadFileError(f"a call of {shown(name)!r} is neither an object nor a list")
    args, kwargs = node.get("args", []), node.get("kwargs", {})
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
        raise BadFileError(f"a call of {shown(name)!r} has malformed arguments")
    return tuple(_revive(a, name) for a in args), {key: _revive(v, name) for key, v in kwargs.items()}


def _revive(value: Any, name: str, depth: int = 0) -> Any:
    """A serialised argument with ``TensorRef``, ``Literal``, ``slice`` and ``Ellipsis`` in place of their dicts."""
    if depth > _MAX_ARGUMENT_NESTING:
        raise UnsupportedError(
            f"an argument of {shown(name)!r} is nested more than {_MAX_ARGUMENT_NESTING} deep"
        )
    if isinstance(value, list):
        return [_revive(item, name, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("class_name")
    config = value.get("config")
    if kind == "__keras_tensor__":
        return _tensor_ref(config)
    if kind in ("__tensor__", "__numpy__"):
        return _literal(config)
    if kind == "__slice__":
        return _slice(config, name)
    if kind == "__ellipsis__":
        return Ellipsis
    return {key: _revive(item, name, depth + 1) for key, item in value.items()}


def _slice(config: Any, name: str) -> slice:
    """A slice with integer bounds: Keras does not look for tensors inside a slice either."""
    bounds = [_mapping(config, "a slice").get(key) for key in ("start", "stop", "step")]
    if any(b is not None and (not isinstance(b, int) or isinstance(b, bool)) for b in bounds):
        raise UnsupportedError(f"a slice in a call of {shown(name)!r} has bounds that are not whole numbers")
    return slice(*bounds)


def _tensor_ref(config: Any) -> TensorRef:
    config = _mapping(config, "a tensor reference")
    history = config.get("keras_history")
    if not isinstance(history, list) or len(history) != 3 or not isinstance(history[0], str):
        raise BadFileError("a tensor reference has no keras_history of layer, call and output")
    shape = config.get("shape")
    recorded = None
    if isinstance(shape, list) and all(
        s is None or (isinstance(s, int) and not isinstance(s, bool)) for s in shape
    ):
        recorded = tuple(shape)
    dtype = config.get("dtype")
    return TensorRef(
        node_name(history[0], _index(history[1], history[0])),
        _output(history[2], history[0]),
        recorded,
        dtype if isinstance(dtype, str) else None,
    )


def _index(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise BadFileError(f"a reference to {shown(name)!r} has the index {shown(repr(value))}")
    return value


def _output(value: Any, name: str) -> int:
    """The index of an output. It is limited, as an opaque operation has as many outputs as the file claims."""
    if _index(value, name) >= _MAX_OUTPUT:
        raise BadFileError(f"a reference to {shown(name)!r} has the output index {value}")
    return value  # type: ignore[no-any-return]


def _literal(config: Any) -> Literal:
    config = _mapping(config, "a literal tensor")
    value = config.get("value")
    shape = []
    level = [value]
    while level and all(isinstance(item, list) for item in level):
        shape.append(len(level[0]))
        if len(shape) > _MAX_ARGUMENT_NESTING or any(len(item) != shape[-1] for item in level):
            raise BadFileError("a literal tensor is not rectangular")
        level = [entry for item in level for entry in item]
    return Literal(value, tuple(shape), _literal_dtype(level, config.get("dtype", FLOATX)))


def _literal_dtype(items: list[Any], dtype: Any) -> str:
    """The dtype of a literal tensor, ``string`` for text. Raises BadFileError if it does not fit the items."""
    if items and all(isinstance(item, str) for item in items):
        if not isinstance(dtype, str) or not _TEXT.fullmatch(dtype):
            raise BadFileError(f"a literal tensor of {shown(repr(dtype))} holds text")
        return "string"
    if not all(isinstance(item, (bool, int, float)) for item in items):
        raise BadFileError("a literal tensor holds items that are not numbers")
    if not isinstance(dtype, str) or dtype not in NUMBERS:
        raise BadFileError(f"a literal tensor has the dtype {shown(repr(dtype))}")
    if any(isinstance(item, int) and not -(2**63) <= item < 2**64 for item in items):
        raise BadFileError(f"a literal tensor of {dtype} holds a number of more than 64 bits")
    if "int" in dtype and any(isinstance(item, float) and not math.isfinite(item) for item in items):
        raise BadFileError(f"a literal tensor of {dtype} holds a value that is not a number")
    return str(dtype)


def _ends(structure: Any, graph: Graph, what: str) -> Any:
    """``input_layers`` / ``output_layers``: nested structures of ``[layer, call, output]``."""
    if isinstance(structure, list) and len(structure) == 3 and isinstance(structure[0], str):
        name = structure[0]
        call = structure[1]
        if not isinstance(call, int) or isinstance(call, bool) or not -(2**31) < call < 2**31:
            raise BadFileError(f"{what}: a reference to {shown(name)!r} has the call {shown(repr(call))}")
        operation = graph.operations.get(name)
        if operation is not None and operation.graph is not None and operation.graph.kind == "Functional":
            # A functional model starts with a node of its own, which Keras counts (functional.py, get_tensor).
            call -= 1
        if call < 0:
            call += graph.calls[name]
        if call < 0:
            raise BadFileError(f"{what}: a reference to {shown(name)!r} has the call {structure[1]}")
        return TensorRef(node_name(name, call), _output(structure[2], name))
    if isinstance(structure, list):
        return [_ends(item, graph, what) for item in structure]
    if isinstance(structure, dict):
        return {key: _ends(item, graph, what) for key, item in structure.items()}
    raise BadFileError(f"{what} is malformed")


# -- sequential models -----------------------------
def _sequential(name: str, config: dict[str, Any], depth: int) -> Graph:
    graph = Graph(name, "Sequential", config)
    operations = [_operation(entry, depth + 1) for entry in config["layers"]]
    if not operations or operations[0].kind != "input":
        operations.insert(0, _implied_input(config, operations))
    previous = operations[0]
    graph.add(Node(previous.name, previous, 0, (), {}))
    for operation in operations[1:]:
        if operation.name in graph.operations:
            raise BadFileError(f"two layers are called {shown(operation.name)!r}")
        if operation.kind == "input":
            raise BadFileError(
                f"the Sequential model {shown(name)!r} has an input layer behind its first layer"
            )
        graph.add(Node(operation.name, operation, 0, (TensorRef(previous.name),), {}))
        previous = operation
    graph.inputs = [TensorRef(operations[0].name)]
    graph.outputs = TensorRef(previous.name)
    graph.link()
    return graph


def _implied_input(config: dict[str, Any], operations: list[Operation]) -> Operation:
    """The input of a Sequential model without an input layer, from its build shape or its first layer's shape."""
    first = operations[0] if operations else None
    while first is not None and first.graph is not None:
        first = next((first.graph.nodes[ref.node].operation for ref in first.graph.input_refs()), None)
    stated = first.config if first is not None else {}
    shape = config.get("build_input_shape") or stated.get("batch_input_shape") or stated.get("batch_shape")
    if not isinstance(shape, list):
        raise UnsupportedError(
            "a Sequential model that was never built: the file does not state its input shape"
        )
    taken = {op.name for op in operations}
    name = next(n for n in _names("input") if n not in taken)
    return Operation(name, "input", "InputLayer", {"batch_shape": shape, "name": name})


def _names(stem: str) -> Iterator[str]:
    yield stem
    number = 1
    while True:
        yield f"{stem}_{number}"
        number += 1


# -- what the file states in addition to the graph -----------------------------
def _built(config: Any) -> tuple[tuple[int | None, ...], ...]:
    """The shapes in a ``build_config``, in the order of the operands; () if they are not plain shapes."""
    if not isinstance(config, dict):
        return ()
    stated = config.get("shapes_dict", {"input_shape": config.get("input_shape")})
    found = list(stated.values()) if isinstance(stated, dict) else []
    if len(found) == 1 and isinstance(found[0], list) and all(isinstance(s, list) for s in found[0]):
        found = found[0]
    shapes = tuple(tuple(s) for s in found if isinstance(s, list))
    sizes = [size for shape in shapes for size in shape]
    plain = len(shapes) == len(found) and all(s is None or type(s) is int for s in sizes)
    return shapes if plain else ()


def _losses(graph: Graph, config: Any) -> list[Loss]:
    """The losses of a ``compile_config``: one for all outputs, or a list or dict of them."""
    stated = config.get("loss") if isinstance(config, dict) else None
    outputs = graph.output_refs()
    if isinstance(stated, list) and len(stated) == len(outputs):
        pairs = list(zip(outputs, stated, strict=True))
    elif isinstance(stated, dict) and "class_name" not in stated:
        by_name = {ref.node: ref for ref in outputs}
        if isinstance(graph.outputs, dict):
            by_name |= {key: ref for key, ref in graph.outputs.items() if isinstance(ref, TensorRef)}
        pairs = [(by_name[name], loss) for name, loss in stated.items() if name in by_name]
    else:
        pairs = [(ref, stated) for ref in outputs]
    return [Loss(ref, *named) for ref, loss in pairs if (named := _loss_name(loss)) is not None]


def _loss_name(loss: Any) -> tuple[str, dict[str, Any]] | None:
    """The name and configuration of a loss: ``"mse"``, a serialised class, or a serialised function."""
    if isinstance(loss, str):
        return loss, {}
    if not isinstance(loss, dict):
        return None
    config, name = loss.get("config"), loss.get("class_name")
    if name == "function":
        return (config, {}) if isinstance(config, str) else None
    return (name, config if isinstance(config, dict) else {}) if isinstance(name, str) else None


# -- checks -----------------------------
def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadFileError(f"{what} is not an object")
    return value


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise BadFileError(f"a layer is called {shown(repr(name))}: a name must be a non-empty string")
    if "/" in name:
        raise BadFileError(f"a layer is called {shown(name)!r}: Keras allows no '/' in a name")
