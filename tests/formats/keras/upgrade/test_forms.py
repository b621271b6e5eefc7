"""Constructs whose original is not a model that tf_keras builds here: written by hand, or made from one."""

from __future__ import annotations

import json
from typing import Any

import h5py
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras import layers

from rewriter.errors import BadFileError
from rewriter.formats.keras import upgrade
from rewriter.formats.keras.config import read_model
from rewriter.formats.variables import Variable

from . import layer_cases, oracle

Json = dict[str, Any]


def of_layers(*made: Any, shape: tuple[int, ...] = (5, 4), dtype: str | None = None) -> Any:
    return oracle.randomized(tf_keras.Sequential([tf_keras.Input(shape, dtype=dtype), *made]))


def equal(model: Any, entry: Json, weights: Any, version: str = "2.2.4") -> upgrade.Upgraded:
    found = upgrade.upgraded(entry, version)
    assert not found.refusals
    new = oracle.keras_3_model(found)
    oracle.set_weights(new, upgrade.model_variables(entry, weights, version))
    given = oracle.inputs_for(model)
    assert oracle.difference(oracle.outputs(new, given), oracle.outputs(model, given)) < oracle.TOLERANCE
    return found


def refusals(model: Any) -> list[str]:
    entry, _, version, _ = oracle.saved(model)
    found = upgrade.upgraded(entry, version)
    read_model(found.entry)  # the layer stays, and its result is unknown
    return [refusal.construct for refusal in found.refusals]


# -- forms of one model -----------------------------
def test_sequential_list():
    """A list of layers, the first of which states its input shape."""
    model = of_layers(layers.LSTM(3, name="a"), layers.Dense(2, name="b"))
    entry, weights, _, _ = oracle.saved(model)
    listed = entry["config"]["layers"][1:]
    listed[0]["config"]["batch_input_shape"] = [None, 5, 4]
    equal(model, {"class_name": "Sequential", "config": listed}, weights)


def test_weights_under_other_names_go_by_their_order():
    model = of_layers(layers.LSTM(3, name="a"), layers.Dense(2, name="b"))
    entry, weights, _, _ = oracle.saved(model)
    filled = [found for found in weights.values() if found]
    equal(model, entry, dict(zip(("other", "names"), filled, strict=True)))


def test_gru_without_reset_after():
    model = of_layers(layers.GRU(3, reset_after=False))
    entry, weights, _, _ = oracle.saved(model)
    del entry["config"]["layers"][1]["config"]["reset_after"]
    equal(model, entry, weights)


def test_weights_that_do_not_fit_are_refused():
    entry, weights, version, _ = oracle.saved(of_layers(layers.LSTM(3), layers.Dense(2)))
    name = next(name for name, found in weights.items() if len(found) == 3)
    weights[name] = weights[name][:2]
    with pytest.raises(BadFileError, match="variables"):
        upgrade.model_variables(entry, weights, version)


# -- cuDNN -----------------------------
def as_cudnn(layer: Any) -> tuple[list[np.ndarray], Json]:
    """Weights and configuration of the cuDNN layer that equals an LSTM or GRU, from tf_keras."""
    kind = type(layer).__name__
    target = type(f"CuDNN{kind}", (), {})()
    converted = _convert(target, [np.asarray(weight) for weight in layer.get_weights()])
    kept = (
        "name",
        "units",
        "return_sequences",
        "return_state",
        "go_backwards",
        "stateful",
        "kernel_initializer",
    )
    return converted, {key: value for key, value in layer.get_config().items() if key in kept}


def _convert(target: Any, weights: list[np.ndarray]) -> list[np.ndarray]:
    from tf_keras.src.saving.legacy.hdf5_format import _convert_rnn_weights

    return [np.asarray(weight) for weight in _convert_rnn_weights(target, weights)]


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU])
def test_cudnn(make: Any):
    model = of_layers(make(3, name="r", return_sequences=True))
    entry, _, _, _ = oracle.saved(model)
    arrays, config = as_cudnn(model.get_layer("r"))
    entry["config"]["layers"][1] |= {"class_name": f"CuDNN{make.__name__}", "config": config}
    equal(model, entry, {"r": [oracle.stored(f"r/{k}", array) for k, array in enumerate(arrays)]})


