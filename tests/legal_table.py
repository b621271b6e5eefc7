"""The valid models of `tests/test_valid.py`: the functions of `tests/zoo/legal.py` in several sizes."""

from __future__ import annotations

from dataclasses import dataclass

COMMON = [
    "scalars",
    "own_square",
    "layer_scale",
    "constant_map",
    "keepdims_statistics",
    "root_mean_square",
    "gated_linear_unit",
    "swiglu",
    "split_gate",
    "residual_scale",
    "rescaled",
    "outer_square",
    "outer_layer",
    "gate_by_merge_convention",
    "weight_by_merge_convention",
    "einsum_gate",
    "dropped_noise",
]
IMAGES = [
    "channel_gate",
    "channel_gate_keepdims",
    "spatial_gate",
    "row_and_column_gates",
    "channels_first_gate",
    "channels_first_constant",
    "pooled_skip",
    "permuted_gate",
    "group_norm",
]
SEQUENCES = [
    "positional_table",
    "causal_mask",
    "pairwise_mask",
    "head_mask",
    "time_weights",
    "attention_block",
    "repeated_weights",
    "recurrent_gate",
    "convolved_gate",
    "shifted",
    "self_attention",
]


@dataclass(frozen=True)
class Legal:
    """One valid model to build."""

    function: str
    shape: tuple[int | None, ...]
    batch: int | None = None

    @property
    def name(self) -> str:
        """A file name and test id."""
        return "-".join([self.function, *map(str, (self.batch, *self.shape))])


LEGAL: dict[str, Legal] = {
    legal.name: legal
    for legal in (
        *(Legal(f, s) for f in COMMON + IMAGES for s in ((5, 7, 11), (6, 6, 6))),
        *(Legal(f, s) for f in COMMON + SEQUENCES for s in ((5, 7), (6, 6))),
        *(Legal(f, (6, 6, 6), 6) for f in IMAGES),
        *(Legal(f, (6, 6), 6) for f in SEQUENCES),
        *(
            Legal(f, (None, 7))
            for f in ("scalars", "layer_scale", "gated_linear_unit", "time_weights", "self_attention")
        ),
        *(
            Legal(f, (None, None, 11))
            for f in ("swiglu", "channel_gate", "spatial_gate", "row_and_column_gates", "split_gate")
        ),
    )
}
