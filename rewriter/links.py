"""The web addresses of the project, as in ``pyproject.toml``, the pre-commit hook and ``docs/tutorials/ci.md``.

The project is not published: the domain is reserved for examples (RFC 2606).
"""

from __future__ import annotations

REPOSITORY = "https://rewriter.example/rewriter"
DOCUMENTATION = f"{REPOSITORY}/blob/main/docs"


def code_page(code: str) -> str:
    """The page of a kind of finding."""
    return f"{DOCUMENTATION}/findings.md#{code.lower()}"
