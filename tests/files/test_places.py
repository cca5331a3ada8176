"""A prompt's folder is found in its run's, or is the one that was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.files.places import META, METRICS, RUN, TASKS, folder_of, stored_prompt


def test_a_run_or_its_prompt_may_be_named(tmp_path: Path) -> None:
    assert folder_of(str(tmp_path)) == tmp_path
    (tmp_path / "prompt").mkdir()
    assert folder_of(tmp_path) == folder_of(tmp_path / "prompt") == tmp_path / "prompt"


@pytest.mark.parametrize("given", ["", "a\0b", "\udcff", 3])
def test_what_is_no_path_is_one_line(given: object) -> None:
    with pytest.raises(SoftPromptError, match="run") as error:
        folder_of(given)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_a_run_is_read_once_it_is_finished(tmp_path: Path) -> None:
    (tmp_path / RUN).write_text("{}")
    with pytest.raises(SoftPromptError, match="this run is not finished: softprompt train --resume --out"):
        stored_prompt(tmp_path, "prompt")
    (tmp_path / METRICS).write_text("{}")
    with pytest.raises(SoftPromptError, match="the run is finished, but its folder prompt is missing: restore it"):
        stored_prompt(tmp_path, "prompt")
    own = tmp_path / "prompt"
    own.mkdir()
    assert stored_prompt(tmp_path, "prompt") == stored_prompt(own, "prompt") == own
    (own / META).write_text("{}")
    (own / "prompt").mkdir()  # what lies beside a prompt's own files is none of ours
    assert stored_prompt(own, "prompt") == own


def test_of_several_tasks_one_is_to_be_named(tmp_path: Path) -> None:
    for name in (RUN, METRICS):
        (tmp_path / name).write_text("{}")
    (tmp_path / TASKS).mkdir()
    with pytest.raises(SoftPromptError, match="a run of several tasks: name one of the runs in .*tasks"):
        stored_prompt(tmp_path, "prompt")
