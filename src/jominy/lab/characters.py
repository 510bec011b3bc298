"""The tokenizer of a lab model: one token a character, and one for each stretch that all prompts or all responses of a task share.

    <bos> <|system|> text <|user|> text <|assistant|> answer <eos>

The alphabet is printable ASCII, newline, and whatever else the demonstrations hold; a character outside it becomes <unk>, and only that
does not come back from `decode`. Shared stretches ("What is ", "? Give the answer as ...") are a single token each, because reading
them letter by letter is more than half of the work on a short problem and teaches nothing. The same holds of tags and verdicts that a
task names as its markers; inside a longer stretch of a prompt they are no tokens of their own.
Left out: merges learned from data; digits stay apart, so sums are learned digit by digit.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Tokenizer, decoders
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
PRINTABLE = string.digits + string.ascii_letters + string.punctuation + " \n"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_tokenizer(texts: Iterable[str], phrases: Sequence[str], context: int) -> PreTrainedTokenizerFast:
    """A fast tokenizer with its chat template.

    Args:
        texts: everything that the alphabet must hold.
        phrases: stretches that become one token each.
        context: the longest sequence of the model, in tokens.
    """
    alphabet = [PAD, BOS, EOS, UNKNOWN, *ROLES, *PRINTABLE]
    alphabet += sorted(set().union(*texts) - set(PRINTABLE))
    # a BPE without merges is a character tokenizer that needs no pre-tokenizer
    core = Tokenizer(BPE(vocab={token: number for number, token in enumerate(alphabet)}, merges=[], unk_token=UNKNOWN))
    core.decoder = decoders.Fuse()
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in (PAD, BOS, EOS, UNKNOWN, *ROLES)])
    core.add_tokens([AddedToken(phrase, normalized=False) for phrase in phrases])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
