"""`rows.safetensors`: what it holds, what a start hands on, and every kind of damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import metrics_of
from softprompt.evaluation.transfer import transfer_metrics
from softprompt.storage.prompt import Prompt
from softprompt.tasks.seen import SeenRows

from ..shared.models import model, tokenizer
from ..shared.runs import run, task

ROWS = "rows.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    method = sp.PromptTuning(num_virtual_tokens=2)
    return run(tmp_path_factory.mktemp("saved"), "llama", method, max_steps=1, evaluations=1).folder


def load(folder: Path) -> Prompt:
    return sp.load(folder, model("llama"), tokenizer())


def test_python_is_told_of_rows_that_were_seen(saved: Path) -> None:
    prompt, own = load(saved / "prompt"), task(saved.parent / "data")
    splits = own.splits(3)
    assert prompt.readout is not None
    assert prompt.seen.division is not None
    assert (prompt.seen.division.seed, prompt.seen.division.protocol) == (3, "one file")
    mixed = [*splits.test, *splits.validation, *(replace(row, label=1 - row.label) for row in splits.train[:3])]
    with prompt.attach() as prompted:
        told = metrics_of(prompted, prompt.readout, own, mixed)
    assert (told["rows"], told["seen_rows"]) == (11, 7)
    assert transfer_metrics(prompt, own, mixed)["seen_rows"] == 7
    assert sp.Ensemble([prompt, prompt]).evaluate(mixed)["seen_rows"] == 7
    assert prompt.unseen(mixed) == sp.Ensemble([prompt]).unseen(mixed) == splits.test


def test_the_hashes_are_sorted_and_small_and_saved_again(saved: Path, tmp_path: Path) -> None:
    hashes = load_file(saved / "prompt" / ROWS)
    assert {name: (one.dtype, len(one)) for name, one in hashes.items()} == {
        "train": (torch.int64, 32),
        "validation": (torch.int64, 4),
    }
    assert (saved / "prompt" / ROWS).stat().st_size < 700
    sp.save(load(saved / "prompt"), tmp_path / "again")
    assert (tmp_path / "again" / ROWS).read_bytes() == (saved / "prompt" / ROWS).read_bytes()


def test_a_prompt_that_starts_from_another_has_seen_its_rows(saved: Path, tmp_path: Path) -> None:
    splits = task(saved.parent / "data").splits(3)
    data = tmp_path / "data"
    data.mkdir()
    lines = [json.dumps({"text": f"w20 w{index}", "label": str(index % 2)}) for index in range(40, 70)]
    (data / "rows.jsonl").write_text("\n".join(lines))
    other = sp.Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"}).with_data(data / "rows.jsonl")
    options: dict[str, Any] = {"max_steps": 1, "evaluations": 1, "progress": False}
    method = sp.PromptTuning(num_virtual_tokens=2)
    starts = {
        "spot": (method, {"init_from": str(saved)}),
        "init": (sp.PromptTuning(num_virtual_tokens=2, init="saved", init_prompt=str(saved)), {}),
    }
    for name, (chosen, more) in starts.items():
        done = sp.train(model("llama"), tokenizer(), other, chosen, output=tmp_path / name, **options, **more)
        again = load(tmp_path / name / "prompt")
        assert again.unseen([*splits.train, *splits.validation, *other.splits(13).train]) == []
        assert again.unseen(splits.test) == splits.test
        assert done.metrics["test"]["seen_rows"] == 0
    # The same table, divided by another seed: test rows of now were the start's to train on.
    again, divided = task(saved.parent / "data"), task(saved.parent / "data").splits(4)
    known = [row for row in divided.test if row.fields not in [one.fields for one in splits.test]]
    done = sp.train(
        model("llama"), tokenizer(), again, method, seed=4, output=tmp_path / "seed", init_from=str(saved), **options
    )
    assert done.metrics["test"]["seen_rows"] == len(known) > 0
    shutil.copytree(saved / "prompt", tmp_path / "old")
    (tmp_path / "old" / ROWS).unlink()
    _meta(tmp_path / "old", lambda meta: meta.pop("rows"))
    done = sp.train(
        model("llama"),
        tokenizer(),
        other,
        method,
        output=tmp_path / "after",
        init_from=str(tmp_path / "old"),
        **options,
    )
    assert done.metrics["test"]["seen_rows"] is None
    assert done.prompt.unseen(other.splits(13).train) == []


def test_a_copy_can_be_saved_that_does_not_tell(saved: Path, tmp_path: Path) -> None:
    sp.save(replace(load(saved / "prompt"), seen=SeenRows()), tmp_path / "copy")
    assert not (tmp_path / "copy" / ROWS).exists()
    assert load(tmp_path / "copy").seen == SeenRows()


def test_a_prompt_without_a_record_loads_and_cannot_know(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved / "prompt", tmp_path / "old")
    (tmp_path / "old" / ROWS).unlink()
    _meta(tmp_path / "old", lambda meta: meta.pop("rows"))
    prompt, rows = load(tmp_path / "old"), task(saved.parent / "data").splits(3).train
    assert prompt.seen == SeenRows()
    assert transfer_metrics(prompt, task(saved.parent / "data"), rows)["seen_rows"] is None
    sp.save(prompt, tmp_path / "again")
    assert not (tmp_path / "again" / ROWS).exists()


def _meta(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    meta = json.loads((folder / "prompt.json").read_text())
    change(meta)
    (folder / "prompt.json").write_text(json.dumps(meta))
    (folder / "manifest.json").unlink(missing_ok=True)  # the change is meant


def _rewrite(folder: Path, **changes: Any) -> None:
    own = load_file(folder / ROWS)
    save_file({name: value for name, value in {**own, **changes}.items() if value is not None}, folder / ROWS)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "gone": (lambda f: (f / ROWS).unlink(), "says that rows were recorded"),
    "alone": (lambda f: _meta(f, lambda m: m.pop("rows")), "no 'rows'"),
    "cut": (lambda f: (f / ROWS).write_bytes((f / ROWS).read_bytes()[:90]), "truncated"),
    "one part": (lambda f: _rewrite(f, train=None), "'train' is missing"),
    "a part more": (lambda f: _rewrite(f, test=torch.zeros(1).long()), "'test' is none of those"),
    "type": (lambda f: _rewrite(f, train=torch.arange(32).int()), "'train' is I32"),
    "shape": (lambda f: _rewrite(f, train=torch.arange(31)), r"shape \(31,\), but .* asks for \(32\)"),
    "order": (lambda f: _rewrite(f, train=torch.arange(32).flip(0)), "not sorted"),
    "twice": (lambda f: _rewrite(f, validation=torch.zeros(4).long()), "not sorted"),
    "no mapping": (lambda f: _meta(f, lambda m: m.update(rows=[1])), "prompt.json: rows"),
    "key": (lambda f: _meta(f, lambda m: m["rows"].pop("seed")), r"rows\.seed: no"),
    "kind": (lambda f: _meta(f, lambda m: m["rows"].update(train="32")), r"rows\.train"),
    "fields": (lambda f: _meta(f, lambda m: m["rows"].update(fields="text")), r"rows\.fields"),
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_damage_is_one_clear_line(kind: str, saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved / "prompt", tmp_path / "copy")
    harm, message = DAMAGE[kind]
    harm(tmp_path / "copy")
    with pytest.raises(SoftPromptError, match=message) as error:
        load(tmp_path / "copy")
    assert "\n" not in str(error.value)
