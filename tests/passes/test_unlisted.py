"""If no reading is listed or has evidence, the text of the finding is true of the operands."""

from __future__ import annotations

import pytest

from rewriter.ir.axis import Axis, Role, new_axis
from rewriter.ir.size import symbol
from rewriter.passes.stages import worded
from rewriter.passes.unlisted import besides

B = symbol("B")


def axes(*sizes: int, role: Role = Role.UNKNOWN, batch: object = B) -> tuple[Axis, ...]:
    return (new_axis(batch, Role.BATCH), *(new_axis(size, role) for size in sizes))


@pytest.mark.parametrize(
    ("operands", "words"),
    [
        ([axes(4, 12), axes(4, 6)], "a projection from 12 to 6 would be a new Dense layer"),
        ([axes(63, role=Role.TIME), axes(60, role=Role.TIME)], "63 against 60: one side may be cropped"),
        ([axes(5, batch=4), axes(5, batch=6)], "batches of 4 and 6 samples"),
        ([axes(2, 3, 4, 5, 6, 7), axes(8)], "with 7 axes only the rules are tried"),
        ([axes(5, 7), axes(3), axes(2)], "each of three or more operands has to fit the largest"),
    ],
)
def test_what_could_be_meant_besides(operands, words):
    (found,) = besides(operands)
    assert words in worded(found)


@pytest.mark.parametrize(
    "operands", [[axes(4, 12), axes(5, 6)], [axes(4), axes(5, 6)], [axes(4, 5), axes(4, 5)], [axes(4)], []]
)
def test_nothing_is_made_up(operands):
    assert besides(operands) == ()
