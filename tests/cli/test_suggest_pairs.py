"""Shape pairs from bug reports, each with the result that its author wants: first, or among the candidates."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.cli.common import run

Shape = list[int | None]


@dataclass(frozen=True)
class Pair:
    """Two shapes, their operation, the wanted result, and whether the shapes alone rank it first."""

    lhs: str
    rhs: str
    op: str
    wanted: str
    layout: str = ""
    first: bool = True


PAIRS = [
    # Channel attention, FiLM and biases of images.
    Pair("None,56,56,64", "None,64", "multiply", "None,56,56,64", "channels_last"),
    Pair("None,64,56,56", "None,64", "multiply", "None,64,56,56", "channels_first"),
    Pair("None,128", "None,16,16,128", "multiply", "None,16,16,128"),
    Pair("None,14,14,512", "None,512", "add", "None,14,14,512"),
    Pair("None,32,32,64", "None,64,1,1", "multiply", "None,32,32,64"),
    Pair("None,32,32,32", "None,32", "multiply", "None,32,32,32", "channels_last"),
    # Maps and masks over positions.
    Pair("None,28,28,256", "None,28,28", "multiply", "None,28,28,256"),
    Pair("None,28,28,256", "None,784", "Multiply", "None,28,28,256"),
    Pair("None,28,28,256", "None,1,28,28", "multiply", "None,28,28,256"),
    Pair("None,13,13,2", "13,13", "add", "None,13,13,2"),
    Pair("None,13,13,5,2", "13,13,2", "add", "None,13,13,5,2"),
    # Attention weights, gates and masks over time.
    Pair("None,50,128", "None,50", "multiply", "None,50,128"),
    Pair("None,50", "None,50,128", "Multiply", "None,50,128"),
    Pair("None,None,64", "None,None", "multiply", "None,None,64"),
    Pair("None,12,50,50", "None,50", "add", "None,12,50,50"),
    Pair("None,12,50,50", "None,50,50", "add", "None,12,50,50"),
    Pair("None,20,64", "20,None,64", "multiply", "None,20,64"),
    Pair("None,30,16", "30", "multiply", "None,30,16"),
    # One-hot masks and sample weights.
    Pair("None,10,16", "None,10", "Multiply", "None,10,16"),
    Pair("None,10", "None", "multiply", "None,10"),
    Pair("None,64,64,3", "None", "multiply", "None,64,64,3", "channels_last"),
    Pair("None,64,64,3", "None,1", "multiply", "None,64,64,3", "channels_last"),
    Pair("32,10", "32", "multiply", "32,10"),
    Pair("32,10,7", "32,1", "multiply", "32,10,7"),
    # A unit axis on one side.
    Pair("None,10", "None,10,1", "multiply", "None,10"),
    Pair("None,10,1", "None,10", "multiply", "None,10,1"),
    Pair("None,1,10", "None,10", "multiply", "None,1,10"),
    Pair("None,1", "None", "multiply", "None,1"),
    Pair("1,32,1", "32", "multiply", "1,32,1", first=False),
    Pair("None,1,20", "None,7", "multiply", "None,7,20", first=False),
    # Constants, and shapes without a batch.
    Pair("None,1000", "1000", "Multiply", "None,1000"),
    Pair("None,7,7,20", "20", "Multiply", "None,7,7,20"),
    Pair("None,300", "10,300", "multiply", "None,10,300"),
    Pair("None,300", "10,300", "Multiply", "None,10,300"),
    Pair("None,24,24,16", "16,1,1", "multiply", "None,24,24,16", "channels_last"),
    Pair("None,49,49,4", "4,49,49", "add", "None,49,49,4"),
    Pair("2,5", "5", "Multiply", "2,5"),
    Pair("3", "3,2", "multiply", "3,2"),
    Pair("64,32,32", "64", "multiply", "64,32,32"),
    Pair("None", "16", "multiply", "None,16"),
    # Outer products, bilinear pooling.
    Pair("None,512", "None,256", "Multiply", "None,512,256"),
    Pair("None,6,4", "None,6,5", "multiply", "None,6,4,5", first=False),
    Pair("None,196,512", "None,196,256", "matmul", "None,512,256"),
    # The other layout.
    Pair("None,32,32,64", "None,64,32,32", "Add", "None,32,32,64"),
    Pair("None,3,224,224", "None,224,224,3", "multiply", "None,3,224,224"),
    Pair("None,17,17,768", "None,768,17,17", "Concatenate", "None,17,17,1536"),
    # Matrix products.
    Pair("None,10,64", "None,20,64", "matmul", "None,10,20"),
    Pair("None,10,64", "None,20,64", "Dot", "None,10,20"),
    Pair("None,8,10,64", "None,8,10,64", "matmul", "None,8,10,10"),
    Pair("None,8,10,10", "None,10,64", "matmul", "None,8,10,64"),
    Pair("None,64", "None,64,10", "matmul", "None,10"),
    Pair("None,5,64", "None,5,64,10", "matmul", "None,5,10"),
    Pair("None,64", "None,64", "matmul", "None"),
    Pair("None,50,128", "128", "matmul", "None,50"),
    Pair("None,50,128", "None,50", "matmul", "None,128"),
    Pair("None,300", "10,300", "matmul", "None,10"),
    Pair("None,30,64", "10,64", "matmul", "None,30,10"),
    # Skips and branches.
    Pair("None,89,89,64", "None,88,88,64", "Concatenate", "None,88,88,128", "channels_last"),
    Pair("None,89,89,64", "None,88,88,64", "Add", "None,88,88,64", "channels_last"),
    Pair("None,64,64,32", "None,32,32,32", "Add", "None,64,64,32", "channels_last"),
    Pair("None,10,64", "None,32", "Concatenate", "None,10,96"),
    Pair("None,60", "None,60,128", "Concatenate", "None,60,129"),
    Pair("None,4,4,512", "None,100", "Concatenate", "None,4,4,612"),
    # One sample, of any or of a stated length, before every sample.
    Pair("1,None,8", "None,None,8", "Concatenate", "None,None,16"),
    Pair("None,5,8", "1,5,8", "Concatenate", "None,5,16"),
    # Heads or tiles along the batch.
    Pair("32,10,10", "8,10,10", "multiply", "32,10,10"),
    Pair("64,10,10,3", "32,10,10,3", "multiply", "64,10,10,3"),
]


def shape(text: str) -> Shape:
    return [None if word == "None" else int(word) for word in text.split(",")]


def offered(pair: Pair, capsys) -> list[Shape]:
    """The shapes that suggest offers: the chosen or legal one, then all candidates in order."""
    layout = ["--layout", pair.layout] if pair.layout else []
    done = run(capsys, "suggest", pair.lhs, pair.rhs, "--op", pair.op, *layout, "--format", "json")
    assert done.status == 0, done.err
    data = json.loads(done.out)
    candidates = [c["output"] for c in data["candidates"]]
    chosen = [candidates[data["chosen"]]] if data["chosen"] is not None else []
    return [*(chosen or ([data["output"]] if data["legal"] else [])), *candidates]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p.lhs} {p.op} {p.rhs}")
def test_the_wanted_result_is_offered(pair, capsys):
    shapes = offered(pair, capsys)
    assert shape(pair.wanted) in shapes
    if pair.first:
        assert shapes[0] == shape(pair.wanted)


def test_shapes_alone_put_most_of_them_first():
    assert sum(pair.first for pair in PAIRS) >= 0.9 * len(PAIRS)


def test_what_runs_on_every_pair_of_samples_is_said(capsys):
    done = run(capsys, "suggest", "None,1,10", "None,10", "--op", "multiply", "--format", "json")
    assert json.loads(done.out)["why"] == (
        "it runs, but on every pair of samples; with one batch on both sides it is step-gate"
    )


def test_a_reading_that_regroups_without_a_transpose_is_named(capsys):
    done = run(capsys, "suggest", "None,4,6", "None,24", "--format", "json")
    assert json.loads(done.out)["why"].startswith(
        "regroup is the only placement that fits unless --at states flat-data; "
    )
