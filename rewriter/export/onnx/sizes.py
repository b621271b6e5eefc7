"""The sizes of a node's first result, from its operands; None where the lowering has to give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...ir.size import Size, divide, product
from ...shapes.windows import transposed, window
from .graph import Tensor

Sizes = tuple[Size, ...]
_Rule = Callable[[list[Tensor], dict[str, Any]], "Sizes | None"]

_ALIKE_NAMES = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization BitwiseNot Cast Ceil Celu Clip Cos Cosh CumProd CumSum "
    "DequantizeLinear Dropout Elu Erf Exp Floor Gelu GroupNormalization HardSigmoid HardSwish Hardmax Identity "
    "InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization "
    "MeanVarianceNormalization Mish Neg Not PRelu QuantizeLinear RMSNormalization Reciprocal Relu ReverseSequence "
    "Round ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh "
    "ThresholdedRelu Trilu"
)

_BROADCAST_NAMES = (
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min "
    "Mod Mul Or Pow StringConcat Sub Sum Where Xor"
)

_REDUCE_NAMES = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare"
)

# ``BROADCAST``: operators that align all operands as NumPy does.
_ALIKE, BROADCAST, _REDUCE = (
    frozenset(names.split()) for names in (_ALIKE_NAMES, _BROADCAST_NAMES, _REDUCE_NAMES)
)


def result_sizes(op_type: str, inputs: Sequence[Tensor | None], attributes: dict[str, Any]) -> Sizes | None:
    """Sizes of a node's first result, or None where no rule gives them."""
    given = [t for t in inputs if t is not None]
    if op_type in _ALIKE:
        return given[0].sizes if given[0].known else None
    if op_type in BROADCAST:
        return broadcast(*(t.sizes for t in given)) if all(t.known for t in given) else None
    rule = _reduce if op_type in _REDUCE else _RULES.get(op_type)
    if rule is None or not given or not given[0].known:
        return None
    return rule(given, attributes)


def broadcast(*operands: Sequence[Size]) -> Sizes:
    """The sizes of operands aligned from the right, as NumPy aligns them; two open sizes are assumed equal."""
    rank = max((len(sizes) for sizes in operands), default=0)
    result: list[Size] = [1] * rank
    for sizes in operands:
        for place, size in enumerate(sizes, rank - len(sizes)):
            if result[place] == 1 or (isinstance(size, int) and size != 1):
                result[place] = size
    return tuple(result)


def numbers(tensor: Tensor | None) -> list[int] | None:
    """The whole numbers of a constant, or None where it is computed."""
    if tensor is None or tensor.data is None:
        return None
    return [int(n) for n in tensor.data.small.reshape(-1)]


def _operand(given: list[Tensor], place: int) -> list[int] | None:
    return numbers(given[place]) if place < len(given) else None


