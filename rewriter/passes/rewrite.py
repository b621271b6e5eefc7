"""Rewrite: the one place that changes a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..ir.graph import Graph, Literal, Node, Operation, Path, TensorRef, leaves, map_leaves, path_text
from ..ir.size import Size
from ..rules.lower import RESULT, Step
from ..shapes.broadcast import Convention
from .candidate import Candidate
from .finding import Operand
from .sites import Site

Shape = tuple[int | None, ...]

# How a target writes a step: (module, class name, configuration without a name, arguments other than the tensors).
# The tensors come before those arguments, or in the place of ``...`` among them.
Spelling = Callable[[Step], tuple[str, str, dict[str, Any], tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Inserted:
    """A node that was inserted: its path, the step that it is, and the rule that inserted it."""

    path: Path
    op: str
    rule: str

    @property
    def node(self) -> str:
        """The node as it is shown."""
        return path_text(self.path)


@dataclass(frozen=True, slots=True)
class Applied:
    """The change at one node: its path and operands before, and where its parts are now.

    ``meets`` is the path of the operation that takes the operands, ``gives`` of the one that makes the result.
    ``chains`` has for each operand the paths of the operations that were inserted before it, in order. ``literals`` are
    the original operands that the file holds, by number. ``shared`` says that ``meets`` is called more than once.
    """

    path: Path
    op: str
    convention: Convention
    candidate: Candidate
    operands: tuple[Operand, ...]
    meets: Path
    gives: Path
    chains: tuple[tuple[Path, ...], ...]
    literals: dict[int, Literal]
    shared: bool

    @property
    def node(self) -> str:
        """The node as it is shown."""
        return path_text(self.path)


class Rewriter:
    """Applies candidates to a graph and counts what it inserts.

    Every inserted node gets a fresh name and is stamped with its rule. Names of the model's inputs and outputs stay,
    and a node that replaces a multiply keeps the multiply's name.
    """

    def __init__(self, spelling: Spelling) -> None:
        self.spelling = spelling
        self.inserted: list[Inserted] = []
        self.applied: list[Applied] = []

    def apply(self, choices: Iterable[tuple[Site, Candidate]], stated: Collection[Path] = ()) -> None:
        """Insert the candidates' nodes at their sites; each graph is linked once, at the end.

        Args:
            stated: the nodes whose reading the user stated: shapes that the file records there do not count.
        """
        changed: dict[int, tuple[Graph, dict[str, Shape]]] = {}
        for site, candidate in choices:
            graph = site.inference.graph
            made = changed.setdefault(id(graph), (graph, {}))[1]
            name, used_by = self._apply(site, candidate, site.path in stated)
            made[name] = recorded_shape(candidate.plan.output)
            _restate(graph, used_by, {name: made[name]})
        for graph, made in changed.values():
            graph.outputs = map_leaves(partial(_restated, made=made), graph.outputs)
            graph.link()

    def _apply(self, site: Site, candidate: Candidate, stated: bool) -> tuple[str, list[str]]:
        """Insert a candidate's nodes. Returns the node that now gives the site's result, and the nodes that use it."""
        graph, node = site.inference.graph, site.node
        prefix = site.path[:-1]
        arguments = [
            leaf for leaf in leaves((node.args, node.kwargs)) if isinstance(leaf, (TensorRef, Literal))
        ]
        ends: dict[int, TensorRef | Literal] = {}
        chains: list[list[Path]] = [[] for _ in arguments]
        for step in candidate.plan.steps:
            if step.operand == RESULT:
                continue
            source = ends.get(step.operand, arguments[step.operand])
            if isinstance(source, Literal) and step.like is None:
                ends[step.operand] = _rearranged(source, step)
                self.inserted.append(Inserted(site.path, step.op, candidate.rule))
            else:
                sources = [source, *self._lengths(graph, prefix, node, candidate, step, ends, arguments)]
                end = ends[step.operand] = self._insert(graph, prefix, node, candidate, step, sources)
                chains[step.operand].append((*prefix, end.node))
        if stated:
            ends = {**_as_they_are(arguments, site), **ends}
        self._redirect(node, ends)
        used_by = list(graph.nx.successors(node.name))
        new = self._replace(graph, prefix, site, candidate) if candidate.plan.replaces else []
        self.applied.append(
            Applied(
                site.path,
                node.operation.class_name,
                site.convention,
                candidate,
                site.operands,
                (*prefix, new[0] if new else node.operation.name),
                (*prefix, new[-1] if new else node.operation.name),
                tuple(map(tuple, chains)),
                {k: leaf for k, leaf in enumerate(arguments) if isinstance(leaf, Literal)},
                not new and graph.calls[node.operation.name] > 1,
            )
        )
        return new[-1] if new else node.name, used_by

    def _lengths(
        self,
        graph: Graph,
        prefix: Path,
        node: Node,
        candidate: Candidate,
        step: Step,
        ends: Mapping[int, TensorRef | Literal],
        arguments: Sequence[TensorRef | Literal],
    ) -> list[TensorRef | Literal]:
        """The further tensor from which a step takes the lengths of its result's axes, where it needs one."""
        if step.lengths is None:
            return []
        like = step.lengths.operand
        source = ends.get(like, arguments[like])
        return [self._insert(graph, prefix, node, candidate, step.lengths, [source])]

    def _insert(
        self,
        graph: Graph,
        prefix: Path,
        node: Node,
        candidate: Candidate,
        step: Step,
        sources: Sequence[TensorRef | Literal],
        name: str = "",
    ) -> TensorRef:
        module, class_name, config, arguments = self.spelling(step)
        if not name:
            stem = (
                f"{node.operation.name}_{candidate.rule}_{step.op}".lower()
                .replace("-", "_")
                .replace("+", "_")
            )
            name = graph.fresh_name(stem)
        stamp = {"rewriter": {"rule": candidate.rule, "equation": candidate.equation}}
        operation = Operation(name, "op", class_name, {"name": name, **config}, module, stamp)
        at = arguments.index(...) if ... in arguments else 0
        taken = (
            (*arguments[:at], *sources, *arguments[at + 1 :]) if ... in arguments else (*sources, *arguments)
        )
        new = Node(name, operation, 0, taken, {}, changed=True)
        graph.add(new)
        self.inserted.append(Inserted((*prefix, name), step.op, candidate.rule))
        return TensorRef(name, 0, recorded_shape(step.to), sources[0].dtype)

    def _redirect(self, node: Node, new: dict[int, TensorRef | Literal]) -> None:
        """Replace the node's tensor arguments at these positions."""
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

    def _replace(self, graph: Graph, prefix: Path, site: Site, candidate: Candidate) -> list[str]:
        """Replace the multiply by the plan's result steps, and return their names.

        The last one takes over the multiply's name, unless the operation has other calls.
        """
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
        names = []
        for step in result:
            name = last_name if step is result[-1] else ""
            new = self._insert(graph, prefix, node, candidate, step, sources, name)
            sources = [new]
            names.append(new.node)
        if last_name != node.name:
            self._rename_uses(graph, node.name, last_name)
        return names

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


