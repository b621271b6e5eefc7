"""Random inputs for an ONNX model: each named axis has its own size, the batch has the number of samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import shown
from ..ir.graph import Graph

_SEED = 20
# Sizes to try for open axes, in this order: a different size for each name (start, step), then one size for all.
# Models with strides and pools run on multiples only.
_APART = ((6, 1), (8, 8), (32, 32))
_ALIKE = (6, 8, 16, 32, 64)
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
}

Sizes = dict[str, int]


class CannotFeedError(Exception):
    """An input has a dtype or shape for which no random input can be made."""


@dataclass(frozen=True, slots=True)
class Input:
    """``names`` has the size of each axis, or its name if it is open; ``batch`` is the axis of the samples."""

    name: str
    kind: str
    names: tuple[int | str, ...]
    batch: int | None


@dataclass(slots=True)
class Feeds:
    """The inputs of a model. ``sizes`` are the sizes of its open axes except the batch, by name."""

    inputs: list[Input]
    sizes: Sizes = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, given: Sequence[tuple[str, str, Sequence[Any]]]) -> Feeds:
        """Feeds for inputs as ONNX Runtime describes them (name, type, shape), with the axes of the graph."""
        return cls([_input(graph, *item) for item in given])

    @property
    def fixed(self) -> int | None:
        """The batch size if the file fixes it, 1 if no input has a batch; None if it is open."""
        found = [i.names[i.batch] for i in self.inputs if i.batch is not None]
        if any(isinstance(size, str) for size in found):
            return None
        return next((size for size in found if isinstance(size, int)), 1)

    @property
    def shows_a_batch(self) -> bool:
        return any(i.batch is not None for i in self.inputs)

    def attempts(self) -> Iterator[Sizes]:
        """Sizes to try for the open axes except the batch, by name."""
        names = dict.fromkeys(
            name
            for item in self.inputs
            for place, name in enumerate(item.names)
            if isinstance(name, str) and place != item.batch
        )
        if not names:
            yield {}
            return
        if len(names) > 1:
            yield from (dict(zip(names, itertools.count(*apart), strict=False)) for apart in _APART)
        yield from (dict.fromkeys(names, size) for size in _ALIKE)

    def batch(self, samples: Sequence[int]) -> dict[str, Any]:
        """Inputs for these samples. A sample is the same in every batch, as is an input without a batch."""
        return {item.name: self._drawn(number, item, samples) for number, item in enumerate(self.inputs)}

    def _drawn(self, number: int, item: Input, samples: Sequence[int]) -> Any:
        import numpy as np

        if item.batch is None:
            return _draw(item.kind, number, 0, self._shape(item.names, self.sizes))
        size = item.names[item.batch]
        chosen = samples if isinstance(size, str) else range(size)
        sizes = {**self.sizes, size: len(chosen)} if isinstance(size, str) else self.sizes
        rest = self._shape((*item.names[: item.batch], *item.names[item.batch + 1 :]), sizes)
        return np.stack([_draw(item.kind, number, sample, rest) for sample in chosen], item.batch)

    def _shape(self, names: Sequence[int | str], sizes: Mapping[str, int]) -> list[int]:
        return [name if isinstance(name, int) else sizes[name] for name in names]


def _input(graph: Graph, name: str, kind: str, shape: Sequence[Any]) -> Input:
    config = graph.nodes[name].operation.config if name in graph.nodes else {}
    labels = config.get("labels") or [""] * len(shape)
    names = [
        size if isinstance(size, int) else label or f"{name}, axis {place}"
        for place, (size, label) in enumerate(zip(shape, labels, strict=False))
    ]
    return Input(name, kind, tuple(names), config.get("batch"))


def dtype_of(kind: str) -> str:
    """The NumPy type of an input of ONNX Runtime: ``tensor(float)`` is ``float32``."""
    return _DTYPES.get(kind, kind.removeprefix("tensor(").removesuffix(")"))


def _draw(kind: str, number: int, sample: int, shape: Sequence[int]) -> Any:
    import numpy as np

    rng = np.random.default_rng((_SEED, number, sample))
    name = dtype_of(kind)
    if "int" in name:
        return rng.integers(0, 2, shape).astype(name)
    if name == "bool":
        return np.asarray(rng.random(shape) > 0.3)
    if "float" not in name:
        raise CannotFeedError(f"an input is a {shown(kind)}")
    return np.asarray(rng.normal(0.5, 1.0, shape)).astype(name)
