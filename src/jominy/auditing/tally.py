"""From verdicts on responses of known truth to the numbers of an audit.

    all sources together, without the probes  ->  error rates, confusion matrices, what they mean for RL, the verdict
    each source by itself                     ->  the same; what it surely shows to be bad takes back the trust of all together
    the probes                                ->  one confusion matrix a kind

Own and labelled responses count before made ones: whole responses have to hold in each of these sources by itself, and a type that lies
below a bound in one of them, surely or not, is not trusted for what the pairs say. What errors do to training is reckoned from own ones.
Sources differ in how many of their responses are right, so precision and accuracy of all together are of this mix; the recalls are not.
Left out on purpose: every estimate (`measures`), asking, files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jominy.audited import AtPassRate, Audit, FlipRates, Level, Mistake, Part
from jominy.auditing.asking import Said
from jominy.auditing.sources import Source
from jominy.confusion import AuditItem, all_said, constraint_table, response_table
from jominy.measures.agreement import Agreement, measure_agreement
from jominy.measures.precision import Confusion, ConfusionTable, flip_rates, measure_cells, measure_precision
from jominy.measures.reward_errors import RewardErrors, measure_reward_errors
from jominy.measures.trust import TOO_FEW, CellTrust, Trust, decide_trust
from jominy.records import Floats
from jominy.results import Threshold
from jominy.rewards.judged import Judged
from jominy.rewards.questions import shortened

PASS_RATES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Other pass rates that consequences are given for."""
MOST_MISSED, MOST_REFUSED, MOST_OF_A_TYPE = 16, 4, 2
MOST_FAILURES = 5
SHOWN_CHARACTERS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Everything that was said.

    Example: Heard(level="constraint", sources=(pairs, probes), said=(first,))
    """

    level: Level
    """What one verdict is about."""
    sources: Sequence[Source]
    """What was judged."""
    said: Sequence[Sequence[Sequence[Said]]]
    """[R][S][items] verdicts: by repeat, source and response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What else an audit says of itself.

    Example: Setting(source={"who": "judge local:smollm2, batch"}, pass_rates_P=np.array([0.5]), pass_rates_are="...", group_size=8,
                     thresholds=trust_thresholds(), spent=None, seed=0, notes=())
    """

    source: Mapping[str, Any]
    """`Audit.source`."""
    pass_rates_P: Floats
    """[P] of the policy's prompts."""
    pass_rates_are: str
    """Where they are from."""
    group_size: int
    """G."""
    thresholds: Mapping[str, Threshold]
    """Bounds of the verdict."""
    spent: Mapping[str, Any] | None
    """What asking has cost."""
    seed: int
    """Of the bootstrap."""
    notes: tuple[str, ...]
    """Further ones."""


def audit_of(heard: Heard, setting: Setting) -> Audit:
    """The numbers.

    Raises:
        ValueError: the truth of nothing that was judged is known.
    """
    first = heard.said[0]
    parts = [(source, said) for source, said in zip(heard.sources, first, strict=True) if source.name != "probe"]
    table = _table(heard.level, [item for source, _ in parts for item in source.items], [one for _, said in parts for one in said])
    if table.num_items == 0:
        raise ValueError("nobody knows the truth of anything that was judged; give --pairs, or a --labelled file")
    precision = measure_precision(table)
    probes = _probes(heard.level, heard.sources, first)
    shown = tuple(_part(heard.level, source, said, setting.thresholds) for source, said in parts)
    rates = flip_rates(precision)
    whole = _whole(parts) if heard.level == "constraint" else None
    erring, note = _erring(heard, parts, table)
    verdicts = [(one, truth) for source, said in zip(heard.sources, first, strict=True) for one, truth in _with_truth(heard, source, said)]
    missing = [one.note for one, truth in verdicts if one.verdict is None and truth is not None]
    return Audit(
        source=setting.source,
        level=heard.level,
        types=_by_name(rates["types"]),
        all=_rates(rates["all"]),
        responses=_rates(rates["responses"]),
        num_responses=sum(len(source.items) for source in heard.sources),
        num_verdicts=sum(truth is not None for _, truth in verdicts),
        num_unscored=len(missing),
        first_failure=missing[0] if missing else "",
        failures=dict(Counter(one.note for one, _ in verdicts if one.verdict is None).most_common(MOST_FAILURES)),
        precision=precision,
        parts=shown,
        probes=probes,
        agreement=_agreement(heard, np.random.default_rng(setting.seed)),
        errors=_errors(erring, setting.pass_rates_P, setting.group_size),
        errors_at=setting.pass_rates_are,
        by_pass_rate=tuple(AtPassRate(pass_rate=rate, errors=_errors(erring, np.array([rate]), setting.group_size)) for rate in PASS_RATES),
        trust=combined(decide_trust(precision, probes, setting.thresholds), shown),
        thresholds=tuple(setting.thresholds.values()),
        spent=setting.spent,
        mistakes=_mistakes(heard.level, heard.sources, first),
        notes=(*setting.notes, note),
        responses_by_type=() if whole is None or not whole.num_items else measure_precision(whole).by_type,
        by_type_and_count=measure_cells(table),
    )


