"""Functions of TensorFlow in a model (``TFOpLambda``, ``SlicingOpLambda``) as operations of Keras 3.

A module for each kind of function; ``calls.py`` finds the translator by the function's name.
"""

from . import elementwise, indexing, layout, networks, reductions  # noqa: F401 - fill the registry
from .calls import is_function, title, translated
from .dynamic import SHAPES, Shape
from .emit import Emitter

__all__ = ["SHAPES", "Emitter", "Shape", "is_function", "title", "translated"]
