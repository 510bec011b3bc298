"""Attention to spans against the model's own attentions, hidden spans against attention masks, and a model that depends on one word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from jominy.engines import attending
from jominy.engines.attending import attention_masses, masked_pass, stacked
from jominy.engines.local import LocalEngine
from jominy.engines.promptspans import constraint_spans, hidden_tokens, insert_sentence, neutral_sentence, prompt_spans
from jominy.records import Message, Prompt, Reward, Row, Sampling
from tests import tiny

KINDS = ("llama", "qwen2", "qwen3", "gpt_neox", "mistral", "gemma2", "gpt2")
CONTENT = "w10 w11 w12 w13 w14 w15"
SPANS = {"first": (4, 11), "second": (16, 19)}
GREEDY = Sampling(temperature=0.0, max_tokens=3)


def made(kind: str) -> Any:
    """A tiny model; qwen3 is not among the usual ones."""
    if kind != "qwen3":
        return tiny.model(kind)
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**tiny.COMMON, num_key_value_heads=2, head_dim=8)).eval()


def asked(content: str, name: str = "a", **fields: Any) -> Prompt:
    """A prompt that says so."""
    return Prompt(id=name, task="tiny", messages=(Message(role="user", content=content),), **fields)


@pytest.mark.parametrize("kind", KINDS)
def test_masses_are_those_of_output_attentions(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 3 queries, so that they do not begin where the response does; mistral's window of 6 is shorter than a row."""
    monkeypatch.setattr(attending, "QUERIES", 3)
    engine = LocalEngine.of(made(kind), tiny.tokenizer(), name=kind)
    before = engine.model.config._attn_implementation
    prompt = asked(CONTENT)
    placed = prompt_spans(engine, prompt, SPANS)
    # [user] w10 w11 w12 w13 w14 w15 [assistant]
    assert placed.names == ("first", "second", "task", "template", "sink", "response")
    assert placed.name_S.tolist() == [4, 2, 0, 0, 2, 1, 2, 3]
    prompt_ids = np.array(engine.encode(prompt))
    rows = [Row(prompt_ids=prompt_ids, completion_ids=np.array(ids)) for ids in ([30, 31, 32, 33, 1], [40])]
    found = attention_masses(engine, rows, [placed, placed])

    eager = made(kind)
    eager.set_attn_implementation("eager")
    for row, one in zip(rows, found, strict=True):
        tokens = np.concatenate([row.prompt_ids, row.completion_ids])
        with torch.no_grad():
            attentions = eager(torch.from_numpy(tokens)[None], output_attentions=True).attentions
        names = [*placed.name_S.tolist(), *[5] * len(row.completion_ids)]
        places = range(len(prompt_ids) - 1, len(tokens) - 1)
        for layer, weights in enumerate(attentions):
            for head in range(weights.shape[1]):
                sums = [0.0] * 6
                for place in places:
                    for key in range(place + 1):
                        sums[names[key]] += float(weights[0, head, place, key]) / len(places)
                assert one.mass_LHS[layer, head] == pytest.approx(sums, abs=2e-6)
        assert one.mass_LHS.sum(-1) == pytest.approx(1.0, abs=1e-5)
        assert one.num_tokens_S.tolist() == [2, 1, 3, 1, 1, len(row.completion_ids) - 1]
    mass_LH, share = found[0].over(["first", "second"])
    assert share == 3 / 8
    assert mass_LH == pytest.approx(found[0].mass_LHS[..., 0] + found[0].mass_LHS[..., 1])
    mass_NLH, share_N = stacked(found, [["second"], []])
    assert mass_NLH[0].tolist() == found[0].mass_LHS[..., 1].tolist()
    assert share_N[0] == 1 / 8
    assert np.isnan(mass_NLH[1]).all()
    assert np.isnan(share_N[1])
    assert engine.model.config._attn_implementation == before
    with pytest.raises(ValueError, match="there are first"):
        found[0].over(["third"])
    with pytest.raises(ValueError, match="response of at least one token"):
        attention_masses(engine, [Row(prompt_ids=prompt_ids, completion_ids=np.array([], dtype=np.int64))], [placed])
    with pytest.raises(ValueError, match="7 tokens and its spans say 8"):
        attention_masses(engine, [Row(prompt_ids=prompt_ids[1:], completion_ids=np.array([3]))], [placed])


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gpt_neox"])
def test_hidden_spans_are_masked_keys(kind: str) -> None:
    """Each drawn token's log-probability is that of a whole forward whose mask hides the span, for prompts of two lengths together."""
    engine = LocalEngine.of(made(kind), tiny.tokenizer(), name=kind)
    prompts = [asked(CONTENT, "a"), asked("w20 w21 w22 w23 w24 w25 w26 w27 w28", "b")]
    hidden = [hidden_tokens(engine, prompts[0], [(4, 11), (16, 19)]), hidden_tokens(engine, prompts[1], [(0, 7)])]
    assert [np.flatnonzero(marks).tolist() for marks in hidden] == [[2, 3, 5], [1, 2]]
    groups = list(engine.sample_blind(prompts, hidden, 2, Sampling(max_tokens=5), seed=3))
    assert len(groups) == 2
    reference = made(kind)
    reference.set_attn_implementation("eager")
    for group in groups:
        number = [prompt.id for prompt in prompts].index(group[0].prompt_id)
        prompt_ids = engine.encode(prompts[number])
        for rollout in group:
            tokens = torch.tensor([prompt_ids + rollout.token_ids.tolist()])
            mask = torch.ones_like(tokens)
            mask[0, np.flatnonzero(hidden[number])] = 0
            places = torch.arange(tokens.shape[1])[None]
            with torch.no_grad():
                logits = reference(tokens, attention_mask=mask, position_ids=places).logits[0]
            logp = torch.log_softmax(logits[len(prompt_ids) - 1 : -1], -1).gather(1, tokens[0, len(prompt_ids) :, None])[:, 0]
            assert rollout.logprobs_t1 == pytest.approx(logp.numpy(), abs=1e-4)
    # nothing hidden: the draws of `sample`
    nothing = [np.zeros_like(marks) for marks in hidden]
    blind = {g[0].prompt_id: g for g in engine.sample_blind(prompts, nothing, 2, Sampling(max_tokens=5), seed=3)}
    for group in engine.sample(prompts, 2, Sampling(max_tokens=5), 3):
        for one, other in zip(group, blind[group[0].prompt_id], strict=True):
            assert one.token_ids.tolist() == other.token_ids.tolist()


