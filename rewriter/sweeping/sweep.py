"""A sweep: it lists the models, looks at those that changed since the last one, and remembers what it saw."""

from __future__ import annotations

import inspect
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Any

from ..api import check, convert, export_onnx, repair
from ..errors import UsageError, shown
from ..passes.sites import DEFAULT_OPS, families
from ..report.templating import require
from ..requests import check_mode
from ..rules.userfile import load
from ..swept import Outcome, Summary
from ..trusted import trusting
from .cluster import cluster
from .finding import Filters, models, start_of
from .store import Store, reported
from .summary import summary
from .systems import AwayError, is_remote, normal, overlap
from .task import ACTIONS, SUFFIXES, Found, Limits, Request
from .workers import Run, cores, here, processes

# A look at a remote file mostly waits for the network.
_REMOTE_JOBS = 4
_LEAST = 128 << 20  # bytes of memory
_GIVE_UP = 100  # models in a row that cannot be read over the network
_SLOW = 600.0  # seconds for one file whose output is also proven


class Sweep:
    """A sweep over roots: iterate over it to run it, then ask for its ``summary``.

    Iteration yields the outcome of every file once, those of earlier sweeps first.

    Attributes:
        total, done: how many files there are, and how many are done; they grow while it runs.
    """

    def __init__(
        self,
        roots: Sequence[str | os.PathLike[str]],
        request: Request,
        filters: Filters,
        limits: Limits,
        store: str | os.PathLike[str] | None,
        jobs: int | None,
        scheduler: str | None,
        resume: bool,
    ) -> None:
        self.roots = [_root(root) for root in roots]
        swept = tuple(map(start_of, self.roots))
        self.request, self.filters, self.limits = replace(request, swept=swept), filters, limits
        self.scheduler = scheduler
        self.jobs = jobs
        _check(self)
        if resume and store is None:
            raise UsageError("--resume needs --store FILE: without a store nothing is remembered")
        self._store = Store(store)
        with reported():
            self._store.begin(self.roots, asdict(filters), request, resume)
        self._left_out: Counter[str] = Counter()
        self._is_found = False
        self.started = time.time()
        self.total = self.done = self.looked_at = 0
        self.findings = self.unusable = 0

    def __enter__(self) -> Sweep:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store. What a temporary store remembers is gone."""
        self._store.close()

    def __iter__(self) -> Iterator[Outcome]:
        for _ in self.find():
            pass
        return self.run()

    def find(self) -> Iterator[int]:
        """Find the files. Yields their number while it grows.

        Raises:
            UsageError: a root cannot be listed.
        """
        with reported():
            if not self._store.is_listed():
                for total in self._store.add(self._found()):
                    self.total = total
                    yield total
                self._store.end_listing(self._left_out)
            if self.request.out is not None or self.request.pages is not None:
                self._store.check_targets(SUFFIXES.get(self.request.action, ""))
            counts = self._store.counts()
        self.total, self.done, self._is_found = counts.total, counts.done, True

    def _found(self) -> Iterator[tuple[str, Found]]:
        """The models with their roots. Of several roots, each has a folder of its own in what is written."""
        writes = self.request.out is not None or self.request.pages is not None
        names = _names(self.request.swept) if writes and len(self.roots) > 1 else [""] * len(self.roots)
        for root, name in zip(self.roots, names, strict=True):
            for found in models(root, self.filters, self._left_out):
                yield root, replace(found, inside=f"{name}/{found.inside}") if name else found

    def run(self) -> Iterator[Outcome]:
        """Look at the files that were found. Yields the outcome of each when it is stored."""
        if not self._is_found:
            raise UsageError("find() comes first")
        with reported():
            for outcome in self._store.outcomes():
                self._count(outcome)
                yield outcome
            if self.done < self.total:
                with self._workers() as run:
                    for outcome in _reached(run(self._store.pending())):
                        self._store.keep(outcome)
                        self.done += 1
                        self.looked_at += 1
                        self._count(outcome)
                        yield outcome
            self._store.finish()

    @property
    def rate(self) -> float:
        """How many files it looks at in a second."""
        return self.looked_at / max(time.time() - self.started, 1e-3)

    def _count(self, outcome: Outcome) -> None:
        self.findings += outcome.outcome == "findings"
        self.unusable += outcome.outcome == "unusable"

    def _workers(self) -> AbstractContextManager[Run]:
        if self.scheduler is not None:
            return cluster(self.request, self.limits, self.scheduler)
        if any(root.startswith("memory:") for root in self.roots):
            return here(self.request, self.limits)
        jobs = self.jobs or cores() * (_REMOTE_JOBS if any(map(is_remote, self.roots)) else 1)
        return processes(self.request, self.limits, min(jobs, self.total - self.done))

    def outcomes(self) -> Iterator[Outcome]:
        """The stored outcomes of this sweep's files, in the order of their addresses."""
        with reported():
            yield from self._store.outcomes()

    def summary(self) -> Summary:
        """What the store says of this sweep."""
        with reported():
            return summary(self._store)


