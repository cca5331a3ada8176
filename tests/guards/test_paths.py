"""Python calls with hostile paths raise `SoftPromptError`, wait for nothing, and change nothing on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.guards.paths import check_file, file_for, folder_for, path_of

from ..attacks.paths import HOSTILE, calls, hostile, try_call
from ..shared.commands import Bench, bench
from ..shared.models import model, tokenizer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_hostile_paths(kind: str, made: Bench) -> None:
    for name, (call, ending, is_folder) in calls(made).items():
        error, _ = try_call(made, call, ending, hostile(is_folder)[kind])
        assert isinstance(error, SoftPromptError), (name, error)
        assert "\n" not in str(error)


def test_a_folder_for_a_file_and_the_reverse(made: Bench) -> None:
    for name, (call, ending, is_folder) in calls(made).items():
        make = list(hostile(is_folder).values())[-1]
        error, _ = try_call(made, call, ending, make)
        assert isinstance(error, SoftPromptError), (name, error)


@pytest.mark.parametrize("name", ["with spaces", "[red]", "ünï", "a\nb", "-", "..x"])
def test_odd_names_work(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "rows.txt").write_text("a text\n")
    assert path_of(folder, "it") == folder
    assert path_of(f"{folder}/", "it") == folder
    assert path_of(folder / ".." / name, "it").samefile(folder)
    assert folder_for(folder / "new", "it") == folder / "new"
    task = sp.Task(template="{text} {mask}", labels=["a", "b"])
    assert len(task.rows_from(folder / "rows.txt")) == 1


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("~/x", "it") == tmp_path / "x"


def test_a_deleted_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: Bench) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for call, ending, _ in calls(made).values():
        with pytest.raises(SoftPromptError):
            call(f"it{ending}")


@pytest.mark.parametrize("kind", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_the_systems_refusals(kind: OSError, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text("x")

    def refuse(*_: object, **__: object) -> None:
        raise kind

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SoftPromptError, match=str(kind.strerror)):
        sp.Task(template="{text} {mask}", labels=["a", "b"]).rows_from(path)
    monkeypatch.setattr(Path, "stat", refuse)
    for call in (lambda: path_of(path, "it"), lambda: check_file(path), lambda: file_for(path, "it")):
        with pytest.raises(SoftPromptError, match=str(kind.strerror)):
            call()


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from softprompt.backbones.cache import cache_folder

    (tmp_path / "file").write_text("x")
    for value in (str(tmp_path / "file" / "x"), "x" * 300, "~nobody-of-that-name", "https://example.org/x"):
        monkeypatch.setenv("SOFTPROMPT_CACHE", value)
        with pytest.raises(SoftPromptError, match="SOFTPROMPT_CACHE"):
            cache_folder()
    monkeypatch.setenv("SOFTPROMPT_CACHE", os.fspath(tmp_path / "new"))
    assert cache_folder() == tmp_path / "new"


def test_a_task_whose_name_is_a_path_gives_no_folder(made: Bench) -> None:
    from softprompt.training.run_folder import output_folder

    assert output_folder(None, "sst2-capt-13") == Path("runs/sst2-capt-13")
    for name in ("../../etc-capt-13", "/etc-capt-13", "a/b-capt-13"):
        with pytest.raises(SoftPromptError, match="give output"):
            output_folder(None, name)


def test_a_run_that_is_refused_leaves_nothing(made: Bench, tmp_path: Path) -> None:
    from softprompt.training.run import train

    from ..shared.models import model, tokenizer

    task = sp.Task.load(made.task, data=made.rows)
    out = tmp_path / "out"
    for options in ({"init_from": str(made.folder)}, {"seed": -1}, {"seed": 1 << 40}):
        with pytest.raises(SoftPromptError):
            train(model("llama"), tokenizer(), task, "prompt_tuning", output=out, progress=False, **options)
        assert not out.exists()


@pytest.mark.parametrize("given", [3, None, 1.5, b"runs", ["runs"]], ids=repr)
def test_what_is_no_path_is_one_line(given: Any) -> None:
    asked: list[Callable[[], object]] = [
        lambda: path_of(given, "run"),
        lambda: sp.load(given, model("llama"), tokenizer()),
        lambda: sp.open_run(given, model("llama"), tokenizer()),
        lambda: sp.similarity_of([given, given]),
    ]
    for call in asked:
        told = f" is of type {type(given).__name__}, and no path| stands where folders belong: give a list of paths"
        with pytest.raises(SoftPromptError, match=told) as error:
            call()
        assert "\n" not in str(error.value)
