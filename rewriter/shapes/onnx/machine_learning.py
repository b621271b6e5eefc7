"""Operators of the domain ``ai.onnx.ml``, which converters of scikit-learn, LightGBM and XGBoost write.

A row is a sample: ``x[n, features]``. A vector is one sample, as ONNX Runtime 1.32 takes it.
Source: https://github.com/onnx/onnx/blob/main/docs/Operators-ml.md.
"""

from __future__ import annotations

from ...ir.axis import Axis, Role, Value, new_axis, unit_axis
from ...ir.size import Size, product, unknown
from ..call import Call, OpaqueError, known, onnx_op
from ._operands import operand
from .batch import takes_as_batch

_SAME = "Scaler Normalizer Imputer Binarizer"
_LABELS = ("classlabels_int64s", "classlabels_ints", "classlabels_strings", "classlabels_strings_string")
_STRING = "string"


def _named(names: str) -> tuple[str, ...]:
    return tuple(f"ai.onnx.ml:{name}" for name in names.split())


@onnx_op(*_named(_SAME))
def same(call: Call) -> Value:
    """``f(x[...]) -> [...]``; Scaler and Normalizer give floats."""
    x = operand(call, 0)
    floats = call.operation.class_name in ("Scaler", "Normalizer")
    return Value(known(x), "float32" if floats else x.dtype)


@onnx_op(*_named("LabelEncoder CategoryMapper"))
def relabelled(call: Call) -> Value:
    """``f(x[...]) -> [...]`` with another label for each entry."""
    x = operand(call, 0)
    return Value(known(x), _label_dtype(call, x.dtype))


def _label_dtype(call: Call, given: str) -> str:
    """The dtype of the labels: that of the values in the file, or the other one of strings and whole numbers."""
    kinds = {"values_strings": _STRING, "values_int64s": "int64", "values_floats": "float32"}
    stated = next((dtype for name, dtype in kinds.items() if call.get(name)), None)
    return stated or ("int64" if given == _STRING else _STRING)


@onnx_op(*_named("ArrayFeatureExtractor"))
def features_at(call: Call) -> Value:
    """``extract(x[..., n], indices[k]) -> [..., k]``; a vector becomes one row."""
    x, places = operand(call, 0), known(operand(call, 1))
    axes = known(x)
    size = product(axis.size for axis in places)
    rows = axes[:-1] or (unit_axis("ArrayFeatureExtractor"),)
    return Value((*rows, new_axis(size, derived=axes[-1] if axes else None)), x.dtype)


@onnx_op(*_named("OneHotEncoder"))
def one_hot(call: Call) -> Value:
    """``one_hot(x[...]) -> [..., categories]``."""
    count = max(len(call.get(name) or ()) for name in ("cats_int64s", "cats_strings"))
    return Value((*known(operand(call, 0)), new_axis(count, Role.FEATURE)))


@onnx_op(*_named("FeatureVectorizer"))
def feature_vector(call: Call) -> Value:
    """``join([x[n, a], y[n, b]]) -> [n, a + b]``."""
    widths = call.get("inputdimensions") or []
    total = sum(call.whole("inputdimensions", width, 0) for width in widths)
    return Value((_samples(call), new_axis(total, Role.FEATURE)))


@onnx_op(*_named("LinearRegressor SVMRegressor TreeEnsembleRegressor TreeEnsemble"))
def regressor(call: Call) -> Value:
    """``f(x[n, features]) -> [n, targets]``."""
    name = "targets" if call.operation.class_name == "LinearRegressor" else "n_targets"
    targets = 1 if call.operation.class_name == "SVMRegressor" else call.integer(name, 1, 1)
    dtype = operand(call, 0).dtype if call.operation.class_name == "TreeEnsemble" else "float32"
    return Value((_samples(call), new_axis(targets, Role.FEATURE)), dtype)


@onnx_op(*_named("LinearClassifier TreeEnsembleClassifier SVMClassifier"))
def classifier(call: Call) -> list[Value]:
    """``f(x[n, features]) -> labels[n], scores[n, classes]``."""
    samples = _samples(call)
    labels = _STRING if any("strings" in name and call.get(name) for name in _LABELS) else "int64"
    return [Value((samples,), labels), Value((samples, new_axis(_scores(call), Role.FEATURE)))]


def _scores(call: Call) -> Size:
    """The number of scores of a sample: the classes, and for an SVM without probabilities unknown (pairs of them)."""
    classes = max(len(call.get(name) or ()) for name in _LABELS)
    votes = call.operation.class_name == "SVMClassifier" and not call.get("prob_a")
    return classes if classes and not votes else unknown()


def _samples(call: Call) -> Axis:
    """The axis of the samples. Raises OpaqueError where the operand has more than two axes."""
    axes = known(operand(call, 0))
    if len(axes) > 2:
        raise OpaqueError(f"{call.operation.class_name} of {len(axes)} axes")
    if len(axes) < 2:
        return unit_axis("sample")
    takes_as_batch(axes[0])
    return axes[0]


@onnx_op(*_named("ZipMap"))
def maps(call: Call) -> Value:
    """``zip(scores[n, classes])``: a sequence of maps, which is no tensor."""
    return Value(None, reason="a sequence of maps is no tensor")
