"""For tests of models: ``assert_fits(model)`` fails with the findings where operands do not fit.

from rewriter.testing import assert_fits

def test_the_model_fits():
    assert_fits(build_model())
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from .api import check
from .passes.codes import Severity
from .passes.sites import DEFAULT_OPS
from .presentation import count
from .results import Report
from .selection import kinds

Path = str | os.PathLike[str]


def assert_fits(
    model: Any,
    *,
    mode: str = "safe",
    ops: str = DEFAULT_OPS,
    rules: Path | None = None,
    weights: Path | None = None,
    ignore: Sequence[str] = (),
    timeout: float | None = None,
    trust: Sequence[str] = (),
) -> None:
    """Fail with the findings of ``check``, except those of severity info.

    Args:
        model: a path, or a model of Keras 3 or tf_keras.
        mode, ops: as in ``rewriter.check``.
        rules: a TOML file with rules to add to the table.
        weights: the file with the weights of a model that is only a configuration.
        ignore: codes or kinds of findings that do not fail. ``["RW008"]`` is for a subclassed model, because only its
            functional parts are analysed.
        timeout: seconds after which a process that runs trusted code is stopped; 300 by default.
        trust: packages whose layers' code runs, in a separate process, to see what it computes.

    Raises:
        AssertionError: there are findings; the message has each of them.
        RewriterError: the model or an argument cannot be used.
    """
    __tracebackhide__ = True  # pytest ends its traceback at the caller's line
    left_out = kinds(ignore, "ignore") if ignore else frozenset()
    report = check(model, mode=mode, ops=ops, rules=rules, weights=weights, timeout=timeout, trust=trust)
    report.findings = [finding for finding in report.findings if finding.kind not in left_out]
    if not report.clean:
        raise AssertionError(wrong(report))


def wrong(report: Report) -> str:
    """A line that counts the findings above severity info, followed by these findings."""
    found = [f for f in report.findings if f.severity is not Severity.INFO]
    head = f"{report.path}: {count(len(found), 'finding')}"
    return "\n\n".join([head, *map(str, found)])
