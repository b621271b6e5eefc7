"""Every layer class of ``keras.layers`` against Keras: shapes and dtypes of its symbolic call, and of runs."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from rewriter.shapes.call import LAYERS
from rewriter.shapes.layers.opaque import OPAQUE
from tests.shapes import layers_harness as harness
from tests.shapes.layer_cases import CASES, found

keras = pytest.importorskip("keras")

# The driver gives an input its axes; InputSpec is not a layer.
ELSEWHERE = {"InputLayer", "InputSpec"}


def exported() -> dict[str, str]:
    """Names that ``keras.layers`` exports, with the name of the class as a file has it."""
    return {
        name: value.__name__
        for name, value in vars(keras.layers).items()
        if inspect.isclass(value) and name[0] != "_"
    }


def test_every_exported_class_has_a_rule_or_a_stated_reason():
    names = set(exported()) | set(exported().values())
    assert names - ELSEWHERE - set(LAYERS) == set()
    assert set(OPAQUE) <= set(LAYERS)


def test_every_exported_class_has_cases_or_a_stated_reason():
    covered = {found(keras.layers, name).__name__ for name in CASES}
    assert set(exported().values()) - ELSEWHERE - set(OPAQUE) - covered == set()


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("rest", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "rest"])
def test_agrees_with_keras(name: str, rest: bool, tmp_path: Path):
    """The first two cases and every third of the others; then the rest."""
    failures = []
    for number, item in enumerate(CASES[name](keras.layers)):
        if rest is (number < 2 or number % 3 == 0):
            continue
        try:
            # The first case goes through a file on disk, the others through the text of its config.
            harness.check(item, tmp_path / "model.keras" if number == 0 else None)
        except AssertionError as error:
            failures.append(str(error).split("\nassert ")[0])
    assert not failures, f"{len(failures)} cases:\n" + "\n".join(failures[:8])


# Layers whose masks are not the operand's: their operand cannot come from a Masking layer, or they are not functions of
# one tensor.
UNMASKED = {"Equalization", "MaxNumBoundingBoxes", "Pipeline"}


@pytest.mark.parametrize("name", sorted(set(CASES) - UNMASKED))
def test_masks_agree_with_keras(name: str):
    """Behind a Masking layer on every input: which outputs have a mask, and of what shape."""
    from keras.src.backend import get_keras_mask

    items = [
        item
        for item in CASES[name](keras.layers)
        if item.dtypes == ("float32",) and all(len(s) > 1 for s in item.shapes) and not item.untrue
    ]
    for item in items[:6]:
        both = harness.symbolic(item, mask=True)
        for value, output in zip(both.values, both.outputs, strict=True):
            mask = get_keras_mask(output)
            ours = (
                None
                if value.mask is None
                else [a.size if isinstance(a.size, int) else None for a in value.mask]
            )
            assert ours == (None if mask is None else list(mask.shape)), harness.describe(item)
