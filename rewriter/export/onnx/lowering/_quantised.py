"""Products with quantised weights, as Keras 3.15 computes them (keras/src/layers/core, keras/src/quantizers).

Weights keep their 8 or 4 bits in the file, and become floats by ``Cast``. DequantizeLinear is not used for them: ONNX
Runtime 1.32 turns it and a MatMul into one MatMulNBits, which also rounds the other operand to 8 bits (0.5 % of the
largest value), and where it does not, it dequantises at every run. A Cast is computed once, when the file is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....errors import shown
from ....ir.size import Size, product
from ....shapes.quantisation import Quantisation
from ..dtypes import numpy_dtype
from ..emitter import Emitter
from ..graph import Array, Data, Tensor

_CONFIGS = frozenset({"Int8QuantizationConfig", "Int4QuantizationConfig"})
# ONNX has 4-bit integers from opset 21, float8 from 19.
_INT4_OPSET, _FLOAT8_OPSET = 21, 19
_FLOAT8, _FLOAT8_LARGEST = "float8_e4m3fn", 448.0


# -- weights -----------------------------
def floats(call: Emitter, x: Tensor, dtype: str) -> Tensor:
    """Whole numbers or float8 as floats; the file keeps the narrow numbers of a constant."""
    if x.data is None or x.dtype == dtype:
        return call.cast(x, dtype)
    return call.builder.unfolded_cast(x, dtype)


def packed(call: Emitter, path: str, name: str, count: int, axis: int, signed: bool = True) -> Tensor:
    """Weights of which a byte holds two along an axis: ``[K, ceil(count / 2)] -> [K, count]``, as 4-bit integers.

    Raises:
        Refused: they are packed otherwise.
    """
    kind = "int" if signed else "uint"
    dtype = f"{kind}4" if call.opset >= _INT4_OPSET else f"{kind}8"

    def unpack(data: Data) -> Data:
        shape = list(data.shape)
        if len(shape) != 2 or shape[axis] != (count + 1) // 2:
            raise call.refuse(
                f"its weights have the shape {tuple(shape)}: Keras packs them otherwise since 3.14"
            )
        shape[axis] = count
        return Data(tuple(shape), dtype, lambda: _typed(unpacked(data.load(), count, axis, signed), dtype))

    return call.derived(path, name, f"{dtype} along {axis}", unpack)


def unpacked(packed: Array, count: int, axis: int, signed: bool) -> Array:
    """``unpacked(packed[K, N], 2 * N) -> [K, 2 * N]``: the lower half of each byte first (``unpack_int4`` of Keras)."""
    bits = packed.view(np.uint8)
    halves = np.stack([bits & 15, bits >> 4], axis + 1)
    shape = list(bits.shape)
    shape[axis] *= 2
    numbers = np.take(halves.reshape(shape), range(count), axis)
    return (numbers ^ 8).astype(np.int8) - np.int8(8) if signed else numbers


def _typed(array: Array, dtype: str) -> Array:
    return array.astype(numpy_dtype(dtype))


def in_groups(call: Emitter, kernel: Tensor, scale: Tensor, zero: Tensor, groups: Tensor) -> Tensor:
    """``(kernel[K, N] - zero[G, N]) * scale[G, N] -> [K, N]``; ``groups[K]`` are the rows of ``zero`` and ``scale``."""
    rows = _truncated(call, groups, scale.sizes[0])
    zeros = floats(call, call.op("Gather", zero, rows, axis=0), scale.dtype)
    difference = call.op("Sub", floats(call, kernel, scale.dtype), zeros)
    return call.op("Mul", difference, call.op("Gather", scale, rows, axis=0))


def _truncated(call: Emitter, groups: Tensor, count: Size) -> Tensor:
    """Groups as indices below ``count``; Keras stores floats and truncates them. Raises Refused for other numbers."""
    assert groups.data is not None
    indices = groups.data.load().astype(np.int64)
    if indices.ndim != 1 or not isinstance(count, int) or not ((indices >= 0) & (indices < count)).all():
        raise call.refuse(f"its groups of weights are not those of its {count} scales")
    return call.constant(indices)


# -- the operand -----------------------------
@dataclass(frozen=True, slots=True)
class AbsMax:
    """``AbsMaxQuantizer``: whole numbers from ``low`` to ``high``, ``high`` for the largest magnitude of a row."""

    low: int = -127
    high: int = 127
    epsilon: float = 1e-7

    def __call__(self, call: Emitter, x: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The whole numbers as floats, and their scale, of size 1 along the axes (``abs_max_quantize``)."""
        size = call.op("Abs", x)
        largest, total = (call.reduce(each, size, axes, keepdims=True) for each in ("ReduceMax", "ReduceSum"))
        # ONNX Runtime's maximum passes over NaN; the sum of magnitudes is NaN only where there is one. In float32, as
        # before opset 20 it has no IsNaN of other types.
        lost = call.op("IsNaN", call.cast(total, "float32"))
        largest = call.op("Where", lost, total, largest)
        scale = call.op("Div", self.high, call.op("Add", largest, self.epsilon))
        limits = (call.constant(number, x.dtype) for number in (self.low, self.high))
        return call.op("Clip", call.op("Round", call.op("Mul", x, scale)), *limits), scale


