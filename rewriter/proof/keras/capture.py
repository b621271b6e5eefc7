"""Read the operands and results of changed nodes while a Keras model runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Any

from ...shapes.keras_facts import facts_of
from ..request import Claim
from .backends import running


@dataclass(slots=True)
class Met:
    """One call of a changed node: its operands as they were before anything was inserted, and its result."""

    claim: int
    operands: list[Any]
    result: Any


@dataclass(slots=True)
class _Progress:
    """What was recorded of a claim's nodes since its last call."""

    before: dict[int, Any] = field(default_factory=dict)
    after: dict[int, Any] = field(default_factory=dict)
    operands: list[Any] | None = None


class Capture:
    """A block in which every call of the claims' nodes is recorded in ``met``.

    ``watch`` is called with each operand before it is used, and with each result; its return value replaces the tensor.
    ``missing`` says why values cannot be read, by the number of the claim. ``raised`` is the changed node whose
    operation raised an error. At the end of the block the model is as before.
    """

    def __init__(
        self, model: Any, claims: Sequence[Claim], watch: Callable[[Any], Any] | None = None
    ) -> None:
        self.claims = claims
        self.met: list[Met] = []
        self.missing: dict[int, str] = {}
        self.raised = ""
        self._watch = watch or (lambda tensor: tensor)
        self._numbers = watch is None  # whether operands are read after the node applied their masks
        self._progress = [_Progress() for _ in claims]
        self._firsts: dict[int, list[tuple[int, int]]] = {}
        self._lasts: dict[int, list[tuple[int, int]]] = {}
        self._meets: dict[int, list[int]] = {}
        self._gives: dict[int, list[int]] = {}
        self._operations: dict[int, Any] = {}
        self._reachable: Callable[[Any], bool] = lambda tensor: True
        for number, claim in enumerate(claims):
            self._place(model, number, claim)

    def _place(self, model: Any, number: int, claim: Claim) -> None:
        try:
            for k, chain in enumerate(claim.chains):
                if chain:
                    self._firsts.setdefault(self._key(model, chain[0]), []).append((number, k))
                    self._lasts.setdefault(self._key(model, chain[-1]), []).append((number, k))
            self._meets.setdefault(self._key(model, claim.meets), []).append(number)
            self._gives.setdefault(self._key(model, claim.gives), []).append(number)
        except LookupError as error:
            self.missing[number] = str(error)

    def _key(self, model: Any, path: Sequence[str]) -> int:
        operation = locate(model, path)
        self._operations[id(operation)] = operation
        return id(operation)

    def __enter__(self) -> Capture:
        self._reachable = running().reachable()
        self.raised = ""
        for key, operation in self._operations.items():
            object.__setattr__(operation, "call", self._wrapped(key, operation.call))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for operation in self._operations.values():
            object.__delattr__(operation, "call")
        seen = {met.claim for met in self.met}
        for number in range(len(self.claims)):
            if number not in seen:
                self.missing.setdefault(
                    number, "its values cannot be read from outside the layer that it is in"
                )

    def _wrapped(self, key: int, call: Callable[..., Any]) -> Callable[..., Any]:
        import keras

        def run(*args: Any, **kwargs: Any) -> Any:
            given = _tensors((args, kwargs))
            seen = {id(tensor): tensor for tensor in given}
            for number, k in self._firsts.get(key, ()):
                seen[id(given[0])] = self._see(given[0])
                self._progress[number].before[k] = seen[id(given[0])]
            for tensor in given if key in self._meets else ():
                seen[id(tensor)] = self._see(tensor)
            if any(seen[id(tensor)] is not tensor for tensor in given):
                args, kwargs = keras.tree.map_structure(lambda leaf: seen.get(id(leaf), leaf), (args, kwargs))
            try:
                result = call(*args, **kwargs)
            except Exception:
                self.raised = self.raised or next(iter(self._claims_of(key)))
                raise
            for number in self._meets.get(key, ()):
                self._enter(number, key, given, [seen[id(tensor)] for tensor in given])
            for number in self._gives.get(key, ()):
                result = self._leave(number, result)
            for number, k in self._lasts.get(key, ()):
                self._progress[number].after[k] = result
            return result

        return run

    def _claims_of(self, key: int) -> Iterator[str]:
        """The changed nodes that an operation belongs to."""
        for number, _ in (*self._firsts.get(key, ()), *self._lasts.get(key, ())):
            yield self.claims[number].node
        for number in (*self._meets.get(key, ()), *self._gives.get(key, ())):
            yield self.claims[number].node

    def _see(self, tensor: Any) -> Any:
        return self._watch(tensor) if self._reachable(tensor) else tensor

    def _enter(self, number: int, key: int, given: list[Any], seen: list[Any]) -> None:
        claim, progress = self.claims[number], self._progress[number]
        progress.operands = None
        if claim.shared and not any(end is tensor for end in progress.after.values() for tensor in given):
            return
        masks = masks_of(self._operations[key], given) if self._numbers else []
        if masks and claim.op != "Multiply":
            self.missing[number] = "Keras puts other numbers in the place of its masked operands"
        elif len(given) == len(claim.chains):
            seen = filled(seen, masks) if masks else seen
            progress.operands = [
                progress.before[k] if k in progress.before else claim.literals.get(str(k), tensor)
                for k, tensor in enumerate(seen)
            ]

    def _leave(self, number: int, result: Any) -> Any:
        progress = self._progress[number]
        if progress.operands is None:
            return result
        result = self._see(result)
        tensors = [*progress.operands, result]
        if all(self._reachable(t) for t in tensors if hasattr(t, "dtype")):
            self.met.append(Met(number, progress.operands, result))
        self._progress[number] = _Progress()
        return result


