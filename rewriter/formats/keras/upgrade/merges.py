"""The ``Merge`` of Keras 1, in a functional model and as the first layer of a sequential one.

Source: ``keras/engine/topology.py`` (``Merge``) and ``keras/models.py`` (``Sequential.flattened_layers``), Keras 1.2.2.
"""

from __future__ import annotations

from typing import Any

from ....errors import BadFileError, UnsupportedError
from .constructs import Construct
from .context import Context, Entry, Untranslatable
from .layers import Config, finished, layer

CONSTRUCTS = (
    Construct(
        "Merge(mode='sum', 'mul', 'ave', 'max', 'concat', 'dot')",
        "Add, Multiply, Average …",
        "keras_1_merge_sum",
    ),
    Construct("Merge(mode='cos') or a function", "refused", "keras_1_merge_refused"),
    Construct("Sequential with a Merge first", "a functional model of its branches", "keras_1_merge_first"),
)

_CLASSES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum"}
_MAX_NESTING = 50


@layer("Merge")
def _merge(config: Config, context: Context) -> list[Entry]:
    mode = config.get("mode")
    new: Config = {"name": config["name"]}
    if isinstance(mode, str) and mode in _CLASSES:
        class_name = _CLASSES[mode]
    elif mode == "concat":
        class_name, new["axis"] = "Concatenate", config.get("concat_axis", -1)
    elif mode == "dot":
        class_name, new["axes"] = "Dot", config.get("dot_axes", -1)
        if isinstance(new["axes"], list) and any(isinstance(axis, list) for axis in new["axes"]):
            new["axes"] = [
                axis[0] if isinstance(axis, list) and len(axis) == 1 else axis for axis in new["axes"]
            ]
    else:
        raise Untranslatable(f"Merge(mode={mode!r})", "Keras 3 has no layer for it")
    context.account.remark(f"Merge(mode={mode!r})", class_name)
    return [finished(class_name, new, context)]


def without_merges(entry: Entry) -> Entry:
    """A sequential model that begins with a ``Merge``, as a functional model; any other entry unchanged.

    The file stores the weights of such a model by the layers of its branches, as if these were its own layers.
    """
    config = entry.get("config")
    layers = config.get("layers") if isinstance(config, dict) else config
    if (
        entry.get("class_name") != "Sequential"
        or not isinstance(layers, list)
        or not _begins_with_merge(layers)
    ):
        return entry
    rows: list[Entry] = []
    inputs: list[Any] = []
    last = _chain(layers, rows, inputs, 0)
    name = entry.get("name", config.get("name") if isinstance(config, dict) else None) or "sequential"
    return {
        **entry,
        "class_name": "Model",
        "config": {"name": name, "layers": rows, "input_layers": inputs, "output_layers": [[last, 0, 0]]},
    }


def _begins_with_merge(layers: list[Any]) -> bool:
    return bool(layers) and isinstance(layers[0], dict) and layers[0].get("class_name") == "Merge"


def _chain(layers: list[Any], rows: list[Entry], inputs: list[Any], depth: int) -> str:
    """Add the layers of a branch with their calls. Returns the name of the last."""
    if depth > _MAX_NESTING:
        raise UnsupportedError(f"merges nested more than {_MAX_NESTING} deep")
    last = ""
    for number, entry in enumerate(layers):
        config = entry.get("config") if isinstance(entry, dict) else None
        if not isinstance(config, dict) or not isinstance(config.get("name"), str):
            raise BadFileError("a layer of a merged model has no name")
        name = config["name"]
        if number == 0 and entry.get("class_name") == "Merge":
            called = [[branch, 0, 0] for branch in _branches(config, rows, inputs, depth)]
            config = {key: value for key, value in config.items() if key != "layers"}
        elif number == 0 and entry.get("class_name") == "InputLayer":
            rows.append({**entry, "name": name, "inbound_nodes": []})
            inputs.append([name, 0, 0])
            last = name
            continue
        elif number == 0:
            shape = config.get("batch_input_shape")
            if not isinstance(shape, list):
                raise UnsupportedError("a merged model that does not state its input shape")
            last = f"{name}_input"
            rows.append({
                "class_name": "InputLayer",
                "name": last,
                "config": {"name": last, "batch_input_shape": shape, "input_dtype": config.get("input_dtype")},
                "inbound_nodes": [],
            })  # fmt: skip
            inputs.append([last, 0, 0])
            called = [[last, 0, 0]]
        else:
            called = [[last, 0, 0]]
        rows.append({**entry, "name": name, "config": config, "inbound_nodes": [called]})
        last = name
    return last


def _branches(config: Config, rows: list[Entry], inputs: list[Any], depth: int) -> list[str]:
    held = config.get("layers")
    if not isinstance(held, list):
        raise BadFileError("a Merge holds no layers")
    last = []
    for branch in held:
        inner = branch.get("config") if isinstance(branch, dict) else None
        if not isinstance(branch, dict) or branch.get("class_name") != "Sequential":
            raise UnsupportedError("a Merge of models that are not sequential")
        layers = inner.get("layers") if isinstance(inner, dict) else inner
        if not isinstance(layers, list) or not layers:
            raise BadFileError("a Merge holds a model without layers")
        last.append(_chain(layers, rows, inputs, depth + 1))
    return last
