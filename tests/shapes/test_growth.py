"""Files that make sizes grow without end: the analysis stays quick, and its messages short."""

from __future__ import annotations

from typing import Any

import pytest

from rewriter.errors import BadFileError
from rewriter.ir.graph import Graph, Node, Operation, TensorRef
from rewriter.shapes import layers  # noqa: F401 - fills the table of rules
from rewriter.shapes.infer import infer
from rewriter.shapes.inference import Inference


def chain(shape: list[Any], steps: list[tuple[str, dict[str, Any]]]) -> Inference:
    """Infer a chain of layers; Multiply gets its operand twice."""
    graph = Graph("model")
    source = Operation("x", "input", "InputLayer", {"batch_shape": shape})
    graph.add(Node("x", source, 0, (), {}))
    last = "x"
    for number, (class_name, config) in enumerate(steps):
        name = f"layer_{number}"
        operation = Operation(name, "layer", class_name, config)
        for child in ("layer", "cell"):
            if isinstance(config.get(child), Operation):
                operation.children[child] = config[child]
        args = [TensorRef(last), TensorRef(last)] if class_name == "Dot" else TensorRef(last)
        graph.add(Node(name, operation, 0, (args,), {}))
        last = name
    graph.inputs, graph.outputs = [TensorRef("x")], [TensorRef(last)]
    graph.link()
    inference = infer(graph)
    for fault in inference.faults.values():
        assert len(fault) < 500
    for values in inference.values.values():
        assert all(len(value.text()) < 100_000 for value in values)
    return inference


@pytest.mark.parametrize("shape", [[None, 1, 3], [None, 1, None], [2, 1, 2**62], [None, 1, 2**62]])
def test_squares(shape: list[Any]):
    square = [
        ("Dot", {"axes": 1}),
        ("Flatten", {}),
        ("Reshape", {"target_shape": [1, -1]}),
        ("ZeroPadding1D", {}),
    ]
    chain(shape, [*square[:3]] * 60)
    chain(shape, square * 60)


def test_up_sampling_without_end():
    inference = chain([None, 5, 3], [("UpSampling1D", {"size": 2**62})] * 400)
    assert "2**63" in inference.faults["layer_1"]
    chain([None, None, 3], [("UpSampling1D", {"size": 2**62})] * 400)


def test_floor_divisions_without_end():
    steps = [
        ("UpSampling1D", {"size": 3}),
        ("MaxPooling1D", {"pool_size": 2}),
        ("ZeroPadding1D", {"padding": 1}),
    ]
    inference = chain([None, None, 3], steps * 200)
    assert inference.outputs()[0].shape == [None, None, 3]


def test_products_of_sums():
    steps: list[tuple[str, dict[str, Any]]] = [("ZeroPadding3D", {}), ("Flatten", {})]
    chain([None, None, None, None, None], [*steps, ("Reshape", {"target_shape": [-1, 1, 1, 1]}), *steps] * 3)


def test_a_rank_that_nothing_has():
    with pytest.raises(BadFileError, match="axes"):
        chain([None] * 300, [("Flatten", {})])
    with pytest.raises(BadFileError, match="target_shape"):
        chain([None, 3], [("Reshape", {"target_shape": [2**62] * 100_000})])


def test_many_huge_sizes_in_one_message():
    inference = chain([None, *[2**62] * 200], [("Reshape", {"target_shape": [3]}), ("Flatten", {})])
    assert set(inference.faults) == {"layer_0", "layer_1"}


def test_wrappers_in_wrappers_cost_what_their_text_costs():
    inner = Operation("lstm", "layer", "LSTM", {"units": 3, "return_sequences": True})
    for depth in range(150):
        inner = Operation(
            f"both_{depth}", "layer", "Bidirectional", {"merge_mode": "sum"}, children={"layer": inner}
        )
    inference = chain(
        [None, 5, 3], [("TimeDistributed", {"layer": inner}), ("Bidirectional", {"layer": inner})]
    )
    assert inference.outputs()[0].shape == [None, 5, 6]
