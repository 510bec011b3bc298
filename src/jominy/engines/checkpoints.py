"""Checkpoints of a training engine: a Hugging Face folder that anything loads, and beside it what the next step needs.

    step-00030/  model.safetensors config.json tokenizer.json ...   trainer.pt   state.json

A folder is written aside, flushed and renamed: it is there whole or not at all. Weights are stored as they are, so that a run that goes on
from here makes the same bits as one that was never stopped. Sampling and the order of prompts depend on seed and step alone, so there
is no random state to store beside the step.
Left out: sharded checkpoints, and adapters, which `adapters` stores.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from jominy.engines.models import quiet_transformers
from jominy.store import read_json, write_json

TRAINER = "trainer.pt"
STATE = "state.json"


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Writes a folder that transformers, vLLM and TRL load, whole or not at all."""
    replace_folder(folder, lambda aside: _write_model(model, tokenizer, aside))


def save_checkpoint(model: Any, tokenizer: Any, trainer: dict[str, Any], state: dict[str, Any], folder: Path) -> None:
    """Writes model, tokenizer, `trainer` (tensors) and `state` (numbers), whole or not at all."""

    def write(aside: Path) -> None:
        _write_model(model, tokenizer, aside)
        torch.save(trainer, aside / TRAINER)
        write_json(aside / STATE, {"schema_version": 1, **state})

    replace_folder(folder, write)


def load_trainer(folder: Path) -> dict[str, Any]:
    """What `save_checkpoint` was given as `trainer`."""
    trainer: dict[str, Any] = torch.load(folder / TRAINER, map_location="cpu", weights_only=True)
    return trainer


def load_policy(folder: Path) -> str:
    """Name of the starting model, as the run that wrote the checkpoint recorded it."""
    return str(read_json(folder / STATE)["policy"])


def link_model(checkpoint: Path, folder: Path) -> None:
    """The model of a checkpoint under another name: hard links where the disk has them, copies elsewhere."""

    def write(aside: Path) -> None:
        for file in sorted(checkpoint.iterdir()):
            if file.name in (TRAINER, STATE):
                continue
            # only weights are worth a link: who edits a config in one place must not change it in the other
            try:
                (os.link if file.suffix == ".safetensors" else shutil.copy2)(file, aside / file.name)
            except OSError:
                shutil.copy2(file, aside / file.name)

    replace_folder(folder, write)


def _write_model(model: Any, tokenizer: Any, folder: Path) -> None:
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """`folder` as `write(aside)` fills it: flushed to disk and renamed, so that a reader sees the old one or the new one.

    A kill between the two renames leaves the old one aside; the next call puts it back first.
    """
    aside, gone = folder.with_name(f".{folder.name}.aside"), folder.with_name(f".{folder.name}.gone")
    if gone.exists() and not folder.exists():
        gone.rename(folder)
    for leftover in (aside, gone):
        shutil.rmtree(leftover, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        write(aside)
        for path in (*aside.rglob("*"), aside):
            _flush(path)
        if folder.exists():
            folder.rename(gone)
        aside.rename(folder)
        _flush(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(gone, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
