"""Tiny random models of families that treat padding, layers or ids as few others do, each made once."""

from __future__ import annotations

import functools
from typing import Any

import torch
from transformers import AutoConfig, AutoModel

from .models import HEADS, HIDDEN, POSITIONS, VOCABULARY

_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_BERT = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_hidden_layers": 3,
    "num_attention_heads": HEADS,
    "intermediate_size": 37,
    "max_position_embeddings": POSITIONS,
    **_TOKENS,
}
_BART = {
    "vocab_size": VOCABULARY,
    "d_model": HIDDEN,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 37,
    "decoder_start_token_id": 2,
    **_TOKENS,
}
_GEMMA = {
    **_BERT,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size_per_layer_input": VOCABULARY - 4,
    "hidden_size_per_layer_input": 16,
    "sliding_window": 16,
}
_CONFIGS: dict[str, dict[str, Any]] = {
    "splinter": _BERT,
    "longformer": {**_BERT, "attention_window": 8},
    "big_bird": {**_BERT, "attention_type": "block_sparse", "block_size": 2, "num_random_blocks": 1},
    "squeezebert": {
        **_BERT,
        "embedding_size": HIDDEN,
        "intermediate_size": 36,
        **{f"{part}_groups": 2 for part in ("q", "k", "v", "intermediate", "output")},
        "post_attention_groups": 1,
    },
    "convbert": {**_BERT, "embedding_size": HIDDEN},
    "mobilebert": {**_BERT, "embedding_size": 16, "true_hidden_size": HIDDEN, "intra_bottleneck_size": HIDDEN},
    "nystromformer": {**_BERT, "segment_means_seq_len": 16, "num_landmarks": 16},
    "roformer": _BERT,  # its positions, random here as all weights are, count columns
    "falcon": _BERT,
    "bloom": _BERT,
    "mpt": {
        **_BERT,
        "d_model": HIDDEN,
        "n_heads": HEADS,
        "n_layers": 3,
        "max_seq_len": POSITIONS,
        "expansion_ratio": 2,
    },
    "gptj": {**_BERT, "rotary_dim": 8},
    "gpt_neo": {
        **_BERT,
        "num_hidden_layers": 2,
        "num_layers": 2,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 64,
    },
    "mixtral": {**_BERT, "intermediate_size": 36, "num_key_value_heads": 2, "num_local_experts": 4},
    "jamba": {
        **_BERT,
        "intermediate_size": 36,
        "num_key_value_heads": 2,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "num_experts": 4,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "use_mamba_kernels": False,
    },
    "phi3": {  # rows of more than 8 columns have other rotary angles, in all of their columns
        **_BERT,
        "num_key_value_heads": 2,
        "original_max_position_embeddings": 8,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "short_factor": [1.0] * (HIDDEN // HEADS // 2),
            "long_factor": [2.0 + half for half in range(HIDDEN // HEADS // 2)],
            "original_max_position_embeddings": 8,
        },
    },
    "diffllama": {**_BERT, "num_key_value_heads": 2},
    "doge": {**_BERT, "num_key_value_heads": 2},
    "lfm2": {
        **_BERT,
        "num_key_value_heads": 2,
        "layer_types": ["conv", "full_attention", "conv"],
        "block_auto_adjust_ff_dim": False,
    },
    "albert": {**_BERT, "embedding_size": 16},
    "ibert": _BERT,
    "gemma3n_text": {
        **_GEMMA,
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "activation_sparsity_pattern": [0.0] * 4,
        "laurel_rank": 16,
    },
    "gemma4_text": {  # the last layer takes the keys and values of layer 1
        **_GEMMA,
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 1,
        "vocab_size_per_layer_input": VOCABULARY,
        "global_head_dim": 8,
    },
    "deepseek_v4": {
        **_BERT,
        "intermediate_size": 48,
        "head_dim": 8,
        "qk_rope_head_dim": 8,
        "q_lora_rank": 16,
        "o_lora_rank": 16,
        "moe_intermediate_size": 16,
        "num_local_experts": 4,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "index_head_dim": 8,
        "index_n_heads": 2,
        "index_topk": 64,
        "sliding_window": 64,
        "layer_types": ["heavily_compressed_attention", "compressed_sparse_attention", "heavily_compressed_attention"],
    },
    "led": {
        **_BART,
        "attention_window": 8,
        "max_encoder_position_embeddings": POSITIONS,
        "max_decoder_position_embeddings": POSITIONS,
    },
    "rwkv": {
        **_TOKENS,
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "context_length": POSITIONS,
    },
    "pegasus_x": {**_BART, "block_size": 4, "num_global_tokens": 2, "max_position_embeddings": POSITIONS},
}


@functools.cache
def unusual(family: str, auto: Any = AutoModel, attention: str | None = None, **options: Any) -> Any:
    """A tiny model whose every weight matters; `attention` is the implementation, `options` are its configuration's."""
    config = AutoConfig.for_model(family, **{**_CONFIGS[family], **options})
    config._attn_implementation = attention
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = auto.from_config(config)
        with torch.no_grad():
            for parameter in made.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, 0.25)
    return made.eval()
