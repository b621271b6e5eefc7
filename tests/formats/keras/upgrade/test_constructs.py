"""Every row of the table of constructs names an existing case or test."""

from __future__ import annotations

from pathlib import Path

from rewriter.formats.keras.upgrade.arguments import ARGUMENTS, COMMON, NOT_TRAINABLE
from rewriter.formats.keras.upgrade.table import table

from . import (
    function_cases,
    layer_cases,
    test_equal,
    test_forms,
    test_keras_1,
    test_op_layers,
    test_optimizers,
    test_theano_keras,
)

DATA = Path(__file__).resolve().parents[3] / "data" / "keras"


def test_rows_name_their_tests():
    files = {path.stem for path in DATA.glob("*/outdated/*.keras")}
    cases = {*layer_cases.CASES, *function_cases.CASES, *test_keras_1.CASES, *files}
    modules = (test_equal, test_forms, test_keras_1, test_op_layers, test_optimizers, test_theano_keras)
    tests = {
        name.removeprefix("test_") for module in modules for name in vars(module) if name.startswith("test_")
    }
    rows = [row for _, found in table() for row in found]
    assert len(rows) > 50
    assert [row.test for row in rows if row.test not in cases | tests] == []


def test_arguments_are_those_of_keras():
    """A Keras layer accepts every argument that is kept for it."""
    import inspect

    import keras

    for class_name, arguments in ARGUMENTS.items():
        taken: set[str] = set()
        for base in inspect.getmro(getattr(keras.layers, class_name)):
            if "__init__" in vars(base):
                taken |= set(inspect.signature(base.__init__).parameters)
        assert arguments <= taken, class_name
        if class_name not in NOT_TRAINABLE:
            assert taken >= COMMON, class_name