def combined(pooled: Trust, parts: Sequence[Part]) -> Trust:
    """The verdict of all together, less what single sources take back.

        any source          what it surely shows to be bad
        own and labelled    whole responses, and all constraints together, that are not good there; types that lie below a bound there

    Args:
        pooled: of all sources together, and the probes.
        parts: source by source.
    """
    told = [(part.name, part.trust) for part in parts if part.trust is not None]
    if len(told) < 2 or pooled.value == "do not train on it":
        return pooled
    whole: list[str] = []
    lost: dict[str, str] = {}
    for name, trust in told:
        levels = (("whole responses", trust.responses), ("single constraints", trust.constraints))
        whole += [f"{name}, {level}: {cell.why}" for level, cell in levels if _takes_back(name, cell.standing == "good", cell)]
        lost.update({cell.name: f"{name}, {cell.name}: {cell.why}" for cell in trust.cells if _takes_back(name, not cell.below, cell)})
    if not lost and not whole:
        return pooled
    types = tuple(name for name in pooled.types if name not in lost)
    bad = any(cell.standing == "bad" for _, trust in told for cell in (trust.responses, trust.constraints, *trust.cells))
    unread = any(cell.unread for _, trust in told for cell in (trust.responses, trust.constraints))
    rule = "; ".join([*whole, *lost.values()])
    return replace(
        pooled,
        value="trust for these types" if types else "do not train on it",
        types=types,
        rule=rule if types or bad else f"{TOO_FEW}; {rule}",
        too_few=not types and not bad,
        unread=not types and unread,
    )


def _takes_back(source: str, holds: bool, cell: CellTrust) -> bool:
    """Whether a cell of one source takes back the trust: a made one where it is surely bad, an own one where it does not hold."""
    return cell.standing == "bad" or (source != "pairs" and not holds)


def _erring(heard: Heard, parts: Sequence[tuple[Source, Sequence[Said]]], table: ConfusionTable) -> tuple[ConfusionTable, str]:
    """The responses whose errors are those of training, and what to say of them."""
    own = [(source, said) for source, said in parts if source.name == "run"]
    for source, said in own:
        found = _table(heard.level, source.items, said)
        truth_R = found.responses().truth_M
        if truth_R.any() and not truth_R.all():
            return found, f"What the errors mean for RL is reckoned from the {len(truth_R):,} own responses alone"
    if any(source.name == "pairs" for source, _ in parts):
        return table, (
            "What the errors mean for RL is reckoned from responses of which each wrong one of a pair violates one constraint; a policy's "
            "wrong ones violate more, and are refused more often (--run RUN reckons from its own)"
        )
    return table, "What the errors mean for RL is reckoned from all responses together"


def _table(level: Level, items: Sequence[AuditItem], said: Sequence[Said]) -> ConfusionTable:
    if level == "constraint":
        return constraint_table(items, [[one.verdict for one in verdicts] for verdicts in said])
    return response_table(items, [verdicts[0].verdict for verdicts in said])


def _part(level: Level, source: Source, said: Sequence[Said], thresholds: Mapping[str, Threshold]) -> Part:
    assert source.name != "probe", "probes are no source of error rates"
    table = _table(level, source.items, said)
    precision = measure_precision(table) if table.num_items else None
    return Part(
        name=source.name,
        what=source.what,
        num_responses=len(source.items),
        num_unknown=sum(truth is None for item in source.items for truth in item.truths),
        precision=precision,
        trust=None if precision is None else decide_trust(precision, (), thresholds),
    )


def _probes(level: Level, sources: Sequence[Source], said: Sequence[Sequence[Said]]) -> tuple[Confusion, ...]:
    """One cell a kind of probe."""
    asked = [(source.items, of) for source, of in zip(sources, said, strict=True) if source.name == "probe"]
    here = [pair for items, of in asked for pair in zip(items, of, strict=True)]
    if not here:
        return ()
    table = _whole_of(here)
    return measure_precision(table).by_type if table.num_items else ()


