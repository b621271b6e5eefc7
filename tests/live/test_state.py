"""The state that a repaired model keeps: weights, optimizer, compile state, frozen layers, assets."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest
from keras import layers, ops

import rewriter
from tests import support
from tests.live.common import BATCHES, agrees, gate, gated, image, kinds, one_by_one, repaired, trained


def slots(model: keras.Model) -> dict[str, np.ndarray]:
    """The optimizer's variables by the weight that they belong to, without the names of the models around it."""
    found = {}
    for variable in model.optimizer.variables:
        key = variable.path.rpartition("/")[2]
        found[next((key[key.index(n) :] for n in ("features", "factors", "last") if n in key), key)] = (
            variable
        )
    assert len(found) == len(model.optimizer.variables)
    return {key: np.asarray(variable) for key, variable in found.items()}


def same_training(fixed: keras.Model, model: keras.Model) -> None:
    """One more step from the same state gives the same weights: optimizer, its state and the loss are the same."""
    ours, theirs = slots(fixed), slots(model)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_array_equal(ours[key], value, err_msg=key)
    assert int(fixed.optimizer.iterations) == int(model.optimizer.iterations) > 0
    inputs = support.random_inputs(model, 1, 7)
    target = np.random.default_rng(7).normal(size=(1, *model.output_shape[1:])).astype("float32")
    losses = [each.train_on_batch(inputs, target, return_dict=True) for each in (fixed, model)]
    assert losses[0].keys() == losses[1].keys()
    after = [support.weights_by_layer(each) for each in (fixed, model)]
    for name, arrays in after[1].items():
        for a, b in zip(after[0][name], arrays, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(0.01, amsgrad=True),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        lambda: keras.optimizers.RMSprop(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
    ],
)
def test_training_goes_on_where_it_was(optimizer):
    model = trained(gated(layers.Conv2D(2, 1, name="last")), optimizer=optimizer(), metrics=["mae"])
    fixed = repaired(model)
    agrees(fixed, model)
    assert fixed.loss == "mse"
    same_training(fixed, model)


def test_frozen_layers_stay_frozen():
    model = gated(layers.Conv2D(2, 1, name="last"))
    model.get_layer("features").trainable = False
    trained(model)
    fixed = repaired(model)
    assert [v.path for v in fixed.trainable_variables] == [v.path for v in model.trainable_variables]
    assert len(fixed.trainable_variables) == 4
    same_training(fixed, model)


def test_nested_and_frozen_in_part():
    x = image()
    inner = keras.Model(x, gate(x), name="inner")
    inner.get_layer("factors").trainable = False
    y = image()
    model = trained(keras.Model(y, layers.Conv2D(2, 1, name="last")(inner(y)), name="outer"))
    fixed = repaired(model)
    agrees(fixed, model)
    trainable = [sorted(v.path.split("/")[-2] for v in m.trainable_variables) for m in (fixed, model)]
    assert trainable[0] == trainable[1]
    same_training(fixed, model)


