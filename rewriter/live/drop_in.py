"""One line for export scripts: the repaired model, or a block in which a model is saved repaired."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import UndecidedError, UnsupportedError, shown
from ..results import Result
from .library import library_of
from .parts import is_whole, subclassed

# The repair function of a block, and its results.
_Block = tuple[Callable[[Any], Result], list[Result]]
_METHODS = ("save", "export")
_HDF5 = (".h5", ".hdf5")
_CHANGING = threading.Lock()


def repaired(model: Any, repair: Callable[[Any], Result]) -> Result:
    """Repair a model and return the result, which has a ``model``.

    Raises:
        UndecidedError: a person must decide a finding.
        UnsupportedError: it is a subclassed model: only its parts can be repaired.
        RewriterError: as ``repair``.
    """
    if not is_whole(model):
        raise UnsupportedError(subclassed(model))
    result = repair(model)
    if result.model is None:
        raise UndecidedError(result.undecided)
    return result


@contextmanager
def repairing(model: Any, repair: Callable[[Any], Result]) -> Iterator[list[Result]]:
    """Within the block, ``model.save`` and ``model.export`` write the model repaired.

    Each call repairs the model in its present state, after any training in the block. The two methods are replaced on
    this object only, for all threads, and restored after the block. Blocks may be nested or overlap: the last one
    entered is used.

    Yields:
        The results of the repairs, in the order of the calls.

    Raises:
        UsageError: it is not a model of Keras.
    """
    library_of(model)
    results: list[Result] = []
    block = (repair, results)
    with _CHANGING:
        covers = [cover for name in _METHODS if isinstance(cover := vars(model).get(name), _Cover)]
        if not covers:
            blocks: list[_Block] = []
            covers = [_Cover(model, name, vars(model).get(name), blocks) for name in _METHODS]
            for cover in covers:
                object.__setattr__(model, cover.method, cover)
        covers[0].blocks.append(block)
    try:
        yield results
    finally:
        with _CHANGING:
            left = covers[0].blocks
            left[:] = [other for other in left if other is not block]
            if not left:
                for cover in covers:
                    cover.take_away()


@dataclass(slots=True)
class _Cover:
    """Replaces a method of a model while there are blocks; ``own`` is the attribute that was there before."""

    model: Any
    method: str
    own: Any
    blocks: list[_Block]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _CHANGING:
            repair, results = self.blocks[-1] if self.blocks else (None, [])
        if repair is None:  # called after the block
            return getattr(self.model, self.method)(*args, **kwargs)
        result = repaired(self.model, repair)
        path = args[0] if args else kwargs.get("filepath", "")
        if (
            result.inserted
            and self.method == "save"
            and not library_of(self.model).legacy  # tf_keras gets layers, and loads them
            and isinstance(path, (str, os.PathLike))
            and os.fspath(path).lower().endswith(_HDF5)
        ):
            raise UnsupportedError(
                f"{shown(path)!r}: Keras does not load the inserted operations from HDF5; save the model as .keras"
            )
        results.append(result)
        return getattr(result.model, self.method)(*args, **kwargs)

    def take_away(self) -> None:
        if self.own is None:
            object.__delattr__(self.model, self.method)
        else:
            object.__setattr__(self.model, self.method, self.own)
