"""The limits of a proof's process: memory, time, and its end when the process that started it is gone.

On Linux the kernel limits the memory (``RLIMIT_DATA``: written memory, not the address space that TensorFlow reserves);
a library that needs more raises an error. Elsewhere a thread watches the peak, if the platform reports it. Measured
with TensorFlow 2.21 on Linux: 260 MB after the import, 360 MB after a first run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..errors import UsageError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_BASE = 2 << 30
_PER_CORE = 16 << 20  # stacks and pools of the threads that libraries start
_PER_BYTE = 8  # of the files: both models, arrays made while they load, random weights
_PER_NUMBER = 16  # in the tensors of the first batches; used tensors are freed
_MOST_NUMBERS = 2 << 30
_UNSTATED = 2 << 30  # a model without weights makes them when it is loaded
_CORES = os.cpu_count() or 1
TOO_MUCH = 97  # the exit status of a process that used more


def memory(files: Iterable[str], numbers: int = 0, stored: bool = True) -> int:
    """Bytes of memory that a proof may use.

    Args:
        files: the models.
        numbers: how many numbers all tensors of the first batches have.
        stored: whether the files hold the weights.
    """
    size = 0
    for path in files:
        with contextlib.suppress(OSError):
            size += os.path.getsize(path)
            for folder, _, names in os.walk(path):  # nothing where it is a file
                size += sum(os.path.getsize(os.path.join(folder, name)) for name in names)
    more = 0 if stored else _UNSTATED
    return _BASE + _PER_CORE * _CORES + _PER_BYTE * size + min(_PER_NUMBER * numbers, _MOST_NUMBERS) + more


def limit(size: int, seconds: float) -> None:
    """Limit this process: ``size`` bytes of memory, and the CPU time of all cores in ``seconds``."""
    if resource is None:
        return
    _set(resource.RLIMIT_CPU, int(seconds * _CORES) + 60)
    if sys.platform == "linux":
        _set(resource.RLIMIT_DATA, size)
    else:
        threading.Thread(target=watch_memory, args=(size,), daemon=True).start()


def too_much() -> str:
    """What is said of code that needs more memory than this process may use."""
    size = resource.getrlimit(resource.RLIMIT_DATA)[0] if resource is not None else -1
    if resource is None or size == resource.RLIM_INFINITY:
        return "there is not enough memory"
    return f"it took more than {size / 2**30:.1f} GiB of memory"


def _set(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(what, (most, hard))


def watch_memory(size: int, every: float = 0.2) -> None:
    """End this process once its peak was above ``size`` bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    while resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit <= size:
        time.sleep(every)
    os._exit(TOO_MUCH)


def end_with(descriptor: int) -> None:
    """End this process when a pipe is closed at its other end: the process that holds it is gone.

    If it leads a group of processes, all of them end.
    """

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 1):
                pass
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


_SECONDS: ContextVar[float] = ContextVar("seconds", default=300.0)


def seconds() -> float:
    """How long a proof may take, in seconds."""
    return _SECONDS.get()


@contextmanager
def within(limit: float | None) -> Iterator[None]:
    """Limit each proof that begins in the block to this many seconds; None changes nothing.

    Raises:
        UsageError: ``limit`` is not a number above 0.
    """
    if limit is None:
        yield
        return
    if not 0 < limit < float("inf"):
        raise UsageError(f"timeout={limit!r}: must be a number of seconds above 0")
    token = _SECONDS.set(limit)
    try:
        yield
    finally:
        _SECONDS.reset(token)
