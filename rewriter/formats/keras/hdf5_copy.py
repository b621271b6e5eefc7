"""Copy an HDF5 file with changed attributes: our reader reads the old file, h5py only writes the new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

from ...errors import UnsupportedError, shown
from ...files.hdf5 import Dataset, Hdf5Index
from ...files.hdf5.datatype import ENUM, FLOAT, INTEGER, OPAQUE, STRING, VARIABLE, Type
from ...files.hdf5.filters import DEFLATE, FLETCHER32, SHUFFLE
from .new_hdf5 import h5py_module, new_hdf5

_MAX_ATTRIBUTE = 64000  # bytes that every version of the format can hold


class Texts(NamedTuple):
    """An attribute that holds strings."""

    type: Type
    shape: tuple[int, ...]
    values: list[bytes]


Change = Texts | None
"""The new value of an attribute; None leaves it out."""


def type_of_texts(like: Type, values: list[bytes]) -> Type:
    """A string type like ``like`` with room for the values; of variable length if they exceed the attribute limit."""
    if like.kind == VARIABLE:
        return like
    size = max(map(len, values), default=0) + (1 if like.padding == 0 else 0) or 1
    if size > _MAX_ATTRIBUTE:
        return Type("|O", VARIABLE, 16, like.charset)
    return like._replace(dtype=f"|S{size}", size=size)


def copy_hdf5(index: Hdf5Index, stream: BinaryIO, changed: Mapping[tuple[str, str], Change]) -> None:
    """Write all groups, datasets and attributes to an empty file, with the same types and byte order.

    Chunks and filters are kept. Positions in the file and the maximum sizes of datasets are not.

    Args:
        changed: attributes to replace, add or leave out, by the object's path and the attribute's name.

    Raises:
        BadFileError: a value is damaged.
        UnsupportedError: h5py is not installed, or would write a value as another type.
        OSError: the file cannot be written.
    """
    with new_hdf5(stream, **_options(index)) as (file, check):
        _Copy(h5py_module(), index, file, changed, check).all()


def _options(index: Hdf5Index) -> dict[str, Any]:
    """Options for h5py: only newer versions of the format can hold large attributes."""
    for path in ("", *(path for path, _ in index.walk())):
        for name in index.attributes(path):
            found = index.find_attribute(path, name)
            if found is not None and found.elements * found.type.size > _MAX_ATTRIBUTE:
                return {"libver": ("v108", "latest")}
    return {}


class _Copy:
    def __init__(
        self,
        h5py: Any,
        index: Hdf5Index,
        file: Any,
        changed: Mapping[tuple[str, str], Change],
        check: Callable[[], None],
    ) -> None:
        self.h5py, self.index, self.file, self.changed, self.check = h5py, index, file, changed, check

    def all(self) -> None:
        self._attributes("", self.file)
        for path, dataset in self.index.walk():
            made = self.file.create_group(path) if dataset is None else self._dataset(path, dataset)
            self._attributes(path, made)
            self.check()

    def _attributes(self, path: str, made: Any) -> None:
        new = [name for where, name in self.changed if where == path]
        for name in dict.fromkeys((*self.index.attributes(path), *new)):
            if (path, name) not in self.changed:
                self._attribute(path, name, made)
            elif (texts := self.changed[path, name]) is not None:
                self._texts(made, name, texts)

    def _attribute(self, path: str, name: str, made: Any) -> None:
        found = self.index.find_attribute(path, name)
        assert found is not None
        self._check(found.type, f"the attribute {shown(name)} of {shown(path or '/')}")
        values = self.index.attribute_values(path, name)
        if values is None:
            made.attrs.create(name, self.h5py.Empty(self._dtype(found.type)))
        elif found.type.is_text:
            self._texts(made, name, Texts(found.type, values.shape, values.ravel().tolist()))
        else:
            made.attrs.create(name, values, values.shape, values.dtype)

    def _texts(self, made: Any, name: str, texts: Texts) -> None:
        import numpy as np

        h5 = self.h5py
        if texts.type.kind == VARIABLE:
            values = np.array([*texts.values, None], object)[:-1].reshape(texts.shape)
            made.attrs.create(name, values, texts.shape, h5.string_dtype(texts.type.charset))
            return
        kind = self._type(texts.type)
        space = h5.h5s.create_simple(texts.shape) if texts.shape else h5.h5s.create(h5.h5s.SCALAR)
        attribute = h5.h5a.create(made.id, name.encode(), kind, space)
        if texts.values:
            attribute.write(np.array(texts.values, texts.type.dtype).reshape(texts.shape), mtype=kind)

    def _dataset(self, path: str, dataset: Dataset) -> Any:
        h5 = self.h5py
        self._check(dataset.type, f"the dataset {shown(path)}")
        values = self.index.values(path, as_stored=True)
        group, _, name = path.rpartition("/")
        where = self.file[group] if group else self.file
        if dataset.type.kind == VARIABLE:
            kind = h5.string_dtype(dataset.type.charset)
            return where.create_dataset(name, dataset.shape, kind, values)
        kind = self._type(dataset.type)
        space = h5.h5s.create_simple(dataset.shape) if dataset.shape else h5.h5s.create(h5.h5s.SCALAR)
        made = h5.h5d.create(where.id, name.encode(), kind, space, self._properties(dataset))
        if values.size:
            made.write(h5.h5s.ALL, h5.h5s.ALL, values, mtype=kind)
        return h5.Dataset(made)

    def _properties(self, dataset: Dataset) -> Any:
        properties = self.h5py.h5p.create(self.h5py.h5p.DATASET_CREATE)
        properties.set_obj_track_times(False)
        if dataset.chunks is None or 0 in dataset.shape:
            return properties
        # The chunks of a dataset of fixed size cannot be larger than the dataset.
        properties.set_chunk(tuple(map(min, dataset.chunks.shape, dataset.shape)))
        for each in dataset.chunks.filters:
            if each.kind == DEFLATE:
                properties.set_deflate(min(each.value, 9))
            elif each.kind == SHUFFLE:
                properties.set_shuffle()
            elif each.kind == FLETCHER32:
                properties.set_fletcher32()
        return properties

    def _check(self, kind: Type, what: str) -> None:
        """Raises UnsupportedError if h5py would write another type."""
        plain = kind.dtype.lstrip("<>|")[0]
        known = (
            (kind.kind in (INTEGER, FLOAT) and plain in "iuf")
            or (kind.kind == ENUM and plain == "b" and kind.dtype == "|b1")
            or kind.kind in (STRING, OPAQUE)
            or (kind.kind == VARIABLE and kind.is_text)
        )
        if not known:
            raise UnsupportedError(f"{what} is of a type that cannot be copied")

    def _type(self, kind: Type) -> Any:
        h5 = self.h5py
        if kind.kind != STRING:
            return h5.h5t.py_create(self._dtype(kind), logical=True)
        made = h5.h5t.C_S1.copy()
        made.set_size(kind.size)
        made.set_strpad(kind.padding)
        made.set_cset(h5.h5t.CSET_UTF8 if kind.charset == "utf-8" else h5.h5t.CSET_ASCII)
        return made

    def _dtype(self, kind: Type) -> Any:
        import numpy as np

        return self.h5py.string_dtype(kind.charset) if kind.kind == VARIABLE else np.dtype(kind.dtype)
