"""What is known of each multiply: right, wrong, ambiguous, or not analysed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from ..ir.graph import Path
from ..rules.table import Family
from .analysis import Analysis
from .codes import Kind, Severity
from .finding import Finding
from .sites import Site


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The number of a model's multiplies with each verdict; each multiply has exactly one.

    ``right``: every axis meets the one that it should. ``wrong``: it cannot run, or not as it was meant. ``ambiguous``:
    nothing proves that its axes fit. ``not_analysed``: an operand is not known, or only claimed.
    """

    right: int = 0
    wrong: int = 0
    ambiguous: int = 0
    not_analysed: int = 0


def verdicts(analysis: Analysis) -> Verdicts:
    """The verdicts on the multiplies of a model; one that is reached in several contexts counts once."""
    found = {finding.path: finding for finding in analysis.findings}
    contexts: dict[Path, list[Site]] = {}
    broken = {name for _, item in analysis.inference.walk() for name in item.faults}
    for site in analysis.sites:
        if site.family is Family.PRODUCT:
            contexts.setdefault(site.path, []).append(site)
    return Verdicts(**Counter(_verdict(found.get(path), here, broken) for path, here in contexts.items()))


def _verdict(finding: Finding | None, contexts: list[Site], broken: Collection[str]) -> str:
    """The verdict on one multiply.

    Args:
        broken: nodes that cannot run; nodes downstream are judged on their supposed results.
    """
    if finding is not None and finding.severity is Severity.ERROR:
        return "wrong"
    known = all(
        v.axes is not None and (not v.claimed or v.claimed in broken)
        for site in contexts
        for v in site.values
    )
    if not known or (finding is not None and finding.kind is Kind.NOT_ANALYSED):
        return "not_analysed"
    return "right" if finding is None else "ambiguous"
