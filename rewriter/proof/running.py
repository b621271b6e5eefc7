"""The session of a runtime other than Keras, which runs a model on arrays for a proof."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .feeds import Feeds, Sizes

Arrays = dict[str, Any]


class RefusedError(Exception):
    """The runtime does not load a model."""


class FailedError(Exception):
    """The runtime does not run a model on an input."""


class Running:
    """A loaded model.

    Attributes:
        feeds: its inputs.
    """

    feeds: Feeds

    def run(self, given: Arrays) -> Arrays:
        """The outputs and the wanted inner tensors, by name. Raises FailedError."""
        raise NotImplementedError

    def fails(self, sizes: Sizes, batches: Sequence[int]) -> str:
        """Why it does not run at one of the batches, or ""."""
        self.feeds.sizes = sizes
        try:
            for size in batches:
                self.run(self.feeds.batch(range(size)))
        except FailedError as error:
            return str(error)
        return ""

    @property
    def whole(self) -> bool:
        """Whether an input holds integers: which values are valid depends on the model."""
        return any("int" in item.kind for item in self.feeds.inputs)
