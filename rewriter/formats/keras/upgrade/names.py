"""Names in a model: unique, and without the '/' that Keras 3 refuses."""

from __future__ import annotations

from collections.abc import Iterable

from .constructs import Construct

CONSTRUCTS = (Construct("layer names with '/'", "'_' in its place, made unique", "names_with_slashes"),)


class Names:
    """The names of one model's layers: ``new`` maps the old names to the new ones."""

    def __init__(self, old: Iterable[str]) -> None:
        old = list(old)
        self.taken = {name for name in old if "/" not in name}
        self.new = {name: name if "/" not in name else self.fresh(name.replace("/", "_")) for name in old}

    def fresh(self, stem: str) -> str:
        """A name that is not taken yet; it is added to ``taken``."""
        name, number = stem, 1
        while name in self.taken:
            name, number = f"{stem}_{number}", number + 1
        self.taken.add(name)
        return name
