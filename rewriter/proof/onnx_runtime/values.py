"""Arrays in and out of ONNX Runtime, bfloat16 too, which its interface to NumPy lacks (onnxruntime 1.32)."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from typing import Any

_BFLOAT16 = 16  # TensorProto.DataType


def run(session: Any, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
    """The outputs of a session, by name, as arrays; those of bfloat16 are of the type of ``ml_dtypes``."""
    types = {x.name: x.type for x in (*session.get_inputs(), *session.get_outputs())}
    if not any("bfloat16" in types[name] for name in (*outputs, *feeds)):
        return list(session.run(list(outputs), dict(feeds)))
    import onnxruntime

    def given(name: str, array: Any) -> Any:
        if "bfloat16" not in types[name]:
            return onnxruntime.OrtValue.ortvalue_from_numpy(array)
        import ml_dtypes
        import numpy as np

        bits = np.ascontiguousarray(array, ml_dtypes.bfloat16).view(np.uint16)
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, _BFLOAT16)

    values = {name: given(name, array) for name, array in feeds.items()}
    return [_array(value) for value in session.run_with_ort_values(list(outputs), values)]


def _array(value: Any) -> Any:
    if "bfloat16" not in value.data_type():
        return value.numpy()
    import ml_dtypes
    import numpy as np

    shape = value.shape()
    bits = (ctypes.c_uint16 * math.prod(shape)).from_address(value.data_ptr()) if math.prod(shape) else ()
    return np.array(bits, np.uint16).view(ml_dtypes.bfloat16).reshape(shape)
