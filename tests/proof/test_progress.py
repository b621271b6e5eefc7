"""The progress messages of a long run."""

import pytest

from rewriter import UnsupportedError, UsageError, convert, export_onnx, repair
from rewriter.progress import watched
from rewriter.proof.limits import seconds, within
from tests.cli.common import model, run


def test_the_stages_of_a_repair_are_told(tmp_path):
    """The stages include those of the proof process."""
    stages = []
    with watched(lambda *stage: stages.append(stage)):
        repair(model("batch_misaligned"), tmp_path / "o.keras", onnx=tmp_path / "o.onnx")
    names = [name for name, _, _ in stages]
    proof = [name for name in names if name.startswith("proving: ")]
    assert names[:3] == ["reading", "checking", "writing"]
    assert names[-2:] == ["exporting", "comparing with Keras"]
    assert proof[-1] == "proving: gradients"
    assert [(step, of) for _, step, of in stages if of] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_time_of_a_proof_is_an_option(tmp_path, capsys):
    done = run(capsys, "repair", model("batch_misaligned"), "-o", tmp_path / "o.keras", "--timeout", "0.01")
    assert done.status == 0
    assert (
        "Not proven: it took longer than 0.01 seconds." in done.out or "Not run: it took longer" in done.out
    )
    with within(7):
        assert seconds() == 7
    assert seconds() == 300
    for text in ("0", "nan", "-3", "soon"):
        assert run(capsys, "repair", "m.keras", "-o", "o.keras", "--timeout", text).status == 2


def test_a_repair_says_where_it_was_proven(tmp_path, capsys):
    done = run(capsys, "repair", model("batch_misaligned"), "-o", tmp_path / "o.keras")
    assert "Proven by a run in Keras " in done.out


def test_the_time_of_a_proof_is_an_argument(tmp_path):
    result = repair(model("batch_misaligned"), tmp_path / "o.keras", timeout=0.01)
    assert result.output is not None
    assert result.verified["skipped"] == "it took longer than 0.01 seconds"
    for number in (0, -3, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="must be a number of seconds above 0"):
            repair(model("batch_misaligned"), tmp_path / "p.keras", timeout=number)
    with pytest.raises(UnsupportedError, match="it took longer than"):
        export_onnx(tmp_path / "o.keras", tmp_path / "p.onnx", verify=True, timeout=0.01)
    with pytest.raises(UnsupportedError, match="it took longer than"):
        convert(tmp_path / "o.keras", f"{tmp_path}/p/", verify=True, timeout=0.01)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.keras"]
