"""Layers of Keras 1 as layers of Keras 2: other class names, other argument names.

Source: ``keras/layers`` of Keras 1.2.2, ``keras/legacy/interfaces.py`` of Keras 2.2.
"""

from __future__ import annotations

from typing import Any

from ....errors import BadFileError, shown
from .constructs import Construct
from .context import Context, Entry, Untranslatable
from .detect import every_layer

Config = dict[str, Any]

CONSTRUCTS = (
    Construct(
        "Convolution2D(nb_filter, nb_row, nb_col, border_mode, subsample, dim_ordering)",
        "Conv2D",
        "keras_1_convolution",
    ),
    Construct(
        "AtrousConvolution1D/2D, Deconvolution2D",
        "Conv1D/Conv2D with dilation_rate, Conv2DTranspose",
        "keras_1_convolution",
    ),
    Construct(
        "Dense(output_dim, init, W_regularizer, bias)", "Dense(units, kernel_initializer …)", "keras_1_dense"
    ),
    Construct(
        "LSTM(inner_activation, inner_init, forget_bias_init, dropout_W, consume_less)",
        "LSTM",
        "keras_1_recurrent",
    ),
    Construct("TimeDistributedDense", "Dense, which treats all steps alike", "keras_1_dense"),
    Construct(
        "BatchNormalization(mode=0)",
        "BatchNormalization; modes 1 and 2, which normalise by each sample or batch, are refused",
        "what_keras_3_computes_otherwise_is_refused",
    ),
    Construct(
        "UpSampling, ZeroPadding and Cropping in 2D and 3D, which Keras 1 writes without dim_ordering",
        "the one that other layers of the model state; refused if they state both",
        "it_computes_what_it_did_there",
    ),
    Construct(
        "Highway, MaxoutDense, SReLU, ParametricSoftplus",
        "refused: later versions have no such layer",
        "keras_1_refused",
    ),
    Construct(
        "Dropout(p), GaussianNoise(sigma), pool_length, length",
        "rate, stddev, pool_size, size",
        "keras_1_convolution_1d",
    ),
)

