"""The proof of a repair: the written file is analysed again, then run by Keras and compared with what it must compute.

TensorFlow is imported in a process of its own, which can hang or die without harm (``child``), or in this one where
the model came out of it (``in_process``). What is compared is in ``checks``; what can be expected, in ``request``.
"""

from .child import in_child
from .keras.checks import in_process
from .request import Prover, Request
from .write import proven

__all__ = ["Prover", "Request", "in_child", "in_process", "proven"]
