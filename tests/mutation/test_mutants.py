"""Every mutant is found and repaired to the original function, or refused with the true repair on the list.

Keras is the judge: it loads the repaired file and its outputs equal the original's on random inputs at two
batch sizes, one of them a size of the model, where silent faults hide. The tolerance is rtol 1e-5 and atol
1e-6, 1e-2 in float16.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import rewriter
from tests import support
from tests.mutation.mutants import MUTANTS, Mutant
from tests.mutation.workshop import batches, tolerance
from tests.one_answer import assert_one_answer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mutation.workshop import Workshop

EXACT = [name for name, m in MUTANTS.items() if m.expect == "exact"]
REFUSED = [name for name, m in MUTANTS.items() if m.expect == "refused"]
TIED = [name for name, m in MUTANTS.items() if m.expect == "tied"]
EQUIVALENT = [name for name, m in MUTANTS.items() if m.expect == "equivalent"]


def digest(path: Path) -> str:
    """The file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names_node(found: str, wanted: str) -> bool:
    """Whether a finding is about a node; a later call of a shared layer may carry a suffix."""
    return re.fullmatch(re.escape(wanted) + r"([#:@/\[(].*)?", found) is not None


def assert_found(mutant: Mutant, report: rewriter.Report) -> None:
    """Every multiply that was broken has a finding, and no other node has one."""
    serious = [f.node for f in report.findings if f.severity in ("error", "warning")]
    expected = mutant.case.recipe.at
    for at in expected:
        assert any(names_node(node, at) for node in serious), f"{at} not among {serious}"
    for node in serious:
        assert any(names_node(node, at) for at in expected), f"{node} is sound"


def two_batches(workshop: Workshop, mutant: Mutant, mutation) -> list[int]:
    """Batch 3 and the largest size at the multiply, or 5 if that is no more; a static batch alone."""
    sizes = batches(workshop.original(mutant), mutation)
    if 3 not in sizes:
        return sizes
    return [3, sizes[-1] if sizes[-1] > 3 else 5]


@pytest.mark.parametrize("name", EXACT)
def test_a_mutant_is_repaired_to_the_original_function(workshop, tmp_path, name):
    mutant = MUTANTS[name]
    original, mutation = workshop.original(mutant), workshop.break_(mutant)
    before = digest(mutation.path)
    fixed = tmp_path / "fixed.keras"

    assert_found(mutant, rewriter.check(mutation.path))
    result = rewriter.repair(mutation.path, fixed)
    assert result.output is not None, [f.why for f in result.findings]
    assert result.inserted
    assert digest(mutation.path) == before

    repaired = support.load(fixed)
    wanted = support.weights_by_layer(original)
    got = support.weights_by_layer(repaired)
    assert set(got) == set(wanted)
    for layer, values in wanted.items():
        for a, d in zip(got[layer], values, strict=True):
            assert (a == d).all(), f"the weights of {layer} changed"
    for batch in two_batches(workshop, mutant, mutation):
        inputs = support.random_inputs(original, batch, seed=batch)
        support.compare(support.run(repaired, inputs), support.run(original, inputs), **tolerance(mutant))

    again = tmp_path / "again.keras"
    second = rewriter.repair(fixed, again)
    assert [f for f in second.findings if f.severity in ("error", "warning")] == []
    assert not second.inserted
    assert digest(again) == digest(fixed)


@pytest.mark.parametrize("name", TIED)
def test_a_tie_is_refused_and_the_truth_is_listed(workshop, tmp_path, name):
    """The reading for distinct sizes is also listed here, and gives the original function if the user states it."""
    mutant = MUTANTS[name]
    original, mutation = workshop.original(mutant), workshop.break_(mutant)
    fixed = tmp_path / "fixed.keras"
    result = rewriter.repair(mutation.path, fixed)
    assert result.output is None
    assert not fixed.exists()
    sibling = replace(mutant, twin=False, writer="edited")
    told = rewriter.check(workshop.break_(sibling).path).findings
    truth = {f.node: f.choice.equation for f in told if f.choice is not None}
    tied = [f for f in result.undecided if f.chosen is None]
    assert tied
    for finding in tied:
        assert truth[finding.node] in {c.equation for c in finding.candidates}
    stated = rewriter.repair(mutation.path, fixed, at=truth)
    assert stated.output is not None, [f.why for f in stated.findings]
    repaired = support.load(fixed)
    for batch in two_batches(workshop, mutant, mutation):
        inputs = support.random_inputs(original, batch, seed=batch)
        support.compare(support.run(repaired, inputs), support.run(original, inputs), **tolerance(mutant))


@pytest.mark.parametrize("name", REFUSED)
def test_a_mutant_that_cannot_be_decided_is_refused(workshop, tmp_path, name):
    mutant = MUTANTS[name]
    mutation = workshop.break_(mutant)
    target = tmp_path / "fixed.keras"
    report = rewriter.check(mutation.path)
    assert_found(mutant, report)
    result = rewriter.repair(mutation.path, target)
    assert result.output is None
    assert list(tmp_path.iterdir()) == []
    (finding,) = (f for f in result.findings if names_node(f.node, mutant.case.recipe.at[0]))
    assert finding.chosen is None
    assert finding.why
    assert mutant.case.rule in {c.rule for c in finding.candidates}


@pytest.mark.parametrize("name", EQUIVALENT)
def test_a_change_without_a_fault_is_left_alone(workshop, tmp_path, name):
    mutation = workshop.break_(MUTANTS[name])
    target = tmp_path / "copy.keras"
    result = rewriter.repair(mutation.path, target)
    assert [f for f in result.findings if f.severity in ("error", "warning")] == []
    assert not result.inserted
    assert digest(target) == digest(mutation.path)


def test_the_suite_covers_every_pattern():
    patterns = {m.case.pattern for m in MUTANTS.values()}
    assert len(patterns) >= 17
    assert len(EXACT) + len(TIED) + len(REFUSED) >= 80


@pytest.mark.parametrize("name", MUTANTS)
def test_check_its_plan_and_repair_say_the_same(workshop, tmp_path, name):
    """``repair`` applies the choices that ``check`` marks, and so does its plan, in either mode."""
    assert_one_answer(workshop.break_(MUTANTS[name]).path, tmp_path / "plan.toml", "multiply")
