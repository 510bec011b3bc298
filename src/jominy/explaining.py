"""explain(): two run folders of the same prompts in, what changed between them out.

    evaluations/step-00000 + evaluations/step-00030  ->  pass@k, prompts gained and lost, clarity, divergence, drift, format against skill

Every number is a paired one: each prompt is compared with itself, and prompts are what could have been others. Prompts in one folder alone
are left out and counted. The estimates are in `measures.paired` and `measures.drift`, what they amount to in `outcome`.
Left out on purpose: drawing and scoring again, which is training's or sampling's part; explain needs no model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jominy.explanation import Change, Explanation, FormatSkill, Moves, PromptMove
from jominy.formatting import number, plain
from jominy.groups import Groups
from jominy.interpretation import folders_to_interpret
from jominy.measures.drift import format_and_skill, kl_to_start
from jominy.measures.paired import FALSE_DISCOVERY_RATE, fisher_exact_P, gained_by_chance, paired_change, sign_test, surely_moved
from jominy.measures.passk import CODEX, pass_at_k, powers_of_two
from jominy.measures.silhouette import prompt_clarity
from jominy.outcome import HEADROOM, read_outcome
from jominy.overseeing import MOST_UNREAD, oversee
from jominy.pairing import Side, pair_folders
from jominy.records import Floats, Ints, Measure, Paper
from jominy.results import Threshold
from jominy.steplog import EVALUATIONS_FILE, EXPLANATION_FILE, read_evaluations, read_start_logprobs
from jominy.store import RunFolder, messages_from_json, write_json
from jominy.tasks.loading import TASKS, load_task

MAX_PROMPTS_LISTED = 2000
MAX_QUESTION = 200
CLARITY = Paper(arxiv="2601.06911", title="Distributional Clarity", where="eq. 1-4")
OWN_TO_A_SIDE = ("model", "device", "prompts", "out")
"""Settings that may differ between two folders without making them another experiment."""


def explain_path(folder: Path, *, success: float | None = None, seed: int = 0) -> Explanation:
    """`explain_training`, kept in `explanation.json` of the folder.

    Raises:
        ValueError: see there.
    """
    explanation = explain_training(folder, success=success, seed=seed)
    write_json(folder / EXPLANATION_FILE, explanation.to_json())
    return explanation


def explain_training(folder: Path, *, success: float | None = None, seed: int = 0) -> Explanation:
    """Explain a training folder by its first and last evaluation.

    Args:
        folder: as `train` leaves it, at any moment.
        success: a response is right when its gold, or else its reward, is at least this; default what the run was trained with, else 1.
        seed: of the bootstrap.

    Raises:
        ValueError: there are not two evaluations, or one of them cannot be read; says what to do.
    """
    evaluations = read_evaluations(folder)
    if len(evaluations) < 2:
        found = "no evaluation" if not evaluations else f"one evaluation, at step {evaluations[0]['step']}"
        raise ValueError(
            f"{folder / EVALUATIONS_FILE} holds {found}; explain compares two. Train on with `--resume`, or name two run folders: "
            "`jominy explain BEFORE AFTER`"
        )
    first, last = evaluations[0], evaluations[-1]
    for line in (first, last):
        if not isinstance(line.get("folder"), str):
            raise ValueError(f"{folder / EVALUATIONS_FILE}: the line of step {line['step']} has no `folder`; restore the file")
    success = success_of(RunFolder(folder)) if success is None else success
    explanation = explain(folder / first["folder"], folder / last["folder"], success=success, seed=seed)
    source = {"path": str(folder), **explanation.source, "before_step": first["step"], "after_step": last["step"]}
    watched = oversee(folder)
    return replace(explanation, source=source, oversight=None if watched is None else watched.to_json())


def success_of(folder: RunFolder) -> float:
    """The threshold that the training run was given."""
    data = folder.read_run()["spec"].get("data") if folder.exists() else None
    success = data.get("success", 1.0) if isinstance(data, dict) else 1.0
    return float(success) if isinstance(success, int | float) else 1.0


def awaits_interpretation(folder: Path) -> bool:
    """Whether a program could read the steps of a folder's responses, and nobody has let it.

    Args:
        folder: a run folder or a training folder.
    """
    stores = [RunFolder(one) for _, one in folders_to_interpret(folder)]
    if not stores[-1].exists() or any(store.interpretation_file.is_file() for store in stores):
        return False
    spec = str(stores[-1].read_run()["spec"].get("task", ""))
    # a folder runs no code: tasks of the table only
    return spec.partition(":")[0] in TASKS and "steps" in spec and load_task(spec).read_steps is not None


def explain(before: Path, after: Path, *, success: float = 1.0, seed: int = 0) -> Explanation:
    """What changed between two run folders that hold rollouts of the same prompts.

    Args:
        before: as `jominy sample` writes it.
        after: of the other policy; its `start_logprobs.parquet`, where there is one, gives the divergence.
        success: a response is right when its gold, or else its reward, is at least this.
        seed: of the bootstrap.

    Raises:
        ValueError: a folder cannot be read, or they have no prompt in common.
    """
    rng = np.random.default_rng(seed)
    first, last, num_only = pair_folders(before, after, success)
    ks, passk = _pass_changes(first, last)
    moves, prompts = _moves(first, last)
    drift = tuple(_drift(first, last))
    format_skill, why_no_format_skill = _format_skill(first, last, rng)
    return Explanation(
        source=_source(first, last, success, seed),
        reading=read_outcome(
            ks, passk, drift, [*_caveats(first, last), *_unread(first, last)], on_one_side=_on_one_side(first, last, success)
        ),
        num_prompts=first.groups.num_prompts,
        num_only_before=num_only[0],
        num_only_after=num_only[1],
        num_unscored_before=first.groups.num_unscored,
        num_unscored_after=last.groups.num_unscored,
        ks=ks,
        passk=passk,
        moves=moves,
        clarity=_clarity(first, last),
        drift=drift,
        kl=_divergence(last, rng),
        parts=_parts(first, last),
        format_skill=format_skill,
        why_no_format_skill=why_no_format_skill,
        prompts=prompts,
        thresholds=(
            Threshold(name="false_discovery", value=FALSE_DISCOVERY_RATE, meaning="share of wrong ones allowed among surely moved prompts"),
            Threshold(name="headroom", value=HEADROOM, meaning="room above pass@K before, below which discovery can hardly show"),
        ),
    )


def _pass_changes(first: Side, last: Side) -> tuple[tuple[int, ...], tuple[Change, ...]]:
    """pass@k for powers of two that at least half of the prompts have scored responses for on both sides."""
    least_P = np.minimum(first.groups.num_scored_P(), last.groups.num_scored_P())
    ks = powers_of_two(int(np.sort(least_P)[::-1][(len(least_P) - 1) // 2]))
    changes = []
    for k in ks:
        sides = [_pass_P(side.groups, k) for side in (first, last)]
        changes.append(
            paired_change(
                f"pass@{k}",
                *sides,
                unit="share",
                meaning="Share of right answers." if k == 1 else f"Chance that at least one of {k} answers is right.",
                why_none=f"no prompt has {k} scored responses on both sides",
                paper=CODEX,
                num_unscored=(first.groups.num_unscored, last.groups.num_unscored),
            )
        )
    return ks, tuple(changes)


def _pass_P(groups: Groups, k: int) -> Floats:
    scored_P, correct_P = groups.num_scored_P(), groups.num_correct_P()
    values_P = np.full(groups.num_prompts, np.nan)
    values_P[scored_P >= k] = pass_at_k(correct_P[scored_P >= k], scored_P[scored_P >= k], k)
    return values_P


def _moves(first: Side, last: Side) -> tuple[Moves, tuple[PromptMove, ...]]:
    scored = first.groups.num_scored_P(), last.groups.num_scored_P()
    used = np.flatnonzero((scored[0] > 0) & (scored[1] > 0))
    n0, n1 = scored[0][used], scored[1][used]
    c0, c1 = first.groups.num_correct_P()[used], last.groups.num_correct_P()[used]
    p_values = fisher_exact_P(c0, n0, c1, n1)
    surely = surely_moved(p_values)
    rose = c1 * n0 > c0 * n1
    gained, lost = int(np.sum((c0 == 0) & (c1 > 0))), int(np.sum((c0 > 0) & (c1 == 0)))
    moves = Moves(
        num_prompts=len(used),
        gained=gained,
        lost=lost,
        gained_by_chance=float(gained_by_chance(c0 + c1, n0, n1).sum()),
        lost_by_chance=float(gained_by_chance(c0 + c1, n1, n0).sum()),
        p_value=sign_test(gained, lost),
        surely_up=int(np.sum(surely & rose)),
        surely_down=int(np.sum(surely & ~rose)),
    )
    questions = _questions(first)
    order = sorted(range(len(used)), key=lambda i: (-abs(c1[i] / n1[i] - c0[i] / n0[i]), i))[:MAX_PROMPTS_LISTED]
    ids = first.groups.prompt_ids or ()
    listed = tuple(
        PromptMove(
            prompt_id=ids[used[i]],
            question=questions[used[i]],
            before_right=int(c0[i]),
            before_scored=int(n0[i]),
            after_right=int(c1[i]),
            after_scored=int(n1[i]),
            p_value=float(p_values[i]),
            surely="" if not surely[i] else "up" if rose[i] else "down",
        )
        for i in order
    )
    return moves, listed


def _questions(side: Side) -> list[str]:
    """[P] the start of each prompt's last message."""
    texts = side.table["prompt"].take(pa.array(side.groups.offsets_P1[:-1])).to_pylist()
    turns = [messages_from_json(text) for text in texts]
    return [" ".join(turn[-1].content.split())[:MAX_QUESTION] if turn else "" for turn in turns]


