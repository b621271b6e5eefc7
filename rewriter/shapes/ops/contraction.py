"""Contractions and other products: matmul, dot products, outer, kron, cross, einsum."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.axis import Axis, Value, new_axis
from ...ir.size import Truth, product, same
from ..broadcast import Convention, broadcast, fixes_batch, is_number, only_at, stacked
from ..call import Call, Configured, ShapeError, known, op
from ..dtypes import product_type, result_type, strong
from ._operands import equate, flattened, operand, value_of

Axes = tuple[Axis, ...]


def _two(call: Call) -> tuple[Value, Value]:
    return operand(call, 0, "x1"), operand(call, 1, "x2")


def _contracted(a: Axis, b: Axis) -> None:
    equate(a, b, "contracts axes of different sizes")


@op("numpy", "Matmul")
def matmul(call: Call) -> Value:
    """``matmul(x[..., m, k], y[..., k, n]) -> [..., m, n]``; a vector is a row on the left, a column on the right."""
    x, y = _two(call)
    a, b = known(x), known(y)
    if not a or not b:
        raise ShapeError("a scalar has no axis to contract")
    _contracted(a[-1], b[-2] if len(b) > 1 else b[0])
    leading = stacked([a[:-2], b[:-2]])
    dtype = product_type(strong(x.dtype), strong(y.dtype))
    return Value((*leading, *(a[-2:-1]), *(b[-1:] if len(b) > 1 else ())), dtype)


@op("numpy", "Dot")
def dot(call: Call) -> Value:
    """``dot(x[..., m, k], y[..., k, n]) -> [..., m, ..., n]``; a scalar multiplies."""
    x, y = _two(call)
    a, b = known(x), known(y)
    dtype = result_type(x.dtype, y.dtype)
    if not a or not b:
        return Value(a or b, dtype)
    _contracted(a[-1], b[-2] if len(b) > 1 else b[0])
    if len(a) > 1 == len(b) and is_number(a[-1]) != is_number(b[0]):
        raise ShapeError(f"contracts {a[-1]} with {b[0]}: Keras takes two numbers or two open sizes only")
    return Value((*a[:-1], *b[:-2], *(b[-1:] if len(b) > 1 else ())), dtype)


@op("numpy", "Inner")
def inner(call: Call) -> Value:
    """``inner(x[..., m, k], y[..., n, k]) -> [..., m, ..., n]``."""
    x, y = _two(call)
    a, b = known(x), known(y)
    if a and b:
        _contracted(a[-1], b[-1])
        return Value((*a[:-1], *b[:-1]), result_type(x.dtype, y.dtype))
    return Value(a or b, result_type(x.dtype, y.dtype))


@op("numpy", "Vdot")
def vdot(call: Call) -> Value:
    """``vdot(x[...], y[...]) -> []``; both are flattened."""
    x, y = _two(call)
    a, b = (product(axis.size for axis in known(v)) for v in (x, y))
    if same(a, b) is Truth.NO:
        raise ShapeError(f"contracts {a} elements with {b}")
    return Value((), result_type(x.dtype, y.dtype))


@op("numpy", "Outer")
def outer(call: Call) -> Value:
    """``outer(x[a, b], y[c]) -> [a*b, c]``; both are flattened."""
    x, y = _two(call)
    return Value((*flattened(known(x)), *flattened(known(y))), result_type(x.dtype, y.dtype))


@op("numpy", "Kron")
def kron(call: Call) -> Value:
    """``kron(x[a, b], y[c, d]) -> [a*c, b*d]``; missing axes are unit axes in front."""
    x, y = _two(call)
    a, b = known(x), known(y)
    a = (*(new_axis(1) for _ in range(len(b) - len(a))), *a)
    b = (*(new_axis(1) for _ in range(len(a) - len(b))), *b)
    axes = tuple(
        p if q.size == 1 else q if p.size == 1 else new_axis(p.size * q.size)
        for p, q in zip(a, b, strict=True)
    )
    return Value(axes, result_type(strong(x.dtype), strong(y.dtype)))


@op("numpy", "Cross")
def cross(call: Call) -> Value:
    """``cross(x[a, 3], y[a, 3]) -> [a, 3]``; for two vectors of size 2 ``[a]``."""
    x, y = _two(call)
    names = ("axisa", "axisb", "axisc")
    every = call.get("axis")
    given = [every if every is not None else call.get(n, -1) for n in names]
    a, b = list(known(x)), list(known(y))
    u = a.pop(call.axis(given[0], len(a), names[0]))
    v = b.pop(call.axis(given[1], len(b), names[1]))
    for axis in (u, v):
        if isinstance(axis.size, int) and axis.size not in (2, 3):
            raise ShapeError(f"the cross product takes vectors of size 2 or 3, not {axis}")
    rest = broadcast(Convention.NUMPY, [tuple(a), tuple(b)])
    dtype = result_type(x.dtype, y.dtype)
    if u.size != 3 and v.size != 3:
        return Value(rest, dtype)
    place = call.axis(given[2], len(rest) + 1, names[2])
    return Value((*rest[:place], u if u.size == 3 else v, *rest[place:]), dtype)


@op("numpy", "Tensordot")
def tensordot(call: Call) -> Value:
    """``tensordot(x[a, k], y[k, b], axes=1) -> [a, b]``; a pair of lists names the axes of each operand."""
    x, y = _two(call)
    a, b = known(x), known(y)
    left, right = tensordot_axes(call, len(a), len(b))
    for i, j in zip(left, right, strict=True):
        _contracted(a[i], b[j])
    kept = [*(p for i, p in enumerate(a) if i not in left), *(p for j, p in enumerate(b) if j not in right)]
    return Value(tuple(kept), result_type(x.dtype, y.dtype))


def tensordot_axes(call: Configured, left: int, right: int) -> tuple[list[int], list[int]]:
    """The contracted axes of both operands, which have these ranks."""
    given = call.get("axes", 2)
    if not isinstance(given, (list, tuple)):
        count = call.whole("axes", given, 0)
        if count > min(left, right):
            raise ShapeError(f"contracts {count} axes of tensors of rank {left} and {right}")
        return list(range(left - count, left)), list(range(count))
    if len(given) != 2:
        raise call.bad("axes", given, "a number or two lists")
    sides = []
    for side, rank in zip(given, (left, right), strict=True):
        values = side if isinstance(side, (list, tuple)) else (side,)
        sides.append([call.axis(v, rank, "axes") for v in values])
    if len(sides[0]) != len(sides[1]):
        raise ShapeError(f"contracts {len(sides[0])} axes with {len(sides[1])}")
    return sides[0], sides[1]


# -- einsum -----------------------------
@op("numpy", "Einsum")
def einsum(call: Call) -> Value:
    """``einsum("ij,jk->ik", x[i, j], y[j, k]) -> [i, k]``; ``...`` stands for axes that broadcast."""
    operands = [value_of(call, v, "an operand") for v in call.args]
    dtype = product_type(*(strong(v.dtype) for v in operands))
    terms, result = subscripts(call, len(operands))
    return Value(contracted([known(v) for v in operands], terms, result), dtype)


def subscripts(call: Configured, count: int) -> tuple[list[str], str]:
    """The operands' subscripts and the result's, with an ellipsis as one ``.``."""
    text = call.text("subscripts").replace(" ", "").replace("...", ".")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    letters = [c for c in left if c not in ",."]
    if not all(c.isalpha() for c in (*letters, *right.replace(".", ""))) or any(
        t.count(".") > 1 for t in (*terms, right)
    ):
        raise call.bad("subscripts", call.get("subscripts"), "letters, commas, ... and ->")
    if len(terms) != count:
        raise ShapeError(f"{len(terms)} subscripts for {count} operands")
    if not arrow:
        right = ("." if "." in left else "") + "".join(
            sorted(c for c in set(letters) if letters.count(c) == 1)
        )
    if len(set(right)) != len(right) or not set(right) <= {*letters, "."}:
        raise call.bad("subscripts", call.get("subscripts"), "a result of distinct letters of the operands")
    return terms, right


def contracted(operands: Sequence[Axes], terms: Sequence[str], result: str) -> Axes:
    """The axes of an einsum's result; ellipses are written ``.``, and axes with the same letter become one.

    Raises:
        ShapeError: a rank does not fit its subscripts, or two axes with the same letter differ.
    """
    named: dict[str, Axis] = {}
    shared: list[Axes] = []
    for axes, term in zip(operands, terms, strict=True):
        extra = len(axes) - len(term.replace(".", ""))
        if extra < 0 or (extra and "." not in term):
            raise ShapeError(f"subscripts {_spelled(term)} for a tensor of rank {len(axes)}")
        head = term.index(".") if "." in term else len(term)
        if "." in term:
            shared.append(axes[head : head + extra])
        for letter, axis in zip(term.replace(".", ""), (*axes[:head], *axes[head + extra :]), strict=True):
            if letter in named:
                named[letter] = _met(letter, named[letter], axis)
            else:
                named[letter] = axis
    wild = stacked(shared)
    return tuple(axis for c in result for axis in (wild if c == "." else (named[c],)))


def _met(letter: str, a: Axis, b: Axis) -> Axis:
    if fixes_batch(a, b):  # TensorFlow's einsum does not broadcast a batch of 1
        raise ShapeError(f"axis {letter}: {only_at(a, b)}")
    if b.size == 1:
        return a
    if a.size == 1:
        return b
    equate(a, b, f"axis {letter}")
    return b if isinstance(b.size, int) else a


def _spelled(term: str) -> str:
    return repr(term.replace(".", "..."))
