"""What was proven of a repair, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import shown
from ...results import Result

CHECKS = {
    "equation": "each changed node computes its equation",
    "independence": "no sample depends on another",
    "batch-one": "each sample is what the original gives at batch 1",
    "gradients": "finite gradients go through it",
}
_WORDS = {"proven": "Proven", "not-run": "Not proven by running it"}


@dataclass(frozen=True, slots=True)
class Check:
    """One row: the check, whether it is shown, at which batch sizes, the largest difference, and why not."""

    text: str
    shown: bool
    batches: str = ""
    difference: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """The verdict, where it ran, the rows, and what was written and inserted."""

    verdict: str
    proven: bool
    ran: str
    checks: list[Check]
    notes: list[str]
    written: list[str]
    inserted: list[tuple[str, str, str]]


def proof(item: Result) -> Proof | None:
    """The proof of a repair; None if nothing was written."""
    if item.output is None and not item.inserted:
        return None
    said = item.verified or {}
    verdict = said.get("verdict", "")
    return Proof(
        _WORDS.get(verdict, "Not run") if said else "Not run",
        verdict == "proven",
        shown(said.get("ran", "")),
        list(_checks(said)),
        list(_notes(item, said)),
        [shown(path) for path in dict.fromkeys((item.output, item.onnx)) if path],
        [(shown(i.node), shown(i.op), shown(i.rule)) for i in item.inserted],
    )


def _checks(said: Mapping[str, Any]) -> Iterator[Check]:
    if "findings_left" in said:
        left = said["findings_left"]
        yield Check("the written model has no finding left", not left, why=f"{left} left" if left else "")
    for name, answer in said.get("checks", {}).items():
        difference = answer.get("difference")
        yield Check(
            CHECKS.get(name, shown(name)),
            bool(answer.get("proven")),
            ", ".join(map(str, answer.get("batches", ()))),
            "" if difference is None else f"{difference:.1g}",
            shown_text(answer.get("why", "")),
        )
    own = said.get("own_keras")
    if own:
        yield Check(
            "its own Keras loads it and computes the same",
            "skipped" not in own,
            difference=f"{own['difference']:.1g}" if "difference" in own else "",
            why=shown_text(own.get("skipped", "")),
        )


def _notes(item: Result, said: Mapping[str, Any]) -> Iterator[str]:
    for key in ("skipped", "reason"):
        if said.get(key):
            yield f"Not run: {shown_text(said[key])}." if key == "skipped" else f"{shown_text(said[key])}."
    behaviour = said.get("behaviour") or {}
    if behaviour.get("changes"):
        batches = ", ".join(map(str, behaviour.get("batches", ())))
        yield (
            f"The behaviour changes: the original runs too, at batch {batches}, and computes something else. "
            "No run can show which of the two was meant."
        )
    elif behaviour.get("why"):
        yield f"The original cannot be compared: {shown_text(behaviour['why'])}"
    if item.onnx_verified is not None and "skipped" in item.onnx_verified:
        yield f"The ONNX file was not compared with Keras: {shown_text(item.onnx_verified['skipped'])}."


def shown_text(text: str) -> str:
    """A longer text, each word made safe to show."""
    return " ".join(shown(word) for word in str(text).split())
