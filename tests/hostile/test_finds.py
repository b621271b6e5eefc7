"""Faults that ``tools/fuzz.py`` and the sweeps found: internal errors, wrong answers or endless waits."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from rewriter.cli import main
from rewriter.errors import RewriterError
from rewriter.files.regular import read_regular
from rewriter.formats.keras.config import read_model
from rewriter.formats.onnx.reader import read
from rewriter.shapes.infer import infer
from tests.cli.common import ROOT
from tests.cli.hostile import layer, tensor
from tests.hostile.make import SHAPE, functional, op, ref, source
from tests.hostile.onnx_files import model, saved
from tests.hostile.sweeps import of_attributes, of_input_ranks, of_ranks, operators
from tools.fuzz import FORMATS


def json_file(folder: Path, content: Any) -> str:
    path = folder / "model.json"
    path.write_text(json.dumps(content))
    return str(path)


def test_a_limit_is_no_buffer(tmp_path: Path):
    """Reading a file allocated a buffer of the size of the limit."""
    path = tmp_path / "small"
    path.write_bytes(b"abc")
    assert read_regular(path, 1 << 60) == b"abc"


def test_a_contraction_of_one_operand(tmp_path: Path, capsys: Any):
    """``Dot`` in a module that has none: one operand was unpacked as two."""
    rows = [source(), op("d", "Dot", tensor("x", SHAPE)) | {"module": "keras.src.ops.core"}]
    for words in (["check"], ["explain"]):
        path = json_file(tmp_path, functional(rows, [["d", 0, 0]]))
        assert main([words[0], path, "--ops", "all"]) in (0, 1)
        assert not capsys.readouterr().err


@pytest.mark.parametrize(("dtype", "status"), [("float32", 2), ("string", 0)])
def test_text_is_looked_up_in_text(dtype: str, status: int, tmp_path: Path, capsys: Any):
    rows = [
        source(dtype=dtype),
        layer("d", "StringLookup", {"vocabulary": ["a", "b"], "dtype": "string"}, ref("x")),
    ]
    path = json_file(tmp_path, functional(rows, [["d", 0, 0]]))
    assert main(["export", path, str(tmp_path / "out.onnx")]) == status
    assert "internal" not in capsys.readouterr().err


@pytest.mark.parametrize(("rank", "status"), [(1, 1), (2, 1), (4, 0)])
def test_what_attention_keeps_has_four_axes(rank: int, status: int, tmp_path: Path, capsys: Any):
    past = [2, 3, 5, 4][:rank]
    zeros = np.zeros(past, np.float32)
    nodes = [helper.make_node("Attention", ["x", "x", "x", "", "past", "past"], ["y", "k", "v"], "a")]
    path = tmp_path / "model.onnx"
    path.write_bytes(saved(model(nodes, {"past": zeros}, (2, 3, 7, 4), 23)))
    assert main(["check", str(path)]) == status
    assert "internal" not in capsys.readouterr().err


@pytest.mark.parametrize(("rank", "status"), [(0, 1), (1, 0), (2, 1)])
def test_the_window_of_a_transform_has_one_axis(rank: int, status: int, tmp_path: Path, capsys: Any):
    window = np.ones((4,) * rank, np.float32)
    nodes = [helper.make_node("STFT", ["x", "step", "window"], ["y"], "s")]
    path = tmp_path / "model.onnx"
    path.write_bytes(saved(model(nodes, {"step": np.int64(2), "window": window}, (2, 8, 1), 17)))
    assert main(["check", str(path)]) == status
    assert "internal" not in capsys.readouterr().err


@pytest.mark.parametrize("place", [[], [[]]])
def test_an_image_in_a_list(place: list[Any], tmp_path: Path, capsys: Any):
    """The axes were those of the tensor in the list, but the export stacked the list."""
    image = tensor("x", [None, 8, 8, 3])
    given = [[image]] if place else [image]
    rows = [
        source(shape=(None, 8, 8, 3)),
        op("r", "Resize", given, size=[4, 4]) | {"module": "keras.src.ops.image"},
    ]
    path = json_file(tmp_path, functional(rows, [["r", 0, 0]]))
    assert main(["check", path]) == 1
    assert main(["export", path, str(tmp_path / "out.onnx")]) == 2
    error = capsys.readouterr().err
    assert "one tensor, not a list" in error
    assert "internal" not in error


def test_a_sum_of_thousands(tmp_path: Path, capsys: Any):
    """Each operand searched all operands."""
    names = [f"x{k}" for k in range(4000)]
    rows = [*map(source, names), layer("a", "Add", {}, *[tensor(n, SHAPE) for n in names])]
    path = json_file(tmp_path, functional(rows, [["a", 0, 0]], tuple(names)))
    began = time.process_time()
    assert main(["check", path, "--ops", "all"]) == 0
    assert time.process_time() - began < 20


def sweep(every: int) -> None:
    """Change models of operators. An error of ours names every place: a run of all operators is long."""
    found = []
    for name, proto in operators(every):
        for change in (of_ranks, of_attributes):
            for what, made in change(proto):
                try:
                    read(made)
                except RewriterError:
                    continue
                except Exception as error:
                    found.append(f"{name}, {what}: {error!r}")
    assert not found, "\n".join(found[:50])


def test_operators_on_other_ranks_and_attributes():
    sweep(300)


@pytest.mark.slow
def test_all_operators_on_other_ranks_and_attributes():
    sweep(1)


def test_shipped_models_on_other_ranks():
    import zipfile

    for path in sorted((ROOT / "models").glob("*.keras")):
        config = json.loads(zipfile.ZipFile(path).read("config.json"))
        for what, made in of_input_ranks(config):
            try:
                infer(read_model(made))
            except RewriterError:
                continue
            except Exception as error:
                raise AssertionError(f"{path.name}, {what}") from error


def test_a_short_run_of_the_fuzzer():
    words = [sys.executable, "tools/fuzz.py", "--count", "1", "--seed", "9"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("0 reported") == len(FORMATS)


@pytest.mark.parametrize("mask", [["a", None], "ab", 3, [], [None], {"a": 1}])
def test_a_mask_that_is_no_tensor(mask: Any, tmp_path: Path, capsys: Any):
    node = layer("d", "Attention", {}, tensor("x", SHAPE), tensor("x", SHAPE))
    node["inbound_nodes"][0]["kwargs"] = {"mask": mask}
    path = json_file(tmp_path, functional([source(), node], [["d", 0, 0]]))
    assert main(["export", path, str(tmp_path / "out.onnx")]) == 2
    assert "internal" not in capsys.readouterr().err
    node["inbound_nodes"][0]["kwargs"] = {"mask": [None, None]}
    path = json_file(tmp_path, functional([source(), node], [["d", 0, 0]]))
    assert main(["export", path, str(tmp_path / "out.onnx")]) == 0


def test_a_constant_of_a_negative_size(tmp_path: Path, capsys: Any):
    """NumPy allocated the tensor before its sizes were checked."""
    zero = helper.make_tensor("value", 7, [1], [0])
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["z"], value=zero),
        helper.make_node("Add", ["x", "z"], ["y"]),
    ]
    path = tmp_path / "m.onnx"
    path.write_bytes(saved(model(nodes, {"size": np.array([-1], "int64")}, dtype=7)))
    assert main(["check", str(path)]) in (0, 1)
    assert "internal" not in capsys.readouterr().err


def test_an_axis_repeated_without_end(tmp_path: Path, capsys: Any):
    """Each entry of the longer axis was written as an index: 16 GB of them for a file of 200 bytes."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        "graph",
        [helper.make_tensor_value_info(n, 1, (3, size, 5)) for n, size in (("a", 4), ("b", 1 << 25))],
        [helper.make_tensor_value_info("y", 1, None)],
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    )
    tracemalloc.start()
    try:
        assert main(["check", str(path), "--mode", "best", "--ops", "all"]) in (1, 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 << 20
    assert "internal" not in capsys.readouterr().err
