"""What is to be proven of a repaired file, decided from the axes before Keras is started."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import shown
from ..formats.model_file import ModelFile
from ..formats.registry import format_of
from ..ir.axis import Axis, Role, Value
from ..ir.graph import TRACED, Graph, Operation
from ..passes.analysis import Analysis
from ..passes.candidate import Candidate
from ..passes.rewrite import Applied
from ..rules.notation import Term
from ..shapes.broadcast import positions
from ..shapes.inference import Inference
from ..shapes.keras_facts import facts_of
from ..trusted import is_trusted
from .named import foreign

_ASSUMED_SIZE = 16  # of an axis that is not a plain number, for the estimate of memory
_MAX_SIZES = 64

CHECKS = ("independence", "batch-one", "equation", "gradients")

# Proves a request; ``{"checks": ...}``, or ``{"skipped": reason}``.
Prover = Callable[["Request"], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a changed node must compute.

    ``meets`` is the operation that takes the operands, ``gives`` the one that makes the result. They are the same,
    unless a MatMul replaced the node: then they are the first and the last node of the replacement. ``chains`` has the
    operations that were inserted at each operand, ``literals`` the original values of constant operands. ``shared`` is
    true if ``meets`` is called more than once. An operation is a path of names from the outermost model.
    ``equation`` and ``kept`` are as in ``rules.match``. The batch axes (of the operands and the result) are None
    without a batch, -1 if the batch is not the leading part of an axis.
    """

    node: str
    op: str
    meets: list[str]
    gives: list[str]
    chains: list[list[list[str]]]
    literals: dict[str, Any]
    shared: bool
    equation: str
    kept: list[list[int]]
    operand_batches: list[int | None]
    result_batch: int | None


@dataclass(frozen=True, slots=True)
class Request:
    """A repaired file, the original, and what the proof must show, as plain data for JSON.

    ``format`` and ``original_format`` are the formats of the two files, as in ``ModelFile.format``.

    ``batches`` are the sizes to run, the most important first: 1, 2, 3, then others. ``elements`` is how many numbers
    all tensors of one sample have together. ``not_independent`` says why samples need not be independent, ``no_oracle``
    why the original at batch 1 does not compute what was meant; both are "" if the check is to run.
    ``saved_by`` is the program that wrote the original (``Keras 3.8.0``), "" if the file does not state it.
    ``seconds`` is the time after which no new batch begins, ``largest`` the most numbers that a batch may have.
    """

    repaired: str
    original: str
    format: str
    original_format: str
    claims: list[Claim]
    output_batches: list[int | None]
    batches: list[int]
    elements: int
    not_independent: str = ""
    no_oracle: str = ""
    saved_by: str = ""
    seconds: float = 20.0
    largest: int = 1 << 29
    skipped: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def from_dict(data: dict[str, Any]) -> Request:
    return Request(**{**data, "claims": [Claim(**claim) for claim in data["claims"]]})


def make_request(
    repaired: ModelFile, original: ModelFile, changes: Sequence[Applied], after: Analysis
) -> Request:
    """The request for a repaired file.

    Args:
        original: the file that was repaired.
        changes: what the rewriter did.
        after: the analysis of the repaired file.
    """
    inference = after.inference
    claims = [_claim(change) for change in changes]
    # For an output of unknown shape, axis 0 is tried: only the known axes of a changed node can show it at fault.
    outputs = [0 if v.axes is None else batch_axis(v) for v in inference.outputs()]
    return Request(
        repaired.path,
        original.path,
        repaired.format,
        original.format,
        claims,
        outputs,
        _batches(changes, inference),
        _elements(inference),
        _not_independent(changes, outputs),
        next((why for change in changes if (why := _no_oracle(change))), ""),
        saved_by=original.saved_by,
        skipped=cannot_be_run(repaired.format, repaired.graph),
    )


def _claim(change: Applied) -> Claim:
    found = change.candidate.match
    return Claim(
        shown(change.node),
        change.op,
        list(change.meets),
        list(change.gives),
        [[list(path) for path in chain] for chain in change.chains],
        {str(k): literal.value for k, literal in change.literals.items()},
        change.shared,
        str(found.equation),
        [list(kept) for kept in found.kept],
        [batch_axis(operand.value) for operand in change.operands],
        batch_axis(Value(found.output())),
    )


def batch_axis(value: Value) -> int | None:
    """The axis whose leading part is the batch; None without a batch, -1 if it is another part of an axis."""
    for position, axis in enumerate(value.axes or ()):
        roles = [leaf.role for leaf in axis.flat()]
        if Role.BATCH in roles:
            return position if roles[0] is Role.BATCH else -1
    return None


