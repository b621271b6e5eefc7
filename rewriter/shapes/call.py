"""The call that an axis rule gets, and the tables that rules register in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import BadFileError, shown
from ..ir.axis import Axis, Role, Value, new_axis
from ..ir.graph import Operation, leaves
from ..ir.size import Size, is_size, unknown

Rule = Callable[["Call"], Any]
_R = TypeVar("_R", bound=Callable[..., Any])
_K = TypeVar("_K")
_MISSING: Any = object()


class ShapeError(Exception):
    """The node cannot run on these operands. The message says why; the driver adds the node's name.

    ``made`` is the result that the operation ``by`` would have anyway: weights that do not fit change no shape.
    """

    by: Operation | None = None
    made: Any = None


class OpaqueError(Exception):
    """The result of the node cannot be inferred. The message is the reason."""


def _no_driver(operation: Operation, *args: Any, **kwargs: Any) -> Any:
    raise OpaqueError(f"nothing runs the layers inside {shown(operation.name)!r}")


@dataclass(slots=True)
class Configured:
    """One call of an operation: its arguments and its configuration, read with checks.

    ``args`` and ``kwargs`` are the call's structures: tensors of some kind as leaves, plain Python values elsewhere.
    """

    operation: Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        return self.operation.config

    def arg(self, position: int, name: str, default: Any = _MISSING) -> Any:
        """A call argument by position or keyword, else the op's configured value, else ``default``.

        Raises:
            BadFileError: there is none of these.
        """
        if position < len(self.args):
            return self.args[position]
        if name in self.kwargs:
            return self.kwargs[name]
        if name in self.config:
            return self.config[name]
        if default is _MISSING:
            raise BadFileError(f"{shown(self.operation.class_name)} is called without {name!r}")
        return default

    # -- configuration -----------------------------
    def get(self, name: str, default: Any = None) -> Any:
        """A configured value as the file has it."""
        return self.config.get(name, default)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.config.get(name, default)
        if value is not None and not isinstance(value, (bool, int)):
            raise self.bad(name, value, "true or false")
        return bool(value)

    def text(self, name: str, default: str = "", choices: Sequence[str] = ()) -> str:
        value = self.config.get(name, default)
        if value is None:
            value = default
        if not isinstance(value, str) or (choices and value not in choices):
            raise self.bad(name, value, " or ".join(choices) if choices else "a string")
        return value

    def integer(self, name: str, minimum: int = 0, default: int | None = None) -> int:
        """A configured whole number of at least ``minimum``."""
        value = self.config.get(name, default)
        return self.whole(name, value, minimum)

    def integers(self, name: str, length: int, minimum: int = 0, default: Any = None) -> tuple[int, ...]:
        """A configured tuple of ``length`` whole numbers; a single number is repeated."""
        value = self.config.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool):
            value = (value,) * length
        if not isinstance(value, (list, tuple)) or len(value) != length:
            raise self.bad(name, value, f"{length} whole numbers")
        return tuple(self.whole(name, v, minimum) for v in value)

    def whole(self, name: str, value: Any, minimum: int | None = None) -> int:
        """``value`` as a whole number. Raises BadFileError with the layer's and the argument's name."""
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
            raise self.bad(name, value, "a whole number")
        if minimum is not None and value < minimum:
            raise self.bad(name, value, f"at least {minimum}")
        return value

    def axis(self, value: Any, rank: int, name: str = "axis") -> int:
        """A non-negative axis number. Raises ShapeError where it is not between ``-rank`` and ``rank - 1``."""
        number = self.whole(name, value)
        if not -rank <= number < rank:
            raise ShapeError(f"{name} {number} is out of range for a tensor of rank {rank}")
        return number % rank

    def axis_tuple(self, value: Any, rank: int, name: str = "axis") -> tuple[int, ...]:
        """One axis number or several, as sorted, distinct, non-negative numbers; None means every axis."""
        if value is None:
            return tuple(range(rank))
        values = value if isinstance(value, (list, tuple)) else (value,)
        return tuple(sorted({self.axis(v, rank, name) for v in values}))

    def channels_first(self) -> bool:
        choices = ("channels_last", "channels_first")
        return self.text("data_format", "channels_last", choices) == "channels_first"

    def bad(self, name: str, value: Any, wanted: str) -> BadFileError:
        """An error that names the layer, the argument, its value and the expected one."""
        return BadFileError(
            f"layer {shown(self.operation.name)!r}: {name} is {shown(repr(value))}, expected {wanted}"
        )

    def compute_dtype(self) -> str | None:
        """The layer's compute dtype from its dtype policy, by default float32; None for an op.

        A policy is a name or a serialised ``DTypePolicy`` (``name``), ``QuantizedDTypePolicy`` (``source_name``) or
        ``DTypePolicyMap`` (``default_policy``), as Keras 3.15 writes them.
        """
        policy = self.config.get("dtype")
        if isinstance(policy, dict):
            inner = policy.get("config")
            named = [inner.get(key) for key in _POLICY_KEYS] if isinstance(inner, dict) else []
            policy = next((name for name in named if isinstance(name, str)), None)
        if not isinstance(policy, str):
            return "float32" if self.operation.kind == "layer" else None
        policy = policy.rpartition("_from_")[2]
        return _MIXED.get(policy, policy)


@dataclass(slots=True)
class Call(Configured):
    """One call of an operation on values.

    ``args`` and ``kwargs`` are the call's structures with ``Value`` leaves for tensors (literal tensors too, with
    ``constant`` set) and plain Python values elsewhere. ``apply(operation, *args, **kwargs)`` runs the rule of an inner
    operation (``operation.children``), for wrappers. ``builds`` is set where Keras builds the layer on these operands
    and not on a recorded ``build_config``: at the first call, outside of nested models. ``built`` are the shapes that
    it was built on: the recorded ones, or for a merge layer without them those of its first call.
    """

    apply: Callable[..., Any] = _no_driver
    builds: bool = False
    built: Sequence[Sequence[int | None]] = ()

    # -- operands -----------------------------
    @property
    def inputs(self) -> list[Value]:
        """Every tensor operand, in order."""
        return [leaf for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Value)]

    @property
    def x(self) -> Value:
        """The first tensor operand. Raises ShapeError where a Keras op gets a list of tensors in its place."""
        first = self._first()
        if self.operation.kind == "op":
            given = self.args[0] if self.args else next(iter(self.kwargs.values()), None)
            if isinstance(given, (list, tuple)) and any(leaf is first for leaf in leaves(given)):
                raise ShapeError("takes one tensor, not a list of them")
        return first

    def _first(self) -> Value:
        for leaf in leaves((self.args, self.kwargs)):
            if isinstance(leaf, Value):
                return leaf
        raise BadFileError(f"layer {shown(self.operation.name)!r} is called on no tensor")

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The first operand's axes. Raises OpaqueError where its rank is unknown."""
        return known(self.x)

    def size(self, name: str, value: Any, minimum: int | None = None) -> Size:
        """An entry of a shape: a whole number, or a number that the model computes from sizes (an integer tensor)."""
        if not isinstance(value, Value):
            return self.whole(name, value, minimum)
        return value.constant if is_size(value.constant) and value.rank == 0 else unknown()

    # -- results -----------------------------
    def like(self, axes: Sequence[Axis], dtype: str | None = None, x: Value | None = None) -> Value:
        """A result with these axes; its dtype is the first operand's unless given."""
        source = self._first() if x is None else x
        return Value(tuple(axes), dtype or source.dtype)


