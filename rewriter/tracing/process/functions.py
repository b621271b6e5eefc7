"""What of Keras behaves differently while calls are recorded.

Keras computes with tensors at once if none of them is symbolic, leaves open sizes as None, and lets a variable compute
with its value. Here a size is a symbolic number, and a variable and an array count as symbolic tensors.
"""

from __future__ import annotations

import builtins
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import KerasTensor
from keras.src import backend
from keras.src.backend.common import keras_tensor
from keras.src.backend.common.variables import Variable
from keras.src.layers import layer as layer_module
from keras.src.ops import core, numpy, operation
from keras.src.random import seed_generator

from ...ir.graph import TRACE_MODULE
from .recorder import ACTIVE, Recorder, TraceError, active, now

_ARITHMETIC = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "mod",
    "pow": "power",
    "matmul": "matmul",
}
_RANDOM = (
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "shuffle",
    "truncated_normal",
    "uniform",
)
_COMPARISON = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
# The modules in which packages look up the name of the backend.
_NAMES_BACKEND = ("keras.backend", "keras.config")


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """A block in which calls on symbolic tensors are recorded."""
    with patched():
        ACTIVE.append(recorder)
        try:
            yield recorder
        finally:
            ACTIVE.pop()


@contextmanager
def patched() -> Iterator[None]:
    """A block in which the functions of Keras record while a recorder is active."""
    undo: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, name: str, new: Any) -> None:
        undo.append((owner, name, owner.__dict__.get(name, _ABSENT)))
        setattr(owner, name, new)

    try:
        for original, new in _functions().items():
            for owner, name in _places(original):
                replace(owner, name, new)
        for name in _NAMES_BACKEND:
            replace(sys.modules[name], "backend", _backend)
        replace(layer_module, "Node", _no_node(layer_module.Node))
        for owner in (operation.Operation, layer_module.Layer):
            replace(owner, "symbolic_call", _recorded(owner.symbolic_call))
        replace(numpy.Squeeze, "compute_output_spec", _squeezed(numpy.Squeeze.compute_output_spec))
        looked_up = _forbidden(KerasTensor.__hash__, "it looks a tensor up in a dict or set")
        replace(KerasTensor, "__hash__", looked_up)
        replace(KerasTensor, "__str__", _text(KerasTensor.__str__))
        replace(KerasTensor, "__array_ufunc__", None)
        replace(KerasTensor, "__getitem__", _get_item(KerasTensor.__getitem__))
        replace(KerasTensor, "__eq__", _equal(KerasTensor.__eq__))
        for name, function in _ARITHMETIC.items():
            replace(Variable, f"__{name}__", _operator(Variable, f"__{name}__", function))
            replace(Variable, f"__r{name}__", _operator(Variable, f"__r{name}__", function, swapped=True))
        for name, function in _COMPARISON.items():
            replace(Variable, f"__{name}__", _operator(Variable, f"__{name}__", function))
        replace(Variable, "__neg__", _operator(Variable, "__neg__", "negative"))
        replace(Variable, "__getitem__", _variable_item(Variable.__getitem__))
        replace(layer_module.Layer, "add_loss", _ignored(layer_module.Layer.add_loss))
        for name in ("assign", "assign_add", "assign_sub"):
            replace(Variable, name, _forbidden(getattr(Variable, name), "it changes a variable in its call"))
        replace(
            seed_generator.SeedGenerator,
            "next",
            _forbidden(seed_generator.SeedGenerator.next, "it draws random numbers in its call"),
        )
        yield
    finally:
        for owner, name, old in reversed(undo):
            if old is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, old)


_ABSENT = object()


def _places(original: Any) -> list[tuple[Any, str]]:
    """Every module that has a function under its name."""
    name = original.__name__
    return [
        (module, name)
        for module in list(sys.modules.values())
        if module is not None and getattr(module, "__dict__", {}).get(name) is original
    ]


