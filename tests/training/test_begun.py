"""`run.json` says where the rows are, which makes no difference to what run it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, DeepPrompt, Recipe
from softprompt.tasks import Task
from softprompt.training.begun import Begun, RunRecord, begun_of
from softprompt.training.run import Interrupted, Run, train

from ..shared.models import model, tokenizer
from ..shared.runs import Interrupting, run, task


def _changed(folder: Path, **changes: Any) -> None:
    path = folder / "run.json"
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in values.items() if value != "gone"}))


def test_paths_are_whole_and_a_source_that_is_none_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = task(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    named = Backbone(model("llama"), tokenizer(), "tiny")
    relative = own.with_data("data/rows.jsonl", max_test_rows=3)
    assert begun_of(named, own.with_data("data/rows.jsonl", encoding="latin-1"))["begun"]["encoding"] == "latin-1"
    nothing = {**dict.fromkeys(Begun.model_fields), "skip_bad": False}
    assert begun_of(named, relative)["begun"] == {
        **nothing,
        "data": str(tmp_path / "data" / "rows.jsonl"),
        "max_test_rows": 3,
        "backbone": str(tmp_path / "tiny"),
    }
    files = own.with_data("data/rows.jsonl", validation_data="data/rows.jsonl", test_data="data/rows.jsonl")
    told = begun_of(named, files)["begun"]
    again = Begun.model_validate(told).model_dump(exclude={"backbone"})
    assert {again["validation_data"], again["test_data"]} == {str(tmp_path / "data" / "rows.jsonl")}
    found = own.with_data(**again).source
    assert found is not None
    assert found.data == found.test_data == tmp_path / "data" / "rows.jsonl"
    share = begun_of(named, own.with_data("data/rows.jsonl", test_size=0.2))["begun"]
    assert Begun.model_validate(share).test_size == 0.2
    bare = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    assert begun_of(named.named("hub/name"), bare)["begun"] == nothing
    assert begun_of(named, bare.with_data([{"text": "a", "label": 0}])) == {}  # no later process has these rows


def test_a_run_is_recorded_and_other_places_are_the_same_run(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", "prompt_tuning", max_steps=1)
    record = RunRecord.read(done.folder)
    assert record.task(done.folder).model_dump() == task(tmp_path / "data").model_dump()
    assert record.places(done.folder)["data"] == str(tmp_path / "data" / "rows.jsonl")
    assert (record.method, record.training_options["max_steps"]) == ("prompt_tuning", 1)
    _changed(done.folder, begun={"data": "/elsewhere", "max_test_rows": 1})
    again = run(tmp_path, "llama", "prompt_tuning", max_steps=1, resume=True)
    assert again.metrics == done.metrics


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dtype": "gone"}, "run.json records no dtype: it is of an earlier version"),
        ({"seed": "x"}, "option 'seed' of .*run.json"),
        ({"task_definition": {"template": 3}}, "run.json: task_definition: .*: give --task"),
        (
            {"begun": "gone"},
            "records no data .*or its rows were in memory.: give --data as the run was begun",
        ),
    ],
)
def test_what_was_not_recorded_is_one_line(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    folder = run(tmp_path, "llama", "prompt_tuning", max_steps=1).folder
    _changed(folder, **changes)
    with pytest.raises(SoftPromptError, match=told):
        _ = (record := RunRecord.read(folder)).task(folder), record.places(folder)


def test_a_run_goes_on_with_the_recipe_that_it_was_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version may know better rates; half of a run with each would be neither."""
    rows = task(tmp_path / "data")
    options = {"epochs": 3, "batch_size": 4, "seed": 3}

    def trained(name: str, progress: Interrupting | bool = False, *, resume: bool = False) -> Run:
        folder = tmp_path / name
        return train(
            model("llama"), tokenizer(), rows, "capt", output=folder, progress=progress, resume=resume, **options
        )

    with monkeypatch.context() as before:
        earlier = Recipe(0.02, "an earlier version", schedule="constant")
        before.setattr(CaPT, "recipes", {"default": earlier})
        whole = trained("whole")
        for name in ("begun", "unrecorded"):
            with pytest.raises(Interrupted):
                trained(name, Interrupting(3))
    done = trained("begun", resume=True)
    assert tensors(done) == tensors(whole)
    record = json.loads((tmp_path / "unrecorded" / "run.json").read_text())
    assert record.pop("recipe")["learning_rate"] == 0.02
    (tmp_path / "unrecorded" / "run.json").write_text(json.dumps(record))
    with pytest.raises(SoftPromptError, match="begun with another optimiser, an earlier version's default"):
        trained("unrecorded", resume=True)


def test_a_run_of_an_encoder_that_recorded_no_recipe_keeps_the_rate_of_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = task(tmp_path / "data")

    def trained(name: str, progress: Interrupting | bool = False, *, resume: bool = False) -> Run:
        return train(
            *(model("roberta"), tokenizer(), rows, "deep_prompt"),
            **{"output": tmp_path / name, "progress": progress, "resume": resume, "epochs": 2, "batch_size": 4},
        )

    with monkeypatch.context() as before:
        before.setattr(DeepPrompt, "recipes", {"default": Recipe(1.0, "an earlier version")})
        whole = trained("whole")
        with pytest.raises(Interrupted):
            trained("begun", Interrupting(2))
    record = json.loads((tmp_path / "begun" / "run.json").read_text())
    del record["recipe"]
    (tmp_path / "begun" / "run.json").write_text(json.dumps(record))
    assert tensors(trained("begun", resume=True)) == tensors(whole)


def tensors(run: Run) -> bytes:
    return (run.folder / "prompt" / "prompt.safetensors").read_bytes()
