"""Layers of Keras 2 as layers of Keras 3: renamed classes, renamed and dropped arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....errors import BadFileError, UnsupportedError, shown
from . import activations, hard_sigmoid, initializers
from .arguments import ARGUMENTS, COMMON, NOT_TRAINABLE
from .constructs import Construct
from .context import Context, Entry, Untranslatable
from .custom import states_custom

Config = dict[str, Any]
# A translator returns the new configuration, or the entries of layers in sequence.
Translator = Callable[[Config, Context], "Config | list[Entry]"]
TRANSLATORS: dict[str, Translator] = {}

CLASSES = {
    "AvgPool1D": "AveragePooling1D", "AvgPool2D": "AveragePooling2D", "AvgPool3D": "AveragePooling3D",
    "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization",
    "Convolution1D": "Conv1D", "Convolution2D": "Conv2D", "Convolution3D": "Conv3D",
    "Convolution1DTranspose": "Conv1DTranspose", "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3DTranspose": "Conv3DTranspose", "CuDNNGRU": "GRU", "CuDNNLSTM": "LSTM",
    "GlobalAvgPool1D": "GlobalAveragePooling1D", "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalAvgPool3D": "GlobalAveragePooling3D", "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D", "GlobalMaxPool3D": "GlobalMaxPooling3D",
    "GroupedQueryAttention": "GroupQueryAttention", "GRUCellV2": "GRUCell",
    "GRUV2": "GRU", "LSTMCellV2": "LSTMCell", "LSTMV2": "LSTM", "MaxPool1D": "MaxPooling1D",
    "MaxPool2D": "MaxPooling2D", "MaxPool3D": "MaxPooling3D", "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D", "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
}  # fmt: skip

# Layers that return their input, or a selection or sum of it: they keep its dtype.
KEEP_DTYPE = frozenset({
    "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Concatenate", "Cropping1D", "Cropping2D",
    "Cropping3D", "Dot", "Dropout", "Flatten", "GaussianDropout", "GaussianNoise", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "GlobalMaxPooling3D", "Identity", "Masking", "Maximum", "MaxPooling1D", "MaxPooling2D",
    "MaxPooling3D", "Minimum", "Multiply", "Permute", "ReLU", "RepeatVector", "Reshape", "SpatialDropout1D",
    "SpatialDropout2D", "SpatialDropout3D", "Subtract", "UpSampling1D", "UpSampling2D", "UpSampling3D",
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
})  # fmt: skip
# Other layers that leave floats as they are if their own dtype is an integer one. Keras 3 casts the floats.
_LEAVE_FLOATS = frozenset({"Average", "Discretization", "TimeDistributed"})

# Always dropped: the rest of the file states them, or no result depends on them.
_SAID_ELSEWHERE = frozenset({
    "autocast", "batch_input_shape", "batch_size", "build_input_shape", "dynamic", "force_generator", "fused",
    "implementation", "input_dim", "input_dtype", "input_length", "input_shape", "rng_type", "robust_masking",
    "softmax_robust_masking", "vocabulary_size",
})  # fmt: skip
# Dropped if they have this value, which Keras 3 always uses.
_AT_DEFAULT: dict[str, tuple[Any, ...]] = {
    "adjustment": (None,), "groups": (1,), "noise_shape": (None,), "ragged": (False, None), "renorm": (False,),
    "reverse_state_order": (False,), "sparse": (False, None), "time_major": (False,), "virtual_batch_size": (None,),
    "input_spec": (None,), "causal": (False,), "data_format": ("channels_last", None), "weights": (None,),
    "num_constants": (None, 0), "constants_size": (None,), "renorm_clipping": (None,), "synchronized": (False,),

}  # fmt: skip
_KERNEL = frozenset({"kernel_initializer", "kernel_regularizer", "kernel_constraint"})

CONSTRUCTS = (
    Construct("time_major=False, ragged=False, groups=1, noise_shape=None", "dropped", "dropped_arguments"),
    Construct("axis=[3] of BatchNormalization", "axis=3", "batch_normalization_axis"),
    Construct("LeakyReLU(alpha)", "LeakyReLU(negative_slope)", "leaky_relu"),
    Construct("ThresholdedReLU(theta)", "ReLU(threshold)", "thresholded_relu"),
    Construct(
        "kernel_* and groups of DepthwiseConv2D and SeparableConv2D",
        "dropped: depthwise_* and pointwise_* say it",
        "separable",
    ),
    Construct("LocallyConnected1D/2D", "refused: Keras 3 has no such layer", "locally_connected"),
    Construct("dtype policies of Keras 2", "DTypePolicy", "mixed_float16"),
    Construct(
        "an integer dtype of a layer that casts nothing to it", "dropped: Keras 3 would cast", "whole_dtypes"
    ),
    Construct("layers of other packages", "kept under their name, and refused", "custom_layer"),
)


def layer(*names: str) -> Callable[[Translator], Translator]:
    """Register a translator for classes, by their old names. It gets a copy of the configuration."""

    def register(function: Translator) -> Translator:
        TRANSLATORS.update(dict.fromkeys(names, function))
        return function

    return register


def translated(entry: Entry, name: str, context: Context) -> list[Entry]:
    """The layers of Keras 3 that compute what an old layer does, in sequence; the last one has the name.

    Raises Untranslatable.
    """
    class_name, config = parts(entry)
    if is_custom(entry, class_name):
        raise Untranslatable(class_name, "a custom class: its code is not in the file")
    new = dict(config)
    new["name"] = name
    result = TRANSLATORS[class_name](new, context) if class_name in TRANSLATORS else new
    if isinstance(result, list):
        return result
    return [finished(CLASSES.get(class_name, class_name), result, context)]


def parts(entry: Entry) -> tuple[str, Config]:
    """Class name and configuration of an entry. Raises BadFileError without them."""
    class_name, config = entry.get("class_name"), entry.get("config")
    if not isinstance(class_name, str) or not class_name:
        raise BadFileError("a layer has no class_name")
    class_name = class_name.rpartition(">")[2] if class_name.startswith("Keras>") else class_name
    if not isinstance(config, dict):
        raise BadFileError(f"the config of {shown(class_name)!r} is not an object")
    return class_name, config


def is_custom(entry: Entry, class_name: str) -> bool:
    """Whether the class is not part of Keras."""
    if states_custom(entry):
        return True
    return class_name not in TRANSLATORS and CLASSES.get(class_name, class_name) not in ARGUMENTS


def finished(class_name: str, config: Config, context: Context) -> Entry:
    """The entry of a layer of Keras 3, with the arguments that its class accepts.

    Raises Untranslatable for an argument that cannot be dropped.
    """
    takes = ARGUMENTS.get(class_name)
    if takes is None:
        raise Untranslatable(class_name, "Keras 3 has no such layer")
    initializers.in_place(config, context)
    for key in ("activation", "recurrent_activation"):
        if key in config and key in takes:
            config[key] = activations.translated(config[key], context, key)
    if isinstance(config.get("activation"), str) and hard_sigmoid.is_old(config["activation"]):
        _scaled(class_name, context)
    if "dtype" in config:
        config["dtype"] = dtype_of(config["dtype"])
        if class_name in KEEP_DTYPE | _LEAVE_FLOATS and _is_whole(config["dtype"]):
            context.account.remark(
                f"dtype={config.pop('dtype')!r} of {class_name}", "dropped, as Keras 2 casts nothing to it"
            )
    for key in list(config):
        if key in takes or (
            key in COMMON and not (class_name in NOT_TRAINABLE and key != "name" and key != "dtype")
        ):
            continue
        value = config.pop(key)
        if key in _SAID_ELSEWHERE or key in ("trainable", "activity_regularizer"):
            continue
        if key in _KERNEL and "depthwise_initializer" in takes:
            continue
        if key in _AT_DEFAULT and value in _AT_DEFAULT[key]:
            context.account.remark(f"{key}={value!r} of {class_name}", "dropped")
            continue
        raise Untranslatable(f"{key}={value!r}", f"{class_name} of Keras 3 has no such argument")
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": config,
        "registered_name": None,
        "name": config["name"],
    }


def _scaled(class_name: str, context: Context) -> None:
    if class_name.removesuffix("Cell") in hard_sigmoid.GATED:
        return  # wrappers.py handles gates
    if not hard_sigmoid.scaled_weights(class_name):
        raise Untranslatable(
            "activation='hard_sigmoid'", f"the function of Keras 2 has no equivalent in {class_name}"
        )
    context.account.remark("activation='hard_sigmoid'", "hard_sigmoid of Keras 3, with weights times 1.2")


def _is_whole(dtype: Any) -> bool:
    """Whether a dtype is one of integers or of truth values."""
    return isinstance(dtype, str) and dtype.startswith(("int", "uint", "bool"))


def dtype_of(value: Any) -> Any:
    """A dtype or a policy, in the form of Keras 3."""
    if isinstance(value, dict):
        config = value.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        if not isinstance(name, str):
            raise UnsupportedError("a dtype policy has no name")
        value = name
    if value in (None, "_infer", "infer"):
        return None
    if value in ("mixed_float16", "mixed_bfloat16"):
        return {
            "module": "keras",
            "class_name": "DTypePolicy",
            "config": {"name": value},
            "registered_name": None,
        }
    if not isinstance(value, str):
        raise BadFileError("a dtype is not text")
    return value


@layer("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization")
def _batch_normalization(config: Config, context: Context) -> Config:
    axis = config.get("axis")
    if isinstance(axis, list):
        if len(axis) != 1:
            raise Untranslatable(f"axis={axis!r}", "BatchNormalization of Keras 3 normalises one axis")
        config["axis"] = axis[0]
        context.account.remark(f"axis={axis!r}", f"axis={axis[0]}")
    return config


@layer("LayerNormalization")
def _layer_normalization(config: Config, context: Context) -> Config:
    axis = config.get("axis")
    if isinstance(axis, list) and (axis != sorted(axis) or len({number < 0 for number in axis}) > 1):
        raise Untranslatable(f"axis={axis!r}", "Keras 3 keeps the axes of the weights in another order")
    return config


@layer("SeparableConv1D", "SeparableConvolution1D")
def _separable_convolution(config: Config, context: Context) -> Config:
    if config.get("padding") == "causal":
        raise Untranslatable("padding='causal'", "SeparableConv1D of Keras 3 has no such padding")
    return config


@layer("LeakyReLU")
def _leaky_relu(config: Config, context: Context) -> Config:
    if "alpha" in config:
        config["negative_slope"] = number(config.pop("alpha"))
        context.account.remark("alpha", "negative_slope")
    return config


@layer("ReLU")
def _relu(config: Config, context: Context) -> Config:
    for key in ("max_value", "negative_slope", "threshold"):
        if key in config:
            config[key] = number(config[key])
    return config


@layer("ELU")
def _elu(config: Config, context: Context) -> Config:
    if "alpha" in config:
        config["alpha"] = number(config["alpha"])
    return config


@layer("ThresholdedReLU")
def _thresholded_relu(config: Config, context: Context) -> Config:
    config["threshold"] = number(config.pop("theta", 1.0))
    context.account.remark("ThresholdedReLU", "ReLU with a threshold")
    return config


def number(value: Any) -> Any:
    """A number that Keras 2 may have written as an array of one element: ``{"type": "ndarray", "value": 0.3}``."""
    if isinstance(value, dict) and value.get("type") == "ndarray":
        value = value.get("value")
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


@layer("Activation")
def _activation(config: Config, context: Context) -> Config | list[Entry]:
    if hard_sigmoid.is_old(config.get("activation")):
        context.account.remark("Activation('hard_sigmoid')", "Rescaling(0.2, 0.5) and ReLU(max_value=1)")
        name = config["name"]
        return hard_sigmoid.as_layers(name, dtype_of(config.get("dtype")), context.fresh(f"{name}_rescaling"))
    return config


@layer(
    "AddLoss", "AddMetric", "DenseFeatures", "LocallyConnected1D", "LocallyConnected2D", "RandomFourierFeatures",
    "RandomHeight", "RandomWidth", "SequenceFeatures",
)  # fmt: skip
def _gone(config: Config, context: Context) -> Config:
    raise Untranslatable("the layer", "Keras 3 has no such layer")


_INTERPOLATIONS = ("bicubic", "bilinear", "lanczos3", "lanczos5", "nearest")


@layer("Resizing", "UpSampling2D")
def _resizing(config: Config, context: Context) -> Config:
    if config.get("interpolation", "nearest") not in _INTERPOLATIONS:
        raise Untranslatable(
            f"interpolation={config['interpolation']!r}", "Keras 3 has no such interpolation"
        )
    return config


@layer("CategoryEncoding", "IntegerLookup", "StringLookup", "TextVectorization")
def _encoding(config: Config, context: Context) -> Config:
    """Older names of modes, and of the number of tokens (TensorFlow 2.3 to 2.6)."""
    mode = config.get("output_mode")
    if isinstance(mode, str) and mode in ("binary", "tf-idf"):
        config["output_mode"] = {"binary": "multi_hot", "tf-idf": "tf_idf"}[mode]
        context.account.remark(f"output_mode={mode!r}", repr(config["output_mode"]))
    return config


@layer("Discretization")
def _discretization(config: Config, context: Context) -> Config:
    if config.get("bin_boundaries") is None and not isinstance(config.get("bins"), list):
        raise Untranslatable("its bins", "they were learnt by adapt() and are not in its configuration")
    return config


@layer("MultiHeadAttention")
def _multi_head_attention(config: Config, context: Context) -> Config:
    for key in ("query_shape", "key_shape", "value_shape"):
        config.pop(key, None)
    return config


@layer("RandomCrop")
def _random_crop(config: Config, context: Context) -> Config:
    raise Untranslatable("RandomCrop", "outside training, Keras 3 does not crop, and Keras 2 resizes")


@layer("Lambda")
def _lambda(config: Config, context: Context) -> Config:
    raise Untranslatable("Lambda", "it runs code that is in the file")
