"""The policy of coins as a task: `tests.coin_task:task`."""

from __future__ import annotations

from jominy.records import Prompt, Reward, Task
from tests.coins import prompt, retrying


def grade(_prompt: Prompt, text: str) -> Reward:
    """1 when the attempt that was accepted, or the third, is right."""
    attempts = [letter for letter in text if letter in "rw"]
    stands = text.endswith("a.") or text.count("/") == 3
    return Reward(value=float(stands and attempts[-1] == "r"), answer=attempts[-1] if stands else None)


def prompts(num_prompts: int, _seed: int) -> list[Prompt]:
    """p0, p1 ..."""
    return [prompt(number) for number in range(num_prompts)]


task = Task(name="tests.coin_task:task", summary="coins", prompts=prompts, reward=grade, retrying=retrying())
