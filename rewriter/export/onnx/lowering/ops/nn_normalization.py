"""Softmax, normalisation, attention and losses of ``keras.ops.nn``."""

from __future__ import annotations

import math

from .....ir.size import product
from .....shapes.dtypes import is_integral, result_type
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op, refuse_ops
from .. import _activations as functions
from .. import _normalization as normalization
from ._operands import argument, as_tensor, declared, floating, places, where
from .creation import one_hot_of
from .reductions import norm_of

# ``keras.backend.epsilon()``; a model does not record another.
_EPSILON = 1e-7


def _epsilon(call: Emitter) -> float:
    given = call.get("epsilon")
    return _EPSILON if given is None else float(given)


# -- softmax -----------------------------
@op("nn", "Softmax", "LogSoftmax")
def softmax(call: Emitter) -> Tensor:
    """``softmax(x[...]) -> [...]`` along one axis, several, or all."""
    x, axis, name = floating(call, call.x), call.get("axis", -1), call.operation.class_name
    if not isinstance(axis, (list, tuple)):
        along = None if axis is None else call.axis(axis, x.rank)
        return (functions.softmax if name == "Softmax" else functions.log_softmax)(call, x, along)
    axes = call.axis_tuple(axis, x.rank)
    apart = call.op("Sub", x, call.reduce("ReduceMax", x, axes, True))
    powers = call.op("Exp", apart)
    total = call.reduce("ReduceSum", powers, axes, True)
    return (
        call.op("Div", powers, total) if name == "Softmax" else call.op("Sub", apart, call.op("Log", total))
    )


@op("nn", "Sparsemax")
def sparsemax(call: Emitter) -> Tensor:
    """``sparsemax(x[...]) -> [...]``."""
    return functions.sparsemax(call, floating(call, call.x), call.axis(call.get("axis", -1), call.x.rank))


@op("nn", "Glu")
def glu(call: Emitter) -> Tensor:
    """``glu(x[..., 2n]) -> [..., n]``."""
    return functions.glu(call, floating(call, call.x), call.axis(call.get("axis", -1), call.x.rank))


# -- normalisation -----------------------------
@op("nn", "Normalize")
def normalize(call: Emitter) -> Tensor:
    """``x`` divided by its norm, which is at least epsilon."""
    x, order, axis = (
        floating(call, call.x),
        call.whole("order", call.get("order", 2), 1),
        call.get("axis", -1),
    )
    if order != 2:
        length = call.op("Max", norm_of(call, x, order, axis, True), call.constant(_epsilon(call), x.dtype))
        return declared(call, call.op("Div", x, length))
    square = call.reduce("ReduceSum", call.op("Mul", x, x), call.axis_tuple(axis, x.rank), True)
    inverse = call.op("Reciprocal", call.op("Sqrt", square))
    limited = call.op("Min", inverse, call.constant(1.0 / _epsilon(call), x.dtype))
    return declared(call, call.op("Mul", x, limited))


def _vector(call: Emitter, position: int, name: str, dtype: str) -> Tensor | None:
    given = argument(call, position, name)
    return None if given is None else as_tensor(call, given, dtype)


@op("nn", "LayerNorm")
def layer_norm(call: Emitter) -> Tensor:
    """``layer_norm(x[...], gamma, beta) -> [...]`` over the axes of gamma and beta."""
    x = call.x
    wide = call.cast(x, result_type(x.dtype, "float32"))
    gamma, beta = _vector(call, 1, "gamma", wide.dtype), _vector(call, 2, "beta", wide.dtype)
    axes = call.axis_tuple(call.get("axis", -1), x.rank)
    sizes = tuple(x.sizes[a] for a in axes)
    if call.flag("rms_scaling"):
        _, variance = normalization.moments(call, wide, axes)
        y = call.op("Div", wide, call.op("Sqrt", call.op("Add", variance, _epsilon(call))))
        return call.cast(y if gamma is None else call.op("Mul", y, _placed(call, gamma, axes, x)), x.dtype)
    if all(v is None or v.sizes == sizes for v in (gamma, beta)):
        return call.cast(normalization.layer_norm(call, wide, gamma, beta, axes, _epsilon(call)), x.dtype)
    y = normalization.layer_norm(call, wide, None, None, axes, _epsilon(call))
    if gamma is not None:
        y = call.op("Mul", y, _placed(call, gamma, axes, x))
    if beta is not None:
        y = call.op("Add", y, _placed(call, beta, axes, x))
    return call.cast(y, x.dtype)


def _placed(call: Emitter, vector: Tensor, axes: tuple[int, ...], x: Tensor) -> Tensor:
    """Gamma or beta, shaped to broadcast along its axes; unchanged if it has the rank of x."""
    if vector.rank == x.rank:
        return vector
    if product(vector.sizes) != product(x.sizes[a] for a in axes):
        raise call.refuse(f"gamma and beta of {list(vector.sizes)} do not fit the axes {list(axes)}")
    return call.reshape(vector, [x.sizes[n] if n in axes else 1 for n in range(x.rank)])


