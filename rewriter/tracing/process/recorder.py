"""Records the calls that the code of a layer makes on symbolic tensors: each layer and op of Keras that is called.

While a recorder is active, ``symbolic_call`` of every layer and op goes through it, and no node is added to a Keras
graph. A layer of Keras is one call. Of any other layer, its ``call`` runs, and its calls are a scope of their own.

Source: ``keras/src/ops/operation.py``, ``keras/src/layers/layer.py``, Keras 3.15.
"""

from __future__ import annotations

import inspect
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import KerasTensor
from keras.src.backend import get_keras_mask as mask_of
from keras.src.backend import set_keras_mask as set_mask
from keras.src.layers.convolutional.base_conv import BaseConv

from ...ir.graph import TRACE_MODULE, leaves, map_leaves

_MAX_DEPTH = 100
_KERAS = os.path.dirname(os.path.abspath(keras.__file__)) + os.sep
_HERE = str(Path(__file__).resolve().parents[2]) + os.sep
_PYTHON = sysconfig.get_path("stdlib") + os.sep
# Layers of Keras that hold other layers as a graph, which is recorded like code.
_MODELS = (keras.Model,)
# Layers of Keras that call their activation last.
_ACTIVATED = (keras.layers.Activation, keras.layers.Dense, keras.layers.EinsumDense, BaseConv)


class TraceError(Exception):
    """The code does something that is not a graph of ops. The message is the reason."""


