"""What `audit` is asked to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes, Suppress, arg

LARGEST_AUDITED_GROUP = 512
PAIRS = 6
"""Of each constraint type at each number of constraints, where nothing else is audited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthSpec:
    """What an audit knows the truth of; all that is given is put together."""

    pairs: Annotated[int | None, arg(metavar="INT")] = None
    """Minimal pairs of each constraint type at 1, 2 and 3 constraints: a satisfied answer, and an edit of it that violates exactly one.
    0: none, and no probes. Default 6, and 0 beside --labelled or --run."""
    probes: int = 12
    """Prompts to which the answers are given that nobody wants: none, an echo, a claim that all is satisfied ...; 0: none."""
    constraints: Annotated[str, arg(metavar="OPTIONS")] = ""
    """Options of the task `constraints` for pairs and probes, without count=: types (no_commas,title), rendering=soft; default: all types,
    hard."""
    labelled: Annotated[Path | None, arg(metavar="FILE")] = None
    """A .jsonl, .csv or .parquet file of yours with prompt, response, label and, if you like, type."""
    run: Annotated[Path | None, arg(metavar="RUN")] = None
    """A run folder whose prompts have constraints: the model's own responses, judged blind and compared with code; of a training folder the
    last evaluation."""
    responses: int = 8
    """Responses of each prompt of that run, the first ones."""

    @property
    def num_pairs(self) -> int:
        """`pairs`, or its default."""
        if self.pairs is not None:
            return self.pairs
        return PAIRS if self.labelled is None and self.run is None else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSpec:
    """Who is audited, against what, and for which training run."""

    judge: Annotated[str | None, arg(metavar="JUDGE")] = None
    """http://localhost:8000/v1,model=NAME (an OpenAI-compatible endpoint; its key from $OPENAI_API_KEY or key=VARIABLE), or local:MODEL,
    the likeliest of the verdicts that can be read (local:MODEL,answers=free: in its own words)."""
    mode: Literal["batch", "pointwise", "numbered"] = "batch"
    """All constraints of a response in one question, or one question each; numbered: batch, a single one in the same form."""
    reward: Annotated[str | None, arg(metavar="NAME|FILE:FUNCTION")] = None
    """A reward in place of a judge, as `train` takes it: it says yes where it pays."""
    success: float = 1.0
    """From which reward on it pays."""
    repeats: int = 1
    """Ask so many times; the first time counts, all of them say how far it agrees with itself."""
    pass_rates: Annotated[Path | None, arg(metavar="RUN")] = None
    """A run folder whose pass rates say what the errors do to training; default the run of --run, and without one 0.5."""
    group_size: int = 8
    """Group size G of the planned training."""
    reward_timeout: float = 5.0
    """Seconds a reward may take for one response before it counts as unscored."""
    seed: int = 0
    """Seed of pairs and probes."""
    truth: OmitArgPrefixes[TruthSpec] = field(default_factory=TruthSpec)
    """What is known."""
    thresholds: Annotated[Mapping[str, float], Suppress] = field(default_factory=dict)
    """Bounds to set anew, by name (see `measures.trust`)."""

    def check(self) -> None:
        """Raises ValueError naming the first field that cannot be."""
        if (self.judge is None) == (self.reward is None):
            raise ValueError("name who is audited: --judge http://HOST/v1,model=NAME or local:smollm2, or else --reward NAME|FILE:FUNCTION")
        lowest: dict[str, tuple[float, float]] = {
            "pairs": (self.truth.num_pairs, 0),
            "probes": (self.truth.probes, 0),
            "responses": (self.truth.responses, 1),
            "repeats": (self.repeats, 1),
            "group_size": (self.group_size, 2),
            "seed": (self.seed, 0),
        }
        for name, (value, low) in lowest.items():
            if value < low:
                raise ValueError(f"--{name.replace('_', '-')} must be at least {low}; got {value}")
        if self.group_size > LARGEST_AUDITED_GROUP:
            raise ValueError(f"--group-size must be at most {LARGEST_AUDITED_GROUP}; got {self.group_size}")
        if not 0 < self.reward_timeout < math.inf or not math.isfinite(self.success):
            raise ValueError("--reward-timeout must be positive and --success a finite reward")
        if not self.truth.num_pairs and self.truth.labelled is None and self.truth.run is None:
            raise ValueError("with --pairs 0 there is nothing whose truth is known; give --labelled FILE or --run RUN")
        if self.repeats > 1 and self.reward is not None and self.reward.startswith("judge:"):
            raise ValueError("a judge behind --reward remembers its replies, so --repeats says nothing of it; name it with --judge")
