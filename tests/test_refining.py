"""The steps of `refine` on prompts made by hand, where every count is known."""

from collections import Counter

import pytest

from jominy.records import Message, Prompt
from jominy.refining.simplifying import (
    CUT,
    CUT_UNAUDITED,
    NEVER,
    NO_ROLLOUTS,
    NO_SCORES,
    NONE_LEFT,
    TWIN,
    UNCUT,
    Seen,
    count_step,
    count_types,
    keep_learnable,
    limit_soft,
    remove_types,
    seen_in,
)
from jominy.specs.refining import PilotSpec, RefineSpec, SimplifySpec
from jominy.tasks.rewriting import NO_SPAN


def made(name: str, *kinds: str, spans: bool = True, request: str | None = None) -> Prompt:
    """A prompt with a constraint for each of `kinds`, written `type/kind`."""
    text, constraints = request or f"Tell me about {name}.", []
    for asked in kinds:
        type, _, kind = asked.partition("/")
        said = f"Please {type}."
        constraints.append({"type": type, "params": {}, "text": said, "kind": kind, "truth": False})
        if spans:
            constraints[-1]["span"] = [len(text) + 1, len(text) + 1 + len(said)]
        text = f"{text} {said}"
    info = {"constraints": constraints} if kinds else {}
    return Prompt(id=name, task="mine", messages=(Message(role="user", content=text),), info=info)


def said(prompt: Prompt) -> str:
    return prompt.messages[-1].content


def test_a_prompt_stays_when_it_was_ever_rewarded_or_nobody_knows():
    prompts = [made("never", "a/hard", "b/soft"), made("once"), made("unscored"), made("absent"), made("half unscored", "a/hard")]
    seen = seen_in(
        ["never", "never", "once", "once", "unscored", "half unscored", "half unscored", "another"],
        [0.0, -1.0, 0.0, 0.25, None, None, 0.0, 1.0],
    )
    assert seen["half unscored"] == Seen(num_rollouts=2, num_scored=1, num_rewarded=0)
    found = keep_learnable(prompts, seen)
    assert [prompt.id for prompt in found.prompts] == ["once", "unscored", "absent"]
    assert {change.prompt_id: change.why for change in found.changes} == {
        "never": NEVER,
        "unscored": NO_SCORES,
        "absent": NO_ROLLOUTS,
        "half unscored": NEVER,
    }
    counted = count_step("learnability", prompts, found)
    assert (counted.num_in, counted.num_out, counted.num_rewritten) == (5, 3, 0)
    assert counted.reasons == {NEVER: 2, NO_SCORES: 1, NO_ROLLOUTS: 1}
    assert counted.types_gone == {"a": 2, "b": 1}


def test_types_are_cut_of_the_kinds_that_the_audited_one_pays():
    prompts = [made("both", "bad/soft", "good/soft"), made("only", "bad/soft"), made("hard", "bad/hard", "good/soft"), made("none")]
    found = remove_types(prompts, ["bad"])
    assert [said(prompt) for prompt in found.prompts] == [
        "Tell me about both. Please good.",
        "Tell me about hard. Please bad. Please good.",
        "Tell me about none.",
    ]
    assert [(change.prompt_id, change.why) for change in found.changes] == [("both", CUT), ("only", NONE_LEFT)]
    assert count_step("types", prompts, found).types_gone == {"bad": 2}
    every = remove_types(prompts, ["bad"], kinds=("hard", "soft"))
    assert said(every.prompts[1]) == "Tell me about hard. Please good."
    assert count_types(every.prompts) == Counter({("good", "soft"): 2})


def test_at_most_one_soft_constraint_stays_and_all_hard_ones():
    prompts = [
        made("three", "a/soft", "x/hard", "b/soft", "c/soft"),
        made("one", "a/soft", "x/hard"),
        made("no span", "a/soft", "b/soft", spans=False),
    ]
    found = limit_soft(prompts, 1, seed=0)
    kinds = [[constraint["kind"] for constraint in prompt.info["constraints"]] for prompt in found.prompts]
    assert sorted(kinds[0]) == ["hard", "soft"]
    assert kinds[1:] == [["soft", "hard"], ["soft", "soft"]]
    assert found.prompts[2] is prompts[2]
    assert {change.prompt_id: change.why for change in found.changes} == {"three": CUT, "no span": f"{UNCUT}{NO_SPAN}"}
    counted = count_step("soft", prompts, found)
    assert (counted.num_out, counted.num_rewritten, sum(counted.types_gone.values())) == (3, 1, 2)
    assert limit_soft(prompts, 3, seed=0).changes == ()


def test_the_draw_belongs_to_seed_and_prompt_and_takes_each_as_often():
    kept: Counter[str] = Counter()
    for seed in range(300):
        (alone,) = limit_soft([made("p", "a/soft", "b/soft", "c/soft")], 1, seed=seed).prompts
        kept[alone.info["constraints"][0]["type"]] += 1
    assert set(kept) == {"a", "b", "c"}
    assert all(60 < count < 140 for count in kept.values())  # 100 each, standard deviation 8.2
    among = limit_soft([made("q", "a/soft", "b/soft"), made("p", "a/soft", "b/soft", "c/soft")], 1, seed=5).prompts[1]
    assert among == limit_soft([made("p", "a/soft", "b/soft", "c/soft")], 1, seed=5).prompts[0]


def test_the_most_trusted_stays_and_a_type_nobody_audited_last():
    prompts = [made("known", "a/soft", "b/soft", "c/soft"), made("strange", "y/soft", "z/soft")]
    found = limit_soft(prompts, 1, seed=0, trust={"a": 0.2, "b": 0.7})
    assert said(found.prompts[0]) == "Tell me about known. Please b."
    assert [change.why for change in found.changes] == [CUT, CUT_UNAUDITED]
    two = limit_soft(prompts[:1], 2, seed=0, trust={"c": 0.1})
    assert said(two.prompts[0]) == "Tell me about known. Please a. Please c."


def test_none_left_and_twins_are_dropped_and_counted():
    only_soft = [made("p", "a/soft"), made("q", "a/soft", "x/hard")]
    found = limit_soft(only_soft, 0, seed=0)
    assert [said(prompt) for prompt in found.prompts] == ["Tell me about q. Please x."]
    assert [change.why for change in found.changes] == [NONE_LEFT, CUT]
    twins = [made("p", "x/hard", "a/soft", request="Name a bee."), made("q", "x/hard", "b/soft", request="Name a bee.")]
    merged = remove_types(twins, ["a", "b"])
    assert len(merged.prompts) == 1
    assert [change.why for change in merged.changes] == [CUT, TWIN]
    assert merged.changes[1].types == ("x", "b")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (RefineSpec(prompts=0), "--prompts must be at least 1"),
        (RefineSpec(drawing=PilotSpec(epochs=0)), "--epochs must be at least 1"),
        (RefineSpec(simplify=SimplifySpec(max_soft=-1)), "--max-soft must be at least 0"),
        (RefineSpec(simplify=SimplifySpec(min_precision=1.5)), "--min-precision is a share"),
        (RefineSpec(simplify=SimplifySpec(min_recall_false=0.5)), "--min-recall-false needs --audit"),
        (RefineSpec(simplify=SimplifySpec(keep_soft="trusted")), "--keep-soft trusted needs --audit"),
    ],
)
def test_a_field_that_cannot_be_is_named(spec, said):
    with pytest.raises(ValueError, match=said):
        spec.check()
