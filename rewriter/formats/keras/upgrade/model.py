"""Models: the calls of their layers, their inputs and outputs, in the form of Keras 3.

Source: ``functional.py`` and ``sequential.py`` of Keras 1.2, 2.2 and tf_keras 2.21, ``keras/src/models`` of Keras 3.15.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

from ....errors import BadFileError, UnsupportedError, shown
from . import compiled, functions, keras_1, layers, masks, whole_numbers
from . import wrappers as _wrappers  # noqa: F401 - registers translators
from .constructs import Construct
from .context import Context, Entry, Untranslatable
from .custom import states_custom
from .merges import without_merges
from .names import Names
from .order import Layered
from .result import Account, Origin, Upgraded
from .tensors import Call, New, Old, first_calls, leaves, read_call, read_ends, written

MODELS = ("Functional", "Sequential", "Model")
_MAX_NESTING = 100

CONSTRUCTS = (
    Construct("inbound_nodes as lists", "args and kwargs of calls", "calls"),
    Construct("calls of a nested model counted from 1", "counted from 0", "nested_twice"),
    Construct("class Model", "Functional", "calls"),
    Construct("Sequential whose config is a list", "an object with its layers", "sequential_list"),
    Construct("batch_input_shape on the first layer", "InputLayer before it", "sequential_list"),
    Construct("output_layers of one tensor as a list of lists", "the tensor itself", "calls"),
    Construct(
        "TimeDistributed(model)",
        "TimeDistributed of the model in the form of Keras 3",
        "time_distributed_model",
    ),
    Construct("a call with training=True", "refused: predict of Keras 3 overrides it", "calls_that_train"),
    Construct(
        "initial_state as further inputs of a recurrent layer",
        "keyword argument initial_state",
        "initial_state",
    ),
)


def upgraded(entry: dict[str, Any], version: str = "", training: Any = None) -> Upgraded:
    """The configuration of Keras 3 for an old model, or the entry of an old layer.

    Args:
        entry: ``{"class_name": "Model", "config": {...}}``, untrusted.
        version: the Keras that wrote it (``2.2.4-tf``), if the file states it.
        training: the ``training_config`` of an HDF5 file, parsed; an archive has it in the entry.

    Raises:
        BadFileError: the configuration contradicts itself.
        UnsupportedError: it is nested too deep.
    """
    account = Account()
    if not isinstance(entry, dict):
        raise BadFileError("a model is not an object")
    version = str(version or entry.get("keras_version") or "")
    entry = without_merges(entry)
    era = 1 if _is_keras_1(entry, version) else 2
    try:
        entry = keras_1.with_orderings(entry) if era == 1 else entry
        result = _Translator(era).entry(entry, account, 0)
    except RecursionError:
        raise BadFileError("the configuration is nested too deep to read") from None
    state = compiled.translated(training or entry.get("compile_config"), account, _outputs(entry))
    if state is not None:
        result = {**result, "compile_config": {**state, "loss": _for_all_outputs(state["loss"], result)}}
    return Upgraded(result, account.remarks, account.refusals, account.origins)


def _outputs(entry: Entry) -> list[str]:
    """The names of the layers that give the outputs of a model; none for a Sequential one."""
    config = entry.get("config")
    ends = config.get("output_layers") if isinstance(config, dict) else None
    named = [end[0] for end in ends if isinstance(end, list) and end] if isinstance(ends, list) else []
    return [name for name in named if isinstance(name, str)]


def _for_all_outputs(loss: Any, entry: Entry) -> Any:
    """Losses by output, with None for an output without one, as Keras 3 requires."""
    names = _outputs(entry)
    if not isinstance(loss, dict) or "class_name" in loss or not set(loss) <= set(names):
        return loss
    return {name: loss.get(name) for name in names}


def _is_keras_1(entry: dict[str, Any], version: str) -> bool:
    if version:
        return version.split(".")[0] in ("0", "1")
    return keras_1.looks_like(entry)


class _Translator:
    def __init__(self, era: int) -> None:
        self.era = era

    def entry(self, entry: Any, account: Account, depth: int) -> Entry:
        """The entry of a model, or of a layer inside a layer, without calls."""
        if depth > _MAX_NESTING:
            raise UnsupportedError(f"models nested more than {_MAX_NESTING} deep")
        if not isinstance(entry, dict):
            raise BadFileError("a layer is not an object")
        if is_model(entry):
            return self.model(entry, account, depth)
        name = layer_name(entry)
        found = self.layer(entry, name, Names([name]), account, depth)
        if len(found) != 1:
            account.refuse(
                str(entry.get("class_name")), "it needs two layers of Keras 3, but only one fits here"
            )
            return opaque(entry, name, "it needs two layers of Keras 3, but only one fits here")
        return found[0]

    def layer(self, entry: Entry, name: str, names: Names, account: Account, depth: int) -> list[Entry]:
        """The new layers for an old one; the old one, marked as not translated, if there are none."""
        if is_model(entry):
            return [{**self.model(entry, account, depth), "name": name}]
        context = Context(account, self.era, lambda inner, at: self.entry(inner, at, depth + 1), names.fresh)
        try:
            old = keras_1.renamed(entry, context) if self.era == 1 else entry
            return layers.translated(old, name, context)
        except Untranslatable as refused:
            account.refuse(refused.construct, refused.reason)
            return [opaque(entry, name, refused.reason)]

    def model(self, entry: Entry, account: Account, depth: int) -> Entry:
        class_name, config = entry.get("class_name"), entry.get("config")
        if isinstance(config, list):
            config = {"layers": config}
        if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
            raise BadFileError(f"the layers of {shown(class_name)!r} are not a list")
        name = entry.get("name", config.get("name")) or str(class_name).lower()
        if not isinstance(name, str):
            raise BadFileError("a model's name is not text")
        if "/" in name:
            account.remark(f"the name {name!r}", "'_' in place of '/'")
            name = name.replace("/", "_")
        if has_new_calls(config):
            return {**entry, "config": config, "name": name}
        if "input_layers" in config:
            return self.functional(config, name, account, depth)
        return self.sequential(config, name, account, depth)

    def sequential(self, config: dict[str, Any], name: str, account: Account, depth: int) -> Entry:
        old = [_mapping(entry) for entry in config["layers"]]
        names = Names(layer_name(entry) for entry in old)
        new: list[Entry] = []
        origin = account.origins[account.path] = Origin({}, {})
        other_masks: list[str] = []
        if masks.has_sources(config):
            found = _mask_flow({"class_name": "Sequential", "config": config})
            other_masks = [*found.refused, *(name for name, _ in found.given)]
        whole = whole_numbers.refused({"class_name": "Sequential", "config": config}, _read_model)
        for entry in old:
            inner = names.new[layer_name(entry)]
            origin.now[layer_name(entry), 0] = (inner, 0, 0)
            origin.of[inner] = (layer_name(entry), None)
            if layer_name(entry) in other_masks:
                account.at(inner).refuse("its mask", _OTHER_MASK)
                new.append(opaque(entry, inner, _OTHER_MASK))
                continue
            if (reason := whole.get((layer_name(entry), 0))) is not None:
                account.at(inner).refuse(str(entry.get("class_name")), reason)
                new.append(opaque(entry, inner, reason))
                continue
            if entry.get("class_name") == "InputLayer":
                new.append(input_layer(entry, inner))
                continue
            new += self.layer(entry, inner, names, account.at(inner), depth + 1)
        if not new or new[0]["class_name"] != "InputLayer":
            shape = input_shape(old[0]) if old else None
            if shape is None:
                shape = config.get("build_input_shape")
            if isinstance(shape, list):
                first = names.fresh(f"{new[0]['name']}_input") if new else names.fresh("input")
                dtype = input_dtype(old[0]) if old else "float32"
                new.insert(0, _input(first, shape, dtype))
        return {
            "module": "keras",
            "class_name": "Sequential",
            "config": {"name": name, "trainable": config.get("trainable", True) is not False, "layers": new},
            "registered_name": None,
            "name": name,
        }

    def functional(self, config: dict[str, Any], name: str, account: Account, depth: int) -> Entry:
        return _Functional(self, config, name, account, depth).entry()


class _Functional:
    """One functional model: old calls in, new entries with their calls out."""

    def __init__(
        self, translator: _Translator, config: dict[str, Any], name: str, account: Account, depth: int
    ) -> None:
        self.translator, self.config, self.name, self.account, self.depth = (
            translator,
            config,
            name,
            account,
            depth,
        )
        self.old = [_mapping(entry) for entry in config["layers"]]
        self.names = Names(layer_name(entry) for entry in self.old)
        if len(self.names.new) != len(self.old):
            raise BadFileError(f"two layers of {shown(name)!r} have one name")
        self.masks = (
            _mask_flow({"class_name": "Functional", "config": config}) if masks.has_sources(config) else None
        )
        self.whole = whole_numbers.refused({"class_name": "Functional", "config": config}, _read_model)
        if self.masks is not None:
            self._free_names()
        for before, after in self.names.new.items():
            if before != after:
                account.at(after).remark(f"the name {before!r}", repr(after))
        self.first = first_calls(config)
        self.new: list[Entry] = []
        # The result of an old call, if it is not the same call of the renamed layer.
        self.moved: dict[tuple[str, int], Any] = {}
        # The old call of a new operation, for operations that replace one call.
        self.called: dict[str, tuple[str, int | None]] = {}

    def entry(self) -> Entry:
        of: dict[str, tuple[str, int | None]] = {}
        for entry in self.old:
            start = len(self.new)
            self._layer(entry)
            of |= {
                new["name"]: self.called.get(new["name"], (layer_name(entry), None))
                for new in self.new[start:]
            }
        for entry in self.new:
            entry["inbound_nodes"] = [self._call(args, kwargs) for args, kwargs in entry["inbound_nodes"]]
        self.by_name = {entry["name"]: entry for entry in self.new}
        ends = {
            key: _single(self._end(read_ends(self.config.get(key), self.first, key)))
            for key in ("input_layers", "output_layers")
        }
        self.account.origins[self.account.path] = Origin(dict(self._now()), of)
        trainable = self.config.get("trainable", True) is not False
        return {
            "module": "keras.src.models.functional",
            "class_name": "Functional",
            "config": {"name": self.name, "trainable": trainable, "layers": self.new, **ends},
            "registered_name": "Functional",
            "name": self.name,
        }

    def _now(self) -> Iterator[tuple[tuple[str, int], New]]:
        """The first output of every old call that is a tensor of the new model."""
        for entry in self.old:
            count = len(entry.get("inbound_nodes", [])) or entry.get("class_name") == "InputLayer"
            for number in range(count):
                call = (layer_name(entry), number)
                if isinstance(self.moved.get(call, Old(*call, 0)), (Old, New)):
                    with contextlib.suppress(UnsupportedError):
                        yield call, self._resolve(Old(*call, 0))

    def _free_names(self) -> None:
        """Rename Concatenate layers: Keras 3 joins their masks by operations that take such names."""
        for entry in self.old:
            name = layer_name(entry)
            if entry.get("class_name") == "Concatenate" and name.startswith("concatenate"):
                self.names.new[name] = self.names.fresh(f"joined_{self.names.new[name]}")

    def _layer(self, entry: Entry) -> None:
        old_name = layer_name(entry)
        name = self.names.new[old_name]
        account = self.account.at(name)
        inbound = entry.get("inbound_nodes", [])
        if not isinstance(inbound, list):
            raise BadFileError(f"inbound_nodes of {shown(old_name)!r} is not a list")
        if entry.get("class_name") == "InputLayer":
            self.new.append({**input_layer(entry, name), "inbound_nodes": []})
            return
        if functions.is_function(entry):
            for number, node in enumerate(inbound):
                call = read_call(node, old_name, self.first, as_it_is=True)
                self._function(entry, old_name, name, number, call, account)
            return
        calls = [read_call(node, old_name, self.first) for node in inbound]
        used = [self._known(leaf) for call in calls for leaf in leaves((call.first, call.kwargs))]
        if any(isinstance(value, functions.SHAPES) for value in used):
            account.refuse("tf.shape", _SHAPE)
            chain = [opaque(entry, name, _SHAPE)]
            calls = [Call(_mapped(self._tensor, c.first), _mapped(self._tensor, c.kwargs)) for c in calls]
        elif any(call.kwargs.get("constants") for call in calls):
            account.refuse("constants", _CONSTANTS)
            chain = [opaque(entry, name, _CONSTANTS)]
        elif whole := [
            self.whole[key] for number in range(len(calls)) if (key := (old_name, number)) in self.whole
        ]:
            account.refuse(str(entry.get("class_name")), whole[0])
            chain = [opaque(entry, name, whole[0])]
        elif any(
            masks.has_a_mask(call) and masks.softens(entry.get("class_name"), entry.get("config"), call)
            for call in calls
        ):
            account.refuse("its mask", _SOFTMAX)
            chain = [opaque(entry, name, _SOFTMAX)]
        elif any(trains(call) for call in calls):
            account.refuse("its call", _TRAINING)
            chain = [opaque(entry, name, _TRAINING)]
        elif self.masks is not None and old_name in self.masks.refused:
            softens = any(masks.softens(entry.get("class_name"), entry.get("config"), call) for call in calls)
            reason = _SOFTMAX if softens else _OTHER_MASK
            account.refuse("its mask", reason)
            chain = [opaque(entry, name, reason)]
        else:
            reached = self.masks is not None and old_name in self.masks.dropping
            if masks.drops(entry) and (reached or any(masks.has_a_mask(call) for call in calls)):
                account.remark("dropout of an attention with a mask", _DROPOUT)
                entry = {**entry, "config": {**entry["config"], "dropout": 0.0}}
            chain = self.translator.layer(entry, name, self.names, account, self.depth + 1)
        calls = [self._masked(call, old_name, number, account) for number, call in enumerate(calls)]
        chain[0]["inbound_nodes"] = [arguments(entry, call) for call in calls]
        for before, after in itertools.pairwise(chain):
            after["inbound_nodes"] = [((New(before["name"], number, 0),), {}) for number in range(len(calls))]
        self.new += chain

    def _masked(self, call: Call, old_name: str, number: int, account: Account) -> Call:
        """The call, with the mask that Keras 3 would not pass by itself."""
        if self.masks is not None and (old_name, number) in self.masks.bare:
            account.remark("masks of its operands", "removed, because Keras 2 ignores them there")
            emitter = functions.Emitter(self.names, self.new, f"{self.names.new[old_name]}_operand", 1)
            return Call(_mapped(lambda leaf: emitter.op("Copy", leaf), call.first), call.kwargs)
        mask = self.masks.given.get((old_name, number)) if self.masks is not None else None
        if mask is None:
            return call
        account.remark("the mask that reaches it", "computed by operations and given as an argument")
        emitter = functions.Emitter(self.names, self.new, f"{self.names.new[old_name]}_mask", 1)
        return Call(call.first, {**call.kwargs, **masks.argument(mask, emitter)})

    def _function(
        self, entry: Entry, old_name: str, name: str, number: int, call: Call, account: Account
    ) -> None:
        start = len(self.new)
        emitter = functions.Emitter(self.names, self.new, name, number)
        known = Call(_mapped(self._known, call.first), _mapped(self._known, call.kwargs))
        try:
            if (old_name, number) in self.whole:
                raise Untranslatable(functions.title(entry), self.whole[old_name, number])
            self.moved[old_name, number] = functions.translated(entry, known, emitter)
        except Untranslatable as refused:
            emitter.undo()
            account.refuse(refused.construct, refused.reason)
            kept = opaque(entry, emitter.name(), refused.reason)
            kept["inbound_nodes"] = [
                ((_mapped(self._tensor, call.first),), _mapped(self._tensor, call.kwargs))
            ]
            self.new.append(kept)
            self.moved[old_name, number] = New(kept["name"], 0, 0)
        else:
            account.remark(functions.title(entry), emitter.became())
        self.called.update({new["name"]: (old_name, number) for new in self.new[start:]})

    def _known(self, leaf: Any) -> Any:
        """The translated value of a tensor, if it is a shape or the result of a function; else the tensor."""
        moved = self.moved.get((leaf.layer, leaf.call)) if isinstance(leaf, Old) else None
        if moved is None or (isinstance(moved, (Old, New)) and leaf.output):
            return leaf
        return moved.output(leaf.output) if isinstance(moved, functions.Shape) else moved

    def _tensor(self, leaf: Any) -> Any:
        """A tensor as it is; for a shape, the tensor that has it. For calls that are not translated."""
        known = self._known(leaf)
        while isinstance(known, (*functions.SHAPES, list)):
            known = known.tensor if isinstance(known, functions.SHAPES) else next(leaves(known), None)
        return known if isinstance(known, (Old, New)) else leaf

    def _resolve(self, leaf: Any) -> New:
        """The tensor of the new model. Raises BadFileError if its layer does not exist."""
        seen = 0
        while isinstance(leaf, Old):
            if leaf.layer not in self.names.new:
                raise BadFileError(
                    f"a call takes a tensor of {shown(leaf.layer)!r}, but the model has no such layer"
                )
            moved = self.moved.get((leaf.layer, leaf.call))
            seen += 1
            if moved is None or seen > len(self.moved) + 1:
                return New(self.names.new[leaf.layer], leaf.call, leaf.output)
            if not isinstance(moved, (Old, New)):
                raise UnsupportedError(
                    f"a shape that {shown(leaf.layer)!r} computes is used as a tensor of the model"
                )
            leaf = moved._replace(output=moved.output + leaf.output)
        return leaf  # type: ignore[no-any-return]

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        return {
            "args": written(_mapped(self._resolve, list(args))),
            "kwargs": written(_mapped(self._resolve, kwargs)),
        }

    def _end(self, structure: Any) -> Any:
        if isinstance(structure, dict):
            return {key: self._end(item) for key, item in structure.items()}
        if isinstance(structure, list):
            return [self._end(item) for item in structure]
        ref = self._resolve(structure)
        entry = self.by_name.get(ref.layer)
        # In Keras 3 a functional model starts with a node of its own, which counts (functional.py, get_tensor).
        own = entry is not None and entry.get("class_name") == "Functional" and "not_upgraded" not in entry
        return [ref.layer, ref.call + own, ref.output]


def _mapped(function: Any, value: Any) -> Any:
    if isinstance(value, (Old, New)):
        return function(value)
    if isinstance(value, dict):
        return {key: _mapped(function, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(function, item) for item in value]
    return value


def _single(ends: Any) -> Any:
    """A single input or output as the tensor itself: Keras 2 writes it like a list of one."""
    while isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list):
        ends = ends[0]
    return ends


_RECURRENT = frozenset({
    "RNN", "GRU", "GRUV2", "LSTM", "LSTMV2", "SimpleRNN", "CuDNNGRU", "CuDNNLSTM", "ConvLSTM1D", "ConvLSTM2D",
    "ConvLSTM3D", "Bidirectional",
})  # fmt: skip


def arguments(entry: Entry, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a layer's call, without those that Keras 2 ignores; initial states by name."""
    first, kwargs = call.first, {key: value for key, value in call.kwargs.items() if value is not None}
    class_name = entry.get("class_name")
    if isinstance(class_name, str) and class_name in _RECURRENT and isinstance(first, list) and first:
        first, *states = first
        kwargs = {**kwargs, "initial_state": states}
    if kwargs.get("constants") == []:
        del kwargs["constants"]
    return (first,), kwargs


