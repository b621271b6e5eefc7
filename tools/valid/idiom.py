"""The table of idioms: each is a function that draws a correct part of a model in which operands meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.valid.draw import Draw


@dataclass(frozen=True)
class Idiom:
    """A function from a ``Draw`` to the tensors that it makes.

    ``apart``: the result of each sample depends on that sample alone. ``batch`` is the batch that it needs: `"one"`,
    `"fixed"` for any number, or `"any"`.
    """

    name: str
    family: str
    draw: Callable[[Draw], Any]
    apart: bool = True
    batch: str = "any"


IDIOMS: dict[str, Idiom] = {}


def idiom(apart: bool = True, batch: str = "any") -> Callable[[Callable[[Draw], Any]], Callable[[Draw], Any]]:
    """Put a function into the table under its own name. Raises ValueError if the name is taken."""

    def add(function: Callable[[Draw], Any]) -> Callable[[Draw], Any]:
        name = function.__name__
        if name in IDIOMS:
            raise ValueError(f"two idioms are called {name}")
        IDIOMS[name] = Idiom(name, function.__module__.rpartition(".")[2], function, apart, batch)
        return function

    return add
