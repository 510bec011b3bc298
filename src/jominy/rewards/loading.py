"""A user's own reward by dotted path: `my_rewards.py:fn` or `package.module:fn`, in three dialects told apart by their signature.

    native    fn(prompt, text) -> Reward | float | bool | None
    TRL       fn(prompts, completions, **columns) -> list[float | None], sync or async, called by keyword with lists of one
    verl      compute_score(data_source, solution_str, ground_truth, extra_info=None) -> float | {"score": float, ...}

A reward from here is pickled as its path and read again in the worker, so a module may hold what cannot be pickled.
Left out on purpose: bundles of several functions with weights. Add them up in one function; `parts` of a Reward keeps the terms apart.

LIMIT: TRL functions are called one rollout at a time, so one that compares the completions of a batch sees a batch of one.
LIMIT: only text reaches a reward. `completion_ids` is `[None]`: a TRL function that looks into it leaves its responses unscored.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, SupportsFloat

from jominy.records import Prompt, Reward
from jominy.rewards.worker import to_reward

Kind = Literal["native", "trl", "verl"]
FILE_MODULE = "jominy_file_"
TRL_NAMES = frozenset({"prompts", "completions", "completion_ids"})
VERL_NAMES = ("data_source", "solution_str", "ground_truth", "extra_info")
TARGET_NAMES = ("target", "answer", "solution", "ground_truth", "label")
ACCEPTED = (
    "fn(prompt, text) -> Reward, number or None; TRL's fn(prompts, completions, **columns) -> list of numbers; "
    "verl's compute_score(data_source, solution_str, ground_truth, extra_info=None) -> number or {'score': number}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedReward:
    """A reward function with where it came from; call it like any `RewardFunction`.

    Example: LoadedReward(source="my_rewards.py:fn", kind="trl", function=fn)
    """

    source: str
    """Where it can be loaded from again, files by absolute path."""
    kind: Kind
    """Which dialect it speaks."""
    function: Callable[..., Any]
    """The user's function itself."""

    def __call__(self, prompt: Prompt, text: str) -> Reward:
        """The user's judgement of one response, as a Reward; raises whatever the function raises."""
        if self.kind == "native":
            return to_reward(_awaited(self.function(prompt, text)))
        if self.kind == "trl":
            return _call_trl(self.function, prompt, text)
        return _call_verl(self.function, prompt, text)

    def __reduce__(self) -> tuple[Callable[[str], LoadedReward], tuple[str]]:
        """Pickled as the path: the worker reads the module again."""
        return load_reward, (self.source,)


def load_reward(source: str) -> LoadedReward:
    """The reward function at `path/to/file.py:name` or `package.module:name`, its dialect recognised.

    Raises:
        ValueError: no such file, module or name (what the module has is listed), or a signature of none of the three kinds.

    >>> load_reward("jominy.tasks.arithmetic:grade").kind
    'native'
    """
    function = load_object(source)
    if not callable(function):
        raise ValueError(f"{source} is a {type(function).__name__}, not a function; a reward is {ACCEPTED}")
    where, _, name = source.rpartition(":")
    absolute = f"{Path(where).resolve()}:{name}" if where.endswith(".py") else source
    return LoadedReward(source=absolute, kind=recognise(function, source), function=function)


