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
from .passes.sites import DEFAULT_OPS
from .passes.verdicts import Verdicts
from .shapes.inference import Inference


@dataclass(slots=True)
class Report:
    """What ``check`` found. ``nodes`` and ``multiplies`` count calls, those of nested models included.

    ``verdicts`` says how many multiplies are right, wrong, ambiguous and not analysed. ``mode`` and ``ops`` are those
    that it was asked for. ``seen`` is what pictures are drawn from; None where there is no one graph to draw.
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

    @property
    def clean(self) -> bool:
        """True where there is no finding of severity error or warning."""
        return all(f.severity.value == "info" for f in self.findings)


@dataclass(slots=True)
class Result(Report):
    """What ``repair`` did. ``output`` is None where something could not be decided: then nothing was written.

    ``model`` is the repaired model where one was given; of a subclassed one ``parts`` has its repaired functional
    parts, by the attributes that hold what they are to stand in for (``encoder``, ``blocks.0``). ``verified`` says what
    was proven, as in the JSON; its ``verdict`` is ``proven``, or ``not-run`` with a ``reason``. What is disproven is
    not written: the error of ``repair`` has it.
    ``onnx_verified`` says how far the ONNX file is from Keras, or why that is not known. ``changes`` is what a dry run
    would have written.
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


@dataclass(slots=True)
class Shapes:
    """What ``shapes`` inferred. ``weights`` counts those of each layer, by its path; None where the file has none."""

    path: str
    inference: Inference
    weights: Mapping[str, int] | None = None


@dataclass(slots=True)
class Explanation:
    """What is known of a model, for ``explain`` to show of one node, or of all where ``node`` is None."""

    path: str
    analysis: Analysis
    node: str | None = None
