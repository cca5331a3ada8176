"""Tasks of a reader's own and of installed packages: known by name as those of the catalog are."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task, register_task
from softprompt.tasks.registry import TASKS

from ..shared.commands import ask
from ..shared.plugins import forgotten, installed

YAML = "template: '{text} It was {mask}.'\nlabels: [terrible, great]\naliases: [five_stars]\n"
TASK = "sp.Task(name='stars', template='{text} {mask}', labels=['w1', 'w2'])"
CODE = f"import softprompt as sp\ndef made():\n  return {TASK}\n"


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten(monkeypatch, TASKS)


def folder_of(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str) -> None:
    """Install a package that brings a folder of YAML files."""
    own = {"asking/__init__.py": "", **{f"asking/{name}.yaml": text for name, text in files.items()}}
    installed(monkeypatch, folder, "asking", {"tasks": {"all": "asking"}}, own)


def test_a_packages_folder_of_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder_of(monkeypatch, tmp_path, stars=YAML, moons=YAML.replace("five_stars", "sst-2"))
    assert {"stars", "moons", "sst2"} <= set(Task.catalog())
    assert Task.load("Stars").template == "{text} It was {mask}."
    assert Task.load("five-stars").name == "stars"
    assert Task.load("SST-2").name == "sst2"  # an alias takes no name of another task
    assert ask("tasks", "stars").out.startswith("name: stars")


@pytest.mark.parametrize("code", [CODE, f"{CODE}made = made()", f"{CODE}made = staticmethod(made)"])
def test_a_task_that_code_makes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    installed(monkeypatch, tmp_path, "making", {"tasks": {"stars": "making:made"}}, {"making.py": code})
    same = Task(name="stars", template="{text} {mask}", labels=["w1", "w2"])
    assert Task.load("stars").model_dump() == same.model_dump()


def test_a_decorated_function() -> None:
    def stars() -> Task:
        return Task(name="stars", template="{text} {mask}", labels=["w1", "w2"])

    assert register_task(stars) is stars
    register_task(stars)
    assert Task.load("stars").model_dump() == stars().model_dump()

    def sst_2() -> Task:
        return stars().model_copy(update={"name": "SST-2"})

    with pytest.raises(SoftPromptError, match=r"'SST-2' is registered already, sst2.yaml of the catalog, .*sst_2"):
        register_task(sst_2)


BROKEN = {
    "no file": ({"asking/__init__.py": ""}, "asking", "holds .yaml files"),
    "a module": ({"asking.py": ""}, "asking", "holds .yaml files"),
    "no package": ({}, "asking", "ModuleNotFoundError"),
    "a number": ({"asking.py": "stars = 3"}, "asking:stars", "3 is no Task"),
    "a fault in it": (
        {"asking.py": "import softprompt as sp\nstars = sp.Task(template='x')"},
        "asking:stars",
        "no field",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_package_takes_no_other_task_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str) -> None:
    files, value, said = BROKEN[case]
    installed(monkeypatch, tmp_path, "asking", {"tasks": {"stars": value}}, files)
    assert Task.load("rte").name == "rte"
    with pytest.raises(SoftPromptError, match=f"task 'stars' of package asking 1.0 .*{said}") as error:
        Task.load("stars")
    assert "\n" not in str(error.value)
    with pytest.raises(SoftPromptError, match="no task 'moons'; .*yaml; task 'stars' of package asking 1.0") as unknown:
        Task.load("moons")  # which may have been one of the package's
    assert "\n" not in str(unknown.value)
    told = ask("tasks")
    assert told.code == 0
    assert f"fails: {error.value}" in told.out
    assert " rte " in told.out


def test_a_file_with_a_fault_fails_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder_of(monkeypatch, tmp_path, stars=YAML, moons="template: [", suns="labels: [a, b]")
    assert Task.load("stars").name == "stars"
    for name, said in (("moons", "moons.yaml"), ("suns", "suns.yaml.*'template' is missing")):
        with pytest.raises(SoftPromptError, match=said):
            Task.load(name)
    told = ask("tasks")
    assert told.code == 0
    assert told.out.count("\nfails: ") == 2
    with pytest.raises(SoftPromptError, match="no task 'nothing-like-it'; the tasks are"):
        Task.load("nothing-like-it")