def _clarity(first: Side, last: Side) -> tuple[Change, ...]:
    sides = []
    for side in (first, last):
        known = side.groups.probability_N
        if known is None:
            return ()
        found = prompt_clarity(side.groups, side.groups.scored_N & np.isfinite(known))
        columns = np.full((2, side.groups.num_prompts), np.nan)
        columns[:, found.prompts_V] = found.silhouette_V, found.rectified_V
        sides.append(columns)
    meanings = {
        "silhouette": "How well probability tells right answers from wrong ones: 1 fully, 0 not at all.",
        "rectified silhouette": "The silhouette, made negative wherever wrong answers are the more probable ones.",
    }
    why = "no prompt has right and wrong answers both before and after"
    return tuple(
        paired_change(name, sides[0][i], sides[1][i], unit="S", meaning=meaning, why_none=why, bounds=(-1.0, 1.0), paper=CLARITY)
        for i, (name, meaning) in enumerate(meanings.items())
    )


def _drift(first: Side, last: Side) -> Iterator[Change]:
    """What moved besides: reward, pay, length, truncation, repetition, diversity, surprisal; columns that a side lacks are left away."""
    sides = first, last

    def change(name: str, unit: str, meaning: str, columns: list[Floats], why: str = "no prompt has responses on both sides") -> Change:
        bounds = (0.0, np.inf) if unit in ("tokens", "nats") else (-np.inf, np.inf)
        return paired_change(name, *columns, unit=unit, meaning=meaning, why_none=why, bounds=bounds)

    if any(np.any(side.groups.scored_N & (side.groups.rewards_N != side.groups.correct_N)) for side in sides):
        rewards = [side.mean_P(side.groups.rewards_N, side.groups.scored_N) for side in sides]
        yield change("mean reward", "reward", "What the reward pays on average.", rewards, "no prompt has scored responses on both sides")
    if all(side.groups.paid_N is not None for side in sides):
        known = [side.groups.scored_N & np.array([gold is not None for gold in side.list("gold")]) for side in sides]
        paid = [side.mean_P(_there(side.groups.paid_N), among) for side, among in zip(sides, known, strict=True)]
        yield change("paid share", "share", "Share of the responses that the reward pays in full, whatever gold says.", paid)
    tokens = [side.groups.num_tokens_N for side in sides]
    if tokens[0] is not None and tokens[1] is not None:
        lengths = [side.mean_P(_there(count), side.all_N()) for side, count in zip(sides, tokens, strict=True)]
        yield change("response length", "tokens", "Mean tokens of a response.", lengths)
    cut = [side.mean_P(_there(side.groups.truncated_N), side.all_N()) for side in sides]
    yield change("truncated share", "share", "Share of the responses cut at the token limit.", cut)
    if all(side.groups.repetitive_N is not None for side in sides):
        loops = [side.mean_P(_there(side.groups.repetitive_N), side.all_N()) for side in sides]
        yield change("repetitive share", "share", "Share of the responses in which at least half of the word sequences repeat.", loops)
    meaning = "Share of a prompt's responses that say something new: 1 when no two are alike."
    yield change("distinct responses", "share", meaning, [_distinct_P(side) for side in sides])
    if all(side.groups.probability_N is not None for side in sides):
        surprisal = [-np.log(_there(side.groups.probability_N)) for side in sides]
        means = [side.mean_P(values, np.isfinite(values)) for side, values in zip(sides, surprisal, strict=True)]
        yield change("surprisal a token", "nats", "Mean negative log-probability of the drawn tokens at temperature 1.", means)


