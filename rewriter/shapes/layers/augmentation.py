"""Image preprocessing and augmentation, on one image, a batch of them, or a dict with labels and boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.size import Truth, same, unknown
from ..call import Call, ShapeError, known, layer
from ..keras_facts import IMAGE_FOR_IMAGE
from ..spatial import autocast, hint_all, resized

Transform = Callable[[Call, tuple[Axis, ...]], tuple[Axis, ...]]


def images(call: Call, value: Value) -> tuple[Axis, ...]:
    """The axes of ``[H, W, C]`` or ``[B, H, W, C]`` (or channels first); hints the roles of a tensor of rank 4.

    A tensor of rank 3 gets no roles: its first axis is the batch of a functional model, but the layer takes the height.
    """
    axes = known(value)
    if len(axes) not in (3, 4):
        raise ShapeError(f"takes an image or a batch of images, not {value.text()}")
    if len(axes) == 4:
        roles = (Role.HEIGHT, Role.WIDTH)
        hint_all(axes[1:], (Role.CHANNEL, *roles) if call.channels_first() else (*roles, Role.CHANNEL))
    return axes


def transformed(call: Call, transform: Transform, dtype: Callable[[Value], str | None]) -> Any:
    """The images after ``transform``; in a dict, only ``images`` and ``segmentation_masks`` are transformed."""
    data = call.args[0] if call.args else call.x
    if not isinstance(data, dict):
        return Value(transform(call, images(call, call.x)), dtype(call.x) or call.x.dtype)

    def passed(key: str, item: Any) -> Any:
        if isinstance(item, dict):
            return {name: passed("", value) for name, value in item.items()}
        if not isinstance(item, Value):
            return item
        axes = transform(call, images(call, item)) if key in ("images", "segmentation_masks") else item.axes
        return Value(axes, dtype(item) or item.dtype)

    return {key: passed(key, item) for key, item in data.items()}


def _same(call: Call, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    return axes


@layer(*IMAGE_FOR_IMAGE)
def keep(call: Call) -> Any:
    """``augment(x[B, H, W, C]) -> [B, H, W, C]``."""
    return transformed(call, _same, lambda value: call.compute_dtype())


@layer("Equalization", "RandomGrayscale")
def keep_dtype(call: Call) -> Any:
    """``augment(x[B, H, W, C]) -> [B, H, W, C]``; integers stay integers."""
    return transformed(call, _same, lambda value: autocast(call, value))


@layer("RandomColorDegeneration")
def color(call: Call) -> Any:
    """``augment(x[B, H, W, 3]) -> [B, H, W, 3]``."""

    def three(call: Call, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        channel = axes[-3 if call.channels_first() else -1]
        if same(channel.size, 3) is Truth.NO:
            raise ShapeError(f"takes images of 3 channels, not {channel}")
        return axes

    return transformed(call, three, lambda value: call.compute_dtype())


@layer("CenterCrop", "RandomCrop", "Resizing")
def resize(call: Call) -> Any:
    """``resize(x[B, H, W, C], height, width) -> [B, height, width, C]``."""
    sizes = (call.integer("height", 1), call.integer("width", 1))

    def to_size(call: Call, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        result = list(axes)
        start = len(axes) - (2 if call.channels_first() else 3)
        for place, size in enumerate(sizes, start):
            result[place] = resized(axes[place], size)
        return tuple(result)

    return transformed(call, to_size, lambda value: call.compute_dtype())


@layer("RandomHeight", "RandomWidth")
def random_size(call: Call) -> Any:
    """``stretch(x[B, H, W, C]) -> [B, H', W, C]``, or the width: open, as Keras declares it. Only in Keras 2."""

    def opened(call: Call, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        result = list(axes)
        place = -3 if call.operation.class_name == "RandomHeight" else -2
        result[place] = resized(axes[place], unknown())
        return tuple(result)

    return transformed(call, opened, lambda value: call.compute_dtype())


@layer("MaxNumBoundingBoxes")
def max_num_bounding_boxes(call: Call) -> Any:
    """``max_num({"bounding_boxes": {"boxes"[B, N, 4], "labels"[B, N]}}) -> [B, max_number, 4], [B, max_number]``."""
    count = call.integer("max_number", 1)
    result = transformed(call, _same, lambda value: call.compute_dtype())
    boxes = result.get("bounding_boxes") if isinstance(result, dict) else None
    if isinstance(boxes, dict):
        for key in ("boxes", "labels"):
            value = boxes.get(key)
            if isinstance(value, Value):
                axes = known(value)
                if len(axes) < 2:
                    raise ShapeError(f"takes {key} of every sample, not {value.text()}")
                boxes[key] = Value((axes[0], new_axis(count), *axes[2:]), value.dtype)
    return result
