"""Operations of TensorFlow 2.0 to 2.3 in a model (``TensorFlowOpLayer``), which keeps a ``NodeDef`` and constants.

Each is translated like the function of ``tf`` that creates it. Source: ``TensorFlowOpLayer`` in
``engine/base_layer.py`` of tf_keras 2.21; the operands and attributes are those of TensorFlow's ``ops.pbtxt``.
"""

from __future__ import annotations

import base64
import binascii
import string
from collections.abc import Callable
from typing import Any

from .....errors import shown
from ..constructs import Construct
from ..context import Entry, Untranslatable
from ..tensors import Call, is_tensor
from .emit import Emitter, constant
from .registry import FUNCTIONS

CONSTRUCTS = (
    Construct("TensorFlowOpLayer with a NodeDef (Mul, AddV2, Mean, Reshape …)", "ops", "op_layers"),
    Construct("TensorFlowOpLayer of StridedSlice", "ops.get_item", "op_layers"),
)

# Operation -> (function of tf, its operands by name, attributes by name).
_ROWS: dict[str, tuple[str, str, str]] = {
    "Cast": ("cast", "x", "DstT:dtype"), "Reshape": ("reshape", "tensor shape", ""),
    "ExpandDims": ("expand_dims", "input axis", ""), "Squeeze": ("squeeze", "input", "squeeze_dims:axis"),
    "Transpose": ("transpose", "a perm", ""), "Tile": ("tile", "input multiples", ""),
    "MatMul": ("linalg.matmul", "a b", "transpose_a transpose_b"),
    "BatchMatMul": ("linalg.matmul", "a b", "adj_x:transpose_a adj_y:transpose_b"),
    "BatchMatMulV2": ("linalg.matmul", "a b", "adj_x:transpose_a adj_y:transpose_b"),
    "BiasAdd": ("nn.bias_add", "value bias", "data_format"), "Softmax": ("nn.softmax", "logits", ""),
    "LogSoftmax": ("nn.log_softmax", "logits", ""), "LeakyRelu": ("nn.leaky_relu", "features", "alpha"),
    "SelectV2": ("where", "condition x y", ""),
    "ClipByValue": ("clip_by_value", "t clip_value_min clip_value_max", ""), "Pad": ("pad", "tensor paddings", ""),
    "PadV2": ("pad", "tensor paddings constant_values", ""),
    "GatherV2": ("gather", "params indices axis", "batch_dims"),
    "ArgMax": ("argmax", "input axis", "output_type"), "ArgMin": ("argmin", "input axis", "output_type"),
    "Cumsum": ("cumsum", "x axis", "exclusive reverse"), "Shape": ("shape", "input", ""),
    "ZerosLike": ("zeros_like", "input", ""), "OnesLike": ("ones_like", "input", ""),
    "OneHot": ("one_hot", "indices depth on_value off_value", "axis T:dtype"), "Roll": ("roll", "input shift axis", ""),
    "ReverseV2": ("reverse", "tensor axis", ""), "Unpack": ("unstack", "value", "num axis"),
    "DepthToSpace": ("nn.depth_to_space", "input", "block_size data_format"),
    "SpaceToDepth": ("nn.space_to_depth", "input", "block_size data_format"),
    **{
        name: (function, "x y", "")
        for name, function in {
            "Add": "add", "AddV2": "add", "Sub": "subtract", "Mul": "multiply", "RealDiv": "truediv", "Div": "divide",
            "FloorDiv": "floordiv", "FloorMod": "floormod", "Pow": "pow", "Maximum": "maximum", "Minimum": "minimum",
            "SquaredDifference": "math.squared_difference", "Equal": "equal", "NotEqual": "not_equal",
            "Greater": "greater", "GreaterEqual": "greater_equal", "Less": "less", "LessEqual": "less_equal",
            "LogicalAnd": "logical_and", "LogicalOr": "logical_or", "DivNoNan": "math.divide_no_nan",
        }.items()
    },
    **{
        name: (function, "x", "")
        for name, function in {
            "Neg": "negative", "Abs": "abs", "Exp": "exp", "Expm1": "math.expm1", "Log": "math.log", "Log1p": "log1p",
            "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Square": "square", "Sigmoid": "sigmoid", "Tanh": "tanh",
            "Relu": "nn.relu", "Relu6": "nn.relu6", "Elu": "nn.elu", "Selu": "nn.selu", "Softplus": "nn.softplus",
            "Softsign": "nn.softsign", "Sin": "sin", "Cos": "cos", "Floor": "floor", "Ceil": "ceil", "Round": "round",
            "Sign": "sign", "Identity": "identity", "StopGradient": "stop_gradient", "LogicalNot": "logical_not",
            "Reciprocal": "math.reciprocal", "Inv": "math.reciprocal", "Erf": "math.erf", "IsFinite": "math.is_finite",
            "IsInf": "math.is_inf", "IsNan": "math.is_nan", "Tan": "tan", "Sinh": "sinh", "Cosh": "cosh",
            "Asin": "asin", "Acos": "acos", "Atan": "atan", "Asinh": "asinh", "Acosh": "acosh", "Atanh": "atanh",
        }.items()
    },
    **{
        name: (function, "input_tensor axis", "keep_dims:keepdims")
        for name, function in {
            "Mean": "reduce_mean", "Sum": "reduce_sum", "Max": "reduce_max", "Min": "reduce_min", "Prod": "reduce_prod",
            "Any": "reduce_any", "All": "reduce_all",
        }.items()
    },
}  # fmt: skip
# dtypes of TensorFlow by the names of protobuf.
DTYPES = {
    "DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16", "DT_BFLOAT16": "bfloat16", "DT_INT8": "int8",
    "DT_INT16": "int16", "DT_INT32": "int32", "DT_INT64": "int64", "DT_UINT8": "uint8", "DT_UINT16": "uint16",
    "DT_UINT32": "uint32", "DT_UINT64": "uint64", "DT_BOOL": "bool",
}  # fmt: skip
_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


