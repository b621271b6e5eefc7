"""The list of readings is complete: it has every original product, and each reading computes its equation."""

from __future__ import annotations

import copy
import itertools
import math
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import rewriter
from rewriter.formats.registry import open_model
from rewriter.ir.axis import Role, new_axis
from rewriter.passes.analysis import analyse
from rewriter.passes.placements import placements
from rewriter.rules.lower import lower
from rewriter.rules.match import Match, match
from rewriter.rules.oracle import evaluate
from rewriter.rules.table import Kind as RuleKind
from rewriter.rules.table import builtin
from rewriter.shapes.broadcast import Convention
from tests import support
from tests.mutation.edits import read_config, write_config
from tests.rules import plans
from tools.architectures import ARCHITECTURES
from tools.mutations import mutations

BATCH = 2
SHAPES = [(3, 5), (4, 4), (3, 5, 7), (4, 6, 4), (3, 3, 3), (2, 3, 5, 7)]
CONVENTIONS = (Convention.MERGE, Convention.NUMPY)


def results(
    x: np.ndarray, y: np.ndarray, convention: Convention, recorded: tuple[int, ...]
) -> Iterator[np.ndarray]:
    """The results of the nodes of every placement; each is compared with its own equation."""
    operands = [(new_axis(v.shape[0], Role.BATCH), *map(new_axis, v.shape[1:])) for v in (x, y)]
    for placed in placements(operands, recorded):
        found = match(placed.equation, operands, roles=False, keep_units=placed.keep_units)
        assert isinstance(found, Match), (str(placed.equation), found)
        plan = lower(found, convention)
        assert not plan.cannot
        actual = plans.run(plan, [x, y], convention)
        kept = [np.reshape(v, [v.shape[i] for i in k]) for v, k in zip((x, y), found.kept, strict=True)]
        np.testing.assert_array_equal(actual, evaluate(found.equation, dict(found.sizes), kept))
        yield actual


def is_found(x: np.ndarray, y: np.ndarray, desired: np.ndarray, convention: Convention) -> bool:
    found = [r for pair in ((x, y), (y, x)) for r in results(*pair, convention, desired.shape)]
    return any(np.array_equal(r, desired) for r in found)


