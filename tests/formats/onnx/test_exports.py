"""Models that Keras exports through tf2onnx: right ones are left alone, repaired ones equal repaired Keras models.

An export loses facts: the axes that a ``Multiply`` layer inserts become ordinary Reshapes. A BatchNormalization becomes
a product and a sum, which still show its channel axis.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import rewriter
from rewriter.formats.onnx.reader import read
from rewriter.ir.axis import Value
from rewriter.shapes.infer import infer
from tests.cli.common import model as shipped

pytestmark = pytest.mark.slow


def gate(keras: Any) -> Any:
    layers = keras.layers
    x = keras.Input((9, 10, 3))
    y = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    g = layers.GlobalAveragePooling2D()(y)
    g = layers.Dense(16, activation="sigmoid")(layers.Dense(4, activation="relu")(g))
    y = layers.Multiply()([y, layers.Reshape((1, 1, 16))(g)])
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2)(y))
    return keras.Model(x, layers.Dense(5, activation="softmax")(layers.Flatten()(layers.MaxPooling2D()(y))))


def attention(keras: Any) -> Any:
    layers = keras.layers
    x = keras.Input((None,), dtype="int32")
    y = layers.LSTM(12, return_sequences=True)(layers.Embedding(50, 8)(x))
    weights = layers.Softmax(axis=1)(layers.Dense(1)(y))
    return keras.Model(x, layers.Dense(3)(keras.ops.sum(layers.Multiply()([y, weights]), 1)))


def spatial(keras: Any) -> Any:
    layers, ops = keras.layers, keras.ops
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(8, 3, padding="same")(x)
    s = ops.concatenate([ops.mean(y, -1, keepdims=True), ops.max(y, -1, keepdims=True)], -1)
    return keras.Model(
        x, layers.Multiply()([y, layers.Conv2D(1, 7, padding="same", activation="sigmoid")(s)])
    )


def gates_of_a_wave(keras: Any) -> Any:
    layers = keras.layers
    x = y = keras.Input((None, 4))
    for rate in (1, 2, 4):
        parts = [
            layers.Conv1D(8, 2, padding="causal", dilation_rate=rate, activation=name)(y)
            for name in ("tanh", "sigmoid")
        ]
        y = layers.Multiply()(parts)
    return keras.Model(x, layers.Conv1D(2, 1)(y))


def volume(keras: Any) -> Any:
    layers = keras.layers
    x = keras.Input((6, 6, 6, 2))
    y = layers.Conv3D(4, 3, padding="same")(x)
    g = layers.Conv3D(4, 1, activation="sigmoid")(layers.GlobalAveragePooling3D(keepdims=True)(y))
    return keras.Model(x, layers.AveragePooling3D(2)(layers.Multiply()([y, g])))


def inputs_of(model: Any, batch: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = []
    for tensor in model.inputs:
        shape = [batch, *(7 if size is None else size for size in tensor.shape[1:])]
        whole = "int" in str(tensor.dtype)
        arrays.append(
            rng.integers(0, 9, shape).astype("int32") if whole else rng.normal(size=shape).astype("f")
        )
    return arrays


def export(model: Any, path: Path) -> Path:
    given = inputs_of(model, 1)
    model(given if len(given) > 1 else given[0])
    model.export(path, format="onnx", verbose=False)
    return path


def of_one_batch(path: Path) -> Path:
    """Give the export one name for the batch: tf2onnx gives the batch of each input its own name."""
    proto = onnx.load(path)
    for value in proto.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(proto, path)
    return path


@pytest.mark.parametrize("build", [gate, attention, spatial, gates_of_a_wave, volume])
def test_a_valid_export_is_left_alone(build, tmp_path):
    import keras
    import onnxruntime

    path = export(build(keras), tmp_path / "m.onnx")
    assert rewriter.check(path).findings == []
    rewriter.repair(path, tmp_path / "o.onnx")
    assert (tmp_path / "o.onnx").read_bytes() == path.read_bytes()

    proto = onnx.load(path)
    source = read(onnx.load(path))
    values: dict[str, Value] = {}
    found = infer(source.graph)
    for name, node in source.nodes.items():
        values.update({t: v for t, v in zip(node.output, found.values[name], strict=False) if t})
    known = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in values if name not in known)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    given = {}
    for item in session.get_inputs():
        shape = [
            size if isinstance(size, int) else 7 if place else 3 for place, size in enumerate(item.shape)
        ]
        given[item.name] = rng.integers(0, 9, shape).astype("int32" if "int" in item.type else "float32")
    names = [output.name for output in session.get_outputs()]
    wrong = [
        (name, value.text(), array.shape)
        for name, array in zip(names, session.run(names, given), strict=True)
        if (value := values.get(name)) is not None and value.shape is not None
        if len(value.shape) != array.ndim
        or any(a not in (None, b) for a, b in zip(value.shape, array.shape, strict=True))
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ["batch_misaligned", "grown", "layout"])
def test_a_broken_export_is_repaired_as_the_keras_model_is(name, tmp_path):
    import keras
    import onnxruntime

    path = of_one_batch(export(keras.saving.load_model(shipped(name), compile=False), tmp_path / "m.onnx"))
    rewriter.repair(shipped(name), tmp_path / "o.keras", verify=False)
    result = rewriter.repair(path, tmp_path / "o.onnx")
    assert result.output is not None, [f.why for f in result.undecided]
    right = keras.saving.load_model(tmp_path / "o.keras", compile=False)
    session = onnxruntime.InferenceSession(str(tmp_path / "o.onnx"), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 3, 12):
        given = inputs_of(right, batch)
        names = [item.name for item in session.get_inputs()]
        expected = np.asarray(right(given if len(given) > 1 else given[0]))
        (actual,) = session.run(None, dict(zip(names, given, strict=True)))
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["grown", "layout"])
def test_batches_of_two_names_are_reported_and_not_repaired(name, tmp_path):
    """Nothing proves that the inputs have one batch: the fault is found, and its repair is listed."""
    import keras

    path = export(keras.saving.load_model(shipped(name), compile=False), tmp_path / "m.onnx")
    (finding,) = rewriter.repair(path, tmp_path / "o.onnx").undecided
    assert finding.severity.value == "error"
    assert finding.chosen is None
    assert finding.candidates
    assert not (tmp_path / "o.onnx").exists()
