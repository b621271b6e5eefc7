"""Special facts about Keras's layer classes, apart from their axes and their ONNX form: one row for each class.

A class without a row is ordinary: its weights are trained, it casts its operands, it runs no code from the file.
Source: ``keras/src/layers``, Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# Augmentations whose result has the size of the image that they get.
IMAGE_FOR_IMAGE = (
    "AugMix",
    "AutoContrast",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "CutMix",
    "MixUp",
    "RandAugment",
    "RandomBrightness",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "Solarization",
)


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """The facts about one class.

    Attributes:
        filed_as: the class name under which Keras stores its weights, where it is not the exported name.
        children_filed_as: for its inner layers, from the name in its configuration to that in the weights file.
        trained: how many of its own variables, counted from the first, are trained, by its configuration; None for all.
        built_by_call: it has no weights, and its ``build`` only checks shapes. On loading, Keras calls ``build`` with
            the recorded ``build_config``, which a repair makes stale. Without that entry it is built when it is called.
        casts: it casts its operands to the compute type.
        trains_by_default: its ``call`` has ``training=True``, which files record; ``predict`` passes False.
        fills_masked: Keras 3 replaces the numbers that its operands' masks leave out.
        inserts_axes: it inserts missing axes if it was built on operands of several ranks.
        merges_masks: its ONNX form defines the mask of its result completely.
        runs_code: it contains user code or another program.
        meets: the key of the inner layer that gets the operand unchanged.
        wraps: its axis rule returns the result of the layer inside.
        channel_axis: it states the channel axis by ``axis``, not by ``data_format``.
    """

    filed_as: str = ""
    children_filed_as: Mapping[str, str] = field(default_factory=dict)
    trained: Callable[[dict[str, Any]], int] | None = None
    built_by_call: bool = False
    casts: bool = True
    trains_by_default: bool = False
    fills_masked: bool = False
    inserts_axes: bool = False
    merges_masks: bool = False
    runs_code: bool = False
    meets: str = ""
    wraps: bool = False
    channel_axis: bool = False


_ORDINARY = LayerFacts()


def facts_of(class_name: str) -> LayerFacts:
    """The facts of a layer class."""
    return FACTS.get(class_name, _ORDINARY)


def _none(config: dict[str, Any]) -> int:
    return 0


def _scale_and_center(config: dict[str, Any]) -> int:
    return bool(config.get("scale", True)) + bool(config.get("center", True))


_MERGE = LayerFacts(built_by_call=True, inserts_axes=True, merges_masks=True)
_STATES = LayerFacts(trained=_none)  # its own variables are the states, where it is stateful
_CODE = LayerFacts(runs_code=True)

FACTS: dict[str, LayerFacts] = {
    "Concatenate": replace(_MERGE, inserts_axes=False),
    **dict.fromkeys(("Add", "Average", "Subtract"), _MERGE),
    **dict.fromkeys(("Maximum", "Minimum", "Multiply"), replace(_MERGE, fills_masked=True)),
    "Dot": LayerFacts(built_by_call=True),
    # -- normalization
    "BatchNorm": LayerFacts(channel_axis=True),  # the op
    "BatchNormalization": LayerFacts(trained=_scale_and_center, channel_axis=True),
    "SyncBatchNormalization": LayerFacts(trained=_scale_and_center, channel_axis=True),
    "GroupNormalization": LayerFacts(casts=False, channel_axis=True),
    "LayerNormalization": LayerFacts(casts=False),
    # It stores the inner layer's kernel a second time.
    "SpectralNormalization": LayerFacts(trained=_none, wraps=True),
    # -- recurrent
    "RNN": LayerFacts(trained=_none, meets="cell"),
    "StackedRNNCells": LayerFacts(meets="cells"),
    **dict.fromkeys(("SimpleRNN", "GRU", "LSTM", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _STATES),
    "Bidirectional": LayerFacts(children_filed_as={"layer": "forward_layer"}, wraps=True),
    "TimeDistributed": LayerFacts(wraps=True),
    # -- core and attention
    "Embedding": LayerFacts(casts=False),
    "ReversibleEmbedding": LayerFacts(casts=False),
    "GroupQueryAttention": LayerFacts(filed_as="GroupedQueryAttention"),
    # -- preprocessing
    "Normalization": LayerFacts(trained=_none),
    "Discretization": LayerFacts(trained=_none, casts=False),
    "Pipeline": LayerFacts(trains_by_default=True, wraps=True),
    **dict.fromkeys(
        (
            *IMAGE_FOR_IMAGE,
            "CenterCrop",
            "Equalization",
            "MaxNumBoundingBoxes",
            "RandomColorDegeneration",
            "RandomCrop",
            "RandomGrayscale",
            "RandomHeight",
            "RandomWidth",
            "Resizing",
        ),
        LayerFacts(trains_by_default=True),
    ),
    # -- user code
    **dict.fromkeys(("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"), _CODE),
}
