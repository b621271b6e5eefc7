"""Numbers for the first layers of ``Bidirectional``, without which Keras 3 may load layers of another one instead.

While Keras 3 loads an archive, it recognises shared objects by their addresses. ``Bidirectional`` copies its first
layer and drops it. Keras takes the next object at that address for the dropped one, so that the layers of two wrappers
become one, and their weights too. A layer with a ``shared_object_id`` stays alive until the archive is loaded. Source:
``saving/serialization_lib.py`` and ``layers/rnn/bidirectional.py`` of Keras 3.15.
"""

from __future__ import annotations

import itertools
from typing import Any

Json = dict[str, Any]
_ID = "shared_object_id"


def kept_alive(entry: Any) -> Any:
    """A copy of a configuration in which every first layer of a ``Bidirectional`` has a number of its own."""
    taken = {part[_ID] for part in _parts(entry) if isinstance(part.get(_ID), int)}
    numbers = (number for number in itertools.count(1) if number not in taken)

    def copied(value: Any) -> Any:
        if isinstance(value, list):
            return [copied(item) for item in value]
        if not isinstance(value, dict):
            return value
        new = {key: copied(item) for key, item in value.items()}
        if new.get("class_name") == "Bidirectional" and isinstance(new.get("config"), dict):
            layer = new["config"].get("layer")
            if isinstance(layer, dict) and _ID not in layer:
                layer[_ID] = next(numbers)
        return new

    return copied(entry)


def _parts(entry: Any) -> list[Json]:
    found: list[Json] = []
    waiting = [entry]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            found.append(item)
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found
