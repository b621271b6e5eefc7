"""The colours of pages and pictures, light and dark, one row each.

Text in the colour of an axis or a mark has a contrast of at least 4.5 with ``paper`` and ``box``; a test measures it.
"""

from __future__ import annotations

import re

COLOURS: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#16181d"),
    "box": ("#ffffff", "#20242b"),
    "soft": ("#f5f6f8", "#1e2127"),
    "line": ("#d5d9e0", "#3a404a"),
    "edge": ("#8a93a1", "#78828f"),
    "ink": ("#1b1f26", "#e8eaee"),
    "quiet": ("#59626f", "#a2abb8"),
    "link": ("#0b5cad", "#7db8ff"),
    "error": ("#b3261e", "#ff8a80"),
    "error-soft": ("#fdecea", "#3a1f1f"),
    "warning": ("#8a5300", "#f2b45c"),
    "warning-soft": ("#fdf3e1", "#362a17"),
    "info": ("#1f5fa8", "#84b9f5"),
    "info-soft": ("#e8f1fb", "#1b2a3c"),
    "inserted": ("#1a7030", "#6fd58a"),
    "inserted-soft": ("#e7f6ea", "#182f20"),
    "batch": ("#5f43b2", "#bda8ff"),
    "channel": ("#a3480f", "#ffab73"),
    "height": ("#0a6b80", "#5fd0e3"),
    "width": ("#2457b8", "#8fb6ff"),
    "depth": ("#6f5a00", "#dfc35f"),
    "time": ("#2c6e2f", "#86d68a"),
    "feature": ("#9c1c66", "#f591c8"),
    "unknown": ("#59626f", "#a2abb8"),
}
_USE = re.compile(r"var\(--rw-([a-z-]+)\)")


def variables(dark: bool) -> str:
    """The colours as CSS properties."""
    return "".join(f"--rw-{name}:{pair[dark]};" for name, pair in COLOURS.items())


def literal(css: str, dark: bool) -> str:
    """A style sheet with colour values, for programs without CSS variables."""
    return _USE.sub(lambda use: COLOURS[use[1]][dark], css)
