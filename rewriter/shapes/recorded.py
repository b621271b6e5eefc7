"""An operand that lost a Reshape, found by the shape recorded at the call or in the layer's ``build_config``.

Both go stale when somebody edits a file. They are used only where a node cannot run: if the recorded shape has the same
elements in the same order and the node runs on it, it was the operand's shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..ir.axis import Axis, Role, Value
from ..ir.graph import Literal, Node, TensorRef, leaves
from ..ir.size import Size, Truth, product, same
from .call import Call
from .reshape import factorise

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Restated:
    """An operand (its number among the tensor arguments) with its inferred axes (``given``) and those in the file.

    ``recorded`` and ``built`` are the shapes that state them: at the call, and in the layer's ``build_config``.
    """

    operand: int
    given: tuple[Axis, ...]
    axes: tuple[Axis, ...]
    recorded: Shape | None
    built: Shape | None

    @property
    def only_units(self) -> bool:
        """True if only unit axes are inserted or dropped."""
        return _long(a.size for a in self.given) == _long(a.size for a in self.axes)


def restated(node: Node, call: Call) -> list[Restated]:
    """The operands for which the file states another shape of the same elements.

    None for a node with several tensor operands: their axes are better evidence than a recorded shape.
    """
    given = [leaf for leaf in leaves((node.args, node.kwargs)) if isinstance(leaf, (TensorRef, Literal))]
    values = [leaf for leaf in leaves((call.args, call.kwargs)) if isinstance(leaf, Value)]
    if node.operation.kind != "model" and len({id(v) for v in values}) != 1:
        return []
    built = node.operation.built if node.call == 0 else ()
    found = []
    for number, (leaf, value) in enumerate(zip(given, values, strict=False)):
        if not isinstance(leaf, TensorRef) or value.axes is None:
            continue
        statements = (leaf.shape, built[number] if number < len(built) else None)
        shapes = [None if s is None else _sizes(value.axes, s) for s in statements]
        wanted = next((s for s in shapes if s is not None), None)
        if wanted is not None:
            agreeing = [s if sizes == wanted else None for s, sizes in zip(statements, shapes, strict=True)]
            found.append(Restated(number, value.axes, factorise(value.axes, wanted), *agreeing))
    return found


def _sizes(axes: tuple[Axis, ...], shape: Shape) -> list[Size] | None:
    """A stated shape with the operand's symbols filled in; None where it is not another shape of the same elements."""
    symbolic = [a.size for a in axes if not isinstance(a.size, int)]
    if len(symbolic) != sum(s is None for s in shape) or not shape or not axes:
        return None
    rest = iter(symbolic)
    sizes = [next(rest) if s is None else s for s in shape]
    own = [a.size for a in axes]
    if sizes == own or (axes[0].role is Role.BATCH and sizes[0] != axes[0].size):
        return None
    if same(product(sizes), product(own)) is not Truth.YES:
        return None
    before, after = _long(own), _long(sizes)
    moved = before != after and sorted(map(str, before)) == sorted(map(str, after))
    return None if moved else sizes


def _long(sizes: Sequence[Size] | Iterator[Size]) -> list[Size]:
    return [size for size in sizes if size != 1]
