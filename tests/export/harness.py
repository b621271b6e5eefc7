"""Export models, run them in ONNX Runtime, and compare with Keras on the same random inputs.

`check_layer` takes a case of `tests/shapes/layer_cases.py`, `check_op` one of `tests/shapes/ops_cases_*.py`; both build
the model, give every weight random values, save, export, run ``onnx.checker`` and compare at two batch sizes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime

from rewriter.errors import UnsupportedError
from rewriter.export.onnx import Exported, Options, export
from rewriter.formats.onnx.names import CONTRIB
from rewriter.formats.registry import open_model
from rewriter.proof.onnx_runtime.extensions import session_options
from rewriter.shapes import layers as _layers  # noqa: F401 - fills the table of axis rules
from rewriter.shapes import ops as _ops  # noqa: F401
from tests.shapes import layers_harness, ops_harness

TOLERANCE = {"float16": 4e-3, "bfloat16": 4e-2}
_POSITIVE = ("variance", "gamma", "scale", "stddev")

onnxruntime.set_default_logger_severity(3)

# Keras 3.15 adds a supposed bias along the wrong axis: x[3, 3, 5] + y[3, 1, 1] becomes a `tf.nn.bias_add` on an axis of
# equal length (backend/tensorflow/numpy.py, `add`). The expected result is the sum of NumPy.
_keras_add = keras.src.backend.numpy.add


def _add(x1: Any, x2: Any) -> Any:
    if any(getattr(x, "shape", None) is None for x in (x1, x2)) or len(x2.shape) < 2:
        return _keras_add(x1, x2)
    return keras.src.backend.numpy.subtract(x1, keras.src.backend.numpy.negative(x2))


keras.src.backend.numpy.add = _add

# On processors where TensorFlow uses oneDNN by default, its Softmax refuses more than five dimensions (TensorFlow
# 2.21). A softmax works along one axis, so it is the same row by row.
_ONEDNN_RANK = 5
_keras_softmax = keras.src.backend.nn.softmax


def _softmax(x: Any, axis: int | None = -1) -> Any:
    if axis is None or len(x.shape) <= _ONEDNN_RANK:
        return _keras_softmax(x, axis=axis)
    last = keras.ops.moveaxis(x, axis, -1)
    rows = keras.ops.reshape(last, (-1, last.shape[-1]))
    return keras.ops.moveaxis(keras.ops.reshape(_keras_softmax(rows), keras.ops.shape(last)), -1, axis)


keras.src.backend.nn.softmax = _softmax


# Keras compiles grouped convolutions, and channels-first ones of volumes, at every call: 0.4 s in every step of a
# recurrent layer. With channels last and one group at a time there is no compilation.
_keras_conv = keras.src.backend.nn.conv


def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """``keras.ops.conv``, uncompiled."""
    first = (data_format or keras.config.image_data_format()) == "channels_first"
    if first and len(inputs.shape) == 5:
        inputs = keras.ops.moveaxis(inputs, 1, -1)
        rest = strides, padding, "channels_last", dilation_rate
        return keras.ops.moveaxis(conv(inputs, kernel, *rest), -1, 1)
    axis = 1 if first else -1
    rest = strides, padding, data_format, dilation_rate
    groups = inputs.shape[axis] // kernel.shape[-2]
    if groups == 1:
        return _keras_conv(inputs, kernel, *rest)
    parts = zip(keras.ops.split(inputs, groups, axis), keras.ops.split(kernel, groups, -1), strict=True)
    return keras.ops.concatenate([_keras_conv(part, weights, *rest) for part, weights in parts], axis)


keras.src.backend.nn.conv = conv


class Refused(Exception):
    """The exporter refuses the model, with the reason."""


class NotBuilt(Exception):
    """Keras does not build, save or run the model."""


def randomise(model: Any, seed: int = 0) -> None:
    """Give every weight random numbers, moving statistics too; variances and scales stay positive."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed" in variable.path or not str(variable.dtype).startswith(("float", "bfloat")):
            continue
        values = rng.normal(0, 0.4, variable.shape)
        if any(word in variable.name for word in _POSITIVE):
            values = 0.5 + np.abs(values)
        variable.assign(values)
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()  # Normalization computes with copies of its variables


