"""What a training settles of its answers is stored, told, and part of what makes it this run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods import method as method_of
from softprompt.readouts import ReadoutSpec
from softprompt.readouts.settled import needs_end, settled, told_end
from softprompt.storage.prompt import load
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.run import train
from softprompt.training.setup import readout_spec

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.readouts import TEXTS, made
from ..shared.runs import learned

LABELS = {"a": "w60", "b": "w60 w61", "c": "w62"}


def spec_of(family: str, task: Task, **options: Any) -> ReadoutSpec:
    backbone = Backbone(model(family), tokenizer())
    chosen = readout_spec(backbone.model, task, method_of("prompt_tuning"), TrainingOptions(**options))
    return settled(chosen, task, backbone)


@pytest.mark.parametrize(
    ("family", "task", "options", "end"),
    [
        ("llama", {"labels": LABELS}, {}, "yes"),
        ("bart", {"labels": LABELS}, {}, "yes"),
        ("llama", {"labels": LABELS}, {"answer_end": "no"}, "no"),
        ("llama", {"labels": ["w10", "w11 w12"]}, {}, "no"),
        ("llama", {"labels": ["w10", "w11 w12"]}, {"answer_end": "yes"}, "yes"),
        ("llama", {"kind": "choice"}, {}, "auto"),
        ("llama", {"kind": "choice", "labels": LABELS}, {}, "yes"),
        ("llama", {"kind": "generation"}, {}, "no"),
        ("llama", {"labels": LABELS}, {"readout": "head"}, "no"),
        ("bert", {"labels": LABELS}, {}, "no"),
    ],
)
def test_where_an_end_stands_is_stored_as_it_was_trained(
    family: str, task: dict[str, Any], options: dict[str, Any], end: str
) -> None:
    spec = spec_of(family, Task(template="{text} {mask}", **task), **options)
    assert spec.answer_end == end
    assert spec.model_dump(mode="json").get("answer_end", "no") == end
    assert ReadoutSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("option", [{"answer_end": "yes"}, {"scoring": "acc_norm"}])
@pytest.mark.parametrize(
    ("family", "task", "readout"),
    [
        ("llama", {"labels": LABELS}, "head"),
        ("llama", {"kind": "generation"}, None),
        ("bert", {"labels": LABELS}, "rows"),
    ],
)
def test_where_no_answers_are_compared_the_options_are_refused(
    family: str, task: dict[str, Any], readout: str | None, option: dict[str, Any]
) -> None:
    with pytest.raises(SoftPromptError, match=rf"{next(iter(option))}.* leave it out"):
        spec_of(family, Task(template="{text} {mask}", **task), readout=readout, **option)


def test_one_line_says_where_an_end_is_scored_and_why() -> None:
    method, task = METHODS["capt"], Task(template="{text} {mask}", labels=LABELS)

    def told(of: Task, rows: Any, **options: Any) -> list[str]:
        _, readout = made(of, "llama", method, **options)
        return told_end([readout.encode(row) for row in of.rows_of(rows)], of, "training rows", seq2seq=False)

    assert told(task, TEXTS) == [
        "an end token is scored behind the answers of 3 of 3 training rows (answer_end): 'w60' begins 'w60 w61', which "
        "could never win without it"
    ]
    assert told(task, TEXTS, answer_end="no") == []
    plain = Task(template="{text} {mask}", labels=["w10", "w11 w12"])
    assert told(plain, TEXTS) == []
    assert len(told(plain, TEXTS, answer_end="yes")) == 1
    choice = Task(kind="choice", fields=("text",), template="{text} {choice}")
    rows = [{"text": "w20", "choices": choices} for choices in (["w1", "w2"], ["w7 w8 w9", "w7 w8"], ["w9", "w7"])]
    [line] = told(choice, rows[1:])
    assert "1 of 2 training rows (answer_end): 'w7 w8' begins 'w7 w8 w9'" in line
    assert [needs_end(choice.rows_of([row])) for row in rows] == [False, True, False]


def test_every_answer_can_be_learned_and_comes_back(tmp_path: Path) -> None:
    run = learned(tmp_path, "llama", LABELS)
    assert run.metrics["test"]["accuracy"] == 1
    assert 0 <= run.metrics["test"]["acc_norm"] <= 1
    again = load(tmp_path / "run" / "prompt", model("llama"), tokenizer())
    assert again.predict(TEXTS) == run.predict(TEXTS)
    with pytest.raises(SoftPromptError, match="choose another output"):
        learned(tmp_path, "llama", LABELS, resume=True, answer_end="no")


def test_a_prompt_of_before_answers_as_it_was_trained(tmp_path: Path) -> None:
    """Its file says nothing of an end."""
    run = learned(tmp_path, "llama", LABELS, answer_end="no", epochs=1)
    stored = json.loads((tmp_path / "run" / "prompt" / "prompt.json").read_text())
    assert "answer_end" not in stored["readout"]
    again = load(tmp_path / "run" / "prompt", model("llama"), tokenizer())
    assert "b" not in {str(answer) for answer in again.predict(TEXTS)}
    assert again.predict(TEXTS) == run.predict(TEXTS)


def test_a_run_of_before_goes_on_as_it_was_begun(tmp_path: Path) -> None:
    run = learned(tmp_path, "llama", LABELS, answer_end="no", epochs=1)
    record = tmp_path / "run" / "run.json"
    values = json.loads(record.read_text())
    assert values["training_options"].pop("answer_end") == "no"  # as a run of before the option
    record.write_text(json.dumps(values))
    said = "begun with answer_end no, where it is yes now .*: give answer_end=no, or choose another output"
    with pytest.raises(SoftPromptError, match=said):
        learned(tmp_path, "llama", LABELS, resume=True, epochs=1)
    assert learned(tmp_path, "llama", LABELS, resume=True, answer_end="no", epochs=1).metrics == run.metrics


@pytest.mark.parametrize(("choices", "same"), [(["w30", "w31"], True), (["w30", "w30 w31"], False)])
def test_a_run_of_choices_is_the_same_where_no_row_asks_for_an_end(
    choices: list[str], same: bool, tmp_path: Path
) -> None:
    rows = [{"text": f"w{20 + place}", "choices": choices, "label": place % 2} for place in range(20)]
    task = Task(kind="choice", fields=("text",), template="{text} {mask}").with_data(rows)
    options = {"output": tmp_path / "run", "max_steps": 1, "evaluations": 1, "progress": False}
    run = train(model("llama"), tokenizer(), task, "prompt_tuning", **options)
    assert run.prompt.readout_spec is not None
    assert run.prompt.readout_spec.answer_end == "auto"
    assert ("answer_end" in json.loads((tmp_path / "run" / "run.json").read_text())["readout"]) != same
