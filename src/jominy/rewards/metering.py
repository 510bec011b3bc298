"""What asking a judge costs: questions, calls, tokens where the endpoint tells them, and how long replies take.

    questions = remembered + asked          asked = said + unanswered          calls >= asked: attempts count, too
    latency   seconds from a question to its reply, waits included, in buckets that grow by a tenth: 1.1^(b-1) < s <= 1.1^b

Buckets add up over processes and runs that go on, quantiles do not; a quantile is the upper end of its bucket, at most a tenth too long and
never longer than the longest.
Left out on purpose: money. What a token costs is a matter between a person and an endpoint.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jominy.rewards.endpoint import Reply

GROWTH = 1.1
SHORTEST_S = 1e-4
QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What some questions have cost.

    Example: Spent(questions=12, asked=8, calls=9, unanswered=1, failed=1, prompt_tokens=6400, completion_tokens=16, asking_s=2.5)
    """

    questions: int = 0
    """Questions there were, equal ones and remembered ones included."""
    asked: int = 0
    """Questions that were sent: neither equal to another one nor remembered."""
    calls: int = 0
    """Calls that were made for them, further attempts included."""
    unanswered: int = 0
    """Asked questions without a text: cut off, refused or failed."""
    failed: int = 0
    """Those of them that nobody answered."""
    prompt_tokens: int = 0
    """Of the replies that tell them."""
    completion_tokens: int = 0
    """The same of what was said."""
    untold: int = 0
    """Asked questions whose reply does not tell both."""
    asking_s: float = 0.0
    """Seconds that the run waited for the judge."""
    longest_s: float = 0.0
    """The longest latency."""
    latency_counts: Mapping[int, int] = field(default_factory=dict)
    """{bucket: replies}; a model of this machine answers many at once and has none."""

    def plus(self, other: Spent) -> Spent:
        """Both together.

        >>> Spent(asked=2, longest_s=1.0, latency_counts={0: 2}).plus(Spent(asked=1, latency_counts={0: 1, 3: 1})).latency_counts
        {0: 3, 3: 1}
        """
        counts = Counter(self.latency_counts) + Counter(other.latency_counts)
        return Spent(
            questions=self.questions + other.questions,
            asked=self.asked + other.asked,
            calls=self.calls + other.calls,
            unanswered=self.unanswered + other.unanswered,
            failed=self.failed + other.failed,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            untold=self.untold + other.untold,
            asking_s=self.asking_s + other.asking_s,
            longest_s=max(self.longest_s, other.longest_s),
            latency_counts=dict(sorted(counts.items())),
        )

    def latency_s(self, share: float) -> float | None:
        """The quantile of the latencies, None without any.

        >>> spent = Spent(latency_counts={0: 9, 10: 1}, longest_s=2.5)
        >>> spent.latency_s(0.5), spent.latency_s(0.99)      # the last bucket ends at 2.59
        (1.0, 2.5)
        """
        rank = math.ceil(share * sum(self.latency_counts.values()))
        for bucket, count in sorted(self.latency_counts.items()):
            rank -= count
            if rank <= 0:
                return min(GROWTH**bucket, self.longest_s or math.inf)
        return None

    def words(self) -> str:
        """For a person.

        >>> Spent(questions=12, asked=8, calls=9, unanswered=1, prompt_tokens=6400, completion_tokens=16, asking_s=65.2).words()
        '8 questions asked in 9 calls and 65 s, 4 remembered, 1 unanswered, 6,400 + 16 tokens'
        """
        words = [f"{self.asked:,} questions asked in {self.calls:,} calls and {_took(self.asking_s)}"]
        words += [f"{self.questions - self.asked:,} remembered"] if self.questions > self.asked else []
        words += [f"{self.unanswered:,} unanswered"] if self.unanswered else []
        words += [f"{self.prompt_tokens:,} + {self.completion_tokens:,} tokens"] if self.prompt_tokens + self.completion_tokens else []
        half = self.latency_s(0.5)
        words += [] if half is None else [f"median latency {half:.2g} s"]
        words += [f"longest {self.longest_s:.2g} s"] if self.longest_s else []
        return ", ".join(words)

    def line(self) -> dict[str, float | None]:
        """As it stands in a line of steps.jsonl. Tokens are None where no reply tells them."""
        told = self.untold < self.asked or self.prompt_tokens + self.completion_tokens > 0
        return {
            "questions": self.questions,
            "asked": self.asked,
            "calls": self.calls,
            "unanswered": self.unanswered,
            "failed": self.failed,
            "prompt_tokens": self.prompt_tokens if told else None,
            "completion_tokens": self.completion_tokens if told else None,
            "untold": self.untold,
            "asking_s": self.asking_s,
            **{f"latency_p{round(100 * share)}_s": self.latency_s(share) for share in QUANTILES},
            "latency_max_s": self.longest_s if self.latency_counts else None,
        }

    def to_json(self) -> dict[str, Any]:
        """The line with the buckets, so that a run which goes on adds to it."""
        return {**self.line(), "latency_counts": {str(bucket): count for bucket, count in self.latency_counts.items()}}

    @staticmethod
    def of_json(found: Mapping[str, Any]) -> Spent:
        """What `to_json` wrote.

        >>> spent = Spent(questions=3, asked=1, calls=2, untold=1, longest_s=2.0, latency_counts={8: 1})
        >>> Spent.of_json(spent.to_json()) == spent
        True
        """
        return Spent(
            questions=found["questions"],
            asked=found["asked"],
            calls=found["calls"],
            unanswered=found["unanswered"],
            failed=found["failed"],
            prompt_tokens=found["prompt_tokens"] or 0,
            completion_tokens=found["completion_tokens"] or 0,
            untold=found["untold"],
            asking_s=found["asking_s"],
            longest_s=found["latency_max_s"] or 0.0,
            latency_counts={int(bucket): count for bucket, count in found["latency_counts"].items()},
        )