def exported(model: Any, folder: str | os.PathLike[str], **options: Any) -> tuple[Exported, str]:
    """Save and export a model. Raises Refused with the exporter's reason."""
    source, target = os.path.join(folder, "model.keras"), os.path.join(folder, "model.onnx")
    try:
        model.save(source)
    except Exception as error:
        raise NotBuilt(f"{type(error).__name__}: {error}") from error
    with open_model(source) as opened:
        opened.load_weights()
        try:
            return export(opened, target, Options(**options)), target
        except UnsupportedError as error:
            raise Refused(str(error)) from error


def session(path: str | os.PathLike[str]) -> Any:
    """Check the file with ``onnx.checker`` in full and load it in ONNX Runtime, with the operators that it needs."""
    onnx.checker.check_model(os.fspath(path), full_check=True)
    domains = [each.domain for each in onnx.load(path, load_external_data=False).opset_import]
    options = session_options(CONTRIB in domains)
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


def input_names(model: Any) -> list[str]:
    return [x._keras_history.operation.name for x in model.inputs]


def compare(
    model: Any, feeds: Sequence[Sequence[Any]], tolerance: float | None = None, **options: Any
) -> Exported:
    """Export a model and compare it with Keras on each of the feeds (arrays in the order of its inputs).

    Raises:
        AssertionError: a name, type, shape or number differs.
        Refused: the exporter refuses the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        result, path = exported(model, folder, **options)
        names = input_names(model)
        assert result.inputs == names, f"inputs {result.inputs}, Keras has {names}"
        run = session(path)
        for arrays in feeds:
            try:
                wanted = [
                    np.asarray(y) for y in keras.tree.flatten(model(_packed(model, arrays), training=False))
                ]
            except Exception as error:
                raise NotBuilt(f"{type(error).__name__}: {str(error)[:300]}") from error
            got = run.run(None, {n: np.asarray(a) for n, a in zip(names, arrays, strict=True)})
            assert len(got) == len(wanted), f"{len(got)} outputs, Keras gives {len(wanted)}"
            for ours, theirs in zip(got, wanted, strict=True):
                same(ours, theirs, tolerance)
    return result


def run_exported(model: Any, arrays: Sequence[Any], **options: Any) -> list[Any]:
    """Export a model that Keras cannot run here, and return the outputs of ONNX Runtime."""
    with tempfile.TemporaryDirectory() as folder:
        _, path = exported(model, folder, **options)
        run = session(path)
        return list(run.run(None, dict(zip(input_names(model), arrays, strict=True))))


def _packed(model: Any, arrays: Sequence[Any]) -> Any:
    tensors = [keras.ops.convert_to_tensor(a) for a in arrays]
    return keras.tree.pack_sequence_as(model._inputs_struct, tensors)


def same(ours: Any, theirs: Any, tolerance: float | None = None) -> None:
    """Equal types and shapes, and numbers within the tolerance of their type. Raises AssertionError."""
    assert ours.shape == theirs.shape, f"shape {ours.shape}, Keras gives {theirs.shape}"
    if theirs.dtype.kind in "OSU":
        decoded = [s.decode() if isinstance(s, bytes) else s for s in theirs.reshape(-1).tolist()]
        assert ours.reshape(-1).tolist() == decoded
        return
    assert ours.dtype == theirs.dtype, f"dtype {ours.dtype}, Keras gives {theirs.dtype}"
    if theirs.dtype.kind in "iub":
        np.testing.assert_array_equal(ours, theirs)
        return
    limit = tolerance or TOLERANCE.get(theirs.dtype.name, 1e-4)
    np.testing.assert_allclose(ours.astype("float64"), theirs.astype("float64"), rtol=limit, atol=limit)


def draw(rng: np.random.Generator, shape: Sequence[int], dtype: str, low: int = 0, high: int = 2) -> Any:
    """Random numbers of both signs; integers between the limits."""
    if dtype == "string":
        return rng.choice(np.asarray(["a", "b", "c"], object), tuple(shape))
    if "int" in dtype:
        return rng.integers(low, high, shape).astype(dtype)
    if dtype == "bool":
        return rng.random(shape) > 0.5
    return rng.normal(0, 1, shape).astype(dtype)


def layer_model(item: layers_harness.Case, mask: bool = False) -> Any:
    """A model of the inputs and one call of the case's layer; narrow results are widened, as NumPy lacks bfloat16.

    With ``mask`` every input goes through a Masking layer first.
    """
    try:
        layer = item.build()
        inputs = item.inputs()
        tensors = [keras.layers.Masking(0.5)(x) for x in inputs] if mask else inputs
        args, kwargs = item.packed(tensors)
        outputs = keras.tree.map_structure(_widened, layer(*args, **kwargs))
        model = keras.Model(inputs, outputs)
    except Exception as error:
        raise NotBuilt(f"{type(error).__name__}: {str(error)[:300]}") from error
    randomise(model)
    return model


def _widened(y: Any) -> Any:
    return keras.layers.Activation("linear", dtype="float32")(y) if y.dtype == "bfloat16" else y


def check_layer(item: layers_harness.Case, mask: bool = False, **options: Any) -> Exported:
    """Compare one layer. Raises AssertionError where it differs, Refused or NotBuilt where it cannot be compared."""
    model = layer_model(item, mask)
    dtypes = [x.dtype for x in model.inputs]
    feeds = []
    for trial in range(2):
        rng = np.random.default_rng(trial)
        shapes = layers_harness.concrete(item, trial)
        arrays = [draw(rng, s, d, item.low, item.high) for s, d in zip(shapes, dtypes, strict=True)]
        if mask:
            for array in arrays:
                array[:, -1] = 0.5
        feeds.append(arrays)
    narrow = {variable.dtype for variable in model.variables} | set(dtypes) | {y.dtype for y in model.outputs}
    policy = getattr(item.build(), "compute_dtype", "float32")
    limit = max((TOLERANCE.get(str(d), 0) for d in {*narrow, policy}), default=0) or None
    return compare(model, feeds, limit, **options)


def check_op(item: ops_harness.Case, **options: Any) -> Exported:
    """Compare one op. Raises AssertionError where it differs, Refused or NotBuilt where it cannot be compared."""
    takes = item.inputs()
    try:
        # NumPy and ONNX Runtime exchange no bfloat16: such operands and results are cast in the model.
        inputs = [
            keras.Input(batch_shape=s, dtype=_exchanged(d), name=f"x{n}") for n, (s, d) in enumerate(takes)
        ]
        given = [keras.ops.cast(x, d) if x.dtype != d else x for x, (_, d) in zip(inputs, takes, strict=True)]
        outputs = [_widened(y) for y in keras.tree.flatten(item.build(*given)) if y is not None]
        model, _ = ops_harness.serialised(inputs, outputs)
    except Exception as error:
        raise NotBuilt(f"{type(error).__name__}: {str(error)[:300]}") from error
    feeds = [
        [
            _typed(f, _exchanged(d))
            for (f, _), (_, d) in zip(ops_harness.feeds(item, sizes), takes, strict=True)
        ]
        for sizes in ops_harness.FREE
    ]
    narrow = any(d == "bfloat16" for _, d in takes)
    return compare(model, feeds, TOLERANCE["bfloat16"] if narrow else None, **options)


def _exchanged(dtype: str) -> str:
    return "float32" if dtype == "bfloat16" else dtype


def _typed(feed: Any, dtype: str) -> Any:
    array = np.asarray(feed)
    return array.astype(dtype) if array.dtype.kind in "iu" or array.dtype.name == "bfloat16" else array


def tally(items: Sequence[Any], check: Any, **options: Any) -> dict[str, list[str]]:
    """Run many cases. Returns them by ``right``, ``wrong``, ``refused`` and ``not built``, with the reasons."""
    found: dict[str, list[str]] = {"right": [], "wrong": [], "refused": [], "not built": []}
    for number, item in enumerate(items):
        try:
            check(item, **options)
            found["right"].append(str(number))
        except Refused as error:
            found["refused"].append(f"{number}: {error}")
        except NotBuilt as error:
            found["not built"].append(f"{number}: {error}")
        except Exception as error:
            found["wrong"].append(f"{number}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return found


def saved(model: Any, folder: Path) -> Path:
    path = folder / "model.keras"
    model.save(path)
    return path
