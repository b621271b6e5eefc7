"""Recurrent layers as ONNX operators: their options, their activations, and masks with holes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.export.harness import Refused, check_layer, compare, exported, randomise, same, session, tally
from tests.shapes.layer_cases import CASES

TIME, WIDTH, UNITS = 7, 5, 3
PADDED = [
    [1, 1, 1, 1, 1, 1, 1],
    [1, 1, 1, 0, 0, 0, 0],
    [0, 0, 1, 0, 1, 1, 0],
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [1, 0, 0, 0, 0, 0, 0],
]
RNNS = {"LSTM": layers.LSTM, "GRU": layers.GRU, "SimpleRNN": layers.SimpleRNN}


def masked_feed(rows: int = len(PADDED), seed: int = 0) -> Any:
    """Sequences whose masked steps are all zero; some sequences are masked whole."""
    x = np.random.default_rng(seed).normal(0, 1, (rows, TIME, WIDTH)).astype("float32")
    return x * np.asarray(PADDED[:rows], "float32")[:, :, None]


def words(seed: int = 0) -> Any:
    drawn = np.random.default_rng(seed).integers(1, 11, (len(PADDED), TIME))
    return (drawn * np.asarray(PADDED)).astype("int32")


def check(build: Callable[[Any], Any], mask: bool = True, time: int | None = TIME, **options: Any) -> Any:
    """Compare a model of ``build`` on a sequence, behind a Masking layer or not, with Keras at two batch sizes."""
    x = keras.Input((time, WIDTH))
    y = build(layers.Masking()(x) if mask else x)
    model = keras.Model(x, y)
    randomise(model)
    return compare(model, [[masked_feed()], [masked_feed(3, seed=1)]], **options)


@pytest.mark.parametrize(
    "name", ["LSTM", "GRU", "SimpleRNN", "LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells"]
)
def test_every_case_of_the_table_is_right_or_stateful(name: str) -> None:
    found = tally(CASES[name](layers), check_layer)
    assert not found["wrong"] and not found["not built"], found
    assert all("stateful" in reason for reason in found["refused"])


@pytest.mark.parametrize("name", RNNS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_outputs_and_states(name: str, masked: bool, backwards: bool) -> None:
    for sequences in (False, True):
        for zero in (False, True):
            for unroll in (False, True):
                result = check(
                    lambda x, s=sequences, z=zero, u=unroll: RNNS[name](
                        UNITS,
                        return_sequences=s,
                        return_state=True,
                        go_backwards=backwards,
                        zero_output_for_mask=z,
                        unroll=u,
                    )(x),
                    masked,
                )
                assert result.nodes[name.replace("SimpleRNN", "RNN")] == 1
                assert "Scan" not in result.nodes


@pytest.mark.parametrize("opset", [17, 26])
def test_an_open_time_axis(opset: int) -> None:
    for name in RNNS:
        check(lambda x, n=name: RNNS[n](UNITS, return_sequences=True)(x), time=None, opset=opset)


ACTIVATIONS = ["tanh", "sigmoid", "relu", "linear", None, "hard_sigmoid", "leaky_relu", "elu", "softsign"]
OTHERS = ["gelu", "silu", "selu", "softmax", "relu6", "hard_silu", "softplus", "mish", "swish"]


def _with(activation: Any, recurrent: Any) -> Callable[[Any], Any]:
    def build(x: Any) -> Any:
        options = {"activation": activation, "return_sequences": True, "return_state": True}
        return [
            layers.LSTM(UNITS, recurrent_activation=recurrent, **options)(x),
            layers.GRU(UNITS, recurrent_activation=recurrent, **options)(x),
            layers.SimpleRNN(UNITS, **options)(x),
            layers.Bidirectional(layers.LSTM(UNITS, activation=activation, recurrent_activation=recurrent))(
                x
            ),
        ]

    return build


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_the_operators(activation: str | None) -> None:
    result = check(_with(activation, "hard_sigmoid"), mask=False)
    assert "Scan" not in result.nodes
    check(_with("tanh", activation), mask=True)


@pytest.mark.parametrize("activation", OTHERS)
def test_other_activations_are_a_loop(activation: str) -> None:
    result = check(_with(activation, "sigmoid"))
    assert result.nodes["Scan"] == 5
    assert "LSTM" not in result.nodes


def test_bias_and_reset() -> None:
    def build(x: Any) -> Any:
        return [
            *(layers.GRU(UNITS, reset_after=a, use_bias=b)(x) for a in (False, True) for b in (False, True)),
            *(
                layers.GRU(UNITS, reset_after=a, activation="gelu", use_bias=b)(x)
                for a in (False, True)
                for b in (False, True)
            ),
            layers.LSTM(UNITS, use_bias=False)(x),
            layers.SimpleRNN(UNITS, use_bias=False)(x),
            layers.Bidirectional(
                layers.GRU(UNITS, use_bias=False), backward_layer=layers.GRU(UNITS, go_backwards=True)
            )(x),
        ]

    check(build)


MODES = ["concat", "sum", "mul", "ave", None]
FORMS = [(True, True, False), (True, False, True), (False, True, False)]  # sequences, states, unrolled


@pytest.mark.parametrize("name", RNNS)
@pytest.mark.parametrize("masked", [False, True])
def test_both_directions_are_one_operator(name: str, masked: bool) -> None:
    def build(x: Any) -> Any:
        return [
            layers.Bidirectional(
                RNNS[name](UNITS, return_sequences=s, return_state=t, unroll=u), merge_mode=m
            )(x)
            for m in MODES
            for s, t, u in FORMS[: 3 if m in ("concat", None) else 1]
        ]

    result = check(build, masked)
    assert result.nodes[name.replace("SimpleRNN", "RNN")] == 9


def test_directions_that_differ() -> None:
    def build(x: Any) -> Any:
        return [
            layers.Bidirectional(
                layers.LSTM(UNITS, return_sequences=True),
                backward_layer=layers.GRU(4, return_sequences=True, go_backwards=True),
            )(x),
            layers.Bidirectional(
                layers.GRU(UNITS, return_sequences=True, go_backwards=True),
                backward_layer=layers.GRU(UNITS, return_sequences=True),
                merge_mode="sum",
            )(x),
            layers.Bidirectional(layers.LSTM(UNITS, activation="gelu", return_sequences=True))(x),
            layers.Bidirectional(layers.RNN([layers.LSTMCell(4), layers.GRUCell(UNITS)]))(x),
        ]

    check(build)
    check(build, mask=False)


def test_initial_states() -> None:
    x = keras.Input((TIME, WIDTH))
    states = [keras.Input((UNITS,)) for _ in range(4)]
    h, c, p, q = states
    steps = layers.Masking()(x)
    mask = keras.ops.any(keras.ops.not_equal(x, 0), axis=-1)
    both = layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True, return_state=True))
    outputs = [
        # Keras drops the mask of a sequence that is called with states; a mask given by name stays.
        layers.LSTM(UNITS, return_sequences=True)(steps, initial_state=[h, c]),
        layers.LSTM(UNITS, return_state=True, return_sequences=True)(steps, initial_state=[h, c], mask=mask),
        layers.GRU(UNITS, return_state=True, go_backwards=True)(x, initial_state=h, mask=mask),
        layers.SimpleRNN(UNITS, return_state=True, activation="gelu")(x, initial_state=h, mask=mask),
        both(steps, initial_state=states),
        both(x, initial_state=states, mask=mask),
        layers.RNN([layers.GRUCell(UNITS), layers.LSTMCell(UNITS)], return_state=True)(
            x, initial_state=[h, [p, q]]
        ),
    ]
    model = keras.Model([x, *states], outputs)
    randomise(model)
    rng = np.random.default_rng(0)
    feeds = [
        [masked_feed(rows), *(rng.normal(0, 1, (rows, UNITS)).astype("float32") for _ in states)]
        for rows in (6, 4)
    ]
    compare(model, feeds)


def test_a_stateful_layer_is_refused() -> None:
    x = keras.Input(batch_shape=(2, TIME, WIDTH))
    model = keras.Model(x, layers.GRU(UNITS, stateful=True)(x))
    with pytest.raises(Refused, match="stateful"):
        compare(model, [])


def convolutional() -> Any:
    x = keras.Input(batch_shape=(2, 3, 5, 6, 2))
    y = layers.ConvLSTM2D(3, 3, stateful=True, return_sequences=True)(x)
    return x, layers.ConvLSTM2D(2, 2, stateful=True, data_format="channels_last")(y)


def stateful(build: Any, mask: bool = False) -> Any:
    def made() -> Any:
        x = keras.Input(batch_shape=(2, TIME, WIDTH))
        return x, build(layers.Masking(0.5)(x) if mask else x)

    return made


def called_twice(x: Any) -> Any:
    layer = layers.GRU(WIDTH, stateful=True, return_sequences=True)
    return layer(layer(x))


def nested(x: Any) -> Any:
    inner = keras.Input(batch_shape=(2, TIME, WIDTH))
    return keras.Model(inner, layers.LSTM(UNITS, stateful=True)(inner))(x)


STATEFUL = {
    "lstm": stateful(layers.LSTM(UNITS, stateful=True, return_sequences=True)),
    "gru, masked": stateful(layers.GRU(UNITS, stateful=True), mask=True),
    "backwards, as a loop": stateful(
        layers.SimpleRNN(UNITS, activation="gelu", stateful=True, go_backwards=True)
    ),
    "a cell": stateful(layers.RNN(layers.LSTMCell(UNITS), stateful=True)),
    "both directions": stateful(layers.Bidirectional(layers.LSTM(UNITS, stateful=True))),
    "both directions, masked": stateful(
        layers.Bidirectional(layers.GRU(UNITS, stateful=True, return_sequences=True), merge_mode="sum"),
        mask=True,
    ),
    "states returned": stateful(layers.LSTM(UNITS, stateful=True, return_state=True)),
    "called twice": stateful(called_twice),
    "nested": stateful(nested),
    "float16": stateful(layers.GRU(UNITS, stateful=True, dtype="mixed_float16")),
    "convolutional": convolutional,
}


@pytest.mark.parametrize("name", STATEFUL)
def test_states_are_inputs_and_outputs(name: str, tmp_path: Any) -> None:
    """Three calls, each with the states in which the one before ended: the numbers of a Keras model that keeps them."""
    x, y = STATEFUL[name]()
    model = keras.Model(x, y)
    randomise(model)
    result, path = exported(model, tmp_path, states=True)
    run = session(path)
    own = [i for i in run.get_inputs() if "/state/" in i.name]
    ends = [n for n in result.outputs if "/new_state/" in n]
    assert len(own) == len(ends) == len(result.inputs) - 1
    types = {"tensor(float16)": "float16", "tensor(float)": "float32"}
    states = [np.zeros(i.shape, types[i.type]) for i in own]
    rng = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False):
            layer.reset_state()
    for _ in range(3):
        feed = rng.normal(0, 1, x.shape).astype("float32")
        feed[:, -1] = feed[1, 0] = 0.5
        wanted = [np.asarray(t) for t in keras.tree.flatten(model(feed, training=False))]
        got = run.run(None, {result.inputs[0]: feed, **{i.name: s for i, s in zip(own, states, strict=True)}})
        for ours, theirs in zip(got, wanted, strict=False):
            same(ours, theirs, 4e-3 if name == "float16" else None)
        states = got[len(wanted) :]
        assert any(np.abs(s.astype("float32")).max() > 0 for s in states)


def test_states_inside_a_wrapper_are_refused(tmp_path: Any) -> None:
    x = keras.Input(batch_shape=(2, 3, TIME, WIDTH))
    model = keras.Model(x, layers.TimeDistributed(layers.LSTM(UNITS, stateful=True))(x))
    with pytest.raises(Refused, match="stateful"):
        exported(model, tmp_path, states=True)


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16", "mixed_bfloat16", "float64"])
def test_types(dtype: str) -> None:
    def build(x: Any) -> Any:
        made = [
            layers.LSTM(UNITS, dtype=dtype, return_sequences=True)(x),
            layers.GRU(UNITS, dtype=dtype)(x),
            layers.SimpleRNN(UNITS, dtype=dtype, activation="gelu")(x),
            layers.Bidirectional(layers.LSTM(UNITS, dtype=dtype), dtype=dtype)(x),
        ]
        return [layers.Activation("linear", dtype="float32")(y) for y in made]

    check(build, tolerance=4e-2 if "16" in dtype else 1e-4)


def test_cells_one_above_the_other() -> None:
    def build(x: Any) -> Any:
        cells = [layers.GRUCell(4), layers.LSTMCell(UNITS), layers.GRUCell(2), layers.SimpleRNNCell(2)]
        return [
            layers.RNN(cells, return_sequences=True, return_state=True)(x),
            layers.RNN([layers.GRUCell(2), layers.LSTMCell(3, activation="gelu")], go_backwards=True)(x),
            layers.RNN(layers.LSTMCell(4), return_sequences=True, go_backwards=True)(x),
        ]

    check(build)
    check(build, mask=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RNN", "Bidirectional", "TimeDistributed"])
def test_every_case_of_the_wrappers_is_right(name: str) -> None:
    found = tally(CASES[name](layers), check_layer)
    assert len(found["right"]) == len(CASES[name](layers)), found


# -- convolutional -----------------------------
@pytest.mark.parametrize("name", ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"])
def test_convolutional_cases(name: str) -> None:
    found = tally(CASES[name](layers), check_layer)
    assert not found["wrong"] and not found["refused"], found
    # TensorFlow has no channels-first convolution on the CPU.
    assert len(found["right"]) >= 8


def test_convolutional_masks() -> None:
    x = keras.Input((TIME, 6, 2))
    mask = keras.Input((TIME,), dtype="bool")
    options = {"return_sequences": True, "return_state": True, "padding": "same"}
    outputs = [
        layers.ConvLSTM1D(UNITS, 3, **options)(x, mask=mask),
        layers.ConvLSTM1D(UNITS, 3, go_backwards=True, zero_output_for_mask=True, **options)(x, mask=mask),
        layers.ConvLSTM1D(UNITS, 2, go_backwards=True)(x, mask=mask),
        layers.Bidirectional(layers.ConvLSTM1D(UNITS, 3, return_sequences=True))(x),
    ]
    model = keras.Model([x, mask], outputs)
    randomise(model)
    rng = np.random.default_rng(0)
    feeds = [
        [rng.normal(0, 1, (n, TIME, 6, 2)).astype("float32"), np.asarray(PADDED[:n], bool)] for n in (6, 2)
    ]
    compare(model, feeds)


# -- how masks travel -----------------------------
def _of_words(build: Callable[[Any], Any], time: int | None = TIME) -> None:
    x = keras.Input((time,), dtype="int32")
    model = keras.Model(x, build(layers.Embedding(11, WIDTH, mask_zero=True)(x)))
    randomise(model)
    compare(model, [[words()], [words(seed=1)[:4]]])


def test_from_an_embedding() -> None:
    _of_words(lambda x: layers.Dense(4)(layers.LSTM(UNITS)(x)))
    _of_words(lambda x: layers.Dense(4)(layers.LSTM(UNITS)(x)), time=None)


def test_long_sequences() -> None:
    x = keras.Input((None,), dtype="int32")
    steps = layers.Embedding(11, WIDTH, mask_zero=True)(x)
    model = keras.Model(
        x, [layers.Bidirectional(layers.GRU(2, return_sequences=True))(steps), layers.LSTM(2)(steps)]
    )
    randomise(model)
    drawn = np.random.default_rng(0).integers(0, 3, (4, 40)).astype("int32")
    compare(model, [[drawn], [drawn[:2, :25]]])


def test_through_layers_that_keep_it() -> None:
    def build(x: Any) -> Any:
        twice = layers.Concatenate()([x, layers.Dense(4)(x)])
        added = layers.Add()([x, layers.TimeDistributed(layers.Dense(WIDTH))(x)])
        return [
            layers.LSTM(UNITS)(layers.TimeDistributed(layers.Dense(6, activation="relu"))(x)),
            layers.GRU(UNITS, return_sequences=True)(twice),
            layers.GRU(UNITS)(added),
            layers.Bidirectional(layers.GRU(UNITS))(layers.LSTM(4, return_sequences=True)(x)),
            layers.LSTM(UNITS)(layers.Bidirectional(layers.GRU(2, return_sequences=True))(x)),
            layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x)),
            layers.LSTM(UNITS)(layers.Dropout(0.5)(layers.Activation("tanh")(x))),
        ]

    _of_words(build)


def test_into_a_nested_model() -> None:
    inner_x = keras.Input((TIME, WIDTH))
    inner = keras.Model(inner_x, layers.GRU(UNITS, return_sequences=True)(layers.Dense(4)(inner_x)))
    row = keras.Sequential(
        [keras.Input((TIME, WIDTH)), layers.LSTM(4, return_sequences=True), layers.LSTM(UNITS)]
    )
    _of_words(lambda x: [layers.LSTM(2)(inner(x)), row(x)])


def test_words_of_sentences() -> None:
    """A mask of three axes goes into TimeDistributed step by step."""
    x = keras.Input((4, TIME), dtype="int32")
    steps = layers.Embedding(11, WIDTH, mask_zero=True)(x)
    inner_x = keras.Input((TIME, WIDTH))
    inner = keras.Model(inner_x, layers.GRU(2)(inner_x))
    outputs = [layers.TimeDistributed(layers.LSTM(UNITS))(steps), layers.TimeDistributed(inner)(steps)]
    model = keras.Model(x, outputs)
    randomise(model)
    feed = np.stack([words(seed=n) for n in range(4)], axis=1)
    compare(model, [[feed], [feed[:2]]])
