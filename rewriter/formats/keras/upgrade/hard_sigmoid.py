"""The ``hard_sigmoid`` of Keras 1 and 2, expressed by that of Keras 3.

The old one is ``clip(0.2 x + 0.5, 0, 1)`` (``keras/backend/tensorflow_backend.py``), the new one ``relu6(x + 3) / 6 =
clip(x / 6 + 0.5, 0, 1)`` (``keras/src/backend/tensorflow/nn.py``). The old one of ``x`` is the new one of ``1.2 x``. If
``x`` is linear in the weights of a layer, they are multiplied by the factor. A separate layer becomes ``Rescaling`` and
``ReLU``.
"""

from __future__ import annotations

from typing import Any

from .constructs import Construct

NAME = "hard_sigmoid"
FACTOR = 1.2
# Layers whose activation gets a value that is linear in all their own weights.
_LINEAR = frozenset({
    "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Dense",
    "DepthwiseConv1D", "DepthwiseConv2D", "EinsumDense",
})  # fmt: skip
_SEPARABLE = frozenset({"SeparableConv1D", "SeparableConv2D"})
# Layers and cells with gates; the weights of the gates are joined along the last axis.
GATED = frozenset({"LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})

CONSTRUCTS = (
    Construct("Activation('hard_sigmoid')", "Rescaling(0.2, 0.5), ReLU(max_value=1)", "hard_sigmoid_layer"),
    Construct(
        "activation='hard_sigmoid' of Dense, Conv…",
        "hard_sigmoid, the weights times 1.2",
        "hard_sigmoid_dense",
    ),
    Construct(
        "recurrent_activation='hard_sigmoid' of LSTM, GRU, ConvLSTM2D",
        "hard_sigmoid, the weights of the gates times 1.2",
        "hard_sigmoid_gates",
    ),
)


def is_old(value: Any) -> bool:
    """Whether an activation is the old function, by its name or as a serialised function."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    return isinstance(value, str) and value == NAME


def scaled_weights(class_name: str) -> tuple[int, ...]:
    """The numbers of a layer's own weights that get the factor for its ``activation``; () if none can."""
    if class_name in _LINEAR:
        return (0, 1)
    if class_name in _SEPARABLE:
        return (1, 2)
    return (0, 1, 2) if class_name in ("SimpleRNN", "SimpleRNNCell") else ()


def scaled_gates(class_name: str, config: dict[str, Any]) -> tuple[int, ...]:
    """The numbers of the gates that get the factor: among i, f, c, o of an LSTM, or z, r, h of a GRU.

    Raises ValueError if the activation cannot be expressed in this way: an LSTM's acts on its state too.
    """
    gates: list[int] = []
    is_gru = class_name.startswith("GRU")
    if is_old(config.get("recurrent_activation")):
        gates += [0, 1] if is_gru else [0, 1, 3]
    if is_old(config.get("activation")):
        if not is_gru:
            raise ValueError("it acts on the state too, which no weights scale")
        gates.append(2)
    return tuple(gates)


def as_layers(name: str, dtype: Any, inner: str) -> list[dict[str, Any]]:
    """``Activation('hard_sigmoid')`` as two layers; the last one has its name."""
    common = {} if dtype is None else {"dtype": dtype}
    return [
        _layer("Rescaling", {"name": inner, "trainable": True, **common, "scale": 0.2, "offset": 0.5}),
        _layer(
            "ReLU",
            {
                "name": name,
                "trainable": True,
                **common,
                "max_value": 1.0,
                "negative_slope": 0.0,
                "threshold": 0.0,
            },
        ),
    ]


def _layer(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": config,
        "registered_name": None,
        "name": config["name"],
    }
