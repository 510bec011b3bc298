"""What every recipe must do, whoever wrote it: run by `jominy check my_recipes.py:thing` and on the recipes here by the tests.

    keep      a subset of the scored rollouts
    credit    finite; 0 where unscored; the unscored play no part; prompts may come in any order; constant groups give 0 where it is claimed
    weigh     finite; 0 outside; a row by itself, with padding or with its log-probabilities moved together weighs the same; 0 stays 0;
              factors of the KL, where it takes them: 1 is no factor, 0 is no KL
    clipped   bools inside
    divide    finite, not negative, 0 outside; padding plays no part

A recipe that crashes fails the check it crashed in. Left out on purpose: what its mean gradient equals, which only its author can claim
(the tests do it here, with the exact policy of `engines.tabular`), and torch against NumPy, for recipes know neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from jominy.engines import TokenFunction
from jominy.groups import Groups
from jominy.recipes.recipe import Array, Recipe
from jominy.records import Bools, Floats, Ints

CRASHES = (ArithmeticError, AssertionError, AttributeError, IndexError, KeyError, NameError, NotImplementedError, TypeError, ValueError)
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeCheck:
    """One thing that was checked.

    Example: RecipeCheck(name="a rollout without a reward plays no part", passed=False, detail="advantages of the others differ by 0.25")
    """

    name: str
    """What must hold."""
    passed: bool | None
    """Whether it does; None when the recipe does not claim it."""
    detail: str
    """The evidence."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Arguments of `weigh`.

    Example: Rows(logp_BT=..., old_BT=..., reference_BT=..., advantage_BT=..., inside_BT=...)
    """

    logp_BT: Array
    """[B, T] nats, under the policy that trains."""
    old_BT: Array
    """[B, T] nats, under the policy that drew."""
    reference_BT: Array
    """[B, T] nats, under the starting policy."""
    advantage_BT: Array
    """[B, T] the advantage of each token's rollout."""
    inside_BT: Array
    """[B, T] tokens that train."""
    kl_factors_BT: Array | None = None
    """[B, T] what the KL term of each token is multiplied by; None is 1 everywhere."""

    def through(self, function: TokenFunction) -> Array:
        """What the function makes of them; one that knows nothing of factors is called without."""
        arguments = (self.logp_BT, self.old_BT, self.reference_BT, self.advantage_BT, self.inside_BT)
        return function(*arguments) if self.kl_factors_BT is None else function(*arguments, self.kl_factors_BT)


def check_recipe(recipe: Recipe) -> list[RecipeCheck]:
    """The battery, in the order of the table above.

    >>> from jominy.recipes.loading import load_recipe
    >>> all(check.passed is not False for check in check_recipe(load_recipe("grpo")))
    True
    """
    return [_run(name, function, recipe) for name, function in CHECKS.items()]


def example_groups() -> Groups:
    """Four prompts of four: mixed, graded, all right, with unscored ones; every column that a recipe may ask for."""
    groups = Groups.of(
        rewards=[[1, 0, 0, 1], [0.25, 0.5, 1, 0], [1, 1, 1, 1], [1, None, 0, None]],
        probability=[[0.9, 0.5, 0.4, 0.7], [0.3, 0.35, 0.6, 0.2], [0.8, 0.7, 0.6, 0.5], [0.2, 0.5, 0.4, 0.5]],
    )
    return replace(
        groups,
        num_tokens_N=np.array([3, 5, 8, 2, 4, 4, 6, 7, 8, 2, 3, 5, 6, 8, 8, 1]),
        truncated_N=np.array([False, False, True, False, False, False, False, False, True, False, False, False, False, True, True, False]),
        repetitive_N=np.zeros(16, dtype=bool),
        prompt_ids=("a", "b", "c", "d"),
    )


def example_rows(seed: int = 0, num_rows: int = 6, length: int = 8) -> Rows:
    """Rows of 1 to `length` tokens whose ratios lie on both sides of the usual clips, with advantages of both signs and 0."""
    rng = np.random.default_rng(seed)
    old_BT = -rng.exponential(1.0, size=(num_rows, length))
    lengths_B = rng.integers(1, length + 1, size=num_rows)
    return Rows(
        logp_BT=old_BT + rng.normal(scale=0.4, size=old_BT.shape),
        old_BT=old_BT,
        reference_BT=old_BT + rng.normal(scale=0.4, size=old_BT.shape),
        advantage_BT=np.resize([1.5, -0.5, 0.0], num_rows)[:, None] * np.ones((1, length)),
        inside_BT=np.arange(length) < lengths_B[:, None],
    )