# Old class -> (class of Keras 2, renamed arguments).
_CONVOLUTION = {
    "nb_filter": "filters", "border_mode": "padding", "subsample": "strides", "subsample_length": "strides",
    "dim_ordering": "data_format", "bias": "use_bias", "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer", "b_regularizer": "bias_regularizer", "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint", "atrous_rate": "dilation_rate", "filter_length": "kernel_size",
}  # fmt: skip
_SEPARABLE = {
    **_CONVOLUTION, "depthwise_init": "depthwise_initializer", "pointwise_init": "pointwise_initializer",
}  # fmt: skip
_DENSE = {
    "output_dim": "units", "bias": "use_bias", "init": "kernel_initializer", "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer", "W_constraint": "kernel_constraint", "b_constraint": "bias_constraint",
}  # fmt: skip
_RECURRENT = {
    "output_dim": "units", "init": "kernel_initializer", "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation", "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer", "b_regularizer": "bias_regularizer", "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
}  # fmt: skip
_POOL_1D = {"pool_length": "pool_size", "stride": "strides", "border_mode": "padding"}
_POOL = {"border_mode": "padding", "dim_ordering": "data_format"}
_IMAGE = {"dim_ordering": "data_format"}
_ROWS: dict[str, tuple[str, dict[str, str]]] = {
    "AtrousConvolution1D": ("Conv1D", _CONVOLUTION), "AtrousConvolution2D": ("Conv2D", _CONVOLUTION),
    "AtrousConv1D": ("Conv1D", _CONVOLUTION), "AtrousConv2D": ("Conv2D", _CONVOLUTION),
    "Convolution1D": ("Conv1D", _CONVOLUTION), "Conv1D": ("Conv1D", _CONVOLUTION),
    "Convolution2D": ("Conv2D", _CONVOLUTION), "Conv2D": ("Conv2D", _CONVOLUTION),
    "Convolution3D": ("Conv3D", _CONVOLUTION), "Conv3D": ("Conv3D", _CONVOLUTION),
    "Deconvolution2D": ("Conv2DTranspose", _CONVOLUTION), "Deconv2D": ("Conv2DTranspose", _CONVOLUTION),
    "SeparableConvolution2D": ("SeparableConv2D", _SEPARABLE), "SeparableConv2D": ("SeparableConv2D", _SEPARABLE),
    "Dense": ("Dense", _DENSE), "TimeDistributedDense": ("Dense", _DENSE),
    "Embedding": ("Embedding", {"init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer",
                                "W_constraint": "embeddings_constraint"}),
    "LSTM": ("LSTM", _RECURRENT), "GRU": ("GRU", _RECURRENT), "SimpleRNN": ("SimpleRNN", _RECURRENT),
    "ConvLSTM2D": ("ConvLSTM2D", {**_RECURRENT, **_CONVOLUTION}),
    "Dropout": ("Dropout", {"p": "rate"}), "GaussianDropout": ("GaussianDropout", {"p": "rate", "sigma": "rate"}),
    "GaussianNoise": ("GaussianNoise", {"sigma": "stddev"}),
    "SpatialDropout1D": ("SpatialDropout1D", {"p": "rate"}),
    "SpatialDropout2D": ("SpatialDropout2D", {"p": "rate", **_IMAGE}),
    "SpatialDropout3D": ("SpatialDropout3D", {"p": "rate", **_IMAGE}),
    "MaxPooling1D": ("MaxPooling1D", _POOL_1D), "AveragePooling1D": ("AveragePooling1D", _POOL_1D),
    "MaxPooling2D": ("MaxPooling2D", _POOL), "AveragePooling2D": ("AveragePooling2D", _POOL),
    "MaxPooling3D": ("MaxPooling3D", _POOL), "AveragePooling3D": ("AveragePooling3D", _POOL),
    "UpSampling1D": ("UpSampling1D", {"length": "size"}), "UpSampling2D": ("UpSampling2D", _IMAGE),
    "UpSampling3D": ("UpSampling3D", _IMAGE), "ZeroPadding2D": ("ZeroPadding2D", _IMAGE),
    "ZeroPadding3D": ("ZeroPadding3D", _IMAGE), "Cropping2D": ("Cropping2D", _IMAGE),
    "Cropping3D": ("Cropping3D", _IMAGE), "GlobalMaxPooling2D": ("GlobalMaxPooling2D", _IMAGE),
    "GlobalAveragePooling2D": ("GlobalAveragePooling2D", _IMAGE),
    "GlobalMaxPooling3D": ("GlobalMaxPooling3D", _IMAGE),
    "GlobalAveragePooling3D": ("GlobalAveragePooling3D", _IMAGE),
    "BatchNormalization": ("BatchNormalization", {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"}),
    "PReLU": ("PReLU", {"init": "alpha_initializer"}),
}  # fmt: skip
_DROPPED = frozenset(
    {"input_dim", "input_length", "consume_less", "weights", "create_input_layer", "cache_enabled"}
)
_GONE = frozenset({"Highway", "MaxoutDense", "SReLU", "ParametricSoftplus", "GraphModel", "AutoEncoder"})
# Layers that Keras 1 writes without their dim_ordering (`get_config` of 1.2.2).
_UNSTATED = frozenset(
    f"{name}{rank}D" for name in ("UpSampling", "ZeroPadding", "Cropping") for rank in (2, 3)
)
_CONVOLUTIONS = ("Convolution", "Conv", "Deconv", "SeparableConv", "AtrousConv")
_DATA_FORMATS = {"tf": "channels_last", "th": "channels_first", "default": "channels_last"}
_SIZES = (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3"))
_OLD_ARGUMENTS = frozenset({
    "nb_filter", "output_dim", "dim_ordering", "border_mode", "consume_less", "W_regularizer", "inner_activation",
    "concat_axis", "pool_length",
})  # fmt: skip


def looks_like(entry: Entry) -> bool:
    """Whether a configuration without a version is of Keras 1, by the names of its arguments."""
    return any(
        layer["class_name"] in ("Merge", *_GONE)
        or (
            layer["class_name"] != "Embedding"
            and isinstance(layer["config"], dict)
            and _OLD_ARGUMENTS & layer["config"].keys()
        )
        for layer in every_layer(entry)
    )


def with_orderings(entry: Entry) -> Entry:
    """A model whose layers all state their dim_ordering: None where the model states none."""
    layers = list(every_layer(entry))
    if not any(map(_lacks_ordering, layers)):
        return entry
    configs = [layer["config"] for layer in layers if isinstance(layer["config"], dict)]
    stated = [name for name in ("th", "tf") if any(config.get("dim_ordering") == name for config in configs)]
    ordering = (stated or ["tf"])[0] if len(stated) < 2 else None

    def filled(item: Any) -> Any:
        if isinstance(item, list):
            return [filled(part) for part in item]
        if not isinstance(item, dict):
            return item
        item = {key: filled(value) for key, value in item.items()}
        if _lacks_ordering(item):
            item["config"] = {**item["config"], "dim_ordering": ordering}
        return item

    result: Entry = filled(entry)
    return result


def _lacks_ordering(layer: Entry) -> bool:
    class_name, config = layer.get("class_name"), layer.get("config")
    lacks = isinstance(config, dict) and "dim_ordering" not in config
    return lacks and isinstance(class_name, str) and class_name in _UNSTATED


def renamed(entry: Entry, context: Context) -> Entry:
    """A layer of Keras 1 in terms of Keras 2. Raises Untranslatable."""
    class_name, config = entry.get("class_name"), entry.get("config")
    if not isinstance(class_name, str) or not isinstance(config, dict):
        return entry
    if class_name in _GONE:
        raise Untranslatable(class_name, "later versions of Keras have no such layer")
    if class_name in _UNSTATED and config.get("dim_ordering", "") is None:
        raise Untranslatable(
            class_name, "Keras 1 does not write its dim_ordering, and the layers of the model state both"
        )
    new_class, new = renamed_parts(class_name, config)
    if class_name == "BatchNormalization" and (mode := new.pop("mode", 0)):
        by = "each sample by itself" if mode == 1 else "by the batch at hand, in prediction as well"
        raise Untranslatable(f"BatchNormalization(mode={shown(mode)})", f"it normalises {by}")
    if class_name.startswith(_CONVOLUTIONS):
        context.account.remark(
            f"the kernels of {class_name}",
            "read as kernels of TensorFlow: Keras 1 does not write its backend, and those of Theano are turned",
        )
    if new_class != class_name:
        context.account.remark(class_name, new_class)
    elif new.keys() != config.keys():
        context.account.remark(f"the arguments of {class_name} in Keras 1", "those of Keras 2")
    return {**entry, "class_name": new_class, "config": new}


def renamed_parts(class_name: str, config: Config) -> tuple[str, Config]:
    """Class name and configuration of a layer of Keras 1 in terms of Keras 2."""
    new_class, names = _ROWS.get(class_name, (class_name, {}))
    new: Config = {}
    for key, value in config.items():
        if key in _DROPPED and not (class_name == "Embedding" and key == "input_dim"):
            continue
        if class_name == "Embedding" and key == "dropout":
            continue
        new[names.get(key, key)] = value
    for sizes in _SIZES:
        if sizes[0] in new:
            new["kernel_size"] = [new.pop(key, None) for key in sizes]
    if "data_format" in new:
        stated = new["data_format"]
        if not isinstance(stated, str) or stated not in _DATA_FORMATS:
            raise BadFileError(f"dim_ordering is {shown(repr(stated))}")
        new["data_format"] = _DATA_FORMATS[stated]
    if "forget_bias_init" in new:
        new["unit_forget_bias"] = new.pop("forget_bias_init") == "one"
    padding = new.get("padding")
    if class_name == "ZeroPadding2D" and isinstance(padding, list) and len(padding) == 4:
        new["padding"] = [padding[:2], padding[2:]]
    if class_name == "Flatten":
        new["data_format"] = "channels_last"
    if new_class == "GRU":
        new["reset_after"] = False
    if class_name in ("AtrousConvolution1D", "AtrousConv1D") and isinstance(new.get("dilation_rate"), list):
        new["dilation_rate"] = new["dilation_rate"][:1]
    if class_name in ("Deconvolution2D", "Deconv2D"):
        new.pop("output_shape", None)
    if new_class == "BatchNormalization":
        new = {
            key: value for key, value in new.items() if key not in ("gamma_regularizer", "beta_regularizer")
        }
    return new_class, new


def gates_apart(class_name: str, config: Config) -> int:
    """How many gates have variables of their own: all, unless the layer computes them in one product."""
    if config.get("consume_less") == "gpu" and class_name != "ConvLSTM2D":
        return 1
    return {"LSTM": 4, "GRU": 3, "ConvLSTM2D": 4}.get(class_name, 1)
