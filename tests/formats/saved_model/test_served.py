"""SavedModels without Keras metadata, converted from their signature: against TensorFlow running it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import rewriter
from rewriter.errors import RewriterError, UnsupportedError, VerificationError
from rewriter.formats.registry import as_keras, open_model
from rewriter.proof import converted, runtimes
from tests.formats.saved_model.made import gate_k3, plain

layers, ops = keras.layers, keras.ops
TOLERANCE = 2e-5
BATCHES = (1, 3)
OPEN = 8  # the size of open axes


# -- models of Keras 3 -----------------------------
def built(given: Any, outputs: Any) -> Any:
    """The model with random weights."""
    model = keras.Model(given, outputs)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "seed" not in weight.path:
            low = 0.5 if "variance" in weight.path else -1
            weight.assign(rng.uniform(low, 1, weight.shape))
    return model


def convolutions() -> Any:
    x = keras.Input((11, 13, 4))
    y = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(y)
    return built(
        x,
        {
            "groups": layers.Conv2D(6, 3, groups=2)(x),
            "dilated": layers.Conv2D(5, (2, 3), dilation_rate=(3, 2), padding="same")(x),
            "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2)(x),
            "separable": layers.SeparableConv2D(3, 3, padding="same")(x),
            "transposed": layers.Conv2DTranspose(3, 3, strides=2, padding="same")(y),
            "wide": layers.Conv2DTranspose(3, 5, strides=2)(y),
            "mean": layers.GlobalAveragePooling2D()(layers.MaxPooling2D(3, 2, padding="same")(y)),
            "adapted": layers.AdaptiveAveragePooling2D((3, 4))(x),
        },
    )


def images_of_any_size() -> Any:
    x = keras.Input((None, None, 3), name="images")
    y = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(layers.Conv2D(4, 3)(x))
    y = layers.UpSampling2D((2, 3))(y)
    return built(x, {"result": layers.AveragePooling2D(2)(y)})


def lines_and_volumes() -> Any:
    x, v = keras.Input((9, 5), name="line"), keras.Input((5, 6, 7, 3), name="volume")
    return built(
        [x, v],
        {
            "causal": layers.Conv1D(6, 3, padding="causal", dilation_rate=2)(x),
            "longer": layers.Conv1DTranspose(6, 3, strides=2, padding="same")(layers.MaxPooling1D(2)(x)),
            "alone": layers.DepthwiseConv1D(3)(layers.UpSampling1D(2)(x)),
            "solid": layers.Conv3D(4, 3, padding="same")(v),
            "solid_t": layers.Conv3DTranspose(4, 3, strides=2, padding="same")(layers.MaxPooling3D(2)(v)),
            "pooled": layers.AveragePooling3D(2, padding="same")(v),
        },
    )


def resized() -> Any:
    x = keras.Input((6, 7, 3))
    return built(
        x,
        [
            layers.Resizing(9, 4)(x),
            layers.Resizing(3, 9, interpolation="nearest")(x),
            layers.UpSampling2D(2, interpolation="bilinear")(x),
            layers.UpSampling2D((2, 3))(x),
            layers.CenterCrop(3, 4)(layers.ZeroPadding2D(((1, 2), (0, 3)))(x)),
            layers.RepeatVector(3)(layers.Flatten()(x)),
        ],
    )


def transformer() -> Any:
    x = keras.Input((9,), dtype="int32", name="words")
    y = layers.Embedding(8, 6)(x) + layers.Embedding(9, 6)(ops.arange(9))
    attended = layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)
    y = layers.LayerNormalization(epsilon=1e-5)(y + layers.Dropout(0.1)(attended))
    y = y + layers.Dense(6)(layers.Dense(12, activation="gelu")(y))
    return built(x, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(y)))


def elements() -> Any:
    x = keras.Input((9, 6))
    names = [
        "elu",
        "selu",
        "softsign",
        "silu",
        "gelu",
        "leaky_relu",
        "hard_sigmoid",
        "mish",
        "log_softmax",
        "glu",
    ]
    results = [layers.Activation(name)(x) for name in names]
    results += [
        layers.RMSNormalization()(x),
        layers.GroupNormalization(2)(x),
        layers.UnitNormalization()(x),
        layers.PReLU()(x),
        layers.EinsumDense("abc,cde->abde", output_shape=(None, 3, 4), bias_axes="de")(x),
        ops.einsum("btd,bsd->bts", x, x),
        ops.where(x > 0.3, ops.cumsum(x, axis=1), ops.flip(x, axis=2)),
        ops.take(x, [2, 0, -1], axis=2),
        ops.stack(ops.split(x, 3, axis=1), axis=1),
        ops.logsumexp(x, axis=1),
        ops.any(x > 0.5, axis=1),
    ]
    return built(x, results)


def unrolled() -> Any:
    x = keras.Input((4, 5))
    return built(x, [layers.LSTM(3, unroll=True)(x), layers.GRU(3, unroll=True, return_sequences=True)(x)])


def chain() -> Any:
    return keras.Sequential([
        keras.Input((6, 6, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5, activation="softmax")
    ])  # fmt: skip


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(4)

    def call(self, x: Any) -> Any:
        return {"y": self.dense(x), "size": ops.norm(x, axis=-1)}


def subclassed() -> Any:
    model = Subclassed()
    model(np.ones((2, 5), "f4"))
    return model


def exported(make: Callable[[], Any], path: Path) -> str:
    make().export(str(path), verbose=False)
    return str(path)


# -- modules of TensorFlow -----------------------------
def several(path: Path) -> str:
    """Several signatures; one has the default name of TensorFlow Serving."""
    held = tf.Module()
    spec = [tf.TensorSpec((None, 3), tf.float32, "a")]
    held.twice = tf.function(lambda a: {"twice": a * 2.0}, input_signature=spec)
    held.less = tf.function(lambda a: {"less": a - 1.0}, input_signature=spec)
    tf.saved_model.save(held, str(path), {"less": held.less, "serving_default": held.twice})
    return str(path)


def only(path: Path) -> str:
    held = tf.Module()
    held.v = tf.Variable(np.linspace(-1, 1, 12, dtype="f4").reshape(3, 4))
    spec = [tf.TensorSpec((None, 3), tf.float32, "rows")]
    held.run = tf.function(lambda rows: {"found": rows @ held.v}, input_signature=spec)
    tf.saved_model.save(held, str(path), {"predict": held.run})
    return str(path)


def squared(path: Path) -> str:
    """A size that is multiplied with itself again and again."""

    def run(a: Any) -> Any:
        size = tf.shape(a)[0]
        for _ in range(70):
            size = size * size
        return tf.reshape(a, [size, -1])

    return plain(path, run, (None, 3))


def ranked(a: Any) -> Any:
    return {"z": tf.transpose(tf.reduce_mean(a, [2, 3], keepdims=True), [0, 2, 3, 1]), "b": a, "a": a + 1.0}


FOLDERS: dict[str, Callable[[Path], str]] = {
    **{make.__name__: partial(exported, make) for make in (
        convolutions, images_of_any_size, lines_and_volumes, resized, transformer, elements, unrolled, chain,
        subclassed,
    )},
    "several": several, "only": only,
    "named": lambda path: plain(path, ranked, (None, 4, 5, 5)),
    "fixed": lambda path: plain(path, lambda a, b: {"y": a * b}, (2, 3), ()),
    "column": lambda path: plain(path, lambda a, b: {"y": a + tf.nn.relu(b)}, (1, 5, 5), (1, 5, 1)),
    "unused": lambda path: plain(path, lambda a, b: {"y": tf.nn.relu(a)}, (None, 3), (None, 4)),
    "products": lambda path: plain(path, lambda a: tf.tensordot(a, tf.ones((3, 2)), 1), (None, 5, 3)),
}  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A SavedModel by its name, made once."""
    root = tmp_path_factory.mktemp("served")

    def made(name: str) -> str:
        path: Path = root / name
        return str(path) if path.exists() else FOLDERS[name](path)

    return made


