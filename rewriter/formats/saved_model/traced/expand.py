"""A function of TensorFlow as entries of a model of Keras 2: operators, and layers where there are weights."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ....errors import shown
from ...keras.upgrade.functions.node_defs import DTYPES, OPERATORS
from ..functions import node_of
from ..messages import Function, FunctionDef, NodeDef, Shape
from ..wire import Message
from .composites import Composite, composite
from .folding import Array, folded
from .library import Library, Unable, changes, numbers
from .products import PRODUCTS, WITH_BIAS, Made, Weight, pooled

_MAX_DEPTH = 64
_MAX_INLINE = 2**18  # numbers of a constant that goes into the configuration
_MAX_INLINED = 2**20  # of all of them
_MAX_HELD = 2**26  # numbers of constants that are computed with
_MAX_NODES = 100_000
_MAX_STEPS = 1_000_000
_DTYPES = ("float32", "int32", "int64", "bool")
_NAMES = {name: number for number, name in DTYPES.items()}
_PASS = frozenset({"Identity", "IdentityN", "PreventGradient", "Snapshot", "ReadVariableOp"})
_BATCHED = frozenset({"BatchMatMul", "BatchMatMulV2"})
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


class Ref(NamedTuple):
    """A tensor of the model."""

    layer: str
    call: int
    output: int


@dataclass
class Pending:
    """A product with weights, made a layer when it is seen whether a bias is added."""

    made: Made
    first: Ref
    ref: Ref | None = None


@dataclass(frozen=True)
class Sizes:
    """The shape of a tensor."""

    of: Ref


Value = Ref | Pending | Sizes | Weight | Array


@dataclass
class Entries:
    """Entries of a model, and the weights of those that have some.

    Attributes:
        taken: names that no entry gets.
        objects: the objects of layers of the file among them, by name.
    """

    taken: set[str]
    items: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, list[Weight]] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    _shared: dict[str, dict[str, Any]] = field(default_factory=dict)
    _own: dict[int, dict[str, Any]] = field(default_factory=dict)
    _count: int = 0
    _inlined: int = 0

    def operator(
        self, stem: str, op: str, attributes: dict[str, Any], operands: Sequence[Ref | Array]
    ) -> Ref:
        constants: dict[str, Any] = {}
        tensors: list[Ref] = []
        for number, operand in enumerate(operands):
            if isinstance(operand, Ref):
                tensors.append(operand)
            elif operand.dtype == np.float64:
                raise Unable(f"it computes {op} with a constant of type float64")
            elif operand.size > _MAX_INLINE:
                raise Unable(f"it computes {op} with a constant of {operand.size:,} numbers")
            else:
                self._inlined += operand.size
                constants[str(number)] = operand.tolist()
        if self._inlined > _MAX_INLINED:
            raise Unable(f"it computes with more than {_MAX_INLINED:,} constant numbers")
        name = self.fresh(stem, op)
        node = {"name": name, "op": op, "attr": attributes}
        config = {
            "name": name,
            "trainable": True,
            "dtype": "float32",
            "node_def": node,
            "constants": constants,
        }
        self._add("TensorFlowOpLayer", config, tensors)
        return Ref(name, 0, 0)

    def layer(self, stem: str, made: Made, first: Ref) -> Ref:
        """A layer; the one that is there already, called again, where it has the same weights."""
        own = [weight.number for weight in made.weights]
        key = json.dumps([made.class_name, made.config, own])
        known = self._shared.get(key) if own and None not in own else None
        if known is not None:
            known["inbound_nodes"].append([[*first, {}]])
            return Ref(known["name"], len(known["inbound_nodes"]) - 1, 0)
        name = self.fresh(stem, made.class_name)
        self._add(
            made.class_name, {"name": name, "trainable": True, "dtype": "float32", **made.config}, [first]
        )
        if made.weights:
            self.weights[name] = made.weights
            self._shared[key] = self.items[-1]
        return Ref(name, 0, 0)

    def made(self) -> dict[str, list[Weight]]:
        """The weights of every entry that is no layer of the file."""
        names = (item["name"] for item in self.items)
        return {name: self.weights.get(name, []) for name in names if name not in self.objects}

    def own(self, number: int, entry: dict[str, Any], name: str, first: Ref) -> Ref:
        """A layer of the file; called again where it is there already."""
        known = self._own.get(number)
        if known is not None:
            known["inbound_nodes"].append([[*first, {}]])
            return Ref(known["name"], len(known["inbound_nodes"]) - 1, 0)
        if name in self.taken:
            name = self.fresh(name, str(entry["class_name"]))
        self.taken.add(name)
        self._add(str(entry["class_name"]), {**entry["config"], "name": name}, [first])
        self._own[number] = self.items[-1]
        self.objects[name] = number
        return Ref(name, 0, 0)

    def fresh(self, stem: str, what: str) -> str:
        while True:
            self._count += 1
            name = f"{stem}_{what.lower()}_{self._count}"
            if name not in self.taken:
                self.taken.add(name)
                return name

    def _add(self, class_name: str, config: dict[str, Any], tensors: Sequence[Ref]) -> None:
        if len(self.items) > _MAX_NODES:
            raise Unable(f"its function has more than {_MAX_NODES:,} nodes")
        self.items.append({
            "class_name": class_name, "config": config, "name": config["name"],
            "inbound_nodes": [[[*tensor, {}] for tensor in tensors]],
        })  # fmt: skip


class Expander:
    """Functions as entries.

    Args:
        stem: what the names of the entries begin with.
        weight: a variable by the number of its object.
    """

    def __init__(
        self, library: Library, entries: Entries, stem: str, weight: Callable[[int], Weight]
    ) -> None:
        self.library, self.entries, self.stem, self._weight = library, entries, stem, weight
        self.shapes: dict[Ref, Shape | None] = {}
        self._steps = self._held = 0

    def results(self, name: str, inputs: Sequence[Value]) -> list[Ref]:
        """What a function gives. Raises Unable.

        Args:
            inputs: its arguments, without those that it captures.
        """
        function = self.library.function(name)
        captures = self.library.objects.captures.get(name, [])
        if len(inputs) + len(captures) != len(function.arguments):
            raise Unable(f"its function takes {len(function.arguments) - len(captures)} tensors")
        for value, argument in zip(inputs, function.arguments, strict=False):
            if isinstance(value, Ref):
                self.shapes[value] = argument.shape
        found = self._run(function, [*inputs, *(self._captured(number) for number in captures)], 0)
        results = [self.settled(value) for value in found]
        for value in results:
            if not isinstance(value, Ref):
                raise Unable("it gives a constant or a shape")
        return results  # type: ignore[return-value]

    def _captured(self, number: int) -> Value:
        return (
            self._weight(number)
            if number in self.library.objects.variables
            else self.library.constant(number)
        )

    def step(self) -> None:
        """Count a node. Raises Unable after too many: functions may call one another again and again."""
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
        """The value, a product that waits for its bias as a layer without."""
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
                raise Unable(f"its function takes {shown(name)!r}, which is not there")
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
                # The operands come from a file: one can be missing, or of a kind that the operator does not take.
                raise Unable(f"its function has a {shown(node.op)} that is not one") from None
        return [self._value(tensor) for tensor in self.returned]

    def _value(self, tensor: str) -> Value:
        name, _, rest = tensor.partition(":")
        output, _, number = rest.partition(":")
        node = self.nodes.get(name)
        if node is not None and node.op == "FusedBatchNormV3" and output != "y":
            raise Unable("it uses the averages of a normalization")
        found = self.values[name]
        place = int(number) if number.isdecimal() else 0
        if place < len(found):
            return found[place]
        if node is not None and node.op in ("Split", "Unpack") and isinstance(found[0], Ref):
            return found[0]._replace(output=place)
        raise Unable(f"its function takes {shown(tensor)!r}, which is not there")

    def _node(self, node: NodeDef) -> list[Value]:
        if node.op == "Const":
            return [self.outer.held(numbers(node))]
        operands = [self._value(tensor) for tensor in node.taken]
        if node.op in _PASS:
            return operands
        if node.op in _CALLS:
            called = node.attribute("f")
            if not isinstance(called, Function):
                raise Unable("a call of no function")
            if (layer := self._layer(called.name, operands)) is not None:
                return [layer]
            return self.outer._run(self.outer.library.function(called.name), operands, self.depth + 1)
        if biased := self._biased(node, operands):
            return [biased]
        settled = [self.outer.settled(operand) for operand in operands]
        if node.op == "Shape" and isinstance(settled[0], Ref):
            return [Sizes(settled[0])]
        if node.op in PRODUCTS and (product := self._product(node, settled)) is not None:
            return [product]
        return [self._operator(node, settled)]

    def _layer(self, name: str, operands: list[Value]) -> Ref | None:
        """The call of a layer of Keras that the file describes, on one tensor."""
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
        """A product with the bias that is added to it, and to nothing else."""
        if node.op not in ("BiasAdd", "AddV2") or node.attribute("data_format") not in (None, "NHWC"):
            return None
        product, bias = operands
        if not isinstance(product, Pending) or not isinstance(bias, Weight) or len(bias.shape) != 1:
            return None
        made = product.made
        outputs = made.config.get("units", made.config.get("filters", made.weights[0].shape[-1]))
        direct = node_of(node.taken[0]) in self.nodes and self.uses[node.taken[0]] == 1
        if (
            not direct
            or product.ref is not None
            or made.class_name not in WITH_BIAS
            or bias.shape != (outputs,)
        ):
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
        return Pending(make(node, weights), operands[first])

    def _composite(self, plan: Composite) -> Value:
        x, *operands = [self.outer.settled(self._value(tensor)) for tensor in plan.takes]
        weights = [weight for each in operands if (weight := _weight(each)) is not None]
        if not isinstance(x, Ref) or len(weights) < len(operands):
            raise Unable("it multiplies with what is no weight")
        if plan.scales is not None and not any(self._has_one_axis(tensor) for tensor in plan.scales):
            raise Unable("it normalizes, and does not say along which axes")
        return Pending(plan.made(weights), x)

    def _has_one_axis(self, tensor: str) -> bool:
        """Whether a tensor is a variable with one axis, as it is."""
        node = self.nodes.get(node_of(tensor))
        source = node.taken[0] if node is not None and node.op == "ReadVariableOp" and node.taken else ""
        found = self.values.get(source, [None])[0]
        return isinstance(found, Weight) and len(found.shape) == 1

    def _operator(self, node: NodeDef, operands: list[Any]) -> Value:
        entries, stem = self.outer.entries, self.outer.stem
        operands = [operand.load() if isinstance(operand, Weight) else operand for operand in operands]
        if operands and all(isinstance(operand, np.ndarray) for operand in operands):
            return self.outer.held(folded(node, operands))
        if node.op == "StridedSlice" and isinstance(operands[0], Sizes):
            size = self._size(node, operands)
            if size is not None:
                return size
        if node.op == "Reshape" and isinstance(operands[1], Sizes):
            operands[1] = self._sizes(operands[1])
        operands = [
            entries.operator(stem, "Shape", {}, [operand.of]) if isinstance(operand, Sizes) else operand
            for operand in operands
        ]
        pool = pooled(node)
        if pool is not None:
            return entries.layer(stem, pool, operands[0])
        if node.op == "Cast" and node.attribute("DstT") not in _DTYPES:
            raise Unable(f"it computes with {node.attribute('DstT')}")
        if node.op not in OPERATORS:
            raise Unable(f"it computes {shown(node.op)}, for which there is no operation of Keras 3")
        attributes = dict(_attributes(node))
        return entries.operator(stem, node.op, attributes, operands)

    def _size(self, node: NodeDef, operands: list[Any]) -> Array | None:
        """``tf.shape(x)[k]`` where the file records the size."""
        shape = self.outer.shapes.get(operands[0].of)
        if shape is None or not all(isinstance(each, np.ndarray) for each in operands[1:]):
            return None
        known = np.array([-1 if size is None else size for size in shape], "int32")
        found = folded(node, [known, *operands[1:]])
        return None if (found < 0).any() else found

    def _sizes(self, sizes: Sizes) -> Ref:
        """A shape whose first size alone is open, as the list that a reshape takes."""
        shape = self.outer.shapes.get(sizes.of)
        if shape is None or None in shape[1:]:
            raise Unable("it takes the shape of a tensor, for which there is no operation of Keras 3")
        entries, stem = self.outer.entries, self.outer.stem
        whole = entries.operator(stem, "Shape", {}, [sizes.of])
        bounds = [np.array([each], "int32") for each in (0, 1, 1)]
        batch = entries.operator(stem, "StridedSlice", {"shrink_axis_mask": {"i": "1"}}, [whole, *bounds])
        rest = [np.array(size, "int32") for size in shape[1:]]
        return entries.operator(stem, "Pack", {}, [batch, *rest])


def _weight(value: Any) -> Weight | None:
    """A variable or constant as the weight of a layer. Raises Unable where it is not of float32."""
    if isinstance(value, (np.ndarray, Weight)) and value.dtype != "float32":
        raise Unable(f"it computes with weights of type {value.dtype}")
    if isinstance(value, np.ndarray):
        return Weight(None, value.shape, value.dtype.name, lambda: value)
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
