"""Packages that the user trusts: their layers' code runs, in a separate process, to see what it computes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from ..errors import UsageError, shown

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_PACKAGES: ContextVar[tuple[str, ...]] = ContextVar("packages", default=())


def packages() -> tuple[str, ...]:
    """The names of the trusted packages."""
    return _PACKAGES.get()


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
def trusting(names: Sequence[str]) -> Iterator[None]:
    """Trust these packages in the block, and those that are trusted around it.

    Raises:
        UsageError: a name is not that of a Python package or module.
    """
    if isinstance(names, str):
        raise UsageError(f"trust={names!r}: it is a list of names of packages")
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"trust: {shown(repr(name))} is not the name of a package")
    token = _PACKAGES.set((*packages(), *(name for name in names if name not in packages())))
    try:
        yield
    finally:
        _PACKAGES.reset(token)
