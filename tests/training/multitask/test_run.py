"""Several tasks in one run: what they share, what each has, what is stored, and that it resumes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import Interrupted, SoftPromptError
from softprompt.files.tensors import read_tensors
from softprompt.methods import MPT, HardPrompt, PTuningV2, Recipe
from softprompt.storage.prompt import load
from softprompt.training.multitask.run import MultitaskRun, train_multitask
from softprompt.training.run import open_run, train

from ...shared.models import model, tokenizer
from ...shared.runs import Interrupting, Listening
from ...shared.runs import task as words
from ...shared.several import last_state, run, tasks

TENSORS = "prompt.safetensors"


def stored(folder: Path) -> dict[str, Any]:
    return read_tensors((folder / "prompt" if (folder / "prompt").is_dir() else folder) / TENSORS)


@pytest.fixture(scope="module")
def v2(tmp_path_factory: pytest.TempPathFactory) -> MultitaskRun:
    """P-Tuning v2 on an encoder: a shared prefix, and a linear head a task."""
    return run(tmp_path_factory.mktemp("v2"), PTuningV2(num_virtual_tokens=3), "bert", patience=50)


def test_a_prefix_is_shared_and_heads_are_each_tasks_own(v2: MultitaskRun) -> None:
    one, other = (stored(v2.folder / "tasks" / name) for name in ("one", "other"))
    assert (one["table"] == other["table"]).all()
    assert one["head.weight"].shape[0] == 2
    assert other["head.weight"].shape[0] == 3
    assert one["head.weight"].any()
    assert set(stored(v2.shared)) == {"table"}
    assert (stored(v2.shared)["table"] == one["table"]).all()


def test_each_task_has_a_run_of_its_own(v2: MultitaskRun) -> None:
    for name in ("one", "other"):
        done = open_run(v2.folder / "tasks" / name, model("bert"), tokenizer())
        assert done.metrics["test"] == v2.runs[name].metrics["test"]
        assert done.prompt.predict(["w20 w41"])[0] in done.prompt.task.labels
        assert done.metrics["course"]["together_with"] == [other for other in ("one", "other") if other != name]
        head = done.metrics["trained_head_parameters"]
        assert head == (2 if name == "one" else 3) * (32 + 1)
    told = json.loads((v2.folder / "metrics.json").read_text())
    assert told["tasks"] == {name: v2.runs[name].metrics["test"]["accuracy"] for name in ("one", "other")}
    for entry in told["history"]:
        assert entry["mean"] == pytest.approx(sum(entry["tasks"].values()) / 2)
    assert told["validation"]["mean"] == max(entry["mean"] for entry in told["history"])


def test_the_rows_of_all_tasks_are_known(v2: MultitaskRun, tmp_path: Path) -> None:
    """A prompt has seen the rows of the tasks that it was trained with."""
    one, other = tasks(tmp_path)
    prompt = load(v2.folder / "tasks" / "one", model("bert"), tokenizer())
    for rows in (one.splits(3).train, other.splits(3).train):
        assert prompt.seen.count(rows) == len(rows)
        assert load(v2.shared, model("bert"), tokenizer()).seen.count(rows) == len(rows)


def test_a_further_task_starts_from_the_shared_prefix(v2: MultitaskRun, tmp_path: Path) -> None:
    options = {"init_from": str(v2.shared), "max_steps": 1, "evaluations": 1, "learning_rate": 1e-9, "progress": False}
    task = words(tmp_path / "data", name="third")
    done = train(model("bert"), tokenizer(), task, PTuningV2(num_virtual_tokens=3), output=tmp_path / "r", **options)
    assert (done.prompt.producer.stored()["table"] - stored(v2.shared)["table"]).abs().max() < 1e-6


def test_mpt_shares_its_prompt_and_keeps_factors_apart(tmp_path: Path) -> None:
    done = run(tmp_path, MPT(num_virtual_tokens=2), patience=50)
    state = last_state(done)
    one, other = ({n.split(".")[-1]: v for n, v in state.items() if f"prompts.{i}." in n} for i in (0, 1))
    assert (one["table"] == other["table"]).all()
    assert not (one["columns"] == other["columns"]).any()
    assert not (one["rows"] == other["rows"]).all()
    assert done.runs["one"].metrics["trained_parameters"] == 2 * 32 + 2 + 32
    assert set(stored(done.folder / "tasks" / "one")) == set(stored(done.shared)) == {"table", "columns", "rows"}


@pytest.mark.parametrize("method", [MPT(num_virtual_tokens=2), PTuningV2(num_virtual_tokens=2)])
def test_it_resumes_to_the_same_bytes(method: Any, tmp_path: Path) -> None:
    run(tmp_path / "a", method)
    with pytest.raises(Interrupted, match="resume"):
        run(tmp_path / "b", method, progress=Interrupting(3))
    run(tmp_path / "b", method, resume=True)
    for place in ("tasks/one/prompt", "tasks/other/prompt", "shared"):
        one, other = (tmp_path / name / "run" / place / TENSORS for name in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_a_finished_run_is_read_and_a_damaged_one_made_again(tmp_path: Path) -> None:
    first, heard = run(tmp_path, MPT(num_virtual_tokens=2)), Listening()
    before = (first.folder / "tasks/one/prompt" / TENSORS).read_bytes()
    again = run(tmp_path, MPT(num_virtual_tokens=2), resume=True, progress=heard)
    assert any("finished already" in line for line in heard.lines)
    assert again.runs["one"].metrics == first.runs["one"].metrics
    for place in ("tasks/one/prompt", "shared"):
        shutil.rmtree(first.folder / place)
        run(tmp_path, MPT(num_virtual_tokens=2), resume=True, progress=heard)
        assert (first.folder / "tasks/one/prompt" / TENSORS).read_bytes() == before
        assert (first.shared / TENSORS).is_file()
        assert "made again from" in next(line for line in heard.lines[::-1] if str(first.folder / place) in line)
    with pytest.raises(SoftPromptError, match="learning_rate"):
        run(tmp_path, MPT(num_virtual_tokens=2), resume=True, learning_rate=0.2)
    with pytest.raises(SoftPromptError, match="holds a run already"):
        run(tmp_path, MPT(num_virtual_tokens=2))


def test_what_is_refused(tmp_path: Path) -> None:
    one, other = tasks(tmp_path / "data")
    for given, method, match in (
        ([one], MPT(), "two or more"),
        ([one, one], MPT(), "two tasks are named 'one'"),
        ([one, other], HardPrompt(), "not trained in one fit"),
        ([one, other.model_copy(update={"name": "a/b"})], MPT(), "named 'a/b', and its run goes to a folder"),
        ([one, other.model_copy(update={"name": ".."})], MPT(), "named '..', and its run goes to a folder"),
    ):
        with pytest.raises(SoftPromptError, match=match):
            train_multitask(model("llama"), tokenizer(), given, method, output=tmp_path / "run")
    with pytest.raises(SoftPromptError, match="'third' is none of the tasks"):
        train_multitask(
            model("llama"), tokenizer(), [one, other], MPT(), teachers={"third": "x"}, output=tmp_path / "r"
        )


def test_rows_are_as_long_as_each_task_needs(tmp_path: Path) -> None:
    """As in a run of one task: 512 where a row is longer than 256, told with the task's name."""
    heard = Listening()
    long = words(tmp_path / "a", name="one")
    rows = [{"text": "w20 " * 300 if n == 5 else f"w20 w{30 + n}", "label": str(n % 2)} for n in range(20)]
    other = long.model_copy(update={"name": "long"}).with_data(rows)
    options = {"max_steps": 1, "evaluations": 1, "batch_size": 4, "progress": heard, "output": tmp_path / "run"}
    done = train_multitask(model("t5"), tokenizer(), [long, other], PTuningV2(num_virtual_tokens=2), **options)
    found = {name: one.metrics["readout"]["max_length"] for name, one in done.runs.items()}
    assert found == {"one": 256, "long": 512}
    assert any("long: max_length: 512" in line for line in heard.lines)
    assert not any("one: max_length" in line for line in heard.lines)


