"""Writes a repaired graph as a SavedModel message: the original bytes with nodes changed, replaced and inserted.

Recorded shapes that a change makes wrong are corrected: those of inner tensors (``_output_shapes``), and those of the
signatures.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence

from ...errors import UnsupportedError, shown
from ...ir.axis import Value
from ...ir.graph import Literal, Node, TensorRef
from ...shapes.infer import infer
from ...shapes.inference import Inference
from .functions import called, calling, node_of
from .messages import NUMBERS, Function, NodeDef, Shape, shape_of
from .reader import Source, Unit, recorded_shapes
from .wire import Field, Message, content, entries, entry, held, spliced, varint, whole

_INT32 = NUMBERS["int32"]
# The name of an inserted operator's result ("output" if missing), and its attributes with the type of its operand and
# with the type of its constants.
_RESULTS = {"Transpose": "y"}
_TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "BatchMatMulV2": (("T",), ()),
    "ExpandDims": (("T",), ("Tdim",)),
    "GatherV2": (("Tparams",), ("Tindices", "Taxis")),
    "Reshape": (("T",), ("Tshape",)),
    "SelectV2": (("T",), ()),
    "Slice": (("T",), ("Index",)),
    "Squeeze": (("T",), ()),
    "Tile": (("T",), ("Tmultiples",)),
    "Transpose": (("T",), ("Tperm",)),
}
Edit = tuple[int, int, bytes]


def repaired(source: Source) -> bytes:
    """A new message with the current graph. The original data is not changed.

    Raises:
        UnsupportedError: a change that cannot be written into the file.
    """
    return _Writer(source).run()


class _Writer:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.inference = infer(source.graph)
        self.inner = {name: found for subs in self.inference.inner.values() for name, found in subs}

    def run(self) -> bytes:
        source = self.source
        in_library: list[Edit] = []
        in_graph: list[Edit] = []
        changed = {u.name for u in source.units.values() if any(n.changed for n in u.graph.nodes.values())}
        self.touched = calling({name: u.nodes.values() for name, u in source.units.items()}, changed)
        for unit in source.units.values():
            edits = (
                _Unit(source, unit, self.inner[unit.name], self.touched).run()
                if unit.name in self.touched
                else []
            )
            if not edits:
                continue
            if unit.function is None:
                in_graph += edits
                continue
            new = spliced(unit.function.message.data, edits)
            in_library.append((*_span(unit.function.place), content(1, new)))
        in_graph += self._calls()
        if in_library:
            assert source.library is not None and source.library_field is not None
            library = spliced(source.library.data, in_library)
            in_graph.append((*_span(source.library_field), content(2, library)))
        assert source.meta is not None and source.graph_def is not None
        in_meta = self._signatures()
        if in_graph:
            in_meta.append((*_span(source.graph_def), content(2, spliced(held(source.graph_def), in_graph))))
        if not in_meta:
            return bytes(source.data)
        return spliced(source.data, [(*_span(source.meta), content(2, spliced(held(source.meta), in_meta)))])

    def _results(self) -> dict[str, Sequence[Value]]:
        """The results of main graph nodes that call a touched function, by node."""
        found: dict[str, Sequence[Value]] = {}
        for node in self.source.top.values():
            function = node.attribute("f")
            unit = self.source.units.get(function.name) if isinstance(function, Function) else None
            if unit is not None and unit.name in self.touched:
                found[node.name] = self.inference.values[unit.name]
        return found

    def _calls(self) -> list[Edit]:
        """Edits of the shapes that the main graph records for the results of functions."""
        if any(unit.function is None for unit in self.source.units.values()):
            return []
        edits = []
        for name, values in self._results().items():
            node = self.source.top[name]
            new = _restated(node, recorded_shapes(node), values)
            if new is not None:
                edits.append((*_span(node.place), content(1, new)))
        return edits

    def _signatures(self) -> list[Edit]:
        """Edits of the shapes that the signatures record for their outputs."""
        source, edits = self.source, []
        main = next((unit for unit in source.units.values() if unit.function is None), None)
        values: Mapping[str, Sequence[Value]]
        values = (
            self.inner[main.name].values
            if main is not None and main.name in self.touched
            else self._results()
        )
        assert source.meta is not None
        for key, body, place in entries(Message(held(source.meta)), 5):
            inner = []
            for _, info, output in entries(Message(body), 2):
                message = Message(info)
                name, _, number = message.text(1).partition(":")
                made = values.get(name, ())
                index = int(number) if number.isdecimal() else 0
                stated = message.single(3)
                if stated is None or index >= len(made):
                    continue
                new = _true_shape(shape_of(held(stated)), made[index])
                if new is None:
                    continue
                changed = spliced(info, [(*_span(stated), content(3, new))])
                inner.append((*_span(output), entry(2, Message(held(output)).text(1), changed)))
            if inner:
                edits.append((*_span(place), entry(5, key, spliced(body, inner))))
        return edits


class _Unit:
    """The edits of one function, or of the main graph."""

    def __init__(self, source: Source, unit: Unit, inference: Inference, touched: Collection[str]) -> None:
        self.source = source
        self.unit = unit
        self.touched = frozenset(touched)
        self.graph = unit.graph
        self.inference = inference
        known = [node.name for node in unit.function.nodes] if unit.function is not None else source.names
        self.names = {*known, *(argument.name for argument in unit.arguments)}
        self.written: dict[str, str] = {}

    def run(self) -> list[Edit]:
        affected = self._affected()
        if not affected:
            return []
        self._check_gradient()
        number = 3 if self.unit.function is not None else 1
        edits: list[Edit] = []
        replaced: dict[str, str] = {}
        for name, old in self.unit.nodes.items():
            if name not in affected:
                continue
            node = self.graph.nodes[name]
            made = list(self._leading_to(node, old))
            if _is_new(node):
                made += self._made(node, old, name)
                replaced[name] = _RESULTS.get(node.operation.class_name, "output")
            else:
                data = self._changed(node, old) if node.changed else bytes(old.message.data)
                now = NodeDef(memoryview(data), old.place)
                made.append(_restated(now, recorded_shapes(old), self.inference.values[name]) or data)
            if made != [bytes(old.message.data)]:
                edits.append((*_span(old.place), b"".join(content(number, each) for each in made)))
        return (
            self._renamed(edits, replaced, number) if replaced and self.unit.function is not None else edits
        )

    def _affected(self) -> set[str]:
        """The nodes of the file that were changed or replaced, or call a touched function, and their descendants."""
        changed = {
            name
            for name, node in self.graph.nodes.items()
            if node.changed
            or (name in self.unit.nodes and self.touched & set(called([self.unit.nodes[name]])))
        }
        after = (each for name in changed for each in self.graph.descendants(name))
        return {name for name in (*changed, *after) if name in self.unit.nodes}

    def _check_gradient(self) -> None:
        if self.unit.name in self.source.gradients:
            raise UnsupportedError(
                f"the file has a separate gradient for the function {shown(self.unit.name)!r}, which is not "
                "changed with it"
            )

    def _leading_to(self, node: Node, at: NodeDef) -> Iterator[bytes]:
        """The inserted nodes that a node needs and that are not yet written, producers first."""
        for ref in node.refs():
            source = self.graph.nodes[ref.node]
            if _is_new(source) and source.name not in self.unit.nodes and source.name not in self.written:
                yield from self._leading_to(source, at)
                self.written[source.name] = self._fresh(source.name)
                yield from self._made(source, at, self.written[source.name])

    # -- nodes -----------------------------
    def _made(self, node: Node, at: NodeDef, name: str) -> list[bytes]:
        """An inserted node after its constants. ``at`` is the node that needs it."""
        kind, config = node.operation.class_name, dict(node.operation.config)
        result, made = [], []
        inputs: list[str] = []
        for leaf in node.args:
            if isinstance(leaf, Literal):
                constant = self._fresh(f"{name}/constant")
                result.append(_constant(constant, leaf, at))
                inputs.append(self._named(constant, "output"))
            elif isinstance(leaf, TensorRef):
                inputs.append(self._tensor(leaf))
        value = self.inference.values[node.name][0]
        attributes = self._attributes(node, at)
        if kind == "ExpandDims":
            axes = config["axes"]
            for number, axis in enumerate(axes):
                last = number == len(axes) - 1
                own = name if last else self._fresh(f"{name}/axis_{axis}")
                constant = self._fresh(f"{own}/dim")
                result.append(_constant(constant, Literal(axis, (), "int32"), at))
                shapes = {"_output_shapes": _shapes_attribute([value])} if last else {}
                given = [*inputs, self._named(constant, "output")]
                result.append(_node(own, kind, given, at, attributes | shapes))
                inputs = [self._named(own, "output")]
            return result
        if kind == "Squeeze":
            attributes["squeeze_dims"] = content(
                1, content(3, b"".join(varint(a) for a in config["squeeze_dims"]))
            )
        if kind == "GatherV2":
            attributes["batch_dims"] = whole(3, 0)
        if kind == "BatchMatMulV2":
            attributes |= {"adj_x": whole(5, 0), "adj_y": whole(5, 0)}
        made.append(
            _node(name, kind, inputs, at, attributes | {"_output_shapes": _shapes_attribute([value])})
        )
        return result + made

    def _attributes(self, node: Node, at: NodeDef) -> dict[str, bytes]:
        own = at.attributes.get("T")
        if own is None:
            raise UnsupportedError(f"node {shown(at.name)!r} does not record the type of its operands")
        kind = node.operation.class_name
        if kind not in _TYPES:
            raise UnsupportedError(f"the writer has no form for {shown(kind)}")
        of_operand, of_constants = _TYPES[kind]
        rule = node.operation.raw["rewriter"]
        return {
            **dict.fromkeys(of_operand, bytes(own)),
            **dict.fromkeys(of_constants, whole(6, _INT32)),
            "_rewriter": content(2, f"{rule['rule']}: {rule['equation']}"),
        }

    def _changed(self, node: Node, old: NodeDef) -> bytes:
        """A node with its current operands; its control inputs stay."""
        taken = list(old.taken)
        for place, leaf in zip(self.unit.places[node.name], node.args, strict=True):
            if not isinstance(leaf, TensorRef):
                raise UnsupportedError(f"node {shown(node.name)!r} would need a new constant as an operand")
            taken[place] = self._tensor(leaf)
        waits = [name for name in old.inputs if name.startswith("^")]
        fields = old.message.all(3)
        if not fields:
            return bytes(old.message.data)
        edits: list[Edit] = [(*_span(field), b"") for field in fields]
        start, _ = _span(fields[0])
        new = b"".join(content(3, name) for name in [*taken, *waits])
        edits[0] = (start, fields[0].end, new)
        return spliced(old.message.data, edits)

    def _renamed(self, edits: list[Edit], replaced: Mapping[str, str], number: int) -> list[Edit]:
        """The edits, and further ones that rename the tensors of replaced nodes where nodes and results use them."""
        function = self.unit.function
        assert function is not None
        by_start = {start: (start, end, new) for start, end, new in edits}
        for node in function.nodes:
            wrong = [name for name in node.taken if name.count(":") == 2 and node_of(name) in replaced]
            if not wrong or node.name in replaced:
                continue
            known = by_start.get(node.place.start)
            if known is None:
                new = content(number, _retaken(node.message, replaced))
                by_start[node.place.start] = (*_span(node.place), new)
                continue
            # The edit has inserted nodes before the changed one, which is its last field.
            parts = Message(memoryview(known[2]))
            last = parts.all(number)[-1]
            new = known[2][: last.start] + content(number, _retaken(Message(held(last)), replaced))
            by_start[node.place.start] = (known[0], known[1], new)
        for field in function.message.all(4):
            message = Message(held(field))
            name = message.text(2)
            if name.count(":") == 2 and node_of(name) in replaced:
                own = content(1, message.text(1)) + content(2, _now(name, replaced))
                by_start[field.start] = (*_span(field), content(4, own))
        return list(by_start.values())

    # -- tensors -----------------------------
    def _tensor(self, ref: TensorRef) -> str:
        node = self.graph.nodes[ref.node]
        if _is_new(node):
            name = self.written.get(ref.node, ref.node)
            return self._named(name, _RESULTS.get(node.operation.class_name, "output"))
        if node.operation.kind == "input":
            return ref.node
        known = self.unit.tensors.get((ref.node, ref.index))
        if known is None:
            raise UnsupportedError(f"result {ref.index} of node {shown(ref.node)!r} has no name in the file")
        return known

    def _named(self, node: str, output: str) -> str:
        return f"{node}:{output}:0" if self.unit.function is not None else node

    def _fresh(self, stem: str) -> str:
        name, number = stem, 0
        while name in self.names:
            number += 1
            name = f"{stem}_{number}"
        self.names.add(name)
        return name


def _is_new(node: Node) -> bool:
    return "rewriter" in node.operation.raw


def _span(field: Field) -> tuple[int, int]:
    return field.start, field.end


def _retaken(message: Message, replaced: Mapping[str, str]) -> bytes:
    """A node with the new names of the replaced nodes' results in its inputs."""
    edits = []
    for field in message.all(3):
        name = bytes(held(field)).decode()
        if name.count(":") == 2 and node_of(name) in replaced:
            edits.append((*_span(field), content(3, _now(name, replaced))))
    return spliced(message.data, edits)


