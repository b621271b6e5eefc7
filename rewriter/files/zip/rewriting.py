"""Copy an archive with a few members changed."""

from __future__ import annotations

import dataclasses
import functools
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from ..atomic import atomic_write
from .crc import appended as crc_difference
from .reader import Archive
from .records import (
    STORED,
    Member,
    directory_bytes,
    is_wide,
    local_header,
    with_name,
    without_descriptor,
)

Patch = tuple[int, bytes]
"""(offset in the uncompressed content, the new bytes there)."""


def rewrite(
    source: Archive,
    target: str | os.PathLike[str],
    replace: Mapping[str, bytes] | None = None,
    patch: Mapping[str, Sequence[Patch]] | None = None,
    rename: Mapping[str, str] | None = None,
) -> None:
    """Write `source` to `target` with some members replaced, patched or renamed, and all others copied unchanged.

    Order, dates, attributes, comments and compression of the members are kept, and every CRC is checked. Without a
    change the copy is identical byte for byte. The memory in use does not depend on the size.

    Args:
        replace: the new content of members, by name.
        patch: byte ranges to overwrite in the content of members, by name, in any order, not overlapping.
        rename: new names of members that are neither replaced nor patched.

    Raises:
        BadFileError: a member is damaged, or the source changed while it was copied. No partial copy remains.
        OutputError: see `atomic_write`.
        ValueError: an unknown member, a member changed in two ways, one name for two members, or a patch outside its
            content.
    """
    replace = replace or {}
    patch = {name: sorted(patches) for name, patches in (patch or {}).items() if patches}
    rename = {old: new for old, new in (rename or {}).items() if old != new}
    _check_changes(source, replace, patch)
    _check_names(source, rename, {*replace, *patch})
    with atomic_write(target) as stream:
        if replace or patch or rename:
            _write_changed(source, stream, replace, patch, rename)
        else:
            _write_identical(source, stream)
        source.check_unchanged()


def _check_changes(
    source: Archive, replace: Mapping[str, bytes], patch: Mapping[str, Sequence[Patch]]
) -> None:
    unknown = [name for name in (*replace, *patch) if name not in source]
    if unknown or replace.keys() & patch.keys():
        raise ValueError(
            f"unknown, or both replaced and patched: {unknown or sorted(replace.keys() & patch.keys())}"
        )
    for name, patches in patch.items():
        free = 0
        for offset, content in patches:
            if offset < free:
                raise ValueError(f"patches of {name} overlap at {offset}")
            free = offset + len(content)
        if free > source.size(name):
            raise ValueError(f"a patch of {name} reaches {free}, past its {source.size(name)} bytes")


def _check_names(source: Archive, rename: Mapping[str, str], taken: set[str]) -> None:
    names = [rename.get(name, name) for name in source.names()]
    if rename.keys() - set(source.names()) or rename.keys() & taken or len(set(names)) != len(names):
        raise ValueError(f"unknown, changed in two ways, or not one name each: {sorted(rename)}")


def _write_identical(source: Archive, stream: BinaryIO) -> None:
    for member in _by_position(source):
        _copy_member(source, stream, member)
    stream.writelines(source.blocks(source.directory.start, source.file_size - source.directory.start))


def _write_changed(
    source: Archive,
    stream: BinaryIO,
    replace: Mapping[str, bytes],
    patch: Mapping[str, Sequence[Patch]],
    rename: Mapping[str, str],
) -> None:
    written: dict[str, Member] = {}
    for member in _by_position(source):
        if member.name in replace:
            content = replace[member.name]
            whole = functools.partial(zlib.crc32, content)
            written[member.name] = _write_member(stream, member, len(content), [content], whole)
        elif member.name in patch:
            patched = _Patched(source.content(member.name), patch[member.name], member.crc)
            written[member.name] = _write_member(stream, member, member.size, patched, patched.crc)
        elif member.name in rename:
            new = with_name(member, rename[member.name])
            crc = functools.partial(int, member.crc)
            written[member.name] = _write_member(stream, new, member.size, source.content(member.name), crc)
        else:
            start = stream.tell()
            _copy_member(source, stream, member)
            written[member.name] = dataclasses.replace(member, start=start)
    members = [written[member.name] for member in source.directory.members]
    stream.write(directory_bytes(members, stream.tell(), source.directory.comment))


def _by_position(source: Archive) -> list[Member]:
    return sorted(source.directory.members, key=lambda member: member.start)


def _copy_member(source: Archive, stream: BinaryIO, member: Member) -> None:
    """Copy header, data and descriptor unchanged; the data of a deflated member is also inflated to check it."""
    stream.write(source.read_at(member.start, member.data - member.start))
    if member.method == STORED:
        stream.writelines(source.content(member.name))
    else:
        stream.writelines(source.blocks(member.data, member.stored))
        for _ in source.content(member.name):
            pass
    data_end = member.data + member.stored
    stream.write(source.read_at(data_end, member.end - data_end))


def _write_member(
    stream: BinaryIO, old: Member, size: int, pieces: Iterable[bytes], crc: Callable[[], int]
) -> Member:
    """Write new content under the old header, then fill in its sizes and `crc()`, called after the last piece."""
    wide = is_wide(size)
    start = stream.tell()
    member = dataclasses.replace(without_descriptor(old), start=start, size=size)
    stream.write(local_header(member, wide=wide))
    data = stream.tell()
    if old.method == STORED:
        stream.writelines(pieces)
    else:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        stream.writelines(map(deflater.compress, pieces))
        stream.write(deflater.flush())
    end = stream.tell()
    member = dataclasses.replace(member, crc=crc(), stored=end - data)
    stream.seek(start)
    stream.write(local_header(member, wide=wide))
    stream.seek(end)
    return member


class _Patched:
    """The blocks of a member with patches, sorted by offset, applied; `crc` is right after the last block."""

    def __init__(self, blocks: Iterator[bytes], patches: Sequence[Patch], old_crc: int) -> None:
        self._blocks = blocks
        self._patches = patches
        self._old_crc = old_crc
        self._difference = 0

    def crc(self) -> int:
        return self._old_crc ^ self._difference

    def __iter__(self) -> Iterator[bytes]:
        start = first = 0
        for old in self._blocks:
            end = start + len(old)
            while first < len(self._patches) and _patch_end(self._patches[first]) <= start:
                first += 1
            new = old
            if first < len(self._patches) and self._patches[first][0] < end:
                new = _overwritten(old, start, self._patches[first:])
            self._difference = crc_difference(self._difference, old, new)
            yield new
            start = end


def _overwritten(block: bytes, start: int, patches: Sequence[Patch]) -> bytes:
    changed = bytearray(block)
    end = start + len(block)
    for patch in patches:
        offset, content = patch
        if offset >= end:
            break
        begin, stop = max(offset, start), min(_patch_end(patch), end)
        changed[begin - start : stop - start] = content[begin - offset : stop - offset]
    return bytes(changed)


def _patch_end(patch: Patch) -> int:
    return patch[0] + len(patch[1])
