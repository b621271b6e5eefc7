"""The JSON contract (``rewriter/1``)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..conversion import Converted
from ..errors import shown
from ..export.onnx.options import Exported
from ..formats.registry import format_of
from ..ir.axis import Value
from ..ir.graph import Path, path_text
from ..passes.candidate import Candidate
from ..passes.changes import Changes, State
from ..passes.decision import Decision
from ..passes.finding import LITERAL, Finding, Operand
from ..passes.rewrite import recorded_shape
from ..passes.sites import Site
from ..passes.suggest import Suggestion
from ..results import Explanation, Report, Result, Shapes
from ..rules.lower import Step
from ..rules.table import Rule
from ..shapes.supported import Entry, Support
from .supported_table import sections
from .table import Reporter

SCHEMA = "rewriter/1"


def report(item: Report) -> dict[str, Any]:
    """``check`` and ``repair``."""
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "model": item.path,
        "format": format_of(item.format).reported,
        "nodes": item.nodes,
        "multiplies": item.multiplies,
        "verdicts": asdict(item.verdicts),
        "findings": [finding(f) for f in item.findings],
    }
    if isinstance(item, Result):
        data["output"] = item.output
        data["onnx"] = item.onnx
        data["undecided"] = [_path(f.path) for f in item.undecided]
        data["inserted"] = [{"node": _path(i.path), "op": i.op, "rule": i.rule} for i in item.inserted]
        data["verified"] = item.verified
        if item.onnx is not None:
            data["onnx_verified"] = item.onnx_verified
        if item.changes is not None:
            data["changes"] = changes(item.changes)
    return data


def converted(item: Converted) -> dict[str, Any]:
    """``convert``."""
    return {
        "schema": SCHEMA,
        "model": item.path,
        "format": format_of(item.format).reported,
        "output": item.output,
        "to": format_of(item.to).reported,
        "remarks": [
            {"node": _path(r.path), "construct": shown(r.construct), "became": shown(r.became)}
            for r in item.remarks
        ],
        "verified": item.verified,
    }


def changes(item: Changes) -> list[dict[str, Any]]:
    """Every changed node, before and after; null where it is not there."""
    return [{"node": _path(c.path), "before": _state(c.before), "after": _state(c.after)} for c in item.nodes]


def _state(item: State | None) -> dict[str, Any] | None:
    if item is None:
        return None
    operands = [{"from": _source(o), "shape": o.value.shape} for o in item.operands]
    return {"op": shown(item.op), "operands": operands, "output": item.result.shape if item.result else None}


def _path(path: Path) -> str:
    """A node's path, each name of it fit to be shown: what a file holds is neither endless nor steers a terminal."""
    return "/".join(map(shown, path))


def _source(item: Operand) -> str:
    return _path(item.path) or LITERAL


def finding(item: Finding) -> dict[str, Any]:
    return {
        "code": item.code,
        "kind": str(item.kind),
        "severity": str(item.severity),
        "node": _path(item.path),
        "op": shown(item.op),
        "convention": item.convention.alignment,
        "operands": [operand(o) for o in item.operands],
        "message": item.message,
        "candidates": [candidate(c) for c in item.candidates],
        "chosen": item.chosen,
        "why": item.why,
        "decision": decision(item.decision, item.candidates),
        "upstream": [
            {"node": _path(a.path), "argument": a.argument, "from": a.before, "to": a.after}
            for a in item.upstream
        ],
    }


def operand(item: Operand) -> dict[str, Any]:
    return {"from": _source(item), "shape": item.value.shape or [], "axes": roles(item.value)}


