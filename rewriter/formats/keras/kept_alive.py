"""Numbers for the first layers of ``Bidirectional``: without them, Keras 3 may load the layers of another one.

While Keras 3 loads an archive, it recognises shared objects by their addresses. ``Bidirectional`` copies its first
layer and drops it. Keras takes the next object at that address for the dropped one, so that the layers of two wrappers
become one, and their weights too. A layer with a ``shared_object_id`` stays alive until the archive is loaded. Source:
``saving/serialization_lib.py`` and ``layers/rnn/bidirectional.py`` of Keras 3.15.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
_ID = "shared_object_id"


def kept_alive(entry: Any) -> Any:
    """A configuration in which every first layer of a ``Bidirectional`` has a number of its own."""
    if all(_ID in layer for layer in _first_layers(entry)):
        return entry
    entry = json.loads(json.dumps(entry))
    taken = {part[_ID] for part in _parts(entry) if isinstance(part.get(_ID), int)}
    numbers = (number for number in itertools.count(1) if number not in taken)
    for layer in _first_layers(entry):
        if _ID not in layer:
            layer[_ID] = next(numbers)
    return entry


def _first_layers(entry: Any) -> Iterator[Json]:
    for part in _parts(entry):
        config = part.get("config")
        if part.get("class_name") == "Bidirectional" and isinstance(config, dict):
            layer = config.get("layer")
            if isinstance(layer, dict):
                yield layer


def _parts(entry: Any) -> Iterator[Json]:
    """The dicts in a configuration, at every depth."""
    waiting = [entry]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
