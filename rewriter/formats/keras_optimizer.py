"""Optimizer state follows the order of the model's trainable variables; when that order changes, so must the state."""

from __future__ import annotations

from typing import Any

from ..ir.graph import Graph
from .archive import Patch
from .hdf5 import Hdf5Index


def relink_optimizer(
    buffer: memoryview, index: Hdf5Index, entry: dict[str, Any], before: Graph, after: Graph
) -> list[Patch]:
    """The byte patches that put each slot variable where the new order of trainable variables expects it."""
    return []
