"""Where the project is on the web: ``pyproject.toml``, the pre-commit hook and ``docs/tutorials/ci.md`` say the same.

The project is not published: the domain is one that is reserved for examples (RFC 2606), and leads nowhere.
"""

from __future__ import annotations

REPOSITORY = "https://rewriter.example/rewriter"
DOCUMENTATION = f"{REPOSITORY}/blob/main/docs"


def code_page(code: str) -> str:
    """The page of a kind of finding."""
    return f"{DOCUMENTATION}/findings.md#{code.lower()}"
