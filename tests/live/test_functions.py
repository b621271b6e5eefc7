"""Custom functions and classes: the repaired model has the same objects, whatever their names."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

import rewriter
from rewriter.live.library import library_of
from rewriter.live.names import Names
from tests import support
from tests.live.common import agrees, gate, gated, image, kinds, repaired, trained

FACTOR = 3.0


def triple(x):
    return x * FACTOR


def halves(factor):
    def scale(x):
        return x * factor

    return scale


def relu(x):
    """Not Keras's."""
    return ops.sin(x) * 7


class Times:
    def __init__(self, factor):
        self.factor = factor

    def apply(self, x):
        return x * self.factor


@pytest.mark.parametrize(
    "after",
    [
        lambda x: layers.Lambda(triple)(x),
        lambda x: layers.Lambda(lambda y: y * FACTOR + ops.sin(y))(x),
        lambda x: layers.Lambda(halves(5.0))(layers.Lambda(halves(0.25))(x)),
        lambda x: layers.Lambda(halves(ops.convert_to_tensor(4.0)))(x),
        lambda x: layers.Lambda(functools.partial(lambda y, k: y * k, k=6.0), output_shape=(5, 11, 7))(x),
        lambda x: layers.Lambda(Times(9.0).apply)(x),
        lambda x: layers.Lambda(lambda y, k, f: f(y) * k, arguments={"k": np.float32(2), "f": triple})(x),
        lambda x: layers.Lambda(lambda y: y[:, 0], output_shape=lambda shape: (shape[0], *shape[2:]))(x),
        lambda x: layers.TimeDistributed(layers.Lambda(triple))(x),
        lambda x: layers.Dense(3, activation=relu)(x),
        lambda x: layers.Dense(3, activation=lambda y: y * FACTOR)(x),
        lambda x: layers.Activation(relu)(x),
        lambda x: layers.Lambda(keras.ops.relu)(x),
        lambda x: keras.Sequential([layers.Lambda(triple), layers.Conv2D(2, 1, activation=relu)])(x),
    ],
)
def test_functions_are_the_ones_of_the_model(after):
    model = gated(after)
    found = kinds(rewriter.check(model))
    assert found[0][0] == "batch-misaligned"
    assert "not-analysed" in dict(found)
    agrees(repaired(model), model)


def test_functions_of_the_callers_own_run_in_the_proof():
    result = rewriter.repair(gated(layers.Lambda(halves(ops.convert_to_tensor(4.0)))))
    assert result.verified["checks"]["batch-one"]["proven"]
    assert result.verified["verdict"] == "not-run"
    assert "finding is left" in result.verified["reason"]


def test_a_recurrent_layer_with_functions_of_its_own():
    x = keras.Input((6, 4), name="x")
    y = layers.LSTM(5, activation=relu, recurrent_activation=halves(0.1), return_sequences=True)(x)
    factors = layers.Dense(5, name="factors")(layers.GlobalAveragePooling1D()(y))
    model = keras.Model(x, ops.multiply(y, factors))
    report = rewriter.check(model)
    assert "not-analysed" in dict(kinds(report))
    name = next(node for kind, node in kinds(report) if node.startswith("multiply"))
    fixed = rewriter.repair(model, at={name: "b t d, b d -> b t d"}).model
    agrees(fixed, model)


def test_a_layer_with_lora_is_checked_and_not_repaired():
    """Keras writes the merged kernel, and loads a layer without its two matrices."""
    x = keras.Input((4, 6))
    layer = keras.layers.Dense(5, name="adapted")
    y = layer(x)
    model = keras.Model(x, y * keras.layers.GlobalAveragePooling1D()(y))
    layer.enable_lora(2)
    assert [f.code for f in rewriter.check(model).findings] == ["RW002"]
    with pytest.raises(rewriter.UnsupportedError, match="'adapted' has LoRA enabled"):
        rewriter.repair(model)


def test_a_lambda_with_a_mask_is_checked_and_not_repaired():
    model = gated(layers.Lambda(triple, mask=lambda x, mask: None, name="masked"))
    assert "batch-misaligned" in dict(kinds(rewriter.check(model)))
    with pytest.raises(rewriter.UnsupportedError, match="'masked' is a Lambda with a mask"):
        rewriter.repair(model)


