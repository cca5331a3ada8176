"""`softprompt task new`: YAML alone on standard output, which trains as the table itself does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from softprompt.tasks import Task

from ..shared.tables import write


def test_the_yaml_is_the_task_of_the_table(tmp_path: Path, ask: Any) -> None:
    lines = [f"{n},der Brief {n} kam gestern nicht an,{('Größe', 'ja')[n % 2]}" for n in range(20)]
    table = write(tmp_path / "briefe.csv", "\n".join(["nr,satz,klasse", *lines]) + "\n")
    code, printed, err = ask("task", "new", table)
    assert code == 0
    assert err == "text: satz; label: klasse (2 classes: Größe, ja); --text, --label choose others\n"
    path = write(tmp_path / "briefe.yaml", printed)
    assert Task.load(path).model_dump() == Task.from_file(table).model_dump()
    assert f"--task briefe.yaml --data {table}" in printed
    code, again, err = ask("task", "new", table, "--text", "satz", "--label", "klasse", "--quiet")
    assert (code, again, err) == (0, printed, "")
    code, printed, err = ask("task", "new", table, "--label", "satz", "--text", "klasse")
    assert (code, "kind: generation" in printed) == (0, True), err


def test_a_fault_is_one_line(tmp_path: Path, ask: Any) -> None:
    for words in ([tmp_path / "none.csv"], [write(tmp_path / "a.csv", "a,b\n1,2\n3,4\n")]):
        code, printed, err = ask("task", "new", *words)
        assert (code, printed, len(err.splitlines())) == (1, "", 1), err
        assert err.startswith("error: ")


def test_a_table_of_another_encoding_and_dialect(tmp_path: Path, ask: Any) -> None:
    lines = [f"{n};žádost číslo {n} se ztratila;{('účet', 'síť')[n % 2]}" for n in range(20)]
    table = tmp_path / "dotazy.csv"
    table.write_bytes("\r\n".join(["id;text;kategorie", *lines]).encode("cp1250"))
    code, printed, err = ask("task", "new", table, "--label", "kategorie", "--encoding", "cp1250")
    assert (code, f"--data {table} --encoding cp1250" in printed) == (0, True), err
    path = write(tmp_path / "dotazy.yaml", printed)
    task = Task.load(path, table, encoding="cp1250")
    assert set(task.labels) == {"účet", "síť"}
    assert {len(part) for part in (task.splits(1).train,)} == {16}