# -- archives -----------------------------
def test_archive_of_2_12(tmp_path: Any):
    """Layers with weights count twice there."""
    model = oracle.randomized(layer_cases.inner())
    model.save(tmp_path / "model.keras")
    entry, variables, version = oracle.read_archive(tmp_path / "model.keras")
    renamed: dict[str, Variable] = {}
    for path, variable in variables.items():
        _, group, rest = path.split("/", 2)
        stem, _, number = group.rpartition("_")
        doubled = f"{stem}_{2 * int(number)}" if number.isdecimal() else group
        renamed[f"_layer_checkpoint_dependencies/{doubled}/{rest}"] = variable
    assert "_layer_checkpoint_dependencies/dense_2/vars/0" in renamed
    new = oracle.keras_3_model(upgrade.upgraded(entry, version))
    oracle.set_weights(new, upgrade.archive_variables(entry, renamed, version))
    given = oracle.inputs_for(model)
    assert oracle.difference(oracle.outputs(new, given), oracle.outputs(model, given)) < oracle.TOLERANCE


def test_an_archive_with_too_few_groups_is_refused(tmp_path: Any):
    layer_cases.inner().save(tmp_path / "model.keras")
    entry, variables, version = oracle.read_archive(tmp_path / "model.keras")
    fewer = {path: variable for path, variable in variables.items() if "/dense/" not in path}
    with pytest.raises(BadFileError, match="holds the weights of 1 of them"):
        upgrade.archive_variables(entry, fewer, version)


def test_places_of_assets():
    model = layer_cases.CASES["string_lookup"]()
    entry, _, version, _ = oracle.saved(model)
    assert upgrade.archive_groups(entry, version) == {"layers/string_lookup": "layers/string_lookup"}


