"""Spreads looks over processes of this machine.

Every file is looked at in a process that can be ended: one that takes too long or too much memory costs its process,
which is then replaced, and nothing else.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from ..errors import UsageError, shown
from ..files.atomic import removed_if_killed
from ..proof.limits import TOO_MUCH
from ..swept import Outcome
from .look import look, too_large
from .task import Found, Limits, Request

_STOP = 10  # seconds that processes get to end when a sweep is interrupted
# How many files wait for each process, so that none is idle.
_AHEAD = 4
# A process is replaced after so many files: what leaks is bounded.
_MOST_LOOKS = 2000
# Seconds between looks at the memory that a process holds, and whether the driving process is there.
_WATCH = 0.5
_LONGEST = 70  # of a folder in which the server's socket can be: its path has at most 107 bytes

# Outcomes of files, in the order in which they are ready.
Run = Callable[[Iterable[Found]], Iterator[Outcome]]


@contextmanager
def processes(request: Request, limits: Limits, jobs: int) -> Iterator[Run]:
    """Run looks in ``jobs`` processes of this machine. Raises UsageError without pebble."""
    with ExitStack() as stack:
        scratch = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="rewriter-", ignore_cleanup_errors=True)
        )
        for folder in (scratch, *_folders_of_server()):
            stack.enter_context(removed_if_killed(folder))
        pool = pool_of(jobs, limits.memory, scratch)
        try:
            yield partial(run_in, pool, request, limits, jobs)
        except BaseException:
            pool.stop()
            with suppress(TimeoutError):  # interrupted while it started a process, it might never end
                pool.join(_STOP)
            raise
        pool.close()
        pool.join()


@contextmanager
def here(request: Request, limits: Limits) -> Iterator[Run]:
    """Run looks in this process, one by one: for ``memory://``, which no other process sees."""
    yield lambda files: (look(found, request, limits) for found in files)


def pool_of(jobs: int, memory: int, scratch: str) -> Any:
    """Processes whose temporary files are in ``scratch``, which has to be deleted after them."""
    try:
        from pebble import ProcessPool
    except ImportError:
        raise UsageError("a sweep needs pebble: pip install 'rewriter[sweep]'") from None

    # A fork of this process would copy the locks of its threads; a server without threads forks as fast.
    server = _has_server()
    context: Any = multiprocessing.get_context("forkserver" if server else "spawn")
    if server:
        context.set_forkserver_preload([look.__module__])
        _start_server()
    left = [scratch, *_folders_of_server()]
    return ProcessPool(
        max_workers=jobs,
        max_tasks=_MOST_LOOKS,
        context=context,
        initializer=_begin,
        initargs=[{**os.environ, "TMPDIR": scratch}, os.getpid(), left, memory],
    )


def _has_server() -> bool:
    """Whether processes can come from a server: not on Windows, nor where temporary files have a very long path."""
    short = len(os.fsencode(tempfile.gettempdir())) <= _LONGEST
    return short and "forkserver" in multiprocessing.get_all_start_methods()


def _folders_of_server() -> list[str]:
    """The folder of the server's socket, if it is this process's own: a child has that of its parent."""
    own = _has_server() and multiprocessing.parent_process() is None
    return [multiprocessing.util.get_temp_dir()] if own else []


def _start_server() -> None:
    """Start the server of processes so that Ctrl-C ends it quietly: the driving process reports it."""
    from multiprocessing import forkserver

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    errors, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        forkserver.ensure_running()
    finally:
        os.dup2(errors, 2)
        os.close(errors)
        os.close(nowhere)
        if main:
            signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _begin(environment: dict[str, str], driver: int, left: list[str], memory: int) -> None:
    """Begin a process with the environment of now, as the server may have started with another.

    It ends with the process that drives the sweep, also if that is killed: nothing is written after that, and the
    folders in ``left`` are deleted.
    """
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = environment["TMPDIR"]
    if os.name == "posix":  # elsewhere signal 0 is no question
        threading.Thread(target=_watch, args=(driver, left, memory), daemon=True).start()


def _watch(driver: int, left: list[str], memory: int) -> None:
    while True:
        time.sleep(_WATCH)
        if _held() > memory:
            os._exit(TOO_MUCH)
        try:
            os.kill(driver, 0)
        except ProcessLookupError:
            for folder in left:
                shutil.rmtree(folder, ignore_errors=True)
            os._exit(1)


def _held() -> int:
    """The bytes that this process holds itself, without mapped files; 0 where the system does not say it."""
    try:
        with open("/proc/self/statm") as file:
            _, resident, mapped, *_ = map(int, file.read().split())
    except OSError:
        return 0
    return (resident - mapped) * os.sysconf("SC_PAGE_SIZE")


def run_in(
    pool: Any, request: Request, limits: Limits, jobs: int, files: Iterable[Found]
) -> Iterator[Outcome]:
    ready: queue.SimpleQueue[tuple[Found, Future[Outcome]]] = queue.SimpleQueue()
    running = 0
    waiting = iter(files)
    while True:
        while running < jobs * _AHEAD and (found := next(waiting, None)) is not None:
            future = pool.schedule(look, args=[found, request, limits], timeout=limits.seconds)
            future.add_done_callback(lambda done, found=found: ready.put((found, done)))
            running += 1
        if not running:
            return
        found, future = ready.get()
        running -= 1
        yield _outcome(found, future, limits)


def _outcome(found: Found, future: Future[Outcome], limits: Limits) -> Outcome:
    from pebble import ProcessExpired

    try:
        return future.result()
    except TimeoutError:
        return unusable(found, f"takes longer than {limits.seconds:g} seconds")
    except ProcessExpired as error:
        if error.exitcode == TOO_MUCH:
            return unusable(found, too_large(limits.memory))
        return unusable(found, f"it ended the process that read it (status {error.exitcode})")
    except Exception as error:
        return unusable(found, shown(f"{type(error).__name__}: {error}"))


def unusable(found: Found, error: str) -> Outcome:
    return Outcome.lost(found.url, found.size, found.stamp, error)


def cores() -> int:
    """How many processes this machine runs at once."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
