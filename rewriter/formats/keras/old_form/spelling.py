"""Inserted operations as layers of Keras 2, or as functions of TensorFlow if no layer does the same.

A layer cannot change the batch axis, and casts its operand to its own dtype. A layer is used if the operation keeps
axis 0 and the model computes in one dtype. Functions (``TFOpLambda``) cast nothing; tf.keras has them since 2.4.
Source: ``tf_keras/src/layers/core/tf_op_layer.py``, ``layers/reshaping`` and ``layers/merging/dot.py`` of 2.21.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ....errors import UnsupportedError, shown
from ....ir.axis import Value
from ....ir.graph import Literal, Node, leaves
from ....ir.size import Truth, same
from ..upgrade.detect import every_layer
from .order import layers_of

Json = dict[str, Any]

_FUNCTION = "TFOpLambda"
_FLOATX = "float32"
_FUNCTIONS = ("TFOpLambda", "SlicingOpLambda", "ClassMethod")
# The first version that certainly has them: TensorFlow 2.3 and 2.4 both state Keras 2.4.0.
_SINCE = (2, 5)
_MODEL = ".engine.functional"
_UPSAMPLING = {3: ("UpSampling1D", 1), 4: ("UpSampling2D", 2), 5: ("UpSampling3D", 3)}


class Part(NamedTuple):
    """One layer: its class and the configuration specific to it, or a function with its arguments."""

    class_name: str
    config: Json
    function: str = ""


class Form(NamedTuple):
    """How a file writes its layers.

    Attributes:
        version: the Keras that wrote the file, for messages.
        functions: whether the file can hold functions of TensorFlow.
        modules: the module of a function, if entries name their module (archives); else "".
        dtype: the one dtype that the model computes in, as layers state it; "" if none or several are stated.
        layers: whether the model computes in one dtype, and no function casts.
    """

    version: str
    functions: bool
    modules: str
    dtype: str
    layers: bool


def form_of(original: Json, version: str) -> Form:
    """The form of a file of Keras 2."""
    entries = list(every_layer(original["config"]))
    found = re.match(r"(\d{1,6})\.(\d{1,6})", version)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    functions = number >= _SINCE or any(entry.get("class_name") in _FUNCTIONS for entry in entries)
    dtypes = {dtype for entry in entries for dtype in _dtypes(entry)}
    casts = any(_casts(entry) for entry in entries)
    modules = ""
    if any("registered_name" in entry for entry in layers_of(original["config"])):
        stated = [str(entry.get("module")) for entry in (*entries, original)]
        root = next((name.removesuffix(_MODEL) for name in stated if name.endswith(_MODEL)), "keras")
        modules = f"{root}.layers.core.tf_op_layer"
    dtype = next(iter(dtypes)) if len(dtypes) == 1 else ""
    return Form(version, functions, modules, dtype, len(dtypes) < 2 and not casts)


def _dtypes(entry: Json) -> Iterator[str]:
    """The floating dtypes in which a layer computes."""
    config = entry.get("config")
    stated = config.get("dtype") if isinstance(config, dict) else None
    if isinstance(stated, dict):
        inner = stated.get("config")
        stated = inner.get("name") if isinstance(inner, dict) else None
    if isinstance(stated, str) and "float" in stated:
        yield stated.removeprefix("mixed_")


def _casts(entry: Json) -> bool:
    """Whether an entry is a function that changes the dtype of its operand."""
    config = entry.get("config")
    return (
        entry.get("class_name") == _FUNCTION
        and isinstance(config, dict)
        and "cast" in str(config.get("function"))
    )


# -- the layers for an operation -----------------------------
def spelled(node: Node, operands: Sequence[Value], result: Value, form: Form) -> list[Part]:
    """The layers that compute an inserted operation, in sequence.

    Raises:
        UnsupportedError: there is none in this form.
    """
    if any(isinstance(leaf, Literal) for leaf in leaves((node.args, node.kwargs))):
        raise _refused(node, form)
    layer = _layer(node, operands, result) if _keeps_dtypes(operands, form) else None
    if layer is not None:
        return [layer]
    functions = _function(node) if form.functions else []
    if not functions:
        raise _refused(node, form)
    return functions


def _keeps_dtypes(operands: Sequence[Value], form: Form) -> bool:
    """Whether a layer in the model's dtype casts no operand: it casts floating operands to that dtype."""
    own = form.dtype or _FLOATX
    return form.layers and all("float" not in x.dtype or x.dtype == own for x in operands)


