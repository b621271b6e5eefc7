"""Initializers, regularizers and constraints: what only training and a model without weights need.

Source: ``keras/initializers``, ``regularizers.py`` and ``constraints.py`` of Keras 1.2, 2.2 and tf_keras 2.21.
"""

from __future__ import annotations

from typing import Any

from .constructs import Construct
from .context import Context

CONSTRUCTS = (
    Construct(
        "initializers by old names ('uniform', 'normal', 'one')",
        "RandomUniform, RandomNormal, Ones",
        "initializers",
    ),
    Construct("VarianceScaling(distribution='normal')", "distribution='truncated_normal'", "initializers"),
    Construct(
        "custom initializers, regularizers, constraints",
        "Keras's default; the weights are those of the file",
        "custom_initializer",
    ),
)

_CLASSES = {
    "uniform": "RandomUniform", "random_uniform": "RandomUniform", "normal": "RandomNormal",
    "random_normal": "RandomNormal", "zero": "Zeros", "zeros": "Zeros", "one": "Ones", "ones": "Ones",
    "constant": "Constant", "identity": "Identity", "orthogonal": "Orthogonal",
    "truncated_normal": "TruncatedNormal", "variance_scaling": "VarianceScaling",
    "glorot_uniform": "GlorotUniform", "glorot_normal": "GlorotNormal", "he_uniform": "HeUniform",
    "he_normal": "HeNormal", "lecun_uniform": "LecunUniform", "lecun_normal": "LecunNormal",
}  # fmt: skip
_ALIASES = {
    "glorot_uniform_v2": "GlorotUniform", "GlorotUniformV2": "GlorotUniform", "GlorotNormalV2": "GlorotNormal",
    "VarianceScalingV2": "VarianceScaling", "OrthogonalV2": "Orthogonal", "ZerosV2": "Zeros", "OnesV2": "Ones",
    "RandomUniformV2": "RandomUniform", "RandomNormalV2": "RandomNormal", "TruncatedNormalV2": "TruncatedNormal",
    "ConstantV2": "Constant", "IdentityV2": "Identity", "IdentityInitializer": "Identity",
}  # fmt: skip
_TAKES = {
    "Zeros": (), "Ones": (), "Constant": ("value",), "Identity": ("gain",), "Orthogonal": ("gain", "seed"),
    "RandomUniform": ("minval", "maxval", "seed"), "RandomNormal": ("mean", "stddev", "seed"),
    "TruncatedNormal": ("mean", "stddev", "seed"), "VarianceScaling": ("scale", "mode", "distribution", "seed"),
    "GlorotUniform": ("seed",), "GlorotNormal": ("seed",), "HeUniform": ("seed",), "HeNormal": ("seed",),
    "LecunUniform": ("seed",), "LecunNormal": ("seed",),
}  # fmt: skip
_REGULARIZERS = {
    "L1": ("l1",),
    "L2": ("l2",),
    "L1L2": ("l1", "l2"),
    "OrthogonalRegularizer": ("factor", "mode"),
}
_REGULARIZER_NAMES = {
    "l1": "L1", "l2": "L2", "l1_l2": "L1L2", "l1l2": "L1L2", "L1L2Regularizer": "L1L2", "WeightRegularizer": "L1L2",
    "ActivityRegularizer": "L1L2",
}  # fmt: skip
_CONSTRAINTS = {
    "MaxNorm": ("max_value", "axis"), "MinMaxNorm": ("min_value", "max_value", "rate", "axis"), "NonNeg": (),
    "UnitNorm": ("axis",),
}  # fmt: skip
_CONSTRAINT_NAMES = {
    "maxnorm": "MaxNorm", "max_norm": "MaxNorm", "nonneg": "NonNeg", "non_neg": "NonNeg", "unitnorm": "UnitNorm",
    "unit_norm": "UnitNorm", "min_max_norm": "MinMaxNorm",
}  # fmt: skip


def in_place(config: dict[str, Any], context: Context) -> None:
    """Bring the initializers, regularizers and constraints of a layer's configuration to the form of Keras 3."""
    for key, value in list(config.items()):
        if value is None or isinstance(value, (bool, int, float)):
            continue
        if key.endswith("_initializer"):
            config[key] = _translated(value, "keras.initializers", _initializer(value), key, context)
        elif key.endswith("_regularizer"):
            config[key] = _translated(value, "keras.regularizers", _regularizer(value), key, context)
        elif key.endswith("_constraint"):
            config[key] = _translated(value, "keras.constraints", _constraint(value), key, context)
        else:
            continue
        if config[key] is None and key.endswith("_initializer"):
            del config[key]


def _translated(
    value: Any, module: str, found: tuple[str, dict[str, Any]] | None, key: str, context: Context
) -> dict[str, Any] | None:
    if found is None:
        name = value.get("class_name", value.get("name", "?")) if isinstance(value, dict) else value
        context.account.remark(f"{key} {name}", "dropped: not part of Keras, and the weights do not need it")
        return None
    class_name, config = found
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def _parts(value: Any) -> tuple[str, dict[str, Any]]:
    """Class name and configuration of a serialised object; Keras 1 wrote both into one object."""
    if isinstance(value, str):
        return value, {}
    if not isinstance(value, dict):
        return "", {}
    config = value.get("config")
    if isinstance(value.get("class_name"), str):
        return value["class_name"], config if isinstance(config, dict) else {}
    if isinstance(value.get("name"), str):
        return value["name"], {key: item for key, item in value.items() if key != "name"}
    return "", {}


def _kept(config: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {key: config[key] for key in names if key in config}


def _initializer(value: Any) -> tuple[str, dict[str, Any]] | None:
    name, config = _parts(value)
    name = _ALIASES.get(name, _CLASSES.get(name, name))
    if name not in _TAKES:
        return None
    kept = _kept(config, _TAKES[name])
    if kept.get("distribution") == "normal":
        kept["distribution"] = "truncated_normal"
    return name, kept


def _regularizer(value: Any) -> tuple[str, dict[str, Any]] | None:
    name, config = _parts(value)
    name = _REGULARIZER_NAMES.get(name, name)
    if name not in _REGULARIZERS:
        return None
    return name, _kept(config, _REGULARIZERS[name])


def _constraint(value: Any) -> tuple[str, dict[str, Any]] | None:
    name, config = _parts(value)
    name = _CONSTRAINT_NAMES.get(name, name)
    if name not in _CONSTRAINTS:
        return None
    if "m" in config:
        config = {**config, "max_value": config["m"]}
    return name, _kept(config, _CONSTRAINTS[name])
