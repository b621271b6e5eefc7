"""Writes Keras models as ONNX, straight from the op graph: no TensorFlow, the weights streamed from the archive.

``driver`` walks the calls, ``lowering`` turns each into nodes, ``passes`` simplify the graph, ``write`` writes it.
"""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ...errors import UnsupportedError, UnverifiedError, shown
from ...files.atomic import staged
from ...files.digest import sha256
from ...formats.model_file import ModelFile
from ...progress import stage
from .options import NEWEST_OPSET, OLDEST_OPSET, Exported, Options, weights_beside

__all__ = ["NEWEST_OPSET", "OLDEST_OPSET", "Exported", "Options", "export", "exporting"]


def export(
    source: ModelFile,
    target: str | os.PathLike[str],
    options: Options | None = None,
    metadata: Mapping[str, str] | None = None,
    unable: str = "",
) -> Exported:
    """Write an opened model as ONNX.

    Args:
        metadata: entries for the file's metadata, in addition to the hash of the source.
        unable: why the model cannot be exported here, if known: only the fallback can then export it.

    Raises:
        UsageError: an option has an invalid value.
        UnsupportedError: a part of the model, named with the reason, has no ONNX form. Nothing is written.
        VerificationError: the result differs from Keras, or a pass changes the graph forever. Nothing is written.
        UnverifiedError: ``verify`` is True, and the comparison with Keras cannot run. Nothing is written.
        OutputError: the target cannot be written.
    """
    with exporting(source, target, options, metadata, unable) as exported:
        return exported


@contextmanager
def exporting(
    source: ModelFile,
    target: str | os.PathLike[str],
    options: Options | None = None,
    metadata: Mapping[str, str] | None = None,
    unable: str = "",
) -> Iterator[Exported]:
    """As ``export``; the files get their names when the block succeeds and are deleted otherwise."""
    options = options or Options()
    options.check()
    if importlib.util.find_spec("onnx") is None:
        raise UnsupportedError("writing ONNX needs the package onnx: pip install 'rewriter[onnx]'")
    notes = {"source_sha256": sha256(source.path), **(metadata or {})}
    with staged(target) as path:
        stage("exporting")
        try:
            if unable:
                raise UnsupportedError(unable)
            exported = _written(source, path, options, notes)
        except UnsupportedError as error:
            if options.fallback is None:
                raise
            from .fallback import by_tf2onnx

            exported = by_tf2onnx(source, path, options, notes, str(error))
        if options.verify is not False:
            stage("comparing with Keras")
            from ...proof.exported import verified

            exported.verified = verified(
                source, path, notes, batch=options.batch, half=options.fp16, quantize=options.quantize
            )
            if options.verify and "skipped" in exported.verified:
                raise UnverifiedError(exported.verified["skipped"])
        exported.path = os.fspath(target)
        exported.data = weights_beside(target) if exported.data is not None else None
        yield exported


def _written(source: ModelFile, path: str, options: Options, notes: dict[str, str]) -> Exported:
    from ...formats.onnx.names import CONTRIB
    from ...version import __version__
    from .driver import Driver
    from .passes import HALF, QUANTISE, optimise
    from .write import write_model

    builder = Driver(source.variables(), options, source.asset).model(source.graph)
    optimise(builder)
    if options.fp16:
        optimise(builder, HALF)
    if options.quantize is not None:
        optimise(builder, QUANTISE[options.quantize])
    notes.update(builder.metadata)
    graph = builder.graph
    if any(node.domain == CONTRIB for _, node in graph.walk()):
        notes["needs"] = "onnxruntime-extensions"
    producer = ("rewriter", __version__)
    try:
        data = write_model(
            graph, path, builder.opset, notes, producer, options.external_data, options.annotate
        )
    except UnicodeEncodeError as error:  # JSON can hold half of a surrogate pair
        raise UnsupportedError(f"{shown(error.object)!r} is not Unicode text, which ONNX needs") from None
    return Exported(
        path,
        builder.opset,
        [t.name for t in graph.inputs],
        [t.name for t in graph.outputs],
        dict(Counter(node.op_type for _, node in graph.walk())),
        data,
        os.path.getsize(path) + (os.path.getsize(data) if data is not None else 0),
        warnings=builder.warnings,
    )
