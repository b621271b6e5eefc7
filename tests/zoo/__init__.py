"""Small valid Keras models, one file per family, built on request from one table.

Every builder has two forms: *distinct*, whose sizes are different primes where the pattern allows it, and the
*twin*, whose sizes are all equal, so that only roles and origins tell the axes apart.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Builder:
    """A row of the table: which function builds the model, with which sizes in its two forms."""

    family: str
    function: str
    sizes: dict[str, Any]
    twin: dict[str, Any] | None = None
    mixed: bool = False

    def build(self, twin: bool = False) -> keras.Model:
        """Build the model, its names and its weights the same each time."""
        import keras

        from tests.zoo.common import randomise

        sizes = self.twin if twin else self.sizes
        if sizes is None:
            raise ValueError(f"{self.function} has no all-equal twin")
        keras.backend.clear_session()
        keras.utils.set_random_seed(3)
        return randomise(getattr(importlib.import_module(f"tests.zoo.{self.family}"), self.function)(**sizes))


IMAGE, IMAGE_TWIN = {"h": 5, "w": 7, "c": 11}, {"h": 6, "w": 6, "c": 6}
SPACE, SPACE_TWIN = {"space": (5, 7), "c": 11}, {"space": (6, 6), "c": 6}
SIGNAL, SIGNAL_TWIN = {"t": 5, "d": 7}, {"t": 6, "d": 6}
PRODUCT = {"m": 5, "k": 7, "n": 3}


def _image(family: str, function: str, mixed: bool = False, **options: Any) -> Builder:
    return Builder(family, function, IMAGE | options, IMAGE_TWIN | options, mixed)


def _space(function: str, **options: Any) -> Builder:
    return Builder("squeeze", function, SPACE | options, SPACE_TWIN | options)


def _signal(function: str, family: str = "temporal", **options: Any) -> Builder:
    return Builder(family, function, SIGNAL | options, SIGNAL_TWIN | options)


ZOO: dict[str, Builder] = {
    "se": _space("se"),
    "se-op": _space("se", op=True),
    "se-op-swapped": _space("se", op=True, swap=True),
    "se-1d": Builder(
        "squeeze", "se", {"space": (7,), "c": 11, "op": True}, {"space": (6,), "c": 6, "op": True}
    ),
    "se-3d": Builder(
        "squeeze", "se", {"space": (3, 5, 7), "c": 11, "op": True}, {"space": (4, 4, 4), "c": 4, "op": True}
    ),
    "se-unicode": _space("se", op=True, names=("умножение", "門é")),
    "se-first": _space("se_first"),
    "se-first-swapped": _space("se_first", swap=True),
    "se-first-op": _space("se_first", op=True),
    "se-first-3d": Builder(
        "squeeze", "se_first", {"space": (3, 5, 7), "c": 11}, {"space": (4, 4, 4), "c": 4}
    ),
    "se-keepdims": _image("squeeze", "se_keepdims"),
    "se-mixed": _image("squeeze", "se_mixed", mixed=True),
    "se-first-mixed": _image("squeeze", "se_first_mixed", mixed=True),
    "chain-2": _image("squeeze", "excite_twice"),
    "chain-3": _image("squeeze", "excite_twice", blocks=3),
    "cbam": _image("spatial", "cbam"),
    "cbam-op": _image("spatial", "cbam", op=True, swap=True),
    "spatial-conv": _image("spatial", "spatial_conv"),
    "spatial-conv-op": _image("spatial", "spatial_conv", op=True),
    "spatial-conv-swapped": _image("spatial", "spatial_conv", swap=True),
    "spatial-first": _image("spatial", "spatial_first"),
    "shared-multiply": _image("spatial", "shared_multiply"),
    "three-operands": _image("spatial", "three_operands"),
    "mean-gate": _image("spatial", "mean_gate"),
    "spatial-mean": _image("spatial", "spatial_mean"),
    "unet": Builder("spatial", "unet_gate", {"h": 3, "w": 5, "c": 7}, {"h": 4, "w": 4, "c": 8}),
    "unet-op": Builder(
        "spatial", "unet_gate", {"h": 3, "w": 5, "c": 7, "op": True}, {"h": 4, "w": 4, "c": 8, "op": True}
    ),
    "unet-2x3": Builder(
        "spatial", "unet_gate", {"h": 3, "w": 5, "c": 7, "by": (2, 3)}, {"h": 4, "w": 4, "c": 4, "by": (2, 3)}
    ),
    "unet-time": Builder("spatial", "unet_time", {"t": 5, "c": 7}, {"t": 5, "c": 15}),
    "film": _image("film", "film"),
    "film-swapped": _image("film", "film", swap=True),
    "film-sequence": _signal("film_sequence", "film"),
    "film-dict": _image("film", "film_dict"),
    "temporal": _signal("temporal"),
    "temporal-op": _signal("temporal", op=True),
    "temporal-swapped": _signal("temporal", swap=True),
    "temporal-tokens": _signal("temporal_tokens"),
    "bilstm": Builder("temporal", "bilstm", {"t": 5, "d": 7}, {"t": 6, "d": 3}),
    "attention-3d": _signal("attention_3d"),
    "attention-3d-op": _signal("attention_3d", op=True, swap=True),
    "repeat-vector": _signal("repeat_vector"),
    "step-gate": _signal("step_gate"),
    "step-gate-op": _signal("step_gate", op=True),
    "transformer": _signal("transformer"),
    "unit-length": _signal("unit_length"),
    "signal-first": Builder("temporal", "signal_first", {"t": 5, "c": 7}, {"t": 6, "c": 6}),
    "sample-weight": _image("batch", "sample_weight"),
    "sample-weight-layer": _image("batch", "sample_weight", op=False),
    "sample-score": Builder("batch", "sample_score", {"d": 5}),
    "sample-score-swapped": Builder("batch", "sample_score", {"d": 5, "swap": True}),
    "sample-features": _signal("sample_features", "batch"),
    "unit-vector": Builder("batch", "unit_vector", {"d": 7}),
    "batch-tile": Builder("batch", "batch_tile", {"b": 3, "n": 2, "d": 5}, {"b": 3, "n": 2, "d": 6}),
    "batch-tile-layer": Builder(
        "batch",
        "batch_tile",
        {"b": 3, "n": 2, "d": 5, "op": False},
        {"b": 3, "n": 2, "d": 3, "op": False},
    ),
    "batch-tile-64": Builder("batch", "batch_tile", {"b": 32, "n": 2, "d": 7, "swap": True}),
    "batch-tile-image": Builder(
        "batch",
        "batch_tile_image",
        {"b": 2, "n": 3, "h": 5, "w": 7, "c": 11},
        {"b": 2, "n": 3, "h": 6, "w": 6, "c": 6},
    ),
    "layout": _image("layout", "layout"),
    "layout-op": _image("layout", "layout", op=True, swap=True),
    "layout-first": _image("layout", "layout_first"),
    "matmul": Builder("contract", "matmul", PRODUCT),
    "matmul-output": Builder("contract", "matmul", PRODUCT | {"head": False}),
    "matmul-bare": Builder("contract", "matmul_bare", PRODUCT),
    "dot": Builder("contract", "dot", PRODUCT),
    "dot-plain": Builder("contract", "dot_plain", PRODUCT),
    "outer": Builder("contract", "outer", {"f": 5, "g": 7}, {"f": 6, "g": 6}),
    "outer-op": Builder("contract", "outer", {"f": 5, "g": 7, "op": True}, {"f": 6, "g": 6, "op": True}),
    "grouped-dot": Builder("contract", "grouped_dot", {"p": 5, "g": 7}, {"p": 6, "g": 6}),
    "dot-bare": Builder("contract", "dot_bare", PRODUCT),
    "outer-bare": Builder("contract", "outer_bare", {"f": 5, "g": 7}, {"f": 6, "g": 6}),
    "grouped-dot-bare": Builder("contract", "grouped_dot_bare", {"p": 5, "g": 7}, {"p": 6, "g": 6}),
    "bare-step": _signal("bare_step"),
    "bare-layout": _image("layout", "bare_layout"),
    "nested": _image("nested", "nested"),
    "nested-twice": _image("nested", "nested_twice"),
    "nested-shared": _image("nested", "nested_shared"),
    "nested-first": _image("nested", "nested_first"),
    "twin-dense": _signal("twin_dense", "nested"),
    "twin-gru": _signal("twin_gru", "nested"),
}
