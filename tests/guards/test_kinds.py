"""A public call that is given something else than a prompt, a task or a method says so in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.guards.kinds import check_kind, several

from ..shared.members import few, member
from ..shared.models import model, tokenizer

Made = dict[str, Any]
QUICK: dict[str, Any] = {"max_steps": 1, "evaluations": 1, "batch_size": 4, "progress": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("kinds")
    task, _ = few(folder / "rows")
    method = sp.method("prompt_tuning", num_virtual_tokens=2)
    prompt = member(task, "bert", method, 1)
    backbone = sp.Backbone(model("bert"), tokenizer())
    return {"task": task, "prompt": prompt, "method": method, "rows": task.splits().test, "backbone": backbone,
            "new": folder / "new"}  # fmt: skip


# Of each call: what it is called, what is wanted, and what of `made` that may be; None is the default of some.
CALLS: dict[str, tuple[str, Callable[[Made, Any], object], tuple[str, ...]]] = {
    "push": ("prompt", lambda m, x: sp.push(x, "owner/name"), ("prompt",)),
    "save": ("prompt", lambda m, x: sp.save(x, m["new"]), ("prompt",)),
    "evaluate": ("prompt", lambda m, x: sp.evaluate(x, m["rows"]), ("prompt",)),
    "evaluate task": ("task", lambda m, x: sp.evaluate(m["prompt"], m["rows"], task=x), ("task", "None")),
    "evaluate rows": ("rows", lambda m, x: sp.evaluate(m["prompt"], x), ("rows",)),
    "pooled_metrics": ("prompt", lambda m, x: sp.pooled_metrics(x, m["rows"]), ("prompt",)),
    "pooled_metrics task": ("task", lambda m, x: sp.pooled_metrics(m["prompt"], m["rows"], task=x), ("task", "None")),
    "transfer_metrics": ("prompt", lambda m, x: sp.transfer_metrics(x, m["task"], m["rows"]), ("prompt",)),
    "transfer_metrics task": ("task", lambda m, x: sp.transfer_metrics(m["prompt"], x, m["rows"]), ("task",)),
    "anchor": ("prompt", lambda m, x: sp.anchor(x, m["rows"]), ("prompt",)),
    "anchor list": ("prompt", lambda m, x: sp.anchor([x], m["rows"]), ("prompt",)),
    "nearest_words": ("prompt", lambda m, x: sp.nearest_words(x), ("prompt",)),
    "Ensemble": ("prompt", lambda m, x: sp.Ensemble(x), ()),
    "Ensemble list": ("prompt", lambda m, x: sp.Ensemble([m["prompt"], x]), ("prompt",)),
    "attach": ("prompt", lambda m, x: sp.attach(m["backbone"], x), ("prompt", "method")),
    "export": ("prompt", lambda m, x: sp.export(x, m["new"], to="peft"), ("prompt",)),
    "train": ("task", lambda m, x: sp.train(m["backbone"], x, "prompt_tuning", output=m["new"], **QUICK), ("task",)),
    "train method": (
        "method", lambda m, x: sp.train(m["backbone"], m["task"], x, output=m["new"], **QUICK), ("method", "None")),
    "train preset": (
        "preset",
        lambda m, x: sp.train(m["backbone"], m["task"], "capt", output=m["new"], preset=x, **QUICK), ("None",)),
    "train_auto": ("task", lambda m, x: sp.train_auto(m["backbone"], x, output=m["new"], minutes=0.01), ("task",)),
    "train_multitask": ("task", lambda m, x: sp.train_multitask(m["backbone"], x, "mpt", output=m["new"]), ()),
    "train_multitask list": (
        "task", lambda m, x: sp.train_multitask(m["backbone"], [m["task"], x], "mpt", output=m["new"]), ("task",)),
    "train_multitask method": (
        "method", lambda m, x: sp.train_multitask(m["backbone"], [m["task"]] * 2, x, output=m["new"]), ("method",)),
    "select_layers": ("task", lambda m, x: sp.select_layers(m["backbone"], x, "spt", output=m["new"]), ("task",)),
    "select_layers method": (
        "method", lambda m, x: sp.select_layers(m["backbone"], m["task"], x, output=m["new"]), ("method",)),
    "select_layers arms": (
        "arms", lambda m, x: sp.select_layers(m["backbone"], m["task"], "spt", arms=x, output=m["new"]), ()),
    "untrained": ("task", lambda m, x: sp.untrained(m["backbone"], x, "hard_prompt"), ("task",)),
    "untrained method": ("method", lambda m, x: sp.untrained(m["backbone"], m["task"], x), ("method",)),
    "method": ("name of a method", lambda m, x: sp.method(x), ()),
    "Task.load": ("name of a task", lambda m, x: sp.Task.load(x), ()),
    "read_anatomy": ("model", lambda m, x: sp.read_anatomy(x), ("backbone",)),
    "register": ("method", lambda m, x: sp.register(x), ()),
    "register_anatomy": ("family", lambda m, x: sp.register_anatomy(x, lambda _: None), ("text",)),  # type: ignore[arg-type,return-value]
    "register_anatomy read": ("", lambda m, x: sp.register_anatomy("no_such_family", x), ("class",)),
    "layer_patterns": ("folders", lambda m, x: sp.layer_patterns(x), ()),
    "similarity_of": ("folders", lambda m, x: sp.similarity_of(x), ()),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_what_is_of_another_kind_is_told_in_one_line(call: str, made: Made) -> None:
    what, asks, right = CALLS[call]
    wrong = {**made, "None": None, "text": "no such thing", "path": Path("no/such"), "number": 3, "list": [3],
             "class": Made, "object": object()}  # fmt: skip
    wrong = {name: value for name, value in wrong.items() if name not in (*right, "new")}
    for name, value in wrong.items():
        with pytest.raises(SoftPromptError) as told:
            asks(made, value)
        assert "\n" not in str(told.value)
        if what in ("prompt", "task") and name != "list" and call not in ("export", "attach"):
            assert str(told.value).startswith(call.split()[0]), name
            lines = (f"stands where the {what} belongs: ", f"stands where {what}s belong: ", "leave `tokenizer` out")
            assert any(line in str(told.value) for line in lines)
    assert not made["new"].exists()


def test_a_run_is_told_where_its_prompt_is(made: Made) -> None:
    run = sp.Run(Path("run"), None, made["prompt"])  # type: ignore[arg-type]  # it is not measured
    with pytest.raises(SoftPromptError, match=r"save: Run stands where the prompt belongs: give its \.prompt"):
        sp.save(run, made["new"])  # type: ignore[arg-type]


def test_several_are_taken_from_whatever_holds_them() -> None:
    assert several("anchor", "rows", (one for one in (1, 2)), int) == [1, 2]
    for bad in ("text", Path("path"), 3, None, {"task": "x"}, sp.method("capt")):
        with pytest.raises(SoftPromptError, match="stands where"):
            several("similarity_of", "tasks", bad, int)
    check_kind("save", "prompt", True, (bool, int))