# -- dtypes, training -----------------------------
def test_mixed_float16():
    tf_keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = of_layers(
            layers.Dense(3), layers.Activation("hard_sigmoid"), layers.Dense(2, dtype="float32")
        )
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    entry, weights, version, _ = oracle.saved(model)
    new = oracle.keras_3_model(upgrade.upgraded(entry, version))
    assert [layer.compute_dtype for layer in new.layers] == ["float16"] * 3 + ["float32"]
    oracle.set_weights(new, upgrade.model_variables(entry, weights, version))
    given = oracle.inputs_for(model)
    assert oracle.difference(oracle.outputs(new, given), oracle.outputs(model, given)) < 1e-2


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop", "nadam", "ftrl", "schedule"])
def test_compile_config(optimizer: str, tmp_path: Any):
    model = of_layers(layers.Dense(1, activation="sigmoid"))
    made = optimizer
    if optimizer == "schedule":
        made = tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9))
    model.compile(made, tf_keras.losses.Huber(0.5), ["mae"])
    model.save(tmp_path / "model.h5")
    entry, _, version, _ = oracle.read_h5(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5") as file:
        training = json.loads(file.attrs["training_config"])
    new = oracle.keras_3_model(upgrade.upgraded(entry, version, training))
    assert new.compiled
    assert type(new.optimizer).__name__ == type(model.optimizer).__name__
    assert float(new.optimizer.learning_rate) == pytest.approx(float(model.optimizer.learning_rate))
    truth, found = np.zeros((2, 1), "float32"), np.array([[0.2], [3.0]], "float32")
    assert float(new.loss(truth, found)) == pytest.approx(float(model.loss(truth, found)))


def test_custom_loss():
    model = of_layers(layers.Dense(1))
    entry, _, version, _ = oracle.saved(model)
    training = {
        "optimizer_config": {"class_name": "Adam", "config": {"lr": 0.01}},
        "loss": "my_loss",
        "metrics": [],
    }
    found = upgrade.upgraded(entry, version, training)
    assert "compile_config" not in found.entry
    assert any("my_loss" in remark.became for remark in found.remarks)
    kept = upgrade.upgraded(entry, version, training | {"loss": "mse"}).entry["compile_config"]
    assert kept["optimizer"]["config"]["learning_rate"] == 0.01


def test_custom_initializer():
    model = of_layers(layers.Dense(3, name="d"))
    entry, weights, _, _ = oracle.saved(model)
    config = entry["config"]["layers"][1]["config"]
    config["kernel_initializer"] = {"class_name": "Mine", "config": {}}
    config["kernel_constraint"] = {"class_name": "MyConstraint", "config": {}}
    found = equal(model, entry, weights)
    assert any("Mine" in remark.construct for remark in found.remarks)


# -- refused -----------------------------
def test_custom_layer():
    entry, _, version, _ = oracle.saved(of_layers(layers.Dense(3, name="d")))
    entry["config"]["layers"][1]["class_name"] = "Mine"
    found = upgrade.upgraded(entry, version)
    assert [(refusal.path, refusal.construct) for refusal in found.refusals] == [(("d",), "Mine")]
    assert read_model(found.entry).operations["d"].opaque


def test_a_custom_activation_is_refused():
    entry, _, version, _ = oracle.saved(of_layers(layers.Dense(3, name="d")))
    entry["config"]["layers"][1]["config"]["activation"] = "mine"
    assert "mine" in upgrade.upgraded(entry, version).refusals[0].construct


def test_locally_connected():
    assert refusals(of_layers(layers.LocallyConnected1D(3, 2, implementation=2))) == ["the layer"]
    assert refusals(of_layers(layers.RandomHeight(0.2), shape=(8, 8, 3))) == ["the layer"]


def test_other_interpolations_are_refused():
    assert refusals(of_layers(layers.Resizing(3, 3, "area"), shape=(8, 8, 3))) == ["interpolation='area'"]
    assert refusals(of_layers(layers.UpSampling2D(2, interpolation="gaussian"), shape=(8, 8, 3)))


def test_constants_of_a_recurrent_layer_are_refused():
    entry, _, version, _ = oracle.saved(layer_cases.CASES["mask_and_state"]())
    call = entry["config"]["layers"][-1]["inbound_nodes"][0]
    call[0][3] = {"constants": [[entry["config"]["layers"][0]["name"], 0, 0]]}
    assert "constants" in [refusal.construct for refusal in upgrade.upgraded(entry, version).refusals]


def test_functions_of_tensorflow_1_that_compute_otherwise_are_refused():
    x = tf_keras.Input((4,))
    assert refusals(tf_keras.Model(x, tf.compat.v1.where(x > 0, x, -x))) == ["tf.compat.v1.where"]


@pytest.mark.parametrize(("name", "key"), [("math.reduce_sum", "axis"), ("nn.moments", "axes")])
def test_axes_that_the_model_computes_are_refused(name: str, key: str):
    """Put into the file by hand: the installed TensorFlow does not write moments along such axes."""
    x, rows = tf_keras.Input((4, 5)), tf_keras.Input((), name="rows")
    model = tf_keras.Model([x, rows], tf.reduce_sum(x, axis=[1]))
    entry, _, version, _ = oracle.saved(model)
    last = entry["config"]["layers"][-1]
    last["config"]["function"] = name
    (node,) = last["inbound_nodes"]
    for given, found in (([1], []), (["rows", 0, 0], ["axis"]), ([1, ["rows", 0, 0]], ["axis"])):
        node[3] = {key: given}
        assert [each.construct for each in upgrade.upgraded(entry, version).refusals] == found


def test_older_names_of_modes():
    model = oracle.randomized(layer_cases.CASES["string_lookup"]())
    entry, weights, version, _ = oracle.saved(model)
    entry["config"]["layers"][1]["config"]["output_mode"] = "binary"
    equal(model, entry, weights, version)


def test_random_crop_is_refused():
    assert refusals(of_layers(layers.RandomCrop(3, 3), shape=(8, 8, 3))) == ["RandomCrop"]


def test_time_major():
    entry, _, version, _ = oracle.saved(of_layers(layers.LSTM(3)))
    entry["config"]["layers"][1]["config"]["time_major"] = True
    assert [refusal.construct for refusal in upgrade.upgraded(entry, version).refusals] == ["time_major=True"]


def test_the_old_hard_sigmoid_of_a_state_is_refused():
    assert refusals(of_layers(layers.LSTM(3, activation="hard_sigmoid"))) == ["activation='hard_sigmoid'"]


def test_a_lambda_is_refused_and_keeps_its_code():
    entry, _, version, _ = oracle.saved(of_layers(layers.Lambda(lambda x: x + 1, name="code")))
    found = upgrade.upgraded(entry, version)
    assert [refusal.construct for refusal in found.refusals] == ["Lambda"]
    kept = found.entry["config"]["layers"][1]["config"]
    assert kept["function"] == entry["config"]["layers"][1]["config"]["function"]


def test_dynamic_shape():
    x = tf_keras.Input((None, 4))
    y = tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1], 2, 2])
    assert refusals(tf_keras.Model(x, y)) == ["tf.reshape"]
    z = layers.Concatenate()([x, tf.fill([tf.shape(x)[0], 16, 1], 2.0)])
    assert "tf.fill" in refusals(tf_keras.Model(x, z))


