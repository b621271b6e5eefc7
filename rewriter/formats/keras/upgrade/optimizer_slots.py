"""The state of a Keras 2 optimizer, by the variables of Keras 3.

The variables of the state are identified by their order: the passes in which that Keras creates them, and in each pass
the model's trainable variables. Names that contain the name of a variable must agree with the order. If the upgrade
moves, transposes or splits a variable, it does the same to its slots. If it scales or adds up variables, the state is
not carried.

Sources: ``optimizers`` of Keras 2.2 and 2.3 (``Optimizer.get_updates``), ``tf_keras/src/optimizers/legacy``
(``_create_slots``) and ``tf_keras/src/optimizers`` (``build``) of tf_keras 2.21; the updates of ``legacy`` are those of
``tensorflow/core/kernels/training_ops.cc``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ....errors import shown
from ...variables import StoredVariable, Variable
from ..optimizer_layout import PASSES, Pass, Place, passed
from . import stored_forms
from .compiled import named_optimizer
from .constructs import Construct
from .context import Entry
from .model import is_model, layer_name
from .weights import Own, Reader, VariablePlace, new_groups

CONSTRUCTS = (
    Construct(
        "state of SGD, Adam, AdamW, Adamax, Adadelta, Ftrl, Lion, Adafactor; of RMSprop and Adagrad as far as Keras 3 "
        "computes the same",
        "the variables of the optimizer of Keras 3",
        "state",
    ),
    Construct(
        "state of an optimizer that computes differently",
        "left out: training starts with a new one",
        "left_out",
    ),
)

# Which optimizers: of Keras itself, of tf.keras until 2.10 (OptimizerV2), and later ones.
OF_KERAS, LEGACY, NEW = "Keras", "OptimizerV2", "Optimizer"

# These keep the state of Embedding rows that a batch does not take, unlike Keras 3.
_SPARSE = frozenset({"SGD", "RMSprop", "Adadelta", "Adamax", "Ftrl"})
# From this accumulator on, it makes no difference in float32 where Adagrad adds epsilon.
_LEAST_ACCUMULATOR, _MOST_EPSILON = 0.1, 1e-7
_NAMELESS = re.compile(r"(Variable|[a-z]+)(_\d+)*")
_RATES = ("learning_rate", "current_learning_rate")
_FIRST_IN_ORDER = (2, 2)  # before that, some sort the variables by name


class NotCarried(Exception):
    """The reason why the state is left out."""


class Slots(NamedTuple):
    """The step number, and the slots by their name in Keras 3 and the path of their variable there."""

    iteration: int
    slots: dict[str, dict[str, Variable]]


class OldModel(NamedTuple):
    """The variables of an old model.

    Attributes:
        weights: all variables by their place, with their names in the file.
        reader: for the Keras that wrote them.
        owns: the layers that have variables of their own, by their path in Keras 3.
        trained: the trained ones in the order of ``model.trainable_weights``.
        embeds: whether an Embedding is trained.
    """

    weights: Mapping[VariablePlace, StoredVariable]
    reader: Reader
    owns: Mapping[str, Own]
    trained: Sequence[VariablePlace]

    @property
    def embeds(self) -> bool:
        return any(self.owns[place.path].class_name == "Embedding" for place in self.trained)


def old_model(
    entry: Entry,
    order: Iterable[str],
    reader: Reader,
    architecture: str,
    named: Callable[[str, list[VariablePlace]], Iterable[tuple[VariablePlace, StoredVariable]]],
) -> OldModel:
    """The variables of a model.

    Args:
        entry: the model as written in the old configuration.
        order: the names of its layers in the order of its Keras.
        architecture: the version of the configuration.
        named: returns the variables of a layer from its name and their places, the trained ones first.

    Raises:
        UnsupportedError: a layer whose variables are not known.
        NotCarried: the file lacks a trained variable.
    """
    config: Any = entry["config"]
    listed = config if isinstance(config, list) else config["layers"]
    layers = {layer_name(layer): layer for layer in listed}
    groups = new_groups(entry, architecture)
    weights: dict[VariablePlace, StoredVariable] = {}
    owns: dict[str, Own] = {}
    trained: list[VariablePlace] = []
    for name in order:
        if name not in groups or name not in layers:
            continue
        prefix = f"layers/{groups[name]}/"
        some, others = reader.order(layers[name], prefix, 0)
        owns |= {own.path: own for own in reader.own(layers[name], prefix, 0)}
        if some or others:
            weights.update(named(name, some + others))
        trained += some
    if is_model(entry) and isinstance(config, dict) and config.get("trainable") is False:
        trained = []
    if any(place not in weights for place in trained):
        raise NotCarried("the variables of the model are not known")
    return OldModel(weights, reader, owns, trained)


def carried_slots(
    stored: Sequence[StoredVariable], optimizer: Any, new: Mapping[str, Any], version: str, model: OldModel
) -> Slots:
    """The state of an optimizer of Keras 2.

    Args:
        stored: its variables in the order of the file; those of an archive have no names.
        optimizer: its serialised form in the file.
        new: its configuration in Keras 3.
        version: the Keras that wrote the file.

    Raises:
        NotCarried: the variables cannot be identified, or the Keras 3 optimizer uses them differently.
        UnsupportedError, BadFileError: their type is not supported, or they do not fit the model.
    """
    class_name, config = named_optimizer(optimizer)
    if not stored:
        raise NotCarried("the file has none")
    style = _style(config, stored, model)
    stored = [item for k, item in enumerate(stored) if k != 1 or _parts(item.name)[-1] not in _RATES]
    _check_same(class_name, config, new, style, model.embeds)
    names = {_key(place): model.weights[place] for place in model.trained}
    places = _places(
        class_name, config, {key: w.variable.shape for key, w in names.items()}, style, len(stored) - 1
    )
    if len(stored) == 1 and places:
        raise NotCarried("nothing was trained")
    if len(places) != len(stored) - 1:
        raise NotCarried("its variables do not fit those of the model")
    if any(p.shape != s.variable.shape for p, s in zip(places, stored[1:], strict=True)):
        raise NotCarried("its variables do not fit those of the model")
    if style in (LEGACY, NEW) and stored[0].name:
        _check_names(class_name, places, stored[1:], names)
    if style == OF_KERAS and (_number(version) < _FIRST_IN_ORDER):
        raise NotCarried("its names do not say to which weights it belongs")
    found: dict[str, dict[str, Variable]] = {}
    for place, item in zip(places, stored[1:], strict=True):
        found.setdefault(place.slot, {})[place.variable] = item.variable
    if class_name == "Adam" and not config.get("amsgrad"):
        found.pop("velocity_hat", None)
    moved = _Moved(model)
    if moved.changes and class_name == "Adafactor":
        raise NotCarried("its factors belong to kernels in another form")
    return Slots(_iteration(stored[0]), {slot: moved.slot(values) for slot, values in found.items()})


def _key(place: VariablePlace) -> str:
    return f"{place.path}:{place.number}"


def _number(version: str) -> tuple[int, int]:
    found = re.match(r"(\d{1,6})\.(\d{1,6})", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _iteration(stored: StoredVariable) -> int:
    if stored.variable.shape != ():
        raise NotCarried("its first variable is not the number of the step")
    value = float(stored.variable.load())
    if not 0 <= value < 2**53 or value != int(value):
        raise NotCarried("its first variable is not the number of the step")
    return int(value)


# -- which variable is which -----------------------------
def _style(config: Mapping[str, Any], stored: Sequence[StoredVariable], model: OldModel) -> str:
    if config.get("is_legacy_optimizer") is False or not any(item.name for item in stored):
        return NEW  # an archive holds only the variables of these
    if len(stored) == 1:
        return LEGACY
    last = [_parts(item.name)[-1] for item in stored]
    if not all(last):
        raise NotCarried("not all of its variables have names")
    if any(len(_parts(model.weights[place].name)) > 1 for place in model.trained[:1]) and any(
        _without(_parts(item.name), _parts(model.weights[model.trained[0]].name)) for item in stored
    ):
        return LEGACY
    if all(_NAMELESS.fullmatch(part) for part in last):
        return OF_KERAS
    raise NotCarried("its names are not those of the weights")


def _places(
    class_name: str,
    config: Mapping[str, Any],
    variables: Mapping[str, tuple[int, ...]],
    style: str,
    count: int,
) -> list[Place]:
    """The variables after the step number, in order."""
    passes = [
        step
        for step in PASSES[class_name]
        if not step.option or config.get(step.option) or (class_name == "SGD" and style != LEGACY)
    ]
    if style != NEW and class_name != "Ftrl":
        passes = [Pass((slot,), step.option) for step in passes for slot in step.slots]
    places = passed(passes, variables)
    if class_name == "Adafactor":  # scalars instead of factors are not kept
        return [p for p in places if p.slot not in ("r", "c") or len(variables[p.variable]) >= 2]
    if class_name == "Adam" and style == OF_KERAS and not config.get("amsgrad") and count > len(places):
        places += [Place("velocity_hat", name, (1,)) for name in variables]
    return places


def _check_names(
    class_name: str,
    places: Sequence[Place],
    stored: Sequence[StoredVariable],
    names: Mapping[str, StoredVariable],
) -> None:
    """Raises NotCarried unless every name contains the names of its slot and of its variable."""
    older = {slot.name: {*slot.older, slot.name} for step in PASSES[class_name] for slot in step.slots}
    for place, item in zip(places, stored, strict=True):
        rest = _without(_parts(item.name), _parts(names[place.variable].name))
        if rest is None or not older[place.slot] & set(rest):
            raise NotCarried("its names are not those of the weights, in their order")


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a name, without the number of the output: ``dense/kernel:0``."""
    return tuple((name.rpartition(":")[0] if ":" in name else name).split("/"))


