"""Compare a model that was made from a signature of a SavedModel with the signature, run by TensorFlow.

Both run in a separate process (``python -m rewriter.proof.served``); loading a SavedModel runs no Python code from it.
Keras or ONNX Runtime runs the new model.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import UnsupportedError, VerificationError, shown
from ..formats.model_file import ModelFile
from . import limits
from .blame import line
from .child import run_in_child, serve
from .keras.inputs import FREE_SIZES, Inputs
from .onnx_runtime.extensions import packages, session_options
from .outputs import MOST, furthest, turned
from .runtimes import keras_needs, needs

_SMALL = 2  # numbers below it are valid rows of every table
_TABLE = "Embedding"


def signature_of(source: ModelFile) -> dict[str, Any] | None:
    """The signature that a model was made from, with the names of its inputs and outputs; None for another model.

    The names are None for a SavedModel itself, which another program exports.
    """
    served = getattr(source, "served", None)
    if served is not None:
        sizes = [
            size
            for operation in source.graph.operations.values()
            if operation.class_name == _TABLE and isinstance(size := operation.config.get("input_dim"), int)
        ]
        limit = min(sizes, default=8)
        return {
            "signature": served.name,
            "inputs": list(served.inputs),
            "outputs": list(served.outputs),
            "limit": limit,
        }
    name = getattr(source, "signature", None)
    if name is None:
        return None
    try:
        return {"signature": name(), "inputs": None, "outputs": None, "limit": _SMALL}
    except UnsupportedError:
        return None


def compared(
    source: ModelFile,
    asked: Mapping[str, Any],
    path: str,
    form: str,
    batches: Sequence[int],
    half: bool = False,
    nchw: Sequence[str] = (),
    allowed: float = 0.0,
    extensions: bool = False,
) -> dict[str, Any]:
    """``{"difference": part of the largest value, "batches": [1, 3], "ran": text …}``, or ``{"skipped": why}``.

    Args:
        asked: the result of ``signature_of``.
        path, form: the file that was written, and its format.
        half: whether it computes in half precision.
        nchw: the inputs and outputs that are channels first there, and channels last in the original.
        allowed: the part of the largest value that they may differ by, where it is more than rounding.
        extensions: whether the file has operators of onnxruntime-extensions.

    Raises:
        VerificationError: the two differ by more than rounding, or the new one does not load.
    """
    request = {
        **asked,
        "model": os.path.abspath(source.path),
        "made": os.path.abspath(path),
        "form": form,
        "batches": list(batches),
        "half": half,
        "nchw": list(nchw),
        "allowed": allowed,
        "extensions": extensions,
    }
    needed = needs("tensorflow", *packages(extensions)) if form == "onnx" else keras_needs("tensorflow")
    size = limits.memory((source.path, path)) + MOST
    answer = run_in_child(f"{__package__}.served", needed, request, size)
    if "failed" in answer:
        raise VerificationError(f"the new model is not what its signature computes: {answer['failed']}")
    return answer


def main() -> int:
    """Answer the request on standard input."""
    return serve(_compared)


def _compared(request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from .running import RefusedError
    from .tensorflow.functions import function_at, loaded

    try:
        made: Any = (_OnnxModel if request["form"] == "onnx" else _KerasModel)(request)
    except Exception as error:
        return {"failed": f"it does not load: {line(error, request['made'])}"}
    import tensorflow as tf

    try:
        original = function_at(loaded(request["model"]), ("signatures", request["signature"]), 0)
        inputs = _Inputs(original.structured_input_signature[1], request)
    except (RefusedError, ValueError) as error:
        return {"skipped": f"the original: {line(error)}"}
    dtype = "float16" if request["half"] else "float32"
    largest = 0.0
    batches = [inputs.fixed] if inputs.fixed is not None else request["batches"]
    for batch in batches:
        try:
            given, found = _by_original(original, inputs, batch, batch == batches[0])
        except Exception as error:
            return {"skipped": f"the original does not run on random inputs: {line(error)}"}
        try:
            got = made.run(given)
        except Exception as error:
            return {"failed": f"{made.ran} does not run it at batch {batch}: {line(error)}"}
        wanted = {name: found[name] for name in request["outputs"] or sorted(found)}
        if len(got) != len(wanted):
            return {
                "failed": f"the outputs differ in number: {len(got)}, not {len(wanted)} as in the signature"
            }
        ours = got if set(got) == set(wanted) else dict(zip(wanted, got.values(), strict=True))
        outputs = (
            (f"output {shown(name)!r} at batch {batch}", ours[name], theirs)
            for name, theirs in wanted.items()
        )
        difference, off = furthest(outputs, dtype, request["allowed"])
        if off:
            return {"failed": off}
        largest = max(largest, difference)
    ran = f"TensorFlow {tf.__version__} and {made.ran}"
    answer = {"difference": largest, "batches": batches, "ran": ran, "against": "TensorFlow"}
    return {**answer, "allowed": request["allowed"]} if request["allowed"] else answer


class _Inputs(Inputs):
    """The inputs of a signature. Raises ValueError for an unknown rank or another dtype."""

    def __init__(self, specs: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        self.names = list(request["inputs"] or specs)
        found = [specs[name] for name in self.names]
        if any(spec.shape.rank is None for spec in found):
            raise ValueError("an input has an open rank")
        self.dtypes = [spec.dtype.name for spec in found]
        if not set(self.dtypes) <= {"bool", "float16", "float32", "float64", "int32", "int64"}:
            raise ValueError("an input does not hold numbers")
        self.indices = [False for _ in found]
        self.shapes = [tuple(spec.shape) for spec in found]
        leading = [shape[0] for shape in self.shapes if shape]
        sizes = set(leading)
        self.fixed = leading[0] if len(sizes) == 1 and leading[0] is not None else None
        self.free = any(size is None for shape in self.shapes for size in shape[1:])
        self.limit, self.size = request["limit"], FREE_SIZES[0]


def _by_original(
    original: Any, inputs: _Inputs, batch: int, first: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Random inputs of a batch, and the outputs of the signature.

    The first batch finds the size of open axes, and whether the inputs are row numbers.
    """
    import tensorflow as tf

    sizes = FREE_SIZES if inputs.free and first else (inputs.size,)
    attempts = [(whole, size) for whole in (False, True) for size in sizes] if first else [None]
    for attempt in attempts:
        if attempt is not None:
            whole, inputs.size = attempt
            inputs.indices = [whole for _ in inputs.shapes]
        given = dict(zip(inputs.names, inputs.batch(list(range(batch))), strict=True))
        try:
            found = original(**{name: tf.constant(array) for name, array in given.items()})
        except Exception:
            if attempt == attempts[-1]:
                raise
        else:
            return given, {name: tensor.numpy() for name, tensor in found.items()}
    raise AssertionError("there is nothing to try")


