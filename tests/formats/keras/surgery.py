"""Files with inserted no-op nodes, and edits as from older or careless writers."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from rewriter.formats.keras.archive import KerasArchive
from rewriter.ir.graph import Graph, Node, Operation, TensorRef, map_leaves

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import keras


def insert(graph: Graph, before: str, operand: int = 0, count: int = 1) -> list[str]:
    """Add 0 to an operand of a node, `count` times. Returns the names of the new nodes.

    Not a product with 1: Keras 3.15 treats the product of a tensor and a number as sparse.
    """
    node = graph.nodes[before]
    old = node.refs()[operand]
    new, names = old, []
    for _ in range(count):
        name = graph.fresh_name("identity")
        operation = Operation(name, "op", "Add", {"name": name}, "keras.src.ops.numpy")
        graph.add(Node(name, operation, 0, (new, 0), {}, changed=True))
        new = TensorRef(name, 0, old.shape, old.dtype)
        names.append(name)
    node.args, node.kwargs = map_leaves(lambda leaf: new if leaf is old else leaf, (node.args, node.kwargs))
    node.changed = True
    graph.link()
    return names


def inserted(source: Path, target: Path, *places: str | tuple[str, int], count: int = 1) -> Path:
    """Write `source` to `target` with nodes inserted before each place: a path, and the number of an operand."""
    archive = KerasArchive(source)
    try:
        for place in places:
            path, operand = place if isinstance(place, tuple) else (place, 0)
            *outer, name = path.split("/")
            insert(inner_graph(archive.graph, outer), name, operand, count)
        archive.write(target)
    finally:
        archive.close()
    return target


def inner_graph(graph: Graph, path: list[str]) -> Graph:
    """The graph of a nested model, or of the model in a nested wrapper."""
    for name in path:
        operation = graph.operations[name]
        if operation.graph is None:
            child = operation.children["layer"]
            assert isinstance(child, Operation)
            operation = child
        assert operation.graph is not None
        graph = operation.graph
    return graph


def edit_weights(path: Path, change: Callable[[Any], None]) -> None:
    """Change the weights file of an archive through h5py."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = io.BytesIO(members["model.weights.h5"])
    with h5py.File(data, "r+") as file:
        change(file)
    members["model.weights.h5"] = data.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def without_names(file: Any) -> None:
    """Drop the attributes that state the layers' names, as older versions of Keras wrote none."""
    file.visititems(lambda _, item: item.attrs.pop("name", None))
    file.attrs.pop("name", None)


def read_config(path: Path) -> dict[str, Any]:
    """The parsed config.json."""
    with zipfile.ZipFile(path) as archive:
        config: dict[str, Any] = json.loads(archive.read("config.json"))
    return config


def variables_by_path(model: keras.Model) -> dict[str, np.ndarray]:
    """Every variable but the random seeds, by its path, which has layer names and not their order."""
    found = {v.path: np.asarray(v) for v in model.variables if "seed_generator" not in v.path}
    assert len(found) == sum("seed_generator" not in v.path for v in model.variables), (
        "two variables of one path"
    )
    return found


def assert_same_variables(actual: dict[str, np.ndarray], desired: dict[str, np.ndarray]) -> None:
    """Bit for bit, name by name."""
    assert actual.keys() == desired.keys()
    wrong = [name for name, value in desired.items() if value.tobytes() != actual[name].tobytes()]
    assert not wrong, f"{len(wrong)} of {len(desired)} differ: {wrong[:5]}"


def weighted_layers(model: keras.Model) -> list[str]:
    """The names of the layers with weights, in the model's order, also those of nested models."""
    import keras

    names: list[str] = []
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)
        if isinstance(inner, keras.Model):
            names += [f"{layer.name}/{name}" for name in weighted_layers(inner)]
        elif layer.weights:
            names.append(layer.name)
    return names


def perturb(model: keras.Model) -> keras.Model:
    """Change every weight a little: no two are equal, and the outputs stay moderate."""
    rng = np.random.default_rng(11)
    for variable in model.variables:
        if "float" in variable.dtype:
            variable.assign(variable + rng.normal(0.0, 0.01, variable.shape).astype(variable.dtype))
    return model
