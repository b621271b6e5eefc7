"""Layers of Keras 1 as layers of Keras 2."""

from __future__ import annotations

from typing import Any

from .context import Context, Entry


def looks_like(entry: dict[str, Any]) -> bool:
    """Whether a configuration without a version is of Keras 1."""
    return False


def renamed(entry: Entry, context: Context) -> Entry:
    return entry


def renamed_parts(class_name: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Class name and configuration of a layer of Keras 1 in terms of Keras 2."""
    return class_name, config
