"""The files of `tools/bench.py` match their descriptions, and an endless command is stopped."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rewriter
from tools import bench
from tools.generated import SCALES

# The number of findings in a file of so many blocks, nodes or operands.
EXPECTED = {
    "chain": (41, 1),
    "chain, all broken": (6, 6),
    "faults side by side": (6, 6),
    "chain of ties": (6, 6),
    "ties side by side": (6, 6),
    "one gate in many": (6, 6),
    "sum of many": (6, 0),
    "sum of many, one broken": (6, 1),
    "a layer called often": (6, 1),
    "nested 20 deep": (40, 20),
}


@pytest.mark.parametrize("name", SCALES)
def test_a_generated_file_has_the_faults_that_it_is_named_after(tmp_path, name):
    build, _ = SCALES[name]
    count, findings = EXPECTED[name]
    path = tmp_path / "scale.keras"
    build(count, path)
    errors = [f for f in rewriter.check(path, ops="all").findings if f.severity == "error"]
    assert len(errors) == findings
    decided = [f for f in errors if f.chosen is not None]
    assert decided == ([] if "ties" in name else errors)


def test_a_command_without_end_is_stopped():
    with pytest.raises(subprocess.TimeoutExpired):
        bench.measure([sys.executable, "-c", "while True: pass"], 1, patience=1)
