"""Optimizer state follows the order of the trainable variables; when that order changes, so must the state.

An optimizer's variables are saved as ``optimizer/vars/<i>``, in the order in which they were made: its
counters, then in passes over the trainable variables the slots of each. Source: ``keras/src/optimizers``,
``build`` of every class and ``BaseOptimizer.add_optimizer_variables``, Keras 3.15; until 3.9 what every optimizer makes
was made in one pass, and Nadam's scalar before its slots. The state of metrics and losses is not saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ...errors import UnsupportedError, shown
from ...files.hdf5 import Hdf5Index, relink
from ...files.zip import Patch
from ...ir.graph import Graph
from .dialect import version_number
from .variables import Shape, Unit, trainable_units

_PATH = "optimizer"
_INNER = "inner_optimizer"

# The shapes of a variable's slots that one pass makes, given the variable's own shape.
Slots = Callable[[Shape], list[Shape]]


def _like(count: int) -> Slots:
    return lambda shape: [shape] * count


def _factored(shape: Shape) -> list[Shape]:
    """Adafactor: a row and a column factor of what has two axes or more, else two scalars, and the whole."""
    return [shape[:-1], (*shape[:-2], shape[-1]), shape] if len(shape) >= 2 else [(), (), shape]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over the variables, made where the option of that name is set (always if it is empty)."""

    slots: Slots
    option: str = ""


_ONE, _TWO = Pass(_like(1)), Pass(_like(2))
_AMSGRAD = Pass(_like(1), "amsgrad")
_MOMENTUM = Pass(_like(1), "momentum")

# Passes by class. Muon chooses a variable's slots by its path, MultiOptimizer by code: they are not here.
PASSES: dict[str, tuple[Pass, ...]] = {
    "Adadelta": (_TWO,),
    "Adafactor": (Pass(_factored),),
    "Adagrad": (_ONE,),
    "Adam": (_TWO, _AMSGRAD),
    "AdamW": (_TWO, _AMSGRAD),
    "Adamax": (_TWO,),
    "Ftrl": (_TWO,),
    "Lamb": (_TWO,),
    "Lion": (_ONE,),
    "Nadam": (_TWO,),
    "RMSprop": (_ONE, _MOMENTUM, Pass(_like(1), "centered")),
    "SGD": (_MOMENTUM,),
    "ScheduleFreeAdamW": (_TWO,),
}

# Every optimizer makes these first (BaseOptimizer.build).
_COMMON = (Pass(_like(1), "use_ema"), Pass(_like(1), "gradient_accumulation_steps"))

# Scalars that a class makes besides its slots, and those of LossScaleOptimizer before its inner optimizer's.
_SCALARS = {"Nadam": 1}
_LOSS_SCALE = 4
# The first version that makes the slots of every option in a pass of their own, and the scalars of a class last.
_SEPARATE = (3, 10)


def relink_optimizer(
    buffer: memoryview,
    index: Hdf5Index,
    entry: dict[str, Any],
    before: Graph,
    after: Graph,
    version: Any = None,
) -> list[Patch]:
    """The byte patches that put each slot variable where the new order of trainable variables expects it.

    Args:
        version: of the Keras that wrote the file; the newest where none is stated.

    Raises:
        UnsupportedError: the order changes, and the layout of the state is not known or does not fit.
    """
    if f"{_PATH}/vars" not in index or not index.datasets(f"{_PATH}/vars"):
        return []
    old = trainable_units(index, before, before)
    new = trainable_units(index, before, after)
    if [unit.key for unit in old] == [unit.key for unit in new]:
        return []
    patches: list[Patch] = []
    number = version_number(version)
    early = number is not None and number < _SEPARATE
    for path, leading, class_name, config in _optimizers(index, entry):
        group = f"{path}/vars"
        state = _State(index, group)
        if state.has_slots(leading + _counters(config), old):
            mapping = state.renumbered(leading, class_name, config, old, new, early)
            patches += relink(buffer, group, mapping, index)
    return sorted(patches)


