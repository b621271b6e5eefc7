"""Sweeps over an S3 server, and on the workers of a Dask cluster."""

from __future__ import annotations

import os
import signal
import socket

import fsspec
import keras
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

import rewriter
from rewriter.errors import UsageError
from rewriter.sweeping import cluster
from rewriter.sweeping.finding import models
from rewriter.sweeping.look import look
from rewriter.sweeping.task import Request
from tests.sweeping.conftest import COUNTS


@pytest.fixture
def bucket(tree, monkeypatch):
    """The tree in a bucket of a local S3 server."""
    boto3 = pytest.importorskip("boto3")
    server_of_moto = pytest.importorskip("moto.server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = server_of_moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache()
    store = boto3.client("s3")
    store.create_bucket(Bucket="models")
    for path in tree.rglob("*"):
        if path.is_file():
            store.upload_file(str(path), "models", f"tree/{path.relative_to(tree).as_posix()}")
    yield store
    server.stop()


def test_a_bucket(bucket, tree, tmp_path):
    with rewriter.sweep("s3://models/tree", store=tmp_path / "store.sqlite", jobs=2) as sweep:
        found = {outcome.url.removeprefix("s3://models/tree/"): outcome for outcome in sweep}
        summary = sweep.summary()
    with rewriter.sweep(tree, jobs=2) as sweep:
        here = {os.path.relpath(outcome.url, tree): outcome for outcome in sweep}
    assert {name: (o.outcome, o.error) for name, o in found.items()} == {
        name: (o.outcome, o.error) for name, o in here.items()
    }
    for name, outcome in found.items():
        assert [f["code"] for f in outcome.findings] == [f["code"] for f in here[name].findings]
        assert outcome.moved <= outcome.size
    assert summary.requests <= 6
    bucket.upload_file(str(tree / "vision" / "layout.keras"), "models", "tree/text/cut.keras")
    with rewriter.sweep("s3://models/tree", store=tmp_path / "store.sqlite", jobs=1) as sweep:
        assert [outcome.url for outcome in sweep if not outcome.remembered] == [
            "s3://models/tree/text/cut.keras"
        ]


def test_a_large_archive_in_a_bucket_moves_little(bucket, tmp_path):
    x = keras.Input((8,))
    y = keras.layers.Dense(2000)(keras.layers.Dense(2000)(x))
    keras.Model(x, keras.layers.Dense(3)(y)).save(tmp_path / "large.keras")
    bucket.upload_file(str(tmp_path / "large.keras"), "models", "large/large.keras")
    with rewriter.sweep("s3://models/large", jobs=1) as sweep:
        (outcome,) = sweep
    assert outcome.outcome == "clean" and outcome.size > 16_000_000
    assert outcome.moved < 200_000 and outcome.requests < 25


class Slow(AbstractFileSystem):
    """Files of a folder in a system that fsspec reads through a cache, as that of Hugging Face."""

    protocol = "slow"
    served = 0

    def info(self, path, **_):
        path = self._strip_protocol(path)
        return {"name": path, "size": os.path.getsize(path), "type": "file", "mtime": os.path.getmtime(path)}

    def exists(self, path, **_):
        return os.path.exists(self._strip_protocol(path))

    def _open(self, path, mode="rb", **options):
        return _SlowFile(self, path, mode, **options)


class _SlowFile(AbstractBufferedFile):
    def _fetch_range(self, start, end):
        Slow.served += end - start
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(end - start)


def test_nothing_is_read_ahead(tmp_path):
    fsspec.register_implementation("slow", Slow, clobber=True)
    x = keras.Input((8,))
    keras.Model(x, keras.layers.Dense(900)(keras.layers.Dense(900)(x))).save(tmp_path / "large.keras")
    (found,) = models(f"slow://{tmp_path}/large.keras")
    outcome = look(found, Request())
    assert outcome.outcome == "clean" and found.url.startswith("slow://")
    assert 0 < Slow.served == outcome.moved < outcome.size / 10


def test_repairs_go_to_a_bucket(bucket, tree, tmp_path):
    given = {"action": "repair", "out": "s3://models/out", "options": {"verify": False}, "jobs": 1}
    with rewriter.sweep("s3://models/tree/vision", **given) as sweep:
        outputs = [outcome.output for outcome in sweep if outcome.output]
    assert outputs == ["s3://models/out/layout.keras"]
    bucket.download_file("models", "out/layout.keras", str(tmp_path / "fixed.keras"))
    assert rewriter.check(tmp_path / "fixed.keras").clean
    for out in ("s3://models/tree/out", "s3a://models/tree", "s3:///models/tree/", "s3://models"):
        with pytest.raises(UsageError, match="overlap"):
            rewriter.sweep("s3://models/tree", **{**given, "out": out})
    with pytest.raises(UsageError, match="overlap"):
        rewriter.sweep("s3://models/tree/*/*.keras", **{**given, "out": "s3://models/tree"})


def test_an_object_that_changes_after_it_was_found(bucket, tree):
    (found,) = models("s3://models/tree/vision/valid.keras")
    bucket.upload_file(str(tree / "vision" / "layout.keras"), "models", "tree/vision/valid.keras")
    outcome = look(found, Request())
    assert (outcome.outcome, outcome.lasting) == ("unusable", False) and "it changed" in outcome.error
    bucket.delete_object(Bucket="models", Key="tree/vision/valid.keras")
    outcome = look(found, Request())
    assert not outcome.unreachable and "it is gone" in outcome.error


def test_names_that_are_patterns_or_chains_elsewhere(bucket, tree):
    names = ["w/[br].keras", "w/q*.keras", "w/a::b.keras", "w/a b%20#é.keras"]
    for name in names:
        bucket.upload_file(str(tree / "vision" / "layout.keras"), "models", name)
    given = {"action": "repair", "out": "s3://models/out", "pages": "s3://models/pages", "jobs": 1}
    with rewriter.sweep("s3://models/w", **given, options={"verify": False}) as sweep:
        outcomes = list(sweep)
    assert sorted(outcome.error for outcome in outcomes) == [""] * 4
    made = {each["Key"] for each in bucket.list_objects_v2(Bucket="models")["Contents"]}
    assert {f"out/{name[2:]}" for name in names} | {f"pages/{name[2:]}.html" for name in names} <= made
    assert {outcome.output for outcome in outcomes} == {f"s3://models/out/{name[2:]}" for name in names}


def test_a_cluster_loses_a_worker(tree):
    distributed = pytest.importorskip("distributed")
    names = [f"copy{number}.keras" for number in range(60)]
    for name in names:
        (tree / name).write_bytes((tree / "vision" / "layout.keras").read_bytes())
    local = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    )
    with local, rewriter.sweep(tree, scheduler=local.scheduler_address) as sweep:
        running = iter(sweep)
        urls = [next(running).url]
        os.kill(next(iter(local.workers.values())).pid, signal.SIGKILL)
        urls += [outcome.url for outcome in running]
        counts = sweep.summary().counts
    assert len(urls) == len(set(urls)) == 66
    assert (counts.clean, counts.findings, counts.unusable) == (
        COUNTS["clean"],
        COUNTS["findings"] + 60,
        COUNTS["unusable"],
    )


def test_no_scheduler_answers(tree, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    with (
        pytest.raises(UsageError, match="no scheduler answers"),
        rewriter.sweep(tree, scheduler="tcp://127.0.0.1:9") as s,
    ):
        list(s)


def test_a_scheduler_without_workers(tree, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    local = distributed.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50)
    with (
        local,
        pytest.raises(UsageError, match="has no workers"),
        rewriter.sweep(tree, scheduler=local.scheduler_address) as sweep,
    ):
        list(sweep)
