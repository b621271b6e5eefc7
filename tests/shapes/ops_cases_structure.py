"""Ops that reduce, reshape, transpose, join, split, repeat, contract and index."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from rewriter.shapes.ops.reductions import REDUCTIONS
from tests.shapes.ops_classes import make
from tests.shapes.ops_harness import Case

N = None
X = (N, 4, 6)
INTS = np.array([0, 2], "int32")


def of(name: str, *takes: Any, label: str = "", **config: Any) -> Case:
    """A case of one op by its class and configuration, called on its operands in order."""
    options = {k: config.pop(k) for k in ("declared", "runs", "values", "dtype", "unknown_at") if k in config}
    return Case(f"{name} {label} {config} {takes}", make(name, **config), takes, **options)


SLOW = ("Nanmedian", "Nanpercentile", "Nanquantile")


def reductions() -> Iterator[Case]:
    one_axis = ("Argmax", "Argmin", "Nanargmax", "Nanargmin")
    for (family, _), names in REDUCTIONS.items():
        for name in names.split():
            full = f"{family}.{name}"
            keeps: tuple[dict[str, Any], ...] = ({},) if name == "CountNonzero" else ({}, {"keepdims": True})
            axes: tuple[Any, ...] = (None, 0, 1, -1)
            if name not in one_axis:
                axes += ((0, 2), [1, 2], (-1, 1))
            if name == "Norm":
                axes = (None, 0, 1, -1, (0, 2), (-1, 1))
            for axis, keep in itertools.product(axes, keeps):
                flat = (N, 5)
                runs = name not in SLOW or axis == 1
                yield of(full, flat if name == "Norm" and axis is None else X, axis=axis, runs=runs, **keep)
            yield of(full, (N, N, 3, N), axis=2, runs=name not in SLOW)
            if name in ("Sum", "Prod", "Mean", "Max", "Std", "Var"):
                for dtype in ("float16", "int32", "int64", "uint8", "bool", "int8"):
                    yield of(full, (X, dtype), axis=1, runs=False)
            else:
                for dtype in ("float16", "int32", "int64"):
                    yield of(full, (X, dtype), axis=1, runs=False)
    yield Case("numpy.Prod dtype", make("numpy.Prod", axis=1, dtype="float64"), (X,))
    for ord_ in (1, 2, "fro", "nuc"):
        yield of("linalg.Norm", (N, 4, 6), ord=ord_, axis=(1, 2))
    for name in ("Percentile", "Quantile", "Nanpercentile", "Nanquantile"):
        for axis, keep in itertools.product((None, 1, -1, (0, 2)), (False, True)):
            if name.startswith("Nan") and isinstance(axis, tuple):
                axis = (1, 2)
            op, runs = make(f"numpy.{name}", axis=axis, keepdims=keep), name not in SLOW or axis == 1
            for q in (0.5, [0.2, 0.5], np.array([0.2], "float32")):
                yield Case(f"numpy.{name} {axis} {keep} {q}", lambda x, op=op, q=q: op(x, q), (X,), runs=runs)
        yield of(f"numpy.{name}", (X, "int32"), (), axis=1, runs=False)
    weights = np.ones(4, "float32")
    for axis in (None, 0, 1, -1):
        yield of("numpy.Average", X, axis=axis)
        yield Case(f"numpy.Average whole {axis}", make("numpy.Average", axis=axis), (X, X))
    yield Case("numpy.Average w", lambda x: make("numpy.Average", axis=1)(x, weights=weights), (X,))
    yield Case(
        "numpy.Average w int",
        lambda x: make("numpy.Average", axis=1)(x, weights),
        ((X, "int32"),),
        runs=False,
    )
    for axes, keep in itertools.product(([0], [1, 2], (-1,)), (False, True)):
        yield of("nn.Moments", X, axes=axes, keepdims=keep)
    for axis in (0, 1, -1):
        yield of("numpy.Trapezoid", X, axis=axis)
    for one, two in ((0, 1), (1, 2), (-1, 0)):
        yield of("numpy.Trace", (N, 4, 4), axis1=one, axis2=two)
    yield of("numpy.Trace", ((N, 4, 4), "int8"), axis1=1, axis2=2, runs=False)
    yield of("numpy.Size", X)


def reshaping() -> Iterator[Case]:
    for shape in (
        (-1,),
        (-1, 24),
        (-1, 6, 4),
        (-1, 1, 4, 6, 1),
        (-1, 2, 12),
        (-1, 4, 2, 3),
        (2, -1),
        [3, -1, 2],
    ):
        yield of("numpy.Reshape", X, newshape=shape)
    yield of("numpy.Reshape", (4, 6), newshape=(3, 8))
    yield of("numpy.Reshape", (4, 6), newshape=(2, -1, 3))
    yield of("numpy.Reshape", X, newshape=(N, 24), runs=False)
    yield of("numpy.Reshape", (N, N, 6), newshape=(-1, 3, 2))
    yield of("numpy.Reshape", (), newshape=(1, 1))
    yield of("numpy.Reshape", (1, 1), newshape=())
    for takes in (X, (4, 6), (N, N), ()):
        yield of("numpy.Ravel", takes)
    for axis in (0, 1, -1, 3, (0, -1), [1, 2], -4):
        yield of("numpy.ExpandDims", X, axis=axis)
    yield of("numpy.Squeeze", (N, 1, 4, 1))
    for axis in (1, -1, (1, 3), [-1]):
        yield of("numpy.Squeeze", (N, 1, 4, 1), axis=axis)
    yield of("numpy.BroadcastTo", (3, 1), shape=(2, 3, 4))
    yield of("numpy.BroadcastTo", (4,), shape=[3, 4])
    yield of("numpy.BroadcastTo", (1, N, 4), shape=[2, 5, 4], runs=False)
    for dtype in (None, "int32", "float16", "int8"):
        yield Case(f"numpy.View {dtype}", make("numpy.View", dtype=dtype), (X,))
    yield Case("numpy.View wider", make("numpy.View", dtype="float64"), (X,))
    for k in (0, 2, -1):
        yield of("numpy.Diagflat", (2, 3), k=k)
        yield of("numpy.Diagflat", (N, 3), k=k)
        yield of("numpy.Diag", (4,), k=k)
        yield of("numpy.Diag", (N,), k=k)
        yield of("numpy.Diag", (4, 6), k=k)
        yield of("numpy.Diagonal", (4, 6, N), offset=k)
        yield of("numpy.Diagonal", (N, 3, 5), offset=k, axis1=-1, axis2=1)
    yield of("numpy.Diagonal", (N, 3, 5), unknown_at=(1,))
    yield of("math.ViewAsComplex", (N, 4, 2), runs=False)
    yield of("math.ViewAsReal", ((N, 4), "complex64"), values={0: lambda s: np.ones(s, "complex64")})


def transposing() -> Iterator[Case]:
    yield of("numpy.Transpose", X)
    for axes in ((0, 2, 1), [2, 1, 0], (-1, 0, 1)):
        yield of("numpy.Transpose", X, axes=axes)
    for one, two in ((0, 1), (1, -1), (2, 2)):
        yield of("numpy.Swapaxes", X, axis1=one, axis2=two)
    for source, target in ((0, -1), (-1, 1), ((0, 1), (1, 2)), ([2], [0]), ((0, -1), (-1, 0))):
        yield of("numpy.Moveaxis", (N, 4, 6, 3), source=source, destination=target)
    for axes in ((0, 1), (1, 2), (-1, 0)):
        yield of("numpy.Rot90", X, axes=axes)
        yield of("numpy.Rot90", X, axes=axes, k=3)
        yield of("numpy.Rot90", X, axes=axes, k=2, declared=False)
    for axis in (None, 0, -1, (1, 2)):
        yield of("numpy.Flip", X, axis=axis)
    for shift, axis in ((1, None), (2, 1), ((1, 2), (0, -1))):
        yield of("numpy.Roll", X, shift=shift, axis=axis)
    for name in ("Fliplr", "Flipud"):
        yield of(f"numpy.{name}", X)
    for name, k in itertools.product(("Tril", "Triu"), (0, 1)):
        yield of(f"numpy.{name}", X, k=k)


def joining() -> Iterator[Case]:
    for axis in (0, 1, 2, -1, -3):
        op = make("numpy.Concatenate", axis=axis)
        yield Case(f"numpy.Concatenate {axis}", lambda *x, op=op: op(list(x)), (X, X))
        yield Case(f"numpy.Concatenate {axis} 3", lambda *x, op=op: op(x), (X, (X, "int32"), X))
        stack = make("numpy.Stack", axis=axis)
        yield Case(f"numpy.Stack {axis}", lambda *x, op=stack: op(list(x)), (X, X, X))
    yield Case("numpy.Stack -4", lambda *x: make("numpy.Stack", axis=-4)(list(x)), (X, X))
    cat = make("numpy.Concatenate", axis=1)
    yield Case("numpy.Concatenate literal", lambda x: cat([x, np.ones((3, 2, 6), "float32")]), ((3, 4, 6),))
    yield Case("numpy.Concatenate free", lambda *x: cat(list(x)), ((N, N, 6), (N, 4, 6)))
    for axis in (None, 0, 1, -1):
        if axis == 0:
            yield of("numpy.Append", (2, 6), (3, 6), axis=0)
        else:
            yield of("numpy.Append", X, X, axis=axis)
    yield of("numpy.Append", ((2, 6), "int32"), (3, 2))
    for name, takes in (
        ("Hstack", (X, (N, 2, 6))),
        ("Vstack", ((2, 6), (3, 6))),
        ("Vstack", (X, X)),
        ("Dstack", (X, (N, 4, 2))),
        ("Dstack", ((N, 4), (N, 4))),
        ("Dstack", ((4,), (4,))),
    ):
        yield Case(f"numpy.{name} {takes}", lambda *x, name=name: make(f"numpy.{name}")(list(x)), takes)
    yield Case("numpy.Vstack vectors", lambda *x: make("numpy.Vstack")(list(x)), ((4,), (4,)))
    yield of("numpy.Split", X, indices_or_sections=2, axis=1)
    yield of("numpy.Split", X, indices_or_sections=3, axis=-1)
    yield of("numpy.Split", X, indices_or_sections=1, axis=0)
    yield of("numpy.Split", (N, N), indices_or_sections=2, axis=1, runs=False)
    yield of("numpy.Split", X, indices_or_sections=(1, 3), axis=1)
    yield of("numpy.Split", (N, N), indices_or_sections=[1, 3], axis=1)
    yield of("numpy.Hsplit", X, indices_or_sections=2)
    yield of("numpy.Hsplit", (4,), indices_or_sections=2)
    yield of("numpy.Vsplit", (4, 3), indices_or_sections=(1, 2))
    yield of("numpy.Dsplit", X, indices_or_sections=3)
    for axis in (1, -1):
        yield of("numpy.ArraySplit", X, indices_or_sections=4, axis=axis)
        yield of("numpy.ArraySplit", (N, N), indices_or_sections=3, axis=axis)
    for axis in (1, -1):
        yield of("core.Unstack", X, axis=axis)
    yield of("core.Unstack", (3, N), num=3)


def repeating() -> Iterator[Case]:
    for width in (0, 2, (1, 2), ((1, 2),), [[0, 0], [1, 1], [2, 0]], [(1,), (0,), (2,)]):
        # A single pair passes the declaration and fails on the TensorFlow backend.
        yield of("numpy.Pad", X, pad_width=width, runs=isinstance(width, list))
    yield of("numpy.Pad", X, pad_width=((0, 0), (1, 1), (1, 1)), mode="reflect")
    for counts in (2, (2,), (1, 2, 1), [2, 1, 1, 3], (1, 1)):
        yield of("numpy.Tile", X, repeats=counts)
    for counts, axis in ((2, None), (3, 1), (2, -1), ([1, 2, 3, 0], 1), ([2], 2)):
        yield of("numpy.Repeat", X, repeats=counts, axis=axis)
    yield of("numpy.Repeat", (2, 2), repeats=[1, 0, 2, 3])
    yield of("numpy.Repeat", X, repeats=2, axis=0)


def contractions() -> Iterator[Case]:
    for a, b in (
        ((N, 4, 6), (N, 6, 3)),
        ((N, 4, 6), (6, 3)),
        ((6,), (N, 6, 3)),
        ((N, 4, 6), (6,)),
        ((6,), (6,)),
        ((N, 1, 4, 6), (N, 5, 6, 3)),
        ((N, N, 6), (N, 6, N)),
    ):
        yield of("numpy.Matmul", a, b)
    yield of("numpy.Matmul", ((4, 6), "int8"), ((6, 3), "int8"), runs=False)
    yield of("numpy.Matmul", ((4, 6), "int8"), ((6, 3), "float16"), runs=False)
    for a, b in (
        ((4, 6), (6, 3)),
        ((N, 4, 6), (6,)),
        ((6,), (6,)),
        ((N, 4, 6), (2, 6, 3)),
        ((), (N, 4)),
        ((N, 4), ()),
    ):
        yield of("numpy.Dot", a, b)
    for a, b in (((4, 6), (3, 6)), ((N, 4, 6), (6,)), ((6,), (6,)), ((), (N, 4)), ((N, 4), ())):
        yield of("numpy.Inner", a, b)
    yield of("numpy.Vdot", (4, 6), (4, 6))
    yield of("numpy.Vdot", (6,), (6,))
    for a, b in (((4,), (3,)), ((N, 4), (3,)), ((2, 3), (4, 5))):
        yield of("numpy.Outer", a, b)
    yield Case("numpy.Outer number", lambda x: make("numpy.Outer")(x, 2.0), ((4,),))
    yield of("numpy.Kron", (2, 3), (4, 5))
    yield of("numpy.Kron", (N, 3), (4, 5))
    for a, b in (((N, 3), (N, 3)), ((N, 3), (3,)), ((N, 2), (N, 3))):
        yield of("numpy.Cross", a, b)
    yield of("numpy.Cross", (N, 2), (N, 2))
    yield of("numpy.Cross", (3, N, 4), (3, N, 4), axis=0)
    yield of("numpy.Cross", (3, 5, 4), (5, 4, 3), axisa=0, axisc=1)
    for axes, a, b in (
        (1, (N, 4, 6), (6, 3)),
        (2, (N, 4, 6), (4, 6, 3)),
        (0, (N, 4), (3, 2)),
        (((1,), (0,)), (N, 4, 6), (4, 3)),
        (((1, -1), (1, 0)), (N, 4, 6), (6, 4, 3)),
    ):
        yield of("numpy.Tensordot", a, b, axes=axes)
    for text, *takes in (
        ("bij,bjk->bik", X, (N, 6, 3)),
        ("bij,bjk", X, (N, 6, 3)),
        ("ij,jk", (4, 6), (6, 3)),
        ("bij->bji", X),
        ("bij->b", X),
        ("bij->", X),
        ("...ij,jk->...ik", (N, 2, 4, 6), (6, 3)),
        ("...i,...i->...", X, X),
        ("b...c,c->b...", X, (6,)),
        ("...a,ab->...b", (N, N, 6), (6, 3)),
        ("bqhd,bkhd->bhqk", (N, 5, 2, 3), (N, 7, 2, 3)),
        ("bhw,bhw,hw->bh", X, X, (4, 6)),
        ("ij,kl->ijkl", (4, 6), (2, 3)),
    ):
        yield Case(f"numpy.Einsum {text}", make("numpy.Einsum", text), tuple(takes))
    yield Case(
        "numpy.Einsum int8",
        make("numpy.Einsum", "ij,jk->ik"),
        (((4, 6), "int8"), ((6, 3), "int8")),
        runs=False,
    )


def indexing() -> Iterator[Case]:
    keys: tuple[Any, ...] = (
        0, -1, (slice(None),), (slice(1, 4),), (slice(None), 0), (slice(None), slice(1, 3)), (Ellipsis, 2),
        (Ellipsis, None),
        (slice(None), None, slice(None, None, 2)), (None, Ellipsis, slice(-2, None)),
        (slice(None), slice(None, None, -1)),
        (slice(None), slice(3, 0, -2), -1), (slice(None), slice(2, 100)), (0, 1, 2), (Ellipsis,),
        (slice(None), slice(-100, 2)),
    )  # fmt: skip
    for key in keys:
        lost = (0,) if key == (slice(1, 4),) else ()
        yield Case(f"numpy.GetItem {key}", lambda x, key=key: x[key], (X,), unknown_at=lost)
    free: tuple[tuple[Any, tuple[int, ...]], ...] = (
        (slice(1, None), ()), (slice(None, -1), ()), (slice(1, -1), ()), (slice(None, None, 2), ()),
        (slice(1, None, 2), ()), (slice(None, None, -1), ()), (slice(-1, None), ()), (slice(None, 1), ()),
        (slice(None, 3), (1,)), (slice(-3, None), (1,)), (slice(None, None, -2), ()), (slice(None, 0, -1), ()),
        (slice(-2, None, -1), ()), (slice(0, 1), ()), (slice(None, -2, 3), ()), (slice(-3, -1), (1,)),
        (slice(0, 0), ()), (slice(None, -3, -1), (1,)), (slice(None, -2, -1), ()), (slice(None, 2, -2), ()),
        (slice(3, None, -1), (1,)), (slice(-4, None, -1), ()), (slice(0, None, -1), ()), (slice(2, -2), ()),
    )  # fmt: skip
    for key, unknown_at in free:
        yield Case(
            f"numpy.GetItem free {key}",
            lambda x, key=key: x[:, key],
            ((N, N),),
            declared=False,
            unknown_at=unknown_at,
        )
    for axis in (None, 0, 1, -1):
        for indices in ([0, 2], INTS, 1, [[0, 1], [1, 0]]):
            runs = axis != 0 or indices is INTS
            op = make("numpy.Take", axis=axis)
            takes = ((4, 4, 6),) if axis == 0 else (X,)
            yield Case(f"numpy.Take {axis} {indices}", lambda x, op=op, i=indices: op(x, i), takes, runs=runs)
        yield of("numpy.Take", X, ((N, 5), "int32"), axis=axis, runs=axis is not None and axis != 0)
    for axis in (1, -1):
        yield of("numpy.TakeAlongAxis", X, ((N, 4, 6), "int32"), axis=axis)
    yield of("numpy.TakeAlongAxis", X, ((N, 2, 6), "int32"), axis=1)
    yield of("numpy.TakeAlongAxis", X, ((N, 1, 3), "int32"), axis=-1)
    yield of("numpy.TakeAlongAxis", (4, 6), ((5,), "int32"))
    for start, shape in (((0, 1, 1), (2, 2, 3)), ((0, 1, 2), (-1, -1, -1)), ((1, 0, 0), (1, 4, 6))):
        op = make("core.Slice", shape)
        yield Case(f"core.Slice {start} {shape}", lambda x, op=op, s=start: op(x, s), ((4, 4, 6),))
    yield Case("core.Slice free", lambda x: make("core.Slice", (-1, 2, 3))(x, (0, 1, 2)), (X,))
    yield Case(
        "core.Slice tensor",
        make("core.Slice", (2, 2)),
        ((4, 6), ((2,), "int32")),
        values={1: lambda s: np.zeros(s, "int32")},
    )
    update = make("core.SliceUpdate")
    yield Case("core.SliceUpdate", lambda x, u: update(x, (0, 1, 1), u), ((4, 4, 6), (2, 2, 3)))
    scatter = make("core.ScatterUpdate")
    yield Case("core.ScatterUpdate", lambda x, u: scatter(x, [[0, 1], [1, 0]], u), ((4, 6), (2,)))
    for reduction in ("add", "max"):
        op = make("core.ScatterUpdate", reduction)
        yield Case(f"core.ScatterUpdate {reduction}", lambda x, u, op=op: op(x, [[0, 1]], u), ((4, 6), (1,)))
    yield Case(
        "core.Scatter",
        lambda i, v: make("core.Scatter", (4, 5))(i, v),
        (((3, 2), "int32"), (3,)),
    )
    yield of("numpy.UnravelIndex", ((N, 2), "int32"), shape=(4, 5))
    rising = {0: lambda s: np.linspace(0.1, 0.9, s[0], dtype="float32")}
    yield of("numpy.SearchSorted", (5,), (4,), values=rising)
    yield of("numpy.SearchSorted", (N,), (N, 3), side="right", values=rising, runs=False)
    yield Case("numpy.Digitize", lambda x: make("numpy.Digitize")(x, np.array([0.1, 0.5], "float32")), (X,))
    yield of("numpy.IsIn", X, (3,))
    yield of("math.InTopK", ((N,), "int32"), (N, 5), k=2)
    for name in ("SegmentSum", "SegmentMax", "SegmentMin", "SegmentProd"):
        op = make(f"math.{name}", num_segments=3)
        yield Case(
            f"math.{name}", op, ((5, 4), ((5,), "int32")), values={1: lambda s: np.array([0, 0, 1, 2, 2])}
        )
        yield of(f"math.{name}", (5, 4), ((5,), "int32"), unknown_at=(0,))


def sorting() -> Iterator[Case]:
    for name, axis in itertools.product(("Sort", "Argsort"), (0, 1, -1, None)):
        yield of(f"numpy.{name}", X, axis=axis)
    for axis in (1, -1, None):
        yield of("numpy.Argpartition", X, kth=2, axis=axis, runs=axis is None)
    yield of("numpy.Argpartition", (6,), kth=2)
    for name, axis in itertools.product(("Cumsum", "Cumprod", "Nancumsum", "Nancumprod"), (None, 0, 1, -1)):
        yield of(f"numpy.{name}", X, axis=axis)
        yield of(f"numpy.{name}", (X, "bool"), axis=axis, runs=False)
        yield Case(f"numpy.{name} dtype", make(f"numpy.{name}", axis=axis, dtype="float64"), (X,), runs=False)
    for k, order in itertools.product((1, 3), (True, False)):
        yield of("math.TopK", X, k=k, sorted=order)
    yield of("math.TopK", (N, N), k=2)
    for n, axis in itertools.product((1, 2), (0, 1, -1)):
        yield of("numpy.Diff", X, n=n, axis=axis)
    yield of("numpy.Diff", X, n=9, axis=1)


CASES = [
    *reductions(), *reshaping(), *transposing(), *joining(), *repeating(), *contractions(), *indexing(), *sorting(),
]  # fmt: skip