def trains(call: Call) -> bool:
    """Whether a call sets ``training`` to True, or to a tensor.

    Keras 3 passes the ``training`` of the model's own call to every layer, and ``predict`` passes False
    (``operation_fn`` of ``functional.py``). Without training=True a layer does not train in Keras 2 either.
    """
    return call.kwargs.get("training") not in (None, False, 0)


_SHAPE = "it is called on a shape that the model computes: Keras 3 has no such tensor in a model"
_CONSTANTS = "the recurrent layers of Keras 3 take no constants"
_TRAINING = "it is called with training=True: predict of Keras 3 overrides it"
_SOFTMAX = "for a fully masked row Keras 3 gives zeros, and Keras 2 equal parts"
_DROPOUT = "left out: with it Keras 3 gives zeros for a fully masked row, and Keras 2 equal parts"
_OTHER_MASK = "in Keras 3 it would get another mask than in Keras 2"


def _mask_flow(entry: Entry) -> masks.Flow:
    rows, inputs, _ = _read_model(entry)
    return masks.flow(rows, dict.fromkeys(inputs, masks.Pair(None, None)), _read_model)


def _read_model(entry: Entry) -> tuple[list[Layered], list[Old], Any]:
    """The layers of a model with their calls, its inputs and its outputs; a sequential one as a chain."""
    config: Any = entry["config"]
    held = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(held, list):
        raise BadFileError(f"the layers of {shown(entry.get('class_name'))!r} are not a list")
    listed = [_mapping(layer) for layer in held]
    if isinstance(config, dict) and "input_layers" in config:
        first = first_calls(config)
        rows = []
        for layer in listed:
            name, inbound = layer_name(layer), layer.get("inbound_nodes")
            inbound = inbound if isinstance(inbound, list) else []
            is_function = functions.is_function(layer)
            calls = [read_call(node, name, first, as_it_is=is_function) for node in inbound]
            rows.append(Layered(name, layer, calls))
        inputs = read_ends(config.get("input_layers"), first, "input_layers")
        return rows, list(leaves(inputs)), read_ends(config.get("output_layers"), first, "output_layers")
    start = previous = Old("", 0, 0)
    rows = []
    for layer in listed:
        if layer.get("class_name") != "InputLayer":
            rows.append(Layered(layer_name(layer), layer, [Call(previous, {})]))
            previous = Old(layer_name(layer), 0, 0)
    return rows, [start], previous


