"""A repair is written after its proof, whole or not at all; and the request of the proof."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import rewriter
from rewriter.proof import Request
from rewriter.proof.request import from_dict
from tests.cli.common import model

FAILED = {"check": "equation", "node": "scale", "batch": 3, "difference": 0.5, "text": "it is off by 0.5"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Path(shutil.copy(model("batch_misaligned"), tmp_path / "in.keras"))


def asked(path: Path, target: Path, **options: Any) -> Request:
    """The request that a repair makes."""
    kept: list[Request] = []

    def prover(request: Request) -> dict[str, Any]:
        assert Path(request.repaired).parent == target.parent
        assert Path(request.repaired).is_file()
        assert not target.exists()
        kept.append(request)
        return {"skipped": "a test"}

    assert rewriter.repair(path, target, verify=prover, **options).verified["skipped"] == "a test"
    assert target.exists()
    return kept[0]


def stop(error: type[BaseException]) -> Any:
    def prover(request: Request) -> dict[str, Any]:
        raise error

    return prover


# -- all or nothing -----------------------------
@pytest.mark.parametrize(
    ("prover", "error"),
    [
        (lambda request: {"failed": FAILED}, rewriter.VerificationError),
        (stop(KeyboardInterrupt), KeyboardInterrupt),
        (stop(MemoryError), MemoryError),
    ],
    ids=["failed", "interrupted", "memory"],
)
@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_nothing_behind(source: Path, prover: Any, error: Any, there: bool):
    target, before = source.parent / "out.keras", source.read_bytes()
    if there:
        target.write_bytes(b"what was there")
    with pytest.raises(error) as caught:
        rewriter.repair(source, target, verify=prover)
    assert {p.name for p in source.parent.iterdir()} == {"in.keras"} | ({"out.keras"} if there else set())
    assert not there or target.read_bytes() == b"what was there"
    assert source.read_bytes() == before
    if error is rewriter.VerificationError:
        assert "(equation): 'scale' at batch 3: it is off by 0.5" in str(caught.value)


def test_an_output_that_is_there_is_replaced(source: Path):
    target = source.parent / "out.keras"
    target.write_bytes(b"what was there")
    rewriter.repair(source, target, verify=False)
    assert rewriter.check(target).findings == []
    assert {p.name for p in source.parent.iterdir()} == {"in.keras", "out.keras"}


@pytest.mark.parametrize("link", [False, True])
def test_the_input_is_no_output(source: Path, link: bool):
    target, before = source, source.read_bytes()
    if link:
        target = source.parent / "link.keras"
        os.symlink(source, target)
    with pytest.raises(rewriter.RewriterError, match="input itself"):
        rewriter.repair(source, target, verify=False)
    assert source.read_bytes() == before
    assert not list(source.parent.glob(".rewriter-*"))


@pytest.mark.parametrize("target", ["none/out.keras", "taken.keras"])
def test_where_nothing_can_be_written(source: Path, target: str):
    (source.parent / "taken.keras").mkdir()
    with pytest.raises(rewriter.OutputError):
        rewriter.repair(source, source.parent / target, verify=False)
    assert sorted(p.name for p in source.parent.iterdir()) == ["in.keras", "taken.keras"]


def test_the_written_file_is_analysed_again(source: Path, monkeypatch):
    """A writer that loses the repair is caught without running anything."""
    monkeypatch.setattr("rewriter.formats.keras.configuration.model_entry", lambda entry, *_: entry)
    with pytest.raises(rewriter.VerificationError, match=r"\(static\): 'scale'"):
        rewriter.repair(source, source.parent / "out.keras", verify=False)
    assert [p.name for p in source.parent.iterdir()] == ["in.keras"]


# -- the request -----------------------------
def test_the_request(source: Path):
    request = asked(source, source.parent / "out.keras")
    assert (request.skipped, request.not_independent, request.no_oracle) == ("", "", "")
    assert request.output_batches == [0]
    assert request.batches[:3] == [1, 2, 3]
    assert {10, 12, 16} <= set(request.batches)
    (claim,) = request.claims
    assert (claim.node, claim.op, claim.meets, claim.gives) == ("scale", "Multiply", ["scale"], ["scale"])
    assert claim.chains == [[], [["scale_channel_gate_reshape"]]]
    assert (claim.operand_batches, claim.result_batch) == ([0, 0], 0)
    assert from_dict(request.as_dict()) == request


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("batch_misaligned", True),  # the gate meets the channels at batch 1
        ("nested", True),
        ("layout", False),  # the layouts are mixed at every size
        ("axis_misaligned", False),  # channels first: at batch 1 the gate meets the width
        ("incompatible", False),
    ],
)
def test_where_the_original_at_batch_1_is_an_oracle(name: str, same: bool, tmp_path: Path):
    assert (asked(model(name), tmp_path / "out.keras").no_oracle == "") == same


def test_a_repeated_batch_mixes_samples(tmp_path: Path):
    request = asked(model("article_batch_tile"), tmp_path / "out.keras")
    assert "batches of different size" in request.not_independent
