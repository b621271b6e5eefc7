"""What users of command lines expect: folders and patterns, hints, a file for the report, completion."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from rewriter import cli
from rewriter.arguments import parsers
from tests.cli.common import ROOT, is_one_error_line, model, run, spawn

COMMANDS = sorted(parsers(cli._COMMANDS)[1])


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder with models of several kinds, and other files."""
    monkeypatch.chdir(tmp_path)
    for name in ("a/one.keras", "a/b/two.keras", "three.KERAS", ".hidden/four.keras"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(model("valid"), tmp_path / name)
    for name in ("notes.txt", "a/config.json.bak", "w.weights.h5", "package.json"):
        (tmp_path / name).write_text("{}")
    return tmp_path


def models_of(out: str) -> list[str]:
    return [json.loads(line)["model"] for line in out.splitlines()]


def checked(capsys, *words):
    return models_of(run(capsys, "check", "--format", "json", *words).out)


# -- which models -----------------------------
def test_a_folder_is_searched(tree, capsys):
    assert checked(capsys, ".") == ["./three.KERAS", "./a/one.keras", "./a/b/two.keras"]
    assert models_of(run(capsys, "shapes", "--format", "json", "a").out) == ["a/one.keras", "a/b/two.keras"]


def test_folders_that_are_models_are_not_searched(tree, capsys):
    zipfile.ZipFile(model("valid")).extractall("saved")
    assert "./saved" in checked(capsys, ".")
    assert checked(capsys, "saved") == ["saved"]


def test_patterns(tree, capsys):
    assert checked(capsys, "a/*.keras") == ["a/one.keras"]
    assert checked(capsys, "**/*.keras") == ["a/b/two.keras", "a/one.keras"]
    assert checked(capsys, ".", "--exclude", "two*", "--exclude", "three.*") == ["./a/one.keras"]
    assert is_one_error_line(run(capsys, "check", "*.nothing").err, "*.nothing: no file matches this pattern")
    (tree / "empty").mkdir()
    assert is_one_error_line(run(capsys, "check", "empty").err, "empty: it is a directory without a model")


def test_a_name_with_signs_of_a_pattern_is_a_name(tree, capsys):
    shutil.copy(model("valid"), "m[1].keras")
    assert checked(capsys, "m[1].keras") == ["m[1].keras"]


def test_a_model_that_is_named_twice_is_checked_once(tree, capsys):
    assert checked(capsys, "three.KERAS", "three.KERAS") == ["three.KERAS"]
    assert checked(capsys, "a", "a/one.keras") == ["a/one.keras", "a/b/two.keras"]


@pytest.mark.parametrize("words", [["-q"], ["--format", "json"], ["--color=never", "--ops", "all"]], ids=str)
def test_options_before_the_command_are_its_options(words, capsys):
    ends = []
    for line in (["check", *words, str(model("layout"))], [*words, "check", str(model("layout"))]):
        ends.append((cli.main(line), capsys.readouterr()))
    assert ends[0] == ends[1]
    assert ends[0][0] == 1


def test_options_stand_anywhere(tree, capsys):
    words = ("three.KERAS", "--mode", "best", "a/one.keras", "-q", "a/b/two.keras", "--format=json")
    assert models_of(run(capsys, "check", *words).out) == ["three.KERAS", "a/one.keras", "a/b/two.keras"]


@pytest.mark.parametrize("command", ["check", "shapes", "explain", "repair", "convert", "export"])
def test_standard_input(command, tmp_path):
    outputs = {
        "repair": ["-o", tmp_path / "o.keras", "--no-verify"],
        "convert": [tmp_path / "o.onnx", "--no-verify"],
    }
    outputs["export"] = [tmp_path / "o.onnx"]
    words = [sys.executable, "-m", "rewriter", command, "-", *map(str, outputs.get(command, []))]
    name = "valid" if command in ("convert", "export") else "chained"
    done = subprocess.run(words, input=model(name).read_bytes(), capture_output=True, cwd=ROOT, timeout=120)
    assert (done.returncode, done.stderr) == (int(command == "check"), b"")
    assert b"/tmp" not in done.stdout.replace(str(tmp_path).encode(), b"")


def test_an_empty_standard_input_is_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "rewriter", "check", "-"],
        input=b"",
        capture_output=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr == b"error: -: standard input is empty\n"


# -- hints -----------------------------
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chek", "m.keras"], "did you mean 'check'?"),
        (
            ["check", "m.keras", "--formt", "json"],
            "unrecognized argument '--formt': did you mean '--format'?",
        ),
        (
            ["check", "m.keras", "--mode", "bst"],
            "--mode 'bst': must be one of safe, best: did you mean 'best'?",
        ),
        (["explain", "chanel-gate"], "did you mean 'channel-gate'?"),
        (["explain", "RW01"], "did you mean 'RW001'?"),
        (["explain", str(model("chained")), "scale_chanels"], "did you mean 'scale_channels'?"),
        (
            ["repair", str(model("chained")), "-o", "o.keras", "--at", "scale_mpa=channel-gate"],
            "did you mean 'scale_map'?",
        ),
        (
            ["repair", str(model("chained")), "-o", "o.keras", "--at", "scale_map=spatial-gaet"],
            "did you mean 'spatial-gate'?",
        ),
        (["suggest", "1,2", "2,1", "--op", "multply"], "did you mean 'multiply'?"),
    ],
)
def test_a_slip_has_a_hint(words, said, capsys):
    done = run(capsys, *words)
    assert done.status == 2
    assert said in done.err
    assert done.err.count("\n") == 1


