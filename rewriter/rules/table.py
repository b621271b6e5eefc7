"""The rule table: what a multiply with such operands can mean. A new rule is a new row here, and nothing else.

Names stand for what their letter says (``rules/match.py``, ``NAME_ROLES``): b batch, c channel, s a spatial axis,
t time, d the features of a step; other letters are free. Order matters in one way: of rows that come to the same nodes
the first one gives its name.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cache

from ..errors import UsageError, shown
from .notation import Equation, parse


class Kind(enum.Enum):
    """What a rule does to its operands, which decides what evidence it needs before it is applied."""

    PLACE = "adds or moves axes"
    REPEAT = "repeats data"
    CONTRACT = "sums, or changes the rank"


@dataclass(frozen=True)
class Rule:
    """One meaning, in one or more layouts. ``summary`` is its documentation line."""

    name: str
    summary: str
    equations: tuple[Equation, ...]
    source: str = "built in"

    @property
    def kind(self) -> Kind:
        """The strongest thing that one of its equations does."""
        kinds = [kind_of(equation) for equation in self.equations]
        return next(k for k in (Kind.CONTRACT, Kind.REPEAT, Kind.PLACE) if k in kinds)


def kind_of(equation: Equation) -> Kind:
    """What an equation does, read off its names."""
    operands = [equation.names(k) for k in range(len(equation.operands))]
    if equation.contracted or equation.grows:
        return Kind.CONTRACT
    products = [set(term.names) for term in equation.output if len(term.names) > 1]
    if any(0 < len(names & whole) < len(whole) for names in operands for whole in products):
        return Kind.REPEAT
    return Kind.PLACE


def _rule(name: str, summary: str, *equations: str) -> Rule:
    return Rule(name, summary, tuple(map(parse, equations)))


@cache
def builtin() -> tuple[Rule, ...]:
    """The rules that come with the package, in order."""
    return (
        _rule(
            "elementwise", "the same axes on both sides, unit axes apart", "b r*, b r* -> b r*", "b, b -> b"
        ),
        _rule("time-gate", "attention weights over time", "b t d, b t -> b t d"),
        _rule("step-gate", "the same vector at every step", "b t d, b d -> b t d"),
        _rule("time-scale", "one factor per step", "b t d, t -> b t d"),
        _rule(
            "channel-gate",
            "one factor per channel and sample (squeeze-and-excitation, FiLM)",
            "b s* c, b c -> b s* c",
            "b c s*, b c -> b c s*",
        ),
        _rule("channel-scale", "one factor per channel", "b s* c, c -> b s* c", "b c s*, c -> b c s*"),
        _rule(
            "spatial-gate",
            "one factor per position (CBAM)",
            "b s* c, b s* -> b s* c",
            "b c s*, b s* -> b c s*",
        ),
        _rule("sample-weight", "one factor per sample", "b r*, b -> b r*"),
        _rule(
            "layout",
            "channels last against channels first",
            "b s* c, b c s* -> b s* c",
            "b c s*, b s* c -> b c s*",
        ),
        _rule("regroup", "flattened axes against the axes that they came from", "b m n, b (m n) -> b m n"),
        _rule(
            "axis-gate",
            "one factor per entry of some axes, whichever they are",
            "b n r*, b n -> b n r*",
            "b r* n, b n -> b r* n",
            "b m n r*, b n -> b m n r*",
            "b r* n m, b n -> b r* n m",
            "b m n r*, b m n -> b m n r*",
            "b r* m n, b m n -> b r* m n",
            "b m r* n, b m n -> b m r* n",
            "b m k n r*, b m n -> b m k n r*",
            "b k m n r*, b m n -> b k m n r*",
            "b k m r* n, b m n -> b k m r* n",
        ),
        _rule(
            "upsample",
            "nearest upsampling of a gate (Attention U-Net)",
            "b (s n)* c, b s* c -> b (s n)* c",
            "b (s n)* c, b s* -> b (s n)* c",
            "b c (s n)*, b c s* -> b c (s n)*",
            "b c (s n)*, b s* -> b c (s n)*",
        ),
        _rule("batch-tile", "a smaller batch repeated whole (np.tile order)", "(n b) r*, b r* -> (n b) r*"),
        _rule("outer", "outer product, bilinear pooling", "b f, b g -> b f g"),
        _rule("matmul", "contraction written as a multiply", "b m k, b k n -> b m n"),
        _rule("matmul-nt", "the same, right side transposed", "b m k, b n k -> b m n"),
        _rule("vecmat", "a weighted sum of rows", "b k, b k n -> b n"),
        _rule("matvec", "one dot product per row", "b m k, b k -> b m", "b m k, b k -> b m 1"),
        _rule("shared-matmul", "one matrix for every sample", "b m k, k n -> b m n", "b k, k n -> b n"),
        _rule("dot", "dot product per sample", "b k, b k -> b"),
        _rule("grouped-dot", "dot product per group", "b (p g), b g -> b p"),
    )


def find_rule(name: str, rules: tuple[Rule, ...]) -> Rule:
    """The rule of that name. Raises UsageError with the names there are."""
    for rule in rules:
        if rule.name == name:
            return rule
    raise UsageError(
        f"there is no rule {shown(name)!r}; the rules are {', '.join(rule.name for rule in rules)}"
    )
