"""An opened model with the graphs of its layers with code of their own.

The graphs are traced in a process that imports the packages that the user trusts (``process``). They are for the
analysis and the export: a file is written with the layers as they are in it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..errors import BadFileError, UnsupportedError, shown
from ..files.folder import Folder
from ..files.json import parse
from ..files.zip import Archive
from ..formats.keras import spelling
from ..formats.keras.config import read_traced
from ..formats.keras.weight_shapes import attach_shapes, parameter_counts
from ..formats.variables import NoVariables, Variable, Variables
from ..ir.graph import Graph, Operation, Path, Traced
from ..presentation import count
from ..proof import limits
from ..proof.child import run_in_child
from ..proof.named import foreign
from ..proof.runtimes import keras_needs
from ..trusted import packages

if TYPE_CHECKING:
    from ..formats.model_file import ModelFile

Json = dict[str, Any]
_PROGRAM = f"{__package__}.process"
_FORMS = ("keras-v3", "keras-folder")
_CONFIG = "config.json"
_MAX_CONFIG = 256 << 20


@contextmanager
def with_traces(path: str, source: ModelFile | None, reason: str) -> Iterator[ModelFile]:
    """A model with the graphs of its opaque layers, or of the whole model if the file has no graph.

    Args:
        source: the opened model; None if the file has no graph.
        reason: why it has none.

    Raises:
        UnsupportedError: the code cannot be traced.
    """
    if source is not None and source.format not in _FORMS:
        raise UnsupportedError(
            "the code of its layers is not traced: that needs an archive of Keras 3 (.keras)"
        )
    _check(_entry(path, reason))
    with TemporaryDirectory(prefix="rewriter-") as folder:
        arrays = os.path.join(folder, "arrays")
        if source is None:
            yield cast("ModelFile", _TracedModelFile(path, *_whole(path, arrays, reason)))
            return
        nodes = [(found, node) for found, _, node in source.graph.walk() if not node.call]
        opaque = {found: node.operation.raw for found, node in nodes if node.operation.opaque}
        if not opaque:
            yield source
            return
        answer = _ask(path, arrays, opaque)
        if "skipped" in answer:
            raise UnsupportedError(
                f"the code of {_named(packages())} was not traced: {answer['skipped']}", path
            )
        in_file = _attach(source.graph, answer["layers"])
        yield cast("ModelFile", _TracedLayersFile(source, _Arrays(arrays, answer["arrays"]), in_file))


def _check(entry: Any) -> None:
    """Raises UnsupportedError if loading a model, without compiling it, runs code that is not trusted."""
    named = foreign({key: value for key, value in entry.items() if key != "compile_config"})
    if named is not None and named.module.split(".")[0] in ("", "keras"):
        raise UnsupportedError(f"the file names {named}, which is never run")
    if named is not None:
        raise UnsupportedError(f"the file names {named}, which is not trusted: --trust takes its package")


def _entry(path: str, reason: str) -> Any:
    """The configuration of an archive or a folder. Raises UnsupportedError for another file, with the reason."""
    with contextlib.closing(Folder(path) if os.path.isdir(path) else Archive(path)) as archive:
        if _CONFIG not in archive:
            raise UnsupportedError(reason)
        entry = parse(archive.read(_CONFIG, _MAX_CONFIG), _CONFIG)
        return entry if isinstance(entry, dict) else {}


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names))


def _ask(path: str, arrays: str, opaque: Mapping[Path, Json] | None) -> Json:
    """The answer of the process that traces the layers at these paths, with their entries, or the whole model."""
    request = {
        "model": os.path.abspath(path),
        "paths": None if opaque is None else [list(each) for each in opaque],
        "entries": None if opaque is None else list(opaque.values()),
        "arrays": arrays,
    }
    return run_in_child(_PROGRAM, keras_needs(), request, limits.memory((path,)))


def _whole(path: str, arrays: str, reason: str) -> tuple[Graph, _Arrays]:
    answer = _ask(path, arrays, None)
    if "skipped" in answer:
        raise UnsupportedError(f"{reason}; with {_named(packages())}: {answer['skipped']}", path)
    operation = _read(answer["model"])
    assert operation.graph is not None
    operation.graph.kind = "Functional"  # its inputs have the shapes that they state
    return operation.graph, _Arrays(arrays, answer["arrays"])


class _Form(NamedTuple):
    """What differs in an operation as the file has it, and with the graph of its code."""

    kind: str
    opaque: str
    graph: Graph | None
    trace: Traced | None

    @classmethod
    def of(cls, operation: Operation) -> _Form:
        return cls(operation.kind, operation.opaque, operation.graph, operation.trace)

    def give(self, operation: Operation) -> None:
        operation.kind, operation.opaque, operation.graph, operation.trace = self


def _attach(graph: Graph, layers: Sequence[Json]) -> list[tuple[Operation, _Form]]:
    """Give opaque operations their graphs; these operations, and what they are in the file.

    An operation that cannot be traced stays opaque, with the reason.
    """
    by_path = {path: node.operation for path, _, node in graph.walk()}
    in_file = []
    for layer in layers:
        operation = by_path[tuple(layer["path"])]
        if "reason" in layer:
            _note(operation, f"its code cannot be traced: {shown(layer['reason'])}")
            continue
        traced = _read(layer["entry"])
        assert traced.graph is not None and traced.trace is not None
        takes = len(traced.graph.input_refs()) - len(traced.trace.masked_operands)
        calls = [node for _, _, node in graph.walk() if node.operation is operation]
        if any(len(node.refs()) != takes for node in calls):
            _note(operation, f"its code takes {count(takes, 'tensor')}, and its calls give others")
            continue
        in_file.append((operation, _Form.of(operation)))
        _Form("model", "", traced.graph, traced.trace).give(operation)
    return in_file


def _note(operation: Operation, why: str) -> None:
    """Note at an operation why it has no graph, though its code ran."""
    operation.opaque, operation.untraced = f"{operation.opaque}; {why}", True


def _read(entry: Json) -> Operation:
    return read_traced(_marked(entry))


def _marked(entry: Json, top: bool = True) -> Json:
    """An entry from the process, with its lines and weights in the place that no file can fill.

    Args:
        top: whether it is a layer of the file. In its code, masks are operands and results like others.
    """
    config = entry.get("config")
    if isinstance(config, dict) and isinstance(config.get("layers"), list) and "input_layers" in config:
        config = {**config, "layers": [_marked(layer, top=False) for layer in config["layers"]]}
    traced = Traced(
        tuple(entry.get("lines", ())),
        dict(entry.get("weights", {})),
        tuple(entry.get("masked_operands", ())) if top else (),
        tuple(entry.get("masked_results", ())) if top else (),
    )
    return {**entry, "config": config, "traced": traced}


# -- their weights -----------------------------
class _Arrays:
    """The numbers of variables, in a file that the process wrote."""

    def __init__(self, path: str, table: Sequence[Json]) -> None:
        self.path = path
        self.table = table

    def shape(self, number: int) -> tuple[int, ...]:
        return tuple(self.table[number]["shape"])

    def variable(self, number: int) -> Variable:
        import numpy as np

        found = self.table[number]
        shape, dtype = tuple(found["shape"]), found["dtype"]
        # bfloat16 and float8 are stored as their bytes: NumPy has no such types.
        kind = {"bfloat16": "uint16", "float8_e4m3fn": "uint8", "float8_e5m2": "uint8"}.get(dtype) or dtype

        def load() -> Any:
            if found["offset"] is None:
                raise UnsupportedError(
                    "Keras does not load the model: the weights of traced layers are not known"
                )
            if 0 in shape:
                return np.zeros(shape, kind)
            mapped = np.memmap(self.path, np.dtype(kind), "r", found["offset"], shape or (1,))
            return mapped.reshape(shape)

        return Variable(shape, dtype, load)


class _TracedVariables:
    """The variables of traced graphs, and of the file for everything else."""

    def __init__(self, arrays: _Arrays, stored: Variables) -> None:
        self._arrays = arrays
        self._stored = stored
        self._tables: dict[str, Mapping[str, int]] = {}

    def places(self, path: str, graph: Graph) -> Mapping[str, str]:
        in_code = all(operation.trace is not None for operation in graph.operations.values())
        found = {name: name for name in graph.operations} if in_code else self._stored.places(path, graph)
        for name, operation in graph.operations.items():
            if operation.trace is not None and operation.graph is None:
                self._tables[f"{path}/{found[name]}"] = _table(operation, operation.trace)
        return found

    def _found(self, place: str) -> tuple[Mapping[str, int], str] | None:
        """The table of a traced layer, and the path below it."""
        parts = place.split("/")
        for n in range(len(parts), 0, -1):
            if (table := self._tables.get("/".join(parts[:n]))) is not None:
                return table, "/".join(parts[n:])
        return None

    def paths(self, place: str) -> list[str]:
        found = self._found(place)
        if found is None:
            return self._stored.paths(place)
        table, below = found
        start = f"{below}/" if below else ""
        return [path.removeprefix(start) for path in table if path.startswith(start)]

    def _number(self, place: str, path: str) -> int | None:
        found = self._found(place)
        if found is None:
            return None
        table, below = found
        full = f"{below}/{path}".lstrip("/")
        if full not in table:
            raise BadFileError(f"the traced code has no variable {shown(f'{place}/{path}')}")
        return table[full]

    def shape(self, place: str, path: str) -> tuple[int, ...]:
        number = self._number(place, path)
        return self._stored.shape(place, path) if number is None else self._arrays.shape(number)

    def variable(self, place: str, path: str) -> Variable:
        number = self._number(place, path)
        return self._stored.variable(place, path) if number is None else self._arrays.variable(number)


def _table(operation: Operation, trace: Traced) -> Mapping[str, int]:
    if operation.kind == "op":
        number = operation.config.get("array")
        return {"value": number} if isinstance(number, int) else {}
    return trace.weights


# -- opened models -----------------------------
class _TracedLayersFile:
    """An opened model whose opaque layers have graphs, until it is written."""

    def __init__(
        self, source: ModelFile, arrays: _Arrays, in_file: Sequence[tuple[Operation, _Form]]
    ) -> None:
        self._source = source
        self._arrays = arrays
        self._in_file = in_file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def variables(self) -> Variables:
        return _TracedVariables(self._arrays, self._source.variables())

    def load_weights(self) -> None:
        attach_shapes(self._source.graph, self.variables())

    def parameter_counts(self) -> Mapping[str, int] | None:
        return parameter_counts(self._source.graph, self.variables())

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the model with its layers as the file has them."""
        with_graphs = [(operation, _Form.of(operation)) for operation, _ in self._in_file]
        try:
            for operation, form in self._in_file:
                form.give(operation)
            self._source.write(target)
        finally:
            for operation, form in with_graphs:
                form.give(operation)


class _TracedModelFile:
    """A model whose graph is in its code. It can be analysed and exported, not written."""

    format = "keras-v3"
    saved_by = ""
    older = outdated = False
    remarks: Sequence[Any] = ()
    out_of_order = ""

    def __init__(self, path: str, graph: Graph, arrays: _Arrays) -> None:
        self.path = path
        self.graph = graph
        self._arrays = arrays

    @property
    def spell(self) -> Any:
        return spelling.spell

    def check_newest(self) -> None:
        """Nothing: the newest Keras made the graph."""

    def training_remarks(self, form: str) -> Sequence[Any]:
        return []

    def variables(self) -> Variables:
        return _TracedVariables(self._arrays, NoVariables())

    def load_weights(self) -> None:
        attach_shapes(self.graph, self.variables())

    def parameter_counts(self) -> Mapping[str, int] | None:
        return parameter_counts(self.graph, self.variables())

    def write(self, target: str | os.PathLike[str]) -> None:
        raise UnsupportedError("the model's graph is in its code, not in the file: change the code")

    def beside(self) -> list[str]:
        return []

    def asset(self, name: str) -> bytes:
        raise BadFileError(f"the traced code has no {shown(name)}")

    def close(self) -> None:
        """Nothing is open."""
