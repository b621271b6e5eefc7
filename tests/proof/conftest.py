"""Here the proof is run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rewriter.formats.keras.archive import KerasArchive
from rewriter.formats.keras.json_file import KerasJson
from rewriter.passes.rewrite import Spelling


@pytest.fixture
def misspell(monkeypatch: pytest.MonkeyPatch) -> Callable[[Spelling], None]:
    """Sets how the steps of a repair are written."""

    def put(spelling: Spelling) -> None:
        for form in (KerasArchive, KerasJson):
            monkeypatch.setattr(form, "spell", staticmethod(spelling))

    return put


@pytest.fixture(autouse=True)
def numerical_proof() -> None:
    """In place of the fixture that leaves it out everywhere else."""
