"""The same elements under other axes: Reshape, Transpose, Squeeze, ExpandDims, BroadcastTo, Tile."""

from __future__ import annotations

from ...ir.axis import Value, new_axis
from ...ir.size import floordiv, unknown
from ..call import Call, OpaqueError, ShapeError, known, need_rank, tf_op
from ..onnx import convolution
from ..onnx import reshaping as onnx
from ..onnx._operands import operand, sizes, whole_numbers
from ._calls import told


@tf_op("Reshape")
def reshape(call: Call) -> Value:
    """``reshape(x[a, b, c], shape) -> shape``; one entry may be -1."""
    return onnx.reshape(told(call, "Reshape", allowzero=True))


@tf_op("Transpose", "ConjugateTranspose")
def transpose(call: Call) -> Value:
    """``transpose(x[a, b, c], (2, 0, 1)) -> [c, a, b]``."""
    order = whole_numbers(call, 1, "perm")
    if order is None:
        raise OpaqueError("its permutation is known only when it runs")
    return onnx.transpose(told(call, "Transpose", call.args[:1], perm=order))


@tf_op("ExpandDims")
def expand_dims(call: Call) -> Value:
    """``expand_dims(x[a, b], 1) -> [a, 1, b]``; ``axes`` in the configuration are several places."""
    if call.get("axes") is not None:
        return onnx.unsqueeze(told(call, "Unsqueeze", axes=call.get("axes")))
    place = whole_numbers(call, 1, "axis")
    if place is None or len(place) != 1:
        raise OpaqueError("the place of its new axis is known only when it runs")
    return onnx.unsqueeze(told(call, "Unsqueeze", call.args[:1], axes=place))


@tf_op("Squeeze")
def squeeze(call: Call) -> Value:
    """``squeeze(x[a, 1, b], (1,)) -> [a, b]``; without axes, every axis of size 1 is dropped."""
    places = call.get("squeeze_dims") or call.get("axis")
    return onnx.squeeze(told(call, "Squeeze", **({"axes": list(places)} if places else {})))


@tf_op("BroadcastTo")
def broadcast_to(call: Call) -> Value:
    """``broadcast_to(x[b, 1], (a, b, c)) -> [a, b, c]``, right-aligned."""
    x, target = operand(call, 0), sizes(operand(call, 1))
    if target is not None and len(target) < len(known(x)):
        raise ShapeError(f"cannot broadcast {x.text()} to rank {len(target)}")
    return onnx.expand(told(call, "Expand"))


@tf_op("Tile")
def tile(call: Call) -> Value:
    """``tile(x[a, b], (1, n)) -> [a, b*n]``."""
    return onnx.tile(told(call, "Tile"))


@tf_op("MatrixDiag", "BatchMatrixDiag")
def matrix_diagonal(call: Call) -> Value:
    """``diagonal(x[..., n]) -> [..., n, n]``."""
    x = operand(call, 0)
    axes = known(x)
    if not axes:
        raise ShapeError("takes a vector, not a scalar")
    return Value((*axes, new_axis(axes[-1].size)), x.dtype)


@tf_op("DepthToSpace", "SpaceToDepth")
def blocks(call: Call) -> Value:
    """``depth_to_space(x[B, H, W, C*b*b]) -> [B, H*b, W*b, C]``, or back."""
    x = operand(call, 0)
    axes = need_rank(x, 4)
    layout, block = call.text("data_format", "NHWC"), call.integer("block_size", 1)
    if layout not in ("NHWC", "NCHW"):
        raise OpaqueError(f"the layout {layout} is not supported")
    last = layout == "NHWC"
    turned = (axes[0], axes[3], axes[1], axes[2]) if last else axes
    name = call.operation.class_name
    rule = convolution.depth_to_space if name == "DepthToSpace" else convolution.space_to_depth
    made = rule(told(call, name, [Value(turned, x.dtype)], blocksize=block))
    result = known(made)
    return Value((result[0], result[2], result[3], result[1]) if last else result, x.dtype)


@tf_op("SpaceToBatchND", "BatchToSpaceND")
def batches(call: Call) -> Value:
    """``space_to_batch(x[B, H, W, C], (b, c), pads) -> [B*b*c, H', W', C]``, or back; the batch includes places."""
    x, block = operand(call, 0), sizes(operand(call, 1))
    axes = known(x)
    if block is None or len(block) >= len(axes) or not all(isinstance(n, int) and n > 0 for n in block):
        raise OpaqueError("its blocks are known only when it runs")
    count = len(block)
    apart = call.operation.class_name == "SpaceToBatchND"
    batch = axes[0].size
    for number in block:
        assert isinstance(number, int)
        batch = batch * number if apart else floordiv(batch, number)
    spatial = [new_axis(unknown(), axis.role) for axis in axes[1 : count + 1]]
    return Value((new_axis(batch), *spatial, *axes[count + 1 :]), x.dtype)
