"""interpret(): runs made by hand, counted by hand; a fake judge measured against the program; the command, the page and its mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from jominy.cli import EXIT_USER_ERROR, main
from jominy.diagnosis import diagnose_path
from jominy.explaining import awaits_interpretation
from jominy.interpreting import interpret_path
from jominy.records import Prompt, Reward, Rollout
from jominy.reporting import report
from jominy.specs import DiagnosisSpec
from jominy.steplog import append_line
from jominy.store import RunFolder
from jominy.tasks.arithmetic import make, read_steps
from jominy.tasks.steps import write_steps
from tests.scripted import ScriptedEngine
from tests.test_judge import said, served

TASK = "arithmetic:operators=+,steps=yes"


def numbers(prompt: Prompt) -> tuple[int, int]:
    first, _, second = prompt.info["expression"].partition(" + ")
    return int(first), int(second)


def by(prompt: Prompt, method: str) -> str:
    return write_steps(*numbers(prompt), method)


def slip(prompt: Prompt) -> str:
    """E3.1, mid."""
    return write_steps(*numbers(prompt), "highest_first", slip_at=0)


def bare(prompt: Prompt) -> str:
    """E1.2, high."""
    return str(sum(numbers(prompt)) + 1)


def stopped(prompt: Prompt) -> str:
    """E4.2, low."""
    return write_steps(*numbers(prompt), "highest_first").split("; ")[0]


def words(prompt: Prompt) -> str:
    """No program can tell."""
    return "Perhaps 1?"


def write_run(path: Path, groups: list[list[tuple[str, float]]], prompts: list[Prompt], task: str = TASK, reward: bool = True) -> RunFolder:
    """A finished run of the prompts with (text, log-probability a token) of each response, judged by the task's target."""
    folder = RunFolder(path)
    path.mkdir(parents=True)
    folder.write_prompts(prompts)
    rollouts = []
    for prompt, group in zip(prompts, groups, strict=True):
        for index, (text, logp) in enumerate(group):
            value = make("").reward(prompt, text)
            rollouts.append(
                Rollout(
                    prompt_id=prompt.id,
                    index=index,
                    text=text,
                    token_ids=np.array([7, 2]),
                    logprobs=np.full(2, logp, dtype=np.float32),
                    logprobs_t1=np.full(2, logp, dtype=np.float32),
                    stop="eos",
                    policy="by hand",
                    temperature=1.0,
                    top_p=1.0,
                    seed=0,
                    reward=value if reward else Reward(value=None, note="none"),
                )
            )
    folder.append_rollouts(rollouts, {prompt.id: prompt for prompt in prompts})
    folder.write_run({"status": "finished", "spec": {"task": task}, "policy": "by hand"})
    return folder


@pytest.fixture
def prompts() -> list[Prompt]:
    return make("operators=+,steps=yes").prompts(4, 0)


@pytest.fixture
def run(tmp_path, prompts) -> RunFolder:
    """One prompt with S = 1, one with S < 0, one all wrong, one all right."""
    clear, mixed, wrong, right = prompts
    # clear: right at p = .9, wrong at .1. mixed: p = .5 .1 right, .4 .2 wrong: a = .4 .4 .2 .2, b = (.1 + .3)/2 = .2 for .5,
    # (.3 + .1)/2 = .2 for .1, (.1 + .3)/2 = .2 for .4, (.3 + .1)/2 = .2 for .2: s = -1/2 -1/2 0 0, S = -1/4
    groups = [
        [
            (by(clear, "by_place"), np.log(0.9)),
            (by(clear, "by_place"), np.log(0.9)),
            (slip(clear), np.log(0.1)),
            (stopped(clear), np.log(0.1)),
        ],
        [
            (by(mixed, "by_place"), np.log(0.5)),
            (by(mixed, "lowest_first"), np.log(0.1)),
            (bare(mixed), np.log(0.4)),
            (slip(mixed), np.log(0.2)),
        ],
        [(bare(wrong), np.log(0.5)), (bare(wrong), np.log(0.6)), (words(wrong), np.log(0.7)), (words(wrong), np.log(0.7))],
        [
            (by(right, "by_place"), np.log(0.5)),
            (by(right, "by_place").replace("; ", "\n"), np.log(0.5)),
            (by(right, "lowest_first"), np.log(0.5)),
            (by(right, "highest_first"), np.log(0.5)),
        ],
    ]
    return write_run(tmp_path / "run", groups, prompts)


