"""Linear algebra, Fourier transforms, einops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.shapes.ops_classes import make
from tests.shapes.ops_harness import Case

N = None


def of(name: str, *takes: Any, **config: Any) -> Case:
    options = {k: config.pop(k) for k in ("declared", "runs", "values", "unknown_at") if k in config}
    return Case(f"{name} {config} {takes}", make(name, **config), takes, **options)


def positive(shape: tuple[int, ...]) -> Any:
    """Positive definite matrices."""
    data = np.random.default_rng(0).random(shape).astype("float32") * 0.1
    return (data + data.swapaxes(-1, -2)) / 2 + np.eye(shape[-1], dtype="float32") * 3


def linear() -> Iterator[Case]:
    fed = {"values": {0: positive}}
    for shape in ((4, 4), (N, 4, 4), (N, 2, 3, 3)):
        for name in ("Cholesky", "CholeskyInverse"):
            for upper in (False, True):
                yield of(
                    f"linalg.{name}", shape, upper=upper, **fed, runs=name == "Cholesky" or len(shape) == 2
                )
        for name in ("Inv", "Det", "Eigh"):
            yield of(f"linalg.{name}", shape, **fed)
        yield of("linalg.Eig", shape, **fed)
        yield of("math.Logdet", shape, **fed)
        yield of("numpy.Slogdet", shape, **fed, declared=len(shape) == 2)
    for shape in ((4, 6), (N, 6, 4), (N, 4, 4)):
        yield of("linalg.LuFactor", shape, runs=len(shape) == 2 and shape[0] == shape[1])
        for mode in ("reduced", "complete"):
            yield of("linalg.Qr", shape, mode=mode)
        for full, uv in itertools.product((True, False), (True, False)):
            yield of("linalg.SVD", shape, full_matrices=full, compute_uv=uv)
        yield of("linalg.Pinv", shape)
        yield of("linalg.MatrixRank", shape)
    for name, config in (("Solve", {}), ("SolveTriangular", {}), ("SolveTriangular", {"lower": True})):
        yield of(f"linalg.{name}", (4, 4), (4, 2), **config, **fed)
        yield of(f"linalg.{name}", (N, 4, 4), (N, 4, 2), **config, **fed)
        yield of(f"linalg.{name}", (4, 4), (4,), **config, **fed, runs=False)
    yield of("linalg.Lstsq", (5, 3), (5,))
    yield of("linalg.Lstsq", (5, 3), (5, 2))
    for a, b in (((4, 6), (3, 6)), ((N, 4, 6), (N, 3, 6)), ((N, 4, 6), (3, 6)), ((N, 4, 6), (1, 3, 6))):
        yield of("math.CDist", a, b)
    yield of("numpy.Corrcoef", (4, 4))
    yield of("numpy.Corrcoef", (4, 6), declared=False)
    for mode in ("valid", "same", "full"):
        yield of("numpy.Correlate", (7,), (4,), mode=mode)
        yield of("numpy.Correlate", (4,), (7,), mode=mode, runs=mode != "valid")
    yield of("numpy.Correlate", ((7,), "int64"), ((4,), "int32"), mode="full", runs=False)


def fourier() -> Iterator[Case]:
    for name, shape in itertools.product(("FFT", "FFT2", "IFFT2"), ((N, 4, 6), (8, 6))):
        yield Case(
            f"math.{name} {shape}", lambda a, b, name=name: make(f"math.{name}")((a, b)), (shape, shape)
        )
    for length in (None, 8, 5):
        yield of("math.RFFT", (N, 9), fft_length=length)
        yield of("math.RFFT", (N, N), fft_length=length)
        for last in (5, N):
            op = make("math.IRFFT", fft_length=length)
            yield Case(f"math.IRFFT {length} {last}", lambda a, b, op=op: op((a, b)), ((N, last), (N, last)))
    for center, stride in itertools.product((True, False), (2, 3)):
        sizes = {"sequence_length": 4, "sequence_stride": stride, "fft_length": 5, "center": center}
        yield of("math.STFT", (N, 20), **sizes)
        yield of("math.STFT", (N, N), **sizes)
        for length in (None, 12):
            op = make("math.ISTFT", **sizes, length=length)
            yield Case(
                f"math.ISTFT {sizes} {length}",
                lambda a, b, op=op: op((a, b)),
                ((N, 7, 3), (N, 7, 3)),
                runs=length is None,
            )
    yield of("math.ExtractSequences", (N, 9), sequence_length=4, sequence_stride=2)
    yield of("math.ExtractSequences", (N, N), sequence_length=4, sequence_stride=2)


def einops() -> Iterator[Case]:
    rearrange = make("einops.Rearrange")
    for pattern, sizes, shape in (
        ("b h w -> b w h", {}, (3, 4, 6)),
        ("b h w -> (b h) w", {}, (3, 4, 6)),
        ("b h w -> b (h w)", {}, (3, 4, 6)),
        ("b (h k) w -> b h k w", {"h": 2}, (3, 4, 6)),
        ("b (h k) w -> b k (h w)", {"k": 2}, (3, 4, 6)),
        ("b h w c -> b c h w", {}, (2, 4, 6, 3)),
        ("b t (h d) -> b h t d", {"h": 2, "d": 3}, (5, 4, 6)),
    ):
        yield Case(
            f"einops.Rearrange {pattern} {shape}",
            lambda x, p=pattern, s=sizes: rearrange(x, p, **s),
            (shape,),
        )


CASES = [*linear(), *fourier(), *einops()]
