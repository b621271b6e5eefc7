"""Valid SavedModels, each made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.formats.saved_model.made import VALID


@pytest.fixture(scope="session")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The path of a valid model by its name."""
    folder = tmp_path_factory.mktemp("valid")

    def made(name: str) -> str:
        path: Path = folder / name
        return str(path) if path.exists() else VALID[name](path)

    return made
