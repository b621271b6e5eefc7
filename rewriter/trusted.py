"""Packages that the user trusts: their layers' code runs, in a separate process, to see what it computes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

from .errors import UsageError, shown

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_PACKAGES: ContextVar[tuple[str, ...]] = ContextVar("packages", default=())
# Gives an opened model the graphs of its layers: of the path, the model (None if its file has no graph) and the reason.
Tracing = Callable[[str, Any, str], AbstractContextManager[Any]]
_TRACING: ContextVar[Tracing | None] = ContextVar("tracing", default=None)


def packages() -> tuple[str, ...]:
    """The names of the trusted packages."""
    return _PACKAGES.get()


def sentence(names: Sequence[str]) -> str:
    """What a report says of the packages whose code ran; "" without any."""
    return f"The code of {', '.join(names)} ran, in a separate process." if names else ""


def tracing() -> Tracing | None:
    """What adds the graphs of trusted layers to a model that is opened; None if nothing does."""
    return _TRACING.get()


def is_trusted(module: object, registered: object = None) -> bool:
    """Whether a class is in a trusted package, by its module and the name under which it is registered.

    A class that was registered in a script is found by its name, wherever it is now.
    """
    if module == "__main__":
        return bool(packages()) and isinstance(registered, str) and ">" in registered
    return isinstance(module, str) and any(
        module == name or module.startswith(f"{name}.") for name in packages()
    )


@contextmanager
def trusting(names: Sequence[str], trace: Tracing | None = None) -> Iterator[None]:
    """Trust these packages in the block, and those that are trusted around it.

    Args:
        trace: adds the graphs of their layers to models that are opened in the block.

    Raises:
        UsageError: a name is not that of a Python package or module.
    """
    if isinstance(names, str):
        raise UsageError(f"trust={names!r}: it is a list of names of packages")
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"trust: {shown(repr(name))} is not the name of a package")
    token = _PACKAGES.set((*packages(), *(name for name in names if name not in packages())))
    traced = _TRACING.set(trace or tracing())
    try:
        yield
    finally:
        _TRACING.reset(traced)
        _PACKAGES.reset(token)