def translated(entry: Entry, call: Call, emitter: Emitter) -> Any:
    """The tensor that the operation gives. Raises Untranslatable."""
    config: Any = entry.get("config")
    node = config.get("node_def") if isinstance(config, dict) else None
    if not isinstance(node, dict) or not isinstance(node.get("op"), str):
        raise Untranslatable("TensorFlowOpLayer", "its NodeDef is not in the form of JSON")
    op, attributes = node["op"], node.get("attr")
    attributes = attributes if isinstance(attributes, dict) else {}
    operands = _operands(call.first, config.get("constants"))
    special = _SPECIAL.get(op)
    if special is not None:
        return special(operands, attributes, emitter)
    row = _ROWS.get(op)
    if row is None:
        raise Untranslatable(f"TensorFlowOpLayer of {shown(op)}", "Keras 3 has no operation for it")
    function, names, taken = row
    given: dict[str, Any] = dict(zip(names.split(), operands, strict=False))
    for item in taken.split():
        attribute, _, name = item.partition(":")
        if attribute in attributes:
            given[name or attribute] = _attribute(attributes[attribute])
    if given.get("axis") == []:
        del given["axis"]
    found = FUNCTIONS[function]
    return found.function(emitter, **given)


def _operands(first: Any, constants: Any) -> list[Any]:
    """The operands: tensors, with the constants inserted at their numbers."""
    operands = [first] if is_tensor(first) or not isinstance(first, list) else list(first)
    if isinstance(constants, dict):
        if not all(isinstance(key, str) and key.isdecimal() for key in constants):
            raise Untranslatable("TensorFlowOpLayer", "its constants are not numbered")
        for key in sorted(constants, key=int):
            value = constants[key]
            if isinstance(value, dict) and value.get("type") == "ndarray":
                value = value.get("value")
            operands.insert(int(key), value)
    return operands


def _attribute(value: Any) -> Any:
    """The value of an attribute in the JSON form of protobuf: integers are text there."""
    if not isinstance(value, dict) or len(value) != 1:
        raise Untranslatable("TensorFlowOpLayer", "an attribute has no value")
    kind, found = next(iter(value.items()))
    if kind == "i" and str(found).lstrip("-").isdecimal():
        return int(found)
    if kind == "type":
        return DTYPES.get(str(found), str(found))
    if kind == "s":
        try:
            return base64.b64decode(str(found)).decode("utf-8", "replace")
        except binascii.Error:
            raise Untranslatable("TensorFlowOpLayer", "an attribute is not text") from None
    if kind == "list":
        items = found.get("i", []) if isinstance(found, dict) else []
        return [int(item) for item in items if str(item).lstrip("-").isdecimal()]
    return found


