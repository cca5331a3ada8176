"""Every verb's help, and its faults in one line each."""

from __future__ import annotations

import json
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


TOLD = {
    "train": ["train", "--backbone", "BACKBONE", "--task", "TASK", "--data", "DATA", "--method", "capt", "--out", "NEW",
              "--set", "max_steps=1", "--set", "evaluations=1"],
    "evaluate": ["evaluate", "RUN", "--task", "TASK", "--data", "DATA"],
    "predict": ["predict", "RUN", "w20 w41"],
    "ensemble": ["ensemble", "RUN", "RUN2", "--task", "TASK", "--data", "DATA"],
    "transfer": ["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--words", "w10=nay,w11=yea"],
    "select": ["select", "--backbone", "BACKBONE", "--task", "TASK", "--data", "DATA", "--method", "capt",
               "--arms", "all", "--seeds", "1", "--out", "NEW", "--set", "max_steps=1", "--epochs", "1"],
}  # fmt: skip


@pytest.mark.parametrize("verb", list(TOLD))
def test_json_is_one_document_progress_is_beside_it_and_quiet_leaves_it_out(
    verb: str, ask: Any, runs: list[Path], backbone: Path, data: Path, other: Path, tmp_path: Path
) -> None:
    stand = {
        "BACKBONE": backbone, "RUN": runs[0], "RUN2": runs[1], "TASK": data / "task.yaml", "DATA": data,
        "OTHER": other / "task.yaml", "DATA2": other,
    }  # fmt: skip

    def told(*more: str) -> tuple[Any, str]:
        new = tmp_path / f"new{len(list(tmp_path.iterdir()))}"
        code, out, err = ask(*({**stand, "NEW": new}.get(word, word) for word in TOLD[verb]), "--json", *more)
        assert code == 0, err
        return json.loads(out), err

    found, progress = told()
    quietly, nothing = told("--quiet")
    assert nothing == ""
    assert (progress == "") == (verb == "predict")
    assert ("validation accuracy " in progress) == (verb in ("train", "select"))
    assert type(found) is type(quietly)


QUIET = {
    "train",
    "multitask",
    "compare",
    "search",
    "select",
    "report",
    "evaluate",
    "predict",
    "ensemble",
    "serve",
    "transfer",
    "adapt",
    "discretise",
    "explain anchor",
    "explain nearest",
    "export",
}


def test_each_verb_that_shows_progress_can_be_quiet() -> None:
    quiet = {name for name, command in COMMANDS.items() if "silent" in {option.name for option in command.params}}
    assert quiet == {*QUIET, "task new"}
    assert all("-q" in next(one for one in COMMANDS[name].params if one.name == "silent").opts for name in quiet)


def test_out_is_output_wherever_a_run_is_written() -> None:
    for name in ("train", "multitask", "compare", "select", "adapt"):
        assert next(one for one in COMMANDS[name].params if one.name == "out").opts == ["--out", "--output"]
