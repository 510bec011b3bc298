"""The command line: one subcommand a verb. Parse, call, print; nothing is computed here.

Every verb is imported when it is called, so that `jominy --help` answers at once.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, UseAppendAction, arg, subcommand

from jominy.specs import DecisionSpec, DiagnosisSpec, ProbeName, RunSpec, SampleSpec

if TYPE_CHECKING:
    from jominy.sampling import LoadEngine

EXIT_USER_ERROR = 2
EXIT_VERDICT = 3
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Draw and grade rollouts into a run folder; the same command on the same folder goes on where it stopped."""

    out: Path
    """Run folder to write."""
    spec: OmitArgPrefixes[SampleSpec] = field(default_factory=SampleSpec)
    """What to sample."""
    overwrite: bool = False
    """Replace a folder that holds another run."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.printing import print_sampled
        from jominy.sampling import sample

        print_sampled(sample(self.spec, self.out, overwrite=self.overwrite, quiet=self.quiet))
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnose:
    """Will RL work for this model, task and reward? Samples with --model and --task, or reads a run folder or file of rollouts."""

    path: Annotated[Positional[Path | None], arg(metavar="PATH")] = None
    """A run folder, or a .parquet, .jsonl or .csv file of rollouts; leave it out to sample."""
    out: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Run folder to write; default runs/MODEL-TASK when sampling, none when a file is read."""
    sampling: OmitArgPrefixes[SampleSpec] = field(default_factory=SampleSpec)
    """What to sample."""
    reading: OmitArgPrefixes[DiagnosisSpec] = field(default_factory=DiagnosisSpec)
    """How to read the rollouts."""
    columns: Annotated[tuple[str, ...], arg(metavar="OURS=YOURS")] = ()
    """Names of the columns in a file of yours, as ours=yours: reward=score prompt=input."""
    thresholds: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE")] = ()
    """Thresholds to set anew, e.g. strong_pass=0.7 live_fix=0.2; all are printed with every result."""
    fail_on: Literal["never", "fix", "stop"] = "never"
    """Exit with code 3 when the verdict is this bad or worse, for CI."""
    json: bool = False
    """Print diagnosis.json on standard output instead of tables."""
    probe: UseAppendAction[tuple[ProbeName, ...]] = ()
    """Sample more, into probes/ of the run folder: few_shot (the prompts behind solved examples), contamination (their beginnings alone).
    Can be given twice."""
    eval_task: Annotated[str | None, arg(metavar="TASK")] = None
    """Sample this task too and show it beside: the prompts that training will be judged by."""
    overwrite: bool = False
    """Replace a folder that holds another run."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.diagnosis import diagnose_path
        from jominy.printing import print_diagnosis
        from jominy.reporting import report
        from jominy.sampling import load_local_engine, sample
        from jominy.tasks.samples import parse_samples
        from jominy.thresholds import thresholds_with

        path, out = self.path, self.out
        thresholds = {name: number_in(value) for name, value in pairs_in(self.thresholds).items()}
        reading, columns = replace(self.reading, thresholds=thresholds), pairs_in(self.columns)
        thresholds_with(thresholds)
        own_code, load = path is None, cache(load_local_engine)
        if path is None:
            reading.check(parse_samples(self.sampling.samples, self.sampling.rollouts).fewest)
            if columns:
                raise ValueError("--columns is for a file of yours; what jominy samples has names of its own")
            out = out or Path("runs") / f"{self.sampling.model}-{self.sampling.task}".replace("/", "_").replace(":", "_")
            path = sample(self.sampling, out, load_engine=load, overwrite=self.overwrite, quiet=self.quiet or self.json).path
        elif self.sampling != SampleSpec():
            raise ValueError(f"{path} is read as it is; leave out --model, --task and the other sampling options, or leave out the path")
        self._sample_probes(path, load)
        diagnosis = diagnose_path(path, reading, columns, out, own_code=own_code, quiet=self.quiet or self.json)
        folder = out or (path if path.is_dir() else None)
        page = None if folder is None else report(folder)
        if self.json:
            print(json.dumps(diagnosis.to_json(), ensure_ascii=False, allow_nan=False))
        else:
            print_diagnosis(diagnosis, page)
        worst = {"never": (), "fix": ("fix first", "stop"), "stop": ("stop",)}[self.fail_on]
        return EXIT_VERDICT if diagnosis.verdict.value in worst else 0

    def _sample_probes(self, path: Path, load: LoadEngine) -> None:
        if not self.probe and self.eval_task is None:
            return
        if path.is_file():
            raise ValueError(f"--probe and --eval-task sample with the model of a run folder, and {path} is a file; leave them out")
        from jominy.probing import probe

        probe(path, self.probe, self.eval_task, load_engine=load, quiet=self.quiet or self.json)


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """Train a model on a task with a recipe; the run folder's model/ is the result, its page shows the run."""

    out: Path
    """Run folder to write."""
    spec: OmitArgPrefixes[RunSpec] = field(default_factory=RunSpec)
    """What to run."""
    config: Annotated[Path | None, arg(metavar="FILE")] = None
    """A .toml file with fields of the run, or my_run.py:spec; flags win over it."""
    resume: bool = False
    """Go on from the last checkpoint of the same run; with a larger --steps it goes further."""
    overwrite: bool = False
    """Replace what is in the folder."""
    track: Literal["tensorboard", "wandb", "trackio"] | None = None
    """Send the same numbers to a tracker."""
    quiet: bool = False
    """No panel."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.deciding.explain import explain_decisions
        from jominy.printing_decisions import print_decisions
        from jominy.printing_training import print_explanation, print_first_live_step, print_trained
        from jominy.reporting import report
        from jominy.training import train

        folder = train(self.spec, self.out, resume=self.resume, overwrite=self.overwrite, quiet=self.quiet, track=self.track)
        told = explain_decisions(folder.path, None, None, DecisionSpec(), drawing=False) if folder.has_before_and_after() else None
        page = report(folder.path)
        if told is not None and told.explanation is not None:
            print_explanation(told.explanation, page)
            if told.decisions is not None:
                print_decisions(told.decisions, told.why)
        print_first_live_step(folder.path)
        print_trained(folder.path, page)
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain:
    """What did training change? Reads a training folder's evaluations, or two run folders of the same prompts.

    Where responses try, decide and try again (task `retry`, or --spans): also whether it changed the solving or the deciding, which tokens
    each objective would credit, and, with both policies at hand, whose gain it is. A run folder alone is shown as it is.
    """

    folder: Positional[Path]
    """A training folder, or a run folder: the one before with AFTER, else the one after."""
    after: Positional[Annotated[Path | None, arg(metavar="AFTER")]] = None
    """The run folder after, when `folder` is the one before."""
    against: Annotated[Path | None, arg(metavar="RUN2")] = None
    """Compare with what this training or run folder ended with, in place of the start: e.g. the SFT run against the RL run."""
    deciding: OmitArgPrefixes[DecisionSpec] = field(default_factory=DecisionSpec)
    """Attempts and decisions."""
    json: bool = False
    """Print explanation.json on standard output instead of tables."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.deciding.explain import explain_decisions
        from jominy.printing_decisions import print_decisions
        from jominy.printing_training import print_explanation
        from jominy.reporting import can_report, report

        told = explain_decisions(self.folder, self.after, self.against, self.deciding, quiet=self.quiet or self.json)
        page = report(self.folder) if self.after is None and can_report(self.folder) else None
        explanation = told.explanation
        if self.json:
            shown = {"decisions": told.decisions, "why_no_decisions": told.why} if explanation is None else explanation.to_json()
            print(json.dumps(shown, ensure_ascii=False, allow_nan=False))
            return 0
        if explanation is not None:
            print_explanation(explanation, page)
        print_decisions(told.decisions, told.why)
        self._print_rest()
        return 0

    def _print_rest(self) -> None:
        from jominy.explaining import awaits_interpretation
        from jominy.interpretation import stored_interpretations
        from jominy.printing_interpretation import print_interpretations
        from jominy.printing_training import print_first_live_step

        folders = (self.folder,) if self.after is None else (self.folder, self.after)
        print_interpretations([(name or str(folder), found) for folder in folders for name, found in stored_interpretations(folder)])
        for folder in folders:
            if awaits_interpretation(folder):
                print(f"Which errors, and how many methods: jominy interpret {folder}")
        if self.after is None:
            print_first_live_step(self.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpret:
    """Which errors do wrong responses make, how many methods do right ones take, and does the sign of S go with it?

    A program tells where the task has written steps (`arithmetic:operators=+,steps=yes`), else a judge; with both, the judge is measured.
    Replies of a judge are kept in the folder, so the same command asks nothing twice.
    """

    folder: Positional[Path]
    """A run folder, or a training folder, of which the first and the last evaluation are read."""
    judge: Annotated[str | None, arg(metavar="JUDGE")] = None
    """http://localhost:8000/v1,model=NAME (an OpenAI-compatible endpoint; its key from $OPENAI_API_KEY or key=VARIABLE), or local:MODEL."""
    responses: int = 8
    """Right and wrong responses of each prompt that a judge is asked about."""
    success: float | None = None
    """A response is right when its gold, or else its reward, is at least this; default what the run was trained with, else 1."""
    seed: int = 0
    """Of bootstrap and null."""
    json: bool = False
    """Print the interpretations as JSON on standard output instead of tables."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.interpreting import interpret_path
        from jominy.printing_interpretation import print_interpretations
        from jominy.reporting import can_report, report

        found = interpret_path(
            self.folder,
            judge=self.judge,
            responses=self.responses,
            success=self.success,
            seed=self.seed,
            quiet=self.quiet or self.json,
        )
        page = report(self.folder) if can_report(self.folder) else None
        records = [(name, interpretation.to_json()) for name, interpretation in found]
        if self.json:
            print(json.dumps([{"of": name, **record} for name, record in records], ensure_ascii=False, allow_nan=False))
        else:
            print_interpretations(records)
            if page is not None:
                print(f"Page: {page}")
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Put a paper's claim to the test in miniature; the same command on the same folder goes on where it stopped."""

    name: Positional[str]
    """alignment (2508.21188), clarity (2601.06911) or decisions (2601.01580)."""
    out: Path
    """Folder for results.json, README.md, figures and report.html."""
    scale: Literal["smoke", "full"] = "smoke"
    """smoke: the machinery in a minute; full: the evidence in hours."""
    seeds: Annotated[int | None, arg(metavar="INT")] = None
    """Run only the first so many seeds now."""
    minutes: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Begin no further run after so many minutes."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.printing_study import print_study
        from jominy.studies.running import study

        print_study(study(self.name, self.out, scale=self.scale, seeds=self.seeds, minutes=self.minutes, quiet=self.quiet))
        return 0


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
class Check:
    """Run the battery on a task, reward or recipe of yours: `jominy check my_tasks.py:thing`, or on one of ours by name."""

    thing: Positional[str]
    """A task or recipe name, or module:thing or file.py:thing."""

    def run(self) -> int:
        """Run the verb; returns the exit code."""
        from jominy.checking import check
        from jominy.printing import print_check

        return 0 if print_check(check(self.thing)) else 1


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


Others = (
    Annotated[Sample, subcommand("sample")]
    | Annotated[Diagnose, subcommand("diagnose")]
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


def pairs_in(words: Sequence[str]) -> dict[str, str]:
    """`a=b` words as a dictionary.

    >>> pairs_in(["reward=score"])
    {'reward': 'score'}
    """
    for word in words:
        if "=" not in word:
            raise ValueError(f"{word!r} is no pair; write name=value")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def number_in(word: str) -> float:
    """A word as a number, or a message that says which word is none."""
    try:
        return float(word)
    except ValueError as error:
        raise ValueError(f"{word!r} is no number") from error


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
