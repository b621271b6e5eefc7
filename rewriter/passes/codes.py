"""The kinds of findings, one row each: name, code, severity, summary, text, harm, example and remedy.

A code never changes: people suppress and look up findings by it. A new kind takes the next number.
"""

from __future__ import annotations

import enum


class Severity(str, enum.Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    __str__ = str.__str__


class Kind(str, enum.Enum):
    """The kind of a fault. ``severity`` is the default; a finding that rests on a claim has a lower one.

    ``text`` says what the fault is, ``harm`` why it is wrong, and ``remedy`` what repairs it; ``example`` is Keras code
    that has it.
    """

    code: str
    severity: Severity
    summary: str
    text: str
    harm: str
    example: str
    remedy: str

    def __new__(
        cls,
        name: str,
        code: str,
        severity: Severity,
        summary: str,
        text: str,
        harm: str,
        example: str,
        remedy: str,
    ) -> Kind:
        kind = str.__new__(cls, name)
        kind._value_ = name
        kind.code, kind.severity, kind.summary, kind.text = code, severity, summary, text
        kind.harm, kind.example, kind.remedy = harm, example, remedy
        return kind

    INCOMPATIBLE = (
        "incompatible",
        "RW001",
        Severity.ERROR,
        "the operands do not fit",
        "Two axes that meet have different sizes, and neither is 1: the operation raises at every batch size.",
        "Keras no longer loads the model, or raises at the first call.",
        "image = keras.Input((10, 12, 16))\nmask = keras.Input((10, 12))\ny = image * mask",
        "A Reshape or a Transpose that puts each axis of one operand on the axis of the other that it belongs to: here "
        "the mask becomes (B, 10, 12, 1). Where the sizes fit no axis, nothing is inserted and the reason is given.",
    )
    BATCH_MISALIGNED = (
        "batch-misaligned",
        "RW002",
        Severity.ERROR,
        "the batch meets another axis",
        "The batch of one operand lines up with another axis of the other. This runs at batch 1, is silently wrong at "
        "a batch of the other axis's size, and raises otherwise.",
        "Keras does not know the batch size when it builds the model, so it does not complain. The first batch that is "
        "not 1 raises, or mixes the samples.",
        "features = keras.Input((10, 12, 16))\ngate = keras.Input((16,))\ny = features * gate",
        "A Reshape that keeps the batch first: here the gate becomes (B, 1, 1, 16).",
    )
    AXIS_MISALIGNED = (
        "axis-misaligned",
        "RW003",
        Severity.ERROR,
        "it runs along the wrong axis",
        "The sizes fit, but the axes that meet are not those that belong together: the result is silently wrong.",
        "No run raises. Each factor is applied to another axis than the one that it was computed for.",
        "image = keras.Input((8, 8, 8))\n"
        'x = keras.layers.Conv2D(8, 3, padding="same", data_format="channels_first")(image)\n'
        'gate = keras.layers.GlobalAveragePooling2D(data_format="channels_first")(x)\n'
        "y = keras.layers.Multiply()([x, gate])",
        "A Reshape or a Transpose to the axis that one side was computed from. Evidence decides: where the axes come "
        "from, their roles, the shapes that the file records, and the layers that follow.",
    )
    LAYOUT = (
        "layout",
        "RW004",
        Severity.ERROR,
        "channels last meets channels first",
        "The operands hold the same axes in different orders. Where the sizes are equal the result is silently wrong.",
        "Channels are combined with rows or columns of the image.",
        "x, z = keras.Input((8, 8, 8)), keras.Input((8, 8, 8))\n"
        'a = keras.layers.Conv2D(8, 3, padding="same", data_format="channels_last")(x)\n'
        'b = keras.layers.Conv2D(8, 3, padding="same", data_format="channels_first")(z)\n'
        "y = keras.layers.Multiply()([a, b])",
        "A Transpose of the operand whose layout differs from that of the layers downstream.",
    )
    BATCH_SIZE = (
        "batch-size",
        "RW005",
        Severity.ERROR,
        "the batches have different sizes",
        "Both operands state a batch size, and the sizes differ; or a constant has one entry for each sample of a "
        "fixed batch.",
        "The model runs at one batch size, or at none.",
        "a = keras.Input(batch_shape=(64, 10))\nb = keras.Input(batch_shape=(32, 10))\ny = a * b",
        "A Tile where one batch is a whole multiple of the other, if the file shows that the samples repeat. Otherwise "
        "nothing is inserted: leave the batch of both inputs open, or state a reading with --at.",
    )
    GROWN = (
        "grown",
        "RW006",
        Severity.ERROR,
        "the product is larger than both operands",
        "Missing axes make every entry of one operand meet every entry of the other, such as (B, 1) * (B) = (B, B).",
        "Samples of a batch are combined with one another, and the result grows with the square of the batch.",
        "score = keras.Input((1,))\nweight = keras.Input(())\ny = score * weight",
        "A Reshape that puts one batch on the other: here the weight becomes (B, 1).",
    )
    UNPROVEN = (
        "unproven",
        "RW007",
        Severity.INFO,
        "nothing proves that the operands fit",
        "Sizes that are only known when the model runs must be equal for a product or a contraction, and nothing in "
        "the file shows that they are. Or factors run along an axis of the size of the channel axis, and nothing shows "
        "which of the two axes they are for.",
        "It may be right. It raises where open sizes differ; factors for another axis give wrong numbers.",
        "a = keras.Input((None, 8))\nb = keras.Input((None, 8))\ny = a * b",
        "Nothing is inserted: it may be right as it is written. An Input with stated sizes, or one Input that both "
        "operands are computed from, proves that sizes are equal; --at states another reading.",
    )
    NOT_ANALYSED = (
        "not-analysed",
        "RW008",
        Severity.WARNING,
        "what it computes is not known",
        "What this node computes is not known without running code: a fault in it or after it can go unseen.",
        "No statement can be made about what depends on it.",
        "a = keras.Input((10, 8))\nb = keras.layers.Lambda(lambda x: x[:, 0])(a)\ny = keras.layers.Multiply()([a, b])",
        "Nothing is inserted. With a Keras layer in place of the Lambda or the custom layer, the node can be analysed; "
        "--trust PACKAGE runs the code of a custom layer to see what it computes.",
    )

    __str__ = str.__str__
