"""PyTorch: a model runs operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import Run, eager


class _Torch:
    traced = False
    tells_none = True

    def compiled(
        self, model: Any, function: Callable[..., list[Any]]
    ) -> Callable[[Sequence[Any]], list[Any]]:
        import torch

        def call(inputs: Sequence[Any]) -> list[Any]:
            with torch.no_grad():
                return eager.run(model, function, inputs)

        return call

    def reachable(self) -> Callable[[Any], bool]:
        return lambda tensor: True

    def gradients(self, model: Any, run: Run, inputs: Sequence[Any]) -> list[list[Any]] | None:
        import keras
        import torch

        def watch(tensor: Any) -> Any:
            if eager.is_floating(tensor) and not tensor.requires_grad:
                tensor.requires_grad_()
            return tensor

        with torch.enable_grad():
            outputs, wanted = run(eager.tensors(model, inputs), watch)
            floating = [y for y in outputs if eager.is_floating(y)]
            if not floating:
                return None
            total = sum(y.to(torch.float32).sum() for y in floating)
            flat = [x for row in wanted for x in row]
            found = iter(torch.autograd.grad(total, flat, allow_unused=True) if flat else ())
        return [
            [None if g is None else keras.ops.convert_to_numpy(g) for _, g in zip(row, found, strict=False)]
            for row in wanted
        ]


BACKEND = _Torch()
