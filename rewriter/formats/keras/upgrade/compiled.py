"""What a file says of training: loss, metrics and optimizer, as the ``compile_config`` of Keras 3.

Source: ``model_metadata`` in ``saving/saving_utils.py`` of tf_keras 2.21, ``compile_from_config`` in
``keras/src/trainers/trainer.py`` of Keras 3.15.
"""

from __future__ import annotations

from typing import Any

from .constructs import Construct
from .result import Account

CONSTRUCTS = (
    Construct(
        "optimizer_config of training_config",
        "the optimizer of Keras 3; its state begins anew",
        "compile_config",
    ),
    Construct("loss, loss_weights, metrics of training_config", "those of compile_config", "compile_config"),
    Construct(
        "a loss or optimizer of somebody's own", "dropped with the rest of the compile state", "custom_loss"
    ),
)

# By class: arguments of Keras 3, beside those that all take.
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
_RENAMED = {"lr": "learning_rate"}
_SCHEDULES = frozenset({
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay",
    "PolynomialDecay",
})  # fmt: skip
_LOSSES = {
    "binary_crossentropy": "BinaryCrossentropy", "categorical_crossentropy": "CategoricalCrossentropy",
    "categorical_hinge": "CategoricalHinge", "cosine_similarity": "CosineSimilarity", "hinge": "Hinge",
    "huber": "Huber", "huber_loss": "Huber", "kl_divergence": "KLDivergence",
    "kullback_leibler_divergence": "KLDivergence", "kld": "KLDivergence", "log_cosh": "LogCosh", "logcosh": "LogCosh",
    "mae": "MeanAbsoluteError", "mean_absolute_error": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError", "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError", "mean_squared_error": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError", "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError",
    "poisson": "Poisson", "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "squared_hinge": "SquaredHinge",
}  # fmt: skip
_LOSS_CLASSES = frozenset({*_LOSSES.values(), "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy"})
_METRICS = frozenset({"accuracy", "acc", *_LOSSES, "binary_accuracy", "categorical_accuracy"})


class _Unknown(Exception):
    """Something that Keras 3 does not have under this name."""


def translated(training: Any, account: Account) -> dict[str, Any] | None:
    """The ``compile_config`` for a ``training_config`` (or a ``compile_config`` of tf_keras); None where it has none.

    What cannot be carried over is dropped with a remark: no prediction depends on it.
    """
    if not isinstance(training, dict):
        return None
    try:
        optimizer = _optimizer(training.get("optimizer_config", training.get("optimizer")))
        loss = _each(_loss, training.get("loss"))
    except _Unknown as unknown:
        account.remark("compile state", f"dropped: {unknown} is none of Keras 3's")
        return None
    if optimizer is None:
        return None
    metrics: Any = training.get("metrics")
    try:
        metrics = _each(_metric, metrics)
    except _Unknown as unknown:
        account.remark("metrics", f"dropped: {unknown} is none of Keras 3's")
        metrics = None
    account.remark("optimizer", "carried over; its state begins anew")
    stated = training.get("optimizer_config")
    if isinstance(stated, dict) and isinstance(stated.get("config"), dict) and stated["config"].get("decay"):
        account.remark("decay of the optimizer", "dropped: Keras 3 takes a schedule as learning_rate")
    weights = training.get("loss_weights")
    return {
        "optimizer": optimizer,
        "loss": loss,
        "loss_weights": weights if isinstance(weights, (list, dict)) else None,
        "metrics": metrics or None,
        "weighted_metrics": None,
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": False,
    }


def _optimizer(entry: Any) -> dict[str, Any] | None:
    if entry is None:
        return None
    if isinstance(entry, str):
        entry = {"class_name": entry, "config": {}}
    if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
        raise _Unknown("the optimizer")
    name = entry["class_name"].rpartition(">")[2]
    name = _NAMES.get(name.lower(), name)
    if name not in _OPTIMIZERS:
        raise _Unknown(f"the optimizer {name}")
    config = entry.get("config")
    kept: dict[str, Any] = {}
    for key, value in config.items() if isinstance(config, dict) else ():
        key = _RENAMED.get(key, key)
        if (key in _COMMON or key in _OPTIMIZERS[name]) and value is not None:
            kept[key] = _learning_rate(value) if key == "learning_rate" else value
    kept["name"] = str(kept.get("name", name)).replace("/", "_")
    if kept.get("weight_decay") is False:
        del kept["weight_decay"]
    return {"module": "keras.optimizers", "class_name": name, "config": kept, "registered_name": None}


def _learning_rate(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    name, config = value.get("class_name"), value.get("config")
    if name not in _SCHEDULES or not isinstance(config, dict):
        raise _Unknown(f"the schedule {name}")
    return {
        "module": "keras.optimizers.schedules",
        "class_name": name,
        "config": {key: item for key, item in config.items() if item is not None},
        "registered_name": None,
    }


def _each(function: Any, value: Any) -> Any:
    """A loss or metric, or lists and objects of them by output."""
    if isinstance(value, list):
        return [_each(function, item) for item in value]
    if isinstance(value, dict) and "class_name" not in value:
        return {str(key).replace("/", "_"): _each(function, item) for key, item in value.items()}
    return None if value is None else function(value)


def _loss(value: Any) -> Any:
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    if isinstance(value, str):
        name = _LOSSES.get(value, value)
        if name not in _LOSS_CLASSES:
            raise _Unknown(f"the loss {value}")
        return value if value in _LOSSES else _object("keras.losses", name, {})
    if isinstance(value, dict) and value.get("class_name") in _LOSS_CLASSES:
        config = value.get("config")
        kept = {key: item for key, item in config.items() if key not in ("fn", "ragged")} if config else {}
        if kept.get("reduction") in ("auto", "none", None):
            kept["reduction"] = "sum_over_batch_size" if kept.get("reduction") != "none" else "none"
        return _object("keras.losses", value["class_name"], kept)
    raise _Unknown(f"the loss {value.get('class_name') if isinstance(value, dict) else value}")


def _metric(value: Any) -> Any:
    if isinstance(value, dict) and value.get("class_name") == "MeanMetricWrapper":
        value = (value.get("config") or {}).get("fn")
    if isinstance(value, dict) and isinstance(value.get("config"), str):
        value = value["config"]
    if isinstance(value, str) and value in _METRICS:
        return value
    raise _Unknown(f"the metric {value.get('class_name') if isinstance(value, dict) else value}")


def _object(module: str, class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}
