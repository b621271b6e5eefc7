"""Ops that reshape, join, index, contract and sample, and Fourier transforms, against Keras."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

from tests.export import harness, op_models
from tests.shapes import ops_cases_math, ops_cases_nn, ops_cases_structure
from tests.shapes.ops_classes import make
from tests.shapes.ops_harness import Case

N = None
X = (N, 4, 6)
ops = keras.ops
GENERATOR = np.random.default_rng(3)
FAMILIES = {
    "numpy": "Reshape Ravel ExpandDims Squeeze BroadcastTo Diagflat Transpose Swapaxes Moveaxis Rot90 Flip "
    "Fliplr Flipud Roll Tril Triu Concatenate Append Stack Hstack Vstack Dstack Split Hsplit Vsplit "
    "Dsplit ArraySplit GetItem Take TakeAlongAxis SearchSorted Digitize IsIn Matmul Dot Inner Vdot "
    "Outer Kron Cross Tensordot Einsum Corrcoef Correlate Slogdet",
    "core": "Unstack Slice SliceUpdate Scatter ScatterUpdate",
    "einops": "Rearrange",
    "linalg": "Det SVD Cholesky CholeskyInverse Inv Solve SolveTriangular Qr MatrixRank Pinv Lstsq",
    "math": "Logdet InTopK SegmentSum SegmentMax SegmentMin SegmentProd CDist FFT FFT2 IFFT2 RFFT IRFFT STFT ISTFT "
    "ExtractSequences",
    "image": "RGBToGrayscale RGBToHSV HSVToRGB Resize PadImages CropImages ExtractPatches GaussianBlur SobelEdges SSIM "
    "AffineTransform PerspectiveTransform MapCoordinates ScaleAndTranslate",
}
NAMES = [f"{family}.{name}" for family, names in FAMILIES.items() for name in names.split()]
CASES = [*ops_cases_structure.CASES, *ops_cases_math.CASES, *ops_cases_nn.CASES]


def of_class(name):
    """The cases of the tables that are of one op class."""
    return [case for case in CASES if case.name.split()[0] == name]


def agree(items, **options):
    found = harness.tally(items, harness.check_op, **options)
    assert not found["wrong"], found["wrong"][:3]
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_one_argument_set_of_every_class(family):
    items = [of_class(name)[0] for name in NAMES if name.startswith(f"{family}.")]
    assert agree(items)["right"]


@pytest.mark.slow
@pytest.mark.parametrize("opset", [17, 26])
@pytest.mark.parametrize("name", NAMES)
def test_every_argument_set(name, opset):
    found = agree(of_class(name), opset=opset)
    if not found["right"]:
        assert opset < 18
        assert any("needs opset 18" in reason for reason in found["refused"])


def right(*items, **options):
    """Every case is exported and agrees."""
    found = agree(items, **options)
    assert len(found["right"]) == len(items), found


def case(build, *takes, **values):
    return Case("own", build, takes, values={int(k[1:]): v for k, v in values.items()})


def mixed(low, high):
    """Numbers of both signs, integers or floats by the operand's type."""
    return lambda shape: GENERATOR.uniform(low, high, shape).astype("float32")


