"""What the translation of a layer needs in addition to the layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .result import Account

# A layer as written in the old configuration, without its calls.
Entry = dict[str, Any]


class Context(NamedTuple):
    """``era`` is 1 for Keras 1, and 2 for all later versions before Keras 3.

    ``inner`` translates an entry inside the layer (a wrapped layer, a cell, a model); ``fresh`` gives a name that is
    not taken in the model.
    """

    account: Account
    era: int
    inner: Callable[[Entry, Account], Entry]
    fresh: Callable[[str], str]


class Untranslatable(Exception):
    """Raised by a translator: the construct and the reason. The layer stays as it is."""

    def __init__(self, construct: str, reason: str) -> None:
        super().__init__(reason)
        self.construct = construct
        self.reason = reason