def cannot_be_run(form: str, graph: Graph) -> str:
    """Why the model must not be run, or ""."""
    runtime = format_of(form).runtime
    if not runtime:
        return f"nothing here runs {form} files"
    if runtime != "keras":
        return ""
    if named := foreign(graph.model_class):
        return f"the model is a {named}, which is not run"
    for operation in _operations(graph):
        if _is_code(operation):
            return f"{shown(operation.name)!r} ({shown(operation.class_name)}) is code, which is not run"
    for operation in graph.operations.values():
        if operation.trace is None and (named := foreign(operation.raw)):
            return f"{shown(operation.name)!r} names {named}, which is not run"
    return ""


def _is_code(operation: Operation) -> bool:
    """Whether Keras would run code for an operation that the user does not trust."""
    trusted = is_trusted(operation.module, operation.raw.get("registered_name"))
    if trusted or operation.trace is not None:
        return False
    root = operation.module.split(".")[0]
    return bool(operation.opaque) or facts_of(operation.class_name).runs_code or root not in ("", "keras")


def _operations(graph: Graph) -> Iterator[Operation]:
    """Every operation of a model, with those of nested models and wrapped layers."""
    waiting = list(graph.operations.values())
    while waiting:
        operation = waiting.pop()
        yield operation
        if operation.graph is not None and operation.graph.kind != TRACED:
            waiting += operation.graph.operations.values()
        for child in operation.children.values():
            waiting += child if isinstance(child, list) else [child]


# -- sizes -----------------------------
def _batches(changes: Sequence[Applied], inference: Inference) -> list[int]:
    """1, 2, 3, the sizes that meet at the changed nodes, then every other size of the graph."""
    near = [a.size for c in changes for o in c.operands for a in o.value.axes or ()]
    far = [
        a.size
        for _, item in inference.walk()
        for vs in item.values.values()
        for v in vs
        for a in v.axes or ()
    ]
    groups = [sorted({size for size in sizes if isinstance(size, int)}) for sizes in (near, far)]
    ordered = dict.fromkeys([1, 2, 3, *groups[0], *groups[1]])
    return [size for size in ordered if size > 0][:_MAX_SIZES]


def _elements(inference: Inference) -> int:
    """The numbers in all tensors at batch 1, those of nested models once."""
    return sum(
        math.prod(a.size if isinstance(a.size, int) else _symbolic(a) for a in value.axes or ())
        for _, item in inference.walk()
        for values in item.values.values()
        for value in values
    )


def _symbolic(axis: Axis) -> int:
    return 1 if axis.role is Role.BATCH else _ASSUMED_SIZE


# -- what can be expected -----------------------------
def _not_independent(changes: Sequence[Applied], outputs: Sequence[int | None]) -> str:
    """Why an output for a sample may depend on other samples, or ""."""
    for change in changes:
        mixed = next((t for t in _batch_terms(change) if len(t.names) > 1), None)
        if mixed is not None:
            return f"{shown(change.node)!r} pairs samples of batches of different size ({mixed})"
    if all(axis in (None, -1) for axis in outputs):
        return "no output has a batch axis"
    return ""


def _batch_terms(change: Applied) -> Iterator[Term]:
    """The terms of the equation for the batch axes of the operands."""
    found = change.candidate.match
    for terms, kept, axes in zip(found.equation.operands, found.kept, found.operands, strict=True):
        yield from (t for t, i in zip(terms, kept, strict=True) if axes[i].role is Role.BATCH)


def _no_oracle(change: Applied) -> str:
    """Why the original node does not compute its equation at batch 1, or "".

    A batch axis of size 1 broadcasts with any axis. The convention aligns the other axes. If the equation pairs them in
    the same way, and the result has the same shape, the original at batch 1 computes what is meant.
    """
    if _same_at_batch_one(change.candidate, change):
        return ""
    return f"at batch 1 the original {shown(change.node)!r} does not pair its axes as {change.candidate.equation}"


def _same_at_batch_one(candidate: Candidate, change: Applied) -> bool:
    found = candidate.match
    if (
        len(found.equation.operands) == 1
    ):  # a Reshape was lost: the run of the original shows whether it runs at all
        return True
    if found.equation.joins:  # at batch 1, a node that only repeats one sample changes nothing
        return all(step.like is not None and step.axes == (0,) for step in candidate.plan.steps)
    output = found.equation.output
    ranks = [len(operand.value.axes or ()) for operand in change.operands]
    if max(ranks) != len(output) or ranks != [len(axes) for axes in found.operands]:
        return False  # or a change upstream made the operands fit the equation
    batch = {name for term in _batch_terms(change) for name in term.names}
    columns: list[set[tuple[str, ...]]] = [set() for _ in output]
    for terms, kept, operand, rank in zip(
        found.equation.operands, found.kept, change.operands, ranks, strict=True
    ):
        places = positions(change.convention, rank, len(output))
        axes = operand.value.axes or ()
        for term, axis in zip(terms, kept, strict=True):
            if axes[axis].size != 1 and not set(term.names) <= batch:
                columns[places[axis]].add(term.names)
    return all(
        column == {term.names} if column else set(term.names) <= batch or found.size(term) == 1
        for column, term in zip(columns, output, strict=True)
    )
