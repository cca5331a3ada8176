"""Tables as the code of Prefix-Tuning writes them, re-derived here from their records."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.tasks.data.verbalised import dart, e2e, webnlg

names = st.text("abc xyZ", min_size=1, max_size=8).filter(lambda text: bool(text.strip()))
values = st.text("abc, £30é'-", min_size=0, max_size=12)


@given(st.lists(st.tuples(names, values), min_size=1, max_size=5))
@settings(deadline=None, max_examples=40)
def test_attributes(slots: list[tuple[str, str]]) -> None:
    text = ", ".join(f"{name}[{value}]" for name, value in slots)
    (found,) = e2e({"mr": text, "ref": " a "})
    assert found["meaning"] == " | ".join(f"{name.strip()} : {value.strip()}" for name, value in slots).strip()
    assert found["ref"] == "a"


def test_the_names_of_the_code_and_what_is_linearised_already() -> None:
    (found,) = e2e({"meaning_representation": "name[The A], eatType[pub], priceRange[cheap], familyFriendly[yes]"})
    assert found["meaning"] == "name : The A | Type : pub | price : cheap | family friendly : yes"
    assert next(e2e({"meaning": "name : A | Type : b "}))["meaning"] == "name : A | Type : b"


@pytest.mark.parametrize("text", ["", "name", "name[A] food[B]", "name[A], food", "[A]", "name[A]]"])
def test_what_is_no_list_of_attributes(text: str) -> None:
    with pytest.raises(ValueError, match="no list of"):
        next(e2e({"mr": text}))


def test_triples_and_good_wordings() -> None:
    entry = {
        "category": "Airport",
        "modifiedtripleset": [
            {"object": "D", "property": "cityServed", "subject": "C_Airport"},
            {"object": '"1.5"', "property": "runwayLength", "subject": "C_Airport"},
        ],
        "lexicalisations": [{"comment": "good", "lex": "One. "}, {"comment": "toFix", "lex": "2"}],
    }
    expected = {
        "triples": '| C_Airport : cityServed : D | C_Airport : runwayLength : "1.5"',
        "category": "Airport",
        "part": "seen",
        "answers": ["One."],
    }
    assert list(webnlg({"17": entry})) == list(webnlg(entry)) == [expected]
    other = next(webnlg({**entry, "category": "Politician", "lexicalisations": []}))
    assert (other["part"], other["answers"]) == ("unseen", None)


def test_dart() -> None:
    record = {
        "tripleset": [["A", "WON_BY", "B"], ["A", "In Year", "1999"]],
        "subtree_was_extended": False,
        "annotations": [{"source": "x", "text": "B won A in 1999."}, {"source": "x", "text": "b"}],
    }
    (found,) = dart(record)
    assert found == {"triples": "A : won_by : B | A : in year : 1999", "answers": ["B won A in 1999.", "b"]}


@pytest.mark.parametrize("layout", [webnlg, dart])
def test_triples_that_are_a_text_already_can_be_asked(layout: object) -> None:
    assert callable(layout)
    assert list(layout({"triples": "A : b : C"})) == [{"triples": "A : b : C"}]
