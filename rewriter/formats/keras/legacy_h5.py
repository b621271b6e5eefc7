"""An HDF5 file of Keras 1 and 2, and the same form of Keras 3: a model with its weights, or weights alone.

Sources: ``keras/src/legacy/saving/legacy_h5_format.py`` (Keras 3.15), ``tf_keras/src/saving/legacy/hdf5_format.py``
(2.21), ``keras/engine/topology.py`` (1.2, 2.0). This module does not interpret the weights.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ...errors import BadFileError, UnsupportedError, shown
from ...files.atomic import atomic_write
from ...files.hdf5 import Hdf5Index
from ...files.json import parse
from ...files.regular import map_regular, open_regular, stamp
from ..variables import StoredVariable, Variable
from .weights_file import stored_variable

MODEL, WEIGHTS, WEIGHTS_OF_KERAS_3 = "model", "weights only", "weights only, Keras 3"

_MODEL_WEIGHTS, _OPTIMIZER, _TOP_LEVEL = "model_weights", "optimizer_weights", "top_level_model_weights"
_LAYERS, _NAMES = "layer_names", "weight_names"
_CONFIG, _TRAINING = "model_config", "training_config"

# Keras splits a list of names with more bytes over several attributes: HDF5_OBJECT_HEADER_LIMIT.
PIECE = 64512


class LegacyH5:
    """An HDF5 file in the legacy form, opened for reading.

    Attributes:
        kind: ``MODEL``; ``WEIGHTS`` of ``save_weights("x.h5")``; ``WEIGHTS_OF_KERAS_3``, a ``.weights.h5``, whose
            groups are those of a ``.keras`` archive: they are read from ``index``.
        index: what is in the file.
        model_config, training_config: parsed JSON; None if the file has none.
        keras_version, backend: what wrote the file; "" if it does not state them.

    Raises:
        BadFileError: no HDF5, damaged, hostile, or neither a model nor weights.
        UnsupportedError: a form of HDF5, or of Keras before 1.0, that is not supported.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        view, self._stamp = map_regular(path)
        self.index = Hdf5Index(view)
        self.model_config = self._json(_CONFIG)
        self.training_config = self._json(_TRAINING)
        self._weights = _MODEL_WEIGHTS if self._is_group(_MODEL_WEIGHTS) else ""
        self.kind = self._kind()
        self.keras_version = self._said("keras_version")
        self.backend = self._said("backend")

    def close(self) -> None:
        """Does nothing: the file stays mapped as long as one of its arrays is in use."""

    @cached_property
    def layers(self) -> Mapping[str, list[StoredVariable]]:
        """The weights of every layer by its name, in the order of ``layer_names`` and ``weight_names``.

        Layers without weights have an empty list. Empty for a weights file of Keras 3.

        Raises:
            BadFileError: a name occurs twice, or the file lacks its weights.
            UnsupportedError: a weight is not a number.
        """
        if self.kind == WEIGHTS_OF_KERAS_3:
            return {}
        found: dict[str, list[StoredVariable]] = {}
        for name in self._names(self._weights, _LAYERS):
            if name in found:
                raise BadFileError(f"the file names the layer {shown(name)} twice")
            found[name] = self._variables(self._group(self._weights, name))
        return found

    @property
    def has_optimizer(self) -> bool:
        """Whether the file has a group for the state of an optimizer."""
        return self._is_group(_OPTIMIZER)

    def optimizer_weights(self) -> list[StoredVariable]:
        """The state of the optimizer, in its order; [] without any. Raises as ``layers``."""
        return self._variables(_OPTIMIZER) if self._is_group(_OPTIMIZER) else []

    @cached_property
    def top_level(self) -> list[StoredVariable]:
        """The weights of the model itself, of no layer; [] without any. Raises as ``layers``."""
        path = f"{self._weights}/{_TOP_LEVEL}".lstrip("/")
        return self._variables(path) if self._is_group(path) and self.kind != WEIGHTS_OF_KERAS_3 else []

    def write(
        self,
        target: str | os.PathLike[str],
        *,
        model_config: Any,
        layer_order: Sequence[str] | None = None,
        weight_orders: Mapping[str, Sequence[str]] | None = None,
        optimizer_order: Sequence[str] | None = None,
    ) -> None:
        """Write a copy of this file, bit for bit, with another ``model_config``.

        Keras matches the layers that have weights, in the order of the model, with the entries of ``layer_names``
        that have weights. A changed model therefore needs the names in its own order.

        Args:
            model_config: the new one; None keeps the old one.
            layer_order: all of ``layers`` in another order.
            weight_orders: all weights of a layer in another order, by the layer's name.
            optimizer_order: all of ``optimizer_weights`` in another order.

        Raises:
            BadFileError: a weight is damaged, or the file has changed since it was opened.
            UnsupportedError: h5py would write a value as another type, h5py is not installed, or there is no
                ``model_config`` to replace.
            OutputError: the target cannot be written.
            ValueError: an order does not have the names of the file.
        """
        from .hdf5_copy import Change, Texts, copy_hdf5, type_of_texts

        changed: dict[tuple[str, str], Change] = {}
        if model_config is not None:
            if self.model_config is None:
                raise UnsupportedError(
                    "the file holds weights without their model: there is no model to change"
                )
            text = json.dumps(model_config).encode()
            old = self.index.find_attribute("", _CONFIG)
            assert old is not None
            changed["", _CONFIG] = Texts(type_of_texts(old.type, [text]), (), [text])
        if layer_order is not None:
            changed |= self._reordered(self._weights, _LAYERS, layer_order)
        for name, order in (weight_orders or {}).items():
            changed |= self._reordered(self._group(self._weights, name), _NAMES, order)
        if optimizer_order is not None:
            changed |= self._reordered(_OPTIMIZER, _NAMES, optimizer_order)
        with atomic_write(target) as stream:
            copy_hdf5(self.index, stream, changed)
            self._check_unchanged()

    def _reordered(self, path: str, title: str, order: Sequence[str]) -> dict[tuple[str, str], Any]:
        """The changed attributes of a list of names, split as Keras splits them."""
        from .hdf5_copy import Texts, type_of_texts

        present = self._names(path, title)
        if sorted(order) != sorted(present):
            raise ValueError(f"the new order does not have the names of the {title} of {path}")
        if list(order) == present:
            return {}
        old = self._pieces(path, title)
        first = self.index.find_attribute(path, old[0])
        assert first is not None
        names = [name.encode() for name in order]
        made = type_of_texts(first.type, names)
        count = -(-len(names) * made.size // PIECE) or 1
        while any(len(part) * made.size > PIECE for part in _split(names, count)):
            count += 1
        parts = _split(names, count)
        titles = [title] if count == 1 else [f"{title}{number}" for number in range(count)]
        changed: dict[tuple[str, str], Any] = {(path, name): None for name in old}
        for piece, part in zip(titles, parts, strict=True):
            changed[path, piece] = Texts(made, (len(part),), part)
        return changed

    def _check_unchanged(self) -> None:
        descriptor, state = open_regular(self.path)
        os.close(descriptor)
        if stamp(state) != self._stamp:
            raise BadFileError("the file changed while it was read")

    def _kind(self) -> str:
        if self.model_config is not None:
            return MODEL
        if any(True for _ in self._pieces(self._weights, _LAYERS)):
            return WEIGHTS
        if "nb_layers" in self.index.attributes():
            raise UnsupportedError("weights of a Keras before 1.0, without the names of their layers")
        if any(path.rpartition("/")[2] == "vars" and dataset is None for path, dataset in self.index.walk()):
            return WEIGHTS_OF_KERAS_3
        raise BadFileError("an HDF5 file with neither a Keras model nor its weights")

    def _said(self, name: str) -> str:
        """A string attribute of the root or of the weights group; "" if there is none."""
        for path in ("", self._weights):
            value = self.index.attribute(path, name)
            if isinstance(value, str):
                return value
        return ""

    def _json(self, name: str) -> Any:
        value = self.index.attribute("", name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise BadFileError(f"the {name} of the file is not a single text")
        return parse(value.encode("utf-8", "surrogatepass"), name)

    def _pieces(self, path: str, name: str) -> list[str]:
        """The attributes over which a list of names is split: ``layer_names``, or ``layer_names0`` and so on."""
        present = set(self.index.attributes(path))
        if name in present:
            return [name]
        found: list[str] = []
        while f"{name}{len(found)}" in present:
            found.append(f"{name}{len(found)}")
        return found

    def _names(self, path: str, name: str) -> list[str]:
        pieces = self._pieces(path, name)
        if not pieces:
            raise BadFileError(f"the group {shown(path or '/')} has no {name}")
        names: list[str] = []
        for piece in pieces:
            found = self.index.find_attribute(path, piece)
            readable = found is not None and (found.type.is_text or not found.elements)
            value = self.index.attribute(path, piece) if readable else None
            if not isinstance(value, list):
                raise BadFileError(f"the {piece} of {shown(path or '/')} is not a list of names")
            names += value
        return names

    def _variables(self, path: str) -> list[StoredVariable]:
        """The weights of a group. Keras 2 writes no list of names for an optimizer without weights."""
        if path == _OPTIMIZER and not self._pieces(path, _NAMES):
            return []
        return [
            StoredVariable(name, self._variable(_below(path, name))) for name in self._names(path, _NAMES)
        ]

    def _variable(self, path: str) -> Variable:
        try:
            return stored_variable(self.index, path)
        except KeyError:
            raise BadFileError(f"the file has no weight {shown(path)}, but names it") from None

    def _group(self, path: str, name: str) -> str:
        full = _below(path, name)
        if not self._is_group(full):
            raise BadFileError(f"the file has no group for the layer {shown(name)}, but names it")
        return full

    def _is_group(self, path: str) -> bool:
        return self.index.is_group(path)


def _below(path: str, name: str) -> str:
    """The path of a listed name. BadFileError if HDF5 would look elsewhere, or two names would be one path."""
    if any(part in ("", ".") for part in name.split("/")):
        raise BadFileError(f"the file has an impossible name of a layer or weight: {shown(name)!r}")
    return f"{path}/{name}".lstrip("/")


def _split(names: list[bytes], count: int) -> list[list[bytes]]:
    """As numpy.array_split: the first parts are longer by one."""
    size, longer = divmod(len(names), count)
    ends = [number * size + min(number, longer) for number in range(count + 1)]
    return [names[start:end] for start, end in itertools.pairwise(ends)]
