"""One registry for all that packages bring: a name is had once, and what is broken breaks nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.guards.registry import Entry, Registry, defined

from ..shared.plugins import installed


class Tool:
    """What the registry of these tests holds."""


class Other(Tool):
    """Another one."""


def unpack(name: str, given: object) -> list[tuple[str, Entry[type[Tool]]]]:
    if not (isinstance(given, type) and issubclass(given, Tool)):
        raise SoftPromptError(f"{given} is no tool")
    return [(name, Entry(given, defined(given)))]


@pytest.fixture
def tools() -> Registry[type[Tool]]:
    made: Registry[type[Tool]] = Registry("tool", unpack)
    made.add("hammer", Entry(Tool, defined(Tool)))
    return made


def test_a_taken_name_is_an_error_that_names_both(tools: Registry[type[Tool]]) -> None:
    tools.add("hammer", Entry(Tool, defined(Tool)))  # a reload
    here = __name__.replace(".", r"\.")
    with pytest.raises(SoftPromptError, match=rf"'hammer' is registered already, {here}\.Tool, and {here}\.Other"):
        tools.add("hammer", Entry(Other, defined(Other)))
    assert tools.get("hammer") is Tool


def test_the_same_name_in_another_module_is_another_thing(tools: Registry[type[Tool]]) -> None:
    stranger = type("Tool", (Tool,), {"__module__": "elsewhere", "__qualname__": "Tool"})
    with pytest.raises(SoftPromptError, match=r"elsewhere\.Tool"):
        tools.add("hammer", Entry(stranger, defined(stranger)))


@pytest.mark.parametrize("name", ["", None, 3])
def test_what_has_no_name_is_refused(tools: Registry[type[Tool]], name: str) -> None:
    with pytest.raises(SoftPromptError, match="which is no name"):
        tools.add(name, Entry(Other, defined(Other)))


GOOD = "from tests.guards.test_registry import Other as saw"
BROKEN = {
    "a library that is missing": ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
    "no Python": ("def :", "SyntaxError"),
    "what raises": ("raise ValueError('first\\nsecond \\x1b[31m')", r"ValueError: first\\nsecond \\x1b"),
    "an exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "a name that has gone": ("from softprompt.methods import NoMore", "ImportError: cannot import name 'NoMore'"),
    "no such attribute": ("", "AttributeError"),
    "another kind of thing": ("saw = 3", "3 is no tool"),
    "an exception of no kind": ("class Odd(BaseException): ...\nraise Odd", "Odd: update"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_package_fails_for_its_own_name_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tools: Registry[type[Tool]], case: str
) -> None:
    code, said = BROKEN[case]
    points = {"saw": "broken_package:saw"}
    installed(monkeypatch, tmp_path / "broken", "broken", {"tools": points}, {"broken_package.py": code})
    installed(
        monkeypatch, tmp_path / "good", "good", {"tools": {"file": "good_package:saw"}}, {"good_package.py": GOOD}
    )
    assert tools.all() == {"file": Other, "hammer": Tool}
    with pytest.raises(
        SoftPromptError, match=rf"tool 'saw' of package broken 1\.0 \(broken_package:saw\) cannot be used: .*{said}"
    ) as error:
        tools.get("saw")
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("update the package, or uninstall it")
    assert tools.faults() == [str(error.value)]
    with pytest.raises(SoftPromptError, match="no tool named 'axe': choose from file, hammer"):
        tools.get("axe")


def test_a_package_takes_no_name_of_the_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tools: Registry[type[Tool]]
) -> None:
    installed(monkeypatch, tmp_path, "thief", {"tools": {"hammer": "thief_package:saw"}}, {"thief_package.py": GOOD})
    assert tools.all() == {"hammer": Tool}
    assert tools.get("hammer") is Tool
    (fault,) = tools.faults()
    assert "package thief 1.0" in fault
    assert "test_registry.Tool" in fault
    assert "test_registry.Other" in fault


def test_a_name_that_two_packages_claim_is_neither_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tools: Registry[type[Tool]]
) -> None:
    for package in ("one", "two"):
        code = "from tests.guards.test_registry import Tool\nclass Saw(Tool): ..."
        points = {"saw": f"{package}_package:Saw"}
        installed(monkeypatch, tmp_path / package, package, {"tools": points}, {f"{package}_package.py": code})
    assert tools.all() == {"hammer": Tool}
    with pytest.raises(SoftPromptError, match="cannot be used") as error:
        tools.get("saw")
    assert "one_package.Saw" in str(error.value)
    assert "two_package.Saw" in str(error.value)


def test_packages_are_read_where_the_library_does_not_know_a_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tools: Registry[type[Tool]]
) -> None:
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'read')!r}).touch()\n{GOOD}"
    installed(monkeypatch, tmp_path / "late", "late", {"tools": {"saw": "late_package:saw"}}, {"late_package.py": code})
    assert tools.get("hammer") is Tool
    assert not (tmp_path / "read").exists()
    assert tools.get("saw") is Other
    assert (tmp_path / "read").exists()


def test_what_a_package_registered_before_it_failed_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tools: Registry[type[Tool]]
) -> None:
    monkeypatch.setattr(f"{__name__}.TOOLS", tools, raising=False)
    code = """
        from softprompt.guards.registry import Entry
        from tests.guards import test_registry
        test_registry.TOOLS.add("saw", Entry(test_registry.Other, "half_package.Saw"))
        assert sorted(test_registry.TOOLS.all()) == ["hammer", "saw"]  # a package may ask while it is read
        raise ImportError("the other half")
    """
    installed(monkeypatch, tmp_path, "half", {"tools": {"saw": "half_package:saw"}}, {"half_package.py": code})
    with pytest.raises(SoftPromptError, match="the other half"):
        tools.get("saw")
    assert tools.all() == {"hammer": Tool}
