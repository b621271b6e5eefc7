"""Reads a SavedModel folder as an op graph, and writes it back with the inserted nodes."""

from ...shapes import tf as _rules  # noqa: F401 - importing them fills the table of axis rules
from .model import SavedModel

__all__ = ["SavedModel"]