@op("nn", "RMSNorm")
def rms_norm(call: Emitter) -> Tensor:
    """``rms_norm(x[...], scale) -> [...]``."""
    x = call.x
    if x.rank == 0:
        raise call.refuse("Keras adds an axis to a scalar")
    wide = call.cast(x, result_type(x.dtype, "float32"))
    axes = call.axis_tuple(call.get("axis", -1), x.rank)
    y = normalization.rms_norm(call, wide, _vector(call, 1, "scale", wide.dtype), axes, _epsilon(call))
    return call.cast(y, x.dtype)


@op("nn", "BatchNorm")
def batch_norm(call: Emitter) -> Tensor:
    """``batch_normalization(x[..., C], mean[C], variance[C], offset[C], scale[C]) -> [..., C]``."""
    x = as_tensor(call, argument(call, 0, "x"))
    axis = call.axis(call.get("axis"), x.rank)
    mean, variance = (as_tensor(call, argument(call, n, name)) for n, name in ((1, "mean"), (2, "variance")))
    offset, scale = _vector(call, 3, "offset", mean.dtype), _vector(call, 4, "scale", mean.dtype)
    inverse = call.op("Reciprocal", call.op("Sqrt", call.op("Add", variance, call.number("epsilon", 1e-3))))
    if scale is not None:
        inverse = call.op("Mul", inverse, scale)
    shift = call.op("Mul", mean, inverse)
    shift = call.op("Neg", shift) if offset is None else call.op("Sub", offset, shift)
    shape = [-1, *([1] * (x.rank - 1 - axis))]
    factor, term = (
        call.cast(t if axis == x.rank - 1 else call.op("Reshape", t, shape), x.dtype)
        for t in (inverse, shift)
    )
    return call.op("Add", call.op("Mul", x, factor), term)


# -- attention -----------------------------
@op("nn", "DotProductAttention")
def dot_product_attention(call: Emitter) -> Tensor:
    """``attention(query[B, T, N, H], key[B, S, M, H], value[B, S, M, H]) -> [B, T, N, H]``."""
    if call.get("attn_logits_soft_cap") is not None:
        raise call.refuse("TensorFlow ignores attn_logits_soft_cap, other backends do not")
    if call.get("flash_attention"):
        raise call.refuse("TensorFlow has no flash attention")
    given = [as_tensor(call, argument(call, n, name)) for n, name in enumerate(("query", "key", "value"))]
    dtype = result_type(*(t.dtype for t in given))
    query, key, value = (call.cast(t, dtype) for t in given)
    heads, groups = query.sizes[2], key.sizes[2]
    if heads != groups:
        key, value = (_repeated(call, t, heads, groups) for t in (key, value))
    high = result_type(dtype, "float32")
    logits = call.op("MatMul", call.transpose(query, [0, 2, 1, 3]), call.transpose(key, [0, 2, 3, 1]))
    logits = call.op("Mul", call.cast(logits, high), _scale(call, key, high))
    bias, mask = argument(call, 3, "bias"), argument(call, 4, "mask")
    if bias is not None:
        logits = call.op("Add", logits, call.cast(as_tensor(call, bias, dtype), high))
    allowed = None if mask is None else as_tensor(call, mask, "bool")
    if call.flag("is_causal"):
        early = _causal(call, logits)
        allowed = early if allowed is None else call.op("And", allowed, early)
    if allowed is not None:
        # The number that Keras uses for float32 and wider (_get_large_negative, 3.15).
        logits = where(call, allowed, logits, call.constant(3.38953e38 * -0.7, high))
    shares = call.cast(call.op("Softmax", logits, axis=-1), dtype)
    mixed = call.op("MatMul", shares, call.transpose(value, [0, 2, 1, 3]))
    return call.transpose(mixed, [0, 2, 1, 3])


def _repeated(call: Emitter, x: Tensor, heads: object, groups: object) -> Tensor:
    """Key or value with each head repeated for its queries; a single head broadcasts."""
    if groups == 1:
        return x
    if not isinstance(heads, int) or not isinstance(groups, int) or heads % groups:
        raise call.refuse(f"{heads} query heads for {groups} key heads")
    times = heads // groups
    sizes = [*x.sizes[:3], times, x.sizes[3]]
    spread = call.op("Expand", call.unsqueeze(x, 3), [1, 1, 1, times, 1], as_sizes=sizes)
    return call.reshape(spread, [*x.sizes[:2], heads, x.sizes[3]])


def _scale(call: Emitter, key: Tensor, dtype: str) -> Tensor:
    given = argument(call, 5, "scale")
    if given is not None:
        return as_tensor(call, given, dtype)
    size = key.sizes[3]
    if isinstance(size, int):
        return call.constant(1 / math.sqrt(size), dtype)
    return call.cast(call.op("Reciprocal", call.op("Sqrt", call.count(key, 3, "float32"))), dtype)


def _causal(call: Emitter, logits: Tensor) -> Tensor:
    """``[T, S]``, true where the key is not later than the query."""
    rows, columns = logits.sizes[-2:]
    times = call.size(logits, 2), call.size(logits, 3)
    down, across = (places(call, t, s) for t, s in zip(times, (rows, columns), strict=True))
    return call.op("LessOrEqual", call.unsqueeze(across, 0), call.unsqueeze(down, 1))