def _join(operands: list[Any], attributes: dict[str, Any], emitter: Emitter) -> Any:
    return FUNCTIONS["concat"].function(emitter, values=operands[:-1], axis=operands[-1])


def _pack(operands: list[Any], attributes: dict[str, Any], emitter: Emitter) -> Any:
    axis = _attribute(attributes["axis"]) if "axis" in attributes else 0
    return FUNCTIONS["stack"].function(emitter, values=operands, axis=axis)


def _add_n(operands: list[Any], attributes: dict[str, Any], emitter: Emitter) -> Any:
    return FUNCTIONS["add_n"].function(emitter, inputs=operands)


def _split(operands: list[Any], attributes: dict[str, Any], emitter: Emitter) -> Any:
    axis, value = operands
    count = _attribute(attributes.get("num_split"))
    return FUNCTIONS["split"].function(emitter, value=value, num_or_size_splits=count, axis=axis)


def _einsum(operands: list[Any], attributes: dict[str, Any], emitter: Emitter) -> Any:
    equation = _small(str(_attribute(attributes.get("equation"))))
    return emitter.op("Einsum", *map(constant, operands), config={"subscripts": equation})


def _small(equation: str) -> str:
    """The equation in lower case: with capitals Keras 3.15 does not infer the shape of ``ops.einsum``."""
    free = [letter for letter in string.ascii_lowercase if letter not in equation]
    names = {letter: free.pop() for letter in sorted(set(equation)) if letter.isupper() and free}
    return "".join(names.get(letter, letter) for letter in equation)


def _mirror_pad(operands: list[Any], attributes: dict[str, Any], emitter: Emitter) -> Any:
    tensor, paddings = operands
    mode = _attribute(attributes.get("mode"))
    return FUNCTIONS["pad"].function(emitter, tensor=tensor, paddings=paddings, mode=mode)


def _resize(method: str) -> Callable[[list[Any], dict[str, Any], Emitter], Any]:
    """A translator for the resize of TensorFlow 2, which places pixels at their centers (``tf.image.resize``)."""

    def resize(operands: list[Any], attributes: dict[str, Any], emitter: Emitter) -> Any:
        images, size = operands
        flags = {
            name: _attribute(attributes[name]) if name in attributes else False
            for name in ("align_corners", "half_pixel_centers")
        }
        if flags["align_corners"] or not flags["half_pixel_centers"]:
            raise Untranslatable("a resize", "its pixels have other positions than those of Keras 3")
        return FUNCTIONS["image.resize"].function(emitter, images=images, size=size, method=method)

    return resize


def _strided_slice(operands: list[Any], attributes: dict[str, Any], emitter: Emitter) -> Any:
    tensor, begin, end, strides = operands
    if not all(
        isinstance(part, list) and all(type(n) is int for n in part) for part in (begin, end, strides)
    ):
        raise Untranslatable("TensorFlowOpLayer of StridedSlice", "its bounds are computed by the model")
    masks = {name: _attribute(attributes[name]) if name in attributes else 0 for name in _MASKS}
    parts: list[Any] = []
    for k, (start, stop, step) in enumerate(zip(begin, end, strides, strict=True)):
        has = {name for name, mask in masks.items() if mask >> k & 1}
        if "ellipsis_mask" in has:
            parts.append("Ellipsis")
        elif "new_axis_mask" in has:
            parts.append(None)
        elif "shrink_axis_mask" in has:
            parts.append(start)
        else:
            bounds = {
                "start": None if "begin_mask" in has else start,
                "stop": None if "end_mask" in has else stop,
            }
            parts.append({**bounds, "step": step})
    return FUNCTIONS["__operators__.getitem"].function(emitter, tensor=tensor, slice_spec=parts)


_SPECIAL: dict[str, Callable[[list[Any], dict[str, Any], Emitter], Any]] = {
    "AddN": _add_n, "ConcatV2": _join, "Einsum": _einsum, "MirrorPad": _mirror_pad, "Pack": _pack, "Split": _split,
    "ResizeBicubic": _resize("bicubic"), "ResizeBilinear": _resize("bilinear"),
    "ResizeNearestNeighbor": _resize("nearest"), "StridedSlice": _strided_slice,
}  # fmt: skip
OPERATORS = frozenset(_ROWS) | frozenset(_SPECIAL)