def operand_quantiser(call: Emitter, default: AbsMax | None) -> AbsMax | None:
    """How the layer quantises its operand; None where only its weights are quantised. Raises Refused for other ways."""
    stated = call.get("quantization_config")
    if stated is None:
        return default
    name, config = _keras_object(stated)
    if name not in _CONFIGS:
        raise call.refuse("its quantization_config is not one of Keras's")
    found = config.get("activation_quantizer")
    if found is None:
        return None
    name, config = _keras_object(found)
    if name != "AbsMaxQuantizer":
        raise call.refuse(f"its activation quantizer {shown(name)} is not known")
    if config.get("output_dtype", "int8") != "int8":
        raise call.refuse(f"its activation quantizer gives {shown(str(config['output_dtype']))}, not int8")
    limits = call.numbers("value_range", config.get("value_range", (-127, 127)))
    if limits.shape != (2,) or (limits != np.round(limits)).any() or not -128 <= limits[0] < limits[1] <= 127:
        raise call.refuse(f"its activation quantizer has the range {shown(str(config['value_range']))}")
    epsilon = call.numbers("epsilon", config.get("epsilon", 1e-7))
    return AbsMax(int(limits[0]), int(limits[1]), float(epsilon))


def _keras_object(entry: Any) -> tuple[str, dict[str, Any]]:
    """The class and the configuration of a serialised object; a class of the user with its package."""
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        return str(entry), {}
    registered = entry.get("registered_name")
    return str(registered or entry.get("class_name")), entry["config"]


# -- products -----------------------------
Product = Callable[[Tensor, Tensor], Tensor]


def quantised_product(
    call: Emitter,
    scheme: Quantisation,
    x: Tensor,
    sizes: Sequence[Size],
    axes: Sequence[int],
    multiply: Callable[..., Tensor],
    bias: bool,
    aligned: Callable[[Tensor], Tensor] = lambda scale: scale,
) -> Tensor:
    """The product of a Dense or an EinsumDense, without its bias.

    Args:
        sizes: the shape of the kernel.
        axes: the axes of ``x`` that are summed over: they share a scale.
        multiply: ``multiply(x, kernel, product)``; ``product`` is a MatMul by default.
        bias: whether the layer has one: variables follow it.
        aligned: gives the scale of ``x`` the axes of the result.
    """
    weights = _Weights(call, scheme, bias)

    def shaped(kernel: Tensor) -> Tensor:
        """The kernel, of the shape that the configuration gives it. Raises Refused for another number of weights."""
        if product(kernel.sizes) != product(sizes):
            raise call.refuse(f"its weights have the shape {kernel.sizes}, and {tuple(sizes)} is expected")
        return call.reshape(kernel, sizes)

    if scheme.mode == "float8":
        rounded, kernel = weights.of_float8(x)
        return multiply(rounded, shaped(kernel))
    if scheme.mode == "int8":
        scale = weights("kernel_scale")
        quantiser = operand_quantiser(call, AbsMax())
        if quantiser is None:
            kernel = shaped(floats(call, weights("kernel"), call.compute))
            return call.op("Div", multiply(x, kernel), scale)
        rounded, of_x = quantiser(call, x, axes)
        kernel = shaped(in_bytes(call, weights.place("kernel"), "kernel"))
        y = multiply(bytes_of(call, rounded), kernel, product_of_bytes(call))
        return call.op("Div", y, call.op("Mul", aligned(of_x), scale))
    kernel = shaped(weights.rows())
    # A product with weights in groups does not quantise its operand.
    quantiser = None if scheme.grouped else operand_quantiser(call, None)
    if quantiser is None:
        return multiply(x, kernel)
    rounded, of_x = quantiser(call, x, axes)
    return call.op("Div", multiply(whole_of(call, rounded), kernel), aligned(of_x))


