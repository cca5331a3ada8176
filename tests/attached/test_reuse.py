"""Request after request goes through what is attached already, and never through what no longer serves."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt.attached import model as attached_model

from ..shared.models import fresh, tokenizer
from ..shared.runs import QUICK, task

TEXTS = ["w20 w41 w42", "w30 w61"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("reuse")
    backbone = sp.Backbone(fresh("bert"), tokenizer())
    sp.train(backbone, task(folder / "data"), "prompt_tuning", output=folder / "run", progress=False, **QUICK)
    return folder / "run", backbone


@pytest.fixture
def prompt(made: tuple[Path, sp.Backbone]) -> sp.Prompt:
    return sp.open_run(*made).prompt


@pytest.fixture
def attachings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every set of hooks that is made."""
    done: list[int] = []
    hooks = attached_model.Hooks
    monkeypatch.setattr(attached_model, "Hooks", lambda anatomy: done.append(1) or hooks(anatomy))
    return done


def test_requests_while_it_is_attached_attach_nothing(prompt: sp.Prompt, attachings: list[int]) -> None:
    expected, own = prompt.predict(TEXTS), {id(one): type(one) for one in prompt.model.modules()}
    before = len(attachings)
    with prompt.attach() as prompted:
        kinds = [type(one) for one in prompt.model.modules()]
        for _ in range(20):
            assert prompt.predict(TEXTS) == expected
            assert [one.prediction for one in prompt.outcomes(TEXTS)]
        assert [type(one) for one in prompt.model.modules()] == kinds
        with ThreadPoolExecutor(4) as pool:
            assert all(found == expected for found in pool.map(prompt.predict, [TEXTS] * 8))
        assert prompted.names == [prompt.name]
    assert len(attachings) == before + 1
    assert {id(one): type(one) for one in prompt.model.modules()} == own
    assert prompt.predict(TEXTS) == expected
    assert len(attachings) == before + 2


def test_members_as_well(prompt: sp.Prompt, attachings: list[int]) -> None:
    both = sp.Ensemble([prompt, prompt])
    expected = both.predict(TEXTS)
    attachings.clear()
    with both.attach():
        assert all(both.predict(TEXTS) == expected for _ in range(5))
    assert len(attachings) == 1


WAYS = ("dropped", "detached", "one more", "other values", "another backbone", "a call is open")


@pytest.mark.parametrize("way", WAYS)
def test_what_no_longer_serves_is_left_alone(way: str, prompt: sp.Prompt, made: Any, attachings: list[int]) -> None:
    expected = prompt.predict(TEXTS)
    prompted: Any = prompt.attach()
    attachings.clear()
    if way == "dropped":
        del prompted
        gc.collect()
    elif way == "detached":
        prompted.detach()
    elif way == "one more":
        prompted.add("other", sp.open_run(*made).prompt.producer)
    elif way == "other values":
        prompt.producer = sp.open_run(*made).prompt.producer
    elif way == "another backbone":
        prompt.model = fresh("bert")
    if way == "a call is open":
        with prompted.calling((0,)):
            assert prompt.predict(TEXTS) == expected
    else:
        assert prompt.predict(TEXTS) == expected
    assert len(attachings) == 1
    if way not in ("dropped", "detached"):
        prompted.detach()


def test_it_is_not_detached_under_a_request(prompt: sp.Prompt) -> None:
    prompted = prompt.attach()
    with prompt.attached() as same:
        assert same is prompted
        with pytest.raises(sp.SoftPromptError, match="running here: detach once it is done"):
            prompted.detach()
    prompted.detach()
