"""Hostile configurations, each with an honest twin that must be accepted."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tests.cli.hostile import layer, tensor
from tests.hostile.make import (
    SHAPE,
    argument,
    calls,
    functional,
    literal,
    nested,
    one,
    op,
    ref,
    sequential,
    source,
)

DENSE = {"units": 3}


class Case(NamedTuple):
    """A file that is refused with these words, and a similar one that is accepted."""

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
    Case("output-huge", calls(argument(ref("x", 0, 2**31 - 1))), "output index 2147483647", calls(argument(ref("x")))),
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
    Case("literal-no-number", literal([float("nan")] * 3, "int32"), "not a number", literal([float("nan")] * 3)),
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

# Models that are not analysed are reported, and never clean: (name, the class, its config, changes of the entry).
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
