"""The arguments with which `keras_hub_models.py` builds each backbone of KerasHub: small, all parts in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

VOCABULARY = 20
LENGTHS = (7, 11)  # of open sizes, as far as an image does not need more

_TEXT = {"vocabulary_size": VOCABULARY, "num_layers": 2, "hidden_dim": 16, "intermediate_dim": 24}
_HEADS = {**_TEXT, "num_heads": 2}
_GROUPED = {**_TEXT, "num_query_heads": 4, "num_key_value_heads": 2}
_MOE = {**_GROUPED, "num_experts": 3, "top_k": 2}
_GEMMA = {**_GROUPED, "head_dim": 6}
_VIT = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 24, "patch_size": 4}
_SQUARE = {"image_shape": (16, 16, 3)}
_LAYERS = ["sliding_attention", "full_attention"]


def _encoders(hub: Any, family: str, **more: Any) -> dict[str, Any]:
    """The two encoders of a model of images and texts."""
    text = {**_HEADS, "embedding_dim": 16, "max_sequence_length": LENGTHS[0]}
    return {
        "vision_encoder": getattr(hub, f"{family}VisionEncoder")(**_VIT, **_SQUARE),
        "text_encoder": getattr(hub, f"{family}TextEncoder")(**text),
        **more,
    }


def _hub_layers() -> Any:
    import keras_hub

    return keras_hub.layers


def _gemma_stack(part: str) -> dict[str, Any]:
    sizes = {"hidden_dim": 16, "intermediate_dim": 24, "num_layers": 2, "head_dim": 8, "layer_types": _LAYERS}
    sizes |= {"num_attention_heads": 2, "num_key_value_heads": 1}
    return {f"{part}_{name}": value for name, value in sizes.items()}


_T5GEMMA = {
    "vocabulary_size": VOCABULARY,
    **_gemma_stack("encoder"),
    **_gemma_stack("decoder"),
    "sliding_window": 4,
    "cross_attention_hidden_size": 16,
}
_RESNET = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 12],
    "stackwise_num_blocks": [1, 2],
    "stackwise_num_strides": [1, 2],
    "block_type": "basic_block_vd",
}
_PYRAMID = {
    **_RESNET,
    "stackwise_num_filters": [64, 8, 8, 8],
    "stackwise_num_blocks": [1] * 4,
    "stackwise_num_strides": [1, 2, 2, 2],
    "image_shape": (64, 64, 3),
}
_MIT = {
    "layerwise_depths": [1, 2],
    "num_layers": 2,
    "layerwise_num_heads": [1, 2],
    "layerwise_sr_ratios": [2, 1],
    "max_drop_path_rate": 0.1,
    "layerwise_patch_sizes": [7, 3],
    "layerwise_strides": [4, 2],
    "hidden_dims": [8, 16],
    "image_shape": (32, 32, 3),
}
_VIT_DET = {
    "hidden_size": 16,
    "num_layers": 2,
    "intermediate_dim": 24,
    "num_heads": 2,
    "global_attention_layer_indices": [1],
    "image_shape": (32, 32, 3),
    "patch_size": 4,
    "num_output_channels": 8,
    "window_size": 3,
}
_QWEN35 = {
    **_GROUPED,
    "head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
    "partial_rotary_factor": 0.5,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}

# The arguments of each backbone, or a function of keras_hub.models that returns them. A variant has a name after "-".
MODELS: dict[str, dict[str, Any] | Callable[[Any], dict[str, Any]]] = {
    "AlbertBackbone": {**_HEADS, "embedding_dim": 8, "num_inner_repetitions": 2},
    "BartBackbone": _HEADS,
    "BertBackbone": _HEADS,
    "BloomBackbone": _HEADS,
    "CLIPBackbone": lambda hub: _encoders(hub, "CLIP", projection_dim=12),
    "CSPNetBackbone": {
        "stem_filters": 8,
        "stem_kernel_size": 3,
        "stem_strides": 2,
        "stackwise_depth": [1, 2],
        "stackwise_strides": [1, 2],
        "stackwise_num_filters": [8, 16],
        "block_type": "dark_block",
        "block_ratio": [0.5, 0.5],
        "stage_type": "csp",
    },
    "DINOV2Backbone": {**_VIT, **_SQUARE, "position_embedding_shape": (16, 16), "num_register_tokens": 2},
    "DINOV2Backbone-swiglu": {
        **_VIT,
        **_SQUARE,
        "position_embedding_shape": (24, 24),
        "use_swiglu_ffn": True,
        "apply_layernorm": True,
    },
    "DINOV3Backbone": {**_VIT, **_SQUARE},
    "DINOV3Backbone-gated": {
        **_VIT,
        **_SQUARE,
        "hidden_activation": "silu",
        "use_gated_mlp": True,
        "use_key_bias": False,
        "apply_layernorm": True,
    },
    "DebertaV3Backbone": {**_HEADS, "bucket_size": 4, "max_sequence_length": 16},
    "DeiTBackbone": {**_VIT, **_SQUARE},
    "DeepLabV3Backbone": lambda hub: {
        "image_encoder": hub.ResNetBackbone(**_PYRAMID),
        "projection_filters": 8,
        "low_level_feature_key": "P2",
        "spatial_pyramid_pooling_key": "P4",
        "upsampling_size": 4,
        "dilation_rates": [2, 3],
        "image_shape": (64, 64, 3),
    },
    "DenseNetBackbone": {"stackwise_num_repeats": [2, 2], "growth_rate": 8},
    "DepthAnythingBackbone": lambda hub: {
        "image_encoder": hub.DINOV2Backbone(
            **{**_VIT, "num_layers": 4}, image_shape=(32, 32, 3), position_embedding_shape=(32, 32)
        ),
        "reassemble_factors": [4, 2, 1, 0.5],
        "neck_hidden_dims": [8, 8, 12, 12],
        "fusion_hidden_dim": 8,
        "head_hidden_dim": 8,
        "head_in_index": -1,
        "feature_keys": ["stage1", "stage2", "stage3", "stage4"],
    },
    "DistilBertBackbone": _HEADS,
    "EdRecBackbone": {
        "vocab_size": VOCABULARY,
        "num_layers_enc": 2,
        "num_layers_dec": 2,
        "hidden_dim": 16,
        "intermediate_dim": 24,
        "num_heads": 2,
    },
    "ESMBackbone": _HEADS,
    "ESMBackbone-absolute": {**_HEADS, "position_embedding_type": "absolute", "use_pre_layer_norm": True},
    "EfficientNetBackbone": {
        "stackwise_width_coefficients": [1.0, 1.0, 1.0],
        "stackwise_depth_coefficients": [1.0, 1.0, 1.0],
        "stackwise_kernel_sizes": [3, 5, 3],
        "stackwise_num_repeats": [1, 2, 1],
        "stackwise_input_filters": [8, 8, 16],
        "stackwise_output_filters": [8, 16, 16],
        "stackwise_expansion_ratios": [1, 4, 4],
        "stackwise_squeeze_and_excite_ratios": [0.25, 0.25, 0.0],
        "stackwise_strides": [1, 2, 2],
        "stackwise_block_types": ["v1", "unfused", "fused"],
    },
    "ElectraBackbone": {
        **{name: size for name, size in _HEADS.items() if name != "vocabulary_size"},
        "vocab_size": VOCABULARY,
        "embedding_dim": 8,
    },
    "FNetBackbone": _TEXT,
    "FalconBackbone": {**_TEXT, "num_attention_heads": 2},
    "FluxBackbone": {
        "input_channels": 16,
        "hidden_size": 16,
        "mlp_ratio": 2.0,
        "num_heads": 2,
        "depth": 1,
        "depth_single_blocks": 1,
        "axes_dim": [2, 2, 4],
        "theta": 10000,
        "use_bias": True,
        "guidance_embed": True,
        "image_shape": (6, 16),
        "text_shape": (5, 16),
        "image_ids_shape": (6, 3),
        "text_ids_shape": (5, 3),
        "y_shape": (12,),
    },
    "GPT2Backbone": _HEADS,
    "GPTNeoXBackbone": {**_HEADS, "rotary_percentage": 0.5},
    "GemmaBackbone": _GEMMA,
    "GemmaBackbone-capped": {
        **_GEMMA,
        "use_post_ffw_norm": True,
        "use_post_attention_norm": True,
        "attention_logit_soft_cap": 5.0,
        "final_logit_soft_cap": 3.0,
        "use_sliding_window_attention": True,
        "sliding_window_size": 3,
    },
    "Gemma3Backbone": {
        **_GEMMA,
        "image_size": 16,
        "use_sliding_window_attention": True,
        "sliding_window_size": 4,
    },
    "Gemma3Backbone-images": lambda hub: {
        **_GEMMA,
        "image_size": 16,
        "vision_encoder": hub.Gemma3VisionEncoder(
            **{**_VIT, "image_size": 16, "output_dim": 16, "pool_size": 2}
        ),
    },
    "Gemma4Backbone": {
        **_GEMMA,
        "head_dim": 8,
        "image_size": 16,
        "sliding_window_size": 4,
        "sliding_window_pattern": 2,
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": VOCABULARY,
    },
    "Gemma3nBackbone": {
        "text_vocab_size": VOCABULARY,
        "text_hidden_size": 16,
        "num_hidden_layers": 2,
        "pad_token_id": 0,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": [24, 24],
        "hidden_activation": "gelu_approximate",
        "layer_types": _LAYERS,
        "sliding_window": 4,
        "rope_theta": 10000.0,
        "max_position_embeddings": 32,
        "vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 8,
        "altup_num_inputs": 2,
        "laurel_rank": 8,
    },
    "GptOssBackbone": {**_MOE, "sliding_window": 4, "head_dim": 8},
    "HGNetV2Backbone": {
        "depths": [1, 1],
        "embedding_size": 8,
        "hidden_sizes": [12, 16],
        "stem_channels": [3, 8, 8],
        "hidden_act": "relu",
        "use_learnable_affine_block": True,
        "stackwise_stage_filters": [(8, 8, 12, 1, 1, 3), (12, 8, 16, 1, 2, 3)],
        "apply_downsample": [False, True],
        "use_lightweight_conv_block": [False, True],
        "image_shape": (32, 32, 3),
    },
    "LlamaBackbone": _GROUPED,
    "LlamaBackbone-scaled": {
        **_GROUPED,
        "rope_frequency_adjustment_factor": 8.0,
        "rope_low_freq_factor": 1.0,
        "rope_high_freq_factor": 4.0,
        "rope_pretraining_sequence_length": 16,
    },
    "Llama3Backbone": _GROUPED,
    "MetaCLIP2Backbone": lambda hub: _encoders(hub, "MetaCLIP2", projection_dim=12),
    "MiTBackbone": _MIT,
    "MistralBackbone": {**_GROUPED, "sliding_window": 4},
    "MixtralBackbone": {**_MOE, "sliding_window": 4},
    "MobileNetBackbone": {
        "stackwise_expansion": [[8, 16], [16, 16]],
        "stackwise_num_blocks": [2, 2],
        "stackwise_num_filters": [[8, 8], [16, 16]],
        "stackwise_kernel_size": [[3, 3], [5, 5]],
        "stackwise_num_strides": [[2, 1], [2, 1]],
        "stackwise_se_ratio": [[None, None], [0.25, 0.25]],
        "stackwise_activation": [["relu", "relu"], ["hard_swish", "hard_swish"]],
        "stackwise_padding": [[1, 1], [2, 2]],
        "output_num_filters": 24,
        "depthwise_filters": 8,
        "depthwise_stride": 2,
        "depthwise_residual": False,
        "last_layer_filter": 24,
        "squeeze_and_excite": 0.5,
        "input_num_filters": 8,
    },
    "MoonshineBackbone": {
        "vocabulary_size": VOCABULARY,
        "filter_dim": 16,
        "encoder_num_layers": 2,
        "decoder_num_layers": 2,
        "hidden_dim": 16,
        "intermediate_dim": 24,
        "encoder_num_heads": 2,
        "decoder_num_heads": 2,
    },
    "OPTBackbone": _HEADS,
    "PaliGemmaBackbone": {
        **_GEMMA,
        "image_size": 16,
        "vit_patch_size": 4,
        "vit_num_heads": 2,
        "vit_hidden_dim": 16,
        "vit_num_layers": 2,
    },
    "PARSeqBackbone": lambda hub: {
        "image_encoder": hub.ViTBackbone(**MODELS["ViTBackbone"]),
        "vocabulary_size": VOCABULARY,
        "max_label_length": 8,
        "decoder_hidden_dim": 16,
        "num_decoder_layers": 1,
        "num_decoder_heads": 2,
        "decoder_mlp_dim": 24,
    },
    "Phi3Backbone": _GROUPED,
    "Phi3Backbone-su": {
        **_GROUPED,
        "rope_scaling_type": "su",
        "rope_scaling_short_factor": [1.0, 1.5],
        "rope_scaling_long_factor": [2.0, 3.0],
        "max_sequence_length": 32,
        "pretraining_sequence_length": 8,
    },
    "QwenBackbone": _GROUPED,
    "QwenBackbone-sliding": {
        **_GROUPED,
        "use_sliding_window_attention": True,
        "sliding_window_size": 3,
        "tie_word_embeddings": False,
    },
    "Qwen3Backbone": {**_GROUPED, "head_dim": 8},
    "Qwen3MoeBackbone": {**_MOE, "moe_intermediate_dim": 12, "head_dim": 8},
    "Qwen3_5Backbone": _QWEN35,
    "QwenMoeBackbone": {**_MOE, "moe_intermediate_dim": 12, "shared_expert_intermediate_dim": 12},
    "RWKV7Backbone": {
        "hidden_size": 16,
        "head_size": 8,
        "num_layers": 2,
        "vocabulary_size": VOCABULARY,
        "intermediate_dim": 24,
        "gate_lora": 8,
        "mv_lora": 8,
        "aaa_lora": 8,
        "decay_lora": 8,
    },
    "ResNetBackbone": _RESNET,
    "ResNetBackbone-v2": {**_RESNET, "block_type": "bottleneck_block", "use_pre_activation": True},
    "RetinaNetBackbone": lambda hub: {
        "image_encoder": hub.ResNetBackbone(**_PYRAMID),
        "min_level": 3,
        "max_level": 5,
        "use_p5": False,
        "image_shape": (64, 64, 3),
    },
    "RobertaBackbone": _HEADS,
    "RoformerV2Backbone": {**_HEADS, "head_size": 8},
    "SAMBackbone": lambda hub: {
        "image_encoder": hub.ViTDetBackbone(**_VIT_DET),
        "prompt_encoder": _hub_layers().SAMPromptEncoder(
            hidden_size=8, image_embedding_size=(8, 8), input_image_size=(32, 32), mask_in_channels=8
        ),
        "mask_decoder": _hub_layers().SAMMaskDecoder(
            num_layers=2,
            hidden_size=8,
            intermediate_dim=16,
            num_heads=2,
            embedding_dim=8,
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=8,
        ),
    },
    "SegFormerBackbone": lambda hub: {
        "image_encoder": hub.MiTBackbone(
            **{name: sizes * 2 if isinstance(sizes, list) else sizes for name, sizes in _MIT.items()}
            | {
                "num_layers": 4,
                "layerwise_strides": [4, 2, 2, 2],
                "hidden_dims": [8, 16, 24, 32],
                "image_shape": (64, 64, 3),
            }
        ),
        "projection_filters": 8,
    },
    "SigLIPBackbone": lambda hub: _encoders(hub, "SigLIP"),
    "SmolLM3Backbone": {
        "vocabulary_size": VOCABULARY,
        "hidden_dim": 16,
        "intermediate_dim": 24,
        "num_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "rope_layer_enabled_list": [True, False],
        "layer_types": ["full_attention", "full_attention"],
        "mlp_bias": False,
        "layer_norm_epsilon": 1e-5,
        "max_position_embeddings": 32,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 1.0,
    },
    "SwinTransformerBackbone": {
        "image_shape": (32, 32, 3),
        "embed_dim": 8,
        "depths": (2, 2),
        "num_heads": (2, 4),
        "window_size": 2,
    },
    "T5Backbone": _HEADS,
    "T5Backbone-plain": {**_HEADS, "use_gated_activation": False, "key_value_dim": 6},
    "T5GemmaBackbone": _T5GEMMA,
    "T5Gemma2Backbone": _T5GEMMA,
    "VGGBackbone": {"stackwise_num_repeats": [1, 2], "stackwise_num_filters": [8, 12]},
    "ViTBackbone": {
        **{name: size for name, size in _VIT.items() if name != "intermediate_dim"},
        **_SQUARE,
        "mlp_dim": 24,
    },
    "ViTDetBackbone": _VIT_DET,
    "VideoPrismBackbone": {
        "num_frames": 3,
        "patch_size": 4,
        "hidden_dim": 16,
        "intermediate_dim": 24,
        "num_heads": 2,
        "num_spatial_layers": 1,
        "num_temporal_layers": 1,
        "num_auxiliary_layers": 1,
        "vocabulary_size": VOCABULARY,
        "num_text_layers": 1,
        "attention_logit_soft_cap": 50.0,
        **_SQUARE,
    },
    "WhisperBackbone": {
        **_HEADS,
        "num_mels": 8,
        "max_encoder_sequence_length": 32,
        "max_decoder_sequence_length": 16,
    },
    "XLMRobertaBackbone": _HEADS,
    "XLNetBackbone": _HEADS,
    "XceptionBackbone": {
        "stackwise_conv_filters": [[8, 12], [12, 16], [16, 16]],
        "stackwise_pooling": [True, True, False],
    },
}
