"""Standard output and error of a command, with the layout of rich. Text from a file cannot control a terminal."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from ..errors import OutputError
from .progress import Progress, is_terminal

if TYPE_CHECKING:
    from rich.console import RenderableType


class StandardOutputError(OutputError):
    """Standard output cannot be written: the disk is full, or its target is gone."""


COLOURS = ("auto", "always", "never")
_OURS = r"\x1b\[(?:\d+(?:;\d+)*)m"
# Control characters, characters that reverse or hide text, separators, surrogates, private use (others may be
# unprintable too).
_UNSAFE = re.compile(
    rf"({_OURS})|[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ue000-\uf8ff\ufeff]"
)
_TRAILING = re.compile(rf" +((?:{_OURS})*)$", re.MULTILINE)
_NARROWEST, _WIDEST = 40, 120


def plain(text: str, colour: bool = False) -> str:
    """Text that is safe to print: no control characters, and no colours unless requested."""
    return _UNSAFE.sub(lambda m: (m[1] if colour else "") if m[1] else "\N{REPLACEMENT CHARACTER}", text)


def rendered(*blocks: RenderableType, width: int, colour: bool = False) -> str:
    """Blocks, one below the other, as text with ``width`` columns."""
    from rich.console import Console as Rich
    from rich.console import Group

    out = StringIO()
    rich = Rich(
        file=out,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    for block in blocks:
        rich.print(Group(block), crop=False)  # one by one: rich joins texts, and loses which of them wrap
    return plain(_TRAILING.sub(r"\1", out.getvalue()), colour)


class Console:
    """Standard output and error as the commands use them.

    Args:
        colour: ``auto`` (on a terminal, unless NO_COLOR is set; FORCE_COLOR is as ``always``), ``always`` or ``never``.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, colour: str = "auto") -> None:
        self.out = out if out is not None else sys.stdout
        self.err = err if err is not None else sys.stderr
        for stream in (self.out, self.err):
            with contextlib.suppress(AttributeError, ValueError):
                stream.reconfigure(errors="replace")  # type: ignore[union-attr]
        self.colour = _has_colour(self.out, colour)
        size = shutil.get_terminal_size((80, 24)).columns
        self.width = max(_NARROWEST, min(size, _WIDEST))

    @property
    def is_terminal(self) -> bool:
        """Whether standard output is a terminal."""
        return is_terminal(self.out)

    def print(self, *blocks: RenderableType) -> None:
        """Lay blocks out one below the other."""
        if blocks:
            self.write(rendered(*blocks, width=self.width, colour=self.colour))

    def write(self, text: str) -> None:
        """Print text without layout, and without characters that control the terminal."""
        self._put(plain(text, self.colour))

    def data(self, text: str) -> None:
        """Print text that is pure ASCII already (JSON)."""
        self._put(text.replace("\x7f", "\\u007f"))

    def flush(self) -> None:
        """Write the buffered output. Raises StandardOutputError, or BrokenPipeError if the reader closed the pipe."""
        self._put("", flush=True)

    def _put(self, text: str, flush: bool = False) -> None:
        if self.out is None:
            return
        try:
            self.out.write(text)
            if flush:
                self.out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StandardOutputError(f"standard output: {error.strerror or error}") from None

    def error(self, message: str) -> None:
        """Print an ``error:`` line."""
        if self.err is not None:
            with contextlib.suppress(OSError, ValueError):
                self.err.write(f"error: {plain(message)}\n")
                self.err.flush()

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[Callable[..., None]]:
        """Show on a terminal what is being done once it takes longer than a second."""
        if self.err is None or not is_terminal(self.err):
            yield lambda *_, **__: None
            return
        with Progress(self.err, plain(what), self.width) as progress:
            yield progress.stage


def _has_colour(stream: TextIO | None, colour: str) -> bool:
    """Colours on a terminal, unless the user asks for none (https://no-color.org, https://force-color.org)."""
    if colour != "auto":
        return colour == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal(stream)
