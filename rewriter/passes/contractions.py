"""Contractions that run, with evidence against them downstream."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..ir.graph import Path
from ..rules.table import Family, Rule
from ..shapes.inference import Inference
from .decision import FaultAt
from .finding import Finding
from .resolve import contradicted
from .sites import sites


def suspects(
    inference: Inference, known: Collection[Path], rules: Sequence[Rule]
) -> list[tuple[Finding, FaultAt]]:
    """Contractions that run although a node below has a fault: a finding with the other readings, and that fault.

    Args:
        known: nodes that have a finding already.
    """
    result: dict[Path, tuple[Finding, FaultAt]] = {}
    for site in sites(inference, {Family.CONTRACTION}):
        below = site.inference.graph.descendants(site.node.name) if site.inference.faults else set()
        faults = site.inference.faults.items()
        fault = next((FaultAt((*site.path[:-1], n), text) for n, text in faults if n in below), None)
        if fault is None or site.path in known or any(v.axes is None for v in site.values):
            continue
        finding = contradicted(site, fault, rules)
        if finding.candidates:
            result[site.path] = finding, fault
    return list(result.values())
