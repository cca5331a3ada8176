"""Which columns are texts and which is the label, in tables as people have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks.guess.choose import choose
from softprompt.tasks.guess.profile import Profile

ROWS = 60


def text(row: int) -> str:
    return f"where is my parcel number {row * 7919 % 1000} of last week, it has not come"


def other(row: int) -> str:
    return f"the courier said that he left it at door {row * 31 % 97} in house {row}"


def date(row: int) -> str:
    return f"2024-{row % 12 + 1:02d}-{row % 28 + 1:02d}"


def of(*values: object) -> Any:
    """A column that goes round these values, of which some stand there more often than others."""
    return lambda row: values[(row * row + row // 3) % len(values)]


def word(row: int) -> str:
    return f"name{row * 7 % ROWS}"


TEAM = of("billing", "tech", "other")
# Columns by name; then those that are texts, and the label.
SHAPES: dict[str, tuple[Mapping[str, Any], str, str]] = {
    "text and label": ({"text": text, "label": of(0, 1)}, "text", "label"),
    "label first": ({"label": of("ham", "spam"), "sms": text}, "sms", "label"),
    "tickets": ({"id": int, "created_at": date, "message": text, "category": TEAM}, "message", "category"),
    "an index from pandas": ({"": int, "review": text, "sentiment": of("pos", "neg")}, "review", "sentiment"),
    "pandas' Unnamed": ({"Unnamed: 0": int, "tweet": text, "class": of(0, 1, 2)}, "tweet", "class"),
    "truths": ({"comment": text, "is_spam": of(True, False)}, "comment", "is_spam"),
    "truths as texts": ({"body": text, "toxic": of("True", "False")}, "body", "toxic"),
    "ratings from 1 to 5": ({"reviewText": text, "overall": of(1, 2, 3, 4, 5), "asin": word}, "reviewText", "overall"),
    "stars as csv of floats": ({"review_body": text, "stars": of("1.0", "2.0", "5.0")}, "review_body", "stars"),
    "German": ({"Nr": int, "Nachricht": text, "Kategorie": TEAM, "Datum": date}, "Nachricht", "Kategorie"),
    "German with umlauts": ({"Überschrift": text, "Stimmung": of("gut", "schlecht")}, "Überschrift", "Stimmung"),
    "two texts": ({"Title": text, "Body": other, "Topic": TEAM}, "Title Body", "Topic"),
    "premise and hypothesis": (
        {"premise": text, "hypothesis": other, "gold_label": of("entailment", "neutral")},
        "premise hypothesis",
        "gold_label",
    ),
    "SNLI with five annotators": (
        {"gold_label": of("a", "b"), "sentence1": text, "sentence2": other, "pairID": word, "label1": of("a", "b")},
        "sentence1 sentence2",
        "gold_label",
    ),
    "QQP": (
        {"id": int, "qid1": int, "question1": text, "question2": other, "is_duplicate": of(0, 1)},
        "question1 question2",
        "is_duplicate",
    ),
    "an id like a label": ({"label_id": of(0, 1), "text": text, "label": of("no", "yes")}, "text", "label"),
    "a label in numbers and in words": (
        {"text": text, "label": of(0, 1, 2), "label_text": of("low", "mid", "high")},
        "text",
        "label_text",
    ),
    "a text called label_text": ({"label_text": text, "label": of(0, 1)}, "label_text", "label"),
    "categories of products": (
        {"product_id": int, "title": text, "category": TEAM, "sub_category": of("a", "b")},
        "title",
        "category",
    ),
    "airline tweets": (
        {
            "tweet_id": int,
            "airline_sentiment": of("neutral", "positive", "negative"),
            "airline_sentiment_confidence": lambda row: row / 61,
            "negativereason": lambda row: "" if row % 3 else "Late",
            "airline": of("Delta", "United"),
            "airline_sentiment_gold": lambda row: "" if row % 10 else "neutral",
            "name": word,
            "text": text,
            "tweet_created": date,
            "tweet_location": word,
        },
        "text",
        "airline_sentiment",
    ),
    "fake news": ({"id": int, "title": text, "author": word, "text": other, "label": of(0, 1)}, "title text", "label"),
    "missing values": (
        {"text": lambda row: None if row % 9 == 0 else text(row), "notes": lambda row: "", "label": TEAM},
        "text",
        "label",
    ),
    "most labels missing": (
        {"text": text, "label": lambda row: None if row % 4 else ("x", "y")[row // 4 % 2]},
        "text",
        "label",
    ),
    "one unknown text": ({"foo": text, "bar": TEAM}, "foo", "bar"),
    "a longer text beside an unknown one": ({"foo": lambda row: text(row) * 5, "bar": other, "y": TEAM}, "foo", "y"),
    "short texts": ({"surname": word, "language": of("de", "fr", "it")}, "surname", "language"),
    "links and mails are no texts": (
        {"url": lambda row: f"https://a.de/{row} x y z", "mail": lambda row: f"a{row}@b.de", "post": text, "tag": TEAM},
        "post",
        "tag",
    ),
    "many classes": ({"utterance": text, "intent": lambda row: f"intent_{row % 20}"}, "utterance", "intent"),
    "subject is a label": ({"text": text, "subject": of("maths", "law")}, "text", "subject"),
    "subject is a text": ({"subject": text, "body": other, "queue": TEAM}, "subject body", "queue"),
    "choices": (
        {"premise": text, "choice1": text, "choice2": other, "question": of("cause", "effect"), "label": of(0, 1)},
        "premise choice1 choice2",
        "label",
    ),
    "Chinese": ({"內容": lambda row: f"我的包裹{row}還沒有到請問在哪裡", "類別": of("物流", "退款")}, "內容", "類別"),
    "a number to predict": ({"sentence": text, "score": lambda row: row / 7}, "sentence", "score"),
    "an answer that is true or false": (
        {"question": text, "passage": other, "answer": of(True, False)},
        "question passage",
        "answer",
    ),
}


def columns(shape: Mapping[str, Any], rows: int = ROWS) -> dict[str, Profile]:
    found = {name: Profile(name) for name in shape}
    for row in range(rows):
        for name, value in shape.items():
            found[name].see(value(row))
    return found


@pytest.mark.parametrize("kind", list(SHAPES))
@pytest.mark.parametrize("turned", [False, True])
def test_columns_are_told_apart(kind: str, turned: bool) -> None:
    """Whatever the order of the columns."""
    shape, texts, label = SHAPES[kind]
    shape = dict(reversed(shape.items())) if turned else shape
    found, answer = choose(columns(shape), (), None, "t.csv")
    assert ({one.name for one in found}, answer.name) == (set(texts.split()), label)
    assert [one.name for one in found] == [name for name in shape if name in texts.split()]


UNCLEAR: dict[str, tuple[Mapping[str, Any], str]] = {
    "two labels alike": ({"text": text, "sentiment": of("p", "n"), "topic": TEAM}, "which column is the label"),
    "no label": ({"text": text, "id": int, "date": date}, "which column is the label"),
    "no text": ({"id": int, "a": of("x", "y"), "b": of("u", "v", "w")}, "the text and which the label"),
    "two unknown texts": ({"foo": text, "bar": other, "label": TEAM}, "which column is the text"),
    "two unknown labels": ({"text": text, "foo": TEAM, "bar": of("x", "y")}, "which column is the label"),
    "a weak name among others": ({"text": text, "status": TEAM, "bar": of("x", "y")}, "which column is the label"),
    "empty columns": ({"text": lambda row: "", "label": TEAM}, "which column is the text"),
    "one class": ({"text": text, "label": of("x")}, "which column is the label"),
    "lists": ({"text": lambda row: ["a"], "label": TEAM}, "which column is the text"),
    "semicolons": ({"text;label": lambda row: f"{text(row)};1"}, "separated by semicolons"),
}


@pytest.mark.parametrize("kind", list(UNCLEAR))
def test_what_cannot_be_told_apart_is_one_line_with_an_example_of_each_column(kind: str) -> None:
    shape, message = UNCLEAR[kind]
    with pytest.raises(SoftPromptError) as error:
        choose(columns(shape), (), None, "t.csv")
    told = str(error.value)
    assert message in told
    assert "\n" not in told
    assert all(name in told for name in shape)
    assert "--text COLUMN" in told or "--label COLUMN" in told


def test_the_users_word_counts() -> None:
    found = columns({"text": text, "foo": other, "label": TEAM, "a,b": of("x", "y"), "lists": lambda row: [row]})
    chosen, label = choose(found, ["foo, text"], "a,b", "t.csv")
    assert ([one.name for one in chosen], label.name) == (["foo", "text"], "a,b")
    assert [one.name for one in choose(found, ["a,b"], None, "t.csv")[0]] == ["a,b"]
    assert choose(found, ["text"], None, "t.csv")[1].name == "label"
    for texts, name, message in (
        (["txet"], None, "no column 'txet'; did you mean 'text'?"),
        ([], "labels", "no column 'labels'; did you mean 'label'?"),
        (["text"], "text", "is given as text and as label"),
        (["lists"], None, "holds lists or mappings"),
    ):
        with pytest.raises(SoftPromptError, match=message.replace("?", ".")):
            choose(found, texts, name, "t.csv")


CELLS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.lists(st.integers()))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.lists(CELLS, min_size=3, max_size=3), max_size=5))
def test_any_table_is_told_apart_or_refused(table: dict[str, list[Any]]) -> None:
    found = {name: Profile(name) for name in table}
    for name, cells in table.items():
        for cell in cells:
            found[name].see(cell)
    try:
        texts, label = choose(found, (), None, "t.csv")
    except SoftPromptError:
        return
    assert texts
    assert label not in texts
    assert {*(one.name for one in texts), label.name} <= set(table)