def in_bytes(call: Emitter, path: str, name: str) -> Tensor:
    """An int8 variable plus 128, as uint8: the sums of MatMulInteger are exact for it on every processor.

    Where uint8 meets int8, ONNX Runtime's sums of two products saturate in 16 bits on processors without VNNI.
    """

    def moved(data: Data) -> Data:
        if data.dtype != "int8":
            raise call.refuse(f"its weights are {data.dtype}, and int8 is expected")
        return Data(data.shape, "uint8", lambda: data.load().view(np.uint8) ^ np.uint8(128))

    return call.derived(path, name, "uint8", moved)


def bytes_of(call: Emitter, rounded: Tensor) -> Tensor:
    """Whole numbers of int8, as floats -> plus 128, as uint8."""
    return call.cast(call.op("Add", rounded, 128), "uint8")


def whole_of(call: Emitter, rounded: Tensor) -> Tensor:
    """Whole numbers of int8, as floats, where they meet a kernel of floats; NaN, of an infinite row, is a number."""
    return call.op("Sub", call.cast(bytes_of(call, rounded), rounded.dtype), 128)


def product_of_bytes(call: Emitter) -> Product:
    """``x[..., K] @ kernel[K, N]``, each plus 128 in uint8 -> the product of the int8 numbers, as floats."""

    def multiply(x: Tensor, kernel: Tensor) -> Tensor:
        zero = call.constant(128, "uint8")
        return call.cast(call.op("MatMulInteger", x, kernel, zero, zero, as_dtype="int32"), call.compute)

    return multiply


def rounded_bias(call: Emitter, bias: Tensor) -> Tensor:
    """The bias of a layer in float8, which Keras rounds to bfloat16 where it computes in float32."""
    return call.cast(call.cast(bias, "bfloat16"), bias.dtype)


