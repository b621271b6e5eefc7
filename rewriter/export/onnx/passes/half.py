"""Half precision between float32 inputs and outputs: float16 where it is enough, float32 where it is not.

float16 ends at 65504, has 11 binary digits, and fewer below 6e-5. These keep float32:

- reductions, normalisations, softmaxes, recurrent layers, quotients and powers (``_COMPUTES`` lists all others);
- nodes with a constant that float16 cannot represent (an epsilon of 1e-12, a mask of -1e9, weights that become 0);
- what can exceed 65504: exponentials, powers, sums, integers of 32 bits, products with a number above 256, and those
  of two computed values of which none is known to be small (squares, the scores of an attention); and what is computed
  from them by elements, with the next product with weights;
- operands of steep functions (logarithm, sine, quotient, rounding), up to the product with weights before them: a
  sigmoid of 1e-9 is 0 in float16, and its logarithm is not finite.

Nodes that only move numbers keep the type of their operands.
"""

from __future__ import annotations

import math

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node, Tensor, array_of

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
# Results that can exceed what float16 holds.
_GROWING = (
    "CumProd CumSum Cosh Exp Pow Range Reciprocal ReduceL1 ReduceL2 ReduceProd ReduceSum ReduceSumSquare Sinh"
)
# Operators by elements, or over axes, whose result can be as large as their operand.
_KEEPING = "Ceil Floor Gather GlobalAveragePool ReduceMax ReduceMean ReduceMin Round Softplus Sqrt"
# Functions that turn a rounded operand into another result; of Div, the divisor.
_STEEP_NAMES = "Acos Acosh Asin Atanh Ceil Cos Div Exp Floor Log Mod Pow Reciprocal Round Sin Sqrt Tan"
_BOUNDED_NAMES = "Abs AveragePool Max MaxPool Min Neg Relu"
_GROWS, _STEEP = frozenset(_GROWING.split()), frozenset(_STEEP_NAMES.split())
_KEEPS_SIZE = ((_COMPUTES | _MOVES) - _WEIGHTED) | frozenset(_KEEPING.split())
_WIDE_INTEGERS = frozenset({"int32", "int64", "uint16", "uint32", "uint64"})
_PRODUCTS = frozenset({"Gemm", "MatMul", "Mul"})
# Operators whose results have magnitudes of at most 1, and those whose results have at most those of their operands.
_UNIT_RESULTS = frozenset({"HardSigmoid", "Sigmoid", "Softmax", "Tanh"})
_BOUNDED = frozenset(_BOUNDED_NAMES.split()) | _MOVES
# A factor of at most this makes no product large.
_SMALL = 8.0
# A number up to this as a factor is taken for a change of units: images of 0 to 1 become 0 to 255.
_LARGEST_FACTOR = 256.0
# Functions that choose by comparing: numbers that float16 makes equal are ties.
_CHOOSES = frozenset({"ArgMax", "ArgMin", "NonMaxSuppression", "TopK"})
_LARGEST = 65504.0
_SMALLEST = 2.0**-14  # below it float16 has fewer digits
_DIGITS = 2.0**-11


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
        self.large: set[Tensor] = set()  # float32 tensors that can exceed 65504
        self.bounds: dict[Tensor, float] = {}  # the largest magnitude, where it is known
        self.fixed: set[Tensor] = set()  # results of nodes on constants
        self.rounded: set[Tensor] = set()  # tensors computed from float16 ones
        self.steep: set[Node] = set()  # nodes whose result a steep function takes

    def run(self) -> bool:
        for node in self.graph.nodes:
            self._follow_steep(node)
        nodes, self.graph.nodes = self.graph.nodes, []
        for node in nodes:
            self.builder.scope = node.scope
            half = self._is_half(node)
            self._note(node, half)
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
        return not (node in self.steep or self.large.intersection(given) or self._is_open_product(node))

    def _is_open_product(self, node: Node) -> bool:
        """Whether a product can be large: of two computed values not known to be small, or with a large number."""
        factors = [t for t in node.inputs[:2] if t is not None]
        if node.op_type not in _PRODUCTS or len(factors) < 2:
            return False
        bounds = [self._magnitude(t) for t in factors]
        if node.op_type == "Mul" and math.prod(bounds) <= _LARGEST:
            return False
        if all(t.data is None and t not in self.fixed for t in factors):
            return min(bounds) > _SMALL
        return node.op_type == "Mul" and min(bounds) > _LARGEST_FACTOR

    def _note(self, node: Node, half: bool) -> None:
        """Note what is known about the results of a node, before its operands are cast."""
        operands = {t for t in node.inputs if t is not None}
        floats = [t for t in node.outputs if t.dtype == "float32"]
        if all(t.data is not None or t in self.fixed for t in operands):
            self.fixed.update(node.outputs)
        elif operands & (self.halved | self.rounded):
            self.rounded.update(node.outputs)
            if node.op_type in _CHOOSES:
                self.builder.warnings.append(
                    f"{node.name} compares numbers of float16: more of them are equal, and its choice may differ"
                )
        elif half:
            self.rounded.update(node.outputs)
        bound = self._bound(node)
        if bound <= _LARGEST:
            self.bounds.update(dict.fromkeys(floats, bound))
            return
        grows = not half and (_grows(node) or self._is_open_product(node))
        if grows or (operands & self.large and node.op_type in _KEEPS_SIZE):
            self.large.update(floats)

    def _bound(self, node: Node) -> float:
        """The largest magnitude of a node's results; infinity where it is not known."""
        if node.op_type in _UNIT_RESULTS or _is_mask(node):
            return 1.0
        if node.op_type == "Clip":
            return max((self._magnitude(t) for t in node.inputs[1:3]), default=math.inf)
        floats = [self._magnitude(t) for t in node.inputs if t is not None and t.dtype.startswith("float")]
        if node.op_type in _BOUNDED:
            return max(floats, default=math.inf)
        if node.op_type in ("Add", "Sub"):
            return sum(floats)
        return math.prod(floats) if node.op_type == "Mul" else math.inf

    def _magnitude(self, tensor: Tensor | None) -> float:
        numbers = array_of(tensor)
        if numbers is not None and numbers.size:
            return float(np.abs(numbers).max())
        return math.inf if tensor is None else self.bounds.get(tensor, math.inf)

    def _follow_steep(self, node: Node) -> None:
        """Note the nodes by elements before a steep one, up to a product with weights or a sum of two branches."""
        if node.op_type not in _STEEP and not _is_coarse(node):
            return
        first = 1 if node.op_type == "Div" else 0
        waiting = [t for t in node.inputs[first:] if t is not None]
        while waiting:
            made = waiting.pop().producer
            if made is None or made in self.steep or made.op_type in _WEIGHTED:
                continue
            if made.op_type not in _COMPUTES | _MOVES:
                continue
            self.steep.add(made)
            computed = [t for t in made.inputs if t is not None and t.data is None]
            if not (made.op_type in ("Add", "Sub") and len(computed) > 1):
                waiting += computed

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
    """Whether float16 can represent a constant: weights to its digits of the largest, others each to all digits."""
    data = tensor.data
    assert data is not None
    if not data.count:
        return True
    numbers = np.abs(data.load())
    largest = float(numbers.max())
    if not largest <= _LARGEST:
        return False
    if weighted:
        return bool((np.abs(numbers - numbers.astype(np.float16)) <= _DIGITS * largest).all())
    return not bool(((numbers < _SMALLEST) & (numbers > 0)).any())


def _grows(node: Node) -> bool:
    source = node.inputs[0] if node.inputs else None
    if node.op_type == "Cast":
        return source is not None and source.dtype in _WIDE_INTEGERS
    return node.op_type in _GROWS


def _is_coarse(node: Node) -> bool:
    """Whether a node turns floats into whole numbers or float8."""
    return node.op_type == "Cast" and ("int" in node.output.dtype or "float8" in node.output.dtype)


def _is_mask(node: Node) -> bool:
    source = node.inputs[0] if node.inputs else None
    return node.op_type == "Cast" and source is not None and source.dtype == "bool"
