"""The records of a zip archive: parsed strictly from bytes, and encoded.

Source: PKWARE APPNOTE.TXT 6.3.10, section 4.3 (records), 4.4 (fields), 4.5.3 (zip64 extra field). The reference is
CPython's `zipfile`, which Keras uses; archives that other readers read differently are refused.
"""

from __future__ import annotations

import dataclasses
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator

from ...errors import BadFileError, shown
from ..regular import check_pointer

STORED = 0
DEFLATED = 8

MAX_MEMBERS = 100_000
_MAX_DIRECTORY = 64 << 20
_DEFLATE_RATIO = 1032

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")

_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_DESCRIPTOR = 1 << 3
_UTF8 = 1 << 11
_KNOWN_FLAGS = 1 << 1 | 1 << 2 | _DESCRIPTOR | _UTF8

_ZIP64 = 0x0001
_UNICODE_PATH = 0x7075
_FULL16 = 0xFFFF
_FULL32 = 0xFFFFFFFF
_MAX_COMMENT = 0xFFFF
_ZIP64_VERSION = 45
_MAX_VERSION = 63

ReadAt = Callable[[int, int], bytes]
"""`read(offset, size)`: exactly `size` bytes, or BadFileError."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One member: its header, data and descriptor are at `start` to `end`, its data at `data` to `data + stored`."""

    name: str
    raw_name: bytes
    made_by: int
    needs: int
    flags: int
    method: int
    modified: bytes
    crc: int
    stored: int
    size: int
    extra: bytes
    local_extra: bytes
    comment: bytes
    internal: int
    external: int
    start: int
    data: int
    end: int


@dataclasses.dataclass(frozen=True)
class Directory:
    """The members in the order of the central directory, its offset, and the archive's comment."""

    members: tuple[Member, ...]
    start: int
    comment: bytes


def read_directory(read: ReadAt, size: int) -> Directory:
    """Parse and check the whole directory of an archive of `size` bytes.

    Every byte before the directory must belong to exactly one member: this excludes overlap and hidden content.

    Raises:
        BadFileError: not an archive, cut short, ambiguous, or in a form that Keras does not write.
    """
    end, comment = _find_end(read, size)
    count, start, length, directory_end = _directory_extent(read, end)
    if count > MAX_MEMBERS:
        raise BadFileError(f"the archive declares {count} members; more than {MAX_MEMBERS} are not read")
    if length > _MAX_DIRECTORY:
        raise BadFileError(
            f"the archive's directory takes {length} bytes; more than {_MAX_DIRECTORY} are not read"
        )
    if start + length < directory_end:
        raise BadFileError(f"{directory_end - start - length} bytes before the archive do not belong to it")
    if start + length > directory_end:
        raise BadFileError("the archive's directory reaches past its end record: the file is damaged")
    members = list(_central_records(read(start, length)))
    if len(members) != count:
        raise BadFileError(f"the archive declares {count} members and lists {len(members)}")
    _check_unique(members)
    placed = _placed(read, members, start)
    return Directory(tuple(placed[member.start] for member in members), start, comment)


def _find_end(read: ReadAt, size: int) -> tuple[int, bytes]:
    if size == 0:
        raise BadFileError("the file is empty")
    head = read(0, min(size, 64))
    check_pointer(head)
    tail_start = max(0, size - _END.size - _MAX_COMMENT)
    tail = read(tail_start, size - tail_start)
    at = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
    if at < 0:
        if head.startswith(b"PK\3\4"):
            raise BadFileError(
                "the zip archive has no end record: the file is cut short, or bytes follow the archive"
            )
        raise BadFileError("not a zip archive")
    comment_size = _END.unpack_from(tail, at)[-1]
    comment = tail[at + _END.size :]
    if len(comment) > comment_size:
        raise BadFileError(f"{len(comment) - comment_size} bytes after the archive do not belong to it")
    if len(comment) < comment_size:
        raise BadFileError("the archive's comment is cut short")
    return tail_start + at, comment