@pytest.mark.parametrize("make", [lambda: layers.Rescaling(2.0), layers.Identity])
def test_mask_dropped(make: Any):
    x = tf_keras.Input((6,), dtype="int32")
    h = make()(layers.Embedding(6, 4, mask_zero=True)(x))
    assert refusals(tf_keras.Model(x, layers.LSTM(3)(h))) == ["its mask"]
    assert refusals(tf_keras.Model(x, layers.Flatten()(h))) == []


def test_a_mask_for_each_step_is_refused():
    embedding = layers.TimeDistributed(layers.Embedding(7, 3, mask_zero=True))
    assert refusals(of_layers(embedding, layers.TimeDistributed(layers.LSTM(2)), shape=(5, 6))) == [
        "its mask"
    ]


def test_calls_that_train():
    """In Keras 3 ``predict`` overrides training=True in a call; training=False is its default."""
    inner = tf_keras.Sequential([tf_keras.Input((4,)), layers.BatchNormalization(), layers.Dense(3)])
    x = tf_keras.Input((4,))
    for layer in (layers.Dropout(0.5), layers.GaussianNoise(0.5), layers.BatchNormalization(), inner):
        assert refusals(tf_keras.Model(x, layer(x, training=True))) == ["its call"]
        assert refusals(tf_keras.Model(x, layer(x, training=False))) == []
    assert refusals(tf_keras.Model(x, layers.Dropout(0.5)(x, True))) == ["its call"]
    oracle.agree(tf_keras.Model(x, inner(x, training=False)))


def test_means_of_whole_numbers():
    """TensorFlow keeps the dtype, Keras 3 makes floats: refused wherever the integers come from."""
    x, f = tf_keras.Input((6, 2), dtype="int32"), tf_keras.Input((6, 2))
    mean, pool = "tf.math.reduce_mean", layers.GlobalAveragePooling1D
    assert refusals(tf_keras.Model(x, tf.reduce_mean(x, 1))) == [mean]
    assert refusals(tf_keras.Model(x, pool()(x))) == ["GlobalAveragePooling1D"]
    assert refusals(of_layers(layers.Reshape((6, 2)), pool(), shape=(12,), dtype="int64")) != []
    taken = tf.transpose(tf.cast(f * 4, "int32") + 1, [0, 2, 1])[:, :1]
    assert refusals(tf_keras.Model(f, tf.reduce_mean(layers.ReLU()(taken), 1))) == [mean]
    assert refusals(tf_keras.Model(f, tf.reduce_mean(tf.argmax(f, 1), -1))) == [mean]
    inner = tf_keras.Sequential([layers.Reshape((12, 1)), pool()])
    assert refusals(tf_keras.Model(x, inner(x))) == ["Sequential"]
    assert "tf.math.reduce_sum" in refusals(tf_keras.Model(f, tf.reduce_sum(tf.cast(f, "int8"), 1)))
    on_floats = tf_keras.Sequential([tf_keras.Input((6, 2)), pool()])
    back = [
        tf.reduce_mean(tf.cast(x, "float32"), 1),
        tf.reduce_mean(tf.one_hot(x, 3), 1),
        tf.reduce_sum(x, 1),
    ]
    compared = tf.where(x > 2, tf.cast(x, "float32"), 0.5)
    shared = [on_floats(x), tf.reduce_mean(compared, 1), tf.reduce_mean(tf.gather(f, [0, 2], axis=1), 1)]
    oracle.agree(tf_keras.Model([x, f], [*back, *shared, tf.reduce_mean(x / 4, 1)]))


