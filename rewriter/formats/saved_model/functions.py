"""The functions of a SavedModel that can be called, in the order of their calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...errors import BadFileError, UnsupportedError, shown
from .messages import Function, FunctionDef, NodeDef, value_of

_MAX_DEPTH = 64


def called(nodes: Iterable[NodeDef]) -> list[str]:
    """The functions that nodes name in their attributes, and the nodes' operators (possible functions); each once."""
    found: dict[str, None] = {}
    for node in nodes:
        for value in node.attributes.values():
            # An attribute that holds functions starts with the tag of field 10, or is a list (field 1).
            if not len(value) or value[0] not in (0x52, 0x0A):
                continue
            decoded = value_of(value)
            for item in decoded if isinstance(decoded, list) else (decoded,):
                if isinstance(item, Function):
                    found[item.name] = None
        found[node.op] = None
    return list(found)


def reachable(functions: Mapping[str, FunctionDef], roots: Iterable[str]) -> list[str]:
    """The roots and all functions that they can call, called functions before their callers.

    Raises:
        BadFileError: a function calls itself, directly or through others.
        UnsupportedError: calls nested more than 64 deep.
    """
    order: list[str] = []
    done: set[str] = set()
    for root in roots:
        if root in done or root not in functions:
            continue
        path = [root]
        waiting = [_next(functions, root)]
        while path:
            following = next((name for name in waiting[-1] if name not in done), None)
            if following is None:
                done.add(path[-1])
                order.append(path.pop())
                waiting.pop()
                continue
            if following in path:
                cycle = " -> ".join(shown(name) for name in [*path[path.index(following) :][:4], following])
                raise BadFileError(f"a function calls itself: {cycle}")
            path.append(following)
            waiting.append(_next(functions, following))
            if len(path) > _MAX_DEPTH:
                raise UnsupportedError(f"functions call one another more than {_MAX_DEPTH} deep")
    return order


def _next(functions: Mapping[str, FunctionDef], name: str) -> list[str]:
    return [each for each in called(live(functions[name])) if each in functions]


def calling(nodes: Mapping[str, Iterable[NodeDef]], changed: Iterable[str]) -> set[str]:
    """The changed functions and those that call one of them, directly or through others.

    Args:
        nodes: the nodes of every function, called functions before their callers.
    """
    found = set(changed)
    for name, own in nodes.items():
        if found & set(called(own)):
            found.add(name)
    return found


def live(function: FunctionDef) -> list[NodeDef]:
    """The nodes that a call of a function runs: the ancestors of its results and of its control outputs."""
    nodes = {node.name: node for node in function.nodes}
    return ancestors(nodes, [*function.returned, *function.waits])


def ancestors(nodes: Mapping[str, NodeDef], tensors: Iterable[str]) -> list[NodeDef]:
    """The nodes that tensors depend on, through data and control inputs; in file order."""
    waiting = [node_of(name) for name in tensors]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in nodes:
            continue
        found.add(name)
        waiting += [node_of(each) for each in nodes[name].inputs]
    return [node for name, node in nodes.items() if name in found]


def node_of(tensor: str) -> str:
    """The node of a tensor: ``conv:output:0``, ``conv:0``, ``conv`` and ``^conv`` are all of ``conv``."""
    return tensor.removeprefix("^").partition(":")[0]