def _there(column: Any) -> Any:
    assert column is not None
    return column


def _distinct_P(side: Side) -> Floats:
    """[P] (distinct texts - 1) / (responses - 1), NaN for a single response: 1 and 0 at the ends, whatever their number."""
    texts, offsets = side.list("text"), side.groups.offsets_P1
    counts_P = np.diff(offsets)
    distinct_P = np.array([len(set(texts[start:end])) for start, end in pairwise(offsets)])
    return np.where(counts_P > 1, (distinct_P - 1) / np.maximum(counts_P - 1, 1), np.nan)


def _divergence(last: Side, rng: np.random.Generator) -> tuple[Measure, ...]:
    zeros_P = np.zeros(last.groups.num_prompts)
    start = read_start_logprobs(last.folder)
    nothing = kl_to_start(zeros_P, zeros_P, zeros_P, rng)
    if start is None:
        return tuple(replace(measure, why_none="the responses were not scored again under the starting policy") for measure in nothing)
    odd = {name: set(last.list(name)) - {1.0} for name in ("temperature", "top_p")}
    if any(odd.values()):
        how = plain({name: sorted(map(float, found)) for name, found in odd.items() if found})
        why = f"the responses were drawn at {how}, so log-probabilities at temperature 1 give no divergence"
        return tuple(replace(measure, why_none=why) for measure in nothing)
    sums_N, tokens_N, known_N = np.zeros((3, last.groups.num_rollouts))
    rows = zip(last.list("prompt_id"), last.list("index"), last.list("logprobs_t1"), strict=True)
    for row, (prompt_id, index, logprobs) in enumerate(rows):
        found = start.get((prompt_id, index))
        if found is None or logprobs is None or not len(logprobs):
            continue
        if len(found) != len(logprobs):
            raise ValueError(
                f"{last.folder}: response {index} of prompt {prompt_id} has {len(logprobs)} tokens and {len(found)} log-probabilities "
                "under the start; start_logprobs.parquet is of other rollouts, delete it or score them again"
            )
        sums_N[row], tokens_N[row], known_N[row] = float(np.sum(logprobs) - found.sum()), len(found), 1.0
    sums_P, tokens_P, known_P = (np.add.reduceat(column, last.groups.offsets_P1[:-1]) for column in (sums_N, tokens_N, known_N))
    return kl_to_start(sums_P, tokens_P, known_P, rng)


