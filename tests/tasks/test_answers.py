"""Answers in words are compared without case, articles and punctuation."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from softprompt.tasks.answers import normalised, token_f1


@given(st.text(alphabet="ab the,.A!", max_size=20), st.text(alphabet="ab the,.A!", max_size=20))
def test_token_f1_is_the_harmonic_mean_of_precision_and_recall(first: str, second: str) -> None:
    one, two = normalised(first).split(), normalised(second).split()
    shared = sum(min(count, Counter(two)[word]) for word, count in Counter(one).items())
    precision, recall = (shared / len(part) if part else 0.0 for part in (one, two))
    expected = 2 * precision * recall / (precision + recall) if shared else 0.0
    assert math.isclose(token_f1(first, second), expected)
