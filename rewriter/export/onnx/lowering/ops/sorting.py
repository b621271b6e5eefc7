"""Sorting, the largest few, running totals and differences."""

from __future__ import annotations

from .....ir.size import Size
from ...emitter import Emitter
from ...graph import Tensor
from ...kernels import computed_in
from ...registry import op, refuse_ops
from ._operands import flattened
from .elementwise import nan_to_num


def ordered(
    call: Emitter, x: Tensor, axis: int, count: int | None = None, descending: bool = False
) -> tuple[Tensor, Tensor]:
    """Sorted numbers along an axis (all, or the first ``count``) and their ``int64`` positions; ties in their order."""
    axis %= x.rank
    wanted: int | Tensor = call.size(x, axis) if count is None else count
    k = wanted if isinstance(wanted, Tensor) else call.constant([wanted], "int64")
    length: Size = x.sizes[axis] if count is None else count
    sizes = (*x.sizes[:axis], length, *x.sizes[axis + 1 :])
    wide = "uint8" if x.dtype == "bool" else computed_in("TopK", x.dtype)
    values, indices = call.several(
        "TopK",
        [(wide, sizes), ("int64", sizes)],
        call.cast(x, wide),
        k,
        axis=axis,
        largest=int(descending),
        sorted=1,
    )
    return call.cast(values, x.dtype), indices


def _along(call: Emitter, default: int | None) -> tuple[Tensor, int]:
    """The operand and the axis; flattened if the axis is None."""
    x, axis = call.x, call.get("axis", default)
    if axis is None:
        return flattened(call, x), 0
    return x, call.axis(axis, x.rank)


@op("numpy", "Sort")
def sort(call: Emitter) -> Tensor:
    """``sort(x[a, b]) -> [a, b]``, ascending."""
    return ordered(call, *_along(call, -1))[0]


@op("numpy", "Argsort")
def argsort(call: Emitter) -> Tensor:
    """``argsort(x[a, b]) -> int32[a, b]``: the positions of the numbers in ascending order."""
    if call.x.rank == 0:
        raise call.refuse("TensorFlow adds an axis to a scalar")
    return call.cast(ordered(call, *_along(call, -1))[1], "int32")


refuse_ops("the order within the parts is not defined", "numpy", "Argpartition")


@op("math", "TopK")
def top_k(call: Emitter) -> tuple[Tensor, Tensor]:
    """``top_k(x[..., n], k) -> [..., k], int32[..., k]``: the largest, descending, and their positions."""
    if not call.flag("sorted", True) and call.integer("k") > 1:
        raise call.refuse("the order of unsorted results is not defined")
    values, indices = ordered(call, call.x, -1, call.integer("k"), True)
    return values, call.cast(indices, "int32")


@op("numpy", "Cumsum", "Cumprod", "Nancumsum", "Nancumprod")
def cumulative(call: Emitter) -> Tensor:
    """``cumsum(x[a, b], axis=1) -> [a, b]``; the two ``Nan`` ops skip NaN."""
    name = call.operation.class_name
    x, axis = _along(call, None)
    if name.startswith("Nan"):
        x = nan_to_num(call, x, 0.0 if name == "Nancumsum" else 1.0)
    x = call.cast(x, call.dtype)
    if name in ("Cumsum", "Nancumsum"):
        return call.op("CumSum", x, call.constant(axis, "int64"))
    if call.opset >= 26:
        return call.op("CumProd", x, call.constant(axis, "int64"))
    return _running_product(call, x, axis)


def _running_product(call: Emitter, x: Tensor, axis: int) -> Tensor:
    """A running product by a Scan: ONNX has none before opset 26."""
    wide = call.cast(x, computed_in("CumProd", x.dtype))
    rest = (*wide.sizes[:axis], *wide.sizes[axis + 1 :])
    start = call.expand(call.constant(1, wide.dtype), rest)
    with call.builder.body("multiply") as body:
        product_, step = Tensor(wide.dtype, rest, stem="product"), Tensor(wide.dtype, rest, stem="step")
        body.inputs = [product_, step]
        after = call.op("Mul", product_, step)
        body.outputs = [after, call.identity(after)]
    results = [(wide.dtype, rest), (wide.dtype, wide.sizes)]
    y = call.several(
        "Scan",
        results,
        start,
        wide,
        body=body,
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_output_axes=[axis],
    )[1]
    return call.cast(y, x.dtype)


@op("numpy", "Diff")
def diff(call: Emitter) -> Tensor:
    """``diff(x[a, b], n=1, axis=1) -> [a, b-1]``, n times."""
    x = call.x
    axis = call.axis(call.get("axis", -1), x.rank)
    for _ in range(call.integer("n", 0, 1)):
        after, before = call.slice(x, axis, 1), call.slice(x, axis, 0, -1)
        x = call.op("Xor" if x.dtype == "bool" else "Sub", after, before)
    return x
