"""A product of two tensors with labelled axes (einsum), as one MatMul."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ....ir.size import Size, product
from ..emitter import Emitter
from ..graph import Tensor


def contracted(
    call: Emitter,
    x: Tensor,
    left: str,
    y: Tensor,
    right: str,
    result: str,
    multiply: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """``einsum("left,right->result", x, y)`` with every label once in a term.

    Args:
        multiply: another product of matrices than MatMul, of whole numbers.
    """
    if multiply is not None and set(left) - set(right + result) | set(right) - set(left + result):
        raise call.refuse("it is quantised and sums an axis of one operand alone")
    multiply = multiply or partial(call.op, "MatMul")
    x, left = _summed(call, x, left, right + result)
    y, right = _summed(call, y, right, left + result)
    size = dict(zip(left, x.sizes, strict=True)) | dict(zip(right, y.sizes, strict=True))
    shared = [label for label in left if label in right and label in result]
    mixed = [label for label in left if label in right and label not in result]
    free = [label for label in left if label not in right]
    new = [label for label in right if label not in left]

    def sizes(labels: list[str]) -> list[Size]:
        return [size[label] for label in labels]

    rows = call.transpose(x, [left.index(label) for label in (*shared, *free, *mixed)])
    columns = call.transpose(y, [right.index(label) for label in (*shared, *mixed, *new)])
    inner = product(sizes(mixed))
    middle = sizes(free) if free and not shared else [product(sizes(free))]
    rows = call.reshape(rows, [*sizes(shared), *middle, inner])
    columns = call.reshape(columns, [*sizes(shared), inner, product(sizes(new))])
    z = call.reshape(multiply(rows, columns), sizes([*shared, *free, *new]))
    return call.transpose(z, [(*shared, *free, *new).index(label) for label in result])


def _summed(call: Emitter, x: Tensor, term: str, others: str) -> tuple[Tensor, str]:
    """The operand summed over axes whose label is not in ``others``, and the labels that remain."""
    alone = [n for n, label in enumerate(term) if label not in others]
    return call.reduce("ReduceSum", x, alone), "".join(label for label in term if label in others)
