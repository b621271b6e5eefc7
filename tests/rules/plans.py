"""Run a plan in NumPy: each step as a NumPy call, then the product under its convention."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rewriter.ir.axis import Axis, Role, merge_axes, new_axis
from rewriter.rules.lower import RESULT, Plan, Step
from rewriter.rules.notation import Equation, Term
from rewriter.shapes.broadcast import Convention

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)


def sizes_of(equation: Equation, values: Sequence[int] = PRIMES) -> dict[str, int]:
    """A size for every name of an equation without stars."""
    names = dict.fromkeys(
        n for k in range(len(equation.operands)) for t in equation.operands[k] for n in t.names
    )
    return dict(zip(names, values, strict=False))


def shape_of(terms: Sequence[Term], sizes: dict[str, int]) -> tuple[int, ...]:
    """The sizes of terms; a truncated axis is one less than its product."""
    return tuple(math.prod(sizes[name] for name in term.names) - term.cut for term in terms)


def axes_of(terms: Sequence[Term], sizes: dict[str, int]) -> tuple[Axis, ...]:
    """Axes of an operand, with the batch marked, also if a Reshape folded other axes into it."""
    return tuple(_axis(term, size, sizes) for term, size in zip(terms, shape_of(terms, sizes), strict=True))


def _axis(term: Term, size: int, sizes: dict[str, int]) -> Axis:
    if "b" in term.names and len(term.names) > 1 and not term.cut:
        return merge_axes(new_axis(sizes[n], Role.BATCH if n == "b" else Role.UNKNOWN) for n in term.names)
    return new_axis(size, Role.BATCH if "b" in term.names else Role.UNKNOWN)


def arrays(shapes: Sequence[tuple[int, ...]], seed: int = 0) -> list[np.ndarray]:
    """Integers as floats: sums are exact."""
    random = np.random.default_rng(seed)
    return [random.integers(-9, 10, size=shape).astype("float64") for shape in shapes]


def run(plan: Plan, operands: Sequence[np.ndarray], convention: Convention) -> np.ndarray:
    """The product computed by the nodes of the plan."""
    values = list(operands)
    for step in plan.steps:
        if step.operand != RESULT:
            values[step.operand] = apply(step, values[step.operand])
    if not plan.replaces:
        return multiply(values, convention)
    matmul, *after = [step for step in plan.steps if step.operand == RESULT]
    assert matmul.op == "MatMul"
    result = np.matmul(*values)
    assert result.shape == matmul.to
    for step in after:
        result = apply(step, result)
    return result


def apply(step: Step, x: np.ndarray) -> np.ndarray:
    if step.op == "Reshape":
        y = x.reshape(step.to)
    elif step.op == "Transpose":
        y = x.transpose(step.axes)
    elif step.op == "ExpandDims":
        y = np.expand_dims(x, step.axes)
    elif step.op == "Squeeze":
        y = np.squeeze(x, step.axes)
    elif step.op == "Slice":
        y = x[tuple(map(slice, step.to))]
    elif step.op == "Tile":
        y = np.tile(x, step.repeats)
    elif step.op == "Repeat":
        y = np.repeat(x, step.repeats[0], step.axes[0])
    else:
        raise AssertionError(step.op)
    assert y.shape == step.to, step
    return y


def multiply(values: Sequence[np.ndarray], convention: Convention) -> np.ndarray:
    """Multiply with missing axes after the first (the layers) or at the front (NumPy)."""
    if convention is Convention.MERGE:
        rank = max(v.ndim for v in values)
        values = [v.reshape(v.shape[:1] + (1,) * (rank - v.ndim) + v.shape[1:]) for v in values]
    result = values[0]
    for value in values[1:]:
        result = result * value
    return result
