"""Layers that contain layers, and recurrent layers."""

from __future__ import annotations

import copy

from . import hard_sigmoid
from .constructs import Construct
from .context import Context, Entry, Untranslatable
from .layers import TRANSLATORS, Config, layer

CONSTRUCTS = (
    Construct(
        "time_major=True", "refused: the recurrent layers of Keras 3 take the batch first", "time_major"
    ),
    Construct("GRU without reset_after", "reset_after=False", "gru_without_reset_after"),
    Construct("CuDNNLSTM, CuDNNGRU", "LSTM, GRU(reset_after=True), their weights in that form", "cudnn"),
    Construct("implementation, consume_less", "dropped", "recurrent"),
    Construct("RNN with cells, StackedRNNCells", "the same, the cells translated", "cells"),
    Construct("Bidirectional(LSTM(go_backwards=True))", "backward_layer stated", "bidirectional_backwards"),
    Construct("Bidirectional, TimeDistributed", "the same, the layer inside translated", "wrappers"),
)


@layer("TimeDistributed", "Bidirectional", "RNN", "StackedRNNCells", "SpectralNormalization")
def _holder(config: Config, context: Context) -> Config | list[Entry]:
    held = config.get("layer")
    if isinstance(held, dict) and held.get("class_name") == "Activation":
        inner = held.get("config")
        if isinstance(inner, dict) and hard_sigmoid.is_old(inner.get("activation")):
            # An activation treats all steps alike: it needs no wrapper.
            return TRANSLATORS["Activation"]({**inner, "name": config["name"]}, context)
    for key in ("layer", "backward_layer", "cell"):
        if isinstance(config.get(key), dict):
            config[key] = _inner(config[key], context)
    _backwards(config, context)
    if isinstance(config.get("cells"), list):
        config["cells"] = [_inner(cell, context) for cell in config["cells"]]
    return config


def _backwards(config: Config, context: Context) -> None:
    """State the second layer of a ``Bidirectional``, as Keras 3 does.

    Otherwise Keras 3 makes it go backwards, even if the first one goes backwards too.
    """
    forward = config.get("layer")
    if "merge_mode" not in config or isinstance(config.get("backward_layer"), dict):
        return
    if not isinstance(forward, dict) or not isinstance(forward.get("config"), dict):
        return
    backwards = forward["config"].get("go_backwards") is True
    name = f"backward_{forward['config'].get('name')}"
    backward = copy.deepcopy(forward)
    backward["config"] |= {"name": name, "go_backwards": not backwards}
    config["backward_layer"] = {**backward, "name": name} if "name" in backward else backward
    if backwards:
        context.account.remark("Bidirectional of a layer that goes backwards", "backward_layer stated")


def _inner(entry: Entry, context: Context) -> Entry:
    """The translated inner layer. Raises Untranslatable, for the wrapper too, if it is not translated."""
    new = context.inner(entry, context.account)
    if "not_upgraded" in new:
        raise Untranslatable(f"{entry.get('class_name')} in a layer", str(new["not_upgraded"]))
    return new


@layer(
    "SimpleRNN",
    "SimpleRNNCell",
    "LSTM",
    "LSTMV2",
    "LSTMCell",
    "LSTMCellV2",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
)
def _recurrent(config: Config, context: Context) -> Config:
    _gates("LSTM", config, context)
    return config


@layer("GRU", "GRUV2", "GRUCell", "GRUCellV2")
def _gru(config: Config, context: Context) -> Config:
    if "reset_after" not in config:
        config["reset_after"] = False
        context.account.remark("GRU without reset_after", "reset_after=False, as before the argument existed")
    _gates("GRU", config, context)
    return config


def _gates(class_name: str, config: Config, context: Context) -> None:
    try:
        gates = hard_sigmoid.scaled_gates(class_name, config)
    except ValueError as error:
        if "recurrent_activation" not in config:
            return  # a SimpleRNN has no gates
        raise Untranslatable("activation='hard_sigmoid'", str(error)) from None
    if gates:
        context.account.remark("hard_sigmoid of the gates", "hard_sigmoid of Keras 3, with weights times 1.2")


@layer("CuDNNLSTM")
def _cudnn_lstm(config: Config, context: Context) -> Config:
    context.account.remark("CuDNNLSTM", "LSTM, which runs on any device, with converted weights")
    return {**config, "activation": "tanh", "recurrent_activation": "sigmoid"}


@layer("CuDNNGRU")
def _cudnn_gru(config: Config, context: Context) -> Config:
    context.account.remark("CuDNNGRU", "GRU, which runs on any device, with converted weights")
    return {**config, "activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}
