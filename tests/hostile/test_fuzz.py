"""Mutants of the shipped models: nothing but the package's own errors comes out, in bounded time and length."""

from __future__ import annotations

import json
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import rewriter
from rewriter.errors import RewriterError
from rewriter.report import as_json, github, sarif, shapes_table, text
from rewriter.report.console import rendered
from rewriter.rules.table import builtin
from tests.hostile.mutator import mutants

MODELS = sorted((Path(__file__).resolve().parents[2] / "models").glob("*.keras"))
QUICK, LONG = 25, 1500
SECONDS = 30


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_mutants(model: Path, tmp_path: Path):
    attack(model, tmp_path, seed=1, count=QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_many_mutants(model: Path, tmp_path: Path):
    attack(model, tmp_path, seed=2, count=LONG)


def attack(model: Path, folder: Path, seed: int, count: int) -> None:
    """Every third mutant as an archive with the weights of the original, the others as JSON."""
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for number, data in enumerate(mutants(seed, members["config.json"], count)):
        path = folder / ("mutant.keras" if number % 3 == 0 else "mutant.json")
        if number % 3 == 0:
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in (members | {"config.json": data}).items():
                    archive.writestr(name, content)
        else:
            path.write_bytes(data)
        with at_most(SECONDS):
            read(path)
            rewrite(path, folder / f"fixed{path.suffix}", explicit=number % 2 == 1)


def read(path: Path) -> None:
    try:
        report = rewriter.check(path, mode="best")
        json.dumps(as_json.report(report))
        json.dumps(sarif.log([report]))
        for verbosity in (text.QUIET, text.SHORT, text.FULL):
            rendered(*text.report(report, builtin(), 80, verbosity), width=80)
        github.report(report)
        json.dumps(as_json.shapes(rewriter.shapes(path)))
        rendered(*shapes_table.table(rewriter.shapes(str(path))), width=80)
    except RewriterError as error:
        assert_short(error)


def rewrite(path: Path, target: Path, explicit: bool) -> None:
    """The output of a repair is read again without an error."""
    target.unlink(missing_ok=True)
    try:
        result = rewriter.repair(path, target, mode="best", explicit=explicit)
    except RewriterError as error:
        assert_short(error)
        assert not target.exists()
        return
    assert target.exists() == (result.output is not None)
    if result.output is not None:
        rewriter.check(target)
    assert sorted(p.name for p in target.parent.glob(".rewriter-*")) == []


def assert_short(error: RewriterError) -> None:
    assert str(error)
    assert len(str(error)) < 1500
    assert "\n" not in str(error)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Limit the processor time: wall time passes without this process on a busy machine."""

    def late(*_: object) -> None:
        raise AssertionError(f"takes more than {seconds} s of the processor")

    old = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
