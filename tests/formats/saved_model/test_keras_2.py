"""SavedModels of Keras 2 converted to Keras models: Keras 3 on the new file, against the saved tf_keras model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf import saved_model_pb2

import rewriter
from rewriter.errors import BadFileError, RewriterError, UnsupportedError
from tests.formats.keras.upgrade import function_cases, layer_cases, oracle
from tests.formats.saved_model.made import gate_k2

CASES = layer_cases.CASES | function_cases.CASES
METADATA, BINARY, INDEX = "keras_metadata.pb", "saved_model.pb", "variables/variables.index"
NUMBERS = "variables/variables.data-00000-of-00001"

layers = tf_keras.layers


def saved(model: Any, path: Path) -> Path:
    model.save(path, save_format="tf")
    return path


def agree(model: Any, path: Path, folder: Path, tolerance: float = oracle.TOLERANCE) -> rewriter.Converted:
    """Convert the SavedModel of a model, and compare the outputs of both."""
    target = folder / "new.keras"
    result = rewriter.convert(path, target, verify=False)
    new = keras.saving.load_model(target, compile=False)
    given = oracle.inputs_for(model)
    wanted = oracle.outputs(model, given)
    assert any(oracle.says_something(array) for array in wanted)
    assert oracle.difference(oracle.outputs(new, given), wanted) < tolerance
    return result


# -- weights of one shape, whose order no shape tells -----------------------------
def normalized() -> Any:
    x = tf_keras.Input((5,))
    y = layers.BatchNormalization(trainable=False)(layers.BatchNormalization()(x))
    return tf_keras.Model(x, layers.BatchNormalization(scale=False)(layers.LayerNormalization()(y)))


def gated() -> Any:
    """Kernels and recurrent kernels of one shape, in both directions."""
    x = tf_keras.Input((6, 4))
    y = layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode="sum", trainable=False)(x)
    return tf_keras.Model(x, layers.LSTM(4)(y))


def frozen_in_parts() -> Any:
    """A nested model with some frozen layers, called twice."""

    def block(name: str, trained: bool) -> Any:
        i = tf_keras.Input((5,))
        y = layers.BatchNormalization()(layers.Dense(5)(i))
        y = layers.BatchNormalization(trainable=trained)(layers.Dense(5, trainable=not trained)(y))
        return tf_keras.Model(i, y, name=name)

    inner = block("inner", True)
    i = tf_keras.Input((5,))
    outer = tf_keras.Model(i, layers.Dense(5)(inner(block("other", False)(i))), name="outer")
    x = tf_keras.Input((5,))
    model = tf_keras.Model(x, layers.Subtract()([outer(x), inner(layers.Dense(5)(x))]))
    inner.trainable = False
    return model


def shared() -> Any:
    x, y = tf_keras.Input((4,)), tf_keras.Input((4,))
    twice, once = layers.Dense(4, name="twice"), layers.Dense(4, name="once")
    return tf_keras.Model([x, y], [layers.Subtract()([twice(x), once(twice(y))]), twice(once(x))])


def separable() -> Any:
    x = tf_keras.Input((8, 8, 3))
    y = layers.SeparableConv2D(3, 1, depth_multiplier=1)(layers.DepthwiseConv2D(3)(x))
    return tf_keras.Model(x, layers.Conv2DTranspose(3, 3)(y))


def operators() -> Any:
    x = tf_keras.Input((5, 4))
    y = tf.nn.relu(x[:, 1:, tf.newaxis] * 2.0 - tf.reshape(x, (-1, 5, 1, 4))[..., :4, :, :])
    return tf_keras.Model(x, layers.Dense(3)(tf.concat([tf.reduce_mean(y, axis=(1, 2)), x[:, 0]], -1)))


def sequential() -> Any:
    return tf_keras.Sequential(
        [layers.Conv1D(4, 3, input_shape=(9, 4)), layers.Dropout(0.5), layers.LSTM(4), layers.Dense(4)]
    )


def half() -> Any:
    x = tf_keras.Input((6,))
    return tf_keras.Model(x, layers.Dense(3, dtype="mixed_bfloat16")(layers.Dense(6, dtype="float64")(x)))


OWN = (normalized, gated, frozen_in_parts, shared, separable, operators, sequential)


@pytest.mark.parametrize("make", OWN, ids=lambda make: make.__name__)
def test_weights_of_one_shape_keep_their_places(make: Callable[[], Any], tmp_path: Path):
    model = oracle.randomized(make())
    agree(model, saved(model, tmp_path / "old"), tmp_path)


@pytest.mark.parametrize("name", ["attention", "cells", "nested_deep", "normalization", "text"])
def test_layers_that_keep_variables_otherwise(name: str, tmp_path: Path):
    model = oracle.randomized(CASES[name]())
    agree(model, saved(model, tmp_path / "old"), tmp_path)


def test_types_of_variables(tmp_path: Path):
    """float64 stays float64; the tolerance is that of bfloat16."""
    model = oracle.randomized(half())
    agree(model, saved(model, tmp_path / "old"), tmp_path, 2e-2)
    new = keras.saving.load_model(tmp_path / "new.keras")
    assert {v.dtype for v in new.variables} == {"float64", "float32"}
    for ours, theirs in zip(new.variables, model.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(ours), theirs.numpy())


def called() -> Any:
    """A model that states no input shape."""
    model = tf_keras.Sequential([layers.Dense(4), layers.BatchNormalization(), layers.Dense(4)])
    model(np.ones((2, 5), "f4"))
    return model


def relit() -> Any:
    """A frozen model with trainable layers."""
    i = tf_keras.Input((5,))
    y = layers.BatchNormalization()(layers.Dense(5)(layers.BatchNormalization()(i)))
    inner = tf_keras.Model(i, y)
    inner.trainable = False
    for layer in inner.layers[2:]:
        layer.trainable = True
    x = tf_keras.Input((5,))
    return tf_keras.Model(x, inner(x))


def categorized() -> Any:
    """A vocabulary that the configuration states, in a nested model."""
    i = tf_keras.Input((2,), dtype="string")
    inner = tf_keras.Model(i, layers.StringLookup(vocabulary=["a", "c"])(i))
    x = tf_keras.Input((2,), dtype="string")
    return tf_keras.Model(x, layers.Embedding(4, 3)(inner(x)))


@pytest.mark.parametrize("make", [called, relit, categorized], ids=lambda make: make.__name__)
def test_what_was_set_after_it_was_made(make: Callable[[], Any], tmp_path: Path):
    model = oracle.randomized(make())
    agree(model, saved(model, tmp_path / "old"), tmp_path)


def test_an_order_that_is_not_certain_is_refused(tmp_path: Path):
    x = tf_keras.Input((3, 4))
    layer = layers.Bidirectional(layers.SimpleRNN(4), name="both")
    model = tf_keras.Model(x, layer(x))
    layer.forward_layer.trainable = False
    path = saved(model, tmp_path / "old")
    with pytest.raises(UnsupportedError, match="'both' lists 3 trained and 3 other variables, where 6 and 0"):
        rewriter.convert(path, tmp_path / "new.keras")


# -- other files -----------------------------
@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A compiled model with a normalisation, saved; tests change copies of it."""
    x = tf_keras.Input((5,), name="x")
    y = layers.BatchNormalization(name="norm")(layers.Dense(5, name="dense")(x))
    model = oracle.randomized(tf_keras.Model(x, layers.Dense(5, name="last")(y), name="whole"))
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((3, 5), "f4"), np.zeros((3, 5), "f4"))
    return model, saved(model, tmp_path_factory.mktemp("made") / "old")


