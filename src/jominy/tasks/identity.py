"""What makes two prompts the same prompt: a hash of the task, the conversation and the target.

    id = first 16 hex digits of sha256(JSON [task, [[role, content], ...], target])

Equal on every machine and in every process, so rollouts of different runs join on it. 64 bits: among a million prompts
a chance of 3e-8 that two collide. Left out: `Prompt.info` and the gold answer, which describe a prompt and do not change it.
"""

from __future__ import annotations

import hashlib
import json

from jominy.records import Message


def identify(task: str, messages: tuple[Message, ...], target: str | None) -> str:
    """The content hash that a task stores as `Prompt.id`.

    Args:
        task: name of the task, without options: the same prompt under other options stays the same prompt.
        messages: the conversation as the model sees it.
        target: what the reward compares with, or None.

    Returns:
        16 lower-case hexadecimal digits.

    >>> identify("arithmetic", (Message(role="user", content="2 + 3 = ?"),), "5")
    '80c36f23d5a8e4d4'
    """
    turns = [[message.role, message.content] for message in messages]
    content = json.dumps([task, turns, target], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(content.encode("ascii")).hexdigest()[:16]
