"""Sentences in columns: separators, breaks, comments, and what is no such file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row, Task
from softprompt.tasks.data.conll import is_conll, sentences
from softprompt.tasks.data.lines import text_file
from softprompt.tasks.data.record import TaggedColumns

TASK = Task(name="names", kind="tags", labels=["O", "B-PER", "I-PER", "B-LOC"])
CONLL = """-DOCSTART- -X- O O

Anna NNP I-NP B-PER
Smith NNP I-NP I-PER
lives VBZ I-VP O

Rome NNP I-NP B-LOC
"""
EXPECTED = [(("Anna", "Smith", "lives"), (1, 2, 0)), (("Rome",), (3,))]


def told(rows: list[Row]) -> list[tuple[tuple[str, ...], object]]:
    return [(row.words, row.label) for row in rows]


def write(folder: Path, text: str, name: str = "a.conll") -> Path:
    (folder / name).write_bytes(text.encode())
    return folder / name


@pytest.mark.parametrize("name", ["a.conll", "a.bio", "a.iob", "a.iob2", "a.txt", "a.tsv", "eng.train"])
@pytest.mark.parametrize("change", ["as it is", "tabs", "windows", "marked", "several blank lines"])
def test_one_file_in_many_spellings(tmp_path: Path, name: str, change: str) -> None:
    text = {
        "as it is": CONLL,
        "tabs": CONLL.replace(" ", "\t"),
        "windows": CONLL.replace("\n", "\r\n"),
        "marked": "\ufeff" + CONLL,
        "several blank lines": CONLL.replace("\n\n", "\n \n\n") + "\n\n",
    }[change]
    path = write(tmp_path, text, name)
    assert told(TASK.labelled_rows(path)) == EXPECTED
    assert [row.words for row in TASK.rows_from(path)] == [words for words, _ in EXPECTED]


def test_packed(tmp_path: Path) -> None:
    (tmp_path / "a.conll.gz").write_bytes(gzip.compress(CONLL.encode()))
    assert told(TASK.labelled_rows(tmp_path / "a.conll.gz")) == EXPECTED


def test_the_same_rows_from_json_parquet_and_datasets(tmp_path: Path) -> None:
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(TASK.labels)
    lists = [{"tokens": list(words), "ner_tags": [names[tag] for tag in tags]} for words, tags in EXPECTED]
    rows = {"a.jsonl": "".join(json.dumps(one) + "\n" for one in lists), "a.json": json.dumps(lists)}
    for name, text in rows.items():
        assert told(TASK.labelled_rows(write(tmp_path, text, name))) == EXPECTED
    pq.write_table(pa.Table.from_pylist(lists), tmp_path / "a.parquet")
    cells = "tokens,tags\n" + "".join(
        ",".join(f'"{json.dumps(cell)}"'.replace('"', '""')[1:-1] for cell in one.values()) + "\n" for one in lists
    )
    feature = datasets.Sequence(datasets.ClassLabel(names=names))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": feature})
    numbers = [{"tokens": list(words), "ner_tags": list(tags)} for words, tags in EXPECTED]
    table = datasets.Dataset.from_list(numbers, features=features)
    table.to_parquet(str(tmp_path / "b.parquet"))
    for path in (tmp_path / "a.parquet", tmp_path / "b.parquet", write(tmp_path, cells, "a.csv")):
        assert told(TASK.labelled_rows(path)) == EXPECTED
    assert told(TASK.rows_of(table)) == EXPECTED
    assert told(TASK.rows_of(iter(lists))) == EXPECTED


def test_a_comment_is_none_of_the_words_and_a_hash_is_one(tmp_path: Path) -> None:
    text = "# sent_id = 1\n# text = He saw O\nAnna\tB-PER\n#\tO\n\n#\tO\nRome\tB-LOC\n"
    assert [row.words for row in TASK.labelled_rows(write(tmp_path, text))] == [("Anna", "#"), ("#", "Rome")]
    spaced = "# id 7 domain=train\nAnna B-PER\n# O\n\n# O\nRome B-LOC\n"
    assert [row.words for row in TASK.labelled_rows(write(tmp_path, spaced))] == [("Anna", "#"), ("#", "Rome")]


def test_words_alone_are_asked_about_and_not_learned_from(tmp_path: Path) -> None:
    path = write(tmp_path, "Anna\nlives\n\nRome\n")
    assert told(TASK.rows_from(path)) == [(("Anna", "lives"), None), (("Rome",), None)]
    with pytest.raises(SoftPromptError, match="lines 1, 4: no column 'tags'"):
        TASK.labelled_rows(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Anna B-PER\nSmith X I-PER\n", "line 2: 3 columns where the file has 2"),
        ("Anna B-PERS\n", "tag 'B-PERS' is not one of .*did you mean 'B-PER'"),
        ("Anna\t\n", "tag '' is not one of"),
        ("\tO\n", "word 1 in 'tokens' is empty"),
        ("\n\n", "no rows"),
        ("1\tAnna\t_\tNNP\t_\t_\t0\t_\t_\t_\n", "CoNLL-U.*cut -f2,4"),
        ("Anna B-PER\rlives O\r\rBen B-PER\r", "line 1: a carriage return ends no line"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SoftPromptError, match=message):
        TASK.labelled_rows(write(tmp_path, text))


def test_text_files_of_another_layout_stay_what_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, "Anna lives in Rome\nBob left\n", "a.txt")
    assert not is_conll(path)
    assert [row.words for row in TASK.rows_from(path)] == [("Anna", "lives", "in", "Rome"), ("Bob", "left")]
    tags = Task(layout="conll", labels=["NN", "VB"])
    assert (tags.kind, tags.metric) == ("tags", "token_accuracy")
    path = write(tmp_path, "dog NN\nran VB\n", "b.txt")
    assert told(tags.labelled_rows(path)) == [(("dog", "ran"), (0, 1))]
    with pytest.raises(SoftPromptError, match="no column 'text'"):
        Task(template="{text} {mask}", labels=["a", "b"]).labelled_rows(write(tmp_path, CONLL))


def test_columns_have_the_names_that_are_looked_for(tmp_path: Path) -> None:
    path = write(tmp_path, CONLL)
    with text_file(path) as file:
        first = next(sentences(file, TaggedColumns("words", "pos")))
    assert (first.values, first.line) == ({"words": ["Anna", "Smith", "lives"], "pos": ["B-PER", "I-PER", "O"]}, 3)
    own = Task(kind="tags", labels=TASK.labels, columns={"label": "pos_tags"})
    assert told(own.labelled_rows(path)) == EXPECTED
