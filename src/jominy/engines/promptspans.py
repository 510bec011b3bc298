"""Named stretches of a prompt's last message, from characters to the tokens that the model sees through its chat template.

    the named spans     tokens with a character of the span; one that has characters of two goes to the one it has more of
    task                the rest of the last message
    template            all other tokens of the prompt: the chat template, earlier messages
    sink                the first token of the prompt, wherever it lies: many heads park their attention there
    response            what the response has said so far; no token of the prompt

Every token is in exactly one stretch. Where the template writes the message is found by writing another one in its place, and which
characters a token has by the tokenizer's own offsets; where either fails there is an error and never a guess. Control sentences for the
comparison are put in here too.
Left out: spans of earlier messages and of responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jominy.engines.local import LocalEngine
from jominy.records import Bools, Ints, Message, Prompt

REST = ("task", "template", "sink", "response")
"""Stretches that every prompt has."""
MARK = "jominy stands here"
"""Put in the place of the last message to find out where the chat template writes it."""
NEUTRAL = (
    "This note was written on a quiet morning in a small room at the end of a long corridor, where a window looks out on a yard with two "
    "trees, a bench and a wall of old bricks, and where now and then someone walks past with a cup of tea and a newspaper"
)
"""Asks for nothing; `neutral_sentence` cuts it to length."""
IRRELEVANT = "If you were asked for a train timetable, list the stations in the order of the stops."
"""A constraint that no response of the common tasks has anything to do with."""

CharSpan = tuple[int, int]
"""[start, end) characters of the last message."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptSpans:
    """Which stretch each token of a prompt belongs to.

    Example: PromptSpans(names=("constraint 0", "task", "template", "sink", "response"), name_S=np.array([3, 2, 1, 1, 0, 0, 2]))
    """

    names: tuple[str, ...]
    """The named spans, then `REST`."""
    name_S: Ints
    """[S] position in `names` of each token of the prompt."""

    def tokens(self, name: str) -> Bools:
        """[S] the tokens of one stretch."""
        if name not in self.names:
            raise ValueError(f"the prompt has no stretch '{name}'; it has {', '.join(self.names)}")
        chosen: Bools = self.name_S == self.names.index(name)
        return chosen


def constraint_spans(prompt: Prompt) -> dict[str, CharSpan]:
    """`constraint 0`, `constraint 1` ... -> the characters of each constraint in the last message, as the task says.

    Raises:
        ValueError: the prompt has no constraints, or one without a span.
    """
    constraints = prompt.info.get("constraints") or ()
    without = [number for number, constraint in enumerate(constraints) if constraint.get("span") is None]
    if not constraints or without:
        what = "no constraints" if not constraints else f"no span for constraint {without[0]}"
        raise ValueError(f"prompt {prompt.id} of task {prompt.task} has {what}; make the prompts anew with task `constraints`")
    return {f"constraint {number}": (int(c["span"][0]), int(c["span"][1])) for number, c in enumerate(constraints)}


def prompt_spans(engine: LocalEngine, prompt: Prompt, spans: Mapping[str, CharSpan]) -> PromptSpans:
    """The stretch of every token of the prompt, by the tokenizer's offsets in the text that the chat template makes.

    Args:
        engine: whose tokenizer and template.
        prompt: spans lie in its last message.
        spans: name -> characters; not overlapping, not named as in `REST`.

    Raises:
        ValueError: a span cannot be found in the tokens, or the tokenizer does not say where its tokens come from.
    """
    if not engine.tokenizer.is_fast:
        raise ValueError(f"the tokenizer of '{engine.name}' does not say where its tokens lie; use a model with a fast tokenizer")
    content = prompt.messages[-1].content
    _check_spans(prompt, spans)
    text, start = _rendered(engine, prompt)
    plain = prompt.raw or engine.tokenizer.chat_template is None
    encoded = engine.tokenizer(text, add_special_tokens=plain, return_offsets_mapping=True)
    if list(encoded["input_ids"]) != engine.encode(prompt):
        raise ValueError(
            f"the tokens of prompt {prompt.id} are not those of its rendered text, so no span can be placed in them; write the prompt "
            "without the tokenizer's special tokens, or leave it out"
        )
    names = (*spans, *REST)
    task, template, sink = (names.index(name) for name in REST[:3])
    ranges = list(spans.values())
    name_S = np.full(len(encoded["input_ids"]), template, dtype=np.int64)
    for place, (first, last) in enumerate(encoded["offset_mapping"]):
        shared = [min(last - start, end) - max(first - start, begin) for begin, end in ranges]
        if shared and max(shared) > 0:
            name_S[place] = shared.index(max(shared))
        elif min(last - start, len(content)) > max(first - start, 0):
            name_S[place] = task
    name_S[:1] = sink
    for number, name in enumerate(spans):
        if not (name_S == number).any():
            raise ValueError(
                f"prompt {prompt.id}: no token of the model is that of '{name}', characters {ranges[number]}: its tokens are shared with "
                "what stands beside it; give the span another border"
            )
    return PromptSpans(names=names, name_S=name_S)


