"""The two policies that are exchanged, each loaded when it is first asked for: whoever finds everything kept loads none.

Left out on purpose: what makes two policies the same (`cache`), and what they are asked (`square`, `judged_bank`).
"""

from __future__ import annotations

from collections.abc import Callable

from jominy.deciding.cache import Pair
from jominy.engines import ContinuingEngine
from jominy.progress import stage

SIDES = ("before", "after")
"""Their names."""
LoadContinuing = Callable[[str, str], ContinuingEngine]
"""(model, device) -> engine."""


def load_continuing(model: str, device: str) -> ContinuingEngine:
    """The engine of this machine; ValueError when the extra or the model is missing."""
    from jominy.engines.extras import require_local_extra

    require_local_extra(model)
    from jominy.engines.local import LocalEngine

    return LocalEngine.load(model, device)


class Policies:
    """Both policies, each loaded when it is first asked for."""

    def __init__(self, pair: Pair, load: LoadContinuing, *, quiet: bool, why_not: str = "") -> None:
        """`load` is called at most once a model, and never where `why_not` says why nothing is to be drawn."""
        self.pair, self.load, self.quiet, self.why_not = pair, load, quiet, why_not
        self.there: dict[str, ContinuingEngine] = {}

    def check_allowed(self) -> None:
        """Raises ValueError where nothing is to be drawn."""
        if self.why_not:
            raise ValueError(self.why_not)

    def of(self, side: str) -> ContinuingEngine:
        """The policy before or after."""
        self.check_allowed()
        model = self.pair.before if side == "before" else self.pair.after
        if model not in self.there:
            with stage(f"loading {model}", quiet=self.quiet):
                self.there[model] = self.load(model, self.pair.spec.device)
        return self.there[model]
