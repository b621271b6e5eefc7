"""Factorisations of matrices, systems of equations and singular values, against Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.export import harness
from tests.export.op_models import agree, refused
from tests.shapes.ops_classes import make

N = None
ops = keras.ops
GENERATOR = np.random.default_rng(5)


def numbers(*shape, dtype="float32"):
    return GENERATOR.normal(0, 1, shape).astype(dtype)


def far_from_singular(*shape, dtype="float32"):
    """Matrices that need pivots: the largest of each column is not on the diagonal, and a diagonal has zeros."""
    n = shape[-1]
    x = numbers(*shape, dtype=dtype) + 4 * np.roll(np.eye(n, dtype=dtype), 1, axis=-1)
    if n > 1:
        x[..., 0, 0] = 0
    return x


def definite(*shape, dtype="float32"):
    x = numbers(*shape, dtype=dtype)
    return x @ x.swapaxes(-1, -2) + np.eye(shape[-1], dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_systems_of_equations(n, dtype):
    table = {
        "solve": lambda a, b: ops.solve(a, b),
        "inv": lambda a, b: ops.inv(a),
        "det": lambda a, b: ops.det(a / 3),
        "slogdet": lambda a, b: make("numpy.Slogdet")(a),
        "lower": lambda a, b: ops.solve_triangular(a + 5 * ops.eye(n, dtype=dtype), b, lower=True),
        "upper": lambda a, b: ops.solve_triangular(a + 5 * ops.eye(n, dtype=dtype), b),
    }
    feeds = [[far_from_singular(b, n, n, dtype=dtype), numbers(b, n, 2, dtype=dtype)] for b in (1, 3)]
    feeds[1][0][1] *= -1
    agree(table, ((N, n, n), dtype), ((N, n, 2), dtype), feeds=feeds, tolerance=1e-3 if n > 7 else None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_definite_matrices(dtype):
    table = {
        "lower": lambda x: ops.cholesky(x),
        "upper": lambda x: ops.cholesky(x, upper=True),
        "logdet": lambda x: ops.logdet(x),
        "inverse of lower": lambda x: ops.linalg.cholesky_inverse(x),
        "inverse of upper": lambda x: ops.linalg.cholesky_inverse(x, upper=True),
        # Only one triangle is read.
        "of a triangle": lambda x: ops.cholesky(ops.tril(x)),
    }
    agree(table, ((N, 2, 5, 5), dtype), feeds=[[definite(b, 2, 5, 5, dtype=dtype)] for b in (1, 3)])


def test_no_numbers_where_a_matrix_is_not_definite():
    """Keras raises an error for ``cholesky``, and for all matrices of the batch; ``logdet`` is NaN."""
    x = definite(3, 4, 4)
    x[1] *= -1
    agree({"logdet": lambda x: ops.logdet(x)}, ((N, 4, 4), "float32"), feeds=[[x]])
    inputs = keras.Input(batch_shape=(N, 4, 4))
    got = harness.run_exported(keras.Model(inputs, ops.cholesky(inputs)), [x])[0]
    np.testing.assert_allclose(got[[0, 2]], np.linalg.cholesky(x[[0, 2]]), atol=1e-4)
    assert np.isnan(got[1]).any()


def test_determinants_at_the_limits():
    """0 of a singular matrix, and a logarithm where the determinant itself overflows."""
    singular = np.array([[[0, 2, 1], [0, 4, 3], [0, 1, 5]]], "float32")
    large = np.full((1, 3, 3), 1e20, "float32") * np.array([[1, 0, 0], [0, 0, -1], [0, 1, 1]], "float32")
    table = {"slogdet": lambda x: make("numpy.Slogdet")(x), "det": lambda x: ops.det(ops.cast(x, "float64"))}
    agree(table, ((N, 3, 3), "float32"), feeds=[[singular], [large], [-large]])


def test_sizes_that_are_open():
    table = {
        "solve": lambda a, b: ops.solve(a, b),
        "inv": lambda a, b: ops.inv(a),
        "logdet": lambda a, b: ops.logdet(ops.matmul(a, ops.swapaxes(a, -1, -2))),
    }
    feeds = [[far_from_singular(b, n, n), numbers(b, n, 3)] for b, n in ((1, 4), (3, 6))]
    agree(table, ((N, N, N), "float32"), ((N, N, 3), "float32"), feeds=feeds)
    refused(lambda x: ops.linalg.pinv(x), ((N, N, 3), "float32"), reason="open size")


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (7, 3), (3, 8)])
def test_orthogonal_factors(shape):
    table = {mode: lambda x, mode=mode: ops.qr(x, mode=mode) for mode in ("reduced", "complete")}
    feeds = [[numbers(b, *shape)] for b in (1, 3)]
    # A column that is 0 below its diagonal is not reflected; -0.0 is not negative.
    feeds[1][0][1, 1:] = 0
    feeds[1][0][2] = np.eye(*shape)
    agree(table, ((N, *shape), "float32"), feeds=feeds)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (8, 6), (3, 7), (1, 4)])
def test_singular_values(shape, dtype):
    rows, columns = shape
    table = {
        "values": lambda x: ops.svd(x, compute_uv=False),
        "rank": lambda x: make("linalg.MatrixRank")(x),
        "rank above 2": lambda x: make("linalg.MatrixRank", tol=2.0)(x),
        "pinv": lambda x: make("linalg.Pinv")(x),
        "pinv of the largest": lambda x: make("linalg.Pinv", rcond=0.7)(x),
        "nuclear": lambda x: ops.norm(x, "nuc", axis=(1, 2)),
        "largest": lambda x: ops.norm(x, 2, axis=(2, 1)),
        "least": lambda x: ops.norm(x, -2, axis=(1, 2), keepdims=True),
    }
    feeds = [[numbers(b, rows, columns, dtype=dtype)] for b in (1, 3)]
    feeds[1][0][1] = numbers(rows, 1, dtype=dtype) @ numbers(1, columns, dtype=dtype)  # of rank 1
    feeds[1][0][2] *= 1e-3 if dtype == "float32" else 1e-9
    agree(table, ((N, *shape), dtype), feeds=feeds)
    zeros = [[np.zeros((2, rows, columns), dtype)]]
    agree({name: table[name] for name in ("values", "rank", "pinv")}, ((N, *shape), dtype), feeds=zeros)


@pytest.mark.parametrize("n", [1, 3, 6])
def test_eigenvalues(n):
    table = {
        "values": lambda x: ops.eigh(x)[0],
        "of a triangle": lambda x: ops.eigh(ops.tril(x))[0],
        "singular": lambda x: ops.svd(x)[1],
    }
    feeds = [[definite(1, n, n)], [numbers(3, n, n)]]
    feeds[1][0][1] = np.diag(np.resize([2, -2, 0], n))
    agree(table, ((N, n, n), "float32"), feeds=feeds)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_singular_values_of_many_sizes(dtype):
    """Also where the rows or columns of a matrix, or its singular values, are of very different size."""
    n = 33
    small = np.logspace(0, -6, n)
    x = numbers(6, n, n, dtype=dtype)
    x[1] *= small
    x[2] *= small[:, None]
    x[3, :, 20:] = x[3, :, :13]
    x[4] = 1 / (np.arange(n)[:, None] + np.arange(n) + 1)
    table = {"values": lambda x: ops.svd(x, compute_uv=False)}
    agree(table, ((N, n, n), dtype), feeds=[[x]], tolerance=1e-5 if dtype == "float32" else 1e-13)
    agree({"rank": lambda x: make("linalg.MatrixRank")(x)}, ((N, n, n), dtype), feeds=[[x[:4]]])


@pytest.mark.parametrize("scale", [1e-15, 1e9, 1e12])
def test_products_of_very_large_or_small_entries_do_not_overflow(scale):
    table = {
        "singular values": lambda x: ops.svd(x, compute_uv=False) / scale,
        "eigenvalues": lambda x: ops.eigh(x + ops.swapaxes(x, 1, 2))[0] / scale,
        "inverse": lambda x: make("linalg.Pinv")(x) * scale,
    }
    agree(table, ((N, 4, 4), "float32"), feeds=[[scale * numbers(3, 4, 4)]])


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_least_squares(shape):
    table = {
        "columns": lambda a, b: make("linalg.Lstsq")(a, b),
        "a vector": lambda a, b: make("linalg.Lstsq")(a, b[:, 0]),
        "cut": lambda a, b: make("linalg.Lstsq", rcond=0.6)(a, b),
        "negative": lambda a, b: make("linalg.Lstsq", rcond=-1)(a, b),
    }
    full, low = numbers(*shape), numbers(shape[0], 1) @ numbers(1, shape[1])
    right = numbers(shape[0], 2)
    agree(table, (shape, "float32"), ((shape[0], 2), "float32"), feeds=[[full, right]])
    del table["negative"]
    agree(table, (shape, "float32"), ((shape[0], 2), "float32"), feeds=[[low, right]])


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: ops.svd(x)[0], "signs of singular vectors"),
        (lambda x: ops.eigh(x)[1] * 2, "signs of eigenvectors"),
        (lambda x: ops.expand_dims(ops.eigh(x)[0], 1) * ops.eigh(x)[1], "signs of eigenvectors"),
        (lambda x: ops.linalg.lu_factor(x)[0], "pivots"),
        (lambda x: ops.inv(ops.cast(x, "float16")), "matrices of float16"),
        (lambda x: ops.norm(x, 2, axis=(-2, -1), keepdims=True), "kept axes"),
    ],
)
def test_what_has_no_form_is_refused(function, reason):
    refused(function, ((N, 4, 4), "float32"), reason=reason)