def _optimizers(index: Hdf5Index, entry: dict[str, Any]) -> Iterator[tuple[str, int, str, dict[str, Any]]]:
    """Every group of state: its path, the scalars in front, the optimizer's class and configuration.

    A LossScaleOptimizer (Keras puts one around that of a mixed_float16 model unasked) saves the variables of
    the one inside twice: after its own, and in a group of their own.
    """
    compiled = entry.get("compile_config")
    class_name, config = _stated(compiled.get("optimizer") if isinstance(compiled, dict) else None)
    if f"{_PATH}/{_INNER}" not in index:
        yield _PATH, 0, class_name, config
        return
    if class_name == "LossScaleOptimizer":
        class_name, config = _stated(config.get(_INNER))
    yield _PATH, _LOSS_SCALE, class_name, config
    yield f"{_PATH}/{_INNER}", 0, class_name, config


def _stated(optimizer: Any) -> tuple[str, dict[str, Any]]:
    """Class and configuration of a serialised optimizer; a mere name stands for the class with defaults."""
    if isinstance(optimizer, str):
        known = {name.lower(): name for name in PASSES}
        return known.get(optimizer.lower(), optimizer), {}
    if not isinstance(optimizer, dict):
        return "", {}
    config = optimizer.get("config")
    registered = optimizer.get("registered_name")
    custom = isinstance(registered, str) and ">" in registered
    return str(registered if custom else optimizer.get("class_name")), config if isinstance(
        config, dict
    ) else {}


def _counters(config: dict[str, Any]) -> int:
    """The step number, and the learning rate unless a schedule gives it."""
    return 1 if isinstance(config.get("learning_rate"), dict) else 2


class _State:
    """The variables of one optimizer group."""

    def __init__(self, index: Hdf5Index, group: str) -> None:
        self.shapes: dict[str, Shape] = {}
        if group in index:
            self.shapes = {name: dataset.shape for name, dataset in index.datasets(group).items()}

    def has_slots(self, scalars: int, units: list[Unit]) -> bool:
        """Whether anything in it belongs to a variable of the model."""
        if any(shape for shape in self.shapes.values()):
            return True
        return len(self.shapes) > scalars and any(shape == () for unit in units for shape in unit.shapes)

    def renumbered(
        self,
        leading: int,
        class_name: str,
        config: dict[str, Any],
        old: list[Unit],
        new: list[Unit],
        early: bool,
    ) -> dict[str, str]:
        """The new number of each variable, both as text."""
        known = PASSES.get(class_name)
        if known is None:
            raise _lost(f"which variables a {shown(class_name) or 'nameless'} optimizer keeps is not known")
        common, own = ([p for p in ps if not p.option or config.get(p.option)] for ps in (_COMMON, known))
        scalars = _SCALARS.get(class_name, 0)
        if early:
            common = [Pass(_like(len(common)))] if common else []
        result: dict[str, str] = {}
        start = leading + _counters(config)
        for number, step in enumerate((*common, *own)):
            start += scalars if early and number == len(common) else 0
            slots = {unit.key: [s for shape in unit.shapes for s in step.slots(shape)] for unit in old}
            here = _starts(start, old, slots)
            there = _starts(start, new, slots)
            for key, shapes in slots.items():
                numbers = [str(here[key] + k) for k in range(len(shapes))]
                if sorted(map(repr, shapes)) != sorted(repr(self.shapes.get(n)) for n in numbers):
                    raise _lost("its variables do not fit those of the model")
                result |= {n: str(there[key] + k) for k, n in enumerate(numbers)}
            start += sum(map(len, slots.values()))
        if start + (0 if early else scalars) != len(self.shapes):
            raise _lost("its variables do not fit those of the model")
        return result


def _starts(
    start: int, units: Iterable[Unit], slots: dict[tuple[str, ...], list[Shape]]
) -> dict[tuple[str, ...], int]:
    starts = {}
    for unit in units:
        starts[unit.key] = start
        start += len(slots[unit.key])
    return starts


def _lost(reason: str) -> UnsupportedError:
    return UnsupportedError(
        "the inserted nodes change the order of the model's variables, the optimizer's state cannot be kept: "
        f"{reason}; save the model without it (load_model(path, compile=False), then save)"
    )
