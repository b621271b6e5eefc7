"""Hostile configurations, each with the honest twin that has to be accepted."""

from __future__ import annotations

import itertools
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rewriter.cli import main
from tests.cli.hostile import layer, tensor
from tests.hostile.make import (
    SHAPE,
    argument,
    calls,
    chain,
    doubling,
    functional,
    literal,
    nested,
    one,
    op,
    products,
    ref,
    sequential,
    source,
)

ROOT = Path(__file__).resolve().parents[2]
DENSE = {"units": 3}


class Case(NamedTuple):
    """A file that is refused with these words, and one like it that is not."""

    name: str
    file: Any
    words: str
    twin: Any = None


def data(content: Any) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def two(second: str, output: Any, **more: Any) -> Any:
    """Layers a and ``second``, both on the input."""
    rows = [layer("a", "Dense", DENSE, tensor("x", SHAPE)), layer(second, "Dense", DENSE, tensor("x", SHAPE))]
    return functional([source(), *rows], output, **more)


def sliced(stop: Any) -> Any:
    cut = {"class_name": "__slice__", "config": {"start": None, "stop": stop, "step": None}}
    return functional([source(), op("g", "GetItem", tensor("x", SHAPE), cut)], [["g", 0, 0]])


def deep(levels: int) -> Any:
    value: Any = ref("x")
    for _ in range(levels):
        value = [value]
    return calls(argument(value), class_name="Identity")


def cycle(first: str) -> Any:
    rows = [layer("a", "Dense", DENSE, ref(first)), layer("b", "Dense", DENSE, ref("a"))]
    return functional([source(), *rows], [["b", 0, 0]])


def text(content: Any) -> str:
    return json.dumps(content)


LITERAL = {"class_name": "__numpy__", "config": {"value": 2.0, "dtype": "float32"}}

