"""A local model's verdicts are its own probabilities of the replies that can be read, and are remembered and audited as such."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from jominy.auditing import audit
from jominy.auditing.store import LATER, VERDICTS_FILE, read_rows_of
from jominy.engines.local import LocalEngine
from jominy.localjudge import choices_of, tokens_of
from jominy.records import Message
from jominy.rewards.endpoint import Reply
from jominy.rewards.judge import Judge
from jominy.rewards.judged import judge_constraints
from jominy.rewards.questions import SPELLINGS, Form, Messages
from jominy.sampling import open_judge
from jominy.specs.auditing import AuditSpec, TruthSpec
from jominy.tasks.constraints import make
from tests import tiny
from tests.scripted import ScriptedEngine

WORDS = ("yes", "no", "Yes", "No", "1:", "2:", "3:", "4:", "5:")
ALONE = Form(num_constraints=1, numbered=False)


def tokenizer(*known: str) -> PreTrainedTokenizerFast:
    words = ["<s>", "</s>", "<pad>", "<unk>", *known, *(f"w{number}" for number in range(60))]
    core = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", pad_token="<pad>", unk_token="<unk>", bos_token="<s>")
    made.chat_template = tiny.TEMPLATE
    return made


def random_model(context: int = 1024) -> LlamaForCausalLM:
    torch.manual_seed(3)
    return LlamaForCausalLM(LlamaConfig(**{**tiny.COMMON, "max_position_embeddings": context}, num_key_value_heads=2)).eval()


def biased(**biases: float) -> LocalEngine:
    """A model whose next word does not depend on anything: logits are the biases of words, and 0."""
    model, words = random_model(), tokenizer(*WORDS)
    head = torch.nn.Linear(32, tiny.NUM_WORDS)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        for word, bias in biases.items():
            head.bias[words.convert_tokens_to_ids(word)] = bias
    model.set_output_embeddings(head)
    return LocalEngine.of(model, words, name="biased")


def asks(text: str) -> Messages:
    return (Message(role="user", content=text),)


def logp_by_hand(engine: LocalEngine, messages: Messages, text: str) -> float:
    """Sum of the log-softmax of the model's own logits, one plain forward pass."""
    shown = [{"role": message.role, "content": message.content} for message in messages]
    before = engine.tokenizer.apply_chat_template(shown, add_generation_prompt=True, return_dict=False)
    said = engine.tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = engine.model(torch.tensor([before + said])).logits[0]
    logp_TV = torch.log_softmax(logits.double(), -1)
    return float(sum(logp_TV[len(before) - 1 + place, token] for place, token in enumerate(said)))


def lines(words: tuple[str, ...]) -> str:
    return "\n".join(f"{number}: {word}" for number, word in enumerate(words, start=1))


def brute_force(engine: LocalEngine, messages: Messages, num: int, *, numbered: bool) -> tuple[str, list[float]]:
    """Every reply, spelled in both ways, as a table of probabilities."""
    chance: dict[tuple[str, ...], float] = {}
    for words in itertools.product(("yes", "no"), repeat=num):
        ways = [words, tuple(word.capitalize() for word in words)]
        chance[words] = sum(math.exp(logp_by_hand(engine, messages, lines(way) if numbered else way[0])) for way in ways)
    best = max(chance, key=lambda words: chance[words])
    odds = []
    for place in range(num):
        yes, no = (sum(one for words, one in chance.items() if words[place] == word) for word in ("yes", "no"))
        odds.append(math.log(yes / no))
    return (lines(best) if numbered else best[0]), odds


@pytest.mark.parametrize(("num", "numbered"), [(1, False), (1, True), (2, True), (3, True)])
def test_a_choice_is_the_likeliest_reply_by_the_models_own_logits(num: int, *, numbered: bool) -> None:
    engine = LocalEngine.of(random_model(), tokenizer(*WORDS), name="tiny")
    questions = [asks("w1 w2 w3"), asks("w4 w9"), asks("w7 w8 w9 w1")]
    found = dict(choices_of(lambda: engine)(questions, [Form(num_constraints=num, numbered=numbered)] * 3))
    for place, messages in enumerate(questions):
        text, odds = brute_force(engine, messages, num, numbered=numbered)
        assert found[place].text == text
        assert found[place].log_odds == pytest.approx(odds, abs=1e-4)
        assert found[place].usage.prompt_tokens == len(messages[0].content.split()) + 2
        assert found[place].usage.completion_tokens == num * (1 + numbered)


def test_of_many_constraints_each_is_chosen_given_those_before() -> None:
    engine, messages = LocalEngine.of(random_model(), tokenizer(*WORDS), name="tiny"), asks("w1 w2")
    found = dict(choices_of(lambda: engine)([messages], [Form(num_constraints=5, numbered=True)]))[0]
    known: list[str] = []
    odds = []
    for _ in range(5):
        ways = {word: [[*known, word], [one.capitalize() for one in (*known, word)]] for word in ("yes", "no")}
        chances = {word: sum(math.exp(logp_by_hand(engine, messages, lines(tuple(way)))) for way in two) for word, two in ways.items()}
        odds.append(math.log(chances["yes"] / chances["no"]))
        known.append(max(chances, key=lambda word: chances[word]))
    assert found.text == lines(tuple(known))
    assert found.log_odds == pytest.approx(odds, abs=1e-4)


