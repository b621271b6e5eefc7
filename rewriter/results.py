"""What the library's functions return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .passes.analysis import Analysis
from .passes.changes import Changes
from .passes.finding import Finding
from .passes.rewrite import Inserted
from .passes.seen import Seen
from .passes.sites import DEFAULT_OPS, Site
from .passes.verdicts import Verdicts
from .presentation import Presentable, brief, count
from .shapes.inference import Inference
from .trusted import packages


@dataclass(slots=True, repr=False)
class Report(Presentable):
    """What ``check`` found. ``nodes`` and ``multiplies`` count calls, including those of nested models.

    ``verdicts`` says how many multiplies are right, wrong, ambiguous and not analysed. ``mode``, ``ops``, and the
    paths ``rules`` and ``weights`` are those of the request; ``trust`` are the packages whose code ran. ``seen`` has
    the data of the pictures; None if the model is not one graph.
    """

    path: str
    format: str
    nodes: int
    multiplies: int
    findings: list[Finding]
    verdicts: Verdicts = field(default_factory=Verdicts)
    mode: str = "safe"
    ops: str = DEFAULT_OPS
    seen: Seen | None = field(default=None, repr=False, compare=False)
    rules: str = ""
    weights: str = ""
    trust: tuple[str, ...] = field(default_factory=packages)

    @property
    def clean(self) -> bool:
        """True if no finding has severity error or warning."""
        return all(f.severity.value == "info" for f in self.findings)

    def _summary(self) -> str:
        counts = f"{count(self.nodes, 'node')}, {count(self.multiplies, 'multiply')}"
        return f"{brief(self.path)}: {counts}, {count(len(self.findings), 'finding')}"


@dataclass(slots=True, repr=False)
class Result(Report):
    """What ``repair`` did.

    A result is false (``if not result:``) if a finding could not be decided: ``undecided`` lists the findings, nothing
    was written, and ``output`` and ``model`` are None. The result of a model without a fault is true.

    ``model`` is the repaired model, if a model in memory was given. For a subclassed model, ``parts`` has its repaired
    functional parts, by the attributes whose models they replace (``encoder``, ``blocks.0``). ``verified`` says what
    was proven, as in the JSON; its ``verdict`` is ``proven``, or ``not-run`` with a ``reason``. A disproven repair is
    not written: ``repair`` raises VerificationError, which has the result of the proof.
    ``onnx_verified`` is the difference of the ONNX file from Keras, or why it is not known. ``changes`` is what a dry
    run would change.
    """

    output: str | None = None
    onnx: str | None = None
    inserted: list[Inserted] = field(default_factory=list)
    verified: dict[str, Any] | None = None
    onnx_verified: dict[str, Any] | None = None
    undecided: list[Finding] = field(default_factory=list)
    model: Any = None
    parts: dict[str, Any] = field(default_factory=dict)
    changes: Changes | None = None

    def __bool__(self) -> bool:
        return not self.undecided

    def _summary(self) -> str:
        found = f"{brief(self.path)}: {count(len(self.findings), 'finding')}"
        if self.undecided:
            return f"{found}, {len(self.undecided)} undecided"
        inserted = f"{found}, {count(len(self.inserted), 'node')} inserted"
        written = self.output if self.output is not None else self.onnx
        return inserted if written is None else f"{inserted}, written to {brief(written)}"


@dataclass(slots=True, repr=False)
class Shapes(Presentable):
    """What ``shapes`` inferred. ``weights`` counts the weights of each layer, by path; None if the file has none.

    ``trust`` is as in ``Report``.
    """

    path: str
    inference: Inference
    weights: Mapping[str, int] | None = None
    trust: tuple[str, ...] = field(default_factory=packages)

    def _summary(self) -> str:
        return f"{brief(self.path)}: {count(sum(1 for _ in self.inference.graph.walk()), 'node')}"


@dataclass(slots=True, repr=False)
class Explanation(Presentable):
    """The analysis of a model, which ``explain`` shows for one node, or for all nodes if ``node`` is None.

    The rest is as in ``Report``.
    """

    path: str
    analysis: Analysis
    node: str | None = None
    mode: str = "safe"
    ops: str = DEFAULT_OPS
    rules: str = ""
    weights: str = ""
    trust: tuple[str, ...] = field(default_factory=packages)

    @property
    def sites(self) -> list[Site]:
        """The nodes to explain, at which tensors meet, each node once."""
        first = {site.path: site for site in reversed(self.analysis.sites)}
        return [site for site in list(first.values())[::-1] if self.node in (None, site.name)]

    @property
    def findings(self) -> list[Finding]:
        """The findings of the nodes to explain."""
        return [f for f in self.analysis.findings if self.node in (None, f.node)]

    def _summary(self) -> str:
        return brief(self.path) if self.node is None else f"{brief(self.path)}: node {brief(self.node)}"
