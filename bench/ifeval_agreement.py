"""Do our IFEval verdicts agree with the reference checkers? Prints the table of docs/ifeval.md and writes the golden file of the tests.

The reference is the copy of google-research/instruction_following_eval inside lm-evaluation-harness, with NLTK's trained Punkt
parameters, which the package llama-index-core happens to ship:

    pip download --no-deps -d /tmp/wheels lm-eval==0.4.13 llama-index-core
    unzip -q '/tmp/wheels/lm_eval*.whl' 'lm_eval/tasks/ifeval/*' -d /tmp/reference
    unzip -q '/tmp/wheels/llama_index_core*.whl' '*/nltk_cache/*' -d /tmp/reference
    python bench/ifeval_agreement.py --reference /tmp/reference --prompts ../shared/data/ifeval.jsonl [--texts model_texts.jsonl] [--write]

Each published prompt is judged on texts made around the border of each of its instructions (one bullet too few, just enough,
one too many ...), on a pool of odd texts written here, and on a random part of the given model texts ({"text": ...} a line).
Our seed of langdetect is set for the reference as well; how often its verdict changes without a seed is printed apart.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jominy.records import Message, Prompt
from jominy.rewards.instructions import judge, loose_variants
from jominy.tasks.constraint_answers import gold_text
from jominy.tasks.constraints import TYPES

GOLDEN = Path(__file__).parent.parent / "tests" / "data" / "ifeval_verdicts.jsonl"
Settings = Mapping[str, Any]

POOL = (
    "Sure! Here it is:\n\nThe market opens at 6 a.m. every day. Dr. Lee buys fish, bread and tea. Is it cheap? No!\n\nEnjoy.",
    "the sea is calm today and nothing moves on it except one small boat with a red sail that belongs to my uncle",
    "THE SEA IS CALM TODAY AND NOTHING MOVES ON IT EXCEPT ONE SMALL BOAT WITH A RED SAIL",
    "Mr. and Mrs. Gray met Prof. Stone in the U.S. The talk took 2.5 hours. They left at 5 p.m. It rained... a lot. Why? Nobody knows!!",
    '"Every answer is wrapped in marks."',
    "\"Two\nlines, in marks, with 'others' inside.\"\n",
    "* one\n* two\n* three",
    "- one\n- two\n-three\n\n  * four\n** five **\n*** \n",
    "*one* and **two** and ***three*** and *\nnot four* and ** ** and *five*",
    "First paragraph.\n\nSecond paragraph.\n\nThird one.",
    "First part.\n***\nSecond part.\n***\nThird part.",
    "***\nFirst part.\n***\n\n***\nSecond part.",
    "One answer.\n******\nAnother answer.",
    "******Same.******Same.******",
    '{"title": "A", "items": [1, 2, 3]}',
    '```json\n{"title": "A"}\n```',
    "[]",
    "My answer is yes.",
    "I think my answer is maybe. My answer is maybe. Is there anything else?",
    "<<On Trees>>\n\nTrees are tall. P.S. They are old.",
    "<< >> << and\n>> <<<x>>>",
    "Dear [name], meet me at [place] on [date]. [also\nnot this] []\n\nP.P.S I forgot the [time].",
    "Section 1\nA start.\nSection 2: more.\nSECTION 3\nThe end.",
    "Der Markt ist heute sehr voll und die Leute kaufen viel Brot und Käse.",
    "Hoy hace mucho sol y la gente del pueblo camina por la playa con sus perros.",
    "今日はとても良い天気ですね。海へ行きましょう。",
    "नमस्ते दुनिया यह एक छोटा वाक्य है।",
    "1. Boil water.\n2. Add rice, e.g. basmati.\n3. Wait, i.e. rest. Serve at No. 5 Main St. in town.",
    "NASA and the FBI met the CIA in the USA. OK? YES, A B C.",
    "12345 67890",
    "!!! ??? ...",
    "\n\n   \n Leading white space. And a trailing one. \n\n",
    "word " * 60,
    "This is a sentence. " * 25,
    "Any other questions? Is there anything else I can help with? Peace!",
    "😀 fine 😀. Tabs\there\u00a0and\u2028there.\r\nCarriage return.",
    *(gold_text("garden", [{"type": name, "params": kind.choices("garden")[-1]}]) for name, kind in TYPES.items()),
)
"""Texts that no published prompt asks for, with many forms and many ways to get a form wrong."""

LANGUAGE_TEXTS = {
    "de": "Das ist ein kurzer Satz über das Wetter und die Stadt.",
    "es": "Esta es una frase corta sobre el tiempo y la ciudad.",
    "fr": "Ceci est une courte phrase sur le temps et la ville.",
    "en": "This is a short sentence about the weather and the city.",
    "pt": "Esta é uma frase curta sobre o tempo e a cidade, não é?",
    "ru": "Это короткое предложение о погоде и городе.",
    "it": "Questa è una breve frase sul tempo e sulla città.",
    "hi": "यह मौसम और शहर के बारे में एक छोटा वाक्य है।",
    "ko": "이것은 날씨와 도시에 관한 짧은 문장입니다.",
    "ar": "هذه جملة قصيرة عن الطقس والمدينة.",
    "vi": "Đây là một câu ngắn về thời tiết và thành phố.",
}


def around(count: int, make: Callable[[int], str]) -> list[str]:
    """The texts for one less, as many, one more, none and twice as many."""
    return [make(n) for n in dict.fromkeys((max(count - 1, 0), count, count + 1, 0, 2 * count))]


def counted_texts(name: str, settings: Settings) -> list[str]:
    """Texts around the border of an instruction that counts something; none for other instructions."""
    border: dict[str, tuple[str, Callable[[int], str]]] = {
        "length_constraints:number_sentences": ("num_sentences", lambda n: "It is so. Mr. Fox ran! " * (n // 2) + "Why not? " * (n % 2)),
        "length_constraints:number_words": (
            "num_words",
            lambda n: " ".join(["don't", "go", "well-known"][i % 3] for i in range(n * 3 // 5)),
        ),
        "length_constraints:number_paragraphs": ("num_paragraphs", lambda n: "\n***\n".join(f"Part {i}." for i in range(n))),
        "detectable_content:number_placeholders": ("num_placeholders", lambda n: " ".join(["[name]", "[ ]"][i % 2] for i in range(n))),
        "detectable_format:number_bullet_lists": (
            "num_bullets",
            lambda n: "\n".join(["* a", "- b", " *c", "  -d"][i % 4] for i in range(n)),
        ),
        "detectable_format:number_highlighted_sections": (
            "num_highlights",
            lambda n: " ".join(["*a b*", "**c**", "* *"][i % 3] for i in range(n)),
        ),
        "keywords:frequency": ("frequency", lambda n: " ".join([str(settings.get("keyword", "")), "and"] * n) + " end"),
        "keywords:letter_frequency": ("let_frequency", lambda n: str(settings.get("letter", "")) * n + " 12"),
        "change_case:capital_word_frequency": (
            "capital_frequency",
            lambda n: " ".join(["BIG", "N.Y.", "X-RAY", "I"][i % 4] for i in range(n)),
        ),
    }
    if name not in border:
        return []
    key, make = border[name]
    return around(int(settings[key]), make)


def formed_texts(name: str, settings: Settings) -> list[str]:
    """Texts that follow, nearly follow or do not follow an instruction on form."""
    if name == "keywords:existence":
        words = settings["keywords"]
        return [" ".join(words), " ".join(words).upper(), " ".join(words[1:]), "x".join(words)]
    if name == "keywords:forbidden_words":
        words = settings["forbidden_words"]
        return ["All is well.", words[0], f"un{words[-1]}s", words[-1].upper() + "."]
    if name == "language:response_language":
        return [*LANGUAGE_TEXTS.values(), "12 34"]
    if name == "startend:end_checker":
        phrase = settings["end_phrase"]
        return [f"So. {phrase}", f'"So. {phrase.upper()}" ', f"{phrase} Bye.", phrase[:-1]]
    if name == "combination:repeat_prompt":
        request = settings["prompt_to_repeat"]
        return [f"{request}\n\nHere.", f"  {request.upper()} Here.", f"Sure! {request}", request[:-5]]
    if name == "detectable_content:postscript":
        marker = settings["postscript_marker"]
        return [f"Bye.\n{marker} More.", f"Bye.\n {marker.lower()} more", "Bye.\nP.S More", "Bye. P. P. S. More.", "Bye.\nps more"]
    if name == "detectable_format:multiple_sections":
        word, count = settings["section_spliter"], settings["num_sections"]
        return [" ".join(f"{word} {i} text" for i in range(n)) for n in (count - 1, count, count + 1)] + [f"{word.upper()}1{word}2"]
    if name == "length_constraints:nth_paragraph_first_word":
        parts = ["Text here."] * settings["num_paragraphs"]
        parts[settings["nth_paragraph"] - 1] = settings["first_word"].capitalize() + '" is it.'
        shifted = [parts[-1], *parts[:-1]]
        return ["\n\n".join(parts), "\n\n".join(parts) + "\n\n", "\n\n".join(shifted), "\n\n\n\n".join(parts), "\n\n".join(parts[1:])]
    return []


def as_prompt(row: Mapping[str, Any]) -> Prompt:
    """The published row as a Prompt, without the task."""
    info = {"instruction_id_list": row["instruction_id_list"], "kwargs": row["kwargs"]}
    return Prompt(id=str(row["key"]), task="ifeval", messages=(Message(role="user", content=row["prompt"]),), info=info)


class Reference:
    """The reference checkers; `judge` has the answers of `jominy.rewards.instructions.judge`."""

    def __init__(self, folder: Path) -> None:
        import nltk

        nltk.data.path.insert(0, str(next(folder.rglob("nltk_cache"))))
        sys.path.insert(0, str(folder))
        self.classes = importlib.import_module("lm_eval.tasks.ifeval.instructions_registry").INSTRUCTION_DICT

    def judge(self, prompt: Prompt, text: str, *, loose: bool) -> list[bool]:
        """Whether the text follows each instruction, by the reference."""
        texts = [variant for variant in (loose_variants(text) if loose else [text]) if variant.strip()]
        verdicts = []
        for name, settings in zip(prompt.info["instruction_id_list"], prompt.info["kwargs"], strict=True):
            checker = self.classes[name](name)
            checker.build_description(**{key: value for key, value in settings.items() if value})
            verdicts.append(any(bool(checker.check_following(variant)) for variant in texts))
        return verdicts


def compare(reference: Reference, rows: Sequence[Mapping[str, Any]], model_texts: Sequence[str]) -> None:
    """Prints, for each instruction type, verdicts, share followed, and differences, strict and loose; and shows the differences."""
    total, followed, different = Counter[str](), Counter[str](), Counter[tuple[str, bool]]()
    rng = random.Random(0)
    for row in rows:
        prompt = as_prompt(row)
        texts = [*POOL, *rng.sample(model_texts, min(8, len(model_texts)))]
        for name, settings in zip(row["instruction_id_list"], row["kwargs"], strict=True):
            texts += counted_texts(name, settings) + formed_texts(name, settings)
        for text in texts:
            for loose in (False, True):
                ours, theirs = judge("ifeval", prompt, text, loose=loose), reference.judge(prompt, text, loose=loose)
                for name, one, other in zip(row["instruction_id_list"], ours, theirs, strict=True):
                    total[name] += 1
                    followed[name] += other
                    if one != other:
                        different[name, loose] += 1
                        print(f"DIFFERENT {row['key']} {name} loose={loose} ours={one} reference={other}: {text[:200]!r}")
    print("| instruction type | verdicts | followed | differ strict | differ loose |\n|---|---|---|---|---|")
    for name in sorted(total):
        share = followed[name] / total[name]
        print(f"| {name} | {total[name]} | {share:.0%} | {different[name, False]} | {different[name, True]} |")
    sums = [sum(count for (_, mode), count in different.items() if mode == wanted) for wanted in (False, True)]
    print(f"| all | {sum(total.values())} | | {sums[0]} | {sums[1]} |")


OWN_SETTINGS: tuple[tuple[str, Settings], ...] = (
    ("length_constraints:number_sentences", {"num_sentences": 4, "relation": "at least"}),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "less than"}),
    ("length_constraints:number_words", {"num_words": 20, "relation": "at least"}),
    ("length_constraints:number_words", {"num_words": 15, "relation": "less than"}),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 3}),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "second"}),
    ("detectable_content:number_placeholders", {"num_placeholders": 3}),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}),
    ("detectable_format:number_bullet_lists", {"num_bullets": 3}),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 3}),
    ("detectable_format:title", {}),
    ("detectable_format:json_format", {}),
    ("detectable_format:constrained_response", {}),
    ("keywords:existence", {"keywords": ["sea", "boat"]}),
    ("keywords:forbidden_words", {"forbidden_words": ["market", "part"]}),
    ("keywords:frequency", {"keyword": "part", "frequency": 3, "relation": "at least"}),
    ("keywords:letter_frequency", {"letter": "e", "let_frequency": 6, "let_relation": "less than"}),
    ("language:response_language", {"language": "de"}),
    ("combination:two_responses", {}),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Tell me about the sea."}),
    ("startend:end_checker", {"end_phrase": "Peace!"}),
    ("startend:quotation", {}),
    ("change_case:capital_word_frequency", {"capital_frequency": 4, "capital_relation": "at least"}),
    ("change_case:english_capital", {}),
    ("change_case:english_lowercase", {}),
    ("punctuation:no_comma", {}),
)
"""Instructions with settings of our own, every type at least once: golden verdicts that need no published data."""


def bits(verdicts: Sequence[bool]) -> str:
    """0 and 1 for the verdicts."""
    return "".join(str(int(verdict)) for verdict in verdicts)


def golden_columns(reference: Reference, prompt: Prompt, texts: Sequence[str]) -> dict[str, list[str]]:
    """{mode: for each instruction its verdicts over the texts}; "random" where the reference draws the letter to count."""
    columns = {}
    for mode in ("strict", "loose"):
        table = [reference.judge(prompt, text, loose=mode == "loose") for text in texts]
        columns[mode] = [
            "random" if not str(settings.get("letter", "a")).isalpha() else bits(column)
            for settings, column in zip(prompt.info["kwargs"], zip(*table, strict=True), strict=True)
        ]
    return columns


def write_golden(reference: Reference, rows: Sequence[Mapping[str, Any]]) -> None:
    """Reference verdicts on texts written here: with settings of our own, and for the published prompts by key."""
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    lines: list[Mapping[str, Any]] = [{"texts": POOL}]
    for name, settings in OWN_SETTINGS:
        prompt = as_prompt({"key": name, "prompt": "", "instruction_id_list": [name], "kwargs": [settings]})
        made = counted_texts(name, settings) + formed_texts(name, settings)
        columns = golden_columns(reference, prompt, [*POOL, *made])
        lines.append({"instruction": name, "kwargs": settings, "texts": made, **columns})
    lines += [{"key": row["key"], **golden_columns(reference, as_prompt(row), POOL)} for row in rows]
    GOLDEN.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def print_unseeded_changes(texts: Sequence[str]) -> None:
    """How many texts get more than one language in ten guesses of an unseeded langdetect, as the reference uses it."""
    langdetect = importlib.import_module("langdetect")
    seed, langdetect.DetectorFactory.seed = langdetect.DetectorFactory.seed, None
    changing = 0
    for text in texts:
        try:
            changing += len({langdetect.detect(text) for _ in range(10)}) > 1
        except langdetect.LangDetectException:
            continue
    langdetect.DetectorFactory.seed = seed
    print(f"without a seed langdetect names more than one language in ten guesses for {changing} of {len(texts)} texts")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file, whose only line ends are newlines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def main() -> None:
    """Parses the command line of the module docstring and runs it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    rows = read_lines(arguments.prompts)
    texts = [row["text"] for row in read_lines(arguments.texts)] if arguments.texts else []
    reference = Reference(arguments.reference)
    compare(reference, rows, texts)
    print_unseeded_changes([*POOL, *texts])
    if arguments.write:
        write_golden(reference, rows)


if __name__ == "__main__":
    main()