def _functions() -> dict[Any, Any]:
    """The functions with another behaviour, each with its replacement."""
    own: dict[Any, Any] = {
        core.shape: shape,
        core.is_tensor: lambda original, x: isinstance(x, KerasTensor) or original(x),
        core.slice: slice_,
        numpy.reshape: reshape,
        numpy.broadcast_to: broadcast_to,
        numpy.arange: arange,
        numpy.tile: tile,
        numpy.repeat: repeat,
        numpy.ndim: ndim,
        numpy.pad: pad,
        numpy.zeros: functools.partial(_filled, 0),
        numpy.ones: functools.partial(_filled, 1),
        numpy.empty: functools.partial(_filled, 0),
        numpy.full: full,
    }
    replaced = {original: _when_recording(original, new) for original, new in own.items()}
    replaced[keras_tensor.any_symbolic_tensors] = _any_symbolic(keras_tensor.any_symbolic_tensors)
    for original in (core.cond, core.while_loop, core.fori_loop, core.scan, core.map, core.vectorized_map):
        replaced[original] = _python_only(original)
    for name in _RANDOM:
        drawn = getattr(keras.random, name)
        replaced[drawn] = _forbidden(drawn, "it draws random numbers in its call")
    return replaced


def _backend() -> str:
    """The name of the backend: while calls are recorded, one for which no package calls another framework."""
    return "numpy" if active() is not None else str(backend.backend())


def _when_recording(original: Callable[..., Any], new: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) if active() is None else new(original, *args, **kwargs)

    return function