# -- inputs -----------------------------
def input_layer(entry: Entry, name: str) -> Entry:
    config = _mapping(entry.get("config"))
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    dtype = config.get("dtype") or config.get("input_dtype") or "float32"
    if not isinstance(shape, list):
        raise BadFileError(f"the input {shown(name)!r} has no shape")
    return _input(name, shape, dtype, config.get("sparse") is True, config.get("ragged") is True)


def _input(name: str, shape: list[Any], dtype: Any, sparse: bool = False, ragged: bool = False) -> Entry:
    config = {
        "batch_shape": shape,
        "dtype": layers.dtype_of(dtype),
        "sparse": sparse,
        "ragged": ragged,
        "name": name,
    }
    return {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": config,
        "registered_name": None,
        "name": name,
    }


def input_shape(entry: Entry) -> list[Any] | None:
    """The shape that a first layer states for its input, including the batch."""
    config = entry.get("config")
    if is_model(entry):
        inner = config if isinstance(config, list) else _mapping(config).get("layers")
        return input_shape(inner[0]) if inner and isinstance(inner[0], dict) else None
    if not isinstance(config, dict):
        return None
    stated = config.get("batch_input_shape", config.get("batch_shape"))
    if isinstance(stated, list):
        return stated
    held = config.get("layer")
    return (
        input_shape(held) if isinstance(held, dict) and entry.get("class_name") == "Bidirectional" else None
    )


