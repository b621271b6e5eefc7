"""Pages and pictures of models, as the formats write them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import rewriter
from rewriter import api
from rewriter.report.console import Console
from rewriter.report.table import Context, reporter
from rewriter.rules.table import builtin

MODELS = Path(__file__).resolve().parents[3] / "models"


def written(form: str, command: str, *items: object) -> str:
    """The output of a format for results."""
    out = io.StringIO()
    show = reporter(form, Context(Console(out, io.StringIO()), builtin()))
    for item in items:
        getattr(show, command)(item)
    show.end()
    return out.getvalue()


@pytest.fixture(scope="session")
def chained() -> str:
    return written("html", "check", rewriter.check(MODELS / "chained.keras"))


@pytest.fixture(scope="session")
def undecided() -> str:
    return written("html", "check", rewriter.check(MODELS / "article_flatten_multiply.keras"))


@pytest.fixture(scope="session")
def explained() -> str:
    return written("html", "explain", api.explain(MODELS / "chained.keras"))
