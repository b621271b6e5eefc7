"""Where tensors meet: the nodes that the passes examine, with their convention and operands."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from ..errors import UsageError, shown
from ..ir.axis import Axis, Role, Value
from ..ir.graph import BODY, Literal, Node, Path, TensorRef, leaves, path_text
from ..ir.size import Size, symbol
from ..presentation import brief
from ..rules.table import Family
from ..shapes.broadcast import Convention, merging
from ..shapes.call import Call
from ..shapes.facts import centres, summed_by
from ..shapes.inference import Inference
from .finding import Operand

_MERGED = Convention.MERGE, Family.ELEMENTWISE
_RIGHT_ALIGNED = Convention.NUMPY, Family.ELEMENTWISE
_CONTRACTION = Convention.NONE, Family.CONTRACTION
_JOINING = Convention.NONE, Family.JOINING

# The nodes that are examined: (kind of operation, class name as Keras 3.15, ONNX or TensorFlow writes it) -> how its
# operands meet, and its family.
LOOKED_AT: dict[tuple[str, str], tuple[Convention, Family]] = {
    ("layer", "Multiply"): (Convention.MERGE, Family.PRODUCT),
    ("op", "Multiply"): (Convention.NUMPY, Family.PRODUCT),
    ("layer", "Add"): _MERGED,
    ("layer", "Subtract"): _MERGED,
    ("layer", "Maximum"): _MERGED,
    ("layer", "Minimum"): _MERGED,
    ("layer", "Average"): _MERGED,
    ("op", "Add"): _RIGHT_ALIGNED,
    ("op", "Subtract"): _RIGHT_ALIGNED,
    ("op", "Maximum"): _RIGHT_ALIGNED,
    ("op", "Minimum"): _RIGHT_ALIGNED,
    ("op", "Divide"): _RIGHT_ALIGNED,
    ("op", "TrueDivide"): _RIGHT_ALIGNED,
    ("op", "DivideNoNan"): _RIGHT_ALIGNED,
    ("layer", "Dot"): _CONTRACTION,
    ("op", "Dot"): _CONTRACTION,
    ("op", "Matmul"): _CONTRACTION,
    ("op", "Einsum"): _CONTRACTION,
    ("op", "Tensordot"): _CONTRACTION,
    ("op", "Mul"): (Convention.NUMPY, Family.PRODUCT),
    ("op", "Sub"): _RIGHT_ALIGNED,
    ("op", "Div"): _RIGHT_ALIGNED,
    ("op", "MatMul"): _CONTRACTION,
    ("layer", "Concatenate"): _JOINING,
    ("op", "Concatenate"): _JOINING,
    ("op", "Concat"): _JOINING,
    ("op", "AddV2"): _RIGHT_ALIGNED,
    ("op", "DivNoNan"): _RIGHT_ALIGNED,
    ("op", "FloorDiv"): _RIGHT_ALIGNED,
    ("op", "MulNoNan"): (Convention.NUMPY, Family.PRODUCT),
    ("op", "Pow"): _RIGHT_ALIGNED,
    ("op", "RealDiv"): _RIGHT_ALIGNED,
    ("op", "SquaredDifference"): _RIGHT_ALIGNED,
    ("op", "BatchMatMul"): _CONTRACTION,
    ("op", "BatchMatMulV2"): _CONTRACTION,
    ("op", "BatchMatMulV3"): _CONTRACTION,
    ("op", "ConcatV2"): _JOINING,
}

# The values of ``--ops``: the families that are repaired.
OPS: dict[str, frozenset[Family]] = {
    "multiply": frozenset({Family.PRODUCT}),
    "all": frozenset(Family),
}
DEFAULT_OPS = "multiply"


@dataclass(frozen=True, slots=True, repr=False)
class Site:
    """A node that is examined, in one context (a nested model can be called on operands of different shapes).

    An operand's number is its position among the node's tensor arguments, including literal ones.
    """

    path: Path
    node: Node
    inference: Inference
    convention: Convention
    operands: tuple[Operand, ...]
    family: Family = Family.PRODUCT
    given: tuple[TensorRef | Literal, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = leaves((self.node.args, self.node.kwargs))
        # Computed once; a frozen class does not allow plain assignment.
        object.__setattr__(
            self, "given", tuple(leaf for leaf in found if isinstance(leaf, (TensorRef, Literal)))
        )

    @property
    def name(self) -> str:
        """The node as it is shown."""
        return path_text(self.path)

    def __repr__(self) -> str:
        return f"<Site {brief(self.name)}: {brief(self.node.operation.class_name)}>"

    @property
    def values(self) -> list[Value]:
        return [operand.value for operand in self.operands]

    @property
    def in_body(self) -> bool:
        """True if the node is in a graph that another node holds (If, Loop, Scan): nothing is inserted there."""
        return self.inference.graph.kind == BODY

    @property
    def in_code(self) -> bool:
        """True if the code of a layer or of the model computes the node: nothing is inserted there."""
        return self.node.operation.trace is not None

    @property
    def stays(self) -> bool:
        """True if nothing is inserted at the node, whatever its fault."""
        return self.in_body or self.in_code

    @property
    def line(self) -> str:
        """The place in the source (``file:line``) that computes the node, if code does; else ""."""
        trace, call = self.node.operation.trace, self.node.call
        return trace.lines[call] if trace is not None and call < len(trace.lines) else ""

    @property
    def recorded(self) -> tuple[int | None, ...] | None:
        """The result's shape as the file records it where it is used."""
        return self.inference.graph.recorded.get((self.node.name, 0))

    @property
    def recorded_names(self) -> tuple[str, ...] | None:
        """The names of the sizes of ``recorded``, "" for a size without a name; None in a file of Keras."""
        names = self.inference.graph.names
        return None if names is None else names.labels.get((self.node.name, 0), ())

    @property
    def unproven(self) -> list[tuple[Axis, Axis]]:
        """The axes of a contraction whose sizes have to be equal and may differ."""
        return self.inference.unproven.get(self.node.name, [])

    def source(self, operand: Operand) -> Node | None:
        """The node that an operand comes from."""
        return self.inference.graph.nodes.get(operand.path[-1]) if operand.path else None

    def above(self, operand: int) -> Site | None:
        """The node that an operand comes from, if it is one that is examined."""
        node = self.source(self.operands[operand])
        if node is None or family_of(node) is None or node.name not in self.inference.calls:
            return None
        return _site(self.path[:-1], self.inference, node, self.inference.calls[node.name])

    @property
    def is_centred(self) -> bool:
        """True if a tensor meets its own mean: identity then tells its axes apart, even those of one size."""
        return centres(self.node.operation, self.values)

    @property
    def summed_next(self) -> set[int]:
        """The axes, numbered as written, over which the nodes that take the result sum it directly."""
        graph = self.inference.graph.nx
        following = graph.successors(self.node.name) if self.node.name in graph else ()
        found = (summed_by(self.inference.calls[name]) for name in following)
        return {axis for axis in found if axis is not None}

    def reference(self, operand: int) -> TensorRef | None:
        """The reference to the tensor of an operand; None for a literal, and for a node outside a model."""
        leaf = self.given[operand] if operand < len(self.given) else None
        return leaf if isinstance(leaf, TensorRef) else None

    def is_stale(self, operand: int) -> bool:
        """True if an operand does not have the shape that the file records for it at this call."""
        ref = self.reference(operand)
        axes = self.operands[operand].value.axes or ()
        return ref is not None and ref.shape is not None and not agrees(ref.shape, axes)

    def meant_shape(self, operand: int) -> tuple[int | None, ...] | None:
        """The shape that the file records for an operand at this call, if the operand differs from it.

        It differs by its rank, or has its unit axes in other places; else None.
        """
        ref = self.reference(operand)
        return None if ref is None else self._otherwise(operand, ref.shape)

    def built_shape(self, operand: int) -> tuple[int | None, ...] | None:
        """Like ``meant_shape``, for the shape that the layer was built on."""
        built = self.node.operation.built if self.node.call == 0 else ()
        return self._otherwise(operand, built[operand]) if operand < len(built) else None

    def _otherwise(
        self, operand: int, stated: tuple[int | None, ...] | None
    ) -> tuple[int | None, ...] | None:
        axes = self.operands[operand].value.axes
        if stated is None or axes is None:
            return None
        sizes = [a.size if isinstance(a.size, int) else None for a in axes]
        moved = [n for n in stated if n != 1] == [n for n in sizes if n != 1]
        return stated if len(stated) != len(sizes) or (moved and list(stated) != sizes) else None