def _directory_extent(read: ReadAt, end: int) -> tuple[int, int, int, int]:
    """(member count, start, length, required end) of the directory."""
    _, disk, directory_disk, here, count, length, start, _ = _END.unpack(read(end, _END.size))
    directory_end = end
    plain = (disk, directory_disk, here, count, length, start)
    locator = read(end - _LOCATOR.size, _LOCATOR.size) if end >= _LOCATOR.size else b""
    if locator.startswith(b"PK\6\7"):
        _, disk64, directory_end, disks = _LOCATOR.unpack(locator)
        if directory_end + _END64.size != end - _LOCATOR.size:
            raise BadFileError("the archive's zip64 end record is not where its locator says")
        magic, length64, _, _, *wide = _END64.unpack(read(directory_end, _END64.size))
        if magic != b"PK\6\6" or length64 != _END64.size - 12 or disk64 != 0 or disks > 1:
            raise BadFileError("the archive's zip64 end record is damaged")
        for narrow, value, full in zip(plain, wide, (_FULL16,) * 4 + (_FULL32,) * 2, strict=True):
            if narrow not in (value, full):
                raise BadFileError("the archive's two end records contradict each other")
        disk, directory_disk, here, count, length, start = wide
    if disk or directory_disk or here != count:
        raise BadFileError("the archive is one part of a split archive")
    return count, start, length, directory_end


def _central_records(directory: bytes) -> Iterator[Member]:
    """Members from the directory, without `data` and `end`."""
    at = 0
    while at < len(directory):
        if len(directory) - at < _CENTRAL.size or not directory.startswith(b"PK\1\2", at):
            raise BadFileError("the archive's directory is damaged")
        fields = _CENTRAL.unpack_from(directory, at)
        _, made_by, needs, flags, method, _, _, crc, stored, size, name_size, extra_size, comment_size = (
            fields[:13]
        )
        disk, internal, external, start = fields[13:]
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_size
        comment_at = extra_at + extra_size
        following = comment_at + comment_size
        if following > len(directory):
            raise BadFileError("the archive's directory is damaged")
        raw_name = directory[name_at:extra_at]
        extra = directory[extra_at:comment_at]
        name = _member_name(raw_name, flags, extra)
        if disk != 0:
            raise BadFileError("the archive is one part of a split archive")
        size, stored, start = _widened(extra, (size, stored, start), name)
        member = Member(
            name=name,
            raw_name=raw_name,
            made_by=made_by,
            needs=needs,
            flags=flags,
            method=method,
            modified=directory[at + 12 : at + 16],
            crc=crc,
            stored=stored,
            size=size,
            extra=extra,
            local_extra=b"",
            comment=directory[comment_at:following],
            internal=internal,
            external=external,
            start=start,
            data=0,
            end=0,
        )
        _check_form(member)
        yield member
        at = following


def _member_name(raw: bytes, flags: int, extra: bytes) -> str:
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError as error:
        raise BadFileError("the archive has a member whose name is not UTF-8") from error
    parts = name.removesuffix("/").split("/")
    if not name.isprintable() or "\\" in name or re.match("[A-Za-z]:", name) or {"", ".", ".."} & set(parts):
        raise BadFileError(f"the archive has a member with an unsafe name: {shown(name)}")
    for tag, content in _extra_fields(extra, name):
        if tag == _UNICODE_PATH and content[5:] != name.encode():
            raise BadFileError(f"the archive gives the member {shown(name)} a second name")
    return name


def _bad(member: Member, what: str) -> BadFileError:
    return BadFileError(f"the archive's member {shown(member.name)} {what}")


