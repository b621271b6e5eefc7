"""ONNX files are checked, repaired and written: run against NumPy, and compared byte by byte where nothing is wrong."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import rewriter
from rewriter.cli import main
from rewriter.formats.onnx.reader import read
from rewriter.proof import child
from rewriter.proof.feeds import Feeds
from rewriter.proof.onnx_runtime.checks import prove
from rewriter.shapes.infer import infer

FLOAT = TensorProto.FLOAT
Shape = list[int | str | None]


def graph_model(
    nodes: list[Any],
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 17,
    stated: dict[str, Shape] | None = None,
) -> onnx.ModelProto:
    """A model of these nodes on float inputs."""

    def infos(shapes: dict[str, Shape]) -> list[Any]:
        return [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in shapes.items()]

    initializers = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(
        nodes, "graph", infos(inputs), infos(outputs), initializers, value_info=infos(stated or {})
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def save(proto: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


def run(path: Path, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def random(shape: Shape, batch: int, seed: int) -> np.ndarray:
    sizes = [batch if isinstance(size, str) else size for size in shape]
    return np.random.default_rng(seed).normal(size=sizes).astype(np.float32)


def fixed(path: Path, target: Path, **options: Any) -> onnx.ModelProto:
    """The repaired model, checked by ONNX with its own shape inference; the input file is unchanged."""
    before = path.read_bytes()
    result = rewriter.repair(path, target, verify=False, **options)
    assert result.output == str(target), [f.why for f in result.undecided]
    assert path.read_bytes() == before
    proto = onnx.load(target)
    onnx.checker.check_model(proto, full_check=True)
    return proto


# -- products of two inputs: shapes, the equation that was meant, the sequence of inserted operators -----------------
PAIRS: dict[str, tuple[Shape, Shape, str, list[str]]] = {
    "channels first": (["N", 8, 5, 6], ["N", 8], "nchw,nc->nchw", ["Reshape"]),
    "swapped": (["N", 8], ["N", 8, 5, 6], "nc,nchw->nchw", ["Reshape"]),
    "spatial map": (["N", 5, 6, 8], ["N", 5, 6], "nhwc,nhw->nhwc", ["Reshape"]),
    "layout": (["N", 5, 6, 8], ["N", 8, 5, 6], "nhwc,nchw->nhwc", ["Transpose"]),
    "sample weight": (["N", 7], ["N"], "nf,n->nf", ["Reshape"]),
    "volume": (["N", 4, 5, 6, 7], ["N", 4], "ncdhw,nc->ncdhw", ["Reshape"]),
    "steps": (["N", 9, 4], ["N", 9], "ntd,nt->ntd", ["Reshape"]),
}


@pytest.mark.parametrize("opset", [7, 12, 13, 17, 21])
@pytest.mark.parametrize("name", PAIRS)
def test_a_product_is_repaired(name, opset, tmp_path):
    a, b, equation, operators = PAIRS[name]
    result = a if len(a) >= len(b) else b
    proto = graph_model(
        [helper.make_node("Mul", ["a", "b"], ["y"], "scale")], {"a": a, "b": b}, {"y": result}, opset=opset
    )
    new = fixed(save(proto, tmp_path / "m.onnx"), tmp_path / "o.onnx")
    assert [node.op_type for node in new.graph.node] == [*operators, "Mul"]
    assert new.graph.node[-1].name == "scale"
    for batch in (1, 2, 3, 5, 8):
        given = {"a": random(a, batch, 0), "b": random(b, batch, 1)}
        (actual,) = run(tmp_path / "o.onnx", given)
        np.testing.assert_allclose(actual, np.einsum(equation, given["a"], given["b"]), rtol=1e-6)


def test_a_reading_for_one_height_is_not_taken(tmp_path):
    """(B, 8, h, w) times (B, 8): factors along h or w run only if these are 8, factors along the channels always."""
    a, b = ["N", 8, "h", "w"], ["N", 8]
    node = helper.make_node("Mul", ["a", "b"], ["y"], "scale")
    path = save(graph_model([node], {"a": a, "b": b}, {"y": a}), tmp_path / "m.onnx")
    (finding,) = rewriter.check(path).findings
    assert finding.decision.evidence.name == "open-sizes"
    fixed(path, tmp_path / "o.onnx")
    given = {"a": random(["N", 8, 4, 6], 3, 0), "b": random(b, 3, 1)}
    (actual,) = run(tmp_path / "o.onnx", given)
    np.testing.assert_array_equal(actual, given["a"] * given["b"][:, :, None, None])


def silent_gate(opset: int = 17) -> onnx.ModelProto:
    """A squeeze-and-excitation block without its Reshape, channels last behind a Transpose as exporters write it."""
    rng = np.random.default_rng(3)
    nodes = [
        helper.make_node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["conv"], ["features"], "features", perm=[0, 2, 3, 1]),
        helper.make_node("GlobalAveragePool", ["conv"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "flat"], ["vector"]),
        helper.make_node("MatMul", ["vector", "dense"], ["mixed"]),
        helper.make_node("Sigmoid", ["mixed"], ["excite"], "excite"),
        helper.make_node("Mul", ["features", "excite"], ["y"], "scale"),
    ]
    constants = {
        "kernel": rng.normal(size=(6, 3, 3, 3)).astype(np.float32),
        "flat": np.array([-1, 6], np.int64),
        "dense": rng.normal(size=(6, 6)).astype(np.float32),
    }
    return graph_model(nodes, {"x": ["N", 5, 7, 3]}, {"y": ["N", 5, 7, 6]}, constants, opset)


def test_a_fault_that_no_checker_sees(tmp_path):
    """(B, 5, 7, 6) times (B, 6): right at batch 1, silently wrong at 7, and an error otherwise."""
    proto = silent_gate()
    onnx.checker.check_model(proto, full_check=True)
    path = save(proto, tmp_path / "m.onnx")
    new = fixed(path, tmp_path / "o.onnx")
    assert [n.op_type for n in new.graph.node if "rewriter" in n.doc_string] == ["Reshape"]
    for batch in (1, 2, 3, 7):
        x = random(["N", 5, 7, 3], batch, 1)
        (actual,) = run(tmp_path / "o.onnx", {"x": x})
        one_by_one = [run(path, {"x": x[i : i + 1]})[0] for i in range(batch)]
        np.testing.assert_allclose(actual, np.concatenate(one_by_one), rtol=1e-5, atol=1e-6)


def two_layouts(*normalisation: str) -> onnx.ModelProto:
    """A channels-last operand, confirmed by a normalisation after the Transpose, times a channels-first one, shown only
    by the formula of a normalisation."""
    rng = np.random.default_rng(4)
    factors = {name: rng.normal(size=(6, 1, 1)).astype(np.float32) for name in normalisation}
    factors |= {name: rng.normal(size=(6,)).astype(np.float32) for name in ("gamma", "beta")}
    steps = ["second", *(f"{name}_of" for name in normalisation)]
    nodes = [
        helper.make_node("Conv", ["first", "kernel"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["conv"], ["last"], "last", perm=[0, 2, 3, 1]),
        helper.make_node("Mul", ["last", "gamma"], ["scaled"], "scaled"),
        helper.make_node("Add", ["scaled", "beta"], ["features"], "features"),
        *(
            helper.make_node(op, [taken, op], [made], made)
            for op, taken, made in zip(normalisation, steps, steps[1:], strict=False)
        ),
        helper.make_node("Mul", ["features", steps[-1]], ["product"], "scale"),
        helper.make_node("Transpose", ["product"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["turned", "kernel"], ["y"], pads=[1, 1, 1, 1]),
    ]
    constants = {"kernel": rng.normal(size=(6, 6, 3, 3)).astype(np.float32), **factors}
    shape: Shape = ["N", 6, 6, 6]
    return graph_model(nodes, {"first": shape, "second": shape}, {"y": shape}, constants)


@pytest.mark.parametrize("sum_", ["Add", "Sub"])
def test_the_channel_of_a_normalisation_that_is_written_out(sum_, tmp_path):
    path = save(two_layouts("Mul", sum_), tmp_path / "m.onnx")
    new = fixed(path, tmp_path / "o.onnx")
    (inserted,) = [n for n in new.graph.node if "rewriter" in n.doc_string]
    assert inserted.op_type == "Transpose"
    assert [list(a.ints) for a in inserted.attribute] == [[0, 2, 3, 1]]
    assert inserted.input == [f"{sum_}_of"]


def test_a_layout_beside_a_batch_of_another_name_is_found(tmp_path):
    """Nothing proves that ``N`` and ``M`` are equal; channels that meet the height are still a fault."""
    proto = two_layouts("Mul", "Add")
    proto.graph.input[1].type.tensor_type.shape.dim[0].dim_param = "M"
    (finding,) = rewriter.check(save(proto, tmp_path / "m.onnx")).findings
    assert finding.kind.value == "layout"
    assert finding.chosen is None
    assert {c.rule for c in finding.candidates} == {"layout"}


@pytest.mark.parametrize("normalisation", [(), ("Mul",), ("Add",), ("Add", "Mul")])
def test_one_constant_along_an_axis_says_nothing_of_channels(normalisation, tmp_path):
    path = save(two_layouts(*normalisation), tmp_path / "m.onnx")
    assert rewriter.check(path).findings == []


def test_what_was_not_touched_is_what_it_was(tmp_path):
    proto = silent_gate()
    proto.producer_name, proto.doc_string = "somebody", "ünïcode"
    helper.set_model_props(proto, {"key": "value"})
    new = fixed(save(proto, tmp_path / "m.onnx"), tmp_path / "o.onnx")
    kept = [n for n in new.graph.node if "rewriter" not in n.doc_string]
    for old, node in zip(proto.graph.node, kept, strict=True):
        if old.name == "scale":
            assert list(node.input) == ["features", "scale_channel_gate_reshape"]
            node.input[1] = "excite"
        assert node.SerializeToString() == old.SerializeToString()
    old_constants = {t.name: t.SerializeToString() for t in proto.graph.initializer}
    new_constants = {t.name: t.SerializeToString() for t in new.graph.initializer}
    assert old_constants.items() <= new_constants.items()
    assert len(new_constants) == len(old_constants) + 1
    new.graph.CopyFrom(proto.graph)
    assert new.SerializeToString() == proto.SerializeToString()


def test_a_constant_is_rewritten_itself(tmp_path):
    factors = np.arange(1, 9, dtype=np.float32)
    node = helper.make_node("Mul", ["x", "factors"], ["y"], "scale")
    other = helper.make_node("Add", ["flat", "factors"], ["z"])
    x, flat = ["N", 8, 5, 6], ["N", 8]
    proto = graph_model([node, other], {"x": x, "flat": flat}, {"y": x, "z": flat}, {"factors": factors})
    new = fixed(save(proto, tmp_path / "m.onnx"), tmp_path / "o.onnx")
    assert [n.op_type for n in new.graph.node] == ["Mul", "Add"]
    given = {"x": random(x, 3, 0), "flat": random(flat, 3, 1)}
    y, z = run(tmp_path / "o.onnx", given)
    np.testing.assert_array_equal(y, given["x"] * factors[:, None, None])
    np.testing.assert_array_equal(z, given["flat"] + factors)


def test_what_the_weights_behind_it_ask_for(tmp_path):
    """(B, 5) times (B, 7) before a Gemm of 35 rows is the outer product."""
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["product"], "scale"),
        helper.make_node("Flatten", ["product"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["y"]),
    ]
    w = np.random.default_rng(0).normal(size=(35, 2)).astype(np.float32)
    a, b = ["N", 5], ["N", 7]
    path = save(graph_model(nodes, {"a": a, "b": b}, {"y": ["N", 2]}, {"w": w}), tmp_path / "m.onnx")
    fixed(path, tmp_path / "o.onnx")
    given = {"a": random(a, 3, 0), "b": random(b, 3, 1)}
    (y,) = run(tmp_path / "o.onnx", given)
    outer = np.einsum("na,nb->nab", given["a"], given["b"])
    np.testing.assert_allclose(y, outer.reshape(3, 35) @ w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "a", "b"),
    [
        ("n f, n g -> n f g", ["N", 5], ["N", 7]),
        ("n m k, n j k -> n m j", ["N", 4, 3], ["N", 5, 3]),
        ("n p g, n g -> n p g", ["N", 4, 3], ["N", 3]),
        ("n (p g), n g -> n p", ["N", 12], ["N", 4]),
        ("n (s r), n s -> n (s r)", ["N", 12], ["N", 4]),
        ("n (r s), n s -> n (r s)", ["N", 12], ["N", 4]),
    ],
)
@pytest.mark.parametrize("opset", [7, 13, 21])
def test_whatever_is_stated(equation, a, b, opset, tmp_path):
    """Steps of every kind, written in ONNX; later nodes do not state their shapes."""
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["product"], "scale"),
        helper.make_node("Relu", ["product"], ["y"]),
    ]
    right = equation.partition("->")[2]
    sizes = {"n": 3, "f": 5, "g": 4 if "(p g)" in equation else 7 if "f g" in equation else 3}
    sizes |= {"m": 4, "k": 3, "j": 5, "p": 3 if "(p g)" in equation else 4, "s": 4, "r": 3}
    rank = len(right.replace("(s r)", "s").replace("(r s)", "s").split())
    proto = graph_model(nodes, {"a": a, "b": b}, {"y": [None] * rank}, opset=opset)
    path = save(proto, tmp_path / "m.onnx")
    rewriter.repair(path, tmp_path / "o.onnx", at={"scale": equation}, verify=False)
    given = {"a": random(a, 3, 0), "b": random(b, 3, 1)}
    (actual,) = run(tmp_path / "o.onnx", given)
    np.testing.assert_allclose(
        actual, np.maximum(loops(equation, sizes, given["a"], given["b"]), 0), rtol=1e-5
    )


def loops(equation: str, sizes: dict[str, int], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """An equation by plain loops over its names."""
    left, right = equation.replace("(", " ( ").replace(")", " ) ").split("->")
    operands = [*left.split(","), right]
    terms: list[list[list[str]]] = []
    for operand in operands:
        found: list[list[str]] = []
        inside = False
        for word in operand.split():
            if word in "()":
                inside = word == "("
                if inside:
                    found.append([])
            elif inside:
                found[-1].append(word)
            else:
                found.append([word])
        terms.append(found)
    names = sorted({name for term in terms for group in term for name in group})
    shape = [int(np.prod([sizes[n] for n in group])) for group in terms[2]]
    result = np.zeros(shape, np.float64)
    for index in np.ndindex(*[sizes[n] for n in names]):
        at = dict(zip(names, index, strict=True))

        def place(term: list[list[str]], at: dict[str, int] = at) -> tuple[int, ...]:
            return tuple(
                int(np.ravel_multi_index([at[n] for n in group], [sizes[n] for n in group])) for group in term
            )

        result[place(terms[2])] += a[place(terms[0])] * b[place(terms[1])]
    return result.astype(np.float32)


def test_a_batch_that_is_repeated(tmp_path):
    """6 samples and 3, as pools show; without the pools the role of axis 0 is unknown."""
    pools = [helper.make_node("MaxPool", [name], [f"{name}_pooled"], kernel_shape=[1]) for name in ("a", "b")]
    nodes = [*pools, helper.make_node("Mul", ["a_pooled", "b_pooled"], ["y"], "scale")]
    proto = graph_model(nodes, {"a": [6, 4, 5], "b": [3, 4, 5]}, {"y": [6, 4, 5]})
    fixed(save(proto, tmp_path / "m.onnx"), tmp_path / "o.onnx")
    bare = graph_model(
        [helper.make_node("Mul", ["a", "b"], ["y"], "scale")],
        {"a": [6, 4, 5], "b": [3, 4, 5]},
        {"y": [6, 4, 5]},
    )
    result = rewriter.repair(save(bare, tmp_path / "bare.onnx"), tmp_path / "p.onnx", verify=False)
    assert [f.chosen for f in result.undecided] == [None]
    given = {"a": random([6, 4, 5], 0, 0), "b": random([3, 4, 5], 0, 1)}
    (actual,) = run(tmp_path / "o.onnx", given)
    np.testing.assert_array_equal(actual, given["a"] * np.tile(given["b"], (2, 1, 1)))


def test_names_that_are_taken_and_names_that_are_missing(tmp_path):
    """Nodes need no names, and tensors may have the names of our new ones; names do not tell two inputs apart."""
    nodes = [
        helper.make_node("Relu", ["a"], ["y_channel_gate_reshape"]),
        helper.make_node("Mul", ["y_channel_gate_reshape", "b"], ["y"]),
        helper.make_node("Neg", ["y"], ["z"], "a"),
    ]
    shape = ["N", 8, 5, 6]
    proto = graph_model(nodes, {"a": shape, "b": ["N", 8]}, {"z": shape})
    new = fixed(save(proto, tmp_path / "m.onnx"), tmp_path / "o.onnx")
    given = {"a": random(shape, 3, 0), "b": random(["N", 8], 3, 1)}
    (actual,) = run(tmp_path / "o.onnx", given)
    expected = -np.maximum(given["a"], 0) * given["b"][:, :, None, None]
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    assert len({n.output[0] for n in new.graph.node}) == 4


def test_stated_shapes_that_the_repair_makes_untrue(tmp_path):
    """Recorded shapes of the broken product are removed, in the middle and at the end of the graph."""
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["product"], "scale"),
        helper.make_node("Relu", ["product"], ["y"]),
    ]
    proto = graph_model(
        nodes,
        {"a": ["N", 5], "b": ["N", 7]},
        {"y": ["N", 7]},
        stated={"product": ["N", 7]},
    )
    path = save(proto, tmp_path / "m.onnx")
    new = fixed(path, tmp_path / "o.onnx", at={"scale": "b f, b g -> b f g"})
    dims = [d.dim_param or d.dim_value for d in new.graph.output[0].type.tensor_type.shape.dim]
    assert dims == ["N", 5, 7]
    assert [v.name for v in new.graph.value_info] == []


def dims(value: Any) -> list[str | int]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


# Shapes of a, b and their product as the file states them, the equation that was meant, and the true shape.
NAMED: dict[str, tuple[Shape, Shape, Shape, str, Shape]] = {
    "kept": (["batch", "seq", 5], ["batch", "seq", 7], ["batch", "seq", 7],
             "b s f, b s g -> b s f g", ["batch", "seq", 5, 7]),
    "a name that is not a word": (["batch", "2 * seq", 5], ["batch", "2 * seq", 7], ["batch", "2 * seq", 7],
                                  "b s f, b s g -> b s f g", ["batch", "2 * seq", 5, 7]),
    "moved": (["batch", "heads", "seq", 5], ["batch", "seq", "heads", 7], ["batch", "heads", "seq", 7],
              "b h s f, b s h g -> b s h f g", ["batch", "seq", "heads", 5, 7]),
    "in front": (["seq", 5], ["batch", 7], ["seq", 7], "s f, b g -> b s f g", ["batch", "seq", 5, 7]),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_names_of_sizes_stay_with_their_axes(name, tmp_path):
    """In a graph output; the recorded shape of an inner tensor is removed."""
    a, b, stated, equation, true = NAMED[name]
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["product"], "scale"),
        helper.make_node("Relu", ["product"], ["y"]),
    ]
    proto = graph_model(nodes, {"a": a, "b": b}, {"y": stated}, stated={"product": stated})
    new = fixed(save(proto, tmp_path / "m.onnx"), tmp_path / "o.onnx", at={"scale": equation})
    assert dims(new.graph.output[0]) == true
    assert [v.name for v in new.graph.value_info] == []
    sizes = {"batch": 2, "seq": 3, "2 * seq": 3, "heads": 11}
    given = {
        key: np.ones([sizes.get(size, size) for size in shape], "f4") for key, shape in (("a", a), ("b", b))
    }
    (found,) = run(tmp_path / "o.onnx", given)
    assert list(found.shape) == [sizes.get(size, size) for size in true]


def test_names_that_the_repair_makes_untrue(tmp_path):
    """All sizes are names: only these show that an axis moved."""
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["product"], "scale"),
        helper.make_node("Relu", ["product"], ["y"]),
    ]
    stated: Shape = ["seq", "batch", 5]
    proto = graph_model(
        nodes, {"a": ["batch", "seq", 5], "b": stated}, {"y": stated}, stated={"product": stated}
    )
    path = save(proto, tmp_path / "m.onnx")
    new = fixed(path, tmp_path / "o.onnx", at={"scale": "b s f, s b f -> b s f"})
    assert dims(new.graph.output[0]) == ["batch", "seq", 5]
    assert [v.name for v in new.graph.value_info] == []


OTHERS: dict[str, tuple[str, Shape, Shape, Shape, Any]] = {
    "sum": ("Add", ["N", 8, 5, 6], ["N", 8], ["N", 8, 5, 6], lambda a, b: a + b[:, :, None, None]),
    "difference": ("Sub", ["N", 5, 6, 8], ["N", 5, 6], ["N", 5, 6, 8], lambda a, b: a - b[..., None]),
    "quotient": ("Div", ["N", 7], ["N"], ["N", 7], lambda a, b: a / b[:, None]),
    "matrices": (
        "MatMul",
        ["N", 4, 3],
        ["N", 5, 3],
        ["N", 4, 5],
        lambda a, b: np.einsum("nmk,njk->nmj", a, b),
    ),
    "vector": ("MatMul", ["N", 4, 3], ["N", 3], ["N", 4], lambda a, b: np.einsum("nmk,nk->nm", a, b)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_rest_of_the_family(name, tmp_path):
    operator, a, b, result, expected = OTHERS[name]
    node = helper.make_node(operator, ["a", "b"], ["y"], "here")
    path = save(graph_model([node], {"a": a, "b": b}, {"y": result}), tmp_path / "m.onnx")
    fixed(path, tmp_path / "o.onnx", ops="all")
    for batch in (1, 2, 4):
        given = {"a": random(a, batch, 0), "b": random(b, batch, 1)}
        (actual,) = run(tmp_path / "o.onnx", given)
        np.testing.assert_allclose(actual, expected(given["a"], given["b"]), rtol=1e-5, atol=1e-6)


# -- the proof -----------------------------
def test_a_repair_is_proven_by_running_it(tmp_path):
    path = save(silent_gate(), tmp_path / "m.onnx")
    checks = rewriter.repair(path, tmp_path / "o.onnx", verify=prove).verified["checks"]
    assert [name for name, check in checks.items() if check["proven"]] == [
        "equation",
        "independence",
        "batch-one",
    ]
    assert {1, 2, 3, 6} <= set(checks["independence"]["batches"])
    assert checks["equation"]["nodes"] == ["scale"]
    assert max(check.get("difference", 0) for check in checks.values()) < 1e-5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "o.onnx"]


def wrongly(change: Any) -> Any:
    """A prover that changes the repaired file first."""

    def prover(request: Any) -> dict[str, Any]:
        proto = onnx.load(request.repaired)
        change(proto.graph)
        save(proto, Path(request.repaired))
        return prove(request)

    return prover


def other_axis(graph: Any) -> None:
    """Put the factors along the height."""
    target = next(t for t in graph.initializer if t.name.endswith("_shape"))
    target.CopyFrom(numpy_helper.from_array(np.array([-1, 6, 1, 1]), target.name))


def other_sample(graph: Any) -> None:
    """Give every sample the factors of the first one."""
    index = numpy_helper.from_array(np.array([0]), "first_sample")
    graph.initializer.append(index)
    node = helper.make_node("Gather", ["first_sample_of", "first_sample"], ["x1"], axis=0)
    node.input[0] = "excite"
    scale = next(n for n in graph.node if n.op_type == "Reshape" and "rewriter" in n.doc_string)
    scale.input[0] = "x1"
    graph.node.insert(list(graph.node).index(scale), node)


@pytest.mark.parametrize(("change", "check"), [(other_axis, "load"), (other_sample, "equation")])
def test_a_wrong_repair_is_not_written(change, check, tmp_path):
    path = save(silent_gate(), tmp_path / "m.onnx")
    with pytest.raises(rewriter.VerificationError, match=check):
        rewriter.repair(path, tmp_path / "o.onnx", verify=wrongly(change))
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_the_proof_in_a_process_of_its_own(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rewriter.proof.in_child", child.in_child)
    path = save(silent_gate(), tmp_path / "m.onnx")
    assert main(["repair", str(path), "-o", str(tmp_path / "o.onnx"), "--format", "json"]) == 0
    verified = json.loads(capsys.readouterr().out)["verified"]
    assert verified["checks"]["independence"]["proven"]
    assert not verified["checks"]["gradients"]["proven"]


# -- models that are right -----------------------------
def valid_models() -> dict[str, onnx.ModelProto]:
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    gate = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Conv", ["p", "w1"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["g"]),
        helper.make_node("Mul", ["x", "g"], ["y"]),
    ]
    image: Shape = ["N", 6, 5, 5]
    shape_arithmetic = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["v", "target"], ["g"]),
        helper.make_node("Mul", ["x", "g"], ["y"]),
    ]
    shape_constants = {
        "zero": np.array(0, np.int64),
        "axes": np.array([0], np.int64),
        "rest": np.array([6, 1, 1], np.int64),
    }
    recurrent = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "w", "r"], ["h"], hidden_size=5),
        helper.make_node("Squeeze", ["h", "one"], ["s"]),
        helper.make_node("Transpose", ["s"], ["b"], perm=[1, 0, 2]),
        helper.make_node("MatMul", ["b", "k"], ["e"]),
        helper.make_node("Softmax", ["e"], ["a"], axis=1),
        helper.make_node("Mul", ["b", "a"], ["y"]),
    ]
    recurrent_constants = {
        "w": weights(1, 20, 4),
        "r": weights(1, 20, 5),
        "one": np.array([1], np.int64),
        "k": weights(5, 1),
    }
    body = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["inner"])],
        "body",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, image)],
    )
    branch = [helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)]
    return {
        "gate": graph_model(gate, {"x": image}, {"y": image}, {"w1": weights(6, 6, 1, 1)}),
        "shape arithmetic": graph_model(
            shape_arithmetic, {"x": image, "v": ["N", 6]}, {"y": image}, shape_constants
        ),
        "recurrent": graph_model(recurrent, {"x": ["N", 7, 4]}, {"y": ["N", 7, 5]}, recurrent_constants),
        "scalar": graph_model(
            [helper.make_node("Mul", ["x", "s"], ["y"])],
            {"x": image},
            {"y": image},
            {"s": np.float32(2).reshape(())},
        ),
        "branch": graph_model(branch, {"x": image}, {"y": image}, {"c": np.array(True)}),
    }


@pytest.mark.parametrize("name", valid_models())
def test_a_valid_model_is_copied(name, tmp_path):
    proto = valid_models()[name]
    onnx.checker.check_model(proto, full_check=True)
    path = save(proto, tmp_path / "m.onnx")
    report = rewriter.check(path)
    assert [f for f in report.findings if f.severity.value == "error"] == []
    assert report.clean
    rewriter.repair(path, tmp_path / "o.onnx", verify=False)
    assert (tmp_path / "o.onnx").read_bytes() == path.read_bytes()


def test_a_graph_inside_a_node_that_is_not_followed_is_reported(tmp_path):
    sequence = helper.make_tensor_sequence_value_info("s", FLOAT, None)
    body = helper.make_graph(
        [helper.make_node("Neg", ["e"], ["inner"])],
        "body",
        [helper.make_tensor_value_info("e", FLOAT, [3])],
        [helper.make_tensor_value_info("inner", FLOAT, [3])],
    )
    node = helper.make_node("SequenceMap", ["s"], ["y"], body=body)
    graph = helper.make_graph([node], "graph", [sequence], [onnx.ValueInfoProto(name="y")])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert infer(read(proto).graph).opaque["y"] == "it holds a graph of its own, which is not followed"


def test_weights_in_another_file(tmp_path, capsys):
    """The numbers are not needed, but the copy must be in the folder of its weights."""
    proto = silent_gate()
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=100)
    (tmp_path / "elsewhere").mkdir()
    x = random(["N", 5, 7, 3], 3, 1)
    assert (
        main(
            ["repair", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "elsewhere" / "o.onnx"), "--no-verify"]
        )
        == 2
    )
    assert "same directory" in capsys.readouterr().err
    rewriter.repair(tmp_path / "m.onnx", tmp_path / "o.onnx", verify=False)
    (expected,) = run(tmp_path / "o.onnx", {"x": x})
    fixed(save(proto, tmp_path / "whole.onnx"), tmp_path / "p.onnx")
    np.testing.assert_allclose(run(tmp_path / "p.onnx", {"x": x})[0], expected, rtol=1e-5, atol=1e-6)
    (tmp_path / "w.bin").unlink()
    assert [f.code for f in rewriter.check(tmp_path / "m.onnx").findings] == ["RW002"]


# -- files of other formats, or damaged -----------------------------
def damaged() -> dict[str, bytes]:
    whole = silent_gate().SerializeToString()
    unmade = silent_gate()
    unmade.graph.node[3].input[0] = "nowhere"
    twice = silent_gate()
    twice.graph.node[3].output[0] = "conv"
    cycle = silent_gate()
    cycle.graph.node[1].input[0] = "vector"
    old = silent_gate(7)
    old.opset_import[0].version = 6
    short = silent_gate()
    short.graph.initializer[1].raw_data = b"\x01"
    negative = silent_gate()
    negative.graph.initializer[0].dims[0] = -6
    none = silent_gate()
    del none.opset_import[:]
    index = silent_gate()
    index.graph.node[2].attribute[0].ints[0] = 9
    arity = silent_gate()
    del arity.graph.node[7].input[1]
    return {
        "empty": b"",
        "text": b"not a model",
        "zip": b"PK\x03\x04" + bytes(100),
        "cut": whole[: len(whole) // 2],
        "nothing": bytes(1000),
        "unmade": unmade.SerializeToString(),
        "twice": twice.SerializeToString(),
        "cycle": cycle.SerializeToString(),
        "old opset": old.SerializeToString(),
        "no opset": none.SerializeToString(),
        "short tensor": short.SerializeToString(),
        "negative size": negative.SerializeToString(),
    }


@pytest.mark.parametrize("name", damaged())
def test_a_file_that_cannot_be_used_gives_one_line(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("m.onnx")
    path.write_bytes(damaged()[name])
    for words in (["check"], ["shapes"], ["explain"], ["repair", "-o", str(tmp_path / "o.onnx")]):
        assert main([words[0], str(path), *words[1:]]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {path}: ")
        assert err.count("\n") == 1
        assert "internal" not in err
    assert not (tmp_path / "o.onnx").exists()


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_is_never_a_traceback(seed, tmp_path, capsys):
    rng = np.random.default_rng(seed)
    data = bytearray(silent_gate().SerializeToString())
    for _ in range(int(rng.integers(1, 6))):
        data[int(rng.integers(len(data)))] = int(rng.integers(256))
    path = tmp_path / "m.onnx"
    path.write_bytes(bytes(data))
    assert main(["check", str(path)]) in (0, 1, 2)
    assert "internal" not in capsys.readouterr().err


def shape_bombs() -> dict[str, tuple[list[Any], dict[str, np.ndarray]]]:
    """Small files whose shape arithmetic would become large."""
    squares = [helper.make_node("Mul", [f"v{i}", f"v{i}"], [f"v{i + 1}"]) for i in range(60)]
    sizes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Add", ["s", "v"], ["v0"]), *squares]
    outer = [helper.make_node("Add", ["a", "b"], [f"w{i}"]) for i in range(50)]
    rows = [helper.make_node("Gather", ["a", "i"], [f"w{i}"]) for i in range(50)]
    parts = [helper.make_node("Split", ["i"], [f"w{i}" for i in range(20_000)], axis=0)]
    tiles = [helper.make_node("Tile", ["a", "huge"], ["w0"])]
    fill = [helper.make_node("ConstantOfShape", ["huge"], ["w0"])]
    long, index = np.ones((1, 4096), np.int64), np.zeros(4096, np.int64)
    huge = np.full(2, 2**62)
    return {
        "squares": (squares, {"v0": np.array([10])}),
        "squares of sizes": (sizes, {"v": np.array([10])}),
        "every pair": (outer, {"a": long, "b": long.T.copy()}),
        "many rows": (rows, {"a": long, "i": index}),
        "many parts": (parts, {"i": index}),
        "many copies": (tiles, {"a": long, "huge": huge}),
        "a large fill": (fill, {"huge": huge}),
    }


@pytest.mark.parametrize("name", shape_bombs())
def test_shape_arithmetic_stays_small(name, tmp_path, capsys):
    nodes, constants = shape_bombs()[name]
    path = save(graph_model(nodes, {"x": ["N", 3]}, {}, constants), tmp_path / "m.onnx")
    start = time.process_time()
    assert main(["check", str(path)]) in (0, 1, 2)
    assert time.process_time() - start < 30
    assert "internal" not in capsys.readouterr().err


# -- the command line -----------------------------
def test_the_commands_take_onnx(tmp_path, capsys):
    path = save(silent_gate(), tmp_path / "m.onnx")
    assert main(["check", str(path), "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["format"] == "onnx"
    assert data["multiplies"] == 1
    assert data["findings"][0]["op"] == "Mul"
    assert main(["shapes", str(path)]) == 0
    assert "Conv" in capsys.readouterr().out
    assert main(["explain", str(path)]) == 0
    assert main(["repair", str(path), "--diff"]) == 0
    assert main(["check", str(path), "--plan", str(tmp_path / "plan.toml")]) == 1
    target = tmp_path / "o.onnx"
    plan = ["--plan", str(tmp_path / "plan.toml")]
    assert main(["repair", str(path), "-o", str(target), *plan, "--no-verify"]) == 0
    assert main(["check", str(target)]) == 0
    assert main(["repair", str(target), "-o", str(tmp_path / "again.onnx")]) == 0
    assert target.read_bytes() == (tmp_path / "again.onnx").read_bytes()


# -- the inputs of the proof -----------------------------
def test_every_name_is_fed_a_size_of_its_own():
    nodes = [
        helper.make_node("Mul", ["x", "y"], ["xy"]),
        helper.make_node("Add", ["xy", "z"], ["w"]),
    ]
    inputs: dict[str, Shape] = {
        "x": ["N", "h", None, 2],
        "y": ["N", "h", 1, None],
        "z": ["k", 3],
    }
    graph = read(graph_model(nodes, inputs, {"w": [None] * 4})).graph
    feeds = Feeds.of(graph, [(name, "tensor(float)", shape) for name, shape in inputs.items()])
    feeds.sizes = next(feeds.attempts())
    assert feeds.fixed is None
    for samples in ([0], [0, 1, 2]):
        given = {name: array.shape for name, array in feeds.batch(samples).items()}
        n, h, w, _ = given["x"]
        assert n == given["y"][0] == len(samples)
        assert h == given["y"][1]
        assert len({h, w, given["y"][3], given["z"][0]}) == 4
    whole = feeds.batch([4, 1])["x"]
    np.testing.assert_array_equal(whole[1:], feeds.batch([1])["x"])
    assert list(feeds.attempts())[-1] == dict.fromkeys(feeds.sizes, 64)


def test_a_batch_that_stands_elsewhere_is_fed_there():
    nodes = [helper.make_node("GRU", ["x", "w", "r"], ["y"], hidden_size=5)]
    constants = {"w": np.zeros((1, 15, 3), np.float32), "r": np.zeros((1, 15, 5), np.float32)}
    graph = read(graph_model(nodes, {"x": ["t", "N", 3]}, {"y": [None] * 4}, constants)).graph
    feeds = Feeds.of(graph, [("x", "tensor(float)", ["t", "N", 3])])
    feeds.sizes = next(feeds.attempts())
    assert feeds.batch([0, 1, 2])["x"].shape == (6, 3, 3)
    np.testing.assert_array_equal(feeds.batch([2])["x"], feeds.batch([0, 1, 2])["x"][:, 2:])


def test_without_a_batch_there_are_no_samples(tmp_path):
    """``[h, w, 8]`` times ``[w]``: one run, and no check of samples."""
    nodes = [
        helper.make_node("Mul", ["x", "y"], ["z"], "scale"),
        helper.make_node("Relu", ["z"], ["out"]),
    ]
    proto = graph_model(nodes, {"x": [7, 9, 8], "y": [9]}, {"out": [7, 9, 8]})
    path = save(proto, tmp_path / "m.onnx")
    at = {"scale": "h w c, w -> h w c"}
    checks = rewriter.repair(path, tmp_path / "o.onnx", at=at, verify=prove).verified["checks"]
    assert checks["equation"]["proven"]
    assert not checks["independence"]["proven"]
    assert "batch" in checks["independence"]["why"]
