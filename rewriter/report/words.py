"""Words that several reports share: the kinds of findings, shapes, steps and conventions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import shown
from ..ir.axis import Value
from ..ir.size import Size
from ..passes.codes import Severity
from ..passes.finding import LITERAL, Finding, Operand
from ..passes.placements import SUMMARIES
from ..passes.sites import Site
from ..presentation import count as count
from ..rules.lower import RESULT, Step
from ..rules.table import Rule
from ..shapes.broadcast import Convention

CONVENTIONS: dict[Convention, str] = {
    Convention.MERGE: "keras.layers.Multiply takes axis 0 of every operand as the batch and inserts missing axes "
    "after it, at position 1.",
    Convention.NUMPY: "keras.ops.multiply and '*' line up axes from the right, as NumPy, TensorFlow and ONNX do, and "
    "insert missing axes in front.",
    Convention.BUILT: "keras.layers.Multiply was built on operands of one rank, by its build_config or its first call: "
    "it inserts no axes, and lines them up from the right.",
    Convention.NONE: "",
}

# Operators of ONNX and TensorFlow that Keras calls by another name.
_OPERATORS = frozenset(
    {"AddV2", "Div", "DivNoNan", "FloorDiv", "Mul", "MulNoNan", "RealDiv", "SquaredDifference", "Sub"}
)


def convention_of(convention: Convention, op: str) -> str:
    """How the operands of a layer (capitalised) or an operator meet, in words."""
    text = CONVENTIONS[convention]
    if op == "Multiply" or not text:
        return text
    if op in _OPERATORS:
        return f"the operator {op} lines up axes from the right, as NumPy does, and inserts missing axes in front."
    if convention in (Convention.MERGE, Convention.BUILT):
        return text.replace("keras.layers.Multiply", f"keras.layers.{op}")
    return text.replace("keras.ops.multiply and '*' line", f"keras.ops.{op.lower()} lines").replace(
        "do, and insert", "do, and inserts"
    )


def convention_text(site: Site) -> str:
    """How the operands of a node meet, in words."""
    return convention_of(site.convention, site.node.operation.class_name)


COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def sizes_text(sizes: Iterable[Size | None]) -> str:
    """``(B, 28, 28, 64)``; ``(64,)`` for one axis, as Python writes it."""
    parts = [str(s) for s in sizes]
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def value_text(value: Value) -> str:
    """``batch=B, height=28, channel=64``; only the size if the role is not known."""
    return value.text().strip("[]") or "a single number"


def operand_name(operand: Operand) -> str:
    return "constant" if operand.source == LITERAL else shown(operand.source)


def operand_names(operands: Sequence[Operand]) -> list[str]:
    """Names of the operands, with numbers if a name occurs twice."""
    names = [operand_name(o) for o in operands]
    return [f"{n} [{i + 1}]" if names.count(n) > 1 else n for i, n in enumerate(names)]


def op_text(item: Finding) -> str:
    """How the model writes the multiply."""
    if item.convention in (Convention.MERGE, Convention.BUILT):
        return f"layers.{item.op}"
    if item.convention is Convention.NUMPY and item.op == "Multiply":
        return "ops.multiply or '*'"
    return shown(item.op)


def complaint(item: Finding) -> str:
    """The finding's message without the operands in front of it."""
    operands = " x ".join(o.value.text() for o in item.operands)
    return item.message.removeprefix(f"{operands}: ").removeprefix("not analysed: ")


def step_text(step: Step, names: Sequence[str]) -> str:
    """``Reshape gate to (B, 1, 1, 64)``."""
    to = sizes_text(step.to)
    if step.op == "MatMul":
        return f"MatMul in its place, giving {to}"
    what = "the result" if step.operand == RESULT else names[step.operand]
    if step.op == "Transpose":
        return f"Transpose {what} by {step.axes}, giving {to}"
    if step.like is not None:
        axes = f"axes {step.axes}" if len(step.axes) > 1 else f"axis {step.axes[0]}"
        return f"Repeat {what} along {axes} to the size of {names[step.like]}, giving {to}"
    if step.op == "Tile":
        return f"Tile {what} by {step.repeats}, giving {to}"
    if step.op == "Repeat":
        return f"Repeat each entry of {what} {step.repeats[0]} times along axis {step.axes[0]}, giving {to}"
    if step.op == "Slice":
        return f"Slice {what}, keeping the first entries, to {to}"
    if step.op in ("ExpandDims", "Squeeze"):
        return f"{step.op} {what} at {step.axes if len(step.axes) > 1 else step.axes[0]}, giving {to}"
    return f"{step.op} {what} to {to}"


# The text for a reading that inserts nothing.
UNCHANGED = "this is what it computes now"


def rule_summary(name: str, rules: Sequence[Rule]) -> str:
    """The meaning of a rule, or of a reading without a rule, in a few words; "" if it is not known."""
    return next((rule.summary for rule in rules if rule.name == name), SUMMARIES.get(name, ""))


def steps_text(steps: Sequence[Step], names: Sequence[str]) -> list[str]:
    return [step_text(s, names) for s in steps] or ["no insertion needed"]
