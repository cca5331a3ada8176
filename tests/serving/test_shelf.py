"""Prompts in memory: what room they take, who leaves first, and who stays while somebody needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
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
