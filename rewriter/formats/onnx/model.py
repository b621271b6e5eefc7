"""An ONNX file: its graph, and a copy that changes only the repaired nodes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any

from ...errors import BadFileError, UnsupportedError
from ...files.atomic import atomic_write
from ...files.regular import read_regular
from ...files.used import uses
from ..model_file import Remark
from ..variables import Variables
from .names import external
from .reader import Source, read
from .spelling import spell
from .writer import repaired

# Protobuf has no messages of 2 GiB or more; larger models keep their weights in other files.
_MAX_SIZE = 2**31 - 1
_BROKEN = "not an ONNX model, or a damaged one"


class OnnxModel:
    """An ``.onnx`` file opened for reading; weights in other files are not read.

    Raises:
        BadFileError: not an ONNX model, damaged, or it contradicts itself.
        UnsupportedError: an opset before 7, which has other broadcasting rules, or newer than the installed onnx;
            the package onnx is missing.
    """

    format = "onnx"
    saved_by = ""
    older = outdated = False
    remarks = ()
    out_of_order = ""
    spell = staticmethod(spell)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        proto = _load(self.path)
        uses(_weights(self.path, proto))  # also those of a model that is refused below
        self.source: Source = read(proto)
        self.graph = self.source.graph

    def training_remarks(self, form: str) -> Sequence[Remark]:
        """Nothing: the file holds no training state."""
        return ()

    def check_newest(self) -> None:
        """Nothing to check: the file has no Keras constructs."""

    def load_weights(self) -> None:
        """Nothing to load: the graph already has the shapes of the tensors."""

    def variables(self) -> Variables:
        """Raises UnsupportedError: an ONNX model is not exported to ONNX."""
        raise UnsupportedError("it is an ONNX model already")

    def parameter_counts(self) -> None:
        """None: an ONNX file does not record which initializers are weights."""

    def beside(self) -> list[str]:
        """The files that hold its external data."""
        return _weights(self.path, self.source.proto)

    def asset(self, name: str) -> bytes:
        """An ONNX model has no assets. Raises BadFileError."""
        raise BadFileError("an ONNX model has no assets")

    def close(self) -> None:
        pass

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the model with its current graph; the same bytes if nothing changed.

        Raises:
            UnsupportedError: the weights are in other files, and the target is in another directory.
            OutputError: the target cannot be written.
        """
        self._check_weights(target)
        changed = any(node.changed for node in self.graph.nodes.values())
        with atomic_write(target) as stream:
            if changed:
                stream.write(repaired(self.source).SerializeToString())
                return
            with open(self.path, "rb") as file:
                shutil.copyfileobj(file, stream, 1 << 20)

    def _check_weights(self, target: str | os.PathLike[str]) -> None:
        """Raises UnsupportedError for a target in another directory than the weights, whose paths are relative."""
        beside = external(self.source.proto)
        if beside and os.path.realpath(os.path.dirname(target) or ".") != os.path.realpath(
            os.path.dirname(self.path) or "."
        ):
            raise UnsupportedError(
                f"its weights are in other files ({len(beside)}): write the model into the same directory"
            )


def _weights(path: str, proto: Any) -> list[str]:
    """The files that hold the external data of a model."""
    return [os.path.join(os.path.dirname(path), name) for name in external(proto)]


def _load(path: str) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError:
        raise UnsupportedError("reading ONNX needs the package onnx: pip install 'rewriter[onnx]'") from None
    try:
        data = read_regular(path, _MAX_SIZE)
        if not data:
            raise BadFileError("the file is empty")
        proto = onnx.ModelProto.FromString(data)
    except DecodeError:
        raise BadFileError(_BROKEN) from None
    if not proto.HasField("graph") or not proto.opset_import:
        raise BadFileError(_BROKEN)
    return proto
