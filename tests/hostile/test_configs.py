"""Hostile configurations are refused and their honest twins accepted; an unknown result is never clean."""

from __future__ import annotations

import itertools
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rewriter.cli import main
from tests.cli.hostile import layer, tensor
from tests.hostile.configs import FUNCTION, OWN, data
from tests.hostile.make import (
    SHAPE,
    argument,
    calls,
    chain,
    doubling,
    functional,
    one,
    op,
    products,
    ref,
    source,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", [*OWN, "left out"])
def test_a_layer_of_keras_is_analysed(module: str, tmp_path: Path, capsys: Any):
    content = one(module=module)
    if module == "left out":
        del content["config"]["layers"][1]["module"]
    path = tmp_path / "model.json"
    path.write_bytes(data(content))
    assert main(["check", str(path)]) == 0


@pytest.mark.parametrize(
    "activation",
    ["relu", None, {"class_name": "LeakyReLU", "config": {}}, FUNCTION | {"config": "gelu"}],
)
def test_an_activation_of_keras_is_analysed(activation: Any, tmp_path: Path, capsys: Any):
    path = tmp_path / "model.json"
    path.write_bytes(data(one(config={"units": 3, "activation": activation})))
    assert main(["check", str(path)]) == 0


def test_hostile_names_reach_no_output(tmp_path: Path, capsys: Any):
    names = ["x", "n" * 10_000, "\ue000\x1b[31m\x07", "\u202egnp.exe", ".."]
    pairs = itertools.pairwise(names)
    rows = [layer(new, "Lambda", {}, tensor(old, SHAPE)) for old, new in pairs]
    path = tmp_path / "model.json"
    path.write_bytes(data(functional([source(), *rows], [["..", 0, 0]])))
    runs = ("check", "check --format json", "check --format sarif", "check --format github", "shapes",
            "shapes --format json", "explain")  # fmt: skip
    for arguments in map(str.split, runs):
        main([arguments[0], str(path), *arguments[1:]])
        written = "".join(capsys.readouterr())
        assert not {"\x1b", "\x07", "\ue000", "\u202e"} & set(written), arguments
        assert "n" * 201 not in written, arguments


def test_keyword_arguments_that_look_like_a_literal(tmp_path: Path, capsys: Any):
    """The file chooses the names of keyword arguments: names like those of a literal do not make one."""
    named = {"class_name": "__numpy__", "config": {"value": 2.0, "dtype": "float32"}}
    merged = op("m", "Multiply", tensor("x", [None, 10, 12, 16]), tensor("g", [None, 16]))
    merged["inbound_nodes"][0]["kwargs"] = named
    path, target = tmp_path / "model.json", tmp_path / "out.json"
    rows = [
        source("x", (None, 10, 12, 16)),
        source("g", (None, 16)),
        merged | {"module": "keras.src.ops.numpy"},
    ]
    path.write_bytes(data(functional(rows, [["m", 0, 0]], ("x", "g"))))
    assert main(["repair", str(path), "-o", str(target), "--mode", "best", "--no-verify"]) == 0
    written = json.loads(target.read_text())["config"]["layers"]
    assert next(entry for entry in written if entry["name"] == "m")["inbound_nodes"][0]["kwargs"] == named


def test_a_repair_above_another_gives_an_operand_other_axes(tmp_path: Path, capsys: Any):
    """The repaired contraction has a batch axis; its first result has no axis."""
    a = tensor("x", [None, 3])
    rows = [
        source("x", (None, 3)),
        op("c", "Tensordot", a, a),
        op("m", "Multiply", a, {**ref("c"), "config": {**ref("c")["config"], "shape": [7]}}),
    ]
    path, target = tmp_path / "model.json", tmp_path / "out.json"
    path.write_bytes(data(functional(rows, [["m", 0, 0]])))
    for command in ("check", "explain", f"repair -o {target} --no-verify"):
        name, *rest = command.split()
        assert main([name, str(path), *rest, "--ops", "all", *(["--mode", "best"] * (name == "repair"))]) in (
            0,
            1,
        )
        assert not capsys.readouterr().err


def test_outputs_of_an_opaque_layer_that_only_the_model_uses(tmp_path: Path, capsys: Any):
    path = tmp_path / "model.json"
    rows = [source(), layer("o", "Lambda", {}, tensor("x", SHAPE))]
    path.write_bytes(data(functional(rows, [["o", 0, 0], ["o", 0, 1]])))
    assert main(["shapes", "--format", "json", str(path)]) == 0
    assert len(json.loads(capsys.readouterr().out)["nodes"][1]["outputs"]) == 2


LARGE: list[tuple[str, Any, int]] = [
    ("key-twice-among-100000", b"{" + b",".join(b'"k%d":1' % k for k in range(100_000)) + b',"z":1,"z":1}', 2),
    ("8-million-lists", b'{"a":[' + b"[]," * 8_000_001 + b"1]}", 2),
    ("30-levels-called-twice", doubling(30, padded=False), 0),
    ("16-levels-of-other-sizes", doubling(16, padded=True), 1),
    ("10000-calls", calls(*[argument(tensor("x", SHAPE))] * 10_000), 0),
    ("10000-layers", chain(10_000), 0),
    ("2000-lambdas", chain(2_000, "Lambda", function="x"), 1),
    ("150-products", products(150), 1),
    ("ranks-without-end", functional(
        [source(), *(op(f"d{k}", "Tensordot", ref(f"d{k - 1}" if k else "x"), ref(f"d{k - 1}" if k else "x"), axes=0)
                     for k in range(40))], [["d39", 0, 0]]), 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "status"), LARGE, ids=[row[0] for row in LARGE])
def test_large(name: str, content: Any, status: int, tmp_path: Path):
    path, target = tmp_path / "model.json", tmp_path / "out.json"
    path.write_bytes(data(content))
    assert limited("check", path) == status
    assert limited("repair", path, "-o", target, "--no-verify") in (0, 1, 2)


# Each thread of NumPy's BLAS reserves address space: with one thread per core, 2 GB may be too little to start.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


def limited(*arguments: str | Path) -> int:
    """Run the command in a process with 2 GB and 60 s of processor time; it prints at most one line on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "rewriter", *map(str, arguments)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **ONE_THREAD},
        preexec_fn=_limit,
    )
    assert done.stderr.count(b"\n") <= 1, done.stderr[-500:]
    assert b"internal" not in done.stderr
    return done.returncode
