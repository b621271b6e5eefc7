"""The progress of a command on a terminal, after its first second: the stage, the step, and the time."""

from __future__ import annotations

import contextlib
import os
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_FIRST_SIGN = 1.0  # seconds


def is_terminal(stream: TextIO | None) -> bool:
    """True for a terminal that can move its cursor."""
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:
        return False


class Progress:
    """One line on standard error that is removed at the end: ``m.keras: proving (independence) 2 of 4  0:00:03``.

    Args:
        what: the model, safe to print.
    """

    def __init__(self, stream: TextIO, what: str, width: int) -> None:
        self._stream, self._what, self._width = stream, what, width
        self._bar: Bar | None = None
        self._stage, self._step, self._of = "", 0, 0
        self._done = False
        self._lock = threading.Lock()
        self._timer = threading.Timer(_FIRST_SIGN, self._show)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._done = True
            if self._bar is not None:
                with contextlib.suppress(OSError, ValueError):
                    self._bar.stop()
            self._bar = None

    def stage(self, name: str, step: int = 0, of: int = 0) -> None:
        """Show a stage that begins. ``step`` (from 1) of ``of`` is shown if there are several."""
        with self._lock:
            self._stage, self._step, self._of = name, step, of
            if self._bar is not None:
                self._update(self._bar)

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        with self._lock:
            if self._done:
                return
            rich = Console(
                file=self._stream, width=self._width, markup=False, highlight=False, force_terminal=True
            )
            self._bar = Progress(
                SpinnerColumn("line"),
                TextColumn("{task.description}", markup=False),
                BarColumn(20),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=rich,
                transient=True,
                refresh_per_second=4,
            )
            self._bar.add_task(self._what, total=None)
            self._update(self._bar)
            with contextlib.suppress(OSError, ValueError):
                self._bar.start()

    def _update(self, bar: Bar) -> None:
        steps = f" {self._step} of {self._of}" if self._of else ""
        text = f"{self._what}: {self._stage}{steps}" if self._stage else self._what
        bar.update(
            bar.task_ids[0], description=text, completed=max(self._step - 1, 0), total=self._of or None
        )
