"""The contamination measures: cuts, exact matches and ROUGE-L worked by hand and against brute force; intervals; the comparison."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from jominy.measures.contamination import (
    PERCENTS,
    Continued,
    common_words,
    cut,
    measure_contamination,
    rouge_l,
    says_exactly,
    without_common_ending,
)


def test_a_text_is_cut_at_the_last_end_of_a_word_within_the_share():
    text = "aaaa bb cccccc ddd e"  # 20 characters; words end at 4, 7, 14, 18, 20
    assert cut(text, 40) == ("aaaa bb", "cccccc ddd e")  # 8 characters: 7 fits, 14 does not
    assert cut(text, 60) == ("aaaa bb", "cccccc ddd e")  # 12
    assert cut(text, 80) == ("aaaa bb cccccc", "ddd e")  # 16
    assert cut("unbelievable yes", 40) == ("unbelievable", "yes")  # a word at least, though it is more than 40 %
    assert cut("one", 60) is None


def test_the_ending_that_all_prompts_share_is_no_question():
    asked = ["What is 2 + 2?\n\nPut it in a box.", "How many legs?\n\nPut it in a box."]
    assert without_common_ending(asked) == ["What is 2 + 2?", "How many legs?"]
    assert without_common_ending(["one and the same"] * 3) == ["one and the same"] * 3
    assert without_common_ending(["in a box", "not in a box"]) == ["in", "not in"]  # a word is always left


def test_exact_match_is_word_for_word():
    assert says_exactly("\n 9 +  4? It is 13", "9 + 4?")
    assert not says_exactly("9 + 4 ?", "9 + 4?")
    assert not says_exactly("9 +", "9 + 4?")
    assert not says_exactly("", "yes")


def brute_force_common(first: str, second: str) -> int:
    """The longest string of letters that can be struck out of both."""
    for length in range(min(len(first), len(second)), 0, -1):
        if set(combinations(first, length)) & set(combinations(second, length)):
            return length
    return 0


def test_longest_common_subsequence_against_all_subsequences():
    rng = np.random.default_rng(0)
    for _ in range(150):
        first, second = ("".join(rng.choice(list("abc"), size=rng.integers(0, 8))) for _ in range(2))
        assert common_words(list(first), list(second)) == brute_force_common(first, second), (first, second)


def test_rouge_l_by_hand():
    assert rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(0.75)  # LCS 3 of 4 and 4 (Lin 2004)
    assert rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(0.5)  # "the gunman": 2 of 4 and 4
    assert rouge_l("a b c d e f", "a b") == pytest.approx(0.5)  # precision 2/6, recall 2/2: 2 * 1/3 / (4/3)
    assert rouge_l("A, b!", "a b") == 1.0
    assert rouge_l("", "a") == rouge_l("a", "...") == 0.0


def test_rouge_l_like_the_package_of_that_name():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    for said, reference in (("the cat sat on it", "The cat is sitting on the mat."), ("x y", "y x"), ("a_b 3.5", "a b 3 5")):
        assert rouge_l(said, reference) == pytest.approx(scorer.score(reference, said)["rougeL"].fmeasure)


def continued(num_exact: int, num_right: int, num_prompts: int, num_ungraded: int = 0) -> Continued:
    right: list[bool | None] = [position < num_right for position in range(num_prompts - num_ungraded)]
    return Continued(
        said=["so it goes"] * num_exact + ["what else"] * (num_prompts - num_exact),
        follows=["so it goes"] * num_prompts,
        right=[*right, *([None] * num_ungraded)],
    )


def test_every_share_has_its_interval_and_what_was_left_out():
    own = dict.fromkeys(PERCENTS, continued(num_exact=8, num_right=0, num_prompts=32, num_ungraded=12))
    found = measure_contamination(own, own, fresh="", same_source=True)
    assert found.exact.value == 0.25
    assert found.exact.low is not None
    assert found.exact.high is not None
    assert 0.12 < found.exact.low < 0.14  # Wilson of 8 of 32: [0.133, 0.421]
    assert 0.41 < found.exact.high < 0.43
    assert (found.answers.num_prompts, found.answers.num_left_out) == (20, 12)
    assert found.answers.high == pytest.approx(1.959964**2 / (20 + 1.959964**2))  # none of 20
    assert {
        f"{which}{kind} at {p} %" for which in ("", "fresh ") for kind in ("exact match", "ROUGE-L", "answer accuracy") for p in PERCENTS
    } < {one.name for one in found.measures}


def test_the_comparison_with_fresh_prompts_by_hand():
    own, control = (dict.fromkeys(PERCENTS, continued(0, right, 30)) for right in (12, 3))
    found = measure_contamination(own, control, fresh="", same_source=False)
    error = math.sqrt((13 / 32) * (19 / 32) / 32 + (4 / 32) * (28 / 32) / 32)  # one right and one wrong added on each side
    assert found.excess.value == pytest.approx((0.4 - 0.1) / error)
    nothing = dict.fromkeys(PERCENTS, continued(0, 0, 30))
    assert measure_contamination(nothing, nothing, fresh="", same_source=False).excess.value == 0.0
    ungraded = dict.fromkeys(PERCENTS, continued(3, 0, 30, num_ungraded=30))
    assert measure_contamination(ungraded, own, fresh="", same_source=False).excess.value is None


def test_three_errors_are_rarely_passed_by_luck():
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(1000):
        sides = [Continued(said=["x"] * 32, follows=["y"] * 32, right=list(rng.random(32) < rate)) for rate in (0.1, 0.1)]
        excess = measure_contamination({60: sides[0]}, {60: sides[1]}, fresh="", same_source=False).excess
        assert excess.value is not None
        passed += excess.value > 3
    assert passed <= 5  # a normal passes with chance 0.0013, and the smoothed error is larger than the plain one
