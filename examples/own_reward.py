"""A reward of your own in the three forms that jominy takes, and what happens when one crashes.

Use one:   jominy diagnose --task arithmetic --reward examples/own_reward.py:compute_score
Run:       python examples/own_reward.py
"""

from jominy import Grader, Prompt, load_reward, load_task


def native(prompt: Prompt, text: str) -> float:
    """jominy's own form."""
    return float(prompt.target is not None and prompt.target in text)


def trl(prompts, completions, target, **columns):
    """TRL's form: lists in, a list of numbers or None out."""
    return [float(answer in completion[0]["content"]) for completion, answer in zip(completions, target, strict=True)]


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    """verl's form."""
    return {"score": float(ground_truth in solution_str)}


def crashes(prompt: Prompt, text: str) -> float:
    """Stands for the bug you have not found yet."""
    return 1 / 0


if __name__ == "__main__":
    prompt = load_task("arithmetic").prompts(1, 0)[0]
    print(prompt.messages[0].content)
    for name in ("native", "trl", "compute_score", "crashes"):
        with Grader(load_reward(f"{__file__}:{name}")) as grader:
            right, wrong = grader.grade([(prompt, prompt.gold_answer or ""), (prompt, prompt.wrong_answer or "")])
            print(f"{name:14} right: {right.value}  wrong: {wrong.value}  {right.note}")