def rows_for(recipe: Recipe) -> Rows:
    """`example_rows` as this recipe takes them: with factors of the KL where its options make some."""
    rows = example_rows()
    return replace(rows, kl_factors_BT=_example_factors(rows)) if _takes_factors(recipe) else rows


def _takes_factors(recipe: Recipe) -> bool:
    return bool(recipe.kl_spans) or recipe.kl_balanced


def _example_factors(rows: Rows) -> Floats:
    """[B, T] factors of 0, 1 and more."""
    return np.resize([1.0, 0.0, 2.5], np.shape(rows.logp_BT))


def _run(name: str, function: Callable[[Recipe], tuple[bool | None, str]], recipe: Recipe) -> RecipeCheck:
    try:
        passed, detail = function(recipe)
    except CRASHES as error:
        passed, detail = False, f"{type(error).__name__}: {error}"
    return RecipeCheck(name=name, passed=passed, detail=detail)


def _difference(one: Array, other: Array) -> float:
    """Largest difference; infinite where shapes or NaNs differ."""
    if np.shape(one) != np.shape(other):
        return float("inf")
    return float(np.max(np.abs(np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)), initial=0.0))


def _keeps_scored(recipe: Recipe) -> tuple[bool, str]:
    groups = example_groups()
    kept_N = recipe.keep(groups)
    good = np.shape(kept_N) == (groups.num_rollouts,) and np.asarray(kept_N).dtype == np.bool_
    unscored = int(np.count_nonzero(kept_N & ~groups.scored_N)) if good else 0
    return good and unscored == 0, f"{np.count_nonzero(kept_N)} of {groups.num_rollouts} kept, {unscored} of them unscored"


def _credits_finitely(recipe: Recipe) -> tuple[bool, str]:
    groups = example_groups()
    advantages_N = recipe.credit(groups)
    good = np.shape(advantages_N) == (groups.num_rollouts,) and bool(np.isfinite(advantages_N).all())
    return good and bool((advantages_N[~groups.scored_N] == 0).all()), f"shape {np.shape(advantages_N)} for {groups.num_rollouts} rollouts"


def _ignores_unscored(recipe: Recipe) -> tuple[bool, str]:
    groups = example_groups()
    absurd = replace(groups, rewards_N=np.where(groups.scored_N, groups.rewards_N, 1e6))
    difference = _difference(recipe.credit(absurd), recipe.credit(groups))
    without = _difference(recipe.credit(groups.only(groups.scored_N)), recipe.credit(groups)[groups.scored_N])
    return max(difference, without) <= TOLERANCE, f"advantages differ by {max(difference, without):.2g} when they are changed or left out"


def _ignores_order(recipe: Recipe) -> tuple[bool, str]:
    groups = example_groups()
    order_N = np.arange(groups.num_rollouts).reshape(4, 4)[::-1, ::-1].ravel()
    turned = _reordered(groups, order_N)
    difference = _difference(recipe.credit(turned), recipe.credit(groups)[order_N])
    same = bool((recipe.keep(turned) == recipe.keep(groups)[order_N]).all())
    return difference <= TOLERANCE and same, f"advantages differ by {difference:.2g} when prompts and rollouts come in another order"


def _reordered(groups: Groups, order_N: Ints) -> Groups:
    """The same groups, all of one size, in another order."""
    assert groups.probability_N is not None
    assert groups.truncated_N is not None
    assert groups.num_tokens_N is not None
    return replace(
        groups,
        rewards_N=groups.rewards_N[order_N],
        scored_N=groups.scored_N[order_N],
        correct_N=groups.correct_N[order_N],
        probability_N=groups.probability_N[order_N],
        truncated_N=groups.truncated_N[order_N],
        num_tokens_N=groups.num_tokens_N[order_N],
        prompt_ids=None,
    )


