"""A model as an ``.h5`` file of Keras 3: its configuration and its weights in the order of the legacy format.

The optimizer's state is not written. If Keras 3 finds one, it builds the optimizer without the layers' variables
(``optimizer.build(model._trainable_variables)``), and the model cannot be trained.

Source: ``keras/src/legacy/saving/legacy_h5_format.py``, Keras 3.15.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import UnsupportedError, shown
from ...files.atomic import atomic_write, provisional
from ...files.hdf5 import Hdf5Index
from ...files.regular import map_regular
from ...ir.graph import Graph, path_text
from .layer_order import layers_in_order
from .legacy_h5 import PIECE
from .new_hdf5 import new_hdf5
from .new_model import NEWEST, checked_variables, new_entry
from .tables import learnt
from .training import training_config
from .upgrade import legacy_places
from .weights_file import WeightsFile
from .weights_writer import write_weights

if TYPE_CHECKING:
    from .new_model import KerasModel


def write_new_h5(source: KerasModel, target: str | os.PathLike[str]) -> None:
    """Write an ``.h5`` file that Keras 3 loads.

    Raises:
        UnsupportedError: the model has operations (Keras 3 does not load them from such a file), no weights, or a
            construct without a form in Keras 3.
        BadFileError: the source is damaged.
        OutputError: the target cannot be written.
    """
    check_layers(source.graph)
    for _, name in learnt(source.graph):
        raise UnsupportedError(
            f"the vocabulary of {shown(name)!r} is in a file of its own, which an .h5 file cannot hold: "
            "write a .keras file"
        )
    entry = new_entry(source)
    variables = checked_variables(source)
    with provisional(target, ".weights.h5", keep=False) as scratch, atomic_write(target) as stream:
        write_weights(scratch, source.configuration.saved, source.graph, variables)
        view, _ = map_regular(scratch)
        weights = WeightsFile(Hdf5Index(view))
        with new_hdf5(stream) as (file, _):
            file.attrs["keras_version"] = NEWEST
            file.attrs["backend"] = "tensorflow"
            file.attrs["model_config"] = json.dumps(
                {key: entry[key] for key in ("class_name", "config")}
            ).encode()
            training = training_config(source.compile_config)
            if training is not None:
                file.attrs["training_config"] = json.dumps(training).encode()
            _write_weights(file.create_group("model_weights"), source.graph, entry, weights)


def check_layers(graph: Graph) -> None:
    """Raises UnsupportedError for nodes that Keras 3 writes into an ``.h5`` file but does not load from it."""
    for path, _, node in graph.walk():
        config = node.operation.config
        if config.get("quantization_config") is not None or "Quantized" in str(config.get("dtype")):
            raise UnsupportedError(
                f"Keras 3 does not load {shown(path_text(path))!r}, which is quantised, from an .h5 file: "
                "write a .keras file"
            )
        if config.get("lora_rank"):
            raise UnsupportedError(
                f"{shown(path_text(path))!r} has LoRA weights, which an archive does not keep: write a .keras file"
            )
        attends = node.operation.class_name in ("MultiHeadAttention", "GroupQueryAttention")
        if attends and len(path) > 1 and config.get("trainable") is False:
            raise UnsupportedError(
                f"Keras 3 loads the weights of {shown(path_text(path))!r}, which is frozen in a nested model, into "
                "other layers from an .h5 file: write a .keras file"
            )
        if node.operation.kind == "op":
            raise UnsupportedError(
                f"{shown(path_text(path))!r} is an operation, which Keras 3 does not load from an .h5 file: "
                "write a .keras file"
            )


def _write_weights(group: Any, graph: Graph, entry: dict[str, Any], weights: WeightsFile) -> None:
    group.attrs["keras_version"] = NEWEST
    group.attrs["backend"] = "tensorflow"
    # In a Sequential model only the configuration states a layer's name.
    entries = {layer.get("name", layer["config"].get("name")): layer for layer in entry["config"]["layers"]}
    places = weights.places("layers", graph)
    layers = [operation.name for operation in layers_in_order(graph)]
    _write_names(group, "layer_names", layers)
    for name in layers:
        made = group.create_group(name)
        place = f"layers/{places[name]}"
        held = weights.paths(place)
        stored_at = legacy_places(entries[name]) if held else []
        unknown = set(held) - {path for each in stored_at for path in each}
        if any("seed_generator/" not in path for path in unknown):
            raise UnsupportedError(
                f"the order of the weights of {shown(name)!r} in an .h5 file is not known: write a .keras file"
            )
        paths = [each[0] for each in stored_at]
        stored = [f"{name}/{path}" for path in paths]
        _write_names(made, "weight_names", stored)
        for title, path in zip(stored, paths, strict=True):
            variable = weights.variable(place, path)
            if variable.dtype == "bfloat16":
                raise UnsupportedError(
                    f"Keras 3 does not load the bfloat16 weights of {shown(name)!r} from an .h5 file: "
                    "write a .keras file"
                )
            made.create_dataset(title, data=variable.load())
    top = group.create_group("top_level_model_weights")
    _write_names(top, "weight_names", [])


def _write_names(group: Any, attribute: str, names: Sequence[str]) -> None:
    """Write a list of names, split over several attributes if it is too long for one."""
    import numpy as np

    parts = list(_pieces([name.encode() for name in names]))
    for number, part in enumerate(parts):
        title = attribute if len(parts) == 1 else f"{attribute}{number}"
        group.attrs[title] = np.array(part, dtype=f"S{max(map(len, part), default=1) or 1}")


def _pieces(names: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Split the names into lists of at most ``PIECE`` bytes; each name takes the length of the longest."""
    most = max(1, PIECE // max(map(len, names), default=1))
    for start in range(0, max(len(names), 1), most):
        yield names[start : start + most]
