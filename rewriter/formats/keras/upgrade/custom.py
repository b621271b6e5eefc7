"""Which entries are of a custom class, whatever its name.

Source: ``serialize_keras_object`` in ``saving/serialization_lib.py`` of tf_keras 2.21: it writes a module for all that
is Keras's, and null for a class that it would have to be told of. Files before 2.12 have no modules.
"""

from __future__ import annotations

from .context import Entry

_KERAS = ("keras", "tf_keras", "tensorflow")


def states_custom(entry: Entry) -> bool:
    """Whether the entry says that its class is none of Keras's."""
    registered = entry.get("registered_name")
    if isinstance(registered, str) and ">" in registered:
        return True
    if "module" not in entry:
        return False
    module = entry["module"]
    return not isinstance(module, str) or module.split(".")[0] not in _KERAS
