"""``--verify``: compare ONNX Runtime on the written file with Keras on the model, on the same random inputs.

Both run in a separate process (``python -m rewriter.proof.exported``); the model is loaded in safe mode.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from ..errors import VerificationError, shown
from ..formats.model_file import ModelFile
from ..ir.graph import Graph
from . import limits, served
from .blame import line
from .child import run_in_child, serve
from .feeds import dtype_of
from .keras.inputs import Inputs
from .onnx_runtime.extensions import packages, session_options
from .onnx_runtime.values import run
from .outputs import MOST, furthest, on_random_inputs, turned
from .request import cannot_be_run
from .runnable import runnable
from .runtimes import Needs, keras_needs, needs

BATCHES = (2, 3)
# The part of the largest value that results may be off by where weights, or operands too, have 8 bits.
ALLOWED = {"weights": 0.05, "dynamic": 0.1}
# Where Keras itself quantises operands: rounding of float32 before it can move one of them by a step.
_STEPS = 0.02


def verified(
    source: ModelFile,
    path: str,
    notes: Mapping[str, str],
    *,
    batch: int | None,
    half: bool,
    quantize: str | None,
) -> dict[str, Any]:
    """``{"difference": part of the largest value, "batches": [2, 3]}``, or ``{"skipped": why}``.

    ``allowed`` is the part of the largest value that they may differ by, where it is more than rounding.

    Args:
        notes: the metadata of the file, which name its channels-first inputs and outputs, and what it needs.
        batch: the batch that the file was written for, if it is fixed.
        half: the file computes in float16.
        quantize: what of it has 8 bits, ``"weights"`` or ``"dynamic"``.

    Raises:
        VerificationError: the two differ by more than rounding, or than is allowed.
    """
    nchw, extensions = _noted(notes, "nchw_inputs", "nchw_outputs"), "needs" in notes
    batches = list(BATCHES) if batch is None else [batch]
    allowed = 0.0 if quantize is None else ALLOWED[quantize]
    asked = served.signature_of(source)
    if asked is not None:
        return served.compared(source, asked, path, "onnx", batches, half, nchw, allowed, extensions)
    reason = cannot_be_run(source.format, source.graph)
    if reason:
        return {"skipped": reason}
    with runnable(source) as (model, form):
        request = {
            "model": model,
            "format": form,
            "saved_by": source.saved_by,
            "onnx": os.path.abspath(path),
            "batches": batches,
            "half": half,
            "nchw": nchw,
            "states": _noted(notes, "state_inputs", "state_outputs"),
            "allowed": allowed,
            "extensions": extensions,
        }
        size = limits.memory((model, path), stored=form != "json") + MOST
        answer = run_in_child(f"{__package__}.exported", _needs(source.graph, extensions), request, size)
    if "failed" in answer:
        raise VerificationError(f"the exported model is not what Keras computes: {answer['failed']}")
    return answer


def _needs(graph: Graph, extensions: bool) -> Needs:
    """What the comparison needs. Texts are tensors in TensorFlow alone."""
    if any(graph.nodes[ref.node].operation.config.get("dtype") == "string" for ref in graph.input_refs()):
        return needs("keras", "tensorflow", *packages(extensions), KERAS_BACKEND="tensorflow")
    return keras_needs(*packages(extensions))


def _noted(notes: Mapping[str, str], *keys: str) -> list[str]:
    return [name for key in keys for name in notes.get(key, "").split("\n") if name]


def main() -> int:
    """Answer the request on standard input."""
    return serve(_compared)


def _compared(request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    import onnxruntime

    options = session_options(request["extensions"])
    options.log_severity_level = 3
    # First, before Keras uses memory: a file that ONNX Runtime refuses needs no Keras.
    try:
        session = onnxruntime.InferenceSession(request["onnx"], options, providers=["CPUExecutionProvider"])
    except Exception as error:
        return {"failed": f"ONNX Runtime does not load it: {line(error)}"}
    from .keras.backends import described
    from .keras.models import load
    from .tolerance import coarsest

    try:
        model = load(request["model"], request["format"])
    except Exception as error:
        saved = f", saved by {request['saved_by']}" if request["saved_by"] else ""
        return {"skipped": f"{described()} does not load the model{saved}: {line(error)}"}
    try:
        inputs = Inputs(model, texts=True)
    except ValueError as error:
        return {"skipped": str(error)}
    allowed = max(request["allowed"], _STEPS if any(map(_rounds, model._flatten_layers())) else 0.0)
    dtype = coarsest([str(layer.compute_dtype) for layer in model._flatten_layers()])
    dtype = "float16" if request["half"] and dtype != "bfloat16" else dtype
    states = {x.name: x for x in session.get_inputs() if x.name in request["states"]}
    given = [x.name for x in session.get_inputs() if x.name not in states]
    made = [y.name for y in session.get_outputs() if y.name not in request["states"]]
    largest = 0.0
    batches = [inputs.fixed] if inputs.fixed is not None else request["batches"]
    for batch in batches:
        try:
            arrays, wanted = on_random_inputs(inputs, batch, batch == batches[0], partial(_run, model))
        except Exception as error:
            return {"skipped": f"Keras does not run it on random inputs: {line(error)}"}
        feeds = {n: turned(a, n in request["nchw"], True) for n, a in zip(given, arrays, strict=True)}
        feeds |= {name: _zeros(x) for name, x in states.items()}
        try:
            got = run(session, made, feeds)
        except Exception as error:
            return {"failed": f"ONNX Runtime does not run it at batch {batch}: {line(error)}"}
        outputs = (
            (f"{shown(name)!r} at batch {batch}", turned(ours, name in request["nchw"], False), theirs)
            for name, ours, theirs in zip(made, got, wanted, strict=True)
        )
        difference, off = furthest(outputs, dtype, allowed)
        if off:
            return {"failed": off}
        largest = max(largest, difference)
    answer = {"difference": largest, "batches": batches, "ran": described()}
    return {**answer, "allowed": allowed} if allowed else answer


def _rounds(layer: Any) -> bool:
    """Whether a layer of Keras quantises its operand."""
    return layer.quantization_mode == "float8" or getattr(layer, "inputs_quantizer", None) is not None


def _zeros(x: Any) -> Any:
    """The state with which Keras begins, for an input of a session; a stateful layer has a fixed batch."""
    import numpy as np

    return np.zeros(x.shape, dtype_of(x.type))


def _run(model: Any, arrays: list[Any]) -> list[Any]:
    import keras

    from .keras.backends.eager import tensors
    from .keras.models import call

    with _plain_sums():
        return [_decoded(keras.ops.convert_to_numpy(y)) for y in call(model, tensors(model, arrays))]


def _decoded(array: Any) -> Any:
    """The array; texts, which TensorFlow gives as bytes, as text."""
    import numpy as np

    return np.char.decode(array.astype(np.bytes_), "utf-8") if array.dtype.kind == "O" else array


@contextmanager
def _plain_sums() -> Iterator[None]:
    """Make Keras's ``add`` broadcast as NumPy does.

    On TensorFlow, Keras 3.15 treats the second operand of ``add`` as a bias if only one of its axes is longer than 1.
    It may then add it along another axis of that size: ``x[3, 3, 5] + y[3, 1, 1]`` (backend/tensorflow/numpy.py).
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        yield
        return
    numpy = keras.src.backend.numpy
    found = numpy.add

    def add(x1: Any, x2: Any) -> Any:
        if len(getattr(x1, "shape", ())) < 2 or len(getattr(x2, "shape", ())) < 2:
            return found(x1, x2)
        with suppress(TypeError, ValueError):
            return numpy.subtract(x1, numpy.negative(x2))
        return found(x1, x2)

    numpy.add = add
    try:
        yield
    finally:
        numpy.add = found


if __name__ == "__main__":
    sys.exit(main())
