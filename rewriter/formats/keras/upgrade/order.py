"""The calls of a model in topological order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .context import Entry
from .tensors import Call, Old, leaves


class Layered(NamedTuple):
    """One layer of a model with its calls."""

    name: str
    entry: Entry
    calls: list[Call]


# Reads the layers of a model, its inputs and its outputs.
Read = Callable[[Entry], tuple[list[Layered], list[Old], Any]]


def in_order(layers: list[Layered], given: Iterable[Old]) -> Iterator[tuple[Layered, int]]:
    """Each call, as a layer and the number of the call, in topological order. ``given`` are outputs of inputs.

    Calls that depend on a cycle or on a missing tensor are left out: the reader of the graph reports them.
    """
    missing: dict[tuple[str, int], int] = {}
    users: dict[tuple[str, int], list[tuple[Layered, int]]] = {}
    known = {(ref.layer, ref.call) for ref in given}
    ready = deque[tuple[Layered, int]]()
    for row in layers:
        for number, call in enumerate(row.calls):
            refs = (leaf for leaf in leaves((call.first, call.kwargs)) if isinstance(leaf, Old))
            needed = {(ref.layer, ref.call) for ref in refs} - known
            missing[row.name, number] = len(needed)
            for ref in needed:
                users.setdefault(ref, []).append((row, number))
            if not needed:
                ready.append((row, number))
    while ready:
        row, number = ready.popleft()
        yield row, number
        for user, call_number in users.get((row.name, number), ()):
            missing[user.name, call_number] -= 1
            if not missing[user.name, call_number]:
                ready.append((user, call_number))
