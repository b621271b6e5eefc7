"""Broadcasting repeats data by itself: no repaired gate has a node that repeats data."""

from __future__ import annotations

import pytest

import rewriter
from tests.mutation.mutants import MUTANTS
from tests.zoo import ZOO

GATES = {
    name: mutant
    for name, mutant in MUTANTS.items()
    if mutant.expect == "exact"
    and ZOO[mutant.case.builder].family in ("squeeze", "film", "spatial")
    and not ZOO[mutant.case.builder].function.startswith("unet")  # their gate is upsampled on purpose
}
QUICK = [name for name, mutant in GATES.items() if mutant.writer == "edited" and not mutant.twin]
REPEATS = {"Tile", "Repeat", "UpSampling1D", "UpSampling2D", "UpSampling3D", "RepeatVector"}


def repeating(path) -> int:
    """The number of nodes that repeat data, also in nested models."""
    return sum(row["op"] in REPEATS for row in _nodes(path))


def _nodes(path):
    from rewriter.report import as_json

    return as_json.shapes(rewriter.shapes(path))["nodes"]


def check(workshop, folder, name: str) -> None:
    mutation = workshop.break_(MUTANTS[name])
    before = repeating(mutation.path)
    result = rewriter.repair(mutation.path, folder / "fixed.keras", verify=False)
    assert result.inserted
    assert not {i.op for i in result.inserted} & {"Tile", "Repeat"}
    assert repeating(folder / "fixed.keras") == before


@pytest.mark.parametrize("name", QUICK)
def test_no_repaired_gate_has_a_tile(workshop, tmp_path, name):
    check(workshop, tmp_path, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(GATES) - set(QUICK)))
def test_no_other_repaired_gate_has_one(workshop, tmp_path, name):
    check(workshop, tmp_path, name)


def test_there_are_gates_of_every_kind():
    assert len(GATES) > 30
    families = {ZOO[MUTANTS[name].case.builder].family for name in GATES}
    assert families == {"squeeze", "film", "spatial"}
