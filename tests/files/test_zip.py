"""Archives: reading, copying, refusals, and the atomic write."""

from __future__ import annotations

import dataclasses
import errno
import io
import os
import random
import stat
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewriter.errors import BadFileError, OutputError, RewriterError
from rewriter.files.atomic import atomic_write
from rewriter.files.zip import Archive, reader, records, rewrite, rewriting
from rewriter.files.zip.crc import appended

CONTENT = {
    "metadata.json": b'{"keras_version": "3.15.1"}',
    "config.json": b'{"class_name": "Functional"}' * 50,
    "model.weights.h5": random.Random(7).randbytes(700_001),
    "assets/layer/vocabulary.txt": b"one\ntwo\n",
}


def zipped(
    content: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in (CONTENT if content is None else content).items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10)), data, method)
        archive.comment = comment
    return stream.getvalue()


class _Unseekable(io.RawIOBase):
    """A stream on which `zipfile` writes data descriptors."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(bytes(data))


def streamed(content: dict[str, bytes], *, zip64: bool = False, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = _Unseekable()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in content.items():
            with archive.open(name, "w", force_zip64=zip64) as member:
                member.write(data)
    return bytes(stream.data)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[bytes], Path]:
    def save(data: bytes, name: str = "m.keras") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return save


Saved = Callable[..., Path]


def refused(path: Path, match: str) -> None:
    with pytest.raises(BadFileError, match=match) as caught:
        Archive(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


FORMS = {
    "stored": zipped(),
    "deflated": zipped(method=zipfile.ZIP_DEFLATED),
    "comment": zipped(comment=b"made by hand"),
    "descriptors": streamed(CONTENT),
    "stored with descriptors": streamed(CONTENT, method=zipfile.ZIP_STORED),
    "zip64 descriptors": streamed(CONTENT, zip64=True),
    "empty": zipped({}),
    "directory": zipped({"assets/": b"", "assets/x": b"1"}),
    "not ASCII": zipped({"assets/gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n": b"1"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_reads_what_zipfile_reads_and_copies_byte_for_byte(form: str, saved: Saved, tmp_path: Path) -> None:
    path = saved(FORMS[form])
    with Archive(path) as archive, zipfile.ZipFile(path) as oracle:
        assert archive.names() == oracle.namelist()
        for name in oracle.namelist():
            assert archive.read(name, 1 << 20) == oracle.read(name) == bytes(archive.open_raw(name))
            assert archive.size(name) == oracle.getinfo(name).file_size
        rewrite(archive, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == FORMS[form]


@pytest.mark.parametrize("form", ["stored", "deflated", "comment", "descriptors", "zip64 descriptors"])
def test_replaced_and_patched_members(form: str, saved: Saved, tmp_path: Path) -> None:
    path, out = saved(FORMS[form]), tmp_path / "out.keras"
    weights = bytearray(CONTENT["model.weights.h5"])
    block = reader.BLOCK
    patches = [(0, b"first"), (block - 2, b"across"), (2 * block, b"\0" * 9), (len(weights) - 3, b"end")]
    for offset, data in patches:
        weights[offset : offset + len(data)] = data
    with Archive(path) as archive:
        rewrite(archive, out, {"config.json": b"{}" * 3000}, {"model.weights.h5": patches[::-1]})
    wanted = {**CONTENT, "config.json": b"{}" * 3000, "model.weights.h5": bytes(weights)}
    with zipfile.ZipFile(out) as oracle, zipfile.ZipFile(path) as old, Archive(out) as again:
        assert oracle.testzip() is None
        assert {name: oracle.read(name) for name in oracle.namelist()} == wanted
        assert {name: again.read(name, 1 << 20) for name in again.names()} == wanted
        assert oracle.namelist() == old.namelist()
        assert oracle.comment == old.comment
        for name in wanted:
            new, was = oracle.getinfo(name), old.getinfo(name)
            assert (new.date_time, new.external_attr, new.compress_type, new.create_system, new.comment) == (
                was.date_time, was.external_attr, was.compress_type, was.create_system, was.comment
            )  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_patches(data: st.DataObject, tmp_path: Path) -> None:
    content = random.Random(data.draw(st.integers(0, 9))).randbytes(
        data.draw(st.integers(1, 3 * reader.BLOCK))
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=12)))
    patches = [(a, os.urandom(min(b - a, 5000))) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    (tmp_path / "in").write_bytes(zipped({"a": b"1", "w": content, "z": b"2"}, method))
    with Archive(tmp_path / "in") as archive:
        rewrite(archive, tmp_path / "out", patch={"w": patches})
    wanted = bytearray(content)
    for offset, piece in patches:
        wanted[offset : offset + len(piece)] = piece
    with zipfile.ZipFile(tmp_path / "out") as oracle:
        assert oracle.read("w") == wanted
        assert oracle.read("z") == b"2"


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=6), st.randoms(use_true_random=False)
)
def test_crc_of_a_change(pieces: list[tuple[bytes, bool]], rng: random.Random) -> None:
    difference = 0
    old = new = b""
    for piece, changed in pieces:
        other = rng.randbytes(len(piece)) if changed else piece
        old, new = old + piece, new + other
        difference = appended(difference, piece, other)
    assert zlib.crc32(old) ^ difference == zlib.crc32(new)


def test_a_member_written_with_zip64_fields_in_its_local_header_only(saved: Saved, tmp_path: Path) -> None:
    """CPython's zipfile does so for `force_zip64` and for sizes it does not know (zipfile.py, FileHeader, 3.11)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        with archive.open("w", "w", force_zip64=True) as member:
            member.write(b"weights")
        archive.writestr("z", b"z")
    with Archive(saved(stream.getvalue())) as source:
        assert source.read("w", 7) == b"weights"
        rewrite(source, tmp_path / "out", patch={"w": [(0, b"W")]})
    with zipfile.ZipFile(tmp_path / "out") as oracle:
        assert (oracle.read("w"), oracle.read("z")) == (b"Weights", b"z")


