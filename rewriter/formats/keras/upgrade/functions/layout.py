"""Functions that move numbers: reshape, transpose, join, split, repeat."""

from __future__ import annotations

from typing import Any

from ..constructs import Construct
from ..context import Untranslatable
from ..tensors import is_tensor
from .dynamic import Shape, Size, plain
from .emit import Emitter, constant
from .reductions import known_axes
from .registry import function

CONSTRUCTS = (
    Construct(
        "tf.reshape, tf.expand_dims, tf.squeeze, tf.transpose, tf.tile", "ops of the same name", "layout"
    ),
    Construct(
        "tf.concat, tf.stack, tf.unstack, tf.split, tf.repeat, tf.pad", "ops of the same name", "joins"
    ),
    Construct(
        "tf.reshape to a shape with tf.shape(x)[0]", "Reshape, which keeps the batch", "dynamic_reshape"
    ),
    Construct("tf.shape elsewhere", "refused: Keras 3 has no such tensor in a model", "dynamic_shape"),
)


@function("shape", takes="input out_type")
def _shape(emitter: Emitter, input: Any, out_type: Any = None) -> Any:
    return Shape(input)


@function("reshape", takes="tensor shape")
def _reshape(emitter: Emitter, tensor: Any, shape: Any) -> Any:
    sizes = list(shape) if isinstance(shape, (list, tuple)) and not is_tensor(shape) else None
    if sizes is None:
        raise Untranslatable("tf.reshape", "its shape is computed by the model")
    if all(isinstance(size, int) for size in sizes):
        return emitter.op("Reshape", tensor, config={"newshape": sizes})
    rest = sizes[1:]
    if isinstance(sizes[0], Size) and sizes[0].axis == 0 and all(isinstance(size, int) for size in rest):
        if rest.count(-1) == 0:
            return emitter.op("Reshape", tensor, config={"newshape": [-1, *rest]})
        if sizes[0].tensor == tensor:
            return emitter.layer("Reshape", tensor, {"target_shape": rest})
    open_sizes = [size for size in sizes if not isinstance(size, int) or size == -1]
    if len(open_sizes) == 1:
        return emitter.op(
            "Reshape", tensor, config={"newshape": [size if isinstance(size, int) else -1 for size in sizes]}
        )
    raise Untranslatable("tf.reshape", "its shape is computed by the model")


@function("expand_dims", takes="input axis dim")
def _expand_dims(emitter: Emitter, input: Any, axis: Any = None, dim: Any = None) -> Any:
    return emitter.op("ExpandDims", input, config={"axis": known_axes(dim if axis is None else axis)})


@function("squeeze", takes="input axis squeeze_dims")
def _squeeze(emitter: Emitter, input: Any, axis: Any = None, squeeze_dims: Any = None) -> Any:
    axis = known_axes(squeeze_dims if axis is None else axis)
    if axis in (None, []):
        return emitter.op("Squeeze", input)
    return emitter.op("Squeeze", input, config={"axis": axis})


@function("transpose", takes="a perm")
def _transpose(emitter: Emitter, a: Any, perm: Any = None) -> Any:
    return emitter.op("Transpose", a, config={"axes": known_axes(perm)})


@function("tile", takes="input multiples")
def _tile(emitter: Emitter, input: Any, multiples: Any) -> Any:
    return emitter.op("Tile", constant(input), config={"repeats": plain(multiples, "tf.tile")})


@function("repeat", takes="input repeats axis")
def _repeat(emitter: Emitter, input: Any, repeats: Any, axis: Any = None) -> Any:
    return emitter.op(
        "Repeat", input, config={"repeats": plain(repeats, "tf.repeat"), "axis": known_axes(axis)}
    )


@function("concat", takes="values axis concat_dim")
def _concat(emitter: Emitter, values: Any, axis: Any = None, concat_dim: Any = None) -> Any:
    axis = known_axes(concat_dim if axis is None else axis)
    if not isinstance(values, list):
        return values
    if not any(is_tensor(value) for value in values):
        return [size for value in values for size in plain_sizes(value)]
    return emitter.op("Concatenate", [constant(value) for value in values], config={"axis": axis})