def masks_of(operation: Any, given: Sequence[Any]) -> list[Any]:
    """The masks of a layer's operands, None for an operand without one; [] if it uses none."""
    import keras

    if not hasattr(operation, "supports_masking") or not facts_of(type(operation).__name__).fills_masked:
        return []
    rank = max((len(tensor.shape) for tensor in given), default=0)
    masks = [getattr(tensor, "_keras_mask", None) if len(tensor.shape) == rank else None for tensor in given]
    return masks if any(m is not None for m in masks) and _fills(keras.__version__) else []


def filled(operands: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
    """The operands of ``Multiply`` with their masks applied: 1 where masked, 0 where all operands are masked."""
    from keras import ops

    whole = [None if mask is None else ops.expand_dims(mask, -1) for mask in masks]
    found = [
        x if mask is None else ops.where(mask, x, ops.ones_like(x))
        for x, mask in zip(operands, whole, strict=True)
    ]
    kept = [mask for mask in whole if mask is not None]
    if len(kept) == len(whole):
        any_of = kept[0]
        for mask in kept[1:]:
            any_of = ops.logical_or(any_of, mask)
        found[0] = ops.where(any_of, found[0], ops.zeros_like(found[0]))
    return found


@cache
def _fills(version: str) -> bool:
    """Whether this Keras replaces the values of masked operands. Older versions of Keras 3 do not."""
    from keras.layers import Multiply

    return "where" in Multiply._merge_function.__code__.co_names


def locate(model: Any, path: Sequence[str]) -> Any:
    """The operation at a path of names, from the outermost model. Raises LookupError."""
    *models, name = path
    for part in models:
        model = _named(model, part)
    return _named(model, name)


def _named(model: Any, name: str) -> Any:
    found = next((o for o in getattr(model, "operations", model.layers) if o.name == name), None)
    if found is None:  # a model inside a wrapper layer
        found = next((o for o in model._flatten_layers(include_self=False) if o.name == name), None)
    if found is None:
        raise LookupError(f"Keras has no {name!r} there")
    return found


def _tensors(arguments: Any) -> list[Any]:
    import keras

    return [
        leaf for leaf in keras.tree.flatten(arguments) if hasattr(leaf, "shape") and hasattr(leaf, "dtype")
    ]