def agrees(recorded: Sequence[int | None], axes: Sequence[Axis]) -> bool:
    """True if these axes can have a recorded shape: an open size can be any number, an open batch none."""
    return len(recorded) == len(axes) and all(
        r is None or (a.role is not Role.BATCH if not isinstance(a.size, int) else r == a.size)
        for r, a in zip(recorded, axes, strict=True)
    )


def has_names(sizes: Sequence[Size], names: Sequence[str] | None) -> bool:
    """True if every open size has the name that the file records for it; Keras records none (``names`` is None)."""
    return names is None or (
        len(names) == len(sizes)
        and all(
            isinstance(size, int) or (name != "" and size == symbol(name, given=True))
            for size, name in zip(sizes, names, strict=True)
        )
    )


def family_of(node: Node) -> Family | None:
    """The family of a node; None where it has none, or its computation is unknown."""
    known = LOOKED_AT.get((node.operation.kind, node.operation.class_name))
    return known[1] if known is not None and not node.operation.opaque else None


def families(ops: str) -> frozenset[Family]:
    """The families that a value of ``--ops`` stands for. Raises UsageError for any other value."""
    if ops not in OPS:
        raise UsageError(f"--ops {shown(ops)!r}: must be {' or '.join(OPS)}")
    return OPS[ops]


