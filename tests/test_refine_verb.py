"""`jominy refine` from the pilot to a file that `train` takes as it is."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from jominy.audited import load_audit
from jominy.cli import main
from jominy.formatting import number
from jominy.records import Prompt, Rollout, Sampling
from jominy.refined import Refined
from jominy.refining import refine
from jominy.refining.piloting import Loaders
from jominy.refining.simplifying import CUT, NEVER, NO_ROLLOUTS, UNCUT
from jominy.reporting import can_report, report
from jominy.reporting.checking import check
from jominy.sampling import LoadEngine, sample
from jominy.specs import DataSpec, EvaluateSpec, RunSpec, SampleSpec
from jominy.specs.refining import PilotSpec, RefineSpec, SimplifySpec
from jominy.store import RunFolder
from jominy.tasks.constraints import make
from jominy.tasks.loading import load_task
from jominy.training import train
from tests.scripted import ScriptedEngine
from tests.training_world import SOURCE, ScriptedTrainer

TASK = "constraints:no_commas,no_digits,question,title,highlight,rendering=mixed"
HARD_ONES = ("title",)


class Unable(ScriptedEngine):
    """Never follows a prompt that has one of `HARD_ONES`; else as `ScriptedEngine`."""

    def _rollout(self, prompt: Prompt, index: int, sampling: Sampling, seed: int) -> Rollout:
        unable = any(one["type"] in HARD_ONES for one in prompt.info["constraints"])
        return super()._rollout(prompt, 1 if unable else index, sampling, seed)


class Indexed(Unable):
    """Numbers its rollouts as they are asked for."""

    def sample(self, prompts, num_rollouts, sampling, seed, on_progress=None):
        from dataclasses import replace

        for group in super().sample(prompts, num_rollouts, sampling, seed, on_progress):
            yield [replace(rollout, index=index) for index, rollout in enumerate(group)]


def loading(engine: ScriptedEngine) -> LoadEngine:
    return lambda model, device: engine


def spec_of(task: str = TASK, *, pilot: str = "static", prompts: int = 40, **simplify: object) -> RefineSpec:
    return RefineSpec(
        task=task,
        prompts=prompts,
        seed=7,
        drawing=PilotSpec(pilot=pilot, epochs=1, rollouts=2),
        simplify=SimplifySpec(**simplify),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Refined]:
    out = tmp_path_factory.mktemp("refined")
    engine = Indexed(stop_after=25)
    with pytest.raises(KeyboardInterrupt):
        refine(spec_of(), out, loaders=Loaders(engine=loading(engine)), quiet=True)
    going_on = Indexed()
    found = refine(spec_of(), out, loaders=Loaders(engine=loading(going_on)), quiet=True)
    assert len(engine.prompts_asked) == 25
    assert len(going_on.prompts_asked) == 15  # the pilot went on where it was stopped
    return out, found


def test_counts_are_those_of_the_prompts(refined):
    out, found = refined
    given = make(TASK.partition(":")[2]).prompts(40, 7)
    unable = [prompt for prompt in given if set(HARD_ONES) & set(prompt.info["types"])]
    several = [prompt for prompt in given if prompt not in unable and sum(one["kind"] == "soft" for one in prompt.info["constraints"]) > 1]
    assert 0 < len(unable) < 40
    assert several
    learnability, types, soft = found.steps
    assert (learnability.num_in, learnability.num_out, learnability.reasons) == (40, 40 - len(unable), {NEVER: len(unable)})
    assert types.why_off
    assert types.num_in == types.num_out == 40 - len(unable)
    assert soft.reasons == {CUT: len(several)}
    assert (found.num_given, found.num_kept, found.num_rewritten) == (40, 40 - len(unable), len(several))
    assert {row.type for row in found.types if row.kept == 0} >= set(HARD_ONES)
    assert sum(row.given for row in found.types) == sum(len(prompt.info["constraints"]) for prompt in given)
    assert found.pilot is not None
    assert (found.pilot.num_rollouts, found.pilot.num_rewarded) == (80, 40 - len(unable))
    assert set(found.pilot.seconds) == {"drawing", "grading"}
    assert found.train_with[:4] == ("jominy", "train", "--task", str(out / "prompts.jsonl"))
    check(json.loads((out / "refined.json").read_text()), Refined, "refined")


def test_the_file_is_a_task_as_it_is(refined):
    out, found = refined
    task = load_task(str(out / "prompts.jsonl"))
    prompts = task.prompts(1000, 0)
    assert len(prompts) == found.num_kept
    given = {prompt.id: prompt for prompt in make(TASK.partition(":")[2]).prompts(40, 7)}
    became = {change.became: change.prompt_id for change in found.changes if change.became}
    for prompt in prompts:
        assert sum(one["kind"] == "soft" for one in prompt.info["constraints"]) <= 1
        assert task.reward(prompt, prompt.gold_answer or "").value == 1.0
        assert task.reward(prompt, prompt.wrong_answer or "").value == 0.0
        origin = given[became.get(prompt.id, prompt.id)]
        if prompt.id in given:
            assert (prompt.messages, dict(prompt.info)) == (origin.messages, dict(origin.info))
        else:
            assert prompt.info["refined_from"] == origin.id


@pytest.mark.parametrize("reward", [None, "noisy:false_accept=0.5,mode=per_constraint"])
def test_training_takes_it(refined, tmp_path, reward):
    out, _ = refined
    task = str(out / "prompts.jsonl")
    answers = {prompt.id: (prompt.gold_answer or "", prompt.wrong_answer or "") for prompt in load_task(task).prompts(1000, 0)}
    trainer = ScriptedTrainer(lambda key, call, index: answers[key][index % 2])
    spec = RunSpec(
        task=task,
        steps=2,
        prompts=2,
        rollouts=4,
        data=DataSpec(pool=8, reward=reward),
        evaluate=EvaluateSpec(eval_every=0, kl_rollouts=0),
    )
    folder = train(spec, tmp_path / "run", load_trainer=lambda spec, start, checkpoint: trainer, quiet=True)
    table = folder.run.rollouts(["index", "reward", "gold"])
    right = [float(index % 2 == 0) for index in table["index"].to_pylist()]
    assert (table["reward"].to_pylist() if reward is None else table["gold"].to_pylist()) == right
    assert any(trainer.steps)


def test_the_same_command_draws_nothing_and_another_is_refused(refined):
    out, found = refined
    before = (out / "prompts.jsonl").read_bytes()
    engine = Indexed()
    again = refine(spec_of(), out, loaders=Loaders(engine=loading(engine)), quiet=True)
    assert engine.prompts_asked == []
    assert (out / "prompts.jsonl").read_bytes() == before
    assert again.changes == found.changes
    with pytest.raises(ValueError, match=r"holds another refined set \(max_soft was 1, now 2\).*--pilot .*pilot"):
        refine(spec_of(max_soft=2), out, quiet=True)


def test_its_pilot_can_be_used_again(refined, tmp_path):
    out, found = refined
    more = refine(spec_of(pilot=str(out / "pilot"), max_soft=None), tmp_path / "all", quiet=True)
    assert more.pilot is not None
    assert (more.pilot.kind, more.pilot.num_rewarded) == ("given", found.pilot.num_rewarded)
    assert more.num_kept == found.num_kept
    assert more.num_rewritten == 0
    wider = refine(spec_of(pilot=str(out / "pilot"), prompts=60), tmp_path / "wider", quiet=True)
    assert wider.steps[0].reasons[NO_ROLLOUTS] == 20


def test_the_page_says_why_and_shows_examples(refined, tmp_path):
    out, found = refined
    assert can_report(out)
    page = report(out).read_text()
    assert f"{found.num_kept} of 40 prompts are left" in page
    assert NEVER in page
    assert "Constraints by type, before and after" in page
    cut = next(example for example in found.examples if example.gone)
    assert cut.gone[0] in cut.before
    assert cut.after is not None
    assert cut.gone[0] not in cut.after
    assert page.count("plot-1") >= 2
    hostile = tmp_path / "hostile.jsonl"
    row = {"prompt": "Say <script>alert(1)</script>", "answer": "x"}
    hostile.write_text(json.dumps(row) + "\n" + json.dumps({**row, "prompt": "Never <img src=x onerror=alert(1)>"}) + "\n")
    spec = RefineSpec(task=str(hostile), prompts=9, drawing=PilotSpec(epochs=1, rollouts=2))
    pytest.importorskip("math_verify", reason="the default reward needs math-verify")
    refine(spec, tmp_path / "h", loaders=Loaders(engine=loading(OnlyFirst())), quiet=True)
    page = report(tmp_path / "h").read_text()
    assert "<img src=x" not in page
    assert "Never &lt;img src=x" in page


class OnlyFirst(ScriptedEngine):
    """Right about prompts that begin with Say, wrong about all others."""

    def _rollout(self, prompt: Prompt, index: int, sampling: Sampling, seed: int) -> Rollout:
        from dataclasses import replace

        right = prompt.messages[-1].content.startswith("Say")
        return replace(super()._rollout(prompt, 0 if right else 1, sampling, seed), index=index)


def test_a_pilot_that_trains_sees_what_is_rewarded_later(tmp_path):
    (tmp_path / "tasks.py").write_text(SOURCE)
    task = f"{tmp_path / 'tasks.py'}:task"
    late, never = "prompt-0-3", "prompt-0-5"
    trainer = ScriptedTrainer(lambda key, call, index: "w1" if key == never or (key == late and call < 2) else "w4")
    spec = RefineSpec(task=task, prompts=8, drawing=PilotSpec(pilot="train", epochs=2, rollouts=2, prompts_per_step=4))
    loaders = Loaders(trainer=lambda spec, start, checkpoint: trainer)
    found = refine(spec, tmp_path / "out", loaders=loaders, quiet=True)
    assert len(trainer.asked) == 4  # two epochs of 8 prompts, 4 a step
    assert [change.prompt_id for change in found.changes if change.became is None] == [never]
    assert found.pilot is not None
    assert found.pilot.num_rollouts == 32
    assert set(found.pilot.seconds) == {"drawing", "grading", "updating"}
    again = refine(spec, tmp_path / "out", loaders=loaders, quiet=True)
    assert len(trainer.asked) == 4
    assert again.changes == found.changes
    assert found.steps[2].why_off.endswith("have no constraints")
    place = found.train_with.index("--reward")
    reward = found.train_with[place + 1]
    assert reward == f"{(tmp_path / 'tasks.py').resolve()}:fourth"
    file = load_task(str(tmp_path / "out" / "prompts.jsonl"), reward=reward)
    assert {prompt.messages for prompt in file.prompts(99, 0)} <= {prompt.messages for prompt in load_task(task).prompts(8, 0)}
    assert file.reward(file.prompts(1, 0)[0], "w8").value == 1.0


def jsonl(path: Path, rows: Sequence[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def soft(text: str, said: str, type: str, span: list[int] | None = None) -> dict[str, object]:
    start = text.index(said)
    return {"type": type, "params": {}, "text": said, "kind": "soft", "span": span or [start, start + len(said)], "truth": True}


def test_a_file_of_constraints_is_graded_by_them_and_comes_back_refined(tmp_path):
    text = "Name a bee. Use plain words. Sound curious."
    spanned = [soft(text, "Use plain words.", "no_digits"), soft(text, "Sound curious.", "question")]
    blank = [{**one, "span": None} for one in spanned]
    rows: list[dict[str, object]] = [
        {"prompt": text, "constraints": spanned, "gold_answer": "Which?", "wrong_answer": "No 1."},
        {"prompt": text + " Now.", "constraints": blank, "gold_answer": "Which?", "level": 3},
    ]
    task = load_task(jsonl(tmp_path / "mine.jsonl", rows))
    assert sorted(task.reward(task.prompts(1, 0)[0], answer).value or 0.0 for answer in ("Which?", "No.")) == [0.0, 1.0]
    found = refine(spec_of(str(tmp_path / "mine.jsonl"), pilot="none"), tmp_path / "out", quiet=True)
    assert found.steps[2].reasons == {CUT: 1, f"{UNCUT}no span": 1}
    again = load_task(str(tmp_path / "out" / "prompts.jsonl"))
    refined_rows = sorted(again.prompts(9, 0), key=lambda prompt: len(prompt.info["constraints"]))
    assert [len(prompt.info["constraints"]) for prompt in refined_rows] == [1, 2]
    assert refined_rows[1].info["level"] == 3
    assert refined_rows[1].id in {prompt.id for prompt in task.prompts(9, 0)}
    assert all(again.reward(prompt, "Which?").value == 1.0 for prompt in refined_rows)
    twice = refine(spec_of(str(tmp_path / "out" / "prompts.jsonl"), pilot="none"), tmp_path / "twice", quiet=True)
    assert twice.num_rewritten == 0


def test_a_task_of_ours_without_constraints_is_filtered_alone(tmp_path):
    spec = spec_of("arithmetic:digits=1,operators=+", prompts=6, max_soft=1)
    found = refine(spec, tmp_path / "out", loaders=Loaders(engine=loading(ScriptedEngine())), quiet=True)
    assert found.num_kept == 6
    assert [bool(step.why_off) for step in found.steps] == [False, True, True]
    assert found.types == ()
    file = load_task(str(tmp_path / "out" / "prompts.jsonl"))
    given = {prompt.id: prompt for prompt in load_task("arithmetic:digits=1,operators=+").prompts(6, 7)}
    for prompt in file.prompts(9, 0):
        assert prompt.target == given[prompt.id].target
        assert file.reward(prompt, prompt.gold_answer or "").value == 1.0
    assert file.lenient is not None
    assert "no constraints" in report(tmp_path / "out").read_text()


@pytest.fixture(scope="module")
def audit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audit of a reward that takes every response for free of commas."""
    from jominy.auditing import audit
    from jominy.specs.auditing import AuditSpec, TruthSpec

    folder = tmp_path_factory.mktemp("audited")
    (folder / "lax.py").write_text(
        "from jominy.records import Reward\nfrom jominy.rewards.constraints import constraints_of, follows\n"
        "def pays(prompt, text):\n"
        "    rest = [one for one in constraints_of(prompt) if one['type'] != 'no_commas']\n"
        "    return Reward(value=float(all(follows(one, text) for one in rest)))\n"
    )
    truth = TruthSpec(pairs=12, probes=0, constraints="no_commas,no_digits,question,highlight")
    audit(AuditSpec(reward=f"{folder / 'lax.py'}:pays", truth=truth), folder / "audit", quiet=True)
    return folder / "audit"


