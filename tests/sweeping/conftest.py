"""A tree of models: valid, broken and hostile ones, in several formats."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture
def tree(tmp_path):
    """Two clean models, two with findings, two that cannot be used; and files that are no models."""
    root = tmp_path / "tree"
    for place, source in {
        "vision/valid.keras": "valid",
        "vision/old/again.keras": "valid",
        "vision/layout.keras": "layout",
        "text/chained.keras": "chained",
    }.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(MODELS / f"{source}.keras", root / place)
    (root / "text" / "cut.keras").write_bytes((MODELS / "valid.keras").read_bytes()[:5000])
    (root / "text" / "empty.h5").write_bytes(b"")
    (root / "text" / "notes.txt").write_text("no model")
    (root / "text" / ".hidden.keras").write_bytes(b"")
    (root / "config.json").write_text("{}")
    return root


CLEAN = ["vision/old/again.keras", "vision/valid.keras"]
FOUND = ["text/chained.keras", "vision/layout.keras"]
UNUSABLE = ["text/cut.keras", "text/empty.h5"]
COUNTS = {"files": 6, "looked_at": 6, "clean": 2, "findings": 2, "unusable": 2}
