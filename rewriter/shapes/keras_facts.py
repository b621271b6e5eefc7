"""What is particular about Keras's layer classes beside their axes and their ONNX form: one row a class.

A class without a row is ordinary: its weights are trained, it casts what it takes, it runs no code of a file.
Source: ``keras/src/layers``, Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# Augmentations that give an image of the same size for an image.
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
    """One class.

    Attributes:
        filed_as: the class by whose name Keras files its weights, where that is not the exported one.
        children_filed_as: likewise for what it holds, from the name in its configuration to that in the weights file.
        trained: how many of its own variables, counted from the first, are trained, by its configuration; None for all.
        built_by_call: it has no weights, and its ``build`` only checks shapes. Keras calls that on loading with the
            recorded ``build_config``, which a repair makes stale; without the entry it is built when it is called.
        casts: it casts its operands to the compute type.
        trains_by_default: its ``call`` has ``training=True``, which files record; ``predict`` says otherwise.
        fills_masked: Keras 3 puts other numbers in the place of what its operands' masks leave out.
        merges_masks: its ONNX form says all about the mask of its result.
        runs_code: it holds somebody's code, or another program.
        meets: the key of what it holds that meets the operand as it is.
        wraps: its axis rule gives what the layer inside gives.
        channel_axis: it says by ``axis`` where the channels are, as others do by ``data_format``.
    """

    filed_as: str = ""
    children_filed_as: Mapping[str, str] = field(default_factory=dict)
    trained: Callable[[dict[str, Any]], int] | None = None
    built_by_call: bool = False
    casts: bool = True
    trains_by_default: bool = False
    fills_masked: bool = False
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


_MERGE = LayerFacts(built_by_call=True, merges_masks=True)
_STATES = LayerFacts(trained=_none)  # its own variables are the states of a stateful one
_CODE = LayerFacts(runs_code=True)

FACTS: dict[str, LayerFacts] = {
    **dict.fromkeys(("Add", "Average", "Concatenate", "Subtract"), _MERGE),
    **dict.fromkeys(("Maximum", "Minimum", "Multiply"), replace(_MERGE, fills_masked=True)),
    "Dot": LayerFacts(built_by_call=True),
    # -- normalization
    "BatchNorm": LayerFacts(channel_axis=True),  # the op
    "BatchNormalization": LayerFacts(trained=_scale_and_center, channel_axis=True),
    "SyncBatchNormalization": LayerFacts(trained=_scale_and_center, channel_axis=True),
    "GroupNormalization": LayerFacts(casts=False, channel_axis=True),
    "LayerNormalization": LayerFacts(casts=False),
    # It keeps its layer's kernel a second time.
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
            "Resizing",
        ),
        LayerFacts(trains_by_default=True),
    ),
    # -- somebody's code
    **dict.fromkeys(("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"), _CODE),
}
