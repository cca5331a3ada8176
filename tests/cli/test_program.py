"""Every verb's help, and its faults in one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..shared.commands import COMMANDS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ensemble", "RUN", "/no/such/run"], "/no/such/run"),
        (["ensemble", "RUN", "--split", "exam", "--task", "TASK", "--data", "DATA"], "exam"),
        (["explain", "nearest", "/no/such/run"], "/no/such/run"),
        (["explain", "similarity", "RUN"], "two prompts"),
        (["explain", "nearest", "RUN", "--page", "/proc/no/page.html"], "cannot be written"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2"], "--words"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--words", "w10"], "no pair"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--words", "w10=nay,w10=yea"], "twice"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--words", "w10=nay,w77=yea"], "w77"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--template", "mine"], "mine"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--source-task", "sst2"], "--source-data"),
        (["adapt", "--backbone", "BACKBONE", "--text", "DATA/task.yaml", "--out", "/tmp/none"], "not read"),
        (["adapt", "--backbone", "BACKBONE", "--text", "/no/corpus.txt", "--out", "/tmp/none"], "corpus.txt"),
        (["adapt", "--backbone", "BACKBONE", "--text", "TEXT", "--out", "/tmp/none"], "no encoder-decoder"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(
    words: list[str],
    message: str,
    ask: Any,
    runs: list[Path],
    backbone: Path,
    data: Path,
    other: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "text.txt").write_text("w20 w21 w22\n")
    named = {
        "RUN": runs[0], "TASK": data / "task.yaml", "DATA": data, "OTHER": other / "task.yaml", "DATA2": other,
        "BACKBONE": backbone, "DATA/task.yaml": data / "task.yaml", "TEXT": tmp_path / "text.txt",
    }  # fmt: skip
    code, _, err = ask(*(named.get(word, word) for word in words))
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert code == 1, err
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "/no/such/run", "text"], "/no/such/run"),
        (["evaluate", "/no/such/run"], "/no/such/run"),
        (["evaluate", "RUN", "--split", "exam"], "exam"),
        (["predict", "RUN"], "nothing to predict"),
        (["predict", "RUN", "--file", "/no/such/rows.csv"], "rows.csv"),
        (["predict", "RUN", "--field", "sentence"], "name=text"),
        (["predict", "RUN", "--field", "title=w20"], "sentence"),
        (["evaluate", "RUN", "--task", "trec"], "labels"),
        (["predict", "RUN", "text", "--backbone", "/no/model"], "/no/model"),
        (["tasks", "nonsense"], "nonsense"),
        (["methods", "--backbone", "/no/model"], "/no/model"),
    ],
)
def test_faults_of_the_other_verbs(words: list[str], message: str, ask: Any, trained: Path) -> None:
    code, _, err = ask(*(str(trained) if word == "RUN" else word for word in words))
    assert code == 1
    assert err.splitlines()[-1].startswith("error:")
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize("verb", [verb for verb in COMMANDS if verb != "demo"])
def test_every_verb_has_help_with_an_example(verb: str, ask: Any) -> None:
    code, printed, _ = ask(*verb.split(), "--help")
    assert code == 0
    assert f"Example: softprompt {verb}" in " ".join(printed.split())