def test_a_run_by_hand(run):
    (name, found), *others = interpret_path(run.path, quiet=True)
    assert (name, others, found.by, found.num_prompts, found.num_unscored) == ("", [], "program", 4, 0)
    errors = {part.part: part for part in found.errors}
    assert errors["all"].codes == {"E1.2": 3, "E3.1": 2, "E4.2": 1}
    assert errors["S < 0"].codes == {"E1.2": 1, "E3.1": 1}
    assert errors["S >= 0"].codes == {"E3.1": 1, "E4.2": 1}
    assert errors["S undefined"].codes == {"E1.2": 2}
    assert [part.num_untold for part in found.errors] == [2, 0, 0, 2]
    assert [measure.value for measure in errors["all"].severities] == [3 / 6, 2 / 6, 1 / 6]
    assert [measure.value for measure in errors["S >= 0"].severities] == [0, 1 / 2, 1 / 2]
    assert found.high_on_negative.value == 1.0  # the one fundamental error on a prompt with an S
    assert found.wrong_on_negative.value == 0.5  # 2 of 4
    methods = {part.part: part for part in found.methods}
    assert [part.ratio.value for part in found.methods] == [(1 / 2 + 2 / 2 + 3 / 4) / 3, 1.0, 0.5, 3 / 4]
    # of four with two alike, one of six pairs is one method: (5 * 2 + 1) / 6 / 2
    assert methods["S undefined"].of_two.value == pytest.approx(11 / 12)
    contrasts = {contrast.difference.name: contrast for contrast in found.contrasts}
    assert contrasts["high severity"].difference.value == 0.5  # 1/2 - 0
    assert contrasts["distinct-solution ratio of two"].difference.value == 0.5  # 1 - 1/2
    assert found.agreement is None
    assert len(found.responses) == 16
    assert json.loads(run.interpretation_file.read_text())["by"] == "program"


def test_only_the_first_responses_are_listed(run, monkeypatch):
    (_, whole), *_ = interpret_path(run.path, quiet=True)
    monkeypatch.setattr("jominy.interpreting.MOST_LISTED", 5)
    (_, found), *_ = interpret_path(run.path, quiet=True)
    assert found.responses == whole.responses[:5]
    assert [(one.prompt_id, one.index) for one in found.responses[3:]] == [
        (whole.responses[0].prompt_id, 3),
        (whole.responses[4].prompt_id, 0),
    ]
    assert found.errors == whole.errors


def test_the_same_seed_gives_the_same_file(run):
    interpret_path(run.path, quiet=True)
    before = run.interpretation_file.read_bytes()
    interpret_path(run.path, quiet=True)
    assert run.interpretation_file.read_bytes() == before


def verdicts(by_text: dict[str, str]):
    """A judge that knows the code of each wrong response, and takes every right one for a new method."""

    def answer(body):
        text = body["messages"][0]["content"]
        response = re.split(r"RESPONSE\n", re.split(r"\n===== \w+ END", text)[0])[-1]
        return 200, said(by_text.get(response, "Method: new" if "NEW RESPONSE" in text else "I cannot say.")), {}

    return answer


def test_a_judge_is_measured_against_the_program(run, prompts):
    codes = {
        slip(prompts[0]): "Code: E3.1",
        stopped(prompts[0]): "Code: E3.2",
        bare(prompts[1]): "Code: E1.1",
        bare(prompts[2]): "Code: E1.2",
    }
    with served(verdicts(codes)) as (url, seen):
        (_, found), *_ = interpret_path(run.path, judge=f"{url},model=m", quiet=True)
        num_asked = len(seen)
        assert found.by == "program"
        assert found.agreement is not None
        cells = {(cell.program, cell.judge): cell.count for cell in found.agreement.confusion}
        # the slip of the second prompt is not among the codes: unscored; the two bare answers of the third are the same words
        assert cells == {("E3.1", "E3.1"): 1, ("E4.2", "E3.2"): 1, ("E1.2", "E1.1"): 1, ("E1.2", "E1.2"): 2, ("E3.1", "unscored"): 1}
        values = {measure.name: measure.value for measure in found.agreement.measures}
        assert values == {
            "replies that name a code": 5 / 6,
            "same code": 3 / 5,
            "same code by always saying the commonest": 3 / 5,
            "same severity": 4 / 5,
            # pairs of right responses: the first prompt's two are one text and no pair; the second's two are apart for both; all six of
            # the fourth's are apart for a judge that always says "new", and one of them is by_place in other words
            "pairs of right responses told alike": 6 / 7,
            "pairs of right responses told alike by always saying new": 6 / 7,
            "pairs of right responses told alike by always saying same": 1 / 7,
        }
        assert found.agreement.measures[-1].num_prompts == 2
        (_, again), *_ = interpret_path(run.path, judge=f"{url},model=m", quiet=True)
        assert again == found
    assert len(seen) - num_asked == 0
    # the judge asks each different wrong response once, and in rounds each further different right one
    assert num_asked == 6 + 1 + 3


