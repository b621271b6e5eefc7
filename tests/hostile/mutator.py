"""A structure-aware mutator of configurations: it knows the form of a layer, a call and a reference.

Deterministic: the same seed gives the same mutants, whatever the machine.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Path = tuple[str | int, ...]
Mutation = Callable[[random.Random, Any], None]

SIZES: tuple[Any, ...] = (0, -1, 1, 2, -(2**31), 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**400, -(10**400))
ODD: tuple[Any, ...] = (
    None, True, False, 0.0, 0.5, -1.0, 1e308, float("nan"), float("inf"), "", " ", "x", "\x1b[31mred\x07", "\ud800",
    "a/b", "..", "a#1", "\u202egnp.exe", "n" * 10_000, [], {}, [[]], [None], [1, 2, 3], [0, 0, 0], [None, -3], {"": 0},
    {"class_name": "__lambda__", "config": {"value": "4wEA"}}, {"class_name": "__slice__", "config": {}},
    {"class_name": "__ellipsis__", "config": {}}, {"class_name": "__keras_tensor__", "config": None},
    {"class_name": "__numpy__", "config": {"value": [[1, 2], [3]], "dtype": "float32"}},
    {"class_name": "__numpy__", "config": {"value": 2.0, "dtype": "float32"}},
    {"class_name": "__numpy__", "config": {"value": [[1.0]], "dtype": 7}},
    {"module": "os", "class_name": "system", "config": "true", "registered_name": None},
    {"class_name": "Dense", "config": {"units": 3}}, "channels_first", "valid", "same",
)  # fmt: skip
CLASSES = (
    "Lambda", "TorchModuleWrapper", "TFSMLayer", "Sequential", "Functional", "InputLayer", "Model", "Multiply", "Add",
    "Dot", "Concatenate", "Dense", "Conv2D", "Flatten", "Reshape", "Permute", "RepeatVector", "TimeDistributed",
    "Bidirectional", "RNN", "LSTM", "MultiHeadAttention", "Attention", "EinsumDense", "Embedding", "Softmax", "system",
    "GetItem", "Matmul", "Transpose", "Squeeze", "ExpandDims", "Stack", "Split", "Einsum", "Tile", "Repeat", "Take",
    "Tensordot", "Outer", "Where", "Pad", "Sum", "Mean", "BroadcastTo", "UpSampling2D", "Normalization",
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "DepthwiseConv2D", "Cropping2D", "ZeroPadding2D",
)  # fmt: skip
MODULES = (
    "keras.layers",
    "keras.src.ops.numpy",
    "keras.src.ops.nn",
    "keras.src.ops.core",
    "my.module",
    "os",
    "",
    None,
)
KEYS = (
    "axis", "axes", "units", "filters", "kernel_size", "strides", "padding", "target_shape", "dims", "n", "activation",
    "data_format", "batch_shape", "dtype", "name", "layers", "input_layers", "output_layers", "shape", "newshape",
    "mask",
    "indices_or_sections", "repeats", "pad_width", "num", "x1", "x2", "x", "layer", "cell", "groups", "dilation_rate",
    "build_input_shape", "batch_input_shape", "equation", "key", "initial_state", "training",
)  # fmt: skip


def hostile(rng: random.Random) -> Any:
    """A wrong value for any place, as a copy that mutants do not share."""
    return copy.deepcopy(rng.choice(SIZES if rng.random() < 0.4 else ODD))


def containers(root: Any) -> Iterator[Any]:
    """Every non-empty list and object of a document."""
    stack = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, (dict, list)) and item:
            yield item
            stack.extend(item.values() if isinstance(item, dict) else item)


def objects(root: Any, having: str) -> list[dict[str, Any]]:
    return [c for c in containers(root) if isinstance(c, dict) and having in c]


def _slot(rng: random.Random, root: Any) -> tuple[Any, Any]:
    found = rng.choice(list(containers(root)))
    return found, rng.choice(list(found)) if isinstance(found, dict) else rng.randrange(len(found))


def replace(rng: random.Random, root: Any) -> None:
    where, key = _slot(rng, root)
    where[key] = hostile(rng)


def delete(rng: random.Random, root: Any) -> None:
    where, key = _slot(rng, root)
    del where[key]


def swap(rng: random.Random, root: Any) -> None:
    (a, i), (b, k) = _slot(rng, root), _slot(rng, root)
    a[i], b[k] = copy.deepcopy(b[k]), copy.deepcopy(a[i])


def duplicate(rng: random.Random, root: Any) -> None:
    lists = [c for c in containers(root) if isinstance(c, list)]
    if lists:
        where = rng.choice(lists)
        where.insert(rng.randrange(len(where) + 1), copy.deepcopy(rng.choice(where)))


def retype(rng: random.Random, root: Any) -> None:
    where, key = _slot(rng, root)
    value = where[key]
    options: list[Any] = [[value], {"a": value}, str(value)[:100]]
    if isinstance(value, list):
        options += [{str(i): v for i, v in enumerate(value)}, value[0] if value else None]
    if isinstance(value, dict):
        options += [list(value.values()), [[k, v] for k, v in value.items()]]
    if isinstance(value, (int, float)) and value == value and abs(value) < 2**60:
        options += [float(value), -value, value + 1, value * 2**40]
    where[key] = rng.choice(options)


def reference(rng: random.Random, root: Any) -> None:
    """Change the source of a tensor."""
    found = objects(root, "keras_history")
    names = [o["name"] for o in objects(root, "inbound_nodes") if isinstance(o.get("name"), str)]
    if found and names:
        index = rng.choice((0, 0, 0, 0, 1, 2, -1, 2**31 - 1, 2**31, 2**70))
        rng.choice(found)["keras_history"] = [rng.choice(names), rng.choice((0, 0, 0, 1, index)), index]


def recast(rng: random.Random, root: Any) -> None:
    """Change a class, and keep its configuration."""
    found = objects(root, "class_name")
    if found:
        entry = rng.choice(found)
        entry["class_name"] = rng.choice(CLASSES)
        if rng.random() < 0.5:
            entry["module"] = rng.choice(MODULES)
        if rng.random() < 0.1:
            entry["registered_name"] = "pkg>" + entry["class_name"]


def option(rng: random.Random, root: Any) -> None:
    """Add an option or an argument."""
    found = objects(root, "config" if rng.random() < 0.7 else "kwargs")
    if found:
        entry = rng.choice(found)
        target = entry.get("config", entry.get("kwargs"))
        if isinstance(target, dict):
            target[rng.choice(KEYS)] = hostile(rng)


def rename(rng: random.Random, root: Any) -> None:
    """Give a layer the name of another, or a hostile name; its references follow or not."""
    names = [o["name"] for o in objects(root, "inbound_nodes") if isinstance(o.get("name"), str)]
    if names:
        old = rng.choice(names)
        new = rng.choice((*names, old + "#1", "", "..", "n" * 10_000, "\ud83d", "\u202e" + old))
        keep = rng.random() < 0.3
        for where in containers(root):
            for key in list(where) if isinstance(where, dict) else range(len(where)):
                if isinstance(where[key], str) and where[key] == old and not (keep and key == 0):
                    where[key] = new


def legacy(rng: random.Random, root: Any) -> None:
    """Change calls to the list form of Keras 2."""
    for entry in objects(root, "inbound_nodes"):
        if isinstance(entry["inbound_nodes"], list) and rng.random() < 0.7:
            entry["inbound_nodes"] = [_listed(rng, call) for call in entry["inbound_nodes"]]


def _listed(rng: random.Random, call: Any) -> Any:
    found = [o["keras_history"] for o in objects(call, "keras_history")]
    refs = [[*h[:3], {}] for h in found if isinstance(h, list)]
    if refs and rng.random() < 0.3:
        refs[0][rng.randrange(len(refs[0]))] = hostile(rng)
    return refs


def scalar(rng: random.Random, root: Any) -> None:
    """Replace a tensor argument by another value."""
    found = objects(root, "inbound_nodes")
    calls = [c for o in found if isinstance(o["inbound_nodes"], list) for c in o["inbound_nodes"]]
    calls = [c for c in calls if isinstance(c, dict) and isinstance(c.get("args"), list)]
    if calls:
        call = rng.choice(calls)
        if call["args"] and rng.random() < 0.6:
            call["args"][rng.randrange(len(call["args"]))] = hostile(rng)
        else:
            call["args"].append(hostile(rng))


MUTATIONS: tuple[Mutation, ...] = (
    replace, replace, delete, swap, duplicate, retype, reference, recast, recast, option, option, rename, legacy,
    scalar,
)  # fmt: skip


def mutants(seed: int, base: bytes, count: int) -> Iterator[bytes]:
    """``count`` mutants of a document, each by one to six mutations."""
    rng = random.Random(seed)
    for _ in range(count):
        root = [json.loads(base)]
        for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
            rng.choice(MUTATIONS)(rng, root[0] if isinstance(root[0], (dict, list)) and root[0] else root)
        yield json.dumps(root[0]).encode()
