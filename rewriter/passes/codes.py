"""The kinds of findings, one row each: name, code, severity, summary, and what it is.

A code is for good: people suppress and look up findings by it. A new kind takes the next number.
"""

from __future__ import annotations

import enum


class Severity(str, enum.Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    __str__ = str.__str__


class Kind(str, enum.Enum):
    """The kind of a fault. ``severity`` is the usual one; a finding that rests on a claim has a lower one."""

    code: str
    severity: Severity
    summary: str
    text: str

    def __new__(cls, name: str, code: str, severity: Severity, summary: str, text: str) -> Kind:
        kind = str.__new__(cls, name)
        kind._value_ = name
        kind.code, kind.severity, kind.summary, kind.text = code, severity, summary, text
        return kind

    INCOMPATIBLE = (
        "incompatible",
        "RW001",
        Severity.ERROR,
        "the operands do not fit",
        "Two axes that meet have different sizes, and neither is 1: the operation raises whatever the batch.",
    )
    BATCH_MISALIGNED = (
        "batch-misaligned",
        "RW002",
        Severity.ERROR,
        "the batch meets another axis",
        "The batch of one operand lines up with another axis of the other. This runs at batch 1, is silently wrong at "
        "a batch of the other axis's size, and raises otherwise.",
    )
    AXIS_MISALIGNED = (
        "axis-misaligned",
        "RW003",
        Severity.ERROR,
        "it runs along the wrong axis",
        "The sizes fit, but the axes that meet are not those that belong together: the result is silently wrong.",
    )
    LAYOUT = (
        "layout",
        "RW004",
        Severity.ERROR,
        "channels last meets channels first",
        "The operands hold the same axes in different orders. Where the sizes are equal the result is silently wrong.",
    )
    BATCH_SIZE = (
        "batch-size",
        "RW005",
        Severity.ERROR,
        "the batches have different sizes",
        "Both operands state a batch size, and the sizes differ.",
    )
    GROWN = (
        "grown",
        "RW006",
        Severity.ERROR,
        "the product is larger than both operands",
        "Missing axes make every entry of one operand meet every entry of the other, such as (B, 1) * (B) = (B, B).",
    )
    UNPROVEN = (
        "unproven",
        "RW007",
        Severity.INFO,
        "nothing proves that the operands fit",
        "Sizes that are only known when the model runs have to be equal, and nothing in the file says that they are.",
    )
    NOT_ANALYSED = (
        "not-analysed",
        "RW008",
        Severity.WARNING,
        "what it computes is not known",
        "What this node computes is not known without running code: a fault in it or after it can go unseen.",
    )

    __str__ = str.__str__
