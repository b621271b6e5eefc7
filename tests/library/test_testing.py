"""``assert_fits`` and the Keras callbacks, for the tests and the training of users."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

import rewriter
from rewriter.testing import assert_fits
from tests.cli.common import ROOT, model
from tests.live.common import gated


def test_it_passes_where_nothing_is_wrong():
    assert_fits(model("valid"))
    assert_fits(rewriter.repaired(gated(), verify=False))


def test_it_fails_with_every_finding():
    with pytest.raises(AssertionError) as caught:
        assert_fits(model("chained"))
    said = str(caught.value)
    assert said.startswith(f"{model('chained')}: 2 findings\n")
    report = rewriter.check(model("chained"))
    for finding in report.findings:
        assert str(finding) in said


def test_it_takes_a_model_in_memory():
    with pytest.raises(AssertionError, match="gated: 1 finding"):
        assert_fits(gated())


def test_it_takes_the_options_of_check(tmp_path):
    with pytest.raises(rewriter.UsageError, match="'bold'"):
        assert_fits(model("valid"), mode="bold")
    with pytest.raises(rewriter.RewriterError, match="gone.toml"):
        assert_fits(model("valid"), rules=tmp_path / "gone.toml")


def test_findings_can_be_left_out():
    assert_fits(model("layout"), ignore=["RW004"])
    assert_fits(model("layout"), ignore=["layout"])
    with pytest.raises(AssertionError, match=": 1 finding"):
        assert_fits(model("chained"), ignore=["RW001"])
    with pytest.raises(rewriter.UsageError, match="no such code"):
        assert_fits(model("layout"), ignore=["RW9"])


def test_what_cannot_be_read_is_no_failed_assertion(tmp_path):
    with pytest.raises(rewriter.BadFileError, match="no such file"):
        assert_fits(tmp_path / "gone.keras")


def test_pytest_ends_its_traceback_in_the_test(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "from rewriter.testing import assert_fits\n"
        f"def test_it():\n    assert_fits({str(model('chained'))!r})\n"
    )
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path, timeout=120, env={"PYTHONPATH": str(ROOT)}
    )
    assert "2 findings" in done.stdout
    assert "scale_channels" in done.stdout
    assert "raise AssertionError" not in done.stdout


# -- callbacks -----------------------------
def data(batch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((batch, 5, 11, 3), "float32"), np.zeros((batch, 5, 11, 7), "float32")


def compiled(item: keras.Model) -> keras.Model:
    item.compile("sgd", "mse")
    return item


def callback(**options):
    from rewriter.keras_callback import CheckShapes

    return CheckShapes(**options)


def test_importing_the_module_imports_no_keras():
    program = "import sys, rewriter.keras_callback as c\nprint(dir(c), 'keras' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout == "['CheckShapes', 'CheckShapesTfKeras'] False\n", done.stderr


def test_it_is_a_callback_of_keras():
    assert isinstance(callback(), keras.callbacks.Callback)
    assert type(callback()).__module__ == "rewriter.keras_callback"


def test_training_a_broken_model_raises_before_the_first_batch():
    broken = compiled(gated())
    before = [np.asarray(w).copy() for w in broken.weights]
    with pytest.raises(rewriter.FindingsError, match="RW002") as caught:
        broken.fit(*data(), callbacks=[callback()], verbose=0)
    assert [f.code for f in caught.value.report.findings] == ["RW002"]
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(before, broken.weights, strict=True))


def test_training_a_model_that_fits_goes_on(tmp_path):
    fixed = compiled(rewriter.repaired(gated(), verify=False))
    fixed.fit(*data(2), callbacks=[callback()], verbose=0)
    fixed.save(tmp_path / "m.keras")
    keras.saving.load_model(tmp_path / "m.keras")


def test_it_warns_once_where_that_is_asked_for(tmp_path):
    broken = compiled(gated())
    saving = keras.callbacks.ModelCheckpoint(str(tmp_path / "m.keras"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        broken.fit(*data(), epochs=2, callbacks=[callback(on_finding="warn"), saving], verbose=0)
    assert [str(w.message).splitlines()[0] for w in caught if "finding" in str(w.message)] == [
        "gated: 1 finding"
    ]
    assert (tmp_path / "m.keras").exists()


@pytest.mark.parametrize("method", ["save", "export"])
def test_what_is_saved_is_checked_first(method, tmp_path):
    broken = compiled(gated())
    broken.fit(*data(), callbacks=[callback(before="save")], verbose=0)
    with pytest.raises(rewriter.FindingsError, match="RW002"):
        getattr(broken, method)(tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


def test_a_second_callback_takes_the_place_of_the_first(tmp_path):
    broken = compiled(gated())
    for on_finding in ("raise", "warn"):
        broken.fit(*data(), callbacks=[callback(before="save", on_finding=on_finding)], verbose=0)
    with pytest.warns(UserWarning, match="RW002"):
        broken.save(tmp_path / "m.keras")
    assert (tmp_path / "m.keras").exists()


def test_only_fit_leaves_save_alone():
    fixed = compiled(rewriter.repaired(gated(), verify=False))
    fixed.fit(*data(), callbacks=[callback(before="fit")], verbose=0)
    assert "save" not in vars(fixed)


def test_a_subclassed_model_is_trained_with_a_warning():
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = rewriter.repaired(gated(), verify=False)

        def call(self, x):
            return self.inner(x)

    own = compiled(Own())
    with pytest.warns(UserWarning, match="RW008"):
        own.fit(*data(), callbacks=[callback()], verbose=0)


def test_one_callback_for_a_whole_model_and_a_subclassed_one():
    class Own(keras.Model):
        def __init__(self, inner) -> None:
            super().__init__()
            self.inner = inner

        def call(self, x):
            return self.inner(x)

    same, fixed = callback(), compiled(rewriter.repaired(gated(), verify=False))
    fixed.fit(*data(), callbacks=[same], verbose=0)
    with pytest.warns(UserWarning, match="RW008"):
        compiled(Own(fixed)).fit(*data(), callbacks=[same], verbose=0)


@pytest.mark.parametrize(
    ("options", "words"), [({"before": "sleep"}, "fit or save"), ({"on_finding": "cry"}, "raise or warn")]
)
def test_options_that_there_are_not(options, words):
    with pytest.raises(rewriter.UsageError, match=words):
        callback(**options)


def test_another_name_is_no_callback():
    with pytest.raises(AttributeError, match="has no attribute 'CheckNothing'"):
        importlib.import_module("rewriter.keras_callback").CheckNothing  # noqa: B018


def test_tf_keras():
    import tf_keras

    from rewriter.keras_callback import CheckShapesTfKeras

    layers = tf_keras.layers
    image = tf_keras.Input((5, 11, 3))
    x = layers.Conv2D(7, 3, padding="same")(image)
    broken = tf_keras.Model(image, x * layers.Dense(7)(layers.GlobalAveragePooling2D()(x)))
    broken.compile("sgd", "mse")
    with pytest.raises(rewriter.FindingsError, match="RW002"):
        broken.fit(*data(), callbacks=[CheckShapesTfKeras()], verbose=0)
