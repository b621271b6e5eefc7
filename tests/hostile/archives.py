"""Hostile archives and weights files, each with its honest twin, made from a shipped one."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.cli.common import model

BASE = model("valid")
CONFIG, WEIGHTS = "config.json", "model.weights.h5"


class ArchiveCase(NamedTuple):
    """A file that is refused with these words, and a similar twin that is accepted."""

    name: str
    make: Callable[[], bytes]
    words: str
    twin: Callable[[], bytes]


def whole() -> bytes:
    return BASE.read_bytes()


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(BASE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: dict[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    pairs = list(content.items()) if isinstance(content, dict) else content
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in pairs:
            archive.writestr(zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10)), data, method)
    return stream.getvalue()


def beside(name: str, data: bytes = b"x", method: int = zipfile.ZIP_STORED) -> Callable[[], bytes]:
    """The archive with one more member."""
    return lambda: packed([*members().items(), (name, data)], method)


def without(*names: str) -> Callable[[], bytes]:
    return lambda: packed({name: data for name, data in members().items() if name not in names})


def changed(
    member: str, data: bytes | Callable[[bytes], bytes], method: int = zipfile.ZIP_STORED
) -> Callable[[], bytes]:
    def make() -> bytes:
        content = members()
        content[member] = data(content[member]) if callable(data) else data
        return packed(content, method)

    return make


def central(field: int, value: bytes) -> Callable[[], bytes]:
    """The archive with these bytes in the directory's first record."""

    def make() -> bytes:
        data = bytearray(packed(members()))
        at = data.index(b"PK\1\2") + field
        data[at : at + len(value)] = value
        return bytes(data)

    return make


def both(local: int, directory: int, value: bytes) -> Callable[[], bytes]:
    """The archive with these bytes in the first member's header and in its directory record."""

    def make() -> bytes:
        data = bytearray(packed(members()))
        for at in (data.index(b"PK\3\4") + local, data.index(b"PK\1\2") + directory):
            data[at : at + len(value)] = value
        return bytes(data)

    return make


def renamed(name: bytes) -> Callable[[], bytes]:
    """An archive with a member name that ``zipfile`` does not write."""
    plain = b"n" * len(name)
    return lambda: beside(plain.decode())().replace(plain, name)


def linked(mode: int) -> Callable[[], bytes]:
    def make() -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, data in members().items():
                archive.writestr(name, data)
            info = zipfile.ZipInfo("assets/x")
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, b"/etc/passwd")
        return stream.getvalue()

    return make


def overlapping() -> bytes:
    """An archive with two directory records of the same member."""
    data = packed([(CONFIG, members()[CONFIG]), ("b" * len(CONFIG), members()[CONFIG])])
    directory = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", directory + 4)
    return data[: second + 42] + bytes(4) + data[second + 46 :]


def flipped() -> bytes:
    data = bytearray(packed(members()))
    at = data.index(b'"class_name"')
    data[at + 1] ^= 1
    return bytes(data)


def many(count: int) -> Callable[[], bytes]:
    """An archive of many empty members, written by hand: ``zipfile`` takes minutes."""

    def make() -> bytes:
        local = b"".join(
            struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 7, 0) + b"%07d" % k
            for k in range(count)
        )
        record = struct.Struct("<4s6H3L5H2L")
        directory = b"".join(
            record.pack(b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 7, 0, 0, 0, 0, 0, 37 * k) + b"%07d" % k
            for k in range(count)
        )
        size = min(count, 0xFFFF)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, size, size, len(directory), len(local), 0)
        return local + directory + end

    return make


LINK, DEVICE = 0o120777, 0o020666

