"""Spreads looks over the workers of a Dask cluster; on each, they run in processes of their own."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import UsageError, shown
from ..swept import Outcome
from .systems import AwayError
from .task import Found, Limits, Request
from .workers import Run, cores, pool_of, run_in, unusable

# Files that a worker gets at once.
_BATCH = 32
# A task that Dask lost so often is given up: it may be what ends its workers.
_TRIES = 3
_PATIENCE = 10  # seconds until a scheduler has to answer, and to have a worker

# On a worker: the processes of each sweep, and the folder of their temporary files.
_pools: dict[str, tuple[Any, str]] = {}
_lock = threading.Lock()


@contextmanager
def cluster(request: Request, limits: Limits, scheduler: str) -> Iterator[Run]:
    """Run looks on the Dask cluster whose scheduler has this address (``tcp://host:8786``).

    Raises:
        UsageError: distributed is not installed, no scheduler answers, or it has no workers.
    """
    try:
        import distributed
    except ImportError:
        raise UsageError("--scheduler needs distributed: pip install 'rewriter[dask]'") from None
    try:
        client = distributed.Client(scheduler, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"no scheduler answers: {error}", scheduler) from None
    sweep = uuid.uuid4().hex

    def run(files: Iterable[Found]) -> Iterator[Outcome]:
        waiting = iter(files)
        running = distributed.as_completed(loop=client.loop)
        tasks: dict[Any, tuple[list[Found], int]] = {}

        def send(batch: list[Found], tries: int) -> None:
            future = client.submit(_look_at, batch, request, limits, sweep, pure=False)
            tasks[future.key] = batch, tries
            running.add(future)

        while True:
            most = max(1, _count_of_workers(client)) * 2
            while len(tasks) < most and (batch := _next(waiting, _BATCH)):
                send(batch, 1)
            if not tasks:
                return
            future = next(running)
            batch, tries = tasks.pop(future.key)
            if future.status == "finished":
                yield from future.result()
            elif tries < _TRIES:
                _count_of_workers(client)
                for found in batch:
                    send([found], tries + 1)
            else:
                why = shown(future.exception() or future.status)
                yield from (unusable(found, f"the worker failed: {why}") for found in batch)

    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise UsageError("the scheduler has no workers", scheduler) from None
        try:
            yield run
        finally:
            with suppress(Exception):
                client.run(_end, sweep)


def _count_of_workers(client: Any) -> int:
    """How many workers a cluster has. Raises AwayError if its scheduler is gone."""
    workers = client.scheduler_info(n_workers=-1).get("workers")
    if client.status != "running" or workers is None:
        raise AwayError("the scheduler is gone (with --store, --resume goes on)", client.scheduler.address)
    return len(workers)


def _next(files: Iterator[Found], count: int) -> list[Found]:
    return [found for _, found in zip(range(count), files, strict=False)]


# -- on a worker -----------------------------
def _look_at(batch: list[Found], request: Request, limits: Limits, sweep: str) -> list[Outcome]:
    """The outcomes of several files, in the order in which they are ready."""
    from distributed import get_worker

    # Workers of Dask are daemons, to which multiprocessing refuses processes of their own.
    getattr(multiprocessing.current_process(), "_config")["daemon"] = False  # noqa: B009
    jobs = cores()
    with _lock:
        if sweep not in _pools:
            scratch = tempfile.mkdtemp(dir=get_worker().local_directory)
            _pools[sweep] = pool_of(jobs, limits.memory, scratch), scratch
    return list(run_in(_pools[sweep][0], request, limits, jobs, batch))


def _end(sweep: str) -> None:
    """End the processes of a sweep."""
    with _lock:
        pool, scratch = _pools.pop(sweep, (None, ""))
    if pool is not None:
        pool.stop()
        pool.join()
        shutil.rmtree(scratch, ignore_errors=True)
