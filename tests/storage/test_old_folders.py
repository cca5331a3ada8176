"""Prompt folders of before the move, one of every kind, answer as they did, in Python and on the command line.

Expected answers are those of the version that wrote the folders, up to rounding: another processor rounds otherwise.
Tensors only travel from file to file, so that they are the same bytes everywhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import softprompt as sp

from ..fixtures.kinds import ASKED, OUTSIDE, PROMPTS, VERBS, Bench, Made, answers
from ..fixtures.unpacked import alike
from ..shared.commands import ask

# PEFT asks transformers for a name that this deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.usefixtures("inside_old"),
]

OTHERS = {"untold": Made("prompt_tuning"), "no_task": Made("prompt_tuning")}
READ = {**PROMPTS, **OTHERS}


def test_every_old_prompt_is_read_here(old: Path) -> None:
    assert {path.name for path in (old / "prompts").iterdir()} == {*READ, *OUTSIDE}


@pytest.mark.parametrize("name", READ)
def test_a_prompt_answers_as_it_did(name: str, bench: Bench, expected: Any) -> None:
    made = READ[name]
    prompt = sp.load(Path("prompts", name), *bench.backbone(made.backbone))
    alike(answers(prompt, ASKED[made.task]), expected["prompts"][name], 1e-3)


@pytest.mark.parametrize("name", READ)
def test_a_prompt_is_saved_again_as_it_was(name: str, bench: Bench, tmp_path: Path) -> None:
    folder = Path("prompts", name)
    again = sp.save(sp.load(folder, *bench.backbone(READ[name].backbone)), tmp_path / "again")
    assert {path.name for path in again.iterdir()} == {path.name for path in folder.iterdir()}
    for path in folder.glob("*.safetensors"):
        assert (again / path.name).read_bytes() == path.read_bytes()
    before, after = (json.loads((one / "prompt.json").read_text(encoding="utf-8")) for one in (folder, again))
    options = {key: after["options"].get(key) for key in before["options"]}  # those of today stand beside them
    assert {**{key: after.get(key) for key in before}, "options": options} == before


def test_a_prompt_knows_the_rows_that_it_has_seen(bench: Bench) -> None:
    splits = bench.task("words", shots=6, max_test_rows=3).splits(8)
    prompt = sp.load("prompts/prompt_tuning_shots", *bench.backbone("llama"))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (12, 12, 3)
    assert prompt.unseen([*splits.train, *splits.validation, *splits.test]) == splits.test
    rows = bench.task("words").splits(3).train
    assert sp.load("prompts/untold", *bench.backbone("llama")).unseen(rows) == rows


def test_a_prompt_starts_another_one(bench: Bench) -> None:
    method = sp.PromptTuning(num_virtual_tokens=4, init="saved", init_prompt="prompts/prompt_tuning")
    with sp.attach(*bench.backbone("llama"), method) as prompted:
        table = prompted.prompts[0].state_dict()["table"]
    assert torch.equal(table, load_file("prompts/prompt_tuning/prompt.safetensors")["table"])


def test_prompts_of_every_site_serve_one_batch(bench: Bench, expected: Any) -> None:
    names = ["prompt_tuning", "capt", "p_tuning_v2", "dept"]
    model, tokenizer = bench.backbone("llama")
    prompts = {name: sp.load(Path("prompts", name), model, tokenizer) for name in names}
    with sp.attach(model, tokenizer, prompts) as prompted, torch.no_grad():
        batch = prompted.encode(["w20 w41 w42 w30"] * len(names))
        found = prompted(**batch, prompts=names).logits[:, -1, 10:14].tolist()
    alike(found, [expected["prompts"][name]["logits"][0] for name in names], 1e-3)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_tells_what_it_told(verb: str, expected: Any) -> None:
    told = ask(*VERBS[verb], "--json")
    assert (told.code, told.raised) == (0, None), told.err
    before = expected["verbs"][verb]
    alike(_of_then(json.loads(told.out), before), before, 2e-3)


def _of_then(found: Any, before: Any) -> Any:
    """What was told then, of what is told now: a verb may tell more."""
    if isinstance(found, dict) and isinstance(before, dict):
        return {key: _of_then(value, before[key]) for key, value in found.items() if key in before}
    if isinstance(found, list) and isinstance(before, list) and len(found) == len(before):
        return [_of_then(one, other) for one, other in zip(found, before, strict=True)]
    return found
