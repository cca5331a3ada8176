"""Lines of files: encodings that are known are read, others are named, and what is packed is unpacked within limits."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task
from softprompt.tasks.data.lines import lines

from ...shared.tables import told, write

TEXT = "one\nzwei über\r\ndrei\u2028vier\n"
READ = [(1, "one"), (2, "zwei über"), (3, "drei\u2028vier")]


PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("packed", PACKERS)
def test_a_file_whose_encoding_is_known_is_read(encoding: str, packed: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.txt{packed}"
    path.write_bytes(PACKERS[packed](TEXT.encode(encoding)))
    assert list(lines(path)) == READ


@pytest.mark.parametrize("packed", PACKERS)
def test_windows_1252_is_read_and_told_with_a_word(packed: str, tmp_path: Path) -> None:
    path, notes = tmp_path / f"rows.txt{packed}", list[str]()
    text = "plain\n" * 3 + "it was the café d\u2019Or\nschön\r\n"
    path.write_bytes(PACKERS[packed](text.encode("cp1252")))
    assert [line for _, line in lines(path, notes=notes)] == text.splitlines()
    note = "read as Windows-1252, as it is not UTF-8 (line 4: 'café'); give encoding if that is wrong"
    assert notes == [f"{path.name}: {note}"]


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read_and_told(order: str, tmp_path: Path) -> None:
    notes: list[str] = []
    path = write(tmp_path / "rows.txt", TEXT, order)
    assert list(lines(path, notes=notes)) == READ
    assert notes == ["rows.txt: read as UTF-16 (every other byte of it is zero)"]


@pytest.mark.parametrize("encoding", ["cp1250", "latin-1", "utf-8", "utf-16", "utf-16-le", "shift_jis", "cp037"])
def test_an_encoding_that_is_given_is_taken(encoding: str, tmp_path: Path) -> None:
    text = "one\ntwo \u0159\n" if encoding == "cp1250" else "one\ntwo\n"
    notes: list[str] = []
    assert list(lines(write(tmp_path / "a.txt", text, encoding), encoding, notes)) == [
        (number, line) for number, line in enumerate(text.splitlines(), 1)
    ]
    assert not notes


def test_an_encoding_that_does_not_fit_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "one\ncafé\n", "latin-1")
    for encoding, what in (("utf-8", "line 2: not UTF-8"), ("ascii", "not ascii text, which it was read as")):
        with pytest.raises(SoftPromptError) as error:
            list(lines(path, encoding))
        told(error, "a.txt", what, "save the file as UTF-8")
    marked = write(tmp_path / "b.txt", "one\n", "utf-8-sig")
    assert list(lines(marked, "utf-8")) == [(1, "one")]
    with pytest.raises(SoftPromptError, match="b.txt: begins with the mark of UTF-8, and is not cp1252: leave"):
        list(lines(marked, "cp1252"))
    assert list(lines(write(tmp_path / "c.txt", "\ufeffone\n", "utf-16-le"), "utf-16-le")) == [(1, "one")]


@pytest.mark.parametrize("order", ["le", "be"])
def test_both_orders_of_bytes_with_a_mark(order: str, tmp_path: Path) -> None:
    assert list(lines(write(tmp_path / "rows.txt", "\ufeff" + TEXT, f"utf-16-{order}"))) == READ


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (
            "good\nда\n".encode("cp1251"),
            ("line 2", "not UTF-8", "byte 0xe4", "'ä' in Windows-1252", "--encoding", "iconv -f ENCODING -t UTF-8"),
        ),
        (b"good\n\x81\n", ("line 2", "not UTF-8", "byte 0x81", "save the file as UTF-8")),
        ("caf\xe9\n".encode() + b"caf\xe9\n", ("line 2", "not UTF-8", "byte 0xe9")),  # a mix, or a damaged file
        (b"caf\xe9\n" + "caf\xe9\n".encode(), ("line 1", "not UTF-8", "byte 0xe9")),
        (b"\xff\xfeg\x00o", ("line 1", "not UTF-16", "give another encoding")),
        (b"go\0od\n", ("line 1", "a null byte", "take it out")),
    ],
)
def test_an_encoding_that_cannot_be_told_is_refused(data: bytes, parts: tuple[str, ...], tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("ending", "kind"), [(".bz2", "a bzip2"), (".xz", "an xz")])
def test_what_is_packed_otherwise_is_held_to_the_same(ending: str, kind: str, tmp_path: Path) -> None:
    pack = PACKERS[ending]
    path = tmp_path / f"rows.csv{ending}"
    for data in (b"text\ngood\n", pack(TEXT.encode() * 999)[:-20]):
        path.write_bytes(data)
        with pytest.raises(SoftPromptError) as error:
            list(lines(path))
        told(error, path.name, f"not {kind} file, or a part of one", "pack it again")
    path.write_bytes(pack(b"a\n" * 6_000_000))
    with pytest.raises(SoftPromptError, match="would unpack to more than 8,388,608 bytes"):
        list(lines(path))
