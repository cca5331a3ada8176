"""What would cost more than it is long is refused at once, and the line names the limit; what is ordinary is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError

from .bombs import SECONDS, bombs, ordinary, refusal

# Files of 100 MB take longer to write than to refuse.
HEAVY = ("100 MB", "endless")
NAMES = [name for name in bombs(Path()) if not any(word in name for word in HEAVY)]


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    error, seconds = refusal(bombs(tmp_path)[name]())
    assert isinstance(error, SoftPromptError), error
    assert seconds < 3 * SECONDS  # coverage counts every line
    assert len(str(error)) <= 2_000
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("YAML: aliases that multiply", "with aliases followed, at most 50,000"),
        ("YAML: a list in itself", "*a stands inside itself"),
        ("YAML: 10,000 lists deep", "task.yaml: 101 levels deep or more, at most 100"),
        ("YAML: a key twice", "task.yaml, line 3: the key 'template' stands twice"),
        ("YAML: a number of 5,000 digits", "5,000 digits, at most 1,000"),
        ("YAML: 50,000 labels", "49,000 entries, at most 10,000"),
        ("template: a million braces", "template: 1,000,000 characters, at most 100,000"),
        ("template: 30,000 fields", "template: 30,000 places, at most 1,000"),
        ("jsonl: 100,000 lists deep", "line 1: 100,001 levels deep, at most 100"),
        ("jsonl: a million lists", "1,000,003 lists and objects in one line, at most 200,000"),
        ("jsonl: a million digits", "1,000,000 digits, at most 1,000"),
        ("jsonl: a string of 10 MB", "bytes in one line and more, at most 8,388,608"),
        ("jsonl: a string of 3 MB", "3,000,000 characters in one text, at most 2,000,000"),
        ("jsonl: a key twice", "the key 'text' stands twice"),
        ("jsonl: the last of 200,000 keys twice", "the key '30d3f' stands twice"),
        ("jsonl: a number beyond all", "the number '1e999' is too large"),
        ("jsonl: half a surrogate pair", r"'\ud83d' at character 1 is half a surrogate pair"),
        ("csv: a quote never closed", "line 2: a text of more than 2,000,000 characters"),
        ("csv: a column twice", "column 'text' stands twice"),
        ("parquet: the same row 3 million times", "more than 500,000 rows"),
        ("parquet: the same 3 MB 20,000 times", "more than 8,388,608 bytes"),
        ("Python: a text of 10 MB", "10,000,000 characters in one text, at most 2,000,000"),
    ],
)
def test_the_line_names_the_limit(name: str, told: str, tmp_path: Path) -> None:
    error, _ = refusal(bombs(tmp_path)[name]())
    assert told in str(error)


@pytest.mark.parametrize("name", [name for name in ordinary(Path()) if "000 rows" not in name])
def test_ordinary_long_things_are_read(name: str, tmp_path: Path) -> None:
    assert refusal(ordinary(tmp_path)[name]())[0] is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in bombs(Path()) if name not in NAMES])
def test_files_of_100_megabytes(name: str, tmp_path: Path) -> None:
    error, seconds = refusal(bombs(tmp_path)[name]())
    assert isinstance(error, SoftPromptError), error
    assert seconds < SECONDS
