"""Random inputs for a Keras model. A sample is the same in every batch."""

from __future__ import annotations

from typing import Any

from .models import operands
from .texts import Texts

_TABLES = ("input_dim", "num_tokens")
_SEED = 20
# Sizes to try, in this order, for the axes that a model leaves open.
FREE_SIZES = (8, 32, 64, 224, 1024, 12_000, 4)


class Inputs:
    """Inputs of a model.

    Args:
        texts: whether an input may hold strings.

    Raises:
        ValueError: an input is sparse, is ragged, or holds strings without ``texts``; or as ``operands``.

    Attributes:
        fixed: the one batch size that the inputs state, or None.
        free: whether an axis other than the batch is open.
        whole: whether an input holds integers: which values are valid depends on the model.
    """

    def __init__(self, model: Any, texts: bool = False) -> None:
        import keras

        self.tensors = keras.tree.flatten(operands(model))
        for tensor in self.tensors:
            if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
                raise ValueError("an input is sparse or ragged")
        self.dtypes = [keras.backend.standardize_dtype(t.dtype) for t in self.tensors]
        looked_up = _looked_up(model)
        self.indices = [id(tensor) in looked_up for tensor in self.tensors]
        if "string" in self.dtypes and not texts:
            raise ValueError("an input holds strings")
        self._texts = Texts(model) if "string" in self.dtypes else None
        self.shapes = [tuple(t.shape) for t in self.tensors]
        leading = [shape[0] for shape in self.shapes if shape]
        self.open = any(size is None for size in leading)
        sizes = {size for size in leading if size is not None}
        self.fixed = sizes.pop() if not self.open and len(sizes) == 1 else None
        self.apart = not self.open and self.fixed is None
        self.free = any(size is None for shape in self.shapes for size in shape[1:])
        self.whole = any("int" in dtype for dtype in self.dtypes) or any(self.indices)
        limits = [
            value
            for layer in model._flatten_layers()
            for name in _TABLES
            if isinstance(value := getattr(layer, name, None), int) and value > 0
        ]
        self.limit = min(limits, default=8)
        self.size = FREE_SIZES[0]

    def batch(self, samples: list[int]) -> list[Any]:
        """The inputs of a batch of samples; an input with a batch size of its own is the same in every batch."""
        return [self._input(number, samples) for number in range(len(self.shapes))]

    def _input(self, number: int, samples: list[int]) -> Any:
        import numpy as np

        shape = self.shapes[number]
        inner = [self.size if size is None else size for size in shape[1:]]
        if not shape:
            return self._draw(number, [], 0)
        chosen = list(range(shape[0])) if shape[0] is not None and shape[0] != self.fixed else samples
        return np.stack([self._draw(number, inner, sample) for sample in chosen])

    def _draw(self, number: int, shape: list[int], sample: int) -> Any:
        import numpy as np

        rng = np.random.default_rng((_SEED, number, sample))
        dtype = self.dtypes[number]
        if dtype == "string" and self._texts is not None:
            return self._texts.draw(rng, shape)
        if "int" in dtype or self.indices[number]:
            return rng.integers(0, self.limit, shape).astype(dtype)
        if dtype == "bool":
            return np.asarray(rng.random(shape) > 0.3)
        values = np.asarray(rng.normal(0.5, 1.0, shape))
        if "complex" in dtype:
            values = values + 1j * rng.normal(0.5, 1.0, shape)
        return values.astype("float32" if dtype == "bfloat16" else dtype)


def _looked_up(model: Any) -> set[int]:
    """The ids of the tensors that an Embedding takes: they are row numbers, in any dtype."""
    import keras

    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    return {id(tensor) for layer in layers for node in layer._inbound_nodes for tensor in node.input_tensors}
