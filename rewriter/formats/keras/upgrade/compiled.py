"""What a file says of training: loss, metrics and optimizer, as the ``compile_config`` of Keras 3."""

from __future__ import annotations

from typing import Any

from .result import Account


def translated(entry: dict[str, Any], account: Account) -> dict[str, Any]:
    """``{"compile_config": ...}``, or nothing."""
    return {}
