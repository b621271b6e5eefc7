"""Time first against batch first in an ONNX file: an error if an operator shows which axis is which.

The judge is ONNX Runtime: the repaired file computes the same as the valid one.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import helper

import rewriter
from tests.formats.onnx.test_read import Shape, graph_model, save

RANDOM = np.random.default_rng(7)
WEIGHTS = {
    "w": RANDOM.normal(size=(1, 20, 3)).astype(np.float32),
    "r": RANDOM.normal(size=(1, 20, 5)).astype(np.float32),
    "one": np.array([1]),
    "last": np.array([2]),
}


def recurrent(folder, mask: Shape, turned: bool, op: str = "Mul", shown: bool = True):
    """``lstm(x[seq, N, 3]) * mask``; without ``shown`` there is no LSTM, which shows time and batch."""
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r"], ["states"], hidden_size=5),
        helper.make_node("Squeeze", ["states", "one"], ["h"]),
    ]
    if turned:
        nodes.append(helper.make_node("Transpose", ["mask"], ["t"], perm=[1, 0]))
    nodes += [
        helper.make_node("Unsqueeze", ["t" if turned else "mask", "last"], ["m"]),
        helper.make_node(op, ["h" if shown else "x", "m"], ["z"], name="meet"),
    ]
    constants = dict(WEIGHTS)
    if not shown:
        nodes = nodes[2:]
        constants = {"last": WEIGHTS["last"]}
    proto = graph_model(nodes, {"x": ["seq", "N", 3], "mask": mask}, {"z": [None] * 3}, constants)
    return save(proto, folder / f"{turned}.onnx")


def run(path, length: int, batch: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    sizes = {"seq": length, "N": batch, "N2": batch}
    feeds = {
        i.name: np.random.default_rng(k).normal(size=[sizes.get(s, s) for s in i.shape]).astype("float32")
        for k, i in enumerate(session.get_inputs())
    }
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("op", ["Mul", "Add"])
def test_the_batch_meets_time(op, tmp_path):
    broken, right = (recurrent(tmp_path, ["N", "seq"], turned, op) for turned in (False, True))
    with pytest.raises(Exception, match="broadcast"):
        run(broken, 5, 3)
    (finding,) = rewriter.check(broken, ops="all").findings
    assert (finding.node, finding.code, finding.choice.rule) == ("meet", "RW002", "time-major")
    assert rewriter.check(right, ops="all").findings == []
    fixed = rewriter.repair(broken, tmp_path / "fixed.onnx", ops="all", verify=False).output
    for length, batch in ((5, 3), (4, 4), (1, 2)):
        np.testing.assert_allclose(run(fixed, length, batch), run(right, length, batch), rtol=1e-6)


def test_names_alone_show_nothing(tmp_path):
    path = recurrent(tmp_path, ["N", "seq"], turned=False, shown=False)
    assert [f.code for f in rewriter.check(path).findings] == ["RW007"]


def test_a_batch_of_another_name_may_be_that_size(tmp_path):
    """An exporter gives the sizes of each input new names."""
    path = recurrent(tmp_path, ["N2", "M2"], turned=False)
    assert {f.code for f in rewriter.check(path).findings} <= {"RW007"}


def test_time_first_on_both_sides_is_right(tmp_path):
    path = recurrent(tmp_path, ["seq", "N"], turned=False)
    assert run(path, 5, 3).shape == (5, 3, 5)
    assert rewriter.check(path, ops="all").findings == []
