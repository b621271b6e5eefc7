"""Shared parts of the comparisons of a written model with its original: inputs, tolerance, messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .tolerance import compare

if TYPE_CHECKING:
    from .keras.inputs import Inputs

MOST = 2 << 30  # bytes for the tensors of the batches
_CLOSE = 1e-4  # of the largest value, in float32


def on_random_inputs(
    inputs: Inputs, batch: int, first: bool, run: Callable[[list[Any]], list[Any]]
) -> tuple[list[Any], list[Any]]:
    """Random inputs of a batch, and the outputs of ``run`` on them. Raises the errors of ``run``.

    Args:
        first: whether this batch finds the size of open axes, which later batches use.
    """
    from .keras.inputs import FREE_SIZES

    sizes = FREE_SIZES if inputs.free and first else (inputs.size,)
    for size in sizes:
        inputs.size = size
        arrays = inputs.batch(list(range(batch)))
        try:
            return arrays, run(arrays)
        except Exception:
            if size == sizes[-1]:
                raise
    raise AssertionError("there is no size to try")


def furthest(outputs: Iterable[tuple[str, Any, Any]], dtype: str, allowed: float = 0.0) -> tuple[float, str]:
    """The largest difference of outputs, relative to the largest value, and a message for the first that is off, or "".

    Args:
        outputs: the name, the actual and the desired value of each.
        dtype: the coarsest one in the computation of the values.
        allowed: the part of the largest value that floats may be off by for another reason than rounding of ``dtype``.
    """
    import numpy as np

    largest = 0.0
    for name, actual, desired in outputs:
        gap = compare(actual, desired, dtype)
        limit = max(
            _CLOSE if dtype == "float32" else 0.0, allowed if np.asarray(desired).dtype.kind in "fc" else 0.0
        )
        if not gap.fits and (gap.difference > limit or gap.shape):
            text = f", and {allowed:g} is allowed" if allowed else ""
            return gap.difference, f"{name} is off by {gap.text()}{text}"
        largest = max(largest, gap.difference)
    return largest, ""


def turned(array: Any, lies_first: bool, first: bool) -> Any:
    """An array with its channels moved from the last axis to axis 1 (``first``) or back, if ``lies_first``."""
    import numpy as np

    if not lies_first:
        return array
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if first else np.moveaxis(array, 1, -1)
