"""Copy the files of an archive or a folder, with a few of them changed, into a new archive or folder."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from .atomic import atomic_folder, atomic_write

Blocks = Iterable[bytes]
_DATE = (1980, 1, 1, 0, 0, 0)  # zip's earliest; fixed, so that the same input gives the same bytes


class Members(Protocol):
    """The interface that ``zip.Archive`` and ``Folder`` share."""

    def names(self) -> list[str]: ...

    def size(self, name: str) -> int: ...

    def content(self, name: str) -> Iterator[bytes]: ...

    def check_unchanged(self) -> None: ...


def changed(
    source: Members,
    replace: Mapping[str, bytes] | None = None,
    patch: Mapping[str, Sequence[tuple[int, bytes]]] | None = None,
    rename: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, Blocks]]:
    """(name, content in blocks) of every file, some replaced, patched or renamed. Names of folders end in "/".

    Args:
        replace, patch, rename: as in ``zip.rewrite``.

    Raises:
        BadFileError: the source changed while it was copied; this is checked after the last file.
        ValueError: a patch lies outside its file.
    """
    replace, patch, rename = replace or {}, patch or {}, rename or {}
    for name in source.names():
        if name.endswith("/"):
            yield rename.get(name, name), ()
        elif name in replace:
            yield rename.get(name, name), (replace[name],)
        else:
            patches = sorted(patch.get(name, ()))
            if any(offset < 0 or offset + len(new) > source.size(name) for offset, new in patches):
                raise ValueError(f"a patch lies outside of {name}")
            yield rename.get(name, name), _patched(source.content(name), patches)
    source.check_unchanged()


def _patched(blocks: Blocks, patches: Sequence[tuple[int, bytes]]) -> Iterator[bytes]:
    start = 0
    for block in blocks:
        end = start + len(block)
        here = [(offset, new) for offset, new in patches if offset < end and offset + len(new) > start]
        if here:
            edited = bytearray(block)
            for offset, new in here:
                begin, stop = max(offset, start), min(offset + len(new), end)
                edited[begin - start : stop - start] = new[begin - offset : stop - offset]
            block = bytes(edited)
        yield block
        start = end


def write_archive(target: str | os.PathLike[str], members: Iterable[tuple[str, Blocks]]) -> None:
    """Write files as a zip archive, without compression. Raises OutputError as ``atomic_write``."""
    with atomic_write(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, blocks in members:
            with archive.open(zipfile.ZipInfo(name, _DATE), "w", force_zip64=True) as stream:
                stream.writelines(blocks)


def write_folder(target: str | os.PathLike[str], members: Iterable[tuple[str, Blocks]]) -> None:
    """Write files as a new folder. Raises OutputError as ``atomic_folder``."""
    with atomic_folder(target) as made:
        for name, blocks in members:
            path = os.path.join(made, *name.split("/"))
            if name.endswith("/"):
                os.makedirs(path, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as stream:
                stream.writelines(blocks)
