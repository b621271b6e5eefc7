"""Reads an ONNX model as an op graph, and writes it back with the inserted nodes."""

from ...shapes import onnx as _rules  # noqa: F401 - importing them fills the table of axis rules
from .model import OnnxModel

__all__ = ["OnnxModel"]
