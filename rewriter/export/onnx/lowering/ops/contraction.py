"""Contractions: matmul, dot products, einsum and related ops."""

from __future__ import annotations

import string
from collections.abc import Sequence

from .....ir.size import product
from .....shapes.dtypes import result_type
from .....shapes.ops.contraction import subscripts, tensordot_axes
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op
from .._contraction import contracted
from ._operands import argument, as_tensor, both, declared, flattened, promoted_float, strong


def _computed(call: Emitter) -> tuple[Tensor, Tensor, str]:
    """Both operands in the type that Keras computes in (floats for integers), and the type of the result."""
    x, y = (as_tensor(call, argument(call, n, name)) for n, name in enumerate(("x1", "x2")))
    dtype = result_type(x.dtype, y.dtype)
    wide = promoted_float(dtype)
    return call.cast(x, wide), call.cast(y, wide), dtype


@op("numpy", "Matmul")
def matmul(call: Emitter) -> Tensor:
    """``matmul(x[..., m, k], y[..., k, n]) -> [..., m, n]``; a vector is a row on the left, a column on the right."""
    x, y, dtype = _computed(call)
    given = [strong(call, argument(call, n, name)) for n, name in enumerate(("x1", "x2"))]
    if given == ["int8", "int8"] and x.rank > 1 and y.rank > 1:
        x, y = (as_tensor(call, argument(call, n, name), "int32") for n, name in enumerate(("x1", "x2")))
        return call.op("MatMul", x, y)
    return declared(call, call.cast(call.op("MatMul", x, y), dtype))


def _tensordot(call: Emitter, x: Tensor, y: Tensor, left: Sequence[int], right: Sequence[int]) -> Tensor:
    """``tensordot(x[a, k], y[k, b], (1,), (0,)) -> [a, b]``, as a product of two matrices."""
    left, right = [n % x.rank for n in left], [n % y.rank for n in right]
    free = [n for n in range(x.rank) if n not in left]
    new = [n for n in range(y.rank) if n not in right]
    inner = product(x.sizes[n] for n in left)
    if not isinstance(inner, int):
        inner = product(y.sizes[n] for n in right)
    sizes = [*(x.sizes[n] for n in free), *(y.sizes[n] for n in new)]
    rows = call.transpose(x, [*free, *left])
    columns = call.transpose(y, [*right, *new])
    rows = call.reshape(rows, [*(x.sizes[n] for n in free), inner])
    columns = call.reshape(columns, [inner, *([product(y.sizes[n] for n in new)] if new else [])])
    return call.reshape(call.op("MatMul", rows, columns), sizes)


@op("numpy", "Dot")
def dot(call: Emitter) -> Tensor:
    """``dot(x[..., m, k], y[..., k, n]) -> [..., m, ..., n]``; a scalar multiplies."""
    x, y, dtype = _computed(call)
    if not x.rank or not y.rank:
        return call.cast(call.op("Mul", x, y), dtype)
    return call.cast(_tensordot(call, x, y, [-1], [-1 if y.rank == 1 else -2]), dtype)


@op("numpy", "Inner")
def inner(call: Emitter) -> Tensor:
    """``inner(x[..., m, k], y[..., n, k]) -> [..., m, ..., n]``."""
    x, y, dtype = _computed(call)
    if not x.rank or not y.rank:
        return call.cast(call.op("Mul", x, y), dtype)
    return call.cast(_tensordot(call, x, y, [-1], [-1]), dtype)


@op("numpy", "Vdot")
def vdot(call: Emitter) -> Tensor:
    """``vdot(x[...], y[...]) -> []``: both flattened."""
    x, y, dtype = _computed(call)
    if not x.rank or not y.rank:
        return call.cast(call.reshape(call.op("Mul", x, y), []), dtype)
    return call.cast(call.op("MatMul", flattened(call, x), flattened(call, y)), dtype)


@op("numpy", "Outer")
def outer(call: Emitter) -> Tensor:
    """``outer(x[a, b], y[c]) -> [a*b, c]``: both flattened."""
    x, y = both(call)
    return call.op("Mul", call.reshape(x, [product(x.sizes), 1]), call.reshape(y, [product(y.sizes)]))


@op("numpy", "Kron")
def kron(call: Emitter) -> Tensor:
    """``kron(x[a, b], y[c, d]) -> [a*c, b*d]``; missing axes are 1, in front."""
    x, y = both(call)
    rank = max(x.rank, y.rank)
    x, y = (call.unsqueeze(t, *range(rank - t.rank)) for t in (x, y))
    spread = call.op(
        "Mul",
        call.unsqueeze(x, *range(1, 2 * rank, 2)),
        call.unsqueeze(y, *range(0, 2 * rank, 2)),
    )
    return call.reshape(spread, call.sizes)