@pytest.mark.parametrize("num", [1, 2, 3, 4])
def test_every_choice_is_read_as_what_it_says(num: int) -> None:
    for form in [Form(num_constraints=num, numbered=True)] + ([ALONE] if num == 1 else []):
        assert len({form.reply(verdicts) for verdicts in form.going_on()}) == 2**num
        for verdicts in form.going_on():
            assert [form.read(form.reply(verdicts, words)) for words in SPELLINGS] == [(list(verdicts), "")] * 2


def test_a_choice_is_remembered_whatever_the_longest_free_reply_is(tmp_path: Path) -> None:
    short, long = (open_judge(f"local:small,max_tokens={most}", "constraints", tmp_path) for most in (8, 9))
    messages = asks("w1 w2")
    assert short.key(messages, "choice") == long.key(messages, "choice")
    assert len({judge.key(messages, answers) for judge in (short, long) for answers in ("choice", "free")}) == 3


def test_a_model_that_prefers_yes_says_so_of_everything(tmp_path: Path) -> None:
    engine = biased(yes=3.0, no=1.0)
    prompts = [prompt for prompt in make("count=2").prompts(8, 0) if len(prompt.info["constraints"]) == 2][:2]
    judge = open_judge("local:biased", "constraints", tmp_path, lambda model, device: engine)
    for mode in ("batch", "pointwise"):
        told = judge_constraints(judge, [(prompt, "Hello.") for prompt in prompts], mode)
        assert [one.verdict for said in told for one in said] == [True] * 4
        # alone: e^3 + e^0 (Yes) against e^1 + e^0 (No); two: yes yes e^6 + 1, yes no and no yes e^4 + 1, no no e^2 + 1
        alone = math.log((math.e**3 + 1) / (math.e + 1))
        two = math.log((math.e**6 + math.e**4 + 2) / (math.e**4 + math.e**2 + 2))
        assert [one.log_odds for said in told for one in said] == pytest.approx([two if mode == "batch" else alone] * 4, abs=1e-5)
    spent = judge.meter.take()
    assert (spent.asked, spent.unanswered) == (6, 0)
    judge_constraints(open_judge("local:biased", "constraints", tmp_path, refuse_to_load), [(prompts[0], "Hello.")], "batch")


def refuse_to_load(model: str, device: str) -> LocalEngine:
    raise AssertionError("everything is remembered")


def test_what_does_not_fit_is_unscored_and_the_next_is_told() -> None:
    engine = LocalEngine.of(random_model(context=12), tokenizer(*WORDS), name="tiny")
    questions = [asks(" ".join(["w1"] * length)) for length in (7, 9, 3)]
    found = dict(choices_of(lambda: engine)(questions, [Form(num_constraints=1, numbered=True)] * 3))
    # template 2 + words + reply 2
    assert [found[place].kind for place in range(3)] == ["said", "refused", "said"]
    assert "has 11 tokens, and the judge's context of 12 has room for 10" in found[1].note


def test_a_tokenizer_that_knows_no_yes_is_an_error_that_says_what_to_do() -> None:
    engine = LocalEngine.of(random_model(), tokenizer(), name="tiny")
    with pytest.raises(ValueError, match=r"knows no yes and no.*answers=free"):
        list(choices_of(lambda: engine)([asks("w1")], [ALONE]))


def test_a_space_that_a_tokenizer_puts_before_every_text_is_not_in_the_reply() -> None:
    class Pieces(ScriptedEngine):
        def encode_text(self, text: str) -> list[int]:
            return super().encode_text(" " + text)

    class Joined(ScriptedEngine):
        """A line's end is one token with what follows: it cannot be taken off."""

        def encode_text(self, text: str) -> list[int]:
            return [7] if text == "\n" else [9, *super().encode_text(text.removeprefix("\n"))]

    assert tokens_of(Pieces(), "yes") == tokens_of(ScriptedEngine(), "yes") == tuple(map(ord, "yes"))
    assert tokens_of(Joined(), "yes") == (9, *map(ord, "yes"))


class Counted:
    """Answers and chooses, and counts."""

    def __init__(self) -> None:
        self.freely, self.chosen = 0, 0

    def answer(self, questions):
        for place in range(len(questions)):
            self.freely += 1
            yield place, Reply(text="no")

    def choose(self, questions, forms):
        for place, form in enumerate(forms):
            self.chosen += 1
            yield place, Reply(text=form.reply([True] * form.num_constraints), log_odds=(1.5,) * form.num_constraints)

    def judge(self, folder: Path, *, chooses: bool) -> Judge:
        choose = self.choose if chooses else None
        return Judge(name="local:x", model="x", max_tokens=9, answer=self.answer, choose=choose, folder=folder)


