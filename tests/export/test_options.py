"""Options of an export: half precision, a comparison with Keras, tf2onnx as the fallback."""

from __future__ import annotations

import json
import re

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

import rewriter
from rewriter import cli
from rewriter.api import export_onnx
from rewriter.errors import UnsupportedError, UsageError, VerificationError
from rewriter.export.onnx import fallback
from rewriter.proof import exported
from tests.export import harness

L, ops = keras.layers, keras.ops


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small network in a file."""
    image = keras.Input((8, 8, 3), name="image")
    x = L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(image))
    x = L.LayerNormalization(epsilon=1e-9)(L.ReLU()(x))
    model = keras.Model(image, L.Softmax(name="classes")(L.Dense(5)(L.GlobalAveragePooling2D()(x))))
    harness.randomise(model)
    path = tmp_path_factory.mktemp("options") / "small.keras"
    model.save(path)
    return path


# -- half precision -----------------------------
def test_half_precision_between_float32_inputs_and_outputs(saved, tmp_path):
    model = keras.saving.load_model(saved)
    x = np.random.default_rng(0).normal(0, 1, (3, 8, 8, 3)).astype("float32")
    harness.compare(model, [[x]], 1e-2, fp16=True)
    _, path = harness.exported(model, tmp_path, fp16=True)
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    types = {i.name: i.data_type for i in graph.initializer}
    types |= {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    assert all(types[v.name] == single for v in (*graph.input, *graph.output))
    assert all(types[n.output[0]] == half for n in graph.node if n.op_type in ("Conv", "Gemm", "Relu"))
    assert all(
        types[n.output[0]] == single
        for n in graph.node
        if n.op_type in ("Softmax", "LayerNormalization", "GlobalAveragePool")
    )


def test_what_half_precision_has_no_number_for_stays_single():
    x = keras.Input((6,))
    y = ops.where(x > 0, x, -1e9)
    model = keras.Model(x, [L.Softmax()(y), x / (ops.abs(x) + 1e-9), ops.sum(x * 200.0, axis=-1) * 30.0])
    data = np.linspace(-3, 9, 12).reshape(2, 6).astype("float32")
    data[0, 0] = 0
    harness.compare(model, [[data]], 2e-2, fp16=True)


def test_half_precision_of_a_recurrent_model():
    x = keras.Input((5, 4))
    model = keras.Model(x, L.Dense(3)(L.LSTM(6)(L.Dense(4)(x))))
    harness.randomise(model)
    harness.compare(
        model, [[np.random.default_rng(0).normal(0, 1, (2, 5, 4)).astype("float32")]], 2e-2, fp16=True
    )


# Outputs of x[3, 5], of the integers n[3, 5] and of wide[3, 5, 8] that float16 has no numbers for on the way.
BEYOND_HALF = {
    "logarithm of a small number": lambda x, n, wide: ops.log(ops.sigmoid(x * 20.0 - 20.0)),
    "logarithm of the rest": lambda x, n, wide: ops.log(1.0 - ops.sigmoid(x * 5.0 + 6.0)),
    "sine of a large angle": lambda x, n, wide: ops.sin(x * 700.0),
    "a step": lambda x, n, wide: ops.floor(x * 300.0),
    "integers": lambda x, n, wide: ops.cast(n, "float32") * 0.001,
    "integers in a layer": lambda x, n, wide: L.Dense(3)(ops.cast(n, "float32") * 0.001),
    "a sum": lambda x, n, wide: ops.sum(ops.abs(x) * 60000.0, axis=-1) * 0.01,
    "a running sum": lambda x, n, wide: ops.cumsum(ops.abs(x) * 60000.0, axis=1) * 0.01,
    "an exponential": lambda x, n, wide: ops.exp(x + 12.0) * 0.001,
    "a power": lambda x, n, wide: ops.power(ops.abs(x) * 50.0, 3.0) * 0.01,
    "a square": lambda x, n, wide: ops.square(x * 400.0) * 0.01,
    "a product": lambda x, n, wide: (x * 400.0) * (x * 300.0 + 1.0) * 0.01,
    "a norm": lambda x, n, wide: ops.norm(x * 40000.0, axis=-1) * 0.01,
    "the scores of an attention": lambda x, n, wide: L.Attention()([wide, wide]),
    "an epsilon": lambda x, n, wide: x / ops.sqrt(ops.mean(x * x * 1e-6, axis=-1, keepdims=True) + 1e-9),
    "weights": lambda x, n, wide: tiny()(x) * 1e6,
}


def tiny():
    """A Dense whose weights float16 rounds to 0."""
    return L.Dense(4, use_bias=False, kernel_initializer=keras.initializers.Constant(1e-8))


def test_what_overflows_in_half_precision_stays_single(tmp_path):
    """Against onnx.reference, which computes in float16: on a CPU, ONNX Runtime drops casts and computes in float32."""
    x, n, wide = keras.Input((5,)), keras.Input((5,), dtype="int32"), keras.Input((5, 8))
    model = keras.Model([x, n, wide], [build(x, n, wide) for build in BEYOND_HALF.values()])
    rng = np.random.default_rng(0)
    feeds = [rng.normal(0, 1, (3, 5)), rng.integers(0, 10**6, (3, 5)), rng.normal(0, 300, (3, 5, 8))]
    feeds = [feed.astype(given.dtype) for feed, given in zip(feeds, model.inputs, strict=True)]
    result, path = harness.exported(model, tmp_path, fp16=True, opset=21)
    found = ReferenceEvaluator(path).run(None, dict(zip(result.inputs, feeds, strict=True)))
    for name, ours, theirs in zip(BEYOND_HALF, found, model(feeds), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3 * np.abs(theirs).max(), err_msg=name)


def test_networks_keep_their_products_in_half_precision(tmp_path):
    """Gates of at most 1 make no product large: such layers stay in float16."""
    x = keras.Input((9, 9, 4))
    y = L.Activation("silu")(L.Conv2D(6, 3)(x))
    y = L.Multiply()(
        [y, L.Conv2D(6, 1, activation="hard_sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(y))]
    )
    y = L.Conv2D(5, 3)(y * ops.relu6(y + 3.0) * (1 / 6))
    _, path = harness.exported(keras.Model(x, y), tmp_path, fp16=True)
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    types = {v.name: v.type.tensor_type.elem_type for v in graph.value_info}
    kept = [types[n.output[0]] for n in graph.node if n.op_type in ("Conv", "Mul")]
    assert len(kept) > 5 and set(kept) == {onnx.TensorProto.FLOAT16}


def test_ties_of_half_precision_are_told_with_the_name_of_their_node(tmp_path, capsys):
    x = keras.Input((5,))
    y = L.Dense(4)(x)
    model = keras.Model(x, [ops.argmax(y, axis=-1), ops.top_k(ops.softmax(y), 2)[1], ops.argmax(x, axis=-1)])
    model.save(tmp_path / "m.keras")
    words = ["export", str(tmp_path / "m.keras"), str(tmp_path / "m.onnx")]
    assert cli.main([*words, "--fp16"]) == 0
    warned = [line.split()[1] for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert sorted(re.sub(r"_\d+/", "/", name) for name in warned) == ["argmax/ArgMax", "top_k/TopK"]
    assert cli.main([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


# -- the comparison with Keras -----------------------------
def test_verify_prints_the_largest_difference(saved, tmp_path, capsys):
    target = tmp_path / "out.onnx"
    assert cli.main(["export", str(saved), str(target), "--verify", "--nchw-inputs"]) == 0
    assert "agrees with Keras at batch" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["out.onnx"]


def test_a_difference_leaves_no_file_and_exits_3(saved, tmp_path, capsys, monkeypatch):
    from rewriter.export.onnx import write

    def wrong(data):
        return packed(data) * np.asarray(1.1, data.load().dtype) if data.dtype == "float32" else packed(data)

    packed = write._packed
    monkeypatch.setattr(write, "_packed", wrong)
    target = tmp_path / "out.onnx"
    target.write_bytes(b"before")
    assert cli.main(["export", str(saved), str(target), "--verify"]) == 3
    assert "not what Keras computes" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["out.onnx"]
    assert target.read_bytes() == b"before"


def test_a_model_with_code_is_not_run(tmp_path, monkeypatch):
    image = keras.Input((4,))
    path = tmp_path / "model.keras"
    keras.Model(image, L.Dense(2)(image)).save(path)
    monkeypatch.setattr(
        exported, "cannot_be_run", lambda form, graph: "'mine' (Mine) is code, which is not run"
    )
    made = export_onnx(path, tmp_path / "out.onnx", verify=None)
    assert made.verified == {"skipped": "'mine' (Mine) is code, which is not run"}
    with pytest.raises(UnsupportedError, match="the requested verification cannot run: 'mine'"):
        export_onnx(path, tmp_path / "asked.onnx", verify=True)
    assert not (tmp_path / "asked.onnx").exists()


# -- tf2onnx -----------------------------
@pytest.fixture
def unsupported(tmp_path):
    """A model with a layer that has no ONNX form here."""
    path = tmp_path / "model.keras"
    functional().save(path)
    return path


def test_without_tf2onnx_the_fallback_says_so(unsupported, tmp_path, monkeypatch):
    monkeypatch.setattr(fallback, "_NEEDED", ("tf2onnx_is_not_here",))
    with pytest.raises(UnsupportedError, match=r"mine.*tf2onnx_is_not_here not installed"):
        export_onnx(unsupported, tmp_path / "out.onnx", fallback="tf2onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


def test_the_fallback_has_not_all_options(unsupported, tmp_path):
    with pytest.raises(UnsupportedError, match="no --fp16"):
        export_onnx(unsupported, tmp_path / "out.onnx", fallback="tf2onnx", fp16=True)


def test_an_unknown_fallback_is_a_usage_error(saved, tmp_path):
    with pytest.raises(UsageError, match="fallback"):
        export_onnx(saved, tmp_path / "out.onnx", fallback="other")


def stateful(rows):
    return L.LSTM(3, stateful=True, name="mine")(rows)


def functional():
    rows = keras.Input((6, 5), batch_size=2)
    return keras.Model(rows, stateful(rows))


def sequential():
    return keras.Sequential([keras.Input((6, 5), batch_size=2), L.LSTM(3, stateful=True, name="mine")])


def of_named_inputs():
    a, b = (keras.Input((6, 5), batch_size=2, name=name) for name in "ab")
    return keras.Model({"x": a, "y": b}, {"out": stateful(a - b)})


@pytest.mark.slow
def test_states_are_compared_with_the_first_call(tmp_path, capsys):
    source, target = tmp_path / "model.keras", tmp_path / "out.onnx"
    functional().save(source)
    assert cli.main(["export", str(source), str(target), "--states", "--verify"]) == 0
    printed = capsys.readouterr().out
    assert "mine/state/1" in printed and "mine/new_state/1" in printed and "verified" in printed


@pytest.mark.slow
@pytest.mark.parametrize("build", [functional, sequential, of_named_inputs])
def test_tf2onnx_takes_over_and_the_file_says_so(build, tmp_path, capsys):
    source, target = tmp_path / "model.keras", tmp_path / "out.onnx"
    build().save(source)
    assert cli.main(["export", str(source), str(target), "--fallback", "tf2onnx", "--verify"]) == 0
    printed = capsys.readouterr().out
    assert "by tf2onnx: mine (LSTM)" in printed and "verified" in printed
    notes = {p.key: p.value for p in onnx.load(target).metadata_props}
    assert notes["exported_by"] == "tf2onnx" and "mine" in notes["not_exported_directly"]


# -- repair --onnx -----------------------------
def test_repair_writes_both_or_neither(saved, tmp_path, monkeypatch):
    from rewriter.export import onnx as exporter

    fixed, target = tmp_path / "fixed.keras", tmp_path / "fixed.onnx"
    result = rewriter.repair(saved, fixed, onnx=target)
    assert result.onnx_verified["difference"] < 1e-4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fixed.keras", "fixed.onnx"]
    for path in (fixed, target):
        path.unlink()

    def refuse(*arguments):
        raise UnsupportedError("it has no ONNX form")

    monkeypatch.setattr(exporter, "_written", refuse)
    with pytest.raises(UnsupportedError):
        rewriter.repair(saved, fixed, onnx=target)
    assert list(tmp_path.iterdir()) == []

    def differs(*arguments, **options):
        raise VerificationError("off")

    monkeypatch.undo()
    monkeypatch.setattr(exported, "verified", differs)
    with pytest.raises(VerificationError):
        rewriter.repair(saved, fixed, onnx=target)
    assert list(tmp_path.iterdir()) == []
    assert rewriter.repair(saved, fixed, onnx=target, verify=False).onnx_verified is None


# -- names -----------------------------
@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    """Inputs and outputs in dicts whose keys are not in the order in which they were made."""
    last, first = keras.Input((4,), name="zeta"), keras.Input((3,), name="alpha")
    boxes = {"xy": L.Dense(1)(first), "wh": [L.Dense(5)(first), L.Dense(6)(last)]}
    model = keras.Model({"zeta": last, "alpha": first}, {"score": L.Dense(2)(last), "boxes": boxes})
    path = tmp_path_factory.mktemp("names") / "keyed.keras"
    model.save(path)
    return path


def test_inputs_have_the_order_of_the_model_and_outputs_the_names_of_their_keys(keyed, tmp_path):
    model = keras.saving.load_model(keyed)
    result = export_onnx(keyed, tmp_path / "out.onnx", verify=True)
    assert result.inputs == [tensor.name for tensor in model.inputs] == ["alpha", "zeta"]
    assert result.outputs == ["boxes/wh/0", "boxes/wh/1", "boxes/xy", "score"]
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    assert [y.shape[1] for y in session.get_outputs()] == [tensor.shape[1] for tensor in model.outputs]
    assert result.verified["difference"] < 1e-4


def test_a_name_given_for_a_second_use_is_none_that_another_output_has(tmp_path):
    x = keras.Input((3,), name="x")
    y = L.Dense(2)(x)
    model = keras.Model({"x": x}, {"dense": L.ReLU()(y), "x_1": y, "x": x})
    model.save(tmp_path / "keyed.keras")
    result = export_onnx(tmp_path / "keyed.keras", tmp_path / "out.onnx", verify=True)
    assert result.outputs == ["dense", "x_2", "x_1"]
    assert result.verified["difference"] < 1e-4


def test_names_of_the_user(keyed, tmp_path, capsys):
    target = tmp_path / "out.onnx"
    words = ["--input-names", "left,dense/kernel", "--output-names", "a,b,c", "--output-names", "d"]
    assert cli.main(["export", str(keyed), str(target), "--verify", *words]) == 0
    session = onnxruntime.InferenceSession(target)
    assert [x.name for x in session.get_inputs()] == ["left", "dense/kernel"]
    assert [y.name for y in session.get_outputs()] == ["a", "b", "c", "d"]
    assert "agrees with Keras" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"output_names": ["a", "b", "c"]},
            r"3 names for 4 outputs \(boxes/wh/0, boxes/wh/1, boxes/xy, score\)",
        ),
        ({"input_names": ["a"]}, r"1 name for 2 inputs \(alpha, zeta\)"),
        ({"input_names": ["a", "a"]}, "two inputs or outputs would have the name 'a'"),
        ({"input_names": ["a", "b"], "output_names": ["a", "x", "y", "z"]}, "would have the name 'a'"),
        (
            {"output_names": ["alpha", "x", "y", "z"]},
            "an input and an output would both have the name 'alpha'",
        ),
        ({"input_names": ["a", ""]}, "is empty"),
        ({"input_names": "ab"}, "must be a list"),
    ],
    ids=str,
)
def test_names_that_cannot_be_used(keyed, tmp_path, given, text):
    with pytest.raises(UsageError, match=text):
        export_onnx(keyed, tmp_path / "out.onnx", **given)
    assert not (tmp_path / "out.onnx").exists()


# -- annotations -----------------------------
def annotated():
    """A model with open sizes, a nested model, a recurrent layer with a body, and a boolean mask."""
    image, steps = (
        keras.Input((None, None, 3), name="image"),
        keras.Input((None,), dtype="int32", name="steps"),
    )
    inner_input = keras.Input((None, None, 4))
    inner = keras.Model(inner_input, L.GlobalMaxPooling2D(name="pool")(inner_input), name="inner")
    x = inner(L.BatchNormalization(name="norm")(L.Conv2D(4, 3, strides=2, name="conv")(image)))
    y = L.Embedding(9, 4, mask_zero=True, name="embedding")(steps)
    y = L.GRU(4, reset_after=False, activation="gelu", return_sequences=True, name="gru")(y)
    y = L.MultiHeadAttention(2, 2, name="attention")(y, y)
    return keras.Model([image, steps], [L.Add(name="sum")([x, ops.mean(y, axis=1)]), ops.argmax(x, -1)])


def _dimensions(value):
    """The sizes of a value: numbers, names, None."""
    shape = value.type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in shape]


@pytest.mark.parametrize("options", [{}, {"fp16": True}, {"opset": 17, "batch": 3}], ids=str)
def test_annotations_are_what_the_runtime_computes(options, tmp_path):
    model = annotated()
    _, path = harness.exported(model, tmp_path, annotate=True, **options)
    onnx.checker.check_model(path, full_check=True)
    graph = onnx.load(path)
    onnx.shape_inference.infer_shapes(graph, check_type=True, strict_mode=True, data_prop=True)
    noted = {value.name: value for value in graph.graph.value_info}
    outputs = {value.name for value in graph.graph.output}
    assert {name for node in graph.graph.node for name in node.output} == noted.keys() | outputs
    graph.graph.output.extend(noted.values())
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).normal(0, 1, (3, 9, 7, 3)).astype("float32")
    given = session.run(list(noted), {"image": image, "steps": np.asarray([[1, 2, 0, 0, 0]] * 3, "int32")})
    sizes: dict[str, int] = {}
    for value, array in zip(noted.values(), given, strict=True):
        assert value.type.tensor_type.elem_type == onnx.helper.np_dtype_to_tensor_dtype(array.dtype), (
            value.name
        )
        for size, measured in zip(_dimensions(value), array.shape, strict=True):
            known = sizes.setdefault(size, measured) if isinstance(size, str) else size
            assert known in (None, measured), value.name
    assert any(None not in _dimensions(value) for value in noted.values())
    assert sizes.get("batch", 3) == 3 and (options.get("batch") or "batch" in sizes)


def test_annotated_nodes_name_where_they_come_from(tmp_path):
    _, path = harness.exported(annotated(), tmp_path, annotate=True)
    said = {node.op_type: node.doc_string for node in onnx.load(path).graph.node}
    assert said["Conv"] == "conv" and said["GlobalMaxPool"] == "inner/pool"
    assert said["Attention"] == "attention" and said["ArgMax"].startswith("arg")
    bodies = [a.g for n in onnx.load(path).graph.node for a in n.attribute if a.HasField("g")]
    assert bodies and all(node.doc_string == "gru" for body in bodies for node in body.node)
    assert all(body.value_info for body in bodies)


def test_without_annotations_a_file_has_none(saved, tmp_path):
    export_onnx(saved, tmp_path / "out.onnx")
    graph = onnx.load(tmp_path / "out.onnx").graph
    assert not graph.value_info and not any(node.doc_string for node in graph.node)
    assert cli.main(["export", str(saved), str(tmp_path / "noted.onnx"), "--annotate"]) == 0
    graph = onnx.load(tmp_path / "noted.onnx").graph
    assert graph.value_info and all(node.doc_string for node in graph.node)
