"""Carry the optimizer's state from a file of one form into the weights file of another.

An archive of Keras 3 stores it as ``optimizer/vars/<i>``, an ``.h5`` file in the group ``optimizer_weights``. Both hold
the variables in the order in which the optimizer creates them (``optimizer_layout``). State is carried only if every
variable is identified with certainty. Sources: ``keras/src/legacy/saving/legacy_h5_format.py``,
``saving/saving_lib.py`` and ``optimizers/loss_scale_optimizer.py``, Keras 3.15.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...errors import BadFileError, UnsupportedError, shown
from ...files.hdf5 import Hdf5Index
from ..variables import StoredVariable, Variable
from .configuration import Older
from .legacy_h5 import LegacyH5
from .old_form.order import model_order
from .optimizer_layout import INNER, ITERATION, LEARNING_RATE, LOSS_SCALE, LOSS_SCALED, PASSES, Place, layout
from .optimizer_state import PATH, is_early, stated
from .upgrade import NotCarried, OldModel, archive_owns, carried_slots, old_model
from .upgrade.compiled import stated_optimizer
from .upgrade.merges import without_merges
from .upgrade.weights import Reader, VariablePlace
from .variables import Shape
from .weights_file import stored_variable

Json = dict[str, Any]
# The shapes of the trainable variables by path, in order.
Trained = Mapping[str, Shape]

_MOST_RATE = 3.4028234663852886e38  # the largest float32
_UNFIT = "its variables do not fit those of the model"


class CarriedState(NamedTuple):
    """The groups of an optimizer in a weights file of Keras 3, or why there are none.

    Attributes:
        groups: the variables of each group (``optimizer``) in their order.
        left: why the state is left out; "" if it is carried.
    """

    groups: Mapping[str, Sequence[Variable]]
    left: str = ""


def carried(state: Callable[[], Mapping[str, Sequence[Variable]]]) -> CarriedState:
    """The state that the function returns, or the reason why there is none."""
    try:
        return CarriedState(state())
    except NotCarried as why:
        return CarriedState({}, str(why))
    except (BadFileError, UnsupportedError) as error:
        return CarriedState({}, f"it cannot be read: {error}")


def of_keras_3(
    file: LegacyH5, optimizer: Any, before: Trained, after: Trained
) -> dict[str, Sequence[Variable]]:
    """The groups in an archive for the state in an ``.h5`` file of Keras 3.

    Args:
        optimizer: its serialised form.
        before, after: the trainable variables in the order of the file's model, and of the written model.

    Raises:
        NotCarried: the variables cannot be identified.
    """
    stored = [item.variable for item in file.optimizer_weights()]
    class_name, config = stated(optimizer)
    scaled = class_name == LOSS_SCALE
    if scaled:
        class_name, config = stated(config.get(INNER))
    if class_name not in PASSES:
        raise NotCarried(f"the variable layout of a {shown(class_name) or 'nameless'} optimizer is not known")
    own = stored[: LOSS_SCALED if scaled else 0]
    rest = stored[len(own) :]
    places = layout(class_name, config, before, is_early(file.keras_version))
    if len(stored) <= LOSS_SCALED < LOSS_SCALED * scaled + len(places) and all(v.shape == () for v in stored):
        raise NotCarried("nothing was trained")
    if [place.shape for place in places] != [variable.shape for variable in rest]:
        raise NotCarried(_UNFIT)
    found = {(place.slot, place.variable): v for place, v in zip(places, rest, strict=True)}
    try:
        ordered = [found[place.slot, place.variable] for place in layout(class_name, config, after)]
    except KeyError:
        raise NotCarried(_UNFIT) from None
    if len(ordered) != len(rest):
        raise NotCarried(_UNFIT)
    groups: dict[str, Sequence[Variable]] = {PATH: [*own, *ordered]}
    return groups | ({f"{PATH}/{INNER}": ordered} if scaled else {})


# -- of Keras 2 -----------------------------
def of_old_h5(
    file: LegacyH5, configuration: Older, optimizer: Any, after: Trained
) -> dict[str, Sequence[Variable]]:
    """The groups in an archive for the state in an ``.h5`` file of Keras 2.

    Args:
        optimizer: in the form of Keras 3.
        after: as ``of_keras_3``.

    Raises:
        NotCarried: the variables cannot be identified, or the Keras 3 optimizer uses them differently.
    """
    stored = file.optimizer_weights()
    if not stored:
        raise NotCarried("the file has none")
    if configuration.is_of_keras_1:
        raise NotCarried("Keras 1 keeps it in another order")

    def named(name: str, places: list[VariablePlace]) -> list[tuple[VariablePlace, StoredVariable]]:
        weights = file.layers.get(name, [])
        if len(weights) != len(places):
            raise NotCarried("the weight names in the file do not fit the layers")
        return list(zip(places, weights, strict=True))

    entry = without_merges(configuration.original)
    version = file.keras_version or configuration.version
    reader = Reader(version, file.backend)
    model = old_model(entry, model_order(entry["config"]), reader, configuration.version or version, named)
    return _in_keras_3(stored, stated_optimizer(file.training_config), optimizer, version, model, after)


def of_old_archive(
    index: Hdf5Index, configuration: Older, optimizer: Any, after: Trained
) -> dict[str, Sequence[Variable]]:
    """The groups in a Keras 3 archive for the state in an archive of Keras 2. Arguments and errors as ``of_old_h5``."""
    group = f"{PATH}/vars"
    datasets = index.datasets(group) if group in index else {}
    if not datasets:
        raise NotCarried("the file has none")
    names = [str(number) for number in range(len(datasets))]
    if any(name not in datasets for name in names):
        raise NotCarried(_UNFIT)
    stored = [StoredVariable("", stored_variable(index, f"{group}/{name}")) for name in names]
    entry = without_merges(configuration.original)
    paths = [path for path, _ in index.walk() if path.split("/")[0] != PATH and not index.is_group(path)]
    weights = {path: stored_variable(index, path) for path in paths}
    reader = Reader(configuration.version, "tensorflow")
    places = {
        VariablePlace(own.path, number): StoredVariable(path, weights[path])
        for own, paths in archive_owns(entry, weights, reader)
        for number, path in enumerate(paths)
    }

    def named(name: str, wanted: list[VariablePlace]) -> list[tuple[VariablePlace, StoredVariable]]:
        return [(place, places[place]) for place in wanted if place in places]

    model = old_model(entry, model_order(entry["config"]), reader, configuration.version, named)
    old = stated_optimizer(entry.get("compile_config"))
    return _in_keras_3(stored, old, optimizer, configuration.version, model, after)


def _in_keras_3(
    stored: Sequence[StoredVariable], old: Any, new: Any, version: str, model: OldModel, after: Trained
) -> dict[str, Sequence[Variable]]:
    class_name, config = stated(new)
    slots = carried_slots(stored, old, config, version, model)
    trained = [model.weights[place].variable.shape for place in model.trained]
    if sum(map(math.prod, trained)) != sum(map(math.prod, after.values())):
        raise NotCarried(_UNFIT)

    def variable(place: Place) -> Variable:
        if place.slot == ITERATION:
            return _scalar(slots.iteration, "int64")
        if place.slot == LEARNING_RATE:
            rate = config.get("learning_rate")
            if not isinstance(rate, (int, float)) or abs(rate) > _MOST_RATE:
                raise NotCarried("its learning rate is not known")
            return _scalar(rate, "float32")
        if place.shape == () != after.get(place.variable):
            return _scalar(0, "float32")  # Adafactor keeps no factors for it
        found = slots.slots.get(place.slot, {}).get(place.variable)
        if found is None or found.shape != place.shape:
            raise NotCarried(_UNFIT)
        return found

    return {PATH: [variable(place) for place in layout(class_name, config, after)]}


def _scalar(value: float, dtype: str) -> Variable:
    import numpy as np

    return Variable((), dtype, lambda: np.array(value, dtype))
