"""The hash of a file, by which a plan knows its model again."""

from __future__ import annotations

import hashlib
import os

from ..errors import BadFileError
from .folder import Folder
from .regular import open_regular


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes in hexadecimal, of a folder that of its files' names and bytes.

    Raises:
        BadFileError: it cannot be read.
    """
    if os.path.isdir(path):
        folder, whole = Folder(path), hashlib.sha256()
        for name in folder.names():
            content = hashlib.sha256()
            for piece in () if name.endswith("/") else folder.content(name):
                content.update(piece)
            whole.update(f"{name}\n{content.hexdigest()}\n".encode())
        return whole.hexdigest()
    try:
        with os.fdopen(open_regular(path)[0], "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadFileError(f"cannot be read: {error.strerror}") from None