@pytest.fixture
def copy(made: tuple[Any, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[1], tmp_path / "copy"))


def test_every_form_of_keras_3(made: tuple[Any, Path], tmp_path: Path):
    model, path = made
    result = agree(model, path, tmp_path)
    assert (result.format, result.to) == ("savedmodel-keras", "keras-v3")
    rewriter.convert(path, f"{tmp_path}/folder/", verify=False)
    rewriter.convert(path, tmp_path / "new.json", verify=False)
    given = oracle.inputs_for(model)
    wanted = oracle.outputs(model, given)
    config = json.loads((tmp_path / "folder/config.json").read_text())
    assert config == json.loads((tmp_path / "new.json").read_text())
    new = keras.saving.deserialize_keras_object(config)
    new.load_weights(tmp_path / "folder/model.weights.h5")
    assert oracle.difference(oracle.outputs(new, given), wanted) < oracle.TOLERANCE


def test_what_is_written_is_compared_with_tf_keras(made: tuple[Any, Path], tmp_path: Path):
    result = rewriter.convert(made[1], tmp_path / "new.keras", verify=True)
    assert result.verified is not None
    assert result.verified["difference"] < 1e-4
    assert "tf_keras" in result.verified["ran"]


def test_onnx_of_it_runs(made: tuple[Any, Path], tmp_path: Path):
    import onnxruntime

    model, path = made
    rewriter.convert(path, tmp_path / "a.onnx", verify=False)
    rewriter.export_onnx(path, tmp_path / "b.onnx")
    given = oracle.inputs_for(model)
    for name in ("a.onnx", "b.onnx"):
        session = onnxruntime.InferenceSession(str(tmp_path / name))
        got = session.run(None, {"x": given[0]})
        assert oracle.difference(got, oracle.outputs(model, given)) < oracle.TOLERANCE