@dataclass(slots=True, eq=False)
class Record:
    """One call: the operation, its arguments with symbolic tensors as leaves, and its results.

    ``line`` is the place in the source that called it. ``inner`` is the scope of a layer with code of its own.
    ``spelled`` is the class name, module and configuration of an operation that is not one of Keras's.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[KerasTensor]
    line: str
    inner: Scope | None = None
    spelled: tuple[str, str, dict[str, Any]] | None = None


@dataclass(slots=True, eq=False)
class Scope:
    """The calls in one layer's code.

    ``inputs`` are its operands, then the masks of operands: of those with the numbers ``masked_operands``. ``returned``
    is the structure of its results, ``masks`` are the masks of its results (None without one), in the order of
    ``keras.tree.flatten``. ``sources`` are the tensors that no call computes, each made once: variables, arrays, sizes.
    """

    inputs: list[KerasTensor] = field(default_factory=list)
    masked_operands: list[int] = field(default_factory=list)
    masks: list[KerasTensor | None] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    returned: Any = None
    sources: dict[Any, KerasTensor] = field(default_factory=dict)


class Recorder:
    """Collects records. ``origin`` says which scope and record made a tensor (None for an input of the scope)."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self.stored = {id(variable) for variable in variables}
        self.scopes: list[Scope] = []
        self.origin: dict[int, tuple[Scope, Record | None, int]] = {}
        self.kept: list[Any] = []  # an id stays that of the same object
        self.arrays: list[Callable[[], Any]] = []
        self.numbers: dict[Any, int] = {}
        self.constants: set[int] = set()
        self.suspended = 0
        self.entered: Any = None
        # Which operands of a layer have masks, for each call of it in the model.
        self.mask_flags: dict[int, list[list[bool]]] = {}

    def know(self, variables: Sequence[Any]) -> None:
        """Take these variables for variables of the file."""
        self.stored |= {id(variable) for variable in variables}

    # -- scopes -----------------------------
    def run(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Scope:
        """The calls of a layer of another package, called on tensors like these, with its casts and masks."""
        with self._scope() as scope:
            given = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, KerasTensor)]
            args, kwargs = self._fresh(scope, args, kwargs)
            seen = self.mask_flags.get(id(layer)) or [[mask_of(leaf) is not None for leaf in given]]
            flags = seen[0]
            if any(others != flags for others in seen):
                raise TraceError("only some of its calls have a mask")
            for number, inner in enumerate(list(scope.inputs)):
                if flags[number]:
                    mask = KerasTensor(inner.shape[:2], dtype="bool")
                    set_mask(inner, self._input(scope, mask))
                    scope.masked_operands.append(number)
            self.entered = layer
            try:
                scope.returned = map_leaves(self.tensor, layer(*args, **kwargs))
            finally:
                self.entered = None
            scope.masks = [mask_of(leaf) for leaf in keras.tree.flatten(scope.returned)]
        return scope

    @contextmanager
    def _scope(self) -> Iterator[Scope]:
        if len(self.scopes) >= _MAX_DEPTH:
            raise TraceError(f"layers call each other more than {_MAX_DEPTH} deep")
        scope = Scope()
        self.scopes.append(scope)
        try:
            yield scope
        finally:
            self.scopes.pop()

    def _fresh(self, scope: Scope, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The same arguments with a new input of the scope in place of each tensor."""

        def fresh(leaf: Any) -> Any:
            return self._input(scope, leaf) if isinstance(leaf, KerasTensor) else leaf

        return map_leaves(fresh, args), map_leaves(fresh, kwargs)

    def _input(self, scope: Scope, like: KerasTensor) -> KerasTensor:
        made = KerasTensor(like.shape, dtype=like.dtype)
        scope.inputs.append(made)
        self.origin[id(made)] = (scope, None, len(scope.inputs) - 1)
        self.kept.append(made)
        return made

    def array(self, number: int) -> Any:
        """A constant as bytes; the number of a variable itself."""
        if number not in self.constants:
            return number
        return np.asarray(keras.ops.convert_to_numpy(self.arrays[number]())).tobytes()

    # -- calls -----------------------------
    def called(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], spec: Any) -> Any:
        """Record a call, and return its symbolic results.

        Args:
            spec: computes the results' shapes, Keras's own ``symbolic_call``.
        """
        if operation is self.entered:
            self.entered = None
            return operation.call(*args, **kwargs)
        if has_code(operation):
            return self._nested(operation, args, kwargs)
        args, kwargs = map_leaves(self.tensor, args), map_leaves(self.tensor, kwargs)
        self._check(operation)
        activation = own_activation(operation)
        if activation is not None and isinstance(operation, keras.layers.Activation):
            return activation(*args, **kwargs)
        with self.suspension():
            result = spec(operation, *args, **kwargs)
        result = self.add(operation, args, kwargs, result)
        embeds = isinstance(operation, keras.layers.ReversibleEmbedding) and not kwargs.get("reverse")
        if embeds and operation.mask_zero and len(args) == 1:  # Keras makes this mask in the call
            set_mask(result, keras.ops.not_equal(args[0], 0))
        return result if activation is None else activation(result)

    def add(
        self,
        operation: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        spelled: tuple[str, str, dict[str, Any]] | None = None,
        inner: Scope | None = None,
    ) -> Any:
        """Record a call with these results."""
        outputs = [leaf for leaf in keras.tree.flatten(result) if isinstance(leaf, KerasTensor)]
        record = Record(operation, args, kwargs, outputs, source_line(), inner, spelled)
        scope = self.scopes[-1]
        scope.records.append(record)
        for number, output in enumerate(outputs):
            self.origin[id(output)] = (scope, record, number)
        self.kept += outputs
        return result

    def _nested(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("training") is True and len(self.scopes) == 1:
            raise TraceError("it is called with training=True")
        args, kwargs = map_leaves(self.constant, args), map_leaves(self.constant, kwargs)
        given = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, KerasTensor)]
        self.mask_flags.setdefault(id(layer), []).append([mask_of(leaf) is not None for leaf in given])
        with self._scope() as scope:
            inside, options = self._fresh(scope, args, kwargs)
            for outer, inner in zip(given, scope.inputs, strict=True):
                if (mask := mask_of(outer)) is not None:
                    set_mask(inner, mask)
            scope.returned = map_leaves(self.tensor, layer.call(*inside, **options))
            scope.masks = [mask_of(leaf) for leaf in keras.tree.flatten(scope.returned)]
        result = map_leaves(self._outer, scope.returned)
        masks = [None if mask is None else self._outer(mask) for mask in scope.masks]
        for leaf, mask in zip(keras.tree.flatten(result), masks, strict=True):
            if mask is not None:
                set_mask(leaf, mask)
        self.add(layer, tuple(given), {}, [result, masks], inner=scope)
        return result

    def _outer(self, leaf: Any) -> Any:
        """A new tensor for a result of an inner scope."""
        return KerasTensor(leaf.shape, dtype=leaf.dtype) if isinstance(leaf, KerasTensor) else leaf

    def _check(self, operation: Any) -> None:
        if not isinstance(operation, keras.layers.Layer):
            return
        if not operation.built or any(id(variable) not in self.stored for variable in operation.variables):
            raise TraceError(
                f"the layer {operation.name!r} is made in the call: its weights are not in the file"
            )
        inside = next((one for one in operation._flatten_layers(include_self=False) if has_code(one)), None)
        if inside is not None:
            raise TraceError(
                f"a {type(operation).__name__} of Keras runs the {type(inside).__name__} {inside.name!r}"
            )

    @contextmanager
    def suspension(self) -> Iterator[None]:
        """A block in which Keras infers shapes, and nothing is recorded."""
        self.suspended += 1
        try:
            yield
        finally:
            self.suspended -= 1

    # -- tensors that the code does not compute -----------------------------
    def tensor(self, leaf: Any) -> Any:
        """A variable, an array or a tensor of the backend as a symbolic tensor; anything else unchanged."""
        if isinstance(leaf, keras.Variable):
            return self.variable(leaf)
        return self.constant(leaf)

    def constant(self, leaf: Any) -> Any:
        if isinstance(leaf, np.generic):
            leaf = np.asarray(leaf)
        if isinstance(leaf, np.ndarray) or keras.ops.is_tensor(leaf):
            if isinstance(leaf, KerasTensor):
                return leaf
            dtype = keras.backend.standardize_dtype(leaf.dtype)
            return self._source(("constant", id(leaf)), leaf, tuple(leaf.shape), dtype, lambda: leaf)
        return leaf

    def variable(self, variable: Any) -> KerasTensor:
        """The symbolic tensor of a variable, in the dtype in which the layer's code reads it."""
        if id(variable) not in self.stored:
            raise TraceError(f"the variable {variable.name!r} is not in the file")
        dtype = keras.backend.standardize_dtype(variable._dtype)
        key = ("variable", id(variable))
        weight = self._source(key, variable, tuple(variable.shape), dtype, lambda: variable._value)
        read = keras.backend.standardize_dtype(variable.dtype)
        return weight if read == dtype else keras.ops.cast(weight, read)

    def variable_number(self, variable: Any) -> int:
        """The number of a variable in ``arrays``."""
        return self._number(("variable", id(variable)), variable, lambda: variable._value)

    def _number(self, key: Any, owner: Any, load: Callable[[], Any]) -> int:
        if key not in self.numbers:
            self.numbers[key] = len(self.arrays)
            self.arrays.append(load)
            self.kept.append(owner)
        return self.numbers[key]

    def _source(
        self, key: Any, owner: Any, shape: tuple[int, ...], dtype: str, load: Callable[[], Any]
    ) -> KerasTensor:
        scope = self.scopes[-1]
        if key not in scope.sources:
            number = self._number(key, owner, load)
            if key[0] == "constant":
                self.constants.add(number)
            stem = owner.name if isinstance(owner, keras.Variable) else "array"
            config = {"array": number, "shape": list(shape), "dtype": dtype, "stem": stem.replace("/", "_")}
            spelled = ("Weight", TRACE_MODULE, config)
            scope.sources[key] = self.add(None, (), {}, KerasTensor(shape, dtype=dtype), spelled)
        return scope.sources[key]


def own_activation(operation: Any) -> Any:
    """The activation of a layer of Keras that is a function of another package, and is called last; else None."""
    function = getattr(operation, "activation", None)
    if function is None or not isinstance(operation, _ACTIVATED):
        return None
    module = getattr(function, "__module__", None) or ""
    return None if module.startswith("keras.") or isinstance(function, keras.Operation) else function


def has_code(operation: Any) -> bool:
    """Whether an operation runs code of its own, or a graph: everything but layers and ops of Keras."""
    if isinstance(operation, _MODELS):
        return True
    module = type(operation).__module__
    return not (module == "keras" or module.startswith("keras."))


def source_line() -> str:
    """``file:line`` of the innermost frame outside Keras, this package and Python itself, "" without one."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not _is_inner(name) and "importlib" not in name and os.path.isabs(name):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def _is_inner(file: str) -> bool:
    """Whether a file is of Keras, of this package or of Python itself."""
    own = file.startswith(_PYTHON) and "-packages" not in file.removeprefix(_PYTHON)
    return own or file.startswith((_KERAS, _HERE))


def called_wrongly(error: BaseException) -> Any:
    """The layer whose ``call`` does not take the arguments that it is called with, else None."""
    found = last = None
    trace = error.__traceback__
    while trace is not None:
        last = trace.tb_frame
        owner = last.f_locals.get("self")
        found = owner if isinstance(owner, keras.layers.Layer) else found
        trace = trace.tb_next
    binds = isinstance(error, TypeError) and last is not None and last.f_code.co_filename == inspect.__file__
    return found if binds else None


def line_of(error: BaseException) -> str:
    """``file:line`` of the innermost frame of a traceback outside Keras, this package and Python, "" without one."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not _is_inner(name) and "site-packages/tensorflow" not in name:
            found = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


ACTIVE: list[Recorder] = []


def active() -> Recorder | None:
    """The recorder that records now."""
    return ACTIVE[-1] if ACTIVE and not ACTIVE[-1].suspended else None


def now() -> Recorder:
    """The recorder that records now, where there is one."""
    return ACTIVE[-1]
