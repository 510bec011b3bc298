"""The published checkers of IFEval and IFBench, made offline, deterministic and safe for hostile text.

    strict: the response follows the instruction;   loose: one of eight variants does (without its first line, its last line,
    both, each also without asterisks);   prompt level: all instructions followed;   instruction level: each one

The checkers are those of the package `if-verifiable`. Replaced are, in this process only: the downloads that it starts when
imported; the downloaded data of NLTK (`sentences`); the seed of `langdetect`, which otherwise guesses anew at each call; and the
seven IFEval checkers in `REPLACED`, which need NLTK's data, take quadratic time on hostile text or, for a letter that is none,
draw the letter at random. `docs/ifeval.md` compares the verdicts with the reference, type by type.
LIMIT: `words:start_verb` of IFBench (6 prompts) needs a tagger that no package ships; without it these prompts are unscored.
Left out: stripping a <think> part. The published protocol judges the response as it is.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import SimpleNamespace
from typing import Any, Literal

from jominy.records import Prompt, Reward
from jominy.rewards.sentences import STOP_WORDS, capital_words, split_sentences, split_words

Benchmark = Literal["ifeval", "ifbench"]
Settings = Mapping[str, Any]

INSTALL = "pip install 'jominy[tasks]'"
RELATIONS = ("less than", "at least")


def count_placeholders(text: str) -> int:
    """Stretches [like this] on one line, as `re.findall(r"\\[.*?\\]", text)` counts them, in linear time.

    >>> count_placeholders("Dear [name], [date] [")
    2
    """
    found = 0
    for line in text.split("\n"):
        start = line.find("[")
        while start >= 0 and (end := line.find("]", start)) >= 0:
            found += 1
            start = line.find("[", end)
    return found


def has_title(text: str) -> bool:
    """Whether a line has <<something>>, as IFEval looks for it, in linear time.

    >>> has_title("<<My title>>"), has_title("<< >>")
    (True, False)
    """
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if start >= 0 and end >= start + 3 and line[start : end + 2].lstrip("<").rstrip(">").strip():
            return True
    return False


def count_bullets(text: str) -> int:
    """Lines that start with `*` (not `**`) or `-`, as IFEval counts them, in linear time.

    >>> count_bullets("* one\\n- two\\n**three**")
    2
    """
    stars = re.findall(r"^[^\S\n]*\*[^*].*$", text, re.MULTILINE)
    return len(stars) + len(re.findall(r"^[^\S\n]*-.*$", text, re.MULTILINE))


def has_postscript(text: str, marker: str) -> bool:
    """Whether the marker (P.S., P.P.S or another) stands in the text, in any case, as IFEval looks for it.

    >>> has_postscript("Bye.\\np. s. thanks", "P.S.")
    True
    """
    pattern = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}.get(marker, marker.lower())
    return re.search(pattern, text.lower()) is not None


def compare_count(found: Iterable[object], relation: str, border: int) -> bool:
    """Whether there are `less than` or `at least` so many; looks no further than the border, which saves time on huge texts.

    >>> compare_count("aaa", "less than", 3), compare_count("aaa", "at least", 3)
    (False, True)
    """
    if relation not in RELATIONS:
        raise ValueError(f"a relation must be one of {RELATIONS}, not {relation!r}")
    reached = sum(1 for _ in islice(found, border)) >= border
    return reached if relation == "at least" else not reached


def _find_letters(text: str, letter: str) -> Iterator[str]:
    return (character for character in text.lower() if character == letter.strip().lower())


REPLACED: Mapping[str, Callable[[str, Settings], bool]] = {
    "change_case:capital_word_frequency": lambda text, settings: compare_count(
        capital_words(text), settings["capital_relation"], settings["capital_frequency"]
    ),
    "detectable_content:number_placeholders": lambda text, settings: count_placeholders(text) >= settings["num_placeholders"],
    "detectable_content:postscript": lambda text, settings: has_postscript(text, settings["postscript_marker"].strip()),
    "detectable_format:number_bullet_lists": lambda text, settings: count_bullets(text) == settings["num_bullets"],
    "detectable_format:title": lambda text, settings: has_title(text),
    "keywords:letter_frequency": lambda text, settings: compare_count(
        _find_letters(text, settings["letter"]), settings["let_relation"], settings["let_frequency"]
    ),
    "length_constraints:number_sentences": lambda text, settings: compare_count(
        split_sentences(text), settings["relation"], settings["num_sentences"]
    ),
}
"""{instruction id: (text, settings) -> followed}: IFEval checkers written anew; same verdicts, see the top of this file."""


@functools.cache
def checker_classes(benchmark: Benchmark) -> Mapping[str, Any]:
    """{instruction id: checker class} of `if-verifiable`, made offline and deterministic.

    Raises:
        ValueError: the package is not installed; the message says how to get it.
    """
    try:
        nltk: Any = importlib.import_module("nltk")
        download, nltk.download = nltk.download, lambda *names, **settings: False
        try:
            registry = importlib.import_module(f"if_verifiable.{benchmark}.instructions_registry")
        finally:
            nltk.download = download
        importlib.import_module("langdetect").DetectorFactory.seed = 0
    except ModuleNotFoundError as missing:
        raise ValueError(f"{benchmark} needs the package {missing.name!r}: {INSTALL}") from missing
    if benchmark == "ifbench":
        _cut_off_downloads(nltk)
    classes: Mapping[str, Any] = registry.INSTRUCTION_DICT
    return classes


def _cut_off_downloads(nltk: Any) -> None:
    """Gives the IFBench checkers an `nltk` whose functions need no downloaded data."""
    offline = SimpleNamespace(
        tokenize=nltk.tokenize,
        ngrams=nltk.ngrams,
        word_tokenize=split_words,
        pos_tag=_tag_parts_of_speech,
        corpus=SimpleNamespace(stopwords=SimpleNamespace(words=lambda language: STOP_WORDS)),
    )
    for module in ("instructions", "instructions_util"):
        checkers: Any = importlib.import_module(f"if_verifiable.ifbench.{module}")
        checkers.nltk = offline


def _tag_parts_of_speech(words: list[str]) -> list[tuple[str, str]]:
    """NLTK's tagger on the first words only, which is all that `words:start_verb` looks at; needs NLTK's data on this machine."""
    import nltk

    try:
        tagged: list[tuple[str, str]] = nltk.pos_tag(words[:10])
    except LookupError as missing:
        raise ValueError(
            "words:start_verb needs a tagger that no package ships; get it with: python -m nltk.downloader averaged_perceptron_tagger_eng"
        ) from missing
    return tagged


def loose_variants(text: str) -> list[str]:
    """The text and its seven variants of the loose protocol (2311.07911, section 2.2), repeated ones left out.

    >>> loose_variants("Sure!\\n*a*")
    ['Sure!\\n*a*', 'Sure!\\na', '*a*', 'Sure!', '', 'a']
    """
    lines = text.split("\n")
    cut = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    cut.insert(1, text.replace("*", ""))
    return list(dict.fromkeys(cut + [variant.replace("*", "") for variant in cut[2:]]))


def judge(benchmark: Benchmark, prompt: Prompt, text: str, *, loose: bool) -> list[bool]:
    """Whether the text follows each instruction of the prompt, in the order of `info["instruction_id_list"]`.

    Raises:
        ValueError: the prompt has no instructions, an instruction is unknown, or a checker lacks its data.
    """
    texts = [variant for variant in (loose_variants(text) if loose else [text]) if variant.strip()]
    return [any(follows(variant) for variant in texts) for follows in _checkers(benchmark, prompt)]


def _checkers(benchmark: Benchmark, prompt: Prompt) -> list[Callable[[str], bool]]:
    identifiers: Sequence[str] = prompt.info.get("instruction_id_list", ())
    if not identifiers:
        raise ValueError(f"prompt {prompt.id} of task {prompt.task!r} has no 'instruction_id_list' in its info")
    every_settings: Sequence[Settings] = prompt.info["kwargs"]
    request = prompt.messages[-1].content
    return [_checker(benchmark, name, settings, request) for name, settings in zip(identifiers, every_settings, strict=True)]


def _checker(benchmark: Benchmark, name: str, settings: Settings, request: str) -> Callable[[str], bool]:
    given = {key: value for key, value in settings.items() if value is not None}
    if name in REPLACED:
        return lambda text: REPLACED[name](text, given)
    classes = checker_classes(benchmark)
    if name not in classes:
        raise ValueError(f"{benchmark} has no instruction {name!r}; it has {', '.join(classes)}")
    checker = classes[name](name)
    checker.build_description(**given)
    arguments = checker.get_instruction_args()
    if arguments and "prompt" in arguments:
        checker.build_description(prompt=request)

    def follows(text: str) -> bool:
        try:
            return bool(checker.check_following(text))
        except RecursionError:  # thousands of nested brackets, which no instruction asks for
            return False

    return follows


def grade(prompt: Prompt, text: str, *, benchmark: Benchmark, loose: bool) -> Reward:
    """1 if all instructions are followed (prompt level), else 0; `parts` has 1 or 0 for each (instruction level).

    An instruction that stands twice in a prompt is named `id`, `id#2` in `parts`.
    """
    parts: dict[str, float] = {}
    for name, followed in zip(prompt.info["instruction_id_list"], judge(benchmark, prompt, text, loose=loose), strict=True):
        copies = sum(key.partition("#")[0] == name for key in parts)
        parts[f"{name}#{copies + 1}" if copies else name] = float(followed)
    return Reward(value=min(parts.values()), parts=parts)


@dataclass(frozen=True)
class InstructionReward:
    """`grade` for one benchmark and mode, as a reward function.

    The checkers are loaded when it is made and when it is unpickled in a grading process, which takes seconds: so a missing
    package says so at once, and no response's time limit pays for the loading.

    Example: InstructionReward("ifeval", loose=False)
    """

    benchmark: Benchmark
    loose: bool

    def __post_init__(self) -> None:
        checker_classes(self.benchmark)

    def __reduce__(self) -> tuple[type[InstructionReward], tuple[Benchmark, bool]]:
        return InstructionReward, (self.benchmark, self.loose)

    def __call__(self, prompt: Prompt, text: str) -> Reward:
        """The reward of one response."""
        return grade(prompt, text, benchmark=self.benchmark, loose=self.loose)
