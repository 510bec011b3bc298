"""sample(): what is finished is kept, the same call goes on, another run is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from jominy.sampling import sample
from jominy.specs import SampleSpec
from jominy.store import RunFolder
from tests.scripted import LOGP, ScriptedEngine

SPEC = SampleSpec(task="arithmetic:digits=1,operators=+", model="scripted", prompts=6, rollouts=4, seed=3)


def run(out: Path, engine: ScriptedEngine, spec: SampleSpec = SPEC, *, overwrite: bool = False) -> RunFolder:
    return sample(spec, out, load_engine=lambda model, device: engine, overwrite=overwrite, quiet=True)


def test_a_run_holds_graded_rollouts_and_says_what_was_run(tmp_path):
    folder = run(tmp_path / "run", ScriptedEngine(right_every=2))
    table = folder.rollouts()
    assert table.num_rows == 24
    assert table["reward"].to_pylist() == [1.0, 0.0, 1.0, 0.0] * 6
    assert set(table["prompt_id"].to_pylist()) == {prompt.id for prompt in folder.read_prompts()}
    record = folder.read_run()
    assert record["status"] == "finished"
    assert record["spec"]["seed"] == 3
    assert record["timing"]["num_tokens"] == 24 * 3
    assert (record["rescoring"]["num_prompts"], record["rescoring"]["num_rollouts"]) == (4, 16)
    assert record["environment"]["versions"]["jominy"]


def test_the_gap_between_sampler_and_scorer_is_averaged_by_prompt_and_its_largest_kept(tmp_path):
    # Wrong answers: sampled at 3 * LOGP, scored at 1.5 * LOGP, off by 1.5 * |LOGP|. Right ones: off by half of |LOGP|. Half are right.
    folder = run(tmp_path / "run", ScriptedEngine(logp_of_scorer=1.5 * LOGP))
    again = folder.read_run()["rescoring"]
    assert again["max_gap_nats"] == pytest.approx(1.5 * abs(LOGP))
    assert again["mean_gap_nats_by_prompt"] == pytest.approx([abs(LOGP)] * 4)


def test_an_interrupted_run_is_readable_and_goes_on(tmp_path):
    first = ScriptedEngine(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", first)
    folder = RunFolder(tmp_path / "run")
    assert folder.read_run()["status"] == "interrupted"
    assert folder.rollouts().num_rows == 8
    second = ScriptedEngine()
    run(tmp_path / "run", second)
    assert len(second.prompts_asked) == 4
    assert not set(second.prompts_asked) & set(first.prompts_asked)
    whole, fresh = folder.rollouts(), run(tmp_path / "fresh", ScriptedEngine()).rollouts()
    assert whole.equals(fresh)
    assert folder.read_run()["timing"]["num_groups"] == 6


def test_a_finished_run_is_not_drawn_again(tmp_path):
    run(tmp_path / "run", ScriptedEngine())
    again = ScriptedEngine()
    run(tmp_path / "run", again)
    assert again.prompts_asked == []


def test_another_run_is_refused_unless_told_to_replace(tmp_path):
    run(tmp_path / "run", ScriptedEngine())
    other = SampleSpec(task=SPEC.task, model="scripted", prompts=2, rollouts=4, seed=3)
    with pytest.raises(ValueError, match=r"holds another run \(prompts was 6, now 2\).*--overwrite"):
        run(tmp_path / "run", ScriptedEngine(), other)
    assert run(tmp_path / "run", ScriptedEngine(), other, overwrite=True).rollouts().num_rows == 8


def test_a_model_that_cannot_be_loaded_leaves_nothing_behind(tmp_path):
    def fail(model: str, device: str) -> ScriptedEngine:
        raise ValueError(f"no model {model!r}")

    with pytest.raises(ValueError, match="no model"):
        sample(SPEC, tmp_path / "run", load_engine=fail, quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_stop_right_after_a_write_does_not_write_twice(tmp_path, monkeypatch):
    append = RunFolder.append_rollouts

    def append_and_stop(folder, rollouts, prompts):
        append(folder, rollouts, prompts)
        monkeypatch.setattr(RunFolder, "append_rollouts", append)
        raise KeyboardInterrupt

    monkeypatch.setattr("jominy.sampling.FLUSH_EVERY_S", 0.0)
    monkeypatch.setattr(RunFolder, "append_rollouts", append_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", ScriptedEngine())
    whole = run(tmp_path / "run", ScriptedEngine()).rollouts(["prompt_id", "index"])
    assert whole.num_rows == len(set(zip(*whole.to_pydict().values(), strict=True))) == 24


def test_a_folder_with_a_run_has_its_prompts(tmp_path, monkeypatch):
    def full(folder, prompts):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "write_prompts", full)
    with pytest.raises(OSError, match="No space"):
        run(tmp_path / "run", ScriptedEngine())
    assert not RunFolder(tmp_path / "run").exists()


def test_a_checkpoint_that_was_written_over_is_another_run(tmp_path):
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck" / "model.safetensors").write_bytes(b"old")
    spec = SampleSpec(task=SPEC.task, model=str(tmp_path / "ck"), prompts=2, rollouts=4)
    run(tmp_path / "run", ScriptedEngine(), spec)
    (tmp_path / "ck" / "model.safetensors").write_bytes(b"newer")
    with pytest.raises(ValueError, match="holds another run"):
        run(tmp_path / "run", ScriptedEngine(), spec)


def test_two_processes_do_not_draw_into_one_folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.lock(), pytest.raises(ValueError, match="another process is drawing"):
        run(tmp_path / "run", ScriptedEngine())
    assert run(tmp_path / "run", ScriptedEngine()).rollouts().num_rows == 24


def test_a_run_in_which_nothing_was_drawn_does_not_block_the_corrected_command(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", ScriptedEngine(stop_after=0))
    other = SampleSpec(task=SPEC.task, model="scripted", prompts=2, rollouts=4, seed=3)
    assert run(tmp_path / "run", ScriptedEngine(), other).rollouts().num_rows == 8


def test_an_edited_reward_file_is_another_run(tmp_path):
    (tmp_path / "mine.py").write_text("def pay(prompt, text):\n    return 1.0\n")
    spec = SampleSpec(task=SPEC.task, model="scripted", prompts=2, rollouts=4, reward=f"{tmp_path / 'mine.py'}:pay")
    run(tmp_path / "run", ScriptedEngine(), spec)
    (tmp_path / "mine.py").write_text("def pay(prompt, text):\n    return 0.0\n")
    with pytest.raises(ValueError, match="holds another run \\(sources was"):
        run(tmp_path / "run", ScriptedEngine(), spec)


def test_a_gold_that_crashes_is_counted_and_shown(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from jominy.tasks.loading import load_task\n"
        "def crash(prompt, text):\n"
        "    raise RuntimeError('no truth today')\n"
        "def task():\n"
        "    return replace(load_task('arithmetic'), name='mine', reward=crash)\n"
        "def pay(prompt, text):\n"
        "    return 1.0\n"
    )
    mine = tmp_path / "mine.py"
    spec = SampleSpec(task=f"{mine}:task", model="scripted", prompts=2, rollouts=4, reward=f"{mine}:pay")
    grading = run(tmp_path / "run", ScriptedEngine(), spec).read_run()["grading"]
    assert grading["gold_unscored"] == 8
    assert "no truth today" in grading["first_failure"]


def test_a_reward_of_ones_own_pays_and_the_task_keeps_the_gold(tmp_path):
    (tmp_path / "generous.py").write_text("def pay(prompt, text):\n    return 1.0\n")
    spec = SampleSpec(task=SPEC.task, model="scripted", prompts=3, rollouts=4, reward=f"{tmp_path / 'generous.py'}:pay")
    table = run(tmp_path / "run", ScriptedEngine(right_every=4), spec).rollouts()
    assert table["reward"].to_pylist() == [1.0] * 12
    assert table["gold"].to_pylist() == [1.0, 0.0, 0.0, 0.0] * 3


def test_a_reward_that_crashes_is_counted_with_its_first_traceback(tmp_path):
    (tmp_path / "broken.py").write_text("def pay(prompt, text):\n    return 1.0 / (len(text) - len(text))\n")
    spec = SampleSpec(task=SPEC.task, model="scripted", prompts=2, rollouts=4, reward=f"{tmp_path / 'broken.py'}:pay")
    folder = run(tmp_path / "run", ScriptedEngine(), spec)
    assert folder.rollouts()["reward"].null_count == 8
    grading = folder.read_run()["grading"]
    assert sum(grading["unscored"].values()) == 8
    assert "ZeroDivisionError" in grading["first_failure"]
    assert "broken.py" in grading["first_failure"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompts", 0),
        ("rollouts", 0),
        ("max_tokens", 0),
        ("temperature", -1.0),
        ("top_p", 0.0),
        ("temperature", float("nan")),
        ("device", "nope"),
    ],
)
def test_impossible_settings_are_named(tmp_path, field, value):
    with pytest.raises(ValueError, match=f"--{field.replace('_', '-')}"):
        run(tmp_path / "run", ScriptedEngine(), SampleSpec(**{field: value}))
