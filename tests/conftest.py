"""Fixtures that the Keras-driven tests share."""

from __future__ import annotations

import gc
import os
import sys

import pytest
from hypothesis import HealthCheck, settings

from tests import sampling

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow takes oneDNN by default on some processors alone; only with it do convolutions take channels first.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Examples take the time that the machine needs, and are the same on every machine; `-m slow` draws others each time.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("other", settings.get_profile("same"), derandomize=False)
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr == "slow":
        settings.load_profile("other")


# Millions of objects each, which live as long as the process.
_HEAVY = ("keras", "onnx", "tensorflow", "tf_keras")
_frozen: set[str] = set()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sampling.mark(items)


def pytest_collection_finish() -> None:
    _freeze()


def pytest_runtest_teardown() -> None:
    if any(name in sys.modules and name not in _frozen for name in _HEAVY):
        _freeze()


def _freeze() -> None:
    """Spare what is loaded from garbage collections: ``keras.backend.clear_session`` makes a full one each time."""
    gc.collect()
    gc.freeze()
    _frozen.update(name for name in _HEAVY if name in sys.modules)


@pytest.fixture(autouse=True)
def numerical_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process that runs what a test has repaired: it takes six seconds. ``tests/proof`` has them."""
    monkeypatch.setattr("rewriter.proof.in_child", lambda request: {"skipped": "a test goes without"})


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory):
    """Makes originals and mutants on disk, each once."""
    from tests.mutation.workshop import Workshop

    return Workshop(tmp_path_factory.mktemp("workshop"))
