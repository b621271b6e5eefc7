"""Make the channels-first twin of a channels-last model, if its layers have a channels-first form.

The last axis of every tensor of rank 4 or 5 moves to position 1; all other tensors stay. Keras checks the result: it
must compute the same as the original, up to those moves.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from tests import support
from tests.mutation.edits import MERGES, Config, rebuild_config, references

if TYPE_CHECKING:
    import keras

ANYWHERE = frozenset(
    [
        "Activation",
        "ReLU",
        "LeakyReLU",
        "ELU",
        "Dropout",
        "SpatialDropout2D",
        "Average",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Relu",
        "Relu6",
        "Tanh",
        "Exp",
        "Negative",
        "Square",
        "Sqrt",
        "Rsqrt",
        "Squeeze",
    ]
)
REDUCTIONS = frozenset(["Mean", "Max", "Min", "Sum", "Amax", "Amin"])
NORMALIZATIONS = frozenset(
    ["BatchNormalization", "LayerNormalization", "Normalization", "GroupNormalization"]
)


class NoTwinError(Exception):
    """A node has no channels-first form here."""


def channels_first(config: Config) -> Config:
    """The config with channels first. Raises NoTwinError, with the node."""
    twin = copy.deepcopy(config)
    _scope(twin["config"])
    return twin


def twin_of(config: Config, model: keras.Model) -> keras.Model:
    """The model of `channels_first(config)` with the original's weights.

    Raises NoTwinError if there is no such form, or if it computes something else.
    """
    try:
        twin = rebuild_config(channels_first(config), model)
        inputs = support.random_inputs(model, 2)
        actual = support.run(twin, _moved(inputs))
    except NoTwinError:
        raise
    except Exception as error:
        raise NoTwinError(str(error).splitlines()[0]) from error
    desired = [_moved(y) for y in support.run(model, inputs)]
    scale = max(float(np.abs(y).max()) for y in desired)
    if not support.same(actual, desired, rtol=1e-4, atol=1e-5 * scale):
        raise NoTwinError("it computes something else")
    return twin


def convolve_anywhere() -> None:
    """Run channels-first convolutions through channels last: TensorFlow has no CPU kernel for them."""
    import tensorflow as tf

    plain = tf.nn.convolution

    def convolution(x: Any, kernel: Any, *rest: Any, data_format: str | None = None, **options: Any) -> Any:
        if data_format is None or not data_format.startswith("NC"):
            return plain(x, kernel, *rest, data_format=data_format, **options)
        rank = len(x.shape)
        y = plain(tf.transpose(x, [0, *range(2, rank), 1]), kernel, *rest, **options)
        return tf.transpose(y, [0, rank - 1, *range(1, rank - 1)])

    tf.nn.convolution = convolution


def _moved(value: Any) -> Any:
    """The structure with the last axis of arrays of rank 4 and 5 at position 1."""
    import keras

    return keras.tree.map_structure(lambda x: np.moveaxis(x, -1, 1) if x.ndim > 3 else x, value)


def _scope(scope: Config) -> None:
    if not any(_rank(r) > 3 for r in references(scope["layers"])):
        raise NoTwinError("no tensor has channels to move")
    for node in scope["layers"]:
        if "input_layers" in node["config"]:
            _scope(node["config"])
        elif node["class_name"] == "InputLayer":
            node["config"]["batch_shape"] = _first(node["config"]["batch_shape"])
        else:
            _node(node)
    for reference in references(scope["layers"]):
        reference["shape"] = _first(reference["shape"])


def _rank(reference: Config) -> int:
    return len(reference["shape"])


def _first(shape: list[Any]) -> list[Any]:
    return [shape[0], shape[-1], *shape[1:-1]] if len(shape) > 3 else shape


def _node(node: Config) -> None:
    """Convert one node. Ranks come from the references, which record the shapes of the original."""
    kind, config = node["class_name"], node["config"]
    ranks = {_rank(r) for r in references(node["inbound_nodes"])}
    rank = max(ranks, default=0)
    node.pop("build_config", None)
    if kind == "Reshape":
        _reshape(config, rank)
    elif kind == "ExpandDims" and rank == 3:
        if config["axis"] not in (-1, 3):
            raise NoTwinError(f"{node['name']}: a new axis {config['axis']}")
        config["axis"] = 1
    elif rank <= 3 or kind in ANYWHERE:
        return
    elif kind in MERGES:
        if ranks - {0, rank}:
            raise NoTwinError(f"{node['name']}: operands of different rank")
    elif "data_format" in config:
        config["data_format"] = "channels_first"
    elif kind in NORMALIZATIONS or kind == "Concatenate":
        config["axis"] = _axes(config["axis"], rank)
    elif kind == "Rescaling" and isinstance(config["scale"], float):
        return
    elif kind in REDUCTIONS:
        axes = config["axis"]
        reduced = {a % rank for a in ([axes] if isinstance(axes, int) else axes)}
        if not config["keepdims"] and reduced not in ({rank - 1}, set(range(1, rank - 1))):
            raise NoTwinError(f"{node['name']}: reduces {sorted(reduced)}")
        config["axis"] = _axes(axes, rank)
    else:
        raise NoTwinError(f"{node['name']}: {kind} has no such form")


def _axes(axes: Any, rank: int) -> Any:
    """The channels-first position of an axis, or of several."""
    if isinstance(axes, list):
        return [_axes(a, rank) for a in axes]
    axis = axes % rank
    return 0 if axis == 0 else 1 if axis == rank - 1 else axis + 1


def _reshape(config: Config, rank: int) -> None:
    """The config of a Reshape that only adds unit axes, or one unit channel."""
    target = config.get("target_shape")
    if target is not None and rank <= 3 and len(target) <= 2:
        return
    if target is None or rank > 3 or (target[-1] != 1 and any(n != 1 for n in target[:-1])):
        raise NoTwinError(f"{config['name']}: a Reshape to {target}")
    config["target_shape"] = [target[-1], *target[:-1]]