def keyword_engine() -> LocalEngine:
    """Says w20 when it can see w10 anywhere and w21 when it cannot: a layer looks everywhere alike and copies one mark of w10."""
    model = tiny.model("llama")
    tokens = tiny.tokenizer().get_vocab()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        layer = model.model.layers[0].self_attn
        model.model.embed_tokens.weight[:, 0] = 1.0
        model.model.embed_tokens.weight[tokens["w10"], 1] = 3.0
        layer.v_proj.weight[0, 1] = 1.0
        layer.o_proj.weight[1, 0] = 1.0
        model.lm_head.weight[tokens["w20"], 1] = 1000.0
        model.lm_head.weight[tokens["w21"], 0] = 0.5
    return LocalEngine.of(model, tiny.tokenizer(), name="keyword")


def test_the_causal_check_finds_a_planted_dependence() -> None:
    engine = keyword_engine()
    prompts = [asked("w50 w10 w51 w52", "a"), asked("w60 w61 w10 w62", "b"), asked("w70 w71 w72 w73", "c")]

    def reward(prompt: Prompt, text: str) -> Reward:
        return Reward(value=None, note="nobody knows") if prompt.id == "c" else Reward(value=float(text.startswith("w20")))

    hidden = {"keyword": [[(4, 7)], [(8, 11)], []], "neutral": [[(8, 11)], [(0, 3)], [(0, 3)]]}
    found = masked_pass(engine, prompts, hidden, reward, num_rollouts=2, sampling=GREEDY, seed=0)
    assert found.open_P == pytest.approx([1.0, 1.0, np.nan], nan_ok=True)
    assert found.masked_P["keyword"] == pytest.approx([0.0, 0.0, np.nan], nan_ok=True)
    assert found.masked_P["neutral"] == pytest.approx([1.0, 1.0, np.nan], nan_ok=True)
    assert found.num_unscored == {"": 2, "keyword": 0, "neutral": 2}
    with pytest.raises(ValueError, match="in 1 prompts, and there are 3"):
        masked_pass(engine, prompts, {"keyword": [[(4, 7)]]}, reward, num_rollouts=1, sampling=GREEDY, seed=0)


def test_what_cannot_be_hidden() -> None:
    engine, windowed = tiny.engine("llama"), tiny.engine("mistral")
    prompt = asked(CONTENT)
    marks = hidden_tokens(engine, prompt, [(4, 7)])
    for hidden, message in (([], "came with the hidden tokens of 0"), ([marks[1:]], "has 8 tokens"), ([~marks], "drawn from it")):
        with pytest.raises(ValueError, match=message):
            list(engine.sample_blind([prompt], hidden, 1, GREEDY, 0))
    with pytest.raises(ValueError, match="plain full attention"):
        list(windowed.sample_blind([prompt], [marks], 1, GREEDY, 0))


