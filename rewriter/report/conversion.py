"""What a conversion wrote, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from ..errors import shown
from ..formats.registry import format_of
from ..ir.graph import path_text
from . import onnx
from .layout import indented, line, words

if TYPE_CHECKING:
    from ..conversion import Converted

_MOST = 40  # remarks that are shown; the JSON has all


def text(item: Converted) -> Iterator[RenderableType]:
    """``old.h5 (an HDF5 model) -> new.keras (a Keras archive)``, what became of old constructs, and the proof."""
    kinds = format_of(item.format).words, format_of(item.to).words
    yield line(f"{shown(item.path)} ({kinds[0]}) -> {shown(item.output)} ({kinds[1]})")
    for construct, became, names in grouped(item):
        where = f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names != [""] else ""
        yield indented(words(f"{construct}: {became}{where}"), 2)
    if item.verified is not None:
        yield words(verdict(item, item.verified))


def grouped(item: Converted) -> list[tuple[str, str, list[str]]]:
    """(construct, what became of it, the layers) of all remarks, in the order of the first of each."""
    found: dict[tuple[str, str], list[str]] = {}
    for remark in item.remarks:
        found.setdefault((remark.construct, remark.became), []).append(shown(path_text(remark.path)))
    return [(shown(c), shown(b), names) for (c, b), names in list(found.items())[:_MOST]]


def verdict(item: Converted, verified: dict[str, Any]) -> str:
    """The result of the comparison of the two models."""
    if "skipped" in verified:
        return f"Not compared: {verified['skipped'].rstrip('.')}."
    if item.exported is None:
        batches = " and ".join(map(str, verified["batches"]))
        difference = f"largest relative difference {verified['difference']:.2g}"
        return f"Compared: both agree at batches {batches} ({difference}; {verified['ran']})."
    return f"Compared: {onnx.verdict(verified)}."
