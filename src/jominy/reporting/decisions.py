"""Solving and deciding, for the page: what the template and the script need of the record under `decisions` of `explanation.json`.

    decision tables before and after · credit by objective as bars · the square of sampler and decider · the bank · responses taken apart

Left out on purpose: any number that is not in that record (a `decided.Decided`), and the drawing of single tokens, which the script does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jominy.decided import TITLES
from jominy.explanation import signed, signed_interval
from jominy.formatting import brief, number, unit_sign
from jominy.reporting.bars import Series, draw_bars
from jominy.reporting.figures import GREEN, GREY

Record = Mapping[str, Any]

MASSES = ("per_token_ratio", "mass_share", "verdict_share", "token_share", "sampling", "decision", "verdict")
"""Fields of `Masses` that are measures, in the order of the table."""
CELLS = ("on_accept", "on_retry", "right_accept", "right_retry", "wrong_accept", "wrong_retry")
CONTRASTS = ("right_contrast", "wrong_contrast", "attempt_contrast")
CLIPS = ("clipped_sampling", "clipped_decision")
"""Fields of `Attribution`, likewise."""
OF_BANK = ("accept_right", "accept_wrong", "reject_right", "balanced", "youden", "d_prime")
"""Fields of `DecisionRates` that a bank of states shows."""
PARTS = ("total", "sampling", "decision")
"""Fields of `Swap` that are gains."""


def decisions_section(decided: Record) -> dict[str, Any]:
    """What the template needs.

    Args:
        decided: a checked `decided.Decided` as a dictionary.
    """
    credits, swap, bank = _lines(decided["credits"]), decided["swap"], decided["bank"]
    plots = [*([_ratios(credits), _shares(credits), _contrasts(credits)] if credits else []), _gain(swap, decided["why_no_swap"])]
    return {
        "record": decided,
        "about": _about(decided),
        "sections": [
            {"title": TITLES.get(section["name"], f"Decisions about {section['name']}"), "changes": section["changes"]}
            for section in decided["sections"]
            if section["changes"]
        ],
        "broken": [problem for problem in decided["problems"] if problem["name"]],
        "plots": [{**plot, "id": f"decisions-{position}"} for position, plot in enumerate(plots)],
        "objectives": _names(credits),
        "by_objective": _by_objective(credits),
        "gradients": [row for row in map(_gradient_row, credits) if row is not None],
        "shares": [*decided["value_shares"], *([decided["credit_share"]["decision"]] if decided["credit_share"] is not None else [])],
        "split": [] if swap is None else [_split_row(name, swap) for name in (*PARTS, "decision_share")],
        "of_bank": [] if bank is None else _bank_rows(bank),
        "notes": [*decided["notes"], *(f"{one['objective']}: {note}" for one in credits for note in one["notes"])],
    }


def exhibit_rows(decided: Record) -> list[dict[str, Any]]:
    """The responses that the script takes apart, as its JSON holds them."""
    return [dict(exhibit) for exhibit in decided.get("exhibits", ())]


def shown(measure: Record) -> str:
    """A measure with its interval where it has one, or why there is none.

    >>> shown({"value": 0.5, "low": 0.25, "high": 0.75, "unit": "share"})
    '50.0 % [25.0, 75.0]'
    """
    if measure["value"] is None:
        return f"undefined: {measure['why_none']}"
    sizes = measure["unit"] == "coefficient"
    value, low, high = (
        None if measure[end] is None else _size(measure[end]) if sizes else number(measure[end], measure["unit"])
        for end in ("value", "low", "high")
    )
    unit = "" if sizes else unit_sign(measure["unit"])
    bounds = "" if low is None or high is None else f"[{low}, {high}]"
    return " ".join(filter(None, (value, unit, bounds)))


def _size(value: float) -> str:
    """A coefficient, which may be far below a thousandth."""
    return brief(value).replace("-", "−")


def _about(decided: Record) -> str:
    """What was read, in a sentence."""
    source = decided["source"]
    sides = f"{source.get('before_policy')} against {source.get('after_policy')}"
    if source.get("before_policy") is None:
        sides = str(source.get("after_policy"))
    counts = [decided["num_rollouts_before"], decided["num_rollouts_after"]]
    responses = " and ".join(f"{count:,}" for count in counts if count is not None)
    limit = f"at most {decided['num_attempts']} attempts each" if not decided["why_no_limit"] else "any number of attempts"
    return (
        f"{sides}: {responses} responses to {decided['num_prompts']:,} prompts of {source.get('task')}, "
        f"{limit}, told apart by reader {source.get('reader')}."
    )


def _lines(credits: Sequence[Record]) -> list[Record]:
    """The objectives, each followed by its parts under names of their own."""
    return [
        line for one in credits for line in (one, *({**part, "objective": f"{one['objective']}, {part['part']}"} for part in one["parts"]))
    ]


def _names(credits: Sequence[Record]) -> list[str]:
    return [one["objective"] for one in credits]


def _card(
    title: str,
    meaning: str,
    rows: Sequence[str],
    series: Sequence[Series],
    first: str,
    x_title: str,
    *,
    guide: float = 0.0,
    percent: bool = False,
) -> dict[str, Any]:
    """A plot with its numbers; not drawn where nothing is defined."""
    measures = [measure for one in series for measure in one.measures]
    drawn = any(measure["value"] is not None for measure in measures)
    reasons = dict.fromkeys(measure["why_none"] for measure in measures)
    return {
        "title": title,
        "meaning": meaning,
        "figure": draw_bars(rows, series, x_title, guide=guide, percent=percent) if drawn else None,
        "header": [first, *(one.name for one in series)],
        "numbers": [[name, *(shown(one.measures[place]) for one in series)] for place, name in enumerate(rows)],
        "missing": [] if drawn else [reason for reason in reasons if reason],
    }


def _ratios(credits: Sequence[Record]) -> dict[str, Any]:
    measures = [one["attribution"]["masses"]["per_token_ratio"] for one in credits]
    return _card(
        "A decision token against a sampling token",
        "Mean size of a decision token's coefficient over that of a sampling token, each response against itself. At 1 both stages get the "
        "same a token; that alone does not say that an objective teaches deciding.",
        _names(credits),
        [Series(name="per-token ratio", measures=measures)],
        "objective",
        "per-token ratio",
        guide=1.0,
    )


def _shares(credits: Sequence[Record]) -> dict[str, Any]:
    masses = [one["attribution"]["masses"] for one in credits]
    return _card(
        "Share of the coefficients on decisions",
        "Decision tokens' part of the size of all coefficients, beside their part of the tokens: equal where nothing but length counts.",
        _names(credits),
        [
            Series(name="share of |c|", measures=[one["mass_share"] for one in masses]),
            Series(name="share of tokens", measures=[one["token_share"] for one in masses], colour=GREY, pattern="/"),
        ],
        "objective",
        "share on decision tokens",
        percent=True,
    )


def _contrasts(credits: Sequence[Record]) -> dict[str, Any]:
    found = [one["attribution"] for one in credits]
    return _card(
        "Does the coefficient know the outcome?",
        "Mean coefficient of a verdict, in units of the objective's mean size: on right attempts that of accepting minus that of "
        "retrying, on wrong ones the other way round. "
        "Above 0 it teaches the right decision; at 0 it knows no outcome, however large it is.",
        _names(credits),
        [
            Series(name="right: accept − retry", measures=[one["right_contrast"] for one in found]),
            Series(name="wrong: retry − accept", measures=[one["wrong_contrast"] for one in found], colour=GREEN, pattern="/"),
        ],
        "objective",
        "contrast of coefficients",
    )


def _gain(swap: Record | None, why_no_swap: str) -> dict[str, Any]:
    title = "Whose gain it is"
    meaning = (
        "The gain in accuracy, split between attempts and decisions by letting one policy write and the other decide (Shapley's split of "
        "two players), and what a closed form makes of measured chances that takes all attempts and prompts to be "
        "alike, and no response to break off."
    )
    if swap is None:
        return {"title": title, "meaning": meaning, "figure": None, "header": [], "numbers": [], "missing": [why_no_swap]}
    return _card(
        title,
        meaning,
        [swap["measured"][name]["name"] for name in PARTS],
        [
            Series(name="measured", measures=[swap["measured"][name] for name in PARTS]),
            Series(name="closed form", measures=[swap["analytic"][name] for name in PARTS], colour=GREY, pattern="/"),
        ],
        "part",
        "gain in accuracy",
        percent=True,
    )


def _split_row(name: str, swap: Record) -> list[str]:
    """Name, measured, by the closed form; gains with their sign and in points."""
    cells = []
    for kind in ("measured", "analytic"):
        measure = swap[kind][name]
        gain = name != "decision_share" and measure["value"] is not None
        cells.append(f"{signed(measure['value'], measure['unit'])} points {signed_interval(measure)}" if gain else shown(measure))
    return [swap["measured"][name]["name"], *cells]


def _by_objective(credits: Sequence[Record]) -> list[tuple[str, str, list[str]]]:
    """(measure, its meaning, value for each objective) of everything that is known of the coefficients."""
    if not credits:
        return []
    columns = [_measures_of(one) for one in credits]
    rows = [(column[0]["name"], column[0]["meaning"], [shown(measure) for measure in column]) for column in zip(*columns, strict=True)]
    counts = {
        "responses counted": [one["num_rollouts"] for one in credits],
        "of these trained on": [one["num_kept"] for one in credits],
        "of these with coefficients of 0 only": [one["attribution"]["masses"]["num_zero"] for one in credits],
        "responses without a token of a stage": [one["attribution"]["masses"]["num_empty"] for one in credits],
        "decisions that no token says": [one["attribution"]["num_without_verdict"] for one in credits],
    }
    return [*rows, *((name, "", [f"{count:,}" for count in found]) for name, found in counts.items())]


def _measures_of(credited: Record) -> list[Record]:
    attribution = credited["attribution"]
    return [
        *(attribution["masses"][name] for name in MASSES),
        *(attribution[name] for name in (*CELLS, *CONTRASTS, *CLIPS)),
    ]


def _gradient_row(credited: Record) -> list[str] | None:
    """Objective, share at the logits, then of the gradient of the parameters; None without `--gradients`."""
    logits, gradient = credited["logits"], credited["gradient"]
    if logits is None and gradient is None:
        return None
    at_logits = "–" if logits is None else shown(logits["mass_share"])
    if gradient is None:
        return [credited["objective"], at_logits, f"not there: {credited['why_no_gradient']}", *["–"] * 5]
    found = [gradient[name] for name in ("share_decision", "signal_share_decision")]
    shares = ["–" if share is None else f"{number(share, 'share')} %" for share in found]
    rest = [number(gradient[name]) for name in ("cosine", "snr_sampling", "snr_decision")]
    return [credited["objective"], at_logits, *shares, *rest, f"{gradient['num_batches']:,}"]


def _bank_rows(bank: Record) -> list[tuple[str, str, str, str, str]]:
    """(measure, its meaning, before, after, the paired difference)."""
    moved = {change["name"]: change["difference"] for change in bank["changes"]}
    pairs = [(bank["before"]["rates"][name], bank["after"]["rates"][name]) for name in OF_BANK]
    pairs += [(bank["before"][name], bank["after"][name]) for name in ("auroc", "calibration_error")]
    return [(before["name"], before["meaning"], shown(before), shown(after), _moved(moved.get(before["name"]))) for before, after in pairs]


def _moved(difference: Record | None) -> str:
    """A paired difference with its interval; a dash where none is taken."""
    if difference is None or difference["value"] is None:
        return "–"
    return f"{signed(difference['value'], difference['unit'])} {signed_interval(difference)}"