def _refused(node: Node, form: Form) -> UnsupportedError:
    written = f"Keras {shown(form.version)}" if form.version else "Keras 2"
    return UnsupportedError(
        f"no layer of {written} does what the inserted {node.operation.class_name} {shown(node.name)!r} does: "
        "name a .keras file to write"
    )


def _layer(node: Node, operands: Sequence[Value], result: Value) -> Part | None:
    """The layer that computes the same for every batch size; None if there is none."""
    class_name, config = node.operation.class_name, node.operation.config
    before, after = operands[0].sizes, result.sizes
    if before is None or after is None or not before or not after:
        return None
    kept = same(before[0], after[0]) is Truth.YES
    if class_name in ("Reshape", "ExpandDims", "Squeeze") and kept:
        target = [size if isinstance(size, int) else -1 for size in after[1:]]
        return Part("Reshape", {"target_shape": target}) if target.count(-1) <= 1 else None
    if class_name == "Transpose" and config["axes"][0] == 0:
        return Part("Permute", {"dims": list(config["axes"][1:])})
    if class_name == "Matmul":
        sizes = [operand.sizes or () for operand in operands]
        pairs = [len(some) for some in sizes] == [3, 3] and all(
            same(some[0], after[0]) is Truth.YES for some in sizes
        )
        return Part("Dot", {"axes": [2, 1], "normalize": False}) if pairs else None
    if class_name == "Tile" and all(
        count == 1 or size == 1 for count, size in zip(config["repeats"], before, strict=True)
    ):
        return _upsampling(config["repeats"])
    if class_name == "Repeat":
        axis = config["axis"] % len(before)
        return _upsampling([config["repeats"] if k == axis else 1 for k in range(len(before))])
    return None


def _upsampling(repeats: Sequence[int]) -> Part | None:
    """The layer that repeats entries along the axes between batch and channels; None if there is none."""
    class_name, count = _UPSAMPLING.get(len(repeats), ("", 0))
    if not count or repeats[0] != 1 or repeats[-1] != 1:
        return None
    size = list(repeats[1:-1])
    config: Json = {"size": size[0]} if count == 1 else {"size": size, "data_format": "channels_last"}
    return Part(class_name, config)


def _function(node: Node) -> list[Part]:
    class_name, config = node.operation.class_name, node.operation.config
    if class_name == "Reshape":
        shape = list(config["newshape"])
        return [Part(_FUNCTION, {"shape": shape}, "reshape")] if shape.count(-1) <= 1 else []
    if class_name == "Transpose":
        return [Part(_FUNCTION, {"perm": list(config["axes"])}, "transpose")]
    if class_name == "ExpandDims":
        axes = config["axis"] if isinstance(config["axis"], list) else [config["axis"]]
        return [Part(_FUNCTION, {"axis": axis}, "expand_dims") for axis in sorted(axes)]
    if class_name == "Squeeze":
        axes = config["axis"] if isinstance(config["axis"], list) else [config["axis"]]
        return [Part(_FUNCTION, {"axis": axes}, "squeeze")]
    if class_name == "Tile":
        return [Part(_FUNCTION, {"multiples": list(config["repeats"])}, "tile")]
    if class_name == "Repeat":
        return [Part(_FUNCTION, {"repeats": config["repeats"], "axis": config["axis"]}, "repeat")]
    if class_name == "Slice":
        size = list(config["shape"])
        return [Part(_FUNCTION, {"begin": [0] * len(size), "size": size}, "slice")]
    if class_name == "Matmul":
        return [Part(_FUNCTION, {}, "linalg.matmul")]
    return []


# -- entries -----------------------------
def entry_of(part: Part, name: str, tensors: Sequence[list[Any]], form: Form) -> Json:
    """The entry of a layer that is called once.

    Args:
        tensors: references to its operands.
    """
    dtype = {"dtype": form.dtype or _FLOATX} if form.dtype or part.function else {}
    config = {"name": name, "trainable": True, **dtype}
    calls: list[Any]
    if part.function:
        config["function"] = part.function
        kwargs = {**({"b": tensors[1]} if len(tensors) > 1 else {}), **part.config}
        calls = [[*tensors[0], kwargs]]
    else:
        config.update(part.config)
        calls = [[[*tensor, {}] for tensor in tensors]]
    entry: Json = {"class_name": part.class_name, "config": config, "name": name, "inbound_nodes": calls}
    if not form.modules:
        return entry
    module = form.modules if part.function else "keras.layers"
    registered = _FUNCTION if part.function else None
    return {"module": module, "class_name": part.class_name, "config": config, "registered_name": registered,
            "name": name, "inbound_nodes": calls}  # fmt: skip
