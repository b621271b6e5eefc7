"""What a library says against a model, in one line, and whether it says the same of the original."""

from __future__ import annotations

import os
import re

from ..errors import shown

# Lines of TensorFlow 2.21 and Keras 3.15 that say where, not what.
_WHERE = (
    "Graph execution error",
    "Detected at node",
    "defined at (most recent call last)",
    'File "',
    "Exception encountered when calling",
    "[[{{node",
)
_INSIDE = "Exception encountered: "  # what follows is the error of a layer in a model that is not made
_ARGUMENTS = "rguments received"  # what follows lists them
_STYLE = re.compile(r"\x1b\[\d+m")
# What a repair is there to mend. It is not an excuse that the original has it too.
_MENDED = re.compile("incompatible|broadcast|must be equal", re.IGNORECASE)


# How Python, NumPy, TensorFlow 2.21 and ONNX Runtime 1.31 say that there is no more memory.
_MEMORY = (
    "MemoryError",
    "Unable to allocate",
    "OOM when allocating",
    "ResourceExhausted",
    "bad_alloc",
    "bad allocation",
    "Failed to allocate memory",
)
LACKS_MEMORY = "more memory is needed than the proof may take"


def line(error: Exception, *paths: str) -> str:
    """The line of an error that says what is wrong, without the names of files that were written for the proof;
    ``LACKS_MEMORY`` for one that says nothing of the model."""
    if any(word in f"{type(error).__name__}: {error}" for word in _MEMORY):
        return LACKS_MEMORY
    text = _STYLE.sub("", str(error))
    for path in paths:
        text = text.replace(path, "the file")
    text = text.rpartition(_INSIDE)[2].partition(_ARGUMENTS)[0]
    lines = [part.strip() for part in text.splitlines() if part.strip()]
    said = [part for part in lines if not any(word in part for word in _WHERE)]
    first = next(iter(said or lines), type(error).__name__)
    return shown(first.replace(os.getcwd(), "."))


def excused(now: str, before: str) -> bool:
    """Whether the original fails for the same reason, and it is none that a repair has to do with."""
    return now == before and _MENDED.search(now) is None
