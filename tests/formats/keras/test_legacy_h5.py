"""HDF5 files of Keras 1 to 3 as data, and their copies, against the Keras that reads them and against h5py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from rewriter.errors import BadFileError, OutputError, RewriterError, UnsupportedError
from rewriter.formats.keras.legacy_h5 import MODEL, WEIGHTS, WEIGHTS_OF_KERAS_3, LegacyH5

ROOT = Path(__file__).resolve().parents[3]
tf_keras: Any = pytest.importorskip("tf_keras")


# -- models, made alike with tf_keras and Keras 3 -----------------------------
def sequential(k: Any) -> Any:
    layers = k.layers
    name = "over/time" if k is tf_keras else "over_time"
    return k.Sequential(
        [layers.Input((5, 3)), layers.LSTM(4, name=name), layers.BatchNormalization(), layers.Dense(2)]
    )


def functional(k: Any, inserted: bool = False) -> Any:
    """Two layers of one kind side by side; nodes inserted after one of them make it the first of the two."""
    x = k.layers.Input((6,), name="x")
    first, second = k.layers.Dense(6, name="first")(x), k.layers.Dense(6, name="second")(x)
    behind = k.layers.Reshape((6,), name="behind")(second) if inserted else second
    last = k.layers.Dense(2, use_bias=False, name="last")
    return k.Model(x, last(k.layers.Subtract(name="minus")([first, behind])))


def nested(k: Any) -> Any:
    inner = k.Sequential([k.layers.Input((7,)), k.layers.Dense(3), k.layers.Dropout(0.5)], name="inner")
    x = k.layers.Input((4, 7))
    y = k.layers.TimeDistributed(inner)(x)
    return k.Model(x, k.layers.Dense(2)(k.layers.GlobalAveragePooling1D()(y)))


MODELS: list[Callable[[Any], Any]] = [sequential, functional, nested]
LIBRARIES = {"tf_keras": tf_keras, "keras": keras}


def trained(k: Any, make: Callable[[Any], Any]) -> tuple[Any, np.ndarray]:
    """A model after a step of training, and a batch for it."""
    k.utils.set_random_seed(3)
    model = make(k)
    x = np.random.default_rng(1).normal(size=(3, *model.input_shape[1:])).astype("f4")
    model.compile("adam", "mse")
    model.train_on_batch(x, np.ones((3, 2), "f4"))
    return model, x


def variables(optimizer: Any) -> list[np.ndarray]:
    found = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
    return [np.asarray(variable) for variable in found]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_keras_wrote_is_read_and_its_copy_loads(library: str, make: Any, tmp_path: Path) -> None:
    k = LIBRARIES[library]
    model, x = trained(k, make)
    path, copy = tmp_path / "m.h5", tmp_path / "copy.h5"
    model.save(path)
    legacy = LegacyH5(path)
    assert legacy.kind == MODEL
    assert legacy.keras_version == k.__version__
    assert legacy.backend == "tensorflow"
    assert legacy.training_config["optimizer_config"]["class_name"].endswith("Adam")
    assert legacy.model_config["class_name"] == ("Sequential" if make is sequential else "Functional")
    assert list(legacy.layers) == [layer.name for layer in model.layers]
    for layer in model.layers:
        same([each.variable.load() for each in legacy.layers[layer.name]], layer.get_weights())
        assert [each.variable.shape for each in legacy.layers[layer.name]] == [w.shape for w in layer.weights]
        assert {each.variable.dtype for each in legacy.layers[layer.name]} <= {"float32"}
    state = [each.variable.load() for each in legacy.optimizer_weights()]
    same(state, variables(model.optimizer)[: len(state)])
    assert len(state) > 2
    assert legacy.top_level == []

    legacy.write(copy, model_config=legacy.model_config)
    loaded = k.models.load_model(
        copy, compile=library == "tf_keras"
    )  # Keras 3.15 does not find its own "mse"
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    if library == "tf_keras":
        same(variables(loaded.optimizer), variables(model.optimizer))
    identical(path, copy)


def same(mine: list[Any], theirs: list[Any]) -> None:
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("library", LIBRARIES)
def test_another_order_of_layers(library: str, tmp_path: Path) -> None:
    """Layers get their weights by position: with the layers in another order, the names must follow."""
    k = LIBRARIES[library]
    model, x = trained(k, functional)
    path = tmp_path / "m.h5"
    model.save(path)
    legacy = LegacyH5(path)
    config = json.loads(functional(k, inserted=True).to_json())
    order = ["x", "second", "first", "minus", "last"]
    wanted = model.predict(x, verbose=0)
    results = []
    for number, names in enumerate((None, order)):
        legacy.write(tmp_path / f"{number}.h5", model_config=config, layer_order=names)
        loaded = k.models.load_model(tmp_path / f"{number}.h5", compile=False)
        results.append(loaded.predict(x, verbose=0))
    assert [layer.name for layer in loaded.layers if layer.name != "behind"] == order
    assert not np.allclose(results[0], wanted)
    np.testing.assert_array_equal(results[1], wanted)
    assert list(LegacyH5(tmp_path / "1.h5").layers) == order
    identical(path, tmp_path / "1.h5", but={("", "model_config"), ("model_weights", "layer_names")})
    with pytest.raises(ValueError, match="names of the layer"):
        legacy.write(tmp_path / "no.h5", model_config=config, layer_order=order[1:])
    assert not (tmp_path / "no.h5").exists()


def test_weights_alone(tmp_path: Path) -> None:
    model, _ = trained(tf_keras, nested)
    model.save_weights(tmp_path / "w.h5")
    legacy = LegacyH5(tmp_path / "w.h5")
    assert (legacy.kind, legacy.model_config, legacy.training_config) == (WEIGHTS, None, None)
    assert legacy.keras_version == tf_keras.__version__
    assert list(legacy.layers) == [layer.name for layer in model.layers]
    assert legacy.optimizer_weights() == []
    legacy.write(tmp_path / "copy.h5", model_config=None)
    identical(tmp_path / "w.h5", tmp_path / "copy.h5")
    with pytest.raises(UnsupportedError, match="no model to change"):
        legacy.write(tmp_path / "no.h5", model_config={})


def test_weights_of_keras_3_are_told_from_others(tmp_path: Path) -> None:
    model, _ = trained(keras, functional)
    model.save_weights(tmp_path / "m.weights.h5")
    legacy = LegacyH5(tmp_path / "m.weights.h5")
    assert legacy.kind == WEIGHTS_OF_KERAS_3
    assert (dict(legacy.layers), legacy.top_level, legacy.model_config) == ({}, [], None)
    assert "layers/dense/vars/0" in legacy.index


def test_weights_of_the_model_itself(tmp_path: Path) -> None:
    class Scaled(tf_keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = tf_keras.layers.Dense(2, name="dense")
            self.scale = self.add_weight("scale", (2,), initializer="ones")

        def call(self, x: Any) -> Any:
            return self.dense(x) * self.scale

    model = Scaled()
    model(np.ones((1, 3), "f4"))
    model.save_weights(tmp_path / "w.h5")
    legacy = LegacyH5(tmp_path / "w.h5")
    assert [(each.name, each.variable.shape) for each in legacy.top_level] == [("scale:0", (2,))]
    assert [each.name for each in legacy.layers["dense"]] == ["scaled/dense/kernel:0", "scaled/dense/bias:0"]


# -- files that Keras no longer writes, by h5py -----------------------------
def keras_1(path: Path, texts: Callable[[list[bytes]], Any], **options: Any) -> Path:
    """As ``Model.save`` of Keras 1.2: names without ':0', some with '/', texts as bytes."""
    with h5py.File(path, "w", **options) as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": []}).encode()
        group = file.create_group("model_weights")
        names = [b"dense_1", b"flatten_1", b"timedistributed_1/inner", b"nested_1"]
        group.attrs["layer_names"] = texts(names)
        for number, name in enumerate(names):
            made = group.create_group(name.decode())
            weights = {
                0: [b"dense_1_W", b"dense_1_b"],
                1: [],
                2: [b"inner/conv/conv_W"],
                3: [b"a/b/c_U", b"a/b_V"],
            }[number]
            made.attrs["weight_names"] = texts(weights)
            for place, weight in enumerate(weights):
                made[weight.decode()] = np.full((2, 3 + place), number + place / 4, "<f4")
    return path


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(np.array, id="fixed"),
        pytest.param(
            lambda names: np.array([n.decode() for n in names], object) if names else np.array([]), id="any"
        ),
        pytest.param(
            lambda names: np.array(names, h5py.string_dtype("ascii")) if names else np.array([], "S1"),
            id="ascii",
        ),
    ],
)
def test_keras_1(texts: Any, tmp_path: Path) -> None:
    path = keras_1(tmp_path / "m.h5", texts)
    legacy = LegacyH5(path)
    assert (legacy.kind, legacy.keras_version, legacy.backend) == (MODEL, "1.2.2", "")
    found = {
        name: [(each.name, each.variable.shape, float(each.variable.load()[0, 0])) for each in weights]
        for name, weights in legacy.layers.items()
    }
    assert found == {
        "dense_1": [("dense_1_W", (2, 3), 0.0), ("dense_1_b", (2, 4), 0.25)],
        "flatten_1": [],
        "timedistributed_1/inner": [("inner/conv/conv_W", (2, 3), 2.0)],
        "nested_1": [("a/b/c_U", (2, 3), 3.0), ("a/b_V", (2, 4), 3.25)],
    }
    order = sorted(found)
    legacy.write(tmp_path / "copy.h5", model_config=[1], layer_order=order)
    copy = LegacyH5(tmp_path / "copy.h5")
    assert (copy.model_config, list(copy.layers)) == ([1], order)
    identical(path, tmp_path / "copy.h5", but={("", "model_config"), ("model_weights", "layer_names")})


def test_names_in_pieces(tmp_path: Path) -> None:
    """As tf_keras splits them and puts them together."""
    from tf_keras.src.saving.legacy.hdf5_format import (
        load_attributes_from_hdf5_group,
        save_attributes_to_hdf5_group,
    )

    names = [f"{'a_layer_with_a_long_name' * 8}_{number}" for number in range(900)]
    path, copy = tmp_path / "w.h5", tmp_path / "copy.h5"
    with h5py.File(path, "w") as file:
        save_attributes_to_hdf5_group(file, "layer_names", [name.encode() for name in names])
        for name in names:
            file.create_group(name)
            if name != names[7]:
                save_attributes_to_hdf5_group(file[name], "weight_names", [])
        many = [f"{'a_weight_with_a_long_name' * 8}_{number}:0" for number in range(500)]
        save_attributes_to_hdf5_group(file[names[7]], "weight_names", [name.encode() for name in many])
        for number, name in enumerate(many):
            file[names[7]][name] = np.float32(number)
        assert "layer_names2" in file.attrs
        assert "weight_names1" in file[names[7]].attrs
    legacy = LegacyH5(path)
    assert list(legacy.layers) == names
    weights = legacy.layers[names[7]]
    assert [(each.name, float(each.variable.load())) for each in weights] == list(
        zip(many, range(500), strict=True)
    )
    legacy.write(copy, model_config=None)
    identical(path, copy)
    legacy.write(copy, model_config=None, layer_order=names[::-1])
    with h5py.File(copy) as file:
        assert load_attributes_from_hdf5_group(file, "layer_names") == names[::-1]
        assert load_attributes_from_hdf5_group(file[names[7]], "weight_names") == many


def test_pieces_that_are_not_needed_become_one(tmp_path: Path) -> None:
    path = keras_1(tmp_path / "m.h5", np.array)
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        names = group.attrs["layer_names"]
        del group.attrs["layer_names"]
        group.attrs["layer_names0"], group.attrs["layer_names1"] = names[:3], names[3:].astype("S12")
    legacy = LegacyH5(path)
    order = [name.decode() for name in names]
    assert list(legacy.layers) == order
    legacy.write(tmp_path / "copy.h5", model_config=None, layer_order=order[::-1])
    assert list(LegacyH5(tmp_path / "copy.h5").layers) == order[::-1]
    with h5py.File(tmp_path / "copy.h5") as file:
        assert "layer_names" in file["model_weights"].attrs
        assert not {"layer_names0", "layer_names1"} & set(file["model_weights"].attrs)


def test_a_copy_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    """Types, byte orders, filters and attributes that Keras does not write itself."""
    path, copy = keras_1(tmp_path / "m.h5", np.array), tmp_path / "copy.h5"
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        for dtype in ("f2", ">f4", "f8", "i1", ">i8", "u2", "?"):
            group[f"dense_1/{dtype}"] = np.arange(12).reshape(3, 4).astype(dtype)
            group.attrs[f"of {dtype}"] = np.arange(3).astype(dtype)
        bfloat16 = group.create_dataset("dense_1/bfloat16", data=np.arange(5, dtype="u2").view("V2"))
        bfloat16.attrs["dtype"] = "bfloat16"
        options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
        group.create_dataset("dense_1/packed", data=np.arange(99.0), chunks=(10,), **options)
        group.create_dataset("dense_1/grows", data=np.ones((2, 3)), chunks=(7, 8), maxshape=(None, 9))
        group.create_dataset("dense_1/none", data=np.ones((0, 3)), chunks=(7, 8), maxshape=(None, 9))
        group["dense_1/texts"] = np.array(["a", "\N{GREEK SMALL LETTER ALPHA}"], h5py.string_dtype())
        group["dense_1/fixed"], group["dense_1/scalar"] = np.array([b"abc", b"d"]), np.float64(3)
        file.attrs["empty"], file.attrs["none"] = h5py.Empty("f4"), np.array([])
        file.attrs["number"], file.attrs["matrix"] = 7, np.ones((2, 2), ">i2")
        file.attrs["utf-8"], file.attrs["words"] = "\N{GREEK SMALL LETTER ALPHA}", ["a", "bc"]
        file.attrs.create("fixed utf-8", b"abc", dtype=h5py.string_dtype("utf-8", 5))
        padded = h5py.h5t.C_S1.copy()
        padded.set_size(6)
        padded.set_strpad(h5py.h5t.STR_SPACEPAD)
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file.id, b"padded", padded, space).write(np.array(b"ab    ", "S6"), mtype=padded)
    LegacyH5(path).write(copy, model_config=None)
    identical(path, copy)


def test_large_attributes_of_newer_files(tmp_path: Path) -> None:
    path, copy = keras_1(tmp_path / "m.h5", np.array, libver="latest"), tmp_path / "copy.h5"
    with h5py.File(path, "r+", libver="latest") as file:
        file.attrs["large"] = np.arange(20_000)
    LegacyH5(path).write(copy, model_config=None)
    identical(path, copy)


def test_a_type_that_would_become_another_is_refused(tmp_path: Path) -> None:
    path = keras_1(tmp_path / "m.h5", np.array)
    with h5py.File(path, "r+") as file:
        file.attrs["colour"] = np.array([1], h5py.enum_dtype({"RED": 1, "BLUE": 2}))
    legacy = LegacyH5(path)
    with pytest.raises(
        UnsupportedError, match="the attribute colour of / is of a type that cannot be copied"
    ):
        legacy.write(tmp_path / "copy.h5", model_config=None)
    assert sorted(os.listdir(tmp_path)) == ["m.h5"]


# -- files that are refused, or not written -----------------------------
def test_nothing_is_written_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keras_1(tmp_path / "m.h5", np.array)
    legacy = LegacyH5(path)
    for target in (tmp_path / "none" / "x.h5", tmp_path):
        with pytest.raises(OutputError):
            legacy.write(target, model_config=None)
    os.utime(path, ns=(1, 1))
    with pytest.raises(BadFileError, match="changed"):
        legacy.write(tmp_path / "copy.h5", model_config=None)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'rewriter\[h5\]'"):
        LegacyH5(path).write(tmp_path / "copy.h5", model_config=None)
    assert sorted(os.listdir(tmp_path)) == ["m.h5"]


_FULL = """
import os, resource, signal, sys
from rewriter.errors import OutputError
from rewriter.formats.keras.legacy_h5 import LegacyH5
import h5py
legacy = LegacyH5(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in (100, 5000, 150_000, 290_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        legacy.write(sys.argv[2], model_config=None)
        sys.exit("written")
    except OutputError as error:
        assert error.about == sys.argv[2]
        assert "cannot be written" in str(error), error
"""


def test_no_room_is_an_error_and_nothing_else(tmp_path: Path) -> None:
    """HDF5 itself ends the process if it cannot write its buffers."""
    path = keras_1(tmp_path / "m.h5", np.array)
    with h5py.File(path, "r+") as file:
        for number in range(30):
            file[f"model_weights/dense_1/{number}"] = np.ones(2500, "f4")
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(path), str(tmp_path / "copy.h5")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["m.h5"]


def test_a_damaged_weight_ends_the_copy(tmp_path: Path) -> None:
    path = keras_1(tmp_path / "m.h5", np.array)
    with h5py.File(path, "r+") as file:
        made = file.create_dataset(
            "model_weights/dense_1/x", data=np.ones(100), chunks=(100,), fletcher32=True
        )
        at = made.id.get_chunk_info(0).byte_offset
    LegacyH5(path).write(tmp_path / "copy.h5", model_config=None)
    (tmp_path / "copy.h5").unlink()
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadFileError, match="checksum"):
        LegacyH5(path).write(tmp_path / "copy.h5", model_config=None)
    assert sorted(os.listdir(tmp_path)) == ["m.h5"]


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    def made(name: str, fill: Callable[[h5py.File], Any]) -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            fill(file)
        return tmp_path / name

    cases: dict[str, tuple[Callable[[h5py.File], Any], type[RewriterError], str]] = {
        "data": (lambda file: file.create_dataset("x", data=1), BadFileError, "neither a Keras model nor"),
        "ancient": (lambda file: file.attrs.create("nb_layers", 3), UnsupportedError, "before 1.0"),
    }
    for name, (fill, kind, words) in cases.items():
        with pytest.raises(kind, match=words):
            LegacyH5(made(name, fill))
    (tmp_path / "pointer").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(BadFileError, match="git lfs pull"):
        LegacyH5(tmp_path / "pointer")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(BadFileError, match="empty"):
        LegacyH5(tmp_path / "empty")


# -- h5py's view of two files -----------------------------
def identical(one: Path, other: Path, but: frozenset[Any] | set[Any] = frozenset()) -> None:
    """All names, types, shapes, bits, filters and attributes are equal, but for some attributes."""
    with h5py.File(one) as a, h5py.File(other) as b:
        mine, theirs = described(a), described(b)
    assert mine.keys() - but == theirs.keys() - but
    assert [key for key in mine if key not in but and mine[key] != theirs[key]] == []
    assert len(mine) > len(but)


def described(file: h5py.File) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    items: dict[str, Any] = {"": file}
    file.visititems(items.__setitem__)
    for path, item in items.items():
        for name in item.attrs:
            attribute = item.attrs.get_id(name)
            value = item.attrs[name]
            found[path, name] = (kind(attribute.get_type()), attribute.shape, bits(value))
        found[path] = "group"
        if isinstance(item, h5py.Dataset):
            filters = (item.compression, item.compression_opts, item.shuffle, item.fletcher32)
            found[path] = (kind(item.id.get_type()), item.shape, filters, bits(item[()]))
    return found


def kind(of: Any) -> Any:
    text = of.get_class() == h5py.h5t.STRING
    how = (
        (of.is_variable_str(), of.get_cset(), None if of.is_variable_str() else of.get_strpad())
        if text
        else of.dtype
    )
    return of.get_class(), of.get_size(), how


def bits(value: Any) -> Any:
    if isinstance(value, h5py.Empty):
        return value.dtype
    array = np.asarray(value)
    return array.tolist() if array.dtype.kind in "OU" else array.tobytes()


def test_identical_sees_a_difference(tmp_path: Path) -> None:
    path = keras_1(tmp_path / "a.h5", np.array)
    other = keras_1(tmp_path / "b.h5", np.array)
    identical(path, other)

    def order(file: h5py.File) -> None:
        old = file["model_weights/dense_1/dense_1_W"][()]
        del file["model_weights/dense_1/dense_1_W"]
        file["model_weights/dense_1/dense_1_W"] = old.astype(">f4")

    changes: list[Callable[[h5py.File], Any]] = [
        order,
        lambda file: file.attrs.__setitem__("keras_version", "1.2.2"),
        lambda file: file["model_weights"].create_group("more"),
        lambda file: file["model_weights/dense_1/dense_1_b"].write_direct(np.zeros((2, 4), "f4")),
    ]
    for change in changes:
        other = keras_1(tmp_path / "b.h5", np.array)
        with h5py.File(other, "r+") as file:
            change(file)
        with pytest.raises(AssertionError):
            identical(path, other)
