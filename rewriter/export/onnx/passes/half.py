"""Half precision between float32 inputs and outputs: float16 where it is enough, float32 where it is not.

These keep float32: reductions, normalisations, softmaxes, recurrent layers, quotients and powers, squares, and nodes
with a constant that float16 cannot represent (an epsilon of 1e-12, a mask of -1e9). Nodes that only move numbers keep
the type of their operands.
"""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node, Tensor

_COMPUTING = (
    "Abs Add AveragePool Clip Conv ConvTranspose Elu Gemm GlobalMaxPool HardSigmoid HardSwish LeakyRelu MatMul Max "
    "MaxPool Min Mul Neg PRelu Relu Sigmoid Sub Tanh Where"
)
_MOVING = (
    "Concat DepthToSpace Expand Flatten Gather Identity Pad Reshape Slice SpaceToDepth Split Squeeze Tile Transpose "
    "Unsqueeze"
)
_COMPUTES, _MOVES = (frozenset(names.split()) for names in (_COMPUTING, _MOVING))
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gather", "Gemm", "MatMul"})
_LARGEST = 65504.0
_SMALLEST = 2.0**-14  # below it float16 has fewer digits


def compute_in_half(builder: Builder) -> bool:
    """Turn float32 nodes of the model's graph into float16 ones; bodies stay as they are."""
    builder.graph.sort()
    return _Half(builder, builder.graph).run()


def drop_casts(builder: Builder) -> bool:
    """``Cast(Cast(x, float32), float16)`` -> ``x``, where x is float16."""
    changed = False
    for graph, node in list(builder.graph.walk()):
        source = node.inputs[0] if node.op_type == "Cast" else None
        before = None if source is None else source.producer
        if before is None or before.op_type != "Cast" or before.inputs[0] is None or source is None:
            continue
        start, result = before.inputs[0], node.output
        if start.dtype != "float16" or result.dtype != "float16" or source.dtype != "float32":
            continue
        if result.users and result not in graph.outputs:
            graph.replace(result, start)
            changed = True
    return changed


class _Half:
    def __init__(self, builder: Builder, graph: Graph) -> None:
        self.builder = builder
        self.graph = graph
        self.halved: set[Tensor] = set()  # float16 tensors that were float32
        self.casts: dict[tuple[Tensor, str], Tensor] = {}

    def run(self) -> bool:
        nodes, self.graph.nodes = self.graph.nodes, []
        for node in nodes:
            self.builder.scope = node.name.rpartition("/")[0]
            half = self._is_half(node)
            for place, tensor in enumerate(node.inputs):
                if tensor is not None:
                    node.set_input(
                        place, self._in(tensor, "float16") if half else self._in(tensor, "float32")
                    )
            for body in node.bodies:
                self._keep_body(body)
            self.graph.nodes.append(node)
            for tensor in node.outputs if half else ():
                if tensor.dtype == "float32":
                    tensor.dtype = "float16"
                    self.halved.add(tensor)
        self.graph.outputs = [self._output(t) for t in self.graph.outputs]
        return bool(self.halved)

    def _is_half(self, node: Node) -> bool:
        if node.domain or node.op_type not in _COMPUTES | _MOVES:
            return False
        given = [t for t in node.inputs if t is not None and (t.dtype == "float32" or t in self.halved)]
        weighted = node.op_type in _WEIGHTED
        if not given or not all(_fits(t, weighted) for t in given if t.data is not None):
            return False
        if node.op_type in _MOVES:
            return all(t.data is not None or t in self.halved for t in given)
        return not (node.op_type == "Mul" and node.inputs[0] is node.inputs[1])

    def _in(self, tensor: Tensor, dtype: str) -> Tensor:
        """A float tensor in this type; others as they are."""
        if tensor.dtype == dtype or (tensor.dtype != "float32" and tensor not in self.halved):
            return tensor
        key = (tensor, dtype)
        if key not in self.casts:
            self.casts[key] = self.builder.cast(tensor, dtype)
        return self.casts[key]

    def _keep_body(self, body: Graph) -> None:
        for graph in (body, *(inner for _, node in body.walk() for inner in node.bodies)):
            for node in graph.nodes:
                for place, tensor in enumerate(node.inputs):
                    if tensor is not None and tensor in self.halved:
                        node.set_input(place, self._in(tensor, "float32"))
            graph.outputs = [self._in(t, "float32") if t in self.halved else t for t in graph.outputs]

    def _output(self, tensor: Tensor) -> Tensor:
        if tensor not in self.halved:
            return tensor
        made = self.builder.cast(tensor, "float32")
        made.name, tensor.name = tensor.name, ""
        return made


def _fits(tensor: Tensor, weighted: bool) -> bool:
    """Whether float16 can represent a constant; for weights, whether none of them is too large."""
    data = tensor.data
    assert data is not None
    if not data.count:
        return True
    numbers = np.abs(data.load())
    if not float(numbers.max()) <= _LARGEST:
        return False
    return weighted or not bool(((numbers < _SMALLEST) & (numbers > 0)).any())
