"""``repaired`` and ``repairing``: one line in an export script."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest
from keras import layers

import rewriter
from tests import support
from tests.live.common import agrees, gated, image, picture, trained, undecided


def test_repaired_is_a_model():
    model = gated()
    before = picture(model)
    agrees(rewriter.repaired(model, verify=False), model)
    assert picture(model) == before


def test_what_has_to_be_decided_is_an_error():
    model, node = undecided()
    with pytest.raises(rewriter.UndecidedError, match=f"'{node}'") as caught:
        rewriter.repaired(model)
    assert [f.node for f in caught.value.findings] == [node]
    assert isinstance(caught.value, rewriter.RewriterError)
    assert "\n" not in str(caught.value)
    fixed = rewriter.repaired(model, at={node: "b t d, b t -> b t d"}, verify=False)
    assert fixed is not None


def test_save_and_export_write_the_model_repaired(tmp_path):
    import tensorflow as tf

    model = trained(gated())
    before = picture(model)
    with rewriter.repairing(model, verify=False) as results:
        model.save(tmp_path / "m.keras")
        model.export(tmp_path / "m", verbose=False)
    assert picture(model) == before
    assert [[i.op for i in result.inserted] for result in results] == [["Reshape"], ["Reshape"]]
    again = keras.saving.load_model(tmp_path / "m.keras")
    agrees(again, model)
    assert int(again.optimizer.iterations) == 3
    exported = tf.saved_model.load(tmp_path / "m")
    inputs = support.random_inputs(model, 5)
    support.compare([exported.serve(inputs).numpy()], support.run(again, inputs), rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "after.keras")
    assert not rewriter.check(tmp_path / "after.keras").clean


def test_training_in_the_block_counts(tmp_path):
    model = gated()
    with rewriter.repairing(model, verify=False):
        trained(model)
        model.save(tmp_path / "m.keras")
    agrees(keras.saving.load_model(tmp_path / "m.keras"), model)


def test_an_error_leaves_nothing_behind(tmp_path):
    model, _ = undecided()
    attributes = set(vars(model))
    with pytest.raises(rewriter.UndecidedError), rewriter.repairing(model):
        model.save(tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []
    assert set(vars(model)) == attributes
    with pytest.raises(KeyError), rewriter.repairing(model):
        raise KeyError
    assert set(vars(model)) == attributes
    model.save(tmp_path / "m.keras")


def test_blocks_inside_and_across_each_other(tmp_path):
    model, node = undecided()
    attributes = set(vars(model))
    by_step, by_feature = ({node: e} for e in ("b t d, b t -> b t d", "b t d, b d -> b t d"))

    def written() -> np.ndarray:
        model.save(tmp_path / "m.keras")
        return np.asarray(keras.saving.load_model(tmp_path / "m.keras")([x, y]))

    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=s).astype("float32") for s in ((3, 8, 8), (3, 8)))
    outer, inner = (rewriter.repairing(model, at=at, verify=False) for at in (by_step, by_feature))
    one, two = np.einsum("btd,bt->btd", x, y), np.einsum("btd,bd->btd", x, y)
    with outer:
        support.compare([written()], [one])
        with inner:
            support.compare([written()], [two])
        support.compare([written()], [one])
    first, second = (rewriter.repairing(model, at=at, verify=False) for at in (by_step, by_feature))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    support.compare([written()], [two])
    second.__exit__(None, None, None)
    assert set(vars(model)) == attributes


def test_other_threads_write_it_repaired_and_other_models_are_left_alone(tmp_path):
    model, other = gated(), gated()
    with rewriter.repairing(model, verify=False) as results:
        thread = threading.Thread(target=model.save, args=(tmp_path / "m.keras",))
        thread.start()
        thread.join()
        other.save(tmp_path / "other.keras")
    assert len(results) == 1
    assert rewriter.check(tmp_path / "m.keras").clean
    assert not rewriter.check(tmp_path / "other.keras").clean


def test_a_method_that_is_kept_beyond_its_block(tmp_path):
    model = gated()
    with rewriter.repairing(model):
        kept = model.save
    kept(tmp_path / "m.keras")
    assert not rewriter.check(tmp_path / "m.keras").clean


def test_a_method_that_stood_on_the_object_is_there_again():
    model = gated()
    own = lambda *args: None  # noqa: E731
    object.__setattr__(model, "save", own)
    with rewriter.repairing(model):
        assert model.save is not own
    assert model.save is own


def test_hdf5_takes_no_inserted_operations(tmp_path):
    model = gated()
    with rewriter.repairing(model, verify=False), pytest.raises(rewriter.UnsupportedError, match="HDF5"):
        model.save(tmp_path / "m.h5")
    assert list(tmp_path.iterdir()) == []
    x = image()
    right = keras.Model(x, layers.Conv2D(2, 1)(x))
    with rewriter.repairing(right):
        right.save(tmp_path / "m.h5")
    assert (tmp_path / "m.h5").exists()


def test_subclassed_models_and_other_things_are_refused(tmp_path):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = gated()

        def call(self, x):
            return self.encoder(x)

    model = Net()
    with rewriter.repairing(model), pytest.raises(rewriter.UnsupportedError, match="subclassed"):
        model.save(tmp_path / "m.keras")
    with pytest.raises(rewriter.UsageError, match="neither a path nor"), rewriter.repairing("m.keras"):
        pass


def test_options_are_those_of_repair(tmp_path):
    model = gated()
    agrees(rewriter.repaired(model, output=tmp_path / "m.keras", verify=False), model)
    assert rewriter.check(tmp_path / "m.keras").clean
    with pytest.raises(TypeError, match="verfy"):
        rewriter.repaired(model, verfy=False)
