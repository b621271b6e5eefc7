"""Integers as one-hot, multi-hot or count vectors, as in ``encode_categorical_inputs`` of Keras 3.15."""

from __future__ import annotations

import numpy as np

from ..emitter import Emitter
from ..graph import Tensor

ALIASES = {"binary": "multi_hot", "tf-idf": "tf_idf"}


def encoded(
    call: Emitter, x: Tensor, mode: str, depth: int, dtype: str, weights: Tensor | None = None
) -> Tensor:
    """``one_hot(x[..., N]) -> [..., N, depth]``, an N of 1 dropped; ``multi_hot`` and ``count`` reduce axis 1.

    A number that is not a category is ignored.
    """
    if mode == "int":
        return call.cast(x, dtype)
    if x.rank == 0:
        x = call.unsqueeze(x, 0)
    if mode == "one_hot":
        if x.rank > 1 and x.sizes[-1] == 1:
            x = call.squeeze(x, x.rank - 1)
        return call.cast(_matches(call, x, depth), dtype)
    axis = 1 if x.rank > 1 else 0
    # Bool has no kernels for sums and maxima, and float32 counts exactly up to 2**24.
    inner = dtype if dtype in ("float32", "float64", "int32", "int64") else "float32"
    places = call.cast(_matches(call, x, depth), inner)
    if weights is not None:
        places = call.op("Mul", places, call.cast(call.unsqueeze(weights, weights.rank), inner))
    found = call.reduce("ReduceMax" if mode == "multi_hot" else "ReduceSum", places, [axis])
    return call.cast(found, dtype)


def _matches(call: Emitter, x: Tensor, depth: int) -> Tensor:
    """``bool[..., depth]``. Not by OneHot, which reads -1 as the last category."""
    whole = call.cast(x, "int64")
    return call.op(
        "Equal", call.unsqueeze(whole, whole.rank), call.constant(np.arange(depth, dtype=np.int64))
    )
