"""The JSON contract (``rewriter/1``)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..conversion import Converted
from ..errors import shown
from ..formats.registry import format_of
from ..ir.axis import Value
from ..ir.graph import Path
from ..passes.candidate import Candidate
from ..passes.changes import Changes, State
from ..passes.codes import Kind
from ..passes.decision import Decision
from ..passes.finding import LITERAL, Finding, Operand
from ..passes.rewrite import recorded_shape
from ..passes.sites import Site
from ..passes.suggest import Suggestion
from ..results import Explanation, Report, Result, Shapes
from ..rules.lower import Step
from ..rules.table import Rule
from ..shapes.broadcast import Convention
from ..shapes.supported import Entry, Support
from .explain import Attempt, attempts
from .supported_table import sections
from .table import Reporter

if TYPE_CHECKING:
    from ..export.onnx import Exported

SCHEMA = "rewriter/1"


def _trust(item: Report | Explanation | Shapes | Exported) -> dict[str, Any]:
    """The packages whose code ran; nothing without any."""
    return {"trust": list(item.trust)} if item.trust else {}


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
        **_trust(item),
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
    """Every changed node, before and after; null if there is no such node."""
    return [{"node": _path(c.path), "before": _state(c.before), "after": _state(c.after)} for c in item.nodes]


def _state(item: State | None) -> dict[str, Any] | None:
    if item is None:
        return None
    operands = [{"from": _source(o), "shape": o.value.shape} for o in item.operands]
    return {"op": shown(item.op), "operands": operands, "output": item.result.shape if item.result else None}


def _path(path: Path) -> str:
    """A node's path, each name safe to show: of limited length, and without characters that control a terminal."""
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
        "operands": [_operand(o) for o in item.operands],
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


def _operand(item: Operand) -> dict[str, Any]:
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
    """A node that is inserted. ``axes``: the permutation of a Transpose, and where axes are added, removed or repeated;
    ``repeats``: how often, by axis for a Tile; ``like``: the operand to whose sizes it repeats instead."""
    data = {"op": item.op, "operand": item.operand, "to": list(recorded_shape(item.to))}
    data |= {k: list(v) for k, v in (("axes", item.axes), ("repeats", item.repeats)) if v}
    return data if item.like is None else data | {"like": item.like}


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
    return {"schema": SCHEMA, "model": item.path, "nodes": nodes, **_trust(item)}


def suggestion(item: Suggestion) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "legal": item.legal,
        "output": item.output,
        "candidates": [candidate(c) for c in item.candidates],
        "chosen": item.chosen,
        "why": item.why,
    }


def rules(items: Sequence[Rule]) -> dict[str, Any]:
    return {"schema": SCHEMA, "rules": [rule(item) for item in items]}


def rule(item: Rule) -> dict[str, Any]:
    return {
        "name": item.name,
        "summary": item.summary,
        "equations": [str(e) for e in item.equations],
        "effect": item.kind.value,
        "source": item.source,
    }


def code(item: Kind) -> dict[str, Any]:
    """A kind of finding, with what its page says."""
    return {
        "code": item.code,
        "kind": str(item),
        "severity": str(item.severity),
        "summary": item.summary,
        "text": item.text,
        "harm": item.harm,
        "example": item.example,
        "remedy": item.remedy,
    }


def explanation(item: Explanation, table: Sequence[Rule]) -> dict[str, Any]:
    """``explain MODEL [NODE]``: each multiply with its finding, if it has one, and the result of each rule.

    Other nodes with a finding follow.
    """
    findings = {f.path: f for f in item.findings}
    nodes = [
        {
            "node": _path(site.path),
            "op": shown(site.node.operation.class_name),
            "convention": site.convention.alignment,
            "operands": [_operand(o) for o in site.operands],
            "finding": finding(found) if (found := findings.pop(site.path, None)) is not None else None,
            "rules": [_attempt(a) for a in _attempts(site, table)],
        }
        for site in item.sites
    ]
    for rest in map(finding, findings.values()):
        own = {key: rest[key] for key in ("node", "op", "convention", "operands")}
        nodes.append({**own, "finding": rest, "rules": []})
    return {"schema": SCHEMA, "model": item.path, "nodes": nodes, **_trust(item)}


def _attempts(site: Site, table: Sequence[Rule]) -> list[Attempt]:
    axes = [v.axes for v in site.values]
    if len(axes) != 2 or None in axes or site.convention is Convention.NONE:
        return []
    return list(attempts([a or () for a in axes], site.convention, table))


def _attempt(item: Attempt) -> dict[str, Any]:
    steps = None if item.candidate is None else [step(s) for s in item.candidate.plan.steps]
    failure = None if item.failure is None else item.failure.reason
    return {"rule": item.rule.name, "equation": str(item.equation), "insert": steps, "reason": failure}


def exported(item: Exported) -> dict[str, Any]:
    """``export``."""
    return {
        "schema": SCHEMA,
        "output": item.path,
        "opset": item.opset,
        "inputs": list(map(shown, item.inputs)),
        "outputs": list(map(shown, item.outputs)),
        "nodes": dict(item.nodes),
        "data": item.data,
        "bytes": item.bytes,
        "fallback": item.fallback or None,
        "warnings": list(map(shown, item.warnings)),
        **_trust(item),
        "verified": item.verified,
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
    """A model that could not be used. ``verified`` is the result of the proof, if a repair failed it."""
    return {"model": path, "error": error} | ({"verified": dict(verified)} if verified is not None else {})


class Output(Reporter):
    """One object per line."""

    def check(self, item: Any) -> None:
        self._print(report(item))

    def sweep(self, item: Any, outcomes: Any) -> None:
        from . import sweeps

        self._print({"schema": SCHEMA, **sweeps.data(item)})

    def repair(self, item: Any) -> None:
        self._print(report(item))

    def shapes(self, item: Any) -> None:
        self._print(shapes(item))

    def supported(self, item: Any) -> None:
        self._print(supported(item))

    def suggest(self, item: Any) -> None:
        self._print(suggestion(item))

    def explain(self, item: Any) -> None:
        self._print(explanation(item, self.context.rules))

    def rule(self, item: Any) -> None:
        self._print({"schema": SCHEMA, **rule(item)})

    def reading(self, item: Any) -> None:
        self._print({"schema": SCHEMA, "name": item.name, "summary": item.summary})

    def code(self, item: Any) -> None:
        self._print({"schema": SCHEMA, **code(item)})

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
