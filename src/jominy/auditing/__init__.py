"""audit(): a reward or a judge in, and constructed truth; how often it is right out, and whether to train on it.

    sources (`sources`, of `pairs` and `labels`) -> verdicts (`asking`, kept by `store`) -> numbers (`tally`) -> audit.json

A verb like the others: what it asks is kept as soon as it is there, and the same command on the same folder goes on where it stopped.
Left out on purpose: mending the training set, which `refine` does with an audit in hand.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from jominy.audited import AUDIT_FILE, AUDIT_FOLDER, Audit
from jominy.auditing.asking import Auditee, Said, opened
from jominy.auditing.sources import Source, sources_for
from jominy.auditing.store import VERDICTS_FILE, Verdicts
from jominy.auditing.tally import Heard, Setting, audit_of
from jominy.confusion import AuditItem
from jominy.interpretation import folders_to_interpret
from jominy.measures.trust import USUAL_RATE, chance_of_good, trust_thresholds
from jominy.progress import rollout_bar, stage
from jominy.records import Floats
from jominy.rewards.judge import LocalJudge, address_of, read_judge
from jominy.sampling import LoadJudge, environment, load_local_engine
from jominy.specs.auditing import AuditSpec
from jominy.store import RunFolder, write_json
from jominy.tables import groups_of, read_rollouts

AT_A_TIME = 256
"""Responses that are asked about in one round."""
WRITE_EVERY_S = 5.0
ASSUMED_PASS_RATE = 0.5


def audit(
    spec: AuditSpec,
    out: Path,
    *,
    load_engine: LoadJudge = load_local_engine,
    overwrite: bool = False,
    quiet: bool = False,
) -> Audit:
    """Ask a reward or a judge about responses whose truth is known, and write `audit.json` into `out`.

    Args:
        spec: who, against what, for which run.
        out: the audit's folder; made when absent.
        load_engine: called for a local judge, when it is first asked.
        overwrite: ask everything anew that is not in the judge's memory, and replace another audit.
        quiet: no progress bar.

    Raises:
        ValueError: nobody by that name, a judge that is down, a file that cannot be read, a folder that holds something else.
        KeyboardInterrupt: passed on, after what was said has been written.
    """
    spec.check()
    thresholds = trust_thresholds(spec.thresholds)
    if spec.judge is not None:
        read_judge(spec.judge)  # a mistake in it is told before anything is made
    folder = RunFolder(out)
    if folder.exists():
        raise ValueError(f"{out} holds a run; an audit has a folder of its own, e.g. --out {out / AUDIT_FOLDER}")
    pass_rates_P, pass_rates_are = _pass_rates(spec)
    with opened(spec, out, load_engine) as auditee:
        with stage("putting together what is judged", quiet=quiet):
            sources = sources_for(spec)
        with folder.lock():
            verdicts = Verdicts(out / VERDICTS_FILE, auditee.identity, auditee.level, overwrite=overwrite)
            _ask_all(auditee, sources, spec.repeats, verdicts, quiet=quiet)
            setting = Setting(
                source=_source(spec, auditee),
                pass_rates_P=pass_rates_P,
                pass_rates_are=pass_rates_are,
                group_size=spec.group_size,
                thresholds=thresholds,
                spent=None if verdicts.spent is None else verdicts.spent.to_json(),
                seed=spec.seed,
                notes=tuple(_notes(spec, sources)),
            )
            found = audit_of(Heard(level=auditee.level, sources=sources, said=_all_told(sources, spec.repeats, verdicts)), setting)
            write_json(out / AUDIT_FILE, found.to_json())
    return found


def _pass_rates(spec: AuditSpec) -> tuple[Floats, str]:
    """The policy's own, of `--pass-rates` or else of the run that is judged, or one that is assumed."""
    path = spec.pass_rates or spec.truth.run
    if path is None:
        return np.array(
            [ASSUMED_PASS_RATE]
        ), f"an assumed pass rate of {ASSUMED_PASS_RATE:g} of every prompt (--pass-rates RUN takes a model's own)"
    last = folders_to_interpret(path)[-1][1] if path.is_dir() else path
    groups = groups_of(read_rollouts(last), path=last)
    scored_P = groups.num_scored_P()
    if not np.any(scored_P > 0):
        raise ValueError(f"{path} has no scored rollouts, so no pass rates; choose another --pass-rates, or leave it out")
    there = scored_P > 0
    rates_P: Floats = groups.num_correct_P()[there] / scored_P[there]
    return rates_P, f"the pass rates of {len(rates_P):,} prompts in {path}, mean {100 * rates_P.mean():.0f} %"


