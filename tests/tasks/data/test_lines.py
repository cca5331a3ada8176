"""Lines of files: encodings that are known are read, others are named, and what is packed is unpacked within limits."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task
from softprompt.tasks.data.lines import lines

from ...shared.tables import told, write

TEXT = "one\nzwei über\r\ndrei\u2028vier\n"
READ = [(1, "one"), (2, "zwei über"), (3, "drei\u2028vier")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_whose_encoding_is_known_is_read(encoding: str, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / ("rows.txt.gz" if packed else "rows.txt")
    path.write_bytes(gzip.compress(TEXT.encode(encoding)) if packed else TEXT.encode(encoding))
    assert list(lines(path)) == READ


@pytest.mark.parametrize("order", ["le", "be"])
def test_both_orders_of_bytes_with_a_mark(order: str, tmp_path: Path) -> None:
    assert list(lines(write(tmp_path / "rows.txt", "\ufeff" + TEXT, f"utf-16-{order}"))) == READ


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (
            b"good\ncaf\xe9\n",
            ("line 2", "not UTF-8", "byte 0xe9", "'é' in Windows-1252", "iconv -f WINDOWS-1252 -t UTF-8"),
        ),
        (b"good\n\x81\n", ("line 2", "not UTF-8", "byte 0x81", "save the file as UTF-8")),
        ("good\nbad\n".encode("utf-16-le"), ("line 1", "UTF-16, it seems", "iconv -f UTF-16LE")),
        (b"\xff\xfeg\x00o", ("line 1", "not UTF-16", "byte order mark")),
    ],
)
def test_another_encoding_is_told_and_never_guessed(data: bytes, parts: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(data)
    with pytest.raises(SoftPromptError) as error:
        list(lines(path))
    told(error, "rows.txt", *parts)


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b"text\ngood\n", ("not a gzip file", "pack it again")),
        (gzip.compress(TEXT.encode() * 99, mtime=0)[:-20], ("not a gzip file, or a part of one",)),
        (gzip.compress(b"text\n" + b"a\n" * 6_000_000, mtime=0), ("would unpack to more than 8,388,608 bytes",)),
    ],
    ids=["no gzip", "a part", "too much"],
)
def test_what_is_no_gzip_file_or_too_much_of_one(data: bytes, parts: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "rows.txt.gz"
    path.write_bytes(data)
    with pytest.raises(SoftPromptError) as error:
        for _ in lines(path):
            pass
    told(error, "rows.txt.gz", *parts)


def test_an_encoding_that_was_found_is_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "text,label\n" + "".join(f"t{n},{n % 2}\n" for n in range(20)), "utf-16")
    task = Task(template="{text} {mask}", labels=["0", "1"]).with_data(path)
    assert task.splits().notes == ("rows.csv: read as UTF-16, as its byte order mark says",)