def recognise(function: Callable[..., Any], source: str) -> Kind:
    """Which of the three dialects a function speaks, by its parameters.

    Raises:
        ValueError: none of them; the message shows all three.
    """
    try:
        parameters = inspect.signature(function).parameters
    except ValueError as error:
        raise ValueError(f"{source}: Python knows no signature of it; wrap it in a function. A reward is {ACCEPTED}") from error
    if TRL_NAMES & set(parameters):
        return "trl"
    if "solution_str" in parameters:
        return "verl"
    positional = [p for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_two = len(positional) >= 2 or any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    required = [p for p in parameters.values() if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if takes_two and len(required) <= 2 and all(p in positional for p in required):
        return "native"
    raise ValueError(f"{source}{inspect.signature(function)} is no reward signature; a reward is {ACCEPTED}")


def load_object(source: str) -> Any:
    """Whatever stands at `path/to/file.py:name` or `package.module:name`; the folder of a file is importable from then on.

    Raises:
        ValueError: no such file, module or name, or the module cannot be imported.

    >>> load_object("math:pi")
    3.141592653589793
    """
    where, colon, name = source.rpartition(":")
    if not colon or not where or not name:
        raise ValueError(f"{source!r} names no object; write path/to/file.py:name or package.module:name")
    module = _module_of_file(Path(where)) if where.endswith(".py") else _module(where)
    if name in vars(module):
        return vars(module)[name]
    public = [known for known in vars(module) if not known.startswith("_")]
    close = difflib.get_close_matches(name, public, n=3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise ValueError(f"{where} has no {name!r}; {hint}it has {', '.join(public) or 'no public names'}")


def files_by_path() -> dict[str, str]:
    """The modules that `load_object` has read from files so far: name and file. A worker needs them to unpickle what refers to them."""
    return {name: str(module.__file__) for name, module in sys.modules.items() if name.startswith(FILE_MODULE)}


def _module_of_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise ValueError(f"no file {path}; a path by colon is path/to/file.py:name")
    # The name must be the file's own: two files called rewards.py are two modules.
    name = f"{FILE_MODULE}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    is_loaded = False
    try:
        spec.loader.exec_module(module)
        is_loaded = True
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        if not is_loaded:
            del sys.modules[name]
    return module


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(f"no module {error.name!r}, needed for {name}; install it, or write path/to/file.py:name for a file") from error
    except (ImportError, SyntaxError) as error:
        raise ValueError(f"module {name} cannot be imported: {type(error).__name__}: {error}") from error


def _call_trl(function: Callable[..., Any], prompt: Prompt, text: str) -> Reward:
    """As GRPOTrainer calls it: everything by keyword, conversations for conversations, each column a list of one.

    A parameter called target, answer, solution, ground_truth or label that is no column of the task gets the target.
    `trainer_state` is None and the two log functions do nothing: there is no trainer yet.
    """
    conversation = [{"role": message.role, "content": message.content} for message in prompt.messages]
    columns = {name: [value] for name, value in prompt.info.items()}
    columns |= {name: [prompt.target] for name in TARGET_NAMES if name not in columns}
    known = {
        **columns,
        "prompts": [conversation],
        "completions": [[{"role": "assistant", "content": text}]],
        "completion_ids": [None],
        "trainer_state": None,
        "log_extra": _log_nothing,
        "log_metric": _log_nothing,
    }
    values = _awaited(function(**_accepted(function, known)))
    if not isinstance(values, list | tuple) or len(values) != 1:
        got = f"{len(values)} values" if isinstance(values, list | tuple) else type(values).__name__
        raise TypeError(f"a TRL reward returns a list with one number a completion; for one completion it returned {got}")
    return to_reward(values[0])


def _call_verl(function: Callable[..., Any], prompt: Prompt, text: str) -> Reward:
    """As verl's reward manager calls it; numbers beside the score become parts."""
    known = {
        "data_source": prompt.info.get("data_source", prompt.task),
        "solution_str": text,
        "ground_truth": prompt.target,
        "extra_info": prompt.info.get("extra_info", dict(prompt.info)),
    }
    value = _awaited(function(**_accepted(function, known)))
    if not isinstance(value, Mapping):
        return to_reward(value)
    if "score" not in value:
        raise TypeError(f"a verl reward returns a number or a dict with 'score'; the dict has {', '.join(map(str, value)) or 'no keys'}")
    scored = to_reward(value["score"])
    parts = {str(name): float(part) for name, part in value.items() if name != "score" and isinstance(part, SupportsFloat)}
    return scored if scored.value is None else Reward(value=scored.value, parts=parts)


def _accepted(function: Callable[..., Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a function takes: all of them when it has `**columns`, else those it names."""
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(known)
    return {name: value for name, value in known.items() if name in parameters}


def _awaited(value: Any) -> Any:
    import asyncio  # a tenth of the time to `jominy --help`, for the few rewards that need it

    return asyncio.run(_await(value)) if inspect.isawaitable(value) else value


async def _await(value: Any) -> Any:
    return await value


def _log_nothing(*values: object) -> None:
    """Stands in for TRL's `log_extra` and `log_metric`."""