def test_a_repair_that_writes_keras_reads_the_keras_model(tmp_path: Path):
    """At batch 1 the original is right."""
    path = gate_k2(tmp_path / "gate")
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.inserted
    assert not rewriter.check(tmp_path / "fixed.keras").findings
    assert rewriter.repair(path, tmp_path / "dry.keras", dry_run=True).changes.nodes
    # The repaired model has no configuration, only its function.
    rewriter.convert(
        rewriter.repair(path, tmp_path / "folder").output, tmp_path / "again.keras", verify=False
    )
    original, fixed = tf_keras.models.load_model(path), keras.saving.load_model(tmp_path / "fixed.keras")
    images = np.random.default_rng(0).normal(size=(3, 11, 11, 3)).astype("f4")
    wanted = np.concatenate([original(image[None]) for image in images])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(fixed(images)), wanted, rtol=1e-4, atol=1e-6)
    again = keras.saving.load_model(tmp_path / "again.keras")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(again(images)), wanted, rtol=1e-4, atol=1e-6)


def test_metadata_in_the_objects(made: tuple[Any, Path], copy: Path, tmp_path: Path):
    """TensorFlow 2.0 to 2.4 have no file of metadata."""
    from tf_keras.protobuf import saved_metadata_pb2

    metadata = saved_metadata_pb2.SavedMetadata.FromString((copy / METADATA).read_bytes())
    (copy / METADATA).unlink()

    def move(model: Any) -> None:
        for node in metadata.nodes:
            model.meta_graphs[0].object_graph_def.nodes[node.node_id].user_object.metadata = node.metadata
        model.meta_graphs[0].meta_info_def.tensorflow_version = "2.4.1"

    changed(copy, move)
    given = oracle.inputs_for(made[0])
    again = tf_keras.models.load_model(copy)
    np.testing.assert_allclose(oracle.outputs(again, given), oracle.outputs(made[0], given), rtol=1e-5)
    agree(made[0], copy, tmp_path)


def changed(folder: Path, change: Callable[[Any], None]) -> None:
    """Change the message of a SavedModel."""
    model = saved_model_pb2.SavedModel.FromString((folder / BINARY).read_bytes())
    change(model)
    (folder / BINARY).write_bytes(model.SerializeToString())


