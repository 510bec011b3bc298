"""Tiny random models and a tokenizer built in code: the smallest things on which the local engine can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from jominy.engines.local import LocalEngine
from jominy.records import Message, Prompt

NUM_WORDS = 307
"""More than one block of 256 words, and not a multiple of it."""
COMMON: dict[str, Any] = {
    "vocab_size": NUM_WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    "initializer_range": 0.6,
}
TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def model(kind: str) -> Any:
    """A random model with wide logits.

    Windows (mistral, gemma2), soft caps (gemma2), scaled logits (granite) and convolutions (lfm2) take the plain path.
    """
    torch.manual_seed(0)
    makers: dict[str, Any] = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**COMMON, num_key_value_heads=2)),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**COMMON, num_key_value_heads=1, tie_word_embeddings=True)),
        "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**COMMON)),
        "mistral": lambda: MistralForCausalLM(MistralConfig(**COMMON, num_key_value_heads=2, sliding_window=6)),
        "gemma2": lambda: Gemma2ForCausalLM(
            Gemma2Config(**COMMON, num_key_value_heads=2, head_dim=8, sliding_window=6, final_logit_softcapping=3.0)
        ),
        "granite": lambda: GraniteForCausalLM(GraniteConfig(**COMMON, num_key_value_heads=2, logits_scaling=4.0)),
        "lfm2": lambda: Lfm2ForCausalLM(
            Lfm2Config(**COMMON, num_key_value_heads=2, layer_types=["conv", "full_attention"], tie_word_embeddings=True)
        ),
        "gpt2": lambda: GPT2LMHeadModel(
            GPT2Config(
                vocab_size=NUM_WORDS, n_embd=32, n_layer=2, n_head=4, n_positions=128, eos_token_id=1, bos_token_id=0, initializer_range=0.3
            )
        ),
    }
    made = makers[kind]().eval()
    with torch.no_grad():
        # biases start at zero in transformers; random ones show whether they are used
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.3)
    return made


def tokenizer() -> PreTrainedTokenizerFast:
    """One token for each of the words `w0` ... and a chat template."""
    words = ["<s>", "</s>", "<pad>", "<unk>", "[user]", "[assistant]", "[system]"]
    words += [f"w{number}" for number in range(NUM_WORDS - len(words))]
    core = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", bos_token="<s>")
    made.chat_template = TEMPLATE
    return made


def engine(kind: str = "llama", memory_gib: float | None = None) -> LocalEngine:
    """A local engine on a tiny model."""
    return LocalEngine.of(model(kind), tokenizer(), name=f"tiny-{kind}", memory_gib=memory_gib)


def prompt(number: int, words: int = 3) -> Prompt:
    """A prompt of a few words that depend on its number."""
    text = " ".join(f"w{(7 * number + 3 * place) % 250}" for place in range(words))
    return Prompt(id=f"prompt-{number}", task="tiny", messages=(Message(role="user", content=text),))


def save(kind: str, folder: Path) -> Path:
    """The model and tokenizer as a transformers folder."""
    model(kind).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
