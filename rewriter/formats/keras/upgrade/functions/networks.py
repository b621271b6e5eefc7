"""Functions of ``tf.nn``, ``tf.linalg`` and ``tf.image``."""

from __future__ import annotations

from typing import Any

from ..constructs import Construct
from ..context import Untranslatable
from .dynamic import plain
from .emit import Emitter, constant
from .reductions import known_axes
from .registry import function

CONSTRUCTS = (
    Construct("tf.linalg.matmul with transpose_a, transpose_b", "ops.matmul, ops.swapaxes", "matmul"),
    Construct("tf.nn.softmax, leaky_relu, gelu, silu …", "ops of the same name", "tf_nn"),
    Construct("tf.image.resize", "ops.image.resize", "tf_image"),
)


@function("linalg.matmul", "matmul", takes="a b transpose_a transpose_b")
def _matmul(emitter: Emitter, a: Any, b: Any, transpose_a: Any = False, transpose_b: Any = False) -> Any:
    a = _turned(emitter, a) if transpose_a else constant(a)
    b = _turned(emitter, b) if transpose_b else constant(b)
    return emitter.op("Matmul", a, b)


def _turned(emitter: Emitter, value: Any) -> Any:
    """An operand with its last two axes swapped; a constant matrix is transposed in the file."""
    rows = value if isinstance(value, list) else []
    if rows and all(isinstance(row, list) and not any(isinstance(n, list) for n in row) for row in rows):
        return constant([list(column) for column in zip(*rows, strict=True)])
    return emitter.op("Swapaxes", constant(value), config={"axis1": -2, "axis2": -1})


@function("nn.softmax", takes="logits axis dim")
def _softmax(emitter: Emitter, logits: Any, axis: Any = None, dim: Any = None) -> Any:
    axis = dim if axis is None else axis
    return emitter.op("Softmax", logits, config={"axis": -1 if axis is None else known_axes(axis)})


@function("nn.log_softmax", "math.log_softmax", takes="logits axis")
def _log_softmax(emitter: Emitter, logits: Any, axis: Any = None) -> Any:
    return emitter.op("LogSoftmax", logits, config={"axis": -1 if axis is None else known_axes(axis)})


@function("nn.silu", "nn.swish", takes="features beta")
def _silu(emitter: Emitter, features: Any, beta: Any = 1.0) -> Any:
    if beta != 1:
        raise Untranslatable(f"tf.nn.silu(beta={beta!r})", "Keras 3 has no operation for it")
    return emitter.op("Silu", features)


@function("nn.leaky_relu", takes="features alpha")
def _leaky_relu(emitter: Emitter, features: Any, alpha: Any = 0.2) -> Any:
    return emitter.op("LeakyRelu", features, config={"negative_slope": alpha})


@function("nn.gelu", takes="features approximate")
def _gelu(emitter: Emitter, features: Any, approximate: Any = False) -> Any:
    return emitter.op("Gelu", features, config={"approximate": bool(approximate)})


@function("nn.bias_add", takes="value bias data_format")
def _bias_add(emitter: Emitter, value: Any, bias: Any, data_format: Any = None) -> Any:
    if isinstance(data_format, str) and data_format.startswith("NC"):
        raise Untranslatable("tf.nn.bias_add of NCHW", "Keras 3 has no operation for it")
    return emitter.op("Add", value, constant(bias))


_PADDINGS = ("VALID", "SAME")


def _pool(class_name: str, names: str) -> None:
    @function(*names.split(), takes="input ksize strides padding data_format value")
    def translate(
        emitter: Emitter,
        input: Any = None,
        ksize: Any = None,
        strides: Any = None,
        padding: Any = None,
        data_format: Any = None,
        value: Any = None,
    ) -> Any:
        input = value if input is None else input
        if padding not in _PADDINGS or data_format not in (None, "NHWC", "NWC", "NDHWC"):
            raise Untranslatable(class_name, f"padding={padding!r}, data_format={data_format!r}")
        config = {
            "pool_size": _window(ksize),
            "strides": _window(strides),
            "padding": padding.lower(),
            "data_format": "channels_last",
        }
        return emitter.op(class_name, input, config=config)


def _window(value: Any) -> Any:
    """The sizes of a window without batch and channels, which have to be 1."""
    value = plain(value, "a pool")
    if isinstance(value, list) and len(value) > 2 and value[0] == value[-1] == 1:
        return value[1:-1]
    if isinstance(value, list) and len(value) != 2:
        raise Untranslatable("a pool", f"a window of {value}")
    return value


_pool("MaxPool", "nn.max_pool2d nn.max_pool")
_pool("AveragePool", "nn.avg_pool2d nn.avg_pool")


@function("nn.depth_to_space", takes="input block_size data_format")
def _depth_to_space(emitter: Emitter, input: Any, block_size: Any, data_format: Any = "NHWC") -> Any:
    return _blocks(emitter, "DepthToSpace", input, block_size, data_format)


@function("nn.space_to_depth", takes="input block_size data_format")
def _space_to_depth(emitter: Emitter, input: Any, block_size: Any, data_format: Any = "NHWC") -> Any:
    return _blocks(emitter, "SpaceToDepth", input, block_size, data_format)


def _blocks(emitter: Emitter, class_name: str, input: Any, block_size: Any, data_format: Any) -> Any:
    if data_format not in (None, "NHWC"):
        raise Untranslatable(class_name, f"data_format={data_format!r}")
    return emitter.op(class_name, input, config={"block_size": block_size, "data_format": "channels_last"})


_METHODS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")


@function("image.resize", takes="images size method preserve_aspect_ratio antialias")
def _resize(
    emitter: Emitter,
    images: Any,
    size: Any,
    method: Any = "bilinear",
    preserve_aspect_ratio: Any = False,
    antialias: Any = False,
) -> Any:
    if method not in _METHODS or preserve_aspect_ratio:
        raise Untranslatable(f"tf.image.resize(method={method!r})", "Keras 3 has no operation for it")
    config = {
        "size": plain(size, "tf.image.resize"),
        "interpolation": method,
        "antialias": bool(antialias),
        "data_format": "channels_last",
    }
    return emitter.op("Resize", images, config=config)
