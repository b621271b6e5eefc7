"""The table of functions of TensorFlow: the translator of each, and its arguments."""

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

    It gets the emitter and the arguments that the function ``takes``, by name. The translator defines their defaults.
    """

    def register(translator: Translator) -> Translator:
        row = Row(translator, tuple(takes.split()))
        FUNCTIONS.update(dict.fromkeys(names, row))
        return translator

    return register
