"""A reader's own readout: one file, from the command line's option to the prompt's file and back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.guards.registry import Entry, defined
from softprompt.readouts import Readout, ReadoutContext, make_readout, readout
from softprompt.readouts.registry import READOUTS
from softprompt.tasks import Task

from ..shared.models import model, tokenizer
from ..shared.plugins import forgotten, installed
from ..shared.readouts import made
from ..shared.runs import run

CODE = """
    from dataclasses import replace

    from softprompt.readouts import make_readout
    from softprompt.errors import SoftPromptError
    from softprompt.readouts.head import Head

    class Hinge(Head):
        name = "hinge"

        def loss_of(self, scores, batch):
            return (1 + scores).relu().mean()

    def hinge(task, context):
        if task.kind != "classification":
            raise SoftPromptError(f"readout 'hinge' tells classes, and task {task.name!r} is no classification")
        inner = make_readout(task, replace(context, spec=context.spec.model_copy(update={"name": "head"})))
        return Hinge(inner.row_encoder, context.hidden_size, 2, inner.pooling, context.filler, None)
"""


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten(monkeypatch, READOUTS)


def test_a_packages_readout_is_trained_stored_and_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, tmp_path / "site", "hinges", {"readouts": {"hinge": "hinges:hinge"}}, {"hinges.py": CODE})
    done = run(tmp_path, "bert", sp.method("prompt_tuning", num_virtual_tokens=2), readout="hinge", max_steps=2)
    folder = tmp_path / "run" / "prompt"
    assert done.metrics["readout"]["name"] == "hinge"
    opened = sp.load(folder, model("bert"), tokenizer())
    assert type(opened.readout).__name__ == "Hinge"
    monkeypatch.setattr("sys.path", [place for place in sys.path if place != str(tmp_path / "site")])
    del READOUTS._entries["hinge"]
    forgotten(monkeypatch, READOUTS)
    with pytest.raises(SoftPromptError, match="readout.name: no readout named 'hinge': .* install the pack") as error:
        sp.load(folder, model("bert"), tokenizer())
    assert str(folder / "prompt.json") in str(error.value)
    assert str(error.value).endswith("brings it, or restore the file or save the prompt again")
    with pytest.raises(SoftPromptError, match="option 'readout' of training: no readout named 'hinge': .* brings it$"):
        run(tmp_path / "more", "bert", sp.method("prompt_tuning", num_virtual_tokens=2), readout="hinge")


def test_a_readout_that_is_no_readout_is_told() -> None:
    @readout("nothing")
    def nothing(task: Task, context: ReadoutContext) -> Readout:
        return None  # type: ignore[return-value]

    with pytest.raises(SoftPromptError, match="readout 'nothing' is a NoneType: have its function give a Readout"):
        made(Task(template="{text} {mask}", labels=["w1", "w2"]), "bert", sp.method("prompt_tuning"), readout="nothing")


def test_a_name_of_the_library_stays_its_own() -> None:
    with pytest.raises(SoftPromptError, match="'head' is registered already, .*choose._head, and .*"):
        READOUTS.add("head", Entry(make_readout, defined(make_readout)))