def plain_sizes(value: Any) -> list[Any]:
    """The sizes in a part of a shape. Raises Untranslatable for a computed shape."""
    if isinstance(value, (list, tuple)) and not is_tensor(value):
        return list(value)
    raise Untranslatable("tf.concat", "it joins shapes that the model computes")


@function("stack", takes="values axis")
def _stack(emitter: Emitter, values: Any, axis: Any = 0) -> Any:
    if not isinstance(values, list):
        raise Untranslatable("tf.stack", "its operands are not a list")
    if not any(is_tensor(value) for value in values):
        return values
    if any(isinstance(value, (Size, Shape)) for value in values):
        raise Untranslatable("tf.stack", "it joins shapes that the model computes")
    return emitter.op("Stack", [constant(value) for value in values], config={"axis": known_axes(axis)})


@function("unstack", takes="value num axis")
def _unstack(emitter: Emitter, value: Any, num: Any = None, axis: Any = 0) -> Any:
    if isinstance(value, Shape):
        return Shape(value.tensor, apart=True)
    return emitter.op("Unstack", value, config={"num": num, "axis": known_axes(axis)})


@function("split", takes="value num_or_size_splits axis num")
def _split(emitter: Emitter, value: Any, num_or_size_splits: Any, axis: Any = 0, num: Any = None) -> Any:
    sections = plain(num_or_size_splits, "tf.split")
    if isinstance(sections, list):
        if -1 in sections[:-1] or not sections:
            raise Untranslatable("tf.split", "one of its sizes is left open")
        ends = [sum(sections[: k + 1]) for k in range(len(sections) - 1)]
        sections = ends
    return emitter.op("Split", value, config={"indices_or_sections": sections, "axis": known_axes(axis)})


@function("reverse", takes="tensor axis")
def _reverse(emitter: Emitter, tensor: Any, axis: Any) -> Any:
    return emitter.op("Flip", tensor, config={"axis": known_axes(axis)})


@function("roll", takes="input shift axis")
def _roll(emitter: Emitter, input: Any, shift: Any, axis: Any) -> Any:
    return emitter.op("Roll", input, config={"shift": plain(shift, "tf.roll"), "axis": known_axes(axis)})


@function("pad", takes="tensor paddings mode constant_values")
def _pad(
    emitter: Emitter, tensor: Any, paddings: Any, mode: Any = "CONSTANT", constant_values: Any = 0
) -> Any:
    mode = str(mode).lower()
    if mode not in ("constant", "reflect", "symmetric"):
        raise Untranslatable(f"tf.pad(mode={mode!r})", "Keras 3 has no operation for it")
    config = {"pad_width": plain(paddings, "tf.pad"), "mode": mode}
    return emitter.op("Pad", tensor, *([constant_values] if mode == "constant" else []), config=config)


@function("gather", takes="params indices axis batch_dims")
def _gather(emitter: Emitter, params: Any, indices: Any, axis: Any = None, batch_dims: Any = 0) -> Any:
    if batch_dims:
        raise Untranslatable("tf.gather(batch_dims=…)", "Keras 3 has no operation for it")
    return emitter.op(
        "Take", constant(params), constant(indices), config={"axis": 0 if axis is None else known_axes(axis)}
    )


@function("one_hot", takes="indices depth on_value off_value axis dtype")
def _one_hot(
    emitter: Emitter,
    indices: Any,
    depth: Any,
    on_value: Any = None,
    off_value: Any = None,
    axis: Any = None,
    dtype: Any = None,
) -> Any:
    if on_value not in (None, 1, 1.0) or off_value not in (None, 0, 0.0) or not isinstance(depth, int):
        raise Untranslatable("tf.one_hot", "with other values than 0 and 1")
    config = {
        "num_classes": depth,
        "axis": -1 if axis is None else known_axes(axis),
        "dtype": dtype or "float32",
    }
    return emitter.op("OneHot", indices, config=config)
