"""The states that stateful layers keep between calls, as further inputs and outputs of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir.size import Size
from .graph import Tensor


class States:
    """A layer begins with its inputs; called again, it goes on where its last call ended. The last ends are outputs."""

    def __init__(self, add_input: Callable[[str, str, Sequence[Size]], Tensor]) -> None:
        self.inputs: list[Tensor] = []
        self._add_input = add_input
        self._now: dict[str, list[Tensor]] = {}
        self._names: list[str] = []

    def of(self, group: str, path: str, dtype: str, sizes: Sequence[Sequence[Size]]) -> list[Tensor]:
        """The states with which a call begins.

        Args:
            group: the layer's group in the weights file, the same for each of its calls.
            path: the layer's name, for the names of the inputs.
            sizes: those of each state.
        """
        if group not in self._now:
            self._now[group] = [
                self._add_input(f"{path}/state/{n}", dtype, size) for n, size in enumerate(sizes)
            ]
            self.inputs += self._now[group]
            self._names += [f"{path}/new_state/{n}" for n in range(len(sizes))]
        return self._now[group]

    def end(self, group: str, finals: Sequence[Tensor]) -> None:
        """Note the states in which a call ended."""
        self._now[group] = list(finals)

    def outputs(self) -> list[tuple[str, Tensor]]:
        """Names and tensors of the states at the end of the model, in the order of ``inputs``."""
        return list(zip(self._names, (t for states in self._now.values() for t in states), strict=True))
