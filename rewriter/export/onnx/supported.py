"""Which classes with an axis rule can be written as ONNX, and why the others cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...shapes import call as shapes
from ...shapes import layers as _layers  # noqa: F401 - fills the tables of axis rules
from ...shapes import ops as _ops  # noqa: F401
from ...shapes.layers.opaque import OPAQUE
from ...shapes.ops.opaque import OPAQUE_OPS
from . import lowering as _lowering  # noqa: F401 - fills the tables of lowerings
from .registry import LAYERS, OPS, REFUSED_LAYERS, REFUSED_OPS

NONE = "no lowering is known"


@dataclass(frozen=True, slots=True)
class Entry:
    """A class: ``kind`` is ``layer`` or ``op``; ``reason`` says why it has no ONNX form, "" if it has one."""

    kind: str
    name: str
    reason: str = ""


def support() -> list[Entry]:
    """Every class with an axis rule, layers first, by name."""
    return [*_entries_of_layers(), *_entries_of_ops()]


def reasons() -> dict[tuple[str, str], str]:
    """By kind and name, why classes have no ONNX form; those that have one are left out."""
    return {(entry.kind, entry.name): entry.reason for entry in support() if entry.reason}


def _entries_of_layers() -> Iterator[Entry]:
    for name in sorted({*shapes.LAYERS, *OPAQUE}):
        reason = REFUSED_LAYERS.get(name) or OPAQUE.get(name) or NONE
        yield Entry("layer", name, "" if name in LAYERS else reason)


def _entries_of_ops() -> Iterator[Entry]:
    for key in sorted({*shapes.OPS, *OPAQUE_OPS}):
        reason = REFUSED_OPS.get(key) or OPAQUE_OPS.get(key) or NONE
        yield Entry("op", ".".join(key), "" if key in OPS else reason)