def run(path: str, batch: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Random inputs of the signature, and its outputs in TensorFlow."""
    signatures = tf.saved_model.load(path).signatures
    name = "serving_default" if "serving_default" in signatures else next(iter(signatures))
    rng = np.random.default_rng(batch)
    given = {}
    for key, spec in signatures[name].structured_input_signature[1].items():
        sizes = [
            (batch if not axis else OPEN) if size is None else size for axis, size in enumerate(spec.shape)
        ]
        drawn = rng.integers(0, OPEN, sizes) if spec.dtype.is_integer else rng.normal(0.3, 1, sizes)
        given[key] = np.asarray(drawn, spec.dtype.as_numpy_dtype)
    found = signatures[name](**{key: tf.constant(value) for key, value in given.items()})
    return given, {key: value.numpy() for key, value in found.items()}


def close(ours: Any, theirs: Any) -> bool:
    same = ours.shape == theirs.shape and ours.dtype == theirs.dtype
    scale = max(float(np.abs(theirs).max()), 1e-6)
    return same and float(np.abs(ours.astype("f8") - theirs.astype("f8")).max()) <= TOLERANCE * scale


@pytest.mark.parametrize("name", FOLDERS)
def test_it_computes_what_the_signature_does(name: str, folder: Callable[[str], str], tmp_path: Path):
    path = folder(name)
    result = rewriter.convert(path, tmp_path / "new.keras", verify=False)
    rewriter.convert(path, tmp_path / "new.onnx", verify=False)
    assert (result.format, result.to) == ("savedmodel-keras", "keras-v3")
    model = keras.saving.load_model(tmp_path / "new.keras")
    session = onnxruntime.InferenceSession(str(tmp_path / "new.onnx"))
    for batch in BATCHES:
        given, wanted = run(path, batch)
        found = model([given[tensor.name] for tensor in model.inputs])
        # An output with the name of an input is renamed.
        wanted = {f"{key}_output" if key in given else key: value for key, value in wanted.items()}
        keras_gives = dict(zip(model.output_names, tf.nest.flatten(found), strict=True))
        onnx_gives = dict(
            zip(
                [y.name for y in session.get_outputs()],
                session.run(None, {x.name: given[x.name] for x in session.get_inputs()}),
                strict=True,
            )
        )
        assert set(keras_gives) == set(onnx_gives) == set(wanted)
        for key, theirs in wanted.items():
            assert theirs.size < 9 or len(np.unique(theirs)) > 1, "it says nothing"
            assert close(ops.convert_to_numpy(keras_gives[key]), theirs), key
            assert close(onnx_gives[key], theirs), key


@pytest.mark.parametrize(("multiplier", "size"), [(1, 4), (2, 8), (1, 1), (2, 1)])
def test_a_bias_of_a_depthwise_convolution(multiplier: int, size: int, tmp_path: Path):
    """It becomes the layer's bias if it has a number for each of the 4 x multiplier channels."""
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 3, 4, multiplier)).astype("f4"), rng.normal(size=size).astype("f4")

    def run_it(a: Any) -> Any:
        return {"y": tf.nn.depthwise_conv2d(a, kernel, [1, 1, 1, 1], "SAME") + bias}

    path = plain(tmp_path / "old", run_it, (None, 6, 7, 4))
    rewriter.convert(path, tmp_path / "new.keras", verify=False)
    model = keras.saving.load_model(tmp_path / "new.keras")
    (convolution,) = [each for each in model.layers if isinstance(each, layers.DepthwiseConv2D)]
    assert convolution.use_bias == (size == 4 * multiplier)
    given, wanted = run(path, 3)
    assert close(ops.convert_to_numpy(tf.nest.flatten(model(given["a"]))[0]), wanted["y"])