def rewritten(folder: Path, parts: int, sliced: str = "") -> None:
    """Rewrite the variables of a SavedModel over several files; every file has a slice of one of them."""
    reader = tf.train.load_checkpoint(str(folder / "variables/variables"))
    names = sorted(set(reader.get_variable_to_shape_map()) - {sliced})
    prefixes = []
    for part in range(parts):
        mine = names[part::parts]
        values = [tf.constant(reader.get_tensor(name)) for name in mine]
        slices = [""] * len(mine)
        if sliced:
            whole = reader.get_tensor(sliced)
            values.append(tf.constant(whole[part::parts][:1]))
            slices.append(f"{parts} {whole.shape[1]} {part},1:-")
            mine.append(sliced)
        prefixes.append(str(folder / f"part{part}"))
        tf.raw_ops.SaveV2(prefix=prefixes[-1], tensor_names=mine, shape_and_slices=slices, tensors=values)
    shutil.rmtree(folder / "variables")
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=prefixes, destination_prefix=str(folder / "variables/variables")
    )


def test_variables_over_several_files(made: tuple[Any, Path], copy: Path, tmp_path: Path):
    rewritten(copy, 3)
    assert len(list((copy / "variables").iterdir())) == 4
    agree(made[0], copy, tmp_path)


def test_slices_of_a_variable_are_refused(copy: Path, tmp_path: Path):
    rewritten(copy, 5, "layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE")
    with pytest.raises(UnsupportedError, match="kernel.*is stored in slices"):
        rewriter.convert(copy, tmp_path / "new.keras")