def test_an_audit_decides_which_types_go_and_which_soft_one_stays(audit_folder, tmp_path):
    found = refine(spec_of(pilot="none", audit=audit_folder, min_recall_false=0.5, max_soft=None), tmp_path / "out", quiet=True)
    standing = {row.type: row for row in found.standings}
    assert standing["no_commas"].recall_false == 0.0
    assert standing["no_commas"].removed_for
    assert standing["question"].recall_false == 1.0
    assert [row.type for row in found.standings if row.removed_for] == ["no_commas"]
    assert found.unaudited == ("title",)
    assert all(row.kept == 0 for row in found.types if row.type == "no_commas")
    page = report(tmp_path / "out").read_text()
    assert "What the audit says of the types" in page
    for cell in load_audit(audit_folder).precision.by_type:
        if cell.name in standing:
            assert f"[{number(cell.recall_false.low, 'share')}, {number(cell.recall_false.high, 'share')}]" in page
    soft_only = refine(
        spec_of(pilot="none", audit=audit_folder, min_recall_false=0.5, audited="soft", max_soft=None), tmp_path / "soft", quiet=True
    )
    kept = {(row.type, row.kind): row.kept for row in soft_only.types}
    assert kept["no_commas", "soft"] == 0
    assert kept["no_commas", "hard"] > 0
    trusted = refine(spec_of(pilot="none", audit=audit_folder, keep_soft="trusted"), tmp_path / "trusted", quiet=True)
    given = {prompt.id: prompt for prompt in make(TASK.partition(":")[2]).prompts(40, 7)}
    for change in trusted.changes:
        kinds = {one["type"] for one in given[change.prompt_id].info["constraints"] if one["kind"] == "soft"}
        if "no_commas" in kinds and kinds - {"no_commas", "title"}:
            assert "no_commas" in change.types


