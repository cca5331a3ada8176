"""LM-BFF's few-shot files, written out small."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...shared.tables import load, write


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
