"""A repair without a decision reports that, and errors name the file."""

from __future__ import annotations

import pytest

import rewriter
from tests.cli.common import model
from tests.live.common import gated, undecided


def test_a_result_is_true_where_everything_is_decided(tmp_path):
    for name in ("chained", "valid"):
        result = rewriter.repair(model(name), tmp_path / "o.keras", verify=False)
        assert result
        assert result.undecided == []
    assert rewriter.repair(model("chained"), dry_run=True)


def test_a_result_is_false_where_something_is_not(tmp_path):
    result = rewriter.repair(model("article_flatten_multiply"), tmp_path / "o.keras")
    assert not result
    assert result.output is None
    assert [f.node for f in result.undecided] == ["scale"]
    assert list(tmp_path.iterdir()) == []
    assert result.to_dict()["undecided"] == ["scale"]
    assert not rewriter.repair(model("article_flatten_multiply"), dry_run=True)


def test_a_model_in_memory():
    result = rewriter.repair(gated(), verify=False)
    assert result
    assert result.model is not None
    broken, node = undecided()
    result = rewriter.repair(broken, verify=False)
    assert not result
    assert result.model is None
    assert [f.node for f in result.undecided] == [node]
    with pytest.raises(rewriter.UndecidedError, match=node):
        rewriter.repaired(broken)


# -- errors -----------------------------
CALLS = {
    "check": lambda path, out: rewriter.check(path),
    "repair": lambda path, out: rewriter.repair(path, out),
    "shapes": lambda path, out: rewriter.shapes(path),
    "explain": lambda path, out: rewriter.explain(path),
    "export_onnx": lambda path, out: rewriter.export_onnx(path, out.with_suffix(".onnx")),
    "convert": lambda path, out: rewriter.convert(path, out),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("content", [None, b"x"], ids=["missing", "damaged"])
def test_an_error_names_the_file(name, content, tmp_path):
    path = tmp_path / "bad.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(rewriter.BadFileError) as caught:
        CALLS[name](path, tmp_path / "o.keras")
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    assert str(path) not in caught.value.reason
    assert caught.value.file == str(path)


def test_an_error_about_another_file_names_that_one(tmp_path):
    with pytest.raises(rewriter.OutputError) as caught:
        rewriter.repair(model("chained"), tmp_path / "gone" / "o.keras", verify=False)
    assert str(caught.value).startswith(f"{tmp_path}/gone")
    assert "chained" not in str(caught.value)


def test_an_error_about_an_argument_names_no_file():
    with pytest.raises(rewriter.UsageError) as caught:
        rewriter.check(model("chained"), mode="bold")
    assert str(caught.value) == "mode 'bold': must be safe or best"


def test_an_error_about_a_node_names_the_model(tmp_path):
    with pytest.raises(rewriter.UsageError, match=r"chained\.keras: .*'gone'"):
        rewriter.repair(model("chained"), tmp_path / "o.keras", at={"gone": "channel-gate"})


def test_a_node_that_cannot_be_explained():
    with pytest.raises(
        rewriter.UsageError, match=r"chained\.keras: there is no node 'scale_mop': did you mean 'scale_map'"
    ):
        rewriter.explain(model("chained"), "scale_mop")
    with pytest.raises(
        rewriter.UsageError, match=r"chained\.keras: node 'excite' is not a multiply, and has no fault"
    ):
        rewriter.explain(model("chained"), "excite")


def test_an_error_of_a_model_in_memory_names_no_temporary_file():
    with pytest.raises(rewriter.UsageError) as caught:
        rewriter.repair(gated(), at={"gone": "channel-gate"}, verify=False)
    assert caught.value.file is None
    assert "rewriter-" not in str(caught.value)
