"""The configuration of a changed model in its old form: the old entries, with patched calls.

The graph is that of the translated configuration. ``Origin`` maps its tensors to those of the file. A change inside the
translation of one old layer has no old form and is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ....errors import UnsupportedError, shown
from ....ir.axis import Value
from ....ir.graph import Graph, Literal, Node, Operation, Path, TensorRef, leaves, node_name
from ....shapes.infer import infer
from ....shapes.keras_facts import facts_of
from ..config_writer import shapes_to_build_on
from ..upgrade.model import has_new_calls, is_model, layer_name
from ..upgrade.result import Origin
from ..upgrade.tensors import Old, first_calls
from .calls import Calls
from .order import layers_of, model_order
from .spelling import Form, entry_of, form_of, spelled

Json = dict[str, Any]

# Operations whose result does not depend on the order of two operands.
_COMMUTATIVE = frozenset({"Multiply", "Add", "Average", "Maximum", "Minimum"})
_Call = tuple[str, int]


def written(original: Json, origins: Mapping[Path, Origin], saved: Graph, graph: Graph, version: str) -> Json:
    """The old configuration with the changes of the graph.

    Args:
        origins: of ``original`` (``upgraded``).
        saved: the model as the file has it; ``graph`` is the same one, changed.

    Raises:
        UnsupportedError: the old form cannot express a change.
    """
    values: dict[int, Mapping[str, list[Value]]] = {}
    for _, inference in infer(graph).walk():
        values.setdefault(id(inference.graph), inference.values)
    writer = _Writer(origins, values, form_of(original, version))
    return writer.model(original, (), saved, graph)


def _is_changed(graph: Graph) -> bool:
    waiting = [graph]
    while waiting:
        graph = waiting.pop()
        if any(node.changed for node in graph.nodes.values()):
            return True
        for operation in graph.operations.values():
            waiting += _inside(operation)
    return False


def _inside(operation: Operation) -> Iterator[Graph]:
    """The models that an operation is or contains."""
    if operation.graph is not None:
        yield operation.graph
    for child in operation.children.values():
        for held in child if isinstance(child, list) else [child]:
            yield from _inside(held)


class _Writer:
    """Writes models. ``values`` are the inferred values of the nodes, by the ``id`` of the graph."""

    def __init__(
        self, origins: Mapping[Path, Origin], values: Mapping[int, Mapping[str, list[Value]]], form: Form
    ) -> None:
        self.origins, self.values, self.form = origins, values, form

    def model(self, entry: Json, path: Path, saved: Graph, graph: Graph) -> Json:
        """The entry of a model; the same object if nothing in it has changed."""
        if not _is_changed(graph):
            return entry
        config, origin = entry["config"], self.origins.get(path)
        if origin is None or (isinstance(config, dict) and has_new_calls(config)):
            raise UnsupportedError(
                f"the calls of {shown(graph.name)!r} have the form of Keras 3 in a file of Keras 2"
            )
        entries = {
            layer_name(layer): self._held(layer, path, origin, saved, graph) for layer in layers_of(config)
        }
        if graph.kind != "Sequential":
            return {**entry, "config": _Functional(self, entry, entries, origin, saved, graph).config()}
        layers = list(entries.values())
        return {**entry, "config": layers if isinstance(config, list) else {**config, "layers": layers}}

    def _held(self, entry: Json, path: Path, origin: Origin, saved: Graph, graph: Graph) -> Json:
        """The entry of a layer, with the changes of the models that it is or contains."""
        now = origin.now.get((layer_name(entry), 0))
        operation = graph.operations.get(now[0]) if now is not None else None
        if operation is None or not any(map(_is_changed, _inside(operation))):
            return entry
        return self._inner(entry, (*path, operation.name), saved.operations[operation.name], operation)

    def _inner(self, entry: Json, path: Path, saved: Operation, operation: Operation) -> Json:
        if operation.graph is not None and saved.graph is not None and is_model(entry):
            return self.model(entry, path, saved.graph, operation.graph)
        held, before = operation.children.get("layer"), saved.children.get("layer")
        inner = entry["config"].get("layer")
        one = sum(1 for _ in _inside(operation)) == 1
        if not (
            one and isinstance(held, Operation) and isinstance(before, Operation) and isinstance(inner, dict)
        ):
            raise UnsupportedError(
                f"a model inside {shown(operation.name)!r} changes, but it cannot be written in this form"
            )
        return {**entry, "config": {**entry["config"], "layer": self._inner(inner, path, before, held)}}


class _Functional:
    """One functional model whose graph has changed."""

    def __init__(
        self,
        writer: _Writer,
        entry: Json,
        entries: dict[str, Json],
        origin: Origin,
        saved: Graph,
        graph: Graph,
    ) -> None:
        self.form, self.values = writer.form, writer.values.get(id(graph), {})
        self.old: Json = entry["config"]
        self.entries, self.origin, self.saved, self.graph = entries, origin, saved, graph
        self.calls = Calls(first_calls(self.old))
        self.inserted = {name for name, node in graph.nodes.items() if "class_name" not in node.operation.raw}
        self.copies = self._copies()
        self.removed = self._removed()
        self.names = self._names()
        # By the call in the new model: each old call, and its first output there.
        self.places: dict[_Call, list[tuple[_Call, int]]] = {}
        for call, (layer, number, output) in origin.now.items():
            self.places.setdefault((layer, number), []).append((call, output))

    def config(self) -> Json:
        """The configuration, with its layers in the order of Keras 2."""
        self._check_literals()
        stale = self._below_changes()
        for name, entry in self.entries.items():
            self.entries[name] = self._called(name, entry, name in stale)
        entries = {name: entry for name, entry in self.entries.items() if not self._is_gone(name)}
        for name in self.graph.order:
            if name in self.inserted:
                entries.update({new["name"]: new for new in self._new(self.graph.nodes[name])})
        outputs = iter(list(zip(self.saved.output_refs(), self.graph.output_refs(), strict=True)))
        ends = self.calls.ends(self.old["output_layers"], lambda old: self._replaced(old, *next(outputs)))
        config = {**self.old, "layers": list(entries.values()), "output_layers": ends}
        order = model_order(config)
        rest = [name for name in entries if name not in set(order)]
        return {**config, "layers": [entries[name] for name in (*order, *rest)]}

    # -- removed calls -----------------------------
    def _of(self, node: Node) -> _Call:
        """The old call of a node in the saved graph."""
        layer, number = self.origin.of[node.operation.name]
        return layer, node.call if number is None else number

    def _removed(self) -> set[_Call]:
        """The old calls that inserted operations replace."""
        gone: set[_Call] = set()
        left: set[_Call] = set()
        for name, node in self.saved.nodes.items():
            there = name in self.graph.nodes and name not in self.inserted
            (left if there else gone).add(self._of(node))
        for layer, _ in gone & left:
            raise UnsupportedError(
                f"an inserted operation replaces only a part of {shown(layer)!r} in the form of Keras 2"
            )
        return gone

    def _is_gone(self, layer: str) -> bool:
        return any(name == layer for name, _ in self.removed) and not self.entries[layer]["inbound_nodes"]

    def _names(self) -> dict[str, str]:
        """The name of each inserted operation in the file. If it replaces a layer, it takes the layer's name."""
        counts = {name: len(entry.get("inbound_nodes") or ()) for name, entry in self.entries.items()}
        for layer, _ in self.removed:
            counts[layer] -= 1
        free = {layer for layer, _ in self.removed if not counts[layer]}
        taken = set(self.entries) - free
        names: dict[str, str] = {}
        replacing = [name for name in self.inserted if name in self.saved.nodes]
        for name in (*sorted(replacing), *sorted(self.inserted - set(replacing))):
            wanted = self._of(self.saved.nodes[name])[0] if name in self.saved.nodes else name
            names[name] = _fresh(wanted if name in self.saved.nodes and wanted in free else name, taken)
        return names

    # -- tensors -----------------------------
    def _copies(self) -> set[str]:
        """The Copy nodes that the translation adds to an old call to remove the masks of its operands."""
        parts = Counter(self._of(node) for node in self.saved.nodes.values())
        return {
            name
            for name, node in self.saved.nodes.items()
            if node.operation.class_name == "Copy" and parts[self._of(node)] > 1
        }

    def _copied(self, ref: TensorRef, graph: Graph) -> TensorRef:
        """The tensor that such a copy copies; any other tensor unchanged."""
        while ref.node in self.copies:
            (ref,) = graph.nodes[ref.node].refs()
        return ref

    def _now(self, old: Old) -> TensorRef | None:
        """The tensor of the saved graph for a tensor of the file; None if there is none."""
        now = self.origin.now.get((old.layer, old.call))
        return None if now is None else TensorRef(node_name(now[0], now[1]), now[2] + old.output)

    def _then(self, ref: TensorRef) -> Old:
        """The tensor of the file for a tensor of the current graph."""
        ref = self._copied(ref, self.graph)
        if ref.node in self.inserted:
            return Old(self.names[ref.node], 0, ref.index)
        node = self.graph.nodes[ref.node]
        found = [
            Old(*call, ref.index - output)
            for call, output in self.places.get((node.operation.name, node.call), [])
            if ref.index >= output
        ]
        if not found:
            raise UnsupportedError(
                f"{shown(ref.node)!r} is only a part of {shown(self._of(node)[0])!r} in the form of Keras 2: "
                "convert it to Keras 3 first (rewriter convert)"
            )
        own = self._of(node)
        return self._renumbered(next((old for old in found if (old.layer, old.call) == own), found[0]))

    def _renumbered(self, old: Old) -> Old:
        """A tensor with its call's number among the remaining calls."""
        before = sum(layer == old.layer and number < old.call for layer, number in self.removed)
        return old._replace(call=old.call - before)

    def _replaced(self, old: Old, before: TensorRef | None, after: TensorRef | None) -> Old:
        """The new tensor of the file for ``old``, if the graph replaces ``before`` by ``after``."""
        if before is None or after is None or (before == after and before.node not in self.inserted):
            return self._renumbered(old)
        return self._then(after)

    # -- calls -----------------------------
    def _called(self, name: str, entry: Json, stale: bool) -> Json:
        """The entry of an old layer with its current calls."""
        inbound = entry.get("inbound_nodes") or []
        nodes: dict[int, list[Node]] = {}
        for node in self.saved.nodes.values():
            if self.origin.of[node.operation.name][0] == name and node.name not in self.copies:
                nodes.setdefault(self._of(node)[1], []).append(node)
        calls = [
            self._patched(name, call, nodes.get(number, []))
            for number, call in enumerate(inbound)
            if (name, number) not in self.removed
        ]
        own = [
            self.graph.nodes[n.name] for k in sorted(nodes) for n in nodes[k] if n.name in self.graph.nodes
        ]
        merges = [node for node in own if node.operation.class_name == entry.get("class_name")]
        if stale and shapes_to_build_on(self.graph, merges):
            raise UnsupportedError(
                f"{shown(name)!r} is called several times, and Keras 2 builds it on the first call, now on operands of "
                "one rank: convert it to Keras 3 first (rewriter convert)"
            )
        if stale and "build_config" in entry and facts_of(str(entry.get("class_name"))).built_by_call:
            entry = {key: value for key, value in entry.items() if key != "build_config"}
        same = len(calls) == len(inbound) and all(a is b for a, b in zip(calls, inbound, strict=True))
        return entry if same else {**entry, "inbound_nodes": calls}

    def _patched(self, name: str, call: Any, nodes: list[Node]) -> Any:
        pairs = [pair for node in nodes for pair in self._pairs(node)]
        asked: list[TensorRef | None] = []

        def ask(old: Old) -> Old:
            asked.append(self._now(old))
            return old

        self.calls.patched(call, ask)
        for before, after in pairs:
            if before != after:
                self._check(name, before, asked, pairs, nodes)
        waiting = list(pairs)

        def swap(old: Old) -> Old:
            before = self._now(old)
            at = next((k for k, pair in enumerate(waiting) if pair[0] == before), None)
            return self._replaced(old, before, before if at is None else waiting.pop(at)[1])

        return self.calls.patched(call, swap)

    def _pairs(self, node: Node) -> list[tuple[TensorRef, TensorRef]]:
        """The saved operands of a node, each with its current operand."""
        before = [self._copied(ref, self.saved) for ref in node.refs()]
        now = [self._copied(ref, self.graph) for ref in self.graph.nodes[node.name].refs()]
        return list(zip(before, now, strict=True))

    def _check(
        self,
        name: str,
        before: TensorRef,
        asked: list[TensorRef | None],
        pairs: list[tuple[TensorRef, TensorRef]],
        nodes: list[Node],
    ) -> None:
        """Raises UnsupportedError if it is not certain which argument of the old call changes."""
        after = [new for old, new in pairs if old == before]
        several = any(new != after[0] for new in after) and len(nodes) > 1
        turned = any(new != after[0] for new in after) and nodes[0].operation.kind == "op"
        commutes = nodes[0].operation.class_name in _COMMUTATIVE
        if len(after) != asked.count(before) or several or (turned and not commutes):
            raise UnsupportedError(
                f"it is not certain which argument of {shown(name)!r} in the form of Keras 2 changes: "
                "convert it to Keras 3 first (rewriter convert)"
            )

    def _check_literals(self) -> None:
        for name, node in self.saved.nodes.items():
            new = self.graph.nodes.get(name)
            if new is not None and name not in self.inserted and _literals(node) != _literals(new):
                raise UnsupportedError(
                    f"a constant of {shown(name)!r} changes its shape: convert it to Keras 3 first (rewriter convert)"
                )

    def _below_changes(self) -> set[str]:
        """The old layers with a changed call, and those downstream of one."""
        below = {name for name, node in self.graph.nodes.items() if node.changed}
        waiting = list(below)
        while waiting:
            new = set(self.graph.nx.successors(waiting.pop())) - below
            below |= new
            waiting += new
        return {self._of(self.graph.nodes[name])[0] for name in below - self.inserted}

    # -- inserted operations -----------------------------
    def _new(self, node: Node) -> list[Json]:
        operands = [self._value(ref) for ref in node.refs()]
        parts = spelled(node, operands, self._value(TensorRef(node.name)), self.form)
        tensors = [self._then(ref) for ref in node.refs()]
        name, taken = self.names[node.name], {*self.entries, *self.names.values()}
        entries = []
        for part in parts:
            here = name if part is parts[-1] else _fresh(name, taken)
            entries.append(entry_of(part, here, [self.calls.reference(old) for old in tensors], self.form))
            tensors = [Old(here, 0, 0)]
        return entries

    def _value(self, ref: TensorRef) -> Value:
        found = self.values.get(ref.node, [])
        return found[ref.index] if ref.index < len(found) else Value(None)


def _literals(node: Node) -> list[Literal]:
    return [leaf for leaf in leaves((node.args, node.kwargs)) if isinstance(leaf, Literal)]


def _fresh(stem: str, taken: set[str]) -> str:
    """A name that is not taken yet; it is added to ``taken``."""
    name, number = stem, 1
    while name in taken:
        name, number = f"{stem}_{number}", number + 1
    taken.add(name)
    return name