def _reduce(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    sizes = given[0].sizes
    listed = attributes.get("axes")
    if listed is None and len(given) > 1:
        listed = numbers(given[1])
        if listed is None:
            return None
    axes = {a % len(sizes) for a in listed} if listed is not None else set(range(len(sizes)))
    if attributes.get("keepdims", 1):
        return tuple(1 if n in axes else s for n, s in enumerate(sizes))
    return tuple(s for n, s in enumerate(sizes) if n not in axes)


def _arg(given: list[Tensor], attributes: dict[str, Any]) -> Sizes:
    sizes = list(given[0].sizes)
    axis = attributes.get("axis", 0)
    if attributes.get("keepdims", 1):
        sizes[axis] = 1
    else:
        del sizes[axis]
    return tuple(sizes)


def _reshape(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    target = _operand(given, 1)
    if target is None:
        return None
    sizes = given[0].sizes
    result: list[Size] = [sizes[n] if t == 0 and n < len(sizes) else t for n, t in enumerate(target)]
    if -1 in target:
        rest = divide(product(sizes), product(s for s, t in zip(result, target, strict=True) if t != -1))
        if rest is None:
            return None
        result[target.index(-1)] = rest
    return tuple(result)


def _transpose(given: list[Tensor], attributes: dict[str, Any]) -> Sizes:
    sizes = given[0].sizes
    return tuple(sizes[p] for p in attributes.get("perm", reversed(range(len(sizes)))))


def _unsqueeze(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    axes = _operand(given, 1)
    if axes is None:
        return None
    rank = given[0].rank + len(axes)
    places = {a % rank for a in axes}
    rest = iter(given[0].sizes)
    return tuple(1 if n in places else next(rest) for n in range(rank))


def _squeeze(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    axes = _operand(given, 1)
    if axes is None:
        return None
    places = {a % given[0].rank for a in axes}
    return tuple(s for n, s in enumerate(given[0].sizes) if n not in places)


def _concat(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    if not all(t.known for t in given):
        return None
    result = list(given[0].sizes)
    axis = attributes["axis"]
    for tensor in given[1:]:
        result[axis] = result[axis] + tensor.sizes[axis]
    return tuple(result)


def _gather(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    if not given[1].known:
        return None
    sizes = given[0].sizes
    axis = attributes.get("axis", 0) % len(sizes)
    return (*sizes[:axis], *given[1].sizes, *sizes[axis + 1 :])


def _matmul(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    if not given[1].known:
        return None
    a, b = given[0].sizes, given[1].sizes
    if len(a) == 1 or len(b) == 1:
        return (*a[:-1], *b[:-2], *b[-1:]) if len(a) == 1 and len(b) > 1 else a[:-1]
    return (*broadcast(a[:-2], b[:-2]), a[-2], b[-1])


def _gemm(given: list[Tensor], attributes: dict[str, Any]) -> Sizes:
    rows = given[0].sizes[1 if attributes.get("transA") else 0]
    return (rows, given[1].sizes[0 if attributes.get("transB") else 1])


def _pad(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    pads = _operand(given, 1)
    if pads is None or len(pads) != 2 * given[0].rank:
        return None
    half = len(pads) // 2
    return tuple(s + (pads[n] + pads[n + half]) for n, s in enumerate(given[0].sizes))


def _slice(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    starts, ends, axes, steps = (_operand(given, n) for n in range(1, 5))
    result = list(given[0].sizes)
    if (
        starts is None
        or ends is None
        or (axes is None and len(given) > 3)
        or (steps is None and len(given) > 4)
    ):
        return None
    for n, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = axes[n] if axes is not None else n
        step = steps[n] if steps is not None else 1
        size = result[axis]
        if isinstance(size, int):
            result[axis] = len(range(size)[slice(start, _end(end, size, step), step)])
        elif step == 1 and start >= 0 and end == 2**63 - 1:
            result[axis] = size - start
        elif step == 1 and start >= 0 and end < 0:
            result[axis] = size + (end - start)
        elif not (step in (1, -1) and (start, end) in ((0, 2**63 - 1), (-1, -(2**63)))):
            return None
    return tuple(result)


def _end(end: int, size: int, step: int) -> int | None:
    return None if step < 0 and end < -size else end


def _expand(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    target = _operand(given, 1)
    return None if target is None else broadcast(given[0].sizes, target)


def _tile(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    repeats = _operand(given, 1)
    return None if repeats is None else tuple(s * r for s, r in zip(given[0].sizes, repeats, strict=True))


def _fill(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    target = _operand(given, 0)
    return None if target is None else tuple(target)


def _shape(given: list[Tensor], attributes: dict[str, Any]) -> Sizes:
    rank = given[0].rank
    return (len(range(rank)[attributes.get("start", 0) : attributes.get("end", rank)]),)


def _global(given: list[Tensor], attributes: dict[str, Any]) -> Sizes:
    return (*given[0].sizes[:2], *([1] * (given[0].rank - 2)))


def _windows(
    given: list[Tensor], attributes: dict[str, Any], kernel: Sequence[int], channels: Size
) -> Sizes | None:
    """The sizes of ``[B, C, S...]`` after sliding windows with explicit pads."""
    count = len(kernel)
    pads = attributes.get("pads", [0] * (2 * count))
    if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or attributes.get("ceil_mode"):
        return None
    strides = attributes.get("strides", [1] * count)
    dilations = attributes.get("dilations", [1] * count)
    spatial = [
        window(size + (pads[n] + pads[n + count]), kernel[n], strides[n], dilations[n])
        for n, size in enumerate(given[0].sizes[2:])
    ]
    return (given[0].sizes[0], channels, *spatial)


def _conv(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    kernel = [size for size in given[1].sizes[2:] if isinstance(size, int)]
    return _windows(given, attributes, kernel, given[1].sizes[0])


def _pool(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    return _windows(given, attributes, attributes["kernel_shape"], given[0].sizes[1])


def _conv_transpose(given: list[Tensor], attributes: dict[str, Any]) -> Sizes | None:
    kernel = [size for size in given[1].sizes[2:] if isinstance(size, int)]
    count = len(kernel)
    if "output_shape" in attributes or attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    pads = attributes.get("pads", [0] * (2 * count))
    strides = attributes.get("strides", [1] * count)
    dilations = attributes.get("dilations", [1] * count)
    extra = attributes.get("output_padding", [0] * count)
    spatial = [
        transposed(size, kernel[n], strides[n], dilations[n], "valid", extra[n]) - (pads[n] + pads[n + count])
        for n, size in enumerate(given[0].sizes[2:])
    ]
    return (given[0].sizes[0], given[1].sizes[1] * attributes.get("group", 1), *spatial)


_RULES: dict[str, _Rule] = {
    "ArgMax": _arg,
    "ArgMin": _arg,
    "AveragePool": _pool,
    "Concat": _concat,
    "ConstantOfShape": _fill,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": lambda given, _: given[1].sizes,
    "Gemm": _gemm,
    "GlobalAveragePool": _global,
    "GlobalMaxPool": _global,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "MaxPool": _pool,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
