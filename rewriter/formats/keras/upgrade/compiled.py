"""The training settings of a file (loss, metrics and optimizer) as the ``compile_config`` of Keras 3.

Source: ``model_metadata`` in ``saving/saving_utils.py`` of tf_keras 2.21, ``compile_from_config`` in
``keras/src/trainers/trainer.py`` of Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from ....errors import BadFileError
from ..training import ALIASES, LOSS_FUNCTIONS, METRIC_ALIASES, METRIC_FUNCTIONS, METRICS, SCHEDULES
from .constructs import Construct
from .result import Account

CONSTRUCTS = (
    Construct(
        "optimizer_config of training_config",
        "the optimizer of Keras 3",
        "compile_config",
    ),
    Construct("decay of an optimizer", "InverseTimeDecay as learning_rate", "decay"),
    Construct(
        "loss, loss_weights, metrics, weighted_metrics of training_config",
        "those of compile_config",
        "compile_config",
    ),
    Construct("a custom loss or optimizer", "dropped with the rest of the compile state", "custom_loss"),
)

# By class: arguments in Keras 3, in addition to those of all optimizers.
_COMMON = frozenset({
    "name", "learning_rate", "clipnorm", "clipvalue", "global_clipnorm", "weight_decay", "use_ema", "ema_momentum",
    "ema_overwrite_frequency",
})  # fmt: skip
_OPTIMIZERS: dict[str, frozenset[str]] = {
    "SGD": frozenset({"momentum", "nesterov"}), "RMSprop": frozenset({"rho", "momentum", "epsilon", "centered"}),
    "Adam": frozenset({"beta_1", "beta_2", "epsilon", "amsgrad"}),
    "AdamW": frozenset({"beta_1", "beta_2", "epsilon", "amsgrad"}),
    "Adadelta": frozenset({"rho", "epsilon"}), "Adagrad": frozenset({"initial_accumulator_value", "epsilon"}),
    "Adamax": frozenset({"beta_1", "beta_2", "epsilon"}), "Nadam": frozenset({"beta_1", "beta_2", "epsilon"}),
    "Ftrl": frozenset({
        "learning_rate_power", "initial_accumulator_value", "l1_regularization_strength", "l2_regularization_strength",
        "l2_shrinkage_regularization_strength", "beta",
    }),
    "Adafactor": frozenset({"beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step"}),
    "Lion": frozenset({"beta_1", "beta_2"}),
}  # fmt: skip
_NAMES = {name.lower(): name for name in _OPTIMIZERS}
# The learning rates of optimizers given by name alone; the other defaults are those of Keras 3.
_RATES = dict.fromkeys(_OPTIMIZERS, 0.001) | {"SGD": 0.01, "Lion": 0.0001}
# Since 2.11, Keras registers its optimizers with this prefix. Other packages have optimizers of the same names.
_OWN = "Custom>"
_RENAMED = {"lr": "learning_rate"}
_LOSSES = frozenset({
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalHinge", "CosineSimilarity", "Hinge", "Huber", "KLDivergence", "LogCosh", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge",
})  # fmt: skip
# Keras 2 has no functions of these names: there they are custom.
_FUNCTIONS = LOSS_FUNCTIONS - {
    "binary_focal_crossentropy", "categorical_focal_crossentropy", "circle", "ctc", "dice", "tversky",
}  # fmt: skip
# By class: arguments of metrics, in addition to name and dtype.
_MATRIX = frozenset({"num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis"})
_POINT = frozenset({"num_thresholds", "class_id"})
_METRICS: dict[str, frozenset[str]] = {
    "AUC": frozenset({
        "num_thresholds", "curve", "summation_method", "thresholds", "multi_label", "num_labels", "label_weights",
        "from_logits",
    }),
    "BinaryAccuracy": frozenset({"threshold"}),
    "BinaryCrossentropy": frozenset({"from_logits", "label_smoothing"}),
    "BinaryIoU": frozenset({"target_class_ids", "threshold"}),
    "CategoricalCrossentropy": frozenset({"from_logits", "label_smoothing", "axis"}),
    "CosineSimilarity": frozenset({"axis"}),
    "F1Score": frozenset({"average", "threshold"}),
    "FBetaScore": frozenset({"average", "beta", "threshold"}),
    "IoU": _MATRIX | {"target_class_ids"},
    "MeanIoU": _MATRIX,
    "OneHotIoU": (_MATRIX | {"target_class_ids"}) - {"sparse_y_true"},
    "OneHotMeanIoU": _MATRIX - {"sparse_y_true"},
    "PrecisionAtRecall": _POINT | {"recall"},
    "R2Score": frozenset({"class_aggregation", "num_regressors"}),
    "RecallAtPrecision": _POINT | {"precision"},
    "SensitivityAtSpecificity": _POINT | {"specificity"},
    "SparseCategoricalCrossentropy": frozenset({"from_logits", "ignore_class", "axis"}),
    "SpecificityAtSensitivity": _POINT | {"sensitivity"},
    **dict.fromkeys(("Precision", "Recall"), frozenset({"thresholds", "top_k", "class_id"})),
    **dict.fromkeys(("SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy"), frozenset({"k"})),
    **dict.fromkeys(
        ("FalseNegatives", "FalsePositives", "TrueNegatives", "TruePositives"), frozenset({"thresholds"})
    ),
}  # fmt: skip


class _Unknown(Exception):
    """Something that Keras 3 does not have under this name."""


def translated(training: Any, account: Account, outputs: Sequence[str] = ()) -> dict[str, Any] | None:
    """The ``compile_config`` for a ``training_config`` (or a ``compile_config`` of tf_keras); None if it is dropped.

    A loss, metric or optimizer that Keras 3 lacks is dropped with a remark: predictions do not depend on it.

    Args:
        outputs: the names of the outputs. With several, Keras 2 puts them before the names of metrics, and Keras 3
            does so itself.
    """
    prefixes = tuple(f"{name}_" for name in outputs) if len(outputs) > 1 else ()
    if not isinstance(training, dict):
        return None
    try:
        optimizer = _optimizer(stated_optimizer(training), account)
        loss = _each(_loss, training.get("loss"))
    except _Unknown as unknown:
        account.remark("compile state", f"dropped: {unknown} is not part of Keras 3")
        return None
    except RecursionError:
        raise BadFileError("the training configuration is nested too deep to read") from None
    if optimizer is None:
        return None
    metrics = {}
    for key in ("metrics", "weighted_metrics"):
        try:
            metrics[key] = _without_none(_each(partial(_metric, prefixes), training.get(key))) or None
        except _Unknown as unknown:
            account.remark(key, f"dropped: {unknown} is not part of Keras 3")
            metrics[key] = None
        except RecursionError:
            raise BadFileError("the training configuration is nested too deep to read") from None
    account.remark("optimizer", "carried over")
    weights = training.get("loss_weights")
    return {
        "optimizer": optimizer,
        "loss": loss,
        "loss_weights": weights if isinstance(weights, (list, dict)) else None,
        **metrics,
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": False,
    }


def stated_optimizer(training: Any) -> Any:
    """The optimizer as a ``training_config``, or a ``compile_config`` of tf_keras, has it."""
    return training.get("optimizer_config", training.get("optimizer")) if isinstance(training, dict) else None


def named_optimizer(entry: Any) -> tuple[str, dict[str, Any]]:
    """The class name in Keras 3 and the configuration of an optimizer; "" if there is none."""
    if isinstance(entry, str):
        name = _NAMES.get(entry.lower(), entry)
        return name, {"learning_rate": _RATES[name]} if name in _RATES else {}
    if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
        return "", {}
    stated, config = entry["class_name"], entry.get("config")
    name = stated.removeprefix(_OWN)
    if entry.get("registered_name") not in (None, stated, f"{_OWN}{name}"):
        name = str(entry["registered_name"])
    return _NAMES.get(name.lower(), name), config if isinstance(config, dict) else {}


def _optimizer(entry: Any, account: Account) -> dict[str, Any] | None:
    if entry is None:
        return None
    name, config = named_optimizer(entry)
    if name not in _OPTIMIZERS:
        raise _Unknown(f"the optimizer {name}".rstrip())
    kept: dict[str, Any] = {}
    for key, value in config.items():
        key = _RENAMED.get(key, key)
        if (key in _COMMON or key in _OPTIMIZERS[name]) and value is not None:
            kept[key] = _learning_rate(value) if key == "learning_rate" else value
    kept["name"] = str(kept.get("name", name)).replace("/", "_")
    if kept.get("weight_decay") is False:
        del kept["weight_decay"]
    _with_decay(name, config.get("decay"), kept, account)
    return {"module": "keras.optimizers", "class_name": name, "config": kept, "registered_name": None}


def _with_decay(name: str, decay: Any, config: dict[str, Any], account: Account) -> None:
    """Replace ``decay``, which lowers the learning rate with every step, by a schedule. Nadam's has another meaning."""
    if not decay or name == "Nadam":
        return
    rate = config.get("learning_rate")
    if any(type(number) not in (int, float) for number in (decay, rate)):
        account.remark("decay of the optimizer", "dropped: Keras 3 takes a schedule as learning_rate")
        return
    account.remark("decay of the optimizer", "InverseTimeDecay as learning_rate")
    config["learning_rate"] = {
        "module": "keras.optimizers.schedules",
        "class_name": "InverseTimeDecay",
        "config": {
            "initial_learning_rate": rate,
            "decay_steps": 1,
            "decay_rate": decay,
            "staircase": False,
            "name": "InverseTimeDecay",
        },
        "registered_name": None,
    }


