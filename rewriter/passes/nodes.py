"""Checks a node's name that a user gives, and words the error."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError, did_you_mean, shown
from ..ir.graph import path_text
from .analysis import Analysis
from .sites import DEFAULT_OPS

_MOST = 12


def check_node(node: str, analysis: Analysis) -> None:
    """Raises UsageError for a node that the model does not have, or where no tensors meet and nothing is wrong."""
    names = [s.name for s in analysis.sites]
    if node in names or any(finding.node == node for finding in analysis.findings):
        return
    if any(
        path_text((*prefix, name)) == node
        for prefix, item in analysis.inference.walk()
        for name in item.graph.nodes
    ):
        raise UsageError(
            f"node {shown(node)!r} is not a {noun(analysis)}, and has no fault; {_known(analysis)}"
        )
    raise UsageError(f"there is no node {shown(node)!r}{did_you_mean(node, names)}; {_known(analysis)}")


def _known(analysis: Analysis) -> str:
    names = list(dict.fromkeys(s.name for s in analysis.sites))
    if not names:
        return f"the model has no {nouns(analysis)}"
    return f"the model's {nouns(analysis)} are {some(names)}"


def noun(analysis: Analysis) -> str:
    """The word for a node that ``ops`` may change."""
    return "multiply" if analysis.ops == DEFAULT_OPS else "node where tensors meet"


def nouns(analysis: Analysis) -> str:
    return "multiplies" if analysis.ops == DEFAULT_OPS else "nodes where tensors meet"


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(map(shown, names[:_MOST])) + more
