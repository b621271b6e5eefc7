"""Compare a converted model with its source: both run on the same random inputs, each in the Keras of its file.

Both run in a separate process (``python -m rewriter.proof.converted``); files of Keras 2 are loaded by tf_keras.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import VerificationError
from ..formats.model_file import ModelFile
from . import limits, served
from .blame import line
from .child import run_in_child, serve
from .keras.inputs import Inputs
from .outputs import MOST, furthest, on_random_inputs
from .request import cannot_be_run
from .runtimes import keras_needs

BATCHES = (1, 3)
_TF_KERAS = "tf_keras"


def compared(source: ModelFile, path: str, form: str) -> dict[str, Any]:
    """``{"difference": part of the largest value, "batches": [1, 3], "ran": text}``, or ``{"skipped": why}``.

    Args:
        path, form: the file that was written, and its format.

    Raises:
        VerificationError: the two differ by more than rounding, or the new one does not load.
    """
    if form == "json":
        return {"skipped": "a configuration holds no weights"}
    reason = cannot_be_run(form, source.graph)
    if reason:
        return {"skipped": reason}
    if source.out_of_order:
        return {
            "skipped": "Keras would load the weights of the original into other layers than the file names"
        }
    asked = served.signature_of(source)
    if asked is not None:
        return served.compared(source, asked, path, form, BATCHES)
    weights = source.beside() if source.format == "json" else []
    request = {
        "model": os.path.abspath(source.path),
        "format": source.format,
        "weights": os.path.abspath(weights[0]) if weights else "",
        "old": source.older,
        "made": os.path.abspath(path),
        "form": form,
    }
    size = limits.memory((source.path, path, *weights)) + MOST
    needs = keras_needs(*((_TF_KERAS, "tensorflow") if source.older else ()))
    answer = run_in_child(f"{__package__}.converted", needs, request, size)
    if "failed" in answer:
        raise VerificationError(f"the converted model is not what the original computes: {answer['failed']}")
    return answer


def in_own_keras(written: ModelFile, path: str, form: str, source: ModelFile) -> dict[str, Any]:
    """As ``compared``, for a model that was written for an older Keras, and its translation to Keras 3.

    Args:
        written: the model that was written.
        path, form: the translation, and its format.
        source: the model before the repair. It is a failure if the older Keras loads it, but not the written model.

    Raises:
        VerificationError: as ``compared``.
    """
    if form == "json":
        return {"skipped": "a configuration holds no weights"}
    request = {
        "model": os.path.abspath(written.path),
        "format": written.format,
        "weights": "",
        "old": True,
        "made": os.path.abspath(path),
        "form": form,
        "before": os.path.abspath(source.path),
    }
    size = limits.memory((written.path, path, source.path)) + MOST
    answer = run_in_child(f"{__package__}.converted", keras_needs(_TF_KERAS, "tensorflow"), request, size)
    if "failed" in answer:
        raise VerificationError(f"the repaired model is not what was proven: {answer['failed']}")
    return answer


def main() -> int:
    """Answer the request on standard input."""
    return serve(_compared)


def _compared(request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from .keras.backends import described
    from .keras.models import load
    from .tolerance import coarsest

    try:
        original, run, ran = _original(request)
    except Exception as error:
        if "before" not in request:
            return {"skipped": f"the original does not load: {line(error)}"}
        if _loads({**request, "model": request["before"]}):
            return {"failed": f"tf_keras loads the original, but not this file: {line(error)}"}
        return {"skipped": f"tf_keras does not load the repaired file, nor the original: {line(error)}"}
    try:
        made = load(request["made"], request["form"])
    except Exception as error:
        return {"failed": f"{described()} does not load it: {line(error)}"}
    try:
        inputs = Inputs(made)
    except ValueError as error:
        return {"skipped": str(error)}
    dtype = coarsest([str(layer.compute_dtype) for layer in made._flatten_layers()])
    largest = 0.0
    batches = [inputs.fixed] if inputs.fixed is not None else list(BATCHES)
    for batch in batches:
        try:
            arrays, wanted = on_random_inputs(inputs, batch, batch == batches[0], partial(run, original))
        except Exception as error:
            which = "repaired file" if "before" in request else "original"
            return {"skipped": f"the {which} does not run on random inputs: {line(error)}"}
        try:
            got = _by_keras_3(made, arrays)
        except Exception as error:
            return {"failed": f"{described()} does not run it at batch {batch}: {line(error)}"}
        if len(got) != len(wanted):
            return {"failed": f"the outputs differ in number: {len(got)}, not {len(wanted)}"}
        outputs = (
            (f"output {number} at batch {batch}", ours, theirs)
            for number, (ours, theirs) in enumerate(zip(got, wanted, strict=True))
        )
        difference, off = furthest(outputs, dtype)
        if off:
            return {"failed": off}
        largest = max(largest, difference)
    both = f"{ran} for both" if ran == described() else f"{ran} and {described()}"
    return {"difference": largest, "batches": batches, "ran": both}


def _loads(request: dict[str, Any]) -> bool:
    try:
        _original(request)
    except Exception:
        return False
    return True


Run = Callable[[Any, list[Any]], list[Any]]


def _original(request: dict[str, Any]) -> tuple[Any, Run, str]:
    """The original model, the function that runs it, and the name and version of its Keras."""
    from .keras.backends import described
    from .keras.models import load

    path, weights = request["model"], request["weights"]
    if not request["old"]:
        model = load(path, request["format"])
        if weights:
            model.load_weights(weights)
        return model, _by_keras_3, described()
    import tf_keras

    if request["format"] == "json":
        with open(path, encoding="utf-8-sig") as file:
            model = tf_keras.models.model_from_json(file.read())
        if weights:
            model.load_weights(weights)
    else:
        model = tf_keras.models.load_model(path, compile=False)
    return model, _by_tf_keras, f"tf_keras {tf_keras.__version__}"


def _by_keras_3(model: Any, arrays: list[Any]) -> list[Any]:
    import keras

    from .keras.backends.eager import tensors
    from .keras.models import call

    return [keras.ops.convert_to_numpy(y) for y in call(model, tensors(model, arrays))]


def _by_tf_keras(model: Any, arrays: list[Any]) -> list[Any]:
    import tensorflow as tf

    if model.inputs is None:  # a subclassed model, which does not state the structure of its inputs
        given = [tf.convert_to_tensor(array) for array in arrays]
        packed = tuple(given) if len(given) > 1 else given[0]
    else:
        given = [tf.convert_to_tensor(a, dtype=x.dtype) for a, x in zip(arrays, model.inputs, strict=True)]
        structure = model.input if not isinstance(model.input, list) or len(given) > 1 else [model.input[0]]
        packed = tf.nest.pack_sequence_as(structure, given)
    outputs = model(packed, training=False)
    return [y.numpy() for y in tf.nest.flatten(outputs)]


if __name__ == "__main__":
    sys.exit(main())
