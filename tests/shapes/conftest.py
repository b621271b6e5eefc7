"""The differential tests write a tally to the file in REWRITER_TALLY, if it is set."""

from __future__ import annotations

import os

from tests.shapes import tally


def pytest_sessionfinish() -> None:
    target = os.environ.get("REWRITER_TALLY")
    if target:
        tally.write(target)
