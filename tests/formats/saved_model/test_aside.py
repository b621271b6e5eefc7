"""Functions that only save tables or read a data set are not part of the model, unless the model calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf import saved_model_pb2

import rewriter

KEY = tf.constant("a")


def counting(path: Path, *shapes: Any) -> str:
    """A product, times the value of a table for a key."""
    module = tf.Module()
    module.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0)
    module.table.insert(KEY, 3.0)
    specs = [tf.TensorSpec(shape, tf.float32, name="ab"[n]) for n, shape in enumerate(shapes)]
    module.run = tf.function(lambda a, b: a * b * module.table.lookup(KEY), input_signature=specs)
    tf.saved_model.save(module, str(path), signatures=module.run)
    return str(path)


def test_functions_that_save_a_table(tmp_path: Path):
    report = rewriter.check(counting(tmp_path / "model", (None, 4), (None, 4)), ops="all")
    assert not report.findings


def test_one_that_an_object_has_is_looked_at(tmp_path: Path):
    path = counting(tmp_path / "model", (None, 4), (None, 4))
    message = saved_model_pb2.SavedModel()
    file = Path(path) / "saved_model.pb"
    message.ParseFromString(file.read_bytes())
    nodes = message.meta_graphs[0].object_graph_def.nodes
    (saving,) = (s.save_function for node in nodes for s in node.saveable_objects.values())
    nodes[0].children.add(node_id=saving, local_name="everything")
    file.write_bytes(message.SerializeToString())
    assert {f.op for f in rewriter.check(path, ops="all").findings} == {"LookupTableExportV2"}


def test_a_repair_keeps_the_table(tmp_path: Path):
    path = counting(tmp_path / "model", (None, 6, 5, 4), (None, 4))
    out = str(tmp_path / "out")
    rewriter.repair(path, out)
    assert not rewriter.check(out).findings
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape).astype("float32") for shape in ((2, 6, 5, 4), (2, 4)))
    result = tf.saved_model.load(out).run(a, b)
    np.testing.assert_allclose(result, a * b[:, None, None] * 3, rtol=1e-6)


def test_the_function_of_adapt(tmp_path: Path):
    x = tf_keras.Input((1,), dtype="string")
    lookup = tf_keras.layers.StringLookup()
    lookup.adapt(["a", "b"])
    model = tf_keras.Model(x, tf_keras.layers.Embedding(4, 3)(lookup(x)) * 2.0)
    model.save(str(tmp_path / "model"), save_format="tf")
    names = {finding.node for finding in rewriter.check(str(tmp_path / "model"), ops="all").findings}
    assert not {name for name in names if "_fn_" in name or "adapt_step" in name}, names
    assert (tmp_path / "model" / "saved_model.pb").read_bytes().count(b"adapt_step")
