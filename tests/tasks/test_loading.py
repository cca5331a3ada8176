"""Tasks by name or file: spellings, and one line for what is no task."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ..shared.tables import told, write


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("template: '{a} It was {mask}'\nlabels: {0: [No], 1: Yes}\n", ("mine.yaml", "'labels.0'", "quotes")),
        ("template: [", ("mine.yaml", "not proper YAML", "at line 2, column 1", "put the text in quotes")),
        ("!!binary aGk=: x", ("mine.yaml", "the key b'hi' is no text")),
        ("- a\n- b\n", ("mine.yaml", "not a YAML mapping")),
        ("labels: [a, b]\n", ("mine.yaml", "'template' is missing")),
    ],
)
def test_faults_of_a_yaml_file(tmp_path: Path, content: str, parts: tuple[str, ...]) -> None:
    path = write(tmp_path / "mine.yaml", content)
    with pytest.raises(SoftPromptError) as error:
        Task.load(path)
    told(error, *parts)


@pytest.mark.parametrize(
    ("name", "parts"),
    [("ss2", ("no task 'ss2'", "'sst2'")), ("qwertz", ("boolq", "wsc")), ("gone.yaml", ("gone.yaml",))],
)
def test_no_such_task(name: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        Task.load(name)
    told(error, *parts)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("SST-2", "sst2"),
        ("sst_2", "sst2"),
        ("sst-5", "sst5"),
        ("STS-B", "stsb"),
        ("ag_news", "agnews"),
        ("BoolQ", "boolq"),
        ("MNLI-mm", "mnli_mismatched"),
        ("mnli", "mnli"),
        ("Movie Reviews", "movie_reviews"),
    ],
)
def test_spellings(spelling: str, name: str) -> None:
    assert Task.load(spelling).name == name


@pytest.mark.parametrize("name", ["", "-", "()", " _ "])
def test_a_name_without_a_letter_is_no_task(name: str) -> None:
    with pytest.raises(SoftPromptError, match="no task") as error:
        Task.load(name)
    told(error, "the tasks are agnews")


@pytest.mark.parametrize(
    "word", ["yes", "No", "on", "OFF", "1.0", "012", "0x1F", "1_000", "null", "~", "1:30", "2024-01-02"]
)
def test_labels_of_a_yaml_file_are_the_texts_that_stand_there(tmp_path: Path, word: str) -> None:
    path = write(
        tmp_path / "mine.yaml",
        f"""
template: "{{text}} {{mask}}"
labels: {{{word}: {word}, other: b}}
seq2seq_labels: {{{word}: {word}, other: c}}
label_aliases: {{alias: {word}}}
positive: {word if word != "~" else "'~'"}
skip_labels: [{word}s, {word}]
columns: {{text: [{word}], label: {word}l}}
headerless: [{word}, label]
label_from_one: no
blank_text: true
""",
    )
    task = Task.load(path, data=write(tmp_path / "rows.csv", "text,label\na,b\n"))
    assert task.labels == {word: word, "other": "b"}
    assert task.seq2seq_labels == {word: word, "other": "c"}
    assert (task.label_aliases, task.positive, task.skip_labels) == ({"alias": word}, word, (f"{word}s", word))
    assert (task.columns, task.headerless) == ({"text": (word,), "label": (f"{word}l",)}, (word, "label"))
    assert (task.label_from_one, task.blank_text) == (False, True)


@pytest.mark.parametrize(
    ("labels", "told_of"),
    [
        ("{yes: a, no: b}", "yes (to YAML True), no (to YAML False)"),
        ("{012: a, 1: b}", "012 (to YAML 10)"),
        ("[null, other]", "null (to YAML None)"),
        ("{1: a, 0: b}", ""),
        ("{1.0: a, 0.0: b}", ""),  # the same numbers either way
        ("{true: a, False: b}", ""),
        ("{'yes': a, \"no\": b}", ""),
    ],
)
def test_where_yaml_reads_something_else_it_is_said(tmp_path: Path, labels: str, told_of: str) -> None:
    path = write(tmp_path / "mine.yaml", f"template: '{{text}} {{mask}}'\nlabels: {labels}\n")
    first = next(iter(Task.load(path, data=write(tmp_path / "rows.csv", "text,label\n")).labels))
    write(tmp_path / "rows.csv", "text,label\n" + "".join(f"t{number},{first}\n" for number in range(20)))
    notes = Task.load(path, data=tmp_path / "rows.csv").splits().notes
    assert [told_of in note for note in notes] == [True] * bool(told_of)


def test_a_task_whose_yaml_has_truths_reads_the_truths_of_a_table(tmp_path: Path) -> None:
    """Up to version 0.1 yes and no of a definition were true and false."""
    path = write(tmp_path / "mine.yaml", "template: '{text} {mask}'\nlabels: {yes: a, no: b}\n")
    rows = [{"text": f"t{number}", "label": number % 2 == 0} for number in range(20)]
    splits = Task.load(path, data=rows).splits()
    assert {row.label for row in splits.train} == {0, 1}
