"""Operations that only the graph of a traced layer has: its variables, and the sizes that its code asks for."""

from __future__ import annotations

from ...ir.axis import Value
from ..call import Call, traced_op
from ..facts import constant_axes


@traced_op("Weight")
def weight(call: Call) -> Value:
    """``weight() -> [...]``: a variable of the layer, or an array in its code."""
    shape = call.get("shape")
    if not isinstance(shape, (list, tuple)):
        raise call.bad("shape", shape, "a list of whole numbers")
    return Value(constant_axes([call.whole("shape", n, 0) for n in shape]), call.text("dtype", "float32"))


@traced_op("Size")
def size(call: Call) -> Value:
    """``size(x[a, b], axis=1) -> []``: the size b as a number."""
    axes = call.axes
    return Value((), "int32", constant=axes[call.axis(call.get("axis"), len(axes))].size)
