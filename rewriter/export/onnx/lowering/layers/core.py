"""Core layers: Dense, EinsumDense, Embedding, Identity, Masking."""

from __future__ import annotations

from typing import Any

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer
from .._activations import activated
from .._contraction import contracted
from .._quantised import Product, quantised_logits, quantised_product, quantised_vectors, rounded_bias


@layer("Dense")
def dense(call: Emitter) -> Tensor:
    """``dense(x[..., K]) -> [..., units]``."""
    x, with_bias, scheme = call.cast(call.x, call.compute), call.flag("use_bias", True), call.quantisation

    def multiply(x: Tensor, kernel: Tensor, product: Product | None = None) -> Tensor:
        return product(x, kernel) if product is not None else call.op("MatMul", x, kernel)

    if scheme is None:
        y = multiply(x, call.weight("vars/0", "kernel"))
    else:
        y = quantised_product(call, scheme, x, [x.sizes[-1], call.sizes[-1]], [-1], multiply, with_bias)
    return _finished(call, y, with_bias)


@layer("EinsumDense")
def einsum_dense(call: Emitter) -> Tensor:
    """``einsum_dense(x[a, b, c]; "abc,cd->abd") -> [a, b, d]``, as one MatMul."""
    inputs, rest = call.text("equation").split(",")
    weight, outputs = rest.split("->")
    x, with_bias, scheme = call.x, bool(call.get("bias_axes")), call.quantisation
    # The axes of an ellipsis get labels that an equation cannot contain.
    elided = "".join(chr(0x100 + n) for n in range(x.rank - len(inputs.replace("...", ""))))
    inputs, outputs = inputs.replace("...", elided), outputs.replace("...", elided)

    def multiply(x: Tensor, kernel: Tensor, product: Product | None = None) -> Tensor:
        return contracted(call, x, inputs, kernel, weight, outputs, product)

    def aligned(scale: Tensor) -> Tensor:
        """The scale of the operand with the axes of the result: 1 where the operand does not have them."""
        kept = [inputs.index(label) for label in outputs if label in inputs]
        summed = [n for n, label in enumerate(inputs) if label not in outputs]
        turned = call.squeeze(call.transpose(scale, [*kept, *summed]), *range(len(kept), len(inputs)))
        return call.unsqueeze(turned, *(n for n, label in enumerate(outputs) if label not in inputs))

    if scheme is None:
        y = multiply(x, call.weight("vars/0", "kernel"))
    else:
        size = dict(zip(outputs, call.sizes, strict=True)) | dict(zip(inputs, x.sizes, strict=True))
        axes = [n for n, label in enumerate(inputs) if label not in outputs]
        sizes = [size[label] for label in weight]
        y = quantised_product(call, scheme, x, sizes, axes, multiply, with_bias, aligned)
    return _finished(call, y, with_bias)


def _finished(call: Emitter, y: Tensor, with_bias: bool) -> Tensor:
    """Add the bias and apply the activation."""
    scheme = call.quantisation
    if with_bias:
        place = "vars/1" if scheme is None else scheme.variable("bias", True)
        bias = call.weight(place, "bias")
        rounds = scheme is not None and scheme.mode == "float8" and call.compute == "float32"
        y = call.op("Add", y, rounded_bias(call, bias) if rounds else bias)
    return activated(call, y)


@layer("Embedding")
def embedding(call: Emitter) -> Tensor:
    """``embedding(x[...]) -> [..., output_dim]``; with mask_zero every 0 is masked."""
    x, scheme = call.x, call.quantisation
    places = x if x.dtype in ("int32", "int64") else call.cast(x, "int32")
    if scheme is None:
        result = call.op("Gather", call.weight("vars/0", "embeddings"), places, axis=0)
    else:
        result = quantised_vectors(call, scheme, places)
    if call.flag("mask_zero"):
        result.mask = call.op("Not", call.op("Equal", x, call.constant(0, x.dtype)))
    return result


@layer("ReversibleEmbedding")
def reversible_embedding(call: Emitter) -> Tensor:
    """``embedding(x[...]) -> [..., output_dim]``; with ``reverse`` ``(x[..., output_dim]) -> [..., input_dim]``."""
    if not call.kwargs.get("reverse"):
        return embedding(call)
    scheme, tied = call.quantisation, call.flag("tie_weights", True)
    if scheme is not None:
        y = quantised_logits(call, scheme, tied)
    else:
        if tied:
            kernel = call.transpose(call.weight("vars/0", "embeddings", ""), [1, 0])
        else:
            kernel = call.weight("vars/1", "reverse_embeddings", "")
        # Keras does not autocast here: the types of the operand and the variables decide.
        reverse = call.get("reverse_dtype")
        single = call.x.dtype == "float32"
        wide = reverse if isinstance(reverse, str) else "float32" if single else call.compute
        y = call.op("MatMul", call.cast(call.x, wide), call.cast(kernel, wide))
    limit = call.get("logit_soft_cap")
    if limit is not None:
        y = call.op("Mul", call.op("Tanh", call.op("Div", y, float(limit))), float(limit))
    return call.cast(y, call.dtype)


@layer("Identity")
def identity(call: Emitter) -> Any:
    """``identity(x[...]) -> [...]``, for any structure of tensors."""
    return call.args[0] if call.args else next(iter(call.kwargs.values()))


@layer("Masking")
def masking(call: Emitter) -> Tensor:
    """``masking(x[..., F]) -> [..., F]``: steps with only the mask value become 0 and are masked."""
    x = call.cast(call.x, call.dtype)
    value = call.get("mask_value", 0.0)
    if isinstance(value, dict):
        value = value.get("config", {}).get("value", 0.0)
    differs = call.op("Not", call.op("Equal", x, call.constant(value, x.dtype)))
    kept = call.cast(call.reduce("ReduceMax", call.cast(differs, "int32"), [-1], keepdims=True), "bool")
    result = call.op("Where", kept, x, call.constant(0, x.dtype))
    result.mask = call.squeeze(kept, x.rank - 1)
    return result
