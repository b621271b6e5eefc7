"""The text form, against protobuf's own reader and writer of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

import rewriter
from rewriter.errors import BadFileError, UnsupportedError
from rewriter.formats.saved_model.schema import enumerations, messages
from rewriter.formats.saved_model.text import encoded
from tests.formats.saved_model.made import arrays, gate_k2, one_by_one, plain, run


def parsed(text: str) -> saved_model_pb2.SavedModel:
    return saved_model_pb2.SavedModel.FromString(encoded(text))


def in_text(path: str, target: Path) -> str:
    """The same model with its message in text form."""
    shutil.copytree(path, target)
    binary = target / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
    (target / "saved_model.pbtxt").write_text(text_format.MessageToString(message), encoding="utf-8")
    binary.unlink()
    return str(target)


OPTIONS: list[tuple[str, dict[str, bool]]] = [
    ("attention-k3", {}),
    ("version-1", {}),
    ("version-1", {"as_one_line": True}),
    ("version-1", {"pointy_brackets": True}),
    ("version-1", {"use_short_repeated_primitives": True}),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_it_reads_what_protobuf_writes(name: str, options: dict[str, bool], valid: Callable[[str], str]):
    message = saved_model_pb2.SavedModel.FromString(Path(valid(name), "saved_model.pb").read_bytes())
    assert parsed(text_format.MessageToString(message, **options)) == message


_VALUE = "meta_graphs {{ graph_def {{ node {{ attr {{ key: 'v' value {{ {} }} }} }} }} }}"
WRITTEN = [
    r's: "\001\x41\n\t\\\"\u00e9" "and" ' + "'more'",
    's: "é"',
    "i: -9223372036854775808",
    "i: 0x1F",
    "i: 017",
    "f: -1.5e3f",
    "f: inf",
    "f: -nan",
    "f: .5",
    "b: true",
    "b: f",
    "type: DT_FLOAT",
    "type: 3",
    "list { i: [1, 2, -3] type: [DT_INT32, 1] } # a remark\n",
    "list < shape { dim { size: -1 }; dim { size: 3 } }, shape { unknown_rank: true } >",
    "tensor { dtype: DT_HALF half_val: 1 float_val: [1.0, 2] double_val: 3 }",
]


@pytest.mark.parametrize("written", WRITTEN)
def test_each_way_of_writing_a_value(written: str):
    text = _VALUE.format(written)
    wanted = text_format.Parse(text, saved_model_pb2.SavedModel())
    # Not a number is not equal to itself.
    assert text_format.MessageToString(parsed(text)) == text_format.MessageToString(wanted)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "meta_graphs {",
        "meta_graphs }",
        "meta_graphs { graph_def <}",
        "unknown: 1",
        "meta_graphs: 3",
        "saved_model_schema_version",
        "saved_model_schema_version: x",
        "saved_model_schema_version: 99999999999999999999999",
        _VALUE.format("i: 08"),
        _VALUE.format(r's: "\777"'),
        _VALUE.format(r's: "\ud800"'),
        _VALUE.format("s: 'cut"),
        _VALUE.format("list { i: [1 2] }"),
        _VALUE.format("f: 1.2.3"),
        "\x00",
    ],
)
def test_what_protobuf_refuses_is_refused(text: str):
    with pytest.raises(text_format.ParseError):
        text_format.Parse(text, saved_model_pb2.SavedModel())
    with pytest.raises(BadFileError, match="line 1"):
        encoded(text)


def test_depth_and_what_is_written_out():
    def nested(depth: int) -> str:
        inside = "experimental_type " + "{ args " * depth + "{}" + " }" * depth
        return f"meta_graphs {{ graph_def {{ node {{ {inside} }} }} }}"

    assert parsed(nested(90)).meta_graphs
    with pytest.raises(BadFileError, match="100 deep"):
        encoded(nested(100_000))
    with pytest.raises(UnsupportedError):
        encoded("meta_graphs { meta_info_def { any_info { [type.googleapis.com/x.Y] { } } } }")


def test_the_fields_are_those_of_tensorflow():
    """A newer TensorFlow may have more."""
    waiting, seen = [saved_model_pb2.SavedModel.DESCRIPTOR], set()
    while waiting:
        descriptor = waiting.pop()
        name = descriptor.full_name.removeprefix("tensorflow.").removeprefix("google.protobuf.")
        if name in seen:
            continue
        seen.add(name)
        found = {field.name: field for field in descriptor.fields}
        for field, (number, _) in messages()[name].items():
            assert found[field].number == number, (name, field)
        waiting += [field.message_type for field in descriptor.fields if field.message_type]
    assert enumerations()["DataType"]["DT_HALF"] == 19


@pytest.mark.parametrize(
    "make", [gate_k2, lambda path: plain(path, lambda a, b: a * b, (None, 28, 28, 7), (None, 7))]
)
def test_a_model_in_text_form_is_checked_and_repaired(make: Callable[[Path], str], tmp_path: Path):
    import tensorflow as tf

    original = make(tmp_path / "binary")
    path = in_text(original, tmp_path / "text")
    assert [f.kind for f in rewriter.check(path).findings] == [
        f.kind for f in rewriter.check(original).findings
    ]
    copied = rewriter.repair(path, tmp_path / "out", verify=False).output
    assert copied is not None
    assert not Path(copied, "saved_model.pbtxt").exists()
    given = arrays(tf.saved_model.load(original).signatures["serving_default"], 5)
    for found, wanted in zip(run(copied, given), one_by_one(path, given), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
