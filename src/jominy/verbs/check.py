"""`jominy check`: is a task, reward or recipe sound?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tyro.conf import Positional

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Run the battery on a task, reward or recipe of yours: `jominy check my_tasks.py:thing`, or on one of ours by name."""

    thing: Positional[str]
    """A task or recipe name, or module:thing or file.py:thing."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.checking import check
        from jominy.printing import print_check

        return 0 if print_check(check(self.thing)) else 1