def input_dtype(entry: Entry) -> str:
    config = entry.get("config")
    stated = config.get("input_dtype") if isinstance(config, dict) else None
    return stated if isinstance(stated, str) else "float32"


# -- entries -----------------------------
def is_model(entry: Entry) -> bool:
    """Whether an entry is a functional or sequential model with its layers."""
    config = entry.get("config")
    if entry.get("class_name") not in MODELS or states_custom(entry):
        return False
    return isinstance(config, list) or (isinstance(config, dict) and isinstance(config.get("layers"), list))


def has_new_calls(config: dict[str, Any]) -> bool:
    """Whether a functional model writes its calls as Keras 3 does."""
    entries = (entry for entry in config["layers"] if isinstance(entry, dict))
    nodes = (entry.get("inbound_nodes") for entry in entries)
    calls = (call for listed in nodes if isinstance(listed, list) for call in listed)
    return any(isinstance(call, dict) and "args" in call for call in calls)


def opaque(entry: Entry, name: str, reason: str) -> Entry:
    """The old layer, marked as not translated."""
    class_name = entry.get("class_name")
    kept = {
        key: value for key, value in entry.items() if key not in ("inbound_nodes", "keras_version", "backend")
    }
    module = entry.get("module")
    return {
        **kept,
        "module": module if isinstance(module, str) else None,
        "registered_name": entry.get("registered_name") or class_name,
        "name": name,
        "not_upgraded": reason,
    }


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadFileError("a layer is not an object")
    return value


def layer_name(entry: Entry) -> str:
    config = entry.get("config")
    name = entry.get("name", config.get("name") if isinstance(config, dict) else None)
    if name is None:
        name = str(entry.get("class_name")).lower()
    if not isinstance(name, str) or not name:
        raise BadFileError(f"a layer is called {shown(repr(name))}: a name must be a non-empty string")
    return name
