"""Convolution, pooling, normalisation, losses and images, over every argument that changes a shape."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.shapes.ops_classes import make
from tests.shapes.ops_harness import Case

N = None
LAST, FIRST = "channels_last", "channels_first"
TRANSFORM = np.array([1, 0, 0, 0, 1, 0, 0, 0], "float32")
CORNERS = np.array([[0, 0], [0, 5], [5, 0], [5, 5]], "float32")
SPATIAL = {1: (13,), 2: (13, 11), 3: (9, 11, 10)}


def of(name: str, *takes: Any, label: str = "", **config: Any) -> Case:
    options = {k: config.pop(k) for k in ("declared", "runs", "values", "unknown_at") if k in config}
    return Case(f"{name} {label} {config} {takes}", make(name, **config), takes, **options)


def shaped(spatial: tuple[Any, ...], channels: int | None, layout: str) -> tuple[Any, ...]:
    return (N, *spatial, channels) if layout == LAST else (N, channels, *spatial)


def layouts() -> Iterator[tuple[int, str, tuple[Any, ...]]]:
    """Dimensions, layout, and spatial sizes: known and open."""
    for n, layout in itertools.product((1, 2, 3), (LAST, FIRST)):
        yield n, layout, SPATIAL[n]
        yield n, layout, (N,) * n


def convolutions() -> Iterator[Case]:
    for n, layout, spatial in layouts():
        # TensorFlow has no channels-first kernels on a CPU, and 3 x 3 windows need the open sizes of a run.
        runs = layout == LAST and N not in spatial or layout == LAST and n == 1
        x = shaped(spatial, 6, layout)
        for stride, padding, dilation in (
            (1, "valid", 1),
            (2, "valid", 1),
            (1, "same", 1),
            (3, "same", 1),
            (1, "valid", 2),
        ):
            options: dict[str, Any] = {
                "strides": stride,
                "padding": padding,
                "data_format": layout,
                "dilation_rate": dilation,
            }
            kernel = np.ones((3,) * n + (6, 5), "float32")
            conv = make("nn.Conv", **options)
            label = f"{n}d {layout} {spatial} {stride} {padding} {dilation}"
            yield Case(f"nn.Conv {label}", lambda x, op=conv, k=kernel: op(x, k), (x,), runs=runs)
            if n == 3:
                continue
            few = np.ones((2,) * n + (6, 2), "float32")
            depthwise = make("nn.DepthwiseConv", **options)
            yield Case(f"nn.DepthwiseConv {label}", lambda x, op=depthwise, k=few: op(x, k), (x,), runs=runs)
            point = np.ones((1,) * n + (12, 5), "float32")
            separable = make("nn.SeparableConv", **options)
            yield Case(
                f"nn.SeparableConv {label}",
                lambda x, op=separable, a=few, b=point: op(x, a, b),
                (x,),
                runs=runs,
            )
        kernel = np.ones((3,) * n + (5, 6), "float32")
        for stride, padding, extra in (
            (1, "valid", None),
            (2, "valid", None),
            (2, "same", None),
            (3, "valid", 1),
            (3, "same", 2),
            (4, "valid", None),
        ):
            if n == 3 and padding == "same" and extra is not None:
                continue
            op = make(
                "nn.ConvTranspose", strides=stride, padding=padding, output_padding=extra, data_format=layout
            )
            label = f"{n}d {layout} {spatial} {stride} {padding} {extra}"
            # The op passes its arguments to the backend in the wrong order.
            yield Case(f"nn.ConvTranspose {label}", lambda x, op=op, k=kernel: op(x, k), (x,), runs=False)
    yield Case("nn.Conv kernel tensor", make("nn.Conv", padding="same"), ((N, 8, 8, 3), (3, 3, 3, 4)))
    yield Case(
        "nn.Conv causal",
        lambda x: make("nn.Conv", padding="causal", strides=2)(x, np.ones((3, 4, 5), "float32")),
        ((N, 9, 4),),
        runs=False,
    )
    yield Case(
        "nn.Conv upper case",
        lambda x: make("nn.Conv", padding="SAME")(x, np.ones((3, 3, 2, 6), "float32")),
        ((N, 8, 8, 2),),
    )


def pooling() -> Iterator[Case]:
    for n, layout, spatial in layouts():
        runs = layout == LAST and (N not in spatial)
        x = shaped(spatial, 6, layout)
        for name in ("MaxPool", "AveragePool"):
            for size, stride, padding in (
                (2, None, "valid"),
                (3, 1, "same"),
                (3, 2, "valid"),
                (2, 3, "same"),
            ):
                config = {"pool_size": size, "strides": stride, "padding": padding, "data_format": layout}
                yield of(f"nn.{name}", x, runs=runs, **config)
            pair = (2, 3, 2)[:n]
            yield of(
                f"nn.{name}",
                x,
                runs=runs,
                pool_size=pair,
                strides=pair[::-1],
                padding="valid",
                data_format=layout,
            )
        for name in ("AdaptiveMaxPool", "AdaptiveAveragePool"):
            # Channels last, Keras declares one spatial axis of the operand too many.
            said, size = layout == FIRST, (4, 3, 2)[:n]
            yield of(
                f"nn.{name}",
                x,
                declared=said,
                runs=N not in spatial and not said,
                output_size=size,
                data_format=layout,
            )
    for config in (
        {},
        {"dilation": 2},
        {"padding": 1},
        {"stride": 2},
        {"dilation": (1, 2), "padding": (2, 0), "stride": (2, 3)},
    ):
        yield of("nn.Unfold", (2, 3, 9, 11), kernel_size=3, **config)
        yield of("nn.Unfold", (2, 3, 9, 11), kernel_size=(2, 3), **config)
    yield of("nn.Fold", (2, 27, 35), output_size=(7, 9), kernel_size=3)
    yield of("nn.Fold", (2, 12, 12), output_size=6, kernel_size=(2, 3), padding=0, stride=(2, 1), runs=False)
    for layout in (LAST, FIRST):
        for spatial in ((6, 4), (N, N)):
            yield of(
                "nn.DepthToSpace",
                shaped(spatial, 8, layout),
                block_size=2,
                data_format=layout,
                runs=layout == LAST,
            )
            yield of(
                "nn.SpaceToDepth",
                shaped(spatial, 3, layout),
                block_size=2,
                data_format=layout,
                runs=layout == LAST and N not in spatial,
            )


def normalisation() -> Iterator[Case]:
    x = (N, 4, 6)
    for name in ("Softmax", "LogSoftmax"):
        for axis in (-1, 1, (1, 2), None):
            # With two axes the op fails on the TensorFlow backend, the function does not.
            yield of(f"nn.{name}", x, axis=axis, runs=not isinstance(axis, tuple))
    yield of("nn.Sparsemax", x)
    for axis in (-1, 1):
        yield of("nn.Normalize", x, axis=axis)
        yield of("nn.Normalize", x, axis=axis, order=1)
    yield of("nn.Glu", x)
    yield of("nn.Glu", (N, 4, 6), axis=1)
    yield of("nn.Glu", (N, N), axis=1, runs=False)
    one = np.ones(6, "float32")
    yield Case("nn.LayerNorm", lambda x: make("nn.LayerNorm")(x, one, one), (x,))
    yield Case(
        "nn.LayerNorm keywords",
        lambda x: make("nn.LayerNorm", rms_scaling=True)(x, gamma=one, beta=None),
        (x,),
    )
    yield Case("nn.RMSNorm", lambda x: make("nn.RMSNorm")(x, one), (x,))
    for axis, size in ((-1, 6), (1, 4)):
        vector = np.ones(size, "float32")
        op = make("nn.BatchNorm", axis)
        yield Case(f"nn.BatchNorm {axis}", lambda x, op=op, v=vector: op(x, v, v, v, v), (x,))
        yield Case(
            f"nn.BatchNorm {axis} bare", lambda x, op=op, v=vector: op(x, v, v, offset=None, scale=None), (x,)
        )
    yield of("nn.BinaryCrossentropy", x, x)
    yield of("nn.CategoricalCrossentropy", x, x)
    yield of("nn.SparseCategoricalCrossentropy", ((N, 4), "int32"), x)
    yield of("nn.SparseCategoricalCrossentropy", ((N, 4, 1), "int32"), x)
    yield of("nn.PSNR", x, x, max_val=1.0)
    yield of("nn.Polar", x, x)
    ids = ((N,), "int32")
    lengths = {i: (lambda s: np.full(s, 3, "int32")) for i in (2, 3)}
    fitting = {0: lambda s: np.tile(np.arange(1, 4, dtype="int32"), (s[0], 1))}
    yield of("nn.CTCLoss", ((N, 3), "int32"), (N, 8, 5), ids, ids, values=lengths | fitting)
    for config in ({}, {"strategy": "beam_search", "top_paths": 2}, {"strategy": "beam_search"}):
        yield of("nn.CTCDecode", (N, 8, 5), ids, values={1: lengths[2]}, **config)
    attention = make("nn.DotProductAttention")
    q, k = (N, 4, 2, 6), (N, 5, 2, 6)
    yield Case("nn.DotProductAttention", attention, (q, k, k))
    yield Case("nn.DotProductAttention causal", make("nn.DotProductAttention", is_causal=True), (q, q, q))
    yield Case(
        "nn.DotProductAttention mask",
        lambda q, k, m: attention(q, k, k, mask=m),
        (q, k, ((N, 2, 4, 5), "bool")),
    )
    yield Case("nn.DotProductAttention grouped", attention, ((N, 4, 4, 6), (N, 5, 2, 6), (N, 5, 2, 6)))
    for axis in (-1, 0, 1):
        yield of("nn.OneHot", (x, "int32"), num_classes=7, axis=axis)
    yield of("nn.OneHot", ((N,), "int32"), num_classes=7, dtype="int32")
    for takes in ((N, 4), (N, 4, 3), (4,)):
        yield Case(
            f"nn.MultiHot {takes}", make("nn.MultiHot", num_classes=7), ((takes, "int32"),), dtype=False
        )
    yield of("numpy.Histogram", (N, 4), bins=5, runs=False)


def creation() -> Iterator[Case]:
    for name in ("Linspace", "Logspace", "Geomspace"):
        for axis in (0, -1, 1):
            runs = name != "Geomspace" or axis == 0
            yield of(f"numpy.{name}", (N, 4), (N, 4), num=5, axis=axis, runs=runs)
        yield Case(f"numpy.{name} number", lambda x, name=name: make(f"numpy.{name}")(x, 2.0), ((N, 4),))
        yield Case(
            f"numpy.{name} ints", make(f"numpy.{name}", num=3), (((4,), "int32"), ((4,), "int64")), runs=False
        )
        yield Case(
            f"numpy.{name} dtype", make(f"numpy.{name}", num=3, dtype="float16"), ((4,), (4,)), runs=False
        )
    for indexing in ("xy", "ij"):
        for takes in (((N,), (4,)), ((5,), (4,), (2,)), ((5, 2), (4,))):
            yield Case(f"numpy.Meshgrid {indexing} {takes}", make("numpy.Meshgrid", indexing), takes)
    yield of("numpy.Vander", (4,))
    yield of("numpy.Vander", (N,))
    yield of("numpy.Vander", (4,), N=3, increasing=True)
    for dtype in (None, "int32"):
        yield Case(f"numpy.Full {dtype}", make("numpy.Full", (2, 3), dtype=dtype), ((),))


def images() -> Iterator[Case]:
    for layout, batch in itertools.product((LAST, FIRST), (True, False)):
        here = layout == LAST

        def x(
            spatial: tuple[Any, ...] = (9, 12), channels: int = 3, layout: str = layout, batch: bool = batch
        ) -> Any:
            full = shaped(spatial, channels, layout)
            return full if batch else full[1:]

        spaces = ((9, 12), (N, N)) if batch else ((9, 12),)
        yield of("image.RGBToGrayscale", x(), data_format=layout)
        yield of("image.RGBToHSV", x(), data_format=layout)
        yield of("image.HSVToRGB", x(), data_format=layout)
        for spatial in spaces:
            yield of("image.Resize", x(spatial), size=(4, 5), data_format=layout)
            yield of(
                "image.Resize",
                x(spatial),
                size=(4, 5),
                data_format=layout,
                crop_to_aspect_ratio=True,
                runs=False,
            )
            yield of("image.GaussianBlur", x(spatial), data_format=layout, runs=here)
            pads = {"top_padding": 1, "bottom_padding": 2, "left_padding": 0, "right_padding": 3}
            yield of("image.PadImages", x(spatial), **pads, data_format=layout)
            if N not in spatial:
                crops = {"top_cropping": 1, "bottom_cropping": 2, "left_cropping": 0, "right_cropping": 3}
                yield of("image.CropImages", x(spatial), **crops, data_format=layout)
            for padding, strides, rate in (
                ("valid", None, 1),
                ("same", 2, 1),
                ("valid", (1, 2), 1),
                ("valid", 1, 2),
            ):
                config = {
                    "padding": padding,
                    "strides": strides,
                    "dilation_rate": rate,
                    "data_format": layout,
                }
                yield of(
                    "image.ExtractPatches", x(spatial), size=(3, 2), runs=here and N not in spatial, **config
                )
            yield of(
                "image.ExtractPatches", x(spatial), size=3, data_format=layout, runs=here and N not in spatial
            )
        yield of(
            "image.PadImages",
            x(),
            top_padding=2,
            left_padding=1,
            target_height=20,
            target_width=18,
            data_format=layout,
        )
        yield of(
            "image.CropImages",
            x(),
            top_cropping=2,
            left_cropping=1,
            target_height=5,
            target_width=6,
            data_format=layout,
        )
        yield of("image.ExtractPatches", x((5, 6, 7)), size=(2, 3, 2), data_format=layout, runs=here)
        yield of("image.ElasticTransform", x(), data_format=layout, runs=here)
        affine = make("image.AffineTransform", data_format=layout)
        label = f"{layout} {batch}"
        yield Case(
            f"image.AffineTransform {label}", lambda x, op=affine: op(x, TRANSFORM), (x(),), runs=not batch
        )
        perspective = make("image.PerspectiveTransform", data_format=layout)
        yield Case(
            f"image.PerspectiveTransform {label}",
            lambda x, op=perspective: op(x, CORNERS, CORNERS),
            (x(),),
            runs=not batch,
        )
        yield of("image.SSIM", x((15, 16)), x((15, 16)), data_format=layout, runs=here)
        if batch:
            yield of("image.SobelEdges", x(), data_format=layout, runs=here)
    yield of("image.MapCoordinates", (5, 6), (2, 4, 3), order=1)
    yield of("image.MapCoordinates", (5, 6, 7), (3, N), order=0)
    scale = make("image.ScaleAndTranslate", spatial_dims=(1, 2), method="linear")
    two = np.ones(2, "float32")
    yield Case("image.ScaleAndTranslate", lambda x: scale(x, (2, 5, 6, 3), two, two), ((2, 9, 9, 3),))


CASES = [*convolutions(), *pooling(), *normalisation(), *creation(), *images()]