def _without(name: tuple[str, ...], path: tuple[str, ...]) -> tuple[str, ...] | None:
    """A name without the last occurrence of ``path``; None if ``path`` does not occur."""
    for start in range(len(name) - len(path), -1, -1):
        if name[start : start + len(path)] == path:
            return (*name[:start], *name[start + len(path) :])
    return None


# -- whether Keras 3 computes the same -----------------------------
def _check_same(
    class_name: str, config: Mapping[str, Any], new: Mapping[str, Any], style: str, embeds: bool
) -> None:
    """Raises NotCarried if the optimizer of Keras 3 computes something else from the same variables."""
    if class_name == "Nadam":
        raise NotCarried("Nadam: the file does not hold the product of its momenta")
    if config.get("use_ema"):
        raise NotCarried("an optimizer with use_ema: Keras 3 starts its averages differently")
    if config.get("adaptive_epsilon"):
        raise NotCarried("adaptive_epsilon: Keras 3 has none")
    schedules = [isinstance(each.get("learning_rate"), dict) for each in (config, new)]
    if config.get("decay") and schedules != [False, True]:
        raise NotCarried("its learning rate has a decay that is dropped")
    if style == OF_KERAS and config.get("clipnorm"):
        raise NotCarried("clipnorm: Keras 2 takes the norm of all gradients, Keras 3 the norm of each")
    if class_name == "RMSprop" and style != NEW and (style == OF_KERAS or not config.get("momentum")):
        raise NotCarried("RMSprop: Keras 2 adds epsilon to the root, Keras 3 under the root")
    if class_name == "Adagrad" and style != NEW and not _is_negligible(config, style):
        raise NotCarried("Adagrad: Keras 2 adds epsilon to the root, Keras 3 under the root")
    if (
        style == LEGACY
        and embeds
        and class_name in _SPARSE
        and (class_name != "SGD" or config.get("momentum"))
    ):
        raise NotCarried(
            f"{class_name} with an Embedding: Keras 2 does not update the state of rows that a batch does not take"
        )


