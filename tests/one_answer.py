"""The commands agree: ``repair`` applies the choices that ``check`` marks, and so does a plan."""

from __future__ import annotations

from pathlib import Path

import rewriter


def assert_one_answer(path: Path, plan: Path, ops: str = "multiply") -> None:
    """Check, repair, and repair by the plan of the check, in either mode: the same choices and the same nodes."""
    for mode in ("safe", "best"):
        report = rewriter.check(path, mode=mode, ops=ops, plan=plan)
        plain = rewriter.repair(path, mode=mode, ops=ops, dry_run=True)
        assert _decided(report) == _decided(plain)
        told = rewriter.repair(path, plan=plan, dry_run=True)
        assert {(i.node, i.op, i.rule) for i in told.inserted} == {
            (i.node, i.op, i.rule) for i in plain.inserted
        }
        assert bool(told.undecided) == bool(plain.undecided)


def _decided(report: rewriter.Report) -> dict[str, object]:
    return {f.node: (f.chosen, f.choice and f.choice.plan.written, f.why) for f in report.findings}
