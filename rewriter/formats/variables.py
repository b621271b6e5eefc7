"""What a model's variables are to those who read them: by layer and name, wherever a format keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import BadFileError
from ..ir.graph import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Variable(NamedTuple):
    """Shape, element type by Keras's name, and the numbers: read, or mapped from the file, on use."""

    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], NDArray[Any]]


class StoredVariable(NamedTuple):
    """A variable under the name that its file gives it (``dense/kernel:0``, in Keras 1 ``dense_1_W``)."""

    name: str
    variable: Variable


class Variables(Protocol):
    """The variables of a model, by the place of their layer (``layers/dense``) and their path in it (``vars/0``)."""

    def places(self, path: str, graph: Graph) -> Mapping[str, str]:
        """The place below ``path`` of every layer of a model, by the layer's name; ``layers`` is the outermost."""
        ...

    def paths(self, place: str) -> list[str]:
        """The paths of the variables of a layer and of what it holds, its own first; [] without any."""
        ...

    def shape(self, place: str, path: str) -> tuple[int, ...]:
        """The shape of a variable, whatever its type. Raises BadFileError where there is none."""
        ...

    def variable(self, place: str, path: str) -> Variable:
        """One variable.

        Raises:
            BadFileError: the file has none there.
            UnsupportedError: of a type, or stored in a way, that is not read.
        """
        ...


class NoVariables:
    """Of a file that holds a model without its weights."""

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