def test_masks_of_a_softmax():
    """Keras 3 gives zeros for a row that is masked whole: refused, unless it gives equal parts as Keras 2 does."""
    x, mask = tf_keras.Input((3, 8)), tf_keras.Input((3, 3), dtype="bool")
    scores = tf_keras.Input((3, 3))
    assert refusals(tf_keras.Model([scores, mask], layers.Softmax()(scores, mask=mask))) == ["its mask"]
    assert refusals(tf_keras.Model(scores, layers.Softmax()(scores))) == []
    attention = layers.MultiHeadAttention(2, 4)
    y, given = attention(x, x, attention_mask=mask, return_attention_scores=True)
    assert refusals(tf_keras.Model([x, mask], [y, given])) == ["its mask"]
    planes, pairs = tf_keras.Input((2, 3, 8)), tf_keras.Input((2, 3, 2, 3), dtype="bool")
    over_two = layers.MultiHeadAttention(2, 4)(planes, planes, attention_mask=pairs)
    assert refusals(tf_keras.Model([planes, pairs], over_two)) == ["its mask"]
    given = np.ones((2, 3, 3), "bool")
    given[0, 1] = False
    numbers = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")
    for dropout in (0.0, 0.3):
        y = layers.MultiHeadAttention(2, 4, dropout=dropout)(x, x, attention_mask=mask)
        found = oracle.agree(tf_keras.Model([x, mask], y), [numbers, given])
        assert _dropouts(found) == [0.0]
    y = layers.MultiHeadAttention(2, 4, dropout=0.3)(x, x, use_causal_mask=True)
    assert _dropouts(oracle.agree(tf_keras.Model(x, y), [numbers])) == [0.3]


def _dropouts(found: upgrade.Upgraded) -> list[float]:
    held = found.entry["config"]["layers"]
    return [each["config"]["dropout"] for each in held if each["class_name"] == "MultiHeadAttention"]


def _tokens(width: int = 8, **kwargs: Any) -> tuple[Any, Any, Any]:
    tokens = tf_keras.Input((5,), dtype="int32")
    masked = layers.Embedding(9, width, mask_zero=True, **kwargs)(tokens)
    return tokens, masked, layers.Dense(width)(layers.Embedding(9, width)(tokens))


PADDED = np.array([[1, 2, 3, 0, 0], [4, 0, 5, 0, 6], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], "int32")


def test_masks_of_attention():
    """Masks that only Keras 2 passes on by itself, also in samples and rows of padding alone."""
    tokens, masked, other = _tokens()
    both = layers.add([masked, other])
    attention = layers.MultiHeadAttention(2, 4, dropout=0.2)
    h = layers.LayerNormalization()(layers.add([both, attention(both, both)]))
    h = layers.add([h, layers.MultiHeadAttention(2, 4)(h, masked, use_causal_mask=True)])
    assert _dropouts(oracle.agree(tf_keras.Model(tokens, h), [PADDED])) == [0.0, 0.0]
    own = tf_keras.Input((5, 5), dtype="bool")
    y = layers.MultiHeadAttention(2, 4)(other, both, key=masked, attention_mask=own)
    given = np.random.default_rng(0).integers(0, 2, (4, 5, 5)).astype("bool")
    oracle.agree(tf_keras.Model([tokens, own], y), [PADDED, given])
    queries = [layers.Attention()([both, other]), layers.AdditiveAttention()([other, both, masked])]
    oracle.agree(tf_keras.Model(tokens, queries), [PADDED])


def test_masks_that_attention_of_keras_3_takes_off():
    """The operands of an attention layer have no mask for later layers."""
    tokens, masked, _ = _tokens()
    attention = [layers.MultiHeadAttention(2, 4) for _ in range(6)]
    again = attention[0](attention[1](masked, masked), masked)
    decoded = attention[2](again, masked, use_causal_mask=True)
    x = layers.add([masked, attention[3](masked, masked)])
    twice = attention[4]
    both = layers.concatenate([twice(masked, masked), twice(masked, masked, use_causal_mask=True)])
    last = layers.LSTM(3)(layers.add([masked, attention[5](masked, masked)]))
    oracle.agree(
        tf_keras.Model(tokens, [decoded, layers.MultiHeadAttention(2, 4)(x, x), both, last]), [PADDED]
    )


