"""LoRA through peft: small factors beside every linear layer train, and the weights under them stay as they are.

    y = x W^T + (alpha / rank) x A^T B^T,      A [rank, in] random, B [out, rank] zero at first, alpha = 2 rank      (2106.09685, 4.1)

The layers are put into the model in place, so that sampling, scoring and `Passes` see one model as before; with the adapters off it is the
policy that training started from, bit for bit. A factor of alpha / rank = 2 at every rank is ours, the usual choice: the paper sets alpha
once and leaves it. The output head and the embeddings carry no adapter, as in peft's own "all-linear".
Left out: dropout, quantised weights, other kinds of adapters, several adapters at once.
LIMIT: sampling runs three products a layer instead of one, so it is slower than a merged model's.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

INSTALL_LORA = "pip install 'jominy[lora]'"
ALPHA_PER_RANK = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapters:
    """The factors that stand in a model.

    Example: add_adapters(model, rank=8).merged().save_pretrained("model")
    """

    tuner: Any
    """peft's LoraModel around the model that was given."""
    weights: Mapping[str, torch.nn.Parameter]
    """Name -> factor, in the model's order."""

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Inside, the model is the one that training started from."""
        self.tuner.disable_adapter_layers()
        try:
            yield
        finally:
            self.tuner.enable_adapter_layers()

    def merged(self) -> Any:
        """A copy of the model with W + 2 B A in the place of W: a plain transformers model. The model under training keeps its bits."""
        return copy.deepcopy(self.tuner).merge_and_unload()

    def state(self) -> dict[str, torch.Tensor]:
        """The factors, for a checkpoint."""
        return {name: weight.detach() for name, weight in self.weights.items()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Takes `state` back.

        Raises:
            ValueError: it is of other layers or of another rank.
        """
        shapes = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        if shapes != {name: tuple(weight.shape) for name, weight in state.items()}:
            raise ValueError(
                f"the checkpoint's {len(state)} adapter weights do not fit this model's {len(shapes)}; "
                "use the model and the LoRA rank that the run began with"
            )
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state[name])


def add_adapters(model: Any, rank: int, seed: int = 0) -> Adapters:
    """Puts adapters beside all linear layers of the model, in place; nothing but them requires a gradient afterwards.

    Args:
        model: a transformers model.
        rank: of the factors, at least 1.
        seed: of A.

    Raises:
        ValueError: peft is not installed, or the rank is below 1.
    """
    if rank < 1:
        raise ValueError(f"the rank of LoRA must be at least 1, got {rank}")
    if importlib.util.find_spec("peft") is None:
        raise ValueError(f"LoRA needs peft, which is not installed: {INSTALL_LORA}")
    from peft import LoraConfig, LoraModel

    # GPT-2 keeps its weights [in, out], and peft warns unless it is told
    turned = any(isinstance(layer, Conv1D) for layer in model.modules())
    config = LoraConfig(r=rank, lora_alpha=ALPHA_PER_RANK * rank, target_modules="all-linear", task_type="CAUSAL_LM", fan_in_fan_out=turned)
    with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        tuner = LoraModel(model, config, "default")
    model.eval()
    return Adapters(tuner=tuner, weights={name: weight for name, weight in model.named_parameters() if weight.requires_grad})
