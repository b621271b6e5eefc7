"""Tables that a run takes samples of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(rows: Iterable[Any], every: int = 3) -> list[Any]:
    """The rows as parameters of a test: the first and each ``every``-th after it; ``-m slow`` takes the others."""
    return [
        row if k % every == 0 else pytest.param(row, marks=pytest.mark.slow) for k, row in enumerate(rows)
    ]