class _KerasModel:
    def __init__(self, request: Mapping[str, Any]) -> None:
        from .keras.backends import described
        from .keras.models import load

        self.model, self.ran = load(request["made"], request["form"]), described()

    def run(self, given: Mapping[str, Any]) -> dict[str, Any]:
        import keras

        from .keras.backends.eager import tensors
        from .keras.models import call

        found = call(self.model, tensors(self.model, list(given.values())))
        return {str(number): keras.ops.convert_to_numpy(y) for number, y in enumerate(found)}


class _OnnxModel:
    def __init__(self, request: Mapping[str, Any]) -> None:
        import onnxruntime

        options = session_options(request["extensions"])
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            request["made"], options, providers=["CPUExecutionProvider"]
        )
        self.nchw = request["nchw"]
        self.ran = f"ONNX Runtime {onnxruntime.__version__}"

    def run(self, given: Mapping[str, Any]) -> dict[str, Any]:

        names = [x.name for x in self.session.get_inputs()]
        named = given if set(names) <= set(given) else dict(zip(names, given.values(), strict=True))
        feeds = {name: turned(named[name], name in self.nchw, True) for name in names}
        outputs = [y.name for y in self.session.get_outputs()]
        found = zip(outputs, self.session.run(outputs, feeds), strict=True)
        return {name: turned(array, name in self.nchw, False) for name, array in found}


if __name__ == "__main__":
    sys.exit(main())
