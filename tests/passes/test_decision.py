"""Decisions are data: each is a row of the table of stages, and all texts come from that table."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

import rewriter
from rewriter.passes import decision, stages
from rewriter.passes.candidate import Remark, remark
from rewriter.passes.decision import Decision, FaultAt, Stage
from rewriter.report import as_json
from tests.cli.common import MODELS

PASSES = Path(decision.__file__).parent
OTHERS = [path for path in PASSES.glob("*.py") if path.name not in ("stages.py", "decision.py")]


def test_every_stage_stands_in_the_table_once():
    rows = [value for value in vars(stages).values() if isinstance(value, Stage)]
    assert {row.name for row in rows} == {row.name for row in stages.STAGES}
    assert len({row.name for row in stages.STAGES}) == len(stages.STAGES)


def test_a_stage_that_chooses_can_insert_something():
    assert not [stage.name for stage in stages.STAGES if stage.chooses and stage.stays]


def test_every_remark_that_a_pass_makes_has_its_words_and_none_is_left_over():
    made = re.findall(r"""(?:\bremark|\.note)\(\s*"([\w-]+)\"""", "".join(p.read_text() for p in OTHERS))
    assert set(made) == stages.REMARKS.keys()


@pytest.mark.parametrize("path", OTHERS, ids=lambda p: p.stem)
def test_no_pass_words_a_decision(path):
    assert not re.search(r"\.why *\+?= ", path.read_text())


@pytest.mark.parametrize("ops", ["multiply", "all"])
@pytest.mark.parametrize("mode", ["safe", "best"])
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_the_record_says_what_was_chosen(path, mode, ops):
    order = list(stages.STAGES)
    for finding in rewriter.check(path, mode=mode, ops=ops).findings:
        record = as_json.finding(finding)["decision"]
        assert finding.decision.stage in order
        places = [order.index(step.stage) for step in finding.decision.trail()]
        assert places == sorted(places, reverse=True)
        assert (record["stage"], finding.why) == (finding.decision.stage.name, stages.why(finding.decision))
        if finding.chosen is not None:
            assert record["candidate"] == finding.chosen
            assert finding.chosen not in record["rivals"]
        if finding.decision.stage is stages.EVIDENCE:
            rival = finding.candidates[record["rivals"][0]]
            criterion = finding.decision.evidence
            assert criterion.value(finding.choice) > criterion.value(rival)


def test_a_decision_is_replaced_not_changed():
    made = Decision(stages.FOUND)
    with pytest.raises(FrozenInstanceError):
        made.stage = stages.TIE
    noted = made.noted(Remark("as-if-there"))
    assert (made.notes, len(noted.notes)) == ((), 1)


def test_notes_and_reasons_are_worded_in_the_order_in_which_they_came():
    limit = remark("most-answers", answers=64)
    made = Decision(stages.OTHER_NODE).noted(remark("not-searched", limit=limit))
    made = made.noted(remark("no-reading-runs", fault=FaultAt(("inner", "a/b"), "it cannot run")))
    assert stages.why(made) == (
        "nothing is inserted at a node of its kind; the search downstream stopped early: there are more than "
        "64 answers; every reading fails downstream: at 'inner/a/b': it cannot run"
    )
