"""A prompt folder in the harness: a whole evaluation of a task in a file, without a network."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import evaluate
from softprompt.storage.prompt import load
from softprompt.tasks import Task
from softprompt.training.run import train

from ...shared.models import model, tokenizer
from ...shared.runs import QUICK

pytest.importorskip("lm_eval", reason="pip install 'softprompt[lm-eval]'")

import lm_eval
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager

from softprompt.evaluation.harness.stored import StoredPromptLM, main

LABELS = {"0": "w10 w11", "1": "w12 w13"}
ROWS = [{"text": f"w{20 + place} w{30 + place % 7}", "label": place % 2} for place in range(24)]
TASK = {
    "task": "tones",
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{text}}",
    "doc_to_target": "label",
    "doc_to_choice": list(LABELS.values()),
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone, a CaPT prompt on it, and a task of the harness with its rows, each in a file or folder of its own."""
    folder = tmp_path_factory.mktemp("harness")
    model("llama").save_pretrained(folder / "backbone")
    tokenizer().save_pretrained(folder / "backbone")
    own = Task(name="tones", template="{text} {mask}", labels=LABELS).with_data(ROWS, max_test_rows=8)
    backbone = load_backbone(str(folder / "backbone"))
    train(backbone, own, "capt", output=folder / "run", progress=False, learning_rate=0.1, **QUICK)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "tasks").mkdir()
    given = {"data_files": {"test": str(folder / "rows.jsonl")}, "cache_dir": str(folder / "cache")}
    (folder / "tasks" / "tones.yaml").write_text(yaml.safe_dump({**TASK, "dataset_kwargs": given}))
    return folder


def asked(made: Path, batch_size: int) -> dict[str, Any]:
    found: dict[str, Any] = lm_eval.simple_evaluate(
        model="softprompt",
        model_args={"prompt": str(made / "run"), "dtype": "float32"},
        tasks=["tones"],
        task_manager=TaskManager(include_path=str(made / "tasks"), include_defaults=False),  # of which there are 13,000
        batch_size=batch_size,
        bootstrap_iters=0,
    )
    return found


def test_scores_of_a_task_are_those_of_the_library_at_batch_1_and_8(made: Path) -> None:
    backbone = load_backbone(str(made / "backbone"))
    prompt = load(made / "run", backbone)
    task, readout = prompt.asked()
    rows = task.rows_of([row["text"] for row in ROWS])
    with prompt.attach() as prompted:
        own = readout.outputs(prompted, readout.collate([readout.encode(row) for row in rows])).tolist()
    splits = task.with_data(made / "rows.jsonl").splits(0)
    labelled = [*splits.train, *splits.validation, *splits.test]
    assert len(labelled) == len(ROWS)
    accuracy = evaluate(prompt, labelled)["accuracy"]
    for batch_size in (1, 8):
        found = asked(made, batch_size)
        samples = sorted(found["samples"]["tones"], key=lambda sample: sample["doc_id"])
        scores = [[float(choice[0][0]) for choice in sample["resps"]] for sample in samples]
        assert scores == [pytest.approx(row, abs=1e-4) for row in own]
        assert found["results"]["tones"]["acc,none"] == pytest.approx(accuracy)


def test_the_harness_finds_it_by_its_entry_point() -> None:
    (point,) = entry_points(group="lm_eval.models", name="softprompt")
    assert point.load() is StoredPromptLM


def test_the_program_is_the_harness_and_tells_a_fault_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The harness's own program reads 13,000 files of tasks first, so it stands aside here."""
    arguments = {"prompt": str(tmp_path / "none")}
    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", lambda: get_model("softprompt").create_from_arg_obj(arguments))
    with pytest.raises(SystemExit, match="^error: .*none"):
        main()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "model_args: prompt is missing: give prompt=FOLDER"),
        ({"prompt": "x", "pretrained": "y"}, "model_args: there is no 'pretrained': give prompt=FOLDER"),
    ],
)
def test_a_wrong_argument_is_one_line(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SoftPromptError, match=told):
        StoredPromptLM.create_from_arg_obj(given, {"batch_size": 1, "max_batch_size": None, "device": None})
