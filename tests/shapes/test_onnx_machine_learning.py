"""The axis rules of the domain ``ai.onnx.ml`` against the results of ONNX Runtime, at two numbers of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import rewriter
from rewriter.formats.onnx.reader import read
from rewriter.ir.axis import Role
from rewriter.shapes.infer import infer

F, L = TensorProto.FLOAT, TensorProto.INT64
COLUMNS = 3
TREE = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
}
SVM = {"kernel_type": "LINEAR", "kernel_params": [1.0, 0.0, 0.0], "rho": [0.1]}
# Operator: the type of the input, the attributes, and the shapes of the results for N samples.
CASES: dict[str, tuple[int, dict[str, Any], list[list[Any]]]] = {
    "Scaler": (L, {"offset": [1.0], "scale": [2.0]}, [["N", 3]]),
    "Normalizer": (F, {"norm": "L2"}, [["N", 3]]),
    "Imputer": (F, {"imputed_value_floats": [0.0], "replaced_value_float": 1.0}, [["N", 3]]),
    "Binarizer": (F, {"threshold": 0.5}, [["N", 3]]),
    "LabelEncoder": (L, {"keys_int64s": [0, 1], "values_strings": ["a", "b"]}, [["N", 3]]),
    "OneHotEncoder": (L, {"cats_int64s": [0, 1, 2, 3], "zeros": 1}, [["N", 3, 4]]),
    "FeatureVectorizer": (F, {"inputdimensions": [3]}, [["N", 3]]),
    "LinearRegressor": (F, {"coefficients": [0.5] * 6, "intercepts": [0.1, 0.2], "targets": 2}, [["N", 2]]),
    "LinearClassifier": (
        F,
        {"coefficients": [0.5] * 9, "intercepts": [0.0] * 3, "classlabels_ints": [4, 5, 6]},
        [["N"], ["N", 3]],
    ),
    "SVMRegressor": (
        F,
        {**SVM, "coefficients": [0.5, 0.2], "n_supports": 2, "support_vectors": [0.1] * 6},
        [["N", 1]],
    ),
    "SVMClassifier": (
        F,
        {
            **SVM,
            "coefficients": [0.5, 0.2],
            "vectors_per_class": [1, 1],
            "support_vectors": [0.1] * 6,
            "classlabels_ints": [0, 1],
        },
        [["N"], ["N", None]],
    ),
    "TreeEnsembleRegressor": (
        F,
        {
            **TREE,
            "n_targets": 2,
            "target_treeids": [0, 0],
            "target_nodeids": [1, 2],
            "target_ids": [0, 1],
            "target_weights": [1.0, 2.0],
        },
        [["N", 2]],
    ),
    "TreeEnsembleClassifier": (
        F,
        {
            **TREE,
            "classlabels_strings": ["a", "b", "c"],
            "class_treeids": [0, 0],
            "class_nodeids": [1, 2],
            "class_ids": [0, 2],
            "class_weights": [1.0, 1.0],
        },
        [["N"], ["N", 3]],
    ),
    "ArrayFeatureExtractor": (F, {}, [["N", 2]]),
}
SAMPLES = ("LinearRegressor", "SVMRegressor", "TreeEnsembleRegressor", "LinearClassifier")


def model(name: str) -> onnx.ModelProto:
    kind, attributes, shapes = CASES[name]
    given, constants = ["x"], []
    if name == "ArrayFeatureExtractor":
        given, constants = ["x", "at"], [numpy_helper.from_array(np.array([2, 0]), "at")]
    outputs = [f"y{i}" for i in range(len(shapes))]
    node = helper.make_node(name, given, outputs, name="node", domain="ai.onnx.ml", **attributes)
    x = helper.make_tensor_value_info("x", kind, ["N", COLUMNS])
    results = [onnx.ValueInfoProto(name=output) for output in outputs]
    graph = helper.make_graph([node], "graph", [x], results, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("name", CASES)
def test_the_shapes_are_those_of_the_runtime(name, tmp_path):
    proto = model(name)
    found = infer(read(proto).graph)
    assert not found.opaque
    values = found.values["node"]
    text = [[str(a.size) if not isinstance(a.size, int) else a.size for a in v.axes or ()] for v in values]
    assert text == [["?" if size is None else size for size in shape] for shape in CASES[name][2]]
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    dtype = np.float32 if CASES[name][0] == F else np.int64
    for samples in (1, 5):
        results = session.run(None, {"x": np.ones((samples, COLUMNS), dtype)})
        for result, value in zip(results, values, strict=True):
            assert len(np.shape(result)) == len(value.axes or ())
            for size, axis in zip(np.shape(result), value.axes or (), strict=True):
                assert str(axis.size) in ("?", "N") or axis.size == size
                assert str(axis.size) != "N" or size == samples
            strings = np.asarray(result).dtype.kind in "OU"
            assert strings == (value.dtype == "string")
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    assert rewriter.check(tmp_path / "m.onnx", ops="all").findings == []


@pytest.mark.parametrize("name", SAMPLES)
def test_an_estimator_shows_the_batch(name):
    found = infer(read(model(name)).graph)
    (axis, _) = found.values["x"][0].axes or ()
    assert axis.role is Role.BATCH