def _took(seconds: float) -> str:
    """A duration in words.

    >>> _took(65.2), _took(5400)
    ('65 s', '1 h 30 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def spent_over(lines: Iterable[Mapping[str, Any]]) -> Spent | None:
    """What the steps of a run have cost together, without the buckets, which a line does not have; None where nobody was asked.

    Args:
        lines: of steps.jsonl.
    """
    nothing = Spent().to_json()
    known = [Spent.of_json({**nothing, **line["judge"], "latency_counts": {}}) for line in lines if isinstance(line.get("judge"), Mapping)]
    return functools.reduce(Spent.plus, known) if known else None


def bucket_of(seconds: float) -> int:
    """b with 1.1^(b-1) < seconds <= 1.1^b.

    >>> bucket_of(1.0), bucket_of(1.05), bucket_of(2.0)
    (0, 1, 8)
    """
    return math.ceil(math.log(max(seconds, SHORTEST_S)) / math.log(GROWTH))


class Meter:
    """Counts while a judge is asked; what was counted can be taken, and counting begins anew."""

    def __init__(self) -> None:
        """Nothing has been asked."""
        self.spent = Spent()
        self.failed_in_a_row = 0
        self.has_answered = False
        self.has_spoken = False
        self.refused: list[str] = []
        """Why, of the questions that were refused before anything was said."""

    def count(self, num_questions: int) -> None:
        """Somebody has so many questions."""
        self.spent = self.spent.plus(Spent(questions=num_questions))

    def add(self, reply: Reply) -> None:
        """A reply to one that was sent."""
        usage, failed = reply.usage, reply.kind == "failed"
        self.failed_in_a_row = self.failed_in_a_row + 1 if failed else 0
        self.has_answered = self.has_answered or not failed
        self.has_spoken = self.has_spoken or reply.text is not None
        if reply.kind == "refused" and not self.has_spoken:
            self.refused.append(reply.note)
        one = Spent(
            asked=1,
            calls=usage.attempts,
            unanswered=int(reply.text is None),
            failed=int(failed),
            prompt_tokens=usage.prompt_tokens or 0,
            completion_tokens=usage.completion_tokens or 0,
            untold=int(usage.prompt_tokens is None or usage.completion_tokens is None),
            longest_s=usage.seconds or 0.0,
            latency_counts={} if usage.seconds is None else {bucket_of(usage.seconds): 1},
        )
        self.spent = self.spent.plus(one)

    def wait(self, seconds: float) -> None:
        """The judge was waited for."""
        self.spent = self.spent.plus(Spent(asking_s=seconds))

    def take(self) -> Spent:
        """What was counted since the last call."""
        taken, self.spent = self.spent, Spent()
        return taken
