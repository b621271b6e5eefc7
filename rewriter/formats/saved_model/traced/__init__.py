"""Subclassed models and layers that Keras 3 lacks, rebuilt from the TensorFlow functions in the file.

Keras 2 saves, for every layer, a function for each way in which the layer is called. It runs these functions if it has
no class for the layer (``RevivedLayer`` in ``saving/legacy/saved_model/load.py``, tf_keras 2.21). Here, the inference
computation of such a function is written in the form that TensorFlow 2.0 to 2.3 uses for operations in a model
(``TensorFlowOpLayer``), with Keras layers where there are weights. ``keras/upgrade`` then converts it to Keras 3.

    library.py    the functions of a file, and which of them a layer runs in inference
    expand.py     a function as entries of a model
    entries.py    the entries, and their weights
    products.py   operators with weights, as layers
    composites.py layers that consist of many operators
    sizes.py      shapes that a function computes
    folding.py    constant folding
    own_layers.py replaces layers of a model; builds a whole model from its function
    served.py     builds a model without a Keras description from its signature's function
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
