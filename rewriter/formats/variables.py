"""The interface to a model's variables: by layer and name, in any format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import BadFileError
from ..ir.graph import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Variable(NamedTuple):
    """Shape, Keras's name of the element type, and a function that reads or maps the numbers."""

    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], NDArray[Any]]


class StoredVariable(NamedTuple):
    """A variable with its name in the file (``dense/kernel:0``, in Keras 1 ``dense_1_W``)."""

    name: str
    variable: Variable


class Variables(Protocol):
    """The variables of a model, by their layer's place (``layers/dense``) and their path in it (``vars/0``)."""

    def places(self, path: str, graph: Graph) -> Mapping[str, str]:
        """The place below ``path`` of every layer of a model, by the layer's name; ``layers`` is the outermost path."""
        ...

    def paths(self, place: str) -> list[str]:
        """The paths of the variables of a layer and its inner layers, its own first; [] without any."""
        ...

    def shape(self, place: str, path: str) -> tuple[int, ...]:
        """The shape of a variable of any type. Raises BadFileError if the file has none there."""
        ...

    def variable(self, place: str, path: str) -> Variable:
        """One variable.

        Raises:
            BadFileError: the file has none there.
            UnsupportedError: a type, or a form of storage, that is not read.
        """
        ...


class NoVariables:
    """The variables of a file that holds a model without its weights: none."""

    def places(self, path: str, graph: Graph) -> Mapping[str, str]:
        return {}

    def paths(self, place: str) -> list[str]:
        return []

    def shape(self, place: str, path: str) -> tuple[int, ...]:
        """Raises BadFileError."""
        raise _without_weights()

    def variable(self, place: str, path: str) -> Variable:
        """Raises BadFileError."""
        raise _without_weights()


def _without_weights() -> BadFileError:
    return BadFileError("the file holds no weights: export a .keras archive")
