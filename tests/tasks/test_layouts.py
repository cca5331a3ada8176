"""Every published layout, written out small, is read into the rows it means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from softprompt.tasks import Row, Splits, Task

from .helpers import jsonl, tsv, write


def load(name: str, folder: Path, **options: Any) -> Splits:
    return Task.load(name, data=folder, **options).splits()


def every(splits: Splits) -> list[Row]:
    return sorted([*splits.train, *splits.validation], key=lambda row: row.index)


def repeated(rows: list[Any], times: int = 6) -> list[Any]:
    return rows * times


# -- SuperGLUE ---------------------------------------------------------------------------------------------


def superglue(folder: Path, record: dict[str, Any], other: dict[str, Any], secret: dict[str, Any]) -> Path:
    jsonl(folder / "train.jsonl", repeated([record, other]))
    jsonl(folder / "val.jsonl", [other, record])
    jsonl(folder / "test.jsonl", [secret])
    return folder


def test_boolq(tmp_path: Path) -> None:
    record = {"question": "is it so", "passage": "Title -- It is so.", "idx": 0, "label": True}
    secret = {"question": "is it", "passage": "It.", "idx": 0}
    splits = load("boolq", superglue(tmp_path / "BoolQ", record, {**record, "label": False}, secret))
    assert splits.protocol == "official validation is test"
    assert [row.label for row in splits.test] == [0, 1]
    assert splits.test[1].fields == {"passage": "Title -- It is so.", "question": "is it so"}


def test_boolq_as_first_published(tmp_path: Path) -> None:
    record = {"question": "is it so", "title": "T", "answer": True, "passage": "It is so."}
    jsonl(tmp_path / "train.jsonl", repeated([record, {**record, "answer": False}]))
    jsonl(tmp_path / "dev.jsonl", [record])
    assert [row.label for row in load("boolq", tmp_path).test] == [1]


def test_wic(tmp_path: Path) -> None:
    record = {
        "word": "place",
        "sentence1": "Do you want to come over to my place later?",
        "sentence2": "A political system with no place for the less prominent groups.",
        "idx": 0,
        "label": False,
        "start1": 31,
        "start2": 27,
        "end1": 36,
        "end2": 32,
        "version": 1.1,
    }
    secret = {key: value for key, value in record.items() if key != "label"}
    splits = load("wic", superglue(tmp_path / "WiC", record, {**record, "label": True}, secret))
    assert [row.label for row in splits.test] == [1, 0]
    assert splits.test[0].fields["word"] == "place"


def test_wsc(tmp_path: Path) -> None:
    record = {
        "text": "Mark told Pete many lies about himself, which Pete included in his book.",
        "target": {"span2_index": 11, "span1_index": 0, "span1_text": "Mark", "span2_text": "his"},
        "idx": 0,
        "label": False,
    }
    secret = {key: value for key, value in record.items() if key != "label"}
    splits = load("wsc", superglue(tmp_path / "WSC", record, {**record, "label": True}, secret))
    row = splits.test[1]
    assert row.label == 0
    assert (row.fields["span1"], row.fields["span2"]) == ("Mark", "his")
    assert (
        row.fields["marked"] == "Mark told Pete many lies about himself, which Pete included in *his* book."
    )


def test_copa(tmp_path: Path) -> None:
    record = {
        "premise": "My body cast a shadow.",
        "choice1": "The sun was rising.",
        "choice2": "The grass was cut.",
        "question": "cause",
        "label": 0,
        "idx": 0,
    }
    other = {**record, "question": "effect", "label": 1}
    secret = {key: value for key, value in record.items() if key != "label"}
    task = Task.load("copa", data=superglue(tmp_path / "COPA", record, other, secret))
    effect, cause = task.splits().test
    assert (cause.label, cause.answers) == (0, ("The sun was rising.",))
    assert (effect.label, effect.answers) == (1, ("The grass was cut.",))
    assert cause.choices == ("The sun was rising.", "The grass was cut.")
    template = task.template_for("text")
    (text,) = template.render(cause.fields, cause.choices[0])
    assert text.text == "My body cast a shadow because the sun was rising."  # type: ignore[union-attr]
    (text,) = template.render(effect.fields, cause.choices[1])
    assert text.text == "My body cast a shadow so the grass was cut."  # type: ignore[union-attr]


def test_multirc(tmp_path: Path) -> None:
    def paragraph(index: int, labelled: bool = True) -> dict[str, Any]:
        def answer(number: int) -> dict[str, Any]:
            return {"text": f"answer {number}", "idx": number, **({"label": number % 2} if labelled else {})}

        questions = [
            {"question": f"question {q}?", "answers": [answer(2 * q), answer(2 * q + 1)], "idx": q}
            for q in range(2)
        ]
        return {
            "idx": index,
            "version": 1.1,
            "passage": {"text": f"paragraph {index}", "questions": questions},
        }

    jsonl(tmp_path / "train.jsonl", [paragraph(index) for index in range(10)])
    jsonl(tmp_path / "val.jsonl", [paragraph(0), paragraph(1)])
    jsonl(tmp_path / "test.jsonl", [paragraph(0, labelled=False)])
    splits = load("multirc", tmp_path)
    assert len(splits.train) + len(splits.validation) == 40
    assert len(splits.validation) == 4
    assert len(splits.test) == 8
    assert splits.test[3].fields == {
        "paragraph": "paragraph 0",
        "question": "question 1?",
        "answer": "answer 3",
    }
    assert [row.label for row in splits.test[:4]] == [0, 1, 0, 1]
    assert len({row.group for row in splits.test}) == 4
    assert not {row.group for row in splits.train} & {row.group for row in splits.validation}


def record_of(answers: list[dict[str, Any]] | None) -> dict[str, Any]:
    text = "Ann met Bob in Rome.\n@highlight\nBob was late\n@highlight\nAnn waited"
    spots = [("Ann", 0), ("Bob", 8), ("Rome", 15), ("Bob", 32), ("Ann", 56)]
    for name, start in spots:
        assert text[start : start + len(name)] == name
    # The published end is the place of the last character.
    entities = [{"start": start, "end": start + len(name) - 1} for name, start in spots]
    query = {"query": "In the end @placeholder came, said Ann.", "idx": 0}
    if answers is not None:
        query["answers"] = answers
    return {"source": "Daily mail", "passage": {"text": text, "entities": entities}, "idx": 0, "qas": [query]}


def test_record(tmp_path: Path) -> None:
    answers = [{"start": 8, "end": 10, "text": "Bob"}, {"start": 32, "end": 34, "text": "Bob"}]
    jsonl(tmp_path / "train.jsonl", repeated([record_of(answers)]))
    jsonl(tmp_path / "val.jsonl", [record_of([*answers, {"start": 15, "end": 18, "text": "Rome"}])])
    jsonl(tmp_path / "test.jsonl", [record_of(None)])
    task = Task.load("record", data=tmp_path)
    (row,) = task.splits().test
    assert row.choices == ("Ann", "Bob", "Rome")
    assert (row.label, row.answers) == (1, ("Bob", "Rome"))
    assert row.fields["passage"] == "Ann met Bob in Rome. Bob was late. Ann waited"
    (text,) = task.template_for("text").render(row.fields, row.choices[1])
    assert text.text.endswith("\nIn the end Bob came, said Ann.")  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "other"), [("rte", "not_entailment"), ("cb", "contradiction")])
def test_entailment_of_superglue(tmp_path: Path, name: str, other: str) -> None:
    record = {"premise": "He left.", "hypothesis": "He is gone.", "label": "entailment", "idx": 0}
    secret = {"premise": "He left.", "hypothesis": "He is gone.", "idx": 0}
    splits = load(name, superglue(tmp_path / name.upper(), record, {**record, "label": other}, secret))
    assert [row.label for row in splits.test] == [1, 0]


# -- GLUE --------------------------------------------------------------------------------------------------

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


# -- LM-BFF's few-shot suite -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mr", "cr", "mpqa", "subj", "SST-5", "trec"])
def test_csv_with_the_label_first(tmp_path: Path, name: str) -> None:
    rows = '0,"a , ""quoted"" text"\n1,plain\n'
    for split in ("train", "dev", "test"):
        write(tmp_path / name / "16-42" / f"{split}.csv", rows)
    splits = load(name, tmp_path, seed=42)
    assert [(row.fields["sentence"], row.label) for row in splits.test] == [
        ('a , "quoted" text', 0),
        ("plain", 1),
    ]


@pytest.mark.parametrize("name", ["cr", "mpqa"])
def test_rows_without_text_that_a_published_file_holds_are_kept_and_told(tmp_path: Path, name: str) -> None:
    for split in ("train", "dev", "test"):
        write(tmp_path / f"{split}.csv", '0,bad\n1,\n1," "\n')
    splits = load(name, tmp_path)
    assert [row.fields["sentence"] for row in splits.test] == ["bad", "", ""]
    assert "test.csv: 2 rows without text kept" in splits.notes


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("columns", [2, 3])
def test_agnews(tmp_path: Path, first: int, columns: int) -> None:
    def text(label: int) -> str:
        return ",".join([str(label + first), '"Oil, up"', '"Prices rose."'][:columns]) + "\n"

    for split in ("train", "dev", "test"):
        write(tmp_path / f"{split}.csv", "".join(map(text, (3, 0, 1, 2))))
    splits = load("ag_news", tmp_path)
    assert [row.label for row in splits.test] == [3, 0, 1, 2]
    assert splits.test[0].fields["text"] == ("Oil, up. Prices rose." if columns == 3 else "Oil, up")


def test_agnews_with_headers(tmp_path: Path) -> None:
    rows = "".join(f'{label},"Oil","Prices"\n' for label in (1, 2, 3, 4))
    for split in ("train", "test"):
        write(tmp_path / f"{split}.csv", '"Class Index","Title","Description"\n' + rows * 5)
    splits = load("agnews", tmp_path)
    assert [row.label for row in splits.test[:4]] == [0, 1, 2, 3]
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (18, 2, 20)
    assert splits.test[0].fields["text"] == "Oil. Prices"


# -- other endings and places ------------------------------------------------------------------------------


def test_parquet_in_shards(tmp_path: Path) -> None:
    table = pa.table({"sentence": ["good", "bad"], "label": [1, 0], "idx": [0, 1]})
    for shard in range(2):
        pq.write_table(table, tmp_path / f"train-0000{shard}-of-00002.parquet")
    pq.write_table(table, tmp_path / "validation-00000-of-00001.parquet")
    pq.write_table(table.set_column(1, "label", [[-1, -1]]), tmp_path / "test-00000-of-00001.parquet")
    splits = load("sst2", tmp_path)
    assert splits.protocol == "official validation is test"
    assert len(splits.train) + len(splits.validation) == 4
    assert [row.label for row in splits.test] == [1, 0]


HUB = {
    "multirc": {
        "paragraph": "p",
        "question": "q?",
        "answer": "a",
        "idx": {"paragraph": 3, "question": 4, "answer": 5},
        "label": 1,
    },
    "record": {
        "passage": "Ann met Bob.",
        "query": "@placeholder came.",
        "entities": ["Ann", "Bob"],
        "answers": ["Bob"],
        "idx": {"passage": 0, "query": 0},
    },
    "wsc": {
        "text": "Ann said she came.",
        "span1_index": 0,
        "span2_index": 2,
        "span1_text": "Ann",
        "span2_text": "she",
        "label": 1,
    },
    "boolq": {"question": "is it", "passage": "It is.", "idx": 0, "label": 1},
    "mnli": {"premise": "p", "hypothesis": "h", "label": 1, "idx": 0},
}


@pytest.mark.parametrize("name", HUB)
def test_the_hubs_flat_rows(tmp_path: Path, name: str) -> None:
    for split in ("train", "validation"):
        pq.write_table(pa.Table.from_pylist([HUB[name]] * 5), tmp_path / f"{split}.parquet")
    splits = load(name, tmp_path)
    assert [row.label for row in splits.test] == [1] * 5
    if name == "multirc":
        assert splits.test[0].group == "3-4"


def test_the_hub_is_asked_for_what_the_task_names(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[Any] = []

    def load_dataset(*arguments: Any, **options: Any) -> dict[str, list[dict[str, Any]]]:
        asked.append((*arguments, options))
        rows = [{"text": f"text {number}", "coarse_label": number % 6} for number in range(30)]
        return {"train": rows, "test": rows}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    splits = Task.load("trec").splits()
    assert asked == [("CogComp/trec", None, {"revision": "refs/convert/parquet"})]
    # The hub's order is ABBR ENTY DESC HUM LOC NUM, the published files' DESC ENTY ABBR HUM LOC NUM.
    assert [row.label for row in splits.test[:6]] == [2, 1, 0, 3, 4, 5]


def test_the_folder_above_and_the_folder_itself_are_the_same(tmp_path: Path) -> None:
    record = {"premise": "a", "hypothesis": "b", "label": "entailment"}
    for folder in ("CB", "RTE"):
        jsonl(tmp_path / folder / "train.jsonl", repeated([{**record, "premise": folder}]))
        jsonl(tmp_path / folder / "val.jsonl", [{**record, "premise": folder}])
    assert load("cb", tmp_path) == load("cb", tmp_path / "CB")
    assert load("rte", tmp_path).test[0].fields["premise"] == "RTE"


def test_the_few_shot_folder_of_the_seed_is_taken(tmp_path: Path) -> None:
    for seed in (13, 21):
        for split in ("train", "dev", "test"):
            write(tmp_path / "mr" / f"16-{seed}" / f"{split}.csv", f"0,seed {seed}\n1,good\n")
    task = Task.load("mr", data=tmp_path, seed=21)
    assert task.splits().test[0].fields["sentence"] == "seed 21"
    assert task.splits(seed=13).test[0].fields["sentence"] == "seed 13"


def test_labelled_test_files_beside_an_official_one_are_taken(tmp_path: Path) -> None:
    rows = [["sentence", "label"], ["good", "1"], ["bad", "0"]]
    for name in ("train_full", "dev", "test-labeled"):
        tsv(tmp_path / f"{name}.tsv", rows)
    tsv(tmp_path / "test.tsv", [["index", "sentence"], ["0", "secret"]])
    splits = load("sst2", tmp_path)
    assert splits.protocol == "published"
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [2, 2, 2]


def test_a_task_of_ones_own_from_one_jsonl_file(tmp_path: Path) -> None:
    text = "template: 'Mail: {mail} Spam? {mask}'\nlabels: {ham: 'No', spam: 'Yes'}\n"
    definition = write(tmp_path / "spam.yaml", text)
    rows = [{"mail": f"mail {number}", "label": ("ham", "spam")[number % 2]} for number in range(40)]
    path = write(tmp_path / "mails.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    task = Task.load(definition, data=path)
    splits = task.splits()
    assert (task.name, task.fields, task.metric) == ("spam", ("mail",), "accuracy")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [32, 4, 4]
