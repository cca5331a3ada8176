"""Spans as CoNLL's evaluation tells them, derived here from its two questions: does one begin, does one end?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.tasks import Row, Task, evaluate
from softprompt.tasks.spans import in_order, is_span_tag, spans_of, types_of

LABELS = ("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC")
TASK = Task(kind="tags", labels=LABELS)
sentence = st.lists(st.integers(0, len(LABELS) - 1), min_size=1, max_size=7)
pairs = st.lists(st.lists(st.tuples(*[st.integers(0, len(LABELS) - 1)] * 2), min_size=1, max_size=7), min_size=1)


def conlleval(tags: list[str]) -> set[tuple[str, int, int]]:
    """The rules of the script, pair by pair of neighbours (`startOfChunk`, `endOfChunk`)."""
    found, begin = set(), 0
    before, kind_before = "O", ""
    for place, tag in enumerate([*tags, "O"]):
        here, kind = tag[0], tag[2:]
        ends = before in "ES" or (before in "BI" and here in "BSO")
        ends = ends or (before != "O" and kind_before != kind)
        begins = here in "BS" or (before in "ESO" and here in "EI") or (here != "O" and kind_before != kind)
        if before != "O" and ends:
            found.add((kind_before, begin, place - 1))
        if begins:
            begin = place
        before, kind_before = here, kind
    return found


@given(sentence)
@settings(deadline=None, max_examples=100)
def test_spans_are_those_of_conlleval(tags: list[int]) -> None:
    names = [LABELS[tag] for tag in tags]
    assert set(spans_of(names)) == conlleval(names)


@given(pairs)
@settings(deadline=None, max_examples=60)
def test_metrics_are_counts_of_right_spans(data: list[list[tuple[int, int]]]) -> None:
    rows, guesses = [], []
    counts = {kind: [0, 0, 0] for kind in ("PER", "LOC", "all")}
    for both in data:
        real, guess = (tuple(column) for column in zip(*both, strict=True))
        words = ("w",) * len(real)
        rows.append(Row({"text": " ".join(words)}, real, words=words))
        guesses.append(guess)
        own, other = (conlleval([LABELS[tag] for tag in tags]) for tags in (real, guess))
        for place, found in enumerate((own & other, other, own)):
            for kind, _, _ in found:
                counts[kind][place] += 1
                counts["all"][place] += 1
    found = evaluate(TASK, rows, guesses)
    for kind, (right, guessed, there) in counts.items():
        end = "" if kind == "all" else f".{kind}"
        assert found[f"span_precision{end}"] == pytest.approx(right / guessed if guessed else 0)
        assert found[f"span_recall{end}"] == pytest.approx(right / there if there else 0)
        assert found[f"span_f1{end}"] == pytest.approx(2 * right / (guessed + there) if guessed + there else 0)
    flat = [pair for both in data for pair in both]
    assert found["token_accuracy"] == pytest.approx(sum(real == guess for real, guess in flat) / len(flat))
    low, high = found["interval"]
    assert 0 <= low <= high <= 1


def test_schemes_say_the_same() -> None:
    expected = [("PER", 0, 1), ("LOC", 3, 3), ("LOC", 4, 4)]
    for tags in (
        "B-PER I-PER O B-LOC B-LOC",  # BIO
        "I-PER I-PER O I-LOC B-LOC",  # IOB1
        "B-PER E-PER O S-LOC S-LOC",  # BIOES
        "B-PER L-PER O U-LOC U-LOC",  # BILOU
    ):
        assert list(spans_of(tags.split())) == expected
    assert list(spans_of(["B", "I", "O", "B"])) == [("_", 0, 1), ("_", 3, 3)]


def test_labels_in_order() -> None:
    assert in_order(["I-PER", "O", "B-PER", "I-LOC", "B-LOC", "O"]) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert in_order(["VB", "NN"]) == ("NN", "VB")
    assert types_of(LABELS) == ("PER", "LOC")
    assert [is_span_tag(tag) for tag in ("O", "B-PER", "S-A-B", "B", "NN", "B-", "b-PER", "")] == [
        *[True] * 4,
        *[False] * 4,
    ]
