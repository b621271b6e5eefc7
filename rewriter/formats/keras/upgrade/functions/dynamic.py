"""Shapes that a model computes with: known only as far as a reshape needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..context import Untranslatable
from ..tensors import is_tensor


@dataclass(frozen=True)
class Shape:
    """``tf.shape(tensor)``; with ``apart`` each size is an output of its own."""

    tensor: Any
    apart: bool = False

    def output(self, number: int) -> Shape | Size:
        return Size(self.tensor, number) if self.apart else self


@dataclass(frozen=True)
class Size:
    """``tf.shape(tensor)[axis]``."""

    tensor: Any
    axis: int


SHAPES = (Shape, Size)


def plain(value: Any, what: str) -> Any:
    """A constant, or lists of constants. Raises Untranslatable if a tensor or a size is among them."""
    if isinstance(value, (Shape, Size)) or is_tensor(value):
        raise Untranslatable(what, "its argument is computed by the model")
    if isinstance(value, (list, tuple)):
        return [plain(item, what) for item in value]
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":
        return value["config"]["value"]
    return value
