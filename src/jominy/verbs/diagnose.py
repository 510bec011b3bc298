"""`jominy diagnose`: will RL work for this model, task and reward?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction, arg

from jominy.specs import DiagnosisSpec, ProbeName, SampleSpec
from jominy.verbs.words import EXIT_VERDICT, number_in, pairs_in

if TYPE_CHECKING:
    from jominy.sampling import LoadEngine


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
    audit: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """What `jominy audit` found of the reward or judge; default: an audit in the run folder, where there is one."""
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
        diagnosis = diagnose_path(path, reading, columns, out, own_code=own_code, quiet=self.quiet or self.json, audit=self.audit)
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
