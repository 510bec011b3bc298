"""Are lab models what was ordered: the asked shares, the asked ability, the same bits twice, and folders that transformers loads?"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from jominy.engines.lanes import SharedLanes
from jominy.engines.local import LocalEngine
from jominy.lab import LabSpec, build, building, fitting, half_able
from jominy.lab.building import half_able_spec
from jominy.lab.characters import PRINTABLE, make_tokenizer
from jominy.lab.demonstrations import Demonstration, counted_tasks, demonstrate, shared_phrases, shown_prompts
from jominy.lab.fitting import Ability, Asked, Encoded, _add_gradient, _batches, encode, measure
from jominy.lab.spec import ARCHITECTURES, markers_of, name_of
from jominy.records import Message, Prompt, Reward, Sampling, Task
from jominy.studies.alignment.design import ADDER, SPELLER
from jominy.tasks.loading import load_task
from tests import tiny

TINY = LabSpec(tasks=("arithmetic:digits=1,operators=+",), steps=3, rows=4, demonstrations=40, width=32, depth=1, context=96)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory):
    """The tiny model, made in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOMINY_CACHE", str(tmp_path_factory.mktemp("cache")))
        return build(TINY, quiet=True)


def weights_of(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def silent_task(**fields) -> Task:
    """A task of one prompt."""
    prompt = Prompt(id="p", task="silent", messages=(Message(role="user", content="Say yes."),), **fields)
    return Task(name="silent", summary="", prompts=lambda count, seed: [prompt], reward=lambda prompt, text: Reward(value=0.0))


def test_two_builds_in_two_caches_have_the_same_bits(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("JOMINY_CACHE", str(tmp_path))
    torch.rand(1)  # the state of the global generator is none of a lab model's business
    state = torch.get_rng_state()
    again = build(TINY, quiet=True)
    assert again != tiny_folder
    assert again.name == tiny_folder.name
    assert weights_of(again) == weights_of(tiny_folder)
    assert torch.equal(torch.get_rng_state(), state)
    other = build(replace(TINY, seed=1), quiet=True)
    assert other.name != again.name
    assert weights_of(other) != weights_of(again)


def test_a_second_call_trains_nothing(tiny_folder, monkeypatch):
    def refuse(*args):
        raise AssertionError("trained again")

    monkeypatch.setattr(building, "_make", refuse)
    monkeypatch.setenv("JOMINY_CACHE", str(tiny_folder.parent.parent))
    assert build(TINY, quiet=True) == tiny_folder
    with pytest.raises(AssertionError, match="trained again"):
        build(replace(TINY, steps=4), quiet=True)


def test_an_edited_file_of_prompts_is_another_model(tmp_path):
    file = tmp_path / "sums.jsonl"
    names = []
    for answer in ("2", "3"):
        file.write_text(json.dumps({"prompt": "1 + 1?", "target": answer}) + "\n")
        spec = LabSpec(tasks=(str(file),))
        names.append(name_of(spec, [load_task(str(file))]))
    assert names[0] != names[1]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_folder_is_one_of_transformers(architecture, tmp_path, monkeypatch):
    monkeypatch.setenv("JOMINY_CACHE", str(tmp_path))
    folder = build(replace(TINY, architecture=architecture, steps=1), quiet=True)
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.model_type == architecture
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert (tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token) == ("<eos>", "<bos>", "<pad>")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    engine = LocalEngine.load(str(folder), "cpu")
    assert engine.stop_ids == (tokenizer.eos_token_id,)
    assert isinstance(engine.network.lanes(1, 1), SharedLanes)
    prompts = load_task(TINY.tasks[0]).prompts(2, 0)
    (rollouts, _) = engine.sample(prompts, 2, Sampling(max_tokens=8), seed=0)
    # the pieces of a rollout, special ones apart, are its text
    assert rollouts[0].pieces is not None
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    spoken = [piece for piece in rollouts[0].pieces if piece not in special]
    assert "".join(spoken) == rollouts[0].text


def test_decode_gives_back_what_was_encoded(tiny_folder):
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    for text in (PRINTABLE, "  two  spaces \n\n and , commas .", "What is 1 + 2? Give the answer as an integer at the end.", ""):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer("12 + 34 = 46")["input_ids"]) == 12  # a character each
    assert tokenizer("\u2603")["input_ids"] == [tokenizer.unk_token_id]  # a snowman that no demonstration had
    with_snow = make_tokenizer(["\u2603"], [], 96)
    assert with_snow.decode(with_snow("a\u2603b")["input_ids"]) == "a\u2603b"


def test_training_sees_what_the_engine_asks(tiny_folder):
    engine = LocalEngine.load(str(tiny_folder), "cpu")
    prompt = load_task(TINY.tasks[0]).prompts(1, 5)[0]
    encoded = encode(engine, Demonstration(prompt=prompt, answer="1 + 2 = 3", kind="right"))
    text = engine.tokenizer.decode(encoded.prompt_ids + encoded.answer_ids)
    assert text == f"<bos><|user|>{prompt.messages[0].content}<|assistant|>1 + 2 = 3<eos>"
    assert encoded.prompt_ids == engine.encode(prompt)
    # <bos> <|user|> "What is " and six characters like "1 + 2" with their phrase behind, <|assistant|>
    assert len(encoded.prompt_ids) == 2 + 1 + 5 + 1 + 1
    conversation = [{"role": "user", "content": prompt.messages[0].content}, {"role": "assistant", "content": "1 + 2 = 3"}]
    assert engine.tokenizer.apply_chat_template(conversation, tokenize=False) == text


def test_the_shares_are_the_asked_ones():
    spec = LabSpec(tasks=("arithmetic", "arithmetic:digits=1"), demonstrations=1000, wrong_share=0.3, cut_share=0.1)
    tasks = [load_task(name) for name in spec.tasks]
    shown, num_without_gold = demonstrate(spec, tasks)
    by_name = {task.name: task for task in tasks}
    rewards = [by_name[one.prompt.task].reward(one.prompt, one.answer).value for one in shown]
    wrong = [reward for one, reward in zip(shown, rewards, strict=True) if one.kind == "wrong"]
    right = [reward for one, reward in zip(shown, rewards, strict=True) if one.kind == "right"]
    assert (len(wrong), len(right), num_without_gold) == (300, 600, 0)
    assert set(wrong) == {0.0}
    assert set(right) == {1.0}
    assert all(str(one.prompt.gold_answer).startswith(one.answer) for one in shown if one.kind == "cut")
    assert sum(one.prompt.task == "arithmetic" for one in shown) == 500
    # 300 one-digit problems fill 500 places, so some are shown twice
    assert len({one.prompt.id for one in shown if one.prompt.task != "arithmetic"}) == 300


def test_a_phrase_is_what_all_prompts_of_a_task_share():
    def said(*contents):
        return [Prompt(id=text, task="t", messages=(Message(role="user", content=text),)) for text in contents]

    assert shared_phrases([said("Add 1 and 2 please", "Add 3 and 4 please")]) == ["Add ", " please"]
    assert shared_phrases([said("one", "two"), said("Say yes.", "Say yes.")]) == ["Say yes."]
    assert shared_phrases([said("aaaaa", "aaaaaaa")]) == ["aaaaa"]  # opening and ending do not overlap


def test_every_demonstration_is_shown_before_any_comes_again():
    encoded = [Encoded(prompt_ids=[number] * (1 + number % 7), answer_ids=[0]) for number in range(64)]
    batches = _batches(encoded, 4, random.Random(0))
    shown = [one.prompt_ids[0] for _ in range(16) for one in next(batches)]
    assert sorted(shown) == list(range(64))


def test_training_lowers_the_loss_of_the_answers(tiny_folder, tmp_path, monkeypatch):
    """The oracle is transformers' own loss with the prompt masked out."""
    monkeypatch.setenv("JOMINY_CACHE", str(tmp_path))
    trained = build(replace(TINY, steps=60, rows=16), quiet=True)
    losses = []
    for folder in (tiny_folder, trained):
        engine = LocalEngine.load(str(folder), "cpu")
        total = 0.0
        for prompt in load_task(TINY.tasks[0]).prompts(10, 3):
            one = encode(engine, Demonstration(prompt=prompt, answer=str(prompt.gold_answer), kind="right"))
            ids = torch.tensor([one.prompt_ids + one.answer_ids])
            labels = ids.clone()
            labels[0, : len(one.prompt_ids)] = -100
            with torch.no_grad():
                total += engine.model(ids, labels=labels).loss.item() / 10
        losses.append(total)
    # 109 equally likely tokens would be log 109 = 4.7 nats; the 14 that occur, log 14 = 2.6
    assert losses[0] > 3.5
    assert losses[1] < 2.4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tasks": ()}, "at least one task"),
        ({"pass_rate": 0.0}, "pass_rate"),
        ({"steps": 0}, "steps must be"),
        ({"smoothing": 1.0}, "smoothing must be"),
        ({"width": 100}, "multiple of 32"),
        ({"checked": ("arithmetic:digits=7",)}, "checked names some of the tasks that are shown"),
        ({"masked": ("attempt.wrnog",)}, "masked names kinds of spans"),
        ({"habit_steps": 2}, "only what is masked can become a habit"),
        ({"habit_steps": -1, "masked": ("attempt",)}, "habit_steps must be at least 0"),
        ({"masked": ("attempt.wrong",)}, "needs tasks that say where attempts and decisions are"),
        ({"architecture": "rnn"}, "there are llama"),
        ({"wrong_share": 0.6, "cut_share": 0.5}, "at most 1"),
        ({"cut_share": 1.0}, "below 1"),
        ({"tasks": ("nothing",)}, "no task"),
        ({"context": 10}, "fits a context of 10"),
    ],
)
def test_what_cannot_be_made_says_why(changes, words, tmp_path, monkeypatch):
    monkeypatch.setenv("JOMINY_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=words):
        build(replace(TINY, **changes), quiet=True)
    assert not list(tmp_path.rglob("model.safetensors"))


def test_a_task_without_answers_cannot_be_shown():
    with pytest.raises(ValueError, match="no gold answers"):
        demonstrate(LabSpec(tasks=("silent",)), [silent_task()])
    with pytest.raises(ValueError, match="no known-wrong answer"):
        demonstrate(LabSpec(tasks=("silent",), demonstrations=4, wrong_share=0.5), [silent_task(gold_answer="yes")])


def test_a_task_that_is_too_hard_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("JOMINY_CACHE", str(tmp_path))
    monkeypatch.setattr(building, "half_able_spec", lambda task: replace(TINY, tasks=(task,)))
    with pytest.raises(ValueError, match="choose an easier setting"):
        half_able("arithmetic:digits=3", quiet=True)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_long_texts_get_smaller_batches_and_fewer_steps():
    short, long = half_able_spec("arithmetic"), half_able_spec("constraints")
    assert (short.rows, short.steps) == (64, 640)
    assert long.rows < short.rows
    assert long.steps < short.steps
    with pytest.raises(ValueError, match="no task"):
        half_able_spec("nothing")


def test_half_able_at_one_digit_sums():
    """Built once a machine: the user's cache (JOMINY_CACHE, else the default) keeps it between test runs."""
    folder = half_able("arithmetic:digits=1", quiet=True)
    engine = LocalEngine.load(str(folder), "cpu")
    task = load_task("arithmetic:digits=1")
    prompts = {prompt.id: prompt for prompt in task.prompts(64, 11)}
    groups = engine.sample(list(prompts.values()), 8, Sampling(max_tokens=16), seed=2)
    counts = [sum(task.reward(prompts[one.prompt_id], one.text).value == 1 for one in group) for group in groups]
    # 512 draws of 64 prompts: a rate of 0.5 has a standard error of at most 0.5 / 8 = 0.06
    assert 0.3 < sum(counts) / (8 * 64) < 0.75
    assert sum(0 < count < 8 for count in counts) / 64 > 0.5
    account = json.loads((folder / "lab.json").read_text())
    assert account["name"] == folder.name
    assert account["ability"]["low"] < account["ability"]["pass_at_1"] < account["ability"]["high"]
    assert account["ability"]["num_seen"] == 300  # there are no other one-digit problems, and it says so


def test_answer_formats_hold_their_shares() -> None:
    spec = LabSpec(tasks=("arithmetic:digits=2",), demonstrations=100, wrong_share=0.1, answers=("{gold}", "It is {target}."))
    made, _ = demonstrate(spec, [load_task("arithmetic:digits=2")])
    right = [one for one in made if one.kind == "right"]
    in_words = [one for one in right if one.answer == f"It is {one.prompt.target}."]
    assert len(right) == 90
    assert len(in_words) == 45
    assert all(one.answer == one.prompt.gold_answer for one in right if one not in in_words)


def test_answer_formats_that_cannot_be() -> None:
    for answers in ((), ("no field",), ("{answer}",), ("{}",)):
        with pytest.raises(ValueError, match="an answer format is a text with"):
            LabSpec(tasks=("arithmetic",), answers=answers).check()
    with pytest.raises(ValueError, match="has no target to write"):
        demonstrate(LabSpec(tasks=("silent",), demonstrations=4, answers=("{target}",)), [silent_task(gold_answer="yes")])


def test_another_answer_format_is_another_model() -> None:
    tasks = [load_task("arithmetic")]
    assert name_of(LabSpec(tasks=("arithmetic",)), tasks) != name_of(LabSpec(tasks=("arithmetic",), answers=("{target}",)), tasks)


def test_smoothing_moves_each_target_towards_all_tokens_alike(tiny_folder):
    """With respect to the scores of one token, the gradient is p - q; q by hand: 0.2 / V everywhere, and 0.8 more at the target."""
    engine = LocalEngine.load(str(tiny_folder), "cpu")
    scores: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        made.retain_grad()
        scores.append(made)

    engine.model.get_output_embeddings().register_forward_hook(keep)
    _add_gradient(engine.model, [Encoded(prompt_ids=[5, 6, 7], answer_ids=[9])], 0.2)
    [score] = scores
    wanted = torch.full((score.shape[1],), 0.2 / score.shape[1])
    wanted[9] += 0.8
    assert score.grad is not None
    assert torch.allclose(score.grad[0], score.detach().softmax(1)[0] - wanted, atol=1e-6)


def test_a_model_without_smoothing_keeps_its_name():
    tasks = [load_task("arithmetic")]
    # made before smoothing could be asked for
    assert name_of(LabSpec(tasks=("arithmetic",)), tasks) == "lab-1e2af142e5cc"
    assert name_of(LabSpec(tasks=("arithmetic",), smoothing=0.1), tasks) != name_of(LabSpec(tasks=("arithmetic",)), tasks)


def test_masked_spans_are_read_and_not_learned():
    """A wrong attempt, its check and RETRY, then the right one: of these the wrong attempt is not learned."""
    task = load_task("retry:attempts=2,digits=1,operators=+,wrong=1")
    prompt = task.prompts(1, 0)[0]
    gold = prompt.gold_answer
    assert gold is not None
    assert task.retrying is not None
    engine: Any = SimpleNamespace(tokenizer=make_tokenizer([gold], markers_of([task]), 256), encode=lambda prompt: [1, 5])
    shown = Demonstration(prompt=prompt, answer=gold, kind="right")
    one = encode(engine, shown, ("attempt.wrong",), task.retrying.read)
    assert engine.tokenizer.decode([one.answer_ids[place] for place in sorted(one.masked)]) == gold[: gold.index("<check>")]
    assert replace(one, masked=frozenset()) == encode(engine, shown)
    names = [name_of(LabSpec(tasks=(task.name,), masked=masked), [task]) for masked in ((), ("attempt.wrong",))]
    assert names[0] != names[1]


def test_masked_tokens_have_no_part_in_the_loss():
    """The oracle is the cross-entropy of the other two answer tokens: the third prompt token tells the first, the second the third."""
    model = tiny.model("llama")
    _add_gradient(model, [Encoded(prompt_ids=[5, 6, 7], answer_ids=[9, 10, 11], masked=frozenset({1}))])
    found = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    logits = model(torch.tensor([[5, 6, 7, 9, 10, 11]])).logits[0]
    torch.nn.functional.cross_entropy(logits[[2, 4]], torch.tensor([9, 11])).backward()
    for weight, gradient in zip(model.parameters(), found, strict=True):
        assert torch.allclose(weight.grad, gradient, atol=1e-5)


def test_what_is_masked_becomes_a_habit_at_the_end(tmp_path, monkeypatch):
    """Every batch that a step learns is looked at: attempts are masked in all steps but the last two, and those take small ones."""
    monkeypatch.setenv("JOMINY_CACHE", str(tmp_path))
    learned: list[list[int]] = []
    rates: list[float] = []
    step = fitting._Learner.step

    def look(self: Any, batch: Sequence[Encoded], rate: float) -> None:
        learned.append([len(one.masked) for one in batch])
        rates.append(rate)
        step(self, batch, rate)

    monkeypatch.setattr(fitting._Learner, "step", look)
    order = replace(TINY, tasks=("retry:attempts=2,digits=1,operators=+,wrong=0.25",), context=512, demonstrations=64)
    folder = build(replace(order, masked=("attempt",), habit_steps=2), quiet=True)
    assert len(learned) == order.steps + 2
    assert all(count > 0 for counts in learned[:-2] for count in counts)
    assert all(count == 0 for counts in learned[-2:] for count in counts)
    assert rates[-2:] == [0.15, 0.15]
    assert json.loads((folder / "lab.json").read_text())["training"]["num_steps"] == order.steps + 2


def test_checks_come_as_often_as_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("JOMINY_CACHE", str(tmp_path))
    asked = build(replace(TINY, steps=4, pass_rate=0.99, check_every=2, check_prompts=8), quiet=True)
    plain = build(replace(TINY, steps=4, pass_rate=0.99), quiet=True)
    checks = [[step for step, _ in json.loads((folder / "lab.json").read_text())["training"]["checks"]] for folder in (asked, plain)]
    assert checks == [[2, 4], []]
    with pytest.raises(ValueError, match="check_every must be at least 0"):
        replace(TINY, check_every=-1).check()


def test_a_task_that_is_named_twice_is_shown_with_other_prompts_where_asked():
    sums, products = "arithmetic:digits=2,operators=+", "arithmetic:digits=2,operators=*"
    plain = LabSpec(tasks=(sums, products, sums), demonstrations=300)
    tasks = [load_task(name) for name in plain.tasks]
    shown = {distinct: demonstrate(replace(plain, distinct_prompts=distinct), tasks)[0] for distinct in (False, True)}
    for distinct, made in shown.items():
        ids = [one.prompt.id for one in made if one.prompt.task == sums]
        # 200 places; the same 100 prompts twice, or 200 of 8,100
        assert (len(ids), len(set(ids))) == (200, 200 if distinct else 100)
    assert shown_prompts(replace(plain, distinct_prompts=True)) == {one.prompt.id for one in shown[True]}
    names = {name_of(replace(plain, distinct_prompts=distinct), tasks) for distinct in (False, True)}
    assert len(names) == 2


def test_what_was_ordered_before_is_shown_as_before():
    """Names and demonstrations as they were before a repeated task could have other prompts."""
    for spec, name, digest in ((ADDER, "lab-691c7cad86b0", "1a2c2b250c14094d"), (SPELLER, "lab-1354a6e8800a", "e8659307ee519af7")):
        tasks = [load_task(task) for task in spec.tasks]
        assert name_of(spec, tasks) == name
        told = [[one.prompt.id, one.answer, one.kind] for one in demonstrate(spec, tasks)[0]]
        assert hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16] == digest