# -- pages -----------------------------
@pytest.mark.parametrize("name", ["RW002", "rw002", "batch-misaligned"])
def test_a_code_has_a_page(name, capsys):
    out = run(capsys, "explain", name).out
    for part in ("RW002 batch-misaligned", "Why it is wrong", "Example", "What repairs it", "--ignore RW002"):
        assert part in out


@pytest.mark.parametrize("words", [("RW003",), ("channel-gate",), (str(model("chained")),)], ids=str)
def test_explain_as_json(words, capsys):
    data = json.loads(run(capsys, "explain", *words, "--format", "json").out)
    assert data["schema"] == "rewriter/1"
    assert {"code", "name", "nodes"} & set(data)


def test_what_explain_says_of_a_node_as_json(capsys):
    (node,) = json.loads(run(capsys, "explain", model("chained"), "scale_map", "--format", "json").out)[
        "nodes"
    ]
    assert node["finding"]["code"] == "RW001"
    fits = [rule for rule in node["rules"] if rule["insert"] is not None]
    assert "spatial-gate" in {rule["rule"] for rule in fits}
    assert all(rule["reason"] for rule in node["rules"] if rule["insert"] is None)
    assert run(capsys, "explain", model("chained"), "none", "--format", "json").status == 2


def test_an_export_as_json(tmp_path, capsys):
    data = json.loads(run(capsys, "export", model("valid"), tmp_path / "o.onnx", "--format", "json").out)
    assert data["output"] == str(tmp_path / "o.onnx")
    assert data["nodes"]["Mul"] == 1


def test_a_permutation_is_in_the_json(capsys):
    data = json.loads(run(capsys, "check", model("layout"), "--format", "json").out)
    (finding,) = data["findings"]
    assert finding["candidates"][finding["chosen"]]["insert"][0]["axes"] == [0, 2, 3, 1]


# -- where the report goes -----------------------------
@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_report_in_a_file_is_what_would_be_printed(form, tmp_path, capsys):
    printed = run(capsys, "check", model("chained"), "--format", form)
    done = run(capsys, "check", model("chained"), "--format", form, "--output-file", tmp_path / "report")
    assert (done.out, done.status) == ("", printed.status)
    assert (tmp_path / "report").read_text() == printed.out


def test_a_report_never_takes_the_place_of_a_file_of_the_run(tmp_path, capsys):
    shutil.copy(model("chained"), tmp_path / "m.keras")
    before = (tmp_path / "m.keras").read_bytes()
    for words in (
        ("check", tmp_path / "m.keras", "--output-file", tmp_path / "m.keras"),
        ("explain", tmp_path / "m.keras", "--output-file", tmp_path / "." / "m.keras"),
        ("repair", tmp_path / "m.keras", "-o", tmp_path / "o.keras", "--output-file", tmp_path / "o.keras"),
        ("export", tmp_path / "m.keras", tmp_path / "o.onnx", "--output-file", tmp_path / "o.onnx"),
    ):
        done = run(capsys, *words)
        assert done.status == 2
        assert "choose another name" in done.err
    assert (tmp_path / "m.keras").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.keras"]


def test_a_report_never_takes_the_place_of_a_model_that_is_found(tree, capsys):
    """The model is found by a folder, a pattern or a link, or the report is a file in a model folder."""
    zipfile.ZipFile(model("valid")).extractall("saved")
    (tree / "link").symlink_to("a/one.keras")
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    for words in (
        ("check", ".", "-o", "a/one.keras"),
        ("check", "a/*.keras", "--format", "json", "-o", "link"),
        ("shapes", "a", "-o", "a/b/../one.keras"),
        ("check", "saved", "--format", "html", "-o", "saved/config.json"),
        ("export", "a/one.keras", "o.onnx", "--external-data", "--output-file", "o.onnx.data"),
    ):
        done = run(capsys, *words)
        assert (done.status, done.out) == (2, ""), words
        assert is_one_error_line(done.err, "choose another")
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before


def external_onnx(path, opset=17):
    """An ONNX model with its weights in other files: `weights.bin` and `sub/more.bin` beside it."""
    import onnx
    from onnx import TensorProto, helper

    def tensor(name, location):
        made = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4])
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value=location)
        (path.parent / location).parent.mkdir(exist_ok=True)
        (path.parent / location).write_bytes(b"\1" * 16)
        return made

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 4]) for name in "xy"]
    nodes = [helper.make_node("Mul", ["x", "a"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    kept = [tensor("a", "weights.bin"), tensor("b", "sub/more.bin")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], kept)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]), path)