def test_mixed_precision_with_its_scaled_optimizer():
    """The global policy is not that of the model: Keras would load the optimizer without its scale."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = trained(gated())
    finally:
        keras.config.set_dtype_policy(policy)
    fixed = repaired(model)
    assert keras.config.dtype_policy() == policy
    assert type(fixed.optimizer) is type(model.optimizer) is keras.optimizers.LossScaleOptimizer
    agrees(fixed, model, rtol=1e-2, atol=1e-3)
    for a, b in zip(fixed.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_bfloat16_weights():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("bfloat16")
    try:
        model = gated()
    finally:
        keras.config.set_dtype_policy(policy)
    fixed = repaired(model)
    assert {str(v.dtype) for v in fixed.weights} == {"bfloat16"}
    inputs = support.random_inputs(model, 3)
    ours, theirs = support.run(fixed, inputs), one_by_one(model, inputs, 3)
    np.testing.assert_allclose(ours[0].astype("float32"), theirs[0].astype("float32"), rtol=0.02, atol=0.02)


def test_random_generators_go_on_where_they_were():
    """Keras leaves their states out of a file."""
    model = gated(layers.Dropout(0.5, seed=3))
    inputs = support.random_inputs(model, 1)
    for _ in range(3):
        model(inputs, training=True)
    fixed = repaired(model)
    support.compare([np.asarray(fixed(inputs, training=True))], [np.asarray(model(inputs, training=True))])


def test_states_of_layers():
    x = keras.Input(batch_shape=(1, 6, 4))
    y = layers.LSTM(5, stateful=True, return_sequences=True)(layers.BatchNormalization()(x))
    y = layers.SpectralNormalization(layers.Conv1D(5, 1))(y)
    factors = layers.Dense(5)(layers.GlobalAveragePooling1D()(y))
    model = keras.Model(x, layers.Multiply()([y, layers.RepeatVector(6)(factors)]))
    trained(model)
    inputs = support.random_inputs(model, 1)
    fixed = rewriter.repair(model).model
    for _ in range(2):
        support.compare(support.run(fixed, inputs), support.run(model, inputs))


def test_losses_of_several_outputs():
    x = image()
    y = gate(x)
    heads = {
        "last": layers.Conv2D(2, 1, name="last")(y),
        "pooled": layers.GlobalMaxPooling2D(name="pooled")(y),
    }
    model = keras.Model(x, heads)
    losses = {"last": keras.losses.CosineSimilarity(axis=1), "pooled": keras.losses.Huber(0.5)}
    model.compile(
        "adam",
        losses,
        loss_weights={"last": 0.25, "pooled": 2.0},
        metrics={"last": ["mae", keras.metrics.CosineSimilarity(axis=2)]},
    )
    inputs = support.random_inputs(model, 1)
    rng = np.random.default_rng(0)
    shapes = {"last": (1, 5, 11, 2), "pooled": (1, 7)}
    targets = {key: rng.normal(size=shape).astype("float32") for key, shape in shapes.items()}
    model.train_on_batch(inputs, targets)
    fixed = repaired(model)
    for each in (model, fixed):
        each.reset_metrics()
    found = [m.test_on_batch(inputs, targets, return_dict=True) for m in (fixed, model)]
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert len(found[0]) >= 3


def test_a_proof_can_be_required():
    assert rewriter.repair(gated(), verify=True).verified["verdict"] == "proven"
    with pytest.raises(rewriter.UnsupportedError, match="the requested verification cannot run"):
        rewriter.repair(gated(layers.Lambda(lambda x: x * 2)), verify=True)


def test_vocabularies_and_statistics():
    words, number = keras.Input((), dtype="string", name="words"), keras.Input((4,), name="number")
    lookup = layers.StringLookup(vocabulary=["a", "b", "c"], name="lookup")
    factors = layers.Embedding(5, 7, name="table")(lookup(words))
    normal = layers.Normalization(name="normal")
    normal.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)).astype("float32"))
    x = layers.Reshape((4, 7), name="steps")(layers.Dense(28, name="dense")(normal(number)))
    model = keras.Model({"words": words, "number": number}, ops.multiply(x, factors))
    fixed = repaired(model)
    assert fixed.get_layer("lookup").get_vocabulary() == lookup.get_vocabulary()
    rng = np.random.default_rng(1)
    for batch in BATCHES:
        texts = ops.convert_to_tensor(rng.choice(["a", "b", "c", "?"], batch))
        inputs = {
            "words": texts,
            "number": ops.convert_to_tensor(rng.normal(3, 2, (batch, 4)).astype("float32")),
        }
        alone = [
            np.asarray(model({"words": texts[i : i + 1], "number": inputs["number"][i : i + 1]}))
            for i in range(batch)
        ]
        support.compare([np.asarray(fixed(inputs))], [np.concatenate(alone)])


def test_shared_layers_and_models_called_twice():
    x, y = image("x"), image("y")
    z = image()
    branch = keras.Model(z, gate(z), name="branch")
    shared = layers.Conv2D(2, 1, name="shared")
    both = layers.Concatenate()([shared(branch(x)), shared(branch(y))])
    model = keras.Model({"x": x, "y": y}, {"sum": both, "one": shared(branch(x))})
    fixed = repaired(model)
    agrees(fixed, model)


def test_sequential_models():
    block = keras.Sequential([image(), layers.Conv2D(7, 3, name="first")], name="block")
    x = image()
    y = block(x)
    factors = layers.Dense(7, name="factors")(layers.GlobalAveragePooling2D()(y))
    inner = keras.Model(x, ops.multiply(y, factors), name="inner")
    model = keras.Sequential([inner, layers.Conv2D(2, 1, name="last")], name="outer")
    model.build((None, 5, 11, 3))
    fixed = repaired(model)
    assert type(fixed) is keras.Sequential
    agrees(fixed, model)


def test_a_sequential_model_built_by_its_first_call():
    model = keras.Sequential([layers.Dense(3), layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    model(x)
    assert rewriter.check(model).clean
    fixed = rewriter.repair(model).model
    support.compare([np.asarray(fixed(x))], [np.asarray(model(x))])


def test_a_sequential_model_that_was_never_built():
    model = keras.Sequential([layers.Dense(3)])
    for function in (rewriter.check, rewriter.repair):
        with pytest.raises(rewriter.UnsupportedError, match="never built"):
            function(model)


def test_a_model_without_faults_comes_back_as_it_is():
    x = image()
    model = trained(keras.Model(x, layers.Conv2D(2, 3, name="last")(x)))
    result = rewriter.repair(model)
    assert not result.inserted
    inputs = support.random_inputs(model, 2)
    support.compare(support.run(result.model, inputs), support.run(model, inputs))
    same_training(result.model, model)


def test_what_cannot_be_decided_gives_no_model():
    x, y = keras.Input((8, 8), name="x"), keras.Input((8,), name="y")
    model = keras.Model([x, y], ops.multiply(x, y))
    result = rewriter.repair(model)
    assert result.model is None
    assert result.undecided


def test_models_are_checked_in_several_threads():
    """Each thread saves the model with its own names for the functions."""
    model = gated(layers.Lambda(lambda x: x * 2))
    found: list[object] = []

    def look() -> None:
        found.append(kinds(rewriter.check(model)))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [kinds(rewriter.check(model))] * 4


@pytest.mark.parametrize("what", [layers.Dense(3), 3, None, keras.Model, object()])
def test_what_is_no_model(what):
    with pytest.raises(rewriter.UsageError, match="neither a path nor a model"):
        rewriter.check(what)
    with pytest.raises(rewriter.UsageError, match="neither a path nor a model"):
        rewriter.repair(what)
