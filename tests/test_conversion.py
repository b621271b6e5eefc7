"""``rewriter convert``: every form into every other one, loaded by Keras, against the model that wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import rewriter
from rewriter import cli
from rewriter.proof import converted
from rewriter.proof.child import in_child

from .support import compare


def network(library: Any, gate: str = "sigmoid") -> Any:
    """An image network with a gate per channel, a normalisation and a model inside; no weight is 0."""
    library.utils.set_random_seed(3)
    layers = library.layers
    image = library.Input((8, 8, 3), name="image")
    data = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(image)
    factor = layers.Dense(4, activation=gate, name="gate")(layers.GlobalAveragePooling2D(name="pool")(data))
    data = layers.Multiply(name="scale")([data, layers.Reshape((1, 1, 4), name="wide")(factor)])
    data = layers.BatchNormalization(name="norm")(data)
    inside = library.Input((256,), name="inside")
    inner = library.Model(inside, layers.Dense(5, name="dense")(inside), name="inner")
    model = library.Model(image, inner(layers.Flatten(name="flat")(data)), name="whole")
    rng = np.random.default_rng(5)
    model.set_weights([rng.uniform(0.1, 1.0, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


IMAGES = np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype("float32")


def _legacy_weights(model: Any, path: Path) -> Path:
    model.save_weights(path)
    return path


def _text(model: Any, path: Path) -> Path:
    path.write_text(model.to_json())
    return path


def _saved(model: Any, path: Path, **options: Any) -> Path:
    model.save(path, **options)
    return path


# How to save a model, by library and form: (file, file of its weights).
SOURCES = {
    "h5 of Keras 2": (tf_keras, lambda m, d: (_saved(m, d / "old.h5"), None)),
    "archive of Keras 2": (tf_keras, lambda m, d: (_saved(m, d / "old.keras"), None)),
    "JSON of Keras 2": (
        tf_keras,
        lambda m, d: (_text(m, d / "old.json"), _legacy_weights(m, d / "old_weights.h5")),
    ),
    "h5 of Keras 3": (keras, lambda m, d: (_saved(m, d / "old.h5"), None)),
    "archive of Keras 3": (keras, lambda m, d: (_saved(m, d / "old.keras"), None)),
    "folder of Keras 3": (keras, lambda m, d: (_folder(m, d / "old"), None)),
    "JSON of Keras 3": (
        keras,
        lambda m, d: (_text(m, d / "old.json"), _legacy_weights(m, d / "old.weights.h5")),
    ),
}


def _folder(model: Any, path: Path) -> Path:
    model.save(path, zipped=False)
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Every form once: (file, file of its weights, the outputs of the model)."""
    made: dict[str, Any] = {}
    for name, (library, write) in SOURCES.items():
        model = network(library, "hard_sigmoid" if library is tf_keras else "sigmoid")
        files = write(model, tmp_path_factory.mktemp("source"))
        made[name] = (*files, model.predict(IMAGES, verbose=0))
    return made