def test_the_order_is_that_of_the_numbers(folder: Callable[[str], str], tmp_path: Path):
    """TensorFlow sorts ``output_10`` before ``output_2``."""
    exported = rewriter.export_onnx(folder("elements"), tmp_path / "new.onnx")
    assert exported.outputs == [f"output_{number}" for number in range(len(exported.outputs))]
    assert len(exported.outputs) > 10


def test_which_signature_it_was_is_said(folder: Callable[[str], str], tmp_path: Path):
    for name, said in (("several", "'serving_default'.*one of 2"), ("only", "'predict'")):
        result = rewriter.convert(folder(name), tmp_path / f"{name}.keras", verify=False)
        (remark,) = result.remarks
        assert re.search(said, remark.construct)


def test_every_form_of_keras_3(folder: Callable[[str], str], tmp_path: Path):
    path = folder("chain")
    rewriter.convert(path, f"{tmp_path}/folder/", verify=False)
    rewriter.convert(path, tmp_path / "new.json", verify=False)
    assert rewriter.check(tmp_path / "folder").findings == []
    given, wanted = run(path, 3)
    config = json.loads((tmp_path / "folder/config.json").read_text())
    assert config == json.loads((tmp_path / "new.json").read_text())
    model = keras.saving.deserialize_keras_object(config)
    model.load_weights(tmp_path / "folder/model.weights.h5")
    assert close(ops.convert_to_numpy(model(next(iter(given.values())))), wanted["output_0"])


