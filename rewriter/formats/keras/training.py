"""The training settings of Keras 3: ``compile_config`` of an archive and ``training_config`` of an ``.h5`` file.

Both have the same parts. In an ``.h5`` file the optimizer is ``optimizer_config``, objects have no module, and
functions are stored by name. Keras does not load every name that ``compile`` takes (``mse``). Sources:
``keras/src/trainers/trainer.py`` and ``keras/src/legacy/saving/saving_utils.py``, Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .optimizer_layout import INNER, LOSS_SCALE, PASSES

Json = dict[str, Any]

LOSS_FUNCTIONS = frozenset({
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_hinge", "circle", "cosine_similarity", "ctc", "dice", "hinge", "huber", "kl_divergence", "log_cosh",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error",
    "poisson", "sparse_categorical_crossentropy", "squared_hinge", "tversky",
})  # fmt: skip
METRIC_FUNCTIONS = frozenset({
    "binary_accuracy", "binary_crossentropy", "categorical_accuracy", "categorical_crossentropy", "categorical_hinge",
    "cosine_similarity", "hinge", "kl_divergence", "mean_absolute_error", "mean_absolute_percentage_error",
    "mean_squared_error", "mean_squared_logarithmic_error", "poisson", "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy", "squared_hinge",
    "top_k_categorical_accuracy",
})  # fmt: skip
# For the first two, ``compile`` chooses a metric that fits the output.
METRIC_ALIASES = frozenset({
    "accuracy", "acc", "bce", "BCE", "mae", "MAE", "mape", "MAPE", "mse", "MSE", "msle", "MSLE",
})  # fmt: skip
# Other names of losses and metrics, including those of Keras 2.
ALIASES = {
    "bce": "binary_crossentropy", "BCE": "binary_crossentropy", "huber_loss": "huber", "kld": "kl_divergence",
    "KLD": "kl_divergence", "kullback_leibler_divergence": "kl_divergence", "logcosh": "log_cosh",
    "mae": "mean_absolute_error", "MAE": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
    "MAPE": "mean_absolute_percentage_error", "mse": "mean_squared_error", "MSE": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error", "MSLE": "mean_squared_logarithmic_error",
}  # fmt: skip
LOSSES = frozenset({
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CTC", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalHinge", "Circle", "CosineSimilarity", "Dice", "Hinge", "Huber", "KLDivergence", "LogCosh",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky",
})  # fmt: skip
METRICS = frozenset({
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "CategoricalAccuracy",
    "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity", "F1Score",
    "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge", "IoU", "KLDivergence", "LogCoshError", "Mean",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanIoU", "MeanSquaredError", "MeanSquaredLogarithmicError",
    "OneHotIoU", "OneHotMeanIoU", "PearsonCorrelation", "Poisson", "Precision", "PrecisionAtRecall", "R2Score",
    "Recall", "RecallAtPrecision", "RootMeanSquaredError", "SensitivityAtSpecificity", "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy", "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity", "SquaredHinge",
    "Sum", "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives",
})  # fmt: skip
SCHEDULES = frozenset({
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay",
    "PolynomialDecay",
})  # fmt: skip
OPTIMIZERS = frozenset({*PASSES, "Muon"})
_NOT_IN_H5 = frozenset({"Lamb"})  # Keras 3 does not find it by its name
_MODULES = ("keras.optimizers", "keras.losses", "keras.metrics")


class _Unknown(Exception):
    """Something that is not part of Keras."""


def training_config(compiled: Any) -> Json | None:
    """The ``training_config`` for a ``compile_config``; None if it holds something that is not part of Keras 3."""
    return _converted(compiled, _bare, "optimizer", "optimizer_config")


def compile_config(training: Any) -> Json | None:
    """The ``compile_config`` for a ``training_config`` of Keras 3; None as for ``training_config``."""
    return _converted(training, _with_module, "optimizer_config", "optimizer")


def _converted(given: Any, form: Callable[[str, Json, str], Json], optimizer: str, named: str) -> Json | None:
    if not isinstance(given, dict) or given.get(optimizer) is None:
        return None
    try:
        return {
            "loss": _each(lambda v: _named(v, LOSS_FUNCTIONS, LOSSES, _MODULES[1], form), given.get("loss")),
            "loss_weights": _numbers(given.get("loss_weights")),
            **{
                key: _each(lambda v: _metric(v, form), given.get(key))
                for key in ("metrics", "weighted_metrics")
            },
            "run_eagerly": given.get("run_eagerly") is True,
            "steps_per_execution": given["steps_per_execution"]
            if _is_count(given.get("steps_per_execution"))
            else 1,
            "jit_compile": given.get("jit_compile") is True,
            named: _optimizer(given[optimizer], form),
        }
    except (_Unknown, RecursionError):
        return None


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _bare(class_name: str, config: Json, module: str) -> Json:
    return {"class_name": class_name, "config": config}


def _with_module(class_name: str, config: Json, module: str) -> Json:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def _parts(value: Any) -> tuple[str, Json]:
    """Class and configuration of a serialised Keras object. Raises _Unknown for any other value."""
    if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
        raise _Unknown
    class_name, module = value.get("class_name"), value.get("module", "keras.")
    if not isinstance(class_name, str) or not isinstance(module, str) or not module.startswith("keras."):
        raise _Unknown
    if value.get("registered_name") not in (None, class_name):
        raise _Unknown
    return class_name, value["config"]


def _optimizer(value: Any, form: Callable[[str, Json, str], Json]) -> Json:
    if isinstance(value, str):
        value = {
            "class_name": {name.lower(): name for name in OPTIMIZERS}.get(value.lower(), value),
            "config": {},
        }
    class_name, config = _parts(value)
    if class_name == LOSS_SCALE:
        return form(class_name, {**config, INNER: _optimizer(config.get(INNER), _with_module)}, _MODULES[0])
    if class_name not in OPTIMIZERS or (form is _bare and class_name in _NOT_IN_H5):
        raise _Unknown
    rate = config.get("learning_rate")
    if isinstance(rate, dict) and _parts(rate)[0] not in SCHEDULES:
        raise _Unknown
    return form(class_name, config, _MODULES[0])


def _metric(value: Any, form: Callable[[str, Json, str], Json]) -> Any:
    if isinstance(value, str) and value in METRIC_ALIASES:
        return value
    return _named(value, METRIC_FUNCTIONS, METRICS, _MODULES[2], form)


def _named(
    value: Any,
    functions: frozenset[str],
    classes: frozenset[str],
    module: str,
    form: Callable[[str, Json, str], Json],
) -> Any:
    """The name of a function, or the serialised object of a class."""
    if (
        isinstance(value, dict)
        and value.get("class_name") == "function"
        and value.get("module") == "builtins"
    ):
        value = value.get("config")
    if isinstance(value, str):
        value = ALIASES.get(value, value)
        if value in functions:
            return value
        if value not in classes:
            raise _Unknown
        value = {"class_name": value, "config": {}}
    class_name, config = _parts(value)
    if class_name not in classes:
        raise _Unknown
    return form(class_name, config, module)


def _each(convert: Callable[[Any], Any], value: Any) -> Any:
    """``convert`` applied to a loss or metric, or to each in lists and dicts by output."""
    if isinstance(value, list):
        return [_each(convert, item) for item in value]
    if isinstance(value, Mapping) and "class_name" not in value:
        return {str(key): _each(convert, item) for key, item in value.items()}
    return None if value is None else convert(value)


def _numbers(value: Any) -> Any:
    """Weights of losses, by output. Raises _Unknown for anything else."""
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _numbers(item) for key, item in value.items()}
    if value is not None and type(value) not in (int, float):
        raise _Unknown
    return value