def _reached(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """The same outcomes. Raises AwayError if very many in a row could not be read over the network.

    It is not the models then: none of these outcomes is given, so that a sweep that goes on looks at them again.
    """
    lost: list[Outcome] = []
    for outcome in outcomes:
        lost.append(outcome)
        if not outcome.unreachable:
            yield from lost
            lost = []
        elif len(lost) == _GIVE_UP:
            raise AwayError(
                f"{_GIVE_UP} models in a row: {outcome.error} (with --store, --resume goes on)", outcome.url
            )
    yield from lost


def _names(places: Sequence[str]) -> list[str]:
    """What is different in places: for ``/data/a/models`` and ``/data/b/models``, ``a/models`` and ``b/models``."""
    parts = [[part for part in re.split(r"[/\\]", place) if part.strip(":")] for place in places]
    same = 0
    while all(len(each) > same + 1 and each[same] == parts[0][same] for each in parts):
        same += 1
    return ["/".join(each[same:]).replace(":", "") for each in parts]


def _root(root: str | os.PathLike[str]) -> str:
    text = os.fspath(root)
    if not text:
        raise UsageError("a root is empty")
    return normal(text)


def _check_options(request: Request) -> None:
    """Raises UsageError for an option that the function of the action lacks, or that the sweep gives itself."""
    functions: dict[str, Callable[..., Any]] = {
        "check": check, "convert": convert, "repair": repair, "export": export_onnx
    }  # fmt: skip
    known = [*inspect.signature(functions[request.action]).parameters][1:]
    taken = {"output", "plan", "weights", "trust"}
    wrong = next((name for name in request.options if name not in known or name in taken), None)
    if wrong is not None:
        raise UsageError(f"options: {shown(repr(wrong))} is no option of --action {request.action}")
    check_mode(request.options.get("mode", "safe"))
    families(request.options.get("ops", DEFAULT_OPS))
    if request.action in ("check", "repair") and request.options.get("rules") is not None:
        load(request.options["rules"])


def _check(sweep: Sweep) -> None:
    request = sweep.request
    if request.action not in ACTIONS:
        raise UsageError(
            f"action {shown(request.action)!r}: must be {', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}"
        )
    if (request.out is None) != (request.action == "check"):
        raise UsageError(
            "--out is for --action convert, repair and export"
            if request.out is not None
            else f"--action {request.action} needs --out ROOT, for the files that it writes"
        )
    if request.out is not None:
        root = next((root for root in request.swept if overlap(request.out, root)), None)
        if root is not None:
            raise UsageError(
                f"--out and {shown(root)}, which is swept, overlap: choose another place", request.out
            )
    if request.pages is not None:
        require("--pages")
    _check_options(request)
    if request.trust and request.action == "convert":
        raise UsageError("--trust is not for --action convert, which runs no code of packages")
    with trusting(request.trust):
        pass
    if not sweep.roots:
        raise UsageError("no root is given")
    jobs, seconds, memory = sweep.jobs, sweep.limits.seconds, sweep.limits.memory
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise UsageError(f"--jobs {shown(jobs)}: must be a whole number, at least 1")
    if not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
        raise UsageError(f"--timeout {shown(seconds)}: must be a number of seconds above 0")
    if not isinstance(memory, int) or memory < _LEAST:
        raise UsageError(
            f"--memory: must be at least {_LEAST >> 20}M, as a process needs some without a model"
        )


def sweep(
    roots: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    action: str = "check",
    out: str | os.PathLike[str] | None = None,
    pages: str | os.PathLike[str] | None = None,
    store: str | os.PathLike[str] | None = None,
    resume: bool = False,
    filters: Filters | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    timeout: float | None = None,
    memory: int | None = None,
    trust: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Sweep:
    """Look at all models below some roots.

        with rewriter.sweep("s3://models", store="models.sqlite") as sweep:
            for outcome in sweep:
                print(outcome.url, outcome.outcome)
            print(sweep.summary().counts)

    Processes look at the files: a script has to call it below ``if __name__ == "__main__":``.

    Args:
        roots: folders, files, patterns, and addresses of fsspec such as ``s3://bucket/team``.
        action: what is done with every model: ``check``, ``convert``, ``repair`` or ``export``.
        out: the root of the files that are written, with the folders of the models. A model in another format gets
            a suffix: ``team/a.h5.keras``. ``repair`` writes only models with findings.
        pages: the root of an HTML page for every model with findings.
        store: an SQLite file that remembers outcomes: the next sweep looks only at what changed.
        resume: continue the last sweep of these roots, if it did not end.
        filters: which files are looked at.
        jobs: how many processes work at once; by default one for each processor, four with addresses.
        scheduler: the address of a Dask scheduler, whose workers do the work instead.
        timeout, memory: what one file may cost: seconds (60; 600 if files are written), bytes (4 GiB).
        trust: packages whose layers' code runs, in a separate process, to see what it computes; not when converting.
        options: those of the function that is called for every model, such as ``{"ops": "all"}``.

    Raises:
        UsageError: an argument cannot be used, or a root cannot be listed.
        OutputError: the store cannot be written.
    """
    several = [roots] if isinstance(roots, (str, os.PathLike)) else list(roots)
    request = Request(
        action,
        None if out is None else _root(out),
        None if pages is None else _root(pages),
        dict(options or {}),
        trust if isinstance(trust, str) else tuple(trust),
    )
    default = Limits() if action == "check" else Limits(seconds=_SLOW)
    limits = Limits(
        default.seconds if timeout is None else timeout, default.memory if memory is None else memory
    )
    return Sweep(several, request, filters or Filters(), limits, store, jobs, scheduler, resume)
