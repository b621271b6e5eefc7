"""The error of a library on a model, in one line, and whether the original has the same error."""

from __future__ import annotations

import os
import re

from ..errors import shown

# Lines of TensorFlow 2.21 and Keras 3.15 that say where the error is, not what it is.
_WHERE = (
    "Graph execution error",
    "Detected at node",
    "defined at (most recent call last)",
    'File "',
    "Exception encountered when calling",
    "[[{{node",
    "<stack traces unavailable>",
)
_INSIDE = "Exception encountered: "  # the error of a layer follows, in a model that cannot be made
_ARGUMENTS = "rguments received"  # their list follows
_STYLE = re.compile(r"\x1b\[\d+m")
_PLACE = re.compile(r"\{\{[^{}]*\}\} ?| \[Op:\w+\](?: name:)?")  # of TensorFlow's kernels
# Kernels that TensorFlow 2.21 has for channels last only, without oneDNN.
_LIMITS = re.compile(r"supports (the )?NHWC")
# Errors that a repair must remove. The same error of the original does not excuse them.
_MENDED = re.compile("incompatible|broadcast|must be equal", re.IGNORECASE)


# Errors of Python, NumPy, TensorFlow 2.21 and ONNX Runtime 1.31 when memory runs out.
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
    """The line of an error that says what is wrong, without the paths of the proof's files; ``LACKS_MEMORY`` if memory
    ran out."""
    if any(word in f"{type(error).__name__}: {error}" for word in _MEMORY):
        return LACKS_MEMORY
    text = _STYLE.sub("", str(error))
    for path in paths:
        text = text.replace(path, "the file")
    text = text.rpartition(_INSIDE)[2].partition(_ARGUMENTS)[0]
    lines = [part.strip() for part in text.splitlines() if part.strip()]
    said = [part for part in lines if not any(word in part for word in _WHERE)]
    first = _PLACE.sub("", next(iter(said or lines), type(error).__name__)).strip()
    return shown(first.replace(os.getcwd(), "."))


def excused(now: str, before: str) -> bool:
    """Whether a failure is not the repair's: the runtime has no kernel, or the original fails for the same reason.

    The fault that a repair must remove does not count as such a reason.
    """
    return _LIMITS.search(now) is not None or (now == before and _MENDED.search(now) is None)
