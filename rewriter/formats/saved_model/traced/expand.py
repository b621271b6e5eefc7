"""Expands a TensorFlow function into entries of a Keras 2 model: operators, and layers where there are weights."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ....errors import shown
from ...keras.upgrade.functions.node_defs import DTYPES, OPERATORS
from ..functions import node_of
from ..messages import Function, FunctionDef, NodeDef, Shape
from ..wire import Message
from .composites import Composite, composite
from .entries import Entries
from .folding import Array, folded, parts
from .library import Library, Unable, changes, numbers
from .products import PRODUCTS, Made, Weight, fits, grouped, is_product, pooled, size_of_bias
from .sizes import Ref, Size, Sizes, computed, shape_of

_MAX_DEPTH = 64
_MAX_HELD = 2**26  # numbers of all constants in the computation
_MAX_STEPS = 1_000_000
TYPES = ("float32", "int32", "int64", "bool")
_NAMES = {name: number for number, name in DTYPES.items()}
_PASS = frozenset({"Identity", "IdentityN", "PreventGradient", "Snapshot", "ReadVariableOp"})
SEVERAL = frozenset({"Split", "Unpack"})  # operators with several results
_UPSAMPLED = {3: "UpSampling1D", 4: "UpSampling2D", 5: "UpSampling3D"}  # by the rank of the tensor
_BATCHED = frozenset({"BatchMatMul", "BatchMatMulV2"})
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


@dataclass
class Pending:
    """A product with weights; it becomes a layer once it is known whether a bias is added."""

    made: Made
    first: Ref
    ref: Ref | None = None


Value = Ref | Pending | Sizes | Weight | Array


class Expander:
    """Expands functions into entries.

    Args:
        stem: the start of the names of the entries.
        weight: returns a variable by its object number.
    """

    def __init__(
        self, library: Library, entries: Entries, stem: str, weight: Callable[[int], Weight]
    ) -> None:
        self.library, self.entries, self.stem, self._weight = library, entries, stem, weight
        self.shapes: dict[Ref, Shape | None] = {}
        self._steps = self._held = 0

    def results(
        self, name: str, inputs: Sequence[Value], shapes: Sequence[Shape | None] | None = None
    ) -> list[Ref]:
        """The results of a function. Raises Unable.

        Args:
            inputs: its arguments, without captures.
            shapes: the shapes of the inputs; by default those that the function records.
        """
        function = self.library.function(name)
        captures = self.library.objects.captures.get(name, [])
        if len(inputs) + len(captures) != len(function.arguments):
            raise Unable(f"its function needs {len(function.arguments) - len(captures)} tensors")
        own = [argument.shape for argument in function.arguments] if shapes is None else shapes
        for value, shape in zip(inputs, own, strict=False):
            if isinstance(value, Ref):
                self.shapes[value] = shape
        found = self._run(function, [*inputs, *(self._captured(number) for number in captures)], 0)
        results = [self.settled(value) for value in found]
        for value in results:
            if not isinstance(value, Ref):
                raise Unable("one of its results is a constant or a shape")
        return results  # type: ignore[return-value]

    def _captured(self, number: int) -> Value:
        return (
            self._weight(number)
            if number in self.library.objects.variables
            else self.library.constant(number)
        )

    def step(self) -> None:
        """Count a node. Raises Unable after too many: nested calls can multiply the number of nodes."""
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise Unable(f"its function has more than {_MAX_STEPS:,} nodes")

    def held(self, array: Array) -> Array:
        """Count the numbers of a constant. Raises Unable after too many."""
        self._held += array.size
        if self._held > _MAX_HELD:
            raise Unable("its constants have too many numbers")
        return array

    def settled(self, value: Value) -> Ref | Sizes | Weight | Array:
        """The value; a pending product becomes a layer without a bias."""
        if not isinstance(value, Pending):
            return value
        if value.ref is None:
            value.ref = self.entries.layer(self.stem, value.made, value.first)
        return value.ref

    def _run(self, function: FunctionDef, arguments: Sequence[Value], depth: int) -> list[Value]:
        if depth > _MAX_DEPTH:
            raise Unable(f"its functions call one another more than {_MAX_DEPTH} deep")
        if op := changes(function):
            raise Unable(f"it changes variables ({op})")
        return _Run(self, function, arguments, depth).results()


class _Run:
    """One call of a function."""

    def __init__(
        self, outer: Expander, function: FunctionDef, arguments: Sequence[Value], depth: int
    ) -> None:
        self.outer, self.depth = outer, depth
        self.returned = function.returned
        self.nodes = {node.name: node for node in function.nodes}
        self.values: dict[str, list[Value]] = {
            argument.name: [value] for argument, value in zip(function.arguments, arguments, strict=True)
        }
        self.recorded = {argument.name: argument.shape for argument in function.arguments}
        taken = (tensor for node in self.nodes.values() for tensor in node.taken)
        self.uses = Counter([*taken, *self.returned])

    def results(self) -> list[Value]:
        waiting = [node_of(tensor) for tensor in reversed(self.returned)]
        plans: dict[str, Composite | None] = {}
        while waiting:
            name = waiting[-1]
            if name in self.values:
                waiting.pop()
                continue
            node = self.nodes.get(name)
            if node is None:
                raise Unable(f"its function uses {shown(name)!r}, which does not exist")
            seen = name in plans
            plan = plans[name] = plans[name] if seen else composite(self.nodes, node)
            takes = node.taken if plan is None else plan.takes
            missing = [node_of(tensor) for tensor in takes if node_of(tensor) not in self.values]
            if missing and seen:
                raise Unable("its function has a cycle")
            if missing:
                waiting += missing
                continue
            waiting.pop()
            self.outer.step()
            try:
                self.values[name] = [self._composite(plan)] if plan else self._node(node)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError):
                # The operands come from a file: one can be missing, or of a wrong kind for the operator.
                raise Unable(f"its function has an invalid {shown(node.op)} node") from None
        return [self._value(tensor) for tensor in self.returned]

    def _value(self, tensor: str) -> Value:
        name, _, rest = tensor.partition(":")
        output, _, number = rest.partition(":")
        node = self.nodes.get(name)
        if node is not None and node.op == "FusedBatchNormV3" and output != "y":
            raise Unable("it uses the statistics that a normalization returns")
        found = self.values[name]
        place = int(number) if number.isdecimal() else 0
        if place < len(found):
            return found[place]
        if node is not None and node.op in SEVERAL and isinstance(found[0], Ref):
            return found[0]._replace(output=place)
        raise Unable(f"its function uses {shown(tensor)!r}, which does not exist")

    def _node(self, node: NodeDef) -> list[Value]:
        if node.op == "Const":
            return [self.outer.held(numbers(node))]
        operands = [self._value(tensor) for tensor in node.taken]
        if node.op in _PASS:
            return operands
        if node.op in _CALLS:
            called = node.attribute("f")
            if not isinstance(called, Function):
                raise Unable("it has a call without a function")
            if (layer := self._layer(called.name, operands)) is not None:
                return [layer]
            return self.outer._run(self.outer.library.function(called.name), operands, self.depth + 1)
        if biased := self._biased(node, operands):
            return [biased]
        settled = [self.outer.settled(operand) for operand in operands]
        if node.op == "Shape" and isinstance(settled[0], Ref):
            return [self._shape(node, settled[0])]
        if is_product(node, settled) and (product := self._product(node, settled)) is not None:
            return [product]
        if node.op in SEVERAL:
            arrays = [each.load() if isinstance(each, Weight) else each for each in settled]
            known = [each for each in arrays if isinstance(each, np.ndarray)]
            if len(known) == len(arrays):
                return [self.outer.held(part) for part in parts(node, known)]
        return [self._operator(node, settled)]

    def _layer(self, name: str, operands: list[Value]) -> Ref | None:
        """The result of a function that is the call of a described Keras layer on one tensor; else None."""
        tensors = [each for each in operands if not isinstance(each, Weight)]
        variables = [each.number for each in operands if isinstance(each, Weight)]
        if len(tensors) != 1 or len(self.outer.library.function(name).returned) != 1:
            return None
        found = self.outer.library.layer_of(name, [each for each in variables if each is not None])
        first = self.outer.settled(tensors[0])
        if found is None or not isinstance(first, Ref):
            return None
        number, entry = found
        return self.outer.entries.own(number, entry, str(self.outer.library.said(number)["name"]), first)

    def _biased(self, node: NodeDef, operands: list[Value]) -> Value | None:
        """A pending product with the bias that this node adds to it, if only this node uses the product; else None."""
        if node.op not in ("BiasAdd", "AddV2") or node.attribute("data_format") not in (None, "NHWC"):
            return None
        product, bias = operands
        if isinstance(bias, np.ndarray) and bias.dtype == np.float32:
            bias = Weight(None, bias.shape, "float32", partial(_itself, bias))
        if not isinstance(product, Pending) or not isinstance(bias, Weight) or len(bias.shape) != 1:
            return None
        made = product.made
        direct = node_of(node.taken[0]) in self.nodes and self.uses[node.taken[0]] == 1
        if not direct or product.ref is not None or bias.shape != (size_of_bias(made),):
            return None
        config = {**made.config, "use_bias": True}
        return Pending(Made(made.class_name, config, [*made.weights, bias]), product.first)

    def _product(self, node: NodeDef, operands: list[Any]) -> Value | None:
        first, places, make = PRODUCTS[node.op]
        if not isinstance(operands[first], Ref):
            return None
        weights = [weight for place in places if (weight := _weight(operands[place])) is not None]
        if len(weights) < len(places) or (node.op in _BATCHED and len(weights[0].shape) != 2):
            return None
        x, shape = operands[first], self._recorded(node.taken[first], operands[first])
        made = grouped(make(node, weights), shape[-1] if shape else None)
        if made.class_name.endswith("Transpose"):
            sizes = operands[0].tolist() if isinstance(operands[0], np.ndarray) else operands[0].parts
            if not fits(made, x, shape, sizes):
                raise Unable(f"it computes {node.op} with an output size that its layer cannot give")
        return Pending(made, x)

    def _composite(self, plan: Composite) -> Value:
        x, *operands = [self.outer.settled(self._value(tensor)) for tensor in plan.takes]
        weights = [weight for each in operands if (weight := _weight(each)) is not None]
        if not isinstance(x, Ref) or len(weights) < len(operands):
            raise Unable("it multiplies by a tensor that is not a weight")
        if plan.scales is not None and not any(self._has_one_axis(tensor) for tensor in plan.scales):
            raise Unable("the axes of its normalization are not known")
        made, shape = plan.made(weights), self._recorded(plan.takes[0], x)
        if (
            made.class_name == "LayerNormalization"
            and weights
            and not (shape and shape[-1] == weights[0].shape[0])
        ):
            raise Unable("the size of its normalization's axis is not known")
        if any(number for sides in plan.padding for number in sides):
            x = self.outer.entries.operator(self.outer.stem, "Pad", {}, [x, np.array(plan.padding, "int32")])
        return Pending(grouped(made, shape[-1] if shape else None), x)

    def _has_one_axis(self, tensor: str) -> bool:
        """Whether a tensor is the unchanged value of a variable with one axis."""
        node = self.nodes.get(node_of(tensor))
        source = node.taken[0] if node is not None and node.op == "ReadVariableOp" and node.taken else ""
        found = self.values.get(source, [None])[0]
        return isinstance(found, Weight) and len(found.shape) == 1

    def _operator(self, node: NodeDef, operands: list[Any]) -> Value:
        entries, stem = self.outer.entries, self.outer.stem
        operands = [operand.load() if isinstance(operand, Weight) else operand for operand in operands]
        if operands and all(isinstance(operand, np.ndarray) for operand in operands):
            return self.outer.held(folded(node, operands))
        if any(isinstance(operand, Sizes) for operand in operands):
            found = computed(node, operands)
            if found is not None:
                return found
        if node.op == "Fill" and isinstance(operands[0], Sizes):
            return self._filled(operands[0], operands[1])
        if node.op == "Mul" and (same := _times_one(operands)) is not None:
            return same
        if node.op in ("Add", "AddV2") and all(isinstance(operand, Ref) for operand in operands):
            operands = self._added(node, operands)
        if node.op == "Reshape" and isinstance(operands[1], Sizes):
            if (repeated := self._repeated(node, operands[1])) is not None:
                return repeated
            operands[1] = self._new_shape(operands[1])
        operands = [self._as_tensor(each) if isinstance(each, Sizes) else each for each in operands]
        pool = pooled(node)
        if pool is not None:
            return entries.layer(stem, pool, operands[0])
        if node.op == "Cast" and node.attribute("DstT") not in TYPES:
            raise Unable(f"it computes with {node.attribute('DstT')}")
        if node.op not in OPERATORS:
            raise Unable(f"it computes {shown(node.op)}, which has no operation in Keras 3")
        attributes = dict(_attributes(node))
        return entries.operator(stem, node.op, attributes, operands)

    def _shape(self, node: NodeDef, x: Ref) -> Sizes | Array:
        """``tf.shape(x)``, with the sizes that the file records as numbers."""
        shape, dtype = self._recorded(node.taken[0], x), node.attribute("out_type") or "int32"
        if shape is None or dtype not in ("int32", "int64"):
            raise Unable("it uses the shape of a tensor of unknown rank")
        self.outer.shapes.setdefault(x, shape)
        return shape_of(x, shape, dtype)

    def _recorded(self, tensor: str, x: Ref) -> Shape | None:
        """The recorded shape of a tensor, or None."""
        if x in self.outer.shapes:
            return self.outer.shapes[x]
        name, _, rest = tensor.partition(":")
        node = self.nodes.get(name)
        recorded = [self.recorded.get(name)] if node is None else node.shapes
        number = rest.rpartition(":")[2] or "0"
        place = int(number) if number.isdecimal() and len(number) < 7 else len(recorded)
        return recorded[place] if place < len(recorded) else None

    def _new_shape(self, sizes: Sizes) -> Array | Sizes:
        """The target of a reshape: numbers with at most one -1, or the sizes if more than one is unknown."""
        opened = [isinstance(part, Size) or part == -1 for part in sizes.parts]
        if sum(opened) > 1:
            return sizes
        return np.array([-1 if isinstance(part, Size) else part for part in sizes.parts], "int32")

    def _added(self, node: NodeDef, operands: list[Any]) -> list[Any]:
        """The two operands in an order in which ``ops.add`` does not treat the second one as a bias.

        If the second operand has only one axis longer than 1, ``ops.add`` adds it along the last axis of the first, or
        axis 1, whatever its own axis is (``backend/tensorflow/numpy.py``, Keras 3.15).
        """
        shapes = [self._recorded(tensor, x) for tensor, x in zip(node.taken, operands, strict=True)]
        first, second = (
            None
            if shape is None or None in shape
            else [k - len(shape) for k, n in enumerate(shape) if n != 1]
            for shape in shapes
        )
        if second is None or len(second) != 1 or second == [-1] or first == second:
            return operands
        if first is not None and len(first) == 1:
            raise Unable("it adds two vectors along different axes")
        return operands[::-1]

    def _repeated(self, node: NodeDef, sizes: Sizes) -> Ref | None:
        """``tf.repeat(x, r, axis)`` along an inner axis (a new axis, tiled and merged) as UpSampling; else None."""
        tile = self.nodes.get(node_of(node.taken[0]))
        expand = None if tile is None or tile.op != "Tile" else self.nodes.get(node_of(tile.taken[0]))
        if tile is None or expand is None or expand.op != "ExpandDims":
            return None
        x = self.outer.settled(self._value(expand.taken[0]))
        axis, multiples = self._value(expand.taken[1]), self._value(tile.taken[1])
        if (
            not isinstance(x, Ref)
            or not isinstance(axis, np.ndarray)
            or not isinstance(multiples, np.ndarray)
        ):
            return None
        shape = self._recorded(expand.taken[0], x)
        if shape is None or len(shape) not in _UPSAMPLED or len(sizes.parts) != len(shape):
            return None
        place = axis.item() if axis.item() >= 0 else axis.item() + len(shape) + 1
        times = [1] * (len(shape) + 1)
        if not 2 <= place < len(shape):
            return None
        times[place] = multiples[place].item()
        along = [times[place] if k == place - 1 else 1 for k in range(len(shape))]
        wanted = tuple(
            Size(by, ((x, k),)) if size is None else size * by
            for k, (size, by) in enumerate(zip(shape, along, strict=True))
        )
        if multiples.tolist() != times or times[place] < 1 or sizes.parts != wanted:
            return None
        config = {"size": along[1] if len(shape) == 3 else along[1:-1]}
        if len(shape) > 3:
            config["data_format"] = "channels_last"
        return self.outer.entries.layer(self.outer.stem, Made(_UPSAMPLED[len(shape)], config, []), x)

    def _filled(self, sizes: Sizes, value: Any) -> Ref:
        """``tf.fill`` where only the first size is that of a tensor: computed from that tensor, whatever its values."""
        first, *rest = sizes.parts
        plain = isinstance(first, Size) and first.factor == 1 and len(first.of) == 1 and first.of[0][1] == 0
        known = all(isinstance(part, int) and part > 0 for part in rest)
        if not plain or not known or not isinstance(value, np.ndarray) or value.ndim:
            raise Unable("it fills a tensor of unknown size")
        assert isinstance(first, Size)
        x = first.of[0][0]
        shape, dtype = self.outer.shapes.get(x), value.dtype.name
        if (
            not shape
            or None in shape[1:]
            or 0 in shape[1:]
            or dtype not in TYPES
            or abs(float(value)) > 2**24
        ):
            raise Unable("it fills a tensor of unknown size")
        one = np.array(1, "int32")
        begin = np.zeros(len(shape), "int32")
        bounds = [begin, begin + one, begin + one]
        masks = {"begin_mask": {"i": "1"}, "end_mask": {"i": "1"}}
        masks["shrink_axis_mask"] = {"i": str((1 << len(shape)) - 2)}
        found = x if len(shape) == 1 else self._operation("StridedSlice", masks, x, *bounds)
        found = self._operation("Cast", {"DstT": {"type": _NAMES["float32"]}}, found)
        found = self._operation("ZerosLike", {}, found)
        if value:
            found = self._operation("AddV2", {}, found, value.astype("float32"))
        if dtype != "float32":
            found = self._operation("Cast", {"DstT": {"type": _NAMES[dtype]}}, found)
        if not rest:
            return found
        found = self._operation("Reshape", {}, found, np.array([-1, *(1 for _ in rest)], "int32"))
        return self._operation("Tile", {}, found, np.array([1, *rest], "int32"))

    def _operation(self, op: str, attributes: dict[str, Any], *operands: Ref | Array) -> Ref:
        return self.outer.entries.operator(self.outer.stem, op, attributes, operands)

    def _as_tensor(self, sizes: Sizes) -> Ref:
        """The operators that compute sizes; ``keras/upgrade`` accepts them as the shape of a reshape."""
        entries, stem = self.outer.entries, self.outer.stem
        if sizes.of is not None:
            return entries.operator(stem, "Shape", {}, [sizes.of])
        made: list[Ref | Array] = []
        for part in sizes.parts:
            if isinstance(part, int):
                made.append(np.array(part, "int32"))
                continue
            if part.factor != 1 or len(part.of) != 1:
                raise Unable("it computes with sizes in a way that Keras 3 has no operation for")
            (ref, axis) = part.of[0]
            whole = entries.operator(stem, "Shape", {}, [ref])
            bounds = [np.array([each], "int32") for each in (axis, axis + 1, 1)]
            made.append(
                entries.operator(stem, "StridedSlice", {"shrink_axis_mask": {"i": "1"}}, [whole, *bounds])
            )
        if sizes.scalar and isinstance(made[0], Ref):
            return made[0]
        return entries.operator(stem, "Pack", {}, made)


def _times_one(operands: Sequence[Any]) -> Ref | None:
    """The tensor of a multiplication by the scalar 1; else None."""
    for one, tensor in (operands, operands[::-1]):
        if isinstance(tensor, Ref) and isinstance(one, np.ndarray) and not one.ndim and one == 1:
            return tensor
    return None


def _itself(array: Array) -> Array:
    return array


def _weight(value: Any) -> Weight | None:
    """A variable or constant as the weight of a layer; None for other values. Raises Unable if it is not float32."""
    if isinstance(value, (np.ndarray, Weight)) and value.dtype != "float32":
        raise Unable(f"it computes with weights of type {value.dtype}")
    if isinstance(value, np.ndarray):
        return Weight(None, value.shape, value.dtype.name, partial(_itself, value))
    return value if isinstance(value, Weight) else None


def _attributes(node: NodeDef) -> Iterator[tuple[str, Any]]:
    """The attributes of an operator in the JSON form of protobuf."""
    for key, data in node.attributes.items():
        number = next(reversed(Message(data).found), 0)
        value = node.attribute(key)
        if number == 2:
            yield key, {"s": base64.b64encode(value.encode()).decode()}
        elif number == 3:
            yield key, {"i": str(value)}
        elif number in (4, 5):
            yield key, {"f" if number == 4 else "b": value}
        elif number == 6 and value in _NAMES:
            yield key, {"type": _NAMES[value]}
        elif number == 1 and isinstance(value, list) and all(type(each) is int for each in value):
            yield key, {"list": {"i": [str(each) for each in value]}}
