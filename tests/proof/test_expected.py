"""The oracle of a changed node against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from rewriter.proof.expected import expected, known

rng = np.random.default_rng(0)
X = rng.normal(size=(2, 3, 5, 7))
GATE = rng.normal(size=(2, 7))
ROW = rng.normal(size=(2, 15))
CELLS, SPREAD = ROW.reshape(2, 3, 5), np.repeat(ROW[:, None], 5, 1)


@pytest.mark.parametrize(
    ("op", "equation", "operands", "desired"),
    [
        ("Multiply", "b h w c, b c -> b h w c", (X, GATE), X * GATE[:, None, None]),
        ("Multiply", "b c, b h w c -> b h w c", (GATE, X), X * GATE[:, None, None]),
        ("Multiply", "b (h w), b h w c -> b h w c", (ROW, X), X * CELLS[..., None]),
        ("Multiply", "b (p g), b g -> b p", (ROW, ROW[:, :5]), np.einsum("bpg,bg->bp", CELLS, ROW[:, :5])),
        ("Multiply", "(n b) r, b r -> (n b) r", (X[:, 0, 0], GATE[:1]), X[:, 0, 0] * GATE[:1]),
        ("Add", "b h w c, b c -> b h w c", (X, GATE), X + GATE[:, None, None]),
        ("Subtract", "b c, b h w c -> b h w c", (GATE, X), GATE[:, None, None] - X),
        ("Maximum", "b h w c, b c -> b h w c", (X, GATE), np.maximum(X, GATE[:, None, None])),
        ("TrueDivide", "b h w c, b c -> b h w c", (X, GATE), X / GATE[:, None, None]),
        ("Average", "b h w c, b c, b c -> b h w c", (X, GATE, GATE), (X + 2 * GATE[:, None, None]) / 3),
        ("Matmul", "b m k, b n k -> b m n", (X[:, 0], X[:, 1]), X[:, 0] @ X[:, 1].swapaxes(1, 2)),
        ("Concatenate", "b t c, b c -> b (t+1) c", (X[:, 0], GATE), np.concatenate([X[:, 0], GATE[:, None]], 1)),
        ("Concatenate", "b t c, b d -> b t (c+d)", (X[:, 0], ROW), np.concatenate([X[:, 0], SPREAD], 2)),
    ],
)  # fmt: skip
def test_values(op, equation, operands, desired):
    assert known(op, equation)
    kept = [list(range(x.ndim)) for x in operands]
    np.testing.assert_allclose(expected(op, equation, kept, operands), desired, rtol=1e-12)


def test_unit_axes_that_the_equation_leaves_out():
    actual = expected("Multiply", "b r, b -> b r", [[0, 1], [0]], [GATE, GATE[:, :1]])
    np.testing.assert_allclose(actual, GATE * GATE[:, :1])


def test_rounded_operands_are_multiplied_in_double_precision():
    half = [x.astype("float16") for x in (X, GATE)]
    assert expected("Multiply", "b h w c, b c -> b h w c", [[0, 1, 2, 3], [0, 1]], half).dtype == np.float64


def test_operands_of_another_form():
    with pytest.raises(ValueError, match="c is"):
        expected("Multiply", "b h w c, b c -> b h w c", [[0, 1, 2, 3], [0, 1]], [X, ROW])
    with pytest.raises(ValueError, match="is 15"):
        expected("Multiply", "b (h c), b h c -> b h c", [[0, 1], [0, 1, 2]], [ROW, X[:, :, 0]])


def test_what_is_not_known():
    assert not known("Power", "b c, b c -> b c")