@pytest.mark.parametrize("target", ["new.keras", "new/", "new.h5"])
@pytest.mark.parametrize("name", SOURCES)
def test_a_model_comes_over(name, target, sources, tmp_path):
    path, weights, wanted = sources[name]
    before = {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()}
    result = rewriter.convert(path, f"{tmp_path}/{target}", weights=weights, verify=False)
    assert result.output == f"{tmp_path}/{target}".rstrip("/")
    assert [p.name for p in tmp_path.iterdir()] == [target.rstrip("/")]
    compare([keras.saving.load_model(result.output).predict(IMAGES, verbose=0)], [wanted])
    assert {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("name", SOURCES)
def test_a_configuration_comes_over(name, sources, tmp_path):
    path, _, _ = sources[name]
    rewriter.convert(path, tmp_path / "new.json", verify=False)
    model = keras.models.model_from_json((tmp_path / "new.json").read_text())
    assert model.count_params() == network(keras).count_params()
    assert [layer.name for layer in model.layers] == [layer.name for layer in network(keras).layers]


@pytest.mark.parametrize("name", ["h5 of Keras 2", "archive of Keras 2", "JSON of Keras 2", "h5 of Keras 3"])
def test_it_is_exported(name, sources, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path, weights, wanted = sources[name]
    rewriter.convert(path, tmp_path / "new.onnx", weights=weights, verify=False)
    session = onnxruntime.InferenceSession(tmp_path / "new.onnx", providers=["CPUExecutionProvider"])
    compare(session.run(None, {session.get_inputs()[0].name: IMAGES}), [wanted], rtol=1e-4)


def test_both_models_are_run(sources, tmp_path):
    path, _, _ = sources["h5 of Keras 2"]
    result = rewriter.convert(path, tmp_path / "new.keras", verify=True)
    assert result.verified is not None
    assert result.verified["difference"] < 1e-5
    assert result.verified["batches"] == [1, 3]
    assert f"tf_keras {tf_keras.__version__}" in result.verified["ran"]
    assert f"Keras {keras.__version__}" in result.verified["ran"]


def test_other_numbers_are_not_written(sources, tmp_path, monkeypatch):
    path, _, _ = sources["h5 of Keras 2"]
    from rewriter.formats.keras import given_weights

    right = given_weights.model_variables

    def wrong(*args: Any) -> Any:
        found = right(*args)
        first = next(name for name, variable in found.items() if len(variable.shape) == 4)
        return {**found, first: found[first]._replace(load=lambda: found[first].load() * 1.01)}

    right = given_weights.model_variables
    monkeypatch.setattr(given_weights, "model_variables", wrong)
    with pytest.raises(rewriter.VerificationError, match="off by"):
        rewriter.convert(path, tmp_path / "new.keras")
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_cannot_be_made_is_an_error_where_it_was_asked_for(sources, tmp_path, monkeypatch):
    path, _, _ = sources["h5 of Keras 2"]
    monkeypatch.setattr(converted, "_TF_KERAS", "a_package_that_is_not_there")
    left = rewriter.convert(path, tmp_path / "new.keras")
    assert left.verified == {
        "skipped": "a_package_that_is_not_there not installed: pip install a_package_that_is_not_there"
    }
    with pytest.raises(rewriter.UnsupportedError, match="the requested verification cannot run"):
        rewriter.convert(path, tmp_path / "other.keras", verify=True)
    assert [p.name for p in tmp_path.iterdir()] == ["new.keras"]


def test_what_has_no_form_is_named_before_anything_is_written(tmp_path, capsys):
    image = tf_keras.Input((4,))
    model = tf_keras.Model(image, tf_keras.layers.Lambda(lambda x: x + 1, name="shift")(image))
    model.save(tmp_path / "old.h5")
    assert cli.main(["convert", f"{tmp_path}/old.h5", f"{tmp_path}/new.keras"]) == cli.UNUSABLE
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "'shift'" in error and "Lambda" in error
    assert [p.name for p in tmp_path.iterdir()] == ["old.h5"]


# Arguments after ``convert``, and the message; {h5} and so on are files of the models above.
REFUSED = {
    "weights of a model with its own": ("{h5} {out}.keras --weights {h5}", "holds its weights itself"),
    "no weights": ("{json} {out}.keras", "give the file of its weights with --weights"),
    "weights of another model": (
        "{json} {out}.keras --weights {other}",
        "the layers with weights differ in number",
    ),
    "weights that are none": ("{json} {out}.keras --weights {json}", "HDF5"),
    "the input itself": ("{h5} {h5}", "the input itself"),
    "its weights": ("{json} {weights} --weights {weights}", "is"),
    "a suffix that says nothing": ("{h5} {out}.bin", "its name has no known suffix"),
    "weights as a model": ("{weights} {out}.keras", "weights without their model"),
    "no folder to write to": ("{h5} {out}/there/new.keras", "directory"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, sources, tmp_path, capsys):
    words, text = REFUSED[case]
    other = tf_keras.Sequential([tf_keras.Input((3,)), tf_keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.h5")
    path, weights, _ = sources["JSON of Keras 2"]
    files = {
        "h5": sources["h5 of Keras 2"][0],
        "json": path,
        "weights": weights,
        "other": tmp_path / "other.h5",
        "out": tmp_path / "out",
    }
    before = {p: p.read_bytes() for p in path.parent.iterdir()}
    assert cli.main(["convert", *(word.format(**files) for word in words.split())]) == cli.UNUSABLE
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert text in error
    assert [p.name for p in tmp_path.iterdir()] == ["other.h5"]
    assert {p: p.read_bytes() for p in path.parent.iterdir()} == before


def test_the_report(sources, tmp_path, capsys):
    path, _, _ = sources["h5 of Keras 2"]
    arguments = ["convert", str(path), f"{tmp_path}/new.keras", "--no-verify"]
    assert cli.main(arguments) == cli.OK
    text = capsys.readouterr().out
    assert "(an HDF5 model) -> " in text
    assert "hard_sigmoid" in text
    assert cli.main([*arguments, "--format", "json"]) == cli.OK
    data = json.loads(capsys.readouterr().out)
    assert (data["schema"], data["format"], data["to"]) == ("rewriter/1", "h5", "keras-v3")
    assert any("hard_sigmoid" in remark["construct"] for remark in data["remarks"])


def test_operations_that_keras_3_writes_into_h5_and_does_not_read(tmp_path):
    image = keras.Input((8, 8, 3))
    data = keras.layers.Conv2D(4, 3, name="conv")(image)
    factor = keras.layers.GlobalAveragePooling2D()(data)
    model = keras.Model(image, data * keras.ops.reshape(factor, (-1, 1, 1, 4)))
    model.save(tmp_path / "old.h5")
    with pytest.raises(Exception, match="Reshape"):
        keras.saving.load_model(tmp_path / "old.h5")
    rewriter.convert(tmp_path / "old.h5", tmp_path / "new.keras", verify=False)
    got = keras.saving.load_model(tmp_path / "new.keras").predict(IMAGES, verbose=0)
    compare([got], [model.predict(IMAGES, verbose=0)])


# -- repair and upgrade -----------------------------
def broken(path: Path) -> Any:
    """Write an old model whose gate lacks its unit axes; returns the outputs with them."""
    tf_keras.utils.set_random_seed(4)
    image = tf_keras.Input((8, 8, 3))
    data = tf_keras.layers.Conv2D(4, 3, name="conv", activation="relu")(image)
    factor = tf_keras.layers.GlobalAveragePooling2D(name="pool")(data)
    factor = tf_keras.layers.Dense(4, name="gate", activation="sigmoid")(factor)
    whole = tf_keras.Model(image, tf.multiply(data, tf_keras.layers.Reshape((1, 1, 4), name="wide")(factor)))
    whole.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layers = config["config"]["layers"]
        layers[:] = [layer for layer in layers if layer["name"] != "wide"]
        layers[-1]["inbound_nodes"][0][3]["y"][0] = "gate"
        file.attrs["model_config"] = json.dumps(config)
    return whole


def test_a_repair_upgrades(tmp_path):
    whole = broken(tmp_path / "old.h5")
    report = rewriter.check(tmp_path / "old.h5")
    assert [str(f.kind) for f in report.findings] == ["batch-misaligned"]
    files = {"output": tmp_path / "new.keras", "onnx": tmp_path / "new.onnx"}
    result = rewriter.repair(tmp_path / "old.h5", verify=in_child, **files)
    assert result.verified is not None
    assert result.verified["verdict"] == "proven"
    assert result.onnx_verified is not None
    assert "difference" in result.onnx_verified
    got = keras.saving.load_model(tmp_path / "new.keras").predict(IMAGES, verbose=0)
    compare([got], [whole.predict(IMAGES, verbose=0)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.keras", "new.onnx", "old.h5"]


# -- .h5 of Keras 3 -----------------------------
def test_a_sequential_model_as_h5(tmp_path):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    model.save(tmp_path / "old.keras")
    result = rewriter.convert(tmp_path / "old.keras", tmp_path / "new.h5", verify=False)
    assert [remark.construct for remark in result.remarks] == ["state of the optimizer"]
    assert keras.saving.load_model(tmp_path / "new.h5").compiled
    x = np.random.default_rng(2).normal(size=(3, 6)).astype("float32")
    got = keras.saving.load_model(tmp_path / "new.h5").predict(x, verbose=0)
    compare([got], [model.predict(x, verbose=0)])
    again = rewriter.convert(tmp_path / "new.h5", tmp_path / "again.h5", verify=False)
    assert again.remarks == []
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "new.h5").read_bytes()


def _quantised() -> Any:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="one")])
    model.quantize("int8")
    return model


def _of_words() -> Any:
    words = keras.layers.StringLookup(name="one")
    words.adapt(np.array(["a", "b"]))
    text = keras.Input((1,), dtype="string")
    return keras.Model(text, words(text))


def _of_an_operation() -> Any:
    x = keras.Input((8,))
    return keras.Model(x, keras.ops.sin(x))


NOT_AS_H5 = {
    "quantised": (_quantised, "which is quantised"),
    "a vocabulary": (_of_words, "in a file of its own"),
    "bfloat16": (
        lambda: keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, dtype="bfloat16", name="one")]),
        "bfloat16",
    ),
    "an operation": (_of_an_operation, "is an operation"),
}


