"""How much memory is free, and how many rows of a sampling call fit into it.

    bytes of a row = (own tokens + its share of the prompt) * bytes of a cached position + 4 V bytes of logits, twice

(twice: the drawing reads a second copy in slices at worst). Half of what is free is used unless the caller gives a budget.
Left out: activations, which are small beside the logits at one token a row.
"""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

import torch

UNKNOWN_FREE_BYTES = 4 << 30
"""Assumed free memory where the system does not tell (no /proc, no CUDA)."""
SHARE = 0.5
MAX_ROWS = 256
"""Twice as many rows decode 8 % faster on a CPU (bench/README.md), hold twice the memory, and delay the first finished group."""
MAX_ROWS_GPU = 1024


def available_bytes(device: torch.device) -> int:
    """Free bytes on the device; for the CPU the smaller of what the kernel and the control group leave."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = UNKNOWN_FREE_BYTES
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        free = next(int(line.split()[1]) * 1024 for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable"))
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        free = min(free, max(0, int(limit.read_text()) - int(used.read_text())))
    return free


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed instead of giving it back after every micro-batch, to be faulted in again: 10 % of an update.

    Nothing happens where the C library is another one.
    """
    if platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_threshold = -1, -3
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_threshold, 32 << 20)


def rows_that_fit(
    *, bytes_per_position: int, num_words: int, max_tokens: int, prompt_tokens: int, num_rollouts: int, budget_bytes: int, most: int
) -> int:
    """Rows to decode at a time, at least 1 and at most `most`.

    Args:
        bytes_per_position: keys and values of one token over all layers.
        num_words: V.
        max_tokens: own tokens of a row at most.
        prompt_tokens: length of the longest prompt.
        num_rollouts: rows that share a prompt.
        budget_bytes: what may be used.
        most: upper limit.

    >>> rows_that_fit(bytes_per_position=1000, num_words=100, max_tokens=10, prompt_tokens=20, num_rollouts=4,
    ...               budget_bytes=158_000, most=256)          # a row: (10 + 20 / 4) * 1000 + 2 * 4 * 100 = 15,800 bytes
    10
    """
    row = (max_tokens + prompt_tokens / num_rollouts) * bytes_per_position + 2 * 4 * num_words
    return max(1, min(most, int(budget_bytes // row)))


def budget_bytes(device: torch.device, memory_gib: float | None) -> int:
    """The caller's budget in bytes, or half of what is free; JOMINY_MEMORY_GIB in the environment stands in for the caller."""
    given = os.environ.get("JOMINY_MEMORY_GIB") if memory_gib is None else memory_gib
    if given is None:
        return int(SHARE * available_bytes(device))
    try:
        gib = float(given)
    except ValueError:
        gib = 0.0
    if not 0 < gib < float("inf"):
        raise ValueError(f"JOMINY_MEMORY_GIB must be a number of GiB above 0; it is {given!r}")
    return int(gib * 2**30)
