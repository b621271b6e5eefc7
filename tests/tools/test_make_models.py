"""The shipped sample models: current, with their findings, and repaired to the intended numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rewriter
from rewriter import cli
from tests import support
from tools.make_models import ROOT, SAMPLES, Sample, stale, table

MODELS = ROOT / "models"
REPAIRED = [s for s in SAMPLES if s.kinds and s.ops is not None]
UNDECIDED = [s for s in SAMPLES if s.ops is None]
VALID = [s for s in SAMPLES if not s.kinds]


def path_of(sample: Sample) -> Path:
    """The shipped file."""
    return MODELS / f"{sample.name}.keras"


def taps(model, inputs, *names: str) -> list[np.ndarray]:
    """The outputs of the named layers of a model."""
    import keras

    layers = [model.get_layer(name) for name in names]
    return support.run(keras.Model(model.input, [layer.output for layer in layers]), inputs)


def einsum(equation: str, *names: str):
    """An oracle: an einsum over the outputs of the named layers."""
    return lambda model, inputs: np.einsum(equation, *taps(model, inputs, *names))


def _grown(model, inputs):
    (score,) = taps(model, inputs, "score")
    return np.einsum("bu,b->bu", score, inputs[1])


def _tiled(*names: str):
    def oracle(model, inputs):
        large, small = taps(model, inputs, *names)
        return large * np.concatenate([small, small])

    return oracle


def _joined(model, inputs):
    image, code = taps(model, inputs, "features", "other")
    flat = np.concatenate([image, image]).reshape(len(code), -1)
    return np.concatenate([flat, code], axis=1)


def _nested(model, inputs):
    (features,) = taps(model, inputs, "features")
    block = model.get_layer("block")
    (gate,) = taps(block, features, "excite")
    return np.einsum("bhwc,bc->bhwc", features, gate)


def _chained(model, inputs):
    features, gate, spatial = taps(model, inputs, "features", "excite", "map")
    return np.einsum("bhwc,bc,bhw->bhwc", features, gate, spatial)


def _constant_first(model, inputs):
    (features,) = taps(model, inputs, "features")
    return np.einsum("bchw,c->bchw", features, np.linspace(0.5, 2.0, 64, dtype="float32"))


def _after(oracle, layer: str):
    """The oracle's product after the next layer."""
    return lambda model, inputs: np.asarray(model.get_layer(layer)(oracle(model, inputs)))


ORACLES = {
    "incompatible": einsum("bhwc,bhw->bhwc", "features", "map"),
    "batch_misaligned": einsum("bhwc,bc->bhwc", "features", "excite"),
    "axis_misaligned": _after(einsum("bchw,bc->bchw", "features", "excite"), "after"),
    "layout": _after(einsum("bhwc,bchw->bhwc", "features", "other"), "after"),
    "batch_size": _tiled("features", "recall"),
    "grown": _grown,
    "nested": _nested,
    "chained": _chained,
    "article_channel_scale_first": einsum("bchw,bc->bchw", "features", "excite"),
    "article_constant_first": _constant_first,
    "article_batch_tile": _tiled("features", "other"),
    "article_batch_join": _after(_joined, "after"),
}


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line tool."""
    words = [sys.executable, "-m", "rewriter", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=ROOT)


def status(*arguments: str | Path) -> int:
    """The exit status of the command line tool."""
    return cli.main([*map(str, arguments)])


def serious(findings) -> dict[str, str]:
    """The kind of each finding above info, by node."""
    return {f.node: f.kind for f in findings if f.severity in ("error", "warning")}


def test_every_repaired_sample_has_an_oracle():
    assert set(ORACLES) == {s.name for s in REPAIRED}


def test_the_committed_files_are_current():
    assert stale(MODELS) == []


def test_the_files_are_small():
    assert {p.name: p.stat().st_size for p in MODELS.glob("*.keras") if p.stat().st_size > 100_000} == {}


def test_the_table_has_a_row_for_every_file():
    rows = [line for line in table().splitlines() if line.startswith("| `")]
    assert len(rows) == len(SAMPLES) == len(list(MODELS.glob("*.keras")))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_check_names_the_nodes_and_the_kinds(sample):
    expected = dict(zip(sample.nodes, sample.kinds, strict=True)) if sample.kinds else {}
    assert serious(rewriter.check(path_of(sample), ops=sample.look).findings) == expected


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_the_exit_statuses(sample, tmp_path):
    look = ("--ops", sample.look)
    assert status("check", path_of(sample), *look) == sample.check_status
    target = tmp_path / "fixed.keras"
    assert status("repair", path_of(sample), "-o", target, "--no-verify", *look) == sample.repair_status
    assert target.exists() == (sample.repair_status == 0)


def test_the_exit_status_of_a_process():
    sample = UNDECIDED[0]
    assert command("check", path_of(sample), "--ops", sample.look).returncode == sample.check_status


@pytest.mark.parametrize("sample", REPAIRED, ids=lambda s: s.name)
def test_a_repaired_sample_computes_what_was_meant(sample, tmp_path):
    target = tmp_path / "fixed.keras"
    result = rewriter.repair(path_of(sample), target, ops=sample.look)
    assert len(result.inserted) == len(sample.ops)
    for inserted, allowed in zip(result.inserted, sample.ops, strict=True):
        assert inserted.op in allowed
    model = support.load(target)
    for batch in (3, 8, 12):
        inputs = support.random_inputs(model, batch, seed=batch)
        support.compare(support.run(model, inputs), [ORACLES[sample.name](model, inputs)])


@pytest.mark.parametrize("sample", UNDECIDED, ids=lambda s: s.name)
def test_an_undecided_sample_is_refused_with_a_reason(sample, tmp_path):
    result = rewriter.repair(path_of(sample), tmp_path / "fixed.keras", ops=sample.look)
    assert result.output is None
    assert list(tmp_path.iterdir()) == []
    (finding,) = result.findings
    assert finding.chosen is None
    assert finding.why


@pytest.mark.parametrize("sample", VALID, ids=lambda s: s.name)
def test_a_valid_sample_is_copied(sample, tmp_path):
    target = tmp_path / "copy.keras"
    rewriter.repair(path_of(sample), target, ops=sample.look)
    assert target.read_bytes() == path_of(sample).read_bytes()


def test_the_flattened_pair_offers_what_can_be_meant():
    shown = command("check", "--format", "json", MODELS / "article_flatten_multiply.keras").stdout
    (finding,) = json.loads(shown)["findings"]
    offered = [(c["rule"], c["output"]) for c in finding["candidates"]]
    assert ("grouped-dot", [32, 392]) in offered
    assert ("outer", [32, 50176, 128]) in offered


def test_the_article_s_batches_are_tiled_and_cut_when_told(tmp_path):
    target = tmp_path / "fixed.keras"
    result = rewriter.repair(MODELS / "article_batch_cover.keras", target, ops="all", mode="best")
    assert [i.op for i in result.inserted] == ["Tile", "Slice"]
    model = support.load(target)
    inputs = support.random_inputs(model, 64)
    left, right = taps(model, inputs, "features", "other")
    joined = np.concatenate([np.concatenate([left, left[:16]]), right], axis=1)
    support.compare(support.run(model, inputs), [np.asarray(model.get_layer("after")(joined))])
