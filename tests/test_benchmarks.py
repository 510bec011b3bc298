"""The six benchmarks of 2601.06911 end to end: samples by benchmark, drawn, graded, measured, shown."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("math_verify", reason="needs math-verify (the tasks extra)")

from jominy.cli import EXIT_USER_ERROR, main
from jominy.diagnosis import diagnose_path
from jominy.measures.bytask import measure_by_task
from jominy.records import Message, Prompt
from jominy.sampling import sample
from jominy.specs import DiagnosisSpec, SampleSpec
from jominy.store import RunFolder
from jominy.tables import groups_of, read_rollouts
from jominy.tasks.math import BENCHMARKS
from jominy.tasks.samples import parse_samples
from tests.scripted import ScriptedEngine

DATA = Path(os.environ.get("JOMINY_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
SIX = ("aime24", "aime25", "math500", "amc23", "minerva", "olympiadbench")
PAPER = {"aime24": 256, "aime25": 256, "math500": 32, "amc23": 16, "minerva": 16, "olympiadbench": 16}
"""2601.06911, evaluation."""
MADE_UP: dict[str, list[dict[str, object]]] = {
    "aime24.jsonl": [{"id": 60, "problem": "w1 w2", "answer": "204"}, {"id": 61, "problem": "w3 w4", "answer": "113"}],
    "aime25.jsonl": [{"problem": "w5 w6", "answer": "70"}, {"problem": "w7 w8", "answer": "588"}],
    "amc23.jsonl": [{"id": 0, "problem": "w9", "answer": 27.0, "question": "w9"}, {"id": 1, "problem": "w10", "answer": 36.0}],
    "math500.jsonl": [{"problem": "w11", "solution": r"\boxed{\frac12}", "answer": r"\frac12"}, {"problem": "w12", "answer": "9"}],
    "minerva_math.jsonl": [{"problem": "w13", "solution": r"\boxed{1.6}", "idx": 0}, {"problem": "w14", "solution": r"\boxed{4.5e33}"}],
    "olympiadbench.jsonl": [
        {"id": 1606, "context": None, "question": "w15", "final_answer": ["2"]},
        {"id": 1610, "context": "w16", "question": "w17", "final_answer": ["$1$,$2$"]},
    ],
}


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Two problems of each benchmark, in the form of its file."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, rows in MADE_UP.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("JOMINY_DATA", str(folder))
    return folder


def drawn(out: Path, engine: ScriptedEngine, *, task: str = f"math:{','.join(SIX)}", samples: str | None = None) -> RunFolder:
    spec = SampleSpec(task=task, model="scripted", prompts=12, rollouts=4, samples=samples)
    return sample(spec, out, load_engine=lambda model, device: engine, quiet=True)


def of(task: str) -> Prompt:
    return Prompt(id="p", task=task, messages=(Message(role="user", content="?"),))


def test_the_numbers_of_the_paper():
    assert {name: parse_samples("paper", 16).of(of(f"math:{name}")) for name in SIX} == PAPER
    assert [name for name in BENCHMARKS if BENCHMARKS[name].samples is None] == ["gsm8k"]


def test_samples_by_benchmark_are_drawn_and_averaged(made_up, tmp_path):
    """Every fourth answer is right: 16 samples have 4, 8 have 2, 4 (what --rollouts says of the others) have 1, 2 have 1."""
    folder = drawn(tmp_path / "run", ScriptedEngine(right_every=4), samples="aime24=16,math:math500=8,amc23=2")
    record = folder.read_run()
    assert (record["status"], record["timing"]["num_groups"], record["timing"]["num_rollouts"]) == (
        "finished",
        12,
        2 * (16 + 8 + 2 + 3 * 4),
    )
    diagnosis = diagnose_path(folder.path, DiagnosisSpec(), quiet=True)
    found = diagnosis.by_task
    assert found is not None
    rates = {one.task: (one.num_problems, one.pass_rate.name, one.pass_rate.value) for one in found.tasks}
    assert rates == {
        "math:aime24": (2, "avg@16", 0.25),
        "math:aime25": (2, "avg@4", 0.25),
        "math:amc23": (2, "avg@2", 0.5),
        "math:math500": (2, "avg@8", 0.25),
        "math:minerva": (2, "avg@4", 0.25),
        "math:olympiadbench": (2, "avg@4", 0.25),
    }
    assert found.average[0].value == pytest.approx((5 * 0.25 + 0.5) / 6)
    curves = {one.task: {m.name: m.value for m in one.passk} for one in found.tasks}
    # 16 drawn, 4 right: none of 8 is right with C(12, 8) / C(16, 8) = 495 / 12870
    assert curves["math:aime24"] == pytest.approx({"pass@1": 0.25, "pass@8": 1 - 495 / 12870, "pass@16": 1.0})
    assert curves["math:math500"] == pytest.approx({"pass@1": 0.25, "pass@8": 1.0})
    assert curves["math:amc23"] == {"pass@1": 0.5, "pass@2": 1.0}
    # right answers have P = exp(-.5), wrong ones exp(-1.5): S is 1 but for the one right answer among 4 or 2, whose s_i is 0
    silhouettes = {one.task: one.silhouette.value for one in found.tasks}
    assert silhouettes["math:aime24"] == pytest.approx(1.0)
    assert silhouettes["math:aime25"] == pytest.approx(3 / 4)
    assert diagnosis.cost is not None, "groups of several sizes are timed by rollout"
    table = folder.rollouts(["task"])["task"].to_pylist()
    assert (table.count("math:aime24"), table.count("math:amc23")) == (32, 4)
    assert {prompt.task for prompt in folder.read_prompts()} == {f"math:{name}" for name in SIX}


def test_a_run_of_several_sizes_goes_on_where_it_stopped(made_up, tmp_path):
    first = ScriptedEngine(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        drawn(tmp_path / "run", first, samples="aime24=6,amc23=2")
    second = ScriptedEngine()
    folder = drawn(tmp_path / "run", second, samples="aime24=6,amc23=2")
    assert 2 <= len(first.prompts_asked) < 12
    assert not set(first.prompts_asked) & set(second.prompts_asked)
    keys = ["prompt_id", "index", "reward"]
    whole = drawn(tmp_path / "whole", ScriptedEngine(), samples="aime24=6,amc23=2").rollouts(keys)
    assert sorted(map(str, folder.rollouts(keys).to_pylist())) == sorted(map(str, whole.to_pylist()))
    with pytest.raises(ValueError, match="samples was 'aime24=6,amc23=2', now 'avg@2'"):
        drawn(tmp_path / "run", ScriptedEngine(), samples="avg@2")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "math:aime24,aime26"}, r"no benchmark 'aime26'; there are aime24"),
        ({"samples": "aime26=32"}, r"--samples names 'aime26', and none of the 12 prompts is from it; they are from math:aime24"),
        ({"samples": "avg32"}, r"--samples 'avg32': 'avg32' is not understood; write avg@32"),
        ({"samples": "aime24=2,aime24=3"}, r"'aime24=3' is not understood twice"),
        ({"samples": "avg@0"}, "a prompt gets at least 1 response; got 0"),
        ({"samples": "aime24="}, "'aime24=' is not understood"),
        (
            {"samples": "paper", "task": "math:aime24,own.jsonl"},
            r"--samples paper has no number for math:own\.jsonl; it has one for aime24",
        ),
    ],
)
def test_mistakes_are_named_before_a_model_is_loaded(made_up, tmp_path, monkeypatch, fields, message):
    monkeypatch.chdir(tmp_path)
    Path("own.jsonl").write_text('{"problem": "1 + 1", "answer": "2"}\n')
    engine = ScriptedEngine()
    with pytest.raises(ValueError, match=message):
        drawn(tmp_path / "run", engine, **fields)
    assert engine.prompts_asked == []
    assert not (tmp_path / "run").exists()


def test_a_group_size_beyond_the_fewest_samples_is_refused(made_up, capsys):
    words = ["diagnose", "--task", "math:aime24,math500", "--samples", "aime24=16,math500=8", "--group-size", "12"]
    assert main(words) == EXIT_USER_ERROR
    assert "--group-size 12 needs --rollouts of at least 12; got 8" in capsys.readouterr().err


def test_a_missing_file_and_no_hub_name_the_remedy(made_up, tmp_path, monkeypatch, capsys):
    datasets = pytest.importorskip("datasets", reason="needs datasets (the tasks extra)")

    def offline(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    (made_up / "aime25.jsonl").unlink()
    assert main(["diagnose", "--task", "math:aime24,aime25", "--out", str(tmp_path / "run")]) == EXIT_USER_ERROR
    assert "math-ai/aime25 cannot be loaded from the hub (no network); put it at" in capsys.readouterr().err


def test_made_up_files_with_a_tiny_model(made_up, tmp_path, capsys):
    """`jominy diagnose` of two problems a benchmark at temperature 0.6 and top-p 0.95, P held against transformers."""
    torch = pytest.importorskip("torch", reason="needs torch (the local extra)")
    from transformers import AutoModelForCausalLM

    from tests import tiny

    model, out = tiny.save("llama", tmp_path / "model"), tmp_path / "run"
    words = ["diagnose", "--model", str(model), "--task", f"math:{','.join(SIX)}", "--out", str(out), "--device", "cpu", "--json"]
    words += ["--prompts", "12", "--samples", "aime24=16,aime25=16,math500=8", "--rollouts", "4", "--max-tokens", "5"]
    assert main([*words, "--temperature", "0.6", "--top-p", "0.95"]) == 0
    found = json.loads(capsys.readouterr().out)["by_task"]
    assert {(task["task"], task["num_problems"], task["num_samples"]) for task in found["tasks"]} == {
        (f"math:{name}", 2, {"aime24": 16, "aime25": 16, "math500": 8}.get(name, 4)) for name in SIX
    }
    assert 'id="by-task"' in (out / "report.html").read_text()
    plain, prompts = AutoModelForCausalLM.from_pretrained(model), {one.id: one for one in RunFolder(out).read_prompts()}
    tokenizer, columns = tiny.tokenizer(), ["prompt_id", "token_ids", "logprobs_t1", "temperature", "top_p"]
    rows = RunFolder(out).rollouts(columns).to_pylist()
    for row in rows[:: len(rows) // 6]:
        turns = [{"role": turn.role, "content": turn.content} for turn in prompts[row["prompt_id"]].messages]
        ids = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)).input_ids
        with torch.no_grad():
            logits = plain(torch.tensor([ids + row["token_ids"]])).logits[0, len(ids) - 1 : -1]
        full = torch.log_softmax(logits.double(), -1)[torch.arange(len(row["token_ids"])), torch.tensor(row["token_ids"])]
        assert row["logprobs_t1"] == pytest.approx(full.tolist(), abs=1e-4), "the full softmax at temperature 1"
        assert (row["temperature"], row["top_p"]) == (0.6, 0.95)
    groups = groups_of(read_rollouts(out))
    assert groups.probability_N is not None
    means = {key: [np.exp(np.mean(row["logprobs_t1"])) for row in rows if row["prompt_id"] == key] for key in prompts}
    assert sorted(groups.probability_N.tolist()) == pytest.approx(sorted(p for of_prompt in means.values() for p in of_prompt))


@pytest.mark.skipif(
    not all((DATA / BENCHMARKS[name].file).is_file() for name in SIX), reason="needs the benchmark files; set JOMINY_DATA to their folder"
)
def test_two_problems_of_each_benchmark_with_a_tiny_model(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="needs torch (the local extra)")
    from tests import tiny

    few = tmp_path / "few"
    few.mkdir()
    for name in SIX:
        rows = [json.loads(line) for line in (DATA / BENCHMARKS[name].file).read_text().splitlines()]
        # the tiny model reads 128 words, and of each file the shortest are as good as any
        rows.sort(key=lambda row: len(f"{row.get('context')} {row.get('problem') or row.get('question')}".split()))
        (few / BENCHMARKS[name].file).write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    monkeypatch.setenv("JOMINY_DATA", str(few))
    model, samples = tiny.save("llama", tmp_path / "model"), "aime24=8,math500=4"
    settings = SampleSpec(temperature=0.6, top_p=0.95, prompts=12, rollouts=2, samples=samples, max_tokens=4, device="cpu")
    spec = replace(settings, model=str(model), task=f"math:{','.join(SIX)}")
    found = measure_by_task(groups_of(read_rollouts(sample(spec, tmp_path / "run", quiet=True).path)), None)
    assert found is not None
    assert {(one.task, one.num_problems, one.num_samples, one.unscored.value) for one in found.tasks} == {
        (f"math:{name}", 2, {"aime24": 8, "math500": 4}.get(name, 2), 0.0) for name in SIX
    }
    assert found.average[0].value is not None


def test_probabilities_of_a_cut_or_tempered_softmax_are_not_taken_for_p(tmp_path):
    log = tmp_path / "log.jsonl"
    settings = [{}, {"temperature": 1.0, "top_p": 1.0}, {"temperature": 1.0, "top_p": 0.95}, {"temperature": 0.6}]
    log.write_text("".join(json.dumps({"prompt": "p", "reward": 1, "logprobs": [-0.5, -1.5], **one}) + "\n" for one in settings))
    groups = groups_of(read_rollouts(log))
    assert groups.probability_N is not None
    assert groups.probability_N == pytest.approx([np.exp(-1.0), np.exp(-1.0), np.nan, np.nan], nan_ok=True)


def test_a_log_that_was_drawn_cold_is_told_as_that(tmp_path):
    log = tmp_path / "cold.jsonl"
    rows = [{"prompt": f"p{place}", "reward": right, "logprobs": [-0.5], "temperature": 0.6} for place in range(4) for right in (0, 1)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    [skipped] = [one for one in diagnose_path(log, DiagnosisSpec()).skipped if one.code == "clarity"]
    assert "no rollout has log-probabilities at temperature 1" in skipped.missing
