"""Layers that hold layers, and recurrent layers."""

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
    Construct(
        "Bidirectional of a layer that goes backwards",
        "the same, the layer that goes forwards is stated",
        "both_ways_turned",
    ),
    Construct("Bidirectional, TimeDistributed", "the same, the layer inside translated", "wrappers"),
)


@layer("TimeDistributed", "Bidirectional", "RNN", "StackedRNNCells", "SpectralNormalization")
def _holder(config: Config, context: Context) -> Config | list[Entry]:
    held = config.get("layer")
    if isinstance(held, dict) and held.get("class_name") == "Activation":
        inner = held.get("config")
        if isinstance(inner, dict) and hard_sigmoid.is_old(inner.get("activation")):
            # One step is like another to an activation: it needs no layer around it.
            return TRANSLATORS["Activation"]({**inner, "name": config["name"]}, context)
    backward = _turned_back(held)
    if backward is not None and config.get("backward_layer") is None and "merge_mode" in config:
        config["backward_layer"] = backward
        context.account.remark(
            "Bidirectional of a layer that goes backwards", "the same, the layer that goes forwards is stated"
        )
    for key in ("layer", "backward_layer", "cell"):
        if isinstance(config.get(key), dict):
            config[key] = _inner(config[key], context)
    if isinstance(config.get("cells"), list):
        config["cells"] = [_inner(cell, context) for cell in config["cells"]]
    return config


def _turned_back(held: object) -> Entry | None:
    """A copy, going forwards, of a layer that goes backwards; None for another one.

    Keras 2 makes the other layer of a Bidirectional so, that of Keras 3 always goes backwards.
    """
    config = held.get("config") if isinstance(held, dict) else None
    if not isinstance(held, dict) or not isinstance(config, dict) or config.get("go_backwards") is not True:
        return None
    name = {"name": f"backward_{config['name']}"} if isinstance(config.get("name"), str) else {}
    return copy.deepcopy({**held, "config": {**config, **name, "go_backwards": False}})


def _inner(entry: Entry, context: Context) -> Entry:
    """What is held; a holder of what is not translated is not translated either."""
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
        context.account.remark(
            "GRU without reset_after", "reset_after=False, as it was before there was a choice"
        )
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
        context.account.remark("hard_sigmoid of the gates", "that of Keras 3, of weights times 1.2")


@layer("CuDNNLSTM")
def _cudnn_lstm(config: Config, context: Context) -> Config:
    context.account.remark("CuDNNLSTM", "LSTM, which runs anywhere, with its weights in that form")
    return {**config, "activation": "tanh", "recurrent_activation": "sigmoid"}


@layer("CuDNNGRU")
def _cudnn_gru(config: Config, context: Context) -> Config:
    context.account.remark("CuDNNGRU", "GRU, which runs anywhere, with its weights in that form")
    return {**config, "activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}
