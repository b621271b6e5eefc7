"""Suppositions: a partial inference equals one from scratch, and leaves no traces.

Models are random graphs of layers and ops with axes of few sizes; a supposition gives some of their nodes another
result. The comparison covers sizes, faults, claims, roles, identities and origins of axes, and conflicts.
"""

from __future__ import annotations

import random
from pathlib import Path as File
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewriter.formats.registry import open_model
from rewriter.ir.axis import Axis, Origin, Role, Value, new_axis
from rewriter.ir.graph import Graph, Node, Operation, Path, TensorRef
from rewriter.passes.analysis import analyse
from rewriter.passes.suppositions import override
from rewriter.rules.table import builtin
from rewriter.shapes.call import Call
from rewriter.shapes.infer import infer, suppose
from rewriter.shapes.inference import Inference

MODELS = File(__file__).parents[2] / "models"
SIZES = (1, 4, 6)


# -- the comparison -----------------------------
def snapshot(inference: Inference) -> dict[Path, Any]:
    """All results of an inference, with origins numbered by first appearance."""
    numbers: dict[int, int] = {}

    def number(origin: Origin) -> int:
        return numbers.setdefault(id(origin), len(numbers))

    def axis(item: Axis) -> Any:
        lineage = [number(origin) for origin in item.origin.lineage()]
        return str(item), lineage, item.facts, [axis(f) for f in item.factors]

    def value(item: Value) -> Any:
        axes = None if item.axes is None else [axis(a) for a in item.axes]
        mask = None if item.mask is None else [axis(a) for a in item.mask]
        return axes, mask, item.dtype, item.claimed, item.reason

    result: dict[Path, Any] = {}
    for prefix, item in inference.walk():
        for name in item.graph.order:
            result[*prefix, name] = (
                [value(v) for v in item.values[name]],
                [value(v) for v in item.calls[name].inputs] if name in item.calls else None,
                item.faults.get(name),
                item.opaque.get(name),
                item.conflicts.get(name),
            )
    return result


# -- random models -----------------------------
def _operation(rng: random.Random, name: str) -> tuple[Operation, int]:
    """An operation, and its number of operands."""
    axis = rng.choice([1, 2, -1])
    layer: list[tuple[str, dict[str, Any], int]] = [
        ("Conv2D", {"filters": rng.choice(SIZES), "kernel_size": [3, 3], "padding": "same"}, 1),
        ("Dense", {"units": rng.choice(SIZES)}, 1),
        ("BatchNormalization", {"axis": axis}, 1),
        ("GlobalAveragePooling2D", {"keepdims": rng.random() < 0.3}, 1),
        ("MaxPooling2D", {"pool_size": [2, 2], "strides": [1, 1], "padding": "same"}, 1),
        ("Flatten", {}, 1),
        ("Reshape", {"target_shape": [-1, rng.choice(SIZES)]}, 1),
        ("Permute", {"dims": rng.choice([[2, 1], [2, 1, 3], [3, 1, 2]])}, 1),
        ("LSTM", {"units": 4, "return_sequences": True}, 1),
        ("RepeatVector", {"n": 6}, 1),
        ("Softmax", {"axis": axis}, 1),
        ("Multiply", {}, 2),
        ("Add", {}, 3),
        ("Concatenate", {"axis": -1}, 2),
        ("Dot", {"axes": [1, 1]}, 2),
    ]
    op = [
        ("numpy", "Multiply", {}, 2),
        ("numpy", "Add", {}, 2),
        ("numpy", "Matmul", {}, 2),
        ("numpy", "ExpandDims", {"axis": axis}, 1),
        ("numpy", "Mean", {"axis": axis, "keepdims": rng.random() < 0.5}, 1),
    ]
    if rng.random() < 0.65:
        class_name, config, count = rng.choice(layer)
        return Operation(name, "layer", class_name, {"name": name, **config}, "keras.layers"), count
    family, class_name, config, count = rng.choice(op)
    return Operation(name, "op", class_name, config, f"keras.src.ops.{family}"), count


def random_graph(rng: random.Random, depth: int = 1) -> Graph:
    """A model of up to a dozen calls, some of them of nested models."""
    graph = Graph("model")
    names: list[str] = []
    for k in range(rng.randint(1, 3)):
        shape = [None, *(rng.choice(SIZES) for _ in range(rng.choice([1, 2, 3, 3])))]
        config = {"batch_shape": shape, "dtype": "float32"}
        graph.add(Node(f"x{k}", Operation(f"x{k}", "input", "InputLayer", config), 0, (), {}))
        names.append(f"x{k}")
    graph.inputs = [TensorRef(name) for name in names]
    inner = random_graph(rng, depth - 1) if depth else None
    nested = Operation("inner", "model", "Functional", {}, graph=inner)
    for k in range(rng.randint(3, 10)):
        if inner is not None and rng.random() < 0.25:
            operation, count, call = nested, len(inner.input_refs()), graph.calls["inner"]
        else:
            operation, count = _operation(rng, f"n{k}")
            call = 0
        taken = [TensorRef(rng.choice(names[-5:])) for _ in range(count)]
        name = operation.name if call == 0 else f"{operation.name}#{call}"
        args = (taken,) if operation.kind != "op" and count > 1 else tuple(taken)
        graph.add(Node(name, operation, call, args, {}))
        names.append(name)
    graph.outputs = [TensorRef(names[-1])]
    graph.link()
    return graph


def random_result(rng: random.Random) -> Any:
    """Another result for a node: its operand's axes in another order, without one, or some of its own."""
    kind, seed = rng.choice(["turned", "shorter", "new", "as it is"]), rng.random()

    def result(call: Call) -> tuple[Axis, ...] | None:
        axes = call.inputs[0].axes or ()
        if kind == "turned":
            rest = list(axes[1:])
            random.Random(seed).shuffle(rest)
            return (*axes[:1], *rest)
        if kind == "shorter":
            return axes[:2]
        if kind == "new":
            return (*axes[:1], new_axis(6, Role.CHANNEL))
        return None

    return result


def paths_of(graph: Graph) -> list[Path]:
    return [path for path, _, node in graph.walk() if node.operation.kind != "input"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_an_inference_in_part_is_one_from_scratch(seed):
    rng = random.Random(seed)
    graph = random_graph(rng)
    base = infer(graph)
    before = snapshot(base)
    supposed: dict[Path, Any] = {}
    for _ in range(3):
        path = rng.choice(paths_of(graph))
        held, supposed = supposed, {**supposed, path: random_result(rng)}
        again = suppose(base, supposed.get, [path])
        fresh = infer(graph, supposed.get)
        assert {p for p, _ in again.faults_at(graph.order)} == {p for p, _ in fresh.faults_at(graph.order)}
        assert snapshot(again) == snapshot(fresh)
        if rng.random() < 0.6:
            base = again if rng.random() < 0.5 else suppose(base, supposed.get, [path])
            before = snapshot(fresh)
        else:
            supposed = held
        assert snapshot(base) == before


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.keras")), ids=lambda path: path.stem)
def test_every_reading_of_a_model_leaves_its_facts_alone(path: File):
    with open_model(path) as source:
        source.load_weights()
        analysis = analyse(source.graph, builtin(), ops="all")
        base = infer(source.graph)
        before = snapshot(base)
        for finding in analysis.findings:
            for candidate in finding.candidates:
                supposed = {finding.path: override(candidate)}
                assert snapshot(suppose(base, supposed.get, supposed)) == snapshot(
                    infer(source.graph, supposed.get)
                )
        assert snapshot(base) == before == snapshot(infer(source.graph))
