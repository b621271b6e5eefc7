"""Fixtures that the Keras-driven tests share."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory):
    """Makes originals and mutants on disk, each once."""
    from tests.workshop import Workshop

    return Workshop(tmp_path_factory.mktemp("workshop"))
