"""``--fallback tf2onnx``: Keras's own export, in a separate process, ``python -m rewriter.export.onnx.fallback``.

For a SavedModel without a Keras model, tf2onnx converts the signature: TensorFlow loads the functions of the file and
runs no Python code from it.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import UnsupportedError, shown
from ...formats.model_file import ModelFile
from ...proof.child import run_in_child, serve
from ...proof.request import cannot_be_run
from ...proof.runnable import runnable
from ...proof.runtimes import needs
from .options import Exported, Options

_NEEDED = ("tensorflow", "keras", "tf2onnx")
_NEWEST_OPSET = 18  # of tf2onnx 1.17
# Options that tf2onnx has, that it can ignore, or that are not for the exporter.
_OWN_OPTIONS = frozenset({"opset", "fallback", "verify", "extensions"})
_HERE = f"{__package__}.fallback"
_SAVED_MODEL = "savedmodel"
_OUTSIDE = re.compile(
    "PyFunc|File|Reader|Dataset|Restore"
)  # operators that run Python code or read other files
_TIMEOUT = 3600.0
_MEMORY = 64 << 30  # EfficientNetV2-L takes 16 GB


def by_tf2onnx(
    source: ModelFile, path: str, options: Options, notes: Mapping[str, str], reason: str
) -> Exported:
    """Export the whole model with tf2onnx, through Keras or from a SavedModel's signature.

    Args:
        reason: why the direct export fails.

    Raises:
        UnsupportedError: tf2onnx cannot be used, or does not export it either.
    """
    asked = [name for name in Options.names() if name not in _OWN_OPTIONS and getattr(options, name)]
    if asked:
        option = "--" + asked[0].replace("_", "-")
        raise UnsupportedError(f"{reason}; tf2onnx cannot take over, as it has no {option}")
    served = source if source.format == _SAVED_MODEL else getattr(source, "served_by", None)
    code = "" if served is not None else cannot_be_run(source.format, source.graph)
    if code:
        raise UnsupportedError(f"{reason}; tf2onnx cannot take over: {code}")
    opset = min(options.opset or _NEWEST_OPSET, _NEWEST_OPSET)
    request = {"target": os.path.abspath(path), "opset": opset}
    if served is not None:
        answer = _of_signature(served, request, reason)
    else:
        needed = needs(*_NEEDED, KERAS_BACKEND="tensorflow")
        with runnable(source) as (model, _):
            answer = run_in_child(_HERE, needed, {**request, "model": model}, _MEMORY, _TIMEOUT)
    if "opset" not in answer:
        why = answer.get("failed") or answer.get("skipped")
        raise UnsupportedError(f"{reason}; tf2onnx cannot take over: {why}")
    import onnx

    model = onnx.load(path)
    for key, value in {**notes, "exported_by": "tf2onnx", "not_exported_directly": reason}.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    counts = Counter(node.op_type for node in model.graph.node)
    return Exported(
        path,
        opset,
        [value.name for value in model.graph.input],
        [value.name for value in model.graph.output],
        dict(counts),
        bytes=os.path.getsize(path),
        fallback=reason,
    )


def _of_signature(source: Any, request: dict[str, Any], reason: str) -> dict[str, Any]:
    """The answer of the process for a SavedModel. Raises UnsupportedError where it has
    no signature to export or reads other files."""
    try:
        name = source.signature()
    except UnsupportedError as error:
        raise UnsupportedError(f"{reason}; tf2onnx cannot take over: {error}") from None
    outside = sorted(
        {
            node.op
            for unit in source.source.units.values()
            for node in unit.nodes.values()
            if _OUTSIDE.search(node.op)
        }
    )
    if outside:
        raise UnsupportedError(f"{reason}; tf2onnx cannot take over: it reads files ({shown(outside[0])})")
    request = {**request, "saved_model": os.path.abspath(source.path), "signature": name}
    return run_in_child(_HERE, needs("tensorflow", "tf2onnx"), request, _MEMORY, _TIMEOUT)


def main() -> int:
    """Answer the request on standard input."""
    return serve(_exported)


def _exported(request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    if "signature" in request:
        return _exported_signature(request)
    import keras

    try:
        model = keras.saving.load_model(request["model"], compile=False, safe_mode=True)
        # Without a signature Keras 3.15 refuses a model that was loaded and never called.
        model.export(
            request["target"],
            format="onnx",
            verbose=False,
            input_signature=model.inputs if isinstance(model, keras.Sequential) else [model.input],
            opset_version=request["opset"],
        )
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {shown(error)}"}
    return {"opset": request["opset"]}


def _exported_signature(request: dict[str, Any]) -> dict[str, Any]:
    from tf2onnx import convert

    sys.argv = [
        *("tf2onnx", "--saved-model", request["saved_model"], "--signature_def", request["signature"]),
        *("--opset", str(request["opset"]), "--output", request["target"]),
    ]
    try:
        convert.main()
    except (Exception, SystemExit) as error:
        return {"failed": f"{type(error).__name__}: {shown(error)}"}
    return (
        {"opset": request["opset"]} if os.path.getsize(request["target"]) else {"failed": "it wrote nothing"}
    )


if __name__ == "__main__":
    sys.exit(main())
