"""A task of your own: prompts by seed, a reward, a gold and a known-wrong answer for each prompt.

Check it without a model:   jominy check examples/own_task.py:task
Diagnose a model on it:     jominy diagnose --task examples/own_task.py:task
Run:                        python examples/own_task.py
"""

import random

from jominy import Message, Prompt, Reward, Task, check, identify

WORDS = ("harbour", "lantern", "meadow", "whistle", "granite", "velvet", "compass", "thunder")


def prompts(num_prompts: int, seed: int) -> list[Prompt]:
    """Ask for a word backwards; every pair of words is another prompt."""
    rng = random.Random(seed)
    pairs = [(first, second) for first in WORDS for second in WORDS if first != second]
    rng.shuffle(pairs)
    return [make_prompt(f"{first}{second}") for first, second in pairs[:num_prompts]]


def make_prompt(word: str) -> Prompt:
    """One prompt with its target."""
    messages = (Message(role="user", content=f"Write the letters of '{word}' in reverse order. Answer with the reversed word only."),)
    target = word[::-1]
    return Prompt(
        id=identify("reverse", messages, target), task="reverse", messages=messages, target=target, gold_answer=target, wrong_answer=word
    )


def reward(prompt: Prompt, text: str) -> Reward:
    """1 when the last word is the target."""
    words = text.split()
    answer = words[-1].strip(".'\"").lower() if words else ""
    return Reward(value=float(answer == prompt.target), answer=answer)


task = Task(name="reverse", summary="spell a word backwards", prompts=prompts, reward=reward)

if __name__ == "__main__":
    for line in check(f"{__file__}:task").checks:
        print("pass" if line.passed else "----", line.name, "|", line.detail)
