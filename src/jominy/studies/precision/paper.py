"""What 2601.04954 says, in its own numbers, our thresholds, and what should be known before our runs are held against it.

Its full text was not at hand: numbers are those of readers' notes and of a sister paper with the same set-up (2606.07520). Left out: its
table of benchmarks, on other models.
"""

from __future__ import annotations

from collections.abc import Mapping

from jominy.records import Paper
from jominy.results import Threshold
from jominy.studies.precision.design import BLIND_RATE, SEEN_BY_SEED

TITLE = "Can the reward be trusted, and what to train on when it can't?"
OURS = Paper(arxiv="", title="our test beside 2601.04954")
SISTER = Paper(arxiv="2606.07520", title="TinyJudge", where="training reward against test score")

FEWEST_SEEDS = 3
LESS_TIME = 0.58
"""By how much less the refined data took, as the abstract says; from what, and with how long a judge, is not known."""
SMALL = 0.02
"""A difference that is surely below this is none."""
LEAST_SAVING = 0.1
"""A part of the time that is surely below this is none."""
LEARNED = 0.1
"""A cue whose share of the responses surely rises by less was not learned."""
NARROW = 0.15
"""An interval of a share that reaches farther says too little to agree with a number in it."""
MOST = 0.5
PRIMARY = ("hard-over-soft", "hard-over-mix", "transfers", "wording", "systematic-loses-more", "refined-better")
"""Codes of the claims that the study is about, named before it was run."""
THRESHOLDS = (
    Threshold(name="small", value=SMALL, meaning="a gain or a lead that is surely below this is none"),
    Threshold(name="least_saving", value=LEAST_SAVING, meaning="a part of the time that is surely below this is none"),
    Threshold(name="learned", value=LEARNED, meaning="a cue whose share of the responses surely rises by less was not learned"),
    Threshold(name="most", value=MOST, meaning="most violations, and most runs, are more than this share of them"),
    Threshold(
        name="narrow", value=NARROW, meaning="a share agrees with a factor only where its interval reaches no farther to either side"
    ),
    Threshold(name="fewest_seeds", value=FEWEST_SEEDS, meaning="finished seeds that a verdict on training takes"),
)

PAPER_JUDGES: Mapping[str, tuple[str, str, str, str]] = {
    "Qwen3-32B, one call": ("76.5", "30.6", "74.5", "20.9"),
    "Qwen3-32B, pointwise": ("82.6", "59.3", "83.5", "54.7"),
    "QwQ-32B, one call": ("80.7", "44.1", "78.2", "33.1"),
    "Gemini-2.5-pro, one call": ("–", "65.7", "–", "63.8"),
}
"""Judge -> precision and recall on false, of hard and of soft constraints, in per cent of human labels: the paper's."""

