"""What an export wrote, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import shown

if TYPE_CHECKING:
    from ..formats.onnx import Exported


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
    return "\n".join(lines) + "\n"
