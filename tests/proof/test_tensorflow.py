"""Repaired SavedModels that TensorFlow proves and disproves, and failures that the repair does not cause."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import rewriter
from rewriter.formats.saved_model.model import SavedModel
from rewriter.formats.saved_model.wire import content
from rewriter.proof import in_child
from rewriter.proof.tensorflow.checks import prove
from tests.formats.saved_model.made import gate_k2, gate_k3, plain, version_1
from tests.hostile.saved_models import shape

GATE = (lambda a, b: a * b, (None, 7, 7, 7), (None, 7))
RIGHT, WRONG = (-1, 1, 1, 7), (-1, 1, 7, 1)
CHOSEN = "b h w c, b c -> b h w c"


def proven(path: str, prover: Any = prove, **options: Any) -> dict[str, Any]:
    result = rewriter.repair(path, f"{path}-repaired", verify=prover, **options)
    assert result.output is not None, [f.why for f in result.undecided]
    return result.verified


def multiply(path: str) -> str:
    units = SavedModel(path).source.units.values()
    return next(f"{u.name}/{node.name}" for u in units for node in u.nodes.values() if node.op == "Mul")


@pytest.mark.parametrize("make", [gate_k3, gate_k2])
def test_a_gate_is_proven_in_every_function(make: Callable[[Path], str], tmp_path: Path):
    """Keras 2 also has one for training, which changes variables: every run starts from the original values."""
    verified = proven(make(tmp_path / "m"))
    assert verified["verdict"] == "proven"
    assert verified["ran"].startswith("TensorFlow ")
    checks = verified["checks"]
    assert len(checks["equation"]["nodes"]) == (1 if make is gate_k3 else 3)
    assert {1, 2, 3, 7, 11} <= set(checks["independence"]["batches"])
    assert checks["batch-one"]["proven"]
    assert verified["behaviour"]["changes"] is None  # the original does not run at batch 2


def test_a_graph_of_tensorflow_1_is_proven(tmp_path: Path):
    path = version_1(tmp_path / "m", lambda a, b: tf.nn.relu(a * b), (None, 9, 9, 5), (None, 5))
    verified = proven(path)
    assert verified["verdict"] == "proven", verified
    assert verified["checks"]["equation"]["nodes"] == ["graph/mul"]


@pytest.mark.parametrize(
    "equation", ["b m k, b k n -> b m n", "b m k, b n k -> b m n"], ids=["matmul", "matmul-transposed"]
)
def test_what_the_user_says_is_proven(equation: str, tmp_path: Path):
    path = plain(tmp_path / "m", lambda a, b: tf.nn.relu(a * b), (None, 6, 6), (None, 6, 6))
    verified = proven(path, at={multiply(path): equation})
    assert verified["verdict"] == "proven", verified
    assert verified["behaviour"]["changes"]


def spoiled(*changes: Sequence[bytes]) -> Any:
    """A prover of a repaired file with replaced bytes: the old ones, and the new ones."""

    def prover(request: Any) -> dict[str, Any]:
        message = Path(request.repaired, "saved_model.pb")
        data = message.read_bytes()
        for old, new in changes:
            assert old in data
            assert len(old) == len(new)
            data = data.replace(old, new)
        message.write_bytes(data)
        return prove(request)

    return prover


def disproof(path: str, prover: Any) -> str:
    with pytest.raises(rewriter.VerificationError) as caught:
        rewriter.repair(path, f"{path}-repaired", verify=prover, at={multiply(path): CHOSEN})
    assert caught.value.verified["verdict"] == "disproven"
    assert not Path(f"{path}-repaired").exists()
    assert not list(Path(path).parent.glob(".rewriter-*"))
    return str(caught.value)


def test_a_reshape_to_another_place_is_disproven(tmp_path: Path):
    numbers = [struct.pack("<4i", *sizes) for sizes in (RIGHT, WRONG)]
    recorded = [content(7, shape(*sizes)) for sizes in (RIGHT, WRONG)]
    assert "(equation)" in disproof(plain(tmp_path / "m", *GATE), spoiled(numbers, recorded))


def test_shapes_that_are_not_those_recorded_are_disproven(tmp_path: Path):
    """TensorFlow compares them when it loads."""
    path = plain(tmp_path / "m", *GATE)
    numbers = [struct.pack("<4i", *sizes) for sizes in (RIGHT, WRONG)]
    assert "must be equal" in disproof(path, spoiled(numbers))


def test_a_file_that_tensorflow_no_longer_loads_is_disproven(tmp_path: Path):
    path = plain(tmp_path / "m", *GATE)
    text = disproof(path, spoiled([b"\x12\x07Reshape", b"\x12\x07Reshapo"]))
    assert "loads the original, but not the repaired file" in text


def test_what_stands_in_a_branch_is_not_called_proven(tmp_path: Path):
    def function(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return tf.cond(tf.reduce_sum(a) > 0, lambda: a * b, lambda: a)

    verified = proven(plain(tmp_path / "m", function, (None, 11, 11, 7), (None, 7)))
    assert verified["verdict"] == "not-run"
    assert "was not run" in verified["reason"]


def test_inputs_of_which_nothing_is_known_are_named(tmp_path: Path):
    def function(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        number = tf.strings.to_number(a)
        return (tf.nn.relu(number)[:, None, None, :] + tf.zeros((7, 7, 7))) * number

    path = plain(tmp_path / "m", function, (None, 7), (None, 7), dtype=tf.string)
    verified = proven(path, at={multiply(path): CHOSEN})
    assert verified["verdict"] == "not-run"


def test_it_runs_in_a_process_of_its_own(tmp_path: Path):
    path = plain(tmp_path / "m", lambda a, b: a * b, (None, 11, 11, 7), (None, 7))
    assert proven(path, in_child)["verdict"] == "proven"
