"""Makes nodes: infers result types and sizes, folds constants, and casts where the runtime has no kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...errors import shown
from ...ir.size import FloorDiv, Poly, Size, Symbol, unknown
from .dtypes import cast_array, number, of_array, result_dtype
from .folding import folded
from .graph import Array, Data, Graph, Node, Tensor, constant_data
from .kernels import computed_in
from .refusal import Refused
from .sizes import result_sizes

# Constants of fewer numbers are folded into a wider type: they take little space in any.
_LEAST_KEPT = 1024

Operand = Tensor | None | float | bool | Array | Sequence[int]
# How many leading operands share the element type of the data; all of them for operators not listed.
_DATA_FIRST = (
    "CumProd CumSum Expand OneHot Resize ReverseSequence Tile TopK Trilu ReduceL1 ReduceL2 ReduceLogSum "
    "ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
)
_DATA_OPERANDS = {**dict.fromkeys(_DATA_FIRST.split(), 1), "GRU": 4, "LSTM": 4, "RNN": 4}


class Builder:
    """Adds nodes to a graph or to the open body. ``scope`` is the path of the call that the nodes belong to.

    ``half`` says whether the graph will compute in half precision, ``fixed`` whether the opset was asked for,
    ``extensions`` whether operators of the package onnxruntime-extensions are allowed.
    """

    def __init__(self, opset: int, half: bool = False, fixed: bool = True, extensions: bool = False) -> None:
        self.opset = opset
        self.fixed = fixed
        self.half = half
        self.extensions = extensions
        self.graph = Graph()
        self.scope = ""
        self.metadata: dict[str, str] = {}
        self.warnings: list[str] = []
        self._open = [self.graph]
        self._constants: dict[Any, Tensor] = {}
        self._folds: dict[Any, Tensor] = {}
        self._held: list[Any] = []  # operands of folds: kept alive, as their ids are keys
        self._dimensions: dict[Any, Tensor] = {}
        self._sources: dict[Size, tuple[Tensor, int]] = {}

    # -- nodes -----------------------------
    def node(
        self,
        op_type: str,
        *operands: Operand,
        as_dtype: str | None = None,
        as_sizes: Sequence[Size] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> Tensor:
        """A node with one result, folded to a constant where possible."""
        attributes = {name: value for name, value in attributes.items() if value is not None}
        inputs = self._inputs(operands)
        if domain == "":
            known = self._folded(op_type, inputs, attributes, as_dtype)
            if known is not None:
                return known
            if op_type == "MatMul" and _is_column(inputs):
                return self._by_column(inputs, as_dtype)
            place = 1 if op_type == "Where" else 0
            data = inputs[place] if place < len(inputs) else None
            if data is not None:
                wider = computed_in(op_type, data.dtype)
                if wider != data.dtype:
                    return self._wider(op_type, inputs, attributes, data.dtype, wider, as_dtype, as_sizes)
        dtype = as_dtype or result_dtype(op_type, inputs, attributes)
        sizes = as_sizes if as_sizes is not None else result_sizes(op_type, inputs, attributes)
        return self._add(op_type, inputs, attributes, domain, [(dtype, sizes)])[0]

    def _by_column(self, inputs: list[Tensor | None], as_dtype: str | None) -> Tensor:
        """``x[..., m, n] @ y[n] -> [..., m]`` as a product with one column.

        ONNX Runtime 1.31 takes a Transpose before MatMul into the product, and is then wrong if y is a vector.
        """
        x, y = inputs
        product = self.node("MatMul", x, self.node("Unsqueeze", y, [1]), as_dtype=as_dtype)
        return self.node("Squeeze", product, [product.rank - 1])

    def several(
        self,
        op_type: str,
        results: Sequence[tuple[str, Sequence[Size] | None]],
        *operands: Operand,
        domain: str = "",
        **attributes: Any,
    ) -> list[Tensor]:
        """A node with several results; each is given as type and sizes."""
        attributes = {name: value for name, value in attributes.items() if value is not None}
        return self._add(op_type, self._inputs(operands), attributes, domain, results)

    def _add(
        self,
        op_type: str,
        inputs: list[Tensor | None],
        attributes: dict[str, Any],
        domain: str,
        results: Sequence[tuple[str, Sequence[Size] | None]],
    ) -> list[Tensor]:
        while inputs and inputs[-1] is None:
            inputs.pop()
        node = Node(op_type, inputs, attributes, domain, f"{self.scope}/{op_type}" if self.scope else op_type)
        node.outputs = [Tensor(dtype, sizes, producer=node) for dtype, sizes in results]
        self._open[-1].nodes.append(node)
        return list(node.outputs)

    def _inputs(self, operands: Sequence[Operand]) -> list[Tensor | None]:
        dtype = next((o.dtype for o in operands if isinstance(o, Tensor)), "float32")
        return [self.operand(o, dtype) for o in operands]

    def operand(self, value: Operand, dtype: str) -> Tensor | None:
        """A tensor as it is; an array as a constant of its type, a list of integers as int64, a number as ``dtype``."""
        if value is None or isinstance(value, Tensor):
            return value
        if isinstance(value, np.ndarray):
            return self.constant(value)
        if isinstance(value, (list, tuple)):
            return self.constant(np.asarray(value, np.int64))
        return self.constant(value, dtype)

    def _folded(
        self, op_type: str, inputs: list[Tensor | None], attributes: dict[str, Any], dtype: str | None
    ) -> Tensor | None:
        if not inputs or any(t is not None and t.data is None for t in inputs):
            return None
        key = (op_type, tuple(map(id, inputs)), repr(sorted(attributes.items())), dtype)
        if key not in self._folds:
            made = dtype or result_dtype(op_type, inputs, attributes)
            data = folded(op_type, inputs, attributes, made)
            if data is None:
                return None
            stem = next((t.stem for t in inputs if t is not None and t.stem is not None), None)
            tensor = Tensor(made, data.shape, stem=stem, data=data)
            self._folds[key] = tensor
            self._held.append(inputs)
        return self._folds[key]

    def _wider(
        self,
        op_type: str,
        inputs: list[Tensor | None],
        attributes: dict[str, Any],
        dtype: str,
        wider: str,
        as_dtype: str | None,
        as_sizes: Sequence[Size] | None,
    ) -> Tensor:
        """The node computed in type ``wider``, which has a kernel, between casts."""
        first, count = int(op_type == "Where"), _DATA_OPERANDS.get(op_type, len(inputs))
        cast = [
            self._widened(t, wider) if t is not None and t.dtype == dtype and first <= n < count else t
            for n, t in enumerate(inputs)
        ]
        wanted = as_dtype or result_dtype(op_type, inputs, attributes)
        given = wider if wanted == dtype else wanted
        sizes = as_sizes if as_sizes is not None else result_sizes(op_type, inputs, attributes)
        return self.cast(self._add(op_type, cast, attributes, "", [(given, sizes)])[0], wanted)

    def _widened(self, tensor: Tensor, dtype: str) -> Tensor:
        """The tensor in a wider type. Weights of bfloat16 keep it in the file: the runtime folds the Cast."""
        if tensor.dtype != "bfloat16" or tensor.data is None or tensor.data.count < _LEAST_KEPT:
            return self.cast(tensor, dtype)
        key = ("Cast", id(tensor), dtype, self._open[-1])
        if key not in self._folds:
            self._folds[key] = self.unfolded_cast(tensor, dtype)
            self._held.append(tensor)
        return self._folds[key]

    # -- constants -----------------------------
    def constant(self, value: Any, dtype: str | None = None, stem: str | None = None) -> Tensor:
        """A constant; equal constants of one type share a tensor, up to 4096 numbers."""
        array = _array(value)
        if array.dtype.kind in "OUS":
            if dtype not in (None, "string"):
                raise Refused(f"{shown(repr(value))} is not {dtype}")
            array, dtype = array.astype(object), "string"
        dtype = dtype or of_array(array)
        if dtype != "string":
            array = cast_array(array, dtype)
        key: Any = (dtype, array.shape, repr(array.tolist()) if dtype == "string" else array.tobytes())
        if array.size > 4096:
            return Tensor(dtype, array.shape, data=constant_data(array, dtype), stem=stem)
        if key not in self._constants:
            self._constants[key] = Tensor(dtype, array.shape, data=constant_data(array, dtype), stem=stem)
        return self._constants[key]

    def stored(self, data: Data, stem: str) -> Tensor:
        """A constant whose numbers are loaded on use."""
        return Tensor(data.dtype, data.shape, data=data, stem=stem)

    def cast(self, tensor: Tensor, dtype: str) -> Tensor:
        """The tensor in another type; the tensor itself if it has that type."""
        return tensor if tensor.dtype == dtype else self.node("Cast", tensor, to=number(dtype))

    def unfolded_cast(self, tensor: Tensor, dtype: str) -> Tensor:
        """The tensor in another type, by a node for a constant too: the file keeps its numbers in their own type."""
        return self._add("Cast", [tensor], {"to": number(dtype)}, "", [(dtype, tensor.sizes)])[0]

    # -- sizes at run time -----------------------------
    def add_input(self, name: str, dtype: str, sizes: Sequence[Size]) -> Tensor:
        tensor = Tensor(dtype, sizes, stem=name)
        tensor.name = name
        self.graph.inputs.append(tensor)
        for axis, size in enumerate(tensor.sizes):
            if not isinstance(size, int):
                self._sources.setdefault(size, (tensor, axis))
        return tensor

    def size(self, size: Size, *near: Tensor) -> int | Tensor:
        """A size as a number; an open size as ``int64[1]``, measured on a tensor at run time.

        Args:
            near: tensors to search first.

        Raises:
            Refused: the size depends on the data.
        """
        if isinstance(size, int):
            return size
        key = (size, self._open[-1])
        if key not in self._dimensions:
            self._dimensions[key] = self._computed(size, near)
        return self._dimensions[key]

    def _computed(self, size: Poly, near: Sequence[Tensor]) -> Tensor:
        for tensor in near:
            if tensor.known and size in tensor.sizes:
                return self.dimension(tensor, tensor.sizes.index(size))
        if size in self._sources:
            return self.dimension(*self._sources[size])
        if size.unknown and len(size.terms) == 1:
            raise Refused("it needs a size that depends on the data and is known only at run time")
        total: Tensor | None = None
        for monomial, coefficient in size.terms:
            term: Tensor | None = None
            for atom, power in monomial:
                factor = self._atom(atom, near)
                for _ in range(power):
                    term = factor if term is None else self.node("Mul", term, factor)
            if term is None:
                term = self.constant(np.asarray([coefficient], np.int64))
            elif coefficient != 1:
                term = self.node("Mul", term, [coefficient])
            total = term if total is None else self.node("Add", total, term)
        assert total is not None
        return total

    def _atom(self, atom: Symbol | FloorDiv, near: Sequence[Tensor]) -> Tensor:
        if isinstance(atom, FloorDiv):
            numerator = self.size(atom.numerator, *near)
            assert isinstance(numerator, Tensor)
            return self.node("Div", numerator, [atom.divisor])
        alone = Poly(((((atom, 1),), 1),))
        for tensor in near:
            if tensor.known and alone in tensor.sizes:
                return self.dimension(tensor, tensor.sizes.index(alone))
        if alone in self._sources:
            return self.dimension(*self._sources[alone])
        raise Refused("it needs a size that depends on the data and is known only at run time")

    def dimension(self, tensor: Tensor, axis: int) -> Tensor:
        """``int64[1]``: the size of one axis, measured at run time."""
        key = (tensor, axis, self._open[-1])
        if key not in self._dimensions:
            axis %= tensor.rank
            self._dimensions[key] = self.node("Shape", tensor, start=axis, end=axis + 1)
        return self._dimensions[key]

    def shape(self, sizes: Sequence[Size | Tensor], *near: Tensor) -> Tensor:
        """Sizes as ``int64[n]``: a constant where every size is a number."""
        parts = [s if isinstance(s, Tensor) else self.size(s, *near) for s in sizes]
        if all(isinstance(p, int) for p in parts):
            return self.constant(np.asarray(parts, np.int64))
        runs: list[Tensor] = []
        numbers: list[int] = []
        for part in parts:
            if isinstance(part, int):
                numbers.append(part)
                continue
            if numbers:
                runs.append(self.constant(np.asarray(numbers, np.int64)))
                numbers = []
            runs.append(part if part.rank == 1 else self.reshape(part, [1]))
        if numbers:
            runs.append(self.constant(np.asarray(numbers, np.int64)))
        return runs[0] if len(runs) == 1 else self.node("Concat", *runs, axis=0)

    def reshape(self, x: Tensor, target: Sequence[Size | Tensor]) -> Tensor:
        """``reshape(x[...], sizes) -> [sizes]``; the target is constant if at most one open size changes its place."""
        target = tuple(target)
        if x.known and target == x.sizes:
            return x
        sizes = [unknown() if isinstance(t, Tensor) else t for t in target]
        open_places = [n for n, t in enumerate(target) if not isinstance(t, int)]
        if not any(t == 0 for t in target if isinstance(t, int)):
            held = [n for n in open_places if n < x.rank and x.sizes[n] == target[n]]
            rest = [n for n in open_places if n not in held]
            if len(rest) <= 1:
                spec = [0 if n in held else -1 if n in rest else t for n, t in enumerate(target)]
                return self.node("Reshape", x, self.constant(np.asarray(spec, np.int64)), as_sizes=sizes)
            return self.node("Reshape", x, self.shape(target, x), as_sizes=sizes)
        return self.node("Reshape", x, self.shape(target, x), as_sizes=sizes, allowzero=1)

    # -- bodies -----------------------------
    @contextmanager
    def body(self, name: str) -> Iterator[Graph]:
        """A body for Loop, Scan or If: nodes made inside the block go into it; fill its ``inputs`` and ``outputs``."""
        graph = Graph(name)
        with self.inside(graph):
            yield graph

    @contextmanager
    def inside(self, graph: Graph) -> Iterator[None]:
        """Nodes made inside the block go to the end of this graph."""
        self._open.append(graph)
        try:
            yield
        finally:
            self._open.pop()


def _is_column(inputs: Sequence[Tensor | None]) -> bool:
    """Whether the second of two operands is a vector, and the first is not."""
    x, y = inputs
    return x is not None and y is not None and x.known and y.known and y.rank == 1 < x.rank


def _array(value: Any) -> Array:
    """Numbers or text as an array. Raises Refused for other values and for numbers beyond 64 bits."""
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # lists of different lengths
        raise Refused(f"{shown(repr(value))} is not an array") from None
    if array.dtype.kind == "O" and not all(isinstance(item, (str, bytes)) for item in array.flat):
        raise Refused(f"{shown(repr(value))} is neither numbers of 64 bits nor text")
    return array