def test_more_than_four_gib(tmp_path: Path) -> None:
    """A sparse member of 4 GiB and one after it: zip64 in sizes and offsets."""
    size = (1 << 32) + 5
    path = tmp_path / "big"
    zero = bytes(1 << 24)
    crc = 0
    for _ in range(size >> 24):
        crc = zlib.crc32(zero, crc)
    crc = zlib.crc32(bytes(size & 0xFFFFFF), crc)
    first = records.Member(
        name="w", raw_name=b"w", made_by=0x31E, needs=45, flags=0, method=0, modified=b"\0\0\x21\0", crc=crc,
        stored=size, size=size, extra=b"", local_extra=b"", comment=b"", internal=0, external=0, start=0, data=0, end=0,
    )  # fmt: skip
    with path.open("wb") as stream:
        stream.write(records.local_header(first, wide=True))
        stream.seek(size, os.SEEK_CUR)
        start = stream.tell()
        last = dataclasses.replace(
            first, name="z", raw_name=b"z", stored=1, size=1, start=start, crc=zlib.crc32(b"z")
        )
        stream.write(records.local_header(last, wide=False) + b"z")
        stream.write(records.directory_bytes([first, last], stream.tell(), b""))
    with zipfile.ZipFile(path) as oracle, Archive(path) as archive:
        assert [(i.filename, i.file_size, i.header_offset) for i in oracle.infolist()] == [
            ("w", size, 0),
            ("z", 1, start),
        ]
        assert archive.read("z", 1) == b"z"
        assert archive.open_raw("w")[-3:] == bytes(3)


