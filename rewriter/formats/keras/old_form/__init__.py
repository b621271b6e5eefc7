"""Write a changed model in the old form of its file, which ``upgrade`` reads.

The entries of the file stay as they are; only calls on other tensors are patched. Inserted operations are added as
layers of Keras 2, or as functions of TensorFlow (``TFOpLambda``) if there is no layer.
"""

from .groups import moves
from .layers_only import in_layers
from .own_order import archive_refusal, h5_refusal
from .weight_names import WeightOrder, weight_order
from .writer import written

__all__ = ["WeightOrder", "archive_refusal", "h5_refusal", "in_layers", "moves", "weight_order", "written"]
