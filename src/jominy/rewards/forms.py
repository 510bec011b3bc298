"""One response judged twice: strictly, in the form that the prompt asks for, and leniently, wherever its answer stands.

    strict  = the task's reward, 0 where the response has not the form
    lenient = the larger of strict and the task's lenient grader, which reads one answer wherever it stands

So what is strictly right is leniently right, and at most two readings of one text are paid. For measuring only: a policy that is trained on
the lenient judgement is paid for untidiness.
Left out: which form a task asks for, and where an answer may stand; tasks say that (`Task.format`, `Task.lenient`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jominy.records import Prompt, Reward, RewardFunction, Task

LENIENT = "lenient"
"""The name of the lenient judgement among the parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """A reward whose value is the strict judgement and whose part `lenient` is the lenient one.

    Example: Forms.of(task)(prompt, "It is 13, I think").value
    """

    reward: RewardFunction
    """The task's own."""
    format: Callable[[Prompt, str], bool] | None
    """Whether a response has the form; None where the reward judges that too."""
    lenient: RewardFunction | None
    """None where the task has no such grader."""

    @staticmethod
    def of(task: Task) -> Forms:
        """The judgements of a task."""
        return Forms(reward=task.reward, format=task.format, lenient=task.lenient)

    def __call__(self, prompt: Prompt, text: str) -> Reward:
        """Both judgements; unscored where the reward, or the lenient grader, gives none."""
        judged = self.reward(prompt, text)
        if judged.value is None:
            return judged
        strict = judged.value if self.format is None or self.format(prompt, text) else 0.0
        if self.lenient is None:
            return Reward(value=strict, answer=judged.answer)
        lenient = self.lenient(prompt, text)
        if lenient.value is None:
            return lenient
        return Reward(value=strict, parts={LENIENT: max(strict, lenient.value)}, answer=judged.answer)


def no_answer(prompt: Prompt, text: str) -> Reward:
    """The reward of prompts that no answer is known for: unscored, whatever is said."""
    return Reward(value=None, note="the task has no answer that a continuation could hold")