@pytest.mark.parametrize("name", NOT_AS_H5)
def test_what_keras_3_does_not_load_from_h5_is_refused(name, tmp_path):
    build, words = NOT_AS_H5[name]
    build().save(tmp_path / "old.keras")
    with pytest.raises(rewriter.UnsupportedError, match=words):
        rewriter.convert(tmp_path / "old.keras", tmp_path / "new.h5", verify=False)
    assert [path.name for path in tmp_path.iterdir()] == ["old.keras"]


def test_an_operation_with_a_dtype_is_no_layer(tmp_path):
    """In an .h5 file of Keras 3 neither an operation nor a layer states its module."""
    x = keras.Input((5,))
    model = keras.Model(x, keras.ops.full_like(x, 2.0, dtype="float32") * x)
    model.save(tmp_path / "old.h5")
    rewriter.convert(tmp_path / "old.h5", tmp_path / "new.keras", verify=False)
    arrays = np.random.default_rng(3).normal(size=(2, 5)).astype("float32")
    got = keras.saving.load_model(tmp_path / "new.keras").predict(arrays, verbose=0)
    compare([got], [model.predict(arrays, verbose=0)])


def test_a_repair_that_keras_3_would_not_load_from_h5_is_not_written(tmp_path):
    """Keras 3 writes operations into an .h5 file and does not load them, not even in a repaired file."""
    image = keras.Input((8, 8, 3))
    data = keras.layers.Conv2D(4, 3, name="conv")(image)
    factor = keras.layers.Dense(4, name="gate")(keras.layers.GlobalAveragePooling2D(name="pool")(data))
    keras.Model(image, data * factor).save(tmp_path / "old.h5")
    with pytest.raises(rewriter.UnsupportedError, match="is an operation"):
        rewriter.repair(tmp_path / "old.h5", tmp_path / "new.h5", verify=False)
    result = rewriter.repair(tmp_path / "old.h5", tmp_path / "new.keras", verify=False)
    assert [change.op for change in result.inserted] == ["Reshape"]
    assert keras.saving.load_model(tmp_path / "new.keras").predict(IMAGES, verbose=0).shape == (3, 6, 6, 4)
