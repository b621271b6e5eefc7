"""Every operator with operands of other ranks and with other attributes: files one change away from valid ones."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator
from typing import Any

RANKS = (0, 1, 2, 3, 4, 5, 7)
NUMBERS = (0, -1, 1, 3, 99, -99, 2**31, 2**62, -(2**63))


def operators(every: int = 1) -> Iterator[tuple[str, Any]]:
    """ONNX's own models of each operator, by name; each ``every``-th of them."""
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    cases = sorted((c for c in collect_testcases(None) if c.model is not None), key=lambda case: case.name)
    for case in cases[::every]:
        yield case.name, case.model


def of_ranks(proto: Any) -> Iterator[tuple[str, Any]]:
    """The model with each input in each rank, with as many of its sizes as fit, and without a shape."""
    for place, value in enumerate(proto.graph.input):
        if not value.type.HasField("tensor_type"):
            continue
        for rank in RANKS:
            for open_ in (False, True):
                made = copy.deepcopy(proto)
                dims = made.graph.input[place].type.tensor_type.shape.dim
                old = [d.dim_value for d in dims] or [3]
                del dims[:]
                for axis in range(rank):
                    dim = dims.add()
                    if not open_:
                        dim.dim_value = old[axis % len(old)]
                yield f"input {place} of rank {rank}", made
        made = copy.deepcopy(proto)
        made.graph.input[place].type.tensor_type.ClearField("shape")
        yield f"input {place} of no shape", made


def of_attributes(proto: Any) -> Iterator[tuple[str, Any]]:
    """The model with each attribute of its nodes removed, or with other numbers."""
    for place, node in enumerate(proto.graph.node):
        for number, attribute in enumerate(node.attribute):
            made = copy.deepcopy(proto)
            del made.graph.node[place].attribute[number]
            yield f"without {attribute.name}", made
            for value in NUMBERS:
                made = copy.deepcopy(proto)
                changed = made.graph.node[place].attribute[number]
                if attribute.type == attribute.INT:
                    changed.i = value
                elif attribute.type == attribute.INTS:
                    changed.ints[:] = [value, *changed.ints[1:]] if abs(value) > 1 else [value] * abs(value)
                else:
                    continue
                yield f"{attribute.name} with {value}", made


def of_input_ranks(config: Any) -> Iterator[tuple[str, Any]]:
    """A Keras configuration with each input in each rank."""
    for place, entry in enumerate(config["config"]["layers"]):
        shape = entry["config"].get("batch_shape")
        if entry["class_name"] != "InputLayer" or not isinstance(shape, list):
            continue
        for rank in RANKS:
            made = json.loads(json.dumps(config))
            made["config"]["layers"][place]["config"]["batch_shape"] = [
                shape[axis % len(shape)] if shape and axis else None for axis in range(rank)
            ]
            yield f"input {place} of rank {rank}", made
