"""The layer entries of a Keras 2 model while it is built, and the variables of their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..messages import Shape
from .folding import Array
from .library import Unable
from .products import Made, Weight
from .sizes import Ref

_MAX_INLINE = 2**18  # numbers of one constant in the configuration
_MAX_INLINED = 2**20  # numbers of all constants in it
_MAX_NODES = 100_000


@dataclass
class Entries:
    """The entries of a model, and their weights.

    Attributes:
        taken: names that are not available.
        kept: names that only ``rename`` gives.
        objects: the object numbers of entries that are layers of the file, by name.
    """

    taken: set[str]
    kept: frozenset[str] = frozenset()
    items: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, list[Weight]] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    _shared: dict[str, dict[str, Any]] = field(default_factory=dict)
    _own: dict[int, dict[str, Any]] = field(default_factory=dict)
    _count: int = 0
    _inlined: int = 0

    def operator(
        self, stem: str, op: str, attributes: dict[str, Any], operands: Sequence[Ref | Array]
    ) -> Ref:
        constants: dict[str, Any] = {}
        tensors: list[Ref] = []
        for number, operand in enumerate(operands):
            if isinstance(operand, Ref):
                tensors.append(operand)
            elif operand.dtype == np.float64:
                raise Unable(f"it computes {op} with a float64 constant")
            elif operand.size > _MAX_INLINE:
                raise Unable(f"it computes {op} with a constant of {operand.size:,} numbers")
            else:
                self._inlined += operand.size
                constants[str(number)] = operand.tolist()
        if self._inlined > _MAX_INLINED:
            raise Unable(f"it computes with more than {_MAX_INLINED:,} constant numbers")
        name = self.fresh(stem, op)
        node = {"name": name, "op": op, "attr": attributes}
        config = {
            "name": name,
            "trainable": True,
            "dtype": "float32",
            "node_def": node,
            "constants": constants,
        }
        self._add("TensorFlowOpLayer", config, tensors)
        return Ref(name, 0, 0)

    def given(self, name: str, dtype: str, shape: Shape) -> None:
        """Add an input of the model."""
        config = {"batch_input_shape": list(shape), "dtype": dtype, "name": name, "sparse": False}
        self.items.append({"class_name": "InputLayer", "config": config, "name": name, "inbound_nodes": []})

    def layer(self, stem: str, made: Made, first: Ref) -> Ref:
        """Add a layer and return its result. An existing layer with the same weights is called again instead."""
        own = [weight.number for weight in made.weights]
        key = json.dumps([made.class_name, made.config, own])
        known = self._shared.get(key) if own and None not in own else None
        if known is not None:
            known["inbound_nodes"].append([[*first, {}]])
            return Ref(known["name"], len(known["inbound_nodes"]) - 1, 0)
        name = self.fresh(stem, made.class_name)
        self._add(
            made.class_name, {"name": name, "trainable": True, "dtype": "float32", **made.config}, [first]
        )
        if made.weights:
            self.weights[name] = made.weights
            self._shared[key] = self.items[-1]
        return Ref(name, 0, 0)

    def made(self) -> dict[str, list[Weight]]:
        """The weights of every entry that is not a layer of the file."""
        names = (item["name"] for item in self.items)
        return {name: self.weights.get(name, []) for name in names if name not in self.objects}

    def own(self, number: int, entry: dict[str, Any], name: str, first: Ref) -> Ref:
        """Add a layer of the file and return its result. If it exists already, it is called again."""
        known = self._own.get(number)
        if known is not None:
            known["inbound_nodes"].append([[*first, {}]])
            return Ref(known["name"], len(known["inbound_nodes"]) - 1, 0)
        if name in self.taken:
            name = self.fresh(name, str(entry["class_name"]))
        self.taken.add(name)
        self._add(str(entry["class_name"]), {**entry["config"], "name": name}, [first])
        self._own[number] = self.items[-1]
        self.objects[name] = number
        return Ref(name, 0, 0)

    def prune(self, results: Sequence[Ref]) -> None:
        """Remove the entries that no result depends on, except inputs."""
        made = {entry["name"]: entry for entry in self.items}
        found: set[str] = set()
        waiting = [ref.layer for ref in results]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += [ref[0] for node in made[name]["inbound_nodes"] for ref in node]
        self.items = [e for e in self.items if e["name"] in found or e["class_name"] == "InputLayer"]

    def rename(self, names: Mapping[str, str]) -> None:
        """Rename entries: ``names`` has the new name by the old one."""
        for entry in self.items:
            entry["inbound_nodes"] = [
                [[names.get(ref[0], ref[0]), *ref[1:]] for ref in node] for node in entry["inbound_nodes"]
            ]
            entry["name"] = entry["config"]["name"] = names.get(entry["name"], entry["name"])
        for old, new in names.items():
            if old in self.weights:
                self.weights[new] = self.weights.pop(old)
            if old in self.objects:
                self.objects[new] = self.objects.pop(old)

    def fresh(self, stem: str, what: str) -> str:
        while True:
            self._count += 1
            name = f"{stem}_{what.lower()}_{self._count}"
            if name not in self.taken and name not in self.kept:
                self.taken.add(name)
                return name

    def free(self, name: str, more: str) -> str:
        """The name, with ``more`` appended while it is taken."""
        while name in self.taken:
            name += more
        self.taken.add(name)
        return name

    def _add(self, class_name: str, config: dict[str, Any], tensors: Sequence[Ref]) -> None:
        if len(self.items) > _MAX_NODES:
            raise Unable(f"its function has more than {_MAX_NODES:,} nodes")
        self.items.append({
            "class_name": class_name, "config": config, "name": config["name"],
            "inbound_nodes": [[[*tensor, {}] for tensor in tensors]],
        })  # fmt: skip
