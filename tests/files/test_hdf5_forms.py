"""Every supported form of HDF5 file, against h5py: values, attributes and names, bit for bit."""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rewriter.errors import BadFileError, RewriterError, UnsupportedError
from rewriter.files.hdf5 import Hdf5Index, relink
from rewriter.files.hdf5.checksum import fletcher32, lookup3
from tests.files.against_h5py import compare, same

Fill = Callable[[h5py.File], object]

OPTIONS: dict[str, dict[str, Any]] = {
    "earliest": {},
    "latest": {"libver": "latest"},
    "v108": {"libver": ("v108", "v108")},
    "track-order": {"track_order": True},
    "user-block": {"userblock_size": 1024},
    "latest-after-user-block": {"libver": "latest", "userblock_size": 512},
    "pages": {"libver": "latest", "fs_strategy": "page", "fs_persist": True},
}
FILTERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "shuffle": {"shuffle": True},
    "fletcher32": {"fletcher32": True},
    "all": {"compression": "gzip", "shuffle": True, "fletcher32": True},
}


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.random.default_rng(5).normal(size=shape) * 50).astype(dtype)


def values(file: h5py.File) -> None:
    group = file.create_group("a/b")
    for dtype in ("f2", ">f2", "f4", ">f4", "f8", ">f8", "i1", "u1", "<i4", ">u2", "i8", "?"):
        group[f"of-{dtype}"] = numbers((3, 5), dtype)
    group["fixed"] = np.array([b"abc", b"d", b""])
    group["words"] = np.array(["x", "yy\N{LATIN SMALL LETTER U WITH DIAERESIS}", ""], h5py.string_dtype())
    group["text"], group["scalar"], group["none"] = "hello", np.float32(7), np.zeros((0, 4), "f4")


def chunked(file: h5py.File) -> None:
    for name, filters in FILTERS.items():
        for dtype in (">f4", "f8", "u2", "i1"):
            options = {"chunks": (7, 11), **filters}
            file.create_dataset(f"{name}{dtype}", data=numbers((17, 29), dtype), **options)
            file.create_dataset(f"{name}{dtype}-one", data=numbers((7, 11), dtype), **options)
            file.create_dataset(
                f"{name}{dtype}-grows", data=numbers((5, 9), dtype), maxshape=(20, 30), **options
            )
    file.create_dataset("odd", data=numbers((5,), "u1"), chunks=(3,), fletcher32=True)
    file.create_dataset("many", data=numbers((2100,), "f4"), chunks=(1,))
    file.create_dataset("many-small", data=numbers((2100,), "f4"), chunks=(1,), compression="gzip")
    file.create_dataset("large", data=numbers((300_000,), "f4"), chunks=(200_000,), fletcher32=True)
    shrunk = file.create_dataset("shrunk", data=numbers((9, 11), "f4"), chunks=(2, 2), maxshape=(9, 11))
    shrunk.resize((3, 5))


def unwritten(file: h5py.File) -> None:
    part = file.create_dataset("part", (100, 90), ">f4", chunks=(10, 10), fillvalue=2.5, compression="gzip")
    part[15:38, 3:20] = 3
    ends = file.create_dataset("ends", (2100,), "i4", chunks=(1,), fillvalue=-7)
    ends[1500:1600] = 3
    ends[2099] = 5
    file.create_dataset("never", (10, 9), "f4", fillvalue=1.5)
    file.create_dataset("never-zero", (10, 9), "f4")
    file.create_dataset("never-in-chunks", (10, 9), "f4", chunks=(2, 2), fillvalue=1.5)