LIMITS = (
    f"{len(PRIMARY)} claims are primary, named before the study was run: {', '.join(PRIMARY)}; all others are secondary. Every interval "
    "and p-value stands by itself at 95 %: of many without effect, one in twenty would look as if it had one.",
    "The models are SmolLM2-135M and lab models of about a million parameters; the paper's have 3 to 32 billion. Lab models know no words "
    "of constraints, so they are in the noise grid alone.",
    "Hard against soft puts an exact reward against one whose errors we chose: at the rates of the paper's judge it is a statement about "
    "GRPO under such errors as much as about soft constraints. `wording` and `precision-on-soft` hold the reward, or the words, fixed.",
    "The judge that pays in training is simulated at the rates of the paper's judge on soft constraints. It errs independently, or by "
    "type; a real one errs by content. The lab models' cue stands for that, in another task.",
    "A cue shows in about a tenth of the wrong responses of the start, so at a rate of .1 it decides the errors alone, and at .3 and .5 a "
    "hash of the text decides most of them at first: the same wrong text is always paid or never, which can be learned too, one text at a "
    "time. At those rates a difference is not of the cue alone.",
    f"`judge_blind` sees one type alone, {' in even seeds and '.join(SEEN_BY_SEED)} in odd ones, of as many seeds, and passes "
    f"{100 * BLIND_RATE:.0f} % of the violations of the others, so that the mean over types is the rate of the other judges. Both of each "
    "pair of types that exclude each other are blind alike. What is met in training weighs types by how often they are violated, and may "
    "lie beside the stated rate. It has exact signal on about one prompt in three, where the type that it sees is asked, and next to none "
    "on the others; the judge that errs by chance has some on all. So `blind-types` compares how signal is spread as much as whether "
    "errors can be learned, and is no evidence for either alone.",
    "Before the run: `more-is-harder` and `hard-over-mix` will hardly be told. A difference between shares of 75 pairs each is seen "
    "from about 16 points on, and the paper's fall is 5.6; its lead of hard over mixed is 0.6 points of satisfied prompts.",
    "SmolLM2 is the only judge that the study itself asks, and a judge that tells no more than half of the pairs apart decides no claim. "
    "Any other is a further row and a further witness, on the same pairs: the study's command with `--judge URL,model=NAME`. Its model's "
    "name is kept, its address is not. An audit of one's own that lies in OUT/audits/NAME is read likewise.",
    "Chosen verdicts are what SmolLM2 finds likeliest of the replies that can be read. Left to its own words it leaves most unread, so an "
    "endpoint that only gives words is another kind of judge; both stand in the table. The bound at recall on true 97 % takes a known "
    "truth to set, which no training run has, and its own error is in no interval.",
    "A soft wording is our construction, and its truth is the verdict of the hard one's checker: stricter or laxer at the border than a "
    "reader. The paper's soft constraints have human labels. Of the same prompts, soft shares of 0, .5 (`mixed`) "
    "and 1 are trained on; .25 and .75 are not, and the mix that is refined, at .75, has other prompts.",
    "Satisfied prompts can rise by a style that is used on everything. What is followed takes off what the same requests gain without the "
    "constraint said; a style that is used only where some constraint is said, whichever, still counts.",
    "Types that were seen are six, unseen ones four, one a prompt where they are tested, two or three where they are trained on; `mixed` "
    "mixes within prompts. Requests are the same 200 in training and test, so what is unseen is the type and its combination with a "
    "request. Unseen types are those with a soft wording that the start meets within 32 tokens, as counted before the run: a layout or "
    "an ending is out of reach there.",
    "A test prompt that is said hard may also stand in the pool of a training run, as seeds share requests; few do, and in all conditions "
    "the same.",
    "Four seeds of every arm say little of others: only differences that are large beside the spread between seeds can be told, and "
    "Student's interval takes 3.2 errors to either side. Who adds seeds after a look at the verdicts has looked twice.",
    "Runs that exploded have no evaluation after training: they are left out of gains and leads, not counted as gains of 0, and listed. "
    "What is left may flatter their arm.",
    "The grid has false accepts of .1, .2, .3, .5 and .7, false rejects of .1, .3 and .5, both at the rates of the paper's judge on whole "
    "responses, and cues at .1, .3 and .5; SmolLM2 meets the rates of the paper's judge alone, by chance and by type, and no cue of the "
    "text.",
    "Refined prompts have fewer constraints a prompt, as in the paper, so a part of any difference is how much is asked for at once, and "
    "they are nearer to the further prompts, which have one. The pilot is paid by the simulated judge, which lets most violations pass: "
    "the filter for learnability has next to nothing to drop here; how many were never right is said, which it would drop had code paid.",
    "Seconds are of this machine, and a simulated judge costs nothing: what a judge would cost is the time that SmolLM2 takes to read as "
    "many questions with as many constraints, and one reply to each, in one pass; a larger judge, and one that writes its reply word by "
    "word or thinks aloud, takes longer.",
    "SmolLM2 judges texts made to order (minimal pairs), and its own responses, blind. Of the constraints of the pairs a quarter is "
    "violated, so precision there is at a base rate of its own.",
    "Attention is a mean over all layers and heads, as no definition is known; a change of attention is no proof of cause, and hiding a "
    "constraint hides what it says too. Its p-value is over prompts of the same trained models.",
)
