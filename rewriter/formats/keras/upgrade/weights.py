"""The weights of an old model by the paths of a Keras 3 weights file.

An HDF5 file of Keras 1 and 2 has one group for each layer of the model, with its variables in one list: the trained
ones before the others, those of layers inside in the order of the layers. A weights file of Keras 3 has a group for
each layer at every depth. Source: ``saving/legacy/hdf5_format.py`` (``_legacy_weights``) and ``engine/training.py`` of
tf_keras 2.21, ``keras/engine/topology.py`` of Keras 1.2, ``keras/src/saving/saving_lib.py`` of Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ....errors import BadFileError, UnsupportedError, shown
from ...variables import StoredVariable, Variable
from ..config import read_model
from ..layer_order import group_names, numbered
from . import keras_1, kernels, stored_forms
from .context import Entry
from .custom import states_custom
from .detect import every_layer
from .layers import CLASSES
from .merges import without_merges
from .model import is_model, layer_name, upgraded
from .names import Names

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_NESTING = 100


# The form of the variables by the major version of Keras. Keras 3 writes the legacy file too.
_ERAS = {"0": 1, "1": 1, "2": 2, "3": 3}


class VariablePlace(NamedTuple):
    """A variable of a layer: the layer's path in a Keras 3 file, and the number among its own variables."""

    path: str
    number: int


class Own(NamedTuple):
    """A layer with variables of its own."""

    path: str
    class_name: str
    config: dict[str, Any]
    trained: int
    others: int


def keras_3_variables(
    entry: Entry, stored: Sequence[StoredVariable], version: str = "", backend: str = "tensorflow"
) -> dict[str, Variable]:
    """The variables of one layer of an old model, by their path below its group in a Keras 3 file.

    Args:
        entry: the layer as written in the old configuration.
        stored: its variables in the order of ``weight_names``.
        version: the ``keras_version`` of the weights.
        backend: their ``backend``; Theano stores kernels flipped.

    Raises:
        BadFileError: the file has more or fewer variables than the layer, or of other shapes.
        UnsupportedError: a layer whose variables are not known.
    """
    reader = Reader(version, backend)
    found = list(reader.own(entry, "", 0))
    layers = {own.path: own for own in found}
    trained, others = reader.order(entry, "", 0)
    places = trained + others
    if len(places) != len(stored):
        raise BadFileError(
            f"the variables of {shown(layer_name(entry))!r} differ in number: {len(stored)} in the file, "
            f"{len(places)} in the model"
        )
    by_layer: dict[str, dict[int, Variable]] = {}
    for place, item in zip(places, stored, strict=True):
        by_layer.setdefault(place.path, {})[place.number] = item.variable
    result: dict[str, Variable] = {}
    for path, numbers in by_layer.items():
        own = layers[path]
        variables = [numbers[number] for number in sorted(numbers)]
        new = stored_forms.translated(own.class_name, own.config, variables, reader.era, backend)
        result.update({f"{path}{name}": variable for name, variable in new.items()})
    return result | repeated(found, result)


def repeated(owns: Iterable[Own], variables: Mapping[str, Variable]) -> dict[str, Variable]:
    """The variables that Keras 3 stores twice, by the second path."""
    return {
        f"{own.path}{copy}": variables[f"{own.path}{place}"]
        for own in owns
        for copy, place in stored_forms.repeated(own.class_name).items()
    }