def test_free_and_chosen_replies_are_remembered_apart(tmp_path: Path) -> None:
    who = Counted()
    for _ in range(2):
        free, chooses = who.judge(tmp_path, chooses=False), who.judge(tmp_path, chooses=True)
        assert (free.answers, chooses.answers) == ("free", "choice")
        assert free.ask([asks("a")], forms=[ALONE]) == [Reply(text="no")]
        assert chooses.ask([asks("a")], forms=[ALONE]) == [Reply(text="yes", log_odds=(1.5,))]
        assert chooses.ask([asks("a")]) == [Reply(text="no")], "a question without a form is answered freely, and that is known"
    assert (who.freely, who.chosen) == (1, 1)
    (file,) = [file for file in tmp_path.rglob("*.json") if json.loads(file.read_text())["answers"] == "choice"]
    file.write_text(json.dumps({**json.loads(file.read_text()), "log_odds": None}))
    assert who.judge(tmp_path, chooses=True).ask([asks("a")], forms=[ALONE])[0].log_odds == (1.5,)
    assert who.chosen == 2, "without its odds a chosen reply is damaged"


def test_free_replies_of_the_version_before_are_read_and_no_chosen_ones_are_made_of_them(tmp_path: Path) -> None:
    # sha256(JSON [2, "", "x", 0.0, 9, [["user", "a"]]]), as version 2 wrote it
    key = "80b974a41698d904d84d5842a8f22e377e87e787af715f23b5db53b10e334312"
    (tmp_path / key[:2]).mkdir()
    (tmp_path / key[:2] / f"{key}.json").write_text(json.dumps({"text": "old", "note": ""}))
    who = Counted()
    assert who.judge(tmp_path, chooses=False).ask([asks("a")], forms=[ALONE])[0].text == "old"
    assert who.judge(tmp_path, chooses=True).ask([asks("a")], forms=[ALONE])[0].text == "yes"
    assert (who.freely, who.chosen) == (0, 1)


class Leaning(ScriptedEngine):
    """Yes is as likely as it is sure, in its own words and where it chooses."""

    def _rollout(self, prompt, index, sampling, seed):
        raise AssertionError("nobody asks it freely")

    def logprobs(self, rows):
        return [np.array([-4.0 if chr(token) in "nN" else 0.0 for token in row.completion_ids]) for row in rows]


def test_an_audit_keeps_the_odds_and_older_ones_are_read_or_refused(tmp_path: Path) -> None:
    truth = TruthSpec(pairs=2, probes=0, constraints="no_commas,question,rendering=mixed")
    chooses = AuditSpec(judge="local:scripted", truth=truth)
    found = audit(chooses, tmp_path / "a", load_engine=lambda model, device: Leaning(), quiet=True)
    assert found.num_unscored == 0
    assert found.source["auditee"]["answers"] == "choice"
    assert any("the likeliest of those that can be read" in note for note in found.notes)
    table = read_rows_of(tmp_path / "a" / VERDICTS_FILE)
    # "no" and "No" have one dear letter, -4 against 0, in either spelling, whatever stands beside
    assert table["log_odds"].to_pylist() == pytest.approx([4.0] * table.num_rows)
    assert set(table["constraint_kind"].to_pylist()) == {"hard", "soft"}
    again = audit(chooses, tmp_path / "a", load_engine=refuse_to_load, quiet=True)
    assert again.precision.constraints == found.precision.constraints

    file, older = tmp_path / "a" / VERDICTS_FILE, tmp_path / "b" / VERDICTS_FILE
    plain = pq.read_table(file).drop_columns(list(LATER))
    auditee = json.loads(plain.schema.metadata[b"jominy_auditee"])
    del auditee["answers"]
    older.parent.mkdir()
    pq.write_table(plain.replace_schema_metadata({**plain.schema.metadata, b"jominy_auditee": json.dumps(auditee).encode()}), older)
    assert read_rows_of(older)["log_odds"].null_count == plain.num_rows
    with pytest.raises(ValueError, match="answers was 'free', now 'choice'"):
        audit(chooses, older.parent, load_engine=refuse_to_load, quiet=True)
    freely = AuditSpec(judge="local:scripted,answers=free", truth=truth)
    known = audit(freely, older.parent, load_engine=refuse_to_load, quiet=True)
    assert known.precision.constraints == found.precision.constraints
    assert "free answers" in known.source["who"]


def test_an_audit_counts_a_question_a_response_where_all_are_asked_at_once(tmp_path: Path) -> None:
    truth = TruthSpec(pairs=1, probes=0, constraints="no_commas,title")
    for mode in ("numbered", "batch"):
        audit(AuditSpec(judge="local:scripted", mode=mode, truth=truth), tmp_path / mode, load_engine=lambda *_: Leaning(), quiet=True)
    asked = {mode: [json.loads(file.read_text()) for file in (tmp_path / mode / "judge").rglob("*.json")] for mode in ("numbered", "batch")}
    assert len(asked["numbered"]) == len(asked["batch"])
    assert {one["text"].count(":") for one in asked["numbered"]} == {1, 2}
    assert {one["text"].count(":") for one in asked["batch"]} == {0, 2}