def test_losses_and_metrics_of_the_callers_own():
    def close(a, b):
        return ops.mean(ops.square(a - b) * 0.5, axis=-1)

    class Err(keras.metrics.MeanAbsoluteError):
        pass

    class Far(keras.losses.Loss):
        def call(self, a, b):
            return ops.mean(ops.abs(a - b), axis=-1)

    class Slow(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.01 / (1 + ops.cast(step, "float32"))

        def get_config(self):
            return {}

    class Own(keras.optimizers.SGD):
        pass

    for compiled in (
        {"loss": close, "metrics": [lambda a, b: ops.mean(a - b), close]},
        {"loss": Far(), "optimizer": Own(0.1, momentum=0.5)},
        {"optimizer": keras.optimizers.SGD(Slow()), "metrics": [Err()]},
    ):
        model = trained(gated(), **compiled)
        fixed = repaired(model)
        inputs = support.random_inputs(model, 1)
        target = np.zeros((1, 5, 11, 7), "float32")
        losses = [each.evaluate(inputs, target, verbose=0, return_dict=True) for each in (fixed, model)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert type(fixed.optimizer) is type(model.optimizer)
        for a, b in zip(fixed.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


class Scale(layers.Layer):
    """A value set after construction is in no configuration."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.shift = 0.0

    def call(self, x):
        return x * self.factor + self.shift

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def test_what_a_layer_keeps_beside_its_configuration():
    layer = Scale(3.0)
    model = gated(layer)
    layer.shift = 0.5
    agrees(repaired(model), model)


def test_what_a_model_keeps_beside_its_configuration():
    class Cooled(keras.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.temperature = 1.0

    x = image()
    model = Cooled(x, gate(x))
    model.temperature = 0.25
    assert repaired(model).temperature == 0.25


def test_models_that_code_makes_inside_another_one():
    class Deep(keras.Model):
        """Its layers get other names at each construction."""

        def __init__(self, channels, **kwargs):
            x = keras.Input((5, 11, 7))
            super().__init__(x, layers.Conv2D(channels, 1)(x), **kwargs)
            self.channels = channels

        def get_config(self):
            return {"channels": self.channels, "name": self.name}

        @classmethod
        def from_config(cls, config):
            return cls(**config)

    class Code(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = layers.Conv2D(2, 1)

        def call(self, x):
            return self.inner(x)

    model = gated(lambda x: Code()(Deep(7)(x)))
    assert {kind for kind, _ in kinds(rewriter.check(model))} == {"batch-misaligned", "not-analysed"}
    agrees(rewriter.repair(model).model, model)  # with the proof


def test_classes_that_no_decorator_knows_and_their_parts():
    class Init(keras.initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return ops.ones(shape, dtype)

        def get_config(self):
            return {}

    class Block(layers.Layer):
        def build(self, shape):
            self.inner = layers.Conv2D(2, 1, kernel_initializer=Init(), activation=relu)
            self.inner.build(shape)

        def call(self, x):
            return self.inner(x)

    model = gated(lambda x: Block()(Scale(2.0)(x)))
    agrees(repaired(model), model)


def test_a_registered_class_that_was_defined_anew():
    """In a notebook the cell runs again: Keras has the new class by that name, the model the old one."""

    def define(factor):
        @keras.saving.register_keras_serializable("live", "Again")
        class Again(layers.Layer):
            def call(self, x):
                return x * factor

        return Again

    old = define(3.0)
    model = gated(old())
    agrees(repaired(model), model)
    define(5.0)
    assert dict(kinds(rewriter.check(model)))
    with pytest.raises(rewriter.UnsupportedError, match="'live>Again' is now registered for another class"):
        rewriter.repair(model)


def test_two_classes_of_one_name_are_refused():
    def define(factor):
        class Same(layers.Layer):
            def call(self, x):
                return x * factor

        return Same

    model = gated(lambda x: define(2.0)()(define(3.0)()(x)))
    with pytest.raises(
        rewriter.UnsupportedError, match="two classes or functions of the model are called 'Same'"
    ):
        rewriter.repair(model)


def test_a_layer_that_cannot_be_saved_is_named():
    class Odd(layers.Layer):
        def __init__(self, thing):
            super().__init__(name="odd")
            self.thing = thing

        def call(self, x):
            return x

    model = gated(Odd(object()))
    for function in (rewriter.check, rewriter.repair):
        with pytest.raises(
            rewriter.UnsupportedError, match=r"^'odd' \(Odd\) cannot be saved: .*get_config\(\)"
        ):
            function(model)
    assert "get_config" not in vars(model.layers[-1])


def test_a_class_that_is_not_made_of_its_configuration_is_said_to_be():
    class Bad(layers.Layer):
        def call(self, x):
            return x

        @classmethod
        def from_config(cls, config):
            raise RuntimeError("no\nway")

    with pytest.raises(rewriter.UnsupportedError, match="cannot be loaded from its file: no"):
        rewriter.repair(gated(Bad()))


def test_functional_subclasses_keep_their_class():
    class Trained(keras.Model):
        def train_step(self, data):
            return super().train_step(data)

    x = image()
    model = trained(Trained(x, gate(x)))
    fixed = repaired(model)
    assert type(fixed) is Trained
    agrees(fixed, model)


@pytest.mark.parametrize("base", [keras.Model, keras.Sequential])
def test_a_class_with_a_constructor_of_its_own_becomes_a_plain_model(base):
    class Own(base):
        def __init__(self, channels):
            x = image()
            inner = keras.Model(x, gate(x, channels), name="inner")
            if base is keras.Model:
                super().__init__(x, inner(x))
            else:
                super().__init__([inner])
                self.build((None, 5, 11, 3))

    model = trained(Own(7))
    fixed = repaired(model)
    assert isinstance(fixed, keras.Model)
    agrees(fixed, model)
    assert int(fixed.optimizer.iterations) == 3


def test_files_are_written_with_the_names_that_keras_gives(tmp_path):
    model = gated(layers.Lambda(triple))
    result = rewriter.repair(model, tmp_path / "fixed.keras")
    assert result.output == str(tmp_path / "fixed.keras")
    again = keras.saving.load_model(result.output, custom_objects={"triple": triple})
    agrees(again, model)


def test_folders_and_other_names(tmp_path):
    model = gated(layers.Lambda(triple))
    result = rewriter.repair(model, f"{tmp_path}/fixed/", verify=False)
    again = keras.saving.load_model(result.output.rstrip("/"), custom_objects={"triple": triple})
    agrees(again, model)
    for name in ("m.json", "m.txt", "m"):
        with pytest.raises(rewriter.UsageError, match="must end in"):
            rewriter.repair(model, tmp_path / name)
    with pytest.raises(rewriter.OutputError):
        rewriter.repair(model, tmp_path / "missing" / "m.keras", verify=False)
    assert [path.name for path in tmp_path.iterdir()] == ["fixed"]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: layers.Lambda(functools.partial(triple)), "repaired model to a file that it can load"),
        (lambda: layers.Dense(3, activation=lambda y: y * 2), "repaired model to a file that it can load"),
        (lambda: layers.Lambda(lambda y: ops.sin(y)), "repaired model to a file that it can load"),
        (lambda: layers.Dense(3, activation=relu, name="last"), "'last': Keras saves its activation under"),
    ],
)
def test_files_that_would_not_come_back_are_not_there(layer, words, tmp_path):
    model = gated(layer())
    with pytest.raises(rewriter.UnsupportedError, match=words):
        rewriter.repair(model, tmp_path / "fixed.keras", verify=False)
    assert list(tmp_path.iterdir()) == []
    agrees(repaired(model), model)


def test_what_has_no_hash_has_no_registered_name():
    """Keras looks functions up in a dictionary."""

    class Twice:
        __name__ = "twice"
        __hash__ = None

        def __call__(self, x):
            return x * 2

    names = Names(library_of(gated()))
    names.entry(Twice())
    names.entry(triple)
    assert list(names.by_their_own()) == ["rewriter.0", "rewriter.1", "triple"]
