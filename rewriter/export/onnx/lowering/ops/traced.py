"""Operations that only the graph of a traced layer has: its variables, and the sizes that its code asks for."""

from __future__ import annotations

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import traced_op


@traced_op("Weight")
def weight(call: Emitter) -> Tensor:
    """``weight() -> [...]``: a variable of the layer, or an array in its code."""
    return call.weight("value", "value", call.dtype)


@traced_op("Size")
def size(call: Emitter) -> Tensor:
    """``size(x[a, b], axis=1) -> []``: the size b as a number."""
    return call.count(call.x, call.axis(call.get("axis"), call.x.rank), "int32")
