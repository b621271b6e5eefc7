"""The proof of a repair: the written file is analysed again, then run and compared with what it must compute.

The model runs in a separate process, which can hang or crash without harm (``child``). A model that was in memory runs
in this process (``in_process``). ``request`` decides what can be expected; the ``checks`` of each runtime compare.
"""

from .child import in_child
from .keras.checks import in_process
from .request import Prover, Request
from .write import proven

__all__ = ["Prover", "Request", "in_child", "in_process", "proven"]
