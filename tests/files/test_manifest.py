"""A folder is read back as it was written, or told to differ."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.files.manifest import MANIFEST, check_files, named

from ..shared.tables import filled


def test_a_folder_is_read_back(tmp_path: Path) -> None:
    filled(tmp_path / "kept")
    check_files(tmp_path / "kept", named(tmp_path / "kept"))
    for harm, message in (
        (lambda f: (f / "a.txt").write_text("nwe"), "a.txt: differs from what was written"),
        (lambda f: (f / "a.txt").write_text("ne"), "a.txt: has 2 bytes, but 3 were written"),
        (lambda f: (f / "a.txt").unlink(), "a.txt: cannot be read"),
        (lambda f: (f / MANIFEST).unlink(), "manifest.json: no such file"),
        (lambda f: (f / MANIFEST).write_text("{"), "manifest.json: damaged"),
        (lambda f: (f / MANIFEST).write_text('{"files": {"a.txt": 3}}'), "manifest.json: damaged"),
        (lambda f: (f / MANIFEST).write_text('{"files": {}}'), "does not name a.txt"),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "kept", copy)
        harm(copy)
        with pytest.raises(SoftPromptError, match=message) as error:
            check_files(copy, ["a.txt"])
        assert "\n" not in str(error.value)
        check_files(tmp_path / "kept", ["a.txt"])
        shutil.rmtree(copy)
