"""``explain RULE``: a page that is generated from the rule, with an example that is computed, not written."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import RenderableType

from ..formats.keras.spelling import line as keras_line
from ..ir.axis import SPATIAL, Axis, Role, new_axis
from ..rules.lower import RESULT, Plan, Step, lower
from ..rules.match import NAME_ROLES, Match, match
from ..rules.notation import Equation, Term
from ..rules.oracle import evaluate
from ..rules.table import Kind, Rule
from ..shapes.broadcast import Convention
from .layout import columns, fields, filled, indented, line, words
from .words import sizes_text

_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23)
_STARS = {"s": 2, "r": 2}
_NAMES = ("x", "y")

NEEDS = {
    Kind.PLACE: "It only adds or moves axes. It is applied by default where the evidence (the roles of the axes, where "
    "they come from, their sizes) leaves one placement.",
    Kind.REPEAT: "It repeats data. It is applied by default only where every repeated axis has the same role on both "
    "sides and one whole ratio.",
    Kind.TURN: "It gives the result another layout than either operand has. It is applied by default only where the "
    "file records that shape, or where every other reading causes a contradiction downstream.",
    Kind.CONTRACT: "It sums, or gives the result another rank. It is applied by default only where the file records "
    "that result; otherwise state it with --at.",
}


class Reading(NamedTuple):
    """A kind of reading without a rule in the table: it is made from the axes of the operands."""

    name: str
    summary: str


def reading(item: Reading) -> Iterator[RenderableType]:
    """The page of a kind of reading."""
    yield line((item.name, "bold"))
    yield words(f"{item.summary[:1].upper()}{item.summary[1:]}.")
    yield ""
    yield words(
        "It is not a rule of the table: its equation follows from the axes of the operands, and check -v prints it. "
        "State it with that equation: --at 'NODE=EQUATION'."
    )


def page(rule: Rule) -> Iterator[RenderableType]:
    """The page of a rule."""
    yield line((rule.name, "bold"))
    if rule.summary:
        yield words(f"{rule.summary[:1].upper()}{rule.summary[1:]}.")
    if rule.source != "built in":
        yield words(f"Added by {rule.source}.")
    yield from _section("Equations", *(line(f"  {e}") for e in rule.equations))
    yield from _section("What the names stand for", _names(rule))
    yield from _section("When it is applied", indented(words(NEEDS[rule.kind]), 2))
    yield from _section(
        "To state it",
        line(f"  rewriter repair MODEL -o OUT --at NODE={rule.name}"),
        line("  or with an equation of your own, such as"),
        line(f'  --at "NODE={example_equation(rule.equations[0])}"'),
    )
    for equation in rule.equations:
        yield ""
        yield from _example(equation)


def _section(title: str, *blocks: RenderableType) -> Iterator[RenderableType]:
    yield ""
    yield line(title)
    yield from blocks


def example_equation(equation: Equation) -> Equation:
    """The equation with its stars written out as in the examples: ``s*`` as ``h w``."""
    ranks = []
    for terms in equation.operands:
        stars = [_STARS.get(n, 1) for t in terms if t.star for n in t.names[:1]]
        ranks.append(sum(not t.star for t in terms) + sum(stars))
    return equation.expand(ranks) or equation


def _names(rule: Rule) -> RenderableType:
    starred = {n: t.star for e in rule.equations for terms in e.operands for t in terms for n in t.names}
    labels = {name: f"{name}*" if star else name for name, star in starred.items()}
    rows = [
        (label, words(f"{'any number of axes, each of them ' if starred[name] else ''}{roles_text(name)}"))
        for name, label in labels.items()
    ]
    return fields(rows, first=max(map(len, labels.values())))


def roles_text(name: str) -> str:
    """What a name of an equation may stand for, from ``NAME_ROLES``."""
    if name == "b":
        return "the batch"
    allowed = NAME_ROLES.get(name)
    strong = [str(r) for r in Role if allowed and r in allowed and r not in (Role.UNKNOWN, Role.FEATURE)]
    if allowed is None or len(strong) >= len(SPATIAL) + 1:
        return "any axis but the batch"
    return " or ".join(strong or ["features"]) + ", or an axis without a role"


# -- the worked example -----------------------------
def _example(equation: Equation) -> Iterator[RenderableType]:
    """Operands of prime sizes, the lines of Keras, and the proof that they compute the equation."""
    written = example_equation(equation)
    sizes = _sizes(written)
    operands = [_axes(terms, sizes) for terms in written.operands]
    found = match(written, operands, roles=False)
    if not isinstance(found, Match):
        raise AssertionError(f"{written} does not match its own example: {found.reason}")
    plan = lower(found, Convention.NUMPY)
    shapes = [sizes_text(a.size for a in axes) for axes in operands]
    text = " and ".join(f"{name} {shape}" for name, shape in zip(_NAMES, shapes, strict=False))
    yield line(f"Example: {written}")
    yield indented(words(f"with {', '.join(f'{n}={s}' for n, s in sizes.items())}: {text}"), 2)
    if plan.cannot:
        yield indented(words(f"It cannot be written as nodes: {plan.cannot}."), 2)
        return
    yield from map(line, code(plan.steps, plan.replaces, sizes_text(plan.output)))
    if not agrees(written, sizes, operands, plan):
        raise AssertionError(f"the nodes of {written} do not compute it")
    yield line("  (run with NumPy just now: equal to the equation's einsum)")


def code(steps: Sequence[Step], replaces: bool, shape: str) -> list[str]:
    """The steps as lines of Keras, the last with the result's shape."""
    before = [
        keras_line(s, _NAMES).replace("y = ops.matmul", "z = ops.matmul")
        for s in steps
        if s.operand != RESULT
    ]
    after = [_on_result(keras_line(s, _NAMES), s) for s in steps if s.operand == RESULT]
    middle = [] if replaces else ["z = ops.multiply(x, y)"]
    lines = [*before, *middle, *after]
    longest = max(map(columns, lines))
    return [f"    {line}" for line in lines[:-1]] + [f"    {filled(lines[-1], min(longest, 50))}  # {shape}"]