def _text(original: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(original)
    def function(self: Any) -> str:
        if active() is not None and not self.shape:
            raise TraceError("it writes a number that is computed as text")
        return original(self)

    return function


def _ignored(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) if active() is None else None

    return function


def _forbidden(original: Callable[..., Any], reason: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        if active() is not None:
            raise TraceError(reason)
        return original(*args, **kwargs)

    return function


def _python_only(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        if active() is None:
            return original(*args, **kwargs)
        if original is core.cond and not isinstance(args[0], KerasTensor):
            return args[1]() if args[0] else args[2]()
        raise TraceError(f"keras.ops.{original.__name__} runs a function that depends on data")

    return function


# -- calls -----------------------------
def _recorded(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def symbolic_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        recorder = active()
        if recorder is None:
            return original(self, *args, **kwargs)
        return recorder.called(self, args, kwargs, lambda op, *a, **k: op.compute_output_spec(*a, **k))

    return symbolic_call


def _no_node(original: Any) -> Any:
    def made(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs) if active() is None else None

    return made


def _any_symbolic(original: Callable[..., bool]) -> Callable[..., bool]:
    @functools.wraps(original)
    def any_symbolic_tensors(args: Any = None, kwargs: Any = None) -> bool:
        if original(args, kwargs):
            return True
        if active() is None:
            return False
        given = keras.tree.flatten((args or (), kwargs or {}))
        return builtins.any(isinstance(leaf, Variable) for leaf in given)

    return any_symbolic_tensors


def _operator(owner: Any, name: str, function: str, swapped: bool = False) -> Callable[..., Any]:
    """An operator of a variable: of Keras's ops on symbolic tensors while a recorder is active."""
    original = getattr(owner, name, None)

    def operator(self: Any, *others: Any) -> Any:
        recorder = active()
        if recorder is None:
            return NotImplemented if original is None else original(self, *others)
        given = [recorder.variable(self), *others]
        return getattr(keras.ops, function)(*(reversed(given) if swapped else given))

    return operator


def _equal(original: Callable[..., Any]) -> Callable[..., Any]:
    """``x == y`` entry by entry, as of tensors with numbers. KerasTensor leaves it to Python, which compares objects.

    Nothing is equal to None, a text, a slice or ``...``.
    """

    def compare(self: Any, other: Any) -> Any:
        if active() is None or other is None or other is Ellipsis or isinstance(other, (str, slice)):
            return original(self, other)
        return keras.ops.equal(self, other)

    return compare


def _variable_item(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_item(self: Any, key: Any) -> Any:
        recorder = active()
        return original(self, key) if recorder is None else recorder.variable(self)[key]

    return get_item


# -- sizes -----------------------------
def size(x: KerasTensor, axis: int) -> Any:
    """The size of an axis: a number, or a symbolic scalar of type int32 if it is open."""
    known = x.shape[axis]
    if known is not None:
        return known
    recorder = now()
    scope = recorder.scopes[-1]
    key = ("size", id(x), axis)
    if key not in scope.sources:
        spelled = ("Size", TRACE_MODULE, {"axis": axis})
        scope.sources[key] = recorder.add(None, (x,), {}, KerasTensor((), dtype="int32"), spelled)
    return scope.sources[key]


def shape(original: Callable[..., Any], x: Any) -> Any:
    if not isinstance(x, KerasTensor):
        return tuple(x.shape) if isinstance(x, Variable) else original(x)
    return tuple(size(x, axis) for axis in range(len(x.shape)))


def _static(sizes: Sequence[Any]) -> bool:
    return builtins.all(not isinstance(n, KerasTensor) for n in sizes)


def _listed(sizes: Any) -> list[Any]:
    """A shape as a list of numbers and symbolic sizes."""
    if isinstance(sizes, (KerasTensor, Variable)):
        raise TraceError("a shape is a tensor that is computed")
    given = (
        list(sizes) if isinstance(sizes, (list, tuple, np.ndarray)) or keras.ops.is_tensor(sizes) else [sizes]
    )
    return [n if n is None or isinstance(n, KerasTensor) else int(n) for n in given]


def _open(sizes: Sequence[Any]) -> tuple[int | None, ...]:
    return tuple(None if isinstance(n, KerasTensor) or n == -1 else n for n in sizes)


def _add(name: str, args: tuple[Any, ...], result: KerasTensor, module: str = "numpy", **config: Any) -> Any:
    return now().add(None, args, {}, result, (name, f"keras.src.ops.{module}", config))


def reshape(original: Callable[..., Any], x: Any, newshape: Any) -> Any:
    sizes = _listed(newshape)
    symbolic = isinstance(x, (KerasTensor, Variable))
    if _static(sizes) and (not symbolic or None not in sizes):
        return original(x, newshape)
    recorder = now()
    x = recorder.tensor(x)
    return _add("Reshape", (x, sizes), KerasTensor(_open(sizes), dtype=x.dtype))


def broadcast_to(original: Callable[..., Any], x: Any, shape: Any) -> Any:
    sizes = _listed(shape)
    if _static(sizes):
        return original(x, shape)
    recorder = now()
    x = recorder.tensor(x)
    if not isinstance(x, KerasTensor):
        x = recorder.tensor(keras.ops.convert_to_tensor(x))
    return _add("BroadcastTo", (x, sizes), KerasTensor(_open(sizes), dtype=x.dtype))


def slice_(original: Callable[..., Any], inputs: Any, start_indices: Any, shape: Any) -> Any:
    sizes, starts = _listed(shape), start_indices
    if _static(sizes) and not isinstance(starts, (list, tuple)):
        return original(inputs, start_indices, shape)
    if _static(sizes) and _static(starts):
        return original(inputs, start_indices, shape)
    recorder = now()
    x = recorder.tensor(inputs)
    return _add("Slice", (x, _listed(starts), sizes), KerasTensor(_open(sizes), dtype=x.dtype), "core")


def arange(
    original: Callable[..., Any], start: Any, stop: Any = None, step: Any = None, dtype: Any = None
) -> Any:
    given = [start, stop, step]
    if not builtins.any(isinstance(n, KerasTensor) for n in given):
        return original(start, stop, step, dtype)
    if stop is None:
        given = [0, start, step]
    given[2] = 1 if step is None else step
    kinds = [getattr(n, "dtype", type(n)) for n in given]
    kind = backend.result_type(*kinds) if dtype is None else backend.standardize_dtype(dtype)
    recorder = now()
    config = {"dtype": None if dtype is None else kind}
    spelled = ("Arange", "keras.src.ops.numpy", config)
    return recorder.add(None, tuple(given), {}, KerasTensor((None,), dtype=kind), spelled)


def _filled(value: float, original: Callable[..., Any], shape: Any, dtype: Any = None) -> Any:
    sizes = _listed(shape)
    if _static(sizes):
        return original(shape, dtype)
    return _full(sizes, value, dtype)


def full(original: Callable[..., Any], shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    sizes = _listed(shape)
    if _static(sizes):
        return original(shape, fill_value, dtype)
    return _full(sizes, fill_value, dtype)


def _full(sizes: list[Any], value: Any, dtype: Any) -> Any:
    kind = backend.floatx() if dtype is None else backend.standardize_dtype(dtype)
    recorder = now()
    spelled = ("Full", "keras.src.ops.numpy", {"dtype": kind})
    args = (recorder.tensor(value),)
    return recorder.add(None, args, {"shape": sizes}, KerasTensor(_open(sizes), dtype=kind), spelled)


def tile(original: Callable[..., Any], x: Any, repeats: Any) -> Any:
    counts = _listed(repeats)
    if _static(counts):
        return original(x, repeats)
    recorder = now()
    x = recorder.tensor(x)
    sizes = [1] * (len(counts) - len(x.shape)) + list(x.shape)
    counts = [1] * (len(sizes) - len(counts)) + counts
    known = [
        None if n is None or isinstance(c, KerasTensor) else n * c for n, c in zip(sizes, counts, strict=True)
    ]
    return _add("Tile", (x, counts), KerasTensor(known, dtype=x.dtype))


def repeat(original: Callable[..., Any], x: Any, repeats: Any, axis: Any = None) -> Any:
    if not isinstance(repeats, KerasTensor):
        return original(x, repeats, axis)
    if axis is None:
        raise TraceError("the flattened entries of a tensor are repeated as often as an open size says")
    recorder = now()
    x = recorder.tensor(x)
    known = [None if n == axis % len(x.shape) else size for n, size in enumerate(x.shape)]
    return _add("Repeat", (x, repeats), KerasTensor(known, dtype=x.dtype), axis=axis)


def pad(
    original: Callable[..., Any], x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None
) -> Any:
    """``pad(x[a, b], ((0, 0), (n, 0))) -> [a, n+b]`` with a symbolic n: joined to a tensor of the constant."""
    if _static(keras.tree.flatten(pad_width)):
        return original(x, pad_width, mode, constant_values)
    recorder = now()
    x = recorder.tensor(x)
    if mode != "constant" or len(pad_width) != len(x.shape):
        raise TraceError("a tensor is padded by an open size with its own entries, or alike along all axes")
    value = 0 if constant_values is None else constant_values
    for axis, amounts in enumerate(pad_width):
        sizes = [size(x, n) for n in range(len(x.shape))]
        before, after = (
            []
            if isinstance(n, int) and n == 0
            else [keras.ops.full((*sizes[:axis], n, *sizes[axis + 1 :]), value, x.dtype)]
            for n in amounts
        )
        x = keras.ops.concatenate([*before, x, *after], axis) if before or after else x
    return x


def ndim(original: Callable[..., Any], x: Any) -> Any:
    """The rank, a number as outside of a graph: Keras makes a tensor of a symbolic one."""
    return len(x.shape) if isinstance(x, (KerasTensor, Variable)) else original(x)


def _squeezed(original: Callable[..., Any]) -> Callable[..., Any]:
    """The shape of a Squeeze, also where Keras has lost that the size is 1 (an EinsumDense states None)."""

    def compute_output_spec(self: Any, x: Any) -> Any:
        given = [self.axis] if isinstance(self.axis, int) else self.axis or ()
        places = {axis % len(x.shape) for axis in given if axis < len(x.shape)}
        sizes = [1 if n in places and size is None else size for n, size in enumerate(x.shape)]
        return original(self, KerasTensor(sizes, dtype=x.dtype, sparse=x.sparse))

    return compute_output_spec


def _get_item(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_item(self: Any, key: Any) -> Any:
        if active() is None:
            return original(self, key)
        keys = list(key) if isinstance(key, (tuple, list)) else [key]
        bounds = [b for k in keys if isinstance(k, slice) for b in (k.start, k.stop, k.step)]
        if _static([*keys, *bounds]):
            return original(self, tuple(keys))
        return _cut(self, keys)

    return get_item


def _cut(x: KerasTensor, keys: list[Any]) -> Any:
    """``x[:n, ...]``, where n is a symbolic size: a slice from the start."""
    if keys.count(Ellipsis) == 1:
        place = keys.index(Ellipsis)
        keys = [*keys[:place], *[slice(None)] * (len(x.shape) - len(keys) + 1), *keys[place + 1 :]]
    if not builtins.all(isinstance(k, slice) for k in keys):
        raise TraceError("an index is computed, or stands beside a bound that is")
    starts, sizes = [], []
    for axis, key in enumerate([*keys, *[slice(None)] * (len(x.shape) - len(keys))]):
        bounds = [b for b in (key.start, key.stop) if isinstance(b, int)]
        if key.step not in (None, 1) or builtins.any(bound < 0 for bound in bounds):
            raise TraceError("an index has a step, or counts from the end, beside a bound that is computed")
        start = 0 if key.start is None else key.start
        stop = size(x, axis) if key.stop is None else key.stop
        starts.append(start)
        sizes.append(stop if isinstance(start, int) and start == 0 else stop - start)
    return keras.ops.slice(x, starts, sizes)
