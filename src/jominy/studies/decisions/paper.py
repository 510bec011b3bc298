"""What 2601.01580 says as far as we know it, our thresholds, and what should be known before our runs are held against it.

Its full text was not at hand: no number of it is known to us, so every claim stands without one. Left out: anything that we would guess.
"""

from __future__ import annotations

from jominy.decided import OURS as DEFINITIONS
from jominy.records import Paper
from jominy.results import Threshold

TITLE = "Does RL improve the solving or the deciding?"
OURS = Paper(arxiv="", title="our test of 2601.01580")
NO_NUMBERS = "None at hand: the full text was not."

HALF = 0.5
HEARD = 0.9
MOST_APART = 2.0
EXACT = 1e-9
FEWEST_SEEDS = 3
PRIMARY = ("mainly-decisions", "rl-generalises", "decision-credit")
"""Codes of the claims that the study is about, named before it was run."""
THRESHOLDS = (
    Threshold(name="half", value=HALF, meaning="mainly, most, closes: surely more than this share"),
    Threshold(name="heard", value=HEARD, meaning="share of the bank's states with a verdict that a verdict on KL arms takes"),
    Threshold(
        name="most_apart",
        value=MOST_APART,
        meaning="times as far, in nats a response, that one of two arms may have moved to be held against the other on stopping",
    ),
    Threshold(name="exact", value=EXACT, meaning="largest difference of a ratio of 1 or a contrast of 0, relative to the coefficients"),
    Threshold(name="fewest_seeds", value=FEWEST_SEEDS, meaning="finished seeds in every cell that a verdict on runs takes"),
)

