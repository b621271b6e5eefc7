"""The table of functions of TensorFlow: which translator each has, and what it is called with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Translator = Callable[..., Any]


class Row(NamedTuple):
    function: Translator
    takes: tuple[str, ...]


FUNCTIONS: dict[str, Row] = {}


def function(*names: str, takes: str) -> Callable[[Translator], Translator]:
    """Register a translator for functions of TensorFlow, by their public names without ``tf.``.

    It gets the emitter and what the function ``takes``, by those names; what a call leaves out is its own default.
    """

    def register(translator: Translator) -> Translator:
        row = Row(translator, tuple(takes.split()))
        FUNCTIONS.update(dict.fromkeys(names, row))
        return translator

    return register
