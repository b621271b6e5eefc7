"""Which arguments of functions are parts of ragged and sparse tensors: their sizes are of the content, not of a batch.

A ragged tensor is its values and the places where its rows start, one more than there are rows; a sparse one its
indices, values and shape. The object graph says for each of its functions what the arguments are of (``struct.proto``
of TensorFlow 2.21). Those that it calls, and those that call it, take the same parts. Where it says nothing,
an argument of whole numbers is told by its use.
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
_BRANCHES = frozenset({"If", "StatelessIf"})  # what decides comes first
# The operators that take all of a ragged or a sparse tensor.
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
    """The file does not say of how many tensors an argument is made."""


# What each argument of a function is: its type, or None for a part of a ragged or sparse tensor.
Parts = list[str | None]


def stated(signature: memoryview | None, most: int) -> Parts | None:
    """What the tensors of a StructuredValue are, in their order: types, None for parts; None where it is not said.

    Of more than ``most`` tensors the others are left out.
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
    """How many tensors a TypeSpecProto stands for. Older files do not say it."""
    count, kind = spec.number(4), spec.number(1)
    if 0 < count <= 1000:
        return count
    if kind == _SPARSE:
        return 3
    state = [Message(item) for item in Message(spec.message(2) or memoryview(b"")).messages(52)]
    values = [Message(item) for item in state[0].messages(1)] if state else []
    if kind == _RAGGED and len(values) > 2:
        rank, odd = divmod(values[2].number(12), 2)  # a sint64: twice a number that is not negative
        if not odd and rank <= 1000:
            return 1 + rank
    raise _UnknownError


def parts(
    arguments: Mapping[str, Sequence[Argument]],
    nodes: Mapping[str, Mapping[str, NodeDef]],
    signatures: Mapping[str, memoryview],
    captured: Mapping[str, int],
) -> dict[str, set[int]]:
    """The numbers of the arguments that are parts of ragged or sparse tensors, by function.

    Args:
        arguments, nodes: of every function, what is called in front of who calls it.
        signatures: what the object graph says of functions; ``captured`` how many arguments are none of theirs.
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
    """The functions that nodes call, and on which tensors."""
    for node in nodes.values():
        if node.op in arguments:
            yield node.op, node.taken
        elif node.op in _CALLS or node.op in _BRANCHES:
            for key in ("f", "body", "cond", "then_branch", "else_branch"):
                target = node.attribute(key)
                if isinstance(target, Function) and target.name in arguments:
                    yield target.name, node.taken[1:] if node.op in _BRANCHES else node.taken


def _origin(tensor: str, nodes: Mapping[str, NodeDef]) -> str:
    """The node or argument that a tensor is of, through those that only hand it on."""
    name = node_of(tensor)
    for _ in range(_MAX_DEPTH):
        node = nodes.get(name)
        if node is None or node.op != "Identity" or not node.taken:
            break
        name = node_of(node.taken[0])
    return name


def _by_use(arguments: Sequence[Argument], nodes: Mapping[str, NodeDef]) -> set[int]:
    """Arguments of whole numbers of which neighbours are subtracted, or that ragged and sparse operators take.

    The values of a ragged tensor stand in front of its rows.
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