def _ask_all(auditee: Auditee, sources: Sequence[Source], repeats: int, verdicts: Verdicts, *, quiet: bool) -> None:
    """Ask about what is not known yet; whatever stops it, what was said is written."""
    left = [(repeat, items) for repeat in range(repeats) if (items := _unknown(sources, repeat, verdicts))]
    written = time.monotonic()
    with rollout_bar(
        f"asking {auditee.who}", sum(auditee.num_questions(items) for _, items in left), quiet=quiet, what="questions"
    ) as advance:

        def on_reply(finished: int) -> None:
            advance(finished, 0)

        try:
            for repeat, items in _rounds(left):
                verdicts.add(items, repeat, auditee.ask(items, repeat, on_reply))
                if time.monotonic() - written > WRITE_EVERY_S:
                    verdicts.spend(auditee.spent())
                    verdicts.write(sources, repeats)
                    written = time.monotonic()
        finally:
            verdicts.spend(auditee.spent())
            verdicts.write(sources, repeats)


def _unknown(sources: Sequence[Source], repeat: int, verdicts: Verdicts) -> list[AuditItem]:
    """What is to be asked, equal responses once."""
    every = {(item.prompt.id, item.text): item for source in sources for item in source.items}
    return [item for item in every.values() if verdicts.of(item, repeat) is None]


def _rounds(left: Sequence[tuple[int, list[AuditItem]]]) -> Iterator[tuple[int, list[AuditItem]]]:
    for repeat, items in left:
        for start in range(0, len(items), AT_A_TIME):
            yield repeat, items[start : start + AT_A_TIME]


def _all_told(sources: Sequence[Source], repeats: int, verdicts: Verdicts) -> list[list[list[Said]]]:
    """[R][S][items] what was said."""
    return [[[_told(verdicts, item, repeat) for item in source.items] for source in sources] for repeat in range(repeats)]


def _told(verdicts: Verdicts, item: AuditItem, repeat: int) -> Said:
    said = verdicts.told(item, repeat)
    assert said is not None, "everything has been asked"
    return said


def _source(spec: AuditSpec, auditee: Auditee) -> dict[str, object]:
    given = {name: value for name, value in asdict(spec).items() if value is not None and name not in ("truth", "thresholds", "judge")}
    truth = {
        name: str(value) if isinstance(value, Path) else value for name, value in asdict(spec.truth).items() if value not in (None, "")
    }
    paths = {name: str(value) for name, value in given.items() if isinstance(value, Path)}
    if spec.judge is None:
        given.pop("mode")
    else:
        given.pop("success")
        given.pop("reward_timeout")
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    truth["pairs"] = spec.truth.num_pairs
    return {
        "who": auditee.who,
        "auditee": dict(auditee.identity),
        **given,
        **paths,
        **truth,
        "created": created,
        "environment": environment(),
    }


def _notes(spec: AuditSpec, sources: Sequence[Source]) -> list[str]:
    notes = []
    if any(source.name == "pairs" for source in sources):
        notes.append(
            "The pairs are made to order and say little: who weighs sense may refuse right ones for it. Own responses (--run) show errors "
            "where they matter"
        )
        made = Counter(item.about for source in sources if source.name == "pairs" for item in source.items if item.kind == "violated")
        violated = min(made.values())
        bound = trust_thresholds(spec.thresholds)["recall_false"].value
        once, twice = (chance_of_good(number, bound) for number in (violated, 2 * violated))
        notes.append(
            f"Some types that deserve trust are not on its list: of a type of which {USUAL_RATE:.0%} of the violations are seen in truth, "
            f"the {violated} violations of it that these pairs have put it there in {once:.0%} of audits, twice as many in {twice:.0%} "
            f"(--pairs {2 * spec.truth.num_pairs})"
        )
    if len([source for source in sources if source.name != "probe"]) > 1:
        notes.append("Precision, accuracy and base rate of all together are of this mix of sources; the recalls hold for any mix")
    if spec.judge is not None and isinstance(wanted := read_judge(spec.judge), LocalJudge) and wanted.answers == "choice":
        notes.append(
            "Verdicts are the likeliest of those that can be read: in its own words (answers=free) it may have said something else. "
            "verdicts.parquet has the log odds"
        )
    unknown = sum(truth is None for source in sources for item in source.items for truth in item.truths)
    if unknown:
        notes.append(f"{unknown:,} constraints have no truth that code could tell: they are judged with the others, and in no number")
    if spec.reward is not None:
        notes.append("A reward says one thing of a whole response: a type is what the right and the wrong response of a pair differ in")
    elif spec.repeats > 1 and spec.judge is not None and not address_of(spec.judge):
        notes.append("A model of this machine takes what is most likely, so that repeats differ by rounding at most")
    elif spec.repeats > 1 and spec.judge is not None:
        notes.append(
            "Every question is asked at temperature 0: repeats show what the endpoint itself does not repeat, and less than sampling would"
        )
    return notes
