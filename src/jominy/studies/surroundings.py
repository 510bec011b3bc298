"""Where the runs of a study were made: Python, platform, packages, device, and the commit of this code where it is under git.

    results["environments"] = [{"python": ..., "platform": ..., "versions": {...}, "device": "cpu", "commit": "5cb9bf9"}]
    run["environment"]      = place in that list

A study that goes on elsewhere, or with other code, adds a line; the numbers of both stand side by side, and each run says whose it is.
Left out: clocks and memory, which no number depends on.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from jominy.sampling import environment

CODE = Path(__file__).parent.parent


def surroundings() -> dict[str, Any]:
    """Of this process."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {**environment(), "device": device, "commit": commit_of(CODE)}


def commit_of(folder: Path) -> str | None:
    """The commit that last changed what is in the folder, `+` behind it when files have been changed since; None when git knows it not."""
    said = _git(folder, "log", "-1", "--format=%h", "--", ".")
    if not said:
        return None
    return said + ("+" if _git(folder, "status", "--porcelain", "--", ".") else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "--no-optional-locks", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def place_of(found: dict[str, Any], environments: list[dict[str, Any]]) -> int:
    """Its place in the list, where it is put when it is not there.

    >>> known = [{"python": "3.11"}]
    >>> place_of({"python": "3.12"}, known), place_of({"python": "3.11"}, known), len(known)
    (1, 0, 2)
    """
    if found not in environments:
        environments.append(found)
    return environments.index(found)