def _now(name: str, replaced: Mapping[str, str]) -> str:
    return f"{node_of(name)}:{replaced[node_of(name)]}:0"


# -- messages -----------------------------
def _node(name: str, op: str, inputs: Sequence[str], at: NodeDef, attributes: Mapping[str, bytes]) -> bytes:
    device = at.message.text(4)
    parts = [content(1, name), content(2, op), *(content(3, i) for i in inputs)]
    parts += [content(4, device)] if device else []
    parts += [entry(5, key, value) for key, value in attributes.items()]
    return b"".join(parts)


def _constant(name: str, literal: Literal, at: NodeDef) -> bytes:
    """A Const node of integers or booleans."""
    dtype = NUMBERS[literal.dtype]
    shape = b"".join(content(2, whole(1, size)) for size in literal.shape)
    values = literal.value if isinstance(literal.value, list) else [literal.value]
    raw = struct.pack(f"<{len(values)}{'?' if literal.dtype == 'bool' else 'i'}", *values)
    tensor = whole(1, dtype) + content(2, shape) + content(4, raw)
    attributes = {
        "dtype": whole(6, dtype),
        "value": content(8, tensor),
        "_output_shapes": content(1, content(7, shape)),
    }
    return _node(name, "Const", [], at, attributes)


def _shape(value: Value) -> bytes:
    """A TensorShapeProto with the known sizes of a value."""
    if value.axes is None:
        return whole(3, 1)
    return b"".join(content(2, whole(1, a.size if isinstance(a.size, int) else -1)) for a in value.axes)


