"""Elementwise ops: every class with every dtype, and the kinds of broadcasts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rewriter.shapes.ops.elementwise import BINARY, UNARY
from tests.shapes.ops_classes import make
from tests.shapes.ops_harness import Case

DTYPES = ("float32", "float16", "bfloat16", "int32", "int64", "uint8", "int8", "bool")
COMMON = ("float32", "int32", "int64")
PAIRS = (
    ("float32", "float32"),
    ("int32", "float32"),
    ("int64", "int32"),
    ("bool", "int8"),
    ("float16", "bfloat16"),
)
N = None
IMAGE = (N, 3, 5)
CONFIG: dict[str, dict[str, Any]] = {
    "Clip": {"x_min": 0, "x_max": 1},
    "Threshold": {"threshold": 0.5, "default_value": 0.0},
    "Round": {"decimals": 1},
    "LeakyRelu": {"negative_slope": 0.1},
    "ReLU": {"negative_slope": 0.1, "max_value": 0.5},
}
INTEGER_ONLY = [
    "BitwiseInvert",
    "BitwiseNot",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "BitwiseLeftShift",
    "LeftShift",
    "BitwiseRightShift",
    "RightShift",
    "Gcd",
    "Lcm",
]
FIRST_OPERAND_ONLY = [
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "BitwiseLeftShift",
    "LeftShift",
    "BitwiseRightShift",
    "RightShift",
]
NO_NUMBERS = ["BitwiseAnd", "BitwiseOr", "BitwiseXor", "Heaviside", "Hypot"]


def unary() -> Iterator[Case]:
    for (family, _), names in UNARY.items():
        for name in names.split():
            op = make(f"{family}.{name}", **CONFIG.get(name, {}))
            for dtype in DTYPES:
                wanted = "int32" if name in INTEGER_ONLY else "float32"
                for shape in (IMAGE, (N, N), (4,), ()) if dtype == wanted else (IMAGE,):
                    yield Case(
                        f"{family}.{name} {dtype} {shape}",
                        op,
                        ((shape, dtype),),
                        runs=dtype == wanted,
                        slow=dtype not in COMMON,
                    )


# On the TensorFlow backend (1, 3) + (n, 1) gives (1, 3) if n is 3: the column is treated as a bias.
SHAPES_LOST_IN_TENSORFLOW = {("Add", (1, 3))}

MEETINGS = (
    ((N, 3, 5), (N, 3, 5)),
    ((N, 3, 5), (5,)),
    ((N, 3, 5), (3, 1)),
    ((N, 1, 5), (N, 3, 1)),
    ((5,), (N, 3, 5)),
    ((N, N, 5), (N, N, 1)),
    ((1, 3), (N, 1)),
    ((), (N, 2)),
    ((N, 3), (1,)),
)


def binary() -> Iterator[Case]:
    for names in (*BINARY.values(), "Multiply", "AllClose"):
        for name in names.split():
            full = f"numpy.{name}"
            dtype = "int32" if name in INTEGER_ONLY else "float32"
            op = make(full)
            for a, b in MEETINGS:
                alike = name not in FIRST_OPERAND_ONLY or a == b
                runs = name != "Ldexp" and (name, a) not in SHAPES_LOST_IN_TENSORFLOW
                yield Case(f"{full} {a} {b}", op, ((a, dtype), (b, dtype)), declared=alike, runs=runs)
            for one, two in PAIRS:
                yield Case(
                    f"{full} {one} {two}", op, ((IMAGE, one), (IMAGE, two)), runs=False, slow=one == two
                )
            if name not in NO_NUMBERS:
                yield from numbers(full, dtype, name != "Ldexp")
    yield Case("numpy.Ldexp", make("numpy.Ldexp"), ((N, 3, 5), ((N, 1, 5), "int32")))


def numbers(full: str, dtype: str, runs: bool) -> Iterator[Case]:
    """A Python number or a literal array on either side."""
    op = make(full)
    array = np.ones((5,), dtype)
    yield Case(f"{full} array", lambda x: op(x, array), ((IMAGE, dtype),), runs=runs)
    yield Case(f"{full} array grown", lambda x: op(x, np.ones((1, 5), dtype)), (((N, 5), dtype),), runs=runs)
    yield Case(f"{full} int", lambda x: op(x, 2), ((IMAGE, dtype),))
    if dtype == "float32":
        yield Case(f"{full} float", lambda x: op(x, 2.5), ((IMAGE, dtype),), runs=runs)
        yield Case(f"{full} float on int", lambda x: op(x, 2.5), ((IMAGE, "int32"),), runs=False)
        yield Case(f"{full} int first", lambda x: op(2, x), ((IMAGE, dtype),), runs=runs)
        yield Case(f"{full} float first", lambda x: op(2.5, x), ((IMAGE, "float16"),), runs=False)
        yield Case(f"{full} bool", lambda x: op(x, True), ((IMAGE, "int32"),), runs=False)


def others() -> Iterator[Case]:
    where, select = make("numpy.Where"), make("numpy.Select")
    mask = (IMAGE, "bool")
    yield Case("numpy.Where", where, (mask, IMAGE, IMAGE))
    yield Case("numpy.Where broadcast", where, (((N, 1, 1), "bool"), (3, 1), (N, 3, 5)))
    yield Case("numpy.Where numbers", lambda c: where(c, 1, 0.0), (mask,))
    yield Case("numpy.Where ints", lambda c, x: where(c, x, 2), (mask, (IMAGE, "int8")), runs=False)
    yield Case("numpy.Select", lambda c, x: select([c, c], [x, x], 0.0), (mask, IMAGE))
    yield Case("numpy.Select kwargs", lambda c, x: select(condlist=[c], choicelist=[x]), (mask, IMAGE))
    for name in ("Array", "EmptyLike", "OnesLike", "ZerosLike", "FullLike"):
        rest = (2,) if name == "FullLike" else ()
        for dtype in (None, "int32", "float16"):
            op = make(f"numpy.{name}", dtype=dtype)
            yield Case(f"numpy.{name} {dtype}", lambda x, op=op, rest=rest: op(x, *rest), (IMAGE,))
            yield Case(
                f"numpy.{name} {dtype} b", lambda x, op=op, rest=rest: op(x, *rest), (((N, N), "bool"),)
            )
    for name in ("Cast", "SaturateCast"):
        for dtype in ("int32", "float16", "bool"):
            yield Case(f"core.{name} {dtype}", make(f"core.{name}", dtype), (IMAGE,))
    for dtype in (None, "float64"):
        yield Case(f"core.ConvertToTensor {dtype}", make("core.ConvertToTensor", dtype), (IMAGE,))
    yield Case(
        "numpy.Isclose tolerances", lambda a, b: make("numpy.Isclose", True)(a, b, 1e-3, 1e-4), (IMAGE, (5,))
    )


CASES = [*unary(), *binary(), *others()]