def _parts(first: Side, last: Side) -> tuple[Change, ...]:
    """Named parts of the reward; a prompt enters a part when its responses have it on both sides."""
    names: dict[str, None] = {}
    columns = []
    for side in (first, last):
        rows = [json.loads(text) if text else {} for text in side.list("reward_parts")]
        names.update(dict.fromkeys(name for row in rows for name in row))
        columns.append(rows)
    changes = []
    for name in names:
        values = [np.array([float(row.get(name, np.nan)) for row in rows]) for rows in columns]
        finite = np.concatenate(values)[np.isfinite(np.concatenate(values))]
        unit = "share" if len(finite) and finite.min() >= 0 and finite.max() <= 1 else "reward"
        means = [
            side.mean_P(np.where(np.isfinite(column), column, 0.0), np.isfinite(column))
            for side, column in zip((first, last), values, strict=True)
        ]
        why = "no prompt has this part of the reward on both sides"
        changes.append(paired_change(name, *means, unit=unit, meaning="", why_none=why))
    return tuple(sorted(changes, key=lambda change: -abs(change.difference.value or 0.0)))


def _format_skill(first: Side, last: Side, rng: np.random.Generator) -> tuple[FormatSkill | None, str]:
    """The parted gain, or why there is none."""
    columns: list[Floats] = []
    both_P = (first.groups.num_scored_P() > 0) & (last.groups.num_scored_P() > 0)
    for side in (first, last):
        answered_N = np.array([bool(answer) for answer in side.list("answer")])
        columns += [side.mean_P(column, side.groups.scored_N)[both_P] for column in (answered_N, side.groups.correct_N)]
    if not columns[0].any() and not columns[2].any():
        return None, "the task extracts no answer from a response; the parts of the reward, where it has some, tell what moved"
    try:
        return format_and_skill(columns[0], columns[1], columns[2], columns[3], rng), ""
    except ValueError as error:
        return None, str(error)