def hidden_tokens(engine: LocalEngine, prompt: Prompt, spans: Sequence[CharSpan]) -> Bools:
    """[S] tokens with a character of one of these spans of the last message; the first of the prompt (the sink) always stays in sight."""
    placed = prompt_spans(engine, prompt, {f"hidden {number}": span for number, span in enumerate(spans)})
    marked: Bools = placed.name_S < len(spans)
    return marked


def insert_sentence(prompt: Prompt, spans: Mapping[str, CharSpan], name: str, sentence: str, at: int) -> tuple[Prompt, dict[str, CharSpan]]:
    """The prompt with a control sentence in its last message, and where all spans are then, that of the sentence under `name`.

    Args:
        prompt: its id gets the name behind it, since it is another prompt; spans of `info["constraints"]` move along.
        spans: to be moved along.
        name: of the new span.
        sentence: set off by a space.
        at: character before which it goes; not inside a span. The length of the message puts it at the end.

    >>> from jominy.records import Message, Prompt
    >>> one = Prompt(id="a", task="t", messages=(Message(role="user", content="Say hi. Be brief."),))
    >>> insert_sentence(one, {"c": (8, 17)}, "control", "It rains.", 8)[1]
    {'c': (18, 27), 'control': (8, 17)}
    """
    content = prompt.messages[-1].content
    inside = [other for other, (start, end) in spans.items() if start < at < end]
    if inside or not 0 <= at <= len(content) or name in spans or not sentence.strip():
        raise ValueError(f"'{sentence}' cannot be put at character {at} of prompt {prompt.id} under the name '{name}'")
    lead = " " if at > 0 and not content[at - 1].isspace() else ""
    trail = "" if at == len(content) or content[at].isspace() else " "
    added = f"{lead}{sentence}{trail}"

    def moved(span: Sequence[int]) -> CharSpan:
        shift = len(added) if span[0] >= at else 0
        return span[0] + shift, span[1] + shift

    message = Message(role=prompt.messages[-1].role, content=content[:at] + added + content[at:])
    info = dict(prompt.info)
    if "constraints" in info:
        info["constraints"] = [{**c, "span": list(moved(c["span"]))} if c.get("span") is not None else c for c in info["constraints"]]
    placed = {**{other: moved(span) for other, span in spans.items()}, name: (at + len(lead), at + len(lead) + len(sentence))}
    return replace(prompt, id=f"{prompt.id}+{name}", messages=(*prompt.messages[:-1], message), info=info), placed


def neutral_sentence(engine: LocalEngine, num_tokens: int) -> str:
    """The beginning of `NEUTRAL` that has this many tokens or, where no whole word fits, the nearest number below; at least a word."""
    words = NEUTRAL.split()
    best = words[0] + "."
    for count in range(1, len(words) + 1):
        candidate = " ".join(words[:count]) + "."
        if len(engine.encode_text(" " + candidate)) <= num_tokens:
            best = candidate
    return best


def _rendered(engine: LocalEngine, prompt: Prompt) -> tuple[str, int]:
    """The text that is tokenized, and where in it character 0 of the last message stands (or would, had the template not trimmed it)."""
    tokenizer, content = engine.tokenizer, prompt.messages[-1].content
    messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
    if prompt.raw or tokenizer.chat_template is None:
        text = "".join(message["content"] for message in messages)
        return text, len(text) - len(content)
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    marked = tokenizer.apply_chat_template([*messages[:-1], {**messages[-1], "content": MARK}], add_generation_prompt=True, tokenize=False)
    before, _, after = marked.partition(MARK)
    said = text[len(before) : len(text) - len(after)]
    if marked.count(MARK) != 1 or before + said + after != text or said not in (content, content.strip()):
        raise ValueError(
            f"the chat template of '{engine.name}' does not write the last message of prompt {prompt.id} as it is, so spans cannot be "
            "placed; leave the prompt out, or use a raw prompt (`Prompt(raw=True)`)"
        )
    trimmed = 0 if said == content else len(content) - len(content.lstrip())
    return text, len(before) - trimmed


def _check_spans(prompt: Prompt, spans: Mapping[str, CharSpan]) -> None:
    """Inside the message, apart, and well named."""
    length, ended = len(prompt.messages[-1].content), 0
    for name, (start, end) in sorted(spans.items(), key=lambda item: item[1]):
        if name in REST:
            raise ValueError(f"a span cannot be named '{name}'; {', '.join(REST)} are taken")
        if not 0 <= start < end <= length:
            raise ValueError(f"prompt {prompt.id}: '{name}' is [{start}, {end}) and the last message has {length} characters")
        if start < ended:
            raise ValueError(f"prompt {prompt.id}: '{name}' begins at {start} inside another span, which ends at {ended}")
        ended = end
