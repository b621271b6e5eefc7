"""What a changed node must compute: its equation on its operands, with NumPy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..rules.notation import Equation, Term, parse
from ..rules.oracle import evaluate

# How a node that is not a multiply combines its aligned operands.
_JOIN = {
    "Add": "add",
    "Subtract": "subtract",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Divide": "true_divide",
    "TrueDivide": "true_divide",
    "DivideNoNan": "divide_no_nan",
    "Average": "average",
}
_PRODUCTS = frozenset({"Multiply", "Dot", "Matmul", "Einsum", "Tensordot"})


def known(op: str, equation: str) -> bool:
    """True if ``expected`` can compute an operation with this equation."""
    return op in _PRODUCTS or op in _JOIN or ("," in equation and parse(equation).joins)


def expected(op: str, equation: str, kept: Sequence[Sequence[int]], operands: Sequence[Any]) -> Any:
    """The result, in float64 (complex128) unless the operands are integers or booleans.

    Args:
        op: the class of the original node (``Multiply``, ``Add``).
        kept: for each operand the positions of the axes that the equation's terms stand for.
        operands: arrays.

    Raises:
        ValueError: the shapes of the operands do not fit the equation.
    """
    import numpy as np

    parsed = parse(equation)
    arrays = [_wide(array) for array in operands]
    shapes = [[array.shape[i] for i in at] for array, at in zip(arrays, kept, strict=True)]
    arrays = [array.reshape(shape) for array, shape in zip(arrays, shapes, strict=True)]
    sizes = _sizes(parsed, shapes)
    if parsed.joins:
        (axis,) = (i for i, term in enumerate(parsed.output) if term.parts)
        parts = [_placed(parsed, sizes, arrays, k, axis) for k in range(len(arrays))]
        return np.concatenate(parts, axis)
    if op not in _JOIN:
        return evaluate(parsed, sizes, arrays)
    placed = [_alone(parsed, sizes, arrays, k) for k in range(len(arrays))]
    if op == "Average":
        return sum(placed) / len(placed)
    if op == "DivideNoNan":
        return np.divide(placed[0], placed[1], out=np.zeros_like(placed[0]), where=placed[1] != 0)
    result = placed[0]
    for other in placed[1:]:
        result = getattr(np, _JOIN[op])(result, other)
    return result


def _wide(array: Any) -> Any:
    """An array in double precision, unless integer or boolean; NumPy has no arithmetic for bfloat16."""
    import numpy as np

    array = np.asarray(array)
    if array.dtype.kind in "biu":
        return array
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _sizes(equation: Equation, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    """The size of every name, from the shapes of the operands."""
    sizes: dict[str, int] = {}
    products: list[tuple[Term, int]] = []
    for terms, shape in zip(equation.operands, shapes, strict=True):
        for term, size in zip(terms, shape, strict=True):
            if len(term.names) != 1 or term.cropped:
                products.append((term, size))
            elif sizes.setdefault(term.names[0], size) != size:
                raise ValueError(f"{term} is {sizes[term.names[0]]} and {size}")
    for term, size in products:
        if term.cropped:
            if size != sizes.get(term.names[0], size) + 1:
                raise ValueError(f"{term} is {size}")
            continue
        have = math.prod(sizes.get(name, 1) for name in term.names)
        unknown = [name for name in term.names if name not in sizes]
        if len(unknown) == 1 and have:
            sizes[unknown[0]] = -(-size // have) if term.cut else size // have
            have *= sizes[unknown[0]]
        if have != size and not (term.cut and have > size):
            raise ValueError(f"{term} is {size}")
    return sizes


def _alone(equation: Equation, sizes: dict[str, int], arrays: Sequence[Any], operand: int) -> Any:
    """One operand, broadcast to the shape of the result."""
    import numpy as np

    others = [a if k == operand else np.ones(a.shape) for k, a in enumerate(arrays)]
    return evaluate(equation, sizes, others)


def _placed(equation: Equation, sizes: dict[str, int], arrays: Sequence[Any], operand: int, axis: int) -> Any:
    """One operand of a concatenation, broadcast to the result's shape except along the joined axis."""
    import numpy as np

    terms = equation.operands[operand]
    own = tuple(Term(term.parts[operand]) if i == axis else term for i, term in enumerate(equation.output))
    missing = tuple(
        Term((name,))
        for name in dict.fromkeys(n for term in own for n in term.names)
        if all(name not in term.names for term in terms)
    )
    ones = np.ones([sizes[name] for term in missing for name in term.names])
    return evaluate(Equation((terms, missing), own), sizes, [arrays[operand], ones])