def _constant_groups(recipe: Recipe) -> tuple[bool | None, str]:
    if not recipe.constant_is_zero:
        return None, "not claimed"
    # Three times 0.1 have a mean of 0.10000000000000002: what is left of the first group must be 0 all the same.
    rewards_N = np.array([0.1] * 3 + [1.0] * 13)
    groups = replace(
        example_groups(),
        offsets_P1=np.array([0, 3, 16]),
        scored_N=np.ones(16, dtype=bool),
        rewards_N=rewards_N,
        correct_N=rewards_N >= 1,
        prompt_ids=None,
    )
    trained_N = np.where(recipe.keep(groups), recipe.credit(groups), 0.0)
    return bool((trained_N == 0).all()), f"largest advantage {np.abs(trained_N).max():.2g} in groups whose rewards are all equal"


def _weighs_finitely(recipe: Recipe) -> tuple[bool, str]:
    rows = rows_for(recipe)
    weights_BT = rows.through(recipe.weigh)
    good = np.shape(weights_BT) == np.shape(rows.logp_BT) and bool(np.isfinite(weights_BT).all())
    return good and bool((weights_BT[~rows.inside_BT] == 0).all()), f"shape {np.shape(weights_BT)} for {np.shape(rows.logp_BT)}"


def _weighs_rows_alone(recipe: Recipe) -> tuple[bool, str]:
    rows = rows_for(recipe)
    together_BT = rows.through(recipe.weigh)
    single = [_only_row(rows, b).through(recipe.weigh) for b in range(len(together_BT))]
    difference = _difference(np.concatenate(single), together_BT)
    return difference <= TOLERANCE, f"weights differ by {difference:.2g} when every row comes by itself"


def _only_row(rows: Rows, row: int) -> Rows:
    return Rows(
        logp_BT=rows.logp_BT[row : row + 1],
        old_BT=rows.old_BT[row : row + 1],
        reference_BT=rows.reference_BT[row : row + 1],
        advantage_BT=rows.advantage_BT[row : row + 1],
        inside_BT=rows.inside_BT[row : row + 1],
        kl_factors_BT=None if rows.kl_factors_BT is None else rows.kl_factors_BT[row : row + 1],
    )


def _ignores_padding(recipe: Recipe) -> tuple[bool, str]:
    rows = rows_for(recipe)
    length = rows.logp_BT.shape[1]
    padded = Rows(
        logp_BT=_padded(np.where(rows.inside_BT, rows.logp_BT, -3.0), -7.0),
        old_BT=_padded(np.where(rows.inside_BT, rows.old_BT, 5.0), 2.0),
        reference_BT=_padded(np.where(rows.inside_BT, rows.reference_BT, -np.inf), np.nan),
        advantage_BT=_padded(rows.advantage_BT, 4.0),
        inside_BT=_padded(rows.inside_BT, False),
        kl_factors_BT=None if rows.kl_factors_BT is None else _padded(np.where(rows.inside_BT, rows.kl_factors_BT, np.nan), np.inf),
    )
    weights_BT = padded.through(recipe.weigh)
    difference = max(_difference(weights_BT[:, :length], rows.through(recipe.weigh)), _difference(weights_BT[:, length:], np.zeros((6, 3))))
    return difference <= TOLERANCE, f"weights differ by {difference:.2g} with three more columns and nonsense outside the tokens"


def _padded(values_BT: Array, fill: float) -> Array:
    return np.concatenate([values_BT, np.full((len(values_BT), 3), fill, dtype=values_BT.dtype)], axis=1)


def _ignores_shifts(recipe: Recipe) -> tuple[bool, str]:
    rows = rows_for(recipe)
    shift_BT = np.linspace(-2.0, 2.0, rows.logp_BT.size).reshape(rows.logp_BT.shape)
    shifted = replace(rows, logp_BT=rows.logp_BT + shift_BT, old_BT=rows.old_BT + shift_BT, reference_BT=rows.reference_BT + shift_BT)
    difference = _difference(shifted.through(recipe.weigh), rows.through(recipe.weigh))
    return difference <= TOLERANCE, f"weights differ by {difference:.2g} when all log-probabilities of a token move together"


def _factors_scale_the_kl(recipe: Recipe) -> tuple[bool | None, str]:
    if not _takes_factors(recipe):
        return None, "it takes none"
    plain = example_rows()
    ones, zeros = (replace(plain, kl_factors_BT=np.full(plain.inside_BT.shape, factor)) for factor in (1.0, 0.0))
    same = _difference(ones.through(recipe.weigh), plain.through(recipe.weigh))
    elsewhere = replace(zeros, reference_BT=plain.reference_BT - 0.5)
    left = _difference(elsewhere.through(recipe.weigh), zeros.through(recipe.weigh))
    detail = f"weights differ by {same:.2g} with factors of 1, and by {left:.2g} with factors of 0 and another starting policy"
    return max(same, left) <= TOLERANCE, detail


