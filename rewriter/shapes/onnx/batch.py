"""Which axis is the batch: in ONNX only an operator says it."""

from __future__ import annotations

from ...ir.axis import Axis, Role

# Operators that take an axis as the batch, whatever else they do.
SHOWN_BY = frozenset(
    "Conv ConvInteger ConvTranspose DeformConv QLinearConv FusedConv NhwcConv MaxPool AveragePool LpPool MaxUnpool "
    "QLinearAveragePool GlobalAveragePool GlobalMaxPool GlobalLpPool QLinearGlobalAveragePool BatchNormalization "
    "InstanceNormalization GroupNormalization LRN LSTM GRU RNN DepthToSpace SpaceToDepth GridSample Attention "
    "MultiHeadAttention QAttention SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss ReverseSequence Col2Im "
    "RotaryEmbedding EmbedLayerNormalization NonMaxSuppression".split()
)


def takes_as_batch(axis: Axis) -> None:
    """An operator takes the axis as the batch; it stays what it is known to be. One of size 1 is often only inserted."""
    if axis.role is Role.UNKNOWN and not axis.factors and axis.size != 1:
        axis.origin.hint(Role.BATCH)