# -- losses -----------------------------
def _logits(call: Emitter, output: Tensor, op_type: str) -> tuple[Tensor, bool]:
    """The input of a loss and whether it is logits: Keras skips a softmax or sigmoid before it (``_get_logits``)."""
    made = output.producer
    if made is not None and made.op_type == op_type and made.inputs[0] is not None:
        return made.inputs[0], True
    if made is not None and made.op_type == "Reshape" and made.inputs[0] is not None:
        inner = made.inputs[0].producer
        if inner is not None and inner.op_type == op_type and inner.output.rank == 1:
            raise call.refuse("Keras skips the softmax over all axes before the loss")
    return output, call.flag("from_logits")


def _probabilities(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Clip", x, call.constant(_EPSILON, x.dtype), call.constant(1 - _EPSILON, x.dtype))


def _loss_operands(call: Emitter) -> tuple[Tensor, Tensor]:
    output = floating(call, as_tensor(call, argument(call, 1, "output")))
    return as_tensor(call, argument(call, 0, "target")), output


@op("nn", "BinaryCrossentropy")
def binary_crossentropy(call: Emitter) -> Tensor:
    """``-(t * log(x) + (1 - t) * log(1 - x))``, element by element."""
    target, output = _loss_operands(call)
    if target.dtype != output.dtype:
        raise call.refuse(f"TensorFlow takes targets of {output.dtype}")
    x, from_logits = _logits(call, output, "Sigmoid")
    if from_logits:
        # max(x, 0) - x * t + log(1 + exp(-|x|)), as tf.nn.sigmoid_cross_entropy_with_logits.
        more = call.op("Softplus", call.op("Neg", call.op("Abs", x)))
        return call.op("Add", call.op("Sub", call.op("Relu", x), call.op("Mul", x, target)), more)
    x = _probabilities(call, x)
    one = call.constant(1, x.dtype)
    hit = call.op("Mul", target, call.op("Log", x))
    miss = call.op("Mul", call.op("Sub", one, target), call.op("Log", call.op("Sub", one, x)))
    return call.op("Neg", call.op("Add", hit, miss))


@op("nn", "CategoricalCrossentropy")
def categorical_crossentropy(call: Emitter) -> Tensor:
    """``-sum(t[..., C] * log(x[..., C])) -> [...]``."""
    target, output = _loss_operands(call)
    if target.dtype != output.dtype:
        raise call.refuse(f"TensorFlow takes targets of {output.dtype}")
    axis = call.axis(call.get("axis", -1), output.rank)
    x, from_logits = _logits(call, output, "Softmax")
    if from_logits:
        logs = call.op("LogSoftmax", x, axis=axis)
    else:
        x = call.op("Div", x, call.reduce("ReduceSum", x, [axis], True))
        logs = call.op("Log", _probabilities(call, x))
    return call.op("Neg", call.reduce("ReduceSum", call.op("Mul", target, logs), [axis]))


@op("nn", "SparseCategoricalCrossentropy")
def sparse_categorical_crossentropy(call: Emitter) -> Tensor:
    """``-log(softmax(x)[..., target])``; NaN where the target is not a class."""
    target, output = _loss_operands(call)
    axis = call.axis(call.get("axis", -1), output.rank)
    if axis != output.rank - 1:
        raise call.refuse("TensorFlow takes the classes along the last axis")
    x, from_logits = _logits(call, output, "Softmax")
    if not from_logits:
        x = call.op("Log", _probabilities(call, x))
    if target.rank == output.rank and target.sizes[-1] == 1:
        target = call.squeeze(target, -1)
    classes = output.sizes[-1]
    if not isinstance(classes, int):
        raise call.refuse("the number of classes is not fixed")
    hot = one_hot_of(call, target, classes, target.rank, "bool")
    logs = call.op("LogSoftmax", x, axis=axis)
    zero = call.constant(0, x.dtype)
    loss = call.op("Neg", call.reduce("ReduceSum", where(call, hot, logs, zero), [axis]))
    found = call.cast(call.reduce("ReduceMax", call.cast(hot, "uint8"), [axis]), "bool")
    return where(call, found, loss, call.constant(math.nan, x.dtype))


refuse_ops("complex numbers have no ONNX kernels", "nn", "Polar")


@op("nn", "PSNR")
def psnr(call: Emitter) -> Tensor:
    """``20 log10(max_val) - 10 log10(mean((x - y)**2)) -> []``."""
    x, y = (as_tensor(call, argument(call, n, name)) for n, name in enumerate(("x1", "x2")))
    if x.dtype != y.dtype or is_integral(x.dtype):
        raise call.refuse("TensorFlow takes two images of one floating point type")
    apart = call.op("Sub", x, y)
    error = call.reduce("ReduceMean", call.op("Mul", apart, apart), range(x.rank))
    loss = call.op("Mul", call.op("Log", error), 10 / math.log(10))
    top = call.constant(20 * math.log10(call.number("max_val")), x.dtype)
    return declared(call, call.op("Sub", top, loss))
