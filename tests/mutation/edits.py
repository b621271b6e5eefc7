"""Break valid `.keras` files by editing their config.json, the way a person or a careless exporter does.

Only the config member changes: weights, metadata and every recorded shape downstream stay what they were.
Files that Keras still loads can be written anew by Keras itself (`rewrite_with_keras`): then the recorded
shapes are those of the wrong graph, which is what most users have.

Node paths are `inner/name` for a node inside a nested model.
"""

from __future__ import annotations

import copy
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests import support

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import keras

Config = dict[str, Any]
OPS = "keras.src.ops.numpy"
# Layers with an operation of the same name in keras.src.ops.numpy.
MERGES = ("Multiply", "Add", "Subtract", "Maximum", "Minimum")
FLOAT32 = {
    "module": "keras",
    "class_name": "DTypePolicy",
    "config": {"name": "float32"},
    "registered_name": None,
}


@dataclass(frozen=True)
class Recipe:
    """What to do to a model: contract first, then squeeze, drop and turn.

    Args:
        contract: MatMul or Dot nodes that become Multiply layers.
        squeeze: nodes that lose their `keepdims`.
        drop: nodes to remove; their input goes straight to the multiplies of `at` that they fed, or, when
            they feed none of those, to whatever they fed. From the multiply outwards.
        turn: multiplies that change between the layer and the operation.
        at: the multiplies this is about.
    """

    at: tuple[str, ...]
    drop: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    squeeze: tuple[str, ...] = ()
    contract: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mutation:
    """A broken file: where it is, where it came from, and which shapes meet at each multiply, as recorded."""

    path: Path
    original: Path
    recipe: Recipe
    shapes: dict[str, list[list[list[int | None]]]]


@dataclass(frozen=True)
class Behaviour:
    """The behaviour of a file in Keras: whether it loads, and per batch size "same", "differs" or "raises".

    Weights are matched by layer name here, not by Keras's own numbering.
    """

    loads: bool
    batches: dict[int, str]
    message: str = ""

    @property
    def fault(self) -> str:
        """`equivalent`, `refused` at loading, `silent` at some batch size, or `raises` only."""
        if not self.loads:
            return "refused"
        if set(self.batches.values()) == {"same"}:
            return "equivalent"
        return "silent" if "differs" in self.batches.values() else "raises"


def mutate(original: Path, target: Path, recipe: Recipe) -> Mutation:
    """Write `original`, broken by `recipe`, to `target`."""
    config = read_config(original)
    for path in recipe.contract:
        contract(locate(config, path)[1])
    for path in recipe.squeeze:
        squeeze(locate(config, path)[1])
    for path in recipe.drop:
        scope, node = locate(config, path)
        prefix = path.rpartition("/")[0]
        _drop(
            scope,
            node,
            {name for parent, _, name in (p.rpartition("/") for p in recipe.at) if parent == prefix},
        )
    for path in recipe.turn:
        turn(locate(config, path)[1])
    shapes = {path: operand_shapes(locate(config, path)[1]) for path in recipe.at}
    write_config(original, target, config)
    return Mutation(target, original, recipe, shapes)


def read_config(path: Path) -> Config:
    """The parsed config.json of an archive."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def write_config(source: Path, target: Path, config: Config) -> None:
    """Copy an archive with another config.json; every other member stays byte for byte."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for member in before.infolist():
            data = before.read(member)
            after.writestr(member, json.dumps(config) if member.filename == "config.json" else data)


def rebuild(edited: Path, original: keras.Model) -> keras.Model:
    """The model of an edited file as Keras builds it, with the original's weights by layer name."""
    return rebuild_config(read_config(edited), original)


def rebuild_config(config: Config, original: keras.Model) -> keras.Model:
    """The model of an edited config, with the original's weights by layer name."""
    import keras

    model = keras.saving.deserialize_keras_object(_without_build_config(config))
    support.transplant(original, model)
    return model


def rewrite_with_keras(edited: Path, original: keras.Model, target: Path) -> None:
    """Write the edited graph as Keras itself does, with the shapes that the wrong graph has."""
    rebuild(edited, original).save(target)


def observe(
    model: keras.Model, original: keras.Model, batches: list[int], **tolerance: float
) -> dict[int, str]:
    """Per batch size, whether `model` computes what `original` does: "same", "differs" or "raises"."""
    seen = {}
    for batch in batches:
        inputs = support.random_inputs(original, batch)
        desired = support.run(original, inputs)
        try:
            actual = support.run(model, inputs)
        except Exception:
            seen[batch] = "raises"
        else:
            seen[batch] = "same" if support.same(actual, desired, **tolerance) else "differs"
    return seen