_POLICY_KEYS = ("name", "source_name", "default_policy")
_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


def known(value: Value) -> tuple[Axis, ...]:
    """The axes of a value. Raises OpaqueError where its rank is unknown."""
    if value.axes is None:
        raise OpaqueError(value.reason or "the rank of its operand is unknown")
    return value.axes


def need_rank(value: Value, *ranks: int) -> tuple[Axis, ...]:
    """The axes of a value of one of these ranks. Raises ShapeError on another."""
    axes = known(value)
    if len(axes) not in ranks:
        wanted = " or ".join(map(str, ranks))
        raise ShapeError(f"takes a tensor of rank {wanted}, not {value.text()}")
    return axes


def unknown_axis(role: Role = Role.UNKNOWN) -> Axis:
    """An axis whose size is known only when the model runs."""
    return new_axis(unknown(), role)


def positive(size: Size, what: str) -> Size:
    """``size`` unless it is known to be below 1. Raises ShapeError."""
    if isinstance(size, int) and size < 1:
        raise ShapeError(f"{what} would be {size}")
    return size


# -- the table of rules -----------------------------
LAYERS: dict[str, Rule] = {}
OPS: dict[tuple[str, str], Rule] = {}
ONNX: dict[str, Rule] = {}
TF: dict[str, Rule] = {}
TRACED_OPS: dict[str, Rule] = {}


def registering(table: dict[_K, Any], keys: Iterable[_K], what: str) -> Callable[[_R], _R]:
    """A decorator that adds a function to a table under some keys.

    Raises:
        ValueError: a key is there already; ``what`` names the table's entries in the message.
    """

    def register(function: _R) -> _R:
        for key in keys:
            if key in table:
                raise ValueError(f"{key} has two {what}")
            table[key] = function
        return function

    return register


def layer(*class_names: str) -> Callable[[_R], _R]:
    """Register the axis rule of ``keras.layers`` classes."""
    return registering(LAYERS, class_names, "axis rules")


def op(family: str, *class_names: str) -> Callable[[_R], _R]:
    """Register the axis rule of op classes of ``keras.src.ops.<family>`` (``numpy``, ``nn``, ``core``, ``math`` …)."""
    return registering(OPS, [(family, name) for name in class_names], "axis rules")


def traced_op(*names: str) -> Callable[[_R], _R]:
    """Register the axis rule of operations that only the graph of a traced layer has."""
    return registering(TRACED_OPS, names, "axis rules")


def onnx_op(*names: str) -> Callable[[_R], _R]:
    """Register the axis rule of ONNX operators."""
    return registering(ONNX, names, "axis rules")


def tf_op(*names: str) -> Callable[[_R], _R]:
    """Register the axis rule of TensorFlow operators."""
    return registering(TF, names, "axis rules")
