"""Core layers: Dense, EinsumDense, Embedding, Identity, Masking."""

from __future__ import annotations

from typing import Any

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer
from .._activations import activated
from .._contraction import contracted


@layer("Dense")
def dense(call: Emitter) -> Tensor:
    """``dense(x[..., K]) -> [..., units]``."""
    if call.quantization:
        raise call.refuse(f"it is quantised ({call.quantization})")
    y = call.op("MatMul", call.cast(call.x, call.compute), call.weight("vars/0", "kernel"))
    if call.flag("use_bias", True):
        y = call.op("Add", y, call.weight("vars/1", "bias"))
    return activated(call, y)


@layer("EinsumDense")
def einsum_dense(call: Emitter) -> Tensor:
    """``einsum_dense(x[a, b, c]; "abc,cd->abd") -> [a, b, d]``, as one MatMul."""
    inputs, rest = call.text("equation").split(",")
    weight, outputs = rest.split("->")
    x, kernel = call.x, call.weight("vars/0", "kernel")
    if call.quantization:
        raise call.refuse(f"it is quantised ({call.quantization})")
    # The axes of an ellipsis get labels that an equation cannot contain.
    elided = "".join(chr(0x100 + n) for n in range(x.rank - len(inputs.replace("...", ""))))
    inputs, outputs = inputs.replace("...", elided), outputs.replace("...", elided)
    y = contracted(call, x, inputs, kernel, weight, outputs)
    if call.get("bias_axes"):
        y = call.op("Add", y, call.weight("vars/1", "bias"))
    return activated(call, y)


@layer("Embedding")
def embedding(call: Emitter) -> Tensor:
    """``embedding(x[...]) -> [..., output_dim]``; with mask_zero every 0 is masked."""
    x = call.x
    if call.quantization:
        raise call.refuse(f"it is quantised ({call.quantization})")
    table = call.weight("vars/0", "embeddings")
    places = x if x.dtype in ("int32", "int64") else call.cast(x, "int32")
    result = call.op("Gather", table, places, axis=0)
    if call.flag("mask_zero"):
        result.mask = call.op("Not", call.op("Equal", x, call.constant(0, x.dtype)))
    return result


@layer("ReversibleEmbedding")
def reversible_embedding(call: Emitter) -> Tensor:
    """``embedding(x[...]) -> [..., output_dim]``; with ``reverse`` ``(x[..., output_dim]) -> [..., input_dim]``."""
    if not call.kwargs.get("reverse"):
        return embedding(call)
    if call.quantization:
        raise call.refuse(f"it is quantised ({call.quantization})")
    if call.flag("tie_weights", True):
        kernel = call.transpose(call.weight("vars/0", "embeddings", ""), [1, 0])
    else:
        kernel = call.weight("vars/1", "reverse_embeddings", "")
    # Keras does not autocast here: the types of the operand and the variables decide.
    reverse = call.get("reverse_dtype")
    wide = reverse if isinstance(reverse, str) else "float32" if call.x.dtype == "float32" else call.compute
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
