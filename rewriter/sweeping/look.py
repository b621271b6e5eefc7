"""Looks at one file: the work of a process that a bad file may cost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..api import check_opened, convert, export_onnx, repair
from ..errors import RewriterError, UndecidedError, UsageError, VerificationError, reason_of, shown
from ..files.atomic import atomic_write
from ..formats.model_file import NOT_COMPILED, TRAINING
from ..formats.registry import open_model
from ..report import as_json
from ..report.html import page_of
from ..results import Report
from ..rules.table import builtin
from ..rules.userfile import load
from ..swept import CLEAN, FINDINGS, UNUSABLE, Outcome
from ..tracing.model import with_traces
from ..trusted import trusting
from .opening import digest, has_changed, opened, suffix_of, written
from .systems import AwayError, UnreachableError, same_place
from .task import SUFFIXES, Found, Limits, Request

_HASHED = 64 << 20  # the largest local file that is known by its hash too
_MOST = 3  # constructs that are named
_FOUND, _UNUSABLE, _UNPROVEN = 1, 2, 3


def look(found: Found, request: Request, limits: Limits = Limits()) -> Outcome:  # noqa: B008 - it cannot be changed
    """Do with a file what is requested. Never raises: what goes wrong is the outcome."""
    outcome = Outcome(found.url, found.size, found.stamp)
    start = time.perf_counter()
    try:
        alone = request.action == "check" and not request.trust  # no other process reads the file
        with (
            _within(limits.memory if request.action == "check" else None),
            opened(found, whole=not alone) as file,
            trusting(request.trust, with_traces) if request.trust else contextlib.nullcontext(),
        ):
            try:
                _ACTIONS[request.action](found, file.path, request, outcome)
            finally:
                outcome.moved, outcome.requests = file.moved, file.requests
                if found.folder is None and not file.arrivals and found.size <= _HASHED:
                    outcome.digest = digest(file.path)
    except UndecidedError as error:
        outcome.outcome, outcome.status, outcome.error = FINDINGS, _FOUND, reason_of(error)
    except VerificationError as error:
        outcome.outcome, outcome.status, outcome.error = UNUSABLE, _UNPROVEN, reason_of(error)
    except MemoryError:
        outcome.outcome, outcome.status, outcome.lasting = UNUSABLE, _UNUSABLE, False
        outcome.error = too_large(limits.memory)
    except Exception as error:
        outcome.outcome, outcome.status, outcome.error = UNUSABLE, _UNUSABLE, reason_of(error)
        outcome.unreachable = isinstance(error, AwayError)
        outcome.lasting = isinstance(error, RewriterError) and not isinstance(error, UnreachableError)
        if outcome.lasting and has_changed(found):
            outcome.error = "it changed after it was found: the next sweep looks at it"
            outcome.lasting = False
    if outcome.error:
        outcome.output = outcome.page = None
    outcome.seconds = time.perf_counter() - start
    return outcome


def too_large(memory: int) -> str:
    """What is said of a file that takes more memory than it may."""
    return f"takes more than {memory >> 20:,} MiB of memory"


def _check(found: Found, path: str, request: Request, outcome: Outcome) -> None:
    options = dict(request.options)
    rules = options.pop("rules", None)
    table = builtin() if rules is None else (*builtin(), *load(rules))
    with open_model(path) as source:
        _about(source, outcome)
        report = check_opened(source, table, rules=rules, **options)
        _reported(report, found, outcome)
    if request.pages is not None and report.findings:
        with (
            written(request.pages, f"{found.inside}.html") as (page, outcome.page),
            atomic_write(page) as file,
        ):
            file.write(page_of(replace(report, path=found.url), table).encode())


def _repair(found: Found, path: str, request: Request, outcome: Outcome) -> None:
    """Only models with findings are written."""
    checking = {key: request.options[key] for key in ("mode", "ops", "rules") if key in request.options}
    _check(found, path, Request(pages=request.pages, options=checking, swept=request.swept), outcome)
    if outcome.outcome == CLEAN:
        return
    with _target(found, request, suffix_of(found)) as (target, outcome.output):
        result = repair(path, target, **request.options)
        if result.output is None:
            outcome.output = None
            _reported(result, found, outcome)
            return
    _reported(result, found, outcome)
    if not result.undecided:
        outcome.outcome, outcome.status = CLEAN, 0


def _convert(found: Found, path: str, request: Request, outcome: Outcome) -> None:
    with open_model(path) as source:
        _about(source, outcome)
    with _target(found, request, SUFFIXES["convert"]) as (target, outcome.output):
        convert(path, target, **request.options)


def _export(found: Found, path: str, request: Request, outcome: Outcome) -> None:
    with open_model(path) as source:
        _about(source, outcome)
    with _target(found, request, SUFFIXES["export"]) as (target, outcome.output):
        export_onnx(path, target, **request.options)


_ACTIONS = {"check": _check, "convert": _convert, "repair": _repair, "export": _export}


def _about(source: Any, outcome: Outcome) -> None:
    outcome.format, outcome.saved_by = source.format, source.saved_by
    if source.format == "onnx":
        return
    try:
        source.check_newest()
    except RewriterError as error:
        outcome.outdated = reason_of(error)
        return
    constructs = sorted(
        {r.construct for r in source.remarks if r.construct not in TRAINING | {NOT_COMPILED[0]}}
    )
    if source.outdated and (constructs or not source.older or source.format == "keras-v2"):
        outcome.outdated = ", ".join(map(shown, constructs[:_MOST])) or "its form is older"


def _reported(report: Report, found: Found, outcome: Outcome) -> None:
    outcome.report = {**as_json.report(report), "model": found.url}
    if not report.clean:
        outcome.outcome, outcome.status = FINDINGS, _FOUND


@contextlib.contextmanager
def _target(found: Found, request: Request, suffix: str) -> Iterator[tuple[str, str]]:
    """The path to write to, and its address: that of the model below the root, with a suffix added if it is another."""
    assert request.out is not None
    inside = found.inside if suffix == suffix_of(found) else f"{found.inside}{suffix}"
    with written(request.out, inside, request.swept) as (path, address):
        if same_place(address, found.url):
            raise UsageError("the output is the model itself: choose another root")
        yield path, address


@contextlib.contextmanager
def _within(memory: int | None) -> Iterator[None]:
    """A block in which this process may hold that much memory of its own; mapped files do not count."""
    try:
        import resource
    except ImportError:  # on Windows
        memory = None
    if memory is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    hard = before[1]
    limit = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
