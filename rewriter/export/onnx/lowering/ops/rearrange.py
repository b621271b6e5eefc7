"""einops-style rearrangement: axes are split, moved and merged."""

from __future__ import annotations

from .....ir.size import product
from .....shapes.ops.rearrange import group_sizes, groups
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op
from ._operands import argument, as_tensor


@op("einops", "Rearrange")
def rearrange(call: Emitter) -> Tensor:
    """``rearrange(x[b, h*k, c], "b (h k) c -> b c h k", k=2) -> [b, c, h, k]``."""
    x = as_tensor(call, argument(call, 0, "tensor"))
    left, right = (groups(side) for side in call.arg(1, "pattern").split("->"))
    lengths = {name: value for name, value in call.kwargs.items() if name not in ("tensor", "pattern")}
    parts = [group_sizes(call, group, size, lengths) for group, size in zip(left, x.sizes, strict=True)]
    names = [name for group in left for name in group]
    size = dict(zip(names, (s for part in parts for s in part), strict=True))
    moved = [name for group in right for name in group]
    y = call.transpose(call.reshape(x, [size[name] for name in names]), [names.index(name) for name in moved])
    return call.reshape(y, [product(size[name] for name in group) for group in right])