class Reader:
    """What a model's variables are, and where they are in the old and the new file."""

    def __init__(self, version: str, backend: str) -> None:
        self.version = version
        self.era = _ERAS.get(version.split(".")[0], 2)
        self.backend = backend
        self.graphs: dict[int, dict[str, str]] = {}

    # -- the order in the old file -----------------------------
    def order(self, entry: Entry, path: str, depth: int) -> tuple[list[VariablePlace], list[VariablePlace]]:
        """The trained and the other variables of a layer and of the layers inside it (``trainable_weights`` …)."""
        trained: list[VariablePlace] = []
        others: list[VariablePlace] = []
        if is_model(entry):
            for inner, where in self._layers(entry, path, depth):
                some, more = self.order(inner, where, depth + 1)
                trained += some
                others += more
            return ([], trained + others) if self._frozen(entry) else (trained, others)
        own = self.own_variables(entry, path)
        if own is not None:
            trained += [VariablePlace(path, k) for k in range(own.trained)]
            others += [VariablePlace(path, own.trained + k) for k in range(own.others)]
        if self._frozen(entry):
            inside = [
                self.everything(inner, where, depth + 1) for inner, where in self.children(entry, path, depth)
            ]
            return [], trained + others + [place for places in inside for place in places]
        for inner, where in self.children(entry, path, depth):
            some, more = self.order(inner, where, depth + 1)
            trained += some
            others += more
        return trained, others

    def everything(self, entry: Entry, path: str, depth: int) -> list[VariablePlace]:
        """All variables in the order of ``variables``: those of a model layer by layer."""
        if is_model(entry):
            inside = [
                self.everything(inner, where, depth + 1) for inner, where in self._layers(entry, path, depth)
            ]
            return [place for places in inside for place in places]
        trained, others = self.order(entry, path, depth)
        return trained + others

    def own(self, entry: Entry, path: str, depth: int) -> Iterator[Own]:
        """This layer and the layers inside it that have variables of their own."""
        if depth > _MAX_NESTING:
            raise UnsupportedError(f"models nested more than {_MAX_NESTING} deep")
        if is_model(entry):
            inside = self._layers(entry, path, depth)
        else:
            found = self.own_variables(entry, path)
            if found is not None:
                yield found
            inside = self.children(entry, path, depth)
        for inner, where in inside:
            yield from self.own(inner, where, depth + 1)

    def own_variables(self, entry: Entry, path: str) -> Own | None:
        """A layer's own variables, if it has some."""
        class_name, config = entry.get("class_name"), entry.get("config")
        if not isinstance(class_name, str) or not isinstance(config, dict):
            raise BadFileError("a layer has no class_name or no config")
        if states_custom(entry) and self.era < 3:
            raise UnsupportedError(f"the weights of {class_name!r}, a custom class, are not known")
        gates = 1
        if self.era == 1:
            gates = keras_1.gates_apart(class_name, config)
            class_name, config = keras_1.renamed_parts(class_name, config)
        trained, others = stored_forms.counts(class_name, config)
        trained *= gates
        return Own(path, class_name, config, trained, others) if trained + others else None

    @staticmethod
    def _frozen(entry: Entry) -> bool:
        config = entry.get("config")
        return isinstance(config, dict) and config.get("trainable") is False

    # -- inner layers -----------------------------
    def _layers(self, entry: Entry, path: str, depth: int) -> list[tuple[Entry, str]]:
        """The layers of a model, in their order, with their paths in a Keras 3 file."""
        if depth > _MAX_NESTING:
            raise UnsupportedError(f"models nested more than {_MAX_NESTING} deep")
        if id(entry) not in self.graphs:
            self.graphs[id(entry)] = new_groups(entry, self.version)
        groups = self.graphs[id(entry)]
        config: Any = entry["config"]
        layers = config if isinstance(config, list) else config["layers"]
        return [
            (layer, f"{path}layers/{groups[layer_name(layer)]}/")
            for layer in layers
            if layer_name(layer) in groups
        ]

    def children(self, entry: Entry, path: str, depth: int) -> list[tuple[Entry, str]]:
        """The layers inside a layer, in the order in which Keras 2 counts their variables."""
        # An HDF5 file of Keras 3 has no weights of an activation.
        activations = _activations(entry, path) if self.era < 3 else []
        return [*activations, *self._held(entry, path)]

    def _held(self, entry: Entry, path: str) -> list[tuple[Entry, str]]:
        config: Any = entry.get("config")
        class_name = entry.get("class_name")
        if class_name == "Bidirectional":
            forward = config.get("layer")
            backward = config.get("backward_layer") or forward
            if not isinstance(forward, dict) or not isinstance(backward, dict):
                raise BadFileError("a Bidirectional has no layer")
            return [(forward, f"{path}forward_layer/"), (backward, f"{path}backward_layer/")]
        if class_name in ("TimeDistributed", "SpectralNormalization") and isinstance(
            config.get("layer"), dict
        ):
            return [(config["layer"], f"{path}layer/")]
        if class_name == "RNN" and isinstance(config.get("cell"), dict):
            return [(config["cell"], f"{path}cell/")]
        if class_name == "StackedRNNCells" and isinstance(config.get("cells"), list):
            names = [str(CLASSES.get(cell["class_name"], cell["class_name"])) for cell in config["cells"]]
            return [
                (cell, f"{path}cells/{group}/")
                for cell, group in zip(config["cells"], numbered(names), strict=True)
            ]
        return []


def _activations(entry: Entry, path: str) -> list[tuple[Entry, str]]:
    """The layers that are given as activation functions."""
    config: Any = entry.get("config")
    if not isinstance(config, dict):
        return []
    cell = "cell/" if stored_forms.has_cell(str(entry.get("class_name"))) else ""
    return [
        (config[key], f"{path}{cell}{key}/")
        for key in ("activation", "recurrent_activation")
        if isinstance(config.get(key), dict)
        and config[key].get("class_name") not in (None, "function")
        and isinstance(config[key].get("config"), dict)
    ]


