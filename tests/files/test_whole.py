"""What is written is whole, on the disk before it takes its place, readable by whom the umask lets, and read back."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.files.manifest import MANIFEST
from softprompt.files.tensors import write_tensors
from softprompt.files.whole import replacing, write_json, write_text

from ..shared.tables import filled


def told(write: Callable[[Path], None], place: Path) -> str | None:
    try:
        write(place)
    except SoftPromptError as error:
        return str(error)
    return None


WRITERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any]]] = {
    "folder": (filled, lambda path: (path / "a.txt").read_text()),
    "file": (lambda path: write_text(path, "new"), lambda path: path.read_text()),
}


@pytest.mark.parametrize("kind", list(WRITERS))
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_full_or_closed_disk_is_one_line_and_loses_nothing(
    kind: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call that reaches the disk fails in turn."""
    write, read = WRITERS[kind]
    failed = 0
    for name in ("fsync", "open", "rename", "replace", "mkdir", "write", "chmod"):
        place = tmp_path / name / "kept"
        write(place)
        (place / "a.txt" if place.is_dir() else place).write_text("old")

        def fail(*_: Any, **__: Any) -> Any:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            line = told(write, place)
        if line is not None:
            failed += 1
            assert "\n" not in line
            assert os.strerror(code) in line
        assert read(place) == ("new" if line is None else "old")
        assert [path.name for path in place.parent.iterdir()] == ["kept"], name
    assert failed >= 3


def test_the_umask_alone_says_who_may_read(tmp_path: Path) -> None:
    import torch

    for mask, file, folder in ((0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)):
        before = os.umask(mask)
        try:
            place = tmp_path / f"{mask:o}"
            for _ in range(2):  # the second time in the place of what is there
                with replacing(place / "prompt") as beside:
                    write_tensors(beside / "prompt.safetensors", {"table": torch.zeros(2)})
                    (beside / "README.md").write_text("x")
                write_json(place / "metrics.json", {})
        finally:
            os.umask(before)
        modes = {path.name: path.stat().st_mode & 0o777 for path in place.rglob("*")}
        assert modes.pop("prompt") == folder
        assert set(modes.values()) == {file}


def test_all_is_on_the_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def fsync(handle: int) -> None:
        told.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)

    def watched(name: str) -> None:
        real = getattr(os, name)

        def call(source: Any, target: Any) -> None:
            told.append(f"-> {Path(target).name}")
            real(source, target)

        monkeypatch.setattr(os, name, call)

    monkeypatch.setattr(os, "fsync", fsync)
    watched("rename")
    watched("replace")
    filled(tmp_path / "kept")
    renamed = told.index("-> kept")
    scratch = next(name for name in told if name.startswith(".softprompt-new"))
    assert set(told[:renamed]) == {"a.txt", "b.txt", "below", MANIFEST, scratch}
    assert told[renamed + 1 :] == [tmp_path.name]
    told.clear()
    write_text(tmp_path / "one.json", "{}")
    assert [name.startswith(".softprompt-new") for name in told] == [True, False, False]
    assert told[1:] == ["-> one.json", tmp_path.name]
