"""Records: compares what the file records of a node's operands with what a reading inserts.

An operand that differs from its record may have lost a node before this one: then the reading restores the recorded
shape. Or something above was changed (an ``axis``, a ``data_format``, strides): then a reading that fits here is not
what was meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.axis import Role
from ..ir.graph import Node
from ..ir.size import Size, Truth, same
from ..shapes.inference import Inference
from .candidate import Candidate, Remark, remark
from .sites import Site, agrees

Shape = tuple[int | None, ...]
_STRETCHING = ("Repeat", "Tile")


def changed_above(site: Site) -> dict[int, Shape]:
    """The operands that differ from their record by more than unit axes, with the recorded shape of each.

    Operands that differ because an input of the model does are left out: those records are stale, which is not a fault.
    """
    found = {}
    for k, operand in enumerate(site.operands):
        ref = site.reference(k)
        node = site.source(operand)
        if ref is None or ref.shape is None or node is None or not site.is_stale(k):
            continue
        real = [axis.size for axis in operand.value.axes or ()]
        if not _alike(real, ref.shape) and not _by_an_input(site.inference, node):
            found[k] = ref.shape
    return found


def against(candidate: Candidate, site: Site, changed: Mapping[int, Shape]) -> Remark | None:
    """Why a record of the file is evidence against a reading, or None.

    Args:
        changed: the result of ``changed_above`` for the node.
    """
    for k, recorded in changed.items():
        if not _alike(_given(candidate, site, k), recorded):
            return remark("changed-above", operand=site.operands[k].path, recorded=recorded)
    for step in candidate.plan.steps:
        stretched = [axis for axis in _stretched(candidate, site, step.operand) if axis]
        if step.op not in _STRETCHING or step.operand < 0 or not stretched:
            continue
        nothing_follows = not site.inference.graph.nx.out_degree(site.node.name)
        if nothing_follows and candidate.rank.demanded != 1 and step.operand not in changed:
            return remark("stretch-unrecorded")
        if any(_made_by_the_source(site, step.operand, axis) for axis in stretched):
            return remark("stretch-made-above", operand=site.operands[step.operand].path)
    return None


def _given(candidate: Candidate, site: Site, operand: int) -> Sequence[Size]:
    """The sizes of an operand after what a reading inserts at it."""
    steps = [step.to for step in candidate.plan.steps if step.operand == operand]
    return steps[-1] if steps else [axis.size for axis in site.operands[operand].value.axes or ()]


def _alike(sizes: Sequence[Size], recorded: Shape) -> bool:
    """True if two shapes can be equal, axes of size 1 left out."""
    ours = [size for size in sizes if size != 1]
    theirs = [size for size in recorded if size != 1]
    return len(ours) == len(theirs) and all(
        b is None or same(a, b) is not Truth.NO for a, b in zip(ours, theirs, strict=True)
    )


def _by_an_input(inference: Inference, node: Node) -> bool:
    """True if a node's result differs from its record because an input of the model does."""
    waiting, seen = [node], {node.name}
    while waiting:
        here = waiting.pop()
        refs = here.refs()
        if not refs:
            return True
        for ref in refs:
            axes = inference.value(ref).axes
            stale = ref.shape is not None and axes is not None and not agrees(ref.shape, axes)
            if stale and ref.node not in seen:
                seen.add(ref.node)
                waiting.append(inference.graph.nodes[ref.node])
    return False


def _stretched(candidate: Candidate, site: Site, operand: int) -> list[int]:
    """The axes of an operand, but the batch, that a reading makes longer by repeating them."""
    if operand < 0:
        return []
    axes = site.operands[operand].value.axes or ()
    given = _given(candidate, site, operand)
    if len(given) != len(axes):
        return []
    return [
        place
        for place, (axis, size) in enumerate(zip(axes, given, strict=True))
        if place and axis.role is not Role.BATCH and axis.size != 1 and same(axis.size, size) is Truth.NO
    ]


def _made_by_the_source(site: Site, operand: int, place: int) -> bool:
    """True if the source of an operand made one of its axes with ``strides``, which may have been changed.

    False for a pool: its strides are its size.
    """
    node = site.source(site.operands[operand])
    axis = (site.operands[operand].value.axes or ())[place]
    if node is None or "strides" not in node.operation.config or "pool_size" in node.operation.config:
        return False
    return not any(
        axis.is_same(other) for ref in node.refs() for other in site.inference.value(ref).axes or ()
    )
