"""The hash of a file, by which a plan knows its model again."""

from __future__ import annotations

import hashlib
import os

from ..errors import BadFileError
from .regular import open_regular


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes in hexadecimal. Raises BadFileError where it cannot be read."""
    try:
        with os.fdopen(open_regular(path)[0], "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadFileError(f"cannot be read: {error.strerror}") from None
