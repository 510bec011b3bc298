"""Verbs that show what is there: a page made anew, and the models, tasks, rewards and recipes by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Write report.html anew from a run folder."""

    folder: Positional[Path]
    """A run folder with diagnosis.json, a training folder, or the folder of a study."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.reporting import report

        print(report(self.folder))
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """List the model aliases; any hub id or local path works as well."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.printing import print_models

        print_models()
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """List the tasks and their options."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.printing import print_tasks

        print_tasks()
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewards:
    """List the rewards that can stand in for a task's own, and their options."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.printing import print_rewards

        print_rewards()
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipes:
    """List the recipes and how to use them."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.printing import print_recipes

        print_recipes()
        return 0
