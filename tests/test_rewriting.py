"""Constraints cut out of prompts: all else stays exact, and what cannot be cut is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jominy.records import Message, Prompt
from jominy.rewards.constraints import grade
from jominy.tasks.constraints import make
from jominy.tasks.identity import identify
from jominy.tasks.renderings import lay_out
from jominy.tasks.rewriting import NO_SPAN, NOTHING_LEFT, OTHER_TEXT, PART, SHARED, CannotCut, without

WORDS = st.lists(st.sampled_from(["sing", "loud", "über", "bee", "b7", "日本", "e\u0301", "\U0001f41d"]), min_size=1, max_size=4)
SENTENCES = st.builds(lambda words, end: " ".join(words) + end, WORDS, st.sampled_from([".", "!", "?", '."', ".**"]))
GAPS = st.sampled_from([" ", "  ", "\n", "\n\n", "\n- ", " \n* "])


def prompt_of(text: str, constraints: list[dict[str, object]], **fields: object) -> Prompt:
    return Prompt(id="given", task="mine", messages=(Message(role="user", content=text),), info={"constraints": constraints, **fields})


def constraint(text: str, whole: str, *, type: str = "no_commas", kind: str = "soft") -> dict[str, object]:
    start = whole.index(text)
    return {"type": type, "params": {}, "text": text, "kind": kind, "span": [start, start + len(text)], "truth": True}


def cut(text: str, said: str, *others: str) -> str:
    """What is left of a text without `said`; the other constraints must still be where they say."""
    prompt = prompt_of(text, [constraint(each, text, type=f"type {at}") for at, each in enumerate([said, *(others or (text[:1],))])])
    found = without(prompt, [0])
    for one in found.info["constraints"]:
        start, end = one["span"]
        assert found.messages[-1].content[start:end] == one["text"]
    return found.messages[-1].content


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_cutting_leaves_every_other_constraint_and_character_exact(data):
    pieces = data.draw(st.lists(SENTENCES, min_size=3, max_size=7))
    gaps = data.draw(st.lists(GAPS, min_size=len(pieces) - 1, max_size=len(pieces) - 1))
    text, spans = pieces[0], [(0, len(pieces[0]))]
    for gap, piece in zip(gaps, pieces[1:], strict=True):
        spans.append((len(text) + len(gap), len(text) + len(gap) + len(piece)))
        text += gap + piece
    asked = [{"type": f"type {at}", "text": pieces[at], "kind": "soft", "span": list(spans[at])} for at in range(1, len(pieces))]
    order = data.draw(st.permutations(asked))  # the list need not be in the order of the text
    places = data.draw(st.sets(st.integers(0, len(order) - 1), min_size=1, max_size=len(order) - 1))
    found = without(prompt_of(text, order), places)
    left = found.messages[-1].content
    kept = [one for place, one in enumerate(order) if place not in places]
    assert [one["type"] for one in found.info["constraints"]] == [one["type"] for one in kept]
    for one in found.info["constraints"]:
        start, end = one["span"]
        assert left[start:end] == one["text"]
    # what is left, blanks and item marks aside, is the request and the kept pieces in the order of the text
    kept_types = {one["type"] for one in kept}
    expected = [pieces[0], *(pieces[at] for at in range(1, len(pieces)) if f"type {at}" in kept_types)]
    assert [word for word in left.split() if word not in ("-", "*")] == " ".join(expected).split()
    assert left == left.strip()
    assert found.id != "given"
    assert found.info["refined_from"] == "given"


@pytest.mark.parametrize("rendering", ["rendering=hard", "rendering=mixed", "rendering=soft"])
def test_a_prompt_of_ours_is_what_it_would_have_been_without_them(rendering):
    """Oracle: the message laid out from the texts that stay; and gold and wrong answers that the reward tells apart."""
    task = make(rendering)
    several = [prompt for prompt in task.prompts(150, 3) if len(prompt.info["constraints"]) > 1]
    assert len(several) > 20
    for prompt in several:
        constraints = prompt.info["constraints"]
        in_text = [place for place, _ in sorted(enumerate(constraints), key=lambda pair: pair[1]["span"])]
        for place in range(len(constraints)):
            found = without(prompt, [place])
            texts = [constraints[other]["text"] for other in in_text if other != place]
            message, _ = lay_out(prompt.info["base"], texts, [False] * len(texts))
            assert found.messages[-1].content == message
            assert found.info["types"] == [one["type"] for one in found.info["constraints"]]
            assert grade(found, found.gold_answer or "").value == 1.0
            assert grade(found, found.wrong_answer or "").value == 0.0
            assert found.info["broken"] in found.info["types"]


def test_ids_are_those_of_the_words_and_of_what_hides_behind_them():
    prompt = next(p for p in make("rendering=hard").prompts(50, 0) if len(p.info["constraints"]) == 2)
    found = without(prompt, [0])
    assert found.id == identify("constraints", found.messages, None)  # the id that the task itself gives these words
    text = "Name a bee. Be brief. Sing."
    one = prompt_of(text, [constraint("Be brief.", text), constraint("Sing.", text, type="sentences")])
    other = prompt_of(text, [constraint("Be brief.", text), constraint("Sing.", text, type="title")])
    assert without(one, [0]).messages == without(other, [0]).messages
    assert without(one, [0]).id != without(other, [0]).id


def test_gaps_lists_and_scripts_read_as_if_it_had_never_stood_there():
    assert cut("Name a bee. Be brief. Sing.", "Be brief.", "Sing.") == "Name a bee. Sing."
    assert cut("Name a bee.\n\nBe brief. Sing.\n\nBye.", "Sing.", "Be brief.") == "Name a bee.\n\nBe brief.\n\nBye."
    assert cut("Name a bee.\n\nBe brief. Sing.", "Be brief.", "Sing.") == "Name a bee.\n\nSing."
    assert cut("Rules:\n- Be brief.\n- No commas\n- Sing.", "No commas", "Sing.") == "Rules:\n- Be brief.\n- Sing."
    assert cut("Be brief. Name a bee.", "Be brief.", "Name a bee.") == "Name a bee."
    assert cut("写一首诗。要短。不要逗号。", "要短。", "不要逗号。") == "写一首诗。不要逗号。"
    assert cut('End with "The end." Be brief.\n', "Be brief.", 'End with "The end."') == 'End with "The end."\n'


@pytest.mark.parametrize(
    ("text", "said", "other", "why"),
    [
        ("Write a poem of 3 lines about bees. Sing.", "3 lines", "Sing.", PART),
        ("1. Be brief.\n2. Sing.", "Be brief.", "Sing.", PART),
        ("Name a bee. Be brief, and sing.", "Be brief, and sing.", "Be brief, and sing.", SHARED),
        ("Be brief.", "Be brief.", None, NOTHING_LEFT),
    ],
)
def test_what_cannot_be_cut_is_refused_with_the_reason(text, said, other, why):
    second: dict[str, object] = constraint(other, text) if other is not None else {"type": "b", "text": "Sing.", "span": None}
    with pytest.raises(CannotCut, match=f"^{why}$"):
        without(prompt_of(text, [constraint(said, text), second]), [0])


@pytest.mark.parametrize(
    ("span", "why"),
    [(None, NO_SPAN), ([1], NO_SPAN), (["0", "4"], NO_SPAN), ([0, 99], OTHER_TEXT), ([0, 4], OTHER_TEXT), ([9, 3], OTHER_TEXT)],
)
def test_spans_that_do_not_hold_the_text_are_refused(span, why):
    wrong = {"type": "a", "text": "Be brief.", "span": span}
    with pytest.raises(CannotCut, match=f"^{why}$"):
        without(prompt_of("Name a bee. Be brief.", [wrong, {"type": "b", "text": "Name", "span": None}]), [0])


def test_a_wrong_answer_that_breaks_nothing_any_more_goes():
    text = "Name a bee. Use no commas. Use no digits."
    asked = [constraint("Use no commas.", text, kind="hard"), constraint("Use no digits.", text, type="no_digits", kind="hard")]
    prompt = Prompt(id="a", task="t", messages=(Message(role="user", content=text),), wrong_answer="a, b", info={"constraints": asked})
    assert without(prompt, [0]).wrong_answer is None
    assert without(prompt, [1]).wrong_answer == "a, b"
