"""The changes of a repair: every node whose operation or operands differ, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import shown
from ..ir.axis import Value
from ..ir.graph import Path, path_text
from ..presentation import brief, count
from ..shapes.inference import Inference
from .finding import Operand
from .sites import operands_of

# Options of nodes that only move data.
_MOVING = frozenset({"axes", "axis", "dims", "perm", "repeats"})


@dataclass(frozen=True, slots=True, repr=False)
class State:
    """A node before or after a repair: its operation, its operands and its first result (None where it cannot run).

    ``options`` are those of its options that say how it moves data (``axes``, ``repeats``).
    """

    op: str
    operands: tuple[Operand, ...]
    result: Value | None
    options: tuple[tuple[str, Any], ...] = ()

    def __repr__(self) -> str:
        return f"<State {shown(self.op, 60)} of {count(len(self.operands), 'operand')}>"

    def takes(self) -> list[tuple[str, object]]:
        """The operands as two states compare them: the source of each, and the sizes of a constant."""
        return [(o.source, o.value.sizes if o.value.is_constant else None) for o in self.operands]


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """A node before and after a repair, None where it does not exist.

    ``rule`` and ``equation`` are those of an inserted node.
    """

    path: Path
    before: State | None
    after: State | None
    rule: str = ""
    equation: str = ""

    @property
    def node(self) -> str:
        """The node as it is shown."""
        return path_text(self.path)

    @property
    def inserted(self) -> bool:
        return bool(self.rule)

    def __repr__(self) -> str:
        if self.inserted:
            return f"<Change {brief(self.node)}: inserted by {shown(self.rule, 60)}>"
        what = "other" if self.before and self.after else "new" if self.after else "removed"
        return f"<Change {brief(self.node)}: {what}>"


@dataclass(frozen=True, slots=True, repr=False)
class Changes:
    """The changed nodes, and those whose result only has another shape (``follow``: path, before, after).

    ``old`` and ``new`` are all nodes, in the order of the model; ``new`` keeps the order of ``old``, with each inserted
    node before the first one that takes its result.
    """

    nodes: list[Change]
    follow: list[tuple[Path, Value, Value]]
    old: Mapping[Path, State] = field(default_factory=dict)
    new: Mapping[Path, State] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Changes {count(len(self.nodes), 'node')}, {count(len(self.follow), 'other shape')}>"


def changes(before: Inference, after: Inference) -> Changes:
    """Compare a model's graph with its repaired one.

    Args:
        before: the inference of the graph as it was read.
        after: the inference of another copy of the graph, which was repaired.
    """
    old, new = _states(before), _states(after)
    stamps = {
        (*prefix, name): node.operation.raw.get("rewriter", {})
        for prefix, item in after.walk()
        for name, node in item.graph.nodes.items()
        if isinstance(node.operation.raw, dict)
    }
    found = [Change(node, state, None) for node, state in old.items() if node not in new]
    follow = []
    for node, state in new.items():
        was = old.get(node)
        if was is None or was.op != state.op or was.takes() != state.takes():
            stamp = stamps[node] if was is None or was.op != state.op else {}
            found.append(Change(node, was, state, stamp.get("rule", ""), stamp.get("equation", "")))
        elif was.result is not None and state.result is not None and was.result.sizes != state.result.sizes:
            follow.append((node, was.result, state.result))
    return Changes(found, follow, old, _ordered(old, new))


def _ordered(old: Mapping[Path, State], new: Mapping[Path, State]) -> dict[Path, State]:
    """The new nodes in the order of the old ones; an inserted one comes before its first use."""
    result: dict[Path, State] = {}

    def place(path: Path) -> None:
        for operand in new[path].operands:
            if operand.path in new and operand.path not in old and operand.path not in result:
                place(operand.path)
        result[path] = new[path]

    for path in (*(path for path in old if path in new), *new):
        if path not in result:
            place(path)
    return result


def _states(inference: Inference) -> dict[Path, State]:
    """The state of every call by its path, in the first context that reaches it."""
    result: dict[Path, State] = {}
    for prefix, item in inference.walk():
        for name in item.graph.order:
            if name not in item.calls or (*prefix, name) in result:
                continue
            node = item.graph.nodes[name]
            values = item.values[name] if name not in item.faults else []
            result[*prefix, name] = State(
                node.operation.class_name,
                tuple(operands_of(node, item.calls[name], prefix)),
                values[0] if values else None,
                tuple((k, v) for k, v in node.operation.config.items() if k in _MOVING),
            )
    return result