def _check_form(member: Member) -> None:
    if member.flags & _ENCRYPTED:
        raise _bad(member, "is encrypted")
    if member.flags & ~_KNOWN_FLAGS:
        raise _bad(member, f"has unknown flags {member.flags:#06x}")
    if member.needs & 0xFF > _MAX_VERSION:
        raise _bad(
            member, f"needs version {(member.needs & 0xFF) / 10} of the zip format, which does not exist"
        )
    if member.method not in (STORED, DEFLATED):
        raise _bad(member, f"is compressed with method {member.method}, not deflate")
    if stat.S_IFMT(member.external >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _bad(member, "is a link or a special file")
    if member.method == STORED and member.size != member.stored:
        raise _bad(member, f"is stored in {member.stored} bytes and declares {member.size}")
    if member.size > _DEFLATE_RATIO * (member.stored + 1):
        raise _bad(member, f"declares {member.size} bytes, more than it can hold")
    if member.name.endswith("/") and member.size:
        raise _bad(member, "is a directory with content")


def _check_unique(members: list[Member]) -> None:
    seen: set[str] = set()
    for member in members:
        key = member.name.removesuffix("/").casefold()
        if key in seen:
            raise BadFileError(f"the archive has two members named {shown(member.name)}")
        seen.add(key)


def _placed(read: ReadAt, members: list[Member], directory_start: int) -> dict[int, Member]:
    """Members by `start`, with `data` and `end` from their local headers."""
    placed: dict[int, Member] = {}
    ordered = sorted(members, key=lambda member: member.start)
    bounds = [*(member.start for member in ordered), directory_start]
    if bounds[0] != 0:
        raise BadFileError("bytes before the first member do not belong to the archive")
    for member, limit in zip(ordered, bounds[1:], strict=True):
        if member.start + _LOCAL.size > limit:
            raise _bad(member, "overlaps another")
        data, local_extra = _check_local(read, member, limit)
        end = data + member.stored
        if end > limit:
            raise _bad(member, "overlaps another")
        if not _fills_gap(read, member, end, limit):
            raise _bad(member, f"is followed by {limit - end} bytes that belong to no member")
        placed[member.start] = dataclasses.replace(member, data=data, end=limit, local_extra=local_extra)
    return placed


def _check_local(read: ReadAt, member: Member, limit: int) -> tuple[int, bytes]:
    """(offset of the data, local extra field)."""
    header = _LOCAL.unpack(read(member.start, _LOCAL.size))
    magic, _, flags, method, _, _, crc, stored, size, name_size, extra_size = header
    if magic != b"PK\3\4":
        raise _bad(member, "has no local header where the directory says")
    name_at = member.start + _LOCAL.size
    data = name_at + name_size + extra_size
    if data > limit:
        raise _bad(member, "overlaps another")
    tail = read(name_at, name_size + extra_size)
    extra = tail[name_size:]
    size, stored, _ = _widened(extra, (size, stored, 0), member.name)
    same = tail[:name_size] == member.raw_name and (flags, method) == (member.flags, member.method)
    pairs = ((crc, member.crc), (stored, member.stored), (size, member.size))
    unset = (0, _FULL32) if flags & _DESCRIPTOR else ()
    if not same or any(here != there and here not in unset for here, there in pairs):
        raise _bad(member, "differs between its own header and the directory")
    return data, extra


def _fills_gap(read: ReadAt, member: Member, end: int, limit: int) -> bool:
    """Whether exactly a data descriptor follows the data if the flags require one, and nothing otherwise."""
    if not member.flags & _DESCRIPTOR:
        return end == limit
    forms = {12: "<3L", 16: "<4s3L", 20: "<L2Q", 24: "<4sL2Q"}
    form = forms.get(limit - end)
    if form is None:
        return False
    *magic, crc, stored, size = struct.unpack(form, read(end, limit - end))
    return magic in ([], [b"PK\7\x08"]) and (crc, stored, size) == (member.crc, member.stored, member.size)


def _extra_fields(extra: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        tag, size = struct.unpack_from("<2H", extra, at)
        if at + 4 + size > len(extra):
            raise BadFileError(f"the archive's member {shown(name)} has a damaged extra field")
        yield tag, extra[at + 4 : at + 4 + size]
        at += 4 + size


def _widened(extra: bytes, fields: tuple[int, int, int], name: str) -> tuple[int, int, int]:
    """(size, stored, start), with values of 0xFFFFFFFF replaced from the zip64 extra field if it exists."""
    wide = [content for tag, content in _extra_fields(extra, name) if tag == _ZIP64]
    if not wide:
        return fields
    if len(wide) > 1:
        raise BadFileError(f"the archive's member {shown(name)} has two zip64 fields")
    numbers = iter(struct.unpack(f"<{len(wide[0]) // 8}Q", wide[0][: len(wide[0]) // 8 * 8]))
    values = [next(numbers, -1) if field == _FULL32 else field for field in fields]
    if -1 in values:
        raise BadFileError(f"the archive's member {shown(name)} has a zip64 field cut short")
    return values[0], values[1], values[2]


def _without(unwanted: int, extra: bytes, name: str) -> bytes:
    return b"".join(
        struct.pack("<2H", tag, len(content)) + content
        for tag, content in _extra_fields(extra, name)
        if tag != unwanted
    )


def local_header(member: Member, *, wide: bool) -> bytes:
    """The local header of a member without data descriptor; its length depends only on `wide` (zip64)."""
    extra = _without(_ZIP64, member.local_extra, member.name)
    if wide:
        extra = struct.pack("<2H2Q", _ZIP64, 16, member.size, member.stored) + extra
    return (
        struct.pack(
            "<4s3H", b"PK\3\4", max(member.needs, _ZIP64_VERSION if wide else 0), member.flags, member.method
        )
        + member.modified
        + struct.pack("<L", member.crc)
        + struct.pack("<2L", *((_FULL32, _FULL32) if wide else (member.stored, member.size)))
        + struct.pack("<2H", len(member.raw_name), len(extra))
        + member.raw_name
        + extra
    )


def is_wide(size: int) -> bool:
    """Whether a member of `size` bytes, deflated or not, may need zip64 sizes."""
    return size + size // 1000 + 64 >= _FULL32


def with_name(member: Member, name: str) -> Member:
    """The same member under another name, with the UTF-8 flag set if the name is not ASCII."""
    return dataclasses.replace(
        member,
        name=name,
        raw_name=name.encode(),
        flags=member.flags if name.isascii() else member.flags | _UTF8,
        extra=_without(_UNICODE_PATH, member.extra, member.name),
        local_extra=_without(_UNICODE_PATH, member.local_extra, member.name),
    )


def without_descriptor(member: Member) -> Member:
    """The same member without the data descriptor flag: its local header holds the sizes."""
    return dataclasses.replace(member, flags=member.flags & ~_DESCRIPTOR)


def directory_bytes(members: list[Member], start: int, comment: bytes) -> bytes:
    """The central directory of `members` with its end records, for the offset `start`."""
    records = b"".join(_central_record(member) for member in members)
    count, length = len(members), len(records)
    end64 = b""
    if count >= _FULL16 or length >= _FULL32 or start >= _FULL32:
        end64 = _END64.pack(
            b"PK\6\6", _END64.size - 12, _ZIP64_VERSION, _ZIP64_VERSION, 0, 0, count, count, length, start
        )
        end64 += _LOCATOR.pack(b"PK\6\7", 0, start + length, 1)
    counts = (min(count, _FULL16), min(count, _FULL16), min(length, _FULL32), min(start, _FULL32))
    return records + end64 + _END.pack(b"PK\5\6", 0, 0, *counts, len(comment)) + comment


def _central_record(member: Member) -> bytes:
    wide_sizes = member.size >= _FULL32 or member.stored >= _FULL32
    wide = [member.size, member.stored] if wide_sizes else []
    wide += [member.start] if member.start >= _FULL32 else []
    extra = _without(_ZIP64, member.extra, member.name)
    if wide:
        extra = struct.pack(f"<2H{len(wide)}Q", _ZIP64, 8 * len(wide), *wide) + extra
    return (
        struct.pack("<4s2H", b"PK\1\2", member.made_by, max(member.needs, _ZIP64_VERSION if wide else 0))
        + struct.pack("<2H", member.flags, member.method)
        + member.modified
        + struct.pack("<L", member.crc)
        + struct.pack("<2L", *((_FULL32, _FULL32) if wide_sizes else (member.stored, member.size)))
        + struct.pack("<3H", len(member.raw_name), len(extra), len(member.comment))
        + struct.pack("<2H2L", 0, member.internal, member.external, min(member.start, _FULL32))
        + member.raw_name
        + extra
        + member.comment
    )


def inflated(blocks: Iterator[bytes], name: str, block: int) -> Iterator[bytes]:
    """The inflated content of a deflated member in pieces of at most `block` bytes."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    for compressed in blocks:
        while compressed:
            if inflater.eof:
                raise BadFileError(f"bytes follow the compressed data of the archive's member {shown(name)}")
            try:
                piece = inflater.decompress(compressed, block)
            except zlib.error as error:
                raise BadFileError(
                    f"the compressed data of the archive's member {shown(name)} is damaged"
                ) from error
            compressed = inflater.unconsumed_tail or inflater.unused_data
            yield piece
    if not inflater.eof:
        yield from _drained(inflater, name, block)


def _drained(inflater: zlib._Decompress, name: str, block: int) -> Iterator[bytes]:
    while piece := inflater.decompress(b"", block):
        yield piece
    if not inflater.eof:
        raise BadFileError(f"the compressed data of the archive's member {shown(name)} is cut short")
