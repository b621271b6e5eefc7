"""The file as a whole: names, order, symbols, shared and nested layers, where the weights are, options."""

from __future__ import annotations

import os

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import rewriter
from rewriter.errors import UsageError
from tests.export import harness

L = keras.layers


def _load(path):
    return onnx.load(os.fspath(path), load_external_data=False).graph


def _dims(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def _random(*shapes):
    rng = np.random.default_rng(0)
    return [[rng.normal(0, 1, (n, *s)).astype("float32") for s in shapes] for n in (2, 3)]


def test_names_and_symbols_are_those_of_keras(tmp_path):
    a, b = keras.Input((None, 4), name="left"), keras.Input((4,), name="right")
    added = L.Add(name="total")([a, b])
    model = keras.Model([b, a], [added, L.Dense(3, name="head")(added)])
    harness.randomise(model)
    result, path = harness.exported(model, tmp_path)
    assert (result.inputs, result.outputs) == (["right", "left"], ["total", "head"])
    graph = _load(path)
    assert [_dims(v) for v in graph.input] == [["batch", 4], ["batch", "T", 4]]
    assert [_dims(v) for v in graph.output] == [["batch", "T", 4], ["batch", "T", 3]]
    assert {i.name for i in graph.initializer} >= {"head/kernel", "head/bias"}


def test_an_output_twice_an_input_as_output_and_a_dict():
    given = keras.Input((4,), name="x")
    y = L.Dense(3, name="y")(given)
    harness.compare(keras.Model(given, [y, y, given]), _random((4,)))
    model = keras.Model({"b": given}, {"second": y, "first": L.ReLU(name="z")(y)})
    harness.randomise(model)
    harness.compare(model, _random((4,)))


def test_a_shared_layer_and_a_shared_model_are_stored_once(tmp_path):
    inner_in = keras.Input((4,))
    dense = L.Dense(4, name="dense", activation="relu")
    inner = keras.Model(inner_in, dense(dense(inner_in)), name="inner")
    given = keras.Input((4,))
    model = keras.Model(given, inner(inner(given)))
    harness.randomise(model)
    harness.compare(model, _random((4,)))
    _, path = harness.exported(model, tmp_path)
    assert sorted(i.name for i in _load(path).initializer) == ["inner/dense/bias", "inner/dense/kernel"]


def test_layers_of_one_class_get_their_own_weights():
    given = keras.Input((4,))
    x = given
    for n in range(12):
        x = L.Dense(4, name=f"d{(n * 5) % 12}")(x)
    model = keras.Model(given, x)
    harness.randomise(model)
    harness.compare(model, _random((4,)))


def test_external_data_is_the_same_model(tmp_path):
    given = keras.Input((32,))
    model = keras.Model(given, L.Dense(16)(L.Dense(64)(given)))
    harness.randomise(model)
    harness.compare(model, _random((32,)), external_data=True)
    result, path = harness.exported(model, tmp_path, external_data=True)
    assert result.data == f"{path}.data"
    assert os.path.getsize(result.data) >= 4 * (32 * 64 + 64 * 16)
    assert os.path.getsize(path) < 3000


def test_there_is_no_second_file_without_weights_for_it(tmp_path):
    given = keras.Input((4,))
    for model in (keras.Model(given, L.ReLU()(given)), keras.Model(given, L.Dense(3)(given))):
        result, path = harness.exported(model, tmp_path, external_data=True)
        assert result.data is None
        assert not os.path.exists(f"{path}.data")
        harness.compare(model, _random((4,)), external_data=True)


def test_a_fixed_batch(tmp_path):
    given = keras.Input((None, 4))
    model = keras.Model(given, L.GlobalAveragePooling1D()(L.Dense(4)(given)))
    harness.randomise(model)
    _, path = harness.exported(model, tmp_path, batch=3)
    assert _dims(_load(path).input[0]) == [3, "T", 4]
    harness.compare(model, [[np.ones((3, 7, 4), "float32")]], batch=3)


def test_channels_first_inputs_and_outputs(tmp_path):
    given = keras.Input((9, 7, 3), name="image")
    model = keras.Model(given, L.Conv2D(5, 3, padding="same")(given))
    harness.randomise(model)
    _, path = harness.exported(model, tmp_path, nchw_inputs=True, nchw_outputs=True)
    assert [n.op_type for n in _load(path).node] == ["Conv"]
    x = np.random.default_rng(0).normal(0, 1, (2, 9, 7, 3)).astype("float32")
    (ours,) = harness.session(path).run(None, {"image": x.transpose(0, 3, 1, 2)})
    harness.same(ours.transpose(0, 2, 3, 1), np.asarray(model(x)))


def test_the_file_says_what_it_comes_from(tmp_path):
    import hashlib

    given = keras.Input((4,))
    _, path = harness.exported(keras.Model(given, L.Dense(2)(given)), tmp_path)
    model = onnx.load(path)
    notes = {p.key: p.value for p in model.metadata_props}
    assert model.producer_name == "rewriter"
    assert notes["source_sha256"] == hashlib.sha256((tmp_path / "model.keras").read_bytes()).hexdigest()


@pytest.mark.parametrize("opset", [16, 27])
def test_an_opset_out_of_range_is_a_usage_error(opset, tmp_path):
    given = keras.Input((4,))
    with pytest.raises(UsageError, match="opset"):
        harness.exported(keras.Model(given, L.Dense(2)(given)), tmp_path, opset=opset)
    assert not (tmp_path / "model.onnx").exists()


def test_a_layer_without_a_lowering_is_named_and_nothing_is_written(tmp_path):
    given = keras.Input((4,))
    model = keras.Model(given, L.Lambda(lambda x: x * 2, output_shape=(4,), name="mine")(given))
    with pytest.raises(harness.Refused, match="mine"):
        harness.exported(model, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


def test_a_call_that_trains_is_refused():
    given = keras.Input((4,))
    model = keras.Model(given, L.Dropout(0.5, name="drop")(given, training=True))
    with pytest.raises(harness.Refused, match="training=True"):
        harness.compare(model, _random((4,)))


def test_the_comparison_rejects_what_differs():
    x = np.random.default_rng(0).normal(0, 1, (3, 4)).astype("float32")
    for other in (x * 2, x * 1000, x * 0, x + 1e-3, x.astype("float64"), x[:, :3]):
        with pytest.raises(AssertionError):
            harness.same(other, x)
    with pytest.raises(AssertionError):
        harness.same(x[:, ::-1], x)
    harness.same(x, x)


@pytest.mark.parametrize("nested", [False, True])
def test_a_model_on_a_dict_takes_it_by_its_keys(tmp_path, nested):
    """Keras finds the inputs of a dict by name, in any order of the call."""
    x, g = keras.Input((3,), name="x"), keras.Input((3,), name="g")
    taken = {"deep": {"x": x}, "g": g} if nested else {"x": x, "g": g}
    inner = keras.Model(taken, keras.layers.Dense(3, name="dense")(x) - g, name="inner")
    p, q = keras.Input((3,), name="p"), keras.Input((3,), name="q")
    model = keras.Model([p, q], inner({"g": q, "deep": {"x": p}} if nested else {"g": q, "x": p}))
    model.save(tmp_path / "m.keras")
    rewriter.export_onnx(tmp_path / "m.keras", tmp_path / "m.onnx")
    arrays = [np.random.default_rng(k).normal(size=(2, 3)).astype("float32") for k in (1, 2)]
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    feeds = dict(zip([i.name for i in session.get_inputs()], arrays, strict=True))
    np.testing.assert_allclose(session.run(None, feeds)[0], model(arrays), rtol=1e-5, atol=1e-6)
