"""Which variables an optimizer keeps, and in which order: one row per class.

They are saved in the order in which the optimizer creates them: its counters, then the slots, in passes over the
trainable variables. Source: ``keras/src/optimizers``, ``build`` of every class and
``BaseOptimizer.add_optimizer_variables``, Keras 3.15. Until 3.9 the slots common to all optimizers are created in one
pass, and Nadam's scalar before its slots. Older names: ``tf_keras/src/optimizers`` and ``optimizers/legacy`` of
tf_keras 2.21.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .variables import Shape

ITERATION, LEARNING_RATE = "iteration", "learning_rate"


def _whole(shape: Shape) -> Shape:
    return shape


def _row(shape: Shape) -> Shape:
    return shape[:-1] if len(shape) >= 2 else ()


def _column(shape: Shape) -> Shape:
    return (*shape[:-2], shape[-1]) if len(shape) >= 2 else ()


@dataclass(frozen=True, slots=True)
class Slot:
    """One variable of the optimizer for each trainable variable of the model.

    Attributes:
        older: its names in Keras 2.
        shape: gives its shape from the shape of the variable.
    """

    name: str
    older: tuple[str, ...] = ()
    shape: Callable[[Shape], Shape] = _whole


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over the variables, made if the option of that name is set (always if it is empty)."""

    slots: tuple[Slot, ...]
    option: str = ""

    def shapes(self, shape: Shape) -> list[Shape]:
        """The shapes of the slots for a variable of this shape."""
        return [slot.shape(shape) for slot in self.slots]


def _pass(*slots: Slot, option: str = "") -> Pass:
    return Pass(slots, option)


_MOMENTUM, _VELOCITY = Slot("momentum", ("m",)), Slot("velocity", ("v",))
_ADAM = (_pass(_MOMENTUM, _VELOCITY), _pass(Slot("velocity_hat", ("vhat",)), option="amsgrad"))

# Passes by class. Muon chooses a variable's slots by its path, MultiOptimizer by code: they are not here.
PASSES: dict[str, tuple[Pass, ...]] = {
    "Adadelta": (
        _pass(
            Slot("accumulated_grad", ("accumulated_grad", "accum_grad")),
            Slot("accumulated_delta_var", ("accumulated_delta_var", "accum_var")),
        ),
    ),
    # For two or more axes a row and a column, else two scalars; then the whole shape.
    "Adafactor": (_pass(Slot("r", ("r",), _row), Slot("c", ("c",), _column), Slot("velocity", ("v",))),),
    "Adagrad": (_pass(Slot("accumulator", ("accumulator",))),),
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "Adamax": (_pass(_MOMENTUM, Slot("norm", ("u", "v"))),),
    "Ftrl": (_pass(Slot("accumulator", ("accumulator",)), Slot("linear", ("linear",))),),
    "Lamb": (_pass(_MOMENTUM, _VELOCITY),),
    "Lion": (_pass(_MOMENTUM),),
    "Nadam": (_pass(_MOMENTUM, _VELOCITY),),
    "RMSprop": (
        _pass(Slot("velocity", ("velocity", "rms"))),
        _pass(Slot("momentum", ("momentum",)), option="momentum"),
        _pass(Slot("average_gradient", ("average_gradient", "mg")), option="centered"),
    ),
    "SGD": (_pass(Slot("momentum", ("m", "momentum")), option="momentum"),),
    "ScheduleFreeAdamW": (_pass(_MOMENTUM, _VELOCITY),),
}

# Every optimizer makes these first (BaseOptimizer.build).
COMMON = (
    _pass(Slot("average"), option="use_ema"),
    _pass(Slot("gradient_accumulator"), option="gradient_accumulation_steps"),
)

# Scalars of a class in addition to its slots, and those of LossScaleOptimizer before its inner optimizer's.
SCALARS = {"Nadam": 1}
LOSS_SCALE, INNER, LOSS_SCALED = "LossScaleOptimizer", "inner_optimizer", 4
# The first version that makes the slots of every option in a pass of their own, and the scalars of a class last.
SEPARATE = (3, 10)


class Place(NamedTuple):
    """A variable of an optimizer: which slot, of which variable of the model ("" for the optimizer's own)."""

    slot: str
    variable: str
    shape: Shape


def counters(config: Mapping[str, Any]) -> list[str]:
    """The step number, and the learning rate unless a schedule gives it."""
    return [ITERATION] if isinstance(config.get("learning_rate"), dict) else [ITERATION, LEARNING_RATE]


def steps(class_name: str, config: Mapping[str, Any], early: bool = False) -> tuple[list[Pass], list[Pass]]:
    """The passes common to all optimizers, and those of the class. KeyError for an unknown class.

    Args:
        early: whether Keras is older than ``SEPARATE``.
    """
    common, own = (
        [p for p in ps if not p.option or config.get(p.option)] for ps in (COMMON, PASSES[class_name])
    )
    if early and common:
        common = [Pass(tuple(slot for step in common for slot in step.slots))]
    return common, own


def layout(
    class_name: str, config: Mapping[str, Any], variables: Mapping[str, Shape], early: bool = False
) -> list[Place]:
    """All variables of an optimizer of Keras 3, in their order. KeyError for an unknown class.

    Args:
        variables: the shapes of the model's trainable variables by their names, in their order.
        early: as ``steps``.
    """
    common, own = steps(class_name, config, early)
    scalars = [Place(f"scalar {k}", "", ()) for k in range(SCALARS.get(class_name, 0))]
    places = [Place(name, "", ()) for name in counters(config)]
    places += passed(common, variables)
    places += scalars if early else []
    places += passed(own, variables)
    return places + ([] if early else scalars)


def passed(passes: Iterable[Pass], variables: Mapping[str, Shape]) -> list[Place]:
    """The slots that passes over the variables create, in order."""
    return [
        Place(slot.name, name, slot.shape(shape))
        for step in passes
        for name, shape in variables.items()
        for slot in step.slots
    ]
