"""A ``.keras`` archive, or a folder with the same files: its graph, and a copy with a changed graph.

In the copy every layer keeps its own weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from ...errors import BadFileError, UnsupportedError, shown
from ...files.arriving import Source
from ...files.folder import Folder, copy_folder
from ...files.hdf5 import Hdf5Index, relink
from ...files.json import parse
from ...files.members import Blocks, changed
from ...files.zip import Archive, Patch, rewrite
from ..model_file import Remark
from ..variables import NoVariables, Variable, Variables
from . import old_form
from .carried_state import of_old_archive
from .configuration import Older, read_configuration
from .given_weights import variables_in_groups
from .keras_file import KerasFile
from .new_model import NEWEST, new_entry, new_files
from .optimizer_state import PATH as OPTIMIZER
from .optimizer_state import is_early, relink_optimizer
from .tables import Table, asset_path, stored_tables
from .upgrade import NotCarried, archive_groups
from .weight_groups import asset_names, moves, permutation
from .weights_file import WeightsFile

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MAX_CONFIG = 256 << 20
_MAX_METADATA = 1 << 20
_MAX_ASSET = 1 << 30

# New files by name, byte patches of files by name, and new names of files.
Changes = tuple[dict[str, bytes], dict[str, list[Patch]], dict[str, str]]


class KerasArchive(KerasFile):
    """A ``.keras`` file opened for reading. ``graph`` is the model; ``write`` writes changes to it.

    Args:
        folder: the folder at the path, if the files are not in an archive.

    Raises:
        BadFileError: not a ``.keras`` archive, damaged, or hostile.
        UnsupportedError: a subclassed model without a graph, or a form of another Keras.
    """

    def __init__(self, path: str | os.PathLike[str], folder: Folder | None = None) -> None:
        self.path = os.fspath(path)
        self.archive: Archive | Folder = Archive(path) if folder is None else folder
        try:
            if _CONFIG not in self.archive:
                raise BadFileError(f"the {self._what} has no {_CONFIG}: it is not a saved Keras model")
            self.metadata = self._metadata()
            entry = parse(self.archive.read(_CONFIG, _MAX_CONFIG), _CONFIG)
            self.configuration = read_configuration(entry, self.metadata.get("keras_version"))
        except BaseException:
            self.archive.close()
            raise

    @property
    def _what(self) -> str:
        return "folder" if isinstance(self.archive, Folder) else "archive"

    @property
    def format(self) -> str:
        if isinstance(self.archive, Folder):
            return "keras-folder"
        return "keras-v2" if self._of_keras_2 else "keras-v3"

    @property
    def _of_keras_2(self) -> bool:
        return str(self.metadata.get("keras_version", "3")).startswith("2.")

    @property
    def saved_by(self) -> str:
        version = self.metadata.get("keras_version")
        return f"Keras {shown(version)}" if isinstance(version, str) and version else ""

    def _metadata(self) -> dict[str, Any]:
        if _METADATA not in self.archive:
            return {}
        data = parse(self.archive.read(_METADATA, _MAX_METADATA), _METADATA)
        return data if isinstance(data, dict) else {}

    @cached_property
    def _weights(self) -> Source:
        """The weights file, inflated once."""
        return self.archive.source(_WEIGHTS)

    @cached_property
    def _index(self) -> Hdf5Index:
        return Hdf5Index(self._weights)

    def variables(self) -> Variables:
        """The variables, memory-mapped if the archive stores the weights file uncompressed."""
        if _WEIGHTS not in self.archive:
            return NoVariables()
        if isinstance(self.configuration, Older):
            return self._old_variables
        return WeightsFile(self._index)

    @cached_property
    def _old_variables(self) -> Variables:
        """The variables of an archive of Keras 2, by their places in Keras 3."""
        return variables_in_groups(self._index, self.configuration)

    @cached_property
    def out_of_order(self) -> str:
        """Why the Keras of the file loads the weights into other layers than this reader; "" if it does not.

        Always "" for Keras 3, whose order this reader follows.
        """
        configuration = self.configuration
        if not isinstance(configuration, Older) or _WEIGHTS not in self.archive:
            return ""
        return old_form.archive_refusal(configuration.original, configuration.version)

    def beside(self) -> list[str]:
        """Paths of other files of the model: none for an archive, all files for a folder."""
        if isinstance(self.archive, Archive):
            return []
        return [os.path.join(self.path, name) for name in self.archive.names() if not name.endswith("/")]

    def asset(self, name: str) -> bytes:
        """A file that a layer saved beside its weights, by its path in Keras 3. Raises BadFileError without it."""
        if isinstance(self.configuration, Older):
            for table in self._tables():
                if asset_path(table.group, table.name) == name:
                    return table.read()
            raise BadFileError(f"the {self._what} has no file for {shown(name)} of Keras 3")
        if name not in self.archive:
            raise BadFileError(f"the {self._what} has no {shown(name)}")
        return self.archive.read(name, _MAX_ASSET)

    def _tables(self) -> list[Table]:
        """The vocabularies in an archive of Keras 2, by the groups of Keras 3. Raises as ``stored_tables``."""
        return stored_tables(
            list(self.archive.names()),
            self._groups_of_keras_3,
            lambda name: self.archive.read(name, _MAX_ASSET),
        )

    @cached_property
    def _groups_of_keras_3(self) -> dict[str, str]:
        configuration = self.configuration
        assert isinstance(configuration, Older)
        return archive_groups(configuration.original, configuration.version)

    def close(self) -> None:
        self.archive.close()

    def training_remarks(self, form: str) -> Sequence[Remark]:
        """As ``KerasFile.training_remarks``. Between archives of Keras 3 only the order of the state can change."""
        if self.older or form == "h5":
            return super().training_remarks(form)
        if not self._is_moved or not form.startswith("keras-"):
            return []
        return [Remark((), "the order of the optimizer's state", "that of the newest Keras")]

    @property
    def outdated(self) -> bool:
        """As ``KerasFile.outdated``; also True if the newest Keras expects the optimizer's state in another order."""
        return super().outdated or self._is_moved

    @cached_property
    def _is_moved(self) -> bool:
        if self.older or not is_early(self.metadata.get("keras_version")) or not self.has_state:
            return False
        # State that does not fit the model is not reordered.
        with suppress(UnsupportedError):
            return bool(self._state_changes(newest=True))
        return False

    @property
    def has_state(self) -> bool:
        """Whether the archive has variables of an optimizer."""
        group = f"{OPTIMIZER}/vars"
        return _WEIGHTS in self.archive and group in self._index and bool(self._index.datasets(group))

    def _state(self, optimizer: Any) -> Mapping[str, Sequence[Variable]]:
        configuration = self.configuration
        if not isinstance(configuration, Older) or not self.has_state:
            raise NotCarried("the file has none")
        return of_old_archive(self._index, configuration, optimizer, self._trained(self.graph))

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the model with the current graph.

        The configuration is replaced. The weights file is copied, and its groups are relinked where Keras renumbers
        the layers. Assets are renamed in the same way. All other files are copied unchanged. An unchanged graph gives
        an identical copy.

        Raises:
            BadFileError: the weights are damaged, or do not belong to this model.
            UnsupportedError: a form that cannot be rewritten without loss.
            OutputError: the target cannot be written.
        """
        changes = self._changes()
        if isinstance(self.archive, Folder):
            copy_folder(self.archive, target, *changes)
        else:
            rewrite(self.archive, target, *changes)

    def files_of_keras_3(self, scratch: str) -> Iterator[tuple[str, Blocks]]:
        """The files with the graph's changes; new files for an archive of Keras 2."""
        if self.configuration.old:
            return new_files(self, scratch, self._tables)
        new, patches, renamed = self._changes(newest=self.outdated)
        if self.outdated:
            metadata = json.dumps({**self.metadata, "keras_version": NEWEST})
            new |= {_CONFIG: json.dumps(new_entry(self)).encode(), _METADATA: metadata.encode()}
        return changed(self.archive, new, patches, renamed)

    def _changes(self, newest: bool = False) -> Changes:
        """What differs between the file and its copy: new files, byte patches, new names.

        Args:
            newest: whether the optimizer's state gets the order of the newest Keras.
        """
        entry = self.configuration.changed()
        if entry is None:
            if self.out_of_order:
                raise UnsupportedError(self.out_of_order)
            patches = self._state_changes(newest) if newest and _WEIGHTS in self.archive else []
            return {}, {_WEIGHTS: patches} if patches else {}, {}
        if _WEIGHTS not in self.archive:
            raise BadFileError(f"the {self._what} has no {_WEIGHTS}: its weights cannot be carried over")
        patches, renamed = self._weight_changes(entry, newest)
        return {_CONFIG: json.dumps(entry).encode()}, {_WEIGHTS: patches}, renamed

    def _weight_changes(self, entry: dict[str, Any], newest: bool) -> tuple[list[Patch], dict[str, str]]:
        """The byte patches that give every layer its own weights under the new names, and the new names of assets."""
        buffer = self._weights.whole()
        index, saved = self._index, self.configuration.saved
        older = self.configuration if isinstance(self.configuration, Older) else None
        found = (
            list(moves(index, saved, self.graph))
            if older is None
            else old_form.moves(index, older.original, entry, older.version)
        )
        patches: list[Patch] = []
        for move in found:
            mapping = permutation(move, index)
            if mapping:
                patches += relink(buffer, move.path, mapping, index)
        if older is None:
            patches += self._state_changes(newest)
        return patches, asset_names(self.archive.names(), found)

    def _state_changes(self, newest: bool) -> list[Patch]:
        """The byte patches that reorder the optimizer's state for the current graph."""
        configuration, version = self.configuration, self.metadata.get("keras_version")
        return relink_optimizer(
            self._weights.whole(),
            self._index,
            configuration.entry,
            configuration.saved,
            self.graph,
            version,
            newest,
        )