class _Weights:
    """The variables of a quantised Dense or EinsumDense, by Keras's names."""

    def __init__(self, call: Emitter, scheme: Quantisation, bias: bool) -> None:
        self.call, self.scheme, self.bias = call, scheme, bias

    def __call__(self, name: str) -> Tensor:
        return self.call.weight(self.place(name), name)

    def place(self, name: str) -> str:
        return self.scheme.variable(name, self.bias)

    def rows(self) -> Tensor:
        """The kernel as floats, ``[rows, columns]``: the summed axes are rows, all others columns."""
        call, scheme, scale = self.call, self.scheme, self("kernel_scale")
        assert scale.data is not None
        if scheme.mode == "int4":
            kernel = packed(call, self.place("kernel"), "kernel", scale.data.shape[-1], 1)
            if not scheme.grouped:
                return call.op("Div", floats(call, kernel, call.compute), scale)
            return in_groups(call, kernel, scale, self("kernel_zero"), self("g_idx"))
        if not call.has_weight(self.place("g_idx")):
            raise call.refuse(
                f"Keras 3.15 saves {scheme.mode} weights without their zero points (kernel_zero)"
            )
        place, columns = self.place("kernel"), scale.data.shape[0]
        if scheme.bits == 4:
            kernel = packed(call, place, "kernel", columns, 0, signed=False)
        else:
            kernel = call.weight(place, "kernel", "")
        kernel, scale, zero = (call.transpose(t, [1, 0]) for t in (kernel, scale, self("kernel_zero")))
        whole = in_groups(call, kernel, scale, zero, self("g_idx"))
        if scheme.mode == "gptq":
            return whole
        return call.op("Div", whole, call.unsqueeze(self("awq_scales"), 1))

    def of_float8(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``x`` rounded to float8 and the kernel, which is float8 in the file (``quantize_and_dequantize``)."""
        call = self.call
        if call.opset < _FLOAT8_OPSET:
            raise call.refuse(f"it is quantised (float8): that needs opset {_FLOAT8_OPSET}")
        of_x, scale = self("inputs_scale"), self("kernel_scale")
        assert scale.data is not None
        size = scale.data.load()

        def narrow(data: Data) -> Data:
            def load() -> Array:
                parts = data.load().astype(size.dtype) / size
                return _typed(np.clip(parts, -_FLOAT8_LARGEST, _FLOAT8_LARGEST), _FLOAT8)

            return Data(data.shape, _FLOAT8, load)

        kernel = call.derived(self.place("kernel"), "kernel", _FLOAT8, narrow)
        return self._rounded(x, of_x), call.op("Mul", floats(call, kernel, call.compute), scale)

    def _rounded(self, x: Tensor, scale: Tensor) -> Tensor:
        """``x`` rounded to float8.

        Not by QuantizeLinear: ONNX Runtime 1.32 removes a Relu before it, though float8 has negative numbers.
        """
        call = self.call
        limits = (call.constant(number, x.dtype) for number in (-_FLOAT8_LARGEST, _FLOAT8_LARGEST))
        parts = call.op("Clip", call.op("Div", x, scale), *limits)
        return call.op("Mul", call.cast(call.cast(parts, _FLOAT8), x.dtype), scale)


# -- embeddings -----------------------------
def quantised_vectors(call: Emitter, scheme: Quantisation, places: Tensor) -> Tensor:
    """``places[...] -> [..., output_dim]``: only the vectors that are looked up are dequantised."""
    scale = call.op("Gather", call.weight("vars/1", "embeddings_scale"), places, axis=0)
    if scheme.mode == "int8":
        table = call.weight("vars/0", "embeddings", "")
        vectors = call.cast(call.op("Gather", table, places, axis=0), call.compute)
        return call.op("Div", vectors, call.unsqueeze(scale, scale.rank))
    if scheme.mode != "int4":
        raise call.refuse(f"Keras does not quantise it as {scheme.mode}")
    vectors = _looked_up(call, places)
    if not scheme.grouped:
        return call.op("Div", vectors, call.unsqueeze(scale, scale.rank))
    zero = call.cast(
        call.op("Gather", call.weight("vars/2", "embeddings_zero"), places, axis=0), call.compute
    )
    columns = _truncated(call, call.weight("vars/3", "g_idx"), scale.sizes[-1])
    zero, scale = (call.op("Gather", t, columns, axis=-1) for t in (zero, scale))
    return call.op("Mul", call.op("Sub", vectors, zero), scale)


def _looked_up(call: Emitter, places: Tensor) -> Tensor:
    """``table[V, ceil(D / 2)] -> [..., D]``: the numbers of int4, of which a byte of the table holds two, as floats."""
    width = call.integer("output_dim", 1)

    def moved(data: Data) -> Data:  # each half plus 8, so that it is 0 to 15
        if data.shape[1:] != ((width + 1) // 2,):
            raise call.refuse(f"its weights have the shape {data.shape}: two numbers in a byte are expected")
        return Data(data.shape, "uint8", lambda: data.load().view(np.uint8) ^ np.uint8(0x88))

    rows = call.op("Gather", call.derived("vars/0", "embeddings", "halves", moved), places, axis=0)
    halves = [call.unsqueeze(call.op(op_type, rows, 16), rows.rank) for op_type in ("Mod", "Div")]
    pairs = call.reshape(call.concat(halves, -1), [*rows.sizes[:-1], 2 * ((width + 1) // 2)])
    numbers = call.slice(pairs, -1, 0, width) if width % 2 else pairs
    return call.op("Sub", call.cast(numbers, call.compute), 8)


def quantised_logits(call: Emitter, scheme: Quantisation, tied: bool) -> Tensor:
    """``x[..., output_dim] -> [..., input_dim]``: the reverse of an embedding, without its soft cap."""
    if {call.x.dtype, call.compute} != {"float32"} or scheme.mode not in ("int8", "int4"):
        raise call.refuse(f"it is quantised ({scheme.mode}) and computes in {call.compute}")
    x, quantiser = call.x, operand_quantiser(call, AbsMax())
    rounded, of_x = (x, None) if quantiser is None else quantiser(call, x, [-1])
    # Its variables: the table, its scales and, with groups, its zeros and the groups; then those of the reverse.
    first = 0 if tied else 4 if scheme.grouped else 2
    scale = call.weight(f"vars/{first + 1}", "reverse_embeddings_scale")

    def turned(t: Tensor) -> Tensor:
        """A tied table, its scales and zeros have the axes the other way round."""
        return call.transpose(t, [1, 0]) if tied and t.rank == 2 else t

    if scheme.mode == "int8" and of_x is not None:
        kernel = turned(in_bytes(call, f"vars/{first}", "reverse_embeddings"))
        y = product_of_bytes(call)(bytes_of(call, rounded), kernel)
        return call.op("Div", y, call.op("Mul", of_x, scale))
    if scheme.mode == "int8":
        kernel = turned(call.weight(f"vars/{first}", "reverse_embeddings", ""))
    else:
        width = call.integer("output_dim", 1)
        kernel = turned(packed(call, f"vars/{first}", "reverse_embeddings", width, 1 if tied else 0))
    if scheme.grouped:
        zero = turned(call.weight(f"vars/{first + 2}", "reverse_embeddings_zero"))
        kernel = in_groups(call, kernel, turned(scale), zero, call.weight("vars/3", "g_idx"))
    else:
        kernel = call.op("Div", floats(call, kernel, "float32"), scale)
    y = call.op("MatMul", rounded if of_x is None else whole_of(call, rounded), kernel)
    return y if of_x is None else call.op("Div", y, of_x)