def _on_result(line: str, step: Step) -> str:
    if step.op == "MatMul":
        return line.replace("y = ", "z = ", 1)
    return line.replace("y = ", "z = ", 1).replace("(y,", "(z,", 1)


def _sizes(equation: Equation) -> dict[str, int]:
    names = dict.fromkeys(n for terms in equation.operands for t in terms for n in t.names)
    return dict(zip(names, itertools.cycle(_PRIMES), strict=False))


def _axes(terms: Sequence[Term], sizes: dict[str, int]) -> tuple[Axis, ...]:
    result = []
    for term in terms:
        size = 1
        for name in term.names:
            size *= sizes[name]
        size -= term.cut  # one less than the product, to have something to cut
        result.append(new_axis(size, Role.BATCH if term.names == ("b",) else Role.UNKNOWN))
    return tuple(result)


def agrees(
    equation: Equation, sizes: dict[str, int], operands: Sequence[tuple[Axis, ...]], plan: Plan
) -> bool:
    """True if the plan's steps, run with NumPy, compute what the equation says."""
    import numpy as np

    rng = np.random.default_rng(0)
    arrays: list[Any] = [rng.integers(-9, 9, _shape(axes)).astype(float) for axes in operands]
    desired = evaluate(equation, sizes, arrays)
    for step in (s for s in plan.steps if s.operand != RESULT):
        arrays[step.operand] = run(step, arrays[step.operand])
    result = arrays[0] * arrays[1] if not plan.replaces else None
    for step in (s for s in plan.steps if s.operand == RESULT):
        result = arrays[0] @ arrays[1] if step.op == "MatMul" else run(step, result)
    return result is not None and result.shape == desired.shape and bool(np.array_equal(result, desired))


def _shape(axes: Sequence[Axis]) -> list[int]:
    return [a.size for a in axes if isinstance(a.size, int)]


def run(step: Step, array: Any) -> Any:
    """A step on an array of plain sizes."""
    import numpy as np

    if step.op == "Transpose":
        return np.transpose(array, step.axes)
    if step.op == "Tile":
        return np.tile(array, step.repeats)
    if step.op == "Repeat":
        return np.repeat(array, step.repeats[0], step.axes[0])
    if step.op == "Slice":
        return array[tuple(slice(size) for size in step.to if isinstance(size, int))]
    return np.reshape(array, step.to)
