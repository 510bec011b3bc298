"""What a training run would cost on the machine that sampled: tokens and hours from measured speeds.

    tokens = steps * prompts * G * mean tokens a response
    hours  = tokens / sampling speed + 3 * steps * prompts * G * (prompt + response tokens) / scoring speed

A training step computes a forward and a backward pass, the backward costing about two forwards (2001.08361, section 2.1); the scoring
speed is that
of a plain forward pass, measured on this machine. Left out: grading time beyond what was measured, evaluation, checkpoints.
LIMIT: an extrapolation without an interval; `train` reports the real one after its first step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jominy.evidence import Evidence
from jominy.results import Cost

FORWARDS_PER_UPDATE = 3.0


def cost_of(run: Mapping[str, Any], evidence: Evidence, num_steps: int, prompts_per_step: int) -> Cost | None:
    """The cost at the speeds in `run`; None when nothing was timed or nothing is known about signal.

    Args:
        run: `run.json` with `timing` and `rescoring`.
        evidence: for the group size and the live share.
        num_steps: optimiser steps.
        prompts_per_step: groups a step.
    """
    timing, again = run["timing"], run.get("rescoring")
    live = evidence.liveness.gradient
    if again is None or live.value is None or timing["sampling_s"] <= 0 or timing["num_rollouts"] == 0:
        return None
    num_rollouts = num_steps * prompts_per_step * evidence.group_size
    response_tokens = timing["num_tokens"] / timing["num_rollouts"]
    row_tokens = again["num_tokens"] / again["num_rollouts"]
    sampling_speed = timing["num_tokens"] / timing["sampling_s"]
    sampling_s = num_rollouts * response_tokens / sampling_speed
    update_s = FORWARDS_PER_UPDATE * num_rollouts * row_tokens / again["tokens_per_s"]
    grading_s = timing["grading_s"] / timing["num_rollouts"] * num_rollouts
    return Cost(
        num_steps=num_steps,
        prompts_per_step=prompts_per_step,
        rollouts_per_prompt=evidence.group_size,
        num_tokens=num_rollouts * response_tokens,
        hours=(sampling_s + update_s + grading_s) / 3600,
        sampling_tokens_per_s=sampling_speed,
        scoring_tokens_per_s=again["tokens_per_s"],
        num_live_prompts=prompts_per_step * live.value,
        num_live_prompts_low=None if live.low is None else prompts_per_step * live.low,
        num_live_prompts_high=None if live.high is None else prompts_per_step * live.high,
        assumption=f"responses of {response_tokens:.0f} tokens at the measured sampling speed, an update at the cost of "
        f"{FORWARDS_PER_UPDATE:g} forward passes "
        f"over prompt and response at the measured scoring speed, grading as measured: {sampling_s / 3600:.2f} h + "
        f"{update_s / 3600:.2f} h + {grading_s / 3600:.2f} h",
    )
