"""A row of the table of old constructs: what becomes of it, and the test that shows it."""

from __future__ import annotations

from typing import NamedTuple


class Construct(NamedTuple):
    """One row.

    Attributes:
        name: the construct, as its Keras writes it.
        becomes: what replaces it in Keras 3.
        test: the case in ``tests/formats/keras/upgrade`` that compares it with its Keras.
    """

    name: str
    becomes: str
    test: str
