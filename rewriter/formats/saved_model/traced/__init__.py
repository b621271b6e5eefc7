"""Layers that Keras 3 lacks and subclassed models, as the operations of the functions that TensorFlow kept of them.

Keras 2 saves of every layer a function for each way in which it is called, and runs these where it has no class for
the layer (``RevivedLayer`` in ``saving/legacy/saved_model/load.py``, tf_keras 2.21). What such a function computes
outside of training is written in the form in which TensorFlow 2.0 to 2.3 keeps operations in a model
(``TensorFlowOpLayer``), with the layers of Keras that have the same weights; ``keras/upgrade`` brings it to Keras 3.

    library.py    the functions of a file, and which of them a layer runs outside of training
    expand.py     a function as entries of a model
    entries.py    these entries, and their weights
    products.py   operators with weights, as layers
    composites.py layers of many operators
    sizes.py      shapes that are computed
    folding.py    operators on constants, computed
    own_layers.py the layers of a model replaced; a whole model from its function
    served.py     a model of which Keras says nothing, from the function of its signature
"""

from .library import Library, Unable
from .own_layers import Traced, of_function, with_functions
from .served import Served, of_signature, served, signature_name

__all__ = [
    "Library",
    "Served",
    "Traced",
    "Unable",
    "of_function",
    "of_signature",
    "served",
    "signature_name",
    "with_functions",
]