def _is_negligible(config: Mapping[str, Any], style: str) -> bool:
    least, epsilon = config.get("initial_accumulator_value"), config.get("epsilon")
    numbers = type(least) in (int, float) and type(epsilon) in (int, float)
    return style == LEGACY and numbers and least >= _LEAST_ACCUMULATOR and 0 <= epsilon <= _MOST_EPSILON  # type: ignore[operator]


# -- from the form of Keras 2 to that of Keras 3 -----------------------------
class _Moved:
    """Bring the trained variables of a model to the form of Keras 3. Raises NotCarried if that changes numbers.

    Attributes:
        changes: whether one of them gets another form.
    """

    def __init__(self, model: OldModel) -> None:
        self._model = model
        self._trained = frozenset(model.trained)
        self.changes = False
        self._same: dict[str, dict[str, VariablePlace]] = {}
        for path in dict.fromkeys(place.path for place in model.trained):
            self._check(model.owns[path])

    def slot(self, values: Mapping[str, Variable]) -> dict[str, Variable]:
        """The values of one slot by the paths of Keras 3, from the values by the places of Keras 2."""
        found: dict[str, Variable] = {}
        for path in dict.fromkeys(place.path for place in self._model.trained):
            if path in self._same:
                same = {name: values.get(_key(place)) for name, place in self._same[path].items()}
                found |= {name: value for name, value in same.items() if value is not None}
            else:
                found |= self._translated(self._model.owns[path], lambda place: values.get(_key(place)))
        return found

    def _translated(self, own: Own, value: Callable[[VariablePlace], Variable | None]) -> dict[str, Variable]:
        """A layer's own variables by the paths of Keras 3, with the model's own values for untrained ones."""
        model = self._model
        places = [VariablePlace(own.path, number) for number in range(own.trained + own.others)]
        given = [value(place) or model.weights[place].variable for place in places]
        reader = model.reader
        new = stored_forms.translated(own.class_name, own.config, given, reader.era, reader.backend)
        return {f"{own.path}{name}": variable for name, variable in new.items()}

    def _check(self, own: Own) -> None:
        """Check with numbered entries that each entry of a trained variable occurs once in the form of Keras 3."""
        import numpy as np

        marks: dict[VariablePlace, Variable] = {}
        start = 0
        for number in range(own.trained + own.others):
            place = VariablePlace(own.path, number)
            shape = self._model.weights[place].variable.shape
            size = int(np.prod(shape, dtype=np.int64))
            first = start if place in self._trained else -1
            marks[place] = Variable(shape, "float64", _counted(shape, first))
            start += size if place in self._trained else 0
        kept = {id(mark): place for place, mark in marks.items()}
        new = self._translated(own, marks.get)
        if all(id(variable) in kept for variable in new.values()):
            self._same[own.path] = {name: kept[id(variable)] for name, variable in new.items()}
            return
        self.changes = True
        for place in marks:
            self._model.weights[place].variable.load()  # fails early if a shape in the file is false
        numbers = np.concatenate([np.ravel(variable.load()) for variable in new.values()])
        numbers = np.sort(numbers[numbers != -1])
        if not np.array_equal(numbers, np.arange(start)):
            raise NotCarried(
                f"the weights of {shown(own.class_name)} layers get other numbers in Keras 3, not another order alone"
            )


def _counted(shape: tuple[int, ...], first: int) -> Callable[[], Any]:
    """Consecutive numbers from ``first``; all -1 if ``first`` is -1."""
    import numpy as np

    size = int(np.prod(shape, dtype=np.int64))
    if first == -1:
        return lambda: np.full(shape, -1.0)
    return lambda: np.arange(first, first + size, dtype=np.float64).reshape(shape)
