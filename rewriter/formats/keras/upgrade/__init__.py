"""Translate models of Keras 1 and Keras 2 to Keras 3: their configuration and their weights.

All other code handles only the forms of Keras 3. Each topic has a module, with a table of the constructs that it
translates (``constructs.py``).
"""

from .archive_weights import archive_groups, archive_owns, archive_variables
from .constructs import Construct
from .detect import is_old
from .model import upgraded
from .optimizer_slots import NotCarried, OldModel, Slots, carried_slots, old_model
from .result import Account, Origin, Refusal, Upgraded
from .weights import (
    keras_3_variables,
    legacy_paths,
    legacy_places,
    model_variables,
    named_places,
    trained_count,
)

__all__ = [
    "Account",
    "Construct",
    "NotCarried",
    "OldModel",
    "Origin",
    "Refusal",
    "Slots",
    "Upgraded",
    "archive_groups",
    "archive_owns",
    "archive_variables",
    "carried_slots",
    "is_old",
    "legacy_paths",
    "legacy_places",
    "keras_3_variables",
    "model_variables",
    "named_places",
    "old_model",
    "trained_count",
    "upgraded",
]