def test_a_judge_alone(tmp_path, prompts):
    plain = make("digits=2,operators=+").prompts(2, 0)
    groups = [[(f"{prompt.target}", -0.1), ("0", -0.2), ("so it is " + str(prompt.target), -0.3)] for prompt in plain]
    run = write_run(tmp_path / "run", groups, plain, task="arithmetic:digits=2,operators=+")
    with served(verdicts({"0": "Code: E5.2"})) as (url, _):
        (_, found), *_ = interpret_path(run.path, judge=f"{url},model=m", quiet=True)
    assert (found.by, found.agreement) == ("judge", None)
    assert found.errors[0].codes == {"E5.2": 2}
    assert found.methods[0].ratio.value == 1.0
    assert any("nothing here measures the judge" in note for note in found.notes)
    assert any("depends on their order" in note for note in found.notes)


def test_only_the_first_responses_of_a_prompt_are_judged(tmp_path):
    plain = make("digits=2,operators=+").prompts(1, 0)
    run = write_run(tmp_path / "run", [[(f"no {i}", -0.1) for i in range(9)]], plain, task="arithmetic:digits=2,operators=+")
    with served(lambda body: (200, said("Code: E5.2"), {})) as (url, seen):
        (_, found), *_ = interpret_path(run.path, judge=f"{url},model=m", responses=3, quiet=True)
    assert len(seen) == found.errors[0].num_told == 3


class Examiner(ScriptedEngine):
    """A local model that gives one verdict."""

    def _rollout(self, prompt, index, sampling, seed):
        assert sampling.temperature == 0
        drawn = super()._rollout(Prompt(id=prompt.id, task="", messages=(), gold_answer="Code: E3.1"), 0, sampling, seed)
        assert "RESPONSE" in prompt.messages[0].content
        return drawn


def test_a_local_judge_is_loaded_once_and_only_when_there_is_something_to_ask(run, tmp_path):
    loaded: list[str] = []

    def load(model, device):
        loaded.append(model)
        return Examiner()

    (_, found), *_ = interpret_path(run.path, judge="local:smollm2", load_engine=load, quiet=True)
    assert loaded == ["smollm2"]
    assert found.agreement is not None
    assert {cell.judge for cell in found.agreement.confusion} == {"E3.1"}
    interpret_path(run.path, judge="local:smollm2", load_engine=load, quiet=True)
    # the replies about methods were not in form, which is remembered as well
    assert loaded == ["smollm2"]


def test_a_training_folder_gives_before_and_after_and_explain_shows_both(tmp_path, prompts, capsys):
    training = tmp_path / "train"
    before = [[(slip(prompt), -0.1), (by(prompt, "by_place"), -0.2)] for prompt in prompts]
    after = [[(by(prompt, "lowest_first"), -0.1), (by(prompt, "by_place"), -0.2)] for prompt in prompts]
    for step, groups in ((0, before), (8, after)):
        name = f"evaluations/step-{step:05d}"
        write_run(training / name, groups, prompts)
        append_line(training / "evaluations.jsonl", {"step": step, "folder": name})
    assert [(name, found.errors[0].codes) for name, found in interpret_path(training, quiet=True)] == [
        ("step 0", {"E3.1": 4}),
        ("step 8", {}),
    ]
    names = [training / "evaluations" / f"step-{step:05d}" for step in (0, 8)]
    assert main(["explain", *map(str, names)]) == 0
    shown = capsys.readouterr().out
    titles = shown.replace("\n", " ").split("Errors and methods, by program, ")[1:]
    assert len(titles) == 2
    assert titles[0].split("by hand")[0] != titles[1].split("by hand")[0]
    assert "E3.1 calculation error" in shown
    assert "jominy interpret" not in shown
    for name in names:
        RunFolder(name).interpretation_file.unlink()
    assert main(["explain", *map(str, names)]) == 0
    shown = capsys.readouterr().out
    assert [f"jominy interpret {name}\n" in shown for name in names] == [True, True]
    assert awaits_interpretation(training)
    plain = make("digits=2,operators=+").prompts(1, 0)
    for task in ("arithmetic:digits=2,operators=+", "evil.py:steps"):
        assert not awaits_interpretation(write_run(tmp_path / task, [[("1", -0.1)]], plain, task=task).path)