def whole(low, high, dtype="int32"):
    return lambda shape: GENERATOR.integers(low, high, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64"])
def test_other_types_are_moved_and_joined(dtype):
    right(
        case(lambda x: ops.flip(ops.roll(x, 2, 1), 2), (X, dtype)),
        case(lambda x: ops.concatenate([x[:, 1:], ops.expand_dims(x[:, 0], 1)], 1), (X, dtype)),
        case(lambda x: ops.split(x, [1, 3], 2), (X, dtype)),
        case(lambda x: ops.take(x, [-1, 0, 2], 1), (X, dtype)),
        case(lambda x: ops.triu(x, -1), (X, dtype)),
        case(lambda x, y: ops.stack([x, y], -1), (X, dtype), (X, "int32")),
        case(lambda x: ops.slice_update(x, [0, 3, 3], x[:1, :2, :4]), ((3, 4, 6), dtype)),
    )


@pytest.mark.parametrize("shift", [0, 1, -3, 17])
def test_roll_over_an_open_axis(shift):
    right(
        case(lambda x: ops.roll(x, shift, 1), (N, N, 3)),
        case(lambda x: ops.roll(x, [shift, 1], [0, 2]), (N, N, 3)),
        case(lambda x: ops.roll(x, shift), (N, 5)),
    )


def test_contractions_of_other_types():
    ints = {"_0": whole(-9, 9), "_1": whole(-9, 9)}
    right(
        case(ops.matmul, ((N, 4, 6), "int32"), ((6, 3), "int32"), **ints),
        case(
            ops.matmul,
            ((4, 6), "int8"),
            ((6, 3), "int8"),
            _0=whole(-128, 128, "int8"),
            _1=whole(-128, 128, "int8"),
        ),
        case(ops.dot, ((N, 4, 6), "int64"), ((2, 6, 3), "int32"), _0=whole(-9, 9, "int64"), _1=whole(-9, 9)),
        case(lambda x, y: ops.tensordot(x, y, [[0, 2], [0, 1]]), (3, N, 6), (3, 6, 5)),
        case(lambda x, y: ops.einsum("bik,bkj->bj", x, y), (N, 4, 6), (N, 6, 3)),
        case(lambda x, y: ops.einsum("bii,bij->ib", x, y), (N, 4, 4), (N, 4, 3)),
        case(lambda x, y: ops.einsum("ij,jk->ki", x, y), ((4, 6), "int32"), ((6, 3), "int32"), **ints),
        case(lambda x, y: ops.kron(x, y), (N, 2, 3), (2, 2)),
        case(lambda x, y: ops.cross(x, y, axisa=0, axisb=-1, axisc=1), (3, 5, 4), (5, 4, 3)),
    )


def test_a_transposed_matrix_times_a_vector():
    """ONNX Runtime 1.31 is wrong if it takes the Transpose into such a product."""
    vector = np.array([1, -2, 3], "float32")
    turned = lambda x: ops.transpose(x, (0, 2, 1))  # noqa: E731
    right(
        case(lambda x, y: ops.matmul(turned(x), y), (N, 3, 5), (3,)),
        case(lambda x, y: ops.tensordot(turned(x), y, axes=[[2], [0]]), (N, 3, 5), (3,)),
        case(lambda x: ops.matmul(turned(x), vector), (N, 3, 5)),
        case(lambda x, y: ops.matmul(ops.transpose(x), y), (3, 5), (3,)),
    )


@pytest.mark.parametrize("reduction", [None, "add", "mul", "max", "min"])
def test_scatters(reduction):
    right(
        case(lambda x, u: ops.scatter_update(x, [[0], [2]], u, reduction), (4, 6), (2, 6), _1=mixed(-2, 2)),
        case(lambda i, v: ops.scatter(i, v, (5, 6)), ((4, 1), "int32"), (4, 6), _0=whole(0, 3)),
    )


def test_an_update_that_would_stick_out_is_moved_in():
    right(
        *(case(lambda x, u, s=s: ops.slice_update(x, s, u), (5, 6), (2, 3)) for s in ([0, 0], [4, 5], [3, 2]))
    )
    start = case(ops.slice_update, (5, 6), ((2,), "int32"), (2, 3), _1=whole(0, 6))
    right(start)


@pytest.mark.parametrize("dtype", ["float32", "bool"])
def test_diagonals_of_open_size(dtype):
    table = {f"{k}": make("numpy.Diagonal", offset=k, axis1=1, axis2=2) for k in (0, 1, -2)}
    shapes = ((1, 5, 3, 2), (3, 4, 7, 2), (2, 6, 6, 2))
    feeds = [[GENERATOR.integers(0, 2, shape).astype(dtype)] for shape in shapes]
    op_models.agree(table, ((N, N, N, 2), dtype), feeds=feeds)
    matrices = {f"{k}": make("numpy.Diag", k=k) for k in (0, 1, -2)}
    op_models.agree(matrices, ((N, N), dtype), feeds=[[feed[0][0, :, :, 0]] for feed in feeds])


def test_segments():
    ids = {"_1": lambda shape: np.array([0, 2, -1, 2, 0, 4], "int32")}
    for function in (ops.segment_sum, ops.segment_max):
        for dtype in ("float32", "int32", "float16"):
            right(
                case(
                    lambda x, i, f=function: f(x, i, num_segments=5), ((6, 2), dtype), ((6,), "int32"), **ids
                )
            )


def test_segments_whose_number_depends_on_the_data():
    makers = [make(f"math.Segment{name}") for name in ("Sum", "Max", "Min", "Prod")]
    table = {type(f).__name__: f for f in makers}
    feeds = [
        [mixed(-3, 3)((6, 2)), np.array(ids, "int32")]
        for ids in ([0, 2, 1, 2, 0, 3], [0, 0, 0, 0, 0, 0], [1, 0, 4, 3, 2, 5])
    ]
    op_models.agree(table, ((N, 2), "float32"), ((N,), "int32"), feeds=feeds)
    in_order = {name: make(f"math.Segment{name}", sorted=True) for name in ("Sum", "Max", "Min", "Prod")}
    feeds = [
        [mixed(-3, 3)((6, 2)) - 4, np.array(ids, "int32")] for ids in ([0, 0, 2, 2, 5, 5], [1, 1, 1, 2, 2, 2])
    ]
    op_models.agree(in_order, ((N, 2), "float32"), ((N,), "int32"), feeds=feeds)
    whole_numbers = [[whole(-9, 9)((5,)), np.array([3, 0, 1, 2, 2], "int32")]]
    op_models.agree(table, ((N,), "int32"), ((N,), "int32"), feeds=whole_numbers)


def test_places_in_a_sequence():
    numbers = {"_0": lambda shape: np.resize(np.array([-1, 0.5, 0.1, np.nan, 2, np.inf], "float32"), shape)}
    right(
        case(lambda x: ops.digitize(x, np.array([0.1, 0.5], "float32")), X, **numbers),
        case(lambda x: ops.digitize(x, np.array([0, 1, 1])), (X, "int32")),
        case(lambda x: ops.isin(x, [0, 3]), (X, "int32")),
        case(lambda x: ops.isin(x, [0, 3], invert=True), (X, "int64")),
        case(lambda i: ops.unravel_index(i, (3, 4, 5)), ((N,), "int32"), _0=whole(0, 60)),
        case(lambda i: ops.unravel_index(i, (3, 4, 5)), (N,), _0=lambda s: whole(-9, 60)(s).astype("float32")),
        case(
            lambda t, p: ops.in_top_k(t, p, 2), ((N,), "int32"), (N, 5), _0=whole(-1, 6), _1=mixed(0, 1)
        ),
        case(lambda s, v: ops.searchsorted(s, v, "right"), ((4,), "int32"), ((3,), "int32"),
             _0=lambda shape: np.array([1, 2, 2, 5], "int32"), _1=whole(0, 7)),
    )  # fmt: skip


# -- Fourier transforms -----------------------------
@pytest.mark.parametrize("length", [1, 2, 7, 30, 64, 500])
def test_transforms_of_any_length(length):
    pair = ((3, length), (3, length))
    right(
        case(lambda a, b: ops.fft((a, b)), *pair, _0=mixed(-1, 1), _1=mixed(-1, 1)),
        case(lambda a, b: ops.ifft2((a, b)), *pair, _0=mixed(-1, 1), _1=mixed(-1, 1)),
        case(lambda a: ops.rfft(a), (3, length), _0=mixed(-1, 1)),
        case(lambda a: ops.rfft(a, 12), (3, length), _0=mixed(-1, 1)),
        case(lambda a, b: ops.irfft((a, b), 9), *pair, _0=mixed(-1, 1), _1=mixed(-1, 1)),
        case(lambda a, b: ops.irfft((a, b), 10), *pair, _0=mixed(-1, 1), _1=mixed(-1, 1)),
    )


@pytest.mark.parametrize("window", ["hann", "hamming", None])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("lengths", [(8, 3, 8), (7, 2, 10)])
def test_frames_there_and_back(window, center, lengths):
    def there(x):
        return ops.stft(x, *lengths, window=window, center=center)

    def back(a, b, length=None):
        return ops.istft((a, b), *lengths, length=length, window=window, center=center)

    right(case(there, (N, 2, 50), _0=mixed(-1, 1)), case(there, (41,), _0=mixed(-1, 1)))
    pair = (((N, 9, lengths[2] // 2 + 1),) * 2, {"_0": mixed(-1, 1), "_1": mixed(-1, 1)})
    right(case(back, *pair[0], **pair[1]), case(lambda a, b: back(a, b, 14), *pair[0], **pair[1]))


# -- images -----------------------------
TURN = np.array([0.8, -0.5, 2.0, 0.4, 0.9, -1.3, 0.01, -0.02], "float32")


@pytest.mark.parametrize("mode", ["constant", "nearest", "reflect", "wrap"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_affine_transforms(mode, interpolation):
    def turned(x, transform, **more):
        return ops.image.affine_transform(
            x, transform, interpolation=interpolation, fill_mode=mode, fill_value=0.3, **more
        )

    def turns(shape):
        return np.outer(np.linspace(0.8, 1.2, shape[0]), TURN).astype("float32")

    right(
        case(lambda x: turned(x, TURN), (N, 7, 9, 2)),
        case(lambda x: turned(x, TURN), (7, 9, 2)),
        case(lambda x: turned(x, TURN * 3, data_format="channels_first"), (N, 2, 7, 9)),
        case(turned, (N, 7, 9, 2), (N, 8), _1=turns),
    )


def test_transforms_of_images_of_open_size():
    move = np.array([[1.1, -0.3, 0.7, 0.2, 0.9, -1.2, 0.01, -0.02], [0.4, 0, 5, 0, -2, 3, 0, 0]], "float32")
    start, end = (
        np.array(c, "float32") for c in ([[0, 0], [0, 5], [6, 0], [6, 5]], [[1, 0], [0, 4], [5, 1], [6, 5]])
    )
    table = {
        f"{mode} {name} {n}": lambda x, m=mode, i=name, n=n: ops.image.affine_transform(x, move[n], i, m, 0.7)
        for mode in ("constant", "nearest", "reflect", "wrap")
        for name in ("nearest", "bilinear")
        for n in (0, 1)
    }
    table["perspective"] = lambda x: ops.image.perspective_transform(x, start, end, fill_value=0.5)
    feeds = [[mixed(-3, 3)(shape)] for shape in ((1, 7, 5, 2), (3, 4, 9, 2), (2, 1, 6, 2))]
    op_models.agree(table, ((N, N, N, 2), "float32"), feeds=feeds)


def test_perspective():
    start = np.array([[0, 0], [0, 6], [8, 0], [8, 6]], "float32")
    end = np.array([[1, 0.5], [0, 5], [7, 1], [8, 7]], "float32")
    right(case(lambda x: ops.image.perspective_transform(x, start, end, fill_value=0.2), (2, 7, 9, 2)))


@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "reflect"])
@pytest.mark.parametrize("order", [0, 1])
def test_coordinates(mode, order):
    def sampled(x, at):
        return ops.image.map_coordinates(x, at, order, fill_mode=mode, fill_value=2)

    right(
        case(sampled, (5, 6), (2, 4, 3), _1=mixed(-12, 12)),
        case(sampled, ((5, 6, 4), "int32"), (3, 7), _0=whole(0, 99), _1=mixed(-3, 7)),
    )


@pytest.mark.parametrize("method", ["linear", "cubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("antialias", [True, False])
def test_scaled_and_moved(method, antialias):
    def moved(x, shape):
        scale, translation = np.array([0.7, 1.6], "float32"), np.array([1.5, -2.0], "float32")
        return ops.image.scale_and_translate(x, shape, scale, translation, (1, 2), method, antialias)

    right(
        case(lambda x: moved(x, (2, 6, 11, 3)), (2, 9, 8, 3)),
        case(lambda x: moved(x, (2, 6, 11, 3)), ((2, 9, 8, 3), "float64")),
    )


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
)
def test_the_same_bits(dtype):
    """As integers and floats of every width; a NaN of other bits is one too."""
    bits = GENERATOR.integers(0, 256, (3, 2, 32), "uint8")
    bits[0] = 255
    bits[1, 0] = 0
    x = bits.view(dtype)
    targets = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float16")
    table = {name: lambda x, name=name: ops.view(x, name) for name in targets}
    op_models.agree(table, ((N, *x.shape[1:]), dtype), feeds=[[x], [x[:1]]])


def test_computed_places():
    """Scales and corners that are operands, also in different images of a batch."""
    corners = np.array([[[0, 0], [0, 6], [8, 0], [8, 6]]], "float32")
    moved = [corners + GENERATOR.uniform(0, 2, (b, 4, 2)).astype("float32") for b in (3, 3)]

    def tilted(x, start, end):
        return ops.image.perspective_transform(x, start, end, fill_value=2.0)

    right(
        case(
            tilted,
            (N, 7, 9, 2),
            (N, 4, 2),
            (N, 4, 2),
            _1=lambda s: moved[0][: s[0]],
            _2=lambda s: moved[1][: s[0]],
        ),
        case(tilted, (7, 9, 2), (4, 2), (4, 2), _1=lambda s: moved[0][0], _2=lambda s: moved[1][0]),
    )
    table = {
        f"{method} {antialias}": lambda x, scale, translation, m=method, a=antialias: (
            ops.image.scale_and_translate(x, (9, 4, 2), scale, translation, (0, 1), m, antialias=a)
        )
        for method, antialias in itertools.product(("linear", "cubic", "lanczos3"), (True, False))
    }
    feeds = [
        [mixed(-3, 3)((*sizes, 2)), np.array([1.4, 0.4], "f4"), np.array([-0.6, 0.3], "f4")]
        for sizes in ((7, 9), (4, 11))
    ]
    vector = ((2,), "float32")
    op_models.agree(table, ((N, N, 2), "float32"), vector, vector, feeds=feeds)


def test_images_of_open_size_are_resized():
    names = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
    kinds = ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias", "")
    table = {}
    for name, kind, size in itertools.product(names, kinds, ((4, 9), (15, 3))):
        options = {"interpolation": name} | ({kind: True, "fill_value": 2.0} if kind else {})
        table[f"{size} {options}"] = lambda x, s=size, o=options: ops.image.resize(x, s, **o)
    shapes = ((1, 9, 5, 2), (3, 6, 13, 2), (1, 1, 8, 2))
    op_models.agree(table, ((N, N, N, 2), "float32"), feeds=[[mixed(-3, 3)(shape)] for shape in shapes])
    first = {
        f"{name} {size}": lambda x, n=name, s=size: ops.image.resize(x, s, n, data_format="channels_first")
        for name, size in itertools.product(("bilinear", "bicubic"), ((4, 9), (15, 3)))
    }
    shapes = ((1, 2, 9, 5), (3, 2, 6, 13))
    op_models.agree(first, ((N, 2, N, N), "float32"), feeds=[[mixed(-3, 3)(shape)] for shape in shapes])
    pixels = {
        f"{size} {options}": lambda x, s=size, o=options: ops.image.resize(x, s, **o)
        for size in ((4, 9), (15, 3))
        for options in ({"crop_to_aspect_ratio": True}, {"interpolation": "nearest"}, {})
    }
    shapes = ((9, 5, 3), (6, 13, 3), (1, 8, 3))
    feeds = [[whole(0, 256, "uint8")(shape)] for shape in shapes]
    op_models.agree(pixels, ((N, N, 3), "uint8"), feeds=feeds)


def test_filters():
    right(
        case(lambda x: ops.image.gaussian_blur(x, (5, 3), (0.8, 2.0)), (N, 9, 8, 3)),
        case(lambda x: ops.image.gaussian_blur(x, (4, 4), (1.5, 0.5)), (9, 8, 2)),
        case(lambda x: ops.image.sobel_edges(x), (N, 9, 8, 3), _0=mixed(-1, 1)),
        case(lambda x, y: ops.image.ssim(x, y, max_val=2.0), (N, 13, 12, 2), (N, 13, 12, 2), _1=mixed(0, 1)),
    )


def test_colours():
    right(
        case(ops.image.rgb_to_hsv, (N, 5, 4, 3), _0=mixed(0, 1)),
        case(ops.image.hsv_to_rgb, (N, 5, 4, 3), _0=mixed(0, 1)),
        case(ops.image.rgb_to_grayscale, ((N, 5, 4, 3), "uint8"), _0=whole(0, 256, "uint8")),
        case(lambda x: ops.image.rgb_to_grayscale(x, "channels_first"), (3, 5, 4), _0=mixed(0, 1)),
    )


def test_patches_of_an_image_with_its_channels_first():
    """TensorFlow cannot run these on a CPU: the oracle is the image with channels last."""
    for arguments in ((3, 2, 1, "same"), ((2, 3), (1, 2), 1, "valid"), (2, 1, 2, "same")):
        given = keras.Input((3, 9, 8))
        size, strides, rate, padding = arguments
        first = ops.image.extract_patches(given, size, strides, rate, padding, "channels_first")
        turned = ops.transpose(given, (0, 2, 3, 1))
        last = ops.image.extract_patches(turned, size, strides, rate, padding, "channels_last")
        ours = keras.Model(given, first)
        theirs = keras.Model(given, ops.transpose(last, (0, 3, 1, 2)))
        x = GENERATOR.normal(0, 1, (2, 3, 9, 8)).astype("float32")
        np.testing.assert_allclose(harness.run_exported(ours, [x])[0], theirs(x).numpy(), atol=1e-5)


def test_images_resized():
    for name, antialias in itertools.product(("bilinear", "nearest", "bicubic", "lanczos3"), (False, True)):

        def resized(x, name=name, antialias=antialias):
            return ops.image.resize(x, (5, 13), interpolation=name, antialias=antialias)

        right(case(resized, (N, 9, 8, 3)))
        pixels = case(resized, ((9, 8, 3), "uint8"), _0=whole(0, 256, "uint8"))
        if name == "nearest" or (name == "bilinear" and not antialias):
            right(pixels)
            continue
        with pytest.raises(harness.Refused, match="to the last bit"):
            harness.check_op(pixels)
    right(
        case(lambda x: ops.image.resize(x, (4, 9), crop_to_aspect_ratio=True), (N, 9, 8, 3)),
        case(lambda x: ops.image.resize(x, (4, 9), pad_to_aspect_ratio=True, fill_value=2.0), (N, 9, 8, 3)),
        case(lambda x: ops.image.resize(x, (4, 9)), ((N, 9, 8, 3), "float16")),
    )


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: ops.linalg.eigh(x), "signs of eigenvectors"),
        (lambda x: ops.rot90(x[:, :3], 2, (1, 2)), "half a turn"),
        (lambda x: ops.view(x > 0, "int8"), "BitCast does not support bool"),
    ],
)
def test_what_has_no_form_is_refused_with_the_reason(function, reason):
    with pytest.raises(harness.Refused, match=reason):
        harness.check_op(case(function, (5, 4, 4)))
