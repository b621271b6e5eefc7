"""Random texts for a Keras model: of words that its layers know, and of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MOST = 100  # words of a vocabulary to draw from
_UNKNOWN = ("unseen", "Élan", "näive", "中文", "😀", "42")
_ENDS = (".", ", ", "!", "\t", "\n", "  ", " ")


class Texts:
    """Texts for the layers of a model that look up words.

    Attributes:
        words: some words of the vocabularies, in the form in which they are stored.
        split: whether a layer splits a text into words: then a text has several, in both cases, with punctuation.
        closed: whether a layer has no index for an unknown word.
    """

    def __init__(self, model: Any) -> None:
        layers = list(model._flatten_layers())
        known = [
            layer.get_vocabulary(include_special_tokens=False)
            for layer in layers
            if hasattr(layer, "get_vocabulary") and not getattr(layer, "invert", False)
        ]
        self.words = [str(word) for words in known for word in words[:_MOST]]
        self.split = any(getattr(layer, "_split", None) is not None for layer in layers)
        self.closed = any(getattr(layer, "num_oov_indices", 1) == 0 for layer in layers)

    def draw(self, rng: Any, shape: Sequence[int]) -> Any:
        """``draw(shape) -> str[shape]``: random texts, some of them empty."""
        import numpy as np

        drawn = np.empty(tuple(shape), object)
        for place in np.ndindex(*shape):
            drawn[place] = self._text(rng)
        return drawn

    def _text(self, rng: Any) -> str:
        if self.closed and self.words:
            return str(rng.choice(self.words))
        if not self.split:
            return self._word(rng) if rng.random() > 0.1 else ""
        count = int(rng.integers(0, 9))
        return "".join(self._word(rng) + str(rng.choice(_ENDS)) for _ in range(count))

    def _word(self, rng: Any) -> str:
        known = self.words and rng.random() > 0.3
        word = str(rng.choice(self.words if known else _UNKNOWN))
        return word.upper() if rng.random() < 0.3 else word