def test_spans_behind_templates() -> None:
    """Trimmed messages, two messages that say the same, a raw prompt, and templates that rewrite what is said."""
    engine = tiny.engine("llama")
    twice = Prompt(id="a", task="tiny", messages=(Message(role="system", content="w1 w2"), Message(role="user", content="w1 w2")))
    # [system] w1 w2 [user] w1 w2 [assistant]
    assert prompt_spans(engine, twice, {"c": (3, 5)}).name_S.tolist() == [3, 2, 2, 2, 1, 0, 2]
    raw = asked("w1 w2 w3", raw=True)
    # no template; w1 is the first token and stays the sink
    assert prompt_spans(engine, raw, {"c": (3, 8)}).name_S.tolist() == [3, 0, 0]
    with pytest.raises(ValueError, match="no token of the model is that of 'c'"):
        prompt_spans(engine, raw, {"c": (0, 2)})
    engine.tokenizer.chat_template = tiny.TEMPLATE.replace("message['content']", "message['content'] | trim")
    assert prompt_spans(engine, asked("  w1 w2 "), {"c": (5, 7)}).name_S.tolist() == [3, 1, 0, 2]
    for rewriting in ("message['content'] | upper", "message['content'] + message['content']"):
        engine.tokenizer.chat_template = tiny.TEMPLATE.replace("message['content']", rewriting)
        with pytest.raises(ValueError, match="does not write the last message"):
            prompt_spans(engine, asked("w1 w2"), {"c": (0, 2)})


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ({"task": (0, 3)}, "cannot be named"),
        ({"c": (0, 30)}, "23 characters"),
        ({"c": (4, 4)}, "23 characters"),
        ({"c": (0, 7), "d": (6, 9)}, "inside another"),
    ],
)
def test_spans_that_cannot_be(spans: dict[str, tuple[int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prompt_spans(tiny.engine("llama"), asked(CONTENT), spans)


def test_a_token_of_two_spans_goes_to_the_larger_part() -> None:
    """`a>x` is one token: two of its characters lie in the first span."""
    words = ["a", ">", "x", "y", "a>", "a>x"]
    core = Tokenizer(BPE(vocab={word: number for number, word in enumerate(words)}, merges=[("a", ">"), ("a>", "x")], unk_token=None))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, clean_up_tokenization_spaces=False)
    engine = LocalEngine.of(tiny.model("llama"), tokenizer, name="pairs")
    # y | a>x | y | y with the spans `a>` and `xy`
    assert prompt_spans(engine, asked("ya>xyy"), {"c": (1, 3), "d": (3, 5)}).name_S.tolist() == [4, 0, 1, 2]
    with pytest.raises(ValueError, match="that of 'd'"):
        prompt_spans(engine, asked("ya>xyy"), {"c": (1, 3), "d": (3, 4)})


def test_constraints_and_control_sentences() -> None:
    content = "Say hi. Be brief. Use no commas."
    info = {"constraints": [{"type": "brief", "span": [8, 17]}, {"type": "commas", "span": [18, 32]}]}
    prompt = asked(content, info=info)
    spans = constraint_spans(prompt)
    assert [content[start:end] for start, end in spans.values()] == ["Be brief.", "Use no commas."]
    for at in (0, 8, 17, 18, len(content)):
        other, placed = insert_sentence(prompt, spans, "control", "It rains.", at)
        said = other.messages[-1].content
        assert [said[start:end] for start, end in placed.values()] == ["Be brief.", "Use no commas.", "It rains."]
        assert constraint_spans(other) == {name: placed[name] for name in spans}
        assert said.replace("It rains.", "").split() == content.split()
        assert "  " not in said
        assert other.id == "a+control"
    with pytest.raises(ValueError, match="cannot be put at character 10"):
        insert_sentence(prompt, spans, "control", "It rains.", 10)
    with pytest.raises(ValueError, match="no constraints"):
        constraint_spans(asked(content))
    with pytest.raises(ValueError, match="no span for constraint 0"):
        constraint_spans(asked(content, info={"constraints": [{"type": "brief"}]}))
    engine = tiny.engine("llama")
    # a word a token with this tokenizer
    assert neutral_sentence(engine, 4) == "This note was written."
    assert neutral_sentence(engine, 0) == "This."
