"""What trained weights require of a layer's operand: the size of its channels, its features or its normalised axes.

A layer's configuration says how many features it outputs. How many it expects is in the shapes of its variables.
Where the file's weights are known (``Operation.weights``), an operand that they do not fit is a fault of the node.
So is a configuration that they do not fit (``units`` that somebody changed by hand).
Source of the variables' order: ``build`` of each class, Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..ir.axis import Axis
from ..ir.graph import Operation
from ..ir.size import Size, Truth, same
from .broadcast import holds_batch
from .call import Call, ShapeError
from .keras_facts import facts_of
from .quantisation import Quantisation, quantisation_of
from .spatial import call_flag, operand

Shape = tuple[int, ...]
Demand = Callable[[Call, Shape], None]

# Class name -> the variables that are checked, each with its check.
DEMANDS: dict[str, list[tuple[str, Demand]]] = {}

# Layers whose own weights require nothing of an operand, and why.
NO_DEMAND: dict[str, str] = {
    "Attention": "its scale is one number",
    "Bidirectional": "the layers inside are checked against their own weights",
    "Discretization": "its boundaries apply to numbers of any shape",
    "IntegerLookup": "its vocabulary applies to tokens of any shape",
    "MelSpectrogram": "its filters follow from its configuration",
    "Pipeline": "the layers inside are checked against their own weights",
    "STFTSpectrogram": "its filters follow from its configuration",
    "SpectralNormalization": "the layer inside is checked against its own weights",
    "StringLookup": "its vocabulary applies to tokens of any shape",
    "TextVectorization": "its vocabulary applies to tokens of any shape",
    "TimeDistributed": "the layer inside is checked against its own weights",
    "Wrapper": "it has no call of its own",
}


# Modes whose variables have the shapes and the order of those of a layer that is not quantised, with others after them.
_AS_LARGE = ("int8", "float8")


class Misconfigured(ShapeError):
    """A layer's weights were made for another configuration: no operand makes it load."""


def check_weights(call: Call) -> None:
    """Check a call's operands against the layer's weights, where the file has them.

    Raises:
        ShapeError: the weights were trained on another shape.
        Misconfigured: the weights were made for another configuration.
    """
    operation = call.operation
    if not operation.weights or call.x.axes is None:
        return
    weights = _taker(operation).weights
    scheme = quantisation_of(operation.config)
    if scheme is not None and scheme.mode not in _AS_LARGE:
        _check_packed(call, scheme, weights)
        return
    for variable, demand in DEMANDS.get(operation.class_name, ()):
        shape = weights.get(variable)
        if shape is not None:
            demand(call, shape)


def _taker(operation: Operation) -> Operation:
    """The operation whose weights apply to the operand: the cell of an RNN, the first of stacked cells."""
    inner = operation.children.get(facts_of(operation.class_name).meets)
    if isinstance(inner, list):
        inner = inner[0] if inner else None
    return operation if inner is None else _taker(inner)


def _demand(variable: str, *class_names: str) -> Callable[[Demand], Demand]:
    def register(demand: Demand) -> Demand:
        for name in class_names:
            DEMANDS.setdefault(name, []).append((variable, demand))
        return demand

    return register


def _takes(axis: Axis, wanted: Size) -> None:
    if isinstance(wanted, int) and holds_batch(axis):
        held = f"{axis}, which holds the batch"
        raise ShapeError(f"its weights were trained on {wanted}, and it takes {held}: one batch size only")
    if same(axis.size, wanted) is Truth.NO:
        raise ShapeError(f"its weights were trained on {wanted}, and it takes {axis}")


def _makes(call: Call, option: str, made: int) -> None:
    """Check a configured number against the weights. Raises Misconfigured where they differ."""
    stated = call.get(option)
    if isinstance(stated, int) and stated != made:
        raise Misconfigured(
            f"its weights were trained with {option}={made}, and its configuration states {stated}"
        )


def _of_rank(kernel: Shape, rank: int) -> None:
    """Raises Misconfigured where a variable has another rank than the layer always gives it."""
    if len(kernel) != rank:
        raise Misconfigured(
            f"its weights have the shape ({', '.join(map(str, kernel))}), and this layer's always have "
            f"{rank} {'axis' if rank == 1 else 'axes'}"
        )


def _offset(call: Call, option: str, bias: Shape) -> None:
    """``bias[n]`` with the configured ``n``."""
    if call.flag("use_bias", True):
        _of_rank(bias, 1)
        _makes(call, option, bias[0])


@_demand("vars/1", "Dense")
def _dense_bias(call: Call, bias: Shape) -> None:
    """``bias[units]``."""
    _offset(call, "units", bias)


