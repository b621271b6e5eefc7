"""Subgraphs of nodes: If, Loop and Scan are analysed inside, and nothing is repaired there."""

from __future__ import annotations

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
from rewriter.errors import BadFileError
from rewriter.formats.onnx.reader import read
from rewriter.shapes import onnx as rules  # noqa: F401 - importing it fills the table
from rewriter.shapes.infer import Inference, infer

Shape = list[int | str | None]
FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def info(name: str, shape: Shape | None = None, dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def body(
    nodes: list[Any], inputs: list[Any], outputs: list[str], constants: dict[str, Any] | None = None
) -> Any:
    arrays = [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    return helper.make_graph(
        nodes, "body", inputs, [info(o, dtype=BOOL if o == "on" else FLOAT) for o in outputs], arrays
    )


def model(
    nodes: list[Any], inputs: list[Any], outputs: list[str], constants: dict[str, Any] | None = None
) -> onnx.ModelProto:
    graph = body(nodes, inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def inferred(proto: onnx.ModelProto) -> Inference:
    return infer(read(proto).graph)


def texts(proto: onnx.ModelProto) -> list[str]:
    found = inferred(proto)
    assert not any(inner.faults for _, inner in found.walk())
    return [value.text() for value in found.outputs()]


def loop(nodes: list[Any], state: dict[str, Any], outputs: list[str], count: int = 1) -> Any:
    """A Loop of three iterations: ``state`` has its initial values, ``outputs`` the results of an iteration."""
    inputs = [info("i", [], INT), info("go", [], BOOL), *(info(name) for name in state)]
    held = body([*nodes, helper.make_node("Identity", ["go"], ["on"])], inputs, ["on", *outputs])
    results = [f"r{k}" for k in range(count)]
    return helper.make_node("Loop", ["three", "", *state.values()], results, "loop", body=held)


THREE = {"three": np.array(3, np.int64)}


def test_a_loop_whose_state_keeps_its_form():
    node = loop([helper.make_node("Mul", ["s", "x"], ["t"])], {"s": "x"}, ["t", "s"], count=2)
    assert texts(model([node], [info("x", ["N", 4])], ["r0", "r1"], THREE)) == ["[N, 4]", "[3, N, 4]"]


def test_a_loop_whose_state_grows():
    node = loop([helper.make_node("Concat", ["s", "x"], ["t"], axis=0)], {"s": "x"}, ["t"])
    assert texts(model([node], [info("x", [2, 4])], ["r0"], THREE)) == ["[?, 4]"]


def test_a_loop_whose_state_changes_its_rank():
    node = loop([helper.make_node("Unsqueeze", ["s", "zero"], ["t"])], {"s": "x"}, ["t"])
    proto = model([node], [info("x", [2, 4])], ["r0"], {**THREE, "zero": np.array([0])})
    assert texts(proto) == ["[rank unknown]"]


def test_a_counter_is_no_constant():
    """A loop variable differs from its initial value, though that value is in the file."""
    nodes = [
        helper.make_node("Add", ["s", "one"], ["t"]),
        helper.make_node("Expand", ["x", "t"], ["wide"]),
    ]
    node = loop(nodes, {"s": "start"}, ["t", "wide"], count=2)
    constants = {**THREE, "start": np.array([2], np.int64), "one": np.array([1], np.int64)}
    assert texts(model([node], [info("x", [1])], ["r1"], constants)) == ["[3, ?]"]


def test_a_scan_takes_one_element_at_a_time():
    held = body(
        [helper.make_node("Add", ["s", "e"], ["t"]), helper.make_node("Identity", ["t"], ["o"])],
        [info("s"), info("e")],
        ["t", "o"],
    )
    node = helper.make_node(
        "Scan", ["x0", "x"], ["r0", "r1"], "scan", body=held, num_scan_inputs=1, scan_input_axes=[1]
    )
    proto = model([node], [info("x0", ["N", 4]), info("x", ["N", "T", 4])], ["r0", "r1"])
    assert texts(proto) == ["[batch=N, 4]", "[T, batch=N, 4]"]


def branches(then: list[Any], other: list[Any], condition: str = "c") -> Any:
    return helper.make_node(
        "If", [condition], ["y"], "if", then_branch=body(then, [], ["t"]), else_branch=body(other, [], ["e"])
    )


def test_what_branches_have_in_common():
    flat = [helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0])]
    same = [helper.make_node("Relu", ["x"], ["e"])]
    rank = [helper.make_node("Unsqueeze", ["x", "zero"], ["e"])]
    x, c = info("x", [3, "n"]), info("c", [], BOOL)
    zero = {"zero": np.array([0])}
    assert texts(model([branches(flat, same)], [x, c], ["y"])) == ["[?, ?]"]
    assert texts(model([branches([helper.make_node("Neg", ["x"], ["t"])], same)], [x, c], ["y"])) == [
        "[3, n]"
    ]
    assert texts(model([branches(flat, rank)], [x, c], ["y"], zero)) == ["[rank unknown]"]
    known = {"c": np.array(True), **zero}
    assert texts(model([branches(flat, rank)], [x], ["y"], known)) == ["[n, 3]"]


def test_an_operator_in_a_body_shows_the_batch():
    pool = [helper.make_node("GlobalAveragePool", ["x"], ["t"])]
    proto = model(
        [branches(pool, [helper.make_node("Relu", ["x"], ["e"])])],
        [info("x", ["N", 4, 9]), info("c", [], BOOL)],
        ["y"],
    )
    assert next(iter(inferred(proto).values.values()))[0].text() == "[batch=N, channel=4, time=9]"


def broken_loop() -> onnx.ModelProto:
    """A Mul of ``[N, 8, 5, 6]`` and ``[N, 8]`` in a Loop, whose batch a pool shows."""
    nodes = [
        helper.make_node("MaxPool", ["s"], ["p"], "pool", kernel_shape=[1, 1]),
        helper.make_node("Mul", ["p", "g"], ["t"], "body_node"),
    ]
    return model(
        [loop(nodes, {"s": "x"}, ["t"])], [info("x", ["N", 8, 5, 6]), info("g", ["N", 8])], ["r0"], THREE
    )


def saved(proto: onnx.ModelProto, path: Path) -> str:
    path.write_bytes(proto.SerializeToString())
    return str(path)


def test_a_fault_in_a_body_is_found_and_not_repaired(tmp_path, capsys):
    path = saved(broken_loop(), tmp_path / "m.onnx")
    (finding,) = rewriter.check(path).findings
    assert (finding.node, finding.severity.value, finding.chosen) == ("loop/body_node", "error", None)
    assert "nothing is inserted" in finding.why
    for options in ([], ["--mode", "best"]):
        assert main(["repair", path, "-o", str(tmp_path / "o.onnx"), "--no-verify", *options]) == 1
    capsys.readouterr()
    at = "loop/body_node=b c h w, b c -> b c h w"
    assert main(["repair", path, "-o", str(tmp_path / "o.onnx"), "--at", at]) == 2
    assert "nothing is inserted" in capsys.readouterr().err
    assert not (tmp_path / "o.onnx").exists()


def test_a_repair_outside_leaves_a_body_as_it_is(tmp_path):
    gate = helper.make_node("Mul", ["x", "g"], ["scaled"], "scale")
    node = loop([helper.make_node("Add", ["s", "scaled"], ["t"], "sum")], {"s": "x"}, ["t"])
    proto = model([gate, node], [info("x", ["N", 8, 5, 6]), info("g", ["N", 8])], ["r0"], THREE)
    result = rewriter.repair(saved(proto, tmp_path / "m.onnx"), tmp_path / "o.onnx", verify=False)
    assert result.output, [f.why for f in result.undecided]
    new = onnx.load(tmp_path / "o.onnx")
    x, g = np.random.rand(2, 8, 5, 6).astype("f"), np.random.rand(2, 8).astype("f")
    session = onnxruntime.InferenceSession(new.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x, "g": g})
    np.testing.assert_allclose(found, x + 3 * x * g[:, :, None, None], rtol=1e-5)
    assert [n.op_type for n in new.graph.node] == ["Reshape", "Mul", "Loop"]
    assert new.graph.node[2].SerializeToString() == proto.graph.node[1].SerializeToString()


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Scan", ["x"], ["y"], "n", num_scan_inputs=3, body=body([], [info("e")], ["e"])),
        helper.make_node(
            "Scan", ["x", "x"], ["y"], "n", num_scan_inputs=1, body=body([], [info("e")], ["e"])
        ),
        helper.make_node("Loop", ["", "", "x"], ["y"], "n", body=body([], [info("i")], ["i"])),
        helper.make_node(
            "Scan", ["x"], ["y"], "n", num_scan_inputs=1, body=body([], [info("e")], ["nowhere"])
        ),
    ],
)
def test_a_body_that_does_not_go_with_its_node(node):
    with pytest.raises(BadFileError):
        inferred(model([node], [info("x", [3, 4])], ["y"]))


def test_loops_in_loops_are_run_a_few_times_only(tmp_path, capsys):
    """The state grows in every iteration, so each loop is analysed again: but not 3 times per outer iteration."""
    inner = [helper.make_node("Concat", ["s", "s"], ["t"], axis=0)]
    for _ in range(20):
        inner = [loop(inner, {"s": "s"}, ["t"])]
        inner[0].output[0] = "t"
    proto = model([helper.make_node("Relu", ["x"], ["s"]), *inner], [info("x", [3, 2])], ["t"], THREE)
    start = time.monotonic()
    assert main(["check", saved(proto, tmp_path / "m.onnx")]) in (0, 1)
    assert time.monotonic() - start < 20
    assert "internal" not in capsys.readouterr().err
