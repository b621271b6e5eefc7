"""Which arguments of functions are parts of ragged and sparse tensors: their sizes depend on the content, not a batch.

A ragged tensor consists of its values and its row splits (one more than its rows), a sparse tensor of its indices,
values and shape. The object graph records the types of the arguments of its functions (``struct.proto`` of TensorFlow
2.21). A call passes parts on to the called function, in both directions. Without a record, the use of an integer
argument decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from .functions import node_of
from .messages import Argument, Function, NodeDef, dtype_of
from .wire import Message, entries

_MAX_DEPTH = 64
_RAGGED, _SPARSE = 3, 1
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile"})
_BRANCHES = frozenset({"If", "StatelessIf"})  # the condition is the first operand
# The operators whose operands are all parts of a ragged or sparse tensor.
_USES = frozenset(
    [
        "RaggedBincount",
        "RaggedGather",
        "RaggedTensorToSparse",
        "RaggedTensorToTensor",
        "RaggedTensorToVariant",
        "SparseReorder",
        "SparseReshape",
        "SparseTensorDenseMatMul",
    ]
)


class _UnknownError(Exception):
    """The file does not record how many tensors an argument consists of."""


# For each argument of a function: its type, or None for a part of a ragged or sparse tensor.
Parts = list[str | None]


def stated(signature: memoryview | None, most: int) -> Parts | None:
    """The tensors of a StructuredValue in order, at most ``most``: a type, or None for a part of a composite tensor.

    None if the file does not record how many tensors it has.
    """
    if signature is None:
        return None
    try:
        return list(islice(_flat(Message(signature), 0), most))
    except _UnknownError:
        return None


def _flat(value: Message, depth: int) -> Iterator[str | None]:
    if depth > _MAX_DEPTH:
        raise _UnknownError
    children: list[memoryview] = []
    for number, key in ((51, 1), (52, 1)):
        for item in value.messages(number):
            children += Message(item).messages(key)
    for item in value.messages(53):
        fields = sorted((key, child) for key, child, _ in _named(item))
        children += [child for _, child in fields]
    for item in value.messages(54):
        for pair in Message(item).messages(2):
            children += Message(pair).messages(2)
    for child in children:
        yield from _flat(Message(child), depth + 1)
    for number in (33, 35):  # TensorSpecProto, BoundedTensorSpecProto
        for item in value.messages(number):
            yield dtype_of(Message(item).number(3))
    for item in value.messages(34):
        yield from [None] * _count(Message(item))


def _named(item: memoryview) -> Iterator[tuple[str, memoryview, object]]:
    return entries(Message(item), 1)


def _count(spec: Message) -> int:
    """The number of tensors of a TypeSpecProto. Older files do not record it for every kind."""
    count, kind = spec.number(4), spec.number(1)
    if 0 < count <= 1000:
        return count
    if kind == _SPARSE:
        return 3
    state = [Message(item) for item in Message(spec.message(2) or memoryview(b"")).messages(52)]
    values = [Message(item) for item in state[0].messages(1)] if state else []
    if kind == _RAGGED and len(values) > 2:
        rank, odd = divmod(values[2].number(12), 2)  # a sint64: zigzag encoding doubles a non-negative number
        if not odd and rank <= 1000:
            return 1 + rank
    raise _UnknownError


def parts(
    arguments: Mapping[str, Sequence[Argument]],
    nodes: Mapping[str, Mapping[str, NodeDef]],
    signatures: Mapping[str, memoryview],
    captured: Mapping[str, int],
) -> dict[str, set[int]]:
    """The positions of the arguments that are parts of ragged or sparse tensors, by function.

    Args:
        arguments, nodes: those of every function, called functions before their callers.
        signatures: the signatures of functions in the object graph.
        captured: how many of the last arguments of a function are captures, which its signature omits.
    """
    found: dict[str, set[int]] = {}
    for name, own in arguments.items():
        said = stated(signatures.get(name), len(own) + 1)
        given = own[: len(own) - captured.get(name, 0)]
        if said is not None and _fits(said, given):
            found[name] = {number for number, each in enumerate(said) if each is None}
        else:
            found[name] = _by_use(own, nodes[name])
    calls = {name: list(_calls(arguments, nodes[name])) for name in arguments}
    names = list(arguments)
    for order in (names, names[::-1]):
        for name in order:
            places = {argument.name: number for number, argument in enumerate(arguments[name])}
            for target, tensors in calls[name]:
                for number, tensor in enumerate(tensors[: len(arguments[target])]):
                    place = places.get(_origin(tensor, nodes[name]))
                    if place is not None and (number in found[target] or place in found[name]):
                        found[target].add(number)
                        found[name].add(place)
    return found


def _fits(said: Parts, given: Sequence[Argument]) -> bool:
    return len(said) == len(given) and all(
        kind is None or kind == argument.dtype for kind, argument in zip(said, given, strict=True)
    )


def _calls(
    arguments: Mapping[str, Sequence[Argument]], nodes: Mapping[str, NodeDef]
) -> Iterator[tuple[str, list[str]]]:
    """(function, tensors) for each call of a function by these nodes."""
    for node in nodes.values():
        if node.op in arguments:
            yield node.op, node.taken
        elif node.op in _CALLS or node.op in _BRANCHES:
            for key in ("f", "body", "cond", "then_branch", "else_branch"):
                target = node.attribute(key)
                if isinstance(target, Function) and target.name in arguments:
                    yield target.name, node.taken[1:] if node.op in _BRANCHES else node.taken


def _origin(tensor: str, nodes: Mapping[str, NodeDef]) -> str:
    """The node or argument that produces a tensor, found through Identity nodes."""
    name = node_of(tensor)
    for _ in range(_MAX_DEPTH):
        node = nodes.get(name)
        if node is None or node.op != "Identity" or not node.taken:
            break
        name = node_of(node.taken[0])
    return name


def _by_use(arguments: Sequence[Argument], nodes: Mapping[str, NodeDef]) -> set[int]:
    """Integer vectors whose neighbours are subtracted (row splits), or that ragged and sparse operators use.

    The values of a ragged tensor are the argument before its row splits.
    """
    found: set[int] = set()
    rows = {
        argument.name: number
        for number, argument in enumerate(arguments)
        if argument.dtype in ("int32", "int64") and argument.shape == (None,)
    }
    if not rows:
        return found
    places = {argument.name: number for number, argument in enumerate(arguments)}
    for node in nodes.values():
        origins = [_origin(tensor, nodes) for tensor in node.taken]
        if node.op in _USES and any(origin in rows for origin in origins):
            found |= {places[origin] for origin in origins if origin in places}
        elif node.op == "Sub" and len(origins) == 2:
            cut = [nodes.get(origin) for origin in origins]
            sliced = [
                _origin(each.taken[0], nodes)
                for each in cut
                if each is not None and each.op == "StridedSlice" and each.taken
            ]
            if len(sliced) == 2 and sliced[0] == sliced[1] and sliced[0] in rows:
                number = rows[sliced[0]]
                found |= {number, number - 1} if number else {number}
    return found
