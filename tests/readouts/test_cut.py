"""What is cut of rows is told for each field, with its share, and so are answers that are taught without their end."""

from __future__ import annotations

from typing import Any

import pytest

from softprompt.readouts.cut import told_cuts
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import readout_spec

from ..shared.models import model
from ..shared.prompts import METHODS
from ..shared.readouts import ids_of, made

PAIR = Task(kind="generation", template="{title} w50 {body} w51 {mask}", metric="exact_match")


def words(first: int, count: int) -> str:
    return " ".join(f"w{first + place}" for place in range(count))


def told(rows: list[dict[str, str]], **options: Any) -> list[str]:
    method = METHODS["prompt_tuning"]
    _, readout = made(PAIR, "llama", method, **options)
    spec = readout_spec(model("llama"), PAIR, method, TrainingOptions(**options))
    return told_cuts([readout.encode(row) for row in PAIR.rows_of(rows)], spec, "training rows")


def test_nothing_is_told_where_all_fits() -> None:
    assert told([{"title": "w5", "body": "w6", "label": "w10"}]) == []


def test_each_field_and_the_answers_have_a_line_of_their_own() -> None:
    short = {"title": "w5", "body": "w6", "label": "w10"}
    rows = [short] * 3 + [{"title": words(10, 40), "body": words(10, 40), "label": words(10, 9)}]
    title, body, answers = told(rows, max_length=32, max_new_tokens=5)
    for line, field in ((title, "title"), (body, "body")):
        assert line.startswith(f"1 of 4 training rows (25 %) were cut to fit max_length: '{field}' lost its end, ")
        assert line.endswith(" % of the text on average")
    assert answers.startswith("1 of 4 training rows (25 %) have answers of more tokens than max_new_tokens=5: ")


def test_what_is_cut_can_be_chosen() -> None:
    row = {"title": "w5", "body": words(10, 40), "label": "w10"}
    for side, first, last in (("end", 10, 12), ("beginning", 47, 49), ("middle", 10, 49)):
        options = {"max_length": 14, "max_new_tokens": 4, "truncation": side}
        _, readout = made(PAIR, "llama", METHODS["prompt_tuning"], **options)
        (text,) = readout.encode(PAIR.rows_of([row])[0]).texts
        (before,), (after,) = ids_of("w50"), ids_of("w51")
        kept = text.ids[text.ids.index(before) + 1 : text.ids.index(after)]
        assert (kept[0], kept[-1]) == (*ids_of(f"w{first}"), *ids_of(f"w{last}"))
        assert f"'body' lost its {side}" in told([row], **options)[0]


@pytest.mark.parametrize(("lost", "shown"), [(1, "under 1 %"), (199, "over 99 %")])
def test_a_share_is_not_rounded_to_none_or_all(lost: int, shown: str) -> None:
    short = {"title": "w5", "body": "w6", "label": "w10"}
    long = {"title": "w5", "body": words(10, 40), "label": "w10"}
    line = told([long] * lost + [short] * (200 - lost), max_length=16, max_new_tokens=4)[0]
    assert f"({shown})" in line
