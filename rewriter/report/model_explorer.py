"""Findings as node data for Google's Model Explorer, which colours the nodes of its graph with them.

A file of node data has a value and two colours for each node, by its name in the model's file. A file without graph
names is for the graph in view. Source: ``node_data_builder.py`` of ai-edge-model-explorer 0.1.34.
"""

from __future__ import annotations

import json
from typing import Any

from ..errors import shown
from ..ir.graph import path_text
from ..results import Report, Result
from .palette import COLOURS
from .table import Reporter

_LIGHT = 0


def data(item: Report) -> dict[str, Any]:
    """The node data of one model: the code and kind of each finding, the rule of each inserted node."""
    results: dict[str, dict[str, str]] = {}
    inserted = item.inserted if isinstance(item, Result) and item.output is not None else []
    for each in inserted:
        results[path_text(each.path)] = _entry(f"inserted: {each.rule}", "inserted")
    for finding in item.findings:
        text = f"{finding.code} {finding.kind}"
        choice = finding.choice
        if choice is not None:
            text += f": {choice.rule}"
        results[path_text(finding.path)] = _entry(text, str(finding.severity))
    return {"name": f"rewriter: {shown(item.path)}", "results": results}


def _entry(text: str, colour: str) -> dict[str, str]:
    return {
        "value": shown(text),
        "bgColor": COLOURS[f"{colour}-soft"][_LIGHT],
        "textColor": COLOURS[colour][_LIGHT],
    }


class Output(Reporter):
    """One object per line."""

    def check(self, item: Any) -> None:
        self._print(item)

    def repair(self, item: Any) -> None:
        self._print(item)

    def _print(self, item: Report) -> None:
        self.console.data(json.dumps(data(item)) + "\n")
