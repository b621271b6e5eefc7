"""The files that a run reads: what is written later can refuse to overwrite one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[Iterable[str]], None]
_WATCHER: ContextVar[Watcher] = ContextVar("used", default=lambda paths: None)


def uses(paths: Iterable[str]) -> None:
    """Report files that belong to a model that is opened. Raises what the watcher raises."""
    _WATCHER.get()(paths)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """A block in which the watcher is called with the files of each model that is opened."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)
