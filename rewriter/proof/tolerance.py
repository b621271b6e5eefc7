"""How far apart two arrays are, and how far they may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# dtype -> (relative to each value, relative to the largest value). Other dtypes are compared exactly.
TOLERANCES: dict[str, tuple[float, float]] = {
    "float64": (1e-9, 1e-10),
    "complex128": (1e-9, 1e-10),
    "float32": (1e-4, 1e-5),
    "complex64": (1e-4, 1e-5),
    "float16": (1e-2, 1e-2),
    "bfloat16": (1e-2, 1e-2),
}
_COARSEST_FIRST = ("bfloat16", "float16", "float32", "complex64", "float64", "complex128")


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference of two arrays, relative to the largest desired value, and whether it is allowed.

    ``shape`` is set if the shapes differ, or other values are not finite. ``only`` is the value of all desired elements
    if they are equal: then agreement shows little.
    """

    difference: float
    fits: bool
    only: Any = None
    shape: str = ""

    def text(self) -> str:
        return self.shape or f"{self.difference:.2g} of the largest value"


def coarsest(dtypes: list[str]) -> str:
    """The dtype of the least precision among ``dtypes``; "" if none of them is floating or complex."""
    return next((name for name in _COARSEST_FIRST if name in dtypes), "")


def are_rounded(gaps: Iterable[Gap | None]) -> bool:
    """True if the operands of an operation differ, even only by rounding: near a pole it enlarges that."""
    return any(gap is not None and gap.difference for gap in gaps)


def compare(actual: Any, desired: Any, dtype: str) -> Gap:
    """``compare(actual[S], desired[S])``: an element may be off by ``rtol * |desired element| + atol * max |desired|``.

    rtol and atol are 1e-4 and 1e-5 in float32, 1e-9 and 1e-10 in float64, 1e-2 and 1e-2 in float16 and bfloat16;
    whole numbers and booleans are compared exactly. Values that are not finite have to be equal on both sides.

    Args:
        dtype: the coarsest one in the computation of the values; it can be coarser than their own.
    """
    import numpy as np

    actual, desired = np.asarray(actual), np.asarray(desired)
    if actual.shape != desired.shape:
        return Gap(np.inf, False, None, f"its shape is {actual.shape}, not {desired.shape}")
    if not desired.size:
        return Gap(0.0, True, 0.0)
    names = [str(actual.dtype), str(desired.dtype), dtype]
    known = coarsest(names)
    rounded = coarsest(names[:2]) and known
    first = desired.flat[0]
    only = first.item() if (desired == first).all() else None
    if not rounded:
        same = actual == desired
        return Gap(float((~same).mean()), bool(same.all()), only)
    wide = np.complex128 if "complex" in str(desired.dtype) else np.float64
    actual, desired = actual.astype(wide), desired.astype(wide)
    finite = np.isfinite(desired)
    if not (
        np.array_equal(actual[~finite], desired[~finite], equal_nan=True)
        and np.isfinite(actual[finite]).all()
    ):
        return Gap(np.inf, False, only, "it is not finite in other places")
    if not finite.any():
        return Gap(0.0, True, 0.0)
    off, size = np.abs(actual - desired)[finite], np.abs(desired)[finite]
    relative, absolute = TOLERANCES[known]
    scale = float(size.max())
    worst = float(off.max())
    fits = bool((off <= relative * size + absolute * scale).all())
    return Gap(worst / scale if scale else worst, fits, only)
