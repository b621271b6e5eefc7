"""All constructs of older versions of Keras that are translated or refused, by topic, for the docs and their tests."""

from __future__ import annotations

from .. import renewed
from . import (
    archive_weights,
    compiled,
    hard_sigmoid,
    initializers,
    keras_1,
    kernels,
    layers,
    masks,
    merges,
    model,
    names,
    optimizer_slots,
    whole_numbers,
    wrappers,
)
from .constructs import Construct
from .functions import elementwise, indexing, layout, networks, node_defs, reductions

_TOPICS = {
    "Models": (model, names),
    "Layers": (layers, wrappers, hard_sigmoid, initializers),
    "Masks": (masks,),
    "Functions of TensorFlow": (
        elementwise,
        reductions,
        layout,
        indexing,
        networks,
        node_defs,
        whole_numbers,
    ),
    "Keras 1": (keras_1, merges, kernels),
    "Archives and training": (archive_weights, compiled, optimizer_slots),
    "Older versions of Keras 3": (renewed,),
}


def table() -> list[tuple[str, list[Construct]]]:
    """All rows, by topic."""
    return [
        (topic, [row for each in modules for row in each.CONSTRUCTS]) for topic, modules in _TOPICS.items()
    ]
