"""Language models as judges: do they miss violations, tell more when asked one at a time, and less among more constraints?

    knows    share of minimal pairs of which the violated constraint is rated below the satisfied one; 1/2 is a coin         (`knowing`)
    misses   recall on false at the bound that passes 97 % of what is satisfied, as the paper's judge does; free answers as they stand
    lead     share one at a time - share in one call, on the same pairs of prompts with at least two constraints
    fall     share among the fewest - share among the most constraints in a question of one form

A judge that refuses everything sees every violation, and one way of asking may only bring out more noes than another: pairs and the bound
see neither. Where nothing surely is known, by the guard `knows`, nothing is told; nor of misses where the odds see no more at the bound
than a coin that passes as many, nor of free answers, which have no bound, where these do not surely accept more than half of what is
satisfied. Every judge that was audited is a witness (`witnesses`):
a claim agrees where one does and none disagrees. Left out on purpose: the confusion matrix itself (`measures.precision`).
"""

from __future__ import annotations

from collections.abc import Sequence

from jominy.conclusion import Agreement, Claim
from jominy.measures.clustered import difference_of_shares
from jominy.measures.precision import Confusion, Precision, measure_confusion
from jominy.measures.reward_errors import SHRINK
from jominy.papers import PRECISION
from jominy.records import Bools, Measure
from jominy.studies.outcomes import percent, points
from jominy.studies.precision.columns import table_of_columns
from jominy.studies.precision.knowing import RECALL_TRUE, bounded, fall_between, paired_lead, surely_knows
from jominy.studies.precision.paper import MOST
from jominy.studies.precision.witnesses import Judgement, Witness, judged, witnesses
from jominy.studies.reading import StudyRuns

MISSES_NUMBERS = "Recall on false of Qwen3-32B in one call: 30.6 % of hard, 20.9 % of soft constraints; QwQ-32B 44.1 and 33.1 %."
COIN = 1 - RECALL_TRUE
"""Recall on false of a coin that passes as many of the satisfied as the bound does."""
ASK_ANOTHER = "A judge that tells right from wrong: `--judge URL,model=NAME` asks any endpoint the same, and it counts here."
MORE_PAIRS = (
    "More pairs as well, `--pairs`: with three of each type and number of constraints the two shares that are held against each other come "
    "from 75 pairs each, and their difference is known to about 16 points; the paper's is 5.6, which takes about 600 each."
)
PAIRED_WIDTH = "More pairs as well, `--pairs`: of 150 that are asked about in both ways the lead is known to about 8 points."
ONE_CALL, POINTWISE = "one call", "pointwise"
NOBODY = "Nobody has judged yet."
Verdict = tuple[Agreement, str]
"""Of one judge, and what it rests on."""


def judge_claims(runs: StudyRuns) -> tuple[Claim, ...]:
    """In the order of the README."""
    there = witnesses(judged(runs))
    return misses(there), pointwise_sees_more(there), more_is_harder(there)


def together(verdicts: Sequence[Agreement]) -> Agreement:
    """Of several judges.

    >>> together(["agrees", "cannot tell"]), together(["agrees", "disagrees"]), together([])
    ('agrees', 'cannot tell', 'cannot tell')
    """
    told = set(verdicts) - {"cannot tell"}
    return verdicts[[one in told for one in verdicts].index(True)] if len(told) == 1 else "cannot tell"


def _claim(
    code: str, there: Sequence[Witness], found: Sequence[Verdict], *, says: str, numbers: str, rule: str, would_take: str = ASK_ANOTHER
) -> Claim:
    return Claim(
        code=code,
        says=says,
        numbers=numbers,
        ran=_ran(there),
        found=" ".join(text for _, text in found) or NOBODY,
        verdict=together([verdict for verdict, _ in found]),
        rule=f"{rule}. Of several judges: agrees where one does and none disagrees, disagrees where one does and none agrees",
        would_take=would_take,
        paper=PRECISION,
    )


