"""Builds a functional model from a signature of a SavedModel without a Keras description.

Keras 3 (``model.export``) and TensorFlow 2 (``tf.saved_model.save``) write for each signature a function, and a node
in the main graph that calls it on the inputs. Source: ``signature_serialization.py`` and ``save.py``
(``_generate_signatures``) of TensorFlow 2.21; unchanged since TensorFlow 2.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ....errors import UnsupportedError, shown
from ...model_file import Remark
from ..functions import node_of
from ..messages import Argument, Function, Signature, signature_of
from ..wire import Message, entries
from .entries import Entries
from .expand import SEVERAL, TYPES, Expander
from .library import Library, Unable
from .own_layers import Traced
from .products import Made, Weight
from .sizes import Ref

_PREFERRED = ("serving_default", "serve")
_OWN = "__saved_model"  # signatures that TensorFlow uses itself, to restore variables and tables
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})")
_NAME = "model"
_SAME = Made("Activation", {"activation": "linear"}, [])


class Served(NamedTuple):
    """A signature with its function.

    Attributes:
        among: the number of signatures in the file.
        inputs: its inputs by name, in order.
        outputs: the positions of the function's results by output name, in order.
    """

    name: str
    among: int
    function: str
    inputs: dict[str, Argument]
    outputs: dict[str, int]


def signature_name(meta: Message) -> tuple[str, list[str]]:
    """The name of the model's main signature, and the names of all. Raises UnsupportedError without a main one."""
    names = [key for key, _, _ in entries(meta, 5) if not key.startswith(_OWN)]
    found = next((each for each in _PREFERRED if each in names), names[0] if len(names) == 1 else None)
    if found is None:
        listed = ", ".join(shown(each) for each in sorted(names)[:5])
        wanted = " or ".join(repr(each) for each in _PREFERRED)
        raise UnsupportedError(
            f"none of its signatures ({listed}) is {wanted}" if names else "it has no signature"
        )
    return found, names


def served(meta: Message, library: Library) -> Served:
    """The model's main signature.

    Raises:
        Unable: it does not have the form of TensorFlow 2.
        UnsupportedError: as ``signature_name``.
    """
    name, names = signature_name(meta)
    signature = next(signature_of(value) for key, value, _ in entries(meta, 5) if key == name)
    calls = {node_of(tensor) for tensor, _ in signature.outputs.values()}
    node = library.node(calls.pop()) if len(calls) == 1 else None
    function = None if node is None or node.op not in _CALLS else node.attribute("f")
    if node is None or not isinstance(function, Function):
        raise Unable("it is a graph of TensorFlow 1, or has no outputs")
    arguments = library.function(function.name).arguments
    captured = library.objects.captures.get(function.name)
    if captured is None or len(arguments) != len(node.taken):
        raise Unable("the captures of its function are not in the object graph")
    own = arguments[: len(arguments) - len(captured)]
    results = len(library.function(function.name).returned)
    outputs = {key: _number(tensor) for key, (tensor, _) in signature.outputs.items()}
    if not all(number < results for number in outputs.values()):
        raise Unable("it names a result that its function does not have")
    return Served(name, len(names), function.name, _inputs(signature, own, node.taken), _in_order(outputs))


def _inputs(signature: Signature, own: list[Argument], taken: list[str]) -> dict[str, Argument]:
    """The function's arguments, by the names of the signature. Raises Unable."""
    keys: dict[str, str] = {}
    for key, (tensor, _) in signature.inputs.items():
        if keys.setdefault(node_of(tensor), key) != key:
            raise Unable("two of its inputs are the same tensor")
    found: dict[str, Argument] = {}
    for argument, tensor in zip(own, taken, strict=False):
        key = keys.pop(node_of(tensor), "")
        if key not in signature.inputs:
            raise Unable("its function has an argument that is not one of its inputs")
        found[key] = Argument(key, argument.dtype, signature.inputs[key][1])
    if keys:
        raise Unable(f"its function does not use its input {shown(next(iter(keys.values())))!r}")
    return found


def _number(tensor: str) -> int:
    number = tensor.partition(":")[2] or "0"
    if not (number.isascii() and number.isdecimal() and len(number) < 7):
        raise Unable(f"its output {shown(tensor)!r} is not the name of a tensor")
    return int(number)


def _in_order(outputs: Mapping[str, int]) -> dict[str, int]:
    """The outputs in order: by the numbers in their names if Keras numbered them, else by result position.

    TensorFlow sorts outputs by name, so it puts ``output_10`` before ``output_2``.
    """
    parts = [_NUMBERED.fullmatch(key) for key in outputs]
    stems = {part[1] for part in parts if part is not None}
    if None not in parts and len(stems) == 1:
        (stem,) = stems
        return dict(sorted(outputs.items(), key=lambda item: int(item[0][len(stem) :])))
    return dict(sorted(outputs.items(), key=lambda item: (item[1], item[0])))


def of_signature(signature: Served, library: Library, weight: Callable[[int], Weight]) -> Traced:
    """A functional model that computes a signature. Raises Unable."""
    made = Entries(set(signature.inputs), kept=frozenset(signature.outputs))
    if not signature.inputs:
        raise Unable("it has no inputs")
    for key, argument in signature.inputs.items():
        if argument.dtype not in TYPES:
            raise Unable(f"its input {shown(key)!r} has the type {shown(argument.dtype)}")
        if argument.shape is None:
            raise Unable(f"its input {shown(key)!r} has an unknown rank")
        made.given(key, argument.dtype, argument.shape)
    inputs = [Ref(key, 0, 0) for key in signature.inputs]
    results = Expander(library, made, _NAME, weight).results(
        signature.function, inputs, [argument.shape for argument in signature.inputs.values()]
    )
    outputs = _named(made, {key: results[number] for key, number in signature.outputs.items()})
    made.prune(outputs)
    config = {
        "name": _NAME, "trainable": True, "layers": made.items,
        "input_layers": [list(ref) for ref in inputs], "output_layers": [list(ref) for ref in outputs],
    }  # fmt: skip
    which = f"the signature {shown(signature.name)!r}"
    which += f", one of {signature.among}" if signature.among > 1 else ""
    remark = Remark((), which, "the operations of its function, as Keras 3 has them")
    return Traced(
        {"class_name": "Functional", "config": config}, made.made(), made.objects, set(), [remark], {}
    )


def _named(made: Entries, outputs: Mapping[str, Ref]) -> list[Ref]:
    """The outputs, made by layers with their names: Keras and ONNX name an output after its layer.

    A layer that makes only this output is renamed. In other cases a layer that changes nothing is added. An output with
    the name of an input gets another name.
    """
    found = list(outputs.values())
    entries_of = {entry["name"]: entry for entry in made.items}
    names: dict[str, str] = {}
    for key, ref in outputs.items():
        entry = entries_of[ref.layer]
        several = len(entry["inbound_nodes"]) != 1 or entry["config"].get("node_def", {}).get("op") in SEVERAL
        apart = several or found.count(ref) > 1 or entry["class_name"] == "InputLayer"
        names[made.layer(_NAME, _SAME, ref).layer if apart else ref.layer] = made.free(key, "_output")
    made.rename(names)
    return [Ref(name, 0, 0) for name in names.values()]
