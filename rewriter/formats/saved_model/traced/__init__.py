"""Layers that Keras 3 lacks and subclassed models, as the operations of the functions that TensorFlow kept of them.

Keras 2 saves of every layer a function for each way in which it is called, and runs these where it has no class for
the layer (``RevivedLayer`` in ``saving/legacy/saved_model/load.py``, tf_keras 2.21). What such a function computes
outside of training is written in the form in which TensorFlow 2.0 to 2.3 keeps operations in a model
(``TensorFlowOpLayer``), with the layers of Keras that have the same weights; ``keras/upgrade`` brings it to Keras 3.

    library.py    the functions of a file, and which of them a layer runs outside of training
    expand.py     a function as entries of a model
    products.py   operators with weights, as layers
    composites.py layers of many operators
    folding.py    operators on constants, computed
    own_layers.py the layers of a model replaced; a whole model from its function
"""

from .library import Library, Unable
from .own_layers import Traced, of_function, with_functions

__all__ = ["Library", "Traced", "Unable", "of_function", "with_functions"]
