"""Configurations of older versions of Keras 3 in the form that the newest one loads.

Seen in the sources of Keras 3.0.5 to 3.15.1, and tested with models of every layer and many operations that 3.0.5,
3.3.3, 3.5.0, 3.8.0, 3.10.0 and 3.12.0 wrote. This module translates what 3.15.1 does not load from them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..model_file import Remark
from .dialect import version_number
from .moved import MOVED, RENAMED
from .upgrade import Account, Construct, Refusal

Json = dict[str, Any]

# The first versions that write the inputs and outputs of a model as given, and int4 weights in rows of inputs.
_ENDS, _INT4 = (3, 11), (3, 14)
_PACKED = ("Dense", "EinsumDense")
_CATEGORIES = ("CategoryEncoding", "Discretization")
_MASKED = ("MultiHeadAttention", "Softmax")
_CROPS, _ONE_HOT, _SOFTMAX = (3, 6), (3, 4), (3, 10)

CONSTRUCTS = (
    Construct("an argument of an operation where it is called", "in its configuration", "slice"),
    Construct("Threshold: threshold_value, value", "threshold, default_value", "threshold"),
    Construct("RMSNorm: scale in its configuration", "where it is called", "rms_norm"),
    Construct("RandomRotation: value_range", "left out: it had no effect", "random_rotation"),
    Construct(
        "a model of one input or output with a list for it, in another layer",
        "the tensor itself",
        "time_model",
    ),
    Construct("Dense, EinsumDense in int4 from before 3.14", "refused: other weights and inputs", "int4"),
    Construct("RandomCrop from before 3.6", "refused: it no longer crops outside of training", "random_crop"),
    Construct(
        "Discretization, CategoryEncoding to one_hot from before 3.4",
        "refused: other shapes",
        "discretization",
    ),
    Construct(
        "a mask given to Softmax or MultiHeadAttention before 3.10",
        "a remark: a fully masked row gives other numbers",
        "masked_softmax",
    ),
)


class Renewed(NamedTuple):
    """A configuration that the newest Keras loads, and what changed in the one that was read."""

    entry: Json
    remarks: list[Remark]
    refusals: list[Refusal]


def renewed(entry: Json, version: Any) -> Renewed:
    """The configuration in the form of the newest Keras; the same object if nothing changes.

    Args:
        entry: a configuration of Keras 3 that ``read_model`` accepts.
        version: of the Keras that wrote it, if the file states one.
    """
    account = Account()
    found = _Renewal(version_number(version)).model(entry, account)
    return Renewed(found, account.remarks, account.refusals)


class _Renewal:
    def __init__(self, version: tuple[int, int] | None) -> None:
        self.version = version

    def before(self, version: tuple[int, int]) -> bool:
        return self.version is not None and self.version < version

    def model(self, entry: Json, account: Account, nested: bool = False) -> Json:
        config = entry.get("config")
        if not isinstance(config, dict) or not isinstance(layers := config.get("layers"), list):
            return entry
        changes: Json = {}
        new = [self.layer(each, account) for each in layers]
        if any(after is not before for after, before in zip(new, layers, strict=True)):
            changes["layers"] = new
        if nested and self.before(_ENDS):
            changes |= _ends(config)
            if len(changes) > ("layers" in changes):
                account.remark("a list of one input or output", "the tensor itself")
        return {**entry, "config": {**config, **changes}} if changes else entry

    def layer(self, entry: Any, account: Account) -> Any:
        """The new entry of a layer or an operation, in a model or in another layer."""
        if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
            return entry
        name = entry.get("name", entry["config"].get("name"))
        account = account.at(name) if isinstance(name, str) else account
        if "layers" in entry["config"]:
            return self.model(entry, account, nested=True)
        inner = {
            key: found
            for key, value in entry["config"].items()
            if isinstance(value, dict) and (found := self.layer(value, account)) is not value
        }
        if inner:
            entry = {**entry, "config": {**entry["config"], **inner}}
        class_name = entry.get("class_name")
        if class_name in MOVED:
            return _moved(entry, account)
        if class_name in RENAMED:
            return _renamed(entry, account)
        if class_name == "RMSNorm":
            return _scale(entry, account)
        if class_name == "RandomRotation" and "value_range" in entry["config"]:
            account.remark("RandomRotation: value_range", "left out: it had no effect")
            return _without(entry, "value_range")
        if class_name == "RandomCrop" and self.before(_CROPS):
            account.refuse("RandomCrop from before 3.6", "since then it does not crop outside of training")
        one_hot = class_name in _CATEGORIES and entry["config"].get("output_mode") == "one_hot"
        if one_hot and self.before(_ONE_HOT):
            account.refuse(
                f"{class_name} to one_hot from before 3.4", "since then a last axis of size 1 is left out"
            )
        if (
            class_name in _MASKED
            and self.before(_SOFTMAX)
            and any(_is_masked(call, class_name) for call in _calls(entry))
        ):
            account.remark(
                f"a mask of {class_name}", "kept; since 3.10 a fully masked row gives other numbers"
            )
        if class_name in _PACKED and self.before(_INT4) and _is_int4(entry["config"]):
            account.refuse(
                f"{class_name} in int4",
                "since 3.14 Keras packs its weights differently, and does not quantise its inputs",
            )
        return entry


def _ends(config: Json) -> Json:
    """The inputs and outputs that are a list of one tensor, replaced by the tensor."""
    found = {}
    for key in ("input_layers", "output_layers"):
        ends = config.get(key)
        if isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list):
            found[key] = ends[0]
    return found


def _calls(entry: Json) -> list[Json]:
    calls = entry.get("inbound_nodes")
    if not isinstance(calls, list):
        return []
    whole = (call for call in calls if isinstance(call, dict) and isinstance(call.get("kwargs", {}), dict))
    return [call for call in whole if isinstance(call.get("args"), list)]


def _is_masked(call: Json, class_name: str) -> bool:
    given = call.get("kwargs", {})
    names = ("mask", "attention_mask", "query_mask", "value_mask", "key_mask")
    second = class_name == "Softmax" and len(call["args"]) > 1
    return second or any(given.get(name) is not None for name in names)


def _moved(entry: Json, account: Account) -> Json:
    """Move arguments of an operation's only call into its configuration."""
    calls = _calls(entry)
    if len(calls) != 1:
        return entry
    args, kwargs = list(calls[0]["args"]), dict(calls[0].get("kwargs", {}))
    config = dict(entry["config"])
    for position, name in reversed(MOVED[entry["class_name"]]):
        if name in config or not (name in kwargs or position < len(args)):
            continue
        given = kwargs[name] if name in kwargs else args[position]
        if _holds_tensor(given):
            continue
        if name in kwargs:
            del kwargs[name]
        else:
            del args[position]
        if given is not None:
            config[name] = given
        account.remark(f"{entry['class_name']}: {name} where it is called", "in its configuration")
    if args == calls[0]["args"] and kwargs == calls[0].get("kwargs", {}):
        return entry
    return {**entry, "config": config, "inbound_nodes": [{**calls[0], "args": args, "kwargs": kwargs}]}


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_tensor, value))
    return isinstance(value, dict) and value.get("class_name") in (
        "__keras_tensor__",
        "__numpy__",
        "__tensor__",
    )


