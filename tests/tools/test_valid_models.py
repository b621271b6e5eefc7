"""Valid models drawn by `tools/valid_models.py` have no finding, and the tool reports wrong models and findings."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import pytest
from keras import layers, ops

from tools import valid_models as tool
from tools.valid import idiom as table
from tools.valid.build import Valid, valid_model
from tools.valid.idiom import IDIOMS, Idiom
from tools.valid.proof import fault

SEED = 1


def false_errors(numbers, every, names=()) -> list[str]:
    """The findings in these models, and the faults of the models themselves."""
    lines = []
    for result in tool.look(numbers, SEED, every, names):
        lines += [
            f"{result.valid.name}: {f.idiom}: {f.message}" for f in result.found if f.severity != "info"
        ]
        lines += [f"{result.valid.name}: not valid: {result.wrong}"] * bool(result.wrong)
    return lines


@pytest.mark.parametrize("part", range(4))
def test_nothing_is_found_in_valid_models(part):
    assert false_errors(range(part, len(IDIOMS), 4), every=50) == []


@pytest.mark.slow
def test_nothing_is_found_in_five_thousand_valid_models():
    assert false_errors(range(5000), every=50) == []


def test_a_model_is_the_same_each_time():
    first, second = valid_model(17), valid_model(17)
    assert first.model.to_json() == second.model.to_json()
    assert first.owners == second.owners


def test_every_idiom_has_its_turn():
    numbers = range(0, len(IDIOMS), 7)
    assert [valid_model(n).idioms[0].name for n in numbers] == [list(IDIOMS)[n] for n in numbers]


# -- the tool itself -----------------------------
def drawn(monkeypatch: pytest.MonkeyPatch, function, apart: bool = True) -> Valid:
    """A model of one idiom that is in the table only for this test."""
    made = Idiom("made_up", "tests", function, apart)
    monkeypatch.setitem(table.IDIOMS, "made_up", made)
    return valid_model(3, names=["made_up"])


def broken_gate(d):
    """A gate that lacks its unit axes: it runs at one batch size only."""
    x = layers.Conv2D(3, 1)(d.input(5, 7, 2))
    return ops.multiply(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def batch_mean(d):
    """Every sample minus the mean of the batch."""
    x = d.input(3)
    return x - ops.mean(x, axis=0, keepdims=True)


def first_sample(d):
    """Every sample times the first one."""
    x = d.input(3)
    return x * x[:1, :]


def test_a_model_that_runs_at_one_batch_size_is_not_valid(monkeypatch):
    assert fault(drawn(monkeypatch, broken_gate)).startswith("batch 2: InvalidArgumentError")


def test_a_model_that_pairs_samples_has_to_say_so(monkeypatch):
    assert fault(drawn(monkeypatch, batch_mean)) == "batch 2: output 0 differs for a sample alone"
    assert fault(drawn(monkeypatch, batch_mean, apart=False)) == ""


def test_a_model_in_which_places_in_the_batch_count_is_not_valid(monkeypatch):
    assert "in another order" in fault(drawn(monkeypatch, first_sample, apart=False))


def test_a_finding_is_the_idiom_s_and_ends_with_1(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(table.IDIOMS, "made_up", Idiom("made_up", "tests", broken_gate))
    command = [
        "valid_models.py",
        "--only",
        "made_up",
        "--count",
        "2",
        "--every",
        "0",
        "--keep",
        str(tmp_path),
    ]
    monkeypatch.setattr(sys, "argv", command)
    assert tool.main() == 1
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| made_up "))
    assert row.startswith("| made_up | 2 | 2 | 0 | 0 | 1-0 `multiply")
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["1-0.keras", "1-1.keras"]


def test_findings_inside_a_nested_model_are_the_idiom_s():
    valid = valid_model(2, names=["nested_block"])
    inner = next(layer for layer in valid.model.layers if isinstance(layer, keras.Model))
    assert valid.owner((inner.name, "multiply")) == valid.owner((f"{inner.name}#1",)) == "nested_block"
