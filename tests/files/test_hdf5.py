"""The HDF5 index and relink against h5py, pyfive and Keras; hostile files."""

from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyfive
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewriter.errors import BadFileError, RewriterError, UnsupportedError
from rewriter.files.hdf5 import Hdf5Index, relink
from rewriter.files.zip import Archive, rewrite


def written(fill: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w", **options) as file:
        fill(file)
    return stream.getvalue()


def layers(names: list[str]) -> bytes:
    """One group for each name as Keras writes it: `vars` with the attribute `name`, and a dataset 0."""

    def fill(file: h5py.File) -> None:
        for number, name in enumerate(names):
            group = file.create_group(f"layers/{name}").create_group("vars")
            group.attrs["name"] = f"the_{name}"
            group["0"] = np.full((2, 3), number, "float32")

    return written(fill)


def patched(data: bytes, patches: list[tuple[int, bytes]]) -> bytes:
    out = bytearray(data)
    for offset, content in patches:
        out[offset : offset + len(content)] = content
    return bytes(out)


def h5_layers(data: bytes) -> dict[str, tuple[str, float]]:
    with h5py.File(io.BytesIO(data)) as file:
        return {
            name: (group["vars"].attrs["name"], float(group["vars/0"][1, 2]))
            for name, group in file["layers"].items()
        }


def fill_kinds(file: h5py.File) -> None:
    group = file.create_group("a/b")
    for dtype in ("f2", "f4", ">f4", "f8", "i1", "u1", "<i4", ">u2", "i8", "c8", "?"):
        group[f"d_{dtype}"] = np.ones((3, 5), dtype)
    group["strings"] = np.array([b"abc", b"d"])
    group["scalar"] = np.float32(7)
    group["none"] = np.zeros((0, 4), "f4")
    group.create_dataset(
        "chunked", data=np.ones((50, 70), "f4"), chunks=(7, 11), compression="gzip", shuffle=True
    )
    group.create_dataset("plain_chunks", data=np.ones((5, 7), "f4"), chunks=(2, 3))


def test_shapes_and_types_equal_those_of_h5py_and_pyfive() -> None:
    data = written(fill_kinds)
    index = Hdf5Index(data)
    mine = {name: (d.shape, np.dtype(d.dtype).itemsize) for name, d in index.datasets("a/b").items()}
    with h5py.File(io.BytesIO(data)) as file:
        assert mine == {name: (d.shape, d.dtype.itemsize) for name, d in file["a/b"].items()}
        plain = {name: d.dtype for name, d in file["a/b"].items() if d.dtype.kind in "fiub"}
    assert {name: np.dtype(index.datasets("a/b")[name].dtype) for name in plain} == plain
    fives = pyfive.File(io.BytesIO(data))["a/b"]
    assert {name: shape for name, (shape, _) in mine.items()} == {name: fives[name].shape for name in fives}


def test_contiguous_content_lies_where_the_index_says() -> None:
    values = np.arange(30, dtype=">i4").reshape(5, 6)
    data = written(lambda file: file.create_dataset("x", data=values))
    found = Hdf5Index(data).datasets()["x"]
    assert found.offset is not None
    np.testing.assert_array_equal(
        np.frombuffer(data, found.dtype, 30, found.offset).reshape(found.shape), values
    )
    assert Hdf5Index(written(fill_kinds)).datasets("a/b")["chunked"].offset is None


def test_compact_dataset() -> None:
    def fill(file: h5py.File) -> None:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((2, 3))
        h5py.h5d.create(file.id, b"c", h5py.h5t.NATIVE_FLOAT, space, properties).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.arange(6, dtype="f4").reshape(2, 3)
        )

    data = written(fill)
    found = Hdf5Index(data).datasets()["c"]
    assert found.offset is not None
    assert np.frombuffer(data, found.dtype, 6, found.offset).tolist() == [0, 1, 2, 3, 4, 5]


def test_bfloat16_as_keras_marks_it() -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("b", data=np.zeros(3, "V2")).attrs["dtype"] = "bfloat16"
        file.create_dataset("v", data=np.zeros(3, "V2"))

    found = Hdf5Index(written(fill)).datasets()
    assert (found["b"].dtype, found["v"].dtype) == ("bfloat16", "|V2")


