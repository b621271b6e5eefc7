"""The terminal: what may reach it, colours where it has them, and a sign of life while work takes long."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_RESET = "\x1b[0m"
_OURS = "|".join(re.escape(f"\x1b[{code}m") for code in ("0", *_CODES.values()))
# Control, format, private and surrogate characters, except the line feed and the colours of this module.
_UNSAFE = re.compile(
    rf"({_OURS})|[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ue000-\uf8ff\ufeff]"
)
_MARK = re.compile(_OURS)
_FIRST_SIGN = 1.0
_NARROWEST, _WIDEST = 40, 100


def paint(text: str, *styles: str) -> str:
    """Text in a colour; ``Console.write`` takes it out again where there are none."""
    return "".join(f"\x1b[{_CODES[s]}m" for s in styles) + text + _RESET if text else text


def plain(text: str, colour: bool = False) -> str:
    """Text that is safe to print: no control characters, and no colours unless asked for."""
    return _UNSAFE.sub(lambda m: (m[1] if colour else "") if m[1] else "\N{REPLACEMENT CHARACTER}", text)


def columns(text: str) -> int:
    """How many columns a terminal gives to a text: two to wide characters, none to combining ones and colours."""
    text = _MARK.sub("", text)
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def pad(text: str, width: int, right: bool = False) -> str:
    """Text filled up with spaces to a number of columns."""
    fill = " " * (width - columns(text))
    return fill + text if right else text + fill


class Console:
    """Standard output and error as the commands use them."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.out = out if out is not None else sys.stdout
        self.err = err if err is not None else sys.stderr
        for stream in (self.out, self.err):
            with contextlib.suppress(AttributeError, ValueError):
                stream.reconfigure(errors="replace")  # type: ignore[union-attr]
        self.colour = _has_colour(self.out)
        size = shutil.get_terminal_size((80, 24)).columns
        self.width = max(_NARROWEST, min(size, _WIDEST))

    def write(self, text: str) -> None:
        """Print text that ends with a line feed. What a file's names hold cannot steer the terminal."""
        if self.out is not None:
            self.out.write(plain(text, self.colour))

    def data(self, text: str) -> None:
        """Print text that is pure ASCII already (JSON)."""
        if self.out is not None:
            self.out.write(text.replace("\x7f", "\\u007f"))

    def error(self, message: str) -> None:
        """Print an ``error:`` line."""
        if self.err is not None:
            with contextlib.suppress(OSError, ValueError):
                self.err.write(f"error: {plain(message)}\n")
                self.err.flush()

    @contextlib.contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show on a terminal that work is going on once it takes longer than a second."""
        if self.err is None or not _is_terminal(self.err):
            yield
            return
        done = threading.Event()
        thread = threading.Thread(target=self._tick, args=(plain(what), done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _tick(self, what: str, done: threading.Event) -> None:
        start = time.monotonic()
        wait = _FIRST_SIGN
        shown = False
        with contextlib.suppress(OSError, ValueError):
            while not done.wait(wait):
                shown, wait = True, 0.25
                self.err.write(f"\r\x1b[K{what[: self.width - 12]} ... {time.monotonic() - start:.0f} s")
                self.err.flush()
            if shown:
                self.err.write("\r\x1b[K")
                self.err.flush()


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:
        return False


def _has_colour(stream: TextIO | None) -> bool:
    """Colours on a terminal, unless the user asks for none (https://no-color.org)."""
    return not os.environ.get("NO_COLOR") and _is_terminal(stream)
