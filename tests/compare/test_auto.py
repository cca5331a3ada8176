"""A method is chosen and trained: within bytes, the same again, also after a stop, and into a folder like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt.compare import choosing, shortlist
from softprompt.compare.choice_record import read_choice
from softprompt.compare.gathering import gather
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.training.run import train

from ..shared.models import model, tokenizer
from ..shared.runs import QUICK
from ..shared.runs import task as words_task

BYTES = 470
TIMES = {"seconds", "fold_seconds", "run_seconds", "tried"}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two methods, on folds and with no other rates."""
    monkeypatch.setattr(shortlist, "MOST", 2)
    monkeypatch.setattr(choosing, "_RATES", {})


def choose(folder: Path, **options: Any) -> sp.AutoRun:
    rows = words_task(folder / "data")
    given = {**QUICK, "minutes": 60, "max_bytes": BYTES, "seed": 3, "progress": False, **options}
    return sp.train_auto(model("llama"), tokenizer(), rows, output=folder / "run", **given)


def outcome(record: Any) -> Any:
    tried = [one.model_dump(exclude=TIMES) for one in record.tried]
    return record.model_dump(exclude=TIMES), tried


def test_a_choice_that_was_stopped_ends_in_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = choose(tmp_path / "straight")
    count = 0

    def stopping(*given: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == 6:
            raise KeyboardInterrupt
        return train(*given, **named)

    stopped = tmp_path / "stopped"
    with monkeypatch.context() as once:
        once.setattr(choosing, "train", stopping)
        with pytest.raises(Interrupted, match=r"no method is chosen yet: the same with --resume"):
            choose(stopped)
    with pytest.raises(SoftPromptError, match=r"run holds a choice of a method already: go on with it with --resume"):
        choose(stopped)
    resumed = choose(stopped, resume=True)
    assert outcome(resumed.choice) == outcome(straight.choice)
    assert len(list((stopped / "run" / "auto").glob("*of4"))) == 8
    prompts = [(one.run.folder / "prompt" / "prompt.safetensors").read_bytes() for one in (straight, resumed)]
    assert prompts[0] == prompts[1]

    # The run is one of its method, as if that had been named, and no more than was allowed.
    one = straight.choice.chosen
    rows, method = words_task(tmp_path / "straight" / "data"), sp.method(one.method, **one.method_options)
    given = {"seed": 3, "output": tmp_path / "named", "progress": False, **QUICK}
    named = sp.train(model("llama"), tokenizer(), rows, method, **given)
    assert (named.folder / "prompt" / "prompt.safetensors").read_bytes() == prompts[0]
    assert straight.run.record.stored_bytes == one.stored_bytes <= BYTES
    loaded = sp.load(straight.run.folder, model("llama"), tokenizer())
    assert set(loaded.predict(["w20 w21", "w30 w31"])) <= {"0", "1"}
    assert read_choice(straight.run.folder / "auto") == straight.choice
    found = gather([straight.run.folder])
    assert [run.folder for run in found.finished] == [straight.run.folder]
    assert [str(one.folder) for one in found.left] == [str(straight.run.folder / "auto")]

    again = choose(tmp_path / "straight", resume=True)
    assert again.choice == straight.choice
    with pytest.raises(SoftPromptError, match="holds a run already"):
        choose(tmp_path / "straight")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"minutes": 0}, "minutes is 0: give a number above 0"),
        ({"minutes": float("nan")}, "minutes is nan"),
        ({"minutes": "5"}, "minutes is '5': give a number above 0"),
        ({"max_bytes": 1.5}, "max_bytes is 1.5: give 1 or more"),
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"max_bytes": 9}, "max_bytes is 9, and no method stores so little"),
        ({"minutes": 1e-9}, "there is no time for any method"),
        ({"learning_rate": 0.1}, "learning_rate is one method's own"),
        ({"init_from": "runs/first"}, "init_from is one method's own"),
        ({"lerning_rate": 0.1}, "lerning_rate"),
    ],
)
def test_what_cannot_be_is_a_line_and_leaves_nothing(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(SoftPromptError, match=told) as refused:
        choose(tmp_path, **options)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(SoftPromptError, match="is not empty and holds no run"):
        choose(tmp_path)
    (tmp_path / "run" / "mine.txt").unlink()
    (tmp_path / "run" / "run.json").write_text(json.dumps({}))
    with pytest.raises(SoftPromptError, match="holds a run whose method was named"):
        choose(tmp_path, resume=True)
