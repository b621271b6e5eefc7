"""Image preprocessing and augmentation: random layers do nothing at inference, the others are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .....ir.graph import flatten_outputs, map_leaves
from .....shapes.keras_facts import IMAGE_FOR_IMAGE
from ...dtypes import FLOATS
from ...emitter import Emitter
from ...graph import Tensor
from ...refusal import Refused
from ...registry import layer
from .._equalisation import equalised_tiles
from .._resize import cut_to_aspect, filled_to_aspect, fixed_size, of_type, resized, spatial_axes

_ALWAYS = ("AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization")


def _typed(call: Emitter, results: Any) -> Any:
    """The structure cast to the types of the results, in the order of ``keras.tree.flatten``."""
    flat = [leaf for leaf in flatten_outputs(results) if isinstance(leaf, Tensor)]
    wanted = {id(t): value.dtype for t, value in zip(flat, call.outputs, strict=True)}
    return map_leaves(lambda t: call.cast(t, wanted[id(t)]) if isinstance(t, Tensor) else t, results)


# These do nothing at inference; the others cast images to their compute dtype (Keras 3.15).
_UNTOUCHED = (
    "Equalization",
    "MixUp",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPosterization",
    "RandomSaturation",
)


@layer(*_UNTOUCHED)
def untouched(call: Emitter) -> Any:
    """``augment(x) -> x``: images, or a dict of images and labels."""
    return _images(call, lambda x: x)


@layer("RandomHeight", "RandomWidth")
@layer(*(name for name in IMAGE_FOR_IMAGE if name not in (*_ALWAYS, *_UNTOUCHED)))
def passed(call: Emitter) -> Any:
    """``augment(x) -> x`` in the compute dtype: images, or a dict of images and labels."""
    return _images(call, lambda x: call.cast(x, call.compute))


@layer("AutoContrast")
def auto_contrast(call: Emitter) -> Any:
    """Every channel stretched to the whole range of values; a constant channel stays."""
    low, high = (float(v) for v in call.get("value_range", (0, 255)))

    def stretched(x: Tensor) -> Tensor:
        x = call.cast(x, call.compute)
        y = _ranged(call, x, (low, high), (0.0, 255.0))
        # Axes 1 and 2, whatever the layout (Keras 3.15).
        least, most = (call.reduce(f"Reduce{kind}", y, [1, 2], keepdims=True) for kind in ("Min", "Max"))
        scale = call.op("Div", call.constant(255.0, y.dtype), call.op("Sub", most, least))
        y = call.op("Add", call.op("Mul", y, scale), call.op("Mul", call.op("Neg", least), scale))
        y = call.op("Clip", y, call.constant(0.0, y.dtype), call.constant(255.0, y.dtype))
        y = _ranged(call, y, (0.0, 255.0), (low, high))
        return call.op("Where", call.op("IsNaN", y), x, y)

    return _images(call, stretched)


@layer("ContrastLimitedAdaptiveHistogramEqualization")
def equalised_by_tiles(call: Emitter) -> Any:
    """Each pixel by the shares of darker pixels in the four tiles around it (``clahe.py`` of Keras 3.15)."""
    low, high = (float(v) for v in call.get("value_range", (0, 255)))
    first = call.channels_first()

    def equalised(x: Tensor) -> Tensor:
        if x.dtype not in FLOATS:
            raise Refused("the truncated integers depend on TensorFlow's sums to the last bit")
        single = x.rank == 3
        y = call.unsqueeze(x, 0) if single else x
        y = _ranged(call, call.cast(y, "float32"), (low, high), (0.0, 255.0))
        y = equalised_tiles(call, y if first else call.transpose(y, [0, 3, 1, 2]))
        y = _ranged(call, y if first else call.transpose(y, [0, 2, 3, 1]), (0.0, 255.0), (low, high))
        return call.cast(call.squeeze(y, 0) if single else y, call.compute)

    return _images(call, equalised)


def _ranged(call: Emitter, x: Tensor, source: tuple[float, float], target: tuple[float, float]) -> Tensor:
    if source == target:
        return x
    unit = call.op("Div", call.op("Sub", x, source[0]), source[1] - source[0])
    return call.op("Add", call.op("Mul", unit, target[1] - target[0]), target[0])


def _images(call: Emitter, transform: Callable[[Tensor], Tensor]) -> Any:
    """Transform images, alone or in a dict with labels. Raises Refused for other entries of a dict."""
    data = call.args[0] if call.args else call.x
    if not isinstance(data, dict):
        return transform(call.x)
    other = set(data) - {"images", "labels"}
    if other:
        raise Refused(f"its input has {' and '.join(sorted(other))}; only images and labels are supported")
    return {key: transform(item) if key == "images" else item for key, item in data.items()}


@layer("MaxNumBoundingBoxes")
def max_num_bounding_boxes(call: Emitter) -> Any:
    """``boxes[B, N, 4], labels[B, N] -> [B, max_number, 4], [B, max_number]``: cropped or padded."""
    count, fill = call.integer("max_number", 1), call.get("fill_value", -1)
    data = call.args[0] if call.args else call.x
    if not isinstance(data, dict):
        return _typed(call, data)

    def cut(x: Tensor) -> Tensor:
        sizes = [x.sizes[0], count, *x.sizes[2:]]
        filler = call.op(
            "Expand", call.constant(np.asarray(fill), x.dtype), call.shape(sizes, x), as_sizes=sizes
        )
        return call.slice(call.concat([x, filler], 1), 1, 0, count)

    result = dict(data)
    boxes = data.get("bounding_boxes")
    if isinstance(boxes, dict):
        result["bounding_boxes"] = {k: cut(v) if k in ("boxes", "labels") else v for k, v in boxes.items()}
    return _typed(call, result)


# -- sizes -----------------------------
@layer("Resizing")
def resizing(call: Emitter) -> Any:
    """``resize(x[B, H, W, C]) -> [B, height, width, C]``, optionally cropped or padded to that aspect ratio first."""
    size = (call.integer("height", 1), call.integer("width", 1))

    def transform(x: Tensor) -> Tensor:
        if call.flag("crop_to_aspect_ratio"):
            x = cut_to_aspect(call, x, size)
        elif call.flag("pad_to_aspect_ratio"):
            x = filled_to_aspect(call, x, size)
        interpolation = call.text("interpolation", "bilinear").lower()
        return resized(call, x, size, interpolation, call.flag("antialias"), call.channels_first())

    return _images(call, of_type(call, transform))


@layer("CenterCrop")
def center_crop(call: Emitter) -> Any:
    """``crop(x[B, H, W, C]) -> [B, height, width, C]``: from the middle; a smaller image is resized."""
    size = (call.integer("height", 1), call.integer("width", 1))

    def transform(x: Tensor) -> Tensor:
        x = call.cast(x, call.compute)
        places = spatial_axes(call, x)
        if any(not isinstance(x.sizes[p], int) for p in places):
            return _cropped_or_resized(call, x, places, size)
        spare = [fixed_size(x, p) - s for p, s in zip(places, size, strict=True)]
        if min(spare) < 0:
            return resized(call, cut_to_aspect(call, x, size), size, first=call.channels_first())
        for place, more, wanted in zip(places, spare, size, strict=True):
            if more:
                x = call.slice(x, place, more // 2, more // 2 + wanted)
        return x

    return _images(call, transform)


def _cropped_or_resized(call: Emitter, x: Tensor, places: Sequence[int], size: tuple[int, int]) -> Tensor:
    """The middle of an image of open size, if it is large enough for that, else the whole, resized."""
    spare = [call.op("Sub", call.shape([x.sizes[p]], x), n) for p, n in zip(places, size, strict=True)]
    least = call.squeeze(call.op("Min", *spare), 0)
    wanted = [dict(zip(places, size, strict=True)).get(n, s) for n, s in enumerate(x.sizes)]

    def cropped() -> Tensor:
        y = x
        for place, more, count in zip(places, spare, size, strict=True):
            start = call.op("Div", more, 2)
            sizes = [count if n == place else s for n, s in enumerate(y.sizes)]
            y = call.op("Slice", y, start, call.op("Add", start, count), [place], as_sizes=sizes)
        return y

    def fitted() -> Tensor:
        return resized(call, cut_to_aspect(call, x, size), size, first=call.channels_first())

    branches: dict[str, Any] = {}
    for name, result in (("then_branch", cropped), ("else_branch", fitted)):
        with call.builder.body(f"{call.path}/{name}") as branches[name]:
            branches[name].outputs = [call.identity(call.cast(result(), x.dtype))]
    enough = call.op("GreaterOrEqual", least, call.constant(0, "int64"))
    return call.several("If", [(x.dtype, wanted)], enough, **branches)[0]


@layer("RandomCrop")
def random_crop(call: Emitter) -> Any:
    """``f(x) -> x``: only training crops, whatever size the layer declares (Keras 3.15)."""
    size = [call.integer("height", 1), call.integer("width", 1)]
    x = call.x
    if [x.sizes[p] for p in spatial_axes(call, x)] != size:
        raise Refused("at inference Keras leaves images as they are, not in the size that it declares")
    return _images(call, lambda image: image)