LIMITS = (
    DEFINITIONS,
    f"Three claims are primary, named before the study was run: {', '.join(PRIMARY)}; all others are secondary. Every interval stands by "
    "itself at 95 %: of many without effect, one in twenty would look as if it had one.",
    "The models are toys: about a million parameters made to order. The paper's has 7 billion and learned to reflect by itself; ours were "
    "shown the form, with wrong attempts that they read and did not imitate; on sums they did so in the last steps, for errors of an "
    "undertrained model are the same at every draw, and to try again gained nothing.",
    "SmolLM2 was not run. It would take a warm start on the form (`jominy train --recipe sft --task retry:...`, some thousand "
    "demonstrations of about 150 of its tokens), whose model would then be a cell like any other, and about twenty times the time a run.",
    "Out of distribution means: no arm trains on it. The warm start was shown demonstrations of these tasks, because without them it "
    "would hardly ever be right there and nothing could be decided. An eighth of the larger countdowns have no number above those of the "
    "task; of so many hardly one is trained on.",
    "Further prompts, the warm start's responses to them and the states of the bank are the same for all seeds. Intervals on them are "
    "those of a two-way table of seeds and prompts, so they cover the draw of both; held-out prompts differ from seed to seed and have a "
    "Student interval over seeds. Gains in the sections that every study has keep its bootstrap, which is wider.",
    "Thresholds, rules and primary claims were fixed before the full run, but for the gate's: warm starts were made anew until it let "
    "them in, and it was changed, after trial runs of three arms on countdown and on a sums that was given up.",
    "Learning rates were chosen with seed 100, which the study does not use, on the warm start of countdown and on one of sums that was "
    "given up: of two or three rates a family the one with the highest held-out pass@1 behind the last step, mean of the cells, one run "
    "each. Strengths were chosen there for how far arms ended from the start, so that every KL in the reward has one in the loss that "
    "ended about as far; the strongest in the reward was run on countdown alone. Further tasks were not looked at.",
    "The first eleven runs of countdown (seed 0, `sft` to `kl_loss_strong`) were begun past the gate, by one worker, while the warm start "
    "of sums was still trained; rates and strengths were fixed before, the order of sums was not changed behind them.",
    "Warm starts of the same order are other models on another processor, where sums are rounded otherwise, and may be refused there: "
    "which skills an undertrained model has come and go with the last digits. Those of these runs stand beside the results, in `starts`.",
    "No arm trains on the further tasks, of which the warm start was shown some: a gain there is what an arm kept as well as what it "
    "generalised, so each arm's own gain stands beside every difference.",
    "The warm start's own learning (right attempts, true checks, true verdicts) is close to `sft_masked`, ended early, and plain SFT is "
    "pulled to planted errors, which the warm start of countdown only read and that of sums learned last. So GRPO over plain SFT holds a "
    "gain by not imitating them; that is why every claim over SFT takes both. The last steps of sums showed a slip in half of the first "
    "attempts, the pool that SFT learns from in a quarter: there plain SFT may gain by slipping less.",
    "A part of the warm start's demonstrations accept a wrong attempt (`wrong_share` of its order), so that decisions have something to "
    "gain: how much that is at most stands beside each warm start, and is our choice.",
    "`corrected` learns how probable it is that an attempt is right, and draws its verdict at that rate: where most attempts that look "
    "right are, to accept them all pays more. So it may end below the warm start though every verdict that it learned was true.",
    "SFT and GRPO match in prompts and responses a step and not in information: a demonstration tells a right solution and a true verdict "
    "on every attempt, a reward one bit of a response. Behind a planted slip the right answer is one edit away, behind an own error not.",
    "The room for decisions is planted, and no demonstration that SFT learns accepts a wrong attempt: they show RETRY behind every one, "
    "about three times in ten demonstrations, where RL has to find it from one bit a response. That favours SFT, as the imitated slips "
    "favour GRPO; so it tests whether SFT neglects decisions for their length, and not who finds what nobody shows.",
    "SFT learns each demonstration of its pool eight times, because unique prompts and responses a step both match those of RL. Some of "
    "the pool the warm start was shown too, mostly with the same text (counted with the budgets). So a fall of SFT out of distribution may "
    "be one of eight passes.",
    "There is one warm start a cell: seeds vary prompts and draws, so what hangs on how a warm start attempts and decides has two cases.",
    "Prompts in distribution are drawn from a finite set of which the warm start saw a part, which is counted. The lead of GRPO is told "
    "without it too, and a warm start is let in by first attempts and room without it; gains, squares and rates of decisions in "
    "distribution are of both. Prompts of further tasks and of the bank are those that it did not see.",
    "Much may stay open. Arms train on one task of those that the warm start was shown, so on the others they may differ by a few points, "
    "and mostly in what they kept. An open verdict is no sign that there is no effect: how large one would have been seen stands beside "
    "it.",
    "Budgets match in unique prompts and, for SFT against GRPO, in responses a step; tokens match as far as the table of budgets says. "
    "`rft`, `corrected` and credit for one stage learn from a part of what they draw.",
    "SFT learns demonstrations of the task, which slip on a quarter of the attempts before the last; another share would teach another "
    "rate of retries.",
    "RL, SFT and `corrected` have a learning rate each, since equal rates are no equal moves. Credit for one stage is at the rate of "
    "GRPO, and AdamW makes steps of its fewer tokens as large.",
    "Strengths of a KL in the loss and in the reward are not of one scale: arms are paired by the nats at which they ended, as near as "
    f"they come, and only where neither moved more than {MOST_APART:g} times as far. Of two that moved differently the one that moved less "
    "keeps more of what the warm start accepted, which looks like a push to stop; what of it remains within a pair is in no interval. Nats "
    "by stage are of one response to each held-out prompt, one number a run: where hundredths of a nat are left, it is known to about as "
    "much.",
    "The swap exchanges policies at the ends of attempts and decisions; the Shapley split is exact for two players, and a share may lie "
    "outside 0 to 100 %.",
    "Verification and generation are compared on one scale only roughly: Youden's J and accuracy are both 0 for a blind guesser and 1 at "
    "best, and the states of the bank are the warm start's own attempts. Both are taken at prompts that it was not shown.",
)
