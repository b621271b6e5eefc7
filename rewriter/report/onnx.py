"""What an export wrote, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import shown

if TYPE_CHECKING:
    from ..export.onnx import Exported


def text(item: Exported) -> str:
    """``model.onnx: 41 nodes, opset 26, 1.2 MB``, then the inputs and outputs."""
    count = sum(item.nodes.values())
    lines = [
        f"{shown(item.path)}: {count} node{'s' * (count != 1)}, opset {item.opset}, {item.bytes / 1e6:,.1f} MB"
    ]
    for word, names in (("inputs", item.inputs), ("outputs", item.outputs)):
        lines.append(f"  {word:8} {', '.join(map(shown, names))}")
    if item.data is not None:
        lines.append(f"  {'weights':8} {shown(item.data)}")
    if item.fallback:
        lines.append(f"  {'exported':8} by tf2onnx: {shown(item.fallback)}")
    if item.verified is not None:
        lines.append(
            f"  {'verified' if 'skipped' not in item.verified else 'not verified:'} {verdict(item.verified)}"
        )
    return "\n".join(lines) + "\n"


def verdict(verified: dict[str, Any]) -> str:
    """``at batches 2 and 3, the largest difference from Keras is 2.4e-07 of the largest value``, or why not."""
    if "skipped" in verified:
        return str(verified["skipped"])
    batches = " and ".join(map(str, verified["batches"]))
    word = "batches" if len(verified["batches"]) > 1 else "batch"
    difference = f"{verified['difference']:.2g} of the largest value"
    oracle = verified.get("against", "Keras")
    return f"at {word} {batches}, the largest difference from {oracle} is {difference}"
