"""Weights of ``CuDNNLSTM`` and ``CuDNNGRU`` in the form of ``LSTM`` and ``GRU(reset_after=True)``.

The bias identifies such weights: it has two halves, for the input and for the state. Source:
``_convert_rnn_weights`` in ``saving/legacy/hdf5_format.py``, tf_keras 2.21.
"""

from __future__ import annotations

from ....errors import BadFileError
from ...variables import Variable
from .transforms import Array, made


def translated(class_name: str, variables: list[Variable]) -> list[Variable]:
    """Kernel, recurrent kernel and bias; unchanged if they are not from cuDNN. Raises BadFileError."""
    if len(variables) != 3:
        return variables
    kernel, recurrent, bias = variables
    gates = 4 if class_name == "LSTM" else 3
    if len(recurrent.shape) != 2 or len(kernel.shape) != 2:
        raise BadFileError("the weights of a recurrent layer are not matrices")
    units = recurrent.shape[0]
    if bias.shape != (2 * units * gates,):
        return variables
    if kernel.shape[1] != units * gates or recurrent.shape[1] != units * gates:
        raise BadFileError("the weights of a recurrent layer have shapes that do not fit")
    if class_name == "LSTM":
        summed = made([bias], (units * gates,), lambda array: array.reshape(2, -1).sum(axis=0))
    else:
        summed = made([bias], (2, units * gates), lambda array: array.reshape(2, -1))
    return [
        made([kernel], kernel.shape, lambda array: _each(array, gates, True)),
        made([recurrent], recurrent.shape, lambda array: _each(array, gates, False)),
        summed,
    ]


def _each(array: Array, gates: int, is_input: bool) -> Array:
    """The kernel of each gate transposed; the kernel of the input keeps its shape."""
    import numpy as np

    parts = np.split(array, gates, axis=1)
    turned = [part.T.reshape(part.shape, order="F") if is_input else part.T for part in parts]
    return np.concatenate(turned, axis=1)
