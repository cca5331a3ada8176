"""Prompts in memory: what room they take, who leaves first, and who stays while somebody needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.nn import Module

from softprompt.errors import SoftPromptError
from softprompt.serving import shelf as shelf_module
from softprompt.serving.folder import folder_of_prompts, look_at
from softprompt.serving.shelf import NotServed, Shelf

from ..shared.served import backbone, put


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("shelf") / "prompts"
    for seed, name in enumerate("abc"):
        put(found, name, "bert", "prompt_tuning", {"num_virtual_tokens": 4}, seed=seed)
    return found.resolve()


SIZE = 4 * 32 * 4  # bytes of one


def test_who_was_asked_least_lately_leaves_and_comes_back(root: Path) -> None:
    shelf = Shelf(backbone("bert"), root, 2 * SIZE + SIZE // 2)
    shelf.look()
    assert (shelf.names, shelf.in_memory, shelf.bytes) == (["a", "b", "c"], 2, 2 * SIZE)
    for name in "abca":
        shelf.give_back(shelf.take(name))
        assert shelf.in_memory == 2
    assert {one.split("#")[0] for one in shelf.prompted.names} == {"a", "c"}
    first = shelf.take("a")
    shelf.give_back(shelf.take("b"))
    shelf.give_back(shelf.take("c"))
    assert first.slot in shelf.prompted.names  # it is in use, so the others made room
    shelf.give_back(first)
    shelf.close()
    assert shelf.prompted._gate.closed


def test_who_is_in_use_stays_where_its_folder_goes(root: Path, tmp_path: Path) -> None:
    import shutil

    own = tmp_path.resolve() / "prompts"
    shutil.copytree(root, own)
    shelf = Shelf(backbone("bert"), own)
    shelf.look()
    held = shelf.take("a")
    shutil.rmtree(own / "a")
    shelf.look()
    assert held.slot in shelf.prompted.names
    with pytest.raises(NotServed, match="'a' is not served"):
        shelf.take("a")
    shelf.give_back(held)
    shelf.look()
    assert held.slot not in shelf.prompted.names
    shelf.close()


def test_names_are_of_one_pattern_and_lead_nowhere_else(root: Path, tmp_path: Path) -> None:
    own = tmp_path.resolve() / "prompts"
    for name in (".hidden", "a b", "x" * 65, "empty"):
        (own / name).mkdir(parents=True)
    (own / "file").write_text("")
    (own / "out").symlink_to(root / "a")
    (own / "run").mkdir()
    (own / "run" / "prompt").symlink_to(root / "a")
    found = look_at(own)
    assert not found.prompts
    assert {name: why.rsplit(":", 1)[0].split(": ")[1][:14] for name, why in found.faults.items()} == {
        "a b": "no name of a p", "x" * 65: "no name of a p", "empty": "no prompt in i",
        "out": "is a link that", "run": "is a link that",
    }  # fmt: skip
    with pytest.raises(SoftPromptError, match="is not there: name a folder"):
        folder_of_prompts(tmp_path / "nothing")
    with pytest.raises(SoftPromptError, match="is a file: name a folder"):
        folder_of_prompts(own / "file")


def test_a_prompt_of_another_backbone_is_told_and_stops_no_other(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(backbone("roberta"), root)
    shelf.look()
    shelf.look()
    assert shelf.names == []
    assert all("made for another backbone" in why for why in shelf.faults.values())
    assert len(caplog.records) == len(shelf.faults) == 3
    shelf.close()


@pytest.mark.parametrize("fault", [SoftPromptError, RuntimeError])
@pytest.mark.parametrize("place", ["lower", "add", "about_of"])
def test_a_prompt_at_which_something_fails_leaves_the_shelf_as_it_was(
    place: str, fault: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path.resolve() / "prompts"
    put(own, "a", "llama", "prompt_tuning", {"num_virtual_tokens": 2})
    shelf = Shelf(backbone("llama"), own)
    shelf.look()
    before = (shelf.prompted.names[:], shelf.in_memory, shelf.bytes)
    owner: Any = shelf.prompted if place == "add" else shelf_module
    right = getattr(owner, place)

    def failing(*given: Any) -> Any:
        if not any("b" in str(getattr(one, "name", one)).split("#")[0] for one in given if not isinstance(one, Module)):
            return right(*given)
        if place == "add" and "lowered" not in given[0]:
            return right(*given)
        raise fault("it breaks here")

    for seed, (name, kind) in enumerate((("b", "prompt_tuning"), ("c", "deep_prompt")), 1):
        put(own, name, "llama", kind, {"num_virtual_tokens": 2}, seed)
    with monkeypatch.context() as broken:
        broken.setattr(owner, place, failing)
        for _ in range(2):
            shelf.look()
            assert shelf.names == ["a", "c"]
            assert "it breaks here" in shelf.faults["b"]
            assert not any(one.startswith("b#") for one in shelf.prompted.names)
        with pytest.raises(NotServed):
            shelf.take("b")
        shelf._retire("c")
        shelf.look()
        assert (shelf.prompted.names[:], shelf.in_memory, shelf.bytes) == before
    shelf.look()
    assert ("b" in shelf.names) is (fault is RuntimeError)  # what was not foreseen is tried again
    shelf.close()
    assert shelf.prompted._gate.closed
