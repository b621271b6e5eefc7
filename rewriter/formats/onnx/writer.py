"""Writes a repaired graph as an ONNX model: the original protobuf with nodes changed, replaced and inserted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...errors import UnsupportedError, shown
from ...ir.axis import Value
from ...ir.graph import Literal, Node, TensorRef
from ...ir.size import Size
from ...shapes.infer import infer
from ...shapes.inference import Inference
from .names import NUMBERS, taken
from .reader import Source, size_names

# Attributes that became inputs, by operator: (attribute, first opset where it is an input).
_INPUTS: dict[str, tuple[tuple[str, int], ...]] = {
    "Reshape": (("shape", 5),),
    "Tile": (("repeats", 6),),
    "Squeeze": (("axes", 13),),
    "Unsqueeze": (("axes", 13),),
    "Slice": (("starts", 10), ("ends", 10), ("axes", 10)),
}


def repaired(source: Source) -> Any:
    """A new model with the current graph. The original protobuf is not changed.

    Raises:
        UnsupportedError: a constant of a type that this writer cannot store.
    """
    return _Writer(source).run()


class _Writer:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.proto = type(source.proto)()
        self.proto.CopyFrom(source.proto)
        self.names = taken(source.proto)
        self.tensors: dict[str, str] = {}
        self.written: set[str] = set()

    def run(self) -> Any:
        graph, model = self.source.graph, self.proto.graph
        kept = list(model.node)
        nodes: list[Any] = []
        for name, proto in zip(self.source.nodes, kept, strict=True):
            node = graph.nodes[name]
            if not node.changed:
                nodes.append(proto)
                continue
            nodes += [self._new(n) for n in self._leading_to(node)]
            nodes.append(self._replacing(node, proto) if _is_new(node) else self._changed(node, proto))
        copies = [type(proto).FromString(proto.SerializeToString()) for proto in nodes]
        del model.node[:]
        model.node.extend(copies)
        _state_shapes(model, self.source, infer(graph))
        return self.proto

    def _leading_to(self, node: Node) -> Iterator[Node]:
        """The inserted nodes that a node needs and that are not yet written, producers first."""
        for ref in node.refs():
            source = self.source.graph.nodes[ref.node]
            if _is_new(source) and source.name not in self.source.nodes and source.name not in self.written:
                yield from self._leading_to(source)
                self.written.add(source.name)
                yield source

    # -- nodes -----------------------------
    def _new(self, node: Node) -> Any:
        self.tensors[node.name] = self._fresh(node.name)
        return self._made(node, [self.tensors[node.name]])

    def _replacing(self, node: Node, old: Any) -> Any:
        """A node that replaces another one; its outputs keep the old names."""
        return self._made(node, list(old.output))

    def _made(self, node: Node, outputs: list[str]) -> Any:
        from onnx import helper

        config = dict(node.operation.config)
        config.pop("name", None)
        inputs = [self._input(leaf, node) for leaf in node.args]
        for attribute, opset in _INPUTS.get(node.operation.class_name, ()):
            if self.source.opset >= opset:
                stem = f"{node.name}_{attribute}"
                inputs.append(self._constant(np.asarray(config.pop(attribute), np.int64), stem))
        rule = node.operation.raw["rewriter"]
        return helper.make_node(
            node.operation.class_name,
            inputs,
            outputs,
            node.name,
            f"inserted by rewriter: {rule['rule']}, {rule['equation']}",
            **config,
        )

    def _changed(self, node: Node, old: Any) -> Any:
        new = type(old)()
        new.CopyFrom(old)
        del new.input[:]
        new.input.extend(self._input(leaf, node) for leaf in node.args)
        return new

    # -- tensors -----------------------------
    def _input(self, leaf: Any, node: Node) -> str:
        if leaf is None:
            return ""
        if isinstance(leaf, Literal):
            known = self.source.constants.get(id(leaf))
            return known if known is not None else self._constant(_numbers(leaf), f"{node.name}_constant")
        assert isinstance(leaf, TensorRef)
        if leaf.node in self.tensors:
            return self.tensors[leaf.node]
        proto = self.source.nodes.get(leaf.node)
        return leaf.node if proto is None else str(proto.output[leaf.index])

    def _constant(self, numbers: np.ndarray[Any, Any], stem: str) -> str:
        from onnx import numpy_helper

        name = self._fresh(stem)
        self.proto.graph.initializer.append(numpy_helper.from_array(numbers, name))
        return name

    def _fresh(self, stem: str) -> str:
        name, number = stem, 0
        while name in self.names:
            number += 1
            name = f"{stem}_{number}"
        self.names.add(name)
        return name


def _is_new(node: Node) -> bool:
    return "rewriter" in node.operation.raw


def _numbers(literal: Literal) -> np.ndarray[Any, Any]:
    from onnx import helper

    try:
        dtype = helper.tensor_dtype_to_np_dtype(NUMBERS[literal.dtype])
        return np.asarray(literal.value, dtype)
    except (KeyError, TypeError, ValueError):
        raise UnsupportedError(f"constants of the type {shown(literal.dtype)} cannot be rewritten") from None


# -- shapes recorded in the file -----------------------------
def _state_shapes(model: Any, source: Source, inference: Inference) -> None:
    """Correct recorded shapes that are no longer true: remove those of inner tensors, rewrite those of outputs."""
    now, names = _values(source, inference), size_names(model)
    stale = [v for v in model.value_info if v.name in now and _contradicts(v.type, now[v.name], names)]
    for value in stale:
        model.value_info.remove(value)
    for value in model.output:
        if value.name in now and _contradicts(value.type, now[value.name], names):
            _restate(value.type.tensor_type.shape, now[value.name], names)


def _values(source: Source, inference: Inference) -> dict[str, Value]:
    """The values of the tensors that the file's nodes produce, by tensor name."""
    found = {}
    for name, proto in source.nodes.items():
        for output, value in zip(proto.output, inference.values[name], strict=False):
            if output and value.axes is not None and not value.claimed:
                found[output] = value
    return found


def _contradicts(kind: Any, value: Value, names: Mapping[Size, str]) -> bool:
    """Whether a recorded shape has another rank, another number, or the name of an axis that is elsewhere."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape") or value.axes is None:
        return False
    dims = kind.tensor_type.shape.dim
    if len(dims) != len(value.axes):
        return True
    true = [names.get(axis.size, "") for axis in value.axes]
    return any(
        d.dim_value != axis.size
        if d.HasField("dim_value") and isinstance(axis.size, int)
        # Two names may stand for one size. A name is only wrong here if its axis is at another place.
        else bool(name and d.dim_param) and d.dim_param != name and d.dim_param in true
        for d, axis, name in zip(dims, value.axes, true, strict=True)
    )


def _restate(shape: Any, value: Value, names: Mapping[Size, str]) -> None:
    """Write the sizes of a value, and the names of the sizes that have one."""
    del shape.dim[:]
    for axis in value.axes or ():
        dim = shape.dim.add()
        if isinstance(axis.size, int):
            dim.dim_value = axis.size
        elif axis.size in names:
            dim.dim_param = names[axis.size]
