"""Optimizer state follows the order of the trainable variables; when that order changes, so must the state.

An optimizer's variables are saved as ``optimizer/vars/<i>``, in the order of ``optimizer_layout``. The state of metrics
and losses is not saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...errors import UnsupportedError, shown
from ...files.hdf5 import Hdf5Index, relink
from ...files.zip import Patch
from ...ir.graph import Graph
from .dialect import version_number
from .optimizer_layout import INNER, LOSS_SCALE, LOSS_SCALED, PASSES, SEPARATE, counters, layout
from .variables import Shape, Unit, trainable_units

PATH = "optimizer"


def relink_optimizer(
    buffer: memoryview,
    index: Hdf5Index,
    entry: dict[str, Any],
    before: Graph,
    after: Graph,
    version: Any = None,
    newest: bool = False,
) -> list[Patch]:
    """The byte patches that put each slot variable where the new order of trainable variables expects it.

    Args:
        version: of the Keras that wrote the file; the newest if none is stated.
        newest: whether the state gets the order of the newest Keras instead of that of ``version``.

    Raises:
        UnsupportedError: the order changes, and the layout of the state is not known or does not fit.
    """
    if f"{PATH}/vars" not in index or not index.datasets(f"{PATH}/vars"):
        return []
    old = trainable_units(index, before, before)
    new = trainable_units(index, before, after)
    early = is_early(version)
    orders = (early, early and not newest)
    moves = [unit.key for unit in old] != [unit.key for unit in new]
    if not moves and orders[0] == orders[1]:
        return []
    patches: list[Patch] = []
    for path, leading, class_name, config in _optimizers(index, entry):
        group = f"{path}/vars"
        state = _State(index, group)
        if state.has_slots(leading + len(counters(config)), old) and (moves or class_name in PASSES):
            mapping = state.renumbered(leading, class_name, config, old, new, orders)
            patches += relink(buffer, group, mapping, index)
    return sorted(patches)


def _optimizers(index: Hdf5Index, entry: dict[str, Any]) -> Iterator[tuple[str, int, str, dict[str, Any]]]:
    """Every group of state: its path, the number of leading scalars, the optimizer's class and configuration.

    A LossScaleOptimizer (Keras wraps the optimizer of a mixed_float16 model in one) saves the variables of the inner
    optimizer twice: after its own, and in a separate group.
    """
    compiled = entry.get("compile_config")
    class_name, config = stated(compiled.get("optimizer") if isinstance(compiled, dict) else None)
    if f"{PATH}/{INNER}" not in index:
        yield PATH, 0, class_name, config
        return
    if class_name == LOSS_SCALE:
        class_name, config = stated(config.get(INNER))
    yield PATH, LOSS_SCALED, class_name, config
    yield f"{PATH}/{INNER}", 0, class_name, config


def stated(optimizer: Any) -> tuple[str, dict[str, Any]]:
    """Class and configuration of a serialised optimizer; a name alone means the class with its defaults."""
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


def is_early(version: Any) -> bool:
    """Whether a version of Keras creates the variables in the order from before ``SEPARATE``."""
    number = version_number(version)
    return number is not None and number < SEPARATE


class _State:
    """The variables of one optimizer group."""

    def __init__(self, index: Hdf5Index, group: str) -> None:
        self.shapes: dict[str, Shape] = {}
        if group in index:
            self.shapes = {name: dataset.shape for name, dataset in index.datasets(group).items()}

    def has_slots(self, scalars: int, units: list[Unit]) -> bool:
        """Whether the group has slots of the model's variables."""
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
        early: tuple[bool, bool],
    ) -> dict[str, str]:
        """The new number of each variable by its old number, both as text.

        Args:
            early: whether the old order, and the new one, are from before ``SEPARATE``.
        """
        if class_name not in PASSES:
            raise _lost(f"the variable layout of a {shown(class_name) or 'nameless'} optimizer is not known")
        orders = [
            [
                (place.slot, place.variable, place.shape)
                for place in layout(class_name, config, _variables(units), e)
            ]
            for units, e in zip((old, new), early, strict=True)
        ]
        numbers = {(slot, name): str(leading + k) for k, (slot, name, _) in enumerate(orders[1])}
        result: dict[str, str] = {}
        wanted: dict[tuple[str, str], list[Shape]] = {}
        found: dict[tuple[str, str], list[Shape | None]] = {}
        for k, (slot, name, shape) in enumerate(orders[0]):
            result[str(leading + k)] = numbers[slot, name]
            # Within a unit the shapes are known, not their order.
            wanted.setdefault((slot, name.rpartition(" ")[0]), []).append(shape)
            found.setdefault((slot, name.rpartition(" ")[0]), []).append(self.shapes.get(str(leading + k)))
        fits = all(
            sorted(map(repr, shapes)) == sorted(map(repr, found[key])) for key, shapes in wanted.items()
        )
        if not fits or leading + len(orders[0]) != len(self.shapes):
            raise _lost("its variables do not fit those of the model")
        return result


def _variables(units: Iterable[Unit]) -> dict[str, Shape]:
    """The shapes of the variables by the unit and their number in it."""
    return {
        f"{'/'.join(map(repr, unit.key))} {k}": shape for unit in units for k, shape in enumerate(unit.shapes)
    }


def _lost(reason: str) -> UnsupportedError:
    return UnsupportedError(
        "the inserted nodes change the order of the model's variables, the optimizer's state cannot be kept: "
        f"{reason}; save the model without it (load_model(path, compile=False), then save)"
    )