def test_a_changed_member_with_zip64_sizes(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form of members from 4 GiB on, in a small archive."""
    monkeypatch.setattr(rewriting, "is_wide", lambda size: True)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with Archive(saved(zipped(method=method))) as archive:
            rewrite(archive, tmp_path / "out", patch={"model.weights.h5": [(0, b"x")]})
        with zipfile.ZipFile(tmp_path / "out") as oracle, Archive(tmp_path / "out") as again:
            assert oracle.testzip() is None
            assert again.read("model.weights.h5", 1 << 20) == b"x" + CONTENT["model.weights.h5"][1:]
            rewrite(again, tmp_path / "twice", patch={"model.weights.h5": [(0, b"y")]})
        with zipfile.ZipFile(tmp_path / "twice") as oracle:
            assert oracle.testzip() is None


def test_interrupted_in_the_middle(tmp_path: Path) -> None:
    """A real SIGINT while a member is copied."""
    (tmp_path / "in").write_bytes(zipped({"w": bytes(50_000_000)}))
    script = (
        "import os, signal, sys\n"
        "from rewriter.files.zip import Archive, rewrite\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background processes of a shell ignore it
        "archive = Archive(sys.argv[1])\n"
        "read, calls = archive.read_at, []\n"
        "def interrupted(offset, size):\n"
        "    calls.append(offset)\n"
        "    if len(calls) == 20:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return read(offset, size)\n"
        "archive.read_at = interrupted\n"
        "rewrite(archive, sys.argv[2])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "in", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KeyboardInterrupt" in run.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_limits(saved: Saved) -> None:
    with Archive(saved(zipped({"c": bytes(300_000_000)}, zipfile.ZIP_DEFLATED))) as archive:
        with pytest.raises(BadFileError, match="300000000 bytes, more than the limit"):
            archive.read("c", 1 << 20)
        with pytest.raises(BadFileError, match="more than the limit"):
            archive.open_raw("c", 1 << 20)
        assert len(archive.open_raw("c")) == 300_000_000
    with Archive(saved(zipped({"c": b"abc"}))) as archive:
        assert archive.read("c", 3) == b"abc"
        with pytest.raises(KeyError):
            archive.read("d", 3)


def test_views_outlive_the_archive(saved: Saved) -> None:
    with Archive(saved(zipped())) as archive:
        view = archive.open_raw("model.weights.h5")
    assert view == CONTENT["model.weights.h5"]
    assert view.readonly


# Files that are not archives


def test_files_that_are_no_archive(saved: Saved, tmp_path: Path) -> None:
    refused(saved(b""), "empty")
    refused(saved(b"x"), "not a zip archive")
    for size in range(4, 22):  # the signature of an end record, and too few bytes for the record
        refused(saved(b"PK\5\6".ljust(size, b"\0")), "not a zip archive")
    refused(saved(os.urandom(100_000).replace(b"PK", b"..")), "not a zip archive")
    refused(saved(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"), "Git LFS pointer")
    refused(tmp_path, "is a directory")
    refused(tmp_path / "missing", "no such file")
    refused(tmp_path / "nul\0", "null")
    refused(Path("/dev/zero"), "not a regular file")


def test_a_fifo_never_blocks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=refused, args=(tmp_path / "pipe", "not a regular file"), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


def test_cut_and_junk(saved: Saved) -> None:
    good = zipped()
    refused(saved(good[: len(good) // 2]), "cut short")
    refused(saved(b"#!/bin/sh\n" + good), "10 bytes before the archive")
    refused(saved(good + b"junk"), "4 bytes after the archive")
    refused(saved(good + bytes(100_000)), "bytes follow the archive|cut short")
    refused(saved(zipped(comment=b"comment")[:-2]), "comment is cut")
    for size in range(1, len(good), 997):
        with pytest.raises(BadFileError):
            Archive(saved(good[:size]))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(form=st.sampled_from(["stored", "deflated", "zip64 descriptors"]), data=st.data())
def test_damage_is_refused_or_harmless(form: str, data: st.DataObject, tmp_path: Path) -> None:
    """A damaged archive reads as in CPython, or raises one of our errors."""
    small = {"a": b"alpha" * 9, "b": b"beta"}
    source = {
        "stored": zipped(small),
        "deflated": zipped(small, 8),
        "zip64 descriptors": streamed(small, zip64=True),
    }
    bad = bytearray(source[form])
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.sampled_from([0, 1, 8, 255, 80, 46, 47]))
    path = tmp_path / "bad"
    path.write_bytes(bad)
    try:
        with Archive(path) as archive:
            content = {name: archive.read(name, 1000) for name in archive.names()}
            rewrite(archive, tmp_path / "out", {name: content[name] for name in archive.names()[:1]})
    except RewriterError:
        return
    with zipfile.ZipFile(path) as oracle, zipfile.ZipFile(tmp_path / "out") as copy:
        assert {i.filename: oracle.read(i) for i in oracle.infolist() if not i.is_dir()} == content
        assert {i.filename: copy.read(i) for i in copy.infolist() if not i.is_dir()} == content


# Forbidden members


def with_names(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, b"1")
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a", "a"), ("config.json", "Config.JSON"), ("a", "a/")])
def test_duplicates(names: tuple[str, ...], saved: Saved) -> None:
    data = with_names(*names) if names[1] != "a/" else zipped({"a": b"", "a/": b""})
    refused(saved(data), "two members named")


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/etc/x",
        "a\\b",
        "C:/x",
        "a\nb",
        "a\x1b[31mb",
        "a//b",
        "./a",
        "a\u202eb",
        "a" * 9000 + "\n",
    ],
)
def test_unsafe_names(name: str, saved: Saved) -> None:
    refused(saved(with_names(name)), "unsafe name")


def test_nul_in_a_name(saved: Saved) -> None:
    refused(saved(zipped({"abc": b"1"}).replace(b"abc", b"a\0c")), "unsafe name")


def test_a_second_name_in_an_extra_field(saved: Saved) -> None:
    info = zipfile.ZipInfo("a")
    info.extra = struct.pack("<2HBL", 0x7075, 8, 1, zlib.crc32(b"a")) + b"cfg"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(info, b"1")
    refused(saved(stream.getvalue()), "second name")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices(mode: int, saved: Saved) -> None:
    stream = io.BytesIO()
    info = zipfile.ZipInfo("config.json")
    info.external_attr = (mode | 0o777) << 16
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    refused(saved(stream.getvalue()), "link or a special file")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compression(method: int, saved: Saved) -> None:
    refused(saved(zipped(method=method)), f"method {method}")


def central(data: bytes, number: int = 0) -> int:
    at = -1
    for _ in range(number + 1):
        at = data.index(b"PK\1\2", at + 1)
    return at


def changed(data: bytes, at: int, form: str, value: int) -> bytes:
    out = bytearray(data)
    struct.pack_into(form, out, at, value)
    return bytes(out)


def test_a_version_that_cpython_refuses(saved: Saved) -> None:
    """Found by `test_damage_is_refused_or_harmless`: zipfile.py 3.11, MAX_EXTRACT_VERSION."""
    data = zipped({"a": b"1"})
    refused(saved(changed(data, central(data) + 6, "<B", 64)), "version 6.4")
    Archive(saved(changed(data, central(data) + 6, "<B", 63))).close()


def test_encrypted(saved: Saved) -> None:
    data = zipped({"a": b"1"})
    refused(saved(changed(data, central(data) + 8, "<H", 1)), "encrypted")


@pytest.mark.parametrize(
    ("field", "form"), [(8, "<H"), (10, "<H"), (16, "<L"), (20, "<L"), (24, "<L"), (42, "<L"), (46, "<B")]
)
def test_directory_against_local_header(field: int, form: str, saved: Saved) -> None:
    data = zipped({"aa": b"1" * 50, "b": b"22"}, zipfile.ZIP_DEFLATED)
    at = central(data) + field
    was = struct.unpack_from(form, data, at)[0]
    with pytest.raises(BadFileError):
        Archive(saved(changed(data, at, form, was ^ 2)))


def test_overlap_and_gaps(saved: Saved) -> None:
    data = zipped({"a": b"1" * 100, "b": b"2" * 100})
    second = struct.unpack_from("<L", data, central(data, 1) + 42)[0]
    refused(saved(changed(data, central(data, 1) + 42, "<L", 0)), "overlaps")
    refused(saved(data[:second] + b"gap" + data[second:]), "before the archive")
    gap = data[:second] + b"gap" + data[second:]
    gap = changed(gap, central(gap, 1) + 42, "<L", second + 3)
    end = gap.rindex(b"PK\5\6") + 16
    gap = changed(gap, end, "<L", struct.unpack_from("<L", gap, end)[0] + 3)
    with zipfile.ZipFile(io.BytesIO(gap)) as oracle:
        assert oracle.read("b") == b"2" * 100
    refused(saved(gap), "member a is followed by 3 bytes that belong to no member")


def test_a_million_entries_cost_nothing(saved: Saved) -> None:
    data = zipped({"a": b"1"})
    at = len(data) - 22
    refused(
        saved(changed(changed(data, at + 8, "<H", 9), at + 10, "<H", 9)), "declares 9 members and lists 1"
    )
    record = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    many = record * 100_001
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 100_001, 100_001, len(many), 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(many), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(many), 0, 0)
    refused(saved(many + end64 + locator + end), "100001 members; more than 100000")
    refused(saved(many + end64 + locator + end.replace(b"\xff\xff", b"\1\0")), "contradict")


def test_a_large_honest_archive_opens(saved: Saved) -> None:
    with Archive(saved(zipped({f"assets/{i}": b"" for i in range(70_000)}))) as archive:
        assert len(archive.names()) == 70_000


# Content that differs from its declaration


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_wrong_crc(method: int, saved: Saved, tmp_path: Path) -> None:
    data = zipped({"a": b"1" * 50, "b": b"2"}, method)
    bad = changed(changed(data, 14, "<L", 77), central(data) + 16, "<L", 77)
    with Archive(saved(bad)) as archive:
        with pytest.raises(BadFileError, match="a is damaged: wrong CRC"):
            archive.read("a", 100)
        for changes in ({}, {"patch": {"a": [(0, b"x")]}}, {"replace": {"b": b"x"}}):
            with pytest.raises(BadFileError, match="wrong CRC"):
                rewrite(archive, tmp_path / "out", **changes)
        rewrite(archive, tmp_path / "out", {"a": b"new"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.keras", "out"]


def test_inflates_to_another_size(saved: Saved) -> None:
    data = zipped({"a": b"1" * 50}, zipfile.ZIP_DEFLATED)
    for size in (10, 500):
        bad = changed(changed(data, 22, "<L", size), central(data) + 24, "<L", size)
        with (
            Archive(saved(bad)) as archive,
            pytest.raises(BadFileError, match=f"the {size} bytes it declares"),
        ):
            archive.read("a", 1000)
    bad = changed(changed(data, 22, "<L", 10**6), central(data) + 24, "<L", 10**6)
    refused(saved(bad), "more than it can hold")


@pytest.mark.parametrize(
    ("body", "match"), [(b"\xff" * 9, "is damaged"), (b"\3\0junk", "bytes follow"), (b"\0", "cut short")]
)
def test_bad_deflate(body: bytes, match: str, saved: Saved) -> None:
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(body), 0, 1, 0) + b"a" + body
    entry = (
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(body), 0, 1, 0, 0, 0, 0, 0, 0)
        + b"a"
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(local), 0)
    with Archive(saved(local + entry + end)) as archive, pytest.raises(BadFileError, match=match):
        archive.read("a", 100)


def test_a_source_that_changes(saved: Saved, tmp_path: Path) -> None:
    path = saved(zipped())
    with Archive(path) as archive:
        os.utime(path, ns=(1, 1))
        with pytest.raises(BadFileError, match="changed while"):
            rewrite(archive, tmp_path / "out")
    with Archive(path) as archive:
        path.write_bytes(b"short")
        with pytest.raises(BadFileError, match="cut short while"):
            rewrite(archive, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


# Output


def test_wrong_changes_are_a_mistake_of_the_caller(saved: Saved, tmp_path: Path) -> None:
    with Archive(saved(zipped({"a": b"12345"}))) as archive:
        for replace, patch in (
            ({"b": b""}, {}),
            ({"a": b""}, {"a": [(0, b"x")]}),
            ({}, {"a": [(4, b"xx")]}),
            ({}, {"a": [(-1, b"x")]}),
            ({}, {"a": [(0, b"xx"), (1, b"x")]}),
        ):
            with pytest.raises(ValueError, match="patch|unknown"):
                rewrite(archive, tmp_path / "out", replace, patch)
    assert not (tmp_path / "out").exists()


def test_atomic_write(tmp_path: Path) -> None:
    path = tmp_path / "out"
    previous = os.umask(0o027)
    try:
        with atomic_write(path) as stream:
            stream.write(b"new")
            assert not path.exists()
    finally:
        os.umask(previous)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, BadFileError, SystemExit])
def test_atomic_write_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")

    def fail() -> None:
        with atomic_write(tmp_path / "out") as stream:
            stream.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_bytes() == b"old"


def test_a_symlink_at_the_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "out").symlink_to("other")
    with atomic_write(tmp_path / "out") as stream:
        stream.write(b"new")
    assert not (tmp_path / "out").is_symlink()
    assert (tmp_path / "other").read_bytes() == b"other"


def outputs(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    yield tmp_path / "missing" / "x", "directory to write to does not exist"
    yield tmp_path, "is a directory"
    yield Path("/dev/null"), "not a regular file"
    yield Path("/proc/x"), "cannot write there|does not exist"
    yield Path("/"), "names no file"
    yield tmp_path / "nul\0", "null"
    yield tmp_path / ("n" * 300), "File name too long"


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    for path, match in outputs(tmp_path):
        with pytest.raises(OutputError, match=match), atomic_write(path) as stream:
            stream.write(b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert list(tmp_path.iterdir()) == []


def test_disk_full(saved: Saved, tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes a write fail as a full disk does (EFBIG in place of ENOSPC)."""
    path = saved(zipped())
    script = (
        "import resource, signal, sys\n"
        "from rewriter.errors import OutputError\n"
        "from rewriter.files.zip import Archive, rewrite\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "try:\n    rewrite(Archive(sys.argv[1]), sys.argv[2])\n"
        "except OutputError as error:\n    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, path, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert run.stdout.startswith("cannot be written: File too large"), run.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


def test_no_space(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left"), atomic_write(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="odd"), atomic_write(tmp_path / "out"):
        raise OSError(errno.EIO, "odd")
    assert list(tmp_path.iterdir()) == []