def _ran(there: Sequence[Witness]) -> str:
    if not there:
        return "Nothing yet."
    parts = []
    for witness in there:
        number = max(len(way.wins.ids) + way.wins.num_left_out for way in witness.ways.values())
        parts.append(f"{witness.who}: {number} minimal pairs, {' and '.join(witness.ways)}")
    return f"{'; '.join(parts)}; prompts with 1 to 3 constraints, one response of a pair made to violate one"


def misses(there: Sequence[Witness]) -> Claim:
    """Most violations pass."""
    return _claim(
        "judge-misses",
        there,
        [_missed(witness.who, witness.ways[ONE_CALL]) for witness in there if ONE_CALL in witness.ways],
        says="A language model as judge misses most violations.",
        numbers=MISSES_NUMBERS,
        rule=f"agrees when recall on false in one call, on minimal pairs, is surely below {MOST:g}, disagrees when it is surely above; at "
        f"the bound of the odds that passes {RECALL_TRUE:g} of the satisfied constraints of other prompts, of free answers as they stand; "
        "where not surely more than half of the pairs are told apart, nothing is told; nor where recall on false at the bound is not "
        f"surely above the {100 * COIN:.0f} % of a coin that passes as many, nor of free answers whose recall on true is not surely above "
        f"{MOST:g}",
    )


def _missed(who: str, one: Judgement) -> Verdict:
    knows, at_bound = one.wins.share(), at_the_bound(one)
    recall = (at_bound or one.pairs.constraints).recall_false
    verdict: Agreement = "cannot tell"
    if surely_knows(knows) and not _leans(one, at_bound) and recall.low is not None and recall.high is not None:
        verdict = "agrees" if recall.high < MOST else "disagrees" if recall.low > MOST else "cannot tell"
    bound = ""
    if at_bound is not None:
        bound = (
            f"at the bound recall on false {percent(at_bound.recall_false)} (a coin that passes as many: {100 * COIN:.0f} %), "
            f"on true {percent(at_bound.recall_true)}; "
        )
    kinds = "; ".join(f"{kind} {percent(one.wins.where(soft_P).share())}" for kind, soft_P in _kinds(one))
    text = (
        f"{who} tells {percent(knows)} of the pairs apart in one call ({kinds}); {bound}as it stands "
        f"{said_confusion(one.pairs.constraints)}. Of the advantage its verdicts would leave {percent(shrink(one))}.{_own(one.own)}"
    )
    return verdict, text


def _leans(one: Judgement, at_bound: Confusion | None) -> bool:
    """Whether recall on false may be nothing but how often yes is said: a coin's at the bound, or that of answers that lean to no."""
    if at_bound is not None:
        return at_bound.recall_false.low is None or at_bound.recall_false.low <= COIN
    accepted = one.pairs.constraints.recall_true
    return accepted.low is None or accepted.low <= MOST


def at_the_bound(one: Judgement) -> Confusion | None:
    """Its matrix on pairs with a bound of the odds in place of its verdicts; None where it has no odds."""
    table = bounded(one.columns)
    return None if table is None else measure_confusion(table, f"recall on true {100 * RECALL_TRUE:g} %")


def _kinds(one: Judgement) -> list[tuple[str, Bools]]:
    return [("hard", ~one.wins.soft_P), ("soft", one.wins.soft_P)]


def _own(own: Precision | None) -> str:
    return "" if own is None else f" On own responses: {said_confusion(own.constraints)}."


def shrink(one: Judgement) -> Measure:
    """1 - FPR - FNR on pairs: what is left of an advantage that it pays; 0 where its verdicts do not go with the truth."""
    table = table_of_columns(one.columns)
    return difference_of_shares(table.accepted_among(table.truth_M), table.accepted_among(~table.truth_M), SHRINK)


