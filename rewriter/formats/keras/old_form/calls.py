"""Replace references to tensors in the list form of ``inbound_nodes`` and ``output_layers``.

``upgrade/tensors.py`` reads this form. Parts without a replacement are returned as the same objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..upgrade.tensors import CONSTANT, Old

Swap = Callable[[Old], Old]


class Calls:
    """Patches the calls of one model.

    Args:
        first: the number of the first call of each nested model in references (``first_calls``).
    """

    def __init__(self, first: Mapping[str, int]) -> None:
        self.first = first

    def patched(self, node: Any, swap: Swap) -> Any:
        """One item of ``inbound_nodes``, with ``swap`` applied to the tensors of the first argument, then the others.

        Every tensor of the first argument carries the keyword arguments.
        """
        first = self._structure(node, lambda item: self._leaf(item, swap))
        kwargs: dict[str, Any] = {}
        for item in _references(node):
            kwargs.update(_beside(item))
        new = {key: self._argument(value, swap) for key, value in kwargs.items()}
        result = self._structure(first, lambda item: _with(item, new))
        return node if result == node else result

    def ends(self, structure: Any, swap: Swap) -> Any:
        """``output_layers`` in either form, with ``swap`` applied to its tensors."""
        if isinstance(structure, dict):
            return {key: self.ends(item, swap) for key, item in structure.items()}
        if len(structure) == 3 and isinstance(structure[0], str):
            return self._leaf(structure, swap)
        return [self.ends(item, swap) for item in structure]

    def reference(self, tensor: Old) -> list[Any]:
        """The reference to a tensor: ``[layer, call, output]``."""
        return [tensor.layer, tensor.call + self.first.get(tensor.layer, 0), tensor.output]

    def _structure(self, node: Any, leaf: Callable[[list[Any]], Any]) -> Any:
        if isinstance(node, dict):
            return {key: self._structure(item, leaf) for key, item in node.items()}
        if node and isinstance(node[0], str):
            return leaf(node)
        return [self._structure(item, leaf) for item in node]

    def _argument(self, value: Any, swap: Swap) -> Any:
        if isinstance(value, dict):
            return {key: self._argument(item, swap) for key, item in value.items()}
        if not isinstance(value, list):
            return value
        if len(value) == 3 and isinstance(value[0], str):
            if value[0] == CONSTANT:
                return value
            if all(type(number) is int and number >= 0 for number in value[1:]):
                return self._leaf(value, swap)
        return [self._argument(item, swap) for item in value]

    def _leaf(self, item: list[Any], swap: Swap) -> list[Any]:
        if item[0] == CONSTANT:
            return item
        old = Old(item[0], item[1] - self.first.get(item[0], 0), item[2])
        new = swap(old)
        return item if new == old else [*self.reference(new), *item[3:]]


def _references(node: Any) -> Iterator[list[Any]]:
    if isinstance(node, dict):
        for item in node.values():
            yield from _references(item)
    elif node and isinstance(node[0], str):
        yield node
    else:
        for item in node:
            yield from _references(item)


def _beside(item: list[Any]) -> dict[str, Any]:
    return item[3] if len(item) > 3 and isinstance(item[3], dict) else {}


def _with(item: list[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    beside = _beside(item)
    return [*item[:3], {key: kwargs[key] for key in beside}, *item[4:]] if beside else item
