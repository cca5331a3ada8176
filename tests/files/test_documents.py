"""A document is read back as it was written, or told to differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.files.documents import read_document, read_record
from softprompt.files.manifest import sealed
from softprompt.files.whole import write_json


def test_a_record_is_read_back(tmp_path: Path) -> None:
    path, value = tmp_path / "record.json", {"a": [1, 2.5, None, "ü"], "b": {"1": True}}
    write_json(path, sealed(value))
    assert read_record(path) == sealed(value)
    path.write_text(path.read_text().replace("2.5", "2.6"))
    with pytest.raises(SoftPromptError, match="differs from what was written"):
        read_record(path)
    write_json(path, value)  # an earlier version's
    assert read_record(path) == value


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
