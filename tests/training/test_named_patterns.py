"""Patterns by name among templates: hard prompts are compared in their words, soft words start from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, HardPrompt, SoftWords
from softprompt.tasks import Task
from softprompt.training.begun import RunRecord
from softprompt.training.run import Run, train

from ..shared import runs
from ..shared.models import model, tokenizer
from ..shared.tables import told

PATTERNS = {
    "asked": {"template": "{text} w9{prompt} w8 {mask}", "templates": {"mask": "{text} w9{prompt} w8 {mask} w7"}},
    "others": {"template": "w6 {text} w7 {mask}", "labels": {"0": "w12", "1": "w13"}},
}


def task(folder: Path, **options: Any) -> Task:
    return runs.task(folder / "data", patterns=PATTERNS, **options)


def trained(folder: Path, family: str, method: Any, own: Task | None = None, **options: Any) -> Run:
    given = {"max_steps": 1, "evaluations": 1, "seed": 3, "progress": False, "output": folder / "run", **options}
    return train(model(family), tokenizer(), own or task(folder), method, **given)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_hard_prompts_are_compared_in_their_own_words(family: str, tmp_path: Path) -> None:
    """Each as if it were trained with --template; the best of them answers."""
    names = ("Asked", "others", "w5 {text} {mask}")
    run = trained(tmp_path, family, HardPrompt(templates=names))
    own = task(tmp_path)
    alone = [own.with_template(name) for name in names]
    measured = [
        trained(tmp_path / str(index), family, HardPrompt(), one).metrics["validation"]
        for index, one in enumerate([own, *alone])
    ]
    tried = run.metrics["templates"]
    assert [one["validation"]["loss"] for one in tried] == [one["loss"] for one in measured]
    place = min(range(4), key=lambda index: (-measured[index]["accuracy"], measured[index]["loss"]))
    best = [own, *alone][place]
    readout = "mask" if family == "bert" else "text"
    assert run.prompt.task is not None
    assert run.prompt.task.template_for(readout) == best.template_for(readout)
    assert run.prompt.task.labels == best.labels


def test_what_a_name_stands_for_is_part_of_the_run(tmp_path: Path) -> None:
    """Under another text of that name it is another run, and a run goes on with what it recorded."""
    method = HardPrompt(templates=("asked",))
    trained(tmp_path, "llama", method)
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())
    assert recorded["patterns"]["asked"]["template"] == "{text} w9{prompt} w8 {mask}"
    again = RunRecord.read(tmp_path / "run").task(tmp_path / "run")
    assert again.with_template("asked").template == "{text} w9{prompt} w8 {mask}"
    other = runs.task(tmp_path / "data", patterns={"asked": {"template": "{text} w5 {mask}"}})
    with pytest.raises(SoftPromptError, match=r"another patterns\.asked\.template"):
        trained(tmp_path, "llama", method, other, resume=True)
    trained(tmp_path, "llama", CaPT(), output=tmp_path / "capt")
    assert "patterns" not in json.loads((tmp_path / "capt" / "run.json").read_text())


@pytest.mark.parametrize(("family", "expected"), [("llama", "{text} w9 w8 {mask}"), ("bert", "{text} w9 w8 {mask} w7")])
def test_soft_words_start_from_a_patterns_words(family: str, expected: str, tmp_path: Path) -> None:
    run = trained(tmp_path, family, SoftWords(prompts=("asked", "{text} w5 {mask}")))
    assert isinstance(run.prompt.method, SoftWords)
    assert run.prompt.method.prompts == (expected, "{text} w5 {mask}")
    recorded = json.loads((tmp_path / "run" / "run.json").read_text())
    assert recorded["method_options"]["prompts"] == [expected, "{text} w5 {mask}"]


@pytest.mark.parametrize(
    ("method", "parts"),
    [
        (HardPrompt(templates=("askd",)), ("no template 'askd'", "did you mean 'asked'?")),
        (SoftWords(prompts=("askd",)), ("no template 'askd'", "did you mean 'asked'?")),
        (SoftWords(prompts=("asked", "others")), ("'others'", "answers with w12, w13", "with w10, w11")),
    ],
)
def test_names_that_cannot_be_are_told(method: Any, parts: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError) as error:
        trained(tmp_path, "llama", method)
    told(error, *parts)
