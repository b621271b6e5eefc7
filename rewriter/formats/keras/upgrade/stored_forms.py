"""How many variables an old layer has, and their form in Keras 3.

Source: the layers of Keras 1.2 and tf_keras 2.21; ``preprocess_weights_for_loading`` of
``tf_keras/src/saving/legacy/hdf5_format.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....errors import UnsupportedError
from ...variables import Variable
from . import cudnn, hard_sigmoid, kernels
from .arguments import ARGUMENTS
from .layers import CLASSES
from .transforms import columns_scaled, scaled

Config = dict[str, Any]


def _bias(config: Config) -> int:
    return config.get("use_bias", True) is not False


def _kernel(number: int) -> Callable[[Config], tuple[int, int]]:
    return lambda config: (number + _bias(config), 0)


def _scale_and_center(config: Config) -> int:
    return (config.get("scale", True) is not False) + (config.get("center", True) is not False)


def _normalization(config: Config) -> tuple[int, int]:
    return (0, 3 if config.get("mean") is None else 0)


def _batch_normalization(config: Config) -> tuple[int, int]:
    """Renormalisation adds a deviation and two averages."""
    return _scale_and_center(config), 5 if config.get("renorm") is True else 2


def _attention(config: Config) -> tuple[int, int]:
    return ((config.get("use_scale") is True) + (config.get("score_mode") == "concat"), 0)


def attention_parts(class_name: str, config: Config) -> tuple[str, ...]:
    """The attributes of the dense layers inside an attention layer, in the order of its variables; else empty."""
    if class_name not in ("MultiHeadAttention", "GroupQueryAttention"):
        return ()
    gate = ("_gate_dense",) if config.get("use_gate") is True else ()
    mark = "_" if class_name == "GroupQueryAttention" else ""
    parts = [f"{mark}{name}_dense" for name in ("query", "key", "value", "output")]
    return (*parts[:2], *gate, *parts[2:])


def _heads(class_name: str) -> Callable[[Config], tuple[int, int]]:
    return lambda config: (len(attention_parts(class_name, config)) * (1 + _bias(config)), 0)


def _spectrogram(config: Config) -> tuple[int, int]:
    """A kernel for the real part and one for the imaginary part."""
    return 1 if config.get("mode") in ("real", "imag") else 2, 0


def _lookup(config: Config) -> tuple[int, int]:
    if config.get("output_mode") in ("tf_idf", "tf-idf"):
        raise UnsupportedError("the weights of a lookup with output_mode='tf_idf' are not read")
    return 0, 0


def _bins(config: Config) -> tuple[int, int]:
    """One variable that ``adapt()`` learns, unless the configuration states the bins."""
    told = config.get("bin_boundaries") is not None or isinstance(config.get("bins"), list)
    return 0, 0 if told else 1


# Numbers of a layer's own trained and other variables, by its class in Keras 2. Classes without a row have none.
_COUNTS: dict[str, Callable[[Config], tuple[int, int]]] = {
    **dict.fromkeys(
        ("Dense", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
         "DepthwiseConv1D", "DepthwiseConv2D"),
        _kernel(1),
    ),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _kernel(2)),
    **dict.fromkeys(
        ("SimpleRNN", "SimpleRNNCell", "LSTM", "LSTMCell", "GRU", "GRUCell", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
        _kernel(2),
    ),
    "EinsumDense": lambda config: (1 + (config.get("bias_axes") is not None), 0),
    "Embedding": lambda config: (1, 0),
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": lambda config: (_scale_and_center(config), 0),
    "GroupNormalization": lambda config: (_scale_and_center(config), 0),
    "SpectralNormalization": lambda config: (0, 1),
    "PReLU": lambda config: (1, 0),
    "Attention": _attention,
    "AdditiveAttention": lambda config: (int(config.get("use_scale", True) is not False), 0),
    **{name: _heads(name) for name in ("MultiHeadAttention", "GroupQueryAttention")},
    "RMSNormalization": lambda config: (1, 0),
    "ReversibleEmbedding": lambda config: (2 - (config.get("tie_weights") is not False), 0),
    "STFTSpectrogram": _spectrogram,
    "Normalization": _normalization,
    "Discretization": _bins,
    "StringLookup": _lookup, "IntegerLookup": _lookup, "TextVectorization": _lookup,
}  # fmt: skip
# Their variables belong to a cell inside.
_RECURRENT = frozenset({"SimpleRNN", "LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})


def has_cell(class_name: str) -> bool:
    """Whether a layer's variables belong to a cell that it creates."""
    return CLASSES.get(class_name, class_name) in _RECURRENT


def counts(class_name: str, config: Config) -> tuple[int, int]:
    """The number of trained and of other variables of a layer's own. Raises UnsupportedError for unknown classes."""
    class_name = CLASSES.get(class_name, class_name)
    if class_name not in ARGUMENTS and class_name not in (
        "InputLayer",
        "TFOpLambda",
        "SlicingOpLambda",
        "Lambda",
    ):
        raise UnsupportedError(f"the weights of {class_name!r} are not known")
    row = _COUNTS.get(class_name)
    return row(config) if row is not None else (0, 0)


def first_number(class_name: str) -> int:
    """The number of a layer's first own variable in its group: 1 after the kernel of the layer inside, stored again."""
    return len(repeated(class_name))


def repeated(class_name: str) -> dict[str, str]:
    """The paths below a layer in a Keras 3 file at which a variable of the layer inside is stored again."""
    return {"vars/0": "layer/vars/0"} if class_name == "SpectralNormalization" else {}


def translated(
    class_name: str, config: Config, variables: list[Variable], era: int, backend: str
) -> dict[str, Variable]:
    """A layer's own variables by their paths below the layer, transformed when they are loaded.

    Raises BadFileError if the shapes do not fit the layer.
    """
    class_name = CLASSES.get(class_name, class_name)
    variables = kernels.translated(class_name, config, variables, era, backend)
    if parts := attention_parts(class_name, config):
        each = len(variables) // len(parts)
        return {f"{parts[k // each]}/vars/{k % each}": variable for k, variable in enumerate(variables)}
    if class_name in ("LSTM", "GRU") and era < 3:
        variables = cudnn.translated(class_name, variables)
    if era < 3:
        variables = _scaled(class_name, config, variables)
    prefix = "cell/" if has_cell(class_name) else ""
    return {f"{prefix}vars/{k}": variable for k, variable in enumerate(variables, first_number(class_name))}


def _scaled(class_name: str, config: Config, variables: list[Variable]) -> list[Variable]:
    """The variables multiplied by the factor of the old ``hard_sigmoid``, where needed (see hard_sigmoid.py)."""
    if class_name.removesuffix("Cell") in hard_sigmoid.GATED:
        try:
            gates = hard_sigmoid.scaled_gates(class_name, config)
        except ValueError:
            return variables  # the layer itself is refused
        count = 3 if class_name.startswith("GRU") else 4
        return [columns_scaled(variable, gates, count) for variable in variables] if gates else variables
    if not hard_sigmoid.is_old(config.get("activation")):
        return variables
    taken = hard_sigmoid.scaled_weights(class_name)
    return [scaled(variable) if k in taken else variable for k, variable in enumerate(variables)]