def test_the_command_and_the_page(run, capsys):
    diagnose_path(run.path, DiagnosisSpec(group_size=4), {}, None, quiet=True)
    assert main(["interpret", str(run.path), "--quiet"]) == 0
    shown = capsys.readouterr().out
    for part in (
        "Wrong responses",
        "E1.2 constraint violation",
        "distinct-solution",
        "Prompts with S < 0 minus the others",
        "classifiable",
        "Page:",
    ):
        assert part in shown, part
    page = run.report_file.read_text()
    for part in (
        "Kinds of error and methods",
        "Classified by program",
        "Not classifiable",
        "E4.2 premature stop",
        "Distinct-solution ratio, %",
        "Under permuted labels",
    ):
        assert part in page, part
    assert main(["interpret", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["errors"][0]["codes"]["E1.2"] == 3
    broken = json.loads(run.interpretation_file.read_text())
    del broken["methods"]
    run.interpretation_file.write_text(json.dumps(broken))
    with pytest.raises(ValueError, match=rf"interpretation\.methods is missing. Run `jominy interpret {run.path}` again"):
        report(run.path)
    run.interpretation_file.write_text("{")
    with pytest.raises(ValueError, match=rf"interpretation\.json is not readable.*Run `jominy interpret {run.path}` again"):
        report(run.path)


def test_a_new_run_in_the_folder_takes_the_interpretation_away(run):
    interpret_path(run.path, quiet=True)
    run.clear()
    assert not run.interpretation_file.exists()


def test_unscored_rollouts_are_counted_and_told_nowhere(tmp_path, prompts):
    run = write_run(tmp_path / "run", [[("1", -0.1)]] * 4, prompts, reward=False)
    (_, found), *_ = interpret_path(run.path, quiet=True)
    assert (found.num_unscored, found.errors[0].num_told, found.errors[0].num_untold) == (4, 0, 0)
    assert found.errors[0].severities[0].why_none
    assert found.methods[0].ratio.why_none


def test_texts_of_other_tasks_run_no_code_of_theirs(tmp_path, prompts):
    run = write_run(tmp_path / "run", [[("1", -0.1)]] * 4, prompts, task="evil.py:make")
    with pytest.raises(ValueError, match=r"no program can tell the errors of task 'evil\.py:make'; name a judge"):
        interpret_path(run.path, quiet=True)


def test_mistakes_say_what_to_do(tmp_path, prompts, run, capsys):
    with pytest.raises(ValueError, match="is no run folder"):
        interpret_path(tmp_path / "nowhere", quiet=True)
    empty = write_run(tmp_path / "empty", [[("", -0.1)]] * 4, prompts)
    with pytest.raises(ValueError, match="holds no texts"):
        interpret_path(empty.path, quiet=True)
    with pytest.raises(ValueError, match="--responses must be at least 2"):
        interpret_path(run.path, responses=1, quiet=True)
    assert main(["interpret", str(run.path), "--judge", "somebody"]) == EXIT_USER_ERROR
    assert "no judge 'somebody'; write http://localhost:8000/v1,model=NAME" in capsys.readouterr().err


def test_the_program_and_the_task_agree_on_right_and_wrong(prompts):
    for prompt in prompts:
        for text in (slip(prompt), bare(prompt), stopped(prompt)):
            assert make("").reward(prompt, text).value == 0
            assert read_steps(prompt, text, "eos").error is not None
