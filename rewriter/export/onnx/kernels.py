"""The element types that ONNX Runtime's CPU kernels support, by operator.

From ``get_all_opkernel_def()`` of ONNX Runtime 1.31 at opset 26, for the type of the first operand (of ``Where`` the
second). Operators that support every type are left out. So is float16: the runtime casts around a missing kernel.
"""

from __future__ import annotations

from .dtypes import WIDER

_TYPES = {
    "bool": "And Not Or Xor",
    "float32": (
        "Acos Acosh Asin Asinh Atan Atanh Attention AveragePool Celu Col2Im Conv ConvTranspose Cosh Det "
        "Elu Erf Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid Hardmax "
        "InstanceNormalization LRN LeakyRelu LpPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization "
        "PRelu RNN RotaryEmbedding Selu Sinh Softplus Softsign Tan ThresholdedRelu"
    ),
    "float64 float32": (
        "BatchNormalization Ceil Cos DFT DeformConv Exp Floor GRU Gemm GridSample LSTM Log LogSoftmax "
        "LpNormalization RMSNormalization Reciprocal RoiAlign Round STFT Sigmoid Sin Softmax Sqrt Sum "
        "Tanh"
    ),
    "bfloat16 float64 float32": "IsInf IsNaN LayerNormalization",
    "int32 int64 float32": "OneHot",
    "uint8 uint32 uint64": "BitShift",
    "int32 int64 float64 float32": (
        "CumSum Einsum Pow ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMean ReduceProd ReduceSum "
        "ReduceSumSquare"
    ),
    "int8 int32 float64 float32": "Relu",
    "int8 int32 uint8 float32": "Resize",
    "int8 uint8 float64 float32": "DepthToSpace MaxPool SpaceToDepth",
    "bool int32 int64 float64 float32": "Trilu",
    "bool int32 int64 uint8 float32": "NonZero",
    "int16 int32 int64 float64 float32": "Range",
    "int8 int64 float64 float32 string": "Unique",
    "int32 int64 uint32 uint64 float64 float32": "CumProd MatMul",
    "int8 int16 int32 int64 float64 float32": "Neg",
    "int8 int32 int64 uint8 float64 float32": "ArgMax ArgMin",
    "bool int8 int32 int64 uint8 float64 float32": "ReduceMax ReduceMin",
    "int8 int16 int32 int64 uint8 float64 float32": "TopK",
    "int8 int16 int32 int64 uint8 uint16 uint32 uint64": "BitwiseAnd BitwiseNot BitwiseOr BitwiseXor",
    "int8 int32 int64 uint8 uint32 float64 float32 string": "Where",
    "int8 int32 int64 uint8 uint32 uint64 float64 float32": "Clip Max Min",
    "bool int8 int32 int64 uint8 uint32 uint64 float64 float32": "Pad",
    "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float64 float32": (
        "Abs Add Div Greater GreaterOrEqual Less LessOrEqual Mod Mul Shrink Sub"
    ),
    "int8 int16 int32 int64 uint8 uint16 uint32 uint64 bfloat16 float64 float32": "Sign",
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 bfloat16 float64 float32": "TensorScatter",
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float64 float32 string": (
        "Equal Expand ReverseSequence Tile"
    ),
}
KERNELS: dict[str, frozenset[str]] = {
    op_type: frozenset(types.split()) for types, op_types in _TYPES.items() for op_type in op_types.split()
}


def computed_in(op_type: str, dtype: str) -> str:
    """The type to compute in: ``dtype`` itself where there is a kernel, else the nearest wider one that has one."""
    kernels = KERNELS.get(op_type)
    if kernels is None or dtype in kernels or dtype not in WIDER:
        return dtype
    return next((wider for wider in WIDER[dtype] if wider in kernels), dtype)