def test_a_repair_that_writes_another_form(tmp_path: Path):
    """At batch 1 the original is right."""
    path = gate_k3(tmp_path / "gate")
    result = rewriter.repair(path, tmp_path / "fixed.onnx", verify=False)
    assert result.inserted
    session = onnxruntime.InferenceSession(str(tmp_path / "fixed.onnx"))
    images = np.random.default_rng(0).normal(size=(3, 11, 11, 3)).astype("f4")
    original = tf.saved_model.load(path).signatures["serving_default"]
    name = session.get_inputs()[0].name
    wanted = np.concatenate([original(**{name: tf.constant(image[None])})["output_0"] for image in images])
    (found,) = session.run(None, {name: images})
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


# -- the proof -----------------------------
def test_it_is_compared_with_tensorflow(folder: Callable[[str], str], tmp_path: Path):
    result = rewriter.convert(folder("transformer"), tmp_path / "new.keras", verify=True)
    assert result.verified is not None
    assert result.verified["difference"] < 1e-5
    assert result.verified["batches"] == [1, 3]
    assert result.verified["ran"].startswith("TensorFlow")


def test_onnx_is_compared_with_tensorflow(folder: Callable[[str], str], tmp_path: Path):
    exported = rewriter.export_onnx(folder("several"), tmp_path / "new.onnx", verify=True)
    assert exported.verified is not None
    assert exported.verified["difference"] == 0
    assert "ONNX Runtime" in exported.verified["ran"]


def test_another_model_is_seen(folder: Callable[[str], str], tmp_path: Path):
    """A file that computes something else."""
    other = plain(tmp_path / "other", lambda a: {"twice": a * 2.001}, (None, 3))
    rewriter.convert(other, tmp_path / "other.keras", verify=False)
    with (
        open_model(folder("several")) as source,
        pytest.raises(VerificationError, match="'twice' at batch 1 is off"),
    ):
        converted.compared(as_keras(source), str(tmp_path / "other.keras"), "keras-v3")


@pytest.mark.parametrize("write", [rewriter.convert, rewriter.export_onnx])
def test_without_tensorflow_it_says_that_it_was_not_compared(
    write: Callable[..., Any], folder: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    installed = runtimes.installed
    monkeypatch.setattr(runtimes, "installed", lambda name: name != "tensorflow" and installed(name))
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(runtimes, "chosen", lambda found: ("torch", ""))
    target = tmp_path / ("new.keras" if write is rewriter.convert else "new.onnx")
    result = write(folder("several"), target, verify=None)
    assert "tensorflow not installed" in result.verified["skipped"]
    target.unlink()
    with pytest.raises(
        UnsupportedError, match="the requested verification cannot run: tensorflow not installed"
    ):
        write(folder("several"), target, verify=True)
    assert not target.exists()


# -- refusals -----------------------------
def halves(a: Any) -> Any:
    return tf.cast(tf.cast(a, tf.float16) * 2, tf.float32)


def loop(a: Any) -> Any:
    return tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), [0, a])[1]


def counting(path: Path) -> str:
    held = tf.Module()
    held.count = tf.Variable(0.0)
    spec = [tf.TensorSpec((None, 3), tf.float32, "a")]
    held.run = tf.function(lambda a: a + held.count.assign_add(1.0), input_signature=spec)
    tf.saved_model.save(held, str(path), held.run)
    return str(path)


def unsigned(path: Path) -> str:
    held = tf.Module()
    spec = [tf.TensorSpec((None, 3), tf.float32)]
    held.one = tf.function(lambda a: a, input_signature=spec)
    held.two = tf.function(lambda a: a, input_signature=spec)
    tf.saved_model.save(held, str(path))
    return str(path)


def undecided(path: Path) -> str:
    held = tf.Module()
    held.run = tf.function(lambda a: a, input_signature=[tf.TensorSpec((None, 3), tf.float32)])
    tf.saved_model.save(held, str(path), {"one": held.run, "two": held.run})
    return str(path)


def recurrent() -> Any:
    x = keras.Input((4, 5))
    return keras.Model(x, layers.LSTM(3)(x))


