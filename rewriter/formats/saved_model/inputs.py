"""The axes of the inputs of a file's functions, as far as they are known, and which axis is the batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ...ir.axis import Role, Value
from ...ir.graph import CALLED, Graph, Node, Operation, TensorRef
from ...ir.size import Size, may_be_any, symbol
from ...shapes.infer import infer
from ...shapes.inference import Inference

_PASSES = 3  # levels of nested loops that are followed
_WORD = re.compile(r"[A-Za-z_]\w*")
_BATCH = symbol("B")
# The sizes of an input (None: unknown), the names of unknown ones, and the batch axis.
Form = tuple[tuple[int | None, ...], tuple[str | None, ...], int | None]


def find_batches(graph: Graph, by_keras: bool) -> None:
    """Set the batch axis of each input.

    - In a file that Keras wrote, it is axis 0 of every input where its size is unknown.
    - In other files, it is axis 0 if only its size is unknown, or if an operator uses it as the batch (Conv2D …).
    - If one input of a function has a batch, axis 0 of the function's other inputs is the batch if its size is unknown.
    - A part of a ragged or sparse tensor has no batch.
    """
    opened = [node for node in graph.nodes.values() if node.operation.kind == "input" and _is_open(node)]
    chosen = {node.name for node in opened if by_keras or _alone(node)}
    if len(chosen) < len(opened):
        values = infer(graph).values
        chosen |= {n.name for n in opened if (values[n.name][0].axes or ())[0].role is Role.BATCH}
    having = {node.operation.config["function"] for node in opened if node.name in chosen}
    for node in opened:
        config = node.operation.config
        if node.name in chosen or config["function"] in having:
            config["batch"] = 0
            config["labels"] = [None, *config["labels"][1:]]


def _is_open(node: Node) -> bool:
    shape = node.operation.config["batch_shape"]
    return bool(shape) and shape[0] is None and not node.operation.config["part"]


def _alone(node: Node) -> bool:
    shape = node.operation.config["batch_shape"]
    return len(shape) > 1 and None not in shape[1:]


def follow_calls(graph: Graph, only_called: Mapping[str, Sequence[str]], deep: bool) -> None:
    """Set the input axes of functions that only other functions call, from the operands of these calls.

    Args:
        only_called: the input nodes of the model for the arguments of such functions, by function.
        deep: whether such functions call one another.
    """
    for _ in range(_PASSES if deep else 1) if only_called else ():
        changed = False
        for function, forms in _forms(infer(graph), only_called).items():
            for name, form in zip(only_called[function], forms, strict=False):
                node = graph.nodes.get(name)
                if node is not None and form is not None and _declare(node, function, form):
                    changed = True
        if not changed:
            return


def _forms(inference: Inference, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[Form | None]]:
    """The form of each argument, by function; None if its calls disagree."""
    found: dict[str, list[Form | None]] = {}
    for _, item in inference.walk():
        for name, node in item.graph.nodes.items():
            for operation, values in _calls(item, name, node):
                if operation.name not in wanted:
                    continue
                forms = [_form(value) for value in values]
                known = found.setdefault(operation.name, forms)
                if known is not forms:
                    found[operation.name] = [
                        a if a == b else None for a, b in zip(known, forms, strict=False)
                    ]
    return found


def _calls(item: Inference, name: str, node: Node) -> Iterator[tuple[Operation, Sequence[Value]]]:
    """(function, operands) for each call by a node; for a loop, the operands are its final state."""
    for child in node.operation.children.values():
        if isinstance(child, Operation) and child.kind == CALLED:
            given = item.calls[name].inputs
            if node.operation.class_name in ("While", "StatelessWhile"):
                yield child, item.values[name]
            elif node.operation.class_name in ("If", "StatelessIf"):
                yield child, given[1:]
            else:
                yield child, given


def _form(value: Value) -> Form | None:
    if value.axes is None or value.dtype == "resource":
        return None
    sizes = [axis.size for axis in value.axes]
    batch = next((i for i, axis in enumerate(value.axes) if axis.role is Role.BATCH), None)
    if batch is None:
        batch = next((i for i, size in enumerate(sizes) if size == _BATCH), None)
    labels = [None if place == batch else _label(size) for place, size in enumerate(sizes)]
    return tuple(size if isinstance(size, int) else None for size in sizes), tuple(labels), batch


def _label(size: Size) -> str:
    if isinstance(size, int) or may_be_any(size):
        return ""
    text = str(size)
    return text if _WORD.fullmatch(text) else repr(text)


def _declare(node: Node, function: str, form: Form) -> bool:
    """Set the axes of an input; False if it already has them, or the file records more."""
    sizes, labels, batch = form
    old = node.operation
    dtype = old.config.get("dtype", "variant" if old.class_name == "EmptyTensorList" else None)
    if dtype is None:
        return False
    config = {
        "batch_shape": list(sizes),
        "labels": list(labels),
        "batch": batch,
        "dtype": dtype,
        "given": any(size is None and label == "" for size, label in zip(sizes, labels, strict=True)),
        "function": function,
        "part": False,
    }
    if old.config == config or _says_more(old, sizes):
        return False
    node.operation.kind, node.operation.class_name, node.operation.config = "input", "Input", config
    return True


def _says_more(old: Operation, sizes: Sequence[int | None]) -> bool:
    """True if the file records a size or a rank that the call does not show."""
    stated = old.config.get("batch_shape")
    if not isinstance(stated, list):
        return False
    return len(stated) != len(sizes) or any(
        a is not None and a != b for a, b in zip(stated, sizes, strict=True)
    )


def arguments(graph: Graph, function: str) -> list[str]:
    """The input nodes of a function's call in the model, "" for a variable."""
    return [leaf.node if isinstance(leaf, TensorRef) else "" for leaf in graph.nodes[function].args]