def _learning_rate(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    name, config = _parts(value)
    if name not in SCHEDULES or not isinstance(config, dict):
        raise _Unknown(f"the schedule {name}")
    return {
        "module": "keras.optimizers.schedules",
        "class_name": name,
        "config": {key: item for key, item in config.items() if item is not None},
        "registered_name": None,
    }


def _each(function: Any, value: Any) -> Any:
    """``function`` applied to a loss or metric, or to each in lists and dicts by output."""
    if isinstance(value, list):
        return [_each(function, item) for item in value]
    if isinstance(value, dict) and "class_name" not in value:
        return {str(key).replace("/", "_"): _each(function, item) for key, item in value.items()}
    return None if value is None else function(value)


def _without_none(metrics: Any) -> Any:
    """Metrics without None: Keras 3 takes an empty list for an output that has none."""

    def of_output(value: Any) -> Any:
        return [item for item in value if item is not None] if isinstance(value, list) else value

    if isinstance(metrics, dict) and "class_name" not in metrics:
        return {key: of_output(value) for key, value in metrics.items() if value is not None}
    if isinstance(metrics, list):
        return [[] if value is None else of_output(value) for value in metrics]
    return metrics


def _loss(value: Any) -> Any:
    class_name, config = _parts(value)
    if class_name == "function" and isinstance(config, str):
        value = config
    if isinstance(value, str):
        name = ALIASES.get(value, value)
        if name in _FUNCTIONS:
            return name
        if name not in _LOSSES:
            raise _Unknown(f"the loss {value}")
        return _object("keras.losses", name, {})
    if class_name in _LOSSES and isinstance(config, (dict, type(None))):
        kept = {key: item for key, item in (config or {}).items() if key not in ("fn", "ragged")}
        if kept.get("reduction") in ("auto", "none", None):
            kept["reduction"] = "sum_over_batch_size" if kept.get("reduction") != "none" else "none"
        return _object("keras.losses", class_name, kept)
    raise _Unknown(f"the loss {class_name}".rstrip())


def _metric(prefixes: Sequence[str], value: Any) -> Any:
    class_name, config = _parts(value)
    if isinstance(config, dict) and isinstance(config.get("name"), str):
        name = config["name"]
        before = max((each for each in prefixes if name.startswith(each)), key=len, default="")
        config = {**config, "name": name.removeprefix(before)}
    if class_name == "MeanMetricWrapper" and isinstance(config, dict):
        name, value = config.get("name"), config.get("fn")
        if isinstance(name, str) and name in METRIC_ALIASES and ALIASES.get(name) == value:
            return name  # ``evaluate`` reports it under this name
        own = "".join(word.capitalize() for word in value.split("_")) if isinstance(value, str) else ""
        if isinstance(name, str) and name != value and own in METRICS:
            return _object("keras.metrics", own, {"name": name})
        _, config = _parts(value)
    if isinstance(config, str):
        value = config
    if class_name in METRICS and isinstance(config, dict):
        return _object("keras.metrics", class_name, dict(_arguments(class_name, config)))
    if isinstance(value, str):
        if value in METRICS:
            return _object("keras.metrics", value, {})
        name = value if value in METRIC_ALIASES else ALIASES.get(value, value)
        if name in METRIC_ALIASES or name in METRIC_FUNCTIONS:
            return name
        class_name = value
    raise _Unknown(f"the metric {class_name}".rstrip())


def _arguments(class_name: str, config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The arguments in a configuration that the metric of Keras 3 accepts."""
    for key, value in config.items():
        if key in _METRICS.get(class_name, ()) or (key in ("name", "dtype") and isinstance(value, str)):
            yield key, value


def _parts(value: Any) -> tuple[str, Any]:
    """Class and configuration of a serialised object; "" for anything else."""
    name = value.get("class_name") if isinstance(value, dict) else None
    return (name, value.get("config")) if isinstance(name, str) else ("", None)


def _object(module: str, class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}
