"""Functions that reduce axes."""

from __future__ import annotations

from typing import Any

from ..constructs import Construct
from ..context import Untranslatable
from ..tensors import is_tensor
from .elementwise import dtype_named
from .emit import Emitter
from .registry import function

CONSTRUCTS = (
    Construct("tf.reduce_mean, reduce_sum … with axis and keepdims", "ops.mean, ops.sum …", "reductions"),
    Construct(
        "tf.argmax, tf.argmin", "ops.argmax, ops.argmin, cast to the dtype of TensorFlow", "arg_reductions"
    ),
    Construct("tf.nn.l2_normalize, tf.norm", "ops of the definition, ops.norm", "norms"),
)

_REDUCTIONS = {
    "Sum": "math.reduce_sum reduce_sum", "Mean": "math.reduce_mean reduce_mean", "Max": "math.reduce_max reduce_max",
    "Min": "math.reduce_min reduce_min", "Prod": "math.reduce_prod reduce_prod", "Any": "math.reduce_any reduce_any",
    "All": "math.reduce_all reduce_all", "Var": "math.reduce_variance", "Std": "math.reduce_std",
    "Logsumexp": "math.reduce_logsumexp reduce_logsumexp",
}  # fmt: skip


def known_axes(value: Any) -> Any:
    """One axis or several, as numbers. Raises Untranslatable for a tensor."""
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":
        value = value["config"]["value"]
    items = value if isinstance(value, list) else [value]
    if any(item is not None and (is_tensor(item) or not isinstance(item, int)) for item in items):
        raise Untranslatable("axis", "it is computed by the model")
    return value


def _reduction(class_name: str, names: str) -> None:
    @function(*names.split(), takes="input_tensor axis keepdims keep_dims reduction_indices")
    def translate(
        emitter: Emitter,
        input_tensor: Any,
        axis: Any = None,
        keepdims: Any = None,
        keep_dims: Any = None,
        reduction_indices: Any = None,
    ) -> Any:
        axis = known_axes(reduction_indices if axis is None else axis)
        return emitter.op(
            class_name, input_tensor, config={"axis": axis, "keepdims": bool(keepdims or keep_dims)}
        )


for _class, _names in _REDUCTIONS.items():
    _reduction(_class, _names)


def _arg_reduction(class_name: str, names: str) -> None:
    @function(*names.split(), takes="input axis output_type dimension")
    def translate(
        emitter: Emitter, input: Any, axis: Any = None, output_type: Any = None, dimension: Any = None
    ) -> Any:
        axis = known_axes(dimension if axis is None else axis)
        found = emitter.op(class_name, input, config={"axis": 0 if axis is None else axis, "keepdims": False})
        dtype = "int64" if output_type is None else dtype_named(output_type)
        return found if dtype == "int32" else emitter.op("Cast", found, config={"dtype": dtype})


_arg_reduction("Argmax", "math.argmax argmax")
_arg_reduction("Argmin", "math.argmin argmin")


@function("math.reduce_euclidean_norm", takes="input_tensor axis keepdims")
def _euclidean_norm(emitter: Emitter, input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Any:
    squares = emitter.op("Square", input_tensor)
    config = {"axis": known_axes(axis), "keepdims": bool(keepdims)}
    return emitter.op("Sqrt", emitter.op("Sum", squares, config=config))


@function("norm", "linalg.norm", takes="tensor ord axis keepdims")
def _norm(
    emitter: Emitter, tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: Any = None
) -> Any:
    if (
        ord not in ("euclidean", 2, 2.0, 1, 1.0)
        or isinstance(axis, list)
        or (ord != "euclidean" and axis is None)
    ):
        raise Untranslatable(f"tf.norm(ord={ord!r})", "Keras 3 has no operation for it")
    config = {"axis": known_axes(axis), "keepdims": bool(keepdims)}
    if ord in (1, 1.0):
        return emitter.op("Sum", emitter.op("Abs", tensor), config=config)
    return emitter.op("Sqrt", emitter.op("Sum", emitter.op("Square", tensor), config=config))


@function("math.l2_normalize", "linalg.l2_normalize", "nn.l2_normalize", takes="x axis epsilon dim")
def _l2_normalize(emitter: Emitter, x: Any, axis: Any = None, epsilon: Any = 1e-12, dim: Any = None) -> Any:
    """x * rsqrt(max(sum(x ** 2), epsilon)), as TensorFlow defines it."""
    axis = known_axes(dim if axis is None else axis)
    total = emitter.op("Sum", emitter.op("Square", x), config={"axis": axis, "keepdims": True})
    return emitter.op("Multiply", x, emitter.op("Rsqrt", emitter.op("Maximum", total, epsilon)))


@function("math.cumsum", "cumsum", takes="x axis exclusive reverse")
def _cumsum(emitter: Emitter, x: Any, axis: Any = 0, exclusive: Any = False, reverse: Any = False) -> Any:
    if exclusive:
        raise Untranslatable("tf.cumsum(exclusive=True)", "Keras 3 has no operation for it")
    if reverse:
        x = emitter.op("Flip", x, config={"axis": known_axes(axis)})
    x = emitter.op("Cumsum", x, config={"axis": known_axes(axis)})
    return emitter.op("Flip", x, config={"axis": known_axes(axis)}) if reverse else x


@function("nn.moments", takes="x axes shift keepdims keep_dims")
def _moments(
    emitter: Emitter, x: Any, axes: Any, shift: Any = None, keepdims: Any = False, keep_dims: Any = False
) -> Any:
    found = known_axes(axes)
    config = {"axes": found if isinstance(found, list) else [found], "keepdims": bool(keepdims or keep_dims)}
    return emitter.op("Moments", x, config=config)
