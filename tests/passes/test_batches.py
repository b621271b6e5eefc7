"""A fixed batch on one side and an open one on the other: found if the node runs only at the fixed size.

Keras is the judge. A model that repeats one sample is right at batch 1: the repaired one computes for each sample of a
batch what the broken one computes for that sample alone.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src.ops.numpy import Add, Concatenate, Einsum, Matmul, Multiply, Repeat, Stack

import rewriter
from rewriter.proof.onnx_runtime.checks import prove
from tests import support
from tests.mutation.edits import Recipe, mutate
from tests.zoo.common import randomise

RNG = np.random.default_rng(5)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def signal(steps: int | None = 12, features: int = 8):
    x = keras.Input((steps, 6), name="signal")
    return x, layers.Dense(features, name="features")(x)


def image(shape=(5, 7, 3)):
    return keras.Input(shape, name="image")


# -- one sample, repeated -----------------------------
def token_in_front() -> keras.Model:
    x, y = signal()
    y = Concatenate(1, name="join")([numbers(1, 1, 8), y])
    return keras.Model(x, layers.Dense(2, name="head")(y))


def token_behind() -> keras.Model:
    x, y = signal()
    y = Concatenate(1, name="join")([y, numbers(1, 3, 8)])
    return keras.Model(x, layers.Dense(2, name="head")(layers.Flatten()(y)))


def equal_sizes() -> keras.Model:
    x, y = signal(8, 8)
    y = Concatenate(1, name="join")([numbers(1, 8, 8), y])
    return keras.Model(x, layers.Dense(2, name="head")(y))


def grid() -> keras.Model:
    x = image()
    y = Concatenate(-1, name="join")([x, numbers(1, 5, 7, 2)])
    return keras.Model(x, layers.Conv2D(2, 1, name="head")(y))


def grid_channels_first() -> keras.Model:
    x = image((3, 5, 7))
    y = Concatenate(1, name="join")([x, numbers(1, 2, 5, 7)])
    return keras.Model(x, layers.BatchNormalization(axis=1, name="head")(y))


def two_tokens() -> keras.Model:
    x, y = signal()
    y = Concatenate(1, name="join")([numbers(1, 1, 8), y, numbers(1, 2, 8)])
    return keras.Model(x, layers.Dense(2, name="head")(y))


def nested() -> keras.Model:
    inner_x = keras.Input((12, 6), name="inner_x")
    y = Concatenate(1, name="join")([numbers(1, 1, 6), inner_x])
    inner = keras.Model(inner_x, y, name="inner")
    x = keras.Input((12, 6), name="signal")
    return keras.Model(x, layers.Dense(2, name="head")(inner(x)))


def open_steps() -> keras.Model:
    x, y = signal(None)
    y = Concatenate(1, name="join")([numbers(1, 1, 8), y])
    return keras.Model(x, layers.Dense(2, name="head")(y))


def constant_through_layers() -> keras.Model:
    """One sample that ops compute from a constant in the graph."""
    x, y = signal()
    place = ops.mean(ops.zeros_like(x), axis=0, keepdims=True)
    grid = Add(name="place")(place, numbers(1, 12, 6))
    y = Concatenate(-1, name="join")([y, grid])
    return keras.Model(x, layers.Dense(2, name="head")(y))


REPEATED = [
    token_in_front,
    token_behind,
    equal_sizes,
    grid,
    grid_channels_first,
    two_tokens,
    nested,
    open_steps,
    constant_through_layers,
]


def saved(model: keras.Model, tmp_path, name: str = "broken.keras"):
    path = tmp_path / name
    randomise(model).save(path)
    return path


def inputs_of(model: keras.Model, batch: int, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = [[batch, *(9 if s is None else s for s in x.shape[1:])] for x in model.inputs]
    return [rng.normal(size=s).astype("float32") for s in sizes]


def assert_as_alone(path, model: keras.Model) -> None:
    """The file gives for each sample the same as the model for it alone; other samples have no influence."""
    fixed = support.load(path)
    for batch in (1, 2, 3, 5, 8, 12):
        (x,) = inputs_of(model, batch, batch)
        alone = np.concatenate([np.asarray(model(x[i : i + 1])) for i in range(batch)])
        np.testing.assert_allclose(np.asarray(fixed(x)), alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("build", REPEATED, ids=lambda f: f.__name__)
def test_one_sample_is_repeated_to_the_batch(build, tmp_path):
    model = build()
    path = saved(model, tmp_path)
    report = rewriter.check(path, ops="all")
    name = "inner/join" if build is nested else "join"
    assert [(f.node, str(f.kind), f.severity) for f in report.findings] == [(name, "batch-size", "error")]
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is not None, [(f.why, [c.equation for c in f.candidates]) for f in result.findings]
    assert {i.op for i in result.inserted} == {"Slice", "Tile"}
    assert_as_alone(tmp_path / "fixed.keras", model)
    again = rewriter.repair(tmp_path / "fixed.keras", tmp_path / "again.keras", ops="all", verify=False)
    assert (again.findings, again.inserted) == ([], [])


def test_what_another_sample_is_does_not_matter(tmp_path):
    """The batch size comes from data with any values."""
    model = token_in_front()
    rewriter.repair(saved(model, tmp_path), tmp_path / "fixed.keras", ops="all", verify=False)
    (x,) = inputs_of(model, 3)
    x[1] = np.nan
    got = np.asarray(support.load(tmp_path / "fixed.keras")(x))
    for sample in (0, 2):
        np.testing.assert_allclose(got[sample], np.asarray(model(x[sample : sample + 1]))[0], atol=1e-5)
    np.testing.assert_allclose(got[1, 0], got[0, 0], atol=1e-5)  # the position of the token


def test_the_dtype_is_kept(tmp_path):
    x = keras.Input((4, 8), name="ids", dtype="int32")
    model = keras.Model(x, Concatenate(1, name="join")([np.full((1, 1, 8), 7, "int32"), x]))
    result = rewriter.repair(saved(model, tmp_path), tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is not None
    out = support.load(tmp_path / "fixed.keras")(np.ones((3, 4, 8), "int32"))
    assert (out.dtype, tuple(out.shape)) == ("int32", (3, 5, 8))
    assert np.asarray(out)[:, 0].tolist() == [[7] * 8] * 3


@pytest.mark.parametrize("build", [token_in_front, grid_channels_first, open_steps], ids=lambda f: f.__name__)
def test_the_repaired_model_is_exported(build, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = build()
    target = tmp_path / "fixed.onnx"
    rewriter.repair(saved(model, tmp_path), tmp_path / "fixed.keras", onnx=target, ops="all", verify=False)
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 3, 5):
        (x,) = inputs_of(model, batch, batch)
        alone = np.concatenate([np.asarray(model(x[i : i + 1])) for i in range(batch)])
        (got,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(got, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("token", "axis"), [((1, 1, 8), 1), ((1, 2, 8), 1), ((1, 12, 3), 2), ((1, 12, 12), 2), ((1, 12, 1), -1)]
)
def test_an_onnx_file_is_repaired(token, axis, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper, save

    values = numbers(*token)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel"], ["y"], "conv"),  # it shows which axis is the batch
            helper.make_node("Concat", ["c", "y"], ["z"], "join", axis=axis),
        ],
        "tokens",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 12, 8])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(values, "c"),
            numpy_helper.from_array(np.eye(12, dtype="float32")[:, :, None], "kernel"),
        ],
    )
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "m.onnx",
    )
    result = rewriter.repair(tmp_path / "m.onnx", tmp_path / "fixed.onnx", ops="all", verify=False)
    assert result.output is not None, [f.why for f in result.findings]
    session = onnxruntime.InferenceSession(str(tmp_path / "fixed.onnx"), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 3, 5):
        x = numbers(batch, 12, 8)
        (got,) = session.run(None, {"x": x})
        wanted = np.concatenate([np.repeat(values, batch, 0), x], axis)
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)


def test_an_onnx_file_is_proven(tmp_path, monkeypatch):
    """The operand is a tensor of the graph; the Where reads it."""
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper, save

    nodes = [
        helper.make_node("Relu", ["c"], ["m"], "relu"),
        helper.make_node("Conv", ["x", "kernel"], ["y"], "conv"),  # it shows which axis is the batch
        helper.make_node("Concat", ["y", "m"], ["z"], "join", axis=2),
    ]
    kernel = np.eye(12, dtype="float32")[:, :, None]
    constants = [numpy_helper.from_array(numbers(1, 12, 8), "c"), numpy_helper.from_array(kernel, "kernel")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 12, 8])]
    outputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 12, 16])]
    model = helper.make_model(
        helper.make_graph(nodes, "grid", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    save(model, tmp_path / "m.onnx")
    monkeypatch.setattr("rewriter.proof.in_child", prove)
    result = rewriter.repair(tmp_path / "m.onnx", tmp_path / "fixed.onnx", ops="all")
    assert result.output is not None, [f.why for f in result.findings]
    assert result.verified["checks"]["equation"] == {
        "proven": True,
        "batches": result.verified["checks"]["equation"]["batches"],
        "difference": 0.0,
        "nodes": ["join"],
    }


# -- found, and refused -----------------------------
def two(number: int, other=(12, 8), mine=(12, 8)):
    return keras.Input(mine, name="open"), keras.Input(batch_shape=(number, *other), name="fixed")


def fixed_join(number: int) -> keras.Model:
    x, y = two(number, (1, 8))
    return keras.Model([x, y], layers.Concatenate(1, name="node")([y, x]))


def fixed_join_op(number: int) -> keras.Model:
    x, y = two(number, (12, 3))
    return keras.Model([x, y], Concatenate(-1, name="node")([x, y]))


def fixed_sum(number: int) -> keras.Model:
    x, y = two(number)
    return keras.Model([x, y], layers.Add(name="node")([x, y]))


def fixed_product(number: int) -> keras.Model:
    x, y = two(number, (1, 8))
    return keras.Model([x, y], layers.Multiply(name="node")([x, y]))


def fixed_product_op(number: int) -> keras.Model:
    x, y = two(number)
    return keras.Model([x, y], Multiply(name="node")(x, y))


def fixed_matmul(number: int) -> keras.Model:
    x, y = two(number, (8, 5))
    return keras.Model([x, y], Matmul(name="node")(x, y))


def fixed_dot(number: int) -> keras.Model:
    x, y = two(number, (8, 5))
    return keras.Model([x, y], layers.Dot((2, 1), name="node")([x, y]))


def fixed_einsum(number: int) -> keras.Model:
    x, y = two(number, (8, 5))
    return keras.Model([x, y], Einsum("bij,bjk->bik", name="node")(x, y))


def fixed_stack(number: int) -> keras.Model:
    x, y = two(number)
    return keras.Model([x, y], Stack(1, name="node")([x, y]))


def fixed_attention(number: int) -> keras.Model:
    x, y = two(number, (5, 8))
    return keras.Model([x, y], layers.Attention(name="node")([y, x]))


def fixed_heads(number: int) -> keras.Model:
    x, y = two(number, (5, 8))
    return keras.Model([x, y], layers.MultiHeadAttention(2, 4, name="node")(y, x))


FIXED = [
    fixed_join,
    fixed_join_op,
    fixed_sum,
    fixed_product,
    fixed_product_op,
    fixed_matmul,
    fixed_dot,
    fixed_einsum,
    fixed_stack,
    fixed_attention,
    fixed_heads,
]
STRETCHED = {"fixed_sum", "fixed_product", "fixed_product_op", "fixed_matmul", "fixed_attention"}
# Operations without placements of operands: nothing can be inserted there.
ELSEWHERE = {"fixed_stack", "fixed_attention", "fixed_heads"}


def runs(model: keras.Model, batch: int) -> bool:
    shapes = [[batch if s is None else s for s in x.shape] for x in model.inputs]
    try:
        model([np.ones(shape, "float32") for shape in shapes])
    except Exception:
        return False
    return True


@pytest.mark.parametrize("number", [4, 7, 12])
@pytest.mark.parametrize("build", FIXED, ids=lambda f: f.__name__)
def test_a_batch_of_a_number_beside_an_open_one_is_found_and_refused(build, number, tmp_path):
    model = build(number)
    assert runs(model, number)
    assert not runs(model, number + 1)
    path = saved(model, tmp_path)
    (finding,) = rewriter.check(path, ops="all").findings
    assert (finding.node, finding.severity, finding.choice) == ("node", "error", None)
    assert f"runs at batch {number} only" in finding.message
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is None
    if build.__name__ not in ELSEWHERE:
        assert "leave the batch of both open" in finding.why
        assert str(finding.kind) == "batch-size"


@pytest.mark.parametrize("build", FIXED, ids=lambda f: f.__name__)
def test_a_batch_of_one_is_found_where_it_is_not_stretched(build, tmp_path):
    """Keras decides: sums, products and matmul repeat a 1, the others raise."""
    model = build(1)
    found = rewriter.check(saved(model, tmp_path), ops="all").findings
    assert runs(model, 3) == (build.__name__ in STRETCHED) == (not found)


def test_an_input_of_one_sample_is_repeated_on_demand_only(tmp_path):
    """Its batch may also be meant as open."""
    model = fixed_join(1)
    path = saved(model, tmp_path)
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is None
    assert "it may be meant to be open" in result.findings[0].why
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", mode="best", verify=False)
    assert result.output is not None
    x, y = numbers(3, 12, 8), numbers(1, 1, 8)
    got = np.asarray(support.load(tmp_path / "fixed.keras")([x, y]))
    np.testing.assert_array_equal(got, np.concatenate([np.repeat(y, 3, 0), x], 1))


@pytest.mark.parametrize("samples", [2, 4, 12])
def test_a_constant_of_several_samples_is_found(samples, tmp_path):
    x, y = signal()
    model = keras.Model(x, Concatenate(1, name="join")([numbers(samples, 1, 8), y]))
    (finding,) = rewriter.check(saved(model, tmp_path), ops="all").findings
    assert (str(finding.kind), finding.severity, finding.choice) == ("batch-size", "error", None)
    assert "store one sample of it" in finding.why


@pytest.mark.parametrize("samples", [2, 4, 12])
@pytest.mark.parametrize("meet", [Multiply, Add])
def test_a_constant_of_several_samples_that_meets_the_batch_is_found(meet, samples, tmp_path):
    x, y = signal()
    model = keras.Model(x, meet()(y, numbers(samples, 12, 8)))
    (finding,) = rewriter.check(saved(model, tmp_path), ops="all").findings
    assert (str(finding.kind), finding.severity, finding.choice) == ("batch-size", "error", None)
    assert f"at batch {samples} only" in finding.message and "store one sample of it" in finding.why


def test_a_row_of_constants_is_no_batch(tmp_path):
    """A Fourier embedding of the time that lost its axis: (B,) times (16,), all pairs."""
    t = keras.Input(())
    model = keras.Model(t, Multiply()(t, numbers(16)))
    (finding,) = rewriter.check(saved(model, tmp_path), ops="all").findings
    assert "b, f -> b f" in [c.equation for c in finding.candidates]


# -- valid -----------------------------
def all_ones() -> keras.Model:
    x, y = keras.Input(batch_shape=(1, 12, 8)), keras.Input(batch_shape=(1, 1, 8))
    return keras.Model([x, y], layers.Concatenate(1)([x, Add()(y, numbers(1, 1, 8))]))


def all_of_four() -> keras.Model:
    x, y = keras.Input(batch_shape=(4, 12, 8)), keras.Input(batch_shape=(4, 1, 8))
    return keras.Model([x, y], layers.Concatenate(1)([x, Multiply()(y, numbers(4, 1, 8))]))


def leading_one() -> keras.Model:
    x, y = signal()
    y = Add()(Multiply()(y, numbers(1, 12, 8)), numbers(1, 1, 8))
    return keras.Model(x, Matmul()(y, numbers(1, 8, 3)))


def without_a_batch() -> keras.Model:
    x, y = signal()
    return keras.Model(x, Matmul()(Add()(Multiply()(y, numbers(12, 8)), numbers(8)), numbers(8, 3)))


def repeated_by_hand() -> keras.Model:
    x, y = signal()
    token = Add()(ops.zeros_like(y[:, :1]), numbers(1, 1, 8))
    return keras.Model(x, Concatenate(1)([token, y]))


def joined_along_the_batch() -> keras.Model:
    x, y = signal()
    return keras.Model(x, Concatenate(0)([y, numbers(1, 12, 8), numbers(4, 12, 8)]))


def statistics_of_the_batch() -> keras.Model:
    x, y = signal()
    return keras.Model(x, ops.subtract(y, ops.mean(y, axis=0, keepdims=True)))


def channels_first_gate() -> keras.Model:
    x = image((3, 5, 7))
    return keras.Model(x, Multiply()(x, numbers(1, 3, 1, 1)))


def inner_of_one() -> keras.Model:
    inner_x = keras.Input((12, 8))
    inner = keras.Model(inner_x, Concatenate(1)([inner_x, inner_x]), name="inner")
    x = keras.Input(batch_shape=(1, 12, 8))
    return keras.Model(x, inner(x))


VALID = [
    all_ones,
    all_of_four,
    leading_one,
    without_a_batch,
    repeated_by_hand,
    joined_along_the_batch,
    statistics_of_the_batch,
    channels_first_gate,
    inner_of_one,
]


@pytest.mark.parametrize("build", VALID, ids=lambda f: f.__name__)
def test_a_valid_batch_is_left_alone(build, tmp_path):
    model = build()
    assert all(runs(model, n) for n in (1, 2, 5))
    assert rewriter.check(saved(model, tmp_path), ops="all").findings == []


@pytest.mark.parametrize(("number", "runs_at"), [("1", 1), ("4", 4)])
def test_suggest_says_that_the_batches_differ(number, runs_at):
    answer = rewriter.suggest("None,12,8", f"{number},12,3", op="Concatenate")
    assert not answer.legal
    assert f"this runs at batch {runs_at} only" in answer.why
    assert [c.rule for c in answer.candidates] == (["join-repeat"] if runs_at == 1 else [])
    assert rewriter.suggest("1,12,8", "1,12,3", op="Concatenate").legal
    assert rewriter.suggest("None,12,8", "None,12,3", op="Concatenate").legal


# -- a smaller batch, repeated -----------------------------
def beams(repeated: bool) -> keras.Model:
    """Scores of 8 beams, and factors for each of the 4 samples that they belong to."""
    x, z = keras.Input(batch_shape=(8, 6)), keras.Input(batch_shape=(4, 6))
    factors = Repeat(2, axis=0, name="fix")(z) if repeated else ops.tile(z, (2, 1))
    return keras.Model([x, z], Multiply(name="node")(x, factors))


def test_the_other_order_of_a_repeated_batch_is_listed_and_has_to_be_asked_for(tmp_path):
    meant = beams(True)
    path = saved(meant, tmp_path)
    assert rewriter.check(path).findings == []
    broken = mutate(path, tmp_path / "b.keras", Recipe(("node",), ("fix",))).path
    taken = rewriter.repair(broken, tmp_path / "tiled.keras")
    (finding,) = taken.findings
    assert [c.rule for c in finding.candidates] == ["batch-tile", "batch-repeat"]
    assert finding.choice is finding.candidates[0]
    assert "unless --at states batch-repeat" in finding.why
    rewriter.repair(broken, tmp_path / "told.keras", at={"node": "batch-repeat"})
    inputs = support.random_inputs(meant, 8)
    for name, model in (("tiled", beams(False)), ("told", meant)):
        fixed = support.load(tmp_path / f"{name}.keras")
        support.compare(support.run(fixed, inputs), support.run(model, inputs))


# -- time first -----------------------------
def time_first(turned: bool) -> keras.Model:
    """Time-major steps of an LSTM times weights, summed over time."""
    x, w = keras.Input((11, 5)), keras.Input((11,))
    steps = ops.transpose(layers.LSTM(6, return_sequences=True)(x), (1, 0, 2))
    weights = ops.expand_dims(ops.transpose(w) if turned else w, -1)
    return keras.Model([x, w], ops.sum(Multiply(name="node")(steps, weights), axis=0))


def test_weights_that_stand_batch_first_are_turned_to_steps_that_do_not(tmp_path):
    assert rewriter.check(saved(time_first(True), tmp_path), ops="all").findings == []
    result = rewriter.repair(saved(time_first(False), tmp_path), tmp_path / "fixed.keras")
    assert result.output is None
    (finding,) = result.findings
    assert {"t b d, b t 1 -> t b d", "t b d, b t 1 -> b t d"} <= {c.equation for c in finding.candidates}
    assert not finding.upstream  # in the order of the weights, the sum over axis 0 would be over the batch
