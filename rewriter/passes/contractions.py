"""Contractions that are not looked at, and those that run where what follows speaks against it.

Nothing is inserted at the first kind: the readings are shown, no more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..ir.graph import Path, TensorRef
from ..rules.table import Family, Rule
from ..rules.table import Kind as RuleKind
from ..shapes.broadcast import Convention
from ..shapes.inference import Inference
from .candidates import candidates
from .finding import Applicability, Finding, Operand
from .resolve import contradicted
from .sites import Site, operands_of, sites
from .unlisted import besides

CONTRACTIONS = frozenset({"Matmul", "Dot"})
_TRANSPOSES = frozenset({"Transpose", "Permute", "Swapaxes"})


def offer_readings(finding: Finding, inference: Inference, name: str, rules: Sequence[Rule]) -> None:
    """Add the products that the operands of a failed contraction do allow, before any transpose of them."""
    node = inference.graph.nodes[name]
    given = operands_of(node, inference.calls[name], inference.graph)
    refs = node.refs()
    if len(given) != 2 or len(refs) != 2 or any(o.value.axes is None for o in given):
        return
    prefix = finding.path[:-1]
    finding.operands = [_untransposed(inference, prefix, ref) for ref in refs]
    if any(o.value.axes is None for o in finding.operands):
        return
    operands = tuple(finding.operands)
    site = Site(finding.path, node, inference, Convention.NONE, operands, Family.CONTRACTION)
    allowed = [rule for rule in rules if rule.kind is RuleKind.CONTRACT]
    finding.candidates = candidates(site, allowed, complete=False)
    for candidate in finding.candidates:
        candidate.applicability = Applicability.DISPLAY
    axes = [o.value.axes or () for o in finding.operands]
    finding.why = "it is no multiply, so nothing is inserted here" + besides(axes)


def suspects(inference: Inference, known: Collection[Path], rules: Sequence[Rule]) -> list[Finding]:
    """Contractions that run, with the fault that follows them and what else they can mean.

    Args:
        known: nodes that have a finding already.
    """
    result: dict[Path, Finding] = {}
    for site in sites(inference, {Family.CONTRACTION}):
        below = site.inference.graph.descendants(site.node.name) if site.inference.faults else set()
        fault = next((f"{n!r}: {text}" for n, text in site.inference.faults.items() if n in below), None)
        if fault is None or site.path in known or any(v.axes is None for v in site.values):
            continue
        finding = contradicted(site, fault, rules)
        if finding.candidates:
            result[site.path] = finding
    return list(result.values())


def _untransposed(inference: Inference, prefix: Path, ref: TensorRef) -> Operand:
    """The tensor, or the one that it is the transpose of."""
    producer = inference.graph.nodes[ref.node]
    if producer.operation.class_name in _TRANSPOSES and len(producer.refs()) == 1:
        (ref,) = producer.refs()
    return Operand((*prefix, ref.node), inference.value(ref))
