"""Write large `.keras` files from a generated config.json: chains, many faults, many ties, sums of many operands.

python tools/generated.py NAME COUNT FILE.keras
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Entry = dict[str, Any]

SHAPE: list[int | None] = [None, 5, 7, 11]
GATE: list[int | None] = [None, 11]
SQUARE: list[int | None] = [None, 6, 6]


NESTING = 20


def tensor(name: str, shape: list[int | None], call: int = 0) -> Entry:
    """A reference to the first output of a call of a node."""
    history = {"shape": shape, "dtype": "float32", "keras_history": [name, call, 0]}
    return {"class_name": "__keras_tensor__", "config": history}


def _entry(module: str, class_name: str, config: Entry, arguments: Sequence[Any]) -> Entry:
    calls = [{"args": list(arguments), "kwargs": {}}] if arguments else []
    ops = module != "keras.layers"
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": class_name if ops else None,
        "name": config["name"],
        "inbound_nodes": calls,
    }


def operation(class_name: str, name: str, config: Entry, *arguments: Any) -> Entry:
    """A `keras.ops` node."""
    return _entry("keras.src.ops.numpy", class_name, {"name": name, **config}, arguments)


def layer(class_name: str, name: str, config: Entry, *arguments: Any) -> Entry:
    """A layer that is called once."""
    common = {"name": name, "trainable": True, "dtype": "float32"}
    return _entry("keras.layers", class_name, {**common, **config}, arguments)


def given(name: str, shape: list[int | None]) -> Entry:
    """An input."""
    return layer("InputLayer", name, {"batch_shape": shape})


def functional(name: str, entries: Sequence[Entry], outputs: Sequence[str]) -> Entry:
    """A functional model; its inputs are the InputLayers among the entries."""
    config = {
        "name": name,
        "trainable": True,
        "layers": list(entries),
        "input_layers": [[e["name"], 0, 0] for e in entries if e["class_name"] == "InputLayer"],
        "output_layers": [[name, 0, 0] for name in outputs],
    }
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
        "name": name,
    }


def write(path: Path, entries: Sequence[Entry], outputs: Sequence[str]) -> None:
    """Write the archive of a functional model without weights."""
    write_model(path, functional("generated", entries, outputs))


def write_model(path: Path, model: Entry) -> None:
    """Write the archive of a model without weights."""
    import h5py

    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", weights.getvalue())


def blocks(count: int, broken: Callable[[int], bool], path: Path) -> None:
    """Blocks of ReLU, pooling, multiply and Dropout, one after another; the multiplies of some blocks are broken."""
    entries, last = [given("image", SHAPE)], "image"
    for k in range(count):
        wrong = broken(k)
        act, pool, gate, drop = (f"{stem}_{k}" for stem in ("act", "pool", "gate", "drop"))
        pooled = GATE if wrong else [None, 1, 1, 11]
        options = {"data_format": "channels_last", "keepdims": not wrong}
        entries += [
            layer("Activation", act, {"activation": "relu"}, tensor(last, SHAPE)),
            layer("GlobalAveragePooling2D", pool, options, tensor(act, SHAPE)),
            operation("Multiply", gate, {}, tensor(act, SHAPE), tensor(pool, pooled)),
            layer("Dropout", drop, {"rate": 0.1, "seed": None, "noise_shape": None}, tensor(gate, SHAPE)),
        ]
        last = drop
    write(path, entries, [last])


def chain(nodes: int, path: Path) -> None:
    """A chain of ``nodes`` nodes; 1 % of its multiplies are broken."""
    blocks((nodes - 1) // 4, lambda k: k % 100 == 0, path)


def all_broken(count: int, path: Path) -> None:
    """A chain of gates, each without its unit axes."""
    blocks(count, lambda k: True, path)


def _side_by_side(count: int, data: list[int | None], gate: list[int | None], path: Path) -> None:
    entries = [given("data", data), given("gate", gate)]
    names = [f"product_{k}" for k in range(count)]
    entries += [operation("Multiply", name, {}, tensor("data", data), tensor("gate", gate)) for name in names]
    write(path, entries, names)


def faults(count: int, path: Path) -> None:
    """``count`` products of the same two tensors, all with the same fault."""
    _side_by_side(count, SHAPE, GATE, path)


def ties(count: int, path: Path) -> None:
    """A chain of products of a square with a vector that fits either axis: none can be decided."""
    entries, last = [given("square", SQUARE), given("vector", [None, 6])], "square"
    for k in range(count):
        operands = tensor(last, SQUARE), tensor("vector", [None, 6])
        entries.append(operation("Multiply", f"product_{k}", {}, *operands))
        last = f"product_{k}"
    write(path, entries, [last])


def ties_side_by_side(count: int, path: Path) -> None:
    """The same products, each directly of the inputs."""
    _side_by_side(count, SQUARE, [None, 6], path)


def wide_sum(count: int, path: Path) -> None:
    """One Add of ``count`` operands."""
    names = [f"term_{k}" for k in range(count)]
    entries = [given("image", SHAPE)]
    entries += [layer("Activation", n, {"activation": "relu"}, tensor("image", SHAPE)) for n in names]
    entries.append(layer("Add", "sum", {}, [tensor(name, SHAPE) for name in names]))
    write(path, entries, ["sum"])


def wide_broken_sum(count: int, path: Path) -> None:
    """One Add of ``count`` operands, one of which lacks its channel axis."""
    names = [f"term_{k}" for k in range(count)]
    entries = [given("image", SHAPE), given("map", SHAPE[:-1])]
    entries += [layer("Activation", n, {"activation": "relu"}, tensor("image", SHAPE)) for n in names]
    operands = [tensor(name, SHAPE) for name in names] + [tensor("map", SHAPE[:-1])]
    entries.append(layer("Add", "sum", {}, operands))
    write(path, entries, ["sum"])


def shared_gate(count: int, path: Path) -> None:
    """One gate without its unit axes, in ``count`` products."""
    entries = [given("image", SHAPE), given("gate", GATE)]
    for k in range(count):
        entries += [
            layer("Activation", f"term_{k}", {"activation": "relu"}, tensor("image", SHAPE)),
            operation("Multiply", f"product_{k}", {}, tensor(f"term_{k}", SHAPE), tensor("gate", GATE)),
        ]
    write(path, entries, [f"product_{k}" for k in range(count)])


def called(count: int, path: Path) -> None:
    """One layer called ``count`` times, each time on its last result; the final result meets a broken gate."""
    entries = [given("image", SHAPE), given("gate", GATE)]
    shared = layer("Activation", "shared", {"activation": "relu"}, tensor("image", SHAPE))
    for k in range(count - 1):
        shared["inbound_nodes"].append({"args": [tensor("shared", SHAPE, k)], "kwargs": {}})
    last = tensor("shared", SHAPE, count - 1)
    entries += [shared, operation("Multiply", "product", {}, last, tensor("gate", GATE))]
    write(path, entries, ["product"])


def nested(count: int, path: Path) -> None:
    """Models nested 20 deep that hold ``count`` gates in total; one gate of every model is broken."""
    inner: Entry | None = None
    for depth in range(NESTING):
        entries, last = [given("image", SHAPE), given("gate", GATE)], tensor("image", SHAPE)
        if inner is not None:
            arguments = [tensor("image", SHAPE), tensor("gate", GATE)]
            entries.append({**inner, "inbound_nodes": [{"args": [arguments], "kwargs": {}}]})
            last = tensor(inner["name"], SHAPE)
        for k in range(max(1, count // NESTING)):
            wide = layer("Reshape", f"wide_{k}", {"target_shape": [1, 1, GATE[-1]]}, tensor("gate", GATE))
            gate = tensor("gate", GATE) if k == 0 else tensor(f"wide_{k}", [None, 1, 1, GATE[-1]])
            entries += [wide, operation("Multiply", f"product_{k}", {}, last, gate)]
            last = tensor(f"product_{k}", SHAPE)
        inner = functional(f"model_{depth}", entries, [last["config"]["keras_history"][0]])
    assert inner is not None
    write_model(path, inner)


# Measured by `bench.py scale`: a builder and the largest count; a half and a quarter of it are measured too.
SCALES: dict[str, tuple[Callable[[int, Path], None], int]] = {
    "chain": (chain, 20_000),
    "chain, all broken": (all_broken, 2_000),
    "faults side by side": (faults, 10_000),
    "chain of ties": (ties, 400),
    "ties side by side": (ties_side_by_side, 2_000),
    "one gate in many": (shared_gate, 4_000),
    "sum of many": (wide_sum, 10_000),
    "sum of many, one broken": (wide_broken_sum, 10_000),
    "a layer called often": (called, 10_000),
    "nested 20 deep": (nested, 8_000),
}

if __name__ == "__main__":
    _, name, count, target = sys.argv
    SCALES[name][0](int(count), Path(target))