def said_confusion(cell: Confusion) -> str:
    """Recalls, precision and what has no verdict, in words."""
    total = cell.num_scored + cell.num_unscored
    return (
        f"recall on false {percent(cell.recall_false)}, on true {percent(cell.recall_true)}, precision {percent(cell.precision)}, "
        f"{cell.num_unscored} of {total} without a verdict"
    )


def pointwise_sees_more(there: Sequence[Witness]) -> Claim:
    """Asked about one constraint at a time, a judge tells more."""
    return _claim(
        "pointwise-sees-more",
        there,
        [_led(witness) for witness in there if {ONE_CALL, POINTWISE} <= witness.ways.keys()],
        says="Asked about one constraint at a time, a judge tells violated from satisfied better than asked about all at once.",
        numbers="Recall on false of Qwen3-32B from 30.6 to 59.3 % of hard, from 20.9 to 54.7 % of soft constraints.",
        rule="agrees when the share of pairs that is told apart, prompts with at least two constraints, is surely larger one at a time "
        "than in one call, on the same pairs, disagrees when it is surely smaller; where neither way surely tells more than half apart, "
        "nothing is told. Recall on false alone also rises where one way of asking only brings out more noes",
        would_take=f"{ASK_ANOTHER} {PAIRED_WIDTH}",
    )


def _led(witness: Witness) -> Verdict:
    pointwise, one_call = (one.wins.where(one.wins.count_P > 1) for one in (witness.ways[POINTWISE], witness.ways[ONE_CALL]))
    lead, shares = paired_lead(pointwise, one_call), (pointwise.share(), one_call.share())
    verdict: Agreement = "cannot tell"
    if any(map(surely_knows, shares)) and lead.low is not None and lead.high is not None:
        verdict = "agrees" if lead.low > 0 else "disagrees" if lead.high < 0 else "cannot tell"
    beside = "; ".join(f"{way}: {said_confusion(witness.ways[way].pairs.constraints)}" for way in (POINTWISE, ONE_CALL))
    text = (
        f"{witness.who}: {percent(shares[0])} of the pairs one at a time, {percent(shares[1])} in one call; lead {points(lead)}. "
        f"As verdicts stand, {beside}."
    )
    return verdict, text


def more_is_harder(there: Sequence[Witness]) -> Claim:
    """Among more constraints a judge tells less."""
    return _claim(
        "more-is-harder",
        there,
        [_fell(witness.who, witness.ways[ONE_CALL]) for witness in there if ONE_CALL in witness.ways],
        says="The more constraints a judge is asked about at once, the less it tells violated from satisfied.",
        numbers="Soft constraints, from 1 to 2 a prompt: recall on false falls by 5.6 points, precision by 2.5.",
        rule="agrees when the share of pairs that is told apart in one call is surely larger with the fewest constraints than with the "
        "most, disagrees when surely smaller; where not surely more than half of all pairs are, nothing is told. A single constraint "
        "counts where it was asked about in the form of several (`mode=numbered`), and else stays out",
        would_take=f"{ASK_ANOTHER} {MORE_PAIRS}",
    )


def _fell(who: str, one: Judgement) -> Verdict:
    counts = [count for count in sorted(set(one.wins.count_P.tolist())) if count > 1 or one.mode == "numbered"]
    if len(counts) < 2:
        return "cannot tell", f"{who} was asked about one number of constraints alone."
    fall = fall_between(one.wins, counts[0], counts[-1])
    verdict: Agreement = "cannot tell"
    if surely_knows(one.wins.share()) and fall.low is not None and fall.high is not None:
        verdict = "agrees" if fall.low > 0 else "disagrees" if fall.high < 0 else "cannot tell"
    shares = "; ".join(f"{count}: {percent(one.wins.where(one.wins.count_P == count).share())}" for count in counts)
    return (
        verdict,
        f"{who}, share of pairs by number of constraints in a question {shares}; {counts[0]} minus {counts[-1]}: {points(fall)}.",
    )