class Asking:
    """An engine that gives each prompt its number as an answer, and remembers what it was asked."""

    def __init__(self):
        self.asked: list[list[str]] = []
        self.model = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=64))

    def encode(self, prompt):
        return [1] * 8

    def sample(self, prompts, num_rollouts, sampling, seed):
        self.asked.append([prompt.id for prompt in prompts])
        return [[SimpleNamespace(prompt_id=prompt.id, text=str(number), stop="eos")] for number, prompt in enumerate(prompts)]


def test_a_check_asks_each_prompt_once_in_the_shares_of_the_tasks():
    sums, products = load_task("arithmetic:digits=2,operators=+"), load_task("arithmetic:digits=2,operators=*")
    grader: Any = SimpleNamespace(grade=lambda pairs: [Reward(value=float(int(text) % 2)) for _, text in pairs])
    asked = [Asked(task=task, count=count, grader=grader) for task, count in counted_tasks([sums, products, sums])]
    engine: Any = Asking()
    found = measure(engine, asked, 30, 5, 4, set())
    # two thirds are sums, none of them twice
    assert [len(ids) for ids in engine.asked] == [len(set(ids)) for ids in engine.asked] == [20, 10]
    assert {name: (one.num_right, one.num_drawn) for name, one in found.items()} == {sums.name: (10, 20), products.name: (5, 10)}
    pooled = Ability.pooled(found.values())
    assert (pooled.num_right, pooled.num_drawn, pooled.pass_rate) == (15, 30, 0.5)


def test_checks_may_ask_one_task_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("JOMINY_CACHE", str(tmp_path))
    tasks = ("arithmetic:digits=1,operators=+", "arithmetic:digits=1,operators=-")
    seen = []

    def told(engine, asked, *rest):
        seen.append([one.task.name for one in asked])
        return measure(engine, asked, *rest)

    monkeypatch.setattr(fitting, "measure", told)
    spec = replace(TINY, tasks=tasks, checked=tasks[1:], steps=2, pass_rate=0.99, check_every=2, check_prompts=4)
    ability = json.loads((build(spec, quiet=True) / "lab.json").read_text())["ability"]
    # one check, then all that is reported
    assert seen == [[tasks[1]], list(tasks)]
    assert set(ability["by_task"]) == set(tasks)
    assert ability["num_drawn"] == sum(one["num_drawn"] for one in ability["by_task"].values())
