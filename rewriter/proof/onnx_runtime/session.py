"""A model in ONNX Runtime that also returns inner tensors, and its inputs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...formats.onnx.names import CONTRIB
from ...formats.onnx.reader import Source
from ..blame import line
from ..feeds import Feeds
from ..running import Arrays, FailedError, RefusedError, Running
from ..runtimes import installed
from .extensions import PACKAGE, session_options


class Session(Running):
    """A model in ONNX Runtime.

    Args:
        wanted: inner tensors that it returns with its outputs.

    Raises:
        RefusedError: ONNX Runtime does not load the model.
    """

    def __init__(self, path: str, source: Source, wanted: Sequence[str] = ()) -> None:
        proto = source.proto
        self.outputs = [value.name for value in proto.graph.output]
        inputs = {value.name for value in proto.graph.input}
        more = [name for name in wanted if name not in inputs and name not in self.outputs]
        self.names = [*self.outputs, *more]
        extensions = any(each.domain == CONTRIB for each in proto.opset_import) and installed(PACKAGE)
        data = _probed(proto, more) if more else None
        self.session = _opened(path, extensions, data)
        described = [(i.name, i.type, list(i.shape or [])) for i in self.session.get_inputs()]
        self.feeds = Feeds.of(source.graph, described)
        if not any("batch" in node.operation.config for node in source.graph.nodes.values()):
            leading = [replace(i, batch=0 if i.names else None) for i in self.feeds.inputs]
            self.feeds.inputs = leading  # the reader found no batch axis

    def run(self, given: Arrays) -> Arrays:
        """The outputs and the wanted inner tensors, by name. Raises FailedError."""
        try:
            return dict(zip(self.names, self.session.run(self.names, given), strict=True))
        except Exception as error:
            raise FailedError(line(error)) from None

    @property
    def squared(self) -> bool:
        """Whether an input has the batch along two axes. Then no part of it belongs to one sample."""
        return any(
            item.names.count(item.names[item.batch]) > 1
            for item in self.feeds.inputs
            if item.batch is not None and isinstance(item.names[item.batch], str)
        )


def _probed(proto: Any, more: Sequence[str]) -> bytes:
    """The model with more outputs."""
    copy = type(proto)()
    copy.CopyFrom(proto)
    for name in more:
        copy.graph.output.add().name = name
    return bytes(copy.SerializeToString())


def _opened(path: str, extensions: bool, data: bytes | None) -> Any:
    """A session of a file, or of ``data`` in its place, with weights in other files of the same folder.

    Args:
        extensions: register the operators of onnxruntime-extensions.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = session_options(extensions)
    if data is not None:
        folder = os.path.dirname(os.path.abspath(path))
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    try:
        return onnxruntime.InferenceSession(data or path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise RefusedError(line(error, path)) from None
