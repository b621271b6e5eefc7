"""What an export wrote, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import shown
from ..trusted import sentence

if TYPE_CHECKING:
    from ..export.onnx import Exported


def text(item: Exported) -> str:
    """``model.onnx: 41 nodes, opset 26, 1.2 MB``, then the inputs and outputs."""
    count = sum(item.nodes.values())
    lines = [f"{shown(item.path)}: {count} node{'s' * (count != 1)}, opset {item.opset}, {_size(item.bytes)}"]
    for word, names in (("inputs", item.inputs), ("outputs", item.outputs)):
        lines.append(f"  {word:8} {', '.join(map(shown, names))}")
    if item.data is not None:
        lines.append(f"  {'weights':8} {shown(item.data)}")
    if item.fallback:
        lines.append(f"  {'exported':8} by tf2onnx: {shown(item.fallback)}")
    lines += [f"  {'warning':8} {shown(sentence)}" for sentence in item.warnings]
    if item.trust:
        lines.append(f"  {'code':8} {sentence(item.trust)}")
    if item.verified is not None:
        lines.append(
            f"  {'verified' if 'skipped' not in item.verified else 'not compared:'} {verdict(item.verified)}"
        )
    return "\n".join(lines) + "\n"


def verdict(verified: dict[str, Any]) -> str:
    """``agrees with Keras at batches 2 and 3 (largest relative difference 2.4e-07)``, or why it is not compared.

    A difference is relative to the largest value of the output.
    """
    if "skipped" in verified:
        return str(verified["skipped"])
    batches = " and ".join(map(str, verified["batches"]))
    word = "batches" if len(verified["batches"]) > 1 else "batch"
    oracle = verified.get("against", "Keras")
    allowed = f"; {verified['allowed']:g} is allowed" if "allowed" in verified else ""
    return (
        f"agrees with {oracle} at {word} {batches} "
        f"(largest relative difference {verified['difference']:.2g}{allowed})"
    )


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB" if number >= 1e5 else f"{number / 1e3:,.1f} kB"
