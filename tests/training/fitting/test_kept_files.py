"""What is computed once a row is found again by whoever would compute the same, and by nobody else."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.files.kept import KeptFiles
from softprompt.methods import LPT, SPT, HeadOnly, Method, PromptTuning
from softprompt.progress import Progress
from softprompt.tasks import Task
from softprompt.training.fitting import kept_files
from softprompt.training.fitting.kept_files import FOLDER, forget_kept, room_of, sharing_kept
from softprompt.training.run import Interrupted, Run, train

from ...shared.models import model, tokenizer
from ...shared.prompts import producer
from ...shared.runs import QUICK, Interrupting, run, task

METHODS: dict[str, tuple[Method, dict[str, Any]]] = {
    "pooled": (HeadOnly(), {"head_learning_rate": 0.01}),
    "below": (LPT(layer=2, num_virtual_tokens=2, bottleneck=8, dropout=0.0), {}),
    "texts": (PromptTuning(num_virtual_tokens=2), {"template": "{text} w50 w51 w52 w53 w54 {prompt} {mask}"}),
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of every batch that is looked for, whether files had it."""
    found: list[bool] = []
    read: Callable[[KeptFiles, str], list[Tensor] | None] = KeptFiles.read

    def reading(self: KeptFiles, key: str) -> list[Tensor] | None:
        own = read(self, key)
        found.append(own is not None)
        return own

    monkeypatch.setattr(KeptFiles, "read", reading)
    return found


def outcome(folder: Path) -> tuple[bytes, bytes]:
    """The prompt and the answers to the test rows, as bytes."""
    own = folder / "run"
    return (own / "prompt" / "prompt.safetensors").read_bytes(), (own / "predictions.json").read_bytes()


@pytest.mark.parametrize("name", METHODS)
def test_runs_of_one_folder_share_what_is_the_same(name: str, tmp_path: Path, told: list[bool]) -> None:
    method, chosen = METHODS[name]
    own = {"data": tmp_path / "data", "eval_batch_size": 8, "max_steps": 20, **chosen}
    run(tmp_path / "alone", "gemma3", method, **own)
    assert not any(told)  # rows of training and validation are none of each other's
    told.clear()
    for again in (False, True):
        with sharing_kept(tmp_path / "table"):
            run(tmp_path / str(again), "gemma3", method, **own)
        assert outcome(tmp_path / str(again)) == outcome(tmp_path / "alone")
        assert all(told) == again  # what chose is measured again in the end
        assert len(told) > 0
        told.clear()
    assert os.listdir(tmp_path / "table") == [FOLDER]
    forget_kept(tmp_path / "table")
    assert os.listdir(tmp_path / "table") == []