def _whole(parts: Sequence[tuple[Source, Sequence[Said]]]) -> ConfusionTable:
    """Whole responses of all sources, by what they are about."""
    return _whole_of([pair for source, said in parts for pair in zip(source.items, said, strict=True)])


def _whole_of(here: Sequence[tuple[AuditItem, Said]]) -> ConfusionTable:
    return response_table([item for item, _ in here], all_said([[one.verdict for one in verdicts] for _, verdicts in here]))


def _errors(table: ConfusionTable, pass_rates_P: Floats, group_size: int) -> RewardErrors:
    return measure_reward_errors(table.responses(), pass_rates_P, group_size)


def _agreement(heard: Heard, rng: np.random.Generator) -> Agreement | None:
    """Over the repeats, of everything that was asked."""
    if len(heard.said) < 2:
        return None
    flat_RM = [[one.verdict for said in repeat for verdicts in said for one in verdicts] for repeat in heard.said]
    told = [pair for source, said in zip(heard.sources, heard.said[0], strict=True) for pair in zip(source.items, said, strict=True)]
    ids = [item.prompt.id for item, verdicts in told for _ in verdicts]
    _, prompt_M = np.unique(np.array(ids), return_inverse=True)
    said_MR = np.array([[verdict is True for verdict in row] for row in flat_RM]).T
    scored_MR = np.array([[verdict is not None for verdict in row] for row in flat_RM]).T
    return measure_agreement(said_MR, scored_MR, prompt_M, rng)


def _with_truth(heard: Heard, source: Source, said: Sequence[Said]) -> list[tuple[Judged, bool | None]]:
    """Each verdict with what is true."""
    pairs: list[tuple[Judged, bool | None]] = []
    for item, verdicts in zip(source.items, said, strict=True):
        truths = item.truths if heard.level == "constraint" else (item.truth,)
        pairs += zip(verdicts, truths, strict=True)
    return pairs


def _mistakes(level: Level, sources: Sequence[Source], said: Sequence[Sequence[Said]]) -> tuple[Mistake, ...]:
    """The first ones, at most so many of a type; own responses and labelled ones before constructed ones."""
    order = {"run": 0, "labelled": 1, "pairs": 2, "probe": 3}
    found: list[Mistake] = []
    of_type: Counter[tuple[str, str, str]] = Counter()
    for source, of in sorted(zip(sources, said, strict=True), key=lambda pair: order[pair[0].name]):
        for item, verdicts in zip(source.items, of, strict=True):
            for mistake in _mistakes_in(level, source.name, item, verdicts):
                of_type[mistake.kind, mistake.source, mistake.type] += 1
                if of_type[mistake.kind, mistake.source, mistake.type] <= MOST_OF_A_TYPE:
                    found.append(mistake)
    kept = [[one for one in found if one.kind == kind] for kind in ("missed", "refused")]
    return (*_spread(kept[0], MOST_MISSED), *_spread(kept[1], MOST_REFUSED))


def _spread(found: Sequence[Mistake], most: int) -> list[Mistake]:
    """At most so many, evenly out of all."""
    count = min(most, len(found))
    return [found[place * len(found) // count] for place in range(count)]


def _mistakes_in(level: Level, source: str, item: AuditItem, verdicts: Said) -> list[Mistake]:
    constraints = item.prompt.info["constraints"]
    if level == "constraint":
        told = [(truth, one.verdict, c["type"], c["text"]) for truth, one, c in zip(item.truths, verdicts, constraints, strict=True)]
    else:
        told = [(item.truth, verdicts[0].verdict, item.about, "")]
    return [
        Mistake(
            kind="refused" if truth else "missed",
            source=source,
            type=item.about if source == "probe" else kind,
            count=len(constraints),
            prompt=shortened(item.prompt.messages[-1].content, SHOWN_CHARACTERS),
            constraint=words,
            response=shortened(item.text, SHOWN_CHARACTERS),
        )
        for truth, verdict, kind, words in told
        if truth is not None and verdict is not None and truth != verdict
    ]


def _by_name(rates: Any) -> dict[str, FlipRates]:
    return {name: _rates(entry) for name, entry in rates.items()}


def _rates(entry: Any) -> FlipRates:
    return FlipRates(false_accept=entry["false_accept"], false_reject=entry["false_reject"])
