"""Follow integer tensors through an old model, and find what Keras 3 computes differently.

Keras 2 keeps the dtype of an integer tensor: its mean is an integer, a sum of ``int8`` is an ``int8``.
Keras 3 gives the mean as a float and the sum as an ``int32``. Source: ``keras/src/backend/tensorflow/numpy.py`` and
``keras/src/layers/pooling`` of Keras 3.15, the same layers of tf_keras 2.21; the functions of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import functions
from .constructs import Construct
from .context import Entry, Untranslatable
from .functions.elementwise import dtype_named
from .functions.node_defs import DTYPES
from .layers import CLASSES, KEEP_DTYPE
from .order import Layered, Read, in_order
from .tensors import Call, Old, leaves

CONSTRUCTS = (
    Construct(
        "tf.reduce_mean and GlobalAveragePooling of whole numbers", "refused", "means_of_whole_numbers"
    ),
)

# The integer dtype of the outputs of each call; None for other dtypes.
Dtypes = dict[tuple[str, int], str | None]

_MEAN = "for integers its result is an integer in Keras 2, and a float in Keras 3"
_NARROW = "for {} its result is {} in Keras 2, and of a wider dtype in Keras 3"
_NARROW_DTYPES = frozenset({"int8", "int16", "uint8", "uint16"})
_POOLS = frozenset({
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
})  # fmt: skip
_LOOKUPS = frozenset({"Discretization", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization"})
_MODELS = frozenset({"Functional", "Model", "Sequential"})

_MEANS = frozenset({"math.reduce_mean", "reduce_mean", "nn.moments", "Mean"})
_DIVISION = "for integers it drops the remainder in Keras 2, and gives a float in Keras 3"
_SUMS = frozenset({"math.reduce_sum", "reduce_sum", "math.reduce_prod", "reduce_prod", "Sum", "Prod"})
_INDICES = frozenset({"math.argmax", "argmax", "ArgMax", "math.argmin", "argmin", "ArgMin"})
_CASTS = frozenset({"cast", "Cast"})
_LIKE = frozenset({"zeros_like", "ones_like"})
# Functions whose result has another dtype than their operands, and not an integer one.
_OTHERS = frozenset({
    "math.truediv", "math.divide", "divide", "truediv", "__operators__.truediv", "RealDiv", "shape", "Shape",
    *(f"{prefix}{name}" for prefix in ("math.", "", "__operators__.") for name in (
        "equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "eq", "ne")),
    "Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual",
})  # fmt: skip
_FIRST_ALONE = frozenset({"gather", "GatherV2"})


def refused(entry: Entry, read: Read) -> dict[tuple[str, int], str]:
    """The calls in a model that Keras 3 computes differently, with the reason for each.

    ``read`` reads the layers of a model.
    """
    return _Flow(entry, None, read, {}).refused


class _Flow:
    """The dtypes in one model, which is called on a tensor of the dtype ``taken``."""

    def __init__(
        self, entry: Entry, taken: str | None, read: Read, seen: dict[tuple[int, str | None], _Flow]
    ) -> None:
        self.read, self.seen = read, seen
        self.dtypes: Dtypes = {}
        self.refused: dict[tuple[str, int], str] = {}
        layers, inputs, self.ends = read(entry)
        stated = [row.entry for row in layers if row.entry.get("class_name") == "InputLayer"]
        if len(inputs) == 1 and not stated:
            self.dtypes[inputs[0].layer, inputs[0].call] = _first_of_chain(entry, taken)
        for row in layers:
            if row.entry.get("class_name") == "InputLayer":
                self.dtypes[row.name, 0] = _whole(_stated(row.entry))
        for row, number in in_order(layers, inputs):
            self.dtypes[row.name, number] = self._of(row, number, row.calls[number])

    def _taken(self, value: Any) -> str | None:
        """The first integer dtype among the tensors of an argument."""
        return next(self._all(value), None)

    def _all(self, value: Any) -> Iterator[str]:
        for leaf in leaves(value):
            dtype = self.dtypes.get((leaf.layer, leaf.call)) if isinstance(leaf, Old) else None
            if dtype is not None:
                yield dtype

    def _of(self, row: Layered, number: int, call: Call) -> str | None:
        if functions.is_function(row.entry):
            return self._of_function(row, number, call)
        return self._of_layer(row.entry, row, number, call)

    def _of_layer(self, entry: Entry, row: Layered, number: int, call: Call) -> str | None:
        class_name, config = str(entry.get("class_name")), entry.get("config")
        class_name = CLASSES.get(class_name, class_name)
        settings = config if isinstance(config, dict) else {}
        taken = self._taken(call.first)
        if class_name == "TimeDistributed" and isinstance(settings.get("layer"), dict):
            return self._of_layer(settings["layer"], row, number, call)
        if class_name in _MODELS and isinstance(config, (dict, list)):
            return self._of_model(entry, row, number, taken)
        if class_name in _LOOKUPS:
            return "int64" if settings.get("output_mode", "int") == "int" else None
        if taken is not None and class_name in _POOLS:
            self.refused[row.name, number] = _MEAN
        return taken if class_name in KEEP_DTYPE else None

    def _of_model(self, entry: Entry, row: Layered, number: int, taken: str | None) -> str | None:
        key = id(entry), taken
        if key not in self.seen:
            self.seen[key] = _Flow(entry, taken, self.read, self.seen)
        inner = self.seen[key]
        if taken is not None and inner.refused:
            self.refused[row.name, number] = next(iter(inner.refused.values()))
        return inner._taken(inner.ends)

    def _of_function(self, row: Layered, number: int, call: Call) -> str | None:
        name, attributes = _function(row.entry)
        taken = self._taken((call.first, call.kwargs))
        if name in _CASTS:
            return _named(call.kwargs.get("dtype", attributes.get("DstT")))
        if name in _LIKE and call.kwargs.get("dtype") is not None:
            return _named(call.kwargs["dtype"])
        if name in _INDICES:
            return _named(call.kwargs.get("output_type", attributes.get("output_type", "int64")))
        if name == "one_hot":
            return _named(call.kwargs.get("dtype") or "float32")
        if name == "image.resize" and call.kwargs.get("method") != "nearest":
            return None
        if name in _FIRST_ALONE:
            first = next(leaves(call.first), None)
            taken = "int32" if type(first) is int else self._taken([first])
        if name in _OTHERS or taken is None:
            return None
        if name in _MEANS:
            self.refused[row.name, number] = _MEAN
        elif name == "Div":
            self.refused[row.name, number] = _DIVISION
        elif name in _SUMS and taken in _NARROW_DTYPES:
            self.refused[row.name, number] = _NARROW.format(taken, taken)
        return taken


def _named(value: Any) -> str | None:
    """The integer dtype in a name or in an attribute of a NodeDef; None for other dtypes."""
    if isinstance(value, dict) and "type" in value:
        value = DTYPES.get(str(value["type"]))
    try:
        return _whole(dtype_named(value))
    except Untranslatable:
        return None


def _function(entry: Entry) -> tuple[str, dict[str, Any]]:
    """The name of a function, or the operation of a NodeDef and its attributes."""
    config = entry.get("config")
    config = config if isinstance(config, dict) else {}
    node = config.get("node_def")
    if isinstance(node, dict):
        attributes = node.get("attr")
        return str(node.get("op")), attributes if isinstance(attributes, dict) else {}
    return str(config.get("function")).removeprefix("compat.v1."), {}


def _first_of_chain(entry: Entry, taken: str | None) -> str | None:
    """The integer dtype at the start of a sequential model: of its stated input, else of the tensor it takes."""
    config = entry.get("config")
    held = config.get("layers") if isinstance(config, dict) else config
    first = held[0] if isinstance(held, list) and held else None
    inside = first.get("config") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(inside, dict):
        return taken
    if first.get("class_name") == "InputLayer":
        return _whole(_stated(first))
    if "batch_input_shape" in inside:
        return _whole(str(inside.get("input_dtype", "float32")))
    return taken


def _stated(entry: Entry) -> str:
    config = entry.get("config")
    config = config if isinstance(config, dict) else {}
    return str(config.get("dtype") or config.get("input_dtype") or "float32")


def _whole(dtype: str) -> str | None:
    return dtype if dtype.startswith(("int", "uint")) else None
