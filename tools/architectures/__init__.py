"""The valid models that `mutate.py` breaks: one builder per architecture, a table of them in each module.

Each hand-made model has two forms: one with distinct sizes, and the twin with all sizes equal, where only the roles
tell the axes apart. Those of `keras.applications` have one form. The random weights are large enough that a gate on
the wrong axis changes the result.
"""

from __future__ import annotations

from tools.architectures import contractions, images, pairs, sequences, styles, tokens
from tools.architectures.parts import Architecture

ARCHITECTURES: dict[str, Architecture] = {
    **images.ARCHITECTURES,
    **sequences.ARCHITECTURES,
    **pairs.ARCHITECTURES,
    **tokens.ARCHITECTURES,
    **contractions.ARCHITECTURES,
    **styles.ARCHITECTURES,
}
