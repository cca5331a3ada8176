"""Which methods come into question follows from what recipes declare, and bytes are those that would be stored."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

import softprompt as sp
from softprompt.attached.attach import build
from softprompt.compare.shortlist import MOST, Candidate, PassedOver, Terms, shortlist
from softprompt.files.tensors import write_tensors
from softprompt.methods.base import Recipe
from softprompt.methods.default import default_method
from softprompt.methods.registry import methods
from softprompt.readouts import build_readout
from softprompt.storage.prompt import stored_tensors
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import readout_spec

from ..shared.models import model, tokenizer
from ..shared.runs import task as words_task

NONE = TrainingOptions()


@cache
def backbone(family: str) -> sp.Backbone:
    return sp.Backbone(model(family), tokenizer())


@cache
def words() -> sp.Task:
    return words_task(Path(mkdtemp()))


@cache
def usual(family: str, max_bytes: int | None = None) -> tuple[list[Candidate], list[PassedOver]]:
    return listed(family, max_bytes)


def listed(
    family: str, max_bytes: int | None = None, rows: int = 32, options: TrainingOptions = NONE
) -> tuple[list[Candidate], list[PassedOver]]:
    return shortlist(backbone(family), words(), Terms(options, rows, max_bytes))


def evidence(name: str, family: str) -> tuple[int, int]:
    """The order again, from the recipes."""
    own = backbone(family)
    kind = methods()[name]
    if default_method(own).method.name == name:
        return 0, 0
    measured = kind().recipe(own.anatomy.family, own.anatomy.kind).measured_on
    if measured is None or own.anatomy.family in measured:
        return 1, 0
    others = {each for recipe in kind.recipes.values() for each in recipe.measured_on or ()}
    return (2, -len(others)) if others else (3, 0)


@pytest.mark.parametrize("family", ["bert", "llama", "t5", "gemma3"])
def test_the_order_is_that_of_what_recipes_declare(family: str) -> None:
    found, left = usual(family)
    places = [(*evidence(one.method, family), one.stored_bytes) for one in found]
    assert places == sorted(places)
    assert places[0][:2] == (0, 0)
    assert 2 < len(found) <= MOST
    assert sorted(one.method for one in (*found, *left)) == sorted(methods())
    assert all(methods()[one.method].course in ("fit", "layers") for one in found)
    assert "full_finetuning" in {one.method for one in left}


def test_a_rate_that_is_measured_brings_a_method_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "lora" not in [one.method for one in usual("bert")[0]]
    recipes = {"default": Recipe(5e-4, "measured", measured_on=("bert",))}
    monkeypatch.setattr(methods()["lora"], "recipes", recipes)
    found, _ = listed("bert")
    place = [one.method for one in found].index("lora")
    assert found[place].evidence == "its rate was measured on bert"
    others = {one.evidence for one in found[:place]} - {"its recipe is for all families", found[place].evidence}
    assert len(others) == 1  # the default's, which is the first
    assert found[0].evidence in others


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_bytes_are_those_of_the_file(tmp_path: Path, family: str) -> None:
    own, task = backbone(family), words()
    for one in (*usual(family)[0], *usual(family, 2000)[0]):
        method = sp.method(one.method, **one.method_options)
        made = build(own, method)
        readout = build_readout(task, own, made, readout_spec(own.model, task, method, NONE))
        write_tensors(tmp_path / "tensors", stored_tensors(made, readout))
        assert (one.method, one.stored_bytes) == (one.method, (tmp_path / "tensors").stat().st_size)


def test_a_prompt_that_is_too_large_is_made_smaller_or_left_out() -> None:
    whole, _ = usual("bert")
    most = 2000
    small, left = usual("bert", most)
    assert all(one.stored_bytes <= most for one in small)
    own = {one.method: one for one in small}
    for one in whole:
        if one.stored_bytes > most and one.method in own:
            (name, count), *_ = own[one.method].method_options.items()
            default = getattr(sp.method(one.method), name)
            assert count in {default >> times for times in range(1, 10)}
    assert own["p_tuning_v2"].method_options == {"num_virtual_tokens": 1}
    told = {one.method: one for one in left}["bitfit"]
    assert told.why.startswith("it stores 5,764 bytes")
    assert told.stored_bytes == 5764


def test_many_rows_have_fewer_passes_unless_the_user_says_how_many() -> None:
    found, _ = listed("bert", rows=100_000)
    assert {one.training_options["epochs"] for one in found} == {3}
    assert not any(one.training_options for one in usual("bert")[0])
    options = TrainingOptions(max_steps=5)
    assert not any(one.training_options for one in listed("bert", rows=100_000, options=options)[0])
