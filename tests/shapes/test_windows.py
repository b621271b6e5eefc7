"""Window arithmetic against Keras, exhaustively for small numbers, and on symbols against itself."""

from __future__ import annotations

import itertools

import pytest

from rewriter.ir.size import symbol
from rewriter.shapes.windows import transposed, window
from tests.ir.evaluate import evaluate

operation_utils = pytest.importorskip("keras.src.ops.operation_utils")
backend_utils = pytest.importorskip("keras.src.backend.common.backend_utils")

N = symbol("N")


def test_windows():
    for n, k, s, d, padding in itertools.product(
        range(1, 13), range(1, 5), range(1, 5), range(1, 4), ("valid", "same", "causal")
    ):
        found = window(n, k, s, d, padding)
        assert found == evaluate(window(N, k, s, d, padding), {"N": n})
        try:
            (_, wanted, _) = operation_utils.compute_conv_output_shape(
                (1, n, 1), 1, (k,), s, padding, dilation_rate=d
            )
        except ValueError:
            wanted = min(int(found), 0)
        assert found == wanted, (n, k, s, d, padding)


def test_transposed_windows():
    for n, k, s, d, padding, extra in itertools.product(
        range(1, 9), range(1, 6), range(1, 5), range(1, 4), ("valid", "same"), (None, 0, 1, 3)
    ):
        (_, wanted, _) = backend_utils.compute_conv_transpose_output_shape(
            (1, n, 1), (k,), 1, s, padding, extra, dilation_rate=d
        )
        assert transposed(n, k, s, d, padding, extra) == wanted, (n, k, s, d, padding, extra)
        assert evaluate(transposed(N, k, s, d, padding, extra), {"N": n}) == wanted


@pytest.mark.parametrize("function", [window, transposed])
def test_an_unknown_padding_is_an_error(function):
    with pytest.raises(ValueError, match="reflect"):
        function(5, 3, padding="reflect")
