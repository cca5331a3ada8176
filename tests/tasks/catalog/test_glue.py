"""GLUE's published files, and the original ones they were made of, written out small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ...shared.tables import every, jsonl, load, repeated, tsv, write

GLUE = {
    "sst2": (["sentence", "label"], ["it 's \" good ", "1"], ["it 's bad", "0"], ["index", "sentence"]),
    "mrpc": (
        ["\ufeffQuality", "#1 ID", "#2 ID", "#1 String", "#2 String"],
        ["1", "7", "8", '" One " .', "Two ."],
        ["0", "7", "8", "One", "Two"],
        ["index", "#1 ID", "#2 ID", "#1 String", "#2 String"],
    ),
    "qnli": (
        ["index", "question", "sentence", "label"],
        ["0", "Who?", 'A "man', "not_entailment"],
        ["1", "Who?", "He.", "entailment"],
        ["index", "question", "sentence"],
    ),
    "qqp": (
        ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"],
        ["1", "2", "3", "Why?", "How?", "1"],
        ["2", "3", "4", "Why?", 'What "is" it?', "0"],
        ["id", "question1", "question2"],
    ),
    "rte": (
        ["index", "sentence1", "sentence2", "label"],
        ["0", "He left.", "He is gone.", "not_entailment"],
        ["1", "He left.", "He is here.", "entailment"],
        ["index", "sentence1", "sentence2"],
    ),
}


@pytest.mark.parametrize("name", GLUE)
def test_glue(tmp_path: Path, name: str) -> None:
    header, second_class, first_class, secret = GLUE[name]
    tsv(tmp_path / "train.tsv", [header, *repeated([second_class, first_class])])
    tsv(tmp_path / "dev.tsv", [header, second_class, first_class, second_class])
    tsv(tmp_path / "test.tsv", [secret, ["x"] * len(secret)])
    splits = load(name, tmp_path)
    assert splits.protocol == "official validation is test"
    assert [row.label for row in splits.test] == [1, 0, 1]
    assert len(splits.train) + len(splits.validation) == 12
    texts = [cell.strip() for cell in second_class]
    assert all(text in texts for text in splits.test[0].fields.values())


def test_quotes_of_tsv_are_text(tmp_path: Path) -> None:
    tsv(tmp_path / "train.tsv", [["sentence", "label"], *repeated([['"a', "0"], ['b"', "1"], ['"c"', "1"]])])
    tsv(tmp_path / "dev.tsv", [["sentence", "label"], ['" d', "1"]])
    splits = load("sst2", tmp_path)
    assert {row.fields["sentence"] for row in every(splits)} == {'"a', 'b"', '"c"'}
    assert splits.test[0].fields["sentence"] == '" d'


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    texts = ["a\x85b", "a\u2028b", "a\x0bb", "a\x1cb"]
    rows = [[text, index % 2] for index, text in enumerate(texts)]
    tsv(tmp_path / "train.tsv", [["sentence", "label"], *repeated(rows)])
    tsv(tmp_path / "dev.tsv", [["sentence", "label"], *rows])
    assert [row.fields["sentence"] for row in load("sst2", tmp_path).test] == texts


def test_windows_line_ends(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", "sentence\tlabel\r\n" + "good\t1\r\nbad\t0\r\n" * 5)
    write(tmp_path / "dev.tsv", "sentence\tlabel\r\ngood\t1\r\n")
    (row,) = load("sst2", tmp_path).test
    assert (row.fields["sentence"], row.label) == ("good", 1)


def test_cola_has_no_header(tmp_path: Path) -> None:
    rows = [["gj04", "1", "", "They drank the pub dry."], ["gj04", "0", "*", 'They drank the "pub.']]
    tsv(tmp_path / "train.tsv", repeated(rows))
    tsv(tmp_path / "dev.tsv", rows)
    tsv(tmp_path / "test.tsv", [["index", "sentence"], ["0", "Bill whistled past the house."]])
    splits = load("cola", tmp_path)
    assert [(row.fields["sentence"], row.label) for row in splits.test] == [
        ("They drank the pub dry.", 1),
        ('They drank the "pub.', 0),
    ]


def test_stsb(tmp_path: Path) -> None:
    header = [
        "index",
        "genre",
        "filename",
        "year",
        "old_index",
        "source1",
        "source2",
        "sentence1",
        "sentence2",
        "score",
    ]
    row = [
        "0",
        "main-captions",
        "MSRvid",
        "2012test",
        "0001",
        "none",
        "none",
        "A plane.",
        "An air plane.",
        "4.750",
    ]
    tsv(tmp_path / "train.tsv", [header, *repeated([row, [*row[:-1], "0.5"]])])
    tsv(tmp_path / "dev.tsv", [header, row])
    tsv(tmp_path / "test.tsv", [header[:-1], row[:-1]])
    (only,) = load("stsb", tmp_path).test
    assert only.label == 4.75
    assert only.fields == {"sentence1": "A plane.", "sentence2": "An air plane."}
    few = load("stsb", tmp_path, shots=2)
    assert sorted(row.label for row in few.train) == [0.5, 0.5, 4.75, 4.75]  # type: ignore[type-var]


MNLI_HEADER = [
    "index",
    "promptID",
    "pairID",
    "genre",
    "sentence1_binary_parse",
    "sentence2_binary_parse",
    "sentence1_parse",
    "sentence2_parse",
    "sentence1",
    "sentence2",
]


def mnli_row(text: str, label: str, annotators: int) -> list[str]:
    return ["0", "1", "1n", "fiction", "( a )", "( b )", "(ROOT a)", "(ROOT b)", text, "It is."] + [label] * (
        annotators + 1
    )


def mnli_header(annotators: int) -> list[str]:
    return [*MNLI_HEADER, *(f"label{number + 1}" for number in range(annotators)), "gold_label"]


@pytest.mark.parametrize(("name", "text"), [("mnli", "matched"), ("mnli-mm", "mismatched")])
def test_mnli_of_glue(tmp_path: Path, name: str, text: str) -> None:
    train = [mnli_row("t", label, 1) for label in ("entailment", "neutral", "contradiction")]
    tsv(tmp_path / "MNLI" / "train.tsv", [mnli_header(1), *repeated(train)])
    for genre in ("matched", "mismatched"):
        tsv(tmp_path / "MNLI" / f"dev_{genre}.tsv", [mnli_header(5), mnli_row(genre, "contradiction", 5)])
        tsv(tmp_path / "MNLI" / f"test_{genre}.tsv", [MNLI_HEADER, mnli_row("secret", "x", 0)[:-1]])
    splits = load(name, tmp_path)
    (row,) = splits.test
    assert (row.fields["premise"], row.label) == (text, 2)
    assert len(splits.train) + len(splits.validation) == 18


@pytest.mark.parametrize(("name", "text"), [("mnli", "matched"), ("mnli-mm", "mismatched")])
def test_mnli_of_the_few_shot_suite(tmp_path: Path, name: str, text: str) -> None:
    folder = tmp_path / "MNLI" / "16-13"
    train = [mnli_row("t", label, 1) for label in ("entailment", "neutral", "contradiction")]
    tsv(folder / "train.tsv", [mnli_header(1), *train])
    tsv(folder / "dev_matched.tsv", [mnli_header(1), *train])
    for genre in ("matched", "mismatched"):
        tsv(folder / f"test_{genre}.tsv", [mnli_header(5), mnli_row(genre, "neutral", 5)])
    splits = load(name, tmp_path)
    assert splits.protocol == "published"
    assert (len(splits.train), len(splits.validation)) == (3, 3)
    assert [(row.fields["premise"], row.label) for row in splits.test] == [(text, 1)]


def test_snli_leaves_out_rows_without_an_agreed_label(tmp_path: Path) -> None:
    def row(label: str) -> dict[str, Any]:
        return {
            "gold_label": label,
            "sentence1": "A man.",
            "sentence2": "A person.",
            "annotator_labels": [label],
        }

    jsonl(tmp_path / "snli_1.0_train.jsonl", [row(label) for label in ("entailment", "-", "neutral")] * 3)
    jsonl(tmp_path / "snli_1.0_dev.jsonl", [row("neutral")])
    jsonl(tmp_path / "snli_1.0_test.jsonl", [row("-"), row("contradiction")])
    splits = load("snli", tmp_path)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (6, 1, 1)
    assert splits.test[0].label == 2
    assert "snli_1.0_train.jsonl: 3 rows without an agreed label left out" in splits.notes


def test_broken_lines_of_qqp_are_left_out_and_told(tmp_path: Path) -> None:
    header, duplicate, other, _ = GLUE["qqp"]
    tsv(tmp_path / "train.tsv", [header, duplicate, ["3", "half a line"], *repeated([other, duplicate])])
    tsv(tmp_path / "dev.tsv", [header, other])
    splits = load("qqp", tmp_path)
    assert len(splits.train) + len(splits.validation) == 13
    assert splits.notes == ("train.tsv: 1 rows with missing columns left out",)


def test_a_question_of_qqp_may_be_empty(tmp_path: Path) -> None:
    header, duplicate, other, _ = GLUE["qqp"]
    tsv(tmp_path / "train.tsv", [header, *repeated([other, duplicate])])
    tsv(tmp_path / "dev.tsv", [header, ["1", "2", "3", "", "Why?", "0"]])
    assert load("qqp", tmp_path).test[0].fields == {"question1": "", "question2": "Why?"}


def test_mrpc_as_first_published(tmp_path: Path) -> None:
    header, same, other, _ = GLUE["mrpc"]
    tsv(tmp_path / "msr_paraphrase_train.txt", [header, *repeated([same, other])])
    tsv(tmp_path / "msr_paraphrase_test.txt", [header, same])
    splits = load("mrpc", tmp_path)
    assert splits.protocol == "published"
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (11, 1, 1)
