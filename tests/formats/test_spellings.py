"""The steps of a plan with sizes that no file can hold: refused, whatever the format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rewriter.errors import UnsupportedError
from rewriter.formats.onnx import spelling as onnx
from rewriter.formats.saved_model import spelling as saved_model
from rewriter.rules.lower import Step

Spell = Callable[[Step], Any]


@pytest.mark.parametrize("spell", [onnx.spell, saved_model.spell])
def test_an_index_for_each_entry_has_a_limit(spell: Spell):
    """Each entry of the longer axis is an index in the file."""
    *_, arguments = spell(Step("Repeat", 0, (3, 6), axes=(1,), repeats=(2,)))
    assert arguments[0].value == [0, 0, 1, 1, 2, 2]
    for size in (1 << 23, 1 << 31, 1 << 62):
        with pytest.raises(UnsupportedError, match="an index in the file for each"):
            spell(Step("Repeat", 0, (3, size), axes=(1,), repeats=(2,)))


@pytest.mark.parametrize("op", ["Reshape", "Slice"])
def test_numbers_of_tensorflow_have_32_bits(op: str):
    *_, (literal, *_) = saved_model.spell(Step(op, 0, (1, 2**31 - 1)))
    assert literal.dtype == "int32"
    with pytest.raises(UnsupportedError, match="32 bits"):
        saved_model.spell(Step(op, 0, (1, 2**31)))


def test_repeats_of_tensorflow_have_32_bits():
    saved_model.spell(Step("Tile", 0, (1, None), repeats=(1, 2**31 - 1)))
    with pytest.raises(UnsupportedError, match="32 bits"):
        saved_model.spell(Step("Tile", 0, (1, None), repeats=(1, 2**31)))