def test_mistakes_say_what_to_do(refined, audit_folder, tmp_path):
    out, _ = refined
    elsewhere = tmp_path / "elsewhere"
    sample(SampleSpec(task="arithmetic", prompts=2, rollouts=2), elsewhere, load_engine=loading(ScriptedEngine()), quiet=True)
    cases = [
        (spec_of(pilot=str(elsewhere)), "no rollouts of any of these 40 prompts .*task 'arithmetic'"),
        (spec_of(pilot=str(tmp_path / "nowhere")), "nowhere.*does not exist"),
        (spec_of("constraints:json,title", pilot="none", audit=audit_folder), "audit knows none of the types json, title"),
        (spec_of(pilot="none", audit=tmp_path), "jominy audit"),
        (spec_of("constraints:rendering=hard", pilot="none", audit=audit_folder, audited="soft"), "say --audited all"),
        (spec_of("arithmetic", pilot="none"), "nothing to do: learnability: --pilot none.*no constraints"),
        (
            spec_of("constraints:rendering=soft,no_commas", pilot="none", max_soft=0),
            r"nothing is left of .* no other constraint left.* No prompts were written$",
        ),
    ]
    for spec, said in cases:
        with pytest.raises(ValueError, match=said):
            refine(spec, tmp_path / "new", quiet=True)
        assert not (tmp_path / "new" / "prompts.jsonl").exists()
    with pytest.raises(ValueError, match="would replace"):
        refine(spec_of(str(out / "prompts.jsonl"), pilot="none"), out, quiet=True)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "prompts.jsonl").write_text("mine")
    with pytest.raises(ValueError, match="did not write"):
        refine(spec_of(pilot="none"), tmp_path / "foreign", quiet=True)
    assert (tmp_path / "foreign" / "prompts.jsonl").read_text() == "mine"