def behaviour(edited: Path, original: keras.Model, batches: list[int], **tolerance: float) -> Behaviour:
    """Load and run the edited file in Keras."""
    try:
        model = rebuild(edited, original)
    except Exception as error:
        return Behaviour(False, {}, str(error))
    return Behaviour(True, observe(model, original, batches, **tolerance))


def _without_build_config(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _without_build_config(v) for k, v in node.items() if k != "build_config"}
    if isinstance(node, list):
        return [_without_build_config(v) for v in node]
    return node


def locate(config: Config, path: str) -> tuple[Config, Config]:
    """The functional config that holds a node, and the node's own entry."""
    scope = config["config"]
    *outer, name = path.split("/")
    for part in outer:
        scope = _named(scope, part)["config"]
    return scope, _named(scope, name)


def _named(scope: Config, name: str) -> Config:
    # Operations of Keras 3.0 to 3.10 state no name in their configuration.
    found = [node for node in scope["layers"] if node.get("name", node["config"].get("name")) == name]
    if len(found) != 1:
        raise KeyError(f"{name}: {len(found)} nodes of that name")
    return found[0]


def references(value: Any) -> Iterator[Config]:
    """Every tensor reference in a node's arguments, in order."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]
        else:
            for inner in value.values():
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def _drop(scope: Config, node: Config, multiplies: set[str]) -> None:
    name = node["name"]
    if name in str(scope["output_layers"]):
        raise ValueError(f"{name} is an output")
    users = [
        (n, r)
        for n in scope["layers"]
        for r in references(n["inbound_nodes"])
        if r["keras_history"][0] == name
    ]
    at_multiplies = [(n, r) for n, r in users if n["name"] in multiplies]
    for user, reference in at_multiplies or users:
        source = next(references(node["inbound_nodes"][reference["keras_history"][1]]))
        reference |= copy.deepcopy(source)
        refresh_build_config(user)
    if len(at_multiplies or users) == len(users):
        scope["layers"].remove(node)


def refresh_build_config(node: Config) -> None:
    """Update a merge layer's build_config to its new operands: the old one would reveal the removed node."""
    if node["class_name"] in MERGES and "build_config" in node:
        node["build_config"] = {"input_shape": operand_shapes(node)[0]}


def squeeze(node: Config) -> None:
    """Remove `keepdims` from a node. Raises ValueError if it keeps no axes."""
    if not node["config"]["keepdims"]:
        raise ValueError(f"{node['name']} keeps no axes")
    node["config"]["keepdims"] = False


def turn(node: Config) -> None:
    """Change a merge layer of two operands to the operation of its name, or back."""
    if node["class_name"] not in MERGES:
        raise ValueError(f"{node['name']} is a {node['class_name']}")
    calls = [list(references(call["args"])) for call in node["inbound_nodes"]]
    if any(len(call) != 2 for call in calls):
        raise ValueError(f"{node['name']} has not two operands")
    operands = [[{"class_name": "__keras_tensor__", "config": r} for r in call] for call in calls]
    name = node["name"]
    node.pop("build_config", None)
    if node["module"] == "keras.layers":
        node |= {"module": OPS, "registered_name": node["class_name"], "config": {"name": name}}
        node["inbound_nodes"] = [{"args": pair, "kwargs": {}} for pair in operands]
    else:
        node |= {"module": "keras.layers", "registered_name": None, "config": _layer_config(name)}
        node["inbound_nodes"] = [{"args": [pair], "kwargs": {}} for pair in operands]


def contract(node: Config) -> None:
    """Change a matrix product to a Multiply layer."""
    name = node["name"]
    call = node["inbound_nodes"][0]
    operands = [{"class_name": "__keras_tensor__", "config": r} for r in references(call["args"])]
    node.pop("build_config", None)
    node |= {"module": "keras.layers", "class_name": "Multiply", "registered_name": None}
    node |= {"config": _layer_config(name), "inbound_nodes": [{"args": [operands], "kwargs": {}}]}


def _layer_config(name: str) -> Config:
    return {"name": name, "trainable": True, "dtype": copy.deepcopy(FLOAT32)}


def operand_shapes(node: Config) -> list[list[list[int | None]]]:
    """The recorded shape of every operand, for each call."""
    return [[r["shape"] for r in references(call["args"])] for call in node["inbound_nodes"]]