@pytest.mark.parametrize("dtype", ["mixed_float16", "float64"])
def test_a_mask_that_is_cast_away(dtype: str):
    """Attention of Keras 2 loses the mask of a tensor that it casts."""
    tokens, masked, other = _tokens()
    assert refusals(tf_keras.Model(tokens, layers.MultiHeadAttention(2, 4, dtype=dtype)(masked, masked))) == [
        "its mask"
    ]
    assert refusals(tf_keras.Model(tokens, layers.MultiHeadAttention(2, 4, dtype=dtype)(other, other))) == []


def test_masks_that_keras_3_alone_lets_through():
    """Attention cannot be told to use no mask, and a nested model cannot pass on a mask from outside."""
    tokens, masked, other = _tokens()
    scaled = layers.Rescaling(2.0)(masked)
    y = layers.MultiHeadAttention(2, 4)(scaled, other)
    assert refusals(tf_keras.Model(tokens, y)) == ["its mask"]
    x = tf_keras.Input((5, 8))
    inner = tf_keras.Model(x, layers.MultiHeadAttention(2, 4, dropout=0.5)(x, x))
    assert refusals(tf_keras.Model(tokens, inner(masked))) == ["its mask"]
    assert refusals(tf_keras.Model(tokens, inner(other))) == []


def test_sums_with_constants_that_look_like_biases():
    """Keras 3 treats a vector in a sum as a bias, along any axis of its size."""
    x, y = tf_keras.Input((5, 5)), tf_keras.Input((5, 1))
    column, row = np.arange(5.0, dtype="float32").reshape(5, 1), np.arange(5.0, dtype="float32")
    sums = [x + column, column + x, y + row, tf.add_n([x, x, tf.constant(column) + tf.zeros_like(x)])]
    oracle.agree(tf_keras.Model([x, y], sums))


def reasons(model: Any) -> list[str]:
    entry, _, version, _ = oracle.saved(model)
    return [refusal.reason for refusal in upgrade.upgraded(entry, version).refusals]


def test_reasons_say_what_it_is():
    x, y = tf_keras.Input((4,)), tf_keras.Input((4,))
    assert reasons(tf_keras.Model([x, y], tf.cast(x != y, "int32"))) == [
        "its second operand is not in the file"
    ]
    lost = tf_keras.Model(x, layers.Dense(3)(x))
    lost.add_loss(tf.reduce_mean(lost.output))
    assert reasons(lost) == ["Keras 3 has no such layer"]
    features = layers.experimental.RandomFourierFeatures(3)
    assert reasons(tf_keras.Model(x, features(x))) == ["Keras 3 has no such layer"]
    made = tf_keras.Model(x, layers.Dense(3, activation=lambda value: value * 2)(x))
    assert reasons(made) == ["a lambda: it runs code that is in the file"]
    entry, _, version, _ = oracle.saved(made)
    entry["config"]["layers"][1]["config"]["activation"] = "<lambda>"
    found = upgrade.upgraded(entry, version)
    assert [refusal.reason for refusal in found.refusals] == ["a lambda, whose code is not in the file"]
    shaped = tf_keras.Model(x, tf.reshape(x, [tf.shape(x)[0] * 2, 2]))
    assert "it computes a shape" in reasons(shaped)[0]


def test_renormalisation():
    """Its averages are not used in inference; each is found by name."""
    model = of_layers(layers.BatchNormalization(renorm=True, renorm_clipping={"rmax": 2.0}))
    found = oracle.agree(model)
    entry, weights, version, backend = oracle.saved(model)
    new = oracle.keras_3_model(found)
    oracle.set_weights(new, upgrade.model_variables(entry, weights, version, backend))
    old = {weight.name.partition("/")[2].removesuffix(":0"): weight.numpy() for weight in model.weights}
    assert len(old) == 7
    for variable in new.variables:
        assert np.array_equal(variable.numpy(), old[variable.name]), variable.name