def test_what_cannot_be_written_back_is_refused_before_any_work(tmp_path):
    (tmp_path / "closed.py").write_text(
        "from jominy.records import Message, Prompt, Reward, Task\n"
        "def task():\n"
        "    prompts = [Prompt(id='a', task='t', messages=(Message(role='user', content='Hi.'),))]\n"
        "    return Task(name='t', summary='', prompts=lambda n, seed: prompts, reward=lambda prompt, text: Reward(value=1.0))\n"
    )
    engine = ScriptedEngine()
    with pytest.raises(ValueError, match=r"cannot be written back.*give --reward"):
        refine(spec_of(f"{tmp_path / 'closed.py'}:task"), tmp_path / "out", loaders=Loaders(engine=loading(engine)), quiet=True)
    assert engine.prompts_asked == []
    bad: list[dict[str, object]] = [{"prompt": [{"role": "user", "content": "Hi."}], "graded_by": "my_tasks.py:task"}]
    with pytest.raises(ValueError, match="must name one task of"):
        load_task(jsonl(tmp_path / "bad.jsonl", bad))


def test_the_command_line(tmp_path, capsys):
    words = ["refine", "--task", "constraints:rendering=soft", "--prompts", "30", "--pilot", "none", "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_given"] == 30
    assert {row["kind"] for row in found["types"]} == {"hard", "soft"}
    prompts = load_task(str(tmp_path / "out" / "prompts.jsonl")).prompts(99, 0)
    assert max(sum(one["kind"] == "soft" for one in prompt.info["constraints"]) for prompt in prompts) == 1
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "30 of 30 prompts are left" in " ".join(shown.split())
    assert "Train on it:" in shown
    assert main([*words, "--max-soft", "2"]) == 2
    assert "holds another refined set" in capsys.readouterr().err
    assert not RunFolder(tmp_path / "out" / "pilot").exists()
