"""What a lowering sees of one call: its configuration, its operands as ONNX tensors, and how to make nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import BadFileError, shown
from ...formats.variables import Variables
from ...ir.axis import Value
from ...ir.graph import Operation, leaves
from ...ir.size import Size
from ...shapes.call import Configured
from ...shapes.quantisation import Quantisation, quantisation_of
from .builder import Builder, Operand
from .dtypes import FLOATS
from .graph import Array, Data, Tensor
from .refusal import Refused
from .states import States


@dataclass(slots=True)
class Emitter(Configured):
    """One call of an operation on ONNX tensors.

    ``args`` and ``kwargs`` are the call's structures with ``Tensor`` leaves; for a layer, in its compute dtype
    already. ``outputs`` are the results that the axis analysis infers, in the order of ``keras.tree.flatten``.
    ``group`` is the layer's group in the weights file, ``path`` its name after the names of the models around it.
    ``states`` holds those of stateful layers, where they are inputs and outputs of the model.
    """

    builder: Builder
    outputs: list[Value]
    path: str
    group: str
    weights: Variables
    run: Callable[..., Any]
    assets: Callable[[str], bytes] | None = None
    states: States | None = None
    _named: dict[Any, Tensor] = field(default_factory=dict)

    # -- operands -----------------------------
    @property
    def inputs(self) -> list[Tensor]:
        """Every tensor operand, in order."""
        return [leaf for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Tensor)]

    @property
    def x(self) -> Tensor:
        """The first tensor operand."""
        for leaf in leaves((self.args, self.kwargs)):
            if isinstance(leaf, Tensor):
                return leaf
        raise BadFileError(f"layer {shown(self.operation.name)!r} is called on no tensor")

    def operand(self, position: int, name: str, dtype: str | None = None) -> Tensor:
        """An argument as a tensor: numbers become a constant of ``dtype`` (default: the result's).

        Raises:
            BadFileError: the call has no such argument.
        """
        return self.tensor(self.arg(position, name), dtype)

    def optional(self, position: int, name: str) -> Tensor | None:
        """A tensor argument, or None where the call has none. Does not read the configuration."""
        found = self.args[position] if position < len(self.args) else self.kwargs.get(name)
        return found if isinstance(found, Tensor) else None

    def tensor(self, value: Any, dtype: str | None = None) -> Tensor:
        """A tensor (cast to ``dtype`` if given), or numbers as a constant of ``dtype`` (default: the result's)."""
        if isinstance(value, Tensor):
            return value if dtype is None else self.cast(value, dtype)
        return self.constant(value, dtype or self.dtype)

    # -- configured numbers -----------------------------
    def number(self, name: str, default: float | None = None) -> float:
        """A configured real number."""
        value = self.config.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) >= 2**1023:
            raise self.bad(name, value, "a number")
        return float(value)

    def numbers(self, name: str, value: Any) -> Array:
        """Configured numbers, one or nested lists, as float64."""
        try:
            given = np.asarray(value)
        except ValueError:  # lists of different lengths
            raise self.bad(name, value, "numbers") from None
        if given.dtype.kind not in "iuf":
            raise self.bad(name, value, "numbers")
        return given.astype(np.float64)

    # -- the expected results -----------------------------
    @property
    def dtype(self) -> str:
        """The element type of the (first) result."""
        return self.outputs[0].dtype

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes of the (first) result."""
        sizes = self.outputs[0].sizes
        if sizes is None:
            raise Refused("the rank of its result is not known")
        return sizes

    @property
    def rank(self) -> int:
        return len(self.sizes)

    @property
    def opset(self) -> int:
        return self.builder.opset

    @property
    def compute(self) -> str:
        """The layer's compute dtype; for an op the type of its result."""
        return self.compute_dtype() or self.dtype

    @property
    def quantisation(self) -> Quantisation | None:
        """How the layer's weights are quantised, if they are."""
        return quantisation_of(self.config)

    # -- weights -----------------------------
    def weight(self, path: str, name: str, dtype: str | None = None) -> Tensor:
        """A variable by its place in the weights file (``vars/0``), in the compute dtype.

        Args:
            name: Keras's name of the variable (``kernel``), for its name in the ONNX file.
            dtype: another type; ``""`` keeps the stored type.
        """
        tensor = self._named.get((self.group, path))
        if tensor is None:
            tensor = self.builder.stored(
                Data(*self.weights.variable(self.group, path)), f"{self.path}/{name}"
            )
            self._named[self.group, path] = tensor
        wanted = self.compute if dtype is None else dtype
        return self.cast(tensor, wanted) if wanted and tensor.dtype in FLOATS else tensor

    def derived(self, path: str, name: str, form: str, make: Callable[[Data], Data]) -> Tensor:
        """A variable in another form, made once for all calls of the layer; ``form`` names the form."""
        key = self.group, path, form
        if key not in self._named:
            stored = Data(*self.weights.variable(self.group, path))
            self._named[key] = self.builder.stored(make(stored), f"{self.path}/{name}")
        return self._named[key]

    def has_weight(self, path: str) -> bool:
        return path in self.weights.paths(self.group)

    def asset(self, name: str) -> bytes:
        """A file that the layer saved beside its weights (``vocabulary.txt``). Raises BadFileError without it."""
        if self.assets is None:
            raise BadFileError("the file holds no assets: export a .keras archive")
        return self.assets(f"assets/{self.group}/{name}")

    # -- nodes -----------------------------
    def op(
        self,
        op_type: str,
        *operands: Operand,
        as_dtype: str | None = None,
        as_sizes: Sequence[Size] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> Tensor:
        """A node with one result. Operands are tensors, None for an omitted operand, numbers (in the type of the first
        tensor), lists of integers (int64), or arrays. An attribute that is None is omitted.

        ``as_dtype`` and ``as_sizes`` give what the rules in ``dtypes`` and ``sizes`` do not. A node on constants
        is folded where possible: the result is a constant. Where ONNX Runtime has no kernel for the type, the node
        computes in a wider type, between casts.
        """
        return self.builder.node(
            op_type, *operands, as_dtype=as_dtype, as_sizes=as_sizes, domain=domain, **attributes
        )

    def several(
        self,
        op_type: str,
        results: Sequence[tuple[str, Sequence[Size] | None]],
        *operands: Operand,
        domain: str = "",
        **attributes: Any,
    ) -> list[Tensor]:
        """A node with several results; each is given as type and sizes."""
        return self.builder.several(op_type, results, *operands, domain=domain, **attributes)

    def constant(self, value: Any, dtype: str | None = None) -> Tensor:
        """Numbers as a constant of ``dtype`` (default: their own type)."""
        return self.builder.constant(value, dtype)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        """``x`` in another type, as ONNX casts (to bool: not zero); ``x`` itself if it has that type."""
        return self.builder.cast(x, dtype)

    def identity(self, x: Tensor) -> Tensor:
        """A new tensor with the same content: for a result whose mask differs from its operand's."""
        return self.op("Identity", x)

    def reshape(self, x: Tensor, sizes: Sequence[Size | Tensor]) -> Tensor:
        """``reshape(x[...], sizes) -> [sizes]``; a size may be open, or an ``int64[1]`` tensor."""
        return self.builder.reshape(x, sizes)

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """``transpose(x[a, b, c], (2, 0, 1)) -> [c, a, b]``."""
        if list(order) == list(range(len(order))):
            return x
        return self.op("Transpose", x, perm=list(order))

    def unsqueeze(self, x: Tensor, *axes: int) -> Tensor:
        """``unsqueeze(x[a, b], 1) -> [a, 1, b]``; the axes are those of the result."""
        return self.op("Unsqueeze", x, list(axes)) if axes else x

    def squeeze(self, x: Tensor, *axes: int) -> Tensor:
        return self.op("Squeeze", x, list(axes)) if axes else x

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        if len(parts) == 1:
            return parts[0]
        return self.op("Concat", *parts, axis=axis % parts[0].rank)

    def reduce(self, op_type: str, x: Tensor, axes: Sequence[int] | None, keepdims: bool = False) -> Tensor:
        """``ReduceSum``, ``ReduceMean`` …; axes are an attribute before opset 18 (ReduceSum: before 13)."""
        if axes is not None and not axes:
            return x
        listed = None if axes is None else [a % x.rank for a in axes]
        if self.opset >= 18 or op_type == "ReduceSum":
            return self.op(op_type, x, listed, keepdims=int(keepdims))
        return self.op(op_type, x, axes=listed, keepdims=int(keepdims))

    def slice(
        self, x: Tensor, axis: int, start: int | Tensor = 0, end: int | Tensor | None = None, step: int = 1
    ) -> Tensor:
        """``x[..., start:end:step, ...]`` along one axis; limits may be ``int64[1]`` tensors."""
        axis %= x.rank
        last = end if end is not None else 2**63 - 1 if step > 0 else -(2**63)
        limits = [limit if isinstance(limit, Tensor) else [limit] for limit in (start, last)]
        steps = [step] if step != 1 else None
        return self.op("Slice", x, *limits, [axis], steps)

    def pad(self, x: Tensor, before: Sequence[int], after: Sequence[int], value: Any = 0) -> Tensor:
        """``pad(x[n...]) -> [before + n + after ...]`` with one value."""
        if not any(before) and not any(after):
            return x
        fill = None if value == 0 and x.dtype != "bool" else self.constant(value, x.dtype)
        return self.op("Pad", x, [*before, *after], fill, mode="constant")

    # -- sizes at run time -----------------------------
    def size(self, x: Tensor, axis: int) -> int | Tensor:
        """The size of an axis: a number, or ``int64[1]`` measured at run time."""
        size = x.sizes[axis]
        return size if isinstance(size, int) else self.builder.dimension(x, axis % x.rank)

    def count(self, x: Tensor, axis: int, dtype: str) -> Tensor:
        """The size of an axis as a scalar tensor of a type."""
        size = self.size(x, axis)
        if isinstance(size, int):
            return self.constant(size, dtype)
        return self.cast(self.op("Squeeze", size, [0]), dtype)

    def positions(self, count: Tensor, size: Size) -> Tensor:
        """``int64[size]``: 0, 1, 2 …, for a size measured as the scalar ``count`` of ``int64``."""
        return self.op("Range", self.constant(0, "int64"), count, self.constant(1, "int64"), as_sizes=[size])

    def shape(self, sizes: Sequence[Size | Tensor], *near: Tensor) -> Tensor:
        """Sizes as an ``int64[n]`` tensor, constant where all are numbers; open ones are measured (``near`` first)."""
        return self.builder.shape(sizes, *near, *self.inputs)

    def expand(self, x: Tensor, sizes: Sequence[Size | Tensor]) -> Tensor:
        """``x`` broadcast to sizes."""
        if x.known and tuple(sizes) == x.sizes:
            return x
        known = [size for size in sizes if not isinstance(size, Tensor)]
        return self.op("Expand", x, self.shape(sizes), as_sizes=known if len(known) == len(sizes) else None)

    # -- inner layers and models -----------------------------
    def apply(self, operation: Operation, *args: Any, at: str | None = None, **kwargs: Any) -> Any:
        """Lower a call of an inner layer or model on tensors and return the structure of its result.

        Args:
            at: the place of its weights below this layer's group; default: its key in ``operation.children``.
        """
        if at is None:
            at = next((k for k, held in self.operation.children.items() if held is operation), operation.name)
        return self.run(operation, args, kwargs, f"{self.path}/{operation.name}", f"{self.group}/{at}")

    def undefined(self, number: int, reason: str) -> Tensor:
        """A result without numbers, for one that has no ONNX form where others have: its use is refused."""
        value = self.outputs[number]
        tensor = Tensor(value.dtype, value.sizes)
        tensor.undefined = reason
        return tensor

    def refuse(self, reason: str) -> Refused:
        """An error that says why this call has no ONNX form: ``raise call.refuse("...")``."""
        return Refused(reason)
