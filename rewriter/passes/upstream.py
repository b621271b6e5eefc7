"""Upstream: what may be wrong above a node that no inserted node repairs.

Two things are reported. Where its sizes come from: the nodes that made the axes that fit nothing (a Dense layer with
other units, a Flatten of other factors). And which single changed argument of a node above leaves the model without the
fault: another ``axis``, ``data_format``, order of ``dims`` or ``target_shape``. Both are shown and never applied: only
the author can tell a wrong argument from a wrong model.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

from ..errors import RewriterError
from ..ir.axis import Axis, Role, Value
from ..ir.graph import Graph, Operation, Path
from ..ir.size import Truth, same
from ..shapes.infer import Overrides, infer, suppose
from ..shapes.inference import Inference
from .finding import Argument, Finding
from .search import Reexamine
from .sites import operands_of

# An argument's other values, for an operand: (value, shape of the operand without batch, requested shapes).
Others = Callable[[Any, Value, Sequence[tuple[int, ...]]], Iterator[Any]]

_MAX_STEPS = 6
_MAX_TRIED = 160
_MAX_SHOWN = 4
_MAX_ORDERED = 5


def _axes(value: Any, operand: Value, asked: Sequence[tuple[int, ...]]) -> Iterator[Any]:
    """Any other axis but the batch."""
    if isinstance(value, int) and operand.rank:
        at = value % operand.rank
        yield from (i for i in range(1, operand.rank) if i != at)


def _formats(value: Any, operand: Value, asked: Sequence[tuple[int, ...]]) -> Iterator[Any]:
    known = ("channels_last", "channels_first")
    yield from (other for other in known if value in known and other != value)


def _orders(value: Any, operand: Value, asked: Sequence[tuple[int, ...]]) -> Iterator[Any]:
    """Any other order of the same axes; a batch that comes first stays there."""
    if _is_short(value):
        lead = [0] if value[:1] == [0] else []
        for order in itertools.permutations(sorted(value)[len(lead) :]):
            if [*lead, *order] != list(value):
                yield [*lead, *order]


def _targets(value: Any, operand: Value, asked: Sequence[tuple[int, ...]]) -> Iterator[Any]:
    """The same sizes in another order, and the requested shapes with as many elements.

    As many axes of the operand stay whole as now: else it would mix, say, the steps of a sequence with each other.
    """
    if not _is_short(value):
        return
    lead, rest = (list(value[:1]), list(value[1:])) if value[:1] == [-1] else ([], list(value))
    seen = {tuple(rest)}
    wanted = [shape for shape in asked if -1 not in rest and math.prod(shape) == math.prod(rest)]
    given = _blocks(_plain(operand) or ())
    kept = len(given & _blocks(rest))
    for shape in [*map(tuple, itertools.permutations(rest)), *wanted]:
        if shape not in seen and len(given & _blocks(shape)) >= kept:
            seen.add(shape)
            yield [*lead, *shape]


def _blocks(sizes: Sequence[int]) -> set[tuple[int, int]]:
    """Each axis that is not 1 as the product of the sizes before it, and its own size."""
    before = itertools.accumulate(sizes, operator.mul, initial=1)
    return {(product, size) for product, size in zip(before, sizes, strict=False) if size != 1}


def _is_short(value: Any) -> bool:
    """True for a few whole numbers: the orders of more are too many to try."""
    return (
        isinstance(value, (list, tuple))
        and len(value) <= _MAX_ORDERED
        and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
    )


# The arguments that are tried, by the name that they have in the file.
ARGUMENTS: dict[str, Others] = {
    "axis": _axes,
    "data_format": _formats,
    "dims": _orders,
    "axes": _orders,
    "target_shape": _targets,
    "newshape": _targets,
}


def look_upstream(graph: Graph, findings: Sequence[Finding], chosen: Overrides, reexamine: Reexamine) -> None:
    """Add notes on the nodes above to findings that no inserted node repairs."""
    if not findings:
        return
    base = infer(graph, chosen)
    search = _Search(graph, base, chosen, reexamine)
    for finding in findings:
        prefix, name = finding.path[:-1], finding.path[-1]
        item = next(base.at(prefix), None)
        if item is None or name not in item.graph.nodes:
            continue
        for details in list(_makers(finding, item)):
            finding.note("made-by", **details)
        search.try_arguments(finding, item)


# -- one argument -----------------------------
class _Search:
    """Tries other arguments above findings, at most ``_MAX_TRIED`` in all."""

    def __init__(self, graph: Graph, base: Inference, chosen: Overrides, reexamine: Reexamine) -> None:
        self.graph = graph
        self.base = base
        self.chosen = chosen
        self.reexamine = reexamine
        self.left = _MAX_TRIED

    @cached_property
    def before(self) -> set[Path]:
        return set(_faults(self.base))

    @cached_property
    def conflicts(self) -> int:
        return _conflicts(self.base)

    def try_arguments(self, finding: Finding, item: Inference) -> None:
        """Add to a finding each argument above it, the nearest nodes first, with which the model would run."""
        asked = [shape for o in finding.operands if (shape := _plain(o.value)) is not None]
        tried = 0
        for above in _above(item.graph, finding.path[-1]):
            for argument, value, other in _alternatives(
                item.graph.nodes[above].operation, item, above, asked
            ):
                if not self.left:
                    finding.note("arguments-not-tried", tried=tried)
                    _note_arguments(finding)
                    return
                self.left -= 1
                tried += 1
                path = (*finding.path[:-1], above)
                if self._mends(item.graph, path, argument, other, finding.path):
                    finding.upstream.append(Argument(path, argument, value, other))
        _note_arguments(finding)

    def _mends(self, graph: Graph, path: Path, argument: str, value: Any, at: Path) -> bool:
        """True if the node at ``at`` can run with another argument at ``path``, and nothing else gets worse."""
        with _changed(graph, graph.nodes[path[-1]].operation, argument, value), suppress(RewriterError):
            with_it = suppose(self.base, self.chosen, [path])
            after = set(_faults(with_it))
            return (
                at not in after
                and after <= self.before
                and _conflicts(with_it) <= self.conflicts
                and self.reexamine(with_it, at) is None
                and _as_recorded(with_it, at)
                and not _loses_the_batch(with_it, at)
            )
        return False


def _note_arguments(finding: Finding) -> None:
    found = finding.upstream[:_MAX_SHOWN]
    if found:
        finding.note("arguments", arguments=found, more=len(finding.upstream) - len(found))


def _alternatives(
    operation: Operation, item: Inference, name: str, asked: Sequence[tuple[int, ...]]
) -> Iterator[tuple[str, Any, Any]]:
    operands = item.taken(name) or []
    if operation.opaque or not operands:
        return
    for argument, others in ARGUMENTS.items():
        value = operation.config.get(argument)
        if value is not None:
            yield from ((argument, value, other) for other in others(value, operands[0], asked))


@contextmanager
def _changed(graph: Graph, operation: Operation, argument: str, value: Any) -> Iterator[None]:
    """The graph with another value of one argument, for as long as the block lasts."""
    other = replace(operation, config={**operation.config, argument: value})
    calls = [node for node in graph.nodes.values() if node.operation is operation]
    for node in calls:
        node.operation = other
    try:
        yield
    finally:
        for node in calls:
            node.operation = operation


def _above(graph: Graph, name: str) -> Iterator[str]:
    """The node itself and those above it, nearest first."""
    waiting = deque([(name, 0)])
    seen = {name}
    while waiting:
        here, steps = waiting.popleft()
        yield here
        if steps < _MAX_STEPS:
            new = [n for n in graph.nx.predecessors(here) if n not in seen]
            seen.update(new)
            waiting.extend((n, steps + 1) for n in new)


def _plain(value: Value) -> tuple[int, ...] | None:
    sizes = [a.size for a in (value.axes or ())[1:]]
    return tuple(s for s in sizes if isinstance(s, int)) if all(isinstance(s, int) for s in sizes) else None


def _as_recorded(inference: Inference, path: Path) -> bool:
    """True unless the node's result differs from what the file records for it."""
    item = next(inference.at(path[:-1]), None)
    if item is None:
        return True
    recorded = item.graph.recorded.get((path[-1], 0))
    axes = item.values[path[-1]][0].axes
    if recorded is None or axes is None:
        return True
    return len(recorded) == len(axes) and all(
        r is None or same(r, a.size) is not Truth.NO for r, a in zip(recorded, axes, strict=True)
    )