@op("numpy", "Cross")
def cross(call: Emitter) -> Tensor:
    """``cross(x[a, 3], y[a, 3]) -> [a, 3]``; two-dimensional vectors give ``[a]``."""
    x, y = both(call)
    every = call.get("axis")
    first, second, third = (every if every is not None else call.get(f"axis{c}", -1) for c in "abc")
    x, y = _vectors(call, x, first), _vectors(call, y, second)
    plane = x.sizes[-1] == y.sizes[-1] == 2
    x, y = (call.pad(t, [0] * t.rank, [0] * (t.rank - 1) + [1]) if t.sizes[-1] == 2 else t for t in (x, y))
    if plane:
        parts = [call.op("Mul", _at(call, x, n), _at(call, y, 1 - n)) for n in (0, 1)]
        return call.op("Sub", *parts)
    ahead, behind = [1, 2, 0], [2, 0, 1]
    one = call.op("Mul", _at(call, x, ahead), _at(call, y, behind))
    two = call.op("Mul", _at(call, x, behind), _at(call, y, ahead))
    result = call.op("Sub", one, two)
    order = list(range(result.rank - 1))
    order.insert(call.axis(third, result.rank), result.rank - 1)
    return call.transpose(result, order)


def _vectors(call: Emitter, x: Tensor, axis: object) -> Tensor:
    place = call.axis(axis, x.rank)
    if x.sizes[place] not in (2, 3):
        raise call.refuse("its vectors are of open size")
    return call.transpose(x, [*(n for n in range(x.rank) if n != place), place])


def _at(call: Emitter, x: Tensor, places: int | list[int]) -> Tensor:
    return call.op("Gather", x, call.constant(places, "int64"), axis=x.rank - 1)


@op("numpy", "Tensordot")
def tensordot(call: Emitter) -> Tensor:
    """``tensordot(x[a, k], y[k, b], axes=1) -> [a, b]``; a pair of lists gives the axes of each side."""
    x, y = (as_tensor(call, argument(call, n, name)) for n, name in enumerate(("x1", "x2")))
    dtype = result_type(x.dtype, y.dtype)
    wide = dtype if dtype in ("int32", "int64") else promoted_float(dtype)
    left, right = tensordot_axes(call, x.rank, y.rank)
    return call.cast(_tensordot(call, call.cast(x, wide), call.cast(y, wide), left, right), dtype)


@op("numpy", "Einsum")
def einsum(call: Emitter) -> Tensor:
    """``einsum("ij,jk->ik", x[i, j], y[j, k]) -> [i, k]``: one MatMul if no term has a letter twice."""
    operands = [as_tensor(call, value) for value in call.args]
    terms, result = subscripts(call, len(operands))
    if "->" not in call.text("subscripts") and _once(terms) != result.lstrip("."):
        raise call.refuse(
            "without -> TensorFlow keeps the order of the letters, and Keras declares them sorted"
        )
    wide = promoted_float(result_type(*(x.dtype for x in operands)))
    operands = [call.cast(x, wide) for x in operands]
    if len(operands) == 2 and _simple(operands, terms):
        y = contracted(call, operands[0], terms[0], operands[1], terms[1], result)
    else:
        y = call.op("Einsum", *operands, equation=_lettered(operands, terms, result), as_sizes=call.sizes)
    return call.cast(y, call.dtype)


def _once(terms: Sequence[str]) -> str:
    """The letters that occur once in all terms, in their order."""
    text = "".join(terms).replace(".", "")
    return "".join(c for c in text if text.count(c) == 1)


def _lettered(operands: Sequence[Tensor], terms: Sequence[str], result: str) -> str:
    """The equation with letters instead of ellipses: in ONNX the ellipses of all operands have the same rank."""
    ranks = [x.rank - len(term) + 1 for x, term in zip(operands, terms, strict=True) if "." in term]
    used = set("".join((*terms, result)))
    letters = "".join(c for c in string.ascii_letters if c not in used)[: max(ranks, default=0)]
    spelled = [
        term.replace(".", letters[len(letters) - (x.rank - len(term) + 1) :])
        for x, term in zip(operands, terms, strict=True)
    ]
    return f"{','.join(spelled)}->{result.replace('.', letters)}"


def _simple(operands: Sequence[Tensor], terms: Sequence[str]) -> bool:
    """Whether no term has an ellipsis or a letter twice, and no axis is broadcast to another with the same letter."""
    if any("." in term or len(set(term)) != len(term) for term in terms):
        return False
    sizes: dict[str, object] = {}
    for x, term in zip(operands, terms, strict=True):
        for letter, size in zip(term, x.sizes, strict=True):
            if (size == 1) != (sizes.setdefault(letter, size) == 1):
                return False
    return True
