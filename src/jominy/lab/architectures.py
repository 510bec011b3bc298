"""From a spec to a transformers model with random weights, of an architecture that every engine knows.

Width 128 and depth 5 are about a million parameters in each. Left out: experts, windows, and everything that a lab question does not need.
"""

from __future__ import annotations

from typing import Any

from jominy.lab.spec import HEAD_WIDTH, LabSpec

INITIAL_DEVIATION = 0.05


def make_model(spec: LabSpec, tokenizer: Any) -> Any:
    """The model, its embeddings as wide as the tokenizer needs; torch's global generator decides the weights."""
    from transformers import (
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    heads = spec.width // HEAD_WIDTH
    common: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": spec.width,
        "num_hidden_layers": spec.depth,
        "num_attention_heads": heads,
        "max_position_embeddings": spec.context,
        "initializer_range": INITIAL_DEVIATION,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    gated: dict[str, Any] = {
        **common,
        "num_key_value_heads": heads,
        "intermediate_size": spec.width * 8 // 3 // 8 * 8,
        "tie_word_embeddings": True,
    }
    makers: dict[str, Any] = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**gated)),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**gated)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**gated, head_dim=HEAD_WIDTH)),
        "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**common, intermediate_size=4 * spec.width)),
    }
    return makers[spec.architecture]()
