"""The table of old constructs: what becomes of each, and the test that shows it."""

from __future__ import annotations

from typing import NamedTuple


class Construct(NamedTuple):
    """One row.

    Attributes:
        name: the construct, as its Keras writes it.
        becomes: what stands in its place, in Keras 3.
        test: the case in ``tests/formats/keras/upgrade`` that compares it with its Keras.
    """

    name: str
    becomes: str
    test: str


def table() -> list[tuple[str, list[Construct]]]:
    """All rows, by the topic that its module's documentation names."""
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
        whole_numbers,
        wrappers,
    )
    from .functions import elementwise, indexing, layout, networks, node_defs, reductions

    topics = {
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
        "Archives and training": (archive_weights, compiled),
    }
    return [
        (topic, [row for module in modules for row in module.CONSTRUCTS]) for topic, modules in topics.items()
    ]
