"""Reductions, quantiles, sorting and running totals against Keras."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

from tests.export.op_models import agree, refused
from tests.shapes.ops_classes import make

ops = keras.ops
BLOCK = (None, 4, 5)
NAMES = (
    "All Any Max Min Ptp Nanmax Nanmin Argmax Argmin Nanargmax Nanargmin Median Var Nanmean Nanmedian Nanstd Nanvar "
    "Mean Std Sum Nansum Prod Nanprod"
)
AXES = (None, 0, 1, -1, (0, 2), (1, 2))


def over(names, axis, keepdims):
    several = isinstance(axis, tuple)
    chosen = [n for n in names.split() if not (several and "arg" in n.lower())]
    return {f"{n} {axis} {keepdims}": make(f"numpy.{n}", axis=axis, keepdims=keepdims) for n in chosen}


@pytest.mark.parametrize(
    ("axis", "keepdims", "opset"), [(a, n % 2 == 1, (26, 17)[n % 2]) for n, a in enumerate(AXES)]
)
def test_every_reduction_over_every_axis(axis, keepdims, opset):
    agree(over(NAMES, axis, keepdims), (BLOCK, "float32"), opset=opset)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_whole_numbers(dtype):
    table = over("Max Min Argmax Sum Mean Var Std Any All Median", 1, False)
    agree(table | {"nonzero": lambda x: ops.count_nonzero(x, axis=1)}, (BLOCK, dtype))


def test_numbers_that_are_none():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 2, (6, 4, 5)).astype("float32")
    values[rng.random(values.shape) < 0.4] = np.nan
    values[0, :, 1] = np.nan
    table = over(
        "Nanmax Nanmin Nanargmax Nanargmin Nanmean Nanmedian Nanstd Nanvar Nansum Nanprod Median", 1, False
    )
    agree(table, (BLOCK, "float32"), feeds=[[values], [values[:3]]])


def test_the_first_of_equal_numbers_and_the_larger_zero():
    values = np.array([[[-0.0, 0.0, 0.0, -0.0, -1.0]] * 4], "float32")
    agree(over("Argmax Argmin", -1, False), (BLOCK, "float32"), feeds=[[values]])


METHODS = ("linear", "lower", "higher", "nearest", "midpoint")


def quantiles(name, methods, axes, shares=(0.3, [0.0, 0.77, 1.0])):
    scale = 100 if "ercentile" in name else 1
    table = {}
    for method, (axis, keepdims), share in itertools.product(methods, axes, shares):
        asked, op = (
            (np.array(share) * scale).tolist(),
            make(f"numpy.{name}", axis=axis, method=method, keepdims=keepdims),
        )
        table[f"{method} {axis} {share}"] = lambda x, op=op, q=asked: op(x, q)
    return table


@pytest.mark.parametrize("name", ["Quantile", "Percentile"])
def test_quantiles(name):
    axes = ((None, False), (1, True), ((0, 2), True))
    agree(quantiles(name, METHODS, axes), (BLOCK, "float32"))


@pytest.mark.parametrize("name", ["Nanquantile", "Nanpercentile"])
def test_quantiles_of_numbers(name):
    values = np.random.default_rng(0).normal(0, 2, (2, 4, 5)).astype("float32")
    values[0, 1, 2:] = values[1, :, 0] = np.nan
    # For a row without any number, TensorFlow accepts only a single quantile.
    axes = ((None, False), (1, True))
    agree(quantiles(name, METHODS[::3], axes, (0.3,)), (BLOCK, "float32"), feeds=[[values]])
    some = np.nan_to_num(values[:1], nan=0.5)
    some[0, 1, 2] = np.nan
    agree(quantiles(name, METHODS, axes), (BLOCK, "float32"), feeds=[[some]])


def test_norms():
    table = {}
    for order in (None, 0, 1, 2, 3, -1, 2.5, float("inf"), float("-inf")):
        table[f"vector {order}"] = make("linalg.Norm", ord=order, axis=1)
    for order in (None, "fro", 1, -1, float("inf"), float("-inf")):
        for axes in ((0, 1), (2, 1), (-2, -1)):
            table[f"matrix {order} {axes}"] = make("linalg.Norm", ord=order, axis=axes, keepdims=True)
    agree(table, (BLOCK, "float32"))


def test_others():
    weights = np.array([1, 2, 3, 4], "float32")
    table = {
        "average": lambda x: ops.average(x, axis=1, weights=weights),
        "logsumexp": lambda x: ops.logsumexp(x, axis=(0, 2), keepdims=True),
        "moments": lambda x: ops.moments(x, axes=(0, 1)),
        "trace": lambda x: ops.trace(x, offset=1, axis1=2, axis2=1),
        "trapezoid": lambda x: ops.trapezoid(x, dx=0.5, axis=1),
        "initial": lambda x: ops.max(x, axis=1, initial=0.5),
        "size": ops.size,
    }
    agree(table, (BLOCK, "float32"))


@pytest.mark.parametrize("opset", [17, 26])
@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_sorting_and_running_totals(dtype, opset):
    table = {}
    for axis in (None, 1, -1):
        for name in ("Sort", "Argsort", "Cumsum", "Cumprod", "Nancumsum"):
            table[f"{name} {axis}"] = make(f"numpy.{name}", axis=axis)
    if dtype != "bool":
        table["top_k"] = lambda x: ops.top_k(x, 3)
    table["diff"] = lambda x: ops.diff(x, n=2, axis=1)
    agree(table, (BLOCK, dtype), opset=opset)


def test_orders_that_are_not_defined_are_refused():
    refused(lambda x: ops.top_k(x, 3, sorted=False)[0], (BLOCK, "float32"), reason="not defined")
    refused(lambda x: ops.argpartition(x, 2), (BLOCK, "float32"), reason="not defined")