def _on_one_side(first: Side, last: Side, success: float) -> bool:
    """Whether rewards differ but none reaches `success`, or all do, on both sides: right and wrong then mean nothing."""
    rewards = np.concatenate([side.groups.rewards_N[side.groups.scored_N] for side in (first, last)])
    decided = any(side.groups.paid_N is not None for side in (first, last))
    return not decided and len(rewards) > 0 and rewards.min() < rewards.max() and not rewards.min() < success <= rewards.max()


def _caveats(first: Side, last: Side) -> list[str]:
    """Settings that differ between the two runs: part of the change is then theirs."""
    specs = [RunFolder(side.folder).read_run()["spec"] for side in (first, last)]
    shared = [name for name in specs[0] if name in specs[1] and name not in OWN_TO_A_SIDE]
    return [
        f"`{name}` differs: {plain(specs[0][name])} before, {plain(specs[1][name])} after; part of the change is that"
        for name in shared
        if specs[0][name] != specs[1][name]
    ]


def _unread(first: Side, last: Side) -> list[str]:
    """Responses without a reward, where they are many: they are in no number of right and wrong."""
    told = []
    for when, side in (("before", first), ("after", last)):
        share = side.groups.num_unscored / side.groups.num_rollouts
        if share > MOST_UNREAD:
            told.append(
                f"{number(share, 'share')} % of the responses {when} have no reward: right and wrong are those of the others, which are no "
                "fair draw of all"
            )
    return told


def _source(first: Side, last: Side, success: float, seed: int) -> Mapping[str, Any]:
    spec = RunFolder(last.folder).read_run()["spec"]
    num_rollouts: list[Ints] = [np.diff(side.groups.offsets_P1) for side in (first, last)]
    return {
        "before": str(first.folder),
        "after": str(last.folder),
        "before_policy": first.list("policy")[0],
        "after_policy": last.list("policy")[0],
        "task": spec.get("task"),
        "rollouts_a_prompt": int(min(np.median(count) for count in num_rollouts)),
        "success": success,
        "seed": seed,
    }