def _shapes_attribute(values: Sequence[Value]) -> bytes:
    """An AttrValue that lists shapes."""
    return content(1, b"".join(content(7, _shape(value)) for value in values))


def _true_shape(stated: Shape | None, value: Value) -> bytes | None:
    """The shape of a value if it contradicts the recorded one; else None."""
    if stated is None or value.axes is None or value.claimed or not _contradicts(stated, value):
        return None
    return _shape(value)


def _contradicts(stated: Shape, value: Value) -> bool:
    axes = value.axes or ()
    return len(stated) != len(axes) or any(
        s is not None and s != a.size for s, a in zip(stated, axes, strict=True)
    )


def _restated(node: NodeDef, stated: Sequence[Shape | None], values: Sequence[Value]) -> bytes | None:
    """A node with its recorded result shapes corrected; None if nothing contradicts them."""
    found = [_true_shape(shape, value) for shape, value in zip(stated, values, strict=False)]
    if all(shape is None for shape in found):
        return None
    for key, value, place in entries(node.message, 5):
        if key == "_output_shapes":
            listed = Message(value).message(1)
            assert listed is not None
            old = Message(listed).messages(7)
            new = [
                bytes(o) if n is None else n
                for o, n in zip(old, [*found, *([None] * len(old))], strict=False)
            ]
            attribute = content(1, b"".join(content(7, shape) for shape in new))
            return spliced(node.message.data, [(*_span(place), entry(5, key, attribute))])
    return None
