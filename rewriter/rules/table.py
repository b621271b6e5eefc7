"""The rule table: what a multiply, a sum or a contraction of such operands can mean. A new rule is a new row here.

The letter of a name is its role (``rules/match.py``, ``NAME_ROLES``): b batch, c channel, s a spatial axis, t time,
d the features of a step; other letters are free. The order matters in one way: if several rows give the same nodes, the
first one names them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cache, cached_property

from ..errors import UsageError, did_you_mean, shown
from .notation import Equation, parse


class Kind(enum.Enum):
    """What a rule does to its operands, which decides what evidence it needs before it is applied."""

    PLACE = "adds or moves axes"
    REPEAT = "repeats data"
    TURN = "gives the result another layout"
    CONTRACT = "sums, or changes the rank"


class Family(enum.Enum):
    """The kind of operation that a rule describes."""

    PRODUCT = "product"
    ELEMENTWISE = "elementwise"
    CONTRACTION = "contraction"
    JOINING = "joining"
    OTHER = "any other node, before which a Reshape was lost"


@dataclass(frozen=True)
class Rule:
    """One meaning, in one or more layouts. ``summary`` is its documentation line.

    ``generic`` marks a rule that only completes the list of readings: its fit alone is not evidence.
    ``only`` names the one family that it is for, if its equations alone would allow more.
    """

    name: str
    summary: str
    equations: tuple[Equation, ...]
    source: str = "built in"
    generic: bool = False
    only: Family | None = None

    @property
    def kind(self) -> Kind:
        """The strongest effect of its equations."""
        kinds = [kind_of(equation) for equation in self.equations]
        return next(kind for kind in reversed(Kind) if kind in kinds)

    def serves(self, family: Family) -> bool:
        """True if an operation of this family can mean the rule."""
        return family is self.only if self.only is not None else family in self._families

    @cached_property
    def _families(self) -> frozenset[Family]:
        return frozenset().union(*map(families_of, self.equations))


def kind_of(equation: Equation) -> Kind:
    """What an equation does, from its names.

    A concatenation changes the rank if an operand is broadcast over missing axes or flattened first. An operand that
    lacks only the batch is repeated.
    """
    if equation.joins:
        return _kind_of_joined(equation)
    operands = [equation.names(k) for k in range(len(equation.operands))]
    if equation.contracted or equation.grows:
        return Kind.CONTRACT
    if len(equation.output) != max(map(len, equation.operands)):
        return Kind.CONTRACT
    if equation.output not in equation.operands:
        layouts = [set(terms) for terms in equation.operands]
        return Kind.TURN if set(equation.output) in layouts else Kind.CONTRACT
    products = [set(term.names) for term in equation.output if len(term.names) > 1]
    if any(0 < len(names & whole) < len(whole) for names in operands for whole in products):
        return Kind.REPEAT
    return Kind.PLACE


def _kind_of_joined(equation: Equation) -> Kind:
    shared = [set(term.names) for term in equation.output if not term.parts and term.names]
    operands = [equation.names(k) for k in range(len(equation.operands))]
    ranks = {len(terms) for terms in equation.operands}
    if (
        equation.lacking - {0}
        or len(ranks) > 1
        or any(len(part) != 1 for t in equation.output for part in t.parts)
    ):
        return Kind.CONTRACT
    if equation.lacking:
        return Kind.REPEAT
    return Kind.REPEAT if any(0 < len(n & w) < len(w) for n in operands for w in shared) else Kind.PLACE


def families_of(equation: Equation) -> frozenset[Family]:
    """The operations that an equation can describe: elementwise ones contract nothing, contractions move nothing."""
    if equation.joins:
        return frozenset({Family.JOINING})
    if equation.contracted:
        return frozenset({Family.PRODUCT, Family.CONTRACTION})
    anything = frozenset({Family.PRODUCT, Family.ELEMENTWISE})
    return anything | {Family.CONTRACTION} if equation.grows else anything


def _rule(
    name: str, summary: str, *equations: str, generic: bool = False, only: Family | None = None
) -> Rule:
    return Rule(name, summary, tuple(map(parse, equations)), generic=generic, only=only)


@cache
def builtin() -> tuple[Rule, ...]:
    """The rules that come with the package, in order."""
    return (
        _rule(
            "elementwise", "the same axes on both sides, except unit axes", "b r*, b r* -> b r*", "b, b -> b"
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
        _rule(
            "channel-scale",
            "one factor per channel",
            "b s* c, c -> b s* c",
            "b c s*, c -> b c s*",
            "b c, c -> b c",
        ),
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
        _rule(
            "time-major",
            "batch first against time first",
            "b t, t b -> b t",
            "b t r*, t b r* -> b t r*",
            "t b r*, b t r* -> t b r*",
            "t b d, b t 1 -> t b d",
            "t b d, b t 1 -> b t d",
            "b t d, t b 1 -> b t d",
            "b t d, t b 1 -> t b d",
        ),
        _rule("regroup", "flattened axes against the axes that they came from", "b m n, b (m n) -> b m n"),
        _rule(
            "axis-gate",
            "one factor per entry of any axes",
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
            generic=True,
        ),
        _rule(
            "upsample",
            "nearest upsampling of a gate (Attention U-Net)",
            "b (s n)* c, b s* c -> b (s n)* c",
            "b (s n)* c, b s* -> b (s n)* c",
            "b c (s n)*, b c s* -> b c (s n)*",
            "b c (s n)*, b s* -> b c (s n)*",
        ),
        _rule(
            "batch-tile",
            "a smaller batch repeated whole (np.tile order)",
            "(n b) r*, b r* -> (n b) r*",
            "(n b), b -> (n b)",
        ),
        _rule(
            "batch-repeat",
            "each sample of a smaller batch repeated (np.repeat order)",
            "(b n) r*, b r* -> (b n) r*",
            "(b n), b -> (b n)",
        ),
        _rule(
            "batch-cover",
            "a smaller batch repeated until it covers the larger one, the rest cut off",
            "(n b)~ r*, b r* -> (n b)~ r*",
        ),
        _rule(
            "outer",
            "each entry of one side with each of the other (bilinear pooling)",
            "b f, b g -> b f g",
            "b, f -> b f",
        ),
        _rule(
            "outer-per-position",
            "each entry of one side with each of the other, at every position or in every channel",
            "b r* f, b r* g -> b r* f g",
            "b f r*, b g r* -> b f g r*",
        ),
        _rule("matmul", "contraction written as a multiply", "b m k, b k n -> b m n"),
        _rule("matmul-nt", "the same, right side transposed", "b m k, b n k -> b m n"),
        _rule("vecmat", "a weighted sum of rows", "b k, b k n -> b n"),
        _rule("matvec", "one dot product per row", "b m k, b k -> b m", "b m k, b k -> b m 1"),
        _rule("shared-matmul", "one matrix for every sample", "b m k, k n -> b m n", "b k, k n -> b n"),
        _rule("dot", "dot product per sample", "b k, b k -> b"),
        _rule("grouped-dot", "dot product per group", "b (p g), b g -> b p"),
        _rule("strided-dot", "dot product per group of strided entries", "b (g p), b g -> b p"),
        _rule("matmul-tn", "a matrix product, left side transposed", "b k m, b k n -> b m n"),
        _rule(
            "matmul-tt",
            "a matrix product, both sides transposed",
            "b k m, b n k -> b m n",
            only=Family.CONTRACTION,
        ),
        _rule(
            "stacked-matmul",
            "one matrix product for each entry of the axes that both sides share",
            "b r* m k, b r* k n -> b r* m n",
            "b r* m k, b r* n k -> b r* m n",
            "b r* k m, b r* k n -> b r* m n",
            "b r* k m, b r* n k -> b r* m n",
            only=Family.CONTRACTION,
        ),
        _rule(
            "turned-stack",
            "one matrix product for each head, where one side has its heads behind its steps",
            *(
                f"b {first}, b {second} -> b r m n"
                for first in ("m r k", "k r m", "m k r", "k m r")
                for second in ("r k n", "r n k", "k n", "n k")
            ),
            *(f"b r m k, b {second} -> b r m n" for second in ("k r n", "n r k", "k n r", "n k r")),
            only=Family.CONTRACTION,
        ),
        _rule(
            "shared-stack",
            "one matrix product for each entry of axes that one side lacks, such as the heads",
            "b r* m k, b k n -> b r* m n",
            "b r* m k, b n k -> b r* m n",
            "b r* k m, b k n -> b r* m n",
            "b m k, b r* k n -> b r* m n",
            "b m k, b r* n k -> b r* m n",
            "b k m, b r* k n -> b r* m n",
            only=Family.CONTRACTION,
        ),
        _rule(
            "stacked-vecmat",
            "a weighted sum of rows for each entry of the axes that both sides share",
            "b r* k, b r* k n -> b r* n",
            "b r* k, b r* k n -> b r* 1 n",
            "r* k, b r* k n -> b r* n",
            "b r* k, r* k n -> b r* n",
            "k, b r* k n -> b r* n",
        ),
        _rule(
            "stacked-matvec",
            "one dot product per row for each entry of the axes that both sides share",
            "b r* m k, b r* k -> b r* m",
            "b r* m k, b r* k -> b r* m 1",
            "r* m k, b r* k -> b r* m",
            "b r* m k, r* k -> b r* m",
            "b r* m k, k -> b r* m",
        ),
        _rule(
            "shared-matvec",
            "one vector for every sample: a dot product with each row",
            "b m k, k -> b m",
            "b m k, k -> b m 1",
            "b k, k -> b",
            "b k, k -> b 1",
            only=Family.CONTRACTION,
        ),
        _rule(
            "stacked-dot",
            "one dot product for each entry of the axes that both sides share",
            "b r* k, b r* k -> b r*",
            "b r* k, b r* k -> b r* 1",
            only=Family.CONTRACTION,
        ),
        _rule(
            "folded-matmul",
            "a matrix product of a batch with heads folded into it and one without them",
            "(n b) m k, b k j -> (n b) m j",
            "(n b) m k, b j k -> (n b) m j",
            "b m k, (n b) k j -> (n b) m j",
            "(b n) m k, b k j -> (b n) m j",
            "(b n) m k, b j k -> (b n) m j",
            "b m k, (b n) k j -> (b n) m j",
            only=Family.CONTRACTION,
        ),
        _rule(
            "gram",
            "a matrix product over all places of images, flattened or not",
            "b (m n) k, b m n j -> b k j",
            "b m n k, b (m n) j -> b k j",
            "b m n k, b m n j -> b k j",
            only=Family.CONTRACTION,
        ),
        _rule(
            "flat-matmul",
            "a matrix product that takes the places of an image as one axis",
            "b i (m n), b m n j -> b i j",
            "b i (m n), b j m n -> b i j",
            "b i m n, b (m n) j -> b i j",
            "b m n k, b k j -> b (m n) j",
            "b m n k, b j k -> b (m n) j",
            "b i k, b k m n -> b i (m n)",
            only=Family.CONTRACTION,
        ),
        _rule(
            "shared-matmul-nt",
            "one matrix for every sample, transposed",
            "b m k, n k -> b m n",
            "b k, n k -> b n",
            only=Family.CONTRACTION,
        ),
        _rule(
            "row-vecmat", "a weighted sum of rows, as one row", "b k, b k n -> b 1 n", only=Family.CONTRACTION
        ),
        _rule(
            "column-dot",
            "dot product per sample, as one column",
            "b k, b k -> b 1",
            "b k, b k -> b 1 1",
            only=Family.CONTRACTION,
        ),
    )


def find_rule(name: str, rules: tuple[Rule, ...]) -> Rule:
    """The rule of that name. Raises UsageError, which lists the names."""
    for rule in rules:
        if rule.name == name:
            return rule
    raise UsageError(
        f"there is no rule {shown(name)!r}{did_you_mean(name, (rule.name for rule in rules))}; the rules are "
        f"{', '.join(rule.name for rule in rules)}"
    )