def _zero_stays_zero(recipe: Recipe) -> tuple[bool | None, str]:
    if not recipe.zero_stays_zero:
        return None, "not claimed"
    rows = example_rows()
    weights_BT = replace(rows, advantage_BT=np.zeros_like(rows.advantage_BT)).through(recipe.weigh)
    return bool((weights_BT == 0).all()), f"largest weight {np.abs(weights_BT).max():.2g} where all advantages are 0"


def _needs_no_reference(recipe: Recipe) -> tuple[bool | None, str]:
    if recipe.needs_reference:
        return None, "the recipe needs a reference"
    rows = example_rows()
    difference = _difference(replace(rows, reference_BT=None).through(recipe.weigh), rows.through(recipe.weigh))
    return difference <= TOLERANCE, f"weights differ by {difference:.2g} when no reference is given"


def _marks_clipped(recipe: Recipe) -> tuple[bool | None, str]:
    if recipe.clipped is None:
        return None, "there is no clip"
    rows = example_rows()
    clipped_BT = rows.through(recipe.clipped)
    good = np.shape(clipped_BT) == np.shape(rows.logp_BT) and np.asarray(clipped_BT).dtype == np.bool_
    return good and not bool((clipped_BT & ~rows.inside_BT).any()), f"{np.count_nonzero(clipped_BT)} tokens clipped"


def _divides(recipe: Recipe) -> tuple[bool, str]:
    inside_NT, segment_NT = _example_layout()
    scale_NT = recipe.divide(inside_NT, segment_NT)
    good = np.shape(scale_NT) == inside_NT.shape and bool(np.isfinite(scale_NT).all()) and bool((scale_NT >= 0).all())
    return good and bool((scale_NT[~inside_NT] == 0).all()) and bool((scale_NT[inside_NT] > 0).all()), f"shape {np.shape(scale_NT)}"


def _divides_padded(recipe: Recipe) -> tuple[bool, str]:
    inside_NT, segment_NT = _example_layout()
    padded_NT = recipe.divide(_padded(inside_NT, False), _padded(segment_NT, 2))
    difference = _difference(padded_NT[:, : inside_NT.shape[1]], recipe.divide(inside_NT, segment_NT))
    return difference <= TOLERANCE, f"the scale differs by {difference:.2g} with three more columns"


def _example_layout() -> tuple[Bools, Ints]:
    inside_NT: Bools = example_rows().inside_BT
    return inside_NT, np.where(np.arange(inside_NT.shape[1]) < 3, 1, 2) * inside_NT


def _is_pure(recipe: Recipe) -> tuple[bool, str]:
    def all_parts() -> list[Floats]:
        groups, rows = example_groups(), example_rows()
        return [recipe.keep(groups), recipe.credit(groups), rows.through(recipe.weigh), recipe.divide(*_example_layout())]

    same = all(np.array_equal(one, two) for one, two in zip(all_parts(), all_parts(), strict=True))
    return same, "two calls of every part compared"


CHECKS: dict[str, Callable[[Recipe], tuple[bool | None, str]]] = {
    "keep is a subset of the scored rollouts": _keeps_scored,
    "advantages are finite, and 0 without a reward": _credits_finitely,
    "a rollout without a reward plays no part": _ignores_unscored,
    "prompts and rollouts may come in any order": _ignores_order,
    "constant groups train nothing": _constant_groups,
    "weights are finite, and 0 outside the tokens": _weighs_finitely,
    "each row is weighed by itself": _weighs_rows_alone,
    "padding changes no weight": _ignores_padding,
    "weights depend on differences of log-probabilities": _ignores_shifts,
    "factors scale the KL": _factors_scale_the_kl,
    "an advantage of 0 gives weights of 0": _zero_stays_zero,
    "no reference is needed": _needs_no_reference,
    "clipped tokens are tokens": _marks_clipped,
    "the scale is finite, not negative, and 0 outside": _divides,
    "padding changes no scale": _divides_padded,
    "two calls agree": _is_pure,
}
"""What must hold -> how it is checked: (passed, evidence)."""
