"""Shape pairs from bug reports in the wild: the right result first where sizes and layout decide it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.common import DATA, run

CASES = [json.loads(line) for line in (DATA / "wild_cases.jsonl").read_text().splitlines()]
OPS = {
    "layers.Multiply": "Multiply",
    "tf.multiply/*": "multiply",
    "Merge(mode=mul)": "Multiply",
    "Lambda": "multiply",
    "PReLU": "multiply",
    "Concatenate": "Concatenate",
}
# By the reports, the two shapes do not decide these: the right result is among the candidates.
AMONG = {"w045"}

# The report joins four branches; this is the result for the two with stated shapes.
OUT_OF_PAIR = {"w090": [None, 80, 112, 24]}


def words(case: dict[str, Any], op: str) -> list[str]:
    def text(shape: list[int | None]) -> str:
        return ",".join("None" if size is None else str(size) for size in shape)

    layout = ["--layout", case["data_format"]] if case["data_format"].startswith("channels") else []
    return [text(case["lhs"]), text(case["rhs"]), "--op", op, *layout, "--format", "json"]


def results(case: dict[str, Any], op: str, capsys) -> tuple[dict[str, Any], list[Any]]:
    """The answer of suggest, and the shapes that it offers, the best first."""
    done = run(capsys, "suggest", *words(case, op))
    assert done.status == 0, done.err
    data = json.loads(done.out)
    chosen = [data["candidates"][data["chosen"]]["output"]] if data["chosen"] is not None else []
    first = chosen or ([data["output"]] if data["legal"] else [])
    return data, [*first, *(c["output"] for c in data["candidates"])]


def ops(case: dict[str, Any]) -> list[str]:
    return ["Dot", "matmul"] if case["op"] == "Dot/matmul" else [OPS[case["op"]]]


PAIRS = [(case, op) for case in CASES for op in ops(case)]


@pytest.mark.parametrize(("case", "op"), PAIRS, ids=[f"{c['id']}-{op}" for c, op in PAIRS])
def test_case(case, op, capsys):
    data, shapes = results(case, op, capsys)
    if case["repair_site"] != "node":
        assert data["chosen"] is None
        return
    wanted = OUT_OF_PAIR.get(case["id"], case["out_shape"])
    if case["id"] in AMONG:
        assert wanted in shapes
    else:
        assert shapes[:1] == [wanted], (shapes, data["why"])


def test_there_are_24():
    assert len(CASES) == 24