def sites(inference: Inference, wanted: Collection[Family] = OPS[DEFAULT_OPS]) -> Iterator[Site]:
    """Every node of these families of a model and of the models in it, producers first."""
    for prefix, item in inference.walk():
        for name in item.graph.order:
            node = item.graph.nodes[name]
            if family_of(node) in wanted and not _is_unknown(item, name):
                yield _site(prefix, item, node, item.calls[name])


def _is_unknown(inference: Inference, name: str) -> bool:
    """True for a node whose operands are known and its computation is not, such as a class of another module."""
    return name in inference.opaque and all(v.axes is not None for v in inference.taken(name) or ())


def sites_at(inference: Inference, path: Path, wanted: Collection[Family]) -> Iterator[Site]:
    """One node in every context, if it is of these families."""
    for item in inference.at(path[:-1]):
        node = item.graph.nodes.get(path[-1])
        if node is not None and family_of(node) in wanted and not _is_unknown(item, node.name):
            yield _site(path[:-1], item, node, item.calls[node.name])


def operands_of(node: Node, call: Call, prefix: Path = ()) -> list[Operand]:
    """The tensor operands of a call, in order."""
    given = leaves((node.args, node.kwargs))
    return [
        Operand((*prefix, leaf.node) if isinstance(leaf, TensorRef) else (), value)
        for leaf, value in zip(given, leaves((call.args, call.kwargs)), strict=True)
        if isinstance(value, Value)
    ]


def _site(prefix: Path, inference: Inference, node: Node, call: Call) -> Site:
    convention, family = LOOKED_AT[node.operation.kind, node.operation.class_name]
    operands = tuple(operands_of(node, call, prefix))
    if convention is Convention.MERGE:
        convention = merging(call.built, [o.value.axes or () for o in operands])
    return Site((*prefix, node.name), node, inference, convention, operands, family)
