"""From what a person types behind `--recipe` to a Recipe: a name, a name with options, or an object of their own.

    grpo                              a recipe of the table
    dapo:clip_high=0.3,fill=off       the same with options behind the colon
    my_recipes.py:thing, pkg.mod:fn   a Recipe, or a function without arguments that returns one

Owns the table of recipes. Three pieces of advice are no recipes but ways to use one; asking for them says how.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from types import ModuleType

from jominy.recipes import cispo, clarity_weighted, dapo, dr_grpo, grpo, gspo, reinforce, rloo, sign_only, supervised
from jominy.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[str, int | None], Recipe]] = {
    "reinforce": reinforce.make,
    "grpo": grpo.make,
    "dr_grpo": dr_grpo.make,
    "rloo": rloo.make,
    "dapo": dapo.make,
    "gspo": gspo.make,
    "cispo": cispo.make,
    "positive_only": sign_only.positive_only,
    "negative_only": sign_only.negative_only,
    "w_reinforce": sign_only.w_reinforce,
    "positive_only_masked": sign_only.positive_only_masked,
    "negative_only_masked": sign_only.negative_only_masked,
    "clarity_weighted": clarity_weighted.make,
    "sft": supervised.sft,
    "corrected": supervised.corrected,
    "rft": supervised.rft,
}
"""Name -> (options, max_tokens) -> recipe; the order of the listings."""

USES = {
    "one_shot": "one_shot is recipe grpo on a single prompt (--select max_variance:RUN, or --pool 1 for any)",
    "spurious_reward": "spurious_reward is recipe grpo with another reward (--reward random; jominy rewards lists them)",
    "sft_warm_start": "sft_warm_start is two runs: recipe sft, then recipe grpo from the model that it saved",
}
"""Names that `diagnose` advises and that are no recipes -> what to do."""

LISTING_MAX_TOKENS = 64
"""Only so that recipes that need a length can say what they are."""


def load_recipe(text: str, max_tokens: int | None = None) -> Recipe:
    """The recipe that a person means by `text` (see the top of this file).

    Args:
        text: name with options, or path of an object.
        max_tokens: longest response of the run; divisors by a constant budget and penalties on length need it.

    Raises:
        ValueError: nothing goes by that name (near misses and everything that exists are listed), or an option is wrong.

    >>> load_recipe("dapo:clip_high=0.3,fill=off", max_tokens=64).fill
    'off'
    """
    name, _, options = text.partition(":")
    if name in RECIPES:
        return RECIPES[name](options, max_tokens)
    if name in USES:
        raise ValueError(f"{name} is no recipe: {USES[name]}")
    if ":" in text and (name.endswith(".py") or "." in name):
        return _own_recipe(text)
    raise ValueError(_unknown(text, name))


def list_recipes() -> list[Recipe]:
    """Every recipe of the table with its defaults, for listings; lengths are made up."""
    return [make("", LISTING_MAX_TOKENS) for make in RECIPES.values()]


def _unknown(text: str, name: str) -> str:
    close = difflib.get_close_matches(name, [*RECIPES, *USES], n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    known = "\n".join(f"  {recipe.name:22} {recipe.summary}" for recipe in list_recipes())
    return f"no recipe {text!r}{hint}\nThere are\n{known}\nor your own as my_recipes.py:thing"


def _own_recipe(source: str) -> Recipe:
    where, _, name = source.rpartition(":")
    module = _module_of_file(where) if where.endswith(".py") else _module(where)
    if name not in vars(module):
        there = ", ".join(key for key, value in vars(module).items() if isinstance(value, Recipe)) or "no recipe"
        raise ValueError(f"{where} has no {name!r}; it has {there}")
    thing = vars(module)[name]
    recipe = thing if isinstance(thing, Recipe | type) or not callable(thing) else thing()
    if not isinstance(recipe, Recipe):
        raise ValueError(
            f"{source} is a {type(recipe).__name__}; a recipe is a jominy.recipes.recipe.Recipe or a function that returns one"
        )
    return recipe


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(f"no module {error.name!r}, needed for {name}; install it, or write path/to/file.py:name for a file") from error


def _module_of_file(path: str) -> ModuleType:
    absolute = os.path.realpath(path)
    if not os.path.isfile(absolute):
        raise ValueError(f"no file {path}; a path by colon is path/to/file.py:name")
    # The name must be the file's own: two files called recipes.py are two modules.
    name = f"jominy_file_{os.path.basename(absolute)[:-3]}_{hashlib.sha256(absolute.encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, absolute)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    sys.modules[name] = module
    return module