@pytest.mark.parametrize("opset", [17, 3], ids=["read", "refused"])
def test_a_report_never_takes_the_place_of_a_models_weights(opset, tree, capsys):
    """The weights are beside the model: of one of several models, of one in a folder, of one that is refused."""
    external_onnx(tree / "a" / "m.onnx", opset)
    (tree / "link").symlink_to("a/sub/more.bin")
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    for words in (
        ("check", "a/m.onnx", "-o", "a/weights.bin"),
        ("check", "a/one.keras", "a/m.onnx", "-o", "a/sub/more.bin"),
        ("check", ".", "--baseline", "new.json", "--update-baseline", "-o", "a/weights.bin"),
        ("shapes", "a", "--format", "json", "-o", "link"),
        ("explain", "a/m.onnx", "-o", "a/b/../weights.bin"),
        ("repair", "a/m.onnx", "--output", "a/new.onnx", "--output-file", "a/weights.bin"),
    ):
        done = run(capsys, *words)
        assert (done.status, done.out) == (2, ""), words
        assert is_one_error_line(done.err, "choose another name")
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before
    assert run(capsys, "check", "a/m.onnx", "-o", "report").status == (0 if opset == 17 else 2)


@pytest.mark.parametrize("option", [(), ("--external-data",)], ids=["alone", "external"])
def test_a_report_never_takes_the_place_of_an_exports_weights(option, tree, capsys):
    """An export of 2 GiB writes the second file without being asked."""
    done = run(capsys, "export", "a/one.keras", "o.onnx", *option, "--output-file", "o.onnx.data")
    assert is_one_error_line(done.err, "choose another name")
    assert not list(tree.glob("o.onnx*"))


def test_where_the_report_went_is_said_on_a_terminal(tree, monkeypatch, capsys):
    monkeypatch.setattr("rewriter.report.console.is_terminal", lambda stream: stream is sys.stdout)
    done = run(capsys, "check", "a", "-o", "r.txt")
    assert done.out == "Report: r.txt\n"
    assert "No findings" in (tree / "r.txt").read_text()


# -- shells -----------------------------
@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell, capsys):
    done = run(capsys, "--print-completion", shell)
    assert done.status == 0
    for word in COMMANDS:
        assert word in done.out


def test_completion_without_its_package(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert is_one_error_line(
        run(capsys, "--print-completion", "bash").err, "pip install 'rewriter[completion]'"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_what_all_have(command, capsys):
    out = run(capsys, command, "--help").out
    for option in ("--format", "--output-file", "--color", "--config", "--isolated"):
        assert option in out


def test_the_version_loads_nothing(tmp_path):
    done = spawn("--version", PYTHONVERBOSE="1")
    loaded = done.err
    assert done.out.startswith("rewriter ")
    for heavy in ("numpy", "networkx", "rich", "rewriter.passes", "rewriter.shapes"):
        assert f"import '{heavy}'" not in loaded and f"import {heavy} " not in loaded, heavy


@pytest.mark.parametrize(
    ("lhs", "rhs"),
    [
        ("(B, 10, 12, 16)", "(B, 16)"),
        ("batch=B, height=10, width=12, channel=16", "[B, 16]"),
        ("(B, ceil(H/2), 4)", "(B,)"),
    ],
)
def test_printed_shapes_can_be_pasted(lhs, rhs, capsys):
    assert run(capsys, "suggest", lhs, rhs).status == 0


def test_reading_from_a_terminal_is_refused(capsys, monkeypatch):
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Terminal()))
    assert is_one_error_line(run(capsys, "check", "-").err, "standard input is a terminal")


# -- where the report cannot go -----------------------------
def test_a_reader_that_goes_away_is_no_success(tmp_path):
    copies = [str(shutil.copy(model("chained"), tmp_path / f"{number}.keras")) for number in range(40)]
    words = [sys.executable, "-m", "rewriter", "check", *copies]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as done:
        assert done.stdout is not None
        assert done.stderr is not None
        done.stdout.readline()
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_is_no_fault_of_the_models():
    with open("/dev/full", "wb") as full:
        words = [
            sys.executable,
            "-m",
            "rewriter",
            "check",
            "-q",
            *map(str, [model("chained"), model("layout")]),
        ]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, timeout=120)
    assert done.returncode == 2
    assert done.stderr == b"error: standard output: No space left on device\n"


def test_a_reading_has_a_page(capsys):
    for name in ("flat-data", "turned-gate", "outer-any"):
        out = run(capsys, "explain", name).out
        assert out.startswith(f"{name}\n")
        assert "--at" in out
    data = json.loads(run(capsys, "explain", "flat-data", "--format", "json").out)
    assert (data["name"], bool(data["summary"])) == ("flat-data", True)
