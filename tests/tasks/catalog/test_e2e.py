"""E2E as the challenge publishes it (csv) and as Prefix-Tuning's code has it (text): the same rows."""

from __future__ import annotations

from pathlib import Path

from softprompt.tasks import Splits, Task

from ...shared.tables import load, write

MEANINGS = {
    "name[Zig Zag], eatType[pub], near[The Tower]": "name : Zig Zag | Type : pub | near : The Tower",
    "name[Ova], priceRange[more than £5]": "name : Ova | price : more than £5",
}
WORDINGS = ("{} it is, near a tower.", 'One says, "{}".')


def parts(splits: Splits) -> list[list[tuple[str, tuple[str, ...]]]]:
    return [[(row.fields["meaning"], row.answers) for row in part] for part in (splits.validation, splits.test)]


def test_csv_and_text_give_the_same_rows(tmp_path: Path) -> None:
    pairs = [(meaning, wording.format(meaning[5:8])) for wording in WORDINGS for meaning in MEANINGS]
    cells = [(meaning, text.replace('"', '""')) for meaning, text in pairs]
    csv = "mr,ref\n" + "".join(f'"{meaning}","{text}"\n' for meaning, text in cells)
    lines = "".join(f"{MEANINGS[meaning]}||{text}\n" for meaning, text in pairs)
    for name in ("trainset", "devset", "testset_w_refs"):
        write(tmp_path / "csv" / f"{name}.csv", csv)
    write(tmp_path / "csv" / "testset.csv", "MR\n")  # without wordings: not looked at
    for name in ("train", "valid", "test"):
        write(tmp_path / "text" / f"src1_{name}.txt", lines)
    challenge, code = load("e2e", tmp_path / "csv"), load("e2e", tmp_path / "text")
    assert parts(challenge) == parts(code)
    assert len(challenge.test) == 2
    assert challenge.test[0].answers == ("Zig it is, near a tower.", 'One says, "Zig".')
    assert [row.value for row in challenge.train] == [row.value for row in code.train]
    assert (len(challenge.train), challenge.protocol) == (4, "published")


def test_what_a_model_reads() -> None:
    task = Task.load("e2e_nlg")
    assert str(task.template_for("text")) == "{meaning}\n{mask}"
    assert str(task.template_for("text", seq2seq=True)) == "{meaning}"
    assert [row.fields["meaning"] for row in task.rows_of([{"mr": "name[A], food[B]"}, "name : A"])] == [
        "name : A | food : B",
        "name : A",
    ]