def test_a_head_alone_looks_at_test_rows_once_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds divide the rows otherwise; what they have in common is not computed again."""
    rows: list[int] = []
    whole = PromptedModel.states

    def counting(self: PromptedModel, *args: Any, **given: Any) -> Tensor:
        rows.append(int(given["input_ids"].shape[0]))
        return whole(self, *args, **given)

    monkeypatch.setattr(PromptedModel, "states", counting)
    (tmp_path / "data").mkdir()
    own = task(tmp_path / "data").splits(1)
    for name, part in (("train", own.train), ("validation", own.validation), ("test", own.test)):
        texts = [f'{{"text": "{row.fields["text"]}", "label": "{row.value}"}}\n' for row in part]
        (tmp_path / "data" / f"{name}.jsonl").write_text("".join(texts))
    (tmp_path / "data" / "rows.jsonl").unlink()
    words = task(tmp_path / "other").with_data(tmp_path / "data")
    with sharing_kept(tmp_path):
        for rate in (0.01, 0.03):
            chosen = {"head_learning_rate": rate, "output": tmp_path / str(rate), "seed": 1, "progress": False, **QUICK}
            train(model("bert"), tokenizer(), words, HeadOnly(), **chosen)
    assert sum(rows) == len(own.train) + len(own.validation) + len(own.test)


@pytest.mark.parametrize("name", METHODS)
def test_a_row_that_changed_is_computed_and_no_other(name: str, tmp_path: Path, told: list[bool]) -> None:
    method, chosen = METHODS[name]
    given = {"data": tmp_path / "data", "eval_batch_size": 4, "max_steps": 20, **chosen}
    own = {name: value for name, value in given.items() if name not in ("data", "template")}
    own |= {"evaluations": 2, "batch_size": 4, "seed": 3, "progress": False}
    own |= {} if name == "pooled" else {"learning_rate": 1e-2}
    with sharing_kept(tmp_path):
        run(tmp_path / "before", "gemma3", method, **given)
        table = tmp_path / "data" / "rows.jsonl"
        words = task(tmp_path / "data", template=chosen.get("template", "{text} {mask}"))
        text = words.splits(3).train[2].fields["text"]
        table.write_text(table.read_text().replace(text, text.replace(" w", " w1", 1)))
        told.clear()
        changed = train(model("gemma3"), tokenizer(), words, method, output=tmp_path / "after" / "run", **own)
    assert 0 < told.count(False) < told.count(True)
    alone = train(model("gemma3"), tokenizer(), words, method, output=tmp_path / "alone" / "run", **own)
    assert outcome(tmp_path / "after") == outcome(tmp_path / "alone") != outcome(tmp_path / "before")
    assert changed.metrics["test"] == alone.metrics["test"]


@pytest.mark.parametrize("change", ["weight", "buffer", "setting", "type", "threads"])
def test_another_model_finds_nothing(change: str, tmp_path: Path) -> None:
    """However small the difference is: half of what bfloat16 can tell, of one number."""
    own = copy.deepcopy(model("gemma3"))
    keys = [_key(own, tmp_path)]
    assert _key(own, tmp_path) == keys[0]
    threads = torch.get_num_threads()
    if change == "weight":
        next(own.parameters()).data[5, 5] *= 1 + 2**-12
    elif change == "buffer":
        next(iter(own.buffers())).data.view(-1)[0] += 2**-20
    elif change == "setting":
        own.config.rms_norm_eps *= 2
    elif change == "type":
        own.bfloat16()
    else:
        torch.set_num_threads(threads + 1)
    try:
        assert _key(own, tmp_path) != keys[0]
    finally:
        torch.set_num_threads(threads)


def _key(own: Any, folder: Path) -> str:
    with attach(own, tokenizer(), producer(own, PromptTuning(num_virtual_tokens=1))) as prompted:
        return room_of(folder, prompted).key("rows")


@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_goes_on_finds_its_own_and_leaves_nothing(name: str, tmp_path: Path, told: list[bool]) -> None:
    method, chosen = METHODS[name]
    own = {"data": tmp_path / "data", "evaluations": 4, "max_steps": 20, **chosen}
    run(tmp_path / "whole", "llama", method, **own)
    with pytest.raises(Interrupted):
        run(tmp_path / "twice", "llama", method, progress=Interrupting(9), **own)
    assert (tmp_path / "twice" / "run" / FOLDER).is_dir()
    told.clear()
    run(tmp_path / "twice", "llama", method, resume=True, **own)
    assert told
    assert all(told)
    assert outcome(tmp_path / "whole") == outcome(tmp_path / "twice")
    for folder in ("whole", "twice"):
        assert not (tmp_path / folder / "run" / FOLDER).exists()


def test_a_prompt_that_trains_shares_no_features(tmp_path: Path, told: list[bool]) -> None:
    """A head starts on the scale of what the prompt makes of the rows, and seeds begin with other prompts."""
    with sharing_kept(tmp_path):
        done: list[Run] = [
            run(tmp_path / str(place), "bert", SPT(select="0", num_virtual_tokens=2, bottleneck=8), readout="head")
            for place in range(2)
        ]
    assert told == []
    assert done[0].metrics["test"] == done[1].metrics["test"]


def test_words_that_are_read_share_their_states(tmp_path: Path, told: list[bool]) -> None:
    """A head that reads several columns of a row."""
    table = tmp_path / "rows.jsonl"
    words = [[f"w{20 + (7 * row + 3 * word) % 60}" for word in range(2 + row % 4)] for row in range(30)]
    lines = [{"words": own, "tags": ["B-X" if int(word[1:]) % 2 else "O" for word in own]} for own in words]
    table.write_text("".join(json.dumps(one) + "\n" for one in lines))
    tagging = Task(name="names", kind="tags", labels=["O", "B-X"]).with_data(table, seed=1)
    own = {"head_learning_rate": 0.01, "seed": 1, "progress": False, **QUICK}
    train(model("bert"), tokenizer(), tagging, HeadOnly(), output=tmp_path / "alone" / "run", **own)
    for again in (False, True):
        told.clear()
        with sharing_kept(tmp_path / "table"):
            train(model("bert"), tokenizer(), tagging, HeadOnly(), output=tmp_path / str(again) / "run", **own)
        assert told
        assert all(told) == again
        assert outcome(tmp_path / str(again)) == outcome(tmp_path / "alone")


def test_dropout_that_works_is_drawn_anew(tmp_path: Path, told: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "bert", HeadOnly(), head_learning_rate=0.01, dropout=True)
    assert told == []


def test_files_that_cannot_be_written_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method, chosen = METHODS["below"]
    own = {"data": tmp_path / "data", **chosen}
    run(tmp_path / "usual", "llama", method, **own)
    monkeypatch.setattr(kept_files, "FOLDER", "run.json/kept")  # a file stands in the way
    run(tmp_path / "none", "llama", method, **own)
    assert outcome(tmp_path / "usual") == outcome(tmp_path / "none")


class Counting(Progress):
    """Counts the rows that are computed once."""

    rows = 0

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Any]:
        def tick(done: int = 1, note: str | None = None, total: int | None = None) -> None:
            self.rows += done if "computed once" in name else 0

        yield tick


def test_progress_counts_what_was_found(tmp_path: Path) -> None:
    shown = [Counting(shown=False) for _ in range(2)]
    with sharing_kept(tmp_path):
        for place, own in enumerate(shown):
            chosen = {"data": tmp_path / "data", "head_learning_rate": 0.01, "progress": own}
            run(tmp_path / str(place), "bert", HeadOnly(), **chosen)
    assert shown[0].rows == shown[1].rows > 0
