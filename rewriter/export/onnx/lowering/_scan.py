"""Loops over the steps of tensors, as the operator Scan (ONNX's Operators.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..emitter import Emitter
from ..graph import Tensor

# ``step(states, *elements) -> states, results``
Step = Callable[..., tuple[list[Tensor], list[Tensor]]]


def scanned(
    call: Emitter, over: Sequence[Tensor], starts: Sequence[Tensor], step: Step, backwards: bool = False
) -> list[Tensor]:
    """A Scan of ``step(states, *(x[k] for x in over)) -> states, results`` over the first axis of each of ``over``.

    Returns the final states, then the results of all steps, stacked along a new first axis. States keep their sizes.
    """
    with call.builder.body(f"{call.path}/step") as body:
        states = [Tensor(t.dtype, t.sizes, stem=f"{call.path}/state") for t in starts]
        elements = [Tensor(t.dtype, t.sizes[1:], stem=f"{call.path}/step") for t in over]
        after, results = step(states, *elements)
        body.inputs = [*states, *elements]
        body.outputs = [call.identity(t) for t in (*after, *results)]
        for tensor, start in zip(body.outputs, starts, strict=False):
            tensor.sizes = start.sizes
    stacked = [(t.dtype, (over[0].sizes[0], *t.sizes)) for t in results]
    return call.several(
        "Scan",
        [*((t.dtype, t.sizes) for t in starts), *stacked],
        *starts,
        *over,
        body=body,
        num_scan_inputs=len(over),
        scan_input_directions=[1] * len(over) if backwards else None,
        scan_output_directions=[1] * len(results) if backwards else None,
    )