def test_it_goes_on_with_the_recipe_that_it_was_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = tasks(tmp_path)
    options: dict[str, Any] = {"epochs": 2, "batch_size": 4, "seed": 3}

    def trained(name: str, progress: Interrupting | bool = False, *, resume: bool = False) -> MultitaskRun:
        where = {"output": tmp_path / name, "progress": progress, "resume": resume}
        return train_multitask(model("llama"), tokenizer(), both, "mpt", **where, **options)

    with monkeypatch.context() as before:
        before.setattr(MPT, "recipes", {"default": Recipe(0.02, "an earlier version", schedule="constant")})
        whole = trained("whole")
        with pytest.raises(Interrupted):
            trained("begun", Interrupting(3))
    done = trained("begun", resume=True)
    for name in whole.runs:
        begun, once = (one.folder / "tasks" / name / "prompt" / TENSORS for one in (done, whole))
        assert begun.read_bytes() == once.read_bytes()


@pytest.mark.parametrize("resume", [False, True])
def test_an_option_that_no_tasks_part_hears_is_refused_before_anything_is_written(tmp_path: Path, resume: bool) -> None:
    own = {"output": tmp_path / "run", "resume": resume, "max_steps": 1, "progress": False}
    with pytest.raises(SoftPromptError, match="pooling: readout 'text' reads at the answer's place"):
        train_multitask(
            model("llama"), tokenizer(), tasks(tmp_path), PTuningV2(), readout="text", pooling="mean", **own
        )
    assert not (tmp_path / "run").exists()


def test_rows_a_second_count_all_batches_of_a_step(tmp_path: Path) -> None:
    done = run(tmp_path, MPT(num_virtual_tokens=2), max_steps=2, accumulate=3)
    for one in done.runs.values():
        rows = one.metrics["rows_per_second"] * one.metrics["train_seconds"]
        assert rows == pytest.approx(2 * 4 * 3, rel=0.01)
