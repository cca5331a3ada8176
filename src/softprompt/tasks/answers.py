"""Comparing free-text answers as the official scripts of SQuAD and ReCoRD do."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_DETERMINERS = frozenset(
    [
        "a",
        "an",
        "few",
        "her",
        "his",
        "each",
        "every",
        "many",
        "much",
        "my",
        "our",
        "some",
        "that",
        "the",
        "their",
        "these",
        "this",
        "those",
        "which",
        "whose",
        "your",
    ]
)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower case, without ASCII punctuation, without the articles a, an, the, with single spaces."""
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(prediction: str, answer: str) -> float:
    """F1 of the words that two normalised texts share, counted with multiplicity; 0 where they share none."""
    guessed, right = normalised(prediction).split(), normalised(answer).split()
    shared = sum((Counter(guessed) & Counter(right)).values())
    return 2 * shared / (len(guessed) + len(right)) if shared else 0.0


def names_referent(prediction: str, phrase: str) -> bool | None:
    """Whether a generated text names what a noun phrase does: T5's comparison for WSC (t5/data/postprocessors.py).

    Determiners and case do not count, and the words of one are among those of the other. A possessive is no other
    phrase's: "Bob" does not name "Bob's hat". None where the text says nothing.
    """
    said, meant = ([word for word in text.lower().split() if word not in _DETERMINERS] for text in (prediction, phrase))
    if not said:
        return None
    if ("'" in "".join(said)) != ("'" in "".join(meant)):
        return False
    return set(said) <= set(meant) or set(meant) <= set(said)


def best(score: Callable[[str, str], float], prediction: str, answers: Sequence[str]) -> float:
    """The best score against any of the right answers."""
    return max((score(prediction, answer) for answer in answers), default=0.0)
