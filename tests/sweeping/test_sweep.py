"""Sweeps: what comes of every file, what is remembered, what is written."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from multiprocessing import forkserver

import keras
import onnxruntime
import pytest

import rewriter
from rewriter.errors import BadFileError, OutputError, UsageError
from rewriter.report import as_json
from rewriter.sweeping.finding import Filters
from rewriter.sweeping.look import look
from tests.sweeping.conftest import CLEAN, COUNTS, FOUND, MODELS, UNUSABLE


def swept(roots, **options):
    """The outcomes by the path of the model, and the summary."""
    with rewriter.sweep(roots, jobs=2, **options) as sweep:
        found = {os.path.relpath(outcome.url, roots): outcome for outcome in sweep}
        return found, sweep.summary()


def counts(summary):
    given = summary.counts
    return {name: getattr(given, name) for name in COUNTS}


def test_every_file_has_an_outcome(tree):
    found, summary = swept(tree)
    assert counts(summary) == COUNTS
    assert sorted(found) == sorted([*CLEAN, *FOUND, *UNUSABLE])
    for outcome, names, status in (("clean", CLEAN, 0), ("findings", FOUND, 1), ("unusable", UNUSABLE, 2)):
        for name in names:
            assert (found[name].outcome, found[name].status) == (outcome, status)
            assert bool(found[name].error) == (outcome == "unusable")
    for name in FOUND:
        wanted = as_json.report(rewriter.check(tree / name))
        assert found[name].report == {**wanted, "model": str(tree / name)}


def test_a_second_sweep_looks_at_what_changed(tree, tmp_path):
    store = tmp_path / "store.sqlite"
    first, summary = swept(tree, store=store)
    assert summary.first and not any(outcome.remembered for outcome in first.values())
    again, summary = swept(tree, store=store)
    assert counts(summary) == {**COUNTS, "looked_at": 0} and not summary.first
    assert all(outcome.remembered and not outcome.new for outcome in again.values())
    for name, outcome in again.items():
        assert (outcome.outcome, outcome.error) == (first[name].outcome, first[name].error)
        assert [f["code"] for f in outcome.findings] == [f["code"] for f in first[name].findings]
    shutil.copy(MODELS / "layout.keras", tree / "vision" / "valid.keras")  # worse
    shutil.copy(MODELS / "valid.keras", tree / "text" / "chained.keras")  # better
    (tree / "text" / "cut.keras").unlink()
    shutil.copy(MODELS / "nested.keras", tree / "added.keras")
    found, summary = swept(tree, store=store)
    assert counts(summary) == {"files": 6, "looked_at": 3, "clean": 2, "findings": 3, "unusable": 1}
    assert (summary.worse, summary.better, summary.added, summary.gone, summary.new) == (1, 1, 1, 1, 2)
    assert sorted(name for name in found if found[name].new) == ["added.keras", "vision/valid.keras"]
    assert {os.path.basename(m.url): m.text for m in summary.changed} == {
        "chained.keras": "was findings",
        "valid.keras": "was clean",
    }


def test_a_file_that_was_only_touched_is_remembered(tree, tmp_path):
    store, path = tmp_path / "store.sqlite", tree / "vision" / "layout.keras"
    swept(tree, store=store)
    os.utime(path, (1, 1))
    assert counts(swept(tree, store=store)[1])["looked_at"] == 0
    assert counts(swept(tree, store=store)[1]) == {**COUNTS, "looked_at": 0}
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert counts(swept(tree, store=store)[1])["looked_at"] == 1


def test_other_options_are_another_memory(tree, tmp_path):
    store = tmp_path / "store.sqlite"
    swept(tree, store=store)
    assert counts(swept(tree, store=store, options={"ops": "all"})[1])["looked_at"] == 6
    assert counts(swept(tree, store=store)[1])["looked_at"] == 0


def test_an_interrupted_sweep_is_resumed(tree, tmp_path):
    store = tmp_path / "store.sqlite"
    with rewriter.sweep(tree, store=store, jobs=1) as sweep:
        list(sweep.find())
        running = sweep.run()
        first = next(running)  # it is stored
        running.close()
        number = sweep._store.sweep
    (kept,) = sqlite3.connect(store).execute("SELECT count(*) FROM results").fetchone()
    assert kept == 1
    shutil.copy(MODELS / "valid.keras", tree / "later.keras")  # not in the listing of this sweep
    with rewriter.sweep(tree, store=store, resume=True) as sweep:
        assert sweep._store.sweep == number
        urls = [outcome.url for outcome in sweep]
        assert sorted(urls) == sorted(str(tree / name) for name in (*CLEAN, *FOUND, *UNUSABLE))
        assert counts(sweep.summary()) == COUNTS and first.url in urls
    with rewriter.sweep(tree, store=store, resume=True) as sweep:  # that one ended: a new sweep
        assert sweep._store.sweep != number


def test_two_sweeps_use_one_store(tree, tmp_path):
    store = tmp_path / "store.sqlite"
    with (
        rewriter.sweep(tree, store=store, jobs=1) as one,
        rewriter.sweep(str(tree / "text"), store=store, jobs=1) as two,
    ):
        pairs = [iter(one), iter(two)]
        assert {next(each).size >= 0 for each in pairs} == {True}
        assert len(list(pairs[0])) == 5 and len(list(pairs[1])) == 2
        assert counts(one.summary()) == COUNTS
        assert counts(two.summary())["files"] == 3


@pytest.mark.parametrize("content", ["text", "damaged", "foreign", "newer"])
def test_a_file_that_is_no_store_stays(content, tree, tmp_path):
    path = tmp_path / "notes"
    if content == "newer":
        with rewriter.sweep(tree, store=path):
            pass
    if content in ("foreign", "newer"):
        base = sqlite3.connect(path)
        base.execute("CREATE TABLE mine (x)")
        base.execute("PRAGMA user_version = 7")
        base.commit()
        base.execute("PRAGMA journal_mode = DELETE")
        base.close()
    else:
        path.write_bytes(b"no store" if content == "text" else b"SQLite format 3\0" + b"\xff" * 200)
    content = path.read_bytes()
    with pytest.raises((BadFileError, OutputError)):
        rewriter.sweep(tree, store=path)
    assert path.read_bytes() == content


@contextmanager
def at_sight(name, action, folder, monkeypatch):
    """A block in which the processes do something before the reader opens a file of this name."""
    (folder / "sitecustomize.py").write_text(
        "import sys, os, time\n"
        "def hook(event, args):\n"
        f"    if event == 'open' and str(args[0]).endswith('{name}'):\n"
        f"        {action}\n"
        "sys.addaudithook(hook)\n"
    )
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        forkserver._forkserver._stop()  # it has the old environment
        yield
    forkserver._forkserver._stop()


def test_a_process_that_takes_too_long_is_replaced(tree, tmp_path, monkeypatch):
    store = tmp_path / "store.sqlite"
    with at_sight("layout.keras", "time.sleep(600)", tmp_path, monkeypatch):
        found, summary = swept(tree, store=store, timeout=10)
    assert found["vision/layout.keras"].error == "takes longer than 10 seconds"
    assert counts(summary) == {**COUNTS, "findings": 1, "unusable": 3}
    again, summary = swept(tree, store=store)  # what may pass is tried again
    assert again["vision/layout.keras"].outcome == "findings"
    assert counts(summary) == {**COUNTS, "looked_at": 1}


def test_a_process_that_takes_too_much_memory_says_so(tree):
    with zipfile.ZipFile(tree / "large.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"name": "x" * (80 << 20)}))
    found, _ = swept(tree, memory=160 << 20, filters=Filters(include=["*.keras"]))
    assert "takes more than 160 MiB of memory" in found["large.keras"].error
    assert found["vision/valid.keras"].outcome == "clean"


def test_any_action_may_take_too_much_memory(tree, tmp_path, monkeypatch):
    with at_sight("layout.keras", "sys.held = b'x' * (400 << 20); time.sleep(600)", tmp_path, monkeypatch):
        given = {"action": "convert", "out": tmp_path / "out", "options": {"verify": False}}
        found, _ = swept(tree / "vision", memory=300 << 20, **given)
    assert found["layout.keras"].error == "takes more than 300 MiB of memory"
    assert [found[name].outcome for name in ("valid.keras", "old/again.keras")] == ["clean", "clean"]


def test_a_process_that_is_killed_costs_one_file(tree, tmp_path, monkeypatch):
    with at_sight("layout.keras", "os.kill(os.getpid(), 9)", tmp_path, monkeypatch):
        found, summary = swept(tree)
    assert "ended the process" in found["vision/layout.keras"].error
    assert counts(summary) == {**COUNTS, "findings": 1, "unusable": 3}


@pytest.fixture
def temporary(monkeypatch):
    """The folder of temporary files of all processes that start."""
    with tempfile.TemporaryDirectory() as folder:  # a short path, as that of a socket has to be
        monkeypatch.setenv("TMPDIR", folder)
        yield folder


def test_temporary_files_with_a_long_path(tree, tmp_path):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    words = [sys.executable, "-m", "rewriter", "sweep", tree / "vision"]
    done = subprocess.run(
        words, env={**os.environ, "TMPDIR": str(folder)}, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (1, "") and "3 models: 2 clean" in done.stdout
    assert not os.listdir(folder)


def test_the_processes_end_with_the_sweep(tree, tmp_path, monkeypatch, temporary):
    note = tmp_path / "pid"
    action = f"open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with at_sight("layout.keras", action, tmp_path, monkeypatch):
        sweep = subprocess.Popen([sys.executable, "-m", "rewriter", "sweep", tree], stdout=subprocess.DEVNULL)
        _wait(lambda: note.exists() and note.read_text())
        sweep.kill()
        sweep.wait()
    _wait(lambda: not _is_alive(int(note.read_text())) and not os.listdir(temporary))


def test_an_interrupted_sweep_says_so_once(tree, tmp_path, monkeypatch, temporary):
    note = tmp_path / "pid"
    action = f"open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with at_sight("layout.keras", action, tmp_path, monkeypatch):
        words = [sys.executable, "-m", "rewriter", "sweep", tree]
        sweep = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
        _wait(lambda: note.exists() and note.read_text())
        os.killpg(sweep.pid, signal.SIGINT)  # as Ctrl-C does
        assert sweep.communicate(timeout=60)[1] == "error: interrupted\n"
    assert sweep.returncode == 130
    _wait(lambda: not _is_alive(int(note.read_text())) and not os.listdir(temporary))


def _wait(until):
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end
        time.sleep(0.1)


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- what is written -----------------------------
def test_repairs_are_written_beside_their_folders(tree, tmp_path):
    out = tmp_path / "out"
    options = {"verify": False}
    found, summary = swept(tree, action="repair", out=out, options=options)
    assert counts(summary)["clean"] == 4 and summary.written == 2
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == sorted(FOUND)
    assert found["vision/layout.keras"].output == str(out / "vision" / "layout.keras")
    for name in FOUND:
        assert rewriter.check(out / name).clean
    assert counts(swept(tree)[1]) == COUNTS  # the inputs are as they were


def test_exports_and_conversions(tree, tmp_path):
    out = tmp_path / "onnx"
    found, summary = swept(tree, action="export", out=out, filters=Filters(include=["vision/*"]))
    assert summary.written == 3, [outcome.error for outcome in found.values()]  # a product of wrong axes runs
    assert onnxruntime.InferenceSession(out / "vision" / "old" / "again.keras.onnx").get_inputs()
    wrong, _ = swept(tree, action="export", out=out, filters=Filters(include=["text/*"]))
    assert {(each.outcome, each.status, each.output) for each in wrong.values()} == {("unusable", 2, None)}
    assert not list((out / "text").rglob("*"))
    rewriter.convert(tree / "vision" / "valid.keras", tree / "vision" / "valid.h5", verify=False)
    new = {"action": "convert", "out": tmp_path / "new", "options": {"verify": False}}
    swept(tree, **new, filters=Filters(include=["vision/valid*"]))
    assert sorted(os.listdir(tmp_path / "new" / "vision")) == ["valid.h5.keras", "valid.keras"]


@pytest.mark.parametrize(
    "given",
    [
        {"action": "repair"},
        {"out": "x"},
        {"action": "mend", "out": "x"},
        {"jobs": 0},
        {"jobs": "2"},
        {"resume": True},
        {"timeout": 0},
        {"timeout": "x"},
        {"memory": 1},
        {"store": ""},
        {"options": {"nope": 1}},
        {"options": {"ops": "bad"}},
        {"options": {"plan": "plan.toml"}},
    ],
)
def test_arguments_that_cannot_be_used(given, tree):
    with pytest.raises(UsageError):
        rewriter.sweep(tree, **given)


def test_nothing_is_written_into_what_is_swept(tree):
    places = (tree, tree / "out", tree / "text" / ".." / "out", tree.parent, f"local://{tree}")
    for out in places:
        with pytest.raises(UsageError, match="overlap"):
            rewriter.sweep(tree, action="repair", out=out)
    with pytest.raises(UsageError, match="overlap"):
        rewriter.sweep(f"{tree}/*/*.keras", action="repair", out=tree / "out")


def test_a_link_does_not_lead_into_what_is_swept(tree, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "vision").symlink_to(tree / "text")
    shutil.copy(MODELS / "layout.keras", tree / "vision" / "chained.keras")
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    found, _ = swept(tree, action="repair", out=tmp_path / "out", options={"verify": False})
    assert "a link leads from here" in found["vision/chained.keras"].error
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before


def test_repairs_have_pages_and_no_open_findings(tree, tmp_path):
    given = {"out": tmp_path / "out", "pages": tmp_path / "pages", "options": {"verify": False}}
    found, summary = swept(tree, action="repair", **given)
    assert counts(summary) == {**COUNTS, "clean": 4, "findings": 0} and summary.codes == []
    for name in FOUND:
        assert found[name].findings == [] and (tmp_path / "pages" / f"{name}.html").exists()


def test_a_folder_beside_a_file_of_its_name(tree, tmp_path):
    shutil.unpack_archive(MODELS / "layout.keras", tree / "vision" / "layout", "zip")
    for given in ({}, {"action": "repair", "out": tmp_path / "out", "options": {"verify": False}}):
        _, summary = swept(tree, pages=tmp_path / "pages", filters=Filters(include=["*layout*"]), **given)
        assert summary.counts.files == 2
    assert sorted(os.listdir(tmp_path / "pages" / "vision")) == ["layout.html", "layout.keras.html"]
    assert sorted(os.listdir(tmp_path / "out" / "vision")) == ["layout", "layout.keras"]
    new = {"action": "convert", "out": tmp_path / "new"}
    with pytest.raises(UsageError, match="one file"):
        swept(tree, filters=Filters(include=["*layout*"]), **new)


def test_two_models_are_not_written_to_one_file(tree, tmp_path):
    for place in ("a", "b"):
        (tmp_path / "in" / place).mkdir(parents=True)
        shutil.copy(MODELS / "layout.keras", tmp_path / "in" / place / "m.keras")
    options = {"action": "repair", "out": tmp_path / "out", "options": {"verify": False}, "jobs": 1}
    with rewriter.sweep([tmp_path / "in" / "a", tmp_path / "in" / "b"], **options) as sweep:
        assert len({outcome.output for outcome in sweep}) == 2
    files = [tmp_path / "in" / "a" / "m.keras", tmp_path / "in" / "b" / "m.keras"]
    with rewriter.sweep(files, **{**options, "out": tmp_path / "files"}) as sweep:
        assert len({outcome.output for outcome in sweep}) == 2
    with rewriter.sweep(f"{tmp_path}/in/[ab]/m.keras", **{**options, "out": tmp_path / "other"}) as sweep:
        assert len({outcome.output for outcome in sweep}) == 2
    shutil.copy(MODELS / "valid.keras", tmp_path / "in" / "a" / "n.h5.keras")
    rewriter.convert(MODELS / "valid.keras", tmp_path / "in" / "a" / "n.h5", verify=False)
    given = {**options, "action": "convert", "out": tmp_path / "new"}
    with pytest.raises(UsageError, match="one file"), rewriter.sweep(tmp_path / "in" / "a", **given) as sweep:
        list(sweep)
    assert not (tmp_path / "new").exists()


def test_an_alert_survives_a_kill(tree, tmp_path):
    store = tmp_path / "store.sqlite"
    swept(tree, store=store)
    shutil.copy(MODELS / "layout.keras", tree / "vision" / "valid.keras")
    with rewriter.sweep(tree, store=store, jobs=1) as sweep:
        list(sweep.find())
        seen = [look(found, sweep.request) for found in sweep._store.pending()]
        for outcome in seen:
            sweep._store.keep(outcome)
        assert [outcome.new for outcome in seen] == [True]  # then the process is killed
    found, summary = swept(tree, store=store)
    assert found["vision/valid.keras"].new and found["vision/valid.keras"].remembered
    assert (summary.new, summary.worse, summary.counts.looked_at) == (1, 1, 0)
    assert swept(tree, store=store)[1].new == 0


def test_no_sweep_hides_news_from_another(tree, tmp_path):
    """A sweep of a part, and one at the same time, see the same new finding first."""
    store = tmp_path / "store.sqlite"
    swept(tree, store=store)
    shutil.copy(MODELS / "layout.keras", tree / "vision" / "valid.keras")
    swept(tree / "vision", store=store)
    with (
        rewriter.sweep(tree, store=store, jobs=1) as one,
        rewriter.sweep(tree, store=store, jobs=1) as two,
    ):
        for sweep in (one, two):
            assert [os.path.basename(outcome.url) for outcome in sweep if outcome.new] == ["valid.keras"]
        for summary in (one.summary(), two.summary()):
            assert (summary.new, summary.worse, summary.added) == (1, 1, 0)
            assert [code.new for code in summary.codes] == [0, 0, 1]
    again = swept(tree, store=store)[1]
    assert (again.new, again.worse, [code.new for code in again.codes]) == (0, 0, [0, 0, 0])


def test_each_sweep_tells_what_it_did_not_tell_before(tree, tmp_path):
    """Whatever sweeps of other roots, or such that did not end, saw meanwhile."""
    given = {"store": tmp_path / "store.sqlite", "jobs": 1}
    path, part = tree / "vision" / "valid.keras", tree / "vision"

    def new(sweep):
        return [os.path.basename(outcome.url) for outcome in sweep if outcome.new]

    for roots in (tree, part):
        with rewriter.sweep(roots, **given) as sweep:
            list(sweep)
    with rewriter.sweep(tree, **given) as whole:
        with rewriter.sweep(part, **given) as sweep:
            assert new(sweep) == []
        shutil.copy(MODELS / "layout.keras", path)
        assert new(whole) == ["valid.keras"]
    with rewriter.sweep(
        part, **given
    ) as sweep:  # it began before, and ended after the one of the whole tree began
        assert new(sweep) == ["valid.keras"] and sweep.summary().new == 1
    with rewriter.sweep(tree, **given) as sweep:
        assert new(sweep) == [] and sweep.summary().new == 0
    shutil.copy(MODELS / "valid.keras", path)
    with rewriter.sweep(tree, **given) as sweep:
        for _ in sweep:  # and it is killed
            pass
        sweep._store._base.execute("UPDATE sweeps SET finished = NULL WHERE id = ?", [sweep._store.sweep])
    shutil.copy(MODELS / "layout.keras", path)
    with rewriter.sweep(tree, **given) as sweep:
        assert new(sweep) == []


def test_other_sweeps_end_while_one_runs(tree, tmp_path):
    store = tmp_path / "store.sqlite"
    with rewriter.sweep(tree, store=store, jobs=1) as slow:
        list(slow.find())
        for _ in range(3):
            assert counts(swept(tree, store=store)[1])["files"] == 6
        assert len(list(slow.run())) == 6
        assert counts(slow.summary()) == COUNTS and len(list(slow.outcomes())) == 6


def test_roots_are_the_same_in_any_order(tree, tmp_path):
    store = tmp_path / "store.sqlite"
    roots = [[tree / "vision", tree / "text"], [f"{tree}/text/", tree / "vision", tree / "text"]]
    for first, each in zip((True, False), roots, strict=True):
        with rewriter.sweep(each, store=store, jobs=1) as sweep:
            assert {outcome.new for outcome in sweep} == {first, False}
            assert sweep.summary().first == first


def test_a_model_that_could_not_be_read_once_has_no_new_findings_after_that(tree, tmp_path):
    store, path = tmp_path / "store.sqlite", tree / "vision" / "layout.keras"
    swept(tree, store=store)
    data = path.read_bytes()
    path.write_bytes(b"")
    found, summary = swept(tree, store=store)
    assert found["vision/layout.keras"].new and summary.new == summary.worse == 1
    assert [code.code for code in summary.codes] == ["RW001", "RW002"]
    path.write_bytes(data)
    found, summary = swept(tree, store=store)
    assert found["vision/layout.keras"].outcome == "findings"
    assert (summary.new, summary.better) == (0, 1)


def test_what_is_left_out_is_counted(tree):
    (tree / "linked").symlink_to(tree / "vision")
    (tree / ".cache").mkdir()
    summary = swept(tree, filters=Filters(exclude=["*.h5"]))[1]
    assert summary.left_out == {"links": 1, "hidden": 2, "filtered": 1}
    assert summary.counts.files == 5


def test_the_code_of_a_trusted_package_runs(tmp_path, monkeypatch):
    packages = MODELS.parent / "tests" / "tracing" / "packages"
    monkeypatch.setenv("PYTHONPATH", str(packages))
    monkeypatch.syspath_prepend(packages)
    parts = importlib.import_module("parts")
    (tmp_path / "in").mkdir()
    x = keras.Input((5, 7, 4))
    keras.Model(x, parts.Gate()(x)).save(tmp_path / "in" / "gate.keras")
    (opaque,) = swept(tmp_path / "in")[0].values()
    assert [finding["code"] for finding in opaque.findings] == ["RW008"]
    (traced,) = swept(tmp_path / "in", trust=["parts"])[0].values()
    wanted = rewriter.check(tmp_path / "in" / "gate.keras", trust=["parts"])
    assert traced.report == {**as_json.report(wanted), "model": traced.url}
    assert traced.outcome == "clean" and traced.report["multiplies"] > 0
    for given in (
        {"trust": "parts"},
        {"trust": ["a b"]},
        {"trust": ["parts"], "action": "convert", "out": "x"},
    ):
        with pytest.raises(UsageError):
            rewriter.sweep(tmp_path / "in", **given)


def test_outputs_that_are_gone_are_written_again(tree, tmp_path):
    options = {"action": "repair", "out": tmp_path / "out", "options": {"verify": False}}
    store = tmp_path / "store.sqlite"
    swept(tree, store=store, **options)
    assert counts(swept(tree, store=store, **options)[1])["looked_at"] == 0
    (tmp_path / "out" / "vision" / "layout.keras").unlink()
    assert counts(swept(tree, store=store, **options)[1])["looked_at"] == 1
    assert (tmp_path / "out" / "vision" / "layout.keras").exists()