def decision(item: Decision, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """The record behind ``chosen`` and ``why``; candidates are numbers in the finding's list."""
    numbers = {id(c): number for number, c in enumerate(candidates)}
    fault = item.fault
    return {
        "stage": item.stage.name,
        "candidate": numbers.get(id(item.candidate)),
        "rivals": [numbers[id(c)] for c in item.rivals if id(c) in numbers],
        "evidence": item.evidence.name if item.evidence is not None else None,
        "fault": {"node": _path(fault.path), "text": fault.text} if fault is not None else None,
        "nodes": [_path(path) for path in item.nodes],
        "reason": item.reason.name if item.reason is not None else None,
        "notes": [note.name for note in item.notes],
        "overrules": decision(item.before, candidates) if item.before is not None else None,
    }


def candidate(item: Candidate) -> dict[str, Any]:
    return {
        "rule": item.rule,
        "equation": item.equation,
        "insert": [step(s) for s in item.plan.steps],
        "output": list(recorded_shape(item.plan.output)),
        "evidence": item.evidence,
        "applicability": str(item.applicability),
    }


def step(item: Step) -> dict[str, Any]:
    return {"op": item.op, "operand": item.operand, "to": list(recorded_shape(item.to))}


def roles(value: Value) -> list[str]:
    return [str(a.role) for a in value.axes or ()]


def shapes(item: Shapes) -> dict[str, Any]:
    nodes = []
    seen = set()
    for prefix, inference in item.inference.walk():
        for name in inference.graph.order:
            path = (*prefix, name)
            if path in seen:
                continue
            seen.add(path)
            values = inference.values[name]
            nodes.append(
                {
                    "node": _path(path),
                    "op": shown(inference.graph.nodes[name].operation.class_name),
                    "outputs": [v.shape for v in values],
                    "axes": [roles(v) for v in values],
                }
            )
    return {"schema": SCHEMA, "model": item.path, "nodes": nodes}


def suggestion(item: Suggestion) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "legal": item.legal,
        "output": item.output,
        "candidates": [candidate(c) for c in item.candidates],
        "chosen": item.chosen,
        "why": item.why,
    }


def explanation(item: Explanation) -> dict[str, Any]:
    """``explain``: every node where tensors meet, or the one that was asked for, each with its finding or null."""
    analysis = item.analysis
    findings = {f.path: f for f in analysis.findings}
    sites = {site.path: site for site in analysis.sites}
    paths = [path for path in dict.fromkeys([*sites, *findings]) if item.node in (None, path_text(path))]
    return {
        "schema": SCHEMA,
        "model": item.path,
        "node": item.node,
        "ops": analysis.ops,
        "nodes": [_met(path, sites.get(path), findings.get(path)) for path in paths],
    }


def _met(path: Path, site: Site | None, found: Finding | None) -> dict[str, Any]:
    if found is not None:
        op, convention, operands = found.op, found.convention, found.operands
    else:
        assert site is not None
        op, convention, operands = site.node.operation.class_name, site.convention, list(site.operands)
    return {
        "node": _path(path),
        "op": shown(op),
        "convention": convention.alignment,
        "operands": [operand(o) for o in operands],
        "finding": finding(found) if found is not None else None,
    }


def exported(item: Exported) -> dict[str, Any]:
    """``export``. ``nodes`` counts operators by type."""
    return {
        "schema": SCHEMA,
        "output": item.path,
        "data": item.data,
        "bytes": item.bytes,
        "opset": item.opset,
        "inputs": list(map(shown, item.inputs)),
        "outputs": list(map(shown, item.outputs)),
        "nodes": dict(item.nodes),
        "verified": item.verified,
        "fallback": shown(item.fallback) or None,
    }


def rules(items: Sequence[Rule]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "rules": [
            {
                "name": rule.name,
                "summary": rule.summary,
                "equations": [str(e) for e in rule.equations],
                "effect": rule.kind.value,
                "source": rule.source,
            }
            for rule in items
        ],
    }


def supported(item: Support) -> dict[str, Any]:
    """``{"schema": ..., "keras": VERSION, "layers": [ENTRY], "ops": [ENTRY]}``."""
    return {
        "schema": SCHEMA,
        "keras": item.keras,
        **{title: [_entry(entry) for entry in entries] for title, entries in sections(item)},
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "supported": entry.supported,
        "cases": entry.cases,
        "untrue": entry.untrue,
        "runs": entry.runs,
        "onnx": not entry.no_onnx,
        "no_onnx": entry.no_onnx,
        "remark": entry.remark,
    }


def unusable(path: str, error: str, verified: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A model that nothing was done with. ``verified`` is what the proof of a repair came to, if it was the proof."""
    return {"model": path, "error": error} | ({"verified": dict(verified)} if verified is not None else {})


class Output(Reporter):
    """One object a line."""

    def check(self, item: Any) -> None:
        self._print(report(item))

    def repair(self, item: Any) -> None:
        self._print(report(item))

    def shapes(self, item: Any) -> None:
        self._print(shapes(item))

    def supported(self, item: Any) -> None:
        self._print(supported(item))

    def suggest(self, item: Any) -> None:
        self._print(suggestion(item))

    def explain(self, item: Any) -> None:
        self._print(explanation(item))

    def convert(self, item: Any) -> None:
        self._print(converted(item))

    def export(self, item: Any) -> None:
        self._print(exported(item))

    def rules(self) -> None:
        self._print(rules(self.context.rules))

    def unusable(self, path: str, reason: str, error: Exception) -> None:
        self._print(unusable(path, reason, getattr(error, "verified", None)))

    def _print(self, data: Any) -> None:
        self.console.data(json.dumps(data) + "\n")
