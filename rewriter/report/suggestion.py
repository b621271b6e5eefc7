"""What two shapes can mean, as text, with the lines of Keras for each reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from ..formats.keras.spelling import line as keras_line
from ..passes.candidate import Candidate
from ..passes.rewrite import recorded_shape
from ..passes.suggest import CONTRACTIONS, ELEMENTWISE, Suggestion, conditions
from ..rules.table import Rule
from ..shapes.broadcast import Convention
from .alignment import alignment
from .findings import meaning
from .layout import fields, line, words
from .words import CONVENTIONS, sizes_text


def text(item: Suggestion, rules: Sequence[Rule], width: int) -> Iterator[RenderableType]:
    """The readings of two shapes, the first-ranked one first."""
    op, convention = item.op, ELEMENTWISE.get(item.op, Convention.NONE)
    shapes = " and ".join(sizes_text(o.value.shape or []) for o in item.operands)
    yield line(f"{op} of {shapes}")
    yield ""
    yield from alignment(item.operands, convention, width)
    yield ""
    needed = _sizes_needed(item)
    if item.legal:
        runs = f"It runs only where {needed}, and gives" if needed else "It runs and gives"
        yield words(f"{runs} {sizes_text(item.output or [])}.")
    elif op not in CONTRACTIONS or item.candidates:
        yield words(f"The shapes fit only where {needed}." if needed else "The shapes do not fit.")
    if convention is not Convention.NONE:
        yield words(CONVENTIONS[convention].replace("Multiply", op).replace("multiply", op))
    if not item.candidates:
        if not item.legal:
            yield words(f"{item.why[:1].upper()}{item.why[1:]}.")
        return
    yield ""
    yield line("Other readings:" if item.legal else "Readings:")
    for number, candidate in enumerate(item.candidates, 1):
        yield ""
        best = "  <- best" if item.chosen == number - 1 else ""
        lines = "".join(f"\n  {each}" for each in keras_lines(candidate, op, ("lhs", "rhs")))
        facts = f"gives {sizes_text(recorded_shape(candidate.plan.output))}; {'; '.join(candidate.evidence)}"
        body = words(meaning(candidate, rules), (best, "green"), lines, f"\n{facts}")
        yield fields([(f"{number}", body)], 1, 2, 1)
    if not item.legal:
        verdict = "Best" if item.chosen is not None else "Not decided"
        yield ""
        yield words(f"{verdict}: {item.why}.")


def _sizes_needed(item: Suggestion) -> str:
    """The open sizes at which the shapes fit, or ""."""
    stretched = item.op not in CONTRACTIONS and item.op != "Concatenate"
    texts = []
    for a, b in conditions(item):
        size, number = (b.size, a.size) if isinstance(a.size, int) else (a.size, b.size)
        if isinstance(number, int):
            texts.append(f"{size} is {number}" + " or 1" * stretched)
        else:
            texts.append(f"{size} and {number} are equal" + ", or one of them is 1" * stretched)
    return ", and ".join(texts)


def keras_lines(item: Candidate, op: str, names: tuple[str, ...]) -> list[str]:
    """The lines of Keras that a person would write for a candidate."""
    before = [keras_line(s, names) for s in item.plan.steps if s.operand >= 0]
    after = [keras_line(s, names) for s in item.plan.steps if s.operand < 0]
    if item.plan.replaces:
        return before + after
    operands = ", ".join(names)
    call = f"layers.{op}()([{operands}])" if op[:1].isupper() else f"ops.{op}({operands})"
    return [*before, f"y = {call}", *after]