class _Named(Reader):
    """Reads only the order: the path of a layer contains its name instead of its group."""

    def _layers(self, entry: Entry, path: str, depth: int) -> list[tuple[Entry, str]]:
        if depth > _MAX_NESTING:
            raise UnsupportedError(f"models nested more than {_MAX_NESTING} deep")
        config: Any = entry["config"]
        layers = config if isinstance(config, list) else config["layers"]
        return [(layer, f"{path}layers/{layer_name(layer)}/") for layer in layers]


def legacy_places(entry: Entry) -> list[list[str]]:
    """The paths of each of a layer's variables in a file of Keras 3, in the order of an HDF5 model of Keras 3.

    A variable has several paths if the file stores it again.

    Args:
        entry: the layer in the form of Keras 3.

    Raises:
        UnsupportedError: a layer whose variables are not known.
    """
    trained, others = Reader("3", "").order(entry, "", 0)
    marks = [StoredVariable(str(k), Variable((k,), "", _nothing)) for k in range(len(trained + others))]
    places: list[list[str]] = [[] for _ in marks]
    for path, mark in keras_3_variables(entry, marks, "3").items():
        places[mark.shape[0]].append(path)
    return places


def legacy_paths(entry: Entry) -> list[str]:
    """The first path of each variable in ``legacy_places``. Raises as ``legacy_places``."""
    return [paths[0] for paths in legacy_places(entry)]


def trained_count(entry: Entry) -> int:
    """The number of trained variables in ``legacy_paths``; they come first. Raises as ``legacy_paths``."""
    return len(Reader("3", "").order(entry, "", 0)[0])


def _nothing() -> NDArray[Any]:
    raise AssertionError("a mark has no numbers")


def named_places(entry: Entry, version: str) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """The trained and the other variables of an old layer, in order: the path of names to each, and its number.

    Raises:
        UnsupportedError: a layer whose variables are not known.
    """
    trained, others = _Named(version, "").order(entry, "", 0)
    return [tuple(place) for place in trained], [tuple(place) for place in others]  # type: ignore[misc]


def new_groups(entry: Entry, version: str) -> dict[str, str]:
    """The group of each layer of a model in a Keras 3 file, by the layer's name in the old model."""
    if _ERAS.get(version.split(".")[0]) == 3:
        return group_names(read_model(entry))
    graph = read_model(upgraded(entry, version).entry)
    groups = group_names(graph)
    config: Any = entry["config"]
    layers = config if isinstance(config, list) else config["layers"]
    names = Names([layer_name(layer) for layer in layers])
    return {old: groups[new] for old, new in names.new.items() if new in groups}


def model_variables(
    entry: Entry,
    stored: Mapping[str, Sequence[StoredVariable]],
    version: str = "",
    backend: str = "tensorflow",
    architecture: str = "",
) -> dict[str, Variable]:
    """The variables of an old model by their full path in a Keras 3 file (``layers/dense/vars/0``).

    Args:
        entry: the model as written in the old configuration.
        stored: the variables of its layers by their names, in the order of ``layer_names``. If the names are not
            those of the model, the layers are matched by order, as in Keras.
        version: the ``keras_version`` of the weights.
        architecture: the version of the configuration, if it is another.

    Raises:
        BadFileError: the weights do not fit the model.
        UnsupportedError: a layer whose variables are not known.
    """
    if backend == "theano":
        kernels.check_padding(every_layer(entry))
    entry = without_merges(entry)
    groups = new_groups(entry, architecture or version)
    config: Any = entry["config"]
    layers = {
        layer_name(layer): layer for layer in (config if isinstance(config, list) else config["layers"])
    }
    filled = {name: variables for name, variables in stored.items() if variables}
    pairs = [(name, variables) for name, variables in filled.items() if name in layers]
    if len(pairs) != len(filled):
        reader = Reader(version, backend)
        with_variables = [name for name, layer in layers.items() if any(reader.own(layer, "", 0))]
        if len(with_variables) != len(filled):
            raise BadFileError(
                f"the layers with weights differ in number: {len(filled)} in the file, "
                f"{len(with_variables)} in the model"
            )
        pairs = list(zip(with_variables, filled.values(), strict=True))
    result: dict[str, Variable] = {}
    for name, variables in pairs:
        if name not in groups:
            continue  # no output of the model depends on it
        found = keras_3_variables(layers[name], variables, version, backend)
        result.update({f"layers/{groups[name]}/{path}": variable for path, variable in found.items()})
    return result
