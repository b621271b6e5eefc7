"""Compare all contents of an HDF5 file with those that h5py reads."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from rewriter.files.hdf5 import Hdf5Index


def compare(index: Hdf5Index, file: h5py.File) -> tuple[int, int]:
    """The numbers of compared (datasets, attributes). Raises AssertionError if a name, shape, type or bit differs."""
    paths: dict[str, Any] = {"": file}
    file.visititems(paths.__setitem__)
    assert {path for path, _ in index.walk()} == paths.keys() - {""}
    datasets = attributes = 0
    for path, theirs in paths.items():
        assert index.attributes(path) == sorted(theirs.attrs), path
        for name in theirs.attrs:
            mine, value = index.attribute_values(path, name), theirs.attrs[name]
            assert same(mine, None if isinstance(value, h5py.Empty) else value), (path, name)
            attributes += 1
        if isinstance(theirs, h5py.Dataset):
            assert same(index.values(path), theirs[()]), path
            assert same(index.values(path, as_stored=True), theirs[()]), path
            assert index.values(path).dtype.isnative
            datasets += 1
    return datasets, attributes


def same(mine: Any, theirs: Any) -> bool:
    """Whether shape, type and bits are equal, whatever the byte order."""
    if mine is None or theirs is None:
        return mine is theirs
    mine, theirs = np.asarray(mine), np.asarray(theirs)
    if mine.shape != theirs.shape:
        return False
    if "O" in (mine.dtype.kind, theirs.dtype.kind) or "U" in (mine.dtype.kind, theirs.dtype.kind):
        return [_raw(text) for text in mine.ravel()] == [_raw(text) for text in theirs.ravel()]
    native = mine.dtype.newbyteorder("=")
    return bool(
        native == theirs.dtype.newbyteorder("=")
        and mine.astype(native).tobytes() == theirs.astype(native).tobytes()
    )


def _raw(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)
