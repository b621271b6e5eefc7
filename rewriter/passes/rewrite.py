"""Rewrite: the one place that changes a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..ir.graph import Graph, Literal, Node, Operation, TensorRef, leaves, map_leaves
from ..ir.size import Size
from ..rules.lower import RESULT, Step
from .finding import Candidate
from .sites import Site

# How a target writes a step: (module, class name, configuration without a name).
Spelling = Callable[[Step], tuple[str, str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Inserted:
    """A node that was inserted: its path, the step that it is, and the rule that asked for it."""

    node: str
    op: str
    rule: str


class Rewriter:
    """Applies candidates to a graph and counts what it inserts.

    Every inserted node gets a fresh name and is stamped with its rule. Names of the model's inputs and outputs stay,
    and a node that replaces a multiply keeps the multiply's name.
    """

    def __init__(self, spelling: Spelling) -> None:
        self.spelling = spelling
        self.inserted: list[Inserted] = []

    def apply(self, choices: Iterable[tuple[Site, Candidate]]) -> None:
        """Insert the candidates' nodes at their sites; the edges are drawn anew once, at the end."""
        changed: dict[int, Graph] = {}
        for site, candidate in choices:
            self._apply(site, candidate)
            changed[id(site.inference.graph)] = site.inference.graph
        for graph in changed.values():
            graph.link()

    def _apply(self, site: Site, candidate: Candidate) -> None:
        graph, node = site.inference.graph, site.node
        prefix = site.path[: len(site.path) - len(node.name)]
        arguments = [
            leaf for leaf in leaves((node.args, node.kwargs)) if isinstance(leaf, (TensorRef, Literal))
        ]
        ends: dict[int, TensorRef | Literal] = {}
        for step in candidate.plan.steps:
            if step.operand == RESULT:
                continue
            source = ends.get(step.operand, arguments[step.operand])
            if isinstance(source, Literal):
                ends[step.operand] = _rearranged(source, step)
                self.inserted.append(Inserted(site.path, step.op, candidate.rule))
            else:
                ends[step.operand] = self._insert(graph, prefix, node, candidate, step, [source])
        self._redirect(node, ends)
        if candidate.plan.replaces:
            self._replace(graph, prefix, site, candidate)

    def _insert(
        self,
        graph: Graph,
        prefix: str,
        node: Node,
        candidate: Candidate,
        step: Step,
        sources: Sequence[TensorRef | Literal],
        name: str = "",
    ) -> TensorRef:
        module, class_name, config = self.spelling(step)
        if not name:
            stem = (
                f"{node.operation.name}_{candidate.rule}_{step.op}".lower()
                .replace("-", "_")
                .replace("+", "_")
            )
            name = graph.fresh_name(stem)
        stamp = {"rewriter": {"rule": candidate.rule, "equation": candidate.equation}}
        operation = Operation(name, "op", class_name, {"name": name, **config}, module, stamp)
        new = Node(name, operation, 0, tuple(sources), {}, changed=True)
        graph.add(new)
        self.inserted.append(Inserted(prefix + name, step.op, candidate.rule))
        return TensorRef(name, 0, recorded_shape(step.to), sources[0].dtype)

    def _redirect(self, node: Node, new: dict[int, TensorRef | Literal]) -> None:
        """Give the node's tensor arguments at these positions their new tensors."""
        if not new:
            return
        position = -1

        def swap(leaf: Any) -> Any:
            nonlocal position
            if not isinstance(leaf, (TensorRef, Literal)):
                return leaf
            position += 1
            return new.get(position, leaf)

        node.args, node.kwargs = map_leaves(swap, (node.args, node.kwargs))
        node.changed = True

    def _replace(self, graph: Graph, prefix: str, site: Site, candidate: Candidate) -> None:
        """Put the plan's result steps in the place of the multiply; the last one takes over its name."""
        node = site.node
        result = [step for step in candidate.plan.steps if step.operand == RESULT]
        graph.remove(node)
        alone = node.operation.name not in graph.operations
        last_name = (
            node.name
            if alone
            else graph.fresh_name(f"{node.operation.name}_{candidate.rule}".replace("-", "_"))
        )
        sources = [
            leaf for leaf in leaves((node.args, node.kwargs)) if isinstance(leaf, (TensorRef, Literal))
        ]
        for step in result:
            name = last_name if step is result[-1] else ""
            sources = [self._insert(graph, prefix, node, candidate, step, sources, name)]
        if last_name != node.name:
            self._rename_uses(graph, node.name, last_name)

    def _rename_uses(self, graph: Graph, old: str, new: str) -> None:
        def swap(leaf: Any) -> Any:
            if isinstance(leaf, TensorRef) and leaf.node == old:
                return TensorRef(new, 0, leaf.shape, leaf.dtype)
            return leaf

        for node in graph.nodes.values():
            if any(ref.node == old for ref in node.refs()):
                node.args, node.kwargs = map_leaves(swap, (node.args, node.kwargs))
                node.changed = True
        graph.inputs, graph.outputs = map_leaves(swap, graph.inputs), map_leaves(swap, graph.outputs)


def recorded_shape(sizes: tuple[Size, ...]) -> tuple[int | None, ...]:
    """A shape as files record it: None for what is not a plain number."""
    return tuple(s if isinstance(s, int) else None for s in sizes)


def _rearranged(literal: Literal, step: Step) -> Literal:
    """A literal with a step applied to the numbers themselves: the file holds them, so no node is needed."""
    import numpy as np

    array = np.asarray(literal.value)
    if step.op == "Transpose":
        array = array.transpose(step.axes)
    elif step.op == "Tile":
        array = np.tile(array, step.repeats)
    elif step.op == "Repeat":
        array = array.repeat(step.repeats[0], step.axes[0])
    elif step.op == "ExpandDims":
        array = np.expand_dims(array, step.axes)
    else:
        array = array.reshape([size for size in step.to if isinstance(size, int)])
    return Literal(array.tolist(), array.shape, literal.dtype)