@_demand("vars/1", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
@_demand("vars/2", "SeparableConv1D", "SeparableConv2D")
def _convolution_bias(call: Call, bias: Shape) -> None:
    """``bias[filters]``."""
    _offset(call, "filters", bias)


@_demand("vars/0", "Dense")
def _rows(call: Call, kernel: Shape) -> None:
    """``kernel[K, units]``."""
    _of_rank(kernel, 2)
    _makes(call, "units", kernel[1])
    _takes(call.axes[-1], kernel[0])


@_demand("cell/vars/0", "SimpleRNN", "GRU", "LSTM")
@_demand("vars/0", "SimpleRNNCell", "GRUCell", "LSTMCell")
def _recurrent(call: Call, kernel: Shape) -> None:
    """``kernel[F, k*units]``."""
    _of_rank(kernel, 2)
    _takes(call.axes[-1], kernel[0])


@_demand("vars/0", "RNN", "StackedRNNCells")
def _of_a_cell(call: Call, kernel: Shape) -> None:
    """``kernel[F, k*units]`` of the cell; a kernel of another rank is another kind of cell's and is not checked."""
    if len(kernel) == 2:
        _takes(call.axes[-1], kernel[0])


@_demand("cell/vars/1", "SimpleRNN", "GRU", "LSTM")
@_demand("vars/1", "SimpleRNNCell", "GRUCell", "LSTMCell")
def _recurrence(call: Call, kernel: Shape) -> None:
    """``recurrent_kernel[units, k*units]``."""
    _of_rank(kernel, 2)
    _makes(call, "units", kernel[0])


def _channel(call: Call) -> Axis:
    return call.axes[1 if call.channels_first() else -1]


@_demand("vars/0", "Conv1D", "Conv2D", "Conv3D")
def _convolution(call: Call, kernel: Shape) -> None:
    """``kernel[..., C/groups, filters]``."""
    _of_rank(kernel, len(call.axes))
    _makes(call, "filters", kernel[-1])
    _takes(_channel(call), kernel[-2] * call.integer("groups", 1, 1))


@_demand("vars/0", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _transposed(call: Call, kernel: Shape) -> None:
    """``kernel[..., filters, C]``."""
    _of_rank(kernel, len(call.axes))
    _makes(call, "filters", kernel[-2])
    _takes(_channel(call), kernel[-1])


@_demand("vars/0", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
def _depthwise(call: Call, kernel: Shape) -> None:
    """``kernel[..., C, multiplier]``."""
    _of_rank(kernel, len(call.axes))
    _makes(call, "depth_multiplier", kernel[-1])
    _takes(_channel(call), kernel[-2])


@_demand("vars/1", "SeparableConv1D", "SeparableConv2D")
def _pointwise(call: Call, kernel: Shape) -> None:
    """``kernel[..., C*multiplier, filters]``."""
    _of_rank(kernel, len(call.axes))
    _makes(call, "filters", kernel[-1])


@_demand("cell/vars/0", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def _recurrent_convolution(call: Call, kernel: Shape) -> None:
    """``kernel[..., C, 4*filters]`` on ``x[B, T, ..., C]``."""
    _of_rank(kernel, len(call.axes) - 1)
    _takes(call.axes[2 if call.channels_first() else -1], kernel[-2])


def _axes_of(call: Call, shape: Shape, axes: Sequence[int]) -> None:
    """Check a variable with one size for each of the axes."""
    distinct = len(set(axes))
    if len(axes) != len(shape) or distinct < len(axes):
        raise ShapeError(f"its weights were trained on {len(shape)} axes, and it takes {distinct}")
    for number, size in zip(axes, shape, strict=True):
        _takes(call.axes[number], size)


@_demand("vars/0", "BatchNormalization", "SyncBatchNormalization", "GroupNormalization")
@_demand("vars/0", "LayerNormalization", "RMSNormalization")
def _normalization(call: Call, gamma: Shape) -> None:
    """``gamma`` over the normalised axes; a layer without it has the offset or the moving mean as first variable.

    Its sizes are in the order of the configured numbers: ``axis=[-1, 1]`` of ``[B, 5, 7]`` gives ``gamma[7, 5]``.
    """
    axis = call.get("axis", -1)
    numbers = axis if isinstance(axis, (list, tuple)) else [axis]
    numbers = sorted(call.whole("axis", number) for number in numbers)
    _axes_of(call, gamma, [call.axis(number, len(call.axes)) for number in numbers])


@_demand("vars/0", "Normalization")
def _adapted(call: Call, mean: Shape) -> None:
    """``mean`` over the axes normalised separately; one number where ``axis`` is null."""
    if call.get("axis", -1) is not None:
        _axes_of(call, mean, call.axis_tuple(call.get("axis", -1), len(call.axes)))


@_demand("vars/0", "PReLU")
def _slopes(call: Call, alpha: Shape) -> None:
    """``alpha`` over all axes but the batch, 1 where shared."""
    if len(alpha) != len(call.axes) - 1:
        raise ShapeError(f"its weights were trained on rank {len(alpha) + 1}, and it takes {call.x.text()}")
    for axis, size in zip(call.axes[1:], alpha, strict=True):
        if size != 1:
            _takes(axis, size)


@_demand("vars/0", "AdditiveAttention")
def _scores(call: Call, scale: Shape) -> None:
    """``scale[D]``."""
    _of_rank(scale, 1)
    _takes(call.axes[-1], scale[0])


def _projection(position: int, name: str, inner: str) -> Demand:
    def demand(call: Call, kernel: Shape) -> None:
        """``kernel[D, heads, key_dim]`` of the query, the value or the key; a missing key is the value."""
        value = operand(call, position, name) or operand(call, 1, "value")
        if f"{inner}/vars/{1 + call.flag('use_bias', True)}" in call.operation.weights:
            return  # scales follow the bias: it is quantised, and Keras does not save how
        _of_rank(kernel, 3)
        if value is not None and value.axes:
            _takes(value.axes[-1], kernel[0])

    return demand


for _position, _name in enumerate(("query", "value", "key")):
    for _inner, _classes in (
        (f"{_name}_dense", ("MultiHeadAttention",)),
        (f"_{_name}_dense", ("GroupQueryAttention", "GroupedQueryAttention")),
    ):
        _demand(f"{_inner}/vars/0", *_classes)(_projection(_position, _name, _inner))


@_demand("vars/0", "EinsumDense")
def _einsum(call: Call, kernel: Shape) -> None:
    """The letters that the operand and the kernel share, before and after an ellipsis."""
    equation = call.text("equation").replace(" ", "")
    left, arrow, _ = equation.partition("->")
    operand_letters, comma, letters = left.partition(",")
    if not arrow or not comma or "." in letters:
        return
    _of_rank(kernel, len(letters))
    sizes = dict(zip(letters, kernel, strict=True))
    before, dots, after = operand_letters.partition("...")
    if len(before) + len(after) > len(call.axes) or (not dots and len(before) != len(call.axes)):
        return
    known = [*zip(before, call.axes, strict=False), *zip(reversed(after), reversed(call.axes), strict=False)]
    for letter, axis in known:
        if letter in sizes:
            _takes(axis, sizes[letter])


@_demand("vars/0", "Embedding", "ReversibleEmbedding")
def _table(call: Call, table: Shape) -> None:
    """``table[vocabulary, output_dim]``: requires nothing of tokens; with ``reverse``, the length of the vectors."""
    _of_rank(table, 2)
    _makes(call, "input_dim", table[0])
    _makes(call, "output_dim", table[1])
    if call_flag(call, "reverse"):
        _takes(call.axes[-1], table[1])


# -- quantised weights of which a byte holds two -----------------------------
def _check_packed(call: Call, scheme: Quantisation, weights: Mapping[str, Shape]) -> None:
    """Weights in 4 bits, of GPTQ and of AWQ; those of an EinsumDense are stored in rows and are not checked."""
    name = call.operation.class_name
    if name == "Dense":
        _packed_rows(call, scheme, weights)
    elif name in ("Embedding", "ReversibleEmbedding"):
        _packed_table(call, weights.get("vars/0"))


def _packed_rows(call: Call, scheme: Quantisation, weights: Mapping[str, Shape]) -> None:
    """``kernel[K, ceil(units/2)]`` in int4, ``kernel[ceil(units/2), K]`` or ``kernel[units, K]`` in GPTQ and AWQ."""
    bias = call.flag("use_bias", True)
    kernel, scale = (weights.get(scheme.variable(each, bias)) for each in ("kernel", "kernel_scale"))
    if kernel is None or not scale:
        return
    _of_rank(kernel, 2)
    units = scale[-1] if scheme.mode == "int4" else scale[0]
    _makes(call, "units", units)
    taken, packed = kernel if scheme.mode == "int4" else kernel[::-1]
    # Keras before 3.14 packs the other axis of int4.
    if packed in (units, (units + 1) // 2):
        _takes(call.axes[-1], taken)


def _packed_table(call: Call, table: Shape | None) -> None:
    """``table[vocabulary, ceil(output_dim/2)]``."""
    if table is None:
        return
    _of_rank(table, 2)
    _makes(call, "input_dim", table[0])
    width = call.get("output_dim")
    if isinstance(width, int) and (width + 1) // 2 != table[1]:
        raise Misconfigured(
            f"its weights were trained with {table[1]} bytes a vector, and its configuration says {width} numbers"
        )
    if isinstance(width, int) and call_flag(call, "reverse"):
        _takes(call.axes[-1], width)
