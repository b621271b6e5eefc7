"""The options and the result of an export."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ...errors import UsageError, shown
from ...presentation import Presentable, brief, count
from ...trusted import packages

OLDEST_OPSET = 17
# The newest opset that ONNX Runtime 1.31 loads: it has kernels for all its operators and still applies its fusions.
NEWEST_OPSET = 26
# What ``quantize`` can be.
QUANTISED = ("dynamic", "weights")


def weights_beside(path: str | os.PathLike[str]) -> str:
    """The file of the weights of an ONNX file that does not hold them: on request, and always from 2 GiB on."""
    return f"{os.fspath(path)}.data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to export.

    ``opset`` is the operator set, by default the newest, or an older one in which the runtime has a faster operator
    (``passes/fusions.py``); ``batch`` fixes the batch of all inputs; ``external_data`` puts the weights into a file
    beside the model; ``nchw_inputs`` and ``nchw_outputs`` make images channels first there; ``fp16`` computes in half
    precision between float32 inputs and outputs; ``quantize`` stores the weights in 8 bits, and with ``dynamic`` also
    computes products in 8 bits; ``fallback`` names the exporter for models that cannot be exported directly; ``verify``
    compares the result with Keras, with None only where the comparison can run; ``input_names`` and ``output_names``
    replace Keras's names, in the order of ``model.inputs`` and ``model.outputs``; ``states`` makes the states of
    stateful layers inputs and outputs; ``annotate`` writes the type and sizes of every inner tensor, and at every node
    which node of the model it comes from; ``extensions`` allows operators of the package onnxruntime-extensions, which
    a session then has to register.
    """

    opset: int | None = None
    batch: int | None = None
    external_data: bool = False
    fp16: bool = False
    quantize: str | None = None
    nchw_inputs: bool = False
    nchw_outputs: bool = False
    fallback: str | None = None
    verify: bool | None = False
    input_names: Sequence[str] = ()
    output_names: Sequence[str] = ()
    states: bool = False
    annotate: bool = False
    extensions: bool = False

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of all options, as in the library; on the command line with dashes."""
        return tuple(each.name for each in fields(cls))

    def check(self) -> None:
        """Raises UsageError for options that cannot be used."""
        if self.opset is not None and not OLDEST_OPSET <= self.opset <= NEWEST_OPSET:
            raise UsageError(f"opset {self.opset}: must be {OLDEST_OPSET} to {NEWEST_OPSET}")
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"batch {self.batch}: must be at least 1")
        if self.quantize not in (None, *QUANTISED):
            raise UsageError(f"quantize {self.quantize!r}: must be {' or '.join(QUANTISED)}")
        if self.quantize is not None and self.fp16:
            raise UsageError("fp16 and quantize: give one of them")
        if self.fallback not in (None, "tf2onnx"):
            raise UsageError(f"fallback {self.fallback!r}: must be tf2onnx")
        for names in (self.input_names, self.output_names):
            if isinstance(names, str):
                raise UsageError(f"names {names!r}: must be a list, as in ['x', 'y']")
        given = [*self.input_names, *self.output_names]
        twice = next((name for name in given if given.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"two inputs or outputs would have the name {shown(twice)!r}")
        if not all(given):
            raise UsageError("the name of an input or output is empty")


@dataclass(slots=True, repr=False)
class Exported(Presentable):
    """A written ONNX model: its paths, names and counts. ``nodes`` counts operators by type.

    ``verified`` is the comparison with Keras: the largest difference and where it was measured, or why it was skipped;
    None if it was not requested. ``fallback`` is why tf2onnx exported the model, "" if it did not. ``warnings`` are
    sentences on what can differ from Keras, each with the name of its node. ``trust`` are the packages whose code ran.
    """

    path: str
    opset: int
    inputs: list[str]
    outputs: list[str]
    nodes: dict[str, int] = field(default_factory=dict)
    data: str | None = None
    bytes: int = 0
    verified: dict[str, Any] | None = None
    fallback: str = ""
    warnings: list[str] = field(default_factory=list)
    trust: tuple[str, ...] = field(default_factory=packages)

    def _summary(self) -> str:
        return f"{brief(self.path)}: {count(sum(self.nodes.values()), 'node')}, opset {self.opset}"
