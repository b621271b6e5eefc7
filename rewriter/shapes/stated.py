"""What a file states about a model apart from its graph and weights: the shapes that layers were built on, and losses.

Both go stale when somebody edits the file, so a disagreement is not a fault. Between readings that are otherwise equal,
one that agrees with these statements is preferred.
Source: ``build_config`` and ``compile_config`` as Keras 3.15 writes them; the last axis of ``y_pred`` in
``keras/src/losses/losses.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.axis import Value
from ..ir.graph import Loss, Path
from .inference import Inference

# Losses over classes; the classes are one axis of the prediction.
_OVER_CLASSES = {
    "categoricalcrossentropy",
    "categoricalfocalcrossentropy",
    "categoricalgeneralizedcrossentropy",
    "categoricalhinge",
    "kld",
    "kldivergence",
    "sparsecategoricalcrossentropy",
}


def disagreements(inference: Inference) -> dict[Path, str]:
    """Where a statement of the file disagrees with the inference, by node; each value is a message."""
    result: dict[Path, str] = {}
    for prefix, item in inference.walk():
        for name, node in item.graph.nodes.items():
            built = node.operation.built
            if node.call or not built:
                continue
            other = _built_otherwise(built, item.taken(name) or ())
            if other is not None:
                stated = ", ".join(map(str, built[other]))
                takes = item.calls[name].inputs[other].text()
                result[*prefix, name] = f"it was built on ({stated}), and takes {takes}"
    for loss in inference.graph.losses:
        text = _no_classes(loss, inference.value(loss.output))
        if text:
            result.setdefault((loss.output.node,), text)
    return result


def _built_otherwise(built: Sequence[tuple[int | None, ...]], operands: Sequence[Value]) -> int | None:
    """The number of the first operand that has another shape than the layer was built on; None where all agree."""
    for number, (shape, operand) in enumerate(zip(built, operands, strict=False)):
        axes = operand.axes
        if axes is None:
            continue
        open_there = sum(n is None for n in shape[1:])
        if open_there == 1 + sum(not isinstance(a.size, int) for a in axes[1:]):
            continue  # built on a product with the batch in two axes: an accident of broadcasting, not evidence
        pairs = zip(shape, axes, strict=False)
        if len(shape) != len(axes) or any(
            n is not None and isinstance(a.size, int) and n != a.size for n, a in pairs
        ):
            return number
    return None


def _no_classes(loss: Loss, predicted: Value) -> str:
    if loss.name.replace("_", "").lower() not in _OVER_CLASSES or predicted.axes is None:
        return ""
    axis = loss.config.get("axis", -1)
    rank = len(predicted.axes)
    if not isinstance(axis, int) or rank < 2 or not -rank <= axis < rank or predicted.axes[axis].size == 1:
        return f"the loss {loss.name} needs a class axis, and {predicted.text()} has none"
    return ""
