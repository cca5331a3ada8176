"""WebNLG as it is released (folders of XML) and as Prefix-Tuning's code has it (JSON): the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row, Task, evaluate

from ...shared.tables import load, told, write

ENTRIES = [("Food", "A_Pie", ["A pie.", "The pie."]), ("Artist", "B_Ox", ["B."]), ("City", "C_Ville", [])]


def xml(entries: list[tuple[str, str, list[str]]]) -> str:
    shown = ""
    for category, name, wordings in entries:
        lexes = "".join(f'<lex comment="good" lid="x">{text}</lex>' for text in wordings)
        triples = f"<modifiedtripleset><mtriple>{name} | is | D</mtriple></modifiedtripleset>"
        shown += f'<entry category="{category}">{triples}{lexes}<lex comment="toFix">no</lex></entry>\n'
    return f"<benchmark><entries>\n{shown}</entries></benchmark>"


def document(entries: list[tuple[str, str, list[str]]]) -> str:
    found = []
    for number, (category, name, wordings) in enumerate(entries, 1):
        lexes = [{"comment": "good", "lex": text, "xml_id": "x"} for text in wordings]
        triples = [{"object": "D", "property": "is", "subject": name}]
        rest = {"lexicalisations": [*lexes, {"comment": "toFix", "lex": "no"}], "size": "1"}
        found.append({str(number): {"category": category, "modifiedtripleset": triples, **rest}})
    return json.dumps({"entries": found}, indent=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("webnlg")
    for split in ("train", "dev"):
        for number, entry in enumerate(ENTRIES):  # one file a category, as in the release
            write(place / "xml" / split / "1triples" / f"1triple_{number}_{split}.xml", xml([entry]))
    write(place / "xml" / "test" / "testdata_with_lex.xml", xml(ENTRIES))
    write(place / "xml" / "test" / "testdata_no_lex.xml", xml([("Food", "other", [])]))
    for split in ("train", "dev", "test"):
        write(place / "json" / f"{split}.json", document(ENTRIES))
    return place


def test_release_and_json_give_the_same_rows(folder: Path) -> None:
    release, code = load("webnlg", folder / "xml"), load("webnlg", folder / "json")
    for part in ("train", "validation", "test"):
        assert getattr(release, part) == getattr(code, part)
    assert [row.value for row in release.train] == ["A pie.", "The pie.", "B."]
    first, second = release.test
    assert (first.fields["triples"], first.answers, first.part) == ("| A_Pie : is : D", ("A pie.", "The pie."), "seen")
    assert (second.answers, second.part) == (("B.",), "unseen")
    assert any("1 rows with missing columns left out" in note for note in release.notes)


def test_scores_of_seen_and_unseen_categories(folder: Path) -> None:
    rows: list[Row] = load("webnlg", folder / "json").test
    found = evaluate(Task.load("webnlg"), rows, ["A pie.", "C."])
    assert found["rougeL.seen"] == 1
    assert found["rougeL.unseen"] == 0
    assert found["rougeL"] == 0.5
    assert set(found) >= {"bleu", "bleu.seen", "bleu.unseen", "chrf.seen", "chrf.unseen"}


def test_an_entry_without_triples_is_told_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps([{"1": {"modifiedtripleset": [{"subject": "a"}]}}]))
    with pytest.raises(SoftPromptError) as error:
        Task.load("webnlg").labelled_rows(path)
    told(error, "a.json, line 1", "'property' is missing")
