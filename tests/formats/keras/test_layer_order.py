"""The order of layers and the names of their groups, against Keras: the zoo, and random graphs."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers, ops
from keras.src.api_export import get_name_from_symbol
from keras.src.utils.naming import to_snake_case

from rewriter.formats.keras.archive import KerasArchive
from rewriter.formats.keras.layer_order import group_names, layers_in_order, operations_in_order
from rewriter.ir.graph import Graph, Node, Operation, TensorRef
from tests import support
from tests.zoo import ZOO

if TYPE_CHECKING:
    from pathlib import Path

FORMS = [(name, twin) for name, b in ZOO.items() for twin in (False, True) if b.twin or not twin]


def assert_order(graph: Graph, model: keras.Model) -> None:
    """The layers, and for a functional model all operations, in Keras's order; also in nested models."""
    assert [op.name for op in layers_in_order(graph)] == [layer.name for layer in model.layers]
    if graph.kind == "Functional":
        assert [op.name for op in operations_in_order(graph)] == [op.name for op in model.operations]
    for layer in model.layers:
        operation: Any = graph.operations[layer.name]
        inner = layer
        if hasattr(layer, "layer") and isinstance(operation.children.get("layer"), Operation):
            operation, inner = operation.children["layer"], layer.layer
        if isinstance(inner, keras.Model):
            assert_order(operation.graph, inner)


def written_groups(path: Path) -> dict[str, str]:
    """The group of each layer as Keras wrote it, by the name that it states there."""
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        found = file["layers"]
        return {found[f"{group}/vars"].attrs["name"]: group for group in found}


def check(model: keras.Model, path: Path) -> None:
    """Save a model, and compare the order read from the file with that of the model saved and loaded."""
    model.save(path)
    archive = KerasArchive(path)
    graph = archive.graph
    archive.close()
    assert_order(graph, model)
    assert_order(graph, support.load(path))
    written = written_groups(path)
    assert {name: group for name, group in group_names(graph).items() if name in written} == written


@pytest.mark.parametrize("form", FORMS, ids=[f"{n}-{'twin' if t else 'distinct'}" for n, t in FORMS])
def test_the_zoo(tmp_path, form):
    name, twin = form
    check(ZOO[name].build(twin), tmp_path / "model.keras")


def _inner(kind: int, depth: int, draw: Any) -> keras.Model:
    i = keras.Input((3, 4))
    if kind == 0:
        return keras.Sequential(
            [keras.Input((3, 4)), layers.Dense(4), layers.LayerNormalization(), layers.Dense(4)]
        )
    x, y = layers.Dense(4)(i), layers.Dense(4)(i)
    if kind == 1:
        return keras.Model(i, layers.Add()([layers.ReLU()(x), y]))
    return keras.Model(i, grown(draw, [i, x, y], depth + 1)[-1])


def grown(draw: Any, tensors: list[Any], depth: int = 0) -> list[Any]:
    """Add random calls of new and shared layers to tensors (batch, 3, 4). Returns all tensors, all of this shape."""
    shared: list[Any] = []
    pick = lambda: tensors[draw(st.integers(0, len(tensors) - 1))]  # noqa: E731
    for _ in range(draw(st.integers(1, 6 if depth else 12))):
        kind = draw(st.integers(0, 10))
        if kind == 0 and shared:
            tensors.append(shared[draw(st.integers(0, len(shared) - 1))](pick()))
        elif kind <= 2:
            shared.append(layers.Dense(4))
            tensors.append(shared[-1](pick()))
        elif kind == 3:
            merge = [layers.Add, layers.Multiply, layers.Average][draw(st.integers(0, 2))]
            tensors.append(merge()([pick() for _ in range(draw(st.integers(2, 4)))]))
        elif kind == 4:
            tensors.append(ops.multiply(pick(), pick()))
        elif kind == 5:
            tensors.append(pick() + 1.0)
        elif kind == 6:
            value, query, key = pick(), pick(), pick()
            tensors.append(layers.MultiHeadAttention(1, 2)(query, key=key, value=value))
        elif kind == 7:
            state = layers.GlobalAveragePooling1D()(pick())
            tensors.append(layers.GRU(4, return_sequences=True)(pick(), initial_state=state))
        elif kind == 8 and depth < 2:
            shared.append(_inner(draw(st.integers(0, 2)), depth, draw))
            tensors.append(shared[-1](pick()))
        elif kind == 9:
            tensors += ops.split(layers.Dense(8)(pick()), 2, axis=-1)
        elif depth < 2:
            tensors.append(layers.TimeDistributed(layers.Dense(4))(pick()))
    return tensors


@st.composite
def models(draw: Any) -> keras.Model:
    """Models of several inputs and outputs, in lists or dicts, with layers and models shared and nested."""
    keras.backend.clear_session()
    names = draw(st.permutations(["b", "a", "c"]))[: draw(st.integers(1, 3))]
    inputs = {name: keras.Input((3, 4), name=name) for name in names}
    tensors = grown(draw, list(inputs.values()))
    made = [t for t in tensors if not any(t is i for i in inputs.values())] or [layers.Dense(4)(tensors[0])]
    count = min(draw(st.integers(1, 3)), len(made))
    outputs = [made[-1 - draw(st.integers(0, len(made) - 1))] for _ in range(count)]
    given_outputs: Any = outputs if count > 1 or draw(st.booleans()) else outputs[0]
    if draw(st.booleans()):
        given_outputs = dict(zip(draw(st.permutations(["z", "y", "x"])), outputs, strict=False))
    return keras.Model(inputs if draw(st.booleans()) else list(inputs.values()), given_outputs)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(model=models())
def test_random_graphs(tmp_path_factory, model):
    check(model, tmp_path_factory.mktemp("random") / "model.keras")


@pytest.mark.slow
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(model=models())
def test_many_random_graphs(tmp_path_factory, model):
    check(model, tmp_path_factory.mktemp("random") / "model.keras")


@pytest.mark.parametrize("name", ["EfficientNetB0", "MobileNetV3Small", "NASNetMobile", "ConvNeXtTiny"])
def test_applications(name):
    from rewriter.files.json import parse
    from rewriter.formats.keras.config import read_model

    keras.backend.clear_session()
    model = getattr(keras.applications, name)(weights=None)
    assert_order(read_model(parse(model.to_json().encode(), "the model")), model)


def test_groups_are_named_after_the_class_and_not_its_exported_name():
    """Where the two differ, the file's configuration has the exported one."""
    exported = {name: cls for name, cls in vars(keras.layers).items() if isinstance(cls, type)}
    for cls in set(exported.values()):
        if not issubclass(cls, keras.layers.Layer):
            continue
        public = (get_name_from_symbol(cls) or cls.__name__).rsplit(".", 1)[-1]
        operation = Operation("it", "layer", public, {})
        graph = Graph("model", "Sequential")
        graph.add(Node("input", Operation("input", "input", "InputLayer", {}), 0, (), {}))
        graph.add(Node("it", operation, 0, (TensorRef("input"),), {}))
        graph.link()
        assert group_names(graph) == {"it": to_snake_case(cls.__name__)}
