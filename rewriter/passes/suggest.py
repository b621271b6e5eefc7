"""Suggest: the readings of an operation on two shapes, without a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError, did_you_mean, shown
from ..ir.axis import Axis, Origin, Role, Value, new_axis
from ..ir.graph import Graph, Node, Operation
from ..ir.size import Size, Truth, same, symbol
from ..presentation import Presentable, count
from ..rules.table import Kind as RuleKind
from ..rules.table import Rule
from ..shapes.broadcast import Convention, Fit, align, broadcast, fit, fixes_batch, only_at
from ..shapes.call import ShapeError
from ..shapes.inference import Inference
from . import stages
from .candidate import Applicability, Candidate, remark
from .candidates import candidates
from .codes import Kind, Severity
from .decision import Decision
from .finding import Finding, Operand
from .resolve import decide
from .sites import LOOKED_AT, Site

ELEMENTWISE = {
    "Multiply": Convention.MERGE,
    "multiply": Convention.NUMPY,
    "Add": Convention.MERGE,
    "add": Convention.NUMPY,
}
CONTRACTIONS = ("matmul", "Dot")
OPERATIONS = (*ELEMENTWISE, *CONTRACTIONS, "Concatenate")
LAYOUTS = ("channels_last", "channels_first")
_SPATIAL = {3: (Role.TIME,), 4: (Role.HEIGHT, Role.WIDTH), 5: (Role.DEPTH, Role.HEIGHT, Role.WIDTH)}

Shape = tuple[int | None, ...]
_OPEN = re.compile(r"[A-Za-z_][\w ()+*/-]*")  # None, B, ceil(H/2)


@dataclass(slots=True, repr=False)
class Suggestion(Presentable):
    """Whether the operation runs unchanged, its result, and the other readings."""

    legal: bool
    output: list[int | None] | None
    operands: list[Operand]
    candidates: list[Candidate]
    decision: Decision
    op: str = "Multiply"

    @property
    def chosen(self) -> int | None:
        return next((k for k, c in enumerate(self.candidates) if c is self.decision.choice), None)

    @property
    def why(self) -> str:
        return stages.why(self.decision)

    def _summary(self) -> str:
        runs = "runs" if self.legal else "does not fit"
        best = self.decision.choice
        said = count(len(self.candidates), "candidate") + (f", best {shown(best.rule, 60)}" if best else "")
        return f"{self.op}: {runs}, {said}"


def conditions(item: Suggestion) -> list[tuple[Axis, Axis]]:
    """The pairs of axes that need equal sizes for it to run; none where it runs at every size, or at no size."""
    axes = [o.value.axes or () for o in item.operands]
    if item.op == "Concatenate" and item.legal:
        x, y = axes
        return [(a, b) for a, b in zip(x[:-1], y[:-1], strict=True) if same(a.size, b.size) is Truth.UNKNOWN]
    convention = ELEMENTWISE.get(item.op)
    if item.legal or not all(axes) or (convention is None and item.op != "matmul"):
        return []
    summed = []
    if convention is None:
        x, y = axes
        summed = [(x[-1], y[max(len(y) - 2, 0)])]
        axes = [x[:-2], y[:-2]]
    columns = align(convention or Convention.NUMPY, axes)
    pairs = [(a, b) for a, b in columns if a is not None and b is not None]
    unequal = [pair for pair in pairs if fit(*pair) not in (Fit.SAME, Fit.STRETCH)]
    unequal += [(a, b) for a, b in summed if same(a.size, b.size) is not Truth.YES]
    met = all(fit(*pair) in (Fit.UNPROVEN, Fit.STRETCH) for pair in unequal)
    return unequal if met else []


def parse_shape(text: str) -> Shape:
    """A shape as users write it, ``"None,28,28,64"``, or as it is printed: ``"(B, 28, W, 64)"``, ``"batch=B, 64"``.

    A size that is not a number is open, whatever its name.

    Raises:
        UsageError: a size is neither a whole number nor the name of an open one, or is too large for a tensor.
    """
    inner = text.strip().strip("()[]").strip()
    sizes: list[int | None] = []
    for part in inner.rstrip(",").split(",") if inner else []:
        word = part.rpartition("=")[2].strip()
        if word == "?" or _OPEN.fullmatch(word):
            sizes.append(None)
        elif word.isascii() and word.isdigit():
            if len(word.lstrip("0")) > 18:
                raise UsageError(f"shape {shown(text)!r}: {shown(word)} is too large for a size")
            sizes.append(int(word[-18:]))
        else:
            raise UsageError(
                f"shape {shown(text)!r}: {shown(word)!r} is neither a whole number nor an open size such as None"
            )
    return tuple(sizes)


def suggest(
    lhs: Shape, rhs: Shape, rules: Sequence[Rule], op: str = "Multiply", layout: str | None = None
) -> Suggestion:
    """The readings of ``op`` on two shapes.

    Args:
        op: one of ``OPERATIONS``; layers are capitalised.
        layout: the layout of the operand of the higher rank, if it is known.

    Raises:
        UsageError: an unknown op or layout.
    """
    if op not in OPERATIONS:
        raise UsageError(
            f"--op {shown(op)!r}: must be one of {', '.join(OPERATIONS)}{did_you_mean(op, OPERATIONS)}"
        )
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(f"--layout {shown(layout)!r}: must be channels_last or channels_first")
    merged = ELEMENTWISE.get(op) is Convention.MERGE or op == "Concatenate"
    found = _suggestion(_values((lhs, rhs), merged, layout), rules, op)
    if merged and not found.legal and not _proven(found):
        # A layer takes the first axis for the batch, but a constant has none.
        constant = _suggestion(_values((lhs, rhs), False, layout), rules, op)
        return constant if _proven(constant) else found
    return found


def _proven(suggestion: Suggestion) -> bool:
    """True if the sizes of a reading fit, rather than may fit."""
    return any(not candidate.match.assumed for candidate in suggestion.candidates)


def _suggestion(values: Sequence[Value], rules: Sequence[Rule], op: str) -> Suggestion:
    operands = [Operand(("lhs",), values[0]), Operand(("rhs",), values[1])]
    if op == "Concatenate":
        found = _concatenation(operands, rules)
    elif op in CONTRACTIONS:
        found = _contraction(operands, rules, op)
    else:
        found = _product(operands, rules, ELEMENTWISE[op], op)
    found.op = op
    return found


def _values(shapes: Sequence[Shape], merge: bool, layout: str | None) -> list[Value]:
    """The operands. ``None`` in front is the batch; so is a lone ``None`` behind steps, beside an operand with a batch.

    Args:
        merge: whether a number in front is a batch too.
    """
    batch = Origin(Role.BATCH)
    data = max(range(len(shapes)), key=lambda k: len(shapes[k]))
    open_batch = any(shape[:1] == (None,) for shape in shapes)
    result = []
    for k, shape in enumerate(shapes):
        roles = _roles(len(shape), layout) if k == data else ()
        time_first = open_batch and shape[1:2] == (None,) and shape.count(None) == 1 and shape[0] != 1
        axes = []
        for i, size in enumerate(shape):
            if time_first:
                axes.append(Axis(symbol("B"), batch) if size is None else new_axis(size))
                continue
            if i == 0 and (size is None or merge or (open_batch and k == data)):
                axes.append(
                    Axis(symbol("B") if size is None else size, batch if size is None else Origin(Role.BATCH))
                )
                continue
            known: Size = symbol(f"N{k}{i}") if size is None else size
            axes.append(new_axis(known, roles[i] if roles else Role.UNKNOWN))
        result.append(Value(tuple(axes)))
    return result


def _roles(rank: int, layout: str | None) -> tuple[Role, ...]:
    spatial = _SPATIAL.get(rank)
    if layout is None or spatial is None:
        return ()
    if layout == "channels_last":
        return (Role.UNKNOWN, *spatial, Role.CHANNEL)
    return (Role.UNKNOWN, Role.CHANNEL, *spatial)


def _site(operands: Sequence[Operand], op: str) -> Site:
    kind = "layer" if op[:1].isupper() else "op"
    convention, family = LOOKED_AT[kind, op if kind == "layer" else op.capitalize()]
    node = Node(op, Operation(op, kind, op, {}), 0, (), {})
    return Site((op,), node, Inference(Graph("suggest"), {}), convention, tuple(operands), family)


def _product(operands: list[Operand], rules: Sequence[Rule], convention: Convention, op: str) -> Suggestion:
    site = _site(operands, op)
    axes = [o.value.axes or () for o in operands]
    legal = _legal(convention, axes)
    output = _shape(broadcast(convention, axes, unify=False)) if legal else None
    found = candidates(site, rules, with_identity=legal)
    if legal:
        found.sort(key=lambda c: bool(c.plan.steps))
    else:
        found = _plain_first(found, axes[0])
    finding = decide(Finding(Kind.INCOMPATIBLE, Severity.ERROR, (op,), op, convention, operands, "", found))
    if legal:
        if found and _pairs_samples(convention, axes):
            return Suggestion(True, output, operands, found, Decision(stages.PAIRS_OF_SAMPLES, found[0]))
        return Suggestion(True, output, operands, found, Decision(stages.RUNS))
    choice = finding.choice
    if choice is not None and choice.kind is RuleKind.REPEAT:
        finding.decide(Decision(stages.REPEATS, choice))
    elif choice is not None and _outgrows(choice, axes):
        finding.decide(Decision(stages.OUTGROWS, choice))
    if choice is not None and finding.choice is None:
        choice.applicability = Applicability.UNSAFE
    return Suggestion(False, None, operands, found, finding.decision)


def _plain_first(found: Sequence[Candidate], data: Sequence[Axis]) -> list[Candidate]:
    """Of readings of equal evidence, those of whole axes first, then those that keep the first operand's shape."""

    def group(candidate: Candidate) -> tuple[object, ...]:
        return candidate.needs_evidence, candidate.rank

    def key(candidate: Candidate) -> tuple[int, bool, bool]:
        terms = [term for terms in candidate.match.equation.operands for term in terms]
        changed = candidate.plan.output != tuple(axis.size for axis in data)
        return groups.index(group(candidate)), any(len(t.names) > 1 for t in terms), changed

    groups = list(dict.fromkeys(map(group, found)))
    return sorted(found, key=key)


