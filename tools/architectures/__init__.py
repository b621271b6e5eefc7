"""The valid models that `mutate.py` breaks: one builder per architecture, a table of them in each module.

Hand-made ones come in two forms: with distinct sizes, and with all sizes equal (the twin), where only what the axes
are tells them apart. Those of `keras.applications` have one form. Weights are random, and lively enough for a gate on
the wrong axis to change the result.
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
