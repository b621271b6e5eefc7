"""Repairs that ONNX Runtime proves and disproves, and failures that the repair does not cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rewriter
from rewriter.proof.onnx_runtime.checks import prove

Shape = list[int | str]


def gate(last: bool, *more: Any, extra: dict[str, Any] | None = None) -> onnx.ModelProto:
    """A squeeze-and-excitation gate that lacks its Reshape: channels last it meets the batch, channels first nothing.

    Args:
        more: nodes after the product ``y`` that make ``z``.
        extra: their constants.
    """
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["conv"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "flat"], ["vector"]),
        helper.make_node("MatMul", ["vector", "dense"], ["excite"], "excite"),
        helper.make_node("Transpose", ["conv"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Mul", ["last" if last else "conv", "excite"], ["y"], "scale"),
        *more,
    ]
    constants = {
        "kernel": rng.normal(size=(7, 3, 3, 3)).astype(np.float32),
        "flat": np.array([-1, 7], np.int64),
        "dense": rng.normal(size=(7, 7)).astype(np.float32),
        **(extra or {}),
    }
    result = "z" if more else "y"
    graph = helper.make_graph(
        nodes,
        "gate",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 5, 11])],
        [helper.make_empty_tensor_value_info(result)]
        if more
        else [info(["N", 5, 11, 7] if last else ["N", 7, 5, 11])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def info(shape: Shape, name: str = "y") -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def proven(proto: onnx.ModelProto, folder: Path, prover: Any = prove, **options: Any) -> dict[str, Any]:
    onnx.save(proto, folder / "in.onnx")
    result = rewriter.repair(folder / "in.onnx", folder / "out.onnx", verify=prover, **options)
    assert result.output is not None, [f.why for f in result.undecided]
    assert (folder / "out.onnx").exists()
    return result.verified


def disproof(proto: onnx.ModelProto, folder: Path, prover: Any) -> str:
    onnx.save(proto, folder / "in.onnx")
    with pytest.raises(rewriter.VerificationError) as caught:
        rewriter.repair(folder / "in.onnx", folder / "out.onnx", verify=prover)
    assert caught.value.verified["verdict"] == "disproven"
    assert [p.name for p in folder.iterdir()] == ["in.onnx"]
    return str(caught.value)


def spoiled(change: Callable[[Any], None]) -> Any:
    """A prover of a repaired file that is changed before."""

    def prover(request: Any) -> dict[str, Any]:
        proto = onnx.load(request.repaired)
        change(proto.graph)
        onnx.save(proto, request.repaired)
        return prove(request)

    return prover


def unknown_operator(graph: Any) -> None:
    graph.node.append(helper.make_node("Nope", ["y"], ["nope"], domain="mine"))


def sum_that_does_not_fit(graph: Any) -> None:
    """The result of a repair in the wrong layout: later nodes no longer fit."""
    graph.initializer.append(numpy_helper.from_array(np.ones((13,), np.float32), "thirteen"))
    graph.node.append(helper.make_node("Add", ["y", "thirteen"], ["sum"], "sum"))


def reshape_that_fails(graph: Any) -> None:
    graph.initializer.append(numpy_helper.from_array(np.array([-1, 13], np.int64), "thirteen"))
    graph.node.append(helper.make_node("Reshape", ["y", "thirteen"], ["rows"], "rows"))
    graph.output.append(info(["M", 13], "rows"))


# -- proven -----------------------------
@pytest.mark.parametrize("last", [True, False])
def test_a_gate_is_proven(last: bool, tmp_path: Path):
    verified = proven(gate(last), tmp_path)
    assert verified["verdict"] == "proven"
    assert {1, 2, 3, 5, 7, 11} <= set(verified["checks"]["independence"]["batches"])
    why = "does not run at batch 2" if last else "ONNX Runtime does not load the original: "
    assert verified["behaviour"]["changes"] is None
    assert why in verified["behaviour"]["why"]


def test_samples_that_are_mixed_elsewhere_are_no_failure(tmp_path: Path):
    """The original also subtracts the mean over the batch."""
    mean = helper.make_node("ReduceMean", ["y"], ["m"], axes=[0], keepdims=1)
    verified = proven(gate(True, mean, helper.make_node("Sub", ["y", "m"], ["z"])), tmp_path)
    assert verified["verdict"] == "proven"
    assert verified["checks"]["independence"]["why"] == "it mixes samples elsewhere than in the changed nodes"


def test_what_changes_is_said(tmp_path: Path):
    """Two layouts of one size: it always runs, and computes something else."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "k"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["x", "conv"], ["y"], "scale"),
    ]
    kernel = np.random.default_rng(0).normal(size=(7, 7, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "layouts",
        [info(["N", 7, 7, 7], "x")],
        [info(["N", 7, 7, 7])],
        [numpy_helper.from_array(kernel, "k")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found = proven(proto, tmp_path, at={"scale": "b h w c, b c h w -> b h w c"})["behaviour"]
    assert (found["changes"], found["batches"][:3]) == (True, [1, 2, 3])
    assert found["difference"] > 1e-3


# -- disproven -----------------------------
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            unknown_operator,
            r"(load): the model: ONNX Runtime loads the original, but not the repaired file: ",
        ),
        (
            sum_that_does_not_fit,
            r"(load): the model: ONNX Runtime loads the original, but not the repaired file: ",
        ),
        (reshape_that_fails, r"(run): the model: the original runs on the same input, but it does not: "),
    ],
)
def test_the_runtime_takes_the_original_alone(change: Any, words: str, tmp_path: Path):
    assert words in disproof(gate(True), tmp_path, spoiled(change))


def test_the_runtime_refuses_the_repaired_file_for_another_reason(tmp_path: Path):
    """The original lacks the Reshape; the repaired file does not fit at a later node."""
    text = disproof(gate(False), tmp_path, spoiled(sum_that_does_not_fit))
    assert "(load): the model: ONNX Runtime does not load it: " in text
    assert "Incompatible dimensions" in text
    assert "(run): the model at batch 1: it does not run: " in disproof(
        gate(False), tmp_path, spoiled(reshape_that_fails)
    )


# -- not run -----------------------------
@pytest.mark.parametrize("last", [True, False])
def test_a_model_that_the_runtime_does_not_know_is_not_run(last: bool, tmp_path: Path):
    verified = proven(gate(last, helper.make_node("Nope", ["y"], ["z"], "nope", domain="mine")), tmp_path)
    assert verified["verdict"] == "not-run"
    assert "ONNX Runtime does not load the original either: " in verified["skipped"]


def test_a_model_that_runs_at_one_batch_in_any_case_is_run_there(tmp_path: Path):
    """A Reshape holds the batch of 1 that the model was exported with."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["conv"]),
        helper.make_node("Mul", ["conv", "row"], ["scaled"], "scale"),
        helper.make_node("Reshape", ["scaled", "one"], ["y"], "rows"),
    ]
    constants = {
        "k": np.ones((7, 3, 1, 1), np.float32),
        "row": np.arange(11, dtype=np.float32),
        "one": np.array([1, 7 * 5 * 11], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "fixed",
        [info(["N", 3, 5, 11], "x")],
        [info([1, 7 * 5 * 11])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    verified = proven(proto, tmp_path, explicit=True)
    assert verified["verdict"] == "proven"
    assert verified["checks"]["equation"]["batches"] == [1]
    assert "neither it nor the original runs at batch 2" in verified["checks"]["independence"]["why"]
    assert "does not run at batch 2" in verified["behaviour"]["why"]
