"""Image ops: one image ``[H, W, C]`` or a batch of them, either data format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...ir.axis import Axis, Role, Value, new_axis, same_kind
from ...ir.size import Size, unknown
from ..call import Call, ShapeError, known, need_rank, op
from ..spatial import SPATIAL_ROLES, hint_all, resized, slid
from ..windows import window
from ._operands import agree, operand

Axes = tuple[Axis, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """The axes of an image or a batch of images by kind; ``batch`` is empty for one image."""

    batch: Axes
    spatial: Axes
    channel: Axis
    first: bool

    def join(self, spatial: Sequence[Axis], channel: Axis) -> Axes:
        return (*self.batch, channel, *spatial) if self.first else (*self.batch, *spatial, channel)


def picture(call: Call, dimensions: int = 2) -> Picture:
    """The first operand as ``[B?, S..., C]`` or ``[B?, C, S...]``; hints the roles of its axes."""
    axes = need_rank(call.x, dimensions + 1, dimensions + 2)
    first = call.channels_first()
    batch, rest = axes[: len(axes) - dimensions - 1], axes[len(axes) - dimensions - 1 :]
    parts = Picture(batch, rest[1:] if first else rest[:-1], rest[0] if first else rest[-1], first)
    hint_all(parts.spatial, SPATIAL_ROLES[dimensions])
    parts.channel.origin.hint(Role.CHANNEL)
    return parts


@op("image", "RGBToGrayscale")
def to_grayscale(call: Call) -> Value:
    """``rgb_to_grayscale(x[B, H, W, 3]) -> [B, H, W, 1]``."""
    x = picture(call)
    if isinstance(x.channel.size, int) and x.channel.size not in (1, 3):
        raise ShapeError(f"takes images of 3 channels or 1, not {x.channel}")
    return call.like(x.join(x.spatial, resized(x.channel, 1)))


@op("image", "RGBToHSV", "HSVToRGB")
def recoloured(call: Call) -> Value:
    """``rgb_to_hsv(x[B, H, W, 3]) -> [B, H, W, 3]``."""
    x = picture(call)
    if isinstance(x.channel.size, int) and x.channel.size != 3:
        raise ShapeError(f"takes images of 3 channels, not {x.channel}")
    return call.like(call.axes)


@op("image", "AffineTransform", "PerspectiveTransform", "GaussianBlur", "ElasticTransform")
def warped(call: Call) -> Value:
    """``gaussian_blur(x[B, H, W, C]) -> [B, H, W, C]``."""
    picture(call)
    return call.like(call.axes)


@op("image", "Resize")
def resize(call: Call) -> Value:
    """``resize(x[B, H, W, C], (h, w)) -> [B, h, w, C]``."""
    x, size = picture(call), call.integers("size", 2, 1)
    return call.like(x.join([resized(a, s) for a, s in zip(x.spatial, size, strict=True)], x.channel))


@op("image", "ExtractPatches")
def extract_patches(call: Call) -> Value:
    """``extract_patches(x[B, H, W, C], (k, l)) -> [B, H', W', k*l*C]``; with three sizes, in 3D."""
    given = call.get("size")
    n = len(given) if isinstance(given, (list, tuple)) else 2
    if n not in (2, 3):
        raise call.bad("size", given, "2 or 3 whole numbers")
    size = call.integers("size", n, 1)
    x = picture(call, n)
    strides = size if call.get("strides") is None else call.integers("strides", n, 1)
    dilation = call.integers("dilation_rate", n, 1, 1)
    padding = call.text("padding", "valid", ("valid", "same"))
    spatial = [
        slid(a, window(a.size, k, s, d, padding), s, f"a patch of {k}")
        for a, k, s, d in zip(x.spatial, size, strides, dilation, strict=True)
    ]
    total = x.channel.size
    for k in size:
        total = total * k
    return call.like(x.join(spatial, resized(x.channel, total)))


@op("image", "PadImages")
def pad_images(call: Call) -> Value:
    """``pad_images(x[B, H, W, C], top, left, bottom, right) -> [B, top+H+bottom, left+W+right, C]``; a target size
    can replace one border of each pair."""
    return _bordered(call, "padding", 1)


@op("image", "CropImages")
def crop_images(call: Call) -> Value:
    """``crop_images(x[B, H, W, C], top, left, bottom, right) -> [B, H-top-bottom, W-left-right, C]``; a target size
    can replace one border of each pair."""
    return _bordered(call, "cropping", -1)


def _bordered(call: Call, what: str, sign: int) -> Value:
    x = picture(call)
    sides = (("top", "bottom", "target_height"), ("left", "right", "target_width"))
    spatial = []
    for axis, (before, after, target) in zip(x.spatial, sides, strict=True):
        borders = [call.get(f"{side}_{what}") for side in (before, after)]
        known_borders = [call.whole(what, b, 0) for b in borders if b is not None]
        size: Size
        if call.get(target) is not None:
            size = call.integer(target, 0)
            _check_border(axis, size, sign, known_borders)
        elif len(known_borders) == 2:
            size = axis.size + sign * sum(known_borders)
        else:
            raise call.bad(target, None, f"a size, or both {before}_{what} and {after}_{what}")
        spatial.append(resized(axis, size, what))
    return call.like(x.join(spatial, x.channel))


def _check_border(axis: Axis, size: int, sign: int, borders: list[int]) -> None:
    if not isinstance(axis.size, int):
        return
    left = sign * (size - axis.size) - sum(borders)
    if left < 0 or (len(borders) == 2 and left):
        raise ShapeError(f"{axis} with borders {borders} does not give a size of {size}")


@op("image", "MapCoordinates")
def map_coordinates(call: Call) -> Value:
    """``map_coordinates(x[a, b], coordinates[2, ...]) -> [...]``."""
    x, coordinates = operand(call, 0, "inputs"), known(operand(call, 1, "coordinates"))
    if len(coordinates) < 2:
        raise ShapeError(f"takes coordinates of rank 2 or more, not {len(coordinates)}")
    if isinstance(coordinates[0].size, int) and coordinates[0].size != len(known(x)):
        raise ShapeError(f"{coordinates[0].size} coordinates for a tensor of rank {len(known(x))}")
    return Value(coordinates[1:], x.dtype)


@op("image", "ScaleAndTranslate")
def scale_and_translate(call: Call) -> Value:
    """``scale_and_translate(x[...], output_shape) -> output_shape``."""
    axes, shape = call.axes, call.arg(1, "output_shape")
    if isinstance(shape, Value):
        return call.like([same_kind(a, unknown()) for a in axes])
    if not isinstance(shape, (list, tuple)) or len(shape) != len(axes):
        raise call.bad("output_shape", shape, f"{len(axes)} whole numbers")
    sizes = [None if s is None else call.whole("output_shape", s, 0) for s in shape]
    return call.like([a if s is None else resized(a, s) for a, s in zip(axes, sizes, strict=True)])


@op("image", "SobelEdges")
def sobel_edges(call: Call) -> Value:
    """``sobel_edges(x[B, H, W, C]) -> [B, H, W, C, 2]``."""
    need_rank(call.x, 4)
    picture(call)
    return call.like([*call.axes, new_axis(2)])


@op("image", "SSIM")
def ssim(call: Call) -> Value:
    """``ssim(x[B, H, W, C], y[B, H, W, C]) -> [B]``; for two images ``[]``."""
    x = picture(call)
    agree(call.axes, known(operand(call, 1, "image2")), "both images")
    return call.like(x.batch)