def test_text_attributes() -> None:
    long = "x" * 300_000

    def fill(file: h5py.File) -> None:
        file.attrs["config"] = long
        file.attrs["bytes"] = b"tensorflow"
        file.attrs["names"] = np.array([b"one", b"three"])
        file.attrs["words"] = ["eins", "zw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf"]
        file.attrs["number"] = 5
        file.attrs["cut"] = "aXb"

    index = Hdf5Index(written(fill).replace(b"aXb", b"a\0b"))
    assert index.attribute("", "cut") == "a", "as h5py"
    assert index.attribute("", "config") == long
    assert index.attribute("", "bytes") == "tensorflow"
    assert index.attribute("/", "names") == ["one", "three"]
    assert index.attribute("", "words") == ["eins", "zw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf"]
    assert index.attribute("", "missing") is None
    with pytest.raises(UnsupportedError, match="not text"):
        index.attribute("", "number")
    with pytest.raises(KeyError):
        index.attribute("nothing", "x")


def test_walk_groups_and_names() -> None:
    index = Hdf5Index(layers(["gru", "gru_1"]))
    assert index.groups() == ["layers"]
    assert index.groups("/layers/") == ["gru", "gru_1"]
    assert index.attr_name("layers/gru_1/vars") == "the_gru_1"
    assert index.attr_name("layers/gru_1") is None
    assert [path for path, _ in index.walk()][:4] == [
        "layers",
        "layers/gru",
        "layers/gru/vars",
        "layers/gru/vars/0",
    ]
    assert "layers/gru/vars/0" in index
    assert "layers/gru/vars/0/x" not in index
    with pytest.raises(KeyError):
        index.groups("layers/gru/vars/0")
    assert Hdf5Index(written(lambda file: None)).groups() == []


def numbered(count: int) -> list[str]:
    return ["gru", *(f"gru_{i}" for i in range(1, count))]


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_permutation_reads_back_in_h5py(data: st.DataObject) -> None:
    names = numbered(data.draw(st.integers(1, 300)))
    mapping = dict(zip(names, data.draw(st.permutations(names)), strict=True))
    before = layers(names)
    patches = relink(before, "layers", mapping)
    after = patched(before, patches)
    old = h5_layers(before)
    assert h5_layers(after) == {mapping[name]: old[name] for name in names}
    assert len(patches) == sum(name != new for name, new in mapping.items())
    index = Hdf5Index(after)
    assert {new: index.attr_name(f"layers/{new}/vars") for new in names} == {
        mapping[name]: f"the_{name}" for name in names
    }
    back = {new: name for name, new in mapping.items()}
    assert patched(after, relink(after, "layers", back)) == before


def test_a_tree_of_three_levels() -> None:
    names = numbered(7000)
    before = written(
        lambda file: [file.create_dataset(name, data=number) for number, name in enumerate(names)]
    )
    mapping = dict(zip(names, names[1:] + names[:1], strict=True))
    assert before.count(b"TREE\0\2") == 1
    with h5py.File(io.BytesIO(patched(before, relink(before, "", mapping)))) as file:
        assert {mapping[name]: number for number, name in enumerate(names)} == {
            n: d[()] for n, d in file.items()
        }


def test_identity_needs_no_patch_and_datasets_can_be_relinked() -> None:
    data = layers(["a", "b", "c"])
    assert relink(data, "layers", {}) == []
    assert relink(data, "layers", {"a": "a", "b": "b"}) == []
    two = written(lambda file: [file.create_dataset(n, data=[i]) for i, n in enumerate("xy")])
    with h5py.File(io.BytesIO(patched(two, relink(two, "", {"x": "y", "y": "x"})))) as file:
        assert (file["x"][0], file["y"][0]) == (1, 0)


def test_a_group_and_a_dataset_swap() -> None:
    def fill(file: h5py.File) -> None:
        file.create_group("g")["inner"] = 5
        file["d"] = 7

    data = written(fill)
    with h5py.File(io.BytesIO(patched(data, relink(data, "/", {"g": "d", "d": "g"})))) as file:
        assert (file["d/inner"][()], file["g"][()]) == (5, 7)


@pytest.mark.parametrize("mapping", [{"a": "b"}, {"a": "b", "b": "b"}, {"a": "new"}, {"a": "x", "x": "a"}])
def test_what_is_no_permutation_of_names_is_refused(mapping: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="permutation|has no"):
        relink(layers(["a", "b"]), "layers", mapping)


