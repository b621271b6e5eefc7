"""Functions of TensorFlow in a model (``TFOpLambda``, ``SlicingOpLambda``) as operations of Keras 3.

A module for each kind of function; ``registry.py`` finds the translator by the function's name.
"""

from . import elementwise, indexing, layout, networks, reductions  # noqa: F401 - fill the registry
from .dynamic import SHAPES, Shape
from .emit import Emitter
from .registry import is_function, title, translated

__all__ = ["SHAPES", "Emitter", "Shape", "is_function", "title", "translated"]
