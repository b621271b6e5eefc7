"""Whether an entry is of a custom class, whatever its name.

Source: ``serialize_keras_object`` in ``saving/serialization_lib.py`` of tf_keras 2.21: it writes a module for
every class of Keras, and null for a class that has to be registered. Files before 2.12 have no modules.
"""

from __future__ import annotations

import re

from ..opaque import is_custom
from .context import Entry

_MODULES = re.compile(r"(keras|tf_keras|tensorflow)(\..*)?", re.DOTALL)


def states_custom(entry: Entry) -> bool:
    """Whether the entry states that its class is not part of Keras."""
    return is_custom(entry, _MODULES)
