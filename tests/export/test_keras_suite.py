"""The argument sets of Keras's own tests as models of one layer or one op: right, or refused with a reason.

Run with ``-m slow -s`` to see the tally; a few classes are in every run.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.export import harness
from tests.shapes import keras_suite as suite

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("keras.src.layers.merging.merging_test") is None,
    reason="this Keras comes without its tests",
)


def layer_cases(sets: Sequence[suite.LayerSet]) -> Iterator[tuple[str, Callable[[], Any]]]:
    for item in _distinct(sets):
        try:
            case = suite.layer_case(item)
        except suite.Skip:
            continue
        yield f"{item.layer.__name__} of {item.test}", lambda case=case: _check_layer(case)


def op_cases(sets: Sequence[suite.OpSet]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The cases of ops, without tests of dtypes: the tables of ``tests/shapes`` cover every pair of types."""
    for item in _distinct(sets):
        if "Dtype" in item.test:
            continue
        try:
            case = suite.op_case(item)
        except suite.Skip:
            continue
        yield f"{item.name} of {item.test}", lambda case=case: harness.check_op(case)


def _distinct(sets: Sequence[Any]) -> Iterator[Any]:
    seen: set[str] = set()
    for item in sets:
        if item.key() not in seen:
            seen.add(item.key())
            yield item


def _check_layer(case: Any) -> None:
    """Compare with an open batch, or with the given batch if Keras refuses an open one."""
    try:
        harness.check_layer(suite.opened(case))
    except harness.NotBuilt:
        harness.check_layer(case)


def run(cases: Iterator[tuple[str, Callable[[], Any]]]) -> tuple[Counter[str], list[str]]:
    """The counts of right, refused, not built and wrong cases, and the wrong ones."""
    tally: Counter[str] = Counter()
    wrong = []
    for name, check in cases:
        try:
            check()
            tally["right"] += 1
        except harness.Refused:
            tally["refused"] += 1
        except harness.NotBuilt:
            tally["not built"] += 1
        except Exception as error:
            tally["wrong"] += 1
            wrong.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    print(dict(tally), *wrong, sep="\n")
    return tally, wrong


def test_a_sample_of_the_layers_is_right() -> None:
    tally, wrong = run(layer_cases(suite.layer_sets(["keras.src.layers.merging.merging_test"])))
    assert wrong == []
    assert tally["right"] >= 15


@pytest.mark.slow
def test_every_set_of_the_layers_is_right_or_refused() -> None:
    tally, wrong = run(layer_cases(suite.layer_sets()))
    assert wrong == []
    assert tally["right"] >= 250


@pytest.mark.slow
def test_every_set_of_the_ops_is_right_or_refused() -> None:
    tally, wrong = run(op_cases(suite.op_sets()))
    assert wrong == []
    assert tally["right"] >= 800
