"""Names, options and their errors; a user's own recipe; and the battery, which must also fail recipes that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from jominy.advice import RECIPES as ADVISED
from jominy.groups import Groups
from jominy.recipes.battery import CHECKS, check_recipe
from jominy.recipes.loading import RECIPES, USES, list_recipes, load_recipe
from jominy.recipes.recipe import Recipe
from jominy.recipes.weighting import SCORES


def test_every_name_that_is_advised_is_a_recipe_or_says_what_to_do():
    for name in ADVISED:
        assert (name in RECIPES) != (name in USES), name
    for name in USES:
        with pytest.raises(ValueError, match="is no recipe"):
            load_recipe(name)


def test_a_recipe_bears_the_name_that_makes_it_again():
    for text in ["dapo:clip_high=0.3,fill=off", "w_reinforce:lambda=0.2,divide=rows", "sft", *RECIPES]:
        assert load_recipe(text, 64).name == text
    assert [recipe.name for recipe in list_recipes()] == list(RECIPES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grp", "did you mean grpo"),
        ("", "no recipe ''"),
        ("grpo:clip=0.2", "no option 'clip'; did you mean clip_low"),
        ("grpo:clip_low", "has no value; write name=value"),
        ("grpo:clip_low=0.1,clip_low=0.2", "given twice"),
        ("grpo:clip_high=wide", "clip_high .or off. is a number, at least 0; got 'wide'"),
        ("grpo:clip_low=2", "from 0 to 1; got '2'"),
        ("grpo:clip_high=nan", "got 'nan'"),
        ("grpo:epsilon=inf", "got 'inf'"),
        ("grpo:ddof=2", "from 0 to 1"),
        ("grpo:ddof=0.5", "whole number"),
        ("grpo:divide=token", "tokens, rows, budget, sequences or segments; got 'token'"),
        ("grpo:kl=k1", "pure noise; use k1_reward, k2 or k3"),
        ("grpo:beta=0.04", "would do nothing here; add kl=k3"),
        ("grpo:weight_beta=1", "add weight=clarity"),
        ("grpo:w_norm=mean_1", "add weight=clarity"),
        ("grpo:weight=silhouette", "pass_rate, random, balanced or auroc; got 'silhouette'"),
        ("grpo:weight=clarity,weight_beta=1e3", "from 0 to 100; got '1e3'"),
        ("grpo:weight=clarity,w_norm=mean", "w_norm is none or mean_1; got 'mean'"),
        ("sft:weight=clarity", "no option 'weight'"),
        ("dr_grpo:ddof=0", "add scale=group"),
        ("rloo:clip_high=0.3", "add ratio=token"),
        ("grpo:dual=1.1", "must lie above 1 . clip_high"),
        ("dr_grpo", "divide=budget need the longest response; add max_tokens"),
        ("dapo", "overlong=off"),
        ("grpo:spans=+", "joined by"),
        ("grpo:credit_spans=", "joined by"),
        ("grpo:kl_spans=decision", "kl_spans=decision would do nothing here; add kl=k3"),
        ("grpo:kl_spans=balanced,kl=none", "would do nothing here; add kl=k3"),
        ("grpo:kl=k3,kl_spans=balanced+verdict", "is balanced, or kinds joined by"),
        ("grpo:spans=attempt,credit_spans=decision", "have no token in common"),
        ("grpo:spans=verdict,credit_spans=decision", "credit_spans=decision would do nothing here, for only spans=verdict train"),
        ("grpo:kl=k2,spans=attempt.right,kl_spans=attempt.wrong", "have no token in common"),
        ("grpo:kl=k2,spans=attempt+check,kl_spans=sampling+check", "kl_spans=sampling.check would do nothing"),
        ("grpo:kl=k2,spans=check+verdict,kl_spans=balanced", "which is one stage"),
        ("grpo:spans=decision,credit_spans=check+verdict", "credit_spans=check.verdict would do nothing here"),
        ("grpo:spans=sampling,credit_spans=attempt", "credit_spans=attempt would do nothing here"),
        ("grpo:kl=k2,spans=decision,kl_spans=verdict+check+attempt", "would do nothing here, for only spans=decision train"),
        ("grpo:kl=k3,kl_spans=balanced,divide=segments", "would do it twice; leave one of them out"),
        ("grpo:credit_spans=attempt.rigth", "is ever called 'attempt.rigth'; did you mean attempt.right"),
        ("sft:spans=check+verdict.accepted", "did you mean verdict.accept"),
        ("grpo:kl=k3,kl_spans=attempt.", "there is attempt, attempt.right, attempt.wrong"),
        ("grpo:credit_spans=decision.accept", "is ever called 'decision.accept'; there is decision$"),
        ("corrected:credit_spans=verdict", "would do nothing here"),
        ("corrected:success=1", "no option 'success'"),
        ("positive_only:baseline=mean", "no option 'baseline'"),
        ("sft:fill=off", "no option 'fill'"),
        ("grpo:lambda=1", "no option 'lambda'"),
        ("positive_only:lambda=1", "no option 'lambda'"),
        ("w_reinforce:lambda=-1", "lambda is a number, at least 0"),
        ("w_reinforce:lambda=1,lambda=2", "given twice"),
        ("w_reinforce:lamda=1", "no option 'lamda'"),
        ("no_such.py:thing", "no file no_such.py"),
        ("no.such.module:thing", "no module"),
        ("jominy.recipes.grpo:nothing", "has no 'nothing'"),
        ("jominy.recipes.grpo:SUMMARY", "is a str; a recipe is"),
        ("jominy.recipes.recipe:Recipe", "is a type; a recipe is"),
    ],
)
def test_errors_say_what_is_wrong_and_what_to_do(text, message):
    with pytest.raises(ValueError, match=message):
        load_recipe(text)


def test_options_reach_the_recipe():
    recipe = load_recipe("grpo:spans=attempt+verdict,fill=two_then_repeat,kl=k3")
    assert recipe.spans == ("attempt", "verdict")
    assert load_recipe("grpo:spans=attempt,verdict,kl=k3").spans == ("attempt", "verdict")
    assert load_recipe("grpo:spans=decision,credit_spans=verdict").credit_spans == ("verdict",)
    assert load_recipe("grpo:spans=plan.long+verdict.retry").spans == ("plan.long", "verdict.retry"), "words of one's own are free"
    assert (recipe.fill, recipe.needs_reference, recipe.zero_stays_zero) == ("two_then_repeat", True, False)
    plain = load_recipe("grpo")
    assert (plain.fill, plain.needs_reference, plain.zero_stays_zero, plain.source) == ("off", False, True, "rollouts")
    zero = np.zeros((1, 1))
    with pytest.raises(ValueError, match="starting policy"):
        recipe.weigh(zero, zero, None, zero, zero == 0)
    assert load_recipe("dr_grpo:max_tokens=2", max_tokens=64).divide(np.ones((1, 1), dtype=bool), np.zeros((1, 1), dtype=int)) == 0.5


def test_a_users_own_recipe(tmp_path):
    path = tmp_path / "my_recipes.py"
    path.write_text(
        "from dataclasses import replace\n"
        "from jominy.recipes.loading import load_recipe\n"
        "base = load_recipe('grpo')\n"
        "double = replace(base, name='double', credit=lambda groups: 2 * base.credit(groups))\n"
        "def make():\n    return double\n"
    )
    for name in ("double", "make"):
        recipe = load_recipe(f"{path}:{name}")
        np.testing.assert_allclose(recipe.credit(Groups.of(rewards=[[1, 0]])), 2 * load_recipe("grpo").credit(Groups.of(rewards=[[1, 0]])))
        assert all(check.passed is not False for check in check_recipe(recipe))
    with pytest.raises(ValueError, match=r"has no 'tripel'; it has base, double"):
        load_recipe(f"{path}:tripel")
    (tmp_path / "broken.py").write_text("1 +")
    with pytest.raises(ValueError, match="cannot be imported: SyntaxError"):
        load_recipe(f"{tmp_path}/broken.py:thing")


WEIGHTED = [f"grpo:weight={kind},w_norm=mean_1" for kind in SCORES]
OPTIONED = [
    *WEIGHTED,
    "grpo:kl=k1_reward",
    "dapo:kl=k3,dual=3",
    "gspo:truncated=drop,weight=fisher,scale=batch",
    "cispo:kl=k2,divide=segments",
    "grpo:credit_spans=decision,kl=k3,kl_spans=balanced",
    "gspo:spans=attempt+verdict,kl=k2,kl_spans=verdict",
    "dapo:kl=k1_reward,kl_spans=sampling",
    "corrected:spans=decision,divide=segments",
]


@pytest.mark.parametrize("text", [*RECIPES, *OPTIONED])
def test_every_recipe_passes_the_battery(text):
    checks = check_recipe(load_recipe(text, 64))
    assert [check.name for check in checks] == list(CHECKS)
    assert [check for check in checks if check.passed is False] == []


GRPO = load_recipe("grpo")
KL_SOMEWHERE = load_recipe("grpo:kl=k3,kl_spans=verdict")


def uncentred(groups: Groups) -> np.ndarray:
    return np.where(groups.scored_N, groups.rewards_N, 0.0)


def counts_the_unscored(groups: Groups) -> np.ndarray:
    return np.where(groups.scored_N, groups.rewards_N - groups.rewards_N.mean(), 0.0)


def by_position(groups: Groups) -> np.ndarray:
    return np.where(groups.scored_N, GRPO.credit(groups) * np.arange(groups.num_rollouts), 0.0)


BROKEN: dict[str, tuple[str, Callable[[], Recipe]]] = {
    "keeps unscored": ("keep is a subset", lambda: replace(GRPO, keep=lambda groups: np.ones(groups.num_rollouts, dtype=bool))),
    "credits unscored": ("0 without a reward", lambda: replace(GRPO, credit=lambda groups: np.ones(groups.num_rollouts))),
    "nan credit": ("advantages are finite", lambda: replace(GRPO, credit=lambda groups: np.full(groups.num_rollouts, np.nan))),
    "unscored in the mean": ("plays no part", lambda: replace(GRPO, credit=counts_the_unscored)),
    "order matters": ("any order", lambda: replace(GRPO, credit=by_position)),
    "constant groups train": ("constant groups", lambda: replace(GRPO, credit=uncentred)),
    "weighs padding": ("0 outside", lambda: replace(GRPO, weigh=lambda logp, old, ref, adv, inside, kl=None: adv)),
    "nan weights": (
        "weights are finite",
        lambda: replace(GRPO, weigh=lambda logp, old, ref, adv, inside, kl=None: np.where(inside, adv * np.nan, 0.0)),
    ),
    "mean over the batch": (
        "by itself",
        lambda: replace(GRPO, weigh=lambda logp, old, ref, adv, inside, kl=None: np.where(inside, adv / inside.sum(), 0.0)),
    ),
    "mean over the columns": (
        "padding changes no weight",
        lambda: replace(GRPO, weigh=lambda logp, old, ref, adv, inside, kl=None: np.where(inside, adv / inside.shape[1], 0.0)),
    ),
    "looks at one policy": (
        "depend on differences",
        lambda: replace(GRPO, weigh=lambda logp, old, ref, adv, inside, kl=None: np.where(inside, adv * np.exp(logp), 0.0)),
    ),
    "adds a bonus": (
        "0 gives weights of 0",
        lambda: replace(GRPO, weigh=lambda logp, old, ref, adv, inside, kl=None: np.where(inside, adv + 1.0, 0.0)),
    ),
    "wants a reference": (
        "no reference",
        lambda: replace(GRPO, weigh=lambda logp, old, ref, adv, inside, kl=None: np.where(inside, adv * (logp - ref), 0.0)),
    ),
    "ignores factors": (
        "factors scale the KL",
        lambda: replace(KL_SOMEWHERE, weigh=lambda logp, old, ref, adv, inside, kl=None: KL_SOMEWHERE.weigh(logp, old, ref, adv, inside)),
    ),
    "clips everything": ("clipped tokens", lambda: replace(GRPO, clipped=lambda logp, old, ref, adv, inside, kl=None: adv == adv)),
    "divides by nothing": ("the scale is finite", lambda: replace(GRPO, divide=lambda inside, segment: inside / 0.0)),
    "divides by the width": ("changes no scale", lambda: replace(GRPO, divide=lambda inside, segment: inside / inside.shape[1])),
    "wrong shape": ("the scale is finite", lambda: replace(GRPO, divide=lambda inside, segment: np.ones(3))),
    "crashes": ("advantages are finite", lambda: replace(GRPO, credit=lambda groups: groups.rewards_N + np.zeros(5))),
    "draws": ("two calls agree", lambda: replace(GRPO, credit=lambda groups: np.random.default_rng().normal(size=groups.num_rollouts))),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.filterwarnings("ignore:divide by zero|invalid value:RuntimeWarning")
def test_the_battery_fails_what_is_wrong(fault):
    name, make = BROKEN[fault]
    failed = [check.name for check in check_recipe(make()) if check.passed is False]
    assert any(name in one for one in failed), failed


def test_what_is_not_claimed_is_not_held_against_a_recipe():
    humble = replace(GRPO, constant_is_zero=False, zero_stays_zero=False, credit=uncentred)
    checks = {check.name: check.passed for check in check_recipe(humble)}
    assert checks["constant groups train nothing"] is None
    assert checks["an advantage of 0 gives weights of 0"] is None
    assert False not in checks.values()
