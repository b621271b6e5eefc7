"""One model of many ops on the same inputs: compare each in ONNX Runtime with Keras, and name those that differ."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pytest

from tests.export import harness

NUMBERS = [
    0.0,
    -0.0,
    1,
    -1,
    0.5,
    -0.5,
    2,
    -3,
    1e-6,
    -1e-6,
    10,
    -10,
    25,
    -30,
    1.5,
    2.5,
    -2.5,
    0.999,
    -0.999,
    5,
]
_SIZES = (12, 7)


def numbers(shape: Sequence[int], dtype: str, seed: int) -> Any:
    """Numbers of every kind in random order: both zeros, tiny and large ones, halves; integers of both signs."""
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        edges = rng.permutation(np.resize(NUMBERS, int(np.prod(shape)))).reshape(shape)
        return np.where(rng.random(shape) < 0.3, rng.normal(0, 2, shape), edges).astype(dtype)
    if dtype == "bool":
        return rng.random(shape) > 0.5
    return rng.integers(0 if dtype.startswith("u") else -9, 10, shape).astype(dtype)


def agree(
    ops: Mapping[str, Callable[..., Any]],
    *takes: tuple[tuple[int | None, ...], str],
    tolerance: float | None = None,
    feeds: Sequence[Sequence[Any]] | None = None,
    **options: Any,
) -> None:
    """Every op on the same inputs, whose first axis is open, equals Keras at two sizes of it."""
    inputs = [keras.Input(batch_shape=s, dtype=d, name=f"x{n}") for n, (s, d) in enumerate(takes)]
    results = {name: keras.tree.flatten(op(*inputs)) for name, op in ops.items()}
    labels = [name for name, outputs in results.items() for _ in outputs]
    model = keras.Model(inputs, [y for outputs in results.values() for y in outputs])
    if feeds is None:
        feeds = [
            [numbers([size if n is None else n for n in s], d, size + i) for i, (s, d) in enumerate(takes)]
            for size in _SIZES
        ]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        _, path = harness.exported(model, folder, **options)
        run = harness.session(path)
        for arrays in feeds:
            wanted = model([keras.ops.convert_to_tensor(a) for a in arrays])
            got = run.run(None, dict(zip(harness.input_names(model), arrays, strict=True)))
            for name, ours, theirs in zip(labels, got, keras.tree.flatten(wanted), strict=True):
                try:
                    harness.same(ours, np.asarray(theirs), tolerance)
                except AssertionError as error:
                    wrong.append(f"{name}: {' '.join(str(error).split())[:200]}")
    assert not wrong, wrong


def refused(
    op: Callable[..., Any], *takes: tuple[tuple[int | None, ...], str], reason: str, **options: Any
) -> None:
    """The op has no ONNX form, for a stated reason."""
    inputs = [keras.Input(batch_shape=s, dtype=d) for s, d in takes]
    model = keras.Model(inputs, op(*inputs))
    with tempfile.TemporaryDirectory() as folder, pytest.raises(harness.Refused, match=reason):
        harness.exported(model, folder, **options)
