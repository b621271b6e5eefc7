"""The variables of the layers of a Keras model in a SavedModel, in Keras's order.

Every layer has the list ``trainable_variables``, and in ``keras_api`` the list ``non_trainable_variables``. They hold
the variables of the layer and its inner layers in the order of ``layer.weights``, which HDF5 files use too. Source:
``save_impl.py`` (``wrap_layer_objects``) of tf_keras 2.21; unchanged since TensorFlow 2.0.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from ...errors import BadFileError, UnsupportedError, shown
from ...files.folder import Folder
from ..keras.upgrade import named_places
from ..keras.upgrade.model import is_model, layer_name
from ..variables import StoredVariable, Variable
from .checkpoint import Checkpoint
from .keras_metadata import metadata_of
from .messages import Objects
from .traced.products import Weight

# Preprocessing layers have no lists: Keras always builds them from their configuration. Their variables by name.
_NAMED = {"Normalization": ("mean", "variance", "count")}
# The order of a layer's variables by their names: a file with another order is damaged.
_ORDER = (
    *("embeddings", "depthwise_kernel", "pointwise_kernel", "kernel", "recurrent_kernel", "bias"),
    *("gamma", "beta", "moving_mean", "moving_variance", "mean", "variance", "count"),
)
_RANKS = {name: rank for rank, name in enumerate(_ORDER)}
_LAYER = re.compile(r"layer-[0-9]{1,7}")
_API, _TRAINED, _OTHERS = "keras_api", "trainable_variables", "non_trainable_variables"
# Children that Keras adds to an object: they lead to other layers, functions and metrics.
_OF_KERAS = frozenset({_API, _TRAINED, "variables", "regularization_losses", "signatures", "optimizer"})


def stored_layers(
    folder: Folder,
    objects: Objects,
    descriptions: Mapping[int, tuple[str, memoryview]],
    entry: dict[str, Any],
    version: str,
    made: Mapping[str, Sequence[Weight]] | None = None,
    numbers: Mapping[str, int] | None = None,
    gone: Collection[str] = (),
    whole: bool = True,
) -> dict[str, list[StoredVariable]]:
    """The variables of each layer of the outermost model, by the layer's name.

    Args:
        descriptions: Keras's descriptions of the objects.
        entry: the model in its old form.
        version: the Keras version that wrote it.
        made: the variables of layers that are not objects of the file.
        numbers: the objects of layers that are not layers of the outermost model.
        gone: replaced layers of the outermost model; a replacement may have the same name.
        whole: whether the entry has the layers of the outermost model.

    Raises:
        BadFileError: the objects and the configuration contradict each other, or variables are missing or damaged.
        UnsupportedError: a layer that keeps state outside its variables, or whose variable order is not certain.
    """
    return _Reader(folder, objects, descriptions).layers(
        entry, version, made or {}, numbers or {}, gone, whole
    )


def layer_numbers(objects: Objects, descriptions: Mapping[int, tuple[str, memoryview]]) -> Mapping[str, int]:
    """The object numbers of the layers of the outermost model, by layer name. Raises BadFileError."""
    return _numbers(objects, descriptions, 0)


def weights(folder: Folder, objects: Objects) -> Callable[[int], Weight]:
    """A function from object numbers to the variables of a SavedModel. The function raises BadFileError."""
    reader = _Reader(folder, objects, {})

    def weight(number: int) -> Weight:
        shape, dtype, load = reader.variable(number).variable
        return Weight(number, shape, dtype, load)

    return weight


class _Reader:
    def __init__(
        self, folder: Folder, objects: Objects, descriptions: Mapping[int, tuple[str, memoryview]]
    ) -> None:
        self.folder = folder
        self.objects = objects
        self.descriptions = descriptions

    @cached_property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.folder)

    @cached_property
    def keys(self) -> dict[int, str]:
        return self.checkpoint.keys(self.objects.children)

    def layers(
        self,
        entry: dict[str, Any],
        version: str,
        made: Mapping[str, Sequence[Weight]],
        objects: Mapping[str, int],
        gone: Collection[str],
        whole: bool,
    ) -> dict[str, list[StoredVariable]]:
        its = _numbers(self.objects, self.descriptions, 0) if whole else {}
        numbers = {**{name: number for name, number in its.items() if name not in gone}, **objects}
        found: dict[str, list[StoredVariable]] = {}
        held: set[int] = set()
        for layer in entry["config"]["layers"]:
            name = layer_name(layer)
            if name in found:
                raise BadFileError(f"two layers are called {shown(name)!r}")
            found[name] = []
            if name in made:
                found[name] = [
                    StoredVariable(f"{name}/{k}:0", Variable(*weight[1:]))
                    for k, weight in enumerate(made[name])
                ]
                continue
            if name not in numbers:
                if layer.get("class_name") == "InputLayer":
                    continue
                raise BadFileError(f"the SavedModel has no object of the layer {shown(name)!r}")
            self._check_tables(numbers[name], name, layer)
            trained, others = self._lists(numbers[name])
            if _TRAINED not in self._children(numbers[name]):
                others = self._named(numbers[name], name, layer.get("class_name"))
            try:
                expected = named_places(layer, version)
            except UnsupportedError as error:
                raise UnsupportedError(f"the layer {shown(name)!r}: {error}") from None
            if (len(trained), len(others)) != (len(expected[0]), len(expected[1])):
                raise UnsupportedError(
                    f"the layer {shown(name)!r} lists {len(trained)} trained and {len(others)} other variables, where "
                    f"{len(expected[0])} and {len(expected[1])} are expected: their order is not certain"
                )
            self._check_order(numbers[name], name, (*trained, *others))
            found[name] = [self.variable(number) for number in (*trained, *others)]
            held |= {*trained, *others}
        if not whole:
            return found
        own = {number for part in self._lists(0) for number in part} - held
        own -= {each for name in gone for part in self._lists(its[name]) for each in part}
        if own:
            named = self.objects.variables.get(min(own))
            raise UnsupportedError(
                f"the variable {shown(named.name if named else '')!r} belongs to the model itself, not to a layer"
            )
        return found

    def _lists(self, number: int) -> tuple[list[int], list[int]]:
        """The trained and the other variables of an object. Objects without variables have no lists."""
        here = self._children(number)
        api = self._children(here[_API]) if _API in here else {}
        if _TRAINED not in here:
            if "variables" in here or _OTHERS in api:
                raise BadFileError(
                    f"the object {number} of the SavedModel does not list its trained variables"
                )
            return [], []
        if _OTHERS not in api:
            raise BadFileError(f"the object {number} of the SavedModel does not list its untrained variables")
        return self._listed(here[_TRAINED]), self._listed(api[_OTHERS])

    def _named(self, number: int, name: str, class_name: Any) -> list[int]:
        """The variables of a layer without lists, found by name."""
        here = {
            link: child for link, child in self._children(number).items() if child in self.objects.variables
        }
        names = _NAMED.get(class_name, ()) if isinstance(class_name, str) else ()
        found = [here[link] for link in names if link in here]
        other = next((link for link, child in here.items() if child not in found), None)
        if other is not None:
            raise UnsupportedError(
                f"the layer {shown(name)!r} ({shown(class_name)}) keeps {shown(other)!r}, which is not read"
            )
        return found

    def _listed(self, number: int) -> list[int]:
        """The elements of a list; their names are their positions."""
        children = self._children(number)
        names = [name for name in children if name.isascii() and name.isdecimal()]
        if sorted(names, key=int) != [str(k) for k in range(len(names))]:
            raise BadFileError(f"the list {number} of variables of the SavedModel has gaps")
        return [children[str(k)] for k in range(len(names))]

    def _children(self, number: int) -> dict[str, int]:
        if number >= len(self.objects.children):
            raise BadFileError(f"the SavedModel names an object {number}, which does not exist")
        return dict(self.objects.children[number])

    def variable(self, number: int) -> StoredVariable:
        stated = self.objects.variables.get(number)
        if stated is None:
            raise BadFileError(f"the object {number}, which is listed as a variable, is not one")
        if number not in self.keys:
            raise BadFileError(f"the variable {shown(stated.name)!r} has no value in the SavedModel")
        found = self.checkpoint.variable(self.keys[number])
        if found.dtype != stated.dtype or (stated.shape is not None and not _fits(found.shape, stated.shape)):
            raise BadFileError(
                f"the variable {shown(stated.name)!r} is {stated.dtype} of the shape {shown(stated.shape)}, "
                f"its value {found.dtype} of {list(found.shape)}"
            )
        return StoredVariable(stated.name, found)

    def _check_tables(self, number: int, name: str, layer: dict[str, Any]) -> None:
        """Raises UnsupportedError for a layer with a table: results of ``adapt`` that the configuration lacks."""
        if not self.objects.tables:
            return
        config = layer.get("config")
        if is_model(layer):
            numbers = _numbers(self.objects, self.descriptions, number)
            for inner in config if isinstance(config, list) else layer["config"]["layers"]:
                if layer_name(inner) in numbers:
                    self._check_tables(numbers[layer_name(inner)], layer_name(inner), inner)
        elif isinstance(config, dict) and isinstance(config.get("vocabulary"), list):
            return
        elif any(each in self.objects.tables for each in self._inside(number)):
            raise UnsupportedError(
                f"the layer {shown(name)!r} ({shown(layer.get('class_name'))}) keeps a table that is not read"
            )

    def _check_order(self, number: int, name: str, listed: Sequence[int]) -> None:
        """Raises BadFileError if the order of the listed variables is not that of any layer."""
        place = {variable: k for k, variable in enumerate(listed)}
        for each in self._inside(number):
            ranked = sorted(
                (_RANKS[link], place[child])
                for link, child in self._children(each).items()
                if link in _RANKS and child in place
            )
            if any(before > after for (_, before), (_, after) in itertools.pairwise(ranked)):
                raise BadFileError(
                    f"the layer {shown(name)!r} lists its variables in another order than its class"
                )

    def _inside(self, number: int) -> Iterator[int]:
        """An object and its descendants, without the children that Keras adds."""
        seen, waiting = {number}, [number]
        while waiting:
            here = waiting.pop()
            yield here
            for link, child in self._children(here).items():
                if link not in _OF_KERAS and child not in seen:
                    seen.add(child)
                    waiting.append(child)


def _numbers(
    objects: Objects, descriptions: Mapping[int, tuple[str, memoryview]], model: int
) -> dict[str, int]:
    """The object numbers of the layers of a model, by layer name."""
    found: dict[str, int] = {}
    for link, child in objects.children[model]:
        if not _LAYER.fullmatch(link):
            continue
        if child not in descriptions:
            raise BadFileError(f"the layer object {shown(link)!r} has no description")
        name = metadata_of(descriptions[child][1]).get("name")
        if not isinstance(name, str):
            raise BadFileError(f"the layer {shown(link)!r} has no name")
        if found.setdefault(name, child) != child:
            raise BadFileError(f"two layers are called {shown(name)!r}")
    return found


def _fits(shape: tuple[int, ...], stated: tuple[int | None, ...]) -> bool:
    return len(shape) == len(stated) and all(b in (None, a) for a, b in zip(shape, stated, strict=True))