REFUSED = [
    Case("lists-200000-deep", b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deep", one()),
    Case("objects-100000-deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep", nested(60)),
    Case("models-110-deep", nested(110), "nested more than 100 deep", nested(60)),
    Case("models-5000-deep", nested(5000), "nested too deep", nested(60)),
    Case("arguments-deep", deep(400), "nested more than 64 deep", deep(50)),
    Case("digits", b'{"a":' + b"9" * 5000 + b"}", "too many digits", one("Dropout", {"rate": 0.5, "seed": 10**300})),
    Case("units-of-4000-digits", text(one()).replace("3}", "9" * 4000 + "}").encode(), "units", one()),
    Case("key-twice", b'{"class_name":"A","class_name":"B"}', "'class_name' twice", one()),
    Case("utf-16", text(one()).encode("utf-16"), "not UTF-8", b"\xef\xbb\xbf" + data(one())),
    Case("not-utf-8", b'{"a":"\xff"}', "not UTF-8", one("Dense", {"units": 3, "note": "\u00fc\u4e2d"})),
    Case("a-list", b"[]", "not an object", b" " * 1000 + data(one())),
    Case("layers-an-object", one() | {"config": one()["config"] | {"layers": {}}}, "not a list", one()),
    Case("config-null", one() | {"config": None}, "not an object", one()),
    Case("layer-config-null", functional([source(), layer("d", "Dense", DENSE) | {"config": None}], [["d", 0, 0]]),
         "not an object", one()),
    Case("no-class-name", functional([source(), {"name": "d", "config": {}}], [["d", 0, 0]]), "class_name", one()),
    Case("inbound-text", one(inbound_nodes="x"), "not a list", one()),
    Case("inbound-number", calls(3), "neither an object nor a list", calls([["x", 0, 0, {}]])),
    Case("legacy-reference", calls([["x", "0", 0]]), "index", calls([["x", 0, 0]])),
    Case("no-layer", two("b", [["q", 0, 0]]), "'q'", two("b", [["b", 0, 0]])),
    Case("no-call", two("b", [["b", 1, 0]]), "'b#1'", two("b", [["b", 0, 0]])),
    Case("no-output", two("b", [["b", 0, 7]]), "no output 7", two("b", [["b", 0, 0]])),
    Case("call-negative", two("b", [["b", -2, 0]]), "the call -2", two("b", [["b", -1, 0]])),
    Case("output-huge", calls(argument(ref("x", 0, 2**31 - 1))), "output 2147483647", calls(argument(ref("x")))),
    Case("index-huge", calls(argument(ref("x", 2**70))), "index", calls(argument(ref("x")))),
    Case("call-name", two("a#1", [["a", 1, 0]]), "'a#1'", two("b#1", [["b#1", 0, 0]])),
    Case("name-twice", two("a", [["a", 0, 0]]), "two layers", two("b", [["a", 0, 0]])),
    Case("name-empty", two("", [["a", 0, 0]]), "non-empty", two("n" * 10_000, [["a", 0, 0]])),
    Case("name-slash", two("a/b", [["a", 0, 0]]), "'/'", two("..", [["..", 0, 0]])),
    Case("cycle", cycle("b"), "cycle", cycle("x")),
    Case("slice", sliced(ref("x")), "slice", sliced(2)),
    Case("literal-ragged", literal([[1.0, 2.0], [3.0]]), "rectangular", literal([[1.0] * 3] * 4)),
    Case("literal-uneven", literal([[1.0], [[2.0]]]), "numbers", literal(2.0)),
    Case("literal-of-400-digits", literal(10**400), "64 bits", literal(2**64 - 1)),
    Case("literal-text", literal("x"), "text", literal(1)),
    Case("literal-text-as-objects", literal("x", "O"), "computes with text", literal(1.0)),
    Case("literal-mixed", literal([1.0, "x", 2.0]), "numbers", literal([1.0, 0, True])),
    Case("literal-dtype", literal(2.0, "banana"), "dtype", literal(2.0, "bfloat16")),
    Case("literal-dtype-a-number", literal(2.0, 7), "dtype", literal(2.0, "float64")),
    Case("literal-no-number", literal([float("nan")] * 3, "int32"), "no number", literal([float("nan")] * 3)),
    Case("no-tensor", functional([source(), op("m", "Multiply", 2, 3)], [["m", 0, 0]]), "no tensor",
         functional([source(), op("m", "Multiply", tensor("x", SHAPE), 3)], [["m", 0, 0]])),
    Case("no-tensor-but-a-literal", functional([source(), op("m", "Multiply", LITERAL, LITERAL)], [["m", 0, 0]]),
         "no tensor", functional([source(), op("m", "Multiply", LITERAL, tensor("x", SHAPE))], [["m", 0, 0]])),
    Case("no-arguments", calls(argument([])), "no tensor", calls(argument(ref("x")))),
    Case("no-input-layers", {"class_name": "Functional", "config": {"layers": []}}, "input_layers", one()),
    Case("never-built", sequential(layer("d", "Dense", DENSE)), "never built",
         sequential(layer("d", "Dense", DENSE), build_input_shape=[None, 4])),
    Case("second-input", sequential(source(), source("y")), "behind", sequential(source())),
    Case("no-batch-shape", functional([layer("x", "InputLayer", {})], [["x", 0, 0]]), "batch_shape",
         functional([source(shape=(None, None, 3), ragged=True, sparse=True)], [["x", 0, 0]])),
    *(Case(f"size-{size!r}", one(shape=(None, size)), "size", one(shape=(None, 2**31)))
      for size in (-1, "3", 1.5, True, 2**63, float("nan"))),
    *(Case(f"units-{units!r}", one(config={"units": units}), "units", one(config={"units": 2**31}))
      for units in (0, -1, "3", 1.5, True, None, 2**63, float("inf"))),
]  # fmt: skip

# What is not analysed is reported, and never clean: (name, the class, its config, changes of the entry).
BYTECODE = {"class_name": "__lambda__", "config": {"value": "4wEA"}}
FUNCTION = {"module": "builtins", "class_name": "function", "config": "my_fn", "registered_name": "function"}
FOREIGN = (
    "", None, 7, " keras.layers", "keras.layers.evil", "keras.src.layers.evil", "keras.evil", "keras_evil.layers",
    "keras.layers.", "keras.layers\n", "evil.keras.layers", "tensorflow", "tensorflow.layers", "keras.src.ops.evil",
)  # fmt: skip
OWN = (
    "keras", "keras.layers", "keras.src.layers.core.dense", "keras.layers.core.dense", "tf_keras.layers",
    "tf_keras.src.layers.core.dense", "keras.layers.experimental",
)  # fmt: skip
UNKNOWN: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("os", "system", {}, {"module": "os"}),
    ("another-package", "Dense", DENSE, {"module": "my.module"}),
    *((f"module-{module!r}", "Dense", DENSE, {"module": module}) for module in FOREIGN),
    ("registered", "Dense", DENSE, {"registered_name": "pkg>Dense"}),
    ("lambda", "Lambda", {"function": BYTECODE}, {}),
    ("lambda-activation", "Dense", {"units": 3, "activation": BYTECODE}, {}),
    ("custom-activation", "Dense", {"units": 3, "activation": FUNCTION}, {}),
    ("named-activation", "Activation", {"activation": "my_fn"}, {}),
    ("recurrent-activation", "LSTM", {"units": 3, "recurrent_activation": BYTECODE}, {}),
    ("torch", "TorchModuleWrapper", {"module": "gASV"}, {}),
    ("savedmodel", "TFSMLayer", {"filepath": "/etc/passwd"}, {}),
    ("product-of-another-module", "Multiply", {}, {"module": "keras.src.ops.math"}),
    ("dot-of-another-module", "Dot", {}, {"module": "keras.src.ops.core"}),
    ("axes-without-end", "Unstack", {"num": 10**9}, {"module": "keras.src.ops.core"}),
]


