"""Tab-separated files with quotes and without: each is read as whoever wrote it meant it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.tasks import Task
from softprompt.tasks.data.lines import text_file
from softprompt.tasks.data.quoting import is_quoted

from ...shared.tables import write

TASK = Task(template="{text} {mask}", labels=["0", "1"])
CELL = st.text(alphabet='ab "\t\n', max_size=6)


@pytest.mark.parametrize(
    ("content", "quoted"),
    [
        ("text\tlabel\nplain\t0\n", False),
        ('text\tlabel\n"all of it"\t0\n', False),  # who quotes only where it must would not have
        ('text\tlabel\n"she said ""no"""\t0\n', True),
        ('text\tlabel\n"two\nlines"\t0\nplain\t1\n', True),
        ('text\tlabel\n"a\ttab"\t0\n', True),
        ('text\tlabel\n"she said ""no"""\t0\nan "open one\t1\n', False),
        ('text\tlabel\n"never closed\t0\nplain\t1\nclosed"\t0\n', False),
        ('label\ttext\n0\t"never closed\n1\tclosed"\n', False),
        ('"begun\nended"\n', False),
        ('text\tlabel\n"never closed at all\t0\n', False),
    ],
)
def test_which_files_are_quoted(content: str, quoted: bool, tmp_path: Path) -> None:
    with text_file(write(tmp_path / "rows.tsv", content)) as file:
        assert is_quoted(file) is quoted


def test_texts_of_both(tmp_path: Path) -> None:
    quoted = write(tmp_path / "quoted.tsv", 'text\tlabel\n"she said ""no"""\t0\n"two\nlines"\t1\n')
    assert [row.fields["text"] for row in TASK.rows_from(quoted)] == ['she said "no"', "two\nlines"]
    raw = write(tmp_path / "raw.tsv", 'text\tlabel\n"open\t0\nan inner " one\t1\n')
    assert [row.fields["text"] for row in TASK.rows_from(raw)] == ['"open', 'an inner " one']


@settings(max_examples=80, deadline=None, database=None)
@given(
    texts=st.lists(
        CELL.filter(lambda text: bool(text.strip()) and not ("\t" in text and "\n" in text)), min_size=1, max_size=4
    )
)
def test_what_csv_writes_with_tabs_is_read_back(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter="\t", lineterminator="\n").writerows(
        [["text", "label"], *([text, "0"] for text in texts)]
    )
    path = write(tmp_path_factory.mktemp("tsv") / "rows.tsv", out.getvalue())
    assert [row.fields["text"] for row in TASK.rows_from(path)] == [text.strip() for text in texts]
