"""Gradients by objective that are made once: read where they are kept, else made with the model and kept.

    gradients/KEY.json  ->  logits and gradients of an objective          without a model, so a call without `--gradients` shows them too

Left out on purpose: what they are (`gradients`), and what names them (`cache`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jominy.decided import Credited
from jominy.deciding.cache import GRADIENTS, gradient_key, keep, stamp_of, with_kept
from jominy.deciding.coefficients import Rows, coefficients
from jominy.deciding.columns import Tables
from jominy.deciding.folders import Compared, Sides, model_of
from jominy.deciding.rollouts import sample_spec_of
from jominy.records import Floats, Skipped

if TYPE_CHECKING:
    from jominy.engines.local import LocalEngine

RowsWith = Callable[[Mapping[str, Sequence[int]]], Rows | Skipped]
"""Prompt tokens by id -> rows of an objective."""


def kept_gradients_of(asked: Compared, sides: Sides, seed: int, *, may_compute: bool) -> KeptGradients | None:
    """With `--gradients`, or where some are kept and it is known of which policy; else None.

    Args:
        asked: folders and models.
        sides: their rollouts.
        seed: of sketches.
        may_compute: whether `--gradients` was said.

    Raises:
        ValueError: gradients are asked for and the model was not kept.
    """
    if not may_compute and not (asked.root / GRADIENTS).is_dir():
        return None
    try:
        model = model_of(asked.after)
    except ValueError:
        if may_compute:
            raise
        return None
    return KeptGradients(asked.root, model, sides, seed, may_compute=may_compute)


class KeptGradients:
    """Gradients by objective: those that are kept, and with `--gradients` the others, for which the model is loaded once."""

    def __init__(self, root: Path, model: str, sides: Sides, seed: int, *, may_compute: bool) -> None:
        """`model` drew the rollouts after; `root` is beside what gradients are kept."""
        self.root, self.model, self.sides, self.seed = root, model, sides, seed
        self.may_compute, self.stamp = may_compute, stamp_of(model)
        self.norms: dict[int, Floats | None] = {}
        self.engine: LocalEngine | None = None

    def of(self, found: Credited, rows: Rows, tables: Tables, rows_with: RowsWith) -> Credited:
        """The objective with its gradients, as far as they are to be had.

        Args:
            found: what needs no model.
            rows: of the objective.
            tables: the rollouts that are counted.
            rows_with: the same rows with these tokens of the prompts.
        """
        tokens, prompts = zip(*((one.token_ids, one.prompt_id) for one in tables.rollouts), strict=True)
        values_M, temperature = coefficients(rows, tables.rollouts), tables.rollouts[0].temperature
        key = gradient_key(self.stamp, found.objective, temperature, tokens, prompts, tables.tokens.stage_M, values_M, self.seed)
        kept = with_kept(self.root, key, found)
        if kept is not None or not self.may_compute:
            return kept or found
        computed = self._computed(found, tables, rows_with)
        keep(self.root, key, computed)
        return computed

    def _computed(self, found: Credited, tables: Tables, rows_with: RowsWith) -> Credited:
        from jominy.deciding.gradients import logit_norms_of, with_gradients

        if self.engine is None:
            self._load()
        assert self.engine is not None
        rows = rows_with(self.prompt_ids)
        assert not isinstance(rows, Skipped)
        if id(tables) not in self.norms:
            self.norms[id(tables)] = logit_norms_of(self.engine, tables, self.prompt_ids)
        return with_gradients(found, rows, tables, self.norms[id(tables)], self.learner, self.seed)

    def _load(self) -> None:
        from jominy.engines.extras import require_local_extra

        require_local_extra(self.model)
        from jominy.deciding.gradients import learner_of
        from jominy.engines.local import LocalEngine

        self.engine = LocalEngine.load(self.model, sample_spec_of(self.sides.after.run).device)
        self.prompt_ids = {key: self.engine.encode(prompt) for key, prompt in self.sides.prompts.items()}
        # greedy responses have no gradients (`why_no_gradients`), whatever the learner's temperature
        self.learner = learner_of(self.engine, self.sides.after.rollouts[0].temperature or 1.0)
