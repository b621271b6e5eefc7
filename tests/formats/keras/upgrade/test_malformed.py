"""Configurations with parts removed, exchanged or replaced: only our own errors come out."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from rewriter.errors import RewriterError
from rewriter.formats.keras.config import read_model
from rewriter.formats.keras.upgrade import archive_variables, is_old, model_variables, upgraded

from . import function_cases, layer_cases, test_keras_1, test_op_layers

JUNK: list[Any] = [
    None, 0, -1, 2**40, 1.5, "", "x", "a/b", [], {}, [[]], [None], True, {"class_name": "Dense", "config": {}},
    ["x", 0, 0], ["x", 0], {"class_name": None, "config": None}, [[["x", 0, 0, {}]]],
]  # fmt: skip
LAYERS = (
    "nested_deep",
    "attention",
    "wrappers",
    "cells",
    "mask_of_a_sum",
    "mask_into_a_model",
    "initial_state",
)
FUNCTIONS = ("operators", "joins", "dynamic_reshape", "indexing")
ROUNDS = 1200


def corpus() -> list[Any]:
    found = [layer_cases.CASES[name]() for name in LAYERS] + [
        function_cases.CASES[name]() for name in FUNCTIONS
    ]
    entries = []
    for model in found:
        model.use_legacy_config = True
        entries.append(json.loads(model.to_json()))
    entries += [test_op_layers.model(name) for name in test_op_layers.CASES]
    return entries + [json.loads(json.dumps(make()[0])) for make in test_keras_1.CASES.values()]


def places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        found += [(item, key) for key in keys]
        waiting += [item[key] for key in keys]
    return found


@pytest.fixture(scope="module")
def entries() -> list[Any]:
    return corpus()


@pytest.mark.parametrize("seed", range(3))
def test_only_errors_of_ours(seed: int, entries: list[Any]):
    choose = random.Random(seed)
    read = 0
    for _ in range(ROUNDS):
        entry = copy.deepcopy(choose.choice(entries))
        for _ in range(choose.choice([1, 1, 2, 3])):
            item, key = choose.choice(places(entry))
            if choose.random() < 0.7:
                item[key] = copy.deepcopy(choose.choice(JUNK))
            else:
                del item[key]
        try:
            if is_old(entry):
                read_model(upgraded(entry).entry)
                read += 1
                model_variables(entry, {})
                archive_variables(entry, {}, "2.15.0")
        except RewriterError:
            pass
    assert read > ROUNDS // 10