def _pairs_samples(convention: Convention, axes: Sequence[tuple[Axis, ...]]) -> bool:
    columns = align(convention, axes)
    return sum(any(a is not None and a.role is Role.BATCH for a in column) for column in columns) > 1


def _legal(convention: Convention, axes: Sequence[tuple[Axis, ...]]) -> bool:
    for column in align(convention, axes):
        present = [a for a in column if a is not None]
        if len(present) == 2 and fit(*present) not in (Fit.SAME, Fit.STRETCH):
            return False
    return True


def _outgrows(candidate: Candidate, axes: Sequence[tuple[Axis, ...]]) -> bool:
    """True if the first operand has a batch, and the result has more axes than that operand."""
    return bool(axes[0]) and axes[0][0].role is Role.BATCH and len(candidate.plan.output) > len(axes[0])


def _contraction(operands: list[Operand], rules: Sequence[Rule], op: str) -> Suggestion:
    axes = [o.value.axes or () for o in operands]
    found = candidates(_site(operands, op), rules)
    order = {rule.name: i for i, rule in enumerate(rules)}
    found.sort(key=lambda c: (*_directness(c), order[c.rule]))
    output = _matmul(axes) if op == "matmul" else None
    if output is not None:
        paired = _one_batch(axes)
        if paired and found and found[0].kind is RuleKind.CONTRACT:
            pairs = Decision(stages.PAIRS_OF_SAMPLES, found[0])
            return Suggestion(True, _shape(output), operands, found, pairs)
        return Suggestion(True, _shape(output), operands, found, Decision(stages.RUNS))
    best = [c for c in found if not c.match.assumed]
    for candidate in found:
        candidate.applicability = Applicability.DISPLAY if candidate.match.assumed else Applicability.UNSAFE
    if len({c.plan.output for c in best}) == 1:
        best[0].applicability = Applicability.SAFE
        return Suggestion(False, None, operands, found, Decision(stages.ONE_PRODUCT, best[0]))
    stage = stages.SEVERAL_PRODUCTS if found else stages.NO_PRODUCT
    return Suggestion(False, None, operands, found, Decision(stage))


