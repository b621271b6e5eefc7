"""Arguments that older versions of Keras 3 pass in an operation's call, and newer ones in its configuration.

Seen in the sources of Keras 3.0.5 to 3.15.1: until 3.10 the arguments below belong to the call. Rules and translators
handle only the newer form; the file keeps its own form.
"""

from __future__ import annotations

from ...ir.graph import Graph, Literal, Node, TensorRef, leaves

# By class: the position in the call, and the name.
MOVED: dict[str, tuple[tuple[int, str], ...]] = {
    "Arange": ((3, "dtype"),),
    "Array": ((1, "dtype"),),
    "DotProductAttention": ((6, "flash_attention"), (7, "attn_logits_soft_cap")),
    "Full": ((0, "shape"), (2, "dtype")),
    "FullLike": ((2, "dtype"),),
    "Isclose": ((4, "equal_nan"),),
    "OnesLike": ((1, "dtype"),),
    "Scatter": ((2, "shape"),),
    "SearchSorted": ((2, "side"),),
    "Slice": ((2, "shape"),),
    "ZerosLike": ((1, "dtype"),),
}
# By class: renamed arguments of the configuration.
RENAMED = {"Threshold": {"threshold_value": "threshold", "value": "default_value"}}


def to_newer(graph: Graph) -> None:
    """Change the operations of a graph to the configuration that the newest Keras would write."""
    for node in graph.nodes.values():
        operation = node.operation
        if operation.kind != "op":
            continue
        if graph.calls[operation.name] == 1:
            for position, name in reversed(MOVED.get(operation.class_name, ())):
                if name not in operation.config:
                    _move(node, position, name)
        renamed = RENAMED.get(operation.class_name, {})
        if renamed.keys() & operation.config.keys():
            operation.config = {renamed.get(key, key): value for key, value in operation.config.items()}


def _move(node: Node, position: int, name: str) -> None:
    """Move one argument of a call into the configuration, unless it holds a tensor."""
    given = node.kwargs.get(name)
    if name not in node.kwargs:
        if position >= len(node.args):
            return
        given = node.args[position]
    if any(isinstance(leaf, (TensorRef, Literal)) for leaf in leaves(given)):
        return
    if name in node.kwargs:
        node.kwargs = {key: value for key, value in node.kwargs.items() if key != name}
    else:
        node.args = (*node.args[:position], *node.args[position + 1 :])
    if given is not None:
        node.operation.config = {**node.operation.config, name: given}
