"""Word problems that nobody can have seen: sums told as stories of any length, made here by seed, the control of the contamination probe.

    What is the number of pens that Mara has in the end, if she starts with 58, then buys 17 at the market, then gives 9 to a friend?

The question stands in front and the numbers follow, so what comes after any cut of the text cannot be guessed from what came before it.
An answer is graded as in `arithmetic`. Left out: variety of language; the stories need to be new, not good.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from jominy.records import Message, Prompt
from jominy.tasks.identity import identify

TASK = "fresh word problems"
THINGS = ("pens", "apples", "stamps", "books", "coins", "shells", "marbles", "cards", "candles", "buttons")
PEOPLE = (
    ("Mara", "she"),
    ("Ivo", "he"),
    ("Nadia", "she"),
    ("Tomas", "he"),
    ("Oona", "she"),
    ("Bela", "he"),
    ("Wren", "she"),
    ("Karl", "he"),
)
GAINS = ("buys {n} at the market", "finds {n} in a drawer", "gets {n} from a neighbour", "wins {n} in a game", "trades a hat for {n}")
LOSSES = ("gives {n} to a friend", "loses {n} on the way home", "sells {n} to a shop", "drops {n} into the river", "leaves {n} on a train")
MOST = 99


def word_problems(lengths_P: Sequence[int], seed: int) -> list[Prompt]:
    """One problem for each length, of about so many words; distinct ids.

    Args:
        lengths_P: [P] words wanted; the shortest problem has 20 to 23.
        seed: same seed, same problems.

    >>> [len(prompt.messages[0].content.split()) for prompt in word_problems([0, 40, 60], 0)]
    [23, 41, 60]
    """
    rng = random.Random(f"fresh {seed}")
    made: dict[str, Prompt] = {}
    for length in lengths_P:
        prompt = _problem(length, rng)
        while prompt.id in made:
            prompt = _problem(length, rng)
        made[prompt.id] = prompt
    return list(made.values())


def _problem(length: int, rng: random.Random) -> Prompt:
    name, pronoun = rng.choice(PEOPLE)
    total = rng.randint(10, MOST)
    text = f"What is the number of {rng.choice(THINGS)} that {name} has in the end, if {pronoun} starts with {total}"
    while True:
        gains = total < MOST // 2 or rng.random() < 0.5
        number = rng.randint(2, MOST if gains else total - 1)
        event = rng.choice(GAINS if gains else LOSSES).format(n=number)
        total += number if gains else -number
        text += f", then {event}"
        if len(text.split()) + 3 >= length:  # half an event more would be further from the length than none
            break
    messages = (Message(role="user", content=f"{text}?"),)
    return Prompt(
        id=identify(TASK, messages, str(total)),
        task=TASK,
        messages=messages,
        target=str(total),
        gold_answer=f"The answer is {total}",
        wrong_answer=f"The answer is {total + 1}",
    )
