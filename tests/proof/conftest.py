"""These tests run the proof."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rewriter.formats.keras.archive import KerasArchive
from rewriter.formats.keras.json_file import KerasJson
from rewriter.passes.rewrite import Spelling


@pytest.fixture
def misspell(monkeypatch: pytest.MonkeyPatch) -> Callable[[Spelling], None]:
    """A function that changes how the steps of a repair are written."""

    def put(spelling: Spelling) -> None:
        for form in (KerasArchive, KerasJson):
            monkeypatch.setattr(form, "spell", staticmethod(spelling))

    return put


@pytest.fixture(autouse=True)
def numerical_proof() -> None:
    """Replace the fixture that skips the proof in all other tests."""