def _loses_the_batch(inference: Inference, path: Path) -> bool:
    """True if a node below takes a tensor with a batch and gives none.

    Such a node takes an axis by its number, and that number is now another axis.
    """
    item = next(inference.at(path[:-1]), None)
    if item is None:
        return False
    return any(
        any(map(_has_batch, item.taken(name) or ())) and not any(map(_has_batch, item.values[name]))
        for name in item.graph.nx.successors(path[-1])
    )


def _has_batch(value: Value) -> bool:
    return value.axes is None or any(leaf.role is Role.BATCH for a in value.axes for leaf in a.flat())


def _faults(inference: Inference) -> Iterator[Path]:
    return (path for path, _ in inference.faults_at(inference.graph.order))


def _conflicts(inference: Inference) -> int:
    return sum(len(messages) for _, item in inference.walk() for messages in item.conflicts.values())


# -- where sizes come from -----------------------------
def _makers(finding: Finding, item: Inference) -> Iterator[dict[str, Any]]:
    """Which nodes made the axes that no other operand has: where to look for a wrong number."""
    prefix, name = finding.path[:-1], finding.path[-1]
    if any(not c.needs_evidence for c in finding.candidates) or item.taken(name) is None:
        return
    # The finding's operands may come from another inference; axes can only be compared within one.
    operands = operands_of(item.graph.nodes[name], item.calls[name], prefix)
    for number, operand in enumerate(operands):
        others = [o.value.axes or () for k, o in enumerate(operands) if k != number]
        if operand.value.axes is None or not operand.path:
            continue
        for axis in operand.value.axes:
            told = (
                str(axis) in finding.message if not others else not any(_met(axis, axes) for axes in others)
            )
            if axis.role is Role.BATCH or axis.size == 1 or not told:
                continue
            makers = dict.fromkeys(_maker(item, operand.path[-1], a) for a in axis.flat())
            above = [(*prefix, maker) for maker in makers if maker]
            if above:
                itself = above == [operand.path]
                yield {"axis": axis, "operand": operand.path, "makers": above, "itself": itself}


def _met(axis: Axis, axes: Sequence[Axis]) -> bool:
    return any(other.role is not Role.BATCH and same(axis.size, other.size) is not Truth.NO for other in axes)


def _maker(item: Inference, source: str, axis: Axis) -> str:
    """The node that made an axis: the first one above whose operands do not have it."""
    name = source
    while name in item.graph.nodes:
        holding = next(
            (
                ref.node
                for ref in item.graph.nodes[name].refs()
                if any(leaf.is_same(axis) for a in item.value(ref).axes or () for leaf in a.flat())
            ),
            None,
        )
        if holding is None:
            return name
        name = holding
    return ""
