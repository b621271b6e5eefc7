"""Write a new HDF5 file with h5py; a failed write raises OSError and does not end the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from ...errors import UnsupportedError


def h5py_module() -> Any:
    """The module h5py, needed only for writing. Raises UnsupportedError if it is not installed."""
    try:
        import h5py
    except ImportError:
        raise UnsupportedError("writing HDF5 needs the package h5py: pip install 'rewriter[h5]'") from None
    return h5py


@contextmanager
def new_hdf5(stream: BinaryIO, **options: Any) -> Iterator[tuple[Any, Callable[[], None]]]:
    """An ``h5py.File`` in an empty stream, and a check that raises the OSError of a failed write. The exit checks too.

    Raises:
        UnsupportedError: h5py is not installed.
        OSError: the stream cannot be written.
    """
    sink = _Sink(stream)
    with h5py_module().File(sink, "w", **options) as file:
        yield file, sink.check
    sink.check()


class _Sink:
    """The stream, for h5py's driver of Python file objects.

    HDF5 1.14.6 ends the process if a write fails while it closes a file. The first error is therefore kept, and later
    writes are dropped.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def check(self) -> None:
        """Raises the OSError of a failed write."""
        if self._error is not None:
            raise self._error

    def _guarded(self, call: Callable[[], Any], otherwise: Any = 0) -> Any:
        if self._error is None:
            try:
                return call()
            except OSError as error:
                self._error = error
        return otherwise

    def seek(self, offset: int, whence: int = 0) -> Any:
        return self._guarded(lambda: self._stream.seek(offset, whence))

    def tell(self) -> Any:
        return self._guarded(self._stream.tell)

    def read(self, size: int = -1) -> Any:
        return self._guarded(lambda: self._stream.read(size), b"")

    def write(self, data: Any) -> int:
        self._guarded(lambda: self._stream.write(data))
        return len(data)

    def truncate(self, size: int | None = None) -> Any:
        return self._guarded(lambda: self._stream.truncate(size))

    def flush(self) -> None:
        self._guarded(self._stream.flush)
