"""A run folder with every part of a diagnosis, as `diagnose` would leave one: 32 prompts of constraints, 16 rollouts each.

The rollouts are made up by a seeded rule, the counts in the histograms and the table are counted from them, and the estimates are plausible
numbers written by hand: the page only prints them. `python tests/page_fixture.py DIR` leaves the folder with its page for a look.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from jominy import records, results
from jominy.records import Finding, Measure, Message, Paper, Prompt, Reward, Rollout
from jominy.results import Advice, Curve, Histogram, Threshold
from jominy.store import RunFolder, write_json

MIRAGE = Paper(arxiv="2508.21188", title="Mirage or Method?", where="section 3")
CLARITY = Paper(arxiv="2601.06911", title="Distributional Clarity", where="eq. 4")
CODEX = Paper(arxiv="2107.03374", title="Evaluating Large Language Models Trained on Code", where="eq. 1")
DAPO = Paper(arxiv="2503.14476", title="DAPO", where="section 3.2")

CREATED = "2026-11-21T20:34:14Z"
SPEC = {
    "task": "constraints",
    "model": "smollm2",
    "reward": None,
    "prompts": 32,
    "rollouts": 16,
    "max_tokens": 64,
    "temperature": 1.0,
    "top_p": 1.0,
    "seed": 0,
    "reward_timeout": 5.0,
}

REQUESTS = ("Describe a rainy morning", "Explain how a kettle works", "Write about a lost umbrella", "Give advice on packing for a trip")
CONSTRAINTS = (
    ("Include the word 'kindness'.", "include_word", 0.9),
    ("Use no commas.", "no_commas", 0.4),
    ("Answer with exactly three bullets.", "three_bullets", 0.3),
    ("Use fewer than 15 words.", "fewer_words", 0.25),
    ("Put your answer in quotation marks.", "in_quotes", 0.06),
    ("Write everything in lowercase.", "all_lowercase", 0.04),
    ("Answer in JSON.", "json", 0.0),
    ("End with a question mark.", "question_mark", 0.15),
)
WORDS = (
    "The rain falls softly on the roof , and the street is quiet . A small act of kindness can change the whole day , so take an umbrella "
    "with you and leave it for somebody who needs it more than you do ."
).split()


def make_prompts() -> list[Prompt]:
    """32 prompts: every request with every constraint."""
    return [
        Prompt(
            id=f"p{len(CONSTRAINTS) * r + c:02d}-7c41",
            task="constraints",
            messages=(Message(role="user", content=f"{request}. {constraint}"),),
            target=code,
        )
        for r, request in enumerate(REQUESTS)
        for c, (constraint, code, _) in enumerate(CONSTRAINTS)
    ]


def make_rollouts(prompts: list[Prompt], num_rollouts: int = 16, seed: int = 0) -> list[Rollout]:
    """Graded rollouts with pieces and log-probabilities; rollout 5 of the first prompt is unscored."""
    rng = np.random.default_rng(seed)
    rates = {code: rate for _, code, rate in CONSTRAINTS}
    rollouts = []
    for prompt in prompts:
        code = prompt.target or ""
        for index in range(num_rollouts):
            right = bool(rng.random() < rates[code])
            length = int(rng.integers(18, len(WORDS)))
            first = int(rng.integers(0, len(WORDS) - length + 1))
            chosen = WORDS[first : first + length]
            pieces = (chosen[0].capitalize(), *(word if word in ",." else f" {word}" for word in chosen[1:]), "<|im_end|>")
            logprobs = -rng.gamma(0.45, 1.9 if right else 2.3, size=len(pieces))
            unscored = prompt is prompts[0] and index == 5
            reward = Reward(value=None, note="timed out after 5 s") if unscored else Reward(value=float(right), parts={code: float(right)})
            rollouts.append(
                Rollout(
                    prompt_id=prompt.id,
                    index=index,
                    text="".join(pieces[:-1]),
                    token_ids=np.arange(len(pieces)),
                    logprobs=logprobs,
                    logprobs_t1=logprobs,
                    pieces=pieces,
                    stop="length" if length > 36 else "eos",
                    policy="smollm2",
                    temperature=1.0,
                    top_p=1.0,
                    seed=0,
                    reward=reward,
                )
            )
    return rollouts


def _measure(
    name: str,
    value: float | None,
    low: float | None,
    high: float | None,
    meaning: str,
    paper: Paper | None,
    unit: str = "share",
    num_left_out: int = 0,
    why_none: str = "",
) -> Measure:
    return Measure(
        name=name,
        value=value,
        low=low,
        high=high,
        unit=unit,
        num_prompts=32,
        num_unscored=1,
        num_left_out=num_left_out,
        why_none=why_none,
        meaning=meaning,
        paper=paper,
    )


def make_measures() -> tuple[Measure, ...]:
    """Plausible estimates, one of them undefined."""
    return (
        _measure("pass@1", 0.262, 0.167, 0.364, "Share of right answers.", CODEX),
        _measure("pass@16", 0.718, 0.562, 0.844, "Chance that at least one of 16 answers is right.", CODEX),
        _measure("pass@k area", 0.517, 0.393, 0.631, "Mean height of the pass@k curve over log2 k.", None),
        _measure("live share", 0.667, 0.509, 0.807, "Expected share of groups of 16 that hold right and wrong answers.", DAPO),
        _measure("all wrong", 0.281, 0.155, 0.454, "Share of prompts that never passed.", DAPO),
        _measure(
            "silhouette",
            -0.021,
            -0.049,
            0.008,
            "Whether probability separates right from wrong: 1 clearly, 0 not at all.",
            CLARITY,
            num_left_out=10,
        ),
        _measure("AUROC", 0.531, 0.478, 0.583, "Chance that a right answer is more probable than a wrong one.", None, num_left_out=10),
        _measure(
            "label permutation z", 0.93, None, None, "Distance of the silhouette from random labels.", None, unit="z", num_left_out=10
        ),
        _measure("truncated", 0.084, 0.061, 0.111, "Share of rollouts cut at the token limit.", None),
        _measure("effective live prompts", 21.3, 16.1, 25.9, "Groups of a step that carry a gradient.", DAPO, unit="prompts"),
        _measure("mean tokens", 30.4, 29.8, 31.1, "Tokens of a response.", None, unit="tokens"),
        _measure(
            "chance-corrected pass@1",
            None,
            None,
            None,
            "pass@1 beyond blind guessing.",
            None,
            why_none="the task has no finite answer space",
        ),
    )


def make_findings(measures: tuple[Measure, ...]) -> tuple[Finding, ...]:
    """One finding of each severity."""
    found = {measure.name: measure for measure in measures}
    return (
        Finding(
            code="dead-prompts",
            severity="fix",
            title="9 of 32 prompts never passed in 16 tries",
            evidence=(found["all wrong"], found["live share"]),
            prescription="Drop the 9 prompts from training, or warm up with supervised examples of quoted and JSON answers first.",
            reference=DAPO,
        ),
        Finding(
            code="blurred-probabilities",
            severity="watch",
            title="Probability does not tell right answers from wrong ones: S = −0.02",
            evidence=(found["silhouette"], found["AUROC"], found["label permutation z"]),
            prescription="Expect slow progress on such prompts; clarity weighting gives them more weight. Check again after 50 steps.",
            reference=CLARITY,
        ),
        Finding(
            code="medium-alignment",
            severity="watch",
            title="pass@16 is 0.72: the cheap tricks are not safe here",
            evidence=(found["pass@1"], found["pass@16"]),
            prescription="Use a true reward on all prompts. One example or a spurious reward works only where pass@k is already high.",
            reference=MIRAGE,
        ),
        Finding(
            code="contrast",
            severity="good",
            title="67 % of the groups of 16 would carry a gradient",
            evidence=(found["live share"], found["effective live prompts"]),
            prescription="Keep 16 rollouts a prompt; 8 would leave 54 % live.",
            reference=DAPO,
        ),
    )


def make_advice() -> tuple[Advice, ...]:
    """All four fits."""
    rows = (
        ("grpo", "fits", "live share 0.667 [0.509, 0.807] is above 0.5", "a live share below 0.2", MIRAGE),
        (
            "clarity_weighted",
            "recommended",
            "silhouette −0.021 [−0.049, 0.008] is below 0.1 with 22 live prompts",
            "silhouette above 0.3",
            CLARITY,
        ),
        ("one_shot", "risky", "pass@16 0.718 [0.562, 0.844] is not surely above 0.8", "pass@16 above 0.8", MIRAGE),
        ("spurious_reward", "futile", "pass@1 0.262 [0.167, 0.364] is below 0.5", "pass@1 above 0.5 on a contaminated set", MIRAGE),
        ("positive_only", "risky", "26 % right answers; collapses to few modes", "a larger share of rare successes", MIRAGE),
        ("negative_only", "fits", "74 % wrong answers and pass@16 well above pass@1", "pass@16 near pass@1", MIRAGE),
        ("sft_first", "fits", "28 % of the prompts never passed", "no dead prompts", None),
    )
    return tuple(Advice(recipe=r, fit=f, because=b, would_change=w, paper=p) for r, f, b, w, p in rows)  # type: ignore[arg-type]


def make_curves() -> tuple[Curve, ...]:
    """The two curves of every diagnosis, and clarity at two numbers of rollouts."""
    x = (1, 2, 4, 8, 16)
    passk = Curve(
        name="pass@k",
        x_name="k",
        x=x,
        value=(0.262, 0.378, 0.498, 0.613, 0.718),
        low=(0.167, 0.266, 0.371, 0.471, 0.562),
        high=(0.364, 0.495, 0.626, 0.743, 0.844),
        num_prompts=(32,) * 5,
        meaning="Chance that at least one of k answers is right. A flat curve leaves RL nothing to amplify.",
    )
    live = Curve(
        name="live share",
        x_name="G",
        x=x[1:],
        value=(0.232, 0.41, 0.544, 0.667),
        low=(0.158, 0.294, 0.402, 0.509),
        high=(0.302, 0.518, 0.676, 0.807),
        num_prompts=(32,) * 4,
        meaning="Expected share of groups of G rollouts that hold both right and wrong answers.",
    )
    sizes = {
        "silhouette at K": (-0.034, -0.021),
        "balanced silhouette at K": (0.004, 0.011),
        "share with S < 0 at K": (0.62, 0.58),
        "clarity coverage at K": (0.56, 0.69),
    }
    by_size = [
        Curve(
            name=name,
            x_name="K, rollouts a prompt",
            x=(8, 16),
            value=values,
            low=tuple(v - 0.03 for v in values),
            high=tuple(v + 0.03 for v in values),
            num_prompts=(32, 32),
        )
        for name, values in sizes.items()
    ]
    return passk, live, *by_size


def make_clouds(summaries: list[results.PromptSummary]) -> tuple[results.Cloud, ...]:
    """The prompts with a silhouette, in order and against their pass rate, before a band written by hand."""
    there = [(position, s.num_correct / s.num_scored, s.silhouette) for position, s in enumerate(summaries) if s.silhouette is not None]
    ranked = sorted(there, key=lambda entry: entry[2])
    side = {position: "above" if s > 0.2 else "below" if s < -0.3 else "within" for position, _, s in there}
    places = tuple(float(i + 1) for i in range(len(ranked)))
    by_prompt = results.Cloud(
        name="silhouette by prompt",
        x_name="prompts, lowest first",
        y_name="S",
        prompts=tuple(position for position, _, _ in ranked),
        x=places,
        y=tuple(s for _, _, s in ranked),
        side=tuple(side[position] for position, _, _ in ranked),  # type: ignore[misc]
        band_x=places,
        band_mean=tuple(-0.2 + 0.4 * place / len(places) for place in places),
        band_low=tuple(-0.3 + 0.4 * place / len(places) for place in places),
        band_high=tuple(-0.1 + 0.4 * place / len(places) for place in places),
        meaning="Prompts in the order of their S; the band is what permuted labels give at each place.",
    )
    against = results.Cloud(
        name="silhouette and pass rate",
        x_name="pass rate",
        y_name="S",
        prompts=tuple(position for position, _, _ in there),
        x=tuple(rate for _, rate, _ in there),
        y=tuple(s for _, _, s in there),
        side=tuple(side[position] for position, _, _ in there),  # type: ignore[misc]
        band_x=(0.0625, 0.25, 0.5, 0.9375),
        band_mean=(-0.12, -0.01, 0.0, -0.12),
        band_low=(-0.5, -0.2, -0.1, -0.5),
        band_high=(0.5, 0.3, 0.2, 0.5),
        meaning="Prompts by their share of right answers; the band is what permuted labels give.",
    )
    return by_prompt, against


def make_histograms(prompts: list[Prompt], rollouts: list[Rollout]) -> tuple[Histogram, ...]:
    """Counted from the rollouts; silhouettes are drawn from a bell, with what random labels would give."""
    rates, probability = [], {"right": [0.0] * 20, "wrong": [0.0] * 20}
    for prompt in prompts:
        values = [r.reward.value for r in rollouts if r.prompt_id == prompt.id and r.reward and r.reward.value is not None]
        rates.append(sum(values) / len(values))
    for rollout in rollouts:
        if rollout.reward and rollout.reward.value is not None and rollout.logprobs_t1 is not None:
            mean = float(np.exp(rollout.logprobs_t1.mean()))
            probability["right" if rollout.reward.value >= 1 else "wrong"][min(19, int(mean * 20))] += 1
    edges = tuple(i / 10 for i in range(11))
    mixed = np.histogram([rate for rate in rates if 0 < rate < 1], bins=edges)[0]
    ends = (rates.count(0.0), *[0] * 8, rates.count(1.0))
    bins = np.linspace(-1, 1, 21)
    silhouettes = np.histogram(np.random.default_rng(1).normal(-0.02, 0.16, size=22), bins=bins)[0]
    bell = np.exp(-0.5 * ((bins[:-1] + 0.05 + 0.02) / 0.11) ** 2)
    return (
        Histogram(
            name="pass rate",
            unit="share",
            edges=edges,
            series={"mixed": tuple(map(float, mixed)), "all wrong or all right": tuple(map(float, ends))},
            meaning="Prompts by pass rate. Those at exactly 0 or 1 carried no gradient in this sample.",
        ),
        Histogram(
            name="probability",
            unit="share",
            edges=tuple(i / 20 for i in range(21)),
            series={name: tuple(values) for name, values in probability.items()},
            meaning="Geometric mean of the token probabilities of a response, right and wrong ones each on their own scale.",
        ),
        Histogram(
            name="silhouette",
            unit="S",
            edges=tuple(float(edge) for edge in bins.round(3)),
            series={
                "prompts": tuple(map(float, silhouettes)),
                "expected if labels were random": tuple(float(v) for v in (22 * bell / bell.sum()).round(3)),
            },
            meaning="One value a prompt; mass to the right of the dotted line means that probability knows what is right.",
        ),
    )


def make_diagnosis(prompts: list[Prompt], rollouts: list[Rollout]) -> results.Diagnosis:
    """All parts filled."""
    measures = make_measures()
    summaries = []
    for i, prompt in enumerate(prompts):
        values = [r.reward.value for r in rollouts if r.prompt_id == prompt.id and r.reward and r.reward.value is not None]
        mixed = 0 < sum(values) < len(values)
        silhouette = round(0.35 * float(np.sin(i)), 3) if mixed else None
        summaries.append(
            results.PromptSummary(
                prompt_id=prompt.id,
                num_scored=len(values),
                num_correct=int(sum(values)),
                silhouette=silhouette,
                balanced=None if silhouette is None else silhouette / 2,
                z=None if silhouette is None else round(10 * silhouette, 2),
            )
        )
    return results.Diagnosis(
        source={
            "path": "runs/demo",
            **SPEC,
            "created": CREATED,
            "policy": "smollm2",
            "success": 1.0,
            "group_size": 16,
        },
        verdict=results.Verdict(
            value="fix first",
            rule="at least one finding of severity fix: dead-prompts",
            headline="There is signal in two of three groups (live share 0.67 [0.51, 0.81]), but 28 % of the prompts never pass: "
            "drop or warm up those before you spend.",
        ),
        num_prompts=len(prompts),
        num_rollouts=len(rollouts),
        num_unscored=1,
        first_failure="p00-7c41, rollout 5: the reward timed out after 5 s",
        findings=make_findings(measures),
        skipped=(records.Skipped(code="chance-correction", missing="a finite answer space (column num_choices)"),),
        advice=make_advice(),
        measures=measures,
        curves=make_curves(),
        histograms=make_histograms(prompts, rollouts),
        clouds=make_clouds(summaries),
        prompts=tuple(summaries),
        thresholds=(
            Threshold(name="strong_pass", value=0.8, meaning="pass@16 at or above this is strong alignment"),
            Threshold(name="few_live", value=0.2, meaning="a live share below this is a finding to fix"),
            Threshold(name="clear_silhouette", value=0.1, meaning="a silhouette above this tells right from wrong"),
        ),
        cost=results.Cost(
            num_steps=100,
            prompts_per_step=32,
            rollouts_per_prompt=16,
            num_tokens=1556480.0,
            hours=1.94,
            sampling_tokens_per_s=512.4,
            scoring_tokens_per_s=903.7,
            num_live_prompts=21.3,
            assumption="Sampling at the measured speed, plus a step at a third of the scoring speed on live groups only.",
        ),
    )


def write_folder(path: Path) -> Path:
    """A complete run folder without its page."""
    store, prompts = RunFolder(path), make_prompts()
    rollouts = make_rollouts(prompts)
    store.write_run(
        {
            "status": "finished",
            "spec": SPEC,
            "created": CREATED,
            "policy": "smollm2",
        }
    )
    store.write_prompts(prompts)
    by_id = {prompt.id: prompt for prompt in prompts}
    half = len(rollouts) // 2
    store.append_rollouts(rollouts[:half], by_id)
    store.append_rollouts(rollouts[half:], by_id)
    write_json(store.diagnosis_file, {"schema_version": 1, **asdict(make_diagnosis(prompts, rollouts))})
    return path


if __name__ == "__main__":
    from jominy.reporting import report

    print(report(write_folder(Path(sys.argv[1]))))
