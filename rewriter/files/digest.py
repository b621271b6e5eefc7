"""The hash of a model's file or folder: a plan identifies its model by it."""

from __future__ import annotations

import hashlib
import os

from ..errors import BadFileError
from .arriving import need
from .folder import Folder
from .regular import open_regular


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 in hexadecimal: of a file's bytes, or of the names and bytes of a folder's files.

    Raises:
        BadFileError: the path cannot be read.
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
        descriptor, state = open_regular(path)
        with os.fdopen(descriptor, "rb") as file:
            need(descriptor, 0, state.st_size)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadFileError(f"cannot be read: {error.strerror}") from None
