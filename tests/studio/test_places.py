"""Names of runs stay inside the folder, whatever they say and wherever links lead."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from softprompt.studio.places import NotThere, Root, plain_name


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / "runs" / "a" / "b").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "b" / "run.json").write_text("{}")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "run.json").write_text("{}")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "runs" / "inner").symlink_to(tmp_path / "runs" / "a" / "b")
    return Root(tmp_path / "runs")


def test_a_run_has_its_path_in_the_folder_for_a_name(root: Root) -> None:
    place = root.folder / "a" / "b"
    assert root.name_of(place) == "a/b"
    assert root.run("a/b") == place
    assert root.run("inner") == root.folder / "inner"
    assert Root(place).run(".") == place


@pytest.mark.parametrize("name", ["..", "../outside", "link", "a/../../outside", "/etc", "a\0b", "a" * 400, "", "no"])
def test_nothing_outside_has_a_name(root: Root, name: str) -> None:
    with pytest.raises(NotThere):
        root.run(name)


def test_an_absolute_path_is_no_name_even_where_it_leads_inside(root: Root) -> None:
    with pytest.raises(NotThere):
        root.inside(str(root.folder / "a"))


@settings(max_examples=60, deadline=None)
@example("--help")
@given(st.text(max_size=40))
def test_a_plain_name_is_one_visible_folder(wanted: str) -> None:
    name = plain_name(wanted)
    assert Path(name).name == name
    assert not name.startswith((".", "-"))
    assert plain_name(name) == name


def test_a_name_that_is_taken_gets_a_number(root: Root) -> None:
    assert root.free("tickets.csv") == "tickets.csv"
    assert root.free("a") == "a-2"
