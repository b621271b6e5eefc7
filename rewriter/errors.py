"""The exceptions, split by who must act, and ``shown``, which makes text from a file safe to print."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_SHOWN = 200
DEBUG = "REWRITER_DEBUG"  # an environment variable: print the traceback of an error too


class RewriterError(Exception):
    """Root of every error that this package raises on purpose: one line, ``FILE: REASON`` where it concerns a file.

    Inside the package an error has only its ``reason``; ``naming`` adds the file.

    Attributes:
        about: the path of the file that the error is about, if that is not the model.
        file: the path in front of the text; None without one.
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
    """A valid file in a form that is not supported."""


class UnverifiedError(UnsupportedError):
    """A requested verification cannot run."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"the requested verification cannot run: {reason}")


class OutputError(RewriterError):
    """The output cannot be written: the path, the permissions or the space on disk."""


class UsageError(RewriterError):
    """The arguments cannot be used: a malformed equation, an unknown node or rule, a wrong option."""


class VerificationError(RewriterError):
    """A repair failed its own proof; nothing was written.

    ``verified`` is the result of the proof, as in the JSON; None if there is none.
    """

    def __init__(self, text: str, verified: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.verified = verified


class UndecidedError(RewriterError):
    """A person must decide what a model is meant to compute; nothing was written.

    ``findings`` are the undecided ones.
    """

    def __init__(self, findings: Sequence[Any]) -> None:
        said = "; ".join(f"{shown(f.node)!r}: {shown(f.message)} ({shown(f.why)})" for f in findings)
        super().__init__(f"state what is meant (at): {said}")
        self.findings = list(findings)

    def __reduce__(self) -> tuple[Any, ...]:
        return UndecidedError, (self.findings,), self.__dict__


class FindingsError(RewriterError):
    """A checked model has errors. The text has the findings, ``report`` is the whole report."""

    def __init__(self, text: str, report: Any = None) -> None:
        super().__init__(text)
        self.report = report


def reason_of(error: BaseException) -> str:
    """An error in one line; a malformed equation may add its text with a mark under the place."""
    if isinstance(error, UsageError):
        return "\n".join(shown(line) for line in error.reason.splitlines())
    if isinstance(error, RewriterError):
        return " ".join(error.reason.split())
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return shown(error.strerror)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"internal: {shown(text)} (set {DEBUG}=1 for the traceback)"


@contextmanager
def naming(model: object) -> Iterator[None]:
    """Within the block, errors name their file: the model, if ``model`` is a path and no other file is at fault."""
    try:
        yield
    except RewriterError as error:
        own = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
        error.file = error.file or error.about or own or None
        raise


def shown(text: object, most: int = _SHOWN) -> str:
    """Text from a file, safe for a message: at most ``most`` characters, control and format characters replaced.

    Longer text loses its middle, because a path ends in the file's name.
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
