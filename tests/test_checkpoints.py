"""Checkpoints: the same bits in any reader's hands, and whole or absent whenever the writer is killed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from jominy.engines.checkpoints import STATE, TRAINER, link_model, load_trainer, replace_folder, save_checkpoint, save_model
from jominy.engines.models import quiet_transformers
from tests import tiny
from tests.gradients import same

KINDS = ["llama", "qwen2", "gpt_neox", "gpt2"]


def write_text(text: str, stop_after: int | None = None):
    """A writer of two files that may be killed after some."""

    def write(folder: Path) -> None:
        for number, name in enumerate(("one", "two")):
            if number == stop_after:
                raise KeyboardInterrupt
            (folder / name).write_text(text)

    return write


def texts(folder: Path) -> list[str]:
    """What a reader sees."""
    return [path.read_text() for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_models_load_to_the_same_bits(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny.model(kind).to(dtype)
    save_model(model, tiny.tokenizer(), tmp_path / "model")
    with quiet_transformers():
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="auto")
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    saved, found = model.state_dict(), loaded.state_dict()
    assert saved.keys() == found.keys()
    assert all(same(saved[name], found[name]) for name in saved)
    assert tokenizer.chat_template == tiny.TEMPLATE
    assert os.listdir(tmp_path) == ["model"]


def test_trainer_and_state_come_back(tmp_path: Path) -> None:
    moments = {"optimizer": {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(4)}}, "param_groups": [{"lr": 0.1}]}}
    save_checkpoint(tiny.model("llama"), tiny.tokenizer(), {"learner": moments}, {"step": 3}, tmp_path / "step-00003")
    loaded = load_trainer(tmp_path / "step-00003")["learner"]["optimizer"]
    assert loaded["param_groups"] == [{"lr": 0.1}]
    assert same(loaded["state"][0]["exp_avg"], moments["optimizer"]["state"][0]["exp_avg"])  # type: ignore[index]
    assert '"step": 3' in (tmp_path / "step-00003" / STATE).read_text()


def test_linked_models_outlive_their_checkpoint(tmp_path: Path) -> None:
    checkpoint, best = tmp_path / "step-00001", tmp_path / "best"
    save_checkpoint(tiny.model("llama"), tiny.tokenizer(), {}, {"step": 1}, checkpoint)
    link_model(checkpoint, best)
    names = {path.name for path in checkpoint.iterdir()}
    assert {path.name for path in best.iterdir()} == names - {TRAINER, STATE}
    assert (best / "model.safetensors").samefile(checkpoint / "model.safetensors")
    shutil.rmtree(checkpoint)
    assert os.listdir(tmp_path) == ["best"]
    with quiet_transformers():
        loaded = AutoModelForCausalLM.from_pretrained(best)
    assert same(loaded.lm_head.weight.detach(), tiny.model("llama").lm_head.weight.detach())


def test_links_are_copies_where_the_disk_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "step").mkdir()
    (tmp_path / "step" / "config.json").write_text("{}")

    def refuse(*_: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    link_model(tmp_path / "step", tmp_path / "model")
    assert texts(tmp_path / "model") == ["{}"]
    assert not (tmp_path / "model" / "config.json").samefile(tmp_path / "step" / "config.json")


@pytest.mark.parametrize("stop_after", [0, 1])
def test_a_writer_that_fails_leaves_the_old_folder(stop_after: int, tmp_path: Path) -> None:
    replace_folder(tmp_path / "model", write_text("old"))
    with pytest.raises(KeyboardInterrupt):
        replace_folder(tmp_path / "model", write_text("new", stop_after))
    assert texts(tmp_path / "model") == ["old", "old"]
    assert os.listdir(tmp_path) == ["model"]


def test_a_kill_while_writing_leaves_the_old_folder(tmp_path: Path) -> None:
    """What a killed process leaves: the old folder, and half a new one aside, which the next writer removes."""
    replace_folder(tmp_path / "model", write_text("old"))
    (tmp_path / ".model.aside").mkdir()
    (tmp_path / ".model.aside" / "one").write_text("half")
    assert texts(tmp_path / "model") == ["old", "old"]
    replace_folder(tmp_path / "model", write_text("new"))
    assert texts(tmp_path / "model") == ["new", "new"]
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("renames", [0, 1])
def test_a_kill_between_the_renames_is_repaired(renames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old folder has been moved and the new one has not: a writer that comes next first puts the old one back."""
    folder = tmp_path / "model"
    replace_folder(folder, write_text("old"))
    real = Path.rename
    done: list[Path] = []

    def rename(path: Path, target: Path) -> Path:
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(path)
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(folder, write_text("new"))
    monkeypatch.undo()
    assert folder.exists() == (renames == 0)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(folder, write_text("third", stop_after=1))
    assert texts(folder) == ["old", "old"]
    replace_folder(folder, write_text("fourth"))
    assert texts(folder) == ["fourth", "fourth"]
    assert os.listdir(tmp_path) == ["model"]
