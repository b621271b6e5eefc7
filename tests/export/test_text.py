"""TextVectorization with operators of onnxruntime-extensions, text by text against Keras."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

from rewriter import cli
from rewriter.api import check, export_onnx
from rewriter.errors import UnsupportedError, VerificationError
from rewriter.export.onnx.lowering.layers import text as lowering
from rewriter.formats.onnx.names import CONTRIB
from tests.export import harness
from tests.shapes.layer_cases import CASES

TEXTS = [
    "",
    "Hello World",
    "ÄÖÜ äöü ß İ \u0131 Σς ÀÉ",
    "emoji 😀😀 👩\u200d👩\u200d👧 Ok",
    "中文 测试,中文",
    "  lead  and   trail  ",
    "tab\tnew\nline\r\n\x0b\x0cX \x1cY\x1f\x85z",
    "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'",
    "...",
    "don't STOP-it $& \\1",
    "\u00a0no\u00a0break\u2003em\u3000wide\u0085next",
    "a" * 300 + " " + "B" * 70,
    "ǅ Ⅷ \uff21 \u017f \u212a",
    "\x1e\x1f \x1e\x1e\x1f\x1f \x1f\x1e",
    "a b a the a",
]
WORDS = [
    "hello",
    "world",
    "a",
    "b",
    "äöü",
    "ÄÖÜ",
    "and",
    "the",
    "dont",
    "don't",
    "😀",
    "中文",
    "Ok",
    "ok",
    "x",
    "z",
    "l",
]
WORDS += ["\x1e", "\x1f", "\u212a", "k", "stopit", "STOPit", "tab", "new"]
WORDS += ["hello world", "a b", "b a the", "Hello World", "l l", " ", "a the a"]
# Texts without a word, alone and together; of one word; of several.
FEEDS = [TEXTS, ["", ""], ["a"], [" \t", "..."], ["a b", "", "x the b a the"]]
STANDARDISED = [None, "lower", "strip_punctuation", "lower_and_strip_punctuation"]
ENCODED: list[dict[str, Any]] = [
    {},
    {"output_sequence_length": 4},
    {"output_mode": "count"},
    {"output_mode": "multi_hot", "pad_to_max_tokens": True, "max_tokens": 50},
    {"output_mode": "tf_idf", "idf_weights": [0.1 + n / 8 for n in range(len(WORDS))]},
]


def vectorised(shape: tuple[int, ...], **options: Any) -> Any:
    x = keras.Input(shape, dtype="string", name="text")
    return keras.Model(x, layers.TextVectorization(**{"vocabulary": WORDS, **options})(x))


def texts(rows: list[str], *shape: int) -> Any:
    return np.resize(np.asarray(rows, object), shape or (len(rows),))


@pytest.mark.parametrize("ngrams", [None, 2, (2,), (3, 1)], ids=str)
@pytest.mark.parametrize("split", ["whitespace", "character"])
@pytest.mark.parametrize("standardize", STANDARDISED)
def test_split_texts(standardize: str | None, split: str, ngrams: Any) -> None:
    for number, more in enumerate(ENCODED):
        shape: tuple[int, ...] = ((), (1,))[number % 2]
        model = vectorised(shape, standardize=standardize, split=split, ngrams=ngrams, **more)
        feeds = [[texts(rows, len(rows), *shape)] for rows in FEEDS]
        result = harness.compare(model, feeds, extensions=True, opset=(20, 26)[number % 2])
        assert "StringECMARegexReplace" in result.nodes


@pytest.mark.parametrize("ngrams", [None, 2, (4, 1)], ids=str)
@pytest.mark.parametrize("standardize", STANDARDISED)
def test_texts_that_are_one_word(standardize: str | None, ngrams: Any) -> None:
    for more in ENCODED:
        model = vectorised((4,), standardize=standardize, split=None, ngrams=ngrams, **more)
        harness.compare(model, [[texts(rows, 4, 4)] for rows in FEEDS], extensions=True)


@pytest.mark.parametrize("split", [None, "whitespace", "character"])
def test_every_character(split: str | None) -> None:
    """Each alone and between letters. Only a text with NUL is cut."""
    marks = [chr(n) for n in (*range(1, 0x250), *range(0x250, 0xD800, 53), *range(0xE000, 0x110000, 1009))]
    rows = [text for c in marks for text in (c, f"A{c}Z")]
    known = [*map(str, range(10)), "a", "z", "az", "A", "É", "é", "\u017f", "\u212a", "\uff0c", "\uffff"]
    for standardize in STANDARDISED:
        model = vectorised((1,), standardize=standardize, split=split, vocabulary=known)
        harness.compare(model, [[texts(rows, len(rows), 1)]], extensions=True)


def test_the_rows_of_the_table() -> None:
    found = harness.tally(CASES["TextVectorization"](layers), harness.check_layer, extensions=True)
    assert not found["wrong"], found["wrong"]
    assert len(found["right"]) > len(found["refused"]), found
    assert all("ragged" in reason for reason in found["refused"]), found["refused"]


def test_a_saved_vocabulary_of_an_adapted_layer() -> None:
    x = keras.Input((), dtype="string", name="text")
    layer = layers.TextVectorization(ngrams=2, max_tokens=30, output_sequence_length=6)
    layer.adapt(np.asarray(TEXTS))
    harness.compare(keras.Model(x, layer(x)), [[texts(TEXTS)]], extensions=True)


# -- what plain ONNX can do -----------------------------
@pytest.mark.parametrize("options", [{"standardize": "lower"}, {"ngrams": 2}, {"ngrams": (3, 1)}], ids=str)
def test_without_extensions(options: dict[str, Any]) -> None:
    model = vectorised((4,), **{"standardize": None, "split": None, **options})
    result = harness.compare(model, [[texts(rows, 4, 4)] for rows in FEEDS])
    assert "StringECMARegexReplace" not in result.nodes


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({}, "standardize='lower_and_strip_punctuation'"),
        ({"standardize": "strip_punctuation", "split": None}, "standardize='strip_punctuation'"),
        ({"standardize": None}, "split='whitespace'"),
        ({"standardize": "lower", "split": "character"}, "split='character'"),
    ],
)
def test_what_needs_extensions_says_so(options: dict[str, Any], changed: str) -> None:
    with pytest.raises(harness.Refused) as caught:
        harness.compare(vectorised((1,), **options), [])
    assert f"ONNX has no operator that does {changed} as TensorFlow does; --extensions exports it" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("shape", "options", "more", "reason"),
    [
        ((), {"ragged": True}, {}, "its result is ragged"),
        ((), {"ngrams": 51}, {}, "n-grams of more than 50 words"),
        ((), {"ngrams": (51,)}, {}, "n-grams of more than 50 words"),
        ((), {}, {"opset": 19}, "split and ngrams need opset 20"),
        ((2,), {"split": None, "ngrams": (3, 1)}, {}, "n-grams need at least 3 words along axis 1"),
        ((), {"split": None, "ngrams": 1}, {}, "n-grams need at least 1 words along axis 1"),
    ],
)
def test_what_has_no_onnx_form(shape: Any, options: Any, more: Any, reason: str) -> None:
    with pytest.raises(harness.Refused, match=reason):
        harness.compare(vectorised(shape, **options), [], extensions=True, **more)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Hashing(5),
        lambda: layers.Hashing(5, salt=3),
        lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=2),
    ],
)
def test_hashes_are_refused_with_extensions_too(layer: Any) -> None:
    """``StringToHashBucketFast`` of onnxruntime-extensions 0.15 has another hash than TensorFlow."""
    x = keras.Input((3,), dtype="string", name="text")
    with pytest.raises(harness.Refused, match="hashes as TensorFlow does"):
        harness.compare(keras.Model(x, layer()(x)), [], extensions=True)


# -- the file -----------------------------
@pytest.fixture(scope="module")
def classifier(tmp_path_factory: Any) -> Any:
    path = tmp_path_factory.mktemp("text") / "classifier.keras"
    keras.utils.set_random_seed(3)
    x = keras.Input((), dtype="string", name="text")
    tokens = layers.TextVectorization(vocabulary=WORDS, output_sequence_length=9)(x)
    keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Embedding(40, 4)(tokens)))).save(path)
    return path


def test_a_file_says_what_it_needs(classifier: Any, tmp_path: Any) -> None:
    made = export_onnx(classifier, tmp_path / "out.onnx", extensions=True, annotate=True)
    model = onnx.load(made.path)
    assert {each.key: each.value for each in model.metadata_props}["needs"] == "onnxruntime-extensions"
    assert (CONTRIB, 1) in [(each.domain, each.version) for each in model.opset_import]
    with pytest.raises(Exception, match="StringECMARegexReplace"):
        onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])


def test_only_what_has_such_operators_needs_the_package(tmp_path: Any) -> None:
    model = vectorised((4,), standardize="lower", split=None)
    _, path = harness.exported(model, tmp_path, extensions=True)
    assert "needs" not in {each.key for each in onnx.load(path).metadata_props}
    assert CONTRIB not in [each.domain for each in onnx.load(path).opset_import]


def test_the_command_compares_with_keras(classifier: Any, tmp_path: Any, capsys: Any) -> None:
    target = str(tmp_path / "out.onnx")
    words = ["export", str(classifier), target, "--extensions", "--verify", "--format", "json"]
    assert cli.main(words) == 0
    assert json.loads(capsys.readouterr().out)["verified"]["batches"] == [2, 3]


def test_the_comparison_finds_a_wrong_pattern(classifier: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(lowering, "_PUNCTUATION", "[X]")
    with pytest.raises(VerificationError, match="not what Keras computes"):
        export_onnx(classifier, tmp_path / "out.onnx", extensions=True, verify=True)


def test_without_the_package_it_is_not_compared(classifier: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("rewriter.proof.runtimes.installed", lambda name: name != "onnxruntime_extensions")
    missing = r"onnxruntime_extensions not installed: pip install 'rewriter\[text\]'"
    with pytest.raises(UnsupportedError, match=missing):
        export_onnx(classifier, tmp_path / "out.onnx", extensions=True, verify=True)
    made = export_onnx(classifier, tmp_path / "out.onnx", extensions=True, verify=None)
    assert "not installed" in made.verified["skipped"]


def test_looked_up_words_are_compared_with_keras(tmp_path: Any) -> None:
    x = keras.Input((3,), dtype="string", name="text")
    known = layers.StringLookup(vocabulary=["a", "b"], num_oov_indices=0)(x)
    back = layers.StringLookup(vocabulary=["a", "b"], invert=True)(
        layers.StringLookup(vocabulary=["b", "a"])(x)
    )
    keras.Model(x, [known, back]).save(tmp_path / "words.keras")
    made = export_onnx(tmp_path / "words.keras", tmp_path / "out.onnx", verify=True)
    assert made.verified["difference"] == 0


def test_the_file_can_be_checked(tmp_path: Any) -> None:
    model = vectorised((), ngrams=2, output_sequence_length=9)
    made, _ = harness.exported(model, tmp_path, extensions=True)
    assert not check(made.path).findings
    written = onnx.load(made.path)
    assert (
        next(node for node in written.graph.node if node.domain == CONTRIB).op_type
        == "StringECMARegexReplace"
    )
    for node in written.graph.node:
        if node.domain == CONTRIB:
            node.op_type = "StringLower"
            del node.input[1:]
    onnx.save(written, made.path)
    report = check(made.path)
    assert [finding.code for finding in report.findings] == ["RW008"] * 2
    assert all(CONTRIB in finding.message for finding in report.findings)


@pytest.mark.parametrize("first", ["tensorflow", "onnxruntime_extensions"])
def test_the_order_of_imports_does_not_matter(first: str, classifier: Any, tmp_path: Any) -> None:
    """Operators with RE2 find nothing where TensorFlow was imported before."""
    made = export_onnx(classifier, tmp_path / "out.onnx", extensions=True)
    program = f"""
import {first}, numpy, onnxruntime, onnxruntime_extensions
options = onnxruntime.SessionOptions()
options.register_custom_ops_library(onnxruntime_extensions.get_library_path())
session = onnxruntime.InferenceSession({made.path!r}, options)
texts = numpy.array({TEXTS!r}, object)
print(session.run(None, {{"text": texts}})[0].tolist())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    wanted = keras.saving.load_model(classifier)(keras.ops.convert_to_tensor(TEXTS)).numpy()
    np.testing.assert_allclose(json.loads(done.stdout), wanted, atol=1e-5)