def test_keras_loads_the_swapped_weights(tmp_path: Path) -> None:
    import keras

    inputs = keras.Input((5, 3))
    first = keras.layers.GRU(3, return_sequences=True, name="first")
    second = keras.layers.GRU(3, return_sequences=True, name="second")
    model = keras.Model(inputs, second(first(inputs)))
    path, swapped = tmp_path / "m.keras", tmp_path / "s.keras"
    model.save(path)
    with Archive(path) as archive:
        view = archive.open_raw("model.weights.h5")
        index = Hdf5Index(view)
        where = {index.attr_name(f"layers/{group}/vars"): group for group in index.groups("layers")}
        shapes = {name: d.shape for name, d in index.datasets("layers/gru/cell/vars").items()}
        assert (where["first"], where["second"]) == ("gru", "gru_1")
        assert shapes == {"0": (3, 9), "1": (3, 9), "2": (2, 9)}
        patches = relink(view, "layers", {"gru": "gru_1", "gru_1": "gru"})
        assert len(patches) == 2
        rewrite(archive, swapped, patch={"model.weights.h5": patches})
    loaded = keras.models.load_model(swapped)
    for mine, theirs in (("first", second), ("second", first)):
        got = loaded.get_layer(mine).get_weights()
        for value, wanted in zip(got, theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(value, wanted)
    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])

    model.save(tmp_path / "m.h5")
    legacy = Hdf5Index((tmp_path / "m.h5").read_bytes())
    assert '"class_name": "Functional"' in str(legacy.attribute("", "model_config"))
    assert legacy.attribute("model_weights", "layer_names") == [layer.name for layer in model.layers]
    assert {dataset.shape for _, dataset in legacy.walk() if dataset} == {(3, 9), (2, 9)}


# Hostile and broken files


def refused(data: bytes, kind: type[RewriterError], match: str) -> None:
    with pytest.raises(kind, match=match) as caught:
        Hdf5Index(data)
    assert "\n" not in str(caught.value)


def test_empty_and_garbage() -> None:
    good = layers(["a"])
    refused(b"", BadFileError, "empty")
    refused(b"x", BadFileError, "signature")
    refused(b"\0" * 5000, BadFileError, "signature")
    refused(b"\x89HDF\r\n\x1a\n", BadFileError, "cut short")
    refused(b"\0" * 700 + good, BadFileError, "signature")


def test_every_truncation_is_refused() -> None:
    good = layers(numbered(20))
    for size in range(0, len(good), 97):
        with pytest.raises(BadFileError):
            Hdf5Index(good[:size])


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_damage_never_escapes_as_another_error(data: st.DataObject) -> None:
    good = DAMAGED[data.draw(st.integers(0, len(DAMAGED) - 1))]
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(good) - 8))
        bad[at : at + 8] = data.draw(
            st.sampled_from([b"\xff" * 8, b"\0" * 8, struct.pack("<Q", data.draw(st.integers(0, len(good))))])
        )
    try:
        index = Hdf5Index(bytes(bad))
        for path, _ in index.walk():
            index.attribute(path, "name")
    except RewriterError:
        pass


DAMAGED = [layers(numbered(12)), written(fill_kinds)]


def test_a_cycle_is_refused() -> None:
    good = layers(["a", "b"])
    index = Hdf5Index(good)
    slot, root = index.links("layers")["a"].slot, index.links("")["layers"].slot
    refused(patched(good, [(slot, good[root : root + 32])]), BadFileError, "twice")
    root_entry = 24 + 32 + 8
    refused(patched(good, [(slot, good[root_entry : root_entry + 32])]), BadFileError, "twice")


def test_links_that_are_not_plain_are_refused() -> None:
    def soft(file: h5py.File) -> None:
        file["a"] = 1
        file["b"] = h5py.SoftLink("/a")

    def external(file: h5py.File) -> None:
        file["b"] = h5py.ExternalLink("/etc/other.h5", "/a")

    def hard(file: h5py.File) -> None:
        file["a"] = 1
        file["b"] = file["a"]

    refused(written(soft), BadFileError, "soft link: b")
    refused(written(external), BadFileError, "external")
    refused(written(hard), BadFileError, "twice")


def test_cached_addresses_must_be_those_of_the_group() -> None:
    good = layers(["a", "b"])
    links = Hdf5Index(good).links("layers")
    tail = good[links["b"].slot + 16 : links["b"].slot + 32]
    refused(patched(good, [(links["a"].slot + 16, tail)]), BadFileError, "contradicts")


