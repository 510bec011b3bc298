"""The command line: which verbs there are, what their words mean, and how a mistake is told. Each verb is a file of `verbs`.

What a verb calls is imported when it is called, so that `jominy --help` answers at once.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, subcommand

from jominy.specs import RunSpec
from jominy.verbs.audit import Audit
from jominy.verbs.check import Check
from jominy.verbs.diagnose import Diagnose
from jominy.verbs.explain import Explain
from jominy.verbs.interpret import Interpret
from jominy.verbs.refine import Refine
from jominy.verbs.sample import Sample
from jominy.verbs.showing import Models, Recipes, Report, Rewards, Tasks
from jominy.verbs.study import Study
from jominy.verbs.train import Train

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

Others = (
    Annotated[Sample, subcommand("sample")]
    | Annotated[Diagnose, subcommand("diagnose")]
    | Annotated[Audit, subcommand("audit")]
    | Annotated[Refine, subcommand("refine")]
    | Annotated[Explain, subcommand("explain")]
    | Annotated[Interpret, subcommand("interpret")]
    | Annotated[Study, subcommand("study")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Check, subcommand("check")]
    | Annotated[Models, subcommand("models")]
    | Annotated[Tasks, subcommand("tasks")]
    | Annotated[Rewards, subcommand("rewards")]
    | Annotated[Recipes, subcommand("recipes")]
)


DESCRIPTION = "Measure whether reinforcement learning will work for a language model, a task and a reward - before the run."


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `jominy`; returns the exit code.

    0 done, 1 a check failed, 2 a mistake in the command or its input, 3 the verdict is as bad as --fail-on says, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(lambda: parse(words).run())


def parse(words: Sequence[str]) -> Any:
    """The command that the words mean; the file behind --config gives the defaults of `train`."""
    config = configured(words)
    training: Any = subcommand("train") if config is None else subcommand("train", default=Train(out=tyro.MISSING, spec=config))
    command: Any = Others | Annotated[Train, training]
    return tyro.cli(command, prog="jominy", description=DESCRIPTION, args=words, config=(FlagCreatePairsOff,))


def configured(words: Sequence[str]) -> RunSpec | None:
    """The RunSpec that `train --config FILE` names; None without one."""
    if words[:1] != ["train"]:
        return None
    joined = [word.partition("=")[2] for word in words if word.startswith("--config=")]
    named = joined + [after for word, after in pairwise(words) if word == "--config"]
    if not named:
        return None
    from jominy.configuring import load_run_spec

    return load_run_spec(named[-1])


def guarded(action: Callable[[], int]) -> int:
    """Run a verb; a user's mistake becomes one message on standard error, without a traceback."""
    try:
        return action()
    except ValueError as error:
        print(f"jominy: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except OSError as error:
        kept = "; what was finished is kept: make room and run the same command again to go on" if error.errno == errno.ENOSPC else ""
        print(f"jominy: {error}{kept}", file=sys.stderr)
        return EXIT_USER_ERROR
    except ArithmeticError as error:
        print(f"jominy: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print("jominy: interrupted; what was finished is kept, run the same command again (train: with --resume) to go on", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
