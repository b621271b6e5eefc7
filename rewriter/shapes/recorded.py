"""An operand that lost a Reshape: what the file records of it at the very call, or the layer was built on.

Both go stale when somebody edits a file. Here they are asked only where a node cannot run: if the operand has the same
elements in the same order in the shape that is stated, and the node runs on that, then that is what it was.
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
    """An operand (its number among the tensor arguments), its axes as they are, and as the file states them.

    ``recorded`` and ``built`` are the statements that say so: at the call, and in the layer's ``build_config``.
    """

    operand: int
    given: tuple[Axis, ...]
    axes: tuple[Axis, ...]
    recorded: Shape | None
    built: Shape | None

    @property
    def only_units(self) -> bool:
        """True where nothing but unit axes comes or goes."""
        return _long(a.size for a in self.given) == _long(a.size for a in self.axes)


def restated(node: Node, call: Call) -> list[Restated]:
    """The operands that the file states in another shape of the same elements.

    Of a node on which several tensors meet nothing is said: their axes tell more than a stale shape.
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
    """A stated shape in the sizes of an operand; None where that is no other shape of the same elements in order."""
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