@pytest.mark.parametrize("command", ["check", "shapes", "explain", "repair"])
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refused(case: Case, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, target = tmp_path / "model.json", tmp_path / "out.json"
    output = ["-o", str(target)] if command == "repair" else []
    path.write_bytes(data(case.file))
    assert main([command, str(path), *output]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {path}"[:200])
    assert case.words in captured.err
    assert captured.err.count("\n") == 1
    assert len(captured.err) < 1000
    assert "internal" not in captured.err
    assert [p.name for p in tmp_path.iterdir()] == ["model.json"]
    path.write_bytes(data(case.twin))
    assert main([command, str(path), *output]) == 0
    assert not capsys.readouterr().err


@pytest.mark.parametrize(("name", "class_name", "config", "entry"), UNKNOWN, ids=[row[0] for row in UNKNOWN])
def test_not_analysed(name: str, class_name: str, config: Any, entry: Any, tmp_path: Path, capsys: Any):
    path = tmp_path / "model.json"
    path.write_bytes(data(one(class_name, config, **entry)))
    for ops in ("multiply", "all"):
        assert main(["check", str(path), "--ops", ops]) == 1
        assert "not-analysed" in capsys.readouterr().out


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
    """A call's keyword arguments are named as the file likes: they are no tensor themselves."""
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
    """What the contraction was repaired to has a batch, where its first result had no axis."""
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


# Each thread of NumPy's BLAS reserves address space: with as many as there are cores, 2 GB may be too little to start.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


def limited(*arguments: str | Path) -> int:
    """The command in a process with 2 GB and 60 s of the processor; it says at most one line on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "rewriter", *map(str, arguments)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **ONE_THREAD},
        preexec_fn=_limit,
    )
    assert done.stderr.count(b"\n") <= 1, done.stderr[-500:]
    assert b"internal" not in done.stderr
    return done.returncode
