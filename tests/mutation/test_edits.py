"""The mutants match the table: Keras refuses, raises, is silently wrong, or computes the same."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from tests import support
from tests.mutation.edits import behaviour, observe, read_config
from tests.mutation.mutants import MUTANTS
from tests.mutation.workshop import batches, tolerance

if TYPE_CHECKING:
    from pathlib import Path


def written_by(writer: str) -> list[object]:
    """The mutants of one writer: every sixth on each run, the others with the slow tests."""
    names = [name for name, mutant in MUTANTS.items() if mutant.writer == writer]
    return [pytest.param(name, marks=() if k % 6 == 0 else pytest.mark.slow) for k, name in enumerate(names)]


@pytest.mark.parametrize("name", written_by("edited"))
def test_keras_makes_of_an_edited_file_what_the_table_says(workshop, name):
    mutant = MUTANTS[name]
    original = workshop.original(mutant)
    mutation = workshop.break_(mutant)
    seen = behaviour(mutation.path, original, batches(original, mutation), **tolerance(mutant))
    assert seen.fault == mutant.fault, seen


@pytest.mark.parametrize("name", written_by("keras"))
def test_a_file_that_keras_writes_loads_and_is_as_wrong(workshop, name):
    mutant = MUTANTS[name]
    original = workshop.original(mutant)
    mutation = workshop.break_(mutant)
    largest = batches(original, mutation)[-1:]
    seen = observe(support.load(mutation.path), original, largest, **tolerance(mutant))
    assert (set(seen.values()) == {"same"}) == (mutant.fault == "equivalent"), seen


def test_only_the_config_changes(workshop):
    mutation = workshop.break_(MUTANTS["se-op-distinct-edited-expand"])
    with zipfile.ZipFile(mutation.original) as before, zipfile.ZipFile(mutation.path) as after:
        assert before.namelist() == after.namelist()
        changed = [name for name in before.namelist() if before.read(name) != after.read(name)]
    assert changed == ["config.json"]


def recorded_shape(path: Path, node: str) -> list[int | None]:
    """The shape that a node's first tensor reference records."""
    (found,) = (n for n in read_config(path)["config"]["layers"] if n["name"] == node)
    return found["inbound_nodes"][0]["args"][0]["config"]["shape"]


def test_recorded_shapes_downstream_stay_in_an_edited_file(workshop):
    edited = workshop.break_(MUTANTS["outer-twin-edited-column-row"])
    assert edited.shapes == {"scale": [[[None, 6], [None, 6]]]}
    assert recorded_shape(edited.path, "line") == [None, 6, 6]


def test_the_shapes_that_meet_are_recorded(workshop):
    mutation = workshop.break_(MUTANTS["nested-twice-distinct-edited-middle.block.expand"])
    assert mutation.shapes == {"middle/block/scale": [[[None, 5, 7, 11], [None, 11]]]}
