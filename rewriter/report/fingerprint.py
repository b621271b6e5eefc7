"""An id of a finding that is the same in every run: of the model's path in its repository, the node and the code."""

from __future__ import annotations

import hashlib
import os


def fingerprint(path: str, node: str, code: str) -> str:
    """32 hexadecimal digits; the same for any place of the repository and any working directory."""
    identity = f"{in_repository(path)}\0{node}\0{code}"
    return hashlib.sha256(identity.encode(errors="surrogatepass")).hexdigest()[:32]


def in_repository(path: str) -> str:
    """A path from the root of its Git repository, else from the working directory, with '/' between the names.

    A file in neither keeps its absolute path, and an address stays as it is.
    """
    if is_address(path):
        return path
    whole = os.path.abspath(path)
    root = _repository(os.path.dirname(whole)) or os.getcwd()
    inside = os.path.relpath(whole, root) if _is_within(whole, root) else whole
    return inside.replace(os.sep, "/")


def is_address(path: str) -> bool:
    """Whether a model is named by an address, such as ``s3://models/a.keras``."""
    return "://" in path


def _repository(folder: str) -> str | None:
    """The nearest folder upwards with ``.git``: a folder, or a file in a work tree."""
    while True:
        if os.path.lexists(os.path.join(folder, ".git")):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _is_within(path: str, root: str) -> bool:
    return path.startswith(os.path.join(root, ""))
