"""Where the project is on the web: ``pyproject.toml`` names the same addresses."""

from __future__ import annotations

REPOSITORY = "https://github.com/rewriter-dev/rewriter"
DOCUMENTATION = f"{REPOSITORY}/blob/main/docs"


def code_page(code: str) -> str:
    """The page of a kind of finding."""
    return f"{DOCUMENTATION}/findings.md#{code.lower()}"
