"""From a file of sentences to a file of answers: each word with its tag, in the layout that came in."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from softprompt.tasks import Task

from ..shared.commands import done, found, refusal

SENTENCES = "-DOCSTART- O\n\nw12 w O\nw13 x O\n# O O\n\n\n# a comment = 1\nw15 y B-X\n"
LINES = ["w12 w O", "w13 x O", "# O O", "w15 y B-X"]


@pytest.fixture(scope="module")
def names(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tags words."""
    from softprompt.cli.train import train

    folder = tmp_path_factory.mktemp("names")
    lines = [f"w{10 + (7 * n) % 80} {'B-X' if n % 3 == 0 else 'O'}\n" + "\n" * (n % 4 == 3) for n in range(120)]
    (folder / "train.conll").write_text("".join(lines))
    (folder / "names.yaml").write_text("layout: conll\nlabels: [O, B-X]\n")
    train(
        backbone=str(backbone), task=str(folder / "names.yaml"), method="p_tuning_v2", out=folder / "run",
        data=folder / "train.conll", set_=["max_steps=3", "num_virtual_tokens=2"], json=True,
    )  # fmt: skip
    return folder / "run"


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    (tmp_path / "q.conll").write_text(SENTENCES)
    return tmp_path / "q.conll"


@pytest.mark.parametrize("between", [" ", "\t"])
def test_lines_stay_as_they_are_and_a_tag_stands_last(names: Path, sentences: Path, between: str) -> None:
    sentences.write_text(SENTENCES.replace(" ", between).replace(f"#{between}a{between}comment", "# a comment"))
    out = sentences.with_name("a.conll")
    assert "answers: " in done("predict", names, "--file", sentences, "--out", out).out
    asked, answered = sentences.read_text().splitlines(), out.read_text().splitlines()
    assert len(asked) == len(answered)
    words = [(one, other) for one, other in zip(asked, answered, strict=True) if one != other]
    assert [one for one, _ in words] == [line.replace(" ", between) for line in LINES]
    for one, other in words:
        kept, chance, tag = other.rsplit(between, 2)
        assert kept == one
        assert 0 < float(chance) <= 1
        assert tag in ("O", "B-X")
    tags = [line.rsplit(between, 1)[1] for _, line in words]
    again = Task(kind="tags", labels=["O", "B-X"]).labelled_rows(out)  # the answers are such a file, too
    assert [row.label for row in again] == [tuple(("O", "B-X").index(tag) for tag in tags[:3]), (tags[3] == "B-X",)]


def test_tables_have_a_row_a_word_and_json_a_row_a_sentence(names: Path, sentences: Path) -> None:
    folder = sentences.parent
    done("predict", names, "--file", sentences, "--out", folder / "a.csv")
    with (folder / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["sentence"], row["word"]) for row in rows] == [
        ("1", "w12"),
        ("1", "w13"),
        ("1", "#"),
        ("2", "w15"),
    ]
    for ending in ("jsonl", "parquet"):
        told = found("predict", names, "--file", sentences, "--out", folder / f"a.{ending}")
        assert (told["rows"], told["rows_without_text"]) == (2, 0)
    first, second = (json.loads(line) for line in (folder / "a.jsonl").read_text().splitlines())
    assert first["tokens"] == ["w12", "w13", "#"]
    assert first["tags"] == ["O", "O", "O"]
    assert [first["predicted_tags"], second["predicted_tags"]] == [
        [row["tag"] for row in rows[:3]],
        [rows[3]["tag"]],
    ]
    assert first["probabilities"] == [pytest.approx(float(row["probability"])) for row in rows[:3]]
    import pyarrow.parquet as pq

    assert pq.read_table(folder / "a.parquet").to_pylist() == [first, second]
    # What comes as JSON goes out in columns, too.
    done("predict", names, "--file", folder / "a.jsonl", "--out", folder / "b.bio")
    assert [line.split("\t")[0] for line in (folder / "b.bio").read_text().splitlines()] == [
        "w12",
        "w13",
        "#",
        "",
        "w15",
    ]


def test_texts_are_words_between_spaces(names: Path, sentences: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = done("predict", names, "w12 w13", "w15").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["w12", "w13", "", "w15"]
    told = found("predict", names, "w12 w13", "--json")
    assert told[0]["words"] == ["w12", "w13"]
    assert [line.split("\t")[1] for line in lines[:2]] == told[0]["tags"]
    piped = io.TextIOWrapper(io.BytesIO(SENTENCES.encode()))
    monkeypatch.setattr(sys, "stdin", piped)
    assert len(found("predict", names, "-", "--json")) == 2


def test_what_is_scored_has_a_value_a_type(names: Path, sentences: Path) -> None:
    told = done("evaluate", names, "--data", sentences).out
    for name in ("span_f1 [95 % interval]", "span_f1.X", "span_precision.X", "token_accuracy"):
        assert name in told


def test_refusals(names: Path, trained: Path, sentences: Path) -> None:
    folder = sentences.parent
    assert "give it with --file" in refusal("predict", names, sentences)
    assert "one answer a row: choose .csv" in refusal("predict", trained, "w12", "--out", folder / "a.conll")
    assert "is the file that is asked about" in refusal("predict", names, "--file", sentences, "--out", sentences)
    (folder / "t.jsonl").write_text('{"tokens": ["a\\tb"]}\n')
    told = refusal("predict", names, "--file", folder / "t.jsonl", "--out", folder / "t.conll")
    assert "has a tab or a line end" in told
    (folder / "e.jsonl").write_text('{"tokens": []}\n')
    assert "no row has words" in refusal("predict", names, "--file", folder / "e.jsonl", "--out", folder / "e.csv")
