"""Originals and mutants on disk, each made once per test session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests import support
from tests.mutation.edits import Mutation, mutate, rewrite_with_keras
from tests.zoo import ZOO

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from tests.mutation.mutants import Mutant


@dataclass
class Workshop:
    """Makes the files under `root` on request and remembers them."""

    root: Path
    models: dict[tuple[str, bool], keras.Model] = field(default_factory=dict)

    def original(self, mutant: Mutant) -> keras.Model:
        """The valid model a mutant comes from."""
        key = (mutant.case.builder, mutant.twin)
        if key not in self.models:
            self.models[key] = ZOO[mutant.case.builder].build(mutant.twin)
            self.models[key].save(self._path(mutant))
        return self.models[key]

    def break_(self, mutant: Mutant) -> Mutation:
        """The broken file, as edited or as Keras writes the wrong graph."""
        original = self.original(mutant)
        mutation = mutate(self._path(mutant), self.root / f"{mutant.name}.keras", mutant.case.recipe)
        if mutant.writer == "keras":
            rewrite_with_keras(mutation.path, original, mutation.path)
        return mutation

    def _path(self, mutant: Mutant) -> Path:
        return self.root / f"{mutant.case.builder}-{'twin' if mutant.twin else 'distinct'}.keras"


def tolerance(mutant: Mutant) -> dict[str, float]:
    """rtol 1e-5 and atol 1e-6, or 1e-2 where the model computes in float16."""
    return support.MIXED if ZOO[mutant.case.builder].mixed else {}


def batches(model: keras.Model, mutation: Mutation) -> list[int]:
    """Batch 1, 3 and each operand size at the multiply, where silent faults show. A static batch stays."""
    fixed = support.static_batch(model)
    if fixed is not None:
        return [fixed]
    sizes = {
        n for calls in mutation.shapes.values() for shapes in calls for shape in shapes for n in shape if n
    }
    return sorted({1, 3, *(n for n in sizes if n <= 16)})
