"""A valid model has no findings, and its repair is a byte-identical copy."""

from __future__ import annotations

import importlib
import inspect
import zipfile
from pathlib import Path

import pytest

import rewriter
from tests.legal_table import COMMON, IMAGES, LEGAL, SEQUENCES
from tests.zoo import ZOO

FORMS = [(name, twin) for name, b in ZOO.items() for twin in (False, True) if b.twin or not twin]

SMALL = {"MobileNetV3Small": 64, "EfficientNetB0": 64}
"""Applications quick enough for every run, with the height and width of their input."""

LARGE_INPUT = ("NASNetLarge", "NASNetMobile")
"""Applications that take no input below 224 here; all others get 96."""

OTHERS = (
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
    *(f"DenseNet{n}" for n in (121, 169, 201)),
    *(f"EfficientNetB{n}" for n in range(1, 8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *("InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large", "NASNetLarge"),
    *("NASNetMobile", "VGG16", "VGG19", "Xception"),
    *(f"ResNet{n}{version}" for n in (50, 101, 152) for version in ("", "V2")),
)


def assert_untouched(path: Path, target: Path) -> None:
    """No finding above info, nothing inserted, the same bytes."""
    for ops in ("multiply", "all"):
        report = rewriter.check(path, ops=ops)
        assert [(f.node, f.kind, f.message) for f in report.findings if f.severity != "info"] == []
    result = rewriter.repair(path, target)
    assert not result.inserted
    assert target.read_bytes() == path.read_bytes()


def test_every_function_is_in_the_table():
    legal = importlib.import_module("tests.zoo.legal")
    functions = {
        name
        for name, value in vars(legal).items()
        if inspect.isfunction(value) and value.__module__ == legal.__name__ and not name.startswith("_")
    }
    assert functions - {"build"} == {*COMMON, *IMAGES, *SEQUENCES}


@pytest.mark.parametrize("name", LEGAL)
def test_legal_broadcasting_is_left_alone(tmp_path, name):
    from tests.zoo.legal import build

    legal = LEGAL[name]
    path = tmp_path / f"{name}.keras"
    build(legal.function, legal.shape, legal.batch).save(path)
    assert_untouched(path, tmp_path / "copy.keras")


@pytest.mark.parametrize("form", FORMS, ids=[f"{n}-{'twin' if t else 'distinct'}" for n, t in FORMS])
def test_the_originals_of_the_mutants_are_left_alone(tmp_path, form):
    name, twin = form
    path = tmp_path / "original.keras"
    ZOO[name].build(twin).save(path)
    assert_untouched(path, tmp_path / "copy.keras")


def check_application(name: str, size: int, folder: Path) -> None:
    """Save one of keras.applications, with its head and random weights, and leave it alone."""
    import keras

    keras.backend.clear_session()
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    path, target = folder / f"{name}.keras", folder / "copy.keras"
    model.save(path)
    del model
    assert_untouched(path, target)
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
    path.unlink()
    target.unlink()


@pytest.mark.parametrize("name", SMALL)
def test_a_small_application_is_left_alone(tmp_path, name):
    check_application(name, SMALL[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_an_application_is_left_alone(tmp_path, name):
    check_application(name, 224 if name in LARGE_INPUT else 96, tmp_path)


@pytest.mark.slow
def test_the_lists_hold_every_application():
    import keras

    found = {n for n in dir(keras.applications) if n[0].isupper()}
    assert found == {*SMALL, *OTHERS}
