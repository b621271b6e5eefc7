"""One family of exceptions, split by who must act, and the one way to show text that came from a file."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_SHOWN = 200


class RewriterError(Exception):
    """Root of every error that this package raises on purpose: one line, ``FILE: REASON`` where it concerns a file.

    Inside the package an error has its ``reason`` alone; what the library is called with, or ``naming``, adds the file.

    Attributes:
        about: the path of the file that it is about, where that is not the model's.
        file: the path in front of the text.
    """

    def __init__(self, text: str = "", about: str | None = None) -> None:
        super().__init__(text)
        self.about = about
        self.file: str | None = None

    @property
    def reason(self) -> str:
        """The text without the file's name."""
        return super().__str__()

    def __str__(self) -> str:
        return self.reason if self.file is None else f"{shown(self.file)}: {self.reason}"


class BadFileError(RewriterError):
    """The file is damaged, hostile or contradicts itself: whoever wrote the file must act."""


class UnsupportedError(RewriterError):
    """An honest file in a form that is not handled here."""


class UnverifiedError(UnsupportedError):
    """A verification that was requested cannot run, for a reason."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"the requested verification cannot run: {reason}")


class OutputError(RewriterError):
    """The output cannot be written: the path, the permissions or the space on disk."""


class UsageError(RewriterError):
    """The arguments cannot be used: a malformed equation, an unknown node or rule, a wrong option."""


class VerificationError(RewriterError):
    """A repair failed its own proof; nothing was written.

    ``verified`` is what the proof came to, as in the JSON; None where it did not come so far.
    """

    def __init__(self, text: str, verified: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.verified = verified


class UndecidedError(RewriterError):
    """What a model was meant to compute has to be decided by a person; nothing was written.

    ``findings`` are those that are open.
    """

    def __init__(self, findings: Sequence[Any]) -> None:
        said = "; ".join(f"{shown(f.node)!r}: {shown(f.message)} ({shown(f.why)})" for f in findings)
        super().__init__(f"what was meant has to be stated: {said}")
        self.findings = list(findings)

    def __reduce__(self) -> tuple[Any, ...]:
        return UndecidedError, (self.findings,), self.__dict__


class FindingsError(RewriterError):
    """A model that is expected to fit does not: the text has the findings, ``report`` is the whole report."""

    def __init__(self, text: str, report: Any = None) -> None:
        super().__init__(text)
        self.report = report


@contextmanager
def naming(model: object) -> Iterator[None]:
    """Within the block, errors name the file that they are about: the model's, where ``model`` is a path."""
    try:
        yield
    except RewriterError as error:
        own = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
        error.file = error.file or error.about or own
        raise


def shown(text: object, most: int = _SHOWN) -> str:
    """Text from a file, fit for a message: at most ``most`` characters, control and format characters replaced.

    Longer text lacks its middle: a path ends in the file's name.
    """
    text = str(text)
    if len(text) > most:
        half = most // 2
        text = f"{text[: half - 1]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn")
        else c
        for c in text
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``": did you mean 'scale'?"`` for a word close to a known one, or ""."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f": did you mean {shown(close[0])!r}?" if close else ""