def test_storage_outside_the_dataset_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\0" * 400)

    def external(file: h5py.File) -> None:
        file.create_dataset("x", shape=(100,), dtype="f4", external=[(str(secret), 0, 400)])

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", shape=(4,))
        file.create_virtual_dataset("v", layout)

    refused(written(external), BadFileError, "another file")
    refused(written(virtual), BadFileError, "virtual")


def test_shape_bombs_are_refused_without_allocating() -> None:
    side = 50_000_000
    refused(written(lambda f: f.create_dataset("x", (side, side), "f4")), BadFileError, "stores 0")
    refused(
        written(lambda f: f.create_dataset("x", (side, side), "f4", chunks=(1000, 1000))),
        BadFileError,
        "stores 0",
    )
    bomb = written(lambda f: f.create_dataset("x", (side, side), "f4", chunks=(100, 100), compression="gzip"))
    refused(bomb, BadFileError, "stores 0")

    def one_chunk(file: h5py.File) -> None:
        file.create_dataset("x", (10_000, 10_000), "f4", chunks=(100, 100), compression="gzip")[
            :100, :100
        ] = 1

    refused(written(one_chunk), BadFileError, "declares 400000000 bytes")
    good = written(lambda f: f.create_dataset("x", data=np.ones((3, 5), "f4")))
    wide = good.replace(struct.pack("<2Q", 3, 5), struct.pack("<2Q", side, side))
    assert wide != good
    refused(wide, BadFileError, "declares 10000000000000000 bytes and stores 60")


def test_forms_that_are_not_read_are_named() -> None:
    for options, name in (({"compression": "lzf"}, "lzf"), ({"scaleoffset": 4}, "scaleoffset")):
        data = written(lambda f, options=options: f.create_dataset("x", data=np.ones(9), **options))
        refused(data, UnsupportedError, f"filter {name}")
    for limits, name in (((None,), "extensible array"), ((None, None), "B-tree")):
        ones = np.ones((9,) * len(limits))
        data = written(
            lambda f, ones=ones, limits=limits: f.create_dataset("x", data=ones, maxshape=limits),
            libver="latest",
        )
        refused(data, UnsupportedError, name)
    refused(
        written(lambda f: f.create_dataset("x", data=h5py.Empty("f4"))), UnsupportedError, "without a shape"
    )


def test_free_blocks_in_a_circle_are_refused() -> None:
    """Found by mutation: h5py 3.14 (HDF5 1.14.6) does not return from opening such a group."""
    good = layers(numbered(3))
    heap = good.rindex(b"HEAP")
    free, start = struct.unpack_from("<QQ", good, heap + 16)
    assert struct.unpack_from("<Q", good, start + free) == (1,)
    refused(patched(good, [(start + free, struct.pack("<Q", free))]), BadFileError, "local heap")


def test_text_of_no_length_is_refused() -> None:
    """Found by mutation: an IndexError."""
    good = written(lambda file: file.attrs.create("name", np.bytes_(b"abc")))
    at = good.index(struct.pack("<4BL", 0x13, 1, 0, 0, 3))
    with pytest.raises(BadFileError, match="damaged datatype"):
        Hdf5Index(patched(good, [(at + 4, bytes(4))])).attr_name("")


def test_names_out_of_order_are_refused() -> None:
    """libhdf5 searches the tree, so it would not find a name that a scan finds."""
    good = layers(["aaaa", "bbbb", "cccc"])
    bad = good.replace(b"bbbb\0", b"dddd\0", 1)
    refused(bad, BadFileError, "out of order")
    refused(good.replace(b"bbbb\0", b"aaaa\0", 1), BadFileError, "out of order")
    refused(good.replace(b"bbbb\0", b"b/bb\0", 1), BadFileError, "impossible name")


def test_deep_groups() -> None:
    deep = written(lambda f: f.create_group("/".join("g" * 150)))
    assert sum(1 for _ in Hdf5Index(deep).walk()) == 150
    with pytest.raises(UnsupportedError, match="deep"):
        Hdf5Index(written(lambda f: f.create_group("/".join("g" * 1500))))


def test_all_pairs_of_a_small_group() -> None:
    names = numbered(4)
    data = layers(names)
    old = h5_layers(data)
    for order in itertools.permutations(names):
        mapping = dict(zip(names, order, strict=True))
        assert h5_layers(patched(data, relink(data, "layers", mapping))) == {
            mapping[n]: old[n] for n in names
        }
