"""``x[...]``: slices, numbers, ``None`` and ``...``."""

from __future__ import annotations

from typing import Any

from ..constructs import Construct
from ..context import Untranslatable
from ..tensors import is_tensor
from .dynamic import Shape, Size
from .emit import Emitter
from .registry import function

CONSTRUCTS = (Construct("SlicingOpLambda (x[:, 0], x[..., None])", "ops.get_item", "indexing"),)


@function("__operators__.getitem", takes="tensor slice_spec")
def _get_item(emitter: Emitter, tensor: Any, slice_spec: Any) -> Any:
    parts = [_part(part) for part in (slice_spec if isinstance(slice_spec, list) else [slice_spec])]
    if isinstance(tensor, (Shape, list)) and not is_tensor(tensor):
        return _of_shape(tensor, parts)
    alone = len(parts) == 1 and not isinstance(parts[0], slice)  # Keras 3 takes a slice in a list only
    return emitter.op("GetItem", tensor, parts[0] if alone else parts)


def _part(part: Any) -> Any:
    """One part of an index. Raises Untranslatable if the model computes it."""
    if isinstance(part, dict) and set(part) <= {"start", "stop", "step"}:
        bounds = [part.get(key) for key in ("start", "stop", "step")]
        if any(
            bound is not None and (not isinstance(bound, int) or isinstance(bound, bool)) for bound in bounds
        ):
            raise Untranslatable("an index", "its bounds are computed by the model")
        return slice(*bounds)
    if isinstance(part, str) and part == "Ellipsis":
        return Ellipsis
    if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
        return Ellipsis
    if part is None or (isinstance(part, int) and not isinstance(part, bool)):
        return part
    raise Untranslatable("an index", "it contains a tensor")


def _of_shape(shape: Any, parts: list[Any]) -> Any:
    if len(parts) == 1 and isinstance(shape, list):
        return shape[parts[0]]
    if len(parts) == 1 and isinstance(shape, Shape) and isinstance(parts[0], int) and parts[0] >= 0:
        return Size(shape.tensor, parts[0])
    raise Untranslatable("a part of tf.shape", "Keras 3 has no such tensor in a model")
