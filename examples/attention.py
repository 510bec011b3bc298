"""Did training move attention to what is asked, beyond a neutral sentence in the same prompts? And what if it cannot be seen?

Here two stages of a tiny model stand for before and after. Of a run of yours: load "smollm2" and "runs/rl/model".
Run: python examples/attention.py
"""

import numpy as np

from jominy import load_task
from jominy.engines.attending import attention_masses, masked_pass, stacked
from jominy.engines.local import LocalEngine
from jominy.engines.promptspans import constraint_spans, insert_sentence, neutral_sentence, prompt_spans
from jominy.explanation import signed, signed_interval
from jominy.lab import LabSpec, build
from jominy.measures.attention import SpanMass, beyond_control, change_by_layer, fall_in_pass, mass_change, mean_by_prompt
from jominy.records import Row, Sampling

TASK = "constraints:question,no_commas,count=1"
NUM_PROMPTS, NUM_ANSWERS = 8, 2
CONSTRAINT, NEUTRAL = "constraint 0", "neutral"


def stage(steps: int) -> LocalEngine:
    """The model after so many steps."""
    spec = LabSpec(tasks=(TASK,), steps=steps, rows=16, demonstrations=256, width=32, depth=1, context=1024)
    return LocalEngine.load(str(build(spec, quiet=True)))


before, after = stage(2), stage(60)
task, rng = load_task(TASK), np.random.default_rng(0)

# the constraint of each prompt, and behind it a sentence of about as many tokens that asks for nothing
prompts, spans = [], []
for prompt in task.prompts(NUM_PROMPTS, 0):
    start, end = constraint_spans(prompt)[CONSTRAINT]
    content = prompt.messages[-1].content
    sentence = neutral_sentence(before, len(before.encode_text(" " + content[start:end])))
    longer, placed = insert_sentence(prompt, constraint_spans(prompt), NEUTRAL, sentence, len(content))
    prompts.append(longer)
    spans.append(placed)

# where both models look while the same answers are read: those of the model before
rows, owner, where = [], [], []
numbers = {prompt.id: number for number, prompt in enumerate(prompts)}
for answers in before.sample(prompts, NUM_ANSWERS, Sampling(max_tokens=16), 0):
    for answer in answers:
        number = numbers[answer.prompt_id]
        rows.append(Row(prompt_ids=np.array(before.encode(prompts[number])), completion_ids=answer.token_ids))
        owner.append(number)
        where.append(prompt_spans(before, prompts[number], spans[number]))
looks = [attention_masses(model, rows, where) for model in (before, after)]

masses = {}
for name in (CONSTRAINT, NEUTRAL):
    sides = [stacked(look, [[name]] * len(rows)) for look in looks]
    first, second = (mean_by_prompt(mass, np.array(owner), NUM_PROMPTS) for mass, _ in sides)
    share = mean_by_prompt(sides[0][1][:, None, None], np.array(owner), NUM_PROMPTS)[:, 0, 0]
    masses[name] = SpanMass(name=name, before_PLH=first, after_PLH=second, share_P=share)
    change, p_value = mass_change(masses[name], rng)
    print(f"{change.name}: {change.before.value:.2f} to {change.after.value:.2f} times an even look, p {p_value:.2g}")
for number, layer in enumerate(change_by_layer(masses[CONSTRAINT])):
    print(f"  layer {number}: {signed(layer.value)} {signed_interval(layer)}")
beyond = beyond_control(masses[CONSTRAINT], masses[NEUTRAL], rng)
print(f"beyond the control: {signed(beyond.plain.mean.value)} {signed_interval(beyond.plain.mean)}")

# the causal check: the most likely answers, with the constraint in sight and hidden
greedy = Sampling(temperature=0.0, max_tokens=32)
hidden = {CONSTRAINT: [[one[CONSTRAINT]] for one in spans]}
found = masked_pass(after, prompts, hidden, task.reward, num_rollouts=1, sampling=greedy, seed=0)
fall = fall_in_pass(CONSTRAINT, found.open_P, found.masked_P[CONSTRAINT])
print(f"{fall.name}: {signed(fall.difference.value, 'share')} points {signed_interval(fall.difference)}")