def test_it_is_read_without_tensorflow(made: tuple[Any, Path], tmp_path: Path):
    program = (
        "import sys, rewriter\n"
        "rewriter.convert(*sys.argv[1:3], verify=False)\n"
        "heavy = {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    command = [sys.executable, "-c", program, str(made[1]), str(tmp_path / "new.keras")]
    subprocess.run(command, check=True)


# -- refusals -----------------------------
@tf_keras.utils.register_keras_serializable("tests")
class Doubled(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.sort(x * 2)


class Subclassed(tf_keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x: Any) -> Any:
        return tf.sort(self.dense(x))


def custom() -> Any:
    x = tf_keras.Input((4,))
    return tf_keras.Model(x, Doubled(name="doubled")(layers.Dense(3)(x)))


def subclassed() -> Any:
    model = Subclassed()
    model(np.ones((2, 4), "f4"))
    return model


def adapted() -> Any:
    layer = layers.StringLookup(name="words")
    layer.adapt(np.array(["a", "b", "c"]))
    x = tf_keras.Input((2,), dtype="string")
    return tf_keras.Model(x, layer(x))


def adapted_inside() -> Any:
    x = tf_keras.Input((2,), dtype="string")
    inner = adapted()
    inner._name = "inner"
    return tf_keras.Model(x, inner(x))


def counted() -> Any:
    layer = layers.Discretization(num_bins=3, name="bins")
    layer.adapt(np.array([[1.0], [2.0], [3.0], [4.0]]))
    x = tf_keras.Input((1,))
    return tf_keras.Model(x, layer(x))


def weighted() -> Any:
    x = tf_keras.Input((4,))
    model = tf_keras.Model(x, layers.Dense(3)(x))
    model.extra = model.add_weight("extra", (3,))
    return model


REFUSED = {
    custom: "'doubled'.*(its code is not in the file|are not known)",
    subclassed: "'Subclassed', a subclassed model.*fallback tf2onnx.*it computes TopKV2",
    adapted: "'words' .StringLookup. keeps a table",
    adapted_inside: "'words' .StringLookup. keeps a table",
    counted: "'bins'.*(keeps 'summary'|learnt by adapt)",
    weighted: "'extra' belongs to the model itself",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
@pytest.mark.parametrize("target", ["new.keras", "new.onnx"])
def test_what_is_refused_is_named(make: Callable[[], Any], target: str, tmp_path: Path):
    path = saved(make(), tmp_path / "old")
    with pytest.raises(UnsupportedError, match=REFUSED[make]):
        rewriter.convert(path, tmp_path / target, verify=False)
    assert not (tmp_path / target).exists()


# -- damaged -----------------------------
def described(change: Callable[[Any], None]) -> Callable[[Path], None]:
    """Changes the metadata."""

    def apply(folder: Path) -> None:
        from tf_keras.protobuf import saved_metadata_pb2

        metadata = saved_metadata_pb2.SavedMetadata.FromString((folder / METADATA).read_bytes())
        change(metadata)
        (folder / METADATA).write_bytes(metadata.SerializeToString())

    return apply


def said(text: str, number: int = 0) -> Callable[[Path], None]:
    return described(lambda metadata: setattr(metadata.nodes[number], "metadata", text))


def objects(change: Callable[[Any], None]) -> Callable[[Path], None]:
    """Changes the nodes of the object graph."""
    return lambda folder: changed(folder, lambda model: change(model.meta_graphs[0].object_graph_def.nodes))


def link(nodes: Any, number: int, name: str) -> Any:
    return next(child for child in nodes[number].children if child.local_name == name)


def listed(nodes: Any, name: str = "trainable_variables") -> Any:
    """A list of the first layer that has one."""
    layer = link(nodes, 0, "layer_with_weights-0").node_id
    return nodes[link(nodes, layer, name).node_id]


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size]) and None


def flip(folder: Path) -> None:
    data = bytearray((folder / NUMBERS).read_bytes())
    data[8] ^= 1
    (folder / NUMBERS).write_bytes(data)


def cycle(nodes: Any) -> None:
    """The first layer holds the model, and lists a list that holds itself."""
    layer = link(nodes, 0, "layer_with_weights-0").node_id
    nodes[layer].children.add(local_name="model", node_id=0)
    listed(nodes).children.add(local_name="again", node_id=link(nodes, layer, "trainable_variables").node_id)


def swapped(nodes: Any) -> None:
    children = listed(nodes).children
    children[0].node_id, children[1].node_id = children[1].node_id, children[0].node_id


DAMAGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no JSON": (said("{'x'"), "is not JSON"),
    "empty": (said(""), "is empty"),
    "a list": (said("[]"), "is not an object"),
    "half a layer": (said("{", 2), "is not JSON"),
    "layers of a wrong type": (said('{"class_name": "Functional", "config": {"layers": 3}}'), "not a list"),
    "another class": (said('{"class_name": ["x"], "config": {"layers": []}}'), "subclassed model"),
    "deep": (said('{"config":' + "[" * 100_000 + "]" * 100_000 + "}"), "too deep"),
    "a node that is not there": (
        described(lambda m: setattr(m.nodes[1], "node_id", 10**6)),
        "an object 1000000, which does not exist",
    ),
    "a node twice": (described(lambda m: setattr(m.nodes[1], "node_id", 0)), "the object 0 twice"),
    "a child that is not there": (
        objects(lambda nodes: setattr(listed(nodes).children[0], "node_id", 10**6)),
        "object 1000000",
    ),
    "a list with a gap": (objects(lambda nodes: setattr(listed(nodes).children[0], "local_name", "7")), "has gaps"),
    "a list with no variable": (objects(lambda nodes: setattr(listed(nodes).children[0], "node_id", 0)), "is not one"),
    "a list cut short": (objects(lambda nodes: listed(nodes).ClearField("children")), "not certain"),
    "weights in another order": (objects(swapped), "'dense' lists its variables in another order"),
    "a layer less": (
        objects(lambda nodes: setattr(link(nodes, 0, "layer-1"), "local_name", "gone")),
        "no object of the layer 'dense'",
    ),
    "metadata cut short": (cut(METADATA, 500), "damaged"),
    "no index": (lambda folder: (folder / INDEX).unlink(), "no variables/variables.index"),
    "index cut short": (cut(INDEX, 100), "cut short"),
    "numbers cut short": (cut(NUMBERS, 40), "which has 40|lie"),
    "a bit flipped": (flip, "another checksum"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_a_plain_error(name: str, copy: Path, tmp_path: Path):
    damage, words = DAMAGED[name]
    damage(copy)
    with pytest.raises(RewriterError, match=words) as caught:
        rewriter.convert(copy, tmp_path / "new.keras", verify=False)
    assert isinstance(caught.value, (BadFileError, UnsupportedError))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new.keras").exists()


def test_a_cycle_of_objects_ends(made: tuple[Any, Path], copy: Path, tmp_path: Path):
    objects(cycle)(copy)
    agree(made[0], copy, tmp_path)
