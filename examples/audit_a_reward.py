"""Can a reward of yours be trained on? Two rewards for "no commas" and "ask a question", held against truth that is known.

The same from the command line:   jominy audit --reward examples/audit_a_reward.py:careless --constraints no_commas,question
Run:                              python examples/audit_a_reward.py
"""

import tempfile
from pathlib import Path

from jominy import AuditSpec, Prompt, audit
from jominy.specs.auditing import TruthSpec


def careful(prompt: Prompt, text: str) -> float:
    """Looks at what the prompt asks for."""
    holds = {"no_commas": "," not in text, "question": "?" in text}
    return float(bool(text.strip()) and all(holds[name] for name in prompt.info["types"]))


def careless(prompt: Prompt, text: str) -> float:
    """Pays whoever says something, and says it with a question mark or without a comma."""
    return float("?" in text or "," not in text)


if __name__ == "__main__":
    truth = TruthSpec(constraints="no_commas,question", pairs=8)
    for name in ("careful", "careless"):
        with tempfile.TemporaryDirectory() as folder:
            found = audit(AuditSpec(reward=f"{__file__}:{name}", truth=truth), Path(folder), quiet=True)
        sees, shrink = found.precision.responses.recall_false, found.errors.shrink
        assert sees.value is not None
        assert shrink.value is not None
        print(f"{name:9} {found.trust.value}: sees {sees.value:.0%} of the violations; the advantage shrinks to {shrink.value:.2f}")
