"""What is written is whole, on the disk before it takes its place, readable by whom the umask lets, and read back."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.files import strict_json, whole
from softprompt.files.documents import read_document, read_record
from softprompt.files.manifest import MANIFEST, check_files, named, sealed
from softprompt.files.tensors import write_tensors
from softprompt.files.whole import replacing, write_json, write_text
from softprompt.guards.documents import json_value


def filled(folder: Path, text: str = "new") -> None:
    with replacing(folder) as beside:
        (beside / "below").mkdir()
        (beside / "below" / "b.txt").write_text(text * 2)
        (beside / "a.txt").write_text(text)


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


def test_a_record_is_read_back(tmp_path: Path) -> None:
    path, value = tmp_path / "record.json", {"a": [1, 2.5, None, "ü"], "b": {"1": True}}
    write_json(path, sealed(value))
    assert read_record(path) == sealed(value)
    path.write_text(path.read_text().replace("2.5", "2.6"))
    with pytest.raises(SoftPromptError, match="differs from what was written"):
        read_record(path)
    write_json(path, value)  # an earlier version's
    assert read_record(path) == value


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(values)
@settings(max_examples=40, deadline=None)
def test_json_is_strict(value: Any) -> None:
    text = strict_json.dumps(value)
    assert json.loads(text, parse_constant=lambda constant: pytest.fail(constant)) == strict_json.finite(value)
    assert json_value(text) == strict_json.finite(value)


@pytest.mark.parametrize(
    "text",
    ['{"a": NaN}', '{"a": [-Infinity]}', '{"a": 1e999}', '{"a": ', "[" * 100_000, "\ud800"],
    ids=["nan", "infinity", "beyond a float", "cut", "nested", "no text"],
)
def test_what_is_no_json_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(SoftPromptError, match="metrics.json") as error:
        read_document(tmp_path / "metrics.json")
    assert "\n" not in str(error.value)


def test_json_is_written_in_one_place() -> None:
    source = Path(whole.__file__).parents[1]
    found = {str(path.relative_to(source)) for path in source.rglob("*.py") if "json.dump" in path.read_text()}
    assert {path for path in found if "import json\n" in (source / path).read_text()} == {"files/strict_json.py"}