def _directness(candidate: Candidate) -> tuple[int, ...]:
    """A sort key with the most likely product first: one that sums, shares many axes, and keeps the operands as they
    are.

    Where sizes are assumed, the last two do not count.
    """
    equation = candidate.match.equation
    ranks = {len(axes) for axes in candidate.match.operands}
    matrices = len(ranks) == 1 and min(ranks) > 2
    fewest = len(candidate.plan.steps) if candidate.rule == "matvec" else 0
    if candidate.match.assumed:
        return (1, equation.grows and not equation.contracted, fewest)
    return (
        0,
        equation.grows and not equation.contracted,
        matrices and sum(bool(term.names) for term in equation.output) not in ranks,
        -len(equation.names(0) & equation.names(1)),
        -candidate.rank.in_order,
        sum(step.op == "Transpose" for step in candidate.plan.steps),
        fewest,
    )


def _one_batch(axes: Sequence[tuple[Axis, ...]]) -> bool:
    """True if operands of different rank begin with the same size, which looks like one batch on both sides."""
    x, y = axes
    return len(x) != len(y) and x[0].size != 1 and same(x[0].size, y[0].size) is Truth.YES


def _matmul(axes: Sequence[tuple[Axis, ...]]) -> tuple[Axis, ...] | None:
    """The axes of ``ops.matmul``, or None where it cannot run at every size."""
    x, y = axes
    if not x or not y or same(x[-1].size, y[max(len(y) - 2, 0)].size) is not Truth.YES:
        return None
    if len(x) == 1 or len(y) == 1:
        return (*y[:-2], y[-1]) if len(x) == 1 < len(y) else x[:-1]
    try:
        lead = broadcast(Convention.NUMPY, [x[:-2], y[:-2]], unify=False)
    except ShapeError:
        return None
    return (*lead, x[-2], y[-1])


