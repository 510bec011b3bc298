"""Probes: drawn by the run's model into folders of their own, resumed like any run, read into findings that planted cases deserve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jominy.cli import EXIT_USER_ERROR, main
from jominy.diagnosis import diagnose_path
from jominy.engines import OnProgress
from jominy.measures.contamination import PERCENTS
from jominy.probed import FOLLOWS, PROBE_OF, contamination_folder
from jominy.probing import NUM_EXAMPLES, beginnings, few_shot_prompts, probe
from jominy.records import Finding, Message, Prompt, Rollout, Sampling, Task
from jominy.reporting import report
from jominy.results import Diagnosis
from jominy.sampling import sample
from jominy.specs import DiagnosisSpec, ProbeName, SampleSpec
from jominy.store import RunFolder
from jominy.tasks.arithmetic import grade, grade_leniently
from jominy.tasks.loading import load_task
from tests.scripted import ScriptedEngine

NAMES = "Alma Bora Cato Dina Emil Fay Gus Hana Ilja Juno Kaj Lou Mona Nils Olga Per Quin Rut Sven Tea Uno Vera Wim Xeni".split()


class Parrot(ScriptedEngine):
    """Goes on with the texts that it knows by heart, and says their answers; says something else after any other beginning."""

    def __init__(self, known: Mapping[str, str], form: str = "{}", stop_after: int | None = None) -> None:
        super().__init__(stop_after=stop_after)
        self.known = known
        self.form = form
        self.num_sampled = 0

    def sample(
        self, prompts: Sequence[Prompt], num_rollouts: int, sampling: Sampling, seed: int, on_progress: OnProgress | None = None
    ) -> Iterator[list[Rollout]]:
        for group in super().sample(prompts, num_rollouts, sampling, seed, on_progress):
            self.num_sampled += 1
            yield group

    def _rollout(self, prompt: Prompt, index: int, sampling: Sampling, seed: int) -> Rollout:
        rollout = super()._rollout(prompt, index, sampling, seed)
        if not prompt.raw:
            behind_examples = len(prompt.messages) > 2 * NUM_EXAMPLES
            return rollout if behind_examples else replace(rollout, text=self.form.format(rollout.text))
        begun = prompt.messages[0].content
        texts = [text for text in self.known if text.startswith(begun)]
        said = f"{texts[0][len(begun) :]} The answer is {self.known[texts[0]]}." if texts else " and so on and on. The answer is 0."
        return replace(rollout, text=said)


KNOWN = {
    f"{name} bought {n + 3} lemons for {2 * n + 5} cents each and paid with a coin of {100 * n + 700}; how many cents are left?": str(
        100 * n + 700 - (n + 3) * (2 * n + 5)
    )
    for n, name in enumerate(NAMES)
}
"""Questions that could have been printed somewhere, with their answers."""


def shop() -> Task:
    """A task of these questions; its answers are graded as in arithmetic."""
    prompts = [
        Prompt(id=name, task="shop", messages=(Message(role="user", content=text),), target=answer, gold_answer=answer, wrong_answer="x")
        for name, (text, answer) in zip(NAMES, KNOWN.items(), strict=True)
    ]
    return Task(name="shop", summary="", prompts=lambda number, seed: prompts[:number], reward=grade, lenient=grade_leniently)


SHOP = f"{__file__}:shop"


def spec_of(task: str, rollouts: int = 4) -> SampleSpec:
    return SampleSpec(task=task, model="scripted", prompts=24, rollouts=rollouts)


def codes(diagnosis: Diagnosis) -> set[str]:
    """Of what was found and of what was skipped."""
    return {finding.code for finding in diagnosis.findings} | {skipped.code for skipped in diagnosis.skipped}


def finding_of(diagnosis: Diagnosis, code: str) -> Finding:
    return next(finding for finding in diagnosis.findings if finding.code == code)


def value_of(diagnosis: Diagnosis, name: str) -> float | None:
    return next(measure.value for measure in diagnosis.measures if measure.name == name)


def drawn(out: Path, task: str, engine: ScriptedEngine, probes: Sequence[ProbeName] = (), rollouts: int = 4) -> Path:
    """A run folder with its probes."""

    def load(model: str, device: str) -> ScriptedEngine:
        return engine

    sample(spec_of(task, rollouts), out, load_engine=load, quiet=True)
    probe(out, probes, None, load_engine=load, quiet=True)
    return out


def test_a_model_that_knows_the_prompts_by_heart_is_found_and_an_honest_one_is_not(tmp_path):
    drawn(tmp_path / "parrot", SHOP, Parrot(KNOWN), ["contamination"])
    drawn(tmp_path / "honest", SHOP, Parrot({}), ["contamination"])
    found = diagnose_path(tmp_path / "parrot", DiagnosisSpec())
    finding = finding_of(found, "contamination")
    assert [value_of(found, f"exact match at {percent} %") for percent in PERCENTS] == [1.0, 1.0, 1.0]
    assert [value_of(found, f"fresh exact match at {percent} %") for percent in PERCENTS] == [0.0, 0.0, 0.0]
    assert value_of(found, "answer accuracy at 60 %") == 1.0
    assert "contamination_exact" in finding.rule
    assert "contamination_errors" in finding.rule
    assert "word problems made here" in finding.prescription
    clean = diagnose_path(tmp_path / "honest", DiagnosisSpec())
    assert "contamination" not in codes(clean)
    strong = diagnose_path(tmp_path / "parrot", DiagnosisSpec(thresholds={"strong_pass": 0.5, "weak_pass": 0.1}))
    one_shot = next(advice for advice in strong.advice if advice.recipe == "one_shot")
    assert one_shot.fit == "risky"
    assert "Contamination is possible" in one_shot.because
    assert "cannot have seen" in one_shot.would_change


def test_prompts_made_by_seed_are_compared_with_another_seed_and_the_finding_says_so(tmp_path):
    name = "arithmetic:digits=3,terms=4"
    known = {prompt.messages[0].content: prompt.target or "" for prompt in load_task(name).prompts(24, 0)}
    drawn(tmp_path, name, Parrot(known), ["contamination"])
    own, fresh = (RunFolder(tmp_path).probe(contamination_folder(60, fresh=fresh)).read_prompts() for fresh in (False, True))
    assert {prompt.task for prompt in own} == {prompt.task for prompt in fresh} == {name}
    assert not {prompt.info[PROBE_OF] for prompt in own} & {prompt.info[PROBE_OF] for prompt in fresh}
    assert "another seed" in finding_of(diagnose_path(tmp_path, DiagnosisSpec()), "contamination").prescription


def test_beginnings_are_raw_and_leave_the_instruction_out():
    prompts = load_task("arithmetic:digits=3,operators=+").prompts(6, 0)
    begun = beginnings(prompts, 60)
    assert len({prompt.id for prompt in begun}) == 6  # though many begin alike
    for prompt, whole in zip(begun, prompts, strict=True):
        assert prompt.raw
        assert f"{prompt.messages[0].content} {prompt.info[FOLLOWS]} Give the answer as an integer at the end." == whole.messages[0].content


def test_answers_in_the_wrong_form_are_a_format_gap_and_the_tricks_know_it(tmp_path):
    engine = Parrot({}, form="{}, I think, or so")  # right on every second response, never with an integer at the end
    found = diagnose_path(drawn(tmp_path / "out-of-form", "arithmetic:digits=2", engine, ["few_shot"], 16), DiagnosisSpec())
    # Eight of sixteen are right; behind examples they are said without the tail, so strictly right too.
    expected = {
        "strict pass@1": 0.0,
        "lenient pass@1": 0.5,
        "few-shot pass@1": 0.5,
        "format gap at pass@1": 0.5,
        "few-shot gain at pass@16": 1.0,
    }
    assert {name: value_of(found, name) for name in expected} == expected
    assert "strict pass@1 0 % [0, 15]" in finding_of(found, "format-gap").title
    spurious = next(advice for advice in found.advice if advice.recipe == "spurious_reward")
    assert "may gain by form alone" in spurious.because
    plain = diagnose_path(drawn(tmp_path / "in-form", "arithmetic:digits=2", Parrot({}), rollouts=16), DiagnosisSpec())
    assert "format-gap" not in codes(plain)
    assert value_of(plain, "format gap at pass@1") == 0.0
    assert "by form alone" not in next(advice for advice in plain.advice if advice.recipe == "spurious_reward").because


def test_examples_are_solved_prompts_that_are_not_the_one_asked():
    task = load_task("arithmetic:digits=2")
    prompts = task.prompts(5, 0)
    shown = few_shot_prompts(task, prompts, 0)
    for behind, prompt in zip(shown, prompts, strict=True):
        assert [message.role for message in behind.messages] == ["user", "assistant"] * NUM_EXAMPLES + ["user"]
        assert behind.messages[-1] == prompt.messages[-1]
        assert behind.info[PROBE_OF] == prompt.id
        asked = [message.content for message in behind.messages[:-1:2]]
        assert len(set(asked)) == NUM_EXAMPLES
        assert not set(asked) & {one.messages[0].content for one in prompts}
        assert behind.target == prompt.target
    assert shown == few_shot_prompts(task, prompts, 0) != few_shot_prompts(task, prompts, 1)
    assert len({behind.messages[0] for behind in shown}) > 1  # each prompt has examples of its own
    small = load_task("arithmetic:digits=1,operators=+")
    everything = small.prompts(100, 0)
    for behind, prompt in zip(few_shot_prompts(small, everything, 0), everything, strict=True):  # no other prompts are left
        assert prompt.messages[0] not in behind.messages[:-1]


def test_a_task_without_solved_examples_says_so(tmp_path):
    bare = replace(load_task("arithmetic"), prompts=lambda number, seed: [Prompt(id=str(n), task="t", messages=()) for n in range(3)])
    with pytest.raises(ValueError, match="no other prompt with a gold answer"):
        few_shot_prompts(bare, bare.prompts(3, 0), 0)


def test_evaluation_prompts_stand_beside_the_training_prompts(tmp_path):
    sample(spec_of("arithmetic:digits=2"), tmp_path, load_engine=lambda model, device: ScriptedEngine(), quiet=True)
    probe(tmp_path, [], "arithmetic:digits=3", load_engine=lambda model, device: ScriptedEngine(), quiet=True)
    found = diagnose_path(tmp_path, DiagnosisSpec())
    beside = {measure.name: measure.value for measure in found.evaluation}
    assert beside["pass@1"] == 0.5  # every second answer
    assert beside["gradient share at G=4"] == 1.0
    assert found.source["evaluation_task"] == "arithmetic:digits=3"
    assert "On arithmetic:digits=3 pass@4 is 100 %" in finding_of(found, "alignment").prescription
    assert "evaluation pass@k" in {curve.name for curve in found.curves}
    page = report(tmp_path).read_text()
    assert "Evaluation task" in page
    assert "pass@k on the evaluation task" in page


def test_a_killed_probe_goes_on_and_a_finished_one_draws_nothing(tmp_path):
    drawn(tmp_path, "arithmetic", Parrot({}))
    dying = Parrot({}, stop_after=10)
    with pytest.raises(KeyboardInterrupt):
        probe(tmp_path, ["few_shot", "contamination"], None, load_engine=lambda model, device: dying, quiet=True)
    again = Parrot({})
    probe(tmp_path, ["few_shot", "contamination"], None, load_engine=lambda model, device: again, quiet=True)
    assert again.num_sampled == 24 - 10 + 6 * 24  # the rest of few_shot, then three shares of two sets
    probe(tmp_path, ["few_shot", "contamination"], None, load_engine=lambda model, device: pytest.fail("loaded"), quiet=True)


def test_a_run_that_is_replaced_takes_its_probes_along(tmp_path):
    sample(spec_of("arithmetic"), tmp_path, load_engine=lambda model, device: ScriptedEngine(), quiet=True)
    probe(tmp_path, ["few_shot"], None, load_engine=lambda model, device: ScriptedEngine(), quiet=True)
    kept = tmp_path / "probes" / "mine.txt"
    kept.write_text("not ours")
    other = replace(spec_of("arithmetic"), seed=1)
    sample(other, tmp_path, load_engine=lambda model, device: ScriptedEngine(), overwrite=True, quiet=True)
    assert not RunFolder(tmp_path).probe("few_shot").exists()
    assert not RunFolder(tmp_path).probe("few_shot").parts()
    assert kept.exists()


def test_a_probe_is_drawn_by_the_model_of_the_run(tmp_path):
    sample(spec_of("arithmetic"), tmp_path, load_engine=lambda model, device: ScriptedEngine(), quiet=True)
    other = ScriptedEngine()
    other.name = "another"
    with pytest.raises(ValueError, match="was drawn by scripted, and scripted is another"):
        probe(tmp_path, ["few_shot"], None, load_engine=lambda model, device: other, quiet=True)


def test_reading_a_folder_runs_no_code_that_the_folder_names(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\n"
        "from jominy.tasks.loading import load_task\n"
        f"Path({str(tmp_path / 'ran')!r}).touch()\n"
        "def task():\n"
        "    return load_task('arithmetic')\n"
    )
    spec = spec_of(f"{tmp_path / 'mine.py'}:task")
    sample(spec, tmp_path / "run", load_engine=lambda model, device: ScriptedEngine(), quiet=True)
    (tmp_path / "ran").unlink()
    found = diagnose_path(tmp_path / "run", DiagnosisSpec())
    assert not (tmp_path / "ran").exists()
    assert "imported only when" in next(one.missing for one in found.skipped if one.code == "format-gap")
    trusted = diagnose_path(tmp_path / "run", DiagnosisSpec(), own_code=True)
    assert value_of(trusted, "strict pass@1") is not None


def test_a_task_that_is_gone_or_has_no_lenient_grader_is_named(tmp_path):
    source = tmp_path / "mine.py"
    source.write_text(
        "from dataclasses import replace\n"
        "from jominy.tasks.loading import load_task\n"
        "def task():\n"
        "    return replace(load_task('arithmetic'), name='mine', lenient=None)\n"
    )
    drawn(tmp_path / "run", f"{source}:task", ScriptedEngine())
    found = diagnose_path(tmp_path / "run", DiagnosisSpec(), own_code=True)
    assert "a lenient grader (`Task.lenient`), which mine has not" in next(s.missing for s in found.skipped if s.code == "format-gap")
    questions = tmp_path / "questions.csv"
    questions.write_text("question,answer\nOne?,1\nTwo?,2\n")
    drawn(tmp_path / "file", str(questions), ScriptedEngine())
    questions.unlink()
    gone = diagnose_path(tmp_path / "file", DiagnosisSpec())
    assert "which cannot be loaded here: no file" in next(skipped.missing for skipped in gone.skipped if skipped.code == "format-gap")


def test_probes_need_a_run_folder(tmp_path, capsys):
    log = tmp_path / "log.jsonl"
    log.write_text('{"prompt": 1, "reward": 1}\n' * 4)
    assert main(["diagnose", str(log), "--probe", "few_shot"]) == EXIT_USER_ERROR
    assert "sample with the model of a run folder" in capsys.readouterr().err
    assert main(["diagnose", str(tmp_path / "nowhere"), "--eval-task", "arithmetic"]) == EXIT_USER_ERROR
    assert "does not exist" in capsys.readouterr().err


def test_raw_prompts_and_folders_from_before_them_are_read(tmp_path):
    folder = RunFolder(tmp_path)
    prompt = Prompt(id="a", task="t", messages=(), raw=True)
    folder.write_prompts([prompt, replace(prompt, id="b", raw=False)])
    assert [one.raw for one in folder.read_prompts()] == [True, False]
    file = tmp_path / "prompts.parquet"
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["raw"]), file)
    assert [one.raw for one in folder.read_prompts()] == [False, False]
