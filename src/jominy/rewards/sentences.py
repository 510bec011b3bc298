"""Sentences, words and stop words of English without a download: NLTK's own Punkt algorithm with parameters written here.

The published IFEval checker counts sentences with Punkt (Kiss and Strunk, Computational Linguistics 32(4), 2006) and parameters
trained on a newspaper, a file that NLTK downloads. The algorithm itself is in the `nltk` package; what it must be told is
which words with a full stop are abbreviations, and which words start a sentence when they follow one with a capital.
Both stand here as lists of ordinary words. `docs/ifeval.md` says how far the counts agree.
Left out: the trained file's statistics of 20,000 words in small and capital letters. So a capital after a single letter is
taken for a name here ("Farm Y. How many" stays one sentence) unless the word is a sentence starter.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

_TITLES = "mr mrs ms messrs dr prof st sr jr rep reps sen gen col lt maj adm sgt capt"
_FIRMS_AND_STREETS = "inc ltd corp co cos bros cie ave ft"
_DATES = "jan feb aug sep sept oct nov dec tues wed fri a.m p.m a.d"
_STATES = "ala ariz calif colo conn fla ga ill kan ky mass mich minn okla ore pa tenn va vt wash wis w.va n.c n.d n.j n.m n.y n.h n.v s.c"
_PLACES = "d.c l.a u.s u.k u.n u.s.a u.s.s.r"
_DEGREES_AND_UNITS = "ph.d m.b.a b.a yr vs mg"
ABBREVIATIONS = frozenset(" ".join([_TITLES, _FIRMS_AND_STREETS, _DATES, _STATES, _PLACES, _DEGREES_AND_UNITS]).split())
"""Without their last full stop. Not e.g, i.e, etc, jun, jul, mon, kg: the trained parameters lack these, so a sentence ends there."""

_STARTERS = """
although among but despite even however i if in indeed instead it many meanwhile moreover most nevertheless nonetheless
separately similarly since so some that the there these they this though thus under when while yet
above being between does doing her here herself him himself into myself nor same such them themselves through very were which your
"""
SENTENCE_STARTERS = frozenset(_STARTERS.split())
"""Words that begin a sentence when they stand with a capital after an abbreviation."""

_STOP_WORDS = """
a about above after again against ain all am an and any are aren aren't as at be because been before being below between both but by
can couldn couldn't d did didn didn't do does doesn doesn't doing don don't down during each few for from further had hadn hadn't has
hasn hasn't have haven haven't having he he'd he'll he's her here hers herself him himself his how i i'd i'll i'm i've if in into is
isn isn't it it'd it'll it's its itself just ll m ma me mightn mightn't more most mustn mustn't my myself needn needn't no nor not now
o of off on once only or other our ours ourselves out over own re s same shan shan't she she'd she'll she's should should've shouldn
shouldn't so some such t than that that'll the their theirs them themselves then there these they they'd they'll they're they've this
those through to too under until up ve very was wasn wasn't we we'd we'll we're we've were weren weren't what when where which while
who whom why will with won won't wouldn wouldn't y you you'd you'll you're you've your yours yourself yourselves
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""NLTK's English list, 198 words: what IFBench counts as stop words."""


@functools.cache
def sentence_splitter() -> Any:
    """The Punkt tokenizer with the parameters of this module; its `span_tokenize(text)` gives where the sentences are.

    Raises:
        ModuleNotFoundError: `nltk` is not installed.
    """
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    parameters = PunktParameters()
    parameters.abbrev_types = set(ABBREVIATIONS)
    parameters.sent_starters = set(SENTENCE_STARTERS)
    return PunktSentenceTokenizer(parameters)


def split_sentences(text: str) -> Iterator[str]:
    """The sentences of a text one after the other, without the white space around them.

    >>> list(split_sentences("Dr. Ames left at 5 p.m. on Monday. Why?"))
    ['Dr. Ames left at 5 p.m. on Monday.', 'Why?']
    """
    return (text[start:end] for start, end in sentence_splitter().span_tokenize(text))


def split_words(text: str) -> list[str]:
    """The words and signs of a text as NLTK's `word_tokenize` gives them, on top of `split_sentences`.

    >>> split_words("Don't stop. Go!")
    ['Do', "n't", 'stop', '.', 'Go', '!']
    """
    from nltk.tokenize import NLTKWordTokenizer

    tokenizer = NLTKWordTokenizer()
    return [word for sentence in split_sentences(text) for word in tokenizer.tokenize(sentence)]


def capital_words(text: str) -> Iterator[str]:
    """The words that `split_words` finds in capital letters only, one after the other (without the full stop at the end).

    Nothing that makes a word capital depends on what stands beyond white space, so each stretch is cut by itself, on demand.

    >>> list(capital_words("I saw NASA in the U.S. today."))
    ['I', 'NASA', 'U.S']
    """
    from nltk.tokenize import NLTKWordTokenizer

    tokenizer = NLTKWordTokenizer()
    for stretch in text.split():
        if stretch != stretch.lower():
            yield from (word for word in tokenizer.tokenize(stretch) if word.isupper())
