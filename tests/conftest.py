"""Fixtures that the Keras-driven tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Examples take the time that the machine needs, and are the same on every machine; `-m slow` draws others each time.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("other", settings.get_profile("same"), derandomize=False)
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr == "slow":
        settings.load_profile("other")


@pytest.fixture(autouse=True)
def numerical_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process that runs what a test has repaired: it takes six seconds. ``tests/proof`` has them."""
    monkeypatch.setattr("rewriter.proof.in_child", lambda request: {"skipped": "a test goes without"})


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory):
    """Makes originals and mutants on disk, each once."""
    from tests.mutation.workshop import Workshop

    return Workshop(tmp_path_factory.mktemp("workshop"))
