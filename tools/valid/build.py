"""A valid model from its number: some idioms, joined where one uses another's tensors."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tools.valid import (  # noqa: F401 - importing them fills the table
    attention,
    channels,
    merges,
    pairs,
    places,
    products,
    sequences,
    structure,
    windows,
)
from tools.valid.draw import Draw
from tools.valid.idiom import IDIOMS, Idiom


@dataclass(frozen=True)
class Valid:
    """A model, its idioms, and the idiom that made each node.

    ``sizes`` is the palette of sizes that it was drawn from.
    """

    name: str
    model: keras.Model
    idioms: tuple[Idiom, ...]
    owners: dict[str, str]
    sizes: tuple[int, ...]

    @property
    def apart(self) -> bool:
        """Whether the result of each sample depends on that sample alone."""
        return all(idiom.apart for idiom in self.idioms)

    def owner(self, path: Sequence[str]) -> str:
        """The name of the idiom that made the node at this path, "?" if unknown."""
        return self.owners.get(path[0].split("#")[0], "?") if path else "?"


def valid_model(number: int, seed: int = 1, names: Sequence[str] = ()) -> Valid:
    """The model of a number, the same each time, drawn from the idioms in ``names`` (default: all)."""
    keras.backend.clear_session(free_memory=False)
    name = f"{seed}-{number}"
    rng = random.Random(name)
    pool = [IDIOMS[n] for n in names] or list(IDIOMS.values())
    chosen = [pool[number % len(pool)], *rng.choices(pool, k=rng.choice((0, 0, 1, 1, 2)))]
    batches = {idiom.batch for idiom in chosen} - {"any"}
    draw = Draw(" ".join([name, *names]), "one" if "one" in batches else min(batches, default="any"))
    owners: dict[str, str] = {}
    ends: list[Any] = []
    for idiom in chosen:
        made = keras.tree.flatten(idiom.draw(draw))
        ends += made
        for node in _nodes_behind(made, owners):
            owners[node] = idiom.name
    outputs = list({id(end): end for end in ends}.values())
    return Valid(name, keras.Model(draw.inputs, outputs), tuple(chosen), owners, tuple(draw.palette))


def _nodes_behind(tensors: Sequence[Any], known: dict[str, str]) -> Iterator[str]:
    """The names of the operations that lead to these tensors, without the known ones."""
    seen: set[str] = set()
    waiting = list(tensors)
    while waiting:
        operation, _, _ = waiting.pop()._keras_history
        if operation.name in known or operation.name in seen:
            continue
        seen.add(operation.name)
        yield operation.name
        for each in operation._inbound_nodes:
            waiting += each.input_tensors
