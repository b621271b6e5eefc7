"""The progress of a long run: the library reports each stage that begins, and a watcher shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, int, int], None]

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(by: Watcher) -> Iterator[None]:
    """Call ``by(stage, step, of)`` with each stage that begins in the block; ``of`` is 0 if the stage has no steps."""
    token = _watcher.set(by)
    try:
        yield
    finally:
        _watcher.reset(token)


def stage(name: str, step: int = 0, of: int = 0) -> None:
    """Report that a stage begins: ``reading``, or ``proving: gradients``, which is step 4 of 4."""
    current()(name, step, of)


def current() -> Watcher:
    """The current watcher, for use in another thread; without one, a function that does nothing."""
    return _watcher.get() or (lambda name, step, of: None)
