"""Three ways from training rows to the hidden state (or logits) before each trained token, with a graph behind it.

    forest    prompts once, no padding (`forest`): models with plain full attention and a plain head
    padded    prompt + completion of each row, padded on the right: windows, recurrences, anything causal; a plain head
    logits    the model's own logits, one row at a time: heads that are more than a matrix product

Which one a model takes is tried out once (`Passes.on_forest`, `Network.head_is_plain`), never read off a list of names.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from jominy.engines.forest import Forest
from jominy.engines.network import Network
from jominy.records import TrainRow


def targets_of(rows: Sequence[TrainRow], device: torch.device) -> torch.Tensor:
    """[M] the trained tokens, row after row."""
    return torch.from_numpy(np.concatenate([row.completion_ids for row in rows]).astype(np.int64)).to(device)


def hidden_on_forest(network: Network, rows: Sequence[TrainRow]) -> torch.Tensor:
    """[M, H] hidden states before each trained token."""
    forest = Forest.of(rows, network.device)
    out = network.decoder(
        input_ids=forest.tokens_N[None],
        position_ids=forest.positions_N[None],
        attention_mask=torch.empty(0, device=network.device)[None, None, None],
        use_cache=False,
        forest=forest,
    )
    hidden: torch.Tensor = out.last_hidden_state[0].index_select(0, forest.source_M)
    return hidden


def hidden_padded(network: Network, rows: Sequence[TrainRow]) -> torch.Tensor:
    """[M, H] the same from whole rows; causal attention makes right padding exact."""
    tokens_RL, source_M = _whole_rows(rows, network.device)
    hidden_RLH = network.decoder(input_ids=tokens_RL, use_cache=False).last_hidden_state
    hidden: torch.Tensor = hidden_RLH.flatten(0, 1).index_select(0, source_M)
    return hidden


def logits_of_row(network: Network, row: TrainRow) -> torch.Tensor:
    """[T, V] float32 logits before each trained token of one row."""
    tokens_1L, source_M = _whole_rows([row], network.device)
    logits: torch.Tensor = network.model(tokens_1L, use_cache=False).logits[0].index_select(0, source_M)
    return logits.float()


def _whole_rows(rows: Sequence[TrainRow], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """([R, L] prompt and completion but its last token, zeros behind; [M] where in R * L each trained token is predicted)."""
    fed = [np.concatenate([row.prompt_ids, row.completion_ids[:-1]]) for row in rows]
    width = max(map(len, fed))
    tokens_RL = np.zeros((len(rows), width), dtype=np.int64)
    sources = []
    for number, (row, tokens) in enumerate(zip(rows, fed, strict=True)):
        tokens_RL[number, : len(tokens)] = tokens
        sources.append(number * width + len(row.prompt_ids) - 1 + np.arange(len(row.completion_ids)))
    return torch.from_numpy(tokens_RL).to(device), torch.from_numpy(np.concatenate(sources)).to(device)