def _renamed(entry: Json, account: Account) -> Json:
    names = RENAMED[entry["class_name"]]
    found = [name for name in entry["config"] if name in names]
    if not found:
        return entry
    for name in found:
        account.remark(f"{entry['class_name']}: {name}", names[name])
    return {**entry, "config": {names.get(key, key): value for key, value in entry["config"].items()}}


def _scale(entry: Json, account: Account) -> Json:
    """Move the scale of RMSNorm into its call: since 3.11 it is an argument of the call."""
    calls = _calls(entry)
    if "scale" not in entry["config"] or len(calls) != 1 or len(calls[0]["args"]) != 1:
        return entry
    account.remark("RMSNorm: scale in its configuration", "where it is called")
    call = {**calls[0], "args": [*calls[0]["args"], entry["config"]["scale"]]}
    return {**_without(entry, "scale"), "inbound_nodes": [call]}


def _without(entry: Json, argument: str) -> Json:
    return {**entry, "config": {key: value for key, value in entry["config"].items() if key != argument}}


def _is_int4(config: Json) -> bool:
    dtype = config.get("dtype")
    policy = dtype.get("config") if isinstance(dtype, dict) else None
    mode = policy.get("mode") if isinstance(policy, dict) else dtype
    return isinstance(mode, str) and mode.startswith("int4")
