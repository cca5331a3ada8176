"""Old names of modules and of what stands in them: each gives what it became, and tells its user so."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

import softprompt
from softprompt.guards.old_names import MODULES, NAMES

from ..shared.imports import modules


@pytest.mark.parametrize("old", MODULES)
def test_a_moved_module_gives_what_its_new_place_has(old: str) -> None:
    new = import_module(f"softprompt.{MODULES[old]}")
    assert old not in modules(), "a module stands there: its old name would never be asked"
    shim = import_module(f"softprompt.{old}")
    assert shim is not new
    own = [name for name, value in vars(new).items() if getattr(value, "__module__", "") == new.__name__]
    for name in (name for name in own if not name.startswith("_") and f"{old}.{name}" not in NAMES):
        with pytest.warns(DeprecationWarning, match=f"softprompt.{old}.{name} is {new.__name__}.{name} now; "):
            assert getattr(shim, name) is getattr(new, name)


@pytest.mark.parametrize("old", NAMES)
def test_a_changed_name_gives_what_it_became(old: str) -> None:
    place, _, name = f"softprompt.{old}".rpartition(".")
    home, _, now = f"softprompt.{NAMES[old]}".rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"softprompt.{old} is {home}.{now} now; "):
        found = getattr(import_module(place), name)
    assert found is getattr(import_module(home), now)


@pytest.mark.parametrize(
    "line",
    [
        "softprompt.Setting",
        "from softprompt.methods import Setting",
        "from softprompt.methods.base import Setting",
        "from softprompt.tasks import fit",
        "from softprompt.attaching import attach",
        "from softprompt.tasks.readouts import Readout",
        "import softprompt.sites.anatomy as old; old.Anatomy",
    ],
)
def test_it_is_told_where_the_old_name_stands(line: str) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        exec(compile(line, "users.py", "exec"), {"softprompt": softprompt})
    assert {(one.category, one.filename) for one in told} == {(DeprecationWarning, "users.py")}


def test_what_never_was_is_not_there() -> None:
    for place in ("", ".attaching", ".tasks", ".methods", ".methods.base"):
        found = import_module(f"softprompt{place}")
        with pytest.raises(AttributeError, match=f"module 'softprompt{place}' has no attribute 'magic'"):
            assert found.magic
    attaching = import_module("softprompt.attaching")
    with pytest.raises(AttributeError, match="the module is softprompt.attached.attach now"):
        assert attaching._own
    for name in ("nowhere", "attaching.inner", "tasks.readouts.nowhere"):
        with pytest.raises(ModuleNotFoundError):
            import_module(f"softprompt.{name}")


def test_no_import_of_the_package_asks_for_an_old_name() -> None:
    names = [f"softprompt.{name}".rstrip(".") for name in modules()]
    line = f"import importlib; [importlib.import_module(name) for name in {names!r}]"
    done = subprocess.run(
        [sys.executable, "-W", "error:softprompt:DeprecationWarning", "-c", line], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_page_of_what_changed_is_right() -> None:
    """Each old name there is one, and gives what the page says."""
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8").partition("## What changed")[2]
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `softprompt.")]
    told = dict(pair for old, new in rows for pair in zip(_full(old), _full(new), strict=True))
    assert len(told) > 10
    assert {old: {**MODULES, **NAMES}.get(old) for old in told} == told


def _full(cell: str) -> list[str]:
    """The names of a cell within the package; one that begins with a point stands where the one before it does."""
    found: list[str] = []
    for name in re.findall(r"`(softprompt)?\.([\w.]+)`", cell):
        found.append(name[1] if name[0] else f"{found[-1].rpartition('.')[0]}.{name[1]}")
    return found