@pytest.mark.parametrize("convention", CONVENTIONS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_gate_on_any_axes_in_any_order_is_found(shape, convention):
    rank = len(shape)
    for count in range(1, rank + 1):
        for where in itertools.permutations(range(1, rank + 1), count):
            x, gate = plans.arrays([(BATCH, *shape), (BATCH, *(shape[p - 1] for p in where))])
            straight = gate.transpose(0, *(1 + where.index(p) for p in sorted(where)))
            lifted = straight.reshape(BATCH, *(n if p in where else 1 for p, n in enumerate(shape, 1)))
            assert is_found(x, gate, x * lifted, convention), (shape, where)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_data_in_another_layout_is_turned_to_the_gate(shape):
    rank = len(shape)
    layouts = [(rank, *range(1, rank)), (*range(2, rank + 1), 1)]
    for order, where in itertools.product(layouts, range(1, rank + 1)):
        x, gate = plans.arrays([(BATCH, *shape), (BATCH, shape[where - 1])])
        lifted = gate.reshape(BATCH, *(n if p == where else 1 for p, n in enumerate(shape, 1)))
        assert is_found(x.transpose(0, *order), lifted, x * lifted, Convention.MERGE), (shape, order, where)


def test_flat_operands_meet_the_axes_that_they_came_from():
    for shape in SHAPES:
        for start, end in itertools.combinations(range(len(shape) + 1), 2):
            x, gate = plans.arrays([(BATCH, *shape), (BATCH, *shape[start:end])])
            lifted = gate.reshape(BATCH, *(n if start <= p < end else 1 for p, n in enumerate(shape)))
            flat = gate.reshape(BATCH, -1)
            assert is_found(x, flat, x * lifted, Convention.MERGE)
            merged = x.reshape(BATCH, *shape[:start], math.prod(shape[start:end]), *shape[end:])
            column = gate.reshape(BATCH, *([1] * start), -1, *([1] * (len(shape) - end)))
            assert end - start == 1 or is_found(x, column, merged * column, Convention.MERGE)
            assert end - start == 1 or is_found(merged, gate, x * lifted, Convention.MERGE)
            assert is_found(x.reshape(BATCH, -1), x, (x * x).reshape(BATCH, -1), Convention.NUMPY)


def test_flat_data_meets_a_factor_for_each_group():
    x, gate = plans.arrays([(BATCH, 5, 3, 7), (BATCH, 5, 3)])
    assert is_found(x.reshape(BATCH, 5, 21), gate, x * gate[..., None], Convention.MERGE)
    x, gate = plans.arrays([(BATCH, 21), (BATCH, 3)])
    assert is_found(x, gate, x.reshape(BATCH, 3, 7) * gate[..., None], Convention.NUMPY)


def test_a_factor_on_an_axis_that_was_inserted_for_it_is_found():
    x, gate = plans.arrays([(BATCH, 3, 5, 1), (BATCH, 3, 7)])
    assert is_found(x, gate, x * gate[:, :, None], Convention.MERGE)


def test_the_list_stays_short():
    same = [(new_axis(BATCH, Role.BATCH), *(new_axis(4) for _ in range(5))) for _ in range(2)]
    assert len(list(placements(same, None))) < 200


# -- broken files -----------------------------
def broken(name: str, equal: bool, mutation: str, folder: Path, ops: str = "multiply"):
    """A valid model and its file with one mutation."""
    architecture = ARCHITECTURES[name]
    model = architecture.model(equal)
    original, edited = folder / "original.keras", folder / "edited.keras"
    model.save(original)
    config = read_config(original)
    (edit,) = (m.edit for m in mutations(config, ops) if m.name == mutation)
    changed = copy.deepcopy(config)
    edit(changed)
    write_config(original, edited, changed)
    return model, edited


EXACT = [
    ("spatial attention", False, "layout at multiply: operand 0", "b c h w, b h w -> b h w c"),
    ("spatial attention", False, "drop at multiply: Reshape of operand 1", "b h w c, b (h w) -> b h w c"),
    ("global context", False, "drop at multiply: Reshape of operand 0", "b h w c, b (h w) -> b (h w) c"),
    ("global context", True, "drop at multiply: Reshape of operand 0", "b h w c, b (h w) -> b (h w) c"),
    ("coordinate attention", False, "layout at multiply: operand 1", "b h w c, b c h -> b h w c"),
    (
        "two layouts",
        False,
        "alter at multiply: Permute of operand 1 to dims=[3, 1, 2]",
        "b h w c, b w c h -> b h w c",
    ),
    ("experts", False, "layout at multiply: operand 0", "b m n, b n -> b n m"),
    ("nested SE", False, "layout at block/multiply: operand 0", "b c h w, b c -> b h w c"),
    ("bilinear pooling", False, "contraction at dot: Dot", "b k m, b k n -> b m n"),
    ("bilinear pooling", False, "layout at multiply: operand 1", "b m 1, b n -> b m n"),
    ("Transformer", False, "contraction at matmul: Matmul", "b m k, b k n -> b m n"),
    ("CapsNet", False, "drop at multiply: before every operand, turned", "b m (k j), b m k -> b m k j"),
]


# Of two ways to split the weights from another network, one sums over the axis that the Dot layer names.
EXACT_OF_ALL = [
    ("hypernetwork", equal, "drop at dot: Reshape of operand 1", "b g, b (g p) -> b p")
    for equal in (False, True)
]


@pytest.mark.parametrize(
    ("ops", "name", "equal", "mutation", "equation"),
    [*(("multiply", *row) for row in EXACT), *(("all", *row) for row in EXACT_OF_ALL)],
)
def test_what_evidence_asks_for_is_repaired(ops, name, equal, mutation, equation, tmp_path):
    model, edited = broken(name, equal, mutation, tmp_path, ops)
    result = rewriter.repair(edited, tmp_path / "fixed.keras", ops=ops, verify=False)
    assert result.output is not None, [f.why for f in result.findings]
    assert {f.choice.equation for f in result.findings if f.choice} == {equation}
    fixed = support.load(tmp_path / "fixed.keras")
    for batch in (3, 6):
        inputs = support.random_inputs(model, batch)
        support.compare(support.run(fixed, inputs), support.run(model, inputs), rtol=1e-4, atol=1e-5)


REFUSED = [
    # A wrong Reshape: no transpose restores the order of the elements.
    ("spatial attention", False, "alter at multiply: Reshape of operand 1 to target_shape=[7, 1, 5]"),
    ("CapsNet", False, "alter at multiply_3: Reshape of operand 0 to target_shape=[7, 5, 3], turned"),
]


# A transpose directly before a product states the order of the axes: with all sizes equal, it runs and is intended.
MEANT = [
    ("spatial attention", "layout at multiply: operand 0"),
    ("coordinate attention", "layout at multiply: operand 1"),
    ("CapsNet", "layout at multiply_3: operand 1"),
    ("two layouts", "alter at multiply: Permute of operand 1 to dims=[1, 3, 2]"),
]


@pytest.mark.parametrize(("name", "mutation"), MEANT)
def test_a_transpose_that_somebody_wrote_is_meant(name, mutation, tmp_path):
    _, edited = broken(name, True, mutation, tmp_path)
    report = rewriter.check(edited)
    assert not report.findings, [f.message for f in report.findings]


@pytest.mark.parametrize(("name", "equal", "mutation"), REFUSED)
def test_sizes_alone_turn_nothing(name, equal, mutation, tmp_path):
    _, edited = broken(name, equal, mutation, tmp_path)
    result = rewriter.repair(edited, tmp_path / "fixed.keras", verify=False)
    assert result.output is None
    assert result.undecided


@pytest.mark.parametrize(
    ("name", "mutation", "before"),
    [
        ("hypernetwork", "alter at dot: Reshape of operand 1 to target_shape=[7, 5]", [7, 5]),
        ("bilinear pooling", "alter at dot: Reshape of operand 0 to target_shape=[5, 6]", [5, 6]),
    ],
)
def test_a_sum_over_another_axis_than_stated_is_not_taken_where_a_reshape_may_be_wrong(
    name, mutation, before, tmp_path
):
    _, edited = broken(name, False, mutation, tmp_path, "all")
    result = rewriter.repair(edited, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is None
    (finding,) = result.undecided
    assert "a Reshape made the axes" in finding.why
    assert [(a.argument, list(a.before)) for a in finding.upstream] == [("target_shape", before)]


def test_a_turn_that_nothing_asks_for_is_listed_and_below_the_plain_reading(tmp_path):
    _, edited = broken("spatial attention", True, "squeeze at multiply: operand 1", tmp_path)
    with open_model(edited) as source:
        source.load_weights()
        (finding,) = analyse(source.graph, builtin()).findings
    plain, *others = finding.candidates
    assert not plain.needs_evidence
    turned = [c for c in others if c.needs_evidence and c.kind is not RuleKind.CONTRACT]
    assert turned
    assert min(map(others.index, turned)) >= sum(not c.needs_evidence for c in others)


def test_readings_that_compute_the_same_are_one(tmp_path):
    """A sum over an axis of size 1 is the same function as the outer product."""
    _, edited = broken("bilinear pooling", False, "layout at multiply: operand 1", tmp_path)
    with open_model(edited) as source:
        source.load_weights()
        (finding,) = analyse(source.graph, builtin()).findings
    rng = random.Random(0)
    shapes = [[BATCH if i == 0 else a.size for i, a in enumerate(o.value.axes)] for o in finding.operands]
    operands = [np.array([rng.random() for _ in range(math.prod(s))]).reshape(s) for s in shapes]
    seen = []
    for candidate in finding.candidates:
        sizes = {n: BATCH if n == "b" else size for n, size in candidate.match.sizes.items()}
        kept = [
            v.reshape([v.shape[i] for i in k]) for v, k in zip(operands, candidate.match.kept, strict=True)
        ]
        value = evaluate(candidate.match.equation, sizes, kept)
        assert not any(map(partial(np.array_equal, value), seen)), candidate.equation
        seen.append(value)