REFUSED: dict[str, tuple[Callable[[Path], str], str]] = {
    "a loop": (lambda path: plain(path, loop, (None, 3)), "it computes StatelessWhile"),
    "a recurrent layer": (partial(exported, recurrent), "it computes TensorList"),
    "a branch": (lambda p: plain(p, lambda a: tf.cond(a[0] > 0, lambda: a, lambda: -a), (3,)), "StatelessIf"),
    "random numbers": (lambda path: plain(path, lambda a: a + tf.random.normal([3]), (None, 3)), "RandomStandard"),
    "half precision": (lambda path: plain(path, halves, (None, 3)), "float16"),
    "half precision of an input": (lambda path: plain(path, lambda a: a, (3,), dtype=tf.float16), "type float16"),
    "strings": (lambda path: plain(path, tf.strings.length, (None,), dtype=tf.string), "'a' has the type string"),
    "an open rank": (lambda path: plain(path, lambda a: a * 2.0, None), "'a' has an unknown rank"),
    "a state": (counting, "it changes variables"),
    "a constant": (lambda path: plain(path, lambda a: {"a": a, "b": tf.ones(3)}, (None, 3)), "is a constant"),
    "no signature": (unsigned, "it has no signature"),
    "two signatures": (undecided, "none of its signatures .one, two. is 'serving_default' or 'serve'"),
    "a size that grows": (squared, "it computes with sizes"),
    "of TensorFlow": (lambda path: plain(path, lambda a: tf.sort(a), (None, 3)), "it computes TopKV2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(name: str, tmp_path: Path):
    make, words = REFUSED[name]
    path = make(tmp_path / "old")
    for target in ("new.keras", "new.onnx"):
        with pytest.raises(UnsupportedError, match=words) as caught:
            rewriter.convert(path, tmp_path / target, verify=False)
        assert "fallback tf2onnx" in str(caught.value)
        assert not (tmp_path / target).exists()


# -- tf2onnx -----------------------------
TWICE = """
import sys
from onnx import TensorProto, helper, save

def main():
    given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    assert given["--signature_def"] == "serving_default" and given["--saved-model"].endswith("old"), given
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("a", "output_0")]
    nodes = [helper.make_node("Add", ["a", "a"], ["b"]) for _ in range(1)]
    nodes += [helper.make_node("Mul", ["b", "b"], ["c"]), helper.make_node("Div", ["c", "a"], ["d"])]
    nodes.append(helper.make_node("Add", ["d", "d"], ["output_0"]))
    graph = helper.make_graph(nodes, "main", values[:1], values[1:])
    opset = [helper.make_opsetid("", int(given["--opset"]))]
    save(helper.make_model(graph, opset_imports=opset, ir_version=10), given["--output"])
"""


@pytest.fixture
def tf2onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in package whose model gives eight times its input."""
    package = tmp_path / "packages" / "tf2onnx"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "convert.py").write_text(TWICE)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("PYTHONPATH", str(package.parent), prepend=":")


def test_tf2onnx_takes_over(tf2onnx: None, tmp_path: Path):
    path = plain(tmp_path / "old", loop, (None, 3))
    exported = rewriter.export_onnx(path, tmp_path / "new.onnx", fallback="tf2onnx", verify=True)
    assert "it computes StatelessWhile" in exported.fallback
    assert exported.verified is not None
    assert exported.verified["difference"] < 1e-6
    notes = {each.key: each.value for each in onnx.load(tmp_path / "new.onnx").metadata_props}
    assert notes["exported_by"] == "tf2onnx"
    assert "StatelessWhile" in notes["not_exported_directly"]
    assert rewriter.convert(path, tmp_path / "other.onnx", verify=False, fallback="tf2onnx").exported


def test_tf2onnx_takes_over_what_has_no_form_in_keras(tf2onnx: None, tmp_path: Path):
    """An operation without a Keras form goes to tf2onnx."""
    path = plain(tmp_path / "old", lambda a: a * 8.0 + 0.0 * tf.cast(tf.shape(a)[0], tf.float32), (None, 3))
    exported = rewriter.export_onnx(path, tmp_path / "new.onnx", fallback="tf2onnx", verify=True)
    assert exported.fallback
    assert exported.verified is not None
    assert exported.verified["difference"] < 1e-6


def test_tf2onnx_is_not_asked_without_need(tf2onnx: None, folder: Callable[[str], str], tmp_path: Path):
    exported = rewriter.export_onnx(folder("only"), tmp_path / "new.onnx", fallback="tf2onnx")
    assert not exported.fallback


def test_without_tf2onnx_the_fallback_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = plain(tmp_path / "old", loop, (None, 3))
    installed = runtimes.installed
    monkeypatch.setattr(runtimes, "installed", lambda name: name != "tf2onnx" and installed(name))
    with pytest.raises(UnsupportedError, match="StatelessWhile.*tf2onnx not installed"):
        rewriter.export_onnx(path, tmp_path / "new.onnx", fallback="tf2onnx")
    assert not (tmp_path / "new.onnx").exists()


def test_what_reads_files_is_not_handed_over(tmp_path: Path):
    path = plain(
        tmp_path / "old", lambda a: a + tf.strings.to_number(tf.io.read_file("/etc/number")), (None, 3)
    )
    with pytest.raises(UnsupportedError, match=r"cannot take over: it reads files .'?ReadFile"):
        rewriter.export_onnx(path, tmp_path / "new.onnx", fallback="tf2onnx")


@pytest.mark.slow
def test_the_real_tf2onnx_takes_over(tmp_path: Path):
    pytest.importorskip("tf2onnx")
    path = exported(recurrent, tmp_path / "old")
    made = rewriter.export_onnx(path, tmp_path / "new.onnx", fallback="tf2onnx", verify=True)
    assert made.fallback and made.verified and made.verified["difference"] < 1e-5
    assert made.outputs == ["output_0"]


# -- damaged -----------------------------
def changed(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        change(model.meta_graphs[0])
        (path / "saved_model.pb").write_bytes(model.SerializeToString())

    return apply


def signature(meta: Any) -> Any:
    return meta.signature_def["serving_default"]


def nodes_of(meta: Any, op: str) -> Any:
    return [
        node for function in meta.graph_def.library.function for node in function.node_def if node.op == op
    ]


def wrapper(meta: Any) -> Any:
    """The node of the main graph that calls the function of the signature."""
    name = signature(meta).outputs["output_0"].name.partition(":")[0]
    return next(node for node in meta.graph_def.node if node.name == name)


def gives(name: str) -> Callable[[Any], None]:
    """Changes the name of the tensor that the signature gives; ``{}`` is that of its node."""

    def apply(meta: Any) -> None:
        signature(meta).outputs["output_0"].name = name.format(wrapper(meta).name)

    return apply


def takes_twice(meta: Any) -> None:
    inputs = signature(meta).inputs
    (known,) = inputs.values()
    inputs["other"].CopyFrom(known)


def takes_more(meta: Any) -> None:
    signature(meta).inputs["other"].name = "x:0"


def of_other_rank(meta: Any) -> None:
    for node in nodes_of(meta, "Conv2D"):
        node.attr["strides"].list.i.append(1)


def padded(meta: Any) -> None:
    for node in nodes_of(meta, "Conv2D"):
        node.attr["padding"].s = b"X"


def short(meta: Any) -> None:
    for node in nodes_of(meta, "BiasAdd"):
        node.input.pop()


def reshaped(meta: Any) -> None:
    """The shape of a Reshape is the tensor itself."""
    for node in nodes_of(meta, "Reshape"):
        node.input[1] = node.input[0]


DAMAGED: dict[str, tuple[Callable[[Any], None], str]] = {
    "an output of no node": (gives("x:0"), "TensorFlow 1"),
    "an output without a name": (gives(""), "TensorFlow 1"),
    "a result too many": (gives("{}:7"), "does not have"),
    "a number that is none": (gives("{}:²"), "not the name of a tensor"),
    "a long name": (gives("{}:" + "9" * 5000), "not the name of a tensor"),
    "no outputs": (lambda meta: signature(meta).outputs.clear(), "no outputs"),
    "no inputs": (lambda meta: signature(meta).inputs.clear(), "not one of its inputs"),
    "an input twice": (takes_twice, "two of its inputs are the same"),
    "an input that is not taken": (takes_more, "does not use"),
    "a function that is not there": (lambda m: setattr(wrapper(m).attr["f"].func, "name", "gone"), "no function"),
    "nothing of the objects": (lambda m: m.object_graph_def.concrete_functions.clear(), "object graph"),
    "strides of another rank": (of_other_rank, "no layer has"),
    "a padding that is none": (padded, "with X"),
    "an operand less": (short, "an invalid"),
    "a shape that is none": (reshaped, "its shape is computed|do not fit|an invalid"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_a_plain_error(name: str, folder: Callable[[str], str], tmp_path: Path):
    damage, words = DAMAGED[name]
    copy = Path(shutil.copytree(folder("chain"), tmp_path / "copy"))
    changed(damage)(copy)
    with pytest.raises(RewriterError, match=words) as caught:
        rewriter.convert(copy, tmp_path / "new.keras", verify=False)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert not (tmp_path / "new.keras").exists()
