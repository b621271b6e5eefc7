"""A changed model in the form of Keras 2 that its file has: what ``upgrade`` reads, written back.

The entries of the file go back as they are; only calls that take other tensors are patched, and the inserted
operations are added as layers of Keras 2, or as functions of TensorFlow (``TFOpLambda``) where there is no layer.
"""

from .groups import moves
from .layers_only import in_layers
from .own_order import archive_refusal, h5_refusal
from .weight_names import WeightOrder, weight_order
from .writer import written

__all__ = ["WeightOrder", "archive_refusal", "h5_refusal", "in_layers", "moves", "weight_order", "written"]
