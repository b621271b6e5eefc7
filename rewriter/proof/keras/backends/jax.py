"""JAX: a model runs operation by operation. The gradient at a tensor is the gradient at zeros that are added to it.

If no gradient flows through, JAX gives zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import Run, eager


class _Jax:
    traced = False
    tells_none = False

    def compiled(
        self, model: Any, function: Callable[..., list[Any]]
    ) -> Callable[[Sequence[Any]], list[Any]]:
        return lambda inputs: eager.run(model, function, inputs)

    def reachable(self) -> Callable[[Any], bool]:
        from jax.interpreters.partial_eval import DynamicJaxprTracer

        # Inside a loop (lax.scan) a tensor has no values yet.
        return lambda tensor: not isinstance(tensor, DynamicJaxprTracer)

    def gradients(self, model: Any, run: Run, inputs: Sequence[Any]) -> list[list[Any]] | None:
        import jax
        import keras
        from jax import numpy as jnp

        seen: list[Any] = []
        given = eager.tensors(model, inputs)

        def note(tensor: Any) -> Any:
            if eager.is_floating(tensor):
                seen.append(jnp.zeros(tensor.shape, tensor.dtype))
            return tensor

        outputs, _ = run(given, note)
        if not any(eager.is_floating(y) for y in outputs):
            return None
        wanted: list[list[int | None]] = []

        def total(zeros: list[Any]) -> Any:
            rest = iter(enumerate(zeros))
            numbers: dict[int, int] = {}
            kept = []  # keeps the tensors alive, because `numbers` has their ids

            def moved(tensor: Any) -> Any:
                if not eager.is_floating(tensor):
                    return tensor
                number, zero = next(rest)
                kept.append(tensor + zero)
                numbers[id(kept[-1])] = number
                return kept[-1]

            with keras.StatelessScope():
                outputs, found = run(given, moved)
            wanted[:] = [[numbers.get(id(x)) for x in row] for row in found]
            return sum(jnp.sum(y.astype("float32")) for y in outputs if eager.is_floating(y))

        gradients = jax.grad(total)(seen)
        return [
            [None if n is None else keras.ops.convert_to_numpy(gradients[n]) for n in row] for row in wanted
        ]


BACKEND = _Jax()