def room_for_all(file: h5py.File) -> None:
    """Chunks that lie one after another (an implicit index, in newer files)."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((3, 4))
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    space = h5py.h5s.create_simple((10, 9), (12, 15))
    made = h5py.h5d.create(file.id, b"early", h5py.h5t.NATIVE_FLOAT, space, properties)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, numbers((10, 9), "f4"))


def attributes(count: int) -> Fill:
    """Attributes of a group and of a dataset; newer files store more than eight in a heap."""

    def fill(file: h5py.File) -> None:
        for where in (file, file.create_dataset("d", data=1.0), file.create_group("g")):
            for number in range(count):
                where.attrs[f"a{number}"] = np.arange(5) + number
            where.attrs["empty"], where.attrs["nothing"] = h5py.Empty("f4"), np.array([])
            where.attrs["text"], where.attrs["bytes"] = "t\N{GREEK SMALL LETTER ALPHA}", b"tensorflow"
            where.attrs["fixed"], where.attrs["words"] = np.array([b"one", b"three"]), ["a", "bb"]
            where.attrs["true"], where.attrs["half"] = True, np.float16(1.5)
            where.attrs["big-endian"] = np.array([[1, 2], [3, 4]], ">i4")

    return fill


def links(count: int) -> Fill:
    return lambda file: [file.create_dataset(f"group/n{number}", data=number) for number in range(count)]


FILLS: dict[str, Fill] = {
    "values": values,
    "chunked": chunked,
    "unwritten": unwritten,
    "room-for-all": room_for_all,
    "attributes-3": attributes(3),
    "attributes-600": attributes(600),
    **{f"links-{count}": links(count) for count in (1, 9, 700)},
    "links-4000": links(4000),
}


def written(path: Path, fill: Fill, **options: Any) -> bytes:
    with h5py.File(path, "w", **options) as file:
        fill(file)
    return path.read_bytes()


def in_bytes(fill: Fill, tmp_path: Path, **options: Any) -> bytes:
    return written(tmp_path / "made.h5", fill, **options)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("fill", FILLS)
def test_equal_to_h5py(fill: str, options: str, tmp_path: Path) -> None:
    if fill == "links-4000" and options not in ("earliest", "latest"):
        pytest.skip("long, and the same as one of the other two")
    path = tmp_path / "made.h5"
    data = written(path, FILLS[fill], **OPTIONS[options])
    with h5py.File(path) as file:
        datasets, _ = compare(Hdf5Index(data), file)
    assert datasets


@pytest.mark.parametrize("options", ["latest", "v108", "track-order"])
def test_attributes_that_take_much_room(options: str, tmp_path: Path) -> None:
    """Over 4 KB they are huge objects of their heap, over 64 KB they fit nowhere else."""

    def fill(file: h5py.File) -> None:
        file.attrs["large"] = np.array([b"name_of_a_layer_%05d" % number for number in range(300)])
        file.attrs["larger"] = np.array([b"name_of_a_layer_%05d" % number for number in range(9000)])
        for number in range(60):
            file.attrs[f"l{number}"] = np.arange(400 + number)

    path = tmp_path / "made.h5"
    data = written(path, fill, **OPTIONS[options])
    with h5py.File(path) as file:
        assert compare(Hdf5Index(data), file) == (0, 62)
    assert Hdf5Index(data).attribute("", "larger")[8999] == "name_of_a_layer_08999"


def test_numbers_in_one_piece_are_not_copied(tmp_path: Path) -> None:
    data = bytearray(in_bytes(values, tmp_path, userblock_size=512))
    index = Hdf5Index(data)
    found = index.datasets("a/b")["of-f4"]
    mapped = index.values("a/b/of-f4")
    assert found.offset is not None
    data[found.offset : found.offset + 4] = struct.pack("<f", 123.0)
    assert mapped[0, 0] == 123
    assert mapped.shape == (3, 5)


def test_bfloat16_as_keras_writes_it(tmp_path: Path) -> None:
    import ml_dtypes

    wanted = np.arange(9).astype(ml_dtypes.bfloat16)

    def fill(file: h5py.File) -> None:
        file.create_dataset("b", data=wanted.view("V2")).attrs["dtype"] = "bfloat16"
        file.create_dataset("c", data=wanted.view("V2"), chunks=(4,), compression="gzip").attrs["dtype"] = (
            "bfloat16"
        )

    index = Hdf5Index(in_bytes(fill, tmp_path))
    for name in "bc":
        assert index.values(name).dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(index.values(name), wanted)
        assert same(index.values(name, as_stored=True), wanted.view("V2"))


def test_types_that_only_look_like_numbers(tmp_path: Path) -> None:
    """A float with another bias, an integer of 7 bits and an enumeration of 1 and 0 are as in h5py, or bytes."""

    def fill(file: h5py.File) -> None:
        odd = h5py.h5t.IEEE_F32LE.copy()
        odd.set_ebias(100)
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"bias", odd, space)
        few = h5py.h5t.STD_I8LE.copy()
        few.set_precision(7)
        h5py.h5d.create(file.id, b"seven", few, space)
        turned = h5py.h5t.enum_create(h5py.h5t.STD_I8LE)
        turned.enum_insert(b"FALSE", 1)
        turned.enum_insert(b"TRUE", 0)
        h5py.h5d.create(file.id, b"turned", turned, space)
        file["bool"] = np.array([True, False])

    for options in ({}, {"libver": "latest"}):
        index = Hdf5Index(in_bytes(fill, tmp_path, **options))
        for name in ("bias", "seven"):
            with pytest.raises(UnsupportedError, match="neither numbers nor strings"):
                index.values(name)
        found = index.datasets()
        assert {name: dataset.dtype for name, dataset in found.items()} == {
            "bias": "|V4",
            "seven": "|V1",
            "turned": "|i1",
            "bool": "|b1",
        }


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("lists", (1,), h5py.vlen_dtype("i4"))
        file["reference"] = file["lists"].ref
        file.attrs["region"] = file["lists"].regionref[:]

    index = Hdf5Index(in_bytes(fill, tmp_path))
    for name in ("lists", "reference"):
        with pytest.raises(UnsupportedError, match="neither numbers nor strings"):
            index.values(name)
    with pytest.raises(UnsupportedError, match="neither numbers nor strings"):
        index.attribute_values("", "region")
    with pytest.raises(KeyError):
        index.values("none")


def test_checksums() -> None:
    """lookup3 of known texts (the hash of Bob Jenkins's self-test), and Fletcher's by its definition."""
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551
    data = np.random.default_rng(1).integers(0, 256, 200_001, np.uint8).tobytes()
    low = high = 0
    for at in range(0, len(data), 2):
        low = (low + int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")) % 65535
        high = (high + low) % 65535
    assert fletcher32(data) == high << 16 | low
    assert fletcher32(bytes(100)) == 0
    assert fletcher32(b"\xff" * 4) == 0xFFFFFFFF


# Broken and hostile files, each with a valid twin


def read_all(data: bytes) -> None:
    index = Hdf5Index(data)
    for name in index.attributes():
        index.attribute_values("", name)
    for path, dataset in index.walk():
        for name in index.attributes(path):
            index.attribute_values(path, name)
        if dataset is not None:
            index.values(path)


def refused(data: bytes, match: str, kind: type[RewriterError] = BadFileError) -> None:
    with pytest.raises(kind, match=match) as caught:
        read_all(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["SoftLink", "ExternalLink"])
@pytest.mark.parametrize("options", ["latest", "track-order"])
def test_links_that_are_not_plain(options: str, kind: str, tmp_path: Path) -> None:
    where = ("/a",) if kind == "SoftLink" else ("/etc/passwd", "/a")
    for others in (0, 20):

        def fill(file: h5py.File, others: int = others) -> None:
            links(others)(file)
            file["group/link"] = getattr(h5py, kind)(*where)

        words = "soft link: link" if kind == "SoftLink" else "external file: link"
        refused(in_bytes(fill, tmp_path, **OPTIONS[options]), words)


def test_a_user_defined_link(tmp_path: Path) -> None:
    """An external link whose kind is changed to that of a user-defined link."""
    good = in_bytes(lambda file: file.__setitem__("link", h5py.ExternalLink("/etc/passwd", "/a")), tmp_path)
    refused(good, "external file: link")
    bad, changed = re.subn(b"\x01[\x08-\x1f]\x40", lambda found: found[0][:2] + b"\x41", good)
    assert changed == 1
    refused(bad, "user-defined link: link")


def test_an_object_under_two_names(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        links(3)(file)
        file["again"] = file["group/n1"]

    for options in ("earliest", "latest"):
        refused(in_bytes(fill, tmp_path, **OPTIONS[options]), "twice")
        read_all(in_bytes(links(3), tmp_path, **OPTIONS[options]))


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    """One changed bit in every structure of newer files."""

    def fill(file: h5py.File) -> None:
        links(40)(file)
        attributes(30)(file)
        file.create_dataset("x", data=numbers((40, 40), "f4"), chunks=(10, 10), fletcher32=True)

    def continued(file: h5py.File) -> None:
        group, _ = file.create_group("g"), file.create_group("h")
        for number in range(7):
            group.attrs[f"a{number}"] = np.arange(90)

    good = in_bytes(fill, tmp_path, libver="latest")
    made = [
        good,
        in_bytes(continued, tmp_path, libver="latest"),
        in_bytes(links(700), tmp_path, libver="latest"),
    ]
    for magic in (b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB", b"BTHD", b"BTLF", b"BTIN", b"FAHD", b"FADB"):
        base = next(data for data in made if magic in data)
        at = base.index(magic)
        bad = bytearray(base)
        bad[at + 12] ^= 1
        refused(bytes(bad), "HDF5")
    refused(good[:20] + b"\1" + good[21:], "superblock")
    content = Hdf5Index(good).dataset("x").chunks
    assert content is not None
    bad = bytearray(good)
    bad[content.stored[3].address + 7] ^= 1
    refused(bytes(bad), "damaged chunk: wrong checksum")


def compressed(tmp_path: Path) -> tuple[bytes, int, int]:
    """A file with one deflated chunk, the offset of the chunk and its length."""

    def fill(file: h5py.File) -> None:
        file.create_dataset("x", data=np.zeros(4000, "f4"), chunks=(4000,), compression="gzip")

    data = in_bytes(fill, tmp_path)
    chunks = Hdf5Index(data).dataset("x").chunks
    assert chunks is not None
    return data, chunks.stored[0].address, chunks.stored[0].size


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0" * 30, "damaged chunk"),
        (zlib.compress(bytes(20_000), 4), "more than it declares"),
        (zlib.compress(bytes(15_000), 4), "15000 bytes where 16000 belong"),
        (zlib.compress(bytes(16_000), 4)[:-8], "cut short"),
    ],
)
def test_a_chunk_that_inflates_to_something_else(content: bytes, words: str, tmp_path: Path) -> None:
    data, at, size = compressed(tmp_path)
    key = data.index(struct.pack("<LLQQQ", size, 0, 0, 0, at))
    bad = bytearray(data)
    bad[key : key + 4] = struct.pack("<L", len(content))
    bad[at : at + len(content)] = content
    refused(bytes(bad), words)
    assert not Hdf5Index(data).values("x").any()


def test_what_a_small_file_may_declare(tmp_path: Path) -> None:
    """A bomb, and a large honest file of zeros that deflates nearly as well."""

    def zeros(file: h5py.File) -> None:
        file.create_dataset("x", data=np.zeros(3_000_000, "f4"), chunks=(3_000_000,), compression="gzip")

    good = in_bytes(zeros, tmp_path)
    assert len(good) < 20_000
    assert not Hdf5Index(good).values("x").any()
    bomb = good.replace(struct.pack("<Q", 3_000_000), struct.pack("<Q", 300_000_000))
    bomb = bomb.replace(struct.pack("<LL", 3_000_000, 4), struct.pack("<LL", 300_000_000, 4))
    refused(bomb, "chunk that declares 1200000000 bytes")

    def never(size: int) -> Fill:
        return lambda file: [file.create_dataset(f"x{k}", (size,), "u1") for k in range(3)]

    assert Hdf5Index(in_bytes(never(300_000), tmp_path)).values("x2").shape == (300_000,)
    refused(in_bytes(never(2_000_000), tmp_path), "declares 2000000 bytes and stores 0")
    refused(in_bytes(never(1_000_000), tmp_path), "more content than")


def test_chunks_that_share_their_bytes_are_counted_each(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file.create_dataset("x", data=np.zeros((64, 4000), "f4"), chunks=(1, 4000), compression="gzip")

    good = bytearray(in_bytes(fill, tmp_path, libver="latest"))
    chunks = Hdf5Index(bytes(good)).dataset("x").chunks
    assert chunks is not None
    first = struct.pack("<Q", chunks.stored[0].address)
    at = good.index(first, good.index(b"FADB"))
    entry = good.index(struct.pack("<Q", chunks.stored[1].address), at) - at
    size = len(good)
    for number in range(64):  # each claims all of the file
        place = at + entry * number
        good[place : place + 8] = struct.pack("<Q", 0)
        good[place + 8 : place + entry - 4] = size.to_bytes(entry - 12, "little")
    block = good.index(b"FADB")
    end = at + entry * 64
    good[end : end + 4] = struct.pack("<L", lookup3(bytes(good[block:end])))
    refused(bytes(good), "more content than")


def test_an_attribute_twice_is_refused(tmp_path: Path) -> None:
    good = in_bytes(lambda file: file.attrs.update({"aaa1": 1, "aaa2": 2}), tmp_path)
    assert Hdf5Index(good).attributes() == ["aaa1", "aaa2"]
    bad = good.replace(b"aaa2", b"aaa1")
    refused(bad, "an attribute twice: aaa1")


def test_a_file_that_was_not_closed(tmp_path: Path) -> None:
    good = bytearray(in_bytes(lambda file: None, tmp_path, libver="latest"))
    good[11] |= 1
    good[44:48] = struct.pack("<L", lookup3(bytes(good[:44])))
    refused(bytes(good), "not closed", UnsupportedError)


@pytest.mark.parametrize("options", ["latest", "track-order", "user-block"])
def test_relink(options: str, tmp_path: Path) -> None:
    path = tmp_path / "made.h5"

    def fill(file: h5py.File) -> None:
        for number in range(3):
            file[f"n{number}"] = number

    data = bytearray(written(path, fill, **OPTIONS[options]))
    if options != "user-block":
        with pytest.raises(UnsupportedError, match="new-style"):
            relink(data, "", {"n0": "n1", "n1": "n0"})
        return
    for at, content in relink(data, "", {"n0": "n1", "n1": "n0"}):
        data[at : at + len(content)] = content
    path.write_bytes(data)
    with h5py.File(path) as file:
        assert {name: int(value[()]) for name, value in file.items()} == {"n0": 1, "n1": 0, "n2": 2}


def test_every_cut_is_refused(tmp_path: Path) -> None:
    good = in_bytes(links(20), tmp_path, libver="latest")
    for size in range(0, len(good), 61):
        with pytest.raises(BadFileError):
            Hdf5Index(good[:size])


@pytest.mark.parametrize("options", OPTIONS)
def test_damage_never_escapes_as_another_error(options: str, tmp_path: Path) -> None:
    """Bytes change anywhere; half of the mutants get correct checksums."""

    def fill(file: h5py.File) -> None:
        links(12)(file)
        attributes(12)(file)
        values(file)
        file.create_dataset(
            "c", data=numbers((20, 20), "f4"), chunks=(7, 7), compression="gzip", shuffle=True
        )

    good = in_bytes(fill, tmp_path, **OPTIONS[options])
    rng = np.random.default_rng(3)
    for _ in range(60):
        bad = bytearray(good)
        for _ in range(rng.integers(1, 5)):
            at = int(rng.integers(0, len(good) - 8))
            bad[at : at + 8] = [bytes(8), b"\xff" * 8, rng.bytes(8), struct.pack("<Q", at)][
                rng.integers(0, 4)
            ]
        with contextlib.suppress(RewriterError):
            read_all(bytes(bad))