def _concatenation(operands: list[Operand], rules: Sequence[Rule]) -> Suggestion:
    """Joined along the last axis, Keras's default."""
    broken = _cannot_join(operands)
    if not broken:
        x, y = (o.value.axes or () for o in operands)
        output = [*_shape(x[:-1]), *_shape([new_axis(x[-1].size + y[-1].size)])]
        return Suggestion(True, output, operands, [], Decision(stages.RUNS, details={"joined": -1}))
    found = candidates(_site(operands, "Concatenate"), rules)
    rank = max(len(o.value.axes or ()) for o in operands)
    found.sort(key=lambda candidate: len(candidate.plan.output) < rank)
    for candidate in found:
        candidate.applicability = Applicability.DISPLAY if candidate.match.assumed else Applicability.UNSAFE
    decision = Decision(stages.NOT_JOINED, details={"message": broken})
    if found:
        decision = decision.noted(remark("what-follows-tells"))
    return Suggestion(False, None, operands, found, decision)


def _cannot_join(operands: list[Operand]) -> str:
    """Why the operands cannot be joined along the last axis, or ""."""
    x, y = (o.value.axes or () for o in operands)
    if len(x) != len(y) or not x:
        return "the ranks differ: the tensors cannot be joined"
    if len(x) > 1 and fixes_batch(x[0], y[0]):
        return only_at(x[0], y[0])
    clash = next(
        (i for i, (a, b) in enumerate(zip(x[:-1], y[:-1], strict=True)) if same(a.size, b.size) is Truth.NO),
        None,
    )
    if clash is not None:
        return f"axis {clash} is {x[clash].size} here and {y[clash].size} there: joining along axis -1 needs them equal"
    return ""


def _shape(axes: Sequence[Axis]) -> list[int | None]:
    return [a.size if isinstance(a.size, int) else None for a in axes]
