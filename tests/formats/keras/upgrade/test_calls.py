"""Configurations of Keras 1.2 to 2.15: calls in lists, calls of models from 1, a Sequential model as a list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rewriter.cli import main
from rewriter.errors import RewriterError
from rewriter.formats.keras.config import read_model
from rewriter.formats.keras.upgrade import upgraded
from rewriter.ir.graph import Graph
from rewriter.shapes import layers as _layers  # noqa: F401 - fills the table of rules
from rewriter.shapes.infer import infer

Json = dict[str, Any]


def entry(name: str, class_name: str, config: Any, *calls: Any) -> Json:
    return {"class_name": class_name, "name": name, "config": config, "inbound_nodes": list(calls)}


def source(name: str, *shape: int) -> Json:
    return entry(name, "InputLayer", {"name": name, "batch_input_shape": [None, *shape], "dtype": "float32"})


def dense(name: str, *calls: Any, units: int = 3, **config: Any) -> Json:
    return entry(name, "Dense", {"name": name, "units": units, **config}, *calls)


def functional(name: str, layers: list[Json], inputs: list[Any], outputs: list[Any]) -> Json:
    return {"name": name, "layers": layers, "input_layers": inputs, "output_layers": outputs}


def inner(name: str = "inner", width: int = 3) -> Json:
    rows = [source("i", 3), dense("d", [["i", 0, 0, {}]], units=width)]
    return functional(name, rows, [["i", 0, 0]], [["d", 0, 0]])


def outer(nested: Json, *rest: Json, outputs: list[Any]) -> Json:
    config = functional("outer", [source("x", 3), nested, *rest], [["x", 0, 0]], outputs)
    return {"class_name": "Functional", "config": config, "keras_version": "2.8.0", "backend": "tensorflow"}


def read(content: Json) -> Graph:
    return read_model(upgraded(content).entry)


def shapes(content: Json) -> list[list[int | None] | None]:
    return [value.shape for value in infer(read(content)).outputs()]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("kind", ["Functional", "Model", "Sequential"])
def test_calls_of_a_nested_model(kind: str, first: int):
    """Keras 2 counts a model's call on its own inputs, unless there is none; the references show which."""
    listed = [source("i", 3), dense("d", units=3)]
    config = {"name": "inner", "layers": listed} if kind == "Sequential" else inner()
    nested = entry("inner", kind, config, [["x", 0, 0, {}]], [["inner", first, 0, {}]])
    top = dense("top", [["inner", first + 1, 0, {}]], units=5)
    assert shapes(outer(nested, top, outputs=[["top", 0, 0]])) == [[None, 5]]
    ends = [["inner", first, 0], ["inner", first + 1, 0]]
    graph = read(outer(nested, top, outputs=ends))
    assert [ref.node for ref in graph.output_refs()] == ["inner", "inner#1"]


def test_a_call_that_is_not_there_is_refused():
    nested = entry("inner", "Functional", inner(), [["x", 0, 0, {}]])
    for call in (2, -1):
        with pytest.raises(RewriterError):
            read(outer(nested, dense("top", [["inner", call, 0, {}]]), outputs=[["top", 0, 0]]))


def test_a_layer_counts_from_0():
    shared = dense("shared", [["x", 0, 0, {}]], [["shared", 0, 0, {}]])
    graph = read(outer(shared, outputs=[["shared", 1, 0]]))
    assert [ref.node for ref in graph.output_refs()] == ["shared#1"]


def test_a_keyword_argument_that_is_a_call_of_a_model():
    nested = entry("inner", "Functional", inner(), [["x", 0, 0, {}]])
    attention = entry(
        "a",
        "MultiHeadAttention",
        {"name": "a", "num_heads": 1, "key_dim": 2},
        [["x", 0, 0, {"value": ["inner", 1, 0]}]],
    )
    graph = read(outer(nested, attention, outputs=[["a", 0, 0]]))
    assert [ref.node for ref in graph.nodes["a"].refs()] == ["x", "inner"]


@pytest.mark.parametrize("outputs", [[["d", 0, 0]], ["d", 0, 0], [[["d", 0, 0]]]])
def test_a_model_at_every_step(outputs: Any):
    config = inner(width=4) | {"output_layers": outputs}
    steps = {"name": "t", "layer": {"class_name": "Model", "config": config}}
    rows = [source("x", 6, 3), entry("t", "TimeDistributed", steps, [["x", 0, 0, {}]])]
    content = {"class_name": "Model", "config": functional("m", rows, [["x", 0, 0]], [["t", 0, 0]])}
    assert shapes(content) == [[None, 6, 4]]


SEQUENTIAL: list[tuple[str, Any]] = [
    ("a-list", [dense("d", batch_input_shape=[None, 4]), dense("e", units=5)]),
    ("an-object", {"name": "s", "layers": [dense("d", batch_input_shape=[None, 4]), dense("e", units=5)]}),
    ("an-input-first", [source("x", 4), dense("d"), dense("e", units=5)]),
    (
        "a-model-first",
        [
            entry("s", "Sequential", [dense("d", batch_input_shape=[None, 4])]),
            entry("n", "Sequential", {"name": "n", "layers": [dense("d"), dense("e", units=5)],
                                      "build_input_shape": [None, 3]}),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "config"), SEQUENTIAL, ids=[name for name, _ in SEQUENTIAL])
def test_sequential_models(name: str, config: Any, tmp_path: Path, capsys: Any):
    content = {"class_name": "Sequential", "config": config, "keras_version": "2.1.3"}
    assert shapes(content) == [[None, 5]]
    path, target = tmp_path / "model.json", tmp_path / "out.json"
    path.write_text(json.dumps(content, indent=1))
    assert main(["repair", str(path), "-o", str(target), "--no-verify"]) == 0
    assert "identical copy" in capsys.readouterr().out
    assert target.read_bytes() == path.read_bytes()