ARCHIVES = [
    ArchiveCase("config-missing", without(CONFIG), "no config.json", without("metadata.json")),
    ArchiveCase("config-twice", beside(CONFIG, b"{}"), "config.json", beside("config.txt", b"{}")),
    ArchiveCase("config-twice-in-other-case", beside("CONFIG.json", b"{}"), "CONFIG.json", beside("CONFIG.txt", b"{}")),
    ArchiveCase("encrypted", both(6, 8, b"\1\0"), "encrypted", whole),
    ArchiveCase("compressed-by-lzma", lambda: packed(members(), zipfile.ZIP_LZMA), "compress",
                lambda: packed(members(), zipfile.ZIP_DEFLATED)),
    ArchiveCase("compressed-by-zstandard", both(8, 10, b"\x5d\0"), "compress",
                lambda: packed(members(), zipfile.ZIP_DEFLATED)),
    ArchiveCase("overlapping", overlapping, "", whole),
    ArchiveCase("directory-against-header", central(46, b"C"), "", whole),
    ArchiveCase("size-against-header", central(24, b"\xff\xff\0\0"), "", whole),
    ArchiveCase("wrong-crc", flipped, "CRC", whole),
    ArchiveCase("junk-before", lambda: b"junk" * 9 + whole(), "", whole),
    ArchiveCase("junk-after", lambda: whole() + b"junk" * 9, "after the archive", whole),
    ArchiveCase("cut-in-half", lambda: whole()[: len(whole()) // 2], "cut short", whole),
    ArchiveCase("300000-empty-members", many(300_000), "declares", without("metadata.json")),
    ArchiveCase("config-of-300-MB", changed(CONFIG, b" " * (300 << 20), zipfile.ZIP_DEFLATED), "limit",
                changed(CONFIG, lambda data: b" " * (20 << 20) + data, zipfile.ZIP_DEFLATED)),
    ArchiveCase("metadata-of-2-MB", changed("metadata.json", b"{}" + b" " * (2 << 20), zipfile.ZIP_DEFLATED), "limit",
                changed("metadata.json", b"{}" + b" " * 1000)),
    ArchiveCase("metadata-no-json", changed("metadata.json", b"\xff\xfe"), "metadata.json",
                changed("metadata.json", b"{}")),
    *(ArchiveCase(f"member-{name!r}", beside(name), "", beside("assets/x")) for name in (
        "../x", "/x", "a\\b", "C:x", "a/../b", "a/./b", "./a", "a//b", "new\nline", "\x1b[31mred", "\u202egnp.exe")),
    ArchiveCase("member-with-nul", renamed(b"a\0b"), "", beside("a_b")),
    ArchiveCase("member-a-link", linked(LINK), "", linked(0o100644)),
    ArchiveCase("member-a-device", linked(DEVICE), "", linked(0o100600)),
]  # fmt: skip


# -- weights -----------------------------
def weights(change: Callable[[Any], None], **options: Any) -> Callable[[], bytes]:
    """The archive with a weights file changed through h5py."""

    def make() -> bytes:
        import h5py

        content = members()
        stream = io.BytesIO() if options else io.BytesIO(content[WEIGHTS])
        with h5py.File(stream, "w" if options else "r+", **options) as file:
            change(file)
        content[WEIGHTS] = stream.getvalue()
        return packed(content)

    return make


KERNEL = "layers/dense/vars/0"


def put(array: Any, **options: Any) -> Callable[[Any], None]:
    """Replace a kernel by another array."""

    def change(file: Any) -> None:
        old = file[KERNEL][()]
        del file[KERNEL]
        file.create_dataset(KERNEL, data=array(old) if callable(array) else array, **options)

    return change


def shaped(shape: tuple[int, ...], **options: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[KERNEL]
        file.create_dataset(KERNEL, shape, "f4", **options)

    return change


def _link(kind: str, *target: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        import h5py

        file["layers/link"] = getattr(h5py, kind)(*target)

    return change


def _again(file: Any) -> None:
    file["layers/again"] = file["layers"]


def _outside(file: Any) -> None:
    del file[KERNEL]
    file.create_dataset(KERNEL, shape=(16, 16), dtype="f4", external=[("/etc/passwd", 0, 1024)])


def _virtual(file: Any) -> None:
    import h5py

    layout = h5py.VirtualLayout(shape=(16, 16), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(16, 16))
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


SIDE = 50_000_000
same = put(lambda old: old)

# Refused by every command.
BAD_WEIGHTS = [
    ArchiveCase("weights-empty", changed(WEIGHTS, b""), "empty", whole),
    ArchiveCase("weights-garbage", changed(WEIGHTS, b"x" * 5000), "signature", whole),
    ArchiveCase("weights-cut", changed(WEIGHTS, lambda data: data[: len(data) // 2]), "", whole),
    ArchiveCase("weights-bomb", weights(shaped((SIDE, SIDE))), "stores 0", weights(same)),
    ArchiveCase("weights-bomb-in-chunks", weights(shaped((SIDE, SIDE), chunks=(100, 100), compression="gzip")),
                "stores 0",                weights(same)),
    ArchiveCase("weights-soft-link", weights(_link("SoftLink", "/layers")), "soft link", weights(same)),
    ArchiveCase("weights-link-to-another-file", weights(_link("ExternalLink", "/etc/passwd", "/a")), "external",
                weights(same)),
    ArchiveCase("weights-link-cycle", weights(_again), "twice", weights(same)),
    ArchiveCase("weights-virtual", weights(_virtual), "virtual dataset", weights(same)),
    ArchiveCase("weights-in-another-file", weights(_outside), "another file", weights(same)),
]  # fmt: skip

# Honest, in a form that Keras does not write: no command gives an internal error.
ODD_WEIGHTS: dict[str, Callable[[], bytes]] = {
    "float16": weights(put(lambda old: old.astype("f2"))),
    "float64": weights(put(lambda old: old.astype("f8"))),
    "big-endian": weights(put(lambda old: old.astype(">f4"))),
    "complex": weights(put(lambda old: old.astype("c8"))),
    "strings": weights(put(np.array([b"a", b"bc"]))),
    "compound": weights(put(np.zeros(3, [("a", "f4"), ("b", "i4")]))),
    "gzip": weights(put(lambda old: old, chunks=(4, 4), compression="gzip")),
    "lzf": weights(put(lambda old: old, chunks=(4, 4), compression="lzf")),
    "user-block": weights(lambda file: file.create_group("layers"), userblock_size=512),
    "latest": weights(lambda file: file.create_group("layers"), libver="latest"),
}
