"""What an equation computes, by NumPy alone: products split by reshape, ``np.einsum``, products merged by reshape.

It shares nothing with the lowering, so that each can be tested against the other.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from .notation import Equation, Term


def evaluate(equation: Equation, sizes: dict[str, int], operands: Sequence[Any]) -> Any:
    """``evaluate("b c, b h w c -> b h w c", sizes, [x, y]) -> array``.

    Args:
        equation: without stars.
        sizes: the size of every name.
        operands: arrays whose shapes the equation describes (unit axes that it leaves out are dropped).
    """
    import numpy as np

    letters = dict(zip(sizes, string.ascii_letters, strict=False))

    def subscripts(terms: Sequence[Term]) -> str:
        return "".join(letters[name] for term in terms for name in term.names)

    split = [
        np.reshape(array, [sizes[name] for term in terms for name in term.names])
        for array, terms in zip(operands, equation.operands, strict=True)
    ]
    text = ",".join(map(subscripts, equation.operands)) + "->" + subscripts(equation.output)
    result = np.einsum(text, *split)
    return result.reshape([math.prod(sizes[name] for name in term.names) for term in equation.output])
