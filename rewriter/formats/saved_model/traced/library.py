"""The functions of a SavedModel that Keras 2 runs for a layer, and their captures."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ....errors import BadFileError, shown
from ...keras.upgrade import upgraded
from ..functions import live, reachable
from ..keras_metadata import metadata_of
from ..messages import FunctionDef, NodeDef, Objects, Tensor, nodes_of
from ..wire import Message, entries

CALL = "__call__"
DEFAULT = "_default_save_signature"
MOST = 2**24  # numbers in one constant
_MAX_DEPTH = 64
_LAYER_CALL = re.compile(r"__inference_(.+)_layer_call_and_return_conditional_losses_[0-9]+")
_LAYERS = frozenset({"_tf_keras_layer", "_tf_keras_rnn_layer", "_tf_keras_sequential", "_tf_keras_network"})
_RANDOM = re.compile("Random|Assign")


class Unable(Exception):
    """A function has no form in Keras 3; the text is the reason."""


class Library:
    """The functions of a SavedModel message, read on use.

    Args:
        meta: its MetaGraphDef.
        objects: its object graph.
        descriptions: Keras's descriptions of the objects.
    """

    def __init__(
        self, meta: Message, objects: Objects, descriptions: Mapping[int, tuple[str, memoryview]]
    ) -> None:
        self.objects = objects
        self._descriptions = descriptions
        self._entries: dict[int, dict[str, Any] | None] = {}
        self._graph = Message(meta.message(2) or memoryview(b""))

    def said(self, number: int) -> dict[str, Any]:
        """Keras's description of an object."""
        return metadata_of(self._descriptions[number][1])

    def layer_of(self, function: str, variables: Collection[int]) -> tuple[int, dict[str, Any]] | None:
        """The Keras layer whose call is this function: (object number, entry in the old form), or None.

        The function has the layer's name, and its variables are exactly those of the layer. Source:
        ``LayerCallCollection`` and ``layer_call_wrapper`` in ``save_impl.py`` (tf_keras 2.21).
        """
        named = _LAYER_CALL.fullmatch(function)
        if named is None or not variables:
            return None
        for number in self._named.get(named[1], ()):
            if set(variables) != set(self._variables(number)) or self._trains(function):
                continue
            if (entry := self._entry(number)) is not None:
                return number, entry
        return None

    def _entry(self, number: int) -> dict[str, Any] | None:
        """A layer in its old form, or None if Keras 3 cannot express it."""
        if number not in self._entries:
            said = self.said(number)
            entry = {"class_name": said.get("class_name"), "config": said.get("config")}
            has_form = isinstance(entry["config"], dict) and not upgraded(copy.deepcopy(entry), "2").refusals
            self._entries[number] = entry if has_form else None
        return self._entries[number]

    def _trains(self, function: str) -> bool:
        """Whether a function uses random numbers or changes variables: then it is a call with training=True."""
        names = reachable(self.functions, [function])
        return any(_RANDOM.search(node.op) for name in names for node in live(self.functions[name]))

    @cached_property
    def _named(self) -> dict[str, list[int]]:
        """The object numbers of layers, by layer name."""
        found: dict[str, list[int]] = {}
        for number, (identifier, _) in self._descriptions.items():
            name = self.said(number).get("name") if identifier in _LAYERS else None
            if number and isinstance(name, str):
                found.setdefault(name, []).append(number)
        return found

    def _variables(self, number: int) -> list[int]:
        held = self._children(number)
        api = self._children(held["keras_api"]) if "keras_api" in held else {}
        lists = (held.get("trainable_variables"), api.get("non_trainable_variables"))
        return [child for each in lists if each is not None for child in self._children(each).values()]

    def _children(self, number: int) -> dict[str, int]:
        if number >= len(self.objects.children):
            raise BadFileError(f"the SavedModel names an object {number}, which does not exist")
        return dict(self.objects.children[number])

    @cached_property
    def functions(self) -> dict[str, FunctionDef]:
        """All functions by name. Raises BadFileError."""
        library = self._graph.message(2)
        found: dict[str, FunctionDef] = {}
        if library is not None:
            message = Message(library)
            for item, place in zip(message.messages(1), message.all(1), strict=True):
                function = FunctionDef(item, place)
                found[function.name] = function
        return found

    @cached_property
    def _top(self) -> dict[str, NodeDef]:
        return {node.name: node for node in nodes_of(self._graph, 1)}

    def node(self, name: str) -> NodeDef | None:
        """A node of the main graph."""
        return self._top.get(name)

    def function(self, name: str) -> FunctionDef:
        if name not in self.functions:
            raise BadFileError(f"the SavedModel has no function {shown(name)!r}")
        return self.functions[name]

    def constant(self, number: int) -> np.ndarray[Any, Any]:
        """The value of a constant in the object graph. Raises Unable if it is not a constant of numbers."""
        node = self._top.get(self.objects.constants.get(number, ""))
        if node is None:
            raise Unable("it takes something that is neither a variable nor a constant")
        return numbers(node)

    def masked(self) -> set[str]:
        """The names of layers that are called with a mask: Keras 2 saves a function with a mask argument for them."""
        return {
            name
            for name, numbers in self._named.items()
            for number in numbers
            for function in self.of(number, CALL)
            if any(
                each.name.startswith("mask") and each.dtype == "bool"
                for each in self.function(function).arguments
            )
        }

    def calls(self, number: int, trains: bool) -> list[str]:
        """The functions that an object runs in inference.

        Args:
            trains: whether its call has the argument ``training``.
        """
        names = self.of(number, CALL)
        return [name for name in names if not trains or self._says_training(name) is False]

    def of(self, number: int, name: str) -> list[str]:
        """The functions of an object's child with a name; [] without one."""
        return self.objects.functions.get(self._children(number).get(name, -1), [])

    def _says_training(self, name: str) -> bool | None:
        """The value of ``training`` in a function's call; None if the file does not show it clearly."""
        signature = self.objects.signatures.get(name)
        found = [] if signature is None else list(_truths(Message(signature), 0))
        return found[0] if len(set(found)) == 1 else None


def numbers(node: NodeDef) -> np.ndarray[Any, Any]:
    """The value of a Const node. Raises Unable for other nodes, other types, too many or non-finite numbers."""
    value = node.attributes.get("value")
    tensor = None if node.op != "Const" or value is None else Message(value).message(8)
    if tensor is None:
        raise Unable("it takes something that is neither a variable nor a constant")
    held = Tensor(tensor)
    if held.dtype not in ("float32", "float64", "int32", "int64", "bool"):
        raise Unable(f"one of its constants has the type {held.dtype}")
    if math.prod(held.shape) > MOST:
        raise Unable("one of its constants has too many numbers")
    array = held.array()
    if not np.isfinite(array).all():
        raise Unable("one of its constants is not finite")
    return array


def changes(function: FunctionDef) -> str:
    """The first operator with which a function changes a variable or resource; "" if there is none."""
    return next(
        (n.op for n in live(function) if "Assign" in n.op or "Scatter" in n.op and "Resource" in n.op), ""
    )


def _truths(value: Message, depth: int) -> Iterator[bool]:
    """The booleans in a StructuredValue (``struct.proto``)."""
    if depth > _MAX_DEPTH:
        raise BadFileError("the signature of a function is nested too deep")
    if value.all(14):
        yield bool(value.number(14))
    for number in (51, 52):
        for item in value.messages(number):
            for child in Message(item).messages(1):
                yield from _truths(Message(child), depth + 1)
    for item in value.messages(53):
        for _, child, _ in entries(Message(item), 1):
            yield from _truths(Message(child), depth + 1)
