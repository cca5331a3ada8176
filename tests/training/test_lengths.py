"""Rows have 256 tokens, or 512 where the task's are longer, unless the user says how many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.errors import Interrupted, SoftPromptError
from softprompt.tasks import Task
from softprompt.training.run import Run, train

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.runs import Interrupting, Listening

QUICK: dict[str, Any] = {"max_steps": 4, "evaluations": 1, "batch_size": 2, "learning_rate": 1e-2, "seed": 3}


def rows(part: str, words: int = 3) -> list[dict[str, str]]:
    """Eight rows, of which the last has so many words."""
    first = {"train": 10, "validation": 40, "test": 70}[part]
    texts = [f"w{first + n} w{first + n + 8}" for n in range(7)]
    texts.append(" ".join(f"w{first + n % 20}" for n in range(words)))
    return [{"text": text, "label": str(n % 2)} for n, text in enumerate(texts)]


def own(**words: int) -> Task:
    parts = {part: rows(part, words.get(part, 3)) for part in ("train", "validation", "test")}
    task = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    return task.with_data(parts["train"], validation_data=parts["validation"], test_data=parts["test"])


def begin(folder: Path, task: Task, family: str = "t5", method: str = "prompt_tuning", **options: Any) -> Run:
    given = {"output": folder / "run", "progress": False, **QUICK, **options}
    return train(model(family), tokenizer(), task, METHODS[method], **given)


def stored(done: Run) -> int:
    return int(json.loads((done.folder / "prompt" / "prompt.json").read_text())["readout"]["max_length"])


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_longer_rows_of_any_part_have_room(part: str, tmp_path: Path) -> None:
    listening = Listening()
    done = begin(tmp_path, own(**{part: 300}), progress=listening)
    assert stored(done) == 512
    told = [line for line in listening.lines if "max_length" in line]
    assert told == ["  max_length: 512, since there are rows of more than 256 tokens; --max-length names another"]


def test_more_than_the_default_is_cut_and_told_with_its_share(tmp_path: Path) -> None:
    listening = Listening()
    done = begin(tmp_path, own(train=900), progress=listening)
    assert stored(done) == 512
    assert any(
        "1 of 16 training and validation rows (6 %) were cut to fit max_length" in line for line in listening.lines
    )


def test_an_explicit_number_counts_and_so_do_the_backbones_positions(tmp_path: Path) -> None:
    listening = Listening()
    task = own(train=300)
    assert stored(begin(tmp_path / "asked", task, max_length=256, progress=listening)) == 256
    assert stored(begin(tmp_path / "long", own(), max_length=700)) == 700
    assert stored(begin(tmp_path / "short", own(), progress=listening)) == 256
    assert stored(begin(tmp_path / "few", task, "bert", progress=listening)) == 256  # it has 64
    assert not [line for line in listening.lines if "max_length:" in line and "cut to fit" not in line]


def test_virtual_tokens_count(tmp_path: Path) -> None:
    many = METHODS["prompt_tuning"].model_copy(update={"num_virtual_tokens": 200})
    common = {"progress": False, **QUICK}
    lengths = {}
    for name, method in (("few", METHODS["prompt_tuning"]), ("many", many)):
        done = train(model("t5"), tokenizer(), own(train=100), method, output=tmp_path / name, **common)
        lengths[name] = stored(done)
    assert lengths == {"few": 256, "many": 512}


@pytest.mark.parametrize(("family", "method"), [("t5", "capt"), ("llama", "prompt_tuning"), ("bert", "p_tuning_v2")])
def test_the_bytes_of_a_run_whose_rows_fit_do_not_depend_on_it(family: str, method: str, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    found = set()
    for place, options in enumerate(({}, {"max_length": 256}, {"max_length": 512})):
        done = begin(tmp_path / str(place), own(train=20), family, method, **options)
        found.add((done.folder / "prompt" / "prompt.safetensors").read_bytes())
    assert len(found) == 1
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_of_before_goes_on_with_what_it_had(tmp_path: Path) -> None:
    """Its record has 256 among the options, whether the user gave it or not."""
    task = own(train=300)
    whole = begin(tmp_path / "whole", task, max_length=256)
    with pytest.raises(Interrupted):
        begin(tmp_path / "then", task, max_length=256, progress=Interrupting(2))
    done = begin(tmp_path / "then", task, resume=True)
    one, other = ((run.folder / "prompt" / "prompt.safetensors").read_bytes() for run in (whole, done))
    assert one == other
    assert stored(done) == 256
    assert begin(tmp_path / "then", task, resume=True).metrics == done.metrics
    with pytest.raises(SoftPromptError, match=r"another readout.max_length \(256 then, 512 now\)"):
        begin(tmp_path / "then", task, resume=True, max_length=512)


def test_a_run_with_a_number_of_the_users_does_not_go_on_without_it(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        begin(tmp_path, own(), max_length=64, progress=Interrupting(2))
    with pytest.raises(SoftPromptError, match=r"another readout.max_length \(64 then, 256 now\): give the same"):
        begin(tmp_path, own(), resume=True)
    assert stored(begin(tmp_path, own(), resume=True, max_length=64)) == 64
