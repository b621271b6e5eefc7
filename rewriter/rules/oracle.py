"""What an equation computes, with NumPy only: products split by reshape, ``np.einsum``, products merged by reshape.

It shares no code with the lowering: each tests the other.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import replace
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

    operands = [
        np.asarray(array)[tuple(slice(sizes[t.names[0]]) if t.cropped else slice(None) for t in terms)]
        for array, terms in zip(operands, equation.operands, strict=True)
    ]
    if any(term.cut for term in equation.output):
        return _cropped(equation, sizes, operands)
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


def _cropped(equation: Equation, sizes: dict[str, int], operands: Sequence[Any]) -> Any:
    """Evaluate an equation with cut axes: pad them with zeros, and cut the result."""
    import numpy as np

    long: dict[Term, int] = {}
    filled = []
    for array, terms in zip(operands, equation.operands, strict=True):
        rest = [math.prod(sizes[n] for n in t.names) - s for t, s in zip(terms, np.shape(array), strict=True)]
        long |= {t: s for t, s in zip(terms, np.shape(array), strict=True) if t.cut}
        filled.append(np.pad(array, [(0, r if t.cut else 0) for t, r in zip(terms, rest, strict=True)]))
    whole = {t: replace(t, cut=False) for terms in (*equation.operands, equation.output) for t in terms}
    full = Equation(
        tuple(tuple(whole[t] for t in terms) for terms in equation.operands),
        tuple(whole[t] for t in equation.output),
    )
    result = evaluate(full, sizes, filled)
    return result[tuple(slice(long.get(t)) for t in equation.output)]