def _as_they_are(arguments: Sequence[TensorRef | Literal], site: Site) -> dict[int, TensorRef | Literal]:
    """The operands for which the file records another shape than they have, with the shape that they have."""
    found: dict[int, TensorRef | Literal] = {}
    for number, (argument, value) in enumerate(zip(arguments, site.values, strict=True)):
        shape = None if value.shape is None else tuple(value.shape)
        if not isinstance(argument, TensorRef) or argument.shape is None or shape is None:
            continue
        if _contradicts(argument.shape, shape):
            found[number] = replace(argument, shape=shape)
    return found


def _restate(graph: Graph, used_by: Iterable[str], made: Mapping[str, Shape]) -> None:
    """Update the shapes that the users of these nodes record, where they differ from the new ones."""
    restated = partial(_restated, made=made)
    for user in (graph.nodes[n] for n in used_by if n in graph.nodes):
        if any(restated(ref) is not ref for ref in user.refs()):
            user.args, user.kwargs = map_leaves(restated, (user.args, user.kwargs))
            user.changed = True


def _restated(leaf: Any, made: Mapping[str, Shape]) -> Any:
    """A reference with the new shape of its node, if another one is recorded there."""
    if not isinstance(leaf, TensorRef) or leaf.index or leaf.shape is None or leaf.node not in made:
        return leaf
    shape = made[leaf.node]
    return TensorRef(leaf.node, 0, shape, leaf.dtype) if _contradicts(leaf.shape, shape) else leaf


def _contradicts(recorded: tuple[int | None, ...], shape: tuple[int | None, ...]) -> bool:
    """True if two shapes are of different ranks, or differ in a size that the record states."""
    return len(recorded) != len(shape) or any(
        a is not None and a != b for a, b in zip(recorded, shape, strict=True)
    )


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
    elif step.op == "Slice":
        array = array[tuple(slice(size) for size in step.to if isinstance(size, int))]
    elif step.op == "Repeat":
        array = array.repeat(step.repeats[0], step.axes[0])
    elif step.op == "ExpandDims":
        array = np.expand_dims(array, step.axes)
    else:
        array = array.reshape([size for size in step.to if isinstance(size, int)])
    return Literal(array.tolist(), array.shape, literal.dtype)
